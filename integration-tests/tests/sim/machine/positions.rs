//! The log itself: chains, commands, natural keys, and upstream positions that neither skip nor repeat.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{TenantId, shard_of};
use log::{Envelope, Log, TOPICS, Topic, record_hash};
use prost::Message;
use proto::{common, intake};
use runtime::schema;

use super::log::SimLog;
use super::world::Memory;

/// One record, read.
pub struct Entry {
    pub envelope: Envelope,
    pub payload: Vec<u8>,
}

impl Entry {
    fn event(&self) -> bool {
        self.envelope.schema < schema::FIRST_RESERVED
    }
}

/// All records by topic and partition.
pub type Entries = BTreeMap<(Topic, u16), Vec<Entry>>;

/// Reads the log; a record that breaks the chain is a problem.
pub fn entries(log: &SimLog, problems: &mut Vec<String>) -> Entries {
    let mut all = Entries::new();
    let mut ids = BTreeSet::new();
    for topic in TOPICS {
        for partition in 0..log.partitions() {
            let mut previous = [0; 32];
            let mut clock = kernel::Timestamp::default();
            let read = all.entry((topic, partition)).or_default();
            for record in log.records(topic, partition) {
                let (envelope, payload) = Envelope::decode(&record.bytes).expect("a record of ours");
                let place = format!("{topic} {partition} {}", record.seq);
                if envelope.seq != record.seq || envelope.previous_hash != previous {
                    problems.push(format!("chain: {place} does not follow the record before it"));
                }
                if envelope.recorded_at < clock {
                    problems.push(format!("clock: {place} is earlier than the record before it"));
                }
                let of_tenant = envelope.tenant != TenantId::default();
                if of_tenant && shard_of(envelope.tenant, log.partitions()) != partition {
                    problems.push(format!("shard: {place} belongs elsewhere"));
                }
                if !ids.insert(envelope.id) {
                    problems.push(format!("event id: {place} has one that was there before"));
                }
                previous = record_hash(&record.bytes);
                clock = envelope.recorded_at;
                read.push(Entry { payload: payload.to_vec(), envelope });
            }
        }
    }
    all
}

/// L4: an acknowledged command made its records once and where it was said, a refused one none.
pub fn commands(entries: &Entries, memory: &Memory, problems: &mut Vec<String>) {
    let mut runs: BTreeMap<(Topic, TenantId, String), Vec<u64>> = BTreeMap::new();
    for ((topic, _), read) in entries {
        for entry in read.iter().filter(|entry| entry.envelope.request_mac != [0; 16]) {
            let Envelope { tenant, command_id, seq, .. } = &entry.envelope;
            runs.entry((*topic, *tenant, command_id.to_string())).or_default().push(*seq);
        }
    }
    for ((topic, _, command), seqs) in &runs {
        // What payroll publishes goes along with its own records.
        if *topic != Topic::Payout && seqs.windows(2).any(|pair| pair[1] != pair[0] + 1) {
            problems.push(format!("command: {command} was carried out twice in {topic}: {seqs:?}"));
        }
    }
    for (sent, ack) in &memory.acked {
        let key = (sent.call.topic(), TenantId::of_code(&sent.tenant), sent.command_id.clone());
        if runs.get(&key).and_then(|seqs| seqs.first()) != Some(&ack.seq) {
            problems.push(format!("command: {sent:?} is not where it was acknowledged, {ack:?}"));
        }
    }
    for (sent, _) in &memory.refused {
        let key = (sent.call.topic(), TenantId::of_code(&sent.tenant), sent.command_id.clone());
        if runs.contains_key(&key) {
            problems.push(format!("command: {sent:?} was refused and stands on the log"));
        }
    }
}

