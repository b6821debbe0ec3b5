//! Results and pay: what people achieved, and what they are paid for it.

use std::process::ExitCode;

use clap::Args;
use kernel::{Duration, Timestamp};
use proto::kpi::QueryKpisRequest;
use proto::payroll as pb;
use serde_json::Value;

use super::Global;
use super::output::{self, name, pairs, ratio, table, text};
use super::session::{Session, TenantArg, refused};
use crate::{client, contract, instant};

/// What `kpi` shows when nobody says from when.
const DAYS_SHOWN: i64 = 30;

#[derive(Debug, Args)]
pub struct KpiArgs {
    /// From this time on (date or RFC 3339 instant); 30 days before `--to` when not given.
    #[arg(long, value_name = "TIME", value_parser = instant::parse_or_date)]
    from: Option<Timestamp>,
    /// Up to this time; now when not given.
    #[arg(long, value_name = "TIME", value_parser = instant::parse_or_date)]
    to: Option<Timestamp>,
    /// Roster code of one employee.
    #[arg(long, default_value = "", hide_default_value = true)]
    employee: String,
    /// Code of one desk.
    #[arg(long, default_value = "", hide_default_value = true)]
    desk: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct StatementArgs {
    /// Roster code of the employee.
    employee: String,
    /// The month, such as 2026-09. An open month is shown as it stands now.
    period: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct PayoutsArgs {
    /// The month, such as 2026-09; all months when not given.
    #[arg(default_value = "", hide_default_value = true)]
    period: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct PeriodArgs {
    /// The month, such as 2026-09.
    period: String,
    #[command(flatten)]
    tenant: TenantArg,
}

pub async fn kpi(global: &Global, args: KpiArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let to = args.to.unwrap_or_else(|| session.now());
    let from = args.from.unwrap_or(to - Duration::from_days(DAYS_SHOWN));
    let request = QueryKpisRequest {
        tenant: session.tenant.clone(),
        employee: args.employee,
        desk: args.desk,
        from: client::wire(from),
        to: client::wire(to),
    };
    let answer = session.client.kpi.query_kpis(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.kpi.v1.QueryKpisResponse", &answer)?;
    output::show(global.json, &value, |value| {
        format!("{} to {}\n\n{}", instant::text(from), instant::text(to), kpi_text(value))
    });
    Ok(ExitCode::SUCCESS)
}

fn kpi_text(value: &Value) -> String {
    let row = |who: String, row: &Value| {
        let mut cells = vec![who, text(&row["desk"]), text(&row["customers_received"])];
        cells.extend([ratio(&row["conversion"]), text(&row["orders"]), text(&row["sales"]), text(&row["refunds"])]);
        cells.push(text(&row["average_order_value"]));
        cells.extend([ratio(&row["repurchase"]), ratio(&row["csat"]), ratio(&row["retention"])]);
        cells.push(text(&row["wait_p50_ms"]));
        cells
    };
    let mut rows = Vec::new();
    rows.extend(value["employees"].as_array().into_iter().flatten().map(|of| row(text(&of["employee"]), of)));
    rows.extend(value["desks"].as_array().into_iter().flatten().map(|of| row("(desk)".to_owned(), of)));
    rows.push(row("(all)".to_owned(), &value["total"]));
    let head = [
        "who",
        "desk",
        "received",
        "conversion",
        "orders",
        "sales",
        "refunds",
        "per order",
        "repurchase",
        "csat",
        "retention",
        "wait ms",
    ];
    table(&head, &rows)
}

pub async fn statement(global: &Global, args: StatementArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let request =
        pb::GetStatementRequest { tenant: session.tenant.clone(), employee: args.employee, period: args.period };
    let answer = session.client.payroll.get_statement(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.payroll.v1.GetStatementResponse", &answer)?;
    output::show(global.json, &value, statement_text);
    Ok(ExitCode::SUCCESS)
}

fn statement_text(value: &Value) -> String {
    let mut shown = format!("{} {}", text(&value["employee"]), text(&value["period"]));
    shown.push_str(if value["closed"] == true { ", closed\n\n" } else { ", as it stands now\n\n" });
    let mut rows = Vec::new();
    for line in value["lines"].as_array().into_iter().flatten() {
        let credits = line["credit_ids"].as_array().map_or(0, Vec::len).to_string();
        let cells =
            ["component", "plan_code", "period", "basis_value", "amount", "delta"].map(|field| text(&line[field]));
        rows.push(cells.into_iter().chain([credits]).collect());
    }
    shown.push_str(&table(&["component", "plan", "earned in", "basis", "earned", "posted now", "credits"], &rows));
    shown.push('\n');
    shown.push_str(&pairs(&[
        ("total", text(&value["total"])),
        ("carried in", text(&value["carried_in"])),
        ("carried out", text(&value["carried_out"])),
        ("payout", text(&value["payout_id"])),
    ]));
    shown
}

pub async fn payouts(global: &Global, args: PayoutsArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let request = pb::ListPayoutsRequest { tenant: session.tenant.clone(), period: args.period };
    let answer = session.client.payroll.list_payouts(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.payroll.v1.ListPayoutsResponse", &answer)?;
    output::show(global.json, &value, |value| {
        let row = |payout: &Value| {
            let [period, employee, amount, id] =
                ["period", "employee", "amount", "payout_id"].map(|field| text(&payout[field]));
            vec![period, employee, amount, name(&payout["state"], "PAYOUT_STATE_"), id]
        };
        let rows: Vec<_> = value["payouts"].as_array().into_iter().flatten().map(row).collect();
        table(&["period", "employee", "amount", "state", "payout"], &rows)
    });
    Ok(ExitCode::SUCCESS)
}

pub async fn close_period(global: &Global, args: PeriodArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let head = session.head()?;
    let request = pb::ClosePeriodRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        period: args.period.clone(),
    };
    let answer = session.client.payroll.close_period(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.payroll.v1.ClosePeriodResponse", &answer)?;
    output::show(global.json, &value, |_| {
        let mut shown = format!(
            "{} is closed: {} statements, {} payouts proposed\n",
            args.period, answer.participants, answer.payouts
        );
        for unpaid in &answer.unpaid {
            shown.push_str(&format!("  not paid: {unpaid}\n"));
        }
        shown
    });
    Ok(ExitCode::SUCCESS)
}

pub async fn approve(global: &Global, args: PeriodArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let head = session.head()?;
    let request = pb::ApprovePayoutsRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        period: args.period.clone(),
    };
    let answer = session.client.payroll.approve_payouts(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.payroll.v1.ApprovePayoutsResponse", &answer)?;
    output::show(global.json, &value, |_| format!("{}: {} payouts are issued", args.period, answer.issued));
    Ok(ExitCode::SUCCESS)
}
