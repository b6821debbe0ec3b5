//! Tracing to standard error, and to an OpenTelemetry collector when one is named.

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::WithExportConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// What goes to a collector: requests, and below them the turns and appends of the shards, whatever the log shows.
const EXPORTED: &str = "info,runtime=debug";

/// How traces and logs look and where they go.
#[derive(Debug, Clone, Default)]
pub struct Telemetry {
    /// Filter in the syntax of `tracing_subscriber::EnvFilter`, such as `info,runtime=debug`.
    pub filter: String,
    /// One JSON object a line instead of text.
    pub json: bool,
    /// OTLP/gRPC endpoint of a collector, such as `http://127.0.0.1:4317`; none: no export.
    pub otlp_endpoint: Option<String>,
}

/// Flushes what was not yet exported when it is dropped.
#[must_use = "dropping it ends the export"]
pub struct TelemetryGuard(Option<SdkTracerProvider>);

impl Drop for TelemetryGuard {
    fn drop(&mut self) {
        if let Some(provider) = self.0.take()
            && let Err(error) = provider.shutdown()
        {
            eprintln!("fenliu: traces were not all exported: {error}");
        }
    }
}

/// Sets up tracing for the process. Call once, inside the async runtime when traces are exported.
pub fn init(telemetry: &Telemetry) -> anyhow::Result<TelemetryGuard> {
    let filter = EnvFilter::try_new(&telemetry.filter)?;
    let text = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let text = if telemetry.json { text.json().boxed() } else { text.compact().boxed() };
    let text = text.with_filter(filter);
    let provider = telemetry.otlp_endpoint.as_deref().map(exporter).transpose()?;
    let export = provider.as_ref().map(|provider| {
        tracing_opentelemetry::layer().with_tracer(provider.tracer("fenliu")).with_filter(EnvFilter::new(EXPORTED))
    });
    tracing_subscriber::registry().with(text).with(export).try_init()?;
    Ok(TelemetryGuard(provider))
}

fn exporter(endpoint: &str) -> anyhow::Result<SdkTracerProvider> {
    let exporter = opentelemetry_otlp::SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()?;
    let resource = Resource::builder().with_service_name("fenliu").build();
    Ok(SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build())
}
