//! The proof that the log is the truth: a cold rebuild, compared with the snapshot, and every decision decided again.

use std::path::Path;

use kernel::{Digest, Stamp};
use log::{Envelope, Log, Record};

use crate::service::{Service, schema};
use crate::shard::RecoverError;
use crate::snapshot;
use crate::state::{FoldError, ShardState};

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;
/// Differences kept with their words; all are counted.
const KEPT: usize = 10;

/// A decision that comes out otherwise when it is decided again.
#[derive(Debug, Clone)]
pub struct Difference {
    pub seq: u64,
    pub what: String,
}

/// What was found about one shard of one service.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Events folded, runtime records apart.
    pub events: u64,
    /// Digest of the cold rebuild at `next_seq`.
    pub digest: Digest,
    pub next_seq: u64,
    /// The snapshot's digest and sequence number, when there is one of this build.
    pub snapshot: Option<(u64, Digest)>,
    /// Whether the rebuild had the snapshot's digest at the snapshot's place.
    pub snapshot_equal: bool,
    /// Decisions of the running logic version that were decided again.
    pub redecided: u64,
    /// Decisions of older logic versions, which are not held to today's rules.
    pub older: u64,
    /// How many came out otherwise.
    pub differences: u64,
    pub examples: Vec<Difference>,
    /// Laws that the rebuilt states break.
    pub violations: Vec<String>,
}

/// Events of one decision: records in a row with one command id.
struct Decision<S: Service> {
    stamp: Stamp,
    logic_version: u32,
    events: Vec<S::Event>,
    records: Vec<Record>,
}

struct Verifier<S: Service> {
    state: ShardState<S>,
    pending: Option<Decision<S>>,
    found: Verified,
}

/// Rebuilds one shard from its log up to `end`, with nothing but the log.
pub async fn verify<S: Service>(
    log: &dyn Log,
    partition: u16,
    end: u64,
    snapshots: Option<(&Path, &str)>,
) -> Result<Verified, RecoverError> {
    let snapshot = snapshots.and_then(|(dir, build)| {
        let state: ShardState<S> = snapshot::read(&snapshot::path(dir, S::NAME, partition), build)?;
        Some((state.next_seq, state.digest()))
    });
    let state = ShardState::<S>::default();
    let found = Verified {
        events: 0,
        digest: state.digest(),
        next_seq: 0,
        snapshot,
        snapshot_equal: snapshot.is_none(),
        redecided: 0,
        older: 0,
        differences: 0,
        examples: Vec::new(),
        violations: Vec::new(),
    };
    let mut verifier = Verifier { state, pending: None, found };
    verifier.compare_snapshot(); // One may have been taken before the first record.
    while verifier.next() < end {
        for record in log.read(S::TOPIC, partition, verifier.next(), READ_BYTES).await? {
            if record.seq >= end {
                break;
            }
            verifier.take(&record)?;
        }
    }
    verifier.settle()?;
    Ok(verifier.finish())
}

impl<S: Service> Verifier<S> {
    fn next(&self) -> u64 {
        // A decision that is being gathered is not folded yet.
        self.state.next_seq + self.pending.as_ref().map_or(0, |decision| decision.records.len() as u64)
    }

    fn take(&mut self, record: &Record) -> Result<(), RecoverError> {
        let fail = |what: String| FoldError { topic: record.topic, seq: record.seq, what };
        let (envelope, payload) = Envelope::decode(&record.bytes).map_err(|error| fail(error.to_string()))?;
        if envelope.schema >= schema::FIRST_RESERVED {
            self.settle()?;
            self.state.fold(record)?;
            self.compare_snapshot();
            return Ok(());
        }
        let event =
            S::decode(envelope.schema, payload, envelope.recorded_at).map_err(|error| fail(error.to_string()))?;
        let same = |decision: &Decision<S>| {
            decision.stamp.command_id == envelope.command_id && decision.stamp.tenant == envelope.tenant
        };
        if !self.pending.as_ref().is_some_and(same) {
            self.settle()?;
            let stamp = Stamp {
                at: envelope.recorded_at,
                tenant: envelope.tenant,
                command_id: envelope.command_id,
                actor: envelope.actor,
            };
            let logic_version = envelope.logic_version;
            self.pending = Some(Decision { stamp, logic_version, events: Vec::new(), records: Vec::new() });
        }
        let decision = self.pending.as_mut().expect("made above");
        decision.events.push(event);
        decision.records.push(record.clone());
        Ok(())
    }

    /// Decides the gathered decision again on the state before it, then folds it.
    fn settle(&mut self) -> Result<(), FoldError> {
        let Some(decision) = self.pending.take() else { return Ok(()) };
        if decision.logic_version == S::LOGIC_VERSION {
            self.found.redecided += 1;
            if let Some(what) = self.redecide(&decision) {
                self.found.differences += 1;
                if self.found.examples.len() < KEPT {
                    let seq = decision.records.first().map_or(0, |record| record.seq);
                    self.found.examples.push(Difference { seq, what });
                }
            }
        } else {
            self.found.older += 1;
        }
        for record in &decision.records {
            self.state.fold(record)?;
        }
        Ok(())
    }

    fn redecide(&mut self, decision: &Decision<S>) -> Option<String> {
        let Some(command) = S::command_of(&decision.events) else {
            return Some("its events do not give its command back".to_owned());
        };
        let state = &self.state.tenant(decision.stamp.tenant).state;
        match S::decide(state, &command, &decision.stamp) {
            Ok(events) if events == decision.events => None,
            Ok(events) => {
                let pairs = decision.events.iter().zip(&events);
                let first = pairs.clone().position(|(was, is)| was != is).unwrap_or_else(|| pairs.count());
                let (was, is) = (decision.events.get(first), events.get(first));
                Some(format!("event {first} was {was:?}, now it is {is:?}"))
            }
            Err(refusal) => Some(format!("it was carried out, now it is refused: {refusal}")),
        }
    }

    fn compare_snapshot(&mut self) {
        if let Some((seq, digest)) = self.found.snapshot
            && seq == self.state.next_seq
        {
            self.found.snapshot_equal = self.state.digest() == digest;
        }
    }

    fn finish(mut self) -> Verified {
        self.compare_snapshot();
        for (tenant, kept) in &self.state.tenants {
            if let Err(violation) = S::invariants(&kept.state) {
                self.found.violations.push(format!("tenant {tenant}: {violation}"));
            }
        }
        self.found.events = self.state.events;
        self.found.next_seq = self.state.next_seq;
        self.found.digest = self.state.digest();
        self.found
    }
}
