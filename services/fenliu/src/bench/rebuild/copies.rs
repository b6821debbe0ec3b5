//! The records of the sample day, multiplied: the same mix and sizes, other ids and times.

use std::collections::VecDeque;
use std::path::Path;

use anyhow::{Context, bail};
use bytes::Bytes;
use kernel::{TenantId, shard_of};
use log::{Batch, Embedded, Epoch, Header, Log, Options, Record, Topic, record_hash};
use prost_reflect::{Kind, MessageDescriptor};
use runtime::schema;

use crate::contract;
use crate::demo::{Sample, TENANT};

/// Companies whose days the copies are.
const COMPANIES: u64 = 8;
/// Batches on their way to the disk at a time.
const IN_FLIGHT: usize = 512;

/// Where a record's envelope has what is another in every copy.
const TENANT_AT: usize = 7;
const SEQ_AT: usize = 23;
const ID_AT: usize = 31;
const TIME_AT: usize = 47;
const COMMAND_AT: usize = 55;
const HASH_AT: usize = 103;

/// What a place in a record's bytes holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// An id that every copy has of its own.
    Id(usize),
    /// An employee's: one a company.
    Employee(usize),
    /// An instant as a varint of this many bytes.
    Instant(usize, usize),
}

#[derive(Clone)]
struct Piece {
    bytes: Vec<u8>,
    places: Vec<Place>,
    recorded_at: i64,
    is_event: bool,
    is_batch: bool,
}

/// What one service wrote on the sample day, batch by batch.
pub(super) struct Day {
    /// What was there before the day: company, labels, history.
    setup: Vec<Vec<Piece>>,
    day: Vec<Vec<Piece>>,
    /// From the first record of the day to the last, so that one day ends before the next copy begins.
    span_us: i64,
}

impl Day {
    pub(super) async fn read(dir: &Path, topic: Topic) -> anyhow::Result<Self> {
        let log = log::read_only(dir)?;
        let begins = Sample::load(None)?.day_start().as_micros();
        let partition = shard_of(TenantId::of_code(TENANT), log.partitions());
        let end = *log.end(topic, partition).borrow();
        let (mut day, mut batch) = (Self { setup: Vec::new(), day: Vec::new(), span_us: 0 }, Vec::new());
        let mut next = 0;
        let mut last = begins;
        while next < end {
            for record in log.read(topic, partition, next, 1 << 20).await? {
                next = record.seq + 1;
                let (header, _) = Header::parse(&record.bytes)?;
                let piece = piece(topic, &record.bytes)?;
                last = piece.recorded_at;
                batch.push(piece);
                if header.schema == schema::BATCH {
                    let part = if last < begins { &mut day.setup } else { &mut day.day };
                    part.push(std::mem::take(&mut batch));
                }
            }
        }
        day.span_us = last - begins + 1;
        if day.day.is_empty() { bail!("the sample day has no records of {topic}") } else { Ok(day) }
    }

    /// The same events, of which a batch gathers as many as come while the last one is written.
    pub(super) fn in_batches_of(&self, events: usize) -> Self {
        let gathered = |batches: &[Vec<Piece>]| {
            let mut out: Vec<Vec<Piece>> = Vec::new();
            let mut batch: Vec<Piece> = Vec::new();
            let mut end = None;
            for piece in batches.iter().flatten() {
                if piece.is_batch {
                    end = Some(piece.clone());
                    if batch.len() >= events {
                        batch.extend(end.take());
                        out.push(std::mem::take(&mut batch));
                    }
                } else {
                    batch.push(piece.clone());
                }
            }
            batch.extend(end);
            out.push(batch);
            out
        };
        Self { setup: gathered(&self.setup), day: gathered(&self.day), span_us: self.span_us }
    }

