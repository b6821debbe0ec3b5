//! The sample day: a company, a day of its inquiries through the real front door on a virtual clock, the close of its
//! pay period; then real time, with the simulated agents on duty.
//!
//! Everything here is a client. What was done is on the log under natural keys and command ids that are always the
//! same, so a day that was interrupted goes on where it stopped.

mod agents;
mod live;
mod player;
mod sample;
mod setup;
mod summary;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use kernel::{TenantId, Timestamp, shard_of};
use log::{Header, Log, TOPICS};
use runtime::Clock;

use crate::client::Client;
use crate::cluster::{Address, Cluster};
use crate::commands::output;

pub use sample::{Sample, TENANT};
pub use summary::Summary;

/// What `fenliu demo` was asked for.
#[derive(Debug, Clone)]
pub struct DemoArgs {
    pub data: PathBuf,
    /// Folder of the sample; the built-in one when absent.
    pub sample: Option<PathBuf>,
    /// End after the day instead of staying up.
    pub exit: bool,
    pub json: bool,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

/// Plays the day, or goes on where it was stopped, and stays up unless told to end.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let sample = Sample::load(args.sample.as_deref())?;
    let clock = Clock::virtual_from(sample.begins());
    let cluster = Cluster::open_folder(&args.data, None, clock.clone())?;
    let ended = run_on(&args, &sample, &cluster).await;
    cluster.stop(&args.data).await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn run_on(args: &DemoArgs, sample: &Sample, cluster: &Cluster) -> anyhow::Result<()> {
    let address = cluster
        .serve(&args.data, args.grpc, args.http, true)
        .await
        .context("start (choose other addresses with --grpc and --http; port 0 takes a free one)")?;
    let client = Client::connect(format!("http://{}", address.grpc)).await?;
    let begun = runtime::monotonic();
    let last = last_record(cluster).await?;
    let played_before = last.is_some_and(|last| last > sample.ends());
    if played_before {
        cluster.shared.clock.become_real();
    } else {
        setup::load(cluster, &client, sample, last).await?;
        player::play(cluster, &client, sample, last).await?;
    }
    cluster.settle().await;
    let mut summary = summary::of(cluster, &client, sample).await?;
    summary.milliseconds = if played_before { None } else { Some((runtime::monotonic() - begun).as_millis()) };
    output::show(args.json, &serde_json::to_value(&summary)?, |_| summary.text());
    if args.exit {
        return Ok(());
    }
    cluster.shared.clock.become_real();
    let duty = live::go_on_duty(cluster, &client).await?;
    where_to_look(args, &address);
    crate::commands::stop_signal().await?;
    eprintln!("fenliu: stopping");
    duty.cancel();
    Ok(())
}

/// When the sample company's shard was last written; `None` when it never was.
async fn last_record(cluster: &Cluster) -> anyhow::Result<Option<Timestamp>> {
    let log = &cluster.shared.log;
    let partition = partition(&**log);
    let mut last = None;
    for topic in TOPICS {
        let end = *log.end(topic, partition).borrow();
        if end > 0 {
            for record in log.read(topic, partition, end - 1, 1).await? {
                last = last.max(Some(Header::parse(&record.bytes)?.0.recorded_at));
            }
        }
    }
    Ok(last)
}

fn partition(log: &dyn Log) -> u16 {
    shard_of(TenantId::of_code(TENANT), log.partitions())
}

fn where_to_look(args: &DemoArgs, address: &Address) {
    let Address { grpc, http, .. } = address;
    let data = args.data.display();
    let (id, request) = live::example_request();
    eprintln!(
        "
Fenliu is up on {data}, in real time, with the sample's agents on duty.
  gRPC     {grpc}
  metrics  http://{http}/metrics
Submit an inquiry of your own, then see who has it and why:
  fenliu --data {data} submit --desk domestic --customer shop:me '小松PC200的主泵多少钱'
  fenliu --data {data} explain INQUIRY        (the inquiry's id that it printed)
or with grpcurl:
  grpcurl -plaintext -d '{request}' {grpc} fenliu.intake.v1.IntakeService/SubmitInquiry
  fenliu --data {data} explain shop:{id}
Ctrl-C stops it; started again it goes on from its log."
    );
}
