//! A shard's state: the fold of its own log, tenant by tenant.

use std::collections::BTreeMap;

use bytes::Bytes;
use kernel::{CommandId, CommandSet, Digest, TenantId, Timestamp, digest_of};
use log::{Envelope, EnvelopeError, Header, Record, Topic, record_hash};
use prost::Message;
use proto::common;
use serde::{Deserialize, Serialize};

use crate::service::{CodecError, Service, schema};
use crate::wire::Fields;

/// An input that waits beside the stream, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedInput {
    pub topic: Topic,
    pub seq: u64,
    pub reason: String,
    pub detail: String,
}

/// All that a shard keeps of one tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Tenant<S: Service> {
    pub state: S::State,
    /// Callers' commands of the last days (L4).
    pub commands: CommandSet,
    /// By entity; the inputs of each in the order in which they came.
    pub parked: BTreeMap<Vec<u8>, Vec<ParkedInput>>,
}

impl<S: Service> Default for Tenant<S> {
    fn default() -> Self {
        Self { state: S::State::default(), commands: CommandSet::default(), parked: BTreeMap::new() }
    }
}

/// The fold of a shard's log up to some record.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct ShardState<S: Service> {
    pub tenants: BTreeMap<TenantId, Tenant<S>>,
    /// Next sequence number of the service's own topic.
    pub next_seq: u64,
    /// Next sequence number of each upstream topic, from the `Batch` records.
    pub upstream: BTreeMap<Topic, u64>,
    /// Clock of the last record: the shard's clock never goes back.
    pub last_at: Timestamp,
    /// Events folded, runtime records apart.
    pub events: u64,
    /// Hash of the last record, for the chain.
    previous_hash: [u8; 32],
    /// The last record, while its hash is not yet needed: most folds never need it.
    #[serde(skip)]
    last_record: Option<Bytes>,
}

impl<S: Service> Default for ShardState<S> {
    fn default() -> Self {
        Self {
            tenants: BTreeMap::new(),
            next_seq: 0,
            upstream: BTreeMap::new(),
            last_at: Timestamp::default(),
            events: 0,
            previous_hash: [0; 32],
            last_record: None,
        }
    }
}

/// Why an own record could not be folded. The service refuses to start: nothing of one's own log is ever skipped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{topic} record {seq}: {what}")]
pub struct FoldError {
    pub topic: Topic,
    pub seq: u64,
    pub what: String,
}

impl<S: Service> ShardState<S> {
    /// Folds one record of the service's own topic.
    pub fn fold(&mut self, record: &Record) -> Result<(), FoldError> {
        self.fold_bytes(&record.bytes).map_err(|what| FoldError { topic: record.topic, seq: record.seq, what })?;
        self.last_record = Some(record.bytes.clone());
        Ok(())
    }

    /// Folds records that follow each other, of which only the last is kept.
    pub(crate) fn fold_all(&mut self, records: &[Record]) -> Result<(), FoldError> {
        for record in records {
            self.fold_bytes(&record.bytes).map_err(|what| FoldError { topic: record.topic, seq: record.seq, what })?;
        }
        if let Some(last) = records.last() {
            // A copy: the record is a part of all that was read with it.
            self.last_record = Some(Bytes::copy_from_slice(&last.bytes));
        }
        Ok(())
    }

