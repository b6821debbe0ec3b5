//! The gRPC door of assignment.

mod watch;

use kernel::{AssignmentId, EmployeeId, InquiryId, ReservationId};
use proto::assignment as pb;
use proto::assignment::assignment_service_server::{AssignmentService, AssignmentServiceServer};
use runtime::{From, Host, field, not_found, server};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::Assignment;
use crate::domain::{Command, Live, Stage, State, Status as AgentStatus};

/// Characters of a reason, a disposition or an intent.
const SHORT_MAX: usize = 200;

/// The service over its host.
pub fn api(host: Host<Assignment>) -> AssignmentServiceServer<Api> {
    AssignmentServiceServer::new(Api { host })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Assignment>,
}

#[tonic::async_trait]
impl AssignmentService for Api {
    type WatchOffersStream = ReceiverStream<Result<pb::WatchOffersResponse, Status>>;
    type WatchAssignmentsStream = ReceiverStream<Result<pb::WatchAssignmentsResponse, Status>>;

    async fn watch_offers(
        &self,
        request: Request<pb::WatchOffersRequest>,
    ) -> Result<Response<Self::WatchOffersStream>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let employee = EmployeeId::of_code(tenant, field::key(&request.employee, "employee")?);
        if !self.host.directory().knows(tenant).await {
            return Err(not_found(
                "TENANT_UNKNOWN",
                "tenant: no company with this code; import one with `fenliu init`",
            ));
        }
        let from = From { seq: request.from_seq, live_only: request.live_only, progress: request.progress };
        Ok(Response::new(self.host.follow(tenant, from, move |followed| watch::offer(followed, employee))))
    }

    async fn watch_assignments(
        &self,
        request: Request<pb::WatchAssignmentsRequest>,
    ) -> Result<Response<Self::WatchAssignmentsStream>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        if !self.host.directory().knows(tenant).await {
            return Err(not_found(
                "TENANT_UNKNOWN",
                "tenant: no company with this code; import one with `fenliu init`",
            ));
        }
        let from = From { seq: request.from_seq, live_only: request.live_only, progress: request.progress };
        Ok(Response::new(self.host.follow(tenant, from, watch::assignment)))
    }

    async fn accept_reservation(
        &self,
        request: Request<pb::AcceptReservationRequest>,
    ) -> Result<Response<pb::AcceptReservationResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("AcceptReservation", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let reservation_id: ReservationId = field::id(&request.reservation_id, "reservation_id")?;
        let (tenant, command_id) = (meta.tenant, meta.command_id);
        let command = Command::Accept { reservation_id, epoch: request.epoch };
        let receipt = self.host.call(meta, command).await?;
        let inquiry = self.host.query(tenant, move |state, _| state.memory.reservations.get(&reservation_id).copied());
        Ok(Response::new(pb::AcceptReservationResponse {
            assignment_id: AssignmentId::derive(tenant, command_id, 0).to_string(),
            inquiry_id: inquiry.await?.map(|(inquiry, _)| inquiry.to_string()).unwrap_or_default(),
            seq: receipt.first_seq,
        }))
    }

    async fn reject_reservation(
        &self,
        request: Request<pb::RejectReservationRequest>,
    ) -> Result<Response<pb::RejectReservationResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("RejectReservation", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let reservation_id = field::id(&request.reservation_id, "reservation_id")?;
        let reason = field::at_most(&request.reason, SHORT_MAX, "reason")?.to_owned();
        let command = Command::Reject { reservation_id, epoch: request.epoch, reason };
        let receipt = self.host.call(meta, command).await?;
        Ok(Response::new(pb::RejectReservationResponse { seq: receipt.first_seq }))
    }

    async fn complete_inquiry(
        &self,
        request: Request<pb::CompleteInquiryRequest>,
    ) -> Result<Response<pb::CompleteInquiryResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("CompleteInquiry", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let inquiry_id = field::id(&request.inquiry_id, "inquiry_id")?;
        let disposition = field::at_most(&request.disposition, SHORT_MAX, "disposition")?.to_owned();
        let receipt = self.host.call(meta, Command::Complete { inquiry_id, disposition }).await?;
        Ok(Response::new(pb::CompleteInquiryResponse { seq: receipt.first_seq }))
    }

    async fn transfer_inquiry(
        &self,
        request: Request<pb::TransferInquiryRequest>,
    ) -> Result<Response<pb::TransferInquiryResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("TransferInquiry", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let inquiry_id = field::id(&request.inquiry_id, "inquiry_id")?;
        let to = match request.to_employee.as_str() {
            "" => None,
            code => Some(EmployeeId::of_code(meta.tenant, field::key(code, "to_employee")?)),
        };
        let intent = field::at_most(&request.intent, SHORT_MAX, "intent")?.to_owned();
        let reason = field::at_most(&request.reason, SHORT_MAX, "reason")?.to_owned();
        let receipt = self.host.call(meta, Command::Transfer { inquiry_id, to, intent, reason }).await?;
        Ok(Response::new(pb::TransferInquiryResponse { seq: receipt.first_seq }))
    }

    async fn get_inquiry(
        &self,
        request: Request<pb::GetInquiryRequest>,
    ) -> Result<Response<pb::GetInquiryResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let inquiry_id: InquiryId = field::id(&request.inquiry_id, "inquiry_id")?;
        let now = self.host.now();
        let found = self.host.query(tenant, move |state, _| inquiry(state, inquiry_id, now)).await?;
        found.map(Response::new).ok_or_else(|| not_found("INQUIRY_UNKNOWN", "inquiry_id: no inquiry with this id"))
    }

    async fn get_desk(&self, request: Request<pb::GetDeskRequest>) -> Result<Response<pb::GetDeskResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let code = field::key(&request.desk, "desk")?.to_owned();
        let found = self.host.query(tenant, move |state, _| desk(&state.live, &code)).await?;
        found.map(Response::new).ok_or_else(|| not_found("DESK_UNKNOWN", "desk: no desk with this code"))
    }
}

