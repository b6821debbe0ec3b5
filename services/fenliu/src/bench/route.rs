//! From an accepted inquiry to its durable reservation: intake, intent and assignment in one process with all other
//! services, open loop at fixed rates.
//!
//! An inquiry is sent when its time has come, whether or not earlier ones were answered. Two spans are kept of each:
//! from the acknowledgement to the commit of its `ReservationMade`, and from the time at which it was to be sent.

mod company;
mod door;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use kernel::{CommandId, IdMap, InquiryId, TenantId};
use log::{Options, raw_sync_rate};
use proto::intake::SubmitInquiryRequest;
use runtime::{Clock, monotonic};
use serde_json::{Map, Value, json};

use self::company::Texts;
use self::door::Door;
use super::stats::{Spans, nanos, rate, ratio};
use super::{BenchArgs, say};
use crate::cluster::Cluster;

const GOAL_RATE: u64 = 2_000;
const GOAL_P99_US: f64 = 5_000.0;
/// Rates that are sent through the gRPC door as well.
const GRPC_UP_TO: u64 = 2_000;
/// What an inquiry needs at least after its acknowledgement: the commit of its intent and that of its reservation.
const COMMITS: f64 = 2.0;
/// How long the rest may take to be offered after the last one was sent.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// One inquiry on its way; spans are nanoseconds of the monotone clock, 0: not yet.
struct Sent {
    due: Duration,
    acknowledged: AtomicU64,
    reserved: AtomicU64,
}

/// All inquiries of one run, findable by what the log calls them.
struct Run {
    sent: Vec<Sent>,
    by_inquiry: IdMap<InquiryId, usize>,
    acknowledged: AtomicU64,
    reserved: AtomicU64,
    refused: AtomicU64,
}

pub(super) async fn run(dir: &Path, args: &BenchArgs) -> anyhow::Result<Value> {
    let seconds = args.seconds.unwrap_or(if args.quick { 2 } else { 10 });
    let or = |given: &[u64], usual: &[u64]| if given.is_empty() { usual.to_vec() } else { given.to_vec() };
    let texts = Arc::new(Texts::of_sample()?);
    let mut rows = Vec::new();
    let mut syncs = Vec::new();
    for tenants in or(&args.tenants, &[1, 64]) {
        let data = dir.join(format!("route-{tenants}"));
        let bench = Bench::open(&data, tenants, &texts).await?;
        for rate in or(&args.rate, &[500, GOAL_RATE, 5_000]) {
            let doors = if rate <= GRPC_UP_TO { &[Door::Host, Door::Grpc][..] } else { &[Door::Host] };
            for door in doors {
                let raw_dir = dir.join("raw");
                let span = Duration::from_millis(300);
                let raw = tokio::task::spawn_blocking(move || raw_sync_rate(&raw_dir, 1_024, span, monotonic));
                let raw_syncs = raw.await?.context("raw write and fdatasync")?;
                syncs.push(raw_syncs);
                bench.measure(&texts, *door, rate, 1).await?; // Warm.
                let row = bench.measure(&texts, *door, rate, seconds).await?;
                rows.push(bench.row(&row, *door, rate, raw_syncs));
            }
        }
        bench.cluster.stop(&data).await;
    }
    Ok(report(rows, seconds, &syncs))
}

fn report(rows: Vec<Value>, seconds: u64, syncs: &[u64]) -> Value {
    let goals: Vec<&Value> = rows
        .iter()
        .filter(|row| row["inquiries_per_second"] == json!(GOAL_RATE) && row["door"] == json!("host"))
        .collect();
    let worst = goals.iter().filter_map(|row| row["p99_us"].as_f64()).fold(0.0, f64::max);
    let flat = rows.iter().all(|row| row["flat"] == json!(true));
    let limit = super::stats::median(syncs.iter().map(|syncs| COMMITS * 1e6 / (*syncs).max(1) as f64).collect());
    json!({
        "figure": "route",
        "p99_us_at_goal": worst,
        "goal": format!("p99 at most {GOAL_P99_US} µs at {GOAL_RATE} inquiries/s, for 1 and for 64 companies, backlog flat"),
        "met": !goals.is_empty() && worst <= GOAL_P99_US && goals.iter().all(|row| row["flat"] == json!(true)),
        "all_flat": flat,
        "limit": {
            "what": "two raw write+fdatasync one after the other on the same disk, measured before each run: the commits of the intent and of the reservation",
            "us": (limit * 10.0).round() / 10.0,
        },
        "ratio": ratio(limit, worst),
        "doors": "host: the message sealed and queued in process; grpc: unary SubmitInquiry over a loopback connection, of which the acknowledgement is the client's answer",
        "seconds": seconds,
        "runs": rows.len(),
        "rows": rows,
    })
}