    fn fold_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (header, payload) = Header::parse(bytes).map_err(|error: EnvelopeError| error.to_string())?;
        if header.seq != self.next_seq {
            return Err(format!("sequence number {} where {} was expected", header.seq, self.next_seq));
        }
        if header.schema < schema::FIRST_RESERVED {
            let state = &mut self.tenants.entry(header.tenant).or_default().state;
            S::fold(state, header.schema, payload, header.recorded_at).map_err(|error| error.to_string())?;
            self.events += 1;
            self.note_command(&header);
        } else {
            self.fold_runtime_record(&header, payload)?;
        }
        self.next_seq += 1;
        self.last_at = self.last_at.max(header.recorded_at);
        Ok(())
    }

    fn fold_runtime_record(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        let malformed = |error: prost::DecodeError| CodecError::from(error).to_string();
        match header.schema {
            schema::BATCH => self.fold_positions(payload).map_err(|error| error.to_string())?,
            schema::COMMAND_NOTED => self.note_command(header),
            schema::PARKED => {
                let parked = common::Parked::decode(payload).map_err(malformed)?;
                let input = ParkedInput {
                    topic: Topic::from_number(u8::try_from(parked.topic).unwrap_or(0))
                        .ok_or_else(|| format!("topic {} is not known here", parked.topic))?,
                    seq: parked.seq,
                    reason: parked.reason,
                    detail: parked.detail,
                };
                self.tenant(header.tenant).parked.entry(parked.entity).or_default().push(input);
            }
            schema::PARK_RELEASED => {
                let released = common::ParkReleased::decode(payload).map_err(malformed)?;
                self.tenant(header.tenant).parked.remove(&released.entity);
                self.note_command(header);
            }
            other => return Err(CodecError::UnknownSchema(other).to_string()),
        }
        Ok(())
    }

    /// Folds a `Batch` record: there is one for every few events.
    fn fold_positions(&mut self, batch: &[u8]) -> Result<(), CodecError> {
        for field in Fields::of(batch) {
            let (1, position) = field? else { continue };
            let (mut topic, mut next_seq) = (0, 0);
            for part in Fields::of(position.bytes()?) {
                match part? {
                    (1, value) => topic = value.small()?,
                    (2, value) => next_seq = value.number()?,
                    _ => {}
                }
            }
            let unknown = || CodecError::Malformed(format!("topic {topic} is not known here"));
            let topic = u8::try_from(topic).ok().and_then(Topic::from_number).ok_or_else(unknown)?;
            self.upstream.insert(topic, next_seq);
        }
        Ok(())
    }

    /// Folds a decoded event with the header of its record.
    pub(crate) fn apply(&mut self, header: &Header, event: &S::Event) {
        S::evolve(&mut self.tenant(header.tenant).state, event);
        self.events += 1;
        self.note_command(header);
    }

    fn note_command(&mut self, header: &Header) {
        // Zeros: no caller's command is the cause, so there is nothing that could come a second time.
        if header.request_mac != [0; 16] {
            let is_event = header.schema < schema::FIRST_RESERVED;
            let commands = &mut self.tenant(header.tenant).commands;
            commands.note(header.command_id, header.request_mac, header.seq, header.recorded_at, is_event);
        }
    }

    pub(crate) fn tenant(&mut self, tenant: TenantId) -> &mut Tenant<S> {
        self.tenants.entry(tenant).or_default()
    }

    /// What was carried out before under this id, if it was.
    pub(crate) fn known(&self, tenant: TenantId, command: CommandId) -> Option<kernel::Known> {
        self.tenants.get(&tenant)?.commands.get(&command).copied()
    }

    /// Encodes `envelope`, which must continue the topic, and folds nothing.
    pub(crate) fn chain(&mut self, mut envelope: Envelope, payload: &[u8]) -> Result<Bytes, EnvelopeError> {
        envelope.seq = self.next_seq;
        envelope.previous_hash = self.previous_hash();
        Ok(Bytes::from(envelope.encode(payload)?))
    }

    /// Notes that `bytes` is now the last record.
    pub(crate) fn advance(&mut self, bytes: &Bytes) {
        self.last_record = Some(bytes.clone());
        self.next_seq += 1;
    }

    pub(crate) fn previous_hash(&mut self) -> [u8; 32] {
        if let Some(record) = self.last_record.take() {
            self.previous_hash = record_hash(&record);
        }
        self.previous_hash
    }

    /// Digest of the domain state with positions left out (L5).
    pub fn digest(&self) -> Digest {
        digest_of(&self.tenants)
    }

    pub fn parked(&self) -> usize {
        self.tenants.values().flat_map(|tenant| tenant.parked.values()).map(Vec::len).sum()
    }
}
