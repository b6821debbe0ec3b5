//! The sample company and its day: built in, or from a folder with the same files.

use std::path::Path;

use anyhow::{Context, anyhow};
use kernel::{Duration, Timestamp};

use crate::commands::init::{labels, mixed};
use crate::facts::{self, Fact};
use crate::instant;

/// Code of the sample's tenant, as its company file says.
pub const TENANT: &str = "sample";
/// The month that the sample's day belongs to.
pub const PERIOD: &str = "2026-09";
/// The day, and the end of its month, where the sample company is.
const DAY: &str = "2026-09-15T00:00:00+08:00";
const PERIOD_END: &str = "2026-10-01T00:00:00+08:00";
/// Real time begins at the earliest after this: the last of the day's late facts is before it.
const ENDS: &str = "2026-10-08T00:00:00+08:00";

macro_rules! built_in {
    ($file:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/sample/", $file))
    };
}

/// Files of plans, in the order in which they are activated.
const PLANS: [(&str, &str); 4] = [
    ("plans/sales.yaml", built_in!("plans/sales.yaml")),
    ("plans/service.yaml", built_in!("plans/service.yaml")),
    ("plans/export-sales.yaml", built_in!("plans/export-sales.yaml")),
    ("plans/export-service.yaml", built_in!("plans/export-service.yaml")),
];

/// All of the sample, read and checked.
#[derive(Debug, Clone)]
pub struct Sample {
    pub company: String,
    pub plans: Vec<String>,
    /// Label and text.
    pub examples: Vec<(String, String)>,
    /// Facts of the past, with their handlers.
    pub history: Vec<Fact>,
    /// The day's facts and what followed from them, in the order of time.
    pub day: Vec<Fact>,
}

fn instant_of(text: &str) -> Timestamp {
    instant::parse(text).expect("an instant of ours")
}

fn read(dir: Option<&Path>, file: &str, built_in: &str) -> anyhow::Result<String> {
    match dir {
        None => Ok(built_in.to_owned()),
        Some(dir) => {
            std::fs::read_to_string(dir.join(file)).with_context(|| format!("read {}", dir.join(file).display()))
        }
    }
}

fn facts(text: &str, file: &str) -> anyhow::Result<Vec<Fact>> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| facts::parse(line).map_err(|error| anyhow!("{file} line {}: {error}", n + 1))).collect()
}

impl Sample {
    /// Reads the sample from `dir`, or takes the built-in one.
    pub fn load(dir: Option<&Path>) -> anyhow::Result<Self> {
        let mut day = facts(&read(dir, "day.jsonl", built_in!("day.jsonl"))?, "day.jsonl")?;
        day.sort_by_key(Fact::at);
        let plans = PLANS.iter().map(|(file, built_in)| read(dir, file, built_in));
        Ok(Self {
            company: read(dir, "company.yaml", built_in!("company.yaml"))?,
            plans: plans.collect::<Result<_, _>>()?,
            examples: mixed(labels(&read(dir, "labelled.tsv", built_in!("labelled.tsv"))?).context("labelled.tsv")?),
            history: facts(&read(dir, "history.jsonl", built_in!("history.jsonl"))?, "history.jsonl")?,
            day,
        })
    }

    /// The clock when the company is loaded: just before the day, after all of its past.
    pub fn begins(&self) -> Timestamp {
        self.day_start() - Duration::from_secs(60)
    }

    pub fn day_start(&self) -> Timestamp {
        instant_of(DAY)
    }

    pub fn period_end(&self) -> Timestamp {
        instant_of(PERIOD_END)
    }

    pub fn ends(&self) -> Timestamp {
        instant_of(ENDS)
    }
}
