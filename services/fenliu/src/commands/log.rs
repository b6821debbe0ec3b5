//! `fenliu log`: the log itself, read from the folder, whether a Fenliu runs on it or not.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use kernel::{ActorKind, TenantId};
use log::{Envelope, Record, Topic};
use serde_json::{Value, json};

use super::Global;
use super::output::{self, pairs, table};
use crate::admin::hex;
use crate::{contract, instant};

#[derive(Debug, Subcommand)]
pub enum LogCommand {
    /// Count records and bytes by topic and partition.
    Stat,
    /// Show records as JSON, one a line: the envelope and the decoded payload.
    Dump(DumpArgs),
    /// Check every checksum, sequence number and link of the hash chains.
    Verify,
}

#[derive(Debug, Args)]
pub struct DumpArgs {
    /// Only this topic: intake, roster, intent, assignment, kpi, payroll or payout.
    #[arg(long)]
    topic: Option<Topic>,
    /// Only this company.
    #[arg(long, value_name = "CODE")]
    tenant: Option<String>,
    /// Only records from this sequence number on.
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    from: u64,
    /// At most so many records.
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
}

pub fn run(global: &Global, command: LogCommand) -> anyhow::Result<ExitCode> {
    match command {
        LogCommand::Stat => stat(global),
        LogCommand::Dump(args) => dump(global, &args),
        LogCommand::Verify => verify(global),
    }
}

fn stat(global: &Global) -> anyhow::Result<ExitCode> {
    let stat = log::stat(&global.data)?;
    let topics = stat.topics.iter().map(|topic| {
        let (name, partition) = (topic.topic.name(), topic.partition);
        json!({ "topic": name, "partition": partition, "records": topic.records, "bytes": topic.bytes })
    });
    let value = json!({
        "segments": stat.segments,
        "disk_bytes": stat.disk_bytes,
        "frames": stat.frames,
        "topics": topics.collect::<Vec<_>>(),
        "cut": stat.cut.as_ref().map(cut),
    });
    output::show(global.json, &value, |_| {
        let row = |topic: &log::TopicStat| {
            let numbers = [u64::from(topic.partition), topic.records, topic.bytes].map(|n| n.to_string());
            [topic.topic.name().to_owned()].into_iter().chain(numbers).collect()
        };
        let rows: Vec<Vec<String>> = stat.topics.iter().map(row).collect();
        let head = format!("{} segments, {} bytes on disk, {} frames", stat.segments, stat.disk_bytes, stat.frames);
        format!("{head}\n\n{}", table(&["topic", "partition", "records", "bytes"], &rows))
    });
    Ok(ExitCode::SUCCESS)
}

fn cut(cut: &log::Cut) -> Value {
    json!({ "file": cut.file, "offset": cut.offset, "bytes": cut.bytes })
}

fn dump(global: &Global, args: &DumpArgs) -> anyhow::Result<ExitCode> {
    let tenant = args.tenant.as_deref().map(TenantId::of_code);
    let mut left = args.limit.unwrap_or(u64::MAX);
    log::dump(&global.data, |record| {
        let wanted = args.topic.is_none_or(|topic| topic == record.topic) && record.seq >= args.from;
        if left == 0 || !wanted {
            return;
        }
        let shown = match Envelope::decode(&record.bytes) {
            Ok((envelope, _)) if tenant.is_some_and(|tenant| tenant != envelope.tenant) => return,
            Ok((envelope, payload)) => record_json(record, &envelope, payload),
            Err(error) => json!({ "topic": record.topic.name(), "seq": record.seq, "error": error.to_string() }),
        };
        left -= 1;
        output::line(shown);
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A record as JSON: ids and hashes in hexadecimal, instants in RFC 3339.
pub fn record_json(record: &Record, envelope: &Envelope, payload: &[u8]) -> Value {
    let causation = envelope
        .causation
        .map(|cause| json!({ "topic": cause.topic.name(), "partition": cause.partition, "seq": cause.seq }));
    let kind = match envelope.actor.kind {
        ActorKind::Service => "service",
        ActorKind::LocalOperator => "local_operator",
        ActorKind::Employee => "employee",
        ActorKind::Platform => "platform",
    };
    let mut value = json!({
        "topic": record.topic.name(),
        "partition": record.partition,
        "seq": record.seq,
        "id": envelope.id.to_string(),
        "recorded_at": instant::text(envelope.recorded_at),
        "tenant": envelope.tenant.to_string(),
        "schema": envelope.schema,
        "logic_version": envelope.logic_version,
        "command_id": envelope.command_id.to_string(),
        "request_mac": hex(&envelope.request_mac),
        "correlation": hex(&envelope.correlation),
        "causation": causation,
        "actor": { "kind": kind, "id": envelope.actor.id.to_string(), "positions": envelope.actor.positions },
        "previous_hash": hex(&envelope.previous_hash),
    });
    match contract::event(record.topic, envelope.schema, payload) {
        Ok((name, decoded)) => {
            value["event"] = name.into();
            value["payload"] = decoded;
        }
        Err(error) => {
            value["error"] = format!("{error:#}").into();
            value["payload_hex"] = hex(payload).into();
        }
    }
    value
}

fn verify(global: &Global) -> anyhow::Result<ExitCode> {
    let report = crate::verify::verify_log(&global.data)?;
    let value = serde_json::to_value(&report)?;
    output::show(global.json, &value, |_| {
        let damage = report.damage.clone().unwrap_or_else(|| "none".to_owned());
        let cut = report.cut.clone().unwrap_or_default();
        pairs(&[
            ("frames", report.frames.to_string()),
            ("records", report.records.to_string()),
            ("bytes", report.bytes.to_string()),
            ("damage", damage),
            ("unfinished write", cut),
        ])
    });
    Ok(if report.damage.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
