//! Loads the sample company: roster, plans, examples, history. Each step is a command that is always the same.

use anyhow::{Context, bail};
use kernel::Timestamp;
use proto::intake::StreamInquiriesRequest;
use proto::intent::{Example, LabelSource, TeachRequest};
use proto::payroll::ActivatePlanRequest;
use proto::roster::ImportCompanyRequest;
use tokio_stream::StreamExt;

use super::sample::{Sample, TENANT};
use crate::client::{Client, command_for, wire};
use crate::cluster::Cluster;
use crate::commands::progress::Progress;
use crate::commands::session::refused;
use crate::facts::Fact;

const EXAMPLES_PER_REQUEST: usize = 200;

/// Loads the company, unless the day has already begun.
pub(super) async fn load(
    cluster: &Cluster,
    client: &Client,
    sample: &Sample,
    last: Option<Timestamp>,
) -> anyhow::Result<()> {
    if last.is_some_and(|last| last >= sample.day_start()) {
        return Ok(());
    }
    let issued_at = || wire(sample.begins());
    let tenant = || TENANT.to_owned();
    let mut client = client.clone();
    let request = ImportCompanyRequest {
        command_id: command_for(&["sample", "company"]),
        issued_at: issued_at(),
        tenant: tenant(),
        yaml: sample.company.clone(),
        dry_run: false,
    };
    client.roster.import_company(request).await.map_err(refused).context("import the sample company")?;
    for (n, yaml) in sample.plans.iter().enumerate() {
        let request = ActivatePlanRequest {
            command_id: command_for(&["sample", "plan", &n.to_string()]),
            issued_at: issued_at(),
            tenant: tenant(),
            yaml: yaml.clone(),
        };
        client.payroll.activate_plan(request).await.map_err(refused).context("activate a plan")?;
    }
    for (n, examples) in sample.examples.chunks(EXAMPLES_PER_REQUEST).enumerate() {
        let example = |(label, text): &(String, String)| Example {
            text: text.clone(),
            label: label.clone(),
            inquiry_id: String::new(),
        };
        let request = TeachRequest {
            command_id: command_for(&["sample", "labels", &n.to_string()]),
            issued_at: issued_at(),
            tenant: tenant(),
            source: LabelSource::Import.into(),
            examples: examples.iter().map(example).collect(),
        };
        client.intent.teach(request).await.map_err(refused).context("teach the labelled examples")?;
    }
    history(&mut client, sample).await?;
    cluster.settle().await;
    Ok(())
}

/// The command id of a fact of the sample.
pub(super) fn command_of(file: &str, n: usize) -> String {
    command_for(&["sample", file, &n.to_string()])
}

async fn history(client: &mut Client, sample: &Sample) -> anyhow::Result<()> {
    let mut progress = Progress::start();
    let request = |(n, fact): (usize, &Fact)| fact.request(TENANT, command_of("history", n), sample.begins(), true);
    let requests: Result<Vec<StreamInquiriesRequest>, String> =
        sample.history.iter().enumerate().map(request).collect();
    let requests = requests.map_err(|error| anyhow::anyhow!("history.jsonl: {error}"))?;
    let total = requests.len();
    let mut answers = client.intake.stream_inquiries(tokio_stream::iter(requests)).await.map_err(refused)?.into_inner();
    let mut done = 0;
    while let Some(answer) = answers.next().await {
        if let Some(refusal) = answer.map_err(refused)?.refusal {
            bail!("history.jsonl line {}: {} [{}]", done + 1, refusal.message, refusal.reason);
        }
        done += 1;
        progress.show(|| format!("history: {done} of {total} facts"));
    }
    Ok(())
}
