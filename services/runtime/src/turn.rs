//! One turn of a shard: inputs are decided one after the other on the evolving state, and what they yield is gathered
//! into one batch. Nothing leaves here before the batch is durable.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use kernel::{Actor, COMMAND_WINDOW, CommandId, Decider, Duration, EventId, Stamp, TenantId, Timer, Timestamp};
use log::{Causation, Envelope, Header, Record, Topic, record_hash};
use prost::Message;
use proto::common;

use crate::call::{Meta, Receipt};
use crate::service::{CodecError, Reaction, Service, Upstream, Vault, schema};
use crate::state::ShardState;
use crate::status::CallError;

/// How far ahead of the shard's clock a command's `issued_at` may be: clients' clocks are not exact.
pub const SKEW_MAX: Duration = Duration::from_secs(60);

/// Timers fired within one turn: a turn must end, the rest fires in the next (L9).
const TIMERS_PER_TURN: usize = 4096;

/// Inputs parked in one shard before it stops: more means that the fault is not in the inputs (L9).
pub const PARKED_MAX: usize = 1000;

/// The chain of a public topic that is written beside the service's own.
#[derive(Debug, Clone, Default)]
pub(crate) struct PublicChain {
    pub next_seq: u64,
    pub previous_hash: [u8; 32],
}

/// Why a shard cannot go on with its inputs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TurnError {
    /// An upstream type that this build does not know: skipping it would lose a fact.
    #[error("{topic} record {seq}: {source}")]
    UnknownUpstream { topic: Topic, seq: u64, source: CodecError },
    #[error("more than {PARKED_MAX} inputs are parked")]
    TooManyParked,
    /// The fold panicked: the state cannot be trusted any more.
    #[error("folding panicked on an input from {0}")]
    FoldPanicked(String),
    #[error("a timer fired and changed nothing: {0}")]
    IdleTimer(String),
    #[error("record cannot be encoded: {0}")]
    Encode(String),
}

/// What has been decided in this turn and waits to be appended.
pub(crate) struct Turn<'a, S: Service> {
    pub state: &'a mut ShardState<S>,
    pub public: &'a mut PublicChain,
    /// Tenants by the time of their next timer.
    pub timers: &'a mut TimerIndex,
    pub vault: &'a dyn Vault,
    pub partition: u16,
    pub records: Vec<Record>,
    pub bytes: usize,
    pub inputs: u32,
    /// Upstream positions moved, so that the batch must be written even when it holds no event.
    pub moved: bool,
    /// Causes of the panics of earlier turns: an input that panicked twice alone is parked.
    pub suspects: &'a mut BTreeMap<(Topic, u64), u8>,
}

/// When each tenant's next timer is due.
#[derive(Debug, Default)]
pub(crate) struct TimerIndex {
    by_due: std::collections::BTreeSet<(Timestamp, [u8; 16], TenantId)>,
    of: BTreeMap<TenantId, (Timestamp, [u8; 16])>,
}

impl TimerIndex {
    pub(crate) fn set<C>(&mut self, tenant: TenantId, timer: Option<&Timer<C>>) {
        let new = timer.map(|timer| (timer.due, timer.id));
        let old = match new {
            Some(new) => self.of.insert(tenant, new),
            None => self.of.remove(&tenant),
        };
        if old == new {
            return;
        }
        if let Some((due, id)) = old {
            self.by_due.remove(&(due, id, tenant));
        }
        if let Some((due, id)) = new {
            self.by_due.insert((due, id, tenant));
        }
    }

    pub(crate) fn first(&self) -> Option<(Timestamp, TenantId)> {
        self.by_due.first().map(|(due, _, tenant)| (*due, *tenant))
    }
}

/// Where the events of a decision come from, for their envelopes.
struct Cause {
    command_id: CommandId,
    request_mac: [u8; 16],
    correlation: [u8; 16],
    actor: Actor,
    causation: Option<Causation>,
}

