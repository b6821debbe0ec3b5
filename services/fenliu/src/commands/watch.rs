//! `fenliu watch`: committed events as they come, one line each, until Ctrl-C.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use proto::assignment::{WatchAssignmentsRequest, WatchAssignmentsResponse, WatchOffersRequest, WatchOffersResponse};
use serde_json::Value;
use tonic::Streaming;

use super::Global;
use super::output::{self, name, text};
use super::session::{Session, TenantArg, refused};
use crate::contract;

#[derive(Debug, Subcommand)]
pub enum WatchCommand {
    /// The offers of one employee, and what became of them.
    Offers {
        /// Roster code of the employee.
        employee: String,
        #[command(flatten)]
        from: FromArgs,
    },
    /// Who has which conversation, for the whole company.
    Assignments {
        #[command(flatten)]
        from: FromArgs,
    },
}

#[derive(Debug, Args)]
pub struct FromArgs {
    /// Begin at this sequence number of the log, such as the one after the last that was seen; only what happens from
    /// now on when not given.
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    #[command(flatten)]
    tenant: TenantArg,
}

pub async fn run(global: &Global, command: WatchCommand) -> anyhow::Result<ExitCode> {
    match command {
        WatchCommand::Offers { employee, from } => offers(global, employee, from).await,
        WatchCommand::Assignments { from } => assignments(global, from).await,
    }
}

async fn offers(global: &Global, employee: String, from: FromArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &from.tenant).await?;
    let request = WatchOffersRequest {
        tenant: session.tenant.clone(),
        employee,
        from_seq: from.from.unwrap_or(0),
        live_only: from.from.is_none(),
        progress: false,
    };
    let stream = session.client.assignment.watch_offers(request).await.map_err(refused)?.into_inner();
    follow(
        stream,
        |item: &WatchOffersResponse| {
            let value = contract::message("fenliu.assignment.v1.WatchOffersResponse", item);
            (!item.heartbeat).then_some(value)
        },
        |value| show(global, value, "expires_at"),
    )
    .await
}

async fn assignments(global: &Global, from: FromArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &from.tenant).await?;
    let request = WatchAssignmentsRequest {
        tenant: session.tenant.clone(),
        from_seq: from.from.unwrap_or(0),
        live_only: from.from.is_none(),
        progress: false,
    };
    let stream = session.client.assignment.watch_assignments(request).await.map_err(refused)?.into_inner();
    follow(
        stream,
        |item: &WatchAssignmentsResponse| {
            let value = contract::message("fenliu.assignment.v1.WatchAssignmentsResponse", item);
            (!item.heartbeat).then_some(value)
        },
        |value| show(global, value, "employee"),
    )
    .await
}

/// Shows what a stream brings, until it ends or Ctrl-C.
async fn follow<T>(
    mut stream: Streaming<T>,
    select: impl Fn(&T) -> Option<anyhow::Result<Value>>,
    show: impl Fn(&Value),
) -> anyhow::Result<ExitCode> {
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            item = stream.message() => match item.map_err(refused)? {
                None => return Ok(ExitCode::SUCCESS),
                Some(item) => if let Some(value) = select(&item) { show(&value?) },
            },
        }
    }
}

fn show(global: &Global, value: &Value, last: &str) {
    output::show(global.json, value, |value| {
        let [at, seq, inquiry, last] = ["recorded_at", "seq", "inquiry_id", last].map(|field| text(&value[field]));
        format!("{at}  {seq:>8}  {:<11}  {inquiry}  {last}", name(&value["step"], "STEP_"))
    });
}