struct Bench {
    cluster: Cluster,
    client: crate::client::Client,
    tenants: Vec<TenantCode>,
    run_no: AtomicU64,
}

/// A company as requests name it, and by id.
#[derive(Debug, Clone)]
pub(super) struct TenantCode {
    code: String,
    id: TenantId,
}

/// What one run gave.
struct Outcome {
    from_acknowledged: Spans,
    from_due: Spans,
    acknowledged_from_due: Spans,
    achieved: f64,
    backlog_middle: u64,
    backlog_end: u64,
    refused: u64,
    not_reserved: u64,
}

impl Bench {
    async fn open(dir: &Path, tenants: u64, texts: &Arc<Texts>) -> anyhow::Result<Self> {
        let begun = monotonic();
        let cluster = Cluster::open(dir, Clock::real(), Options::default())?;
        let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let address = cluster.serve(dir, any, any, false).await?;
        let client = crate::client::Client::connect(address.grpc.to_string()).await?;
        let (sender, mut answers) = tokio::sync::mpsc::unbounded_channel();
        for n in 0..tenants {
            let (client, texts, sender) = (client.clone(), texts.clone(), sender.clone());
            runtime::spawn("bench_company", async move {
                drop(sender.send(company::make(&client, n, tenants, &texts).await));
            });
        }
        drop(sender);
        let mut made = Vec::new();
        while let Some(tenant) = answers.recv().await {
            made.push(tenant?);
        }
        cluster.settle().await;
        say(format!("route: {tenants} companies made in {:.1} s", (monotonic() - begun).as_secs_f64()));
        watch::start(&cluster, &made);
        Ok(Self { cluster, client, tenants: made, run_no: AtomicU64::new(0) })
    }

