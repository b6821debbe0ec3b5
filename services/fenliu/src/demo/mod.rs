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
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use kernel::{TenantId, Timestamp, shard_of};
use log::{Header, Log, OpenError, TOPICS};
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
    let last = last_record(&args.data).await?;
    let played_before = last.is_some_and(|last| last > sample.ends());
    let clock = if played_before {
        Clock::real()
    } else {
        refuse_others(&args).await?;
        Clock::virtual_from(sample.begins())
    };
    let cluster = Cluster::open_folder(&args.data, None, clock)?;
    let ended = run_on(&args, &sample, &cluster, last).await;
    cluster.stop(&args.data).await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn run_on(args: &DemoArgs, sample: &Sample, cluster: &Cluster, last: Option<Timestamp>) -> anyhow::Result<()> {
    let address = cluster
        .serve(&args.data, args.grpc, args.http, true)
        .await
        .context("start (choose other addresses with --grpc and --http; port 0 takes a free one)")?;
    let client = Client::connect(format!("http://{}", address.grpc)).await?;
    let begun = runtime::monotonic();
    let played_before = !cluster.shared.clock.is_virtual();
    if !played_before {
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

/// Virtual time never touches a company of one's own: the day is played only where there is none.
async fn refuse_others(args: &DemoArgs) -> anyhow::Result<()> {
    let tenants = crate::cluster::tenants(&args.data).await?;
    let others: Vec<String> = tenants.into_iter().filter(|code| code != TENANT).collect();
    if others.is_empty() {
        return Ok(());
    }
    bail!(
        "{} holds {}, and the sample day is played on a virtual clock: give it a folder of its own with --data DIR, or \
         start this one with `fenliu up`",
        args.data.display(),
        others.join(", ")
    )
}

/// When the sample company's shard was last written; `None` when it never was.
async fn last_record(dir: &Path) -> anyhow::Result<Option<Timestamp>> {
    let log = match log::read_only(dir) {
        Err(OpenError::Missing(_)) => return Ok(None),
        log => log?,
    };
    let partition = partition(&*log);
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
