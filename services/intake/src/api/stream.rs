//! `StreamInquiries`: many facts over one stream, acknowledged in order after each is durable.

use proto::intake as pb;
use runtime::{Pending, field_of, reason_of};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::{Api, Found, StreamRequest, command_id_of};
use crate::Intake;

/// Facts that were read and wait to be sealed and queued: while they wait, their people are looked up, all in one turn of
/// the shard. One after the other, each new person would wait for a turn of their own.
const AHEAD: usize = 64;
/// Facts in flight on one stream: enough to fill the log's group commits, few enough to bound memory (L9).
const IN_FLIGHT: usize = 256;
/// Acknowledgements that wait for a slow reader; then the server stops reading too.
const UNREAD_ANSWERS: usize = 256;

/// A fact that was read, and the look-up of its person where one is under way.
struct Arrival {
    request: Option<StreamRequest>,
    person: Option<oneshot::Receiver<()>>,
}

/// A fact on its way: queued in order, its answer still open.
struct Flight {
    command_id: String,
    outcome: Result<(Pending<Intake>, Asked), Status>,
}

/// The ids of a fact, asked for.
type Asked = oneshot::Receiver<Result<Found, Status>>;

pub(super) fn run(
    api: Api,
    mut requests: Streaming<pb::StreamInquiriesRequest>,
) -> ReceiverStream<Result<pb::StreamInquiriesResponse, Status>> {
    let (arrivals, mut arrived) = mpsc::channel::<Arrival>(AHEAD);
    let (flights, mut queued) = mpsc::channel::<Flight>(IN_FLIGHT);
    let (answers, stream) = mpsc::channel(UNREAD_ANSWERS);
    let broken = answers.clone();
    let reader = api.clone();
    runtime::spawn("stream_inquiries.read", async move {
        while let Some(request) = requests.next().await {
            match request {
                Ok(pb::StreamInquiriesRequest { request }) => {
                    let arrival = Arrival { person: look_up(&reader, request.as_ref()), request };
                    if arrivals.send(arrival).await.is_err() {
                        return;
                    }
                }
                Err(status) => {
                    drop(broken.send(Err(status)).await);
                    return;
                }
            }
        }
    });
    runtime::spawn("stream_inquiries.queue", async move {
        while let Some(Arrival { request, person }) = arrived.recv().await {
            if let Some(person) = person {
                drop(person.await); // Whatever came of it: the request is checked for itself.
            }
            let flight = match request {
                Some(request) => take_off(&api, request).await,
                None => Flight {
                    command_id: String::new(),
                    outcome: Err(runtime::invalid("request", "is missing or of a kind not known here")),
                },
            };
            if flights.send(flight).await.is_err() {
                return;
            }
        }
    });
    runtime::spawn("stream_inquiries.answer", async move {
        while let Some(flight) = queued.recv().await {
            if answers.send(Ok(land(flight).await)).await.is_err() {
                return; // The client went away; what was queued is carried out all the same.
            }
        }
    });
    ReceiverStream::new(stream)
}

/// Begins to look up the person whom a request is about, so that the door knows them when its turn comes.
fn look_up(api: &Api, request: Option<&StreamRequest>) -> Option<oneshot::Receiver<()>> {
    let (tenant, customer) = match request? {
        StreamRequest::SubmitInquiry(request) => (&request.tenant, request.customer.as_ref()?),
        StreamRequest::UpsertCustomer(request) => (&request.tenant, request.customer.as_ref()?),
        StreamRequest::RecordOrder(request) => (&request.tenant, request.customer.as_ref()?),
        StreamRequest::RecordHistoryInquiry(request) => (&request.tenant, request.customer.as_ref()?),
        StreamRequest::AppendMessage(_)
        | StreamRequest::CloseInquiry(_)
        | StreamRequest::LinkCustomer(_)
        | StreamRequest::RecordPayment(_)
        | StreamRequest::RecordRefund(_)
        | StreamRequest::RecordRating(_)
        | StreamRequest::RecordCost(_) => return None,
    };
    let tenant = api.host.tenant(tenant).ok()?;
    let key = api.customer_key(tenant, customer);
    if api.known().person(tenant, key).is_some() {
        return None;
    }
    let (found, person) = oneshot::channel::<()>();
    let api = api.clone();
    runtime::spawn("stream_inquiries.look_up", async move {
        drop(api.customer_person(tenant, key).await);
        drop(found); // This is what is waited for; what was found is known at the door.
    });
    Some(person)
}

async fn take_off(api: &Api, request: StreamRequest) -> Flight {
    let command_id = command_id_of(&request).to_owned();
    let outcome = async {
        let prepared = api.prepare(&request).await?;
        let tenant = prepared.meta.tenant;
        let pending = api.host.enqueue(prepared.meta, prepared.command).await.map_err(Status::from)?;
        // Asked for at once, behind the command: it is answered with the same turn. Asked for when the command's answer
        // is there, each fact would wait for a turn of its own.
        let (answer, found) = oneshot::channel();
        let api = api.clone();
        runtime::spawn("stream_inquiries.find", async move {
            drop(answer.send(api.find(tenant, prepared.find).await));
        });
        Ok((pending, found))
    };
    Flight { command_id, outcome: outcome.await }
}

async fn land(flight: Flight) -> pb::StreamInquiriesResponse {
    let command_id = flight.command_id;
    let landed = async {
        let (pending, found) = flight.outcome?;
        let receipt = pending.receipt().await.map_err(Status::from)?;
        let found = found
            .await
            .unwrap_or_else(|_| Err(runtime::status(tonic::Code::Unavailable, "UNAVAILABLE", "the service stops")));
        Ok::<_, Status>((found?, receipt.first_seq))
    };
    match landed.await {
        Ok((found, seq)) => pb::StreamInquiriesResponse { command_id, id: found.id, seq, refusal: None },
        Err(status) => {
            pb::StreamInquiriesResponse { command_id, refusal: Some(refusal(&status)), ..Default::default() }
        }
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
