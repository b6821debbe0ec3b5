//! `fenliu parked`: inputs that could not be processed, and their second chance.

use std::process::ExitCode;

use clap::Subcommand;
use proto::admin::{ListParkedRequest, ReleaseParkedRequest};
use serde_json::{Value, json};

use super::Global;
use super::output::{self, table, text};
use super::session::{connect, refused};
use crate::contract;

#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// Show what is parked, and why.
    List,
    /// Read the inputs of a parked entity again, in their order, once the cause is mended.
    Release {
        /// intent, assignment, kpi or payroll.
        #[arg(long)]
        service: String,
        /// As `list` shows it.
        #[arg(long, value_name = "HEX")]
        tenant_id: String,
        /// As `list` shows it.
        #[arg(long, value_name = "HEX")]
        entity: String,
    },
}

pub async fn run(global: &Global, command: Option<ParkedCommand>) -> anyhow::Result<ExitCode> {
    let mut client = connect(global).await?;
    match command.unwrap_or(ParkedCommand::List) {
        ParkedCommand::List => {
            let answer = client.admin.list_parked(ListParkedRequest {}).await.map_err(refused)?.into_inner();
            let value = contract::message("fenliu.admin.v1.ListParkedResponse", &answer)?;
            output::show(global.json, &value, list_text);
        }
        ParkedCommand::Release { service, tenant_id, entity } => {
            let request = ReleaseParkedRequest { service, tenant_id, entity };
            let released = client.admin.release_parked(request).await.map_err(refused)?.into_inner().released;
            output::show(global.json, &json!({ "released": released }), |_| format!("{released} inputs read again"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn list_text(value: &Value) -> String {
    let fields = ["service", "tenant_id", "entity", "reason", "topic", "seq", "detail"];
    let parked = value["parked"].as_array().into_iter().flatten();
    let rows: Vec<_> = parked.map(|input| fields.map(|field| text(&input[field])).to_vec()).collect();
    if rows.is_empty() { "nothing is parked".to_owned() } else { table(&fields, &rows) }
}
