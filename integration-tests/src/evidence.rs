//! The log as evidence: what was acknowledged stands there, once, and nothing else does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::Bytes;
use kernel::{TenantId, shard_of};
use log::{Envelope, Topic};
use prost::Message;
use proto::{assignment, intake, kpi};

use crate::load::{Memory, What};

/// Schemas from here on are the runtime's own.
pub const FIRST_RESERVED: u16 = 0xff00;

/// One record of a log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub topic: Topic,
    pub partition: u16,
    pub envelope: Envelope,
    pub payload: Bytes,
}

impl Entry {
    /// The event, when it is of this type.
    pub fn event<M: Message + Default>(&self, topic: Topic, schema: u16) -> Option<M> {
        let is = self.topic == topic && self.envelope.schema == schema;
        is.then(|| M::decode(self.payload.clone()).unwrap())
    }
}

/// All records of the log in a folder, topic by topic in their order.
pub fn entries(dir: &Path) -> Vec<Entry> {
    let mut all = Vec::new();
    log::dump(dir, |record| {
        let (envelope, payload) = Envelope::decode(&record.bytes).unwrap();
        let payload = record.bytes.slice_ref(payload);
        all.push(Entry { topic: record.topic, partition: record.partition, envelope, payload });
    })
    .unwrap();
    all.sort_by_key(|entry| (entry.topic, entry.partition, entry.envelope.seq));
    all
}

/// Fails when one of `keys` is there twice; the set of them otherwise.
fn once<K: Ord + std::fmt::Debug>(what: &str, keys: impl Iterator<Item = K>) -> BTreeSet<K> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if let Some(key) = seen.replace(key) {
            panic!("{what} {key:?} is on the log twice");
        }
    }
    seen
}

/// Asserts that the log holds what the clients were told, once, and that nothing on it is there twice.
pub fn prove(entries: &[Entry], memory: &Memory) {
    once("event", entries.iter().map(|entry| entry.envelope.id));
    commands(entries, memory);
    facts(entries, memory);
    reception(entries, memory);
    figures(entries);
}

/// By command id: an acknowledged command made its records once and where it was said, a refused one none.
fn commands(entries: &[Entry], memory: &Memory) {
    let mut runs: BTreeMap<(Topic, TenantId, String), Vec<u64>> = BTreeMap::new();
    for entry in entries.iter().filter(|entry| entry.envelope.request_mac != [0; 16]) {
        // Public records follow from the same command; they are counted with their own topic.
        let key = (entry.topic, entry.envelope.tenant, entry.envelope.command_id.to_string());
        runs.entry(key).or_default().push(entry.envelope.seq);
    }
    for (key, seqs) in &runs {
        let last = seqs[0] + seqs.len() as u64 - 1;
        assert_eq!(seqs.last(), Some(&last), "command {key:?} was carried out twice: {seqs:?}");
    }
    for acked in &memory.acked {
        let key = (acked.topic, TenantId::of_code(&acked.tenant), acked.command_id.clone());
        assert_eq!(runs.get(&key).map(|seqs| seqs[0]), Some(acked.seq), "{acked:?} is not where it was said");
    }
    for refused in &memory.refused {
        let key = (refused.topic, TenantId::of_code(&refused.tenant), refused.command_id.clone());
        assert_eq!(runs.get(&key), None, "{refused:?} is on the log");
    }
}

