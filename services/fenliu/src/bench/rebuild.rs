//! A service starts with nothing but the log: events a second on one core, beside one pass over the same bytes that
//! only checks frames and reads headers.
//!
//! The log is the sample day's, played once through the real front door and then multiplied: each copy is another day
//! of one of several companies, with ids and times of its own, in the batches in which it was first written.

mod copies;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use kernel::Decider;
use log::Topic;
use runtime::{Service, ShardState, monotonic};
use serde_json::{Map, Value, json};

use self::copies::Day;
use super::stats::{median, rate, ratio};
use super::{BenchArgs, say};

const ROUNDS: usize = 5;
/// Events of one batch of a shard under load: of a few inputs that came while the last batch was written.
const LOADED_BATCH: usize = 32;

/// What is measured of one service.
struct Plan<'a> {
    dir: &'a Path,
    sample: &'a Path,
    sizes: &'a [u64],
    rounds: usize,
    goal: Option<f64>,
}

pub(super) async fn run(dir: &Path, args: &BenchArgs) -> anyhow::Result<Value> {
    let sample = match &args.sample {
        Some(played) => played.clone(),
        None => dir.join("sample"),
    };
    if args.sample.is_none() {
        play_sample(&sample).await?;
    }
    let all: &[u64] = &[100_000, 1_000_000, 10_000_000];
    let sizes = if args.full {
        all
    } else if args.quick {
        &all[..1]
    } else {
        &all[..2]
    };
    let wanted = |service: &str| args.service.is_empty() || args.service.iter().any(|name| name == service);
    let goal = |goal| Plan { dir, sample: &sample, sizes, rounds: ROUNDS, goal: Some(goal) };
    let no_goal = || Plan { dir, sample: &sample, sizes: &all[..1], rounds: 1, goal: None };
    let mut rows = Vec::new();
    if wanted("kpi") {
        rows.extend(measure::<kpi::Kpi>(&goal(3_000_000.0)).await?);
    }
    if wanted("assignment") {
        rows.extend(measure::<assignment::Assignment>(&goal(1_000_000.0)).await?);
    }
    if wanted("intake") && !args.quick {
        rows.extend(measure::<intake::Intake>(&no_goal()).await?);
    }
    if wanted("intent") && !args.quick {
        rows.extend(measure::<intent::Intent>(&no_goal()).await?);
    }
    Ok(report(rows))
}

fn report(rows: Vec<Value>) -> Value {
    let largest = |service: &str| {
        let of_service = |row: &&Value| row["service"] == service && row["batches"] == "under load";
        let row = rows.iter().filter(of_service).max_by_key(|row| row["events"].as_u64());
        row.map_or(Value::Null, |row| {
            let [events, ratio, met] = ["events_per_second", "ratio", "met"].map(|field| row[field].clone());
            json!({ "events_per_second": events, "ratio": ratio, "met": met })
        })
    };
    json!({
        "figure": "rebuild",
        "kpi": largest("kpi"),
        "assignment": largest("assignment"),
        "goal": "3,000,000 events/s for kpi and 1,000,000 for assignment, on one core",
        "limit": "one pass over the same log on one core that reads, checks each frame's checksum and reads each record's header, in turns with the rebuild",
        "batches": format!("as played: on the sample day's virtual clock nearly every input is a batch of its own, with a `Batch` record; under load: {LOADED_BATCH} events a batch"),
        "runs": ROUNDS,
        "services": rows,
    })
}

