//! The company: import, look, presence.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use proto::roster as pb;
use serde_json::{Value, json};

use super::Global;
use super::output::{self, name, table, text};
use super::session::{Session, TenantArg, connect, refused};
use crate::{client, contract, instant};

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Company file (YAML). Only what differs from today is recorded; the same file again changes nothing.
    file: PathBuf,
    #[command(flatten)]
    tenant: TenantArg,
    /// Show what would change and record nothing.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct CompanyArgs {
    #[command(flatten)]
    tenant: TenantArg,
    /// The company as it was or will be at this time (date or RFC 3339 instant); now when not given.
    #[arg(long, value_name = "TIME", value_parser = instant::parse_or_date)]
    at: Option<kernel::Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Presence {
    /// Takes work.
    Available,
    /// Finishes what they have, takes nothing new.
    Paused,
    /// Not there: open offers go to somebody else.
    Offline,
}

#[derive(Debug, Args)]
pub struct PresenceArgs {
    /// Roster code of the employee.
    employee: String,
    presence: Presence,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) fn read(path: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

/// The company that a file is for: as given, as the file says, or the only one there is.
pub(super) async fn tenant_of_file(global: &Global, tenant: &TenantArg, yaml: &str) -> anyhow::Result<String> {
    match (&tenant.tenant, roster::file::tenant_code(yaml)) {
        (Some(given), _) => Ok(given.clone()),
        (None, Some(code)) => Ok(code),
        (None, None) => tenant.code(global).await.map_err(|_| {
            anyhow!("which company is the file for? It has no `company.code`; add one, or give --tenant CODE")
        }),
    }
}

/// Imports a company file; returns what changed, one line a difference.
pub async fn import_company(session: &mut Session, yaml: String, dry_run: bool) -> anyhow::Result<Vec<String>> {
    let head = session.head()?;
    let request = pb::ImportCompanyRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        yaml,
        dry_run,
    };
    let answer = session.client.roster.import_company(request).await.map_err(refused)?;
    Ok(answer.into_inner().changes)
}

pub async fn import(global: &Global, args: ImportArgs) -> anyhow::Result<ExitCode> {
    let yaml = read(&args.file)?;
    let tenant = tenant_of_file(global, &args.tenant, &yaml).await?;
    let mut session = Session::with(connect(global).await?, tenant.clone()).await?;
    let changes = import_company(&mut session, yaml, args.dry_run).await?;
    let value = json!({ "tenant": tenant, "changes": changes, "dry_run": args.dry_run });
    output::show(global.json, &value, |_| changes_text(&tenant, &changes, args.dry_run));
    Ok(ExitCode::SUCCESS)
}

pub(super) fn changes_text(tenant: &str, changes: &[String], dry_run: bool) -> String {
    let verb = if dry_run { "would change" } else { "changed" };
    if changes.is_empty() {
        return format!("{tenant}: nothing {verb}\n");
    }
    let mut text = format!("{tenant}: {} things {verb}\n", changes.len());
    for change in changes {
        text.push_str(&format!("  {change}\n"));
    }
    text
}

pub async fn company(global: &Global, args: CompanyArgs) -> anyhow::Result<ExitCode> {
    let session = Session::open(global, &args.tenant).await?;
    let request = pb::GetCompanyRequest { tenant: session.tenant.clone(), at: args.at.and_then(client::wire) };
    let answer = session.client.roster.clone().get_company(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.roster.v1.GetCompanyResponse", &answer)?;
    output::show(global.json, &value, company_text);
    Ok(ExitCode::SUCCESS)
}

fn rows(value: &Value, row: impl Fn(&Value) -> Vec<String>) -> Vec<Vec<String>> {
    value.as_array().into_iter().flatten().map(row).collect()
}

fn company_text(value: &Value) -> String {
    let company = &value["company"];
    let skill = |skill: &Value| format!("{} {}", text(&skill["code"]), skill["level"]);
    let desks = rows(&value["desks"], |d| ["code", "name_zh", "name_en", "zone"].map(|f| text(&d[f])).to_vec());
    let positions = rows(&value["positions"], |p| {
        ["code", "name_zh", "name_en", "capacity_units", "plan", "duties"].map(|field| text(&p[field])).to_vec()
    });
    let employees = rows(&value["employees"], |e| {
        let mut row = ["code", "desk", "position", "languages", "experience_months"].map(|f| text(&e[f])).to_vec();
        let skills = e["skills"].as_array().into_iter().flatten().map(skill).collect::<Vec<_>>().join(", ");
        let presence = name(&e["presence"], "PRESENCE_");
        row.insert(3, if presence == "unspecified" { "offline".to_owned() } else { presence });
        row.insert(4, skills);
        row
    });
    let [name, currency, zone] = ["name", "currency", "zone"].map(|field| text(&company[field]));
    format!(
        "{name} ({currency}, {zone})\n\n{}\n{}\n{}",
        table(&["desk", "zh", "en", "zone"], &desks),
        table(&["position", "zh", "en", "capacity", "plan", "duties"], &positions),
        table(&["employee", "desk", "position", "presence", "skills", "languages", "months"], &employees),
    )
}

pub async fn presence(global: &Global, args: PresenceArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let head = session.head()?;
    let presence = match args.presence {
        Presence::Available => pb::Presence::Available,
        Presence::Paused => pb::Presence::Paused,
        Presence::Offline => pb::Presence::Offline,
    };
    let request = pb::SetPresenceRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        employee: args.employee.clone(),
        presence: presence.into(),
    };
    let seq = session.client.roster.set_presence(request).await.map_err(refused)?.into_inner().seq;
    let presence = args.presence.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let value = json!({ "employee": args.employee, "presence": presence, "seq": seq });
    output::show(global.json, &value, |_| format!("{} is {presence}", args.employee));
    Ok(ExitCode::SUCCESS)
}