fn code(live: &Live, employee: EmployeeId) -> String {
    live.agents.get(&employee).map_or_else(|| employee.to_string(), |agent| agent.facts.code.clone())
}

fn inquiry(state: &State, id: InquiryId, now: kernel::Timestamp) -> Option<pb::GetInquiryResponse> {
    let Some(inquiry) = state.live.inquiries.get(&id) else {
        let ended = state.memory.ended.get(&id)?;
        return Some(pb::GetInquiryResponse {
            inquiry_id: id.to_string(),
            state: if ended.completed { "completed" } else { "cancelled" }.to_owned(),
            employee: ended.employee_id.map(|employee| code(&state.live, employee)).unwrap_or_default(),
            waited_ms: ended.waited_ms,
            ..Default::default()
        });
    };
    let (reservation_id, waited_ms) = match inquiry.stage {
        Stage::Reserved { reservation_id, .. } => (reservation_id.to_string(), None),
        Stage::Assigned { waited_ms, .. } | Stage::Wrapping { waited_ms, .. } => (String::new(), Some(waited_ms)),
        Stage::AwaitingIntent | Stage::Waiting(_) => (String::new(), None),
    };
    let waiting = u64::try_from(now.since(inquiry.arrived_at).as_micros() / 1_000).unwrap_or(0);
    Some(pb::GetInquiryResponse {
        inquiry_id: id.to_string(),
        state: inquiry.stage.name().to_owned(),
        intent: inquiry.intent.as_ref().map(|score| score.intent.clone()).unwrap_or_default(),
        intent_ppm: inquiry.intent.as_ref().map_or(0, |score| score.ppm),
        employee: inquiry.stage.holder().map(|(employee, _)| code(&state.live, employee)).unwrap_or_default(),
        reservation_id,
        epoch: inquiry.epoch,
        waited_ms: waited_ms.unwrap_or(waiting),
    })
}

fn desk(live: &Live, code: &str) -> Option<pb::GetDeskResponse> {
    let desk = live.desks.get(code)?;
    let mut answer = pb::GetDeskResponse::default();
    for (_, inquiry) in live.inquiries.sorted() {
        if inquiry.arrival.desk == code {
            let count = match inquiry.stage {
                Stage::AwaitingIntent | Stage::Waiting(_) => &mut answer.pending,
                Stage::Reserved { .. } => &mut answer.reserved,
                Stage::Assigned { .. } => &mut answer.assigned,
                Stage::Wrapping { .. } => &mut answer.wrapping,
            };
            *count += 1;
        }
    }
    let agents = desk.agents.iter().filter_map(|id| live.agents.get(id));
    answer.agents = agents
        .map(|agent| pb::AgentLoad {
            employee: agent.facts.code.clone(),
            held_units: agent.held_units,
            capacity_units: live.capacity(&agent.facts.position),
            available: live.status(agent) == AgentStatus::Available,
            on_shift: agent.on_shift,
        })
        .collect();
    answer.agents.sort_by(|a, b| a.employee.cmp(&b.employee));
    Some(answer)
}
