//! What people at a desk do, by hand: submit, accept, reject, complete, transfer, and look.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use proto::assignment as pb;
use proto::intake::{Customer, Direction, GetInquiryRequest, Message, SubmitInquiryRequest};
use serde_json::{Value, json};

use super::Global;
use super::output::{self, pairs, table, text};
use super::session::{Session, TenantArg, pair, refused};
use crate::{client, contract};

/// How long `submit` waits for somebody to have the inquiry.
const ASSIGNED_WITHIN: Duration = Duration::from_secs(2);
/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Code of the desk that receives it.
    #[arg(long)]
    desk: String,
    /// The customer, by the platform's own id.
    #[arg(long, value_name = "PLATFORM:ID", value_parser = pair)]
    customer: (String, String),
    /// The customer's language, such as zh or en.
    #[arg(long, default_value = "", hide_default_value = true)]
    language: String,
    /// The platform's own id of the conversation; a new one when not given. The same id twice is one inquiry.
    #[arg(long)]
    id: Option<String>,
    /// Product category that the platform shows with the conversation.
    #[arg(long, default_value = "", hide_default_value = true)]
    category: String,
    /// What the customer wrote; each text is one message.
    #[arg(required = true)]
    text: Vec<String>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct InquiryArgs {
    /// The inquiry: its id, or PLATFORM:ID.
    inquiry: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct RejectArgs {
    /// The inquiry that is offered: its id, or PLATFORM:ID.
    inquiry: String,
    /// Why.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct CompleteArgs {
    /// The inquiry: its id, or PLATFORM:ID.
    inquiry: String,
    /// The intent that it really was; Fenliu learns from it.
    #[arg(long, value_name = "INTENT", default_value = "", hide_default_value = true)]
    disposition: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct TransferArgs {
    /// The inquiry: its id, or PLATFORM:ID.
    inquiry: String,
    /// Roster code of whom it shall go to; anyone eligible when not given.
    #[arg(long, value_name = "EMPLOYEE", default_value = "", hide_default_value = true)]
    to: String,
    /// Intent that it shall be routed by; the one it has when not given.
    #[arg(long, default_value = "", hide_default_value = true)]
    intent: String,
    /// Why.
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Args)]
pub struct DeskArgs {
    /// Code of the desk.
    desk: String,
    #[command(flatten)]
    tenant: TenantArg,
}

pub async fn submit(global: &Global, args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let head = session.head()?;
    let occurred_at = client::wire(session.now());
    let (platform, external_id) = args.customer;
    let id = args.id.unwrap_or_else(|| format!("typed-{}", &head.command_id[..12]));
    let customer = Customer { platform: platform.clone(), external_id, language: args.language, ..Customer::default() };
    let message = |(n, text): (usize, String)| Message {
        external_id: (n + 1).to_string(),
        direction: Direction::Customer.into(),
        text,
        occurred_at,
    };
    let request = SubmitInquiryRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        platform,
        external_id: id,
        desk: args.desk,
        customer: Some(customer),
        messages: args.text.into_iter().enumerate().map(message).collect(),
        category: args.category,
        occurred_at,
        ..SubmitInquiryRequest::default()
    };
    let submitted = session.client.intake.submit_inquiry(request).await.map_err(refused)?.into_inner();
    let reception = assigned(&mut session, &submitted.inquiry_id).await?;
    let value = json!({
        "inquiry_id": submitted.inquiry_id,
        "customer_id": submitted.customer_id,
        "seq": submitted.seq,
        "reception": reception.as_ref().map(reception_json).transpose()?,
    });
    output::show(global.json, &value, |_| match &reception {
        Some(known) => format!("inquiry   {}\n{}", submitted.inquiry_id, reception_text(known)),
        None => format!("inquiry   {}\nnot routed yet", submitted.inquiry_id),
    });
    Ok(ExitCode::SUCCESS)
}

fn reception_json(known: &pb::GetInquiryResponse) -> anyhow::Result<Value> {
    contract::message("fenliu.assignment.v1.GetInquiryResponse", known)
}

fn reception_text(known: &pb::GetInquiryResponse) -> String {
    let employee = match (known.state.as_str(), known.employee.as_str()) {
        (_, "") => "nobody yet".to_owned(),
        ("reserved", employee) => format!("{employee} (offered, not accepted yet)"),
        (_, employee) => employee.to_owned(),
    };
    let intent = if known.intent.is_empty() {
        String::new()
    } else {
        format!("{} ({}%)", known.intent, known.intent_ppm / 10_000)
    };
    pairs(&[
        ("state", known.state.clone()),
        ("intent", intent),
        ("employee", employee),
        ("waited", format!("{} ms", known.waited_ms)),
    ])
}