    /// Writes a log of about `events` events of this one topic.
    pub(super) async fn write(&self, dir: &Path, topic: Topic, events: u64) -> anyhow::Result<()> {
        let log = Embedded::open(dir, Options { partitions: 1, ..Options::default() })?.log;
        let epoch = log.fence(topic, 0).await?;
        let mut writer = Writer { log: &*log, topic, epoch, seq: 0, hash: [0; 32], events: 0, flying: VecDeque::new() };
        for copy in 0.. {
            let company = copy % COMPANIES;
            if copy < COMPANIES {
                writer.batches(&self.setup, &Copy::new(copy, company, 0), events).await?;
            }
            if writer.events >= events {
                break;
            }
            let shift = self.span_us.saturating_mul(i64::try_from(copy)?);
            writer.batches(&self.day, &Copy::new(copy, company, shift), events).await?;
        }
        writer.land(0).await?;
        log.close();
        Ok(())
    }
}

fn piece(topic: Topic, bytes: &[u8]) -> anyhow::Result<Piece> {
    let (header, payload) = Header::parse(bytes)?;
    let mut places = vec![Place::Id(ID_AT), Place::Id(COMMAND_AT)];
    let is_event = header.schema < schema::FIRST_RESERVED;
    let is_batch = header.schema == schema::BATCH;
    if is_event {
        let message = contract::event_message(topic, header.schema).context("a schema of this build")?;
        find(&message, payload, bytes.len() - payload.len(), &mut places)?;
    }
    Ok(Piece { bytes: bytes.to_vec(), places, recorded_at: header.recorded_at.as_micros(), is_event, is_batch })
}

fn varint(bytes: &[u8], at: &mut usize) -> anyhow::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at).context("a varint is cut")?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    bail!("a varint does not end")
}

/// Finds ids and instants in a message that begins at `base` of the record.
fn find(message: &MessageDescriptor, bytes: &[u8], base: usize, places: &mut Vec<Place>) -> anyhow::Result<()> {
    let mut at = 0;
    while at < bytes.len() {
        let tag = varint(bytes, &mut at)?;
        let field = u32::try_from(tag >> 3).ok().and_then(|number| message.get_field(number));
        let name = field.as_ref().map(|field| field.name().to_owned()).unwrap_or_default();
        let begun = at;
        match tag & 7 {
            0 => {
                let value = varint(bytes, &mut at)?;
                // A duration or a zero is no instant.
                if name.ends_with("_us") && value > 1_000_000_000_000_000 {
                    places.push(Place::Instant(base + begun, at - begun));
                }
            }
            1 => at += 8,
            5 => at += 4,
            2 => {
                let length = usize::try_from(varint(bytes, &mut at)?)?;
                let content = bytes.get(at..at + length).context("a field is cut")?;
                match field.map(|field| field.kind()) {
                    Some(Kind::Message(inner)) => find(&inner, content, base + at, places)?,
                    Some(Kind::Bytes) if length == 16 => places.push(id_of(&name, base + at)),
                    _ => {}
                }
                at += length;
            }
            other => bail!("wire type {other}"),
        }
    }
    Ok(())
}

fn id_of(name: &str, at: usize) -> Place {
    let employee = name.contains("employee") || name == "runner_up" || name == "tie_set";
    if employee { Place::Employee(at) } else { Place::Id(at) }
}

/// One copy: a day of one company.
struct Copy {
    tenant: [u8; 16],
    own: [u8; 16],
    company: [u8; 16],
    shift_us: i64,
}

impl Copy {
    fn new(copy: u64, company: u64, shift_us: i64) -> Self {
        let word = |what: &[u8], n: u64| *kernel::FactKey::of_parts(&[what, &n.to_le_bytes()]).as_bytes();
        let tenant = *TenantId::of_code(&format!("company-{company}")).as_bytes();
        Self { tenant, own: word(b"copy", copy), company: word(b"company", company), shift_us }
    }