/// Facts from outside are there once, by their natural key.
pub fn facts(entries: &Entries, problems: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for ((topic, _), read) in entries.iter().filter(|((topic, _), _)| *topic == Topic::Intake) {
        for entry in read {
            let payload = &entry.payload[..];
            let key = match entry.envelope.schema {
                3 => intake::InquirySubmitted::decode(payload).map(|event| event.external_id),
                6 => intake::OrderRecorded::decode(payload).map(|event| event.external_id),
                7 => intake::PaymentRecorded::decode(payload).map(|event| event.external_id),
                8 => intake::RefundRecorded::decode(payload).map(|event| event.external_id),
                9 => intake::RatingRecorded::decode(payload).map(|event| event.external_id),
                10 => intake::CostRecorded::decode(payload).map(|event| event.external_id),
                11 => intake::HistoryInquiryRecorded::decode(payload).map(|event| event.external_id),
                _ => continue,
            };
            let key = (entry.envelope.tenant, entry.envelope.schema, key.expect("an event of intake"));
            if !seen.insert(key.clone()) {
                problems.push(format!("fact: {key:?} is on {topic} twice"));
            }
        }
    }
}

/// Events that always come of an upstream event: of which topic and schema, in which topic and of which schemas.
const FOLLOWS: [(Topic, u16, Topic, &[u16]); 10] = [
    (Topic::Intake, 3, Topic::Assignment, &[1]),
    (Topic::Intake, 3, Topic::Intent, &[2, 3]),
    (Topic::Intake, 6, Topic::Kpi, &[2]),
    (Topic::Intake, 7, Topic::Kpi, &[3]),
    (Topic::Intake, 8, Topic::Kpi, &[4]),
    (Topic::Intake, 9, Topic::Kpi, &[5]),
    (Topic::Assignment, 5, Topic::Kpi, &[1]),
    (Topic::Kpi, 6, Topic::Payroll, &[3]),
    (Topic::Kpi, 7, Topic::Payroll, &[4]),
    (Topic::Roster, 4, Topic::Payroll, &[2]),
];

