//! Eight closed-loop writers on the embedded log, in turns with raw `write + fdatasync` on the same disk.
//!
//! The limit: a group commit costs one sync, so the disk allows as many groups a second as it allows raw syncs; a
//! closed loop of eight writers with one event each puts at most eight events into a group. It is out of reach as
//! such: whoever is answered must be woken and write again, while the disk waits or takes a smaller group.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use log::{Batch, Embedded, Epoch, Faults, Log, Options, Record, Topic, raw_sync_rate};
use runtime::monotonic;
use serde_json::{Value, json};

use super::stats::{Spans, median, nanos, rate, ratio};
use super::{BenchArgs, say};

const WRITERS: u16 = 8;
/// Bytes of a record: envelope and payload as they are in a real log on average.
const RECORD_BYTES: usize = 370;
/// Bytes of a full group: eight frames of one record each.
const GROUP_BYTES: usize = 8 * (40 + 16 + RECORD_BYTES).next_multiple_of(8);

/// One round of both.
struct Round {
    raw_syncs: f64,
    appends: f64,
    commits: f64,
    spans: Vec<u64>,
}

pub(super) async fn run(dir: &Path, args: &BenchArgs) -> anyhow::Result<Value> {
    let rounds = if args.quick { 3 } else { 7 };
    let span = args.seconds.map_or(Duration::from_millis(if args.quick { 300 } else { 1_000 }), Duration::from_secs);
    let bench = Bench::open(&dir.join("append")).await?;
    bench.round(span / 4).await?; // Warm.
    let mut measured = Vec::new();
    for n in 0..rounds {
        let raw_dir = dir.join("raw");
        let raw = tokio::task::spawn_blocking(move || raw_sync_rate(&raw_dir, GROUP_BYTES, span, monotonic));
        let raw_syncs = raw.await?.context("raw write and fdatasync")? as f64;
        let round = Round { raw_syncs, ..bench.round(span).await? };
        let (appends, commits) = (round.appends, round.commits);
        say(format!(
            "append: round {} of {rounds}: {raw_syncs} raw syncs/s, {commits} commits/s, {appends} events/s",
            n + 1
        ));
        measured.push(round);
    }
    bench.log.close();
    Ok(report(measured, span))
}

fn report(rounds: Vec<Round>, span: Duration) -> Value {
    let of = |value: fn(&Round) -> f64| median(rounds.iter().map(value).collect());
    let (raw, appends, commits) = (of(|r| r.raw_syncs), of(|r| r.appends), of(|r| r.commits));
    let group = median(rounds.iter().map(|r| r.appends / r.commits.max(1.0)).collect());
    let to_limit = median(rounds.iter().map(|r| ratio(r.appends, r.raw_syncs * f64::from(WRITERS))).collect());
    let commits_to_raw = median(rounds.iter().map(|r| ratio(r.commits, r.raw_syncs)).collect());
    let runs = rounds.len();
    let spans = Spans::of(rounds.into_iter().flat_map(|round| round.spans).collect());
    json!({
        "figure": "append",
        "writers": WRITERS,
        "record_bytes": RECORD_BYTES,
        "events_per_second": appends,
        "group_commits_per_second": commits,
        "events_per_group": (group * 100.0).round() / 100.0,
        "p50_us": spans.at(500),
        "p99_us": spans.at(990),
        "limit": {
            "what": "raw write+fdatasync of a full group, a second, times the 8 events that 8 closed-loop writers can put into one group",
            "raw_syncs_per_second": raw,
            "events_per_second": raw * f64::from(WRITERS),
            "group_bytes": GROUP_BYTES,
        },
        "ratio": to_limit,
        "ratio_of_commits": commits_to_raw,
        "goal": "ratio at least 0.5",
        "met": to_limit >= 0.5,
        "runs": runs,
        "round_seconds": span.as_secs_f64(),
    })
}

struct Bench {
    log: Arc<Embedded>,
    epochs: Vec<Epoch>,
    syncs: Arc<AtomicU64>,
}

impl Bench {
    async fn open(dir: &Path) -> anyhow::Result<Self> {
        let faults: Arc<Faults> = Arc::default();
        let syncs: Arc<AtomicU64> = Arc::default();
        let counted = syncs.clone();
        faults.watch(move |change, file, _, _| {
            if change == "sync" && file.ends_with(".seg") {
                counted.fetch_add(1, Ordering::Relaxed);
            }
        });
        let log = Embedded::open(dir, Options { partitions: WRITERS, faults, ..Options::default() })?.log;
        let mut epochs = Vec::new();
        for partition in 0..WRITERS {
            epochs.push(log.fence(Topic::Intake, partition).await?);
        }
        Ok(Self { log, epochs, syncs })
    }

    async fn round(&self, span: Duration) -> anyhow::Result<Round> {
        let (before, begun) = (self.syncs.load(Ordering::Relaxed), monotonic());
        let (done, mut finished) = tokio::sync::mpsc::channel(usize::from(WRITERS));
        for (partition, epoch) in (0..WRITERS).zip(&self.epochs) {
            let (log, epoch, done) = (self.log.clone(), *epoch, done.clone());
            runtime::spawn("bench_writer", async move {
                let spans = write(&*log, partition, epoch, begun + span).await;
                drop(done.send(spans).await);
            });
        }
        drop(done);
        let mut spans = Vec::new();
        while let Some(of_one) = finished.recv().await {
            spans.extend(of_one.map_err(|error| anyhow!("append: {error}"))?);
        }
        let lasted = monotonic() - begun;
        let commits = self.syncs.load(Ordering::Relaxed) - before;
        Ok(Round { raw_syncs: 0.0, appends: rate(spans.len() as u64, lasted), commits: rate(commits, lasted), spans })
    }
}

/// One writer: the next event as soon as the last one is durable.
async fn write(log: &dyn Log, partition: u16, epoch: Epoch, until: Duration) -> Result<Vec<u64>, log::AppendError> {
    let mut spans = Vec::new();
    let (topic, bytes) = (Topic::Intake, Bytes::from(vec![7; RECORD_BYTES]));
    let mut seq = *log.end(topic, partition).borrow();
    loop {
        let begun = monotonic();
        if begun >= until {
            return Ok(spans);
        }
        let records = vec![Record { topic, partition, seq, bytes: bytes.clone() }];
        log.append(Batch { writer: topic, partition, epoch, records }).await?;
        spans.push(nanos(monotonic() - begun));
        seq += 1;
    }
}
