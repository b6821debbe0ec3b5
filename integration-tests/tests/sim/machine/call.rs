//! Requests as clients make them, so that the same one can be sent again; sent through the real gRPC code, in process.

use assignment::Assignment;
use intake::Intake;
use intent::Intent;
use kpi::Kpi;
use log::Topic;
use payroll::Payroll;
use proto::assignment::assignment_service_client::AssignmentServiceClient;
use proto::assignment::assignment_service_server::AssignmentServiceServer;
use proto::intake::intake_service_client::IntakeServiceClient;
use proto::intake::intake_service_server::IntakeServiceServer;
use proto::intent::intent_service_client::IntentServiceClient;
use proto::intent::intent_service_server::IntentServiceServer;
use proto::kpi::kpi_service_client::KpiServiceClient;
use proto::kpi::kpi_service_server::KpiServiceServer;
use proto::payroll::payroll_service_client::PayrollServiceClient;
use proto::payroll::payroll_service_server::PayrollServiceServer;
use proto::roster::roster_service_client::RosterServiceClient;
use proto::roster::roster_service_server::RosterServiceServer;
use proto::{assignment as a, intake as i, intent as n, payroll as p, roster as r};
use roster::Roster;
use runtime::Host;
use tokio_stream::StreamExt;
use tonic::{Code, Status};

/// Stubs whose server is the service itself: no socket, all of the rest.
#[derive(Clone)]
pub struct Clients {
    pub intake: IntakeServiceClient<IntakeServiceServer<intake::api::Api>>,
    pub roster: RosterServiceClient<RosterServiceServer<roster::api::Api>>,
    pub intent: IntentServiceClient<IntentServiceServer<intent::api::Api>>,
    pub assignment: AssignmentServiceClient<AssignmentServiceServer<assignment::api::Api>>,
    pub kpi: KpiServiceClient<KpiServiceServer<kpi::api::Api>>,
    pub payroll: PayrollServiceClient<PayrollServiceServer<payroll::api::Api>>,
}

impl Clients {
    pub fn of(
        intake: &Host<Intake>,
        roster: &Host<Roster>,
        intent: &Host<Intent>,
        assignment: &Host<Assignment>,
        kpi: &Host<Kpi>,
        payroll: &Host<Payroll>,
    ) -> Self {
        Self {
            intake: IntakeServiceClient::new(intake::api::api(intake.clone())),
            roster: RosterServiceClient::new(roster::api::api(roster.clone())),
            intent: IntentServiceClient::new(intent::api::api(intent.clone())),
            assignment: AssignmentServiceClient::new(assignment::api::api(assignment.clone())),
            kpi: KpiServiceClient::new(kpi::api::api(kpi.clone())),
            payroll: PayrollServiceClient::new(payroll::api::api(payroll.clone())),
        }
    }
}

/// One mutating request.
#[derive(Debug, Clone)]
pub enum Call {
    Import(r::ImportCompanyRequest),
    Presence(r::SetPresenceRequest),
    Teach(n::TeachRequest),
    Plan(p::ActivatePlanRequest),
    Close(p::ClosePeriodRequest),
    Approve(p::ApprovePayoutsRequest),
    Fact(Box<i::StreamInquiriesRequest>),
    Accept(a::AcceptReservationRequest),
    Reject(a::RejectReservationRequest),
    Complete(a::CompleteInquiryRequest),
    Transfer(a::TransferInquiryRequest),
}

/// What a client was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack {
    pub seq: u64,
    /// The id of what was made, where the answer has one.
    pub id: String,
}

fn ack(seq: u64) -> Ack {
    Ack { seq, id: String::new() }
}

impl Call {
    /// Whose topic it is written to.
    pub fn topic(&self) -> Topic {
        match self {
            Self::Import(_) | Self::Presence(_) => Topic::Roster,
            Self::Teach(_) => Topic::Intent,
            Self::Plan(_) | Self::Close(_) | Self::Approve(_) => Topic::Payroll,
            Self::Fact(_) => Topic::Intake,
            Self::Accept(_) | Self::Reject(_) | Self::Complete(_) | Self::Transfer(_) => Topic::Assignment,
        }
    }

    /// Sends it once.
    pub async fn send(self, clients: &Clients) -> Result<Ack, Status> {
        let Clients { mut intake, mut roster, mut intent, mut assignment, mut payroll, .. } = clients.clone();
        Ok(match self {
            Self::Import(request) => ack(roster.import_company(request).await?.into_inner().seq),
            Self::Presence(request) => ack(roster.set_presence(request).await?.into_inner().seq),
            Self::Teach(request) => ack(intent.teach(request).await?.into_inner().seq),
            Self::Plan(request) => ack(payroll.activate_plan(request).await?.into_inner().seq),
            Self::Close(request) => ack(payroll.close_period(request).await?.into_inner().seq),
            Self::Approve(request) => ack(payroll.approve_payouts(request).await?.into_inner().seq),
            Self::Accept(request) => {
                let accepted = assignment.accept_reservation(request).await?.into_inner();
                Ack { seq: accepted.seq, id: accepted.assignment_id }
            }
            Self::Reject(request) => ack(assignment.reject_reservation(request).await?.into_inner().seq),
            Self::Complete(request) => ack(assignment.complete_inquiry(request).await?.into_inner().seq),
            Self::Transfer(request) => ack(assignment.transfer_inquiry(request).await?.into_inner().seq),
            Self::Fact(request) => {
                let answers = intake.stream_inquiries(tokio_stream::once(*request)).await?;
                let answer = answers.into_inner().next().await;
                let answer = answer.ok_or_else(|| Status::unavailable("the stream ended without an answer"))??;
                if let Some(refusal) = answer.refusal {
                    let code = Code::from(i32::try_from(refusal.code).unwrap_or(2));
                    return Err(Status::new(code, format!("{} [{}]", refusal.message, refusal.reason)));
                }
                Ack { seq: answer.seq, id: answer.id }
            }
        })
    }
}

/// Whether a client must send the same again to learn what became of it.
pub fn unanswered(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded | Code::Cancelled)
}