/// Looks until somebody has the inquiry or the wait is over; `None` when assignment has not heard of it.
async fn assigned(session: &mut Session, inquiry_id: &str) -> anyhow::Result<Option<pb::GetInquiryResponse>> {
    let until = runtime::monotonic() + ASSIGNED_WITHIN;
    loop {
        let known = reception(session, inquiry_id).await?;
        let settled = known.as_ref().is_some_and(|known| !matches!(known.state.as_str(), "pending" | "reserved"));
        if settled || runtime::monotonic() >= until {
            return Ok(known);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn reception(session: &mut Session, inquiry_id: &str) -> anyhow::Result<Option<pb::GetInquiryResponse>> {
    let request = pb::GetInquiryRequest { tenant: session.tenant.clone(), inquiry_id: inquiry_id.to_owned() };
    match session.client.assignment.get_inquiry(request).await {
        Ok(answer) => Ok(Some(answer.into_inner())),
        Err(status) if status.code() == tonic::Code::NotFound => Ok(None),
        Err(status) => Err(refused(status)),
    }
}

pub async fn inquiry(global: &Global, args: InquiryArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let inquiry_id = session.inquiry(&args.inquiry).await?;
    let request =
        GetInquiryRequest { tenant: session.tenant.clone(), inquiry_id: inquiry_id.clone(), ..Default::default() };
    let fact = session.client.intake.get_inquiry(request).await.map_err(refused)?.into_inner();
    let reception = reception(&mut session, &inquiry_id).await?;
    let mut value = contract::message("fenliu.intake.v1.GetInquiryResponse", &fact)?;
    value["reception"] = reception.as_ref().map(reception_json).transpose()?.into();
    output::show(global.json, &value, |value| {
        let known = |field: &str| text(&value[field]);
        let fact = pairs(&[
            ("inquiry", known("inquiry_id")),
            ("platform", format!("{}:{}", known("platform"), known("external_id"))),
            ("customer", known("customer_id")),
            ("desk", known("desk")),
            ("messages", known("messages")),
            ("at", known("occurred_at")),
            ("closed", known("closed")),
        ]);
        fact + &reception.as_ref().map(reception_text).unwrap_or_default()
    });
    Ok(ExitCode::SUCCESS)
}

/// The open offer of an inquiry that a person named.
async fn offer(session: &mut Session, inquiry: &str) -> anyhow::Result<pb::GetInquiryResponse> {
    let inquiry_id = session.inquiry(inquiry).await?;
    let known = reception(session, &inquiry_id).await?.ok_or_else(|| anyhow!("no inquiry {inquiry} in reception"))?;
    if known.state != "reserved" {
        bail!("inquiry {inquiry} is {}, not offered to anybody", known.state);
    }
    Ok(known)
}

pub async fn accept(global: &Global, args: InquiryArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let offer = offer(&mut session, &args.inquiry).await?;
    let head = session.head()?;
    let request = pb::AcceptReservationRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        reservation_id: offer.reservation_id,
        epoch: offer.epoch,
    };
    let answer = session.client.assignment.accept_reservation(request).await.map_err(refused)?.into_inner();
    let mut value = contract::message("fenliu.assignment.v1.AcceptReservationResponse", &answer)?;
    value["employee"] = Value::from(offer.employee.as_str());
    output::show(global.json, &value, |_| format!("{} has the inquiry", offer.employee));
    Ok(ExitCode::SUCCESS)
}

pub async fn reject(global: &Global, args: RejectArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let offer = offer(&mut session, &args.inquiry).await?;
    let head = session.head()?;
    let request = pb::RejectReservationRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        reservation_id: offer.reservation_id,
        epoch: offer.epoch,
        reason: args.reason,
    };
    let seq = session.client.assignment.reject_reservation(request).await.map_err(refused)?.into_inner().seq;
    let value = json!({ "inquiry_id": offer.inquiry_id, "employee": offer.employee, "seq": seq });
    output::show(global.json, &value, |_| format!("{} rejected the offer", offer.employee));
    Ok(ExitCode::SUCCESS)
}

pub async fn complete(global: &Global, args: CompleteArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let inquiry_id = session.inquiry(&args.inquiry).await?;
    let head = session.head()?;
    let request = pb::CompleteInquiryRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        inquiry_id: inquiry_id.clone(),
        disposition: args.disposition,
    };
    let seq = session.client.assignment.complete_inquiry(request).await.map_err(refused)?.into_inner().seq;
    output::show(global.json, &json!({ "inquiry_id": inquiry_id, "seq": seq }), |_| "completed".to_owned());
    Ok(ExitCode::SUCCESS)
}

pub async fn transfer(global: &Global, args: TransferArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let inquiry_id = session.inquiry(&args.inquiry).await?;
    let head = session.head()?;
    let request = pb::TransferInquiryRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        inquiry_id: inquiry_id.clone(),
        to_employee: args.to,
        intent: args.intent,
        reason: args.reason,
    };
    let seq = session.client.assignment.transfer_inquiry(request).await.map_err(refused)?.into_inner().seq;
    output::show(global.json, &json!({ "inquiry_id": inquiry_id, "seq": seq }), |_| "transferred".to_owned());
    Ok(ExitCode::SUCCESS)
}

pub async fn desk(global: &Global, args: DeskArgs) -> anyhow::Result<ExitCode> {
    let mut session = Session::open(global, &args.tenant).await?;
    let request = pb::GetDeskRequest { tenant: session.tenant.clone(), desk: args.desk };
    let answer = session.client.assignment.get_desk(request).await.map_err(refused)?.into_inner();
    let value = contract::message("fenliu.assignment.v1.GetDeskResponse", &answer)?;
    output::show(global.json, &value, |value| {
        let counts = ["pending", "reserved", "assigned", "wrapping"].map(|state| format!("{} {state}", value[state]));
        let agent = |agent: &pb::AgentLoad| {
            let yes = |yes: bool| if yes { "yes" } else { "no" }.to_owned();
            let load = format!("{}/{}", agent.held_units, agent.capacity_units);
            vec![agent.employee.clone(), yes(agent.available), yes(agent.on_shift), load]
        };
        let agents: Vec<_> = answer.agents.iter().map(agent).collect();
        format!("{}\n\n{}", counts.join(", "), table(&["employee", "available", "on shift", "load"], &agents))
    });
    Ok(ExitCode::SUCCESS)
}