    fn apply(&self, piece: &Piece, seq: u64, hash: &[u8; 32]) -> anyhow::Result<Bytes> {
        let mut bytes = piece.bytes.clone();
        let tenant = &mut bytes[TENANT_AT..TENANT_AT + 16];
        // A `Batch` record belongs to nobody.
        if tenant.iter().any(|byte| *byte != 0) {
            tenant.copy_from_slice(&self.tenant);
        }
        bytes[SEQ_AT..SEQ_AT + 8].copy_from_slice(&seq.to_le_bytes());
        bytes[TIME_AT..TIME_AT + 8].copy_from_slice(&(piece.recorded_at + self.shift_us).to_le_bytes());
        bytes[HASH_AT..HASH_AT + 32].copy_from_slice(hash);
        for place in &piece.places {
            match *place {
                Place::Id(at) => mix(&mut bytes[at..at + 16], &self.own),
                Place::Employee(at) => mix(&mut bytes[at..at + 16], &self.company),
                Place::Instant(at, length) => {
                    let value = varint(&piece.bytes, &mut at.clone())?;
                    let mut left = value.saturating_add_signed(self.shift_us);
                    for byte in &mut bytes[at..at + length] {
                        *byte = u8::try_from(left & 0x7f)? | 0x80;
                        left >>= 7;
                    }
                    bytes[at + length - 1] &= 0x7f;
                    if left > 0 {
                        bail!("an instant does not fit any more");
                    }
                }
            }
        }
        Ok(bytes.into())
    }
}

/// Ids are hashes: what is as good as one more.
fn mix(id: &mut [u8], with: &[u8; 16]) {
    id.iter_mut().zip(with).for_each(|(byte, other)| *byte ^= other);
}

type Flight<'a> = log::Boxed<'a, Result<(), log::AppendError>>;

struct Writer<'a> {
    log: &'a dyn Log,
    topic: Topic,
    epoch: Epoch,
    seq: u64,
    hash: [u8; 32],
    events: u64,
    flying: VecDeque<Flight<'a>>,
}

impl Writer<'_> {
    async fn batches(&mut self, batches: &[Vec<Piece>], copy: &Copy, enough: u64) -> anyhow::Result<()> {
        for pieces in batches {
            let mut records = Vec::with_capacity(pieces.len());
            for piece in pieces {
                let bytes = copy.apply(piece, self.seq, &self.hash)?;
                self.hash = record_hash(&bytes);
                records.push(Record { topic: self.topic, partition: 0, seq: self.seq, bytes });
                self.seq += 1;
                self.events += u64::from(piece.is_event);
            }
            let batch = Batch { writer: self.topic, partition: 0, epoch: self.epoch, records };
            self.flying.push_back(self.log.append(batch));
            self.land(IN_FLIGHT).await?;
            if self.events >= enough {
                break;
            }
        }
        Ok(())
    }

    async fn land(&mut self, flying_max: usize) -> anyhow::Result<()> {
        while self.flying.len() > flying_max {
            if let Some(flight) = self.flying.pop_front() {
                flight.await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: usize = 164;

    #[test]
    fn two_copies_differ_in_ids_and_instants_and_in_nothing_else() {
        let payload = prost::Message::encode_to_vec(&proto::kpi::ContactNoted {
            inquiry_id: vec![1; 16],
            employee_id: vec![2; 16],
            desk: "domestic".to_owned(),
            occurred_at_us: 1_790_000_000_000_000,
            ..Default::default()
        });
        let mut places = Vec::new();
        let message = contract::event_message(Topic::Kpi, 1).unwrap();
        find(&message, &payload, HEAD, &mut places).unwrap();
        assert_eq!(places.len(), 3, "{places:?}");
        let mut bytes = vec![0; HEAD];
        bytes.extend_from_slice(&payload);
        let piece = Piece { bytes, places, recorded_at: 5, is_event: true, is_batch: false };
        let read = |copy: &Copy| {
            let bytes = copy.apply(&piece, 9, &[0; 32]).unwrap();
            <proto::kpi::ContactNoted as prost::Message>::decode(&bytes[HEAD..]).unwrap()
        };
        let (one, two) = (read(&Copy::new(1, 1, 0)), read(&Copy::new(9, 1, 86_400_000_000)));
        assert_ne!(one.inquiry_id, two.inquiry_id);
        assert_eq!(one.employee_id, two.employee_id);
        assert_eq!(one.desk, two.desk);
        assert_eq!(two.occurred_at_us, 1_790_086_400_000_000);
    }
}
