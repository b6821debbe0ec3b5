//! `fenliu verify`.

use std::process::ExitCode;

use anyhow::Context;
use proto::admin::ListShardsRequest;

use super::Global;
use super::output::{self, table};
use super::session::refused;
use crate::client::Client;
use crate::verify::{Report, verify_folder};

pub async fn run(global: &Global) -> anyhow::Result<ExitCode> {
    let live = match Client::if_running(&global.data).await {
        None => None,
        Some(mut client) => {
            let request = ListShardsRequest { digests: true };
            Some(client.admin.list_shards(request).await.map_err(refused)?.into_inner().shards)
        }
    };
    let report = verify_folder(&global.data, live.as_deref()).await.context("verify")?;
    output::show(global.json, &serde_json::to_value(&report)?, |_| report_text(&report));
    Ok(if report.ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report_text(report: &Report) -> String {
    let mut rows = Vec::new();
    for (name, service) in report.services.all() {
        let digest = service.digest.chars().take(16).collect();
        let counts = [service.events, service.redecided, service.differences, service.older].map(|n| n.to_string());
        let equal = if service.equal { "yes" } else { "NO" }.to_owned();
        rows.push([name.to_owned(), digest, equal].into_iter().chain(counts).collect());
    }
    let mut shown = table(&["service", "digest", "equal", "events", "redecided", "differences", "older"], &rows);
    for (name, service) in report.services.all() {
        for problem in &service.problems {
            shown.push_str(&format!("{name}: {problem}\n"));
        }
        for violation in &service.violations {
            shown.push_str(&format!("{name}: {violation}\n"));
        }
        for example in &service.examples {
            shown.push_str(&format!(
                "{name}: partition {} record {}: {}\n",
                example.partition, example.seq, example.what
            ));
        }
    }
    let log = &report.log;
    let damage = log.damage.as_deref().unwrap_or("no damage");
    shown.push_str(&format!("log: {} frames, {} records, {} bytes, {damage}\n", log.frames, log.records, log.bytes));
    if let Some(cut) = &log.cut {
        shown.push_str(&format!("log: an unfinished write, which the next start cuts: {cut}\n"));
    }
    let compared =
        if report.live { "log, snapshots and the running Fenliu" } else { "log and snapshots; no Fenliu runs here" };
    shown.push_str(&format!("compared: {compared}\n{}\n", if report.ok { "all holds" } else { "NOT all holds" }));
    shown
}