/// Plays the sample day into a folder, by this very program.
async fn play_sample(sample: &Path) -> anyhow::Result<()> {
    let begun = monotonic();
    say("rebuild: plays the sample day once");
    let (program, folder) = (std::env::current_exe().context("find this program")?, sample.to_owned());
    let played = tokio::task::spawn_blocking(move || {
        std::process::Command::new(program)
            .arg("--data")
            .arg(folder)
            .args(["demo", "--exit", "--json", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"])
            .env("FENLIU_LOG", "error")
            .stdout(std::process::Stdio::null())
            .status()
    });
    let status = played.await??;
    if !status.success() {
        bail!("the sample day was not played: {status}");
    }
    say(format!("rebuild: played in {:.1} s", (monotonic() - begun).as_secs_f64()));
    Ok(())
}

async fn measure<S: Service>(plan: &Plan<'_>) -> anyhow::Result<Vec<Value>> {
    let day = Day::read(plan.sample, S::TOPIC).await?;
    let mut rows = Vec::new();
    let loaded = day.in_batches_of(LOADED_BATCH);
    for (batches, day) in [("under load", &loaded), ("as played", &day)] {
        // How it grows is the same for both; what was played has many times the records.
        let sizes = if batches == "as played" { &plan.sizes[..1] } else { plan.sizes };
        for size in sizes {
            let dir = plan.dir.join(format!("{}-{size}", S::NAME));
            let begun = monotonic();
            day.write(&dir, S::TOPIC, *size).await?;
            let seconds = (monotonic() - begun).as_secs_f64();
            say(format!("rebuild: {} log of {size} events {batches} written in {seconds:.1} s", S::NAME));
            let mut row = size_of::<S>(plan, &dir).await?;
            row.insert("batches".to_owned(), json!(batches));
            rows.push(Value::Object(row));
            std::fs::remove_dir_all(&dir)?;
        }
    }
    Ok(rows)
}

/// One size: rebuilds and passes in turns.
async fn size_of<S: Service>(plan: &Plan<'_>, dir: &Path) -> anyhow::Result<Map<String, Value>> {
    let opening = monotonic();
    let log = log::read_only(dir)?;
    let open_seconds = (monotonic() - opening).as_secs_f64();
    let end = *log::Log::end(&*log, S::TOPIC, 0).borrow();
    let mut spans: Vec<(Duration, Duration)> = Vec::new();
    let (mut events, mut pass, mut tenants) = (0, log::Pass::default(), 0);
    for _ in 0..plan.rounds {
        let begun = monotonic();
        pass = log::pass(dir)?;
        let passed = monotonic();
        let state = runtime::rebuild::<S>(&*log, 0, ShardState::default(), end).await?;
        let rebuilt = monotonic();
        spans.push((rebuilt - passed, passed - begun));
        (events, tenants) = (state.events, state.tenants.len());
        check(&state)?;
    }
    let rebuild = median(spans.iter().map(|(rebuild, _)| rebuild.as_secs_f64()).collect());
    let limit = median(spans.iter().map(|(_, pass)| pass.as_secs_f64()).collect());
    let (events_per_second, limit_per_second) =
        (rate(events, Duration::from_secs_f64(rebuild)), rate(events, Duration::from_secs_f64(limit)));
    say(format!("rebuild: {} {events} events: {events_per_second} events/s, the pass {limit_per_second}", S::NAME));
    let mut row = Map::new();
    let mut put = |name: &str, value: Value| drop(row.insert(name.to_owned(), value));
    put("service", json!(S::NAME));
    put("events", json!(events));
    put("records", json!(pass.records));
    put("bytes_per_record", json!(pass.bytes / pass.records.max(1)));
    put("companies", json!(tenants));
    put("seconds", json!((rebuild * 10_000.0).round() / 10_000.0));
    put("events_per_second", json!(events_per_second));
    put("records_per_second", json!(rate(pass.records, Duration::from_secs_f64(rebuild))));
    put("limit_events_per_second", json!(limit_per_second));
    put("ratio", json!(ratio(limit, rebuild)));
    put("goal", json!(plan.goal));
    put("met", json!(plan.goal.map(|goal| events_per_second >= goal)));
    put("open_and_index_seconds", json!((open_seconds * 10_000.0).round() / 10_000.0));
    Ok(row)
}

/// A fold that did no work would be fast too.
fn check<S: Service>(state: &ShardState<S>) -> anyhow::Result<()> {
    for (tenant, kept) in &state.tenants {
        if kept.state == S::State::default() {
            bail!("tenant {tenant} has nothing of {}: the copies are not what they should be", S::NAME);
        }
    }
    if S::TOPIC == Topic::Roster || state.events > 0 { Ok(()) } else { bail!("no events of {}", <S as Decider>::NAME) }
}
