//! `StreamInquiries`: many facts over one stream, acknowledged in order after each is durable.

use kernel::TenantId;
use proto::intake as pb;
use runtime::{Pending, field_of, reason_of};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Api, Find, command_id_of};
use crate::Intake;

/// Facts in flight on one stream: enough to fill the log's group commits, few enough to bound memory (L9).
const IN_FLIGHT: usize = 256;
/// Acknowledgements that wait for a slow reader; then the server stops reading too.
const UNREAD_ANSWERS: usize = 256;

/// A fact on its way: queued in order, its answer still open.
struct Flight {
    command_id: String,
    outcome: Result<(Pending<Intake>, TenantId, Find), Status>,
}

pub(super) fn run(
    api: Api,
    mut requests: Streaming<pb::StreamInquiriesRequest>,
) -> ReceiverStream<Result<pb::StreamInquiriesResponse, Status>> {
    let (flights, mut queued) = mpsc::channel::<Flight>(IN_FLIGHT);
    let (answers, stream) = mpsc::channel(UNREAD_ANSWERS);
    let reader = api.clone();
    let broken = answers.clone();
    runtime::spawn("stream_inquiries.read", async move {
        while let Some(request) = requests.next().await {
            let flight = match request {
                Ok(pb::StreamInquiriesRequest { request: Some(request) }) => take_off(&reader, request).await,
                Ok(pb::StreamInquiriesRequest { request: None }) => Flight {
                    command_id: String::new(),
                    outcome: Err(runtime::invalid("request", "is missing or of a kind not known here")),
                },
                Err(status) => {
                    drop(broken.send(Err(status)).await);
                    return;
                }
            };
            if flights.send(flight).await.is_err() {
                return;
            }
        }
    });
    runtime::spawn("stream_inquiries.answer", async move {
        while let Some(flight) = queued.recv().await {
            if answers.send(Ok(land(&api, flight).await)).await.is_err() {
                return; // The client went away; what was queued is carried out all the same.
            }
        }
    });
    ReceiverStream::new(stream)
}

async fn take_off(api: &Api, request: pb::stream_inquiries_request::Request) -> Flight {
    let command_id = command_id_of(&request).to_owned();
    let outcome = async {
        let prepared = api.prepare(&request).await?;
        let tenant = prepared.meta.tenant;
        let pending = api.host.enqueue(prepared.meta, prepared.command).await.map_err(Status::from)?;
        Ok((pending, tenant, prepared.find))
    };
    Flight { command_id, outcome: outcome.await }
}

async fn land(api: &Api, flight: Flight) -> pb::StreamInquiriesResponse {
    let command_id = flight.command_id;
    let landed = async {
        let (pending, tenant, find) = flight.outcome?;
        let receipt = pending.receipt().await.map_err(Status::from)?;
        api.done(tenant, find, receipt.first_seq).await
    };
    match landed.await {
        Ok(done) => pb::StreamInquiriesResponse { command_id, id: done.id, seq: done.seq, refusal: None },
        Err(status) => pb::StreamInquiriesResponse { command_id, refusal: Some(refusal(&status)), ..Default::default() },
    }
}

fn refusal(status: &Status) -> pb::StreamRefusal {
    pb::StreamRefusal {
        code: u32::try_from(i32::from(status.code())).unwrap_or(2),
        reason: reason_of(status).unwrap_or_default(),
        message: status.message().to_owned(),
        field: field_of(status).unwrap_or_default(),
    }
}