/// By natural key: every fact from outside is there once, with the id that its sender was told.
fn facts(entries: &[Entry], memory: &Memory) {
    let hex = |id: &[u8]| fenliu::admin::hex(id);
    let found = entries.iter().filter(|entry| entry.topic == Topic::Intake).filter_map(|entry| {
        let event = |schema| (schema == entry.envelope.schema).then(|| entry.payload.clone());
        let (kind, external_id, id) = if let Some(bytes) = event(3) {
            let event = intake::InquirySubmitted::decode(bytes).unwrap();
            ("inquiry", event.external_id, event.inquiry_id)
        } else if let Some(bytes) = event(6) {
            let event = intake::OrderRecorded::decode(bytes).unwrap();
            ("order", event.external_id, event.order_id)
        } else if let Some(bytes) = event(7) {
            let event = intake::PaymentRecorded::decode(bytes).unwrap();
            ("payment", event.external_id, event.payment_id)
        } else if let Some(bytes) = event(8) {
            let event = intake::RefundRecorded::decode(bytes).unwrap();
            ("refund", event.external_id, event.refund_id)
        } else if let Some(bytes) = event(9) {
            let event = intake::RatingRecorded::decode(bytes).unwrap();
            ("rating", event.external_id, event.rating_id)
        } else {
            return None;
        };
        Some(((entry.envelope.tenant, kind, external_id), hex(&id)))
    });
    let found: Vec<_> = found.collect();
    once("fact", found.iter().map(|(key, _)| key));
    let found: BTreeMap<_, _> = found.into_iter().collect();
    let mut told = BTreeSet::new();
    for acked in &memory.acked {
        let What::Fact { kind, external_id, id } = &acked.what else { continue };
        if !matches!(*kind, "message" | "close" | "customer") {
            let key = (TenantId::of_code(&acked.tenant), *kind, external_id.clone());
            assert_eq!(found.get(&key), Some(id), "{acked:?}");
            told.insert(key);
        }
    }
    assert_eq!(told.len(), found.len(), "facts are on the log that nobody was told of");

    let messages = entries.iter().flat_map(|entry| {
        let submitted = entry.event::<intake::InquirySubmitted>(Topic::Intake, 3).map(|event| event.messages);
        let appended = entry.event::<intake::MessageAppended>(Topic::Intake, 4).and_then(|event| event.message);
        let all = submitted.unwrap_or_default().into_iter().chain(appended);
        all.map(|message| (entry.envelope.tenant, message.message_key))
    });
    let messages = once("message", messages);
    let appended = memory.acked.iter().filter_map(|acked| match &acked.what {
        What::Fact { kind: "message", external_id, .. } => Some((&acked.tenant, external_id)),
        _ => None,
    });
    let inquiries = found.keys().filter(|(_, kind, _)| *kind == "inquiry").count();
    assert_eq!(messages.len(), inquiries + appended.collect::<BTreeSet<_>>().len(), "messages on the log");
}

