//! The gRPC server and the HTTP page of metrics, with a limit on everything (L9).

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

/// One request's time. Streams may live longer; their first answer may not.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests of one connection at once.
const REQUESTS_PER_CONNECTION: usize = 256;
/// Streams of one connection at once.
const STREAMS_PER_CONNECTION: u32 = 256;
/// Bytes of a request's headers.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// A connection is asked for a sign of life this often, and given this long to answer.
const KEEPALIVE: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(10)];
/// Streams that a client reset and that wait to be forgotten: more is an attack (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 64;

/// Bytes of one request. Every service sets it.
pub const REQUEST_BYTES_MAX: usize = 4 << 20;
/// Bytes of one answer.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Without TLS and authentication nobody but this machine may call.
    #[error(
        "{0} is not a loopback address; Fenliu serves other machines only with TLS and authentication, which it does not have"
    )]
    NotLoopback(SocketAddr),
    #[error("listen on {address}: {source}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    #[error("serve: {0}")]
    Transport(#[from] tonic::transport::Error),
}

/// Binds a loopback address and refuses any other.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

/// Serves gRPC until shutdown, then lets requests in flight finish.
pub async fn serve_grpc(
    listener: TcpListener,
    routes: Routes,
    services: &[&str],
    reflection: bool,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    for service in services.iter().chain(&[""]) {
        reporter.set_service_status(*service, tonic_health::ServingStatus::Serving).await;
    }
    let mut routes = routes.add_service(health);
    if reflection {
        let v1 = reflection_builder().build_v1()?;
        let v1alpha = reflection_builder().build_v1alpha()?;
        routes = routes.add_service(v1).add_service(v1alpha);
    }
    let stop = shutdown.clone();
    // Answers are small and somebody waits for each: held back for more to send with them, they cost 40 ms.
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .timeout(REQUEST_TIMEOUT)
        .concurrency_limit_per_connection(REQUESTS_PER_CONNECTION)
        .load_shed(true)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .http2_max_header_list_size(HEADER_BYTES_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_RESETS_MAX))
        .http2_keepalive_interval(Some(KEEPALIVE[0]))
        .http2_keepalive_timeout(Some(KEEPALIVE[1]))
        .trace_fn(|request| {
            let command_id = tracing::field::Empty;
            tracing::info_span!("request", method = request.uri().path(), command_id)
        })
        .add_routes(routes)
        .serve_with_incoming_shutdown(incoming, async move { stop.cancelled().await })
        .await?;
    for service in services.iter().chain(&[""]) {
        reporter.set_service_status(*service, tonic_health::ServingStatus::NotServing).await;
    }
    Ok(())
}

fn reflection_builder<'b>() -> tonic_reflection::server::Builder<'b> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

/// Serves `/metrics` and `/healthz` until shutdown.
pub async fn serve_http(listener: TcpListener, shutdown: CancellationToken) -> std::io::Result<()> {
    let pages = Router::new()
        .route("/metrics", get(|| async { crate::metrics::render() }))
        .route("/healthz", get(|| async { "ok\n" }));
    axum::serve(listener, pages).with_graceful_shutdown(async move { shutdown.cancelled().await }).await
}