    async fn measure(&self, texts: &Texts, door: Door, rate: u64, seconds: u64) -> anyhow::Result<Outcome> {
        let run_no = self.run_no.fetch_add(1, Ordering::Relaxed);
        let (run, requests) = self.prepare(texts, run_no, rate, seconds);
        watch::attend(run.clone());
        let sender = door::send(door, &self.cluster, &self.client, &self.tenants, run.clone(), requests);
        let mut backlogs = Vec::new();
        while !sender.is_finished() {
            tokio::time::sleep(LOOK_EVERY).await;
            backlogs.push(run.backlog());
        }
        tokio::task::spawn_blocking(move || sender.join())
            .await?
            .map_err(|_| anyhow::anyhow!("the sender failed"))??;
        let backlog_end = run.backlog();
        let given_up = monotonic() + PATIENCE;
        while run.unfinished() > 0 && monotonic() < given_up {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.cluster.settle().await;
        Ok(run.outcome(&backlogs, backlog_end))
    }

    /// Everything that need not be made while the clock runs.
    fn prepare(&self, texts: &Texts, run_no: u64, rate: u64, seconds: u64) -> (Arc<Run>, Vec<SubmitInquiryRequest>) {
        let begin = monotonic() + Duration::from_millis(200);
        let (mut sent, mut requests, mut by_inquiry) = (Vec::new(), Vec::new(), IdMap::default());
        for n in 0..rate * seconds {
            let tenant = &self.tenants[usize::try_from(n).unwrap_or(0) % self.tenants.len()];
            let command_id = CommandId::of_parts(&[b"bench route", &run_no.to_le_bytes(), &n.to_le_bytes()]);
            by_inquiry.insert(InquiryId::derive(tenant.id, command_id, 0), sent.len());
            requests.push(texts.request(tenant, run_no, n, command_id));
            let due = begin + Duration::from_nanos(n * 1_000_000_000 / rate);
            sent.push(Sent { due, acknowledged: AtomicU64::new(0), reserved: AtomicU64::new(0) });
        }
        // Making them took a while; the first is due now.
        let late = monotonic().saturating_sub(begin) + Duration::from_millis(50);
        sent.iter_mut().for_each(|sent| sent.due += late);
        let zero = || AtomicU64::new(0);
        (Arc::new(Run { sent, by_inquiry, acknowledged: zero(), reserved: zero(), refused: zero() }), requests)
    }

    fn row(&self, outcome: &Outcome, door: Door, rate: u64, raw_syncs: u64) -> Value {
        let mut row = Map::new();
        let mut put = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
        let flat = outcome.backlog_end <= outcome.backlog_middle * 2 + rate / 20 && outcome.not_reserved == 0;
        put("tenants", json!(self.tenants.len()));
        put("inquiries_per_second", json!(rate));
        put("door", json!(door.name()));
        put("achieved_per_second", json!(outcome.achieved));
        put("backlog_middle", json!(outcome.backlog_middle));
        put("backlog_end", json!(outcome.backlog_end));
        put("flat", json!(flat));
        put("refused", json!(outcome.refused));
        put("not_reserved", json!(outcome.not_reserved));
        put("inquiries", json!(outcome.from_due.len()));
        put("raw_syncs_per_second", json!(raw_syncs));
        outcome.from_acknowledged.put("", &mut row);
        outcome.from_due.put("from_due_", &mut row);
        outcome.acknowledged_from_due.put("acknowledged_", &mut row);
        say(format!(
            "route: {} companies, {rate}/s by {}: p50 {} µs, p99 {} µs, from due p99 {} µs, backlog {} then {}",
            self.tenants.len(),
            door.name(),
            row["p50_us"],
            row["p99_us"],
            row["from_due_p99_us"],
            outcome.backlog_middle,
            outcome.backlog_end
        ));
        Value::Object(row)
    }
}

impl Run {
    /// Inquiries that are due and have no reservation yet.
    fn backlog(&self) -> u64 {
        let now = monotonic();
        let due = self.sent.partition_point(|sent| sent.due <= now) as u64;
        due.saturating_sub(self.reserved.load(Ordering::Relaxed))
    }

    fn unfinished(&self) -> u64 {
        let done = self.reserved.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
        let acknowledged = self.acknowledged.load(Ordering::Relaxed) + self.refused.load(Ordering::Relaxed);
        (self.sent.len() as u64).saturating_sub(done.min(acknowledged))
    }

    fn acknowledge(&self, n: usize) {
        self.sent[n].acknowledged.store(nanos(monotonic()), Ordering::Relaxed);
        self.acknowledged.fetch_add(1, Ordering::Relaxed);
    }

    fn outcome(&self, backlogs: &[u64], backlog_end: u64) -> Outcome {
        let (mut from_acknowledged, mut from_due, mut acknowledged) = (Vec::new(), Vec::new(), Vec::new());
        let mut last = Duration::ZERO;
        for sent in &self.sent {
            let (ack, reserved) = (sent.acknowledged.load(Ordering::Relaxed), sent.reserved.load(Ordering::Relaxed));
            if ack == 0 || reserved == 0 {
                continue;
            }
            // Who acknowledges may come to it later than who watches the log.
            from_acknowledged.push(reserved.saturating_sub(ack));
            from_due.push(reserved.saturating_sub(nanos(sent.due)));
            acknowledged.push(ack.saturating_sub(nanos(sent.due)));
            last = last.max(Duration::from_nanos(reserved));
        }
        let first = self.sent.first().map_or(Duration::ZERO, |sent| sent.due);
        let middle = backlogs.len() / 2;
        Outcome {
            achieved: rate(from_due.len() as u64, last.saturating_sub(first)),
            not_reserved: (self.sent.len() - from_due.len()) as u64,
            from_acknowledged: Spans::of(from_acknowledged),
            from_due: Spans::of(from_due),
            acknowledged_from_due: Spans::of(acknowledged),
            backlog_middle: backlogs
                .get(middle.saturating_sub(2)..middle + 3)
                .map_or(0, |some| some.iter().sum::<u64>() / 5),
            backlog_end,
            refused: self.refused.load(Ordering::Relaxed),
        }
    }
}