/// Every inquiry comes to reception once, and every reservation ends once.
fn reception(entries: &[Entry], memory: &Memory) {
    let of = Topic::Assignment;
    let arrived = entries.iter().filter_map(|entry| entry.event::<assignment::InquiryPended>(of, 1));
    let arrived = once("arrival", arrived.map(|event| event.inquiry_id));
    let submitted = entries.iter().filter_map(|entry| entry.event::<intake::InquirySubmitted>(Topic::Intake, 3));
    assert_eq!(arrived, submitted.map(|event| event.inquiry_id).collect(), "inquiries that came to reception");

    let offered = entries.iter().filter_map(|entry| entry.event::<assignment::ReservationMade>(of, 4));
    let offered = once("offer", offered.map(|event| event.reservation_id));
    let ended = entries.iter().filter_map(|entry| {
        let accepted = entry.event::<assignment::ReservationAccepted>(of, 5).map(|event| event.reservation_id);
        let rejected = entry.event::<assignment::ReservationRejected>(of, 6).map(|event| event.reservation_id);
        let timed_out = entry.event::<assignment::ReservationTimedOut>(of, 7).map(|event| event.reservation_id);
        let cancelled = entry.event::<assignment::ReservationCancelled>(of, 8).map(|event| event.reservation_id);
        let rescinded = entry.event::<assignment::ReservationRescinded>(of, 9).map(|event| event.reservation_id);
        accepted.or(rejected).or(timed_out).or(cancelled).or(rescinded)
    });
    let ended = once("end of offer", ended);
    assert!(ended.is_subset(&offered), "an offer ended that was never made");

    let hex = |id: Vec<u8>| fenliu::admin::hex(&id);
    let accepted = entries.iter().filter_map(|entry| entry.event::<assignment::ReservationAccepted>(of, 5));
    let accepted: BTreeMap<_, _> =
        accepted.map(|event| (hex(event.reservation_id), hex(event.assignment_id))).collect();
    let rejected = entries.iter().filter_map(|entry| entry.event::<assignment::ReservationRejected>(of, 6));
    let rejected: BTreeSet<_> = rejected.map(|event| hex(event.reservation_id)).collect();
    for acked in &memory.acked {
        match &acked.what {
            What::Accepted { reservation_id, assignment_id } => {
                assert_eq!(accepted.get(reservation_id), Some(assignment_id), "{acked:?}");
            }
            What::Rejected { reservation_id } => assert!(rejected.contains(reservation_id), "{acked:?}"),
            What::Fact { .. } | What::Presence | What::Completed { .. } | What::Transferred { .. } => {}
        }
    }
    let count = |what: fn(&What) -> bool| memory.acked.iter().filter(|acked| what(&acked.what)).count();
    assert_eq!(accepted.len(), count(|what| matches!(what, What::Accepted { .. })), "acceptances nobody was told of");
    let completed = entries.iter().filter_map(|entry| entry.event::<assignment::InquiryCompleted>(of, 10));
    let transferred = entries.iter().filter_map(|entry| entry.event::<assignment::InquiryTransferred>(of, 12));
    let transferred = transferred.map(|event| event.assignment_id);
    let over = once("end of assignment", completed.map(|event| event.assignment_id).chain(transferred));
    let told = count(|what| matches!(what, What::Completed { .. } | What::Transferred { .. }));
    assert_eq!(over.len(), told, "ends of assignments nobody was told of");
}

/// Every order reaches the figures once, and its credits that stand sum to it.
fn figures(entries: &[Entry]) {
    let noted = entries.iter().filter_map(|entry| entry.event::<kpi::OrderNoted>(Topic::Kpi, 2));
    let noted = once("order in kpi", noted.map(|event| event.order_id));
    let orders = entries.iter().filter_map(|entry| entry.event::<intake::OrderRecorded>(Topic::Intake, 6));
    let amounts: BTreeMap<Vec<u8>, i64> =
        orders.map(|event| (event.order_id, event.amount.unwrap_or_default().minor)).collect();
    assert_eq!(noted, amounts.keys().cloned().collect(), "orders that came to kpi");

    let granted: Vec<_> = entries.iter().filter_map(|entry| entry.event::<kpi::CreditGranted>(Topic::Kpi, 6)).collect();
    once("credit", granted.iter().map(|event| &event.credit_id));
    let reversed = entries.iter().filter_map(|entry| entry.event::<kpi::CreditReversed>(Topic::Kpi, 7));
    let reversed = once("reversal", reversed.map(|event| event.credit_id));
    let mut credited: BTreeMap<&Vec<u8>, i64> = BTreeMap::new();
    for credit in granted.iter().filter(|credit| credit.kind() == kpi::CreditKind::Sale) {
        let stands = !reversed.contains(&credit.credit_id);
        let minor = credit.amount.as_ref().map_or(0, |amount| amount.minor);
        *credited.entry(&credit.order_id).or_default() += if stands { minor } else { 0 };
    }
    for (order, minor) in credited {
        assert_eq!(Some(&minor), amounts.get(order), "credits of an order");
    }
}

/// How many partitions the tenants fall into: a proof over one alone would say little about shards.
pub fn partitions(tenants: &[&str], partitions: u16) -> usize {
    let shards = tenants.iter().map(|tenant| shard_of(TenantId::of_code(tenant), partitions));
    shards.collect::<BTreeSet<_>>().len()
}
