//! Who works with Fenliu: the shop's platform, which tells what happened, and the agents, who answer offers. Each
//! remembers what it sent and was not answered, and sends it again, byte for byte, until it is.

use std::collections::VecDeque;
use std::time::Duration;

use fenliu::client::Client;
use log::Topic;
use proto::assignment::{
    AcceptReservationRequest, CompleteInquiryRequest, RejectReservationRequest, Step, TransferInquiryRequest,
    WatchOffersRequest, WatchOffersResponse,
};
use proto::roster::{Presence, SetPresenceRequest};
use runtime::field::wire_timestamp;
use runtime::reason_of;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::chance::Chance;
use crate::load::{Acked, Door, Refused, What, now, unanswered, unanswered_because};

mod facts;

use facts::{Facts, Sent};

/// Facts of one platform that wait for their answer.
const WINDOW: usize = 8;

/// How a session with the server ended.
enum End {
    Done,
    /// The server went away.
    Lost,
}

/// Streams facts until told to finish and everything is answered.
pub(crate) async fn platform(mut door: Door, tenant: String, chance: Chance) -> Result<(), String> {
    let mut facts = Facts::new(tenant, chance);
    loop {
        let client = door.client().await;
        match stream(&door, client, &mut facts).await? {
            End::Done => return Ok(()),
            End::Lost => tokio::time::sleep(Duration::from_millis(2)).await,
        }
    }
}

async fn stream(door: &Door, mut client: Client, facts: &mut Facts) -> Result<End, String> {
    let (requests, stream) = mpsc::channel(WINDOW);
    let again = facts.pending.len() as u64;
    door.tell(|memory| memory.repeated += again);
    for sent in &facts.pending {
        requests.try_send(sent.request.clone()).map_err(|error| error.to_string())?;
    }
    let Ok(answers) = client.intake.stream_inquiries(ReceiverStream::new(stream)).await else { return Ok(End::Lost) };
    let mut answers = answers.into_inner();
    loop {
        if facts.pending.len() < WINDOW && !door.finishing() {
            let sent = facts.next();
            let request = sent.request.clone();
            facts.pending.push_back(sent);
            if requests.send(request).await.is_err() {
                return Ok(End::Lost);
            }
            tokio::time::sleep(facts.pause()).await;
            if facts.pending.len() < WINDOW {
                continue;
            }
        }
        let Some(sent) = facts.pending.front() else { return Ok(End::Done) };
        let Some(Ok(answer)) = answers.next().await else { return Ok(End::Lost) };
        if answer.command_id != sent.command_id {
            return Err(format!("{} was answered where {} was expected", answer.command_id, sent.command_id));
        }
        if let Some(refusal) = &answer.refusal {
            if unanswered_because(&refusal.reason) {
                return Ok(End::Lost);
            }
            return Err(format!("{refusal:?} for {:?}", sent.request));
        }
        if sent.same_as.as_ref().is_some_and(|id| *id != answer.id) {
            return Err(format!("the same fact got another id: {answer:?} for {:?}", sent.request));
        }
        let sent = facts.pending.pop_front().expect("looked at above");
        let Sent { kind, external_id, command_id, .. } = &sent;
        let what = What::Fact { kind, external_id: external_id.clone(), id: answer.id.clone() };
        let (tenant, command_id) = (facts.tenant.clone(), command_id.clone());
        let acked = Acked { topic: Topic::Intake, tenant, command_id, seq: answer.seq, what };
        door.tell(|memory| memory.acked.push(acked));
        facts.answered(sent, answer.id);
    }
}

/// Something that an agent wants done.
#[derive(Debug, Clone)]
enum Wish {
    Presence(SetPresenceRequest),
    Accept(AcceptReservationRequest),
    Reject(RejectReservationRequest),
    Complete(CompleteInquiryRequest),
    Transfer(TransferInquiryRequest),
}

/// A person in reception.
pub struct Agent {
    tenant: String,
    code: &'static str,
    chance: Chance,
    came: bool,
    next_seq: u64,
    wishes: VecDeque<Wish>,
    /// The first wish was sent before, and nobody knows what became of it.
    again: bool,
}

impl Agent {
    pub fn new(tenant: &str, code: &'static str, chance: Chance) -> Self {
        let (tenant, wishes) = (tenant.to_owned(), VecDeque::new());
        Self { tenant, code, chance, came: false, next_seq: 0, wishes, again: false }
    }

    pub(crate) async fn work(mut self, mut door: Door) -> Result<(), String> {
        loop {
            let client = door.client().await;
            match self.session(&mut door, client).await? {
                End::Done => return Ok(()),
                End::Lost => tokio::time::sleep(Duration::from_millis(2)).await,
            }
        }
    }

    async fn session(&mut self, door: &mut Door, mut client: Client) -> Result<End, String> {
        let watch = WatchOffersRequest {
            tenant: self.tenant.clone(),
            employee: self.code.to_owned(),
            from_seq: self.next_seq,
            ..Default::default()
        };
        let mut offers = match client.assignment.watch_offers(watch).await {
            Ok(offers) => offers.into_inner(),
            Err(status) if unanswered(&status) => return Ok(End::Lost),
            Err(status) => return Err(format!("watch: {status:?}")),
        };
        if !self.came {
            self.came = true;
            self.set_presence(Presence::Available);
        }
        loop {
            while !self.wishes.is_empty() {
                if let End::Lost = self.grant(door, &mut client).await? {
                    return Ok(End::Lost);
                }
            }
            tokio::select! {
                offer = offers.next() => match offer {
                    Some(Ok(offer)) => self.hear(&offer),
                    Some(Err(status)) if !unanswered(&status) => return Err(format!("offers: {status:?}")),
                    Some(Err(_)) | None => return Ok(End::Lost),
                },
                () = door.finish() => return Ok(End::Done),
            }
        }
    }

