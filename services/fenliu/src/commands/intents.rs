//! `fenliu classify` and `fenliu teach`: what a text is about.

use std::process::ExitCode;

use clap::Args;
use proto::intent::{ClassifyRequest, LabelSource};
use serde_json::json;

use super::Global;
use super::init::teach as send;
use super::output::{self, table, text};
use super::session::{Session, TenantArg, refused};
use crate::contract;

#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// What a customer wrote.
    text: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct TeachArgs {
    /// The intent that the text carries.
    label: String,
    /// What a customer wrote.
    text: String,
    #[command(flatten)]
    tenant: TenantArg,
}

pub async fn classify(global: &Global, args: ClassifyArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let request = ClassifyRequest { tenant: session.tenant.clone(), text: args.text };
    let answer = session.client.intent.classify(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.intent.v1.ClassifyResponse", &answer)?;
    output::show(global.json, &value, |value| {
        let percent = |ppm: u32| format!("{}.{}%", ppm / 10_000, ppm % 10_000 / 1_000);
        let rows: Vec<_> = answer.scores.iter().map(|score| vec![score.label.clone(), percent(score.ppm)]).collect();
        format!("{}\nfrom {} examples", table(&["intent", "sure"], &rows), text(&value["model_examples"]))
    });
    Ok(ExitCode::SUCCESS)
}

pub async fn teach(global: &Global, args: TeachArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let taught = send(&mut session, LabelSource::Correction, vec![(args.label.clone(), args.text)]).await?;
    let value = json!({ "label": args.label, "taught": taught });
    output::show(global.json, &value, |_| match taught {
        0 => "known already".to_owned(),
        _ => format!("learnt: {}", args.label),
    });
    Ok(ExitCode::SUCCESS)
}
