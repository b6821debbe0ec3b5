//! A reader of a stream that cuts it again and again, resumes, and remembers what it was shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fenliu::client::Client;
use kernel::{EmployeeId, TenantId};
use log::Topic;
use prost::Message;
use proto::assignment as pb;
use proto::assignment::Step;
use runtime::reason_of;
use tokio::sync::watch;
use tokio_stream::StreamExt;
use tonic::Status;

use crate::chance::Chance;
use crate::evidence::Entry;
use crate::load::{Door, unanswered};

/// Which stream.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// One employee's offers.
    Offers(&'static str),
    Assignments,
}

/// What one item of a stream says, whichever it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    pub seq: u64,
    pub event_id: String,
    pub step: i32,
    pub inquiry_id: String,
    /// The reservation, or who has the inquiry.
    pub detail: String,
    pub recorded_at_us: i64,
}

enum Item {
    Shown(Shown),
    Heartbeat(u64),
}

/// How often the streams of all watchers were cut, and why.
#[derive(Debug, Default)]
pub struct Cuts {
    pub offers: AtomicU64,
    pub assignments: AtomicU64,
    /// Steps that were shown, one bit each: of offers, and of assignments.
    pub steps: [AtomicU64; 2],
    /// Items that came a second time.
    pub repeats: AtomicU64,
    /// Ends of streams that were told with a reason, because the server stopped.
    pub stopping: AtomicU64,
    /// Ends of streams that just broke.
    pub broken: AtomicU64,
}

pub struct Watcher {
    pub tenant: String,
    pub kind: Kind,
    pub seen: Vec<Shown>,
    /// Everything before this was shown.
    pub upto: u64,
    chance: Chance,
    cuts: Arc<Cuts>,
}

impl Watcher {
    pub fn new(tenant: &str, kind: Kind, chance: Chance, cuts: &Arc<Cuts>) -> Self {
        Self { tenant: tenant.to_owned(), kind, seen: Vec::new(), upto: 0, chance, cuts: cuts.clone() }
    }

    /// Reads and cuts until `end` says where to stop, then reads up to there.
    pub async fn watch(mut self, mut door: Door, end: watch::Receiver<Option<u64>>) -> Result<Self, String> {
        loop {
            let client = door.client().await;
            let last = *end.borrow();
            // Short and long sessions; the last one is not cut.
            let items = if last.is_some() { u64::MAX } else { self.chance.below(30) };
            match self.session(client, items, &last).await {
                Ok(true) => return Ok(self),
                Ok(false) => {}
                Err(Some(failure)) => return Err(format!("{:?} of {}: {failure}", self.kind, self.tenant)),
                Err(None) => tokio::time::sleep(std::time::Duration::from_millis(3)).await,
            }
        }
    }

    /// Reads some items and drops the stream. True when `end` was reached; an error without text is a lost server.
    async fn session(&mut self, client: Client, items: u64, end: &Option<u64>) -> Result<bool, Option<String>> {
        let last = self.seen.last().map(|shown| shown.seq);
        // From the next on, or from the last one again, which is then known by its event id.
        let again = self.chance.below(2) == 0;
        let from = last.map_or(0, |last| if again { last } else { last + 1 });
        let mut stream = open(client, &self.tenant, self.kind, from).await.map_err(lost)?;
        let (mut previous, mut beat, mut read) = (None, from, 0);
        while read < items {
            let item = match stream.next().await {
                Some(Ok(item)) => item,
                Some(Err(status)) => {
                    let told = reason_of(&status).is_some_and(|reason| reason == "STOPPING");
                    let counter = if told { &self.cuts.stopping } else { &self.cuts.broken };
                    counter.fetch_add(1, Ordering::Relaxed);
                    return Err(lost(status));
                }
                None => return Err(None),
            };
            read += 1;
            match item {
                Item::Heartbeat(seq) => {
                    let shown = previous.map_or(from, |previous: u64| previous + 1).max(beat);
                    if seq < shown {
                        return Err(Some(format!("a heartbeat says {seq} after {shown} was shown")));
                    }
                    beat = seq;
                    self.upto = self.upto.max(seq);
                    if end.is_some_and(|end| seq >= end) {
                        return Ok(true);
                    }
                }
                Item::Shown(shown) => {
                    if shown.seq < from.max(beat) || previous.is_some_and(|previous| shown.seq <= previous) {
                        return Err(Some(format!("{shown:?} came out of order, after {previous:?} and beat {beat}")));
                    }
                    previous = Some(shown.seq);
                    self.keep(shown)?;
                }
            }
        }
        let counter = if let Kind::Assignments = self.kind { &self.cuts.assignments } else { &self.cuts.offers };
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(false)
    }

    fn keep(&mut self, shown: Shown) -> Result<(), Option<String>> {
        if self.seen.last().is_some_and(|last| shown.seq <= last.seq) {
            let known = self.seen.iter().rev().find(|known| known.event_id == shown.event_id);
            self.cuts.repeats.fetch_add(1, Ordering::Relaxed);
            return if known == Some(&shown) { Ok(()) } else { Err(Some(format!("{shown:?} was {known:?} before"))) };
        }
        let steps = &self.cuts.steps[usize::from(matches!(self.kind, Kind::Assignments))];
        steps.fetch_or(1 << shown.step, Ordering::Relaxed);
        self.seen.push(shown);
        Ok(())
    }

    /// What the stream had to show, from the log.
    pub fn expected(&self, entries: &[Entry]) -> Vec<Shown> {
        let tenant = TenantId::of_code(&self.tenant);
        let mine = entries.iter().filter(|entry| entry.topic == Topic::Assignment && entry.envelope.tenant == tenant);
        let mine = mine.filter(|entry| entry.envelope.seq < self.upto);
        mine.filter_map(|entry| shown_of(entry, self.kind, tenant)).collect()
    }
}