    fn set_presence(&mut self, presence: Presence) {
        let wish = SetPresenceRequest {
            command_id: self.chance.command_id(),
            issued_at: Some(wire_timestamp(now())),
            tenant: self.tenant.clone(),
            employee: self.code.to_owned(),
            presence: presence.into(),
        };
        self.wishes.push_back(Wish::Presence(wish));
    }

    /// Decides what to do about what the stream showed.
    fn hear(&mut self, offer: &WatchOffersResponse) {
        if offer.heartbeat {
            return;
        }
        self.next_seq = offer.seq + 1;
        let (command_id, issued_at) = (self.chance.command_id(), Some(wire_timestamp(now())));
        let (tenant, mood) = (self.tenant.clone(), self.chance.below(100));
        let (reservation_id, inquiry_id) = (offer.reservation_id.clone(), offer.inquiry_id.clone());
        let epoch = offer.epoch;
        match (offer.step(), mood) {
            (Step::Offered, 0..4) => {} // Overlooked: it will time out.
            (Step::Offered, 4..12) => {
                let reason = "busy".to_owned();
                let wish = RejectReservationRequest { command_id, issued_at, tenant, reservation_id, epoch, reason };
                self.wishes.push_back(Wish::Reject(wish));
            }
            (Step::Offered, _) => {
                let wish = AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch };
                self.wishes.push_back(Wish::Accept(wish));
            }
            (Step::Assigned, 0..8) => {
                let (to_employee, intent, reason) = Default::default();
                let request =
                    TransferInquiryRequest { command_id, issued_at, tenant, inquiry_id, to_employee, intent, reason };
                self.wishes.push_back(Wish::Transfer(request));
            }
            (Step::Assigned, _) => {
                let disposition = String::new();
                let request = CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition };
                self.wishes.push_back(Wish::Complete(request));
            }
            (Step::Completed, 0..6) => {
                self.set_presence(Presence::Paused);
                self.set_presence(Presence::Available);
            }
            _ => {}
        }
    }

    /// Sends the first wish and takes it off when it was answered.
    async fn grant(&mut self, door: &Door, client: &mut Client) -> Result<End, String> {
        let Some(wish) = self.wishes.front().cloned() else { return Ok(End::Done) };
        if std::mem::replace(&mut self.again, true) {
            door.tell(|memory| memory.repeated += 1);
        }
        let (topic, command_id) = match &wish {
            Wish::Presence(request) => (Topic::Roster, request.command_id.clone()),
            Wish::Accept(request) => (Topic::Assignment, request.command_id.clone()),
            Wish::Reject(request) => (Topic::Assignment, request.command_id.clone()),
            Wish::Complete(request) => (Topic::Assignment, request.command_id.clone()),
            Wish::Transfer(request) => (Topic::Assignment, request.command_id.clone()),
        };
        let tenant = self.tenant.clone();
        match send(client, wish.clone()).await {
            Ok((seq, what)) => door.tell(|memory| {
                memory.acked.push(Acked { topic, tenant, command_id, seq, what });
            }),
            Err(status) if unanswered(&status) => return Ok(End::Lost),
            Err(status) => {
                let reason = reason_of(&status).unwrap_or_default();
                if !is_over(&wish, &reason) {
                    return Err(format!("{status:?} for {wish:?}"));
                }
                door.tell(|memory| memory.refused.push(Refused { topic, tenant, command_id, reason }));
            }
        }
        self.again = false;
        self.wishes.pop_front();
        Ok(End::Done)
    }
}

/// Refusals that are part of the work: somebody or something was faster.
fn is_over(wish: &Wish, reason: &str) -> bool {
    match wish {
        Wish::Accept(_) | Wish::Reject(_) => {
            matches!(reason, "RESERVATION_TIMED_OUT" | "RESERVATION_CANCELLED" | "RESERVATION_RESCINDED")
        }
        Wish::Complete(_) | Wish::Transfer(_) => reason == "NOT_ASSIGNED",
        Wish::Presence(_) => false,
    }
}

async fn send(client: &mut Client, wish: Wish) -> Result<(u64, What), Status> {
    Ok(match wish {
        Wish::Presence(request) => {
            let answer = client.roster.set_presence(request).await?.into_inner();
            (answer.seq, What::Presence)
        }
        Wish::Accept(request) => {
            let reservation_id = request.reservation_id.clone();
            let answer = client.assignment.accept_reservation(request).await?.into_inner();
            (answer.seq, What::Accepted { reservation_id, assignment_id: answer.assignment_id })
        }
        Wish::Reject(request) => {
            let reservation_id = request.reservation_id.clone();
            let answer = client.assignment.reject_reservation(request).await?.into_inner();
            (answer.seq, What::Rejected { reservation_id })
        }
        Wish::Complete(request) => {
            let inquiry_id = request.inquiry_id.clone();
            let answer = client.assignment.complete_inquiry(request).await?.into_inner();
            (answer.seq, What::Completed { inquiry_id })
        }
        Wish::Transfer(request) => {
            let inquiry_id = request.inquiry_id.clone();
            let answer = client.assignment.transfer_inquiry(request).await?.into_inner();
            (answer.seq, What::Transferred { inquiry_id })
        }
    })
}