impl<S: Service> Turn<'_, S> {
    /// The shard's clock at this input: never earlier than any record.
    fn stamp_at(&mut self, now: Timestamp) -> Timestamp {
        self.state.last_at = self.state.last_at.max(now);
        self.state.last_at
    }

    /// Decides one caller's command.
    pub(crate) fn call(
        &mut self,
        now: Timestamp,
        meta: &Meta,
        command: &S::Command,
    ) -> Result<Result<Receipt, CallError<S::Rejection>>, TurnError> {
        let at = self.stamp_at(now);
        self.fire_timers(at)?;
        if let Some(known) = self.state.known(meta.tenant, meta.command_id) {
            if known.request_mac != meta.request_mac {
                return Ok(Err(CallError::CommandReused));
            }
            let receipt = Receipt {
                first_seq: known.first_seq,
                records: known.records,
                events: known.events,
                recorded_at: known.recorded_at,
                repeated: true,
            };
            return Ok(Ok(receipt));
        }
        if meta.issued_at < at - COMMAND_WINDOW {
            return Ok(Err(CallError::CommandExpired));
        }
        if meta.issued_at > at + SKEW_MAX {
            return Ok(Err(CallError::CommandFromFuture));
        }
        let stamp = Stamp { at, tenant: meta.tenant, command_id: meta.command_id, actor: meta.actor.clone() };
        let decided = match self.decide(&stamp, command) {
            Decided::Events(events) => events,
            Decided::Refused(refusal) => return Ok(Err(CallError::Refused(refusal))),
            Decided::Panicked(_) => return Ok(Err(CallError::Broken)),
        };
        let cause = Cause {
            command_id: meta.command_id,
            request_mac: meta.request_mac,
            correlation: meta.correlation,
            actor: meta.actor.clone(),
            causation: None,
        };
        let first_seq = self.state.next_seq;
        if !decided.is_empty() {
            self.events(&stamp, &decided, &cause)?;
        } else if meta.request_mac != [0; 16] {
            let payload = common::CommandNoted {}.encode_to_vec();
            self.runtime_record(at, meta.tenant, schema::COMMAND_NOTED, &payload, &cause)?;
        } // The server's own commands are never repeated: one that changes nothing needs no record.
        self.inputs += 1;
        let records = u32::try_from(self.state.next_seq - first_seq).unwrap_or(u32::MAX);
        let events = u32::try_from(decided.len()).unwrap_or(u32::MAX);
        Ok(Ok(Receipt { first_seq, records, events, recorded_at: at, repeated: false }))
    }

    /// Takes one upstream record. The position moves past it whatever comes of it.
    pub(crate) fn upstream(&mut self, now: Timestamp, record: &Record) -> Result<(), TurnError> {
        let (envelope, payload) = match Envelope::decode(&record.bytes) {
            Ok(decoded) => decoded,
            Err(error) => return Err(TurnError::Encode(format!("{} record {}: {error}", record.topic, record.seq))),
        };
        self.state.upstream.insert(record.topic, record.seq + 1);
        if envelope.schema >= schema::FIRST_RESERVED {
            return Ok(()); // A runtime record is never an input (L1).
        }
        let at = self.stamp_at(now);
        self.fire_timers(at)?;
        self.inputs += 1;
        self.moved = true;
        let source = Source { record, envelope: &envelope };
        let (header, _) = Header::parse(&record.bytes).expect("parsed above");
        let upstream = Upstream { topic: record.topic, header, payload };
        let vault = self.vault;
        let reacted = catch_unwind(AssertUnwindSafe(|| S::react(&upstream, vault)))
            .unwrap_or_else(|panic| Err(CodecError::Malformed(panic_text(&*panic))));
        match reacted {
            Ok(None) => Ok(()),
            Ok(Some(reaction)) => self.react(at, &source, &reaction),
            Err(source @ CodecError::UnknownSchema(_)) => {
                Err(TurnError::UnknownUpstream { topic: record.topic, seq: record.seq, source })
            }
            Err(CodecError::Malformed(why)) => {
                self.park(at, &source, record.seq.to_le_bytes().to_vec(), "UNDECODABLE", &why)
            }
        }
    }

    fn react(&mut self, at: Timestamp, source: &Source<'_>, reaction: &Reaction<S::Command>) -> Result<(), TurnError> {
        let tenant = source.envelope.tenant;
        if self.state.tenants.get(&tenant).is_some_and(|tenant| tenant.parked.contains_key(&reaction.entity)) {
            return self.park(
                at,
                source,
                reaction.entity.clone(),
                "BEHIND_PARKED",
                "an earlier input of the same entity is parked",
            );
        }
        self.attempt(at, source, reaction)
    }

    /// Decides a reaction, or parks it.
    pub(crate) fn attempt(
        &mut self,
        at: Timestamp,
        source: &Source<'_>,
        reaction: &Reaction<S::Command>,
    ) -> Result<(), TurnError> {
        let key = (source.record.topic, source.record.seq);
        if self.suspects.get(&key).is_some_and(|panics| *panics >= 2) {
            return self.park(
                at,
                source,
                reaction.entity.clone(),
                "PANICKED",
                "the input made the service panic twice",
            );
        }
        let stamp =
            Stamp { at, tenant: source.envelope.tenant, command_id: source.command_id(), actor: Actor::default() };
        for _ in 0..2 {
            match self.decide(&stamp, &reaction.command) {
                Decided::Events(events) => {
                    *self.suspects.entry(key).or_default() += 1;
                    self.events(&stamp, &events, &source.cause(stamp.command_id))?;
                    self.suspects.remove(&key);
                    return Ok(());
                }
                Decided::Refused(refusal) => {
                    return self.park(at, source, reaction.entity.clone(), "REFUSED", &refusal.to_string());
                }
                Decided::Panicked(why) => {
                    tracing::error!(service = S::NAME, topic = %source.record.topic, seq = source.record.seq, why, "input panicked");
                }
            }
        }
        self.park(at, source, reaction.entity.clone(), "PANICKED", "the input made the service panic twice")
    }

    fn park(
        &mut self,
        at: Timestamp,
        source: &Source<'_>,
        entity: Vec<u8>,
        reason: &str,
        detail: &str,
    ) -> Result<(), TurnError> {
        if self.state.parked() >= PARKED_MAX {
            return Err(TurnError::TooManyParked);
        }
        crate::metrics::PARKED.with_label_values(&[S::NAME, reason]).inc();
        tracing::error!(service = S::NAME, topic = %source.record.topic, seq = source.record.seq, reason, detail, "input parked");
        let parked = common::Parked {
            entity,
            reason: reason.to_owned(),
            detail: detail.to_owned(),
            topic: u32::from(source.record.topic.number()),
            seq: source.record.seq,
        };
        let tenant = source.envelope.tenant;
        let cause = source.cause(source.command_id());
        self.runtime_record(at, tenant, schema::PARKED, &parked.encode_to_vec(), &cause)
    }

    /// Lifts a park and decides its inputs again, which the caller has read from their topics, in order.
    pub(crate) fn release(
        &mut self,
        now: Timestamp,
        tenant: TenantId,
        entity: &[u8],
        inputs: &[Record],
    ) -> Result<(), TurnError> {
        let at = self.stamp_at(now);
        let command_id =
            CommandId::of_parts(&[b"release", tenant.as_bytes(), entity, &self.state.next_seq.to_le_bytes()]);
        let cause = Cause {
            command_id,
            request_mac: [0; 16],
            correlation: [0; 16],
            actor: Actor { kind: kernel::ActorKind::LocalOperator, ..Actor::default() },
            causation: None,
        };
        let payload = common::ParkReleased { entity: entity.to_vec() }.encode_to_vec();
        self.runtime_record(at, tenant, schema::PARK_RELEASED, &payload, &cause)?;
        self.inputs += 1;
        for record in inputs {
            self.suspects.remove(&(record.topic, record.seq));
            let (envelope, payload) =
                Envelope::decode(&record.bytes).map_err(|error| TurnError::Encode(error.to_string()))?;
            let (header, _) = Header::parse(&record.bytes).map_err(|error| TurnError::Encode(error.to_string()))?;
            let source = Source { record, envelope: &envelope };
            match S::react(&Upstream { topic: record.topic, header, payload }, self.vault) {
                Ok(Some(reaction)) => self.react(at, &source, &reaction)?,
                Ok(None) => {}
                Err(error) => self.park(at, &source, entity.to_vec(), "UNDECODABLE", &error.to_string())?,
            }
        }
        Ok(())
    }

    /// Fires all timers due at `now`, in (due, id) order. Returns with some left when there are too many for one turn.
    pub(crate) fn fire_timers(&mut self, now: Timestamp) -> Result<(), TurnError> {
        // Timers alone move the shard's clock too, or what comes after them would be recorded as earlier.
        let at = self.stamp_at(now);
        for _ in 0..TIMERS_PER_TURN {
            let Some((due, tenant)) = self.timers.first().filter(|(due, _)| *due <= at) else { return Ok(()) };
            let timer = self.state.tenants.get(&tenant).and_then(|tenant| S::next_timer(&tenant.state));
            let Some(timer) = timer.filter(|timer| timer.due == due) else {
                return Err(TurnError::IdleTimer(format!("tenant {tenant} has no timer due at {due:?}")));
            };
            let command_id = timer.command_id(tenant);
            let stamp = Stamp { at, tenant, command_id, actor: Actor::default() };
            let events = match self.decide(&stamp, &timer.command) {
                Decided::Events(events) if !events.is_empty() => events,
                Decided::Events(_) => return Err(TurnError::IdleTimer(format!("{:?}", timer.command))),
                Decided::Refused(refusal) => return Err(TurnError::IdleTimer(refusal.to_string())),
                Decided::Panicked(why) => return Err(TurnError::FoldPanicked(why)),
            };
            let cause = Cause {
                command_id,
                request_mac: [0; 16],
                correlation: *command_id.as_bytes(),
                actor: Actor::default(),
                causation: None,
            };
            self.events(&stamp, &events, &cause)?;
            self.inputs += 1;
        }
        Ok(())
    }

    fn decide(&self, stamp: &Stamp, command: &S::Command) -> Decided<S> {
        // A tenant that has no record yet must not be there after a refusal: a cold rebuild would not have it (L5).
        let nothing;
        let state = match self.state.tenants.get(&stamp.tenant) {
            Some(tenant) => &tenant.state,
            None => {
                nothing = S::State::default();
                &nothing
            }
        };
        match catch_unwind(AssertUnwindSafe(|| S::decide(state, command, stamp))) {
            Ok(Ok(events)) => Decided::Events(events),
            Ok(Err(refusal)) => Decided::Refused(refusal),
            Err(panic) => Decided::Panicked(panic_text(&*panic)),
        }
    }

    /// Encodes and folds the events of one decision.
    fn events(&mut self, stamp: &Stamp, events: &[S::Event], cause: &Cause) -> Result<(), TurnError> {
        let mut payload = Vec::new();
        for (n, event) in (0u32..).zip(events) {
            payload.clear();
            let schema = S::encode(event, &mut payload);
            let bytes = self.chain(stamp.at, stamp.tenant, n, schema, &payload, cause)?;
            let (header, _) = Header::parse(&bytes).map_err(|error| TurnError::Encode(error.to_string()))?;
            let state = &mut *self.state;
            catch_unwind(AssertUnwindSafe(|| state.apply(&header, event)))
                .map_err(|panic| TurnError::FoldPanicked(panic_text(&*panic)))?;
            self.push(bytes);
            if let Some(published) = S::publish(event) {
                self.publish(stamp, n, &published, cause)?;
            }
        }
        let timer = S::next_timer(&self.state.tenant(stamp.tenant).state);
        self.timers.set(stamp.tenant, timer.as_ref());
        Ok(())
    }

    fn runtime_record(
        &mut self,
        at: Timestamp,
        tenant: TenantId,
        schema: u16,
        payload: &[u8],
        cause: &Cause,
    ) -> Result<(), TurnError> {
        let bytes = self.chain(at, tenant, 0, schema, payload, cause)?;
        let record = Record { topic: S::TOPIC, partition: self.partition, seq: self.state.next_seq, bytes };
        self.state.fold(&record).map_err(|error| TurnError::Encode(error.to_string()))?;
        self.bytes += record.bytes.len();
        self.records.push(record);
        Ok(())
    }

    fn envelope(&self, at: Timestamp, tenant: TenantId, n: u32, schema: u16, cause: &Cause) -> Envelope {
        Envelope {
            schema,
            logic_version: S::LOGIC_VERSION,
            tenant,
            seq: 0,
            id: EventId::of_parts(&[
                S::TOPIC.name().as_bytes(),
                tenant.as_bytes(),
                cause.command_id.as_bytes(),
                &schema.to_le_bytes(),
                &n.to_le_bytes(),
            ]),
            recorded_at: at,
            command_id: cause.command_id,
            request_mac: cause.request_mac,
            correlation: cause.correlation,
            previous_hash: [0; 32],
            causation: cause.causation,
            actor: cause.actor.clone(),
        }
    }

    fn chain(
        &mut self,
        at: Timestamp,
        tenant: TenantId,
        n: u32,
        schema: u16,
        payload: &[u8],
        cause: &Cause,
    ) -> Result<Bytes, TurnError> {
        let envelope = self.envelope(at, tenant, n, schema, cause);
        self.state.chain(envelope, payload).map_err(|error| TurnError::Encode(error.to_string()))
    }

    fn push(&mut self, bytes: Bytes) {
        let seq = self.state.next_seq;
        self.state.advance(&bytes);
        self.bytes += bytes.len();
        self.records.push(Record { topic: S::TOPIC, partition: self.partition, seq, bytes });
    }

    fn publish(&mut self, stamp: &Stamp, n: u32, published: &crate::Published, cause: &Cause) -> Result<(), TurnError> {
        let seq = self.public.next_seq;
        let envelope = Envelope {
            seq,
            id: EventId::of_parts(&[published.topic.name().as_bytes(), cause.command_id.as_bytes(), &n.to_le_bytes()]),
            previous_hash: self.public.previous_hash,
            ..self.envelope(stamp.at, stamp.tenant, n, published.schema, cause)
        };
        let bytes =
            Bytes::from(envelope.encode(&published.payload).map_err(|error| TurnError::Encode(error.to_string()))?);
        *self.public = PublicChain { next_seq: seq + 1, previous_hash: record_hash(&bytes) };
        self.bytes += bytes.len();
        self.records.push(Record { topic: published.topic, partition: self.partition, seq, bytes });
        Ok(())
    }

    /// Closes the batch with its `Batch` record (L1), when there is anything to write.
    pub(crate) fn close(&mut self) -> Result<(), TurnError> {
        if self.records.is_empty() && !self.moved {
            return Ok(());
        }
        let upstream = self.state.upstream.iter();
        let batch = common::Batch {
            upstream: upstream
                .map(|(topic, next)| common::UpstreamPosition { topic: u32::from(topic.number()), next_seq: *next })
                .collect(),
            inputs: self.inputs,
        };
        let nobody = TenantId::default();
        let command_id = CommandId::of_parts(&[
            b"batch",
            S::TOPIC.name().as_bytes(),
            &self.partition.to_le_bytes(),
            &self.state.next_seq.to_le_bytes(),
        ]);
        let cause =
            Cause { command_id, request_mac: [0; 16], correlation: [0; 16], actor: Actor::default(), causation: None };
        let at = self.state.last_at;
        self.runtime_record(at, nobody, schema::BATCH, &batch.encode_to_vec(), &cause)
    }
}

/// An upstream record with its envelope.
pub(crate) struct Source<'a> {
    pub record: &'a Record,
    pub envelope: &'a Envelope,
}

impl Source<'_> {
    /// The command id of the reaction to this record.
    fn command_id(&self) -> CommandId {
        let Record { topic, partition, seq, .. } = self.record;
        CommandId::of_parts(&[b"reaction", topic.name().as_bytes(), &partition.to_le_bytes(), &seq.to_le_bytes()])
    }

    fn cause(&self, command_id: CommandId) -> Cause {
        let Record { topic, partition, seq, .. } = *self.record;
        Cause {
            command_id,
            request_mac: [0; 16],
            correlation: self.envelope.correlation,
            actor: Actor::default(),
            causation: Some(Causation { topic, partition, seq }),
        }
    }
}

enum Decided<S: Decider> {
    Events(Vec<S::Event>),
    Refused(S::Rejection),
    Panicked(String),
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "unknown panic".to_owned())
}