impl Cuts {
    /// Whether both kinds of stream were cut `often`, and showed every step.
    pub fn enough(&self, often: u64) -> bool {
        let cuts = [&self.offers, &self.assignments].map(|cuts| cuts.load(Ordering::Relaxed));
        let every: u64 = (Step::Offered as i32..=Step::Cancelled as i32).map(|step| 1 << step).sum();
        cuts.iter().all(|cuts| *cuts >= often) && self.steps.iter().all(|steps| steps.load(Ordering::Relaxed) == every)
    }
}

/// Nothing for a lost server; the failure when the server said something that it must not say.
fn lost(status: Status) -> Option<String> {
    if unanswered(&status) { None } else { Some(format!("{status:?}")) }
}

type Items = std::pin::Pin<Box<dyn tokio_stream::Stream<Item = Result<Item, Status>> + Send>>;

fn micros(at: Option<prost_types::Timestamp>) -> i64 {
    runtime::field::timestamp(at, "recorded_at").unwrap().as_micros()
}

async fn open(mut client: Client, tenant: &str, kind: Kind, from_seq: u64) -> Result<Items, Status> {
    let tenant = tenant.to_owned();
    Ok(match kind {
        Kind::Offers(employee) => {
            let (employee, live_only, progress) = (employee.to_owned(), false, true);
            let request = pb::WatchOffersRequest { tenant, employee, from_seq, live_only, progress };
            let stream = client.assignment.watch_offers(request).await?.into_inner();
            Box::pin(stream.map(|item| item.map(offer)))
        }
        Kind::Assignments => {
            let request = pb::WatchAssignmentsRequest { tenant, from_seq, live_only: false, progress: true };
            let stream = client.assignment.watch_assignments(request).await?.into_inner();
            Box::pin(stream.map(|item| item.map(assignment)))
        }
    })
}

fn offer(item: pb::WatchOffersResponse) -> Item {
    if item.heartbeat {
        return Item::Heartbeat(item.seq);
    }
    Item::Shown(Shown {
        seq: item.seq,
        event_id: item.event_id,
        step: item.step,
        inquiry_id: item.inquiry_id,
        detail: item.reservation_id,
        recorded_at_us: micros(item.recorded_at),
    })
}

fn assignment(item: pb::WatchAssignmentsResponse) -> Item {
    if item.heartbeat {
        return Item::Heartbeat(item.seq);
    }
    Item::Shown(Shown {
        seq: item.seq,
        event_id: item.event_id,
        step: item.step,
        inquiry_id: item.inquiry_id,
        detail: format!("{}/{} {}", item.platform, item.external_id, item.employee),
        recorded_at_us: micros(item.recorded_at),
    })
}

/// Step, inquiry, employee, reservation and names.
type Told = (Step, Vec<u8>, Vec<u8>, Vec<u8>, pb::Names);

/// A reception event that people are shown.
fn told(entry: &Entry) -> Option<Told> {
    macro_rules! ended {
        ($event:ident, $step:ident) => {{
            let event = pb::$event::decode(entry.payload.clone()).unwrap();
            let names = event.names.unwrap_or_default();
            (Step::$step, event.inquiry_id, event.employee_id, event.reservation_id, names)
        }};
    }
    Some(match entry.envelope.schema {
        4 => ended!(ReservationMade, Offered),
        5 => ended!(ReservationAccepted, Assigned),
        6 => ended!(ReservationRejected, Rejected),
        7 => ended!(ReservationTimedOut, TimedOut),
        8 => ended!(ReservationCancelled, Withdrawn),
        9 => ended!(ReservationRescinded, Withdrawn),
        10 => {
            let event = pb::InquiryCompleted::decode(entry.payload.clone()).unwrap();
            (Step::Completed, event.inquiry_id, event.employee_id, Vec::new(), event.names.unwrap_or_default())
        }
        12 => {
            let event = pb::InquiryTransferred::decode(entry.payload.clone()).unwrap();
            let names = event.names.unwrap_or_default();
            (Step::Transferred, event.inquiry_id, event.from_employee_id, Vec::new(), names)
        }
        13 => {
            let event = pb::InquiryCancelled::decode(entry.payload.clone()).unwrap();
            (Step::Cancelled, event.inquiry_id, event.employee_id, Vec::new(), event.names.unwrap_or_default())
        }
        _ => return None,
    })
}

fn shown_of(entry: &Entry, kind: Kind, tenant: TenantId) -> Option<Shown> {
    let (step, inquiry_id, employee_id, reservation_id, names) = told(entry)?;
    let detail = match kind {
        Kind::Offers(employee) => (employee_id == EmployeeId::of_code(tenant, employee).to_vec())
            .then(|| fenliu::admin::hex(&reservation_id))?,
        Kind::Assignments => format!("{}/{} {}", names.platform, names.external_id, names.employee),
    };
    Some(Shown {
        seq: entry.envelope.seq,
        event_id: entry.envelope.id.to_string(),
        step: step.into(),
        inquiry_id: fenliu::admin::hex(&inquiry_id),
        detail,
        recorded_at_us: entry.envelope.recorded_at.as_micros(),
    })
}

/// How often each step was shown.
pub fn steps<'a>(shown: impl Iterator<Item = &'a Shown>) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for shown in shown {
        *counts.entry(Step::try_from(shown.step).unwrap().as_str_name()).or_default() += 1;
    }
    counts
}
