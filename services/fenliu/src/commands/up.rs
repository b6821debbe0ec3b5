//! `fenliu up`: all services in this process, until they are told to stop.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use runtime::Clock;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::{Global, output};
use crate::cluster::{Address, Cluster};

#[derive(Debug, Args)]
pub struct UpArgs {
    /// Where to serve gRPC. Only this machine is served: another address than a loopback one is refused.
    #[arg(long, env = "FENLIU_GRPC", value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    grpc: SocketAddr,
    /// Where to serve /metrics (Prometheus) and /healthz.
    #[arg(long, env = "FENLIU_HTTP", value_name = "ADDRESS", default_value = "127.0.0.1:7071")]
    http: SocketAddr,
    /// Do not tell clients such as grpcurl which services there are.
    #[arg(long)]
    no_reflection: bool,
    /// Partitions of a new log: 16 unless you say otherwise. Fixed for ever when the log is made.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    partitions: Option<u16>,
}

pub async fn run(global: &Global, args: UpArgs) -> anyhow::Result<ExitCode> {
    let cluster = Cluster::open_folder(&global.data, args.partitions, Clock::real())?;
    let served = cluster.serve(&global.data, args.grpc, args.http, !args.no_reflection).await;
    let address = match served {
        Ok(address) => address,
        Err(error) => {
            cluster.stop(&global.data).await;
            return Err(error.context("start (choose other addresses with --grpc and --http; port 0 takes a free one)"));
        }
    };
    announce(global, &address);
    stop_signal().await?;
    eprintln!("fenliu: stopping");
    cluster.stop(&global.data).await;
    Ok(ExitCode::SUCCESS)
}

fn announce(global: &Global, address: &Address) {
    let metrics = format!("http://{}/metrics", address.http);
    let value = json!({ "grpc": address.grpc, "metrics": metrics, "data": global.data, "pid": address.pid });
    output::show(global.json, &value, |_| {
        let data = global.data.display();
        format!(
            "fenliu is up on {data}\n  gRPC     {}\n  metrics  {metrics}\nTry `fenliu --data {data} --help`. Ctrl-C stops it.",
            address.grpc
        )
    });
}

/// Resolves at Ctrl-C or SIGTERM. A second one ends the process at once: the log needs no clean stop.
pub async fn stop_signal() -> anyhow::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    runtime::spawn("second_signal", async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(1);
    });
    Ok(())
}
