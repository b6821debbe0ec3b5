//! The decisions of `assignment` alone: a company in steady state, every decision timed, folds outside the time.

mod company;
mod play;

use anyhow::Context;
use runtime::monotonic;
use serde_json::{Map, Value, json};

use self::play::Play;
use super::stats::{Spans, median, nanos};
use super::{BenchArgs, say};

/// The figure with a goal.
const AGENTS: usize = 1_000;
const WAITING: usize = 10_000;
const GOAL_P99_US: f64 = 20.0;

/// Decisions of one round.
const DECISIONS: usize = 100_000;
const ROUNDS: usize = 3;

/// One point of the growth.
struct Point {
    agents: usize,
    waiting: usize,
    decisions: usize,
    rounds: usize,
}

pub(super) fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let (decisions, rounds) = if args.quick { (DECISIONS / 5, 1) } else { (DECISIONS, ROUNDS) };
    let main = measure(&Point { agents: AGENTS, waiting: WAITING, decisions, rounds })?;
    let mut growth = Vec::new();
    if !args.quick {
        for agents in [100, 1_000, 10_000] {
            for waiting in [100, 1_000, 10_000, 100_000] {
                growth
                    .push(Value::Object(measure(&Point { agents, waiting, decisions: DECISIONS / 2, rounds: 1 })?.row));
            }
        }
    }
    let p99 = main.row.get("p99_us").and_then(Value::as_f64).unwrap_or_default();
    Ok(json!({
        "figure": "decide",
        "agents": AGENTS,
        "waiting": WAITING,
        "p50_us": main.row["p50_us"],
        "p99_us": p99,
        "p999_us": main.row["p999_us"],
        "max_us": main.row["max_us"],
        "limit": {
            "what": "reading the monotone clock twice, which is in every measured span",
            "us": clock_us(),
        },
        "goal": format!("p99 at most {GOAL_P99_US} µs"),
        "ratio": super::stats::ratio(GOAL_P99_US, p99),
        "met": p99 <= GOAL_P99_US,
        "runs": rounds,
        "decisions": decisions,
        "by_command": main.by_command,
        "growth": growth,
    }))
}

struct Measured {
    row: Map<String, Value>,
    by_command: Vec<Value>,
}

fn measure(point: &Point) -> anyhow::Result<Measured> {
    let Point { agents, waiting, decisions, rounds } = *point;
    let begun = monotonic();
    let mut play = Play::steady(agents, waiting).context("bring the company into steady state")?;
    let made = (monotonic() - begun).as_secs_f64();
    let mut of_rounds = Vec::new();
    let mut kept = Vec::new();
    for _ in 0..rounds {
        let timed = play.go_on(decisions)?;
        of_rounds.push(Spans::of(timed.iter().map(|(_, nanos, _)| *nanos).collect()));
        kept.extend(timed);
    }
    let quantile = |per_mille| median(of_rounds.iter().map(|spans| spans.at(per_mille)).collect());
    let folds = Spans::of(kept.iter().map(|(_, _, nanos)| *nanos).collect());
    let mut row = Map::new();
    row.insert("agents".to_owned(), json!(agents));
    row.insert("waiting".to_owned(), json!(waiting));
    row.insert("waiting_at_end".to_owned(), json!(play.waiting()));
    row.insert("profiles".to_owned(), json!(play.profiles()));
    row.insert("classes".to_owned(), json!(play.classes()));
    for (name, per_mille) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999), ("max_us", 1_000)] {
        row.insert(name.to_owned(), json!(quantile(per_mille)));
    }
    row.insert("fold_p50_us".to_owned(), json!(folds.at(500)));
    row.insert("fold_p99_us".to_owned(), json!(folds.at(990)));
    say(format!(
        "decide: {agents} agents, {waiting} waiting: p50 {} µs, p99 {} µs (made in {made:.1} s)",
        row["p50_us"], row["p99_us"]
    ));
    Ok(Measured { row, by_command: by_command(kept) })
}

fn by_command(timed: Vec<(&'static str, u64, u64)>) -> Vec<Value> {
    let mut kinds: std::collections::BTreeMap<&str, Vec<u64>> = Default::default();
    for (kind, nanos, _) in timed {
        kinds.entry(kind).or_default().push(nanos);
    }
    let row = |(kind, nanos): (&str, Vec<u64>)| {
        let spans = Spans::of(nanos);
        let mut row = Map::new();
        row.insert("command".to_owned(), json!(kind));
        row.insert("decisions".to_owned(), json!(spans.len()));
        spans.put("", &mut row);
        Value::Object(row)
    };
    kinds.into_iter().map(row).collect()
}

/// Reading the clock twice, in microseconds.
fn clock_us() -> f64 {
    const TIMES: u32 = 10_000;
    let begun = monotonic();
    for _ in 0..2 * TIMES {
        std::hint::black_box(monotonic());
    }
    let nanos = nanos(monotonic() - begun) as f64 / f64::from(TIMES);
    nanos.round() / 1_000.0
}
