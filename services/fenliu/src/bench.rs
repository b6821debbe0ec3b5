//! The figures: what this build does on this machine, beside what the machine itself could do in the same run.
//!
//! Nothing is asserted here. Every figure comes with its goal, the machine's own limit measured in turns with it, and
//! how busy the machine was meanwhile.

#![expect(clippy::float_arithmetic, reason = "figures for people; no money comes here")]

mod append;
mod decide;
mod rebuild;
mod route;
mod stats;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use crate::commands::{Global, output};

/// What `fenliu bench` was asked for.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// Which figure.
    #[arg(value_enum)]
    figure: Figure,
    /// Fewer and shorter rounds: to see that it runs, not for figures.
    #[arg(long)]
    quick: bool,
    /// Also what takes minutes and gigabytes: a rebuild of ten million events.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// A data folder in which the sample day was played before (`rebuild`); it is played anew when not given.
    #[arg(long, value_name = "DIR")]
    sample: Option<PathBuf>,
    /// Only these services (`rebuild`).
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// Seconds of a measured round [default: 1 for append, 10 for route].
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: Option<u64>,
    /// Only these numbers of companies (`route`) [default: 1 and 64].
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000))]
    tenants: Vec<u64>,
    /// Only these rates, in inquiries a second (`route`) [default: 500, 2000 and 5000].
    #[arg(long, value_name = "RATE", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    rate: Vec<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Events a second that eight writers make durable.
    Append,
    /// From an accepted inquiry to its durable reservation, through all services, at fixed rates.
    Route,
    /// Events a second that a service folds when it starts with nothing but the log.
    Rebuild,
    /// Microseconds of one decision of `assignment`.
    Decide,
}

/// Runs one figure and prints it. Its files are in a folder beside the data folder, on the same disk, and go with it.
pub async fn run(global: &Global, args: &BenchArgs) -> anyhow::Result<ExitCode> {
    let folder = Folder::beside(&global.data)?;
    let load_before = load_average();
    let mut value = match args.figure {
        Figure::Append => append::run(folder.path(), args).await,
        Figure::Route => route::run(folder.path(), args).await,
        Figure::Rebuild => rebuild::run(folder.path(), args).await,
        Figure::Decide => decide::run(args),
    }?;
    if let Value::Object(fields) = &mut value {
        fields
            .insert("cores".to_owned(), json!(std::thread::available_parallelism().map_or(1, std::num::NonZero::get)));
        fields.insert("load_average_before".to_owned(), load_before);
        fields.insert("load_average_after".to_owned(), load_average());
        fields.insert("quick".to_owned(), json!(args.quick));
    }
    output::show(global.json, &value, text);
    Ok(ExitCode::SUCCESS)
}

/// Processes that wanted a core, over the last 1, 5 and 15 minutes; null where the system does not say.
fn load_average() -> Value {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let numbers: Vec<f64> = text.split(' ').take(3).filter_map(|number| number.parse().ok()).collect();
    if numbers.len() == 3 { json!(numbers) } else { Value::Null }
}

fn say(what: impl std::fmt::Display) {
    eprintln!("fenliu: bench: {what}");
}

/// A folder of the figure's own that is removed with it.
struct Folder(PathBuf);

impl Folder {
    fn beside(data: &Path) -> anyhow::Result<Self> {
        let above = data.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let path = above.join(format!("fenliu-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }

    fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say(format!("{} is left behind: {error}", self.0.display()));
        }
    }
}

/// A figure as people read it: rows as tables, everything else line by line.
fn text(value: &Value) -> String {
    let mut out = String::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        match value.as_array() {
            Some(rows) if rows.iter().all(Value::is_object) && !rows.is_empty() => {
                out.push_str(&format!("\n{name}\n{}\n", rows_text(rows)));
            }
            _ => out.push_str(&format!("{:24} {}\n", name.replace('_', " "), cell(value))),
        }
    }
    out
}

fn rows_text(rows: &[Value]) -> String {
    let mut head: Vec<&str> = Vec::new();
    for key in rows.iter().filter_map(Value::as_object).flat_map(|row| row.keys()) {
        if !head.contains(&key.as_str()) {
            head.push(key);
        }
    }
    let row = |row: &Value| head.iter().map(|key| cell(&row[*key])).collect::<Vec<_>>();
    let titles: Vec<String> = head.iter().map(|key| key.replace('_', " ")).collect();
    output::table(&titles.iter().map(String::as_str).collect::<Vec<_>>(), &rows.iter().map(row).collect::<Vec<_>>())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| format!("{name} {}", cell(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