/// L1: positions move on and say the truth, every upstream event was taken once, and none was passed over.
pub fn positions(entries: &Entries, upstreams: &[(Topic, &'static [Topic])], problems: &mut Vec<String>) {
    for ((topic, partition), read) in entries {
        let Some((_, upstreams)) = upstreams.iter().find(|(of, _)| of == topic) else { continue };
        let mut shard =
            Walk { topic: *topic, at: BTreeMap::new(), batch: Vec::new(), taken: BTreeSet::new(), records: 0 };
        // Whether an upstream record is an input; a runtime record never is.
        let input = |of: Topic, seq: u64| {
            let all = entries.get(&(of, *partition)).map(Vec::as_slice).unwrap_or_default();
            all.get(usize::try_from(seq).unwrap_or(usize::MAX)).is_some_and(Entry::event)
        };
        for entry in read {
            shard.step(entry, &input, problems);
        }
        if !shard.batch.is_empty() {
            problems.push(format!("position: {topic} {partition} does not end with a batch's record"));
        }
        for upstream in *upstreams {
            let all = &entries[&(*upstream, *partition)];
            let next = shard.at.get(upstream).copied().unwrap_or(0);
            if next > all.len() as u64 {
                problems.push(format!("position: {topic} {partition} is ahead of {upstream}"));
            }
            for left in all.iter().filter(|entry| entry.event() && entry.envelope.seq >= next) {
                problems.push(format!("position: {topic} {partition} has not taken {upstream} {}", left.envelope.seq));
            }
        }
        for (from, schema, to, schemas) in
            FOLLOWS.iter().filter(|(from, _, to, _)| to == topic && upstreams.contains(from))
        {
            for source in entries[&(*from, *partition)].iter().filter(|entry| entry.envelope.schema == *schema) {
                let seq = source.envelope.seq;
                let follows = |entry: &&Entry| {
                    let caused = entry.envelope.causation.is_some_and(|cause| cause.topic == *from && cause.seq == seq);
                    caused && schemas.contains(&entry.envelope.schema)
                };
                let count = read.iter().filter(follows).count();
                if count != 1 && !shard.taken_without(*from, seq, count, source) {
                    problems.push(format!("reaction: {from} {seq} (schema {schema}) made {count} events in {to}"));
                }
            }
        }
    }
}

struct Walk {
    topic: Topic,
    at: BTreeMap<Topic, u64>,
    /// Causes since the last batch's record.
    batch: Vec<(Topic, u64)>,
    taken: BTreeSet<(Topic, u64)>,
    /// Records since the last batch's record.
    records: u64,
}

impl Walk {
    fn step(&mut self, entry: &Entry, input: &dyn Fn(Topic, u64) -> bool, problems: &mut Vec<String>) {
        let place = format!("{} {}", self.topic, entry.envelope.seq);
        if entry.envelope.schema == schema::BATCH {
            let batch = common::Batch::decode(&entry.payload[..]).expect("a batch's record");
            let mut new = self.at.clone();
            for position in batch.upstream {
                let topic = Topic::from_number(u8::try_from(position.topic).expect("small")).expect("a topic");
                new.insert(topic, position.next_seq);
            }
            for (topic, seq) in self.batch.drain(..) {
                let before = self.at.get(&topic).copied().unwrap_or(0);
                let after = new.get(&topic).copied().unwrap_or(0);
                if !(before..after).contains(&seq) {
                    problems.push(format!("position: {place}: {topic} {seq} is not within {before}..{after}"));
                }
            }
            let was = |topic: &Topic| self.at.get(topic).copied().unwrap_or(0);
            let taken = new.iter().any(|(topic, next)| (was(topic)..*next).any(|seq| input(*topic, seq)));
            if self.records == 0 && !taken {
                problems.push(format!("quiet: {place} was written for nothing but runtime records"));
            }
            self.records = 0;
            for (topic, next) in &new {
                if self.at.get(topic).is_some_and(|before| before > next) {
                    problems.push(format!("position: {place}: {topic} goes back to {next}"));
                }
            }
            self.at = new;
            return;
        }
        self.records += 1;
        if let Some(cause) = entry.envelope.causation {
            let cause = (cause.topic, cause.seq);
            if !input(cause.0, cause.1) {
                problems.push(format!("quiet: {place} was caused by a runtime record"));
            }
            if self.batch.last() != Some(&cause) {
                if !self.taken.insert(cause) {
                    problems.push(format!("reaction: {place}: {cause:?} was taken before"));
                }
                self.batch.push(cause);
            }
        }
    }

    /// An overlay that never pays follows nobody: credits of the past are kpi's alone.
    fn taken_without(&self, from: Topic, _: u64, count: usize, source: &Entry) -> bool {
        let history = |payload: &[u8]| proto::kpi::CreditGranted::decode(payload).is_ok_and(|credit| credit.history);
        from == Topic::Kpi && count == 0 && source.envelope.schema == 6 && history(&source.payload)
    }
}

/// What finance reads is what payroll wrote, once for each payout's version and state.
pub fn payouts(entries: &Entries, problems: &mut Vec<String>) {
    let of = |topic, schema| {
        let read = entries.iter().filter(move |((of, _), _)| *of == topic).flat_map(|(_, read)| read);
        read.filter(move |entry| entry.envelope.schema == schema).map(|entry| &entry.payload).collect::<Vec<_>>()
    };
    let (own, public) = (of(Topic::Payroll, 9), of(Topic::Payout, 1));
    if own != public {
        problems.push(format!("payout: {} changes in payroll, {} for finance", own.len(), public.len()));
    }
    let mut seen = BTreeSet::new();
    for payload in public {
        let change = proto::payroll::PayoutChanged::decode(&payload[..]).expect("a payout's change");
        if !seen.insert((change.payout_id.clone(), change.version, change.state)) {
            problems.push(format!(
                "payout: {:02x?} version {} came to {} twice",
                change.payout_id, change.version, change.state
            ));
        }
    }
}
