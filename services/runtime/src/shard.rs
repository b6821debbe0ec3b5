//! The shard loop: recover, then turn after turn. Every failure ends in recovery, and recovery is start-up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use kernel::{TenantId, Timestamp};
use log::{AppendError, Batch, Epoch, Log, ReadError, Record, Topic, record_hash};
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use crate::call::{Meta, Receipt};
use crate::clock::{Clock, monotonic};
use crate::metrics;
use crate::service::{Service, Vault};
use crate::snapshot;
use crate::state::{FoldError, ShardState};
use crate::status::CallError;
use crate::turn::{PublicChain, TimerIndex, Turn, TurnError};

/// Inputs of one kind in one turn. Bounds a batch and so the wait of whoever comes just after it (L9).
const INPUTS_PER_TURN: usize = 512;
/// Bytes read from one upstream topic in one turn.
const UPSTREAM_BYTES_PER_TURN: usize = 1 << 20;
/// Bytes of records after which a turn takes no further input: well below what the log takes as one batch.
const TURN_BYTES: usize = 2 << 20;
/// Bytes read at once in recovery: they are still in the processor's cache when they are folded.
const RECOVERY_BYTES: usize = 512 << 10;
/// Records between two snapshots: a recovery folds at most about this many, a fraction of a second.
const SNAPSHOT_RECORDS: u64 = 200_000;
/// Waits between recoveries that fail, shortest and longest.
const BACKOFF: [std::time::Duration; 2] = [std::time::Duration::from_millis(50), std::time::Duration::from_secs(5)];

/// A look at committed state.
pub(crate) type Query<S> = Box<dyn FnOnce(&ShardState<S>) + Send>;

/// What is left of a call when its batch is on its way: its answer, once it is known whether the append failed.
type Answer = Box<dyn FnOnce(Option<&AppendError>) + Send>;

/// Something that a shard is asked, in the order of arrival.
pub(crate) enum Input<S: Service> {
    Call {
        meta: Box<Meta>,
        command: S::Command,
        answer: oneshot::Sender<Result<Receipt, CallError<S::Rejection>>>,
    },
    /// Reads committed state, between turns.
    Query(Query<S>),
    Release {
        tenant: TenantId,
        entity: Vec<u8>,
        answer: oneshot::Sender<Result<u32, CallError<S::Rejection>>>,
    },
}

/// How far a shard is, for whoever waits until everything has been read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub serving: bool,
    pub next_seq: u64,
    pub upstream: BTreeMap<Topic, u64>,
    pub next_due: Option<Timestamp>,
}

/// What a shard works with.
pub(crate) struct Shard<S: Service> {
    pub partition: u16,
    pub log: Arc<dyn Log>,
    pub clock: Clock,
    pub vault: Arc<dyn Vault>,
    pub snapshots: Option<PathBuf>,
    pub build: String,
    pub inputs: mpsc::Receiver<Input<S>>,
    pub progress: watch::Sender<Progress>,
    pub shutdown: CancellationToken,
    pub suspects: BTreeMap<(Topic, u64), u8>,
    /// Inputs for which the next turn must make room first: what woke an idle shard, and what the last turn had none for.
    pub next: Vec<Input<S>>,
}

/// The state of a shard that owns its partition.
struct Owned<S: Service> {
    state: ShardState<S>,
    public: PublicChain,
    timers: TimerIndex,
    epoch: Epoch,
    snapshot_at: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    #[error("fence: {0}")]
    Fence(#[from] AppendError),
    #[error("read: {0}")]
    Read(#[from] ReadError),
    /// An own record cannot be folded. Starting anyway would lose it.
    #[error("fold: {0}")]
    Fold(#[from] FoldError),
}

#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Turn(#[from] TurnError),
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Reads a service's own topic to its end, from a snapshot where there is one. Also the cold rebuild of `verify`.
pub async fn rebuild<S: Service>(
    log: &dyn Log,
    partition: u16,
    mut state: ShardState<S>,
    end: u64,
) -> Result<ShardState<S>, RecoverError> {
    while state.next_seq < end {
        let mut records = log.read(S::TOPIC, partition, state.next_seq, RECOVERY_BYTES).await?;
        records.truncate(usize::try_from(end - state.next_seq).unwrap_or(usize::MAX));
        state.fold_all(&records)?;
    }
    Ok(state)
}

impl<S: Service> Shard<S> {
    /// Runs until shutdown.
    pub(crate) async fn run(mut self) {
        if !self.wait_for_work().await {
            return;
        }
        let mut backoff = BACKOFF[0];
        while !self.shutdown.is_cancelled() {
            let stop = match self.recover().await {
                Ok(mut owned) => {
                    backoff = BACKOFF[0];
                    let ended = self.serve(&mut owned).await;
                    self.progress.send_modify(|progress| progress.serving = false);
                    match ended {
                        Ok(()) => {
                            self.snapshot(&mut owned);
                            return;
                        }
                        Err(stop) => stop.to_string(),
                    }
                }
                Err(error @ RecoverError::Fold(_)) => {
                    tracing::error!(service = S::NAME, partition = self.partition, %error, "own log cannot be folded; the shard stays down");
                    return;
                }
                Err(error) => error.to_string(),
            };
            metrics::RECOVERIES.with_label_values(&[S::NAME]).inc();
            tracing::error!(
                service = S::NAME,
                partition = self.partition,
                stop,
                "shard dropped its state and recovers"
            );
            tokio::time::sleep(backoff).await;
            backoff = (backoff * 2).min(BACKOFF[1]);
        }
    }

    /// A shard without a tenant costs nothing: it waits for the first record of its topics or the first call.
    async fn wait_for_work(&mut self) -> bool {
        let topics = S::UPSTREAMS.iter().chain([&S::TOPIC]);
        let mut ends: Vec<_> = topics.map(|topic| self.log.end(*topic, self.partition)).collect();
        let waits = ends.iter_mut().map(|end| Box::pin(async move { end.wait_for(|end| *end > 0).await.is_ok() }));
        let first_record = crate::follow::any(waits.collect());
        tokio::select! {
            () = self.shutdown.cancelled() => false,
            _ = first_record => true,
            first = self.inputs.recv() => {
                self.next.extend(first);
                !self.next.is_empty()
            }
        }
    }

    async fn recover(&mut self) -> Result<Owned<S>, RecoverError> {
        let begun = monotonic();
        let epoch = self.log.fence(S::TOPIC, self.partition).await?;
        let end = *self.log.end(S::TOPIC, self.partition).borrow();
        let snapshot = self.snapshots.as_ref().map(|dir| snapshot::path(dir, S::NAME, self.partition));
        let start: ShardState<S> = snapshot
            .and_then(|path| snapshot::read::<ShardState<S>>(&path, &self.build))
            .filter(|state| state.next_seq <= end)
            .unwrap_or_default();
        let from = start.next_seq;
        let state = rebuild(&*self.log, self.partition, start, end).await?;
        let public = public_chain::<S>(&*self.log, self.partition).await?;
        let mut timers = TimerIndex::default();
        for (tenant, kept) in &state.tenants {
            timers.set(*tenant, S::next_timer(&kept.state).as_ref());
            if let Err(violation) = S::invariants(&kept.state) {
                metrics::VIOLATIONS.with_label_values(&[S::NAME, violation.law]).inc();
                tracing::error!(service = S::NAME, %tenant, %violation, "a law of the state does not hold");
            }
        }
        let seconds = (monotonic() - begun).as_secs_f64();
        metrics::RECOVER_SECONDS.with_label_values(&[S::NAME]).observe(seconds);
        tracing::debug!(service = S::NAME, partition = self.partition, from, end, seconds, "shard recovered");
        let owned = Owned { snapshot_at: state.next_seq, state, public, timers, epoch };
        self.report(&owned);
        Ok(owned)
    }

    async fn serve(&mut self, owned: &mut Owned<S>) -> Result<(), Stop> {
        let mut ends: Vec<_> =
            S::UPSTREAMS.iter().map(|topic| (*topic, self.log.end(*topic, self.partition))).collect();
        loop {
            let next_due = owned.timers.first().map(|(due, _)| due);
            let behind = ends.iter().any(|(topic, end)| *end.borrow() > position(&owned.state, *topic));
            let mut inputs = std::mem::take(&mut self.next);
            if behind || !inputs.is_empty() {
                self.drain(&mut inputs);
            } else {
                let grown = ends.iter_mut().map(|(_, end)| Box::pin(async move { end.changed().await.is_ok() }));
                tokio::select! {
                    biased;
                    () = self.shutdown.cancelled() => return Ok(()),
                    count = self.inputs.recv_many(&mut inputs, INPUTS_PER_TURN) => if count == 0 { return Ok(()) },
                    _ = crate::follow::any(grown.collect()) => {}
                    () = sleep_until(&self.clock, next_due) => {}
                }
            }
            if self.shutdown.is_cancelled() {
                return Ok(());
            }
            let span =
                tracing::debug_span!("turn", service = S::NAME, partition = self.partition, calls = inputs.len());
            self.turn(owned, inputs, &mut ends).instrument(span).await?;
            self.report(owned);
            if owned.state.next_seq - owned.snapshot_at >= SNAPSHOT_RECORDS {
                self.snapshot(owned);
            }
        }
    }

    fn drain(&mut self, inputs: &mut Vec<Input<S>>) {
        while inputs.len() < INPUTS_PER_TURN {
            let Ok(input) = self.inputs.try_recv() else { break };
            inputs.push(input);
        }
    }

    /// One turn: decide all, append once, answer.
    async fn turn(
        &mut self,
        owned: &mut Owned<S>,
        inputs: Vec<Input<S>>,
        ends: &mut [(Topic, watch::Receiver<u64>)],
    ) -> Result<(), Stop> {
        let mut upstream = Vec::new();
        for (topic, end) in ends {
            let from = position(&owned.state, *topic);
            if *end.borrow_and_update() > from {
                let mut records = self.log.read(*topic, self.partition, from, UPSTREAM_BYTES_PER_TURN).await?;
                records.truncate(INPUTS_PER_TURN);
                upstream.append(&mut records);
            }
        }
        let released = inputs.iter().filter_map(|input| match input {
            Input::Release { tenant, entity, .. } => Some((*tenant, entity.clone())),
            Input::Call { .. } | Input::Query(_) => None,
        });
        let mut releases = BTreeMap::new();
        for (tenant, entity) in released.collect::<Vec<_>>() {
            let records = parked_records(&*self.log, self.partition, &owned.state, tenant, &entity).await?;
            releases.insert((tenant, entity), records);
        }
        let now = self.clock.now();
        let mut answers: Vec<Answer> = Vec::new();
        let mut queries = Vec::new();
        let records = {
            let mut turn = Turn {
                state: &mut owned.state,
                public: &mut owned.public,
                timers: &mut owned.timers,
                vault: &*self.vault,
                partition: self.partition,
                records: Vec::new(),
                bytes: 0,
                inputs: 0,
                moved: false,
                suspects: &mut self.suspects,
            };
            turn.fire_timers(now)?;
            let mut inputs = inputs.into_iter();
            while turn.bytes < TURN_BYTES
                && let Some(input) = inputs.next()
            {
                match input {
                    Input::Query(read) => queries.push(read),
                    Input::Call { meta, command, answer } => {
                        let result = turn.call(now, &meta, &command)?;
                        if let Err(CallError::Refused(refusal)) = &result {
                            let reason = kernel::Refusal::reason(refusal);
                            metrics::REJECTIONS.with_label_values(&[S::NAME, reason]).inc();
                        }
                        answers.push(Box::new(move |failed| {
                            let result = failed.map_or(result, |error| Err(CallError::from(error.clone())));
                            drop(answer.send(result)); // A caller that went away needs no answer.
                        }));
                    }
                    Input::Release { tenant, entity, answer } => {
                        let records = releases.remove(&(tenant, entity.clone())).unwrap_or_default();
                        let released = u32::try_from(records.len()).unwrap_or(u32::MAX);
                        if !records.is_empty() {
                            turn.release(now, tenant, &entity, &records)?;
                        }
                        answers.push(Box::new(move |failed| {
                            let result = failed.map_or(Ok(released), |error| Err(CallError::from(error.clone())));
                            drop(answer.send(result));
                        }));
                    }
                }
            }
            self.next = inputs.collect();
            for record in &upstream {
                if turn.bytes >= TURN_BYTES {
                    break;
                }
                turn.upstream(now, record)?;
            }
            turn.close()?;
            metrics::INPUTS.with_label_values(&[S::NAME]).inc_by(u64::from(turn.inputs));
            turn.records
        };
        let appended = append::<S>(&*self.log, self.partition, owned.epoch, records).await;
        for answer in answers {
            answer(appended.as_ref().err());
        }
        appended?;
        for query in queries {
            query(&owned.state);
        }
        Ok(())
    }

    fn report(&self, owned: &Owned<S>) {
        let lag: u64 = S::UPSTREAMS
            .iter()
            .map(|topic| self.log.end(*topic, self.partition).borrow().saturating_sub(position(&owned.state, *topic)))
            .sum();
        let shard = self.partition.to_string();
        metrics::LAG.with_label_values(&[S::NAME, &shard]).set(i64::try_from(lag).unwrap_or(i64::MAX));
        self.progress.send_modify(|progress| {
            progress.serving = true;
            progress.next_seq = owned.state.next_seq;
            progress.upstream.clone_from(&owned.state.upstream);
            progress.next_due = owned.timers.first().map(|(due, _)| due);
        });
    }

    /// Writes a snapshot of committed state. A failure costs only time at the next start.
    fn snapshot(&self, owned: &mut Owned<S>) {
        let Some(dir) = &self.snapshots else { return };
        owned.state.previous_hash();
        owned.snapshot_at = owned.state.next_seq;
        let path = snapshot::path(dir, S::NAME, self.partition);
        if let Err(error) = snapshot::write(&path, &self.build, &owned.state) {
            tracing::warn!(service = S::NAME, partition = self.partition, %error, "snapshot not written");
        }
    }
}

async fn public_chain<S: Service>(log: &dyn Log, partition: u16) -> Result<PublicChain, ReadError> {
    let Some(topic) = log::TOPICS.into_iter().find(|topic| topic.writer() == S::TOPIC && *topic != S::TOPIC) else {
        return Ok(PublicChain::default());
    };
    let end = *log.end(topic, partition).borrow();
    if end == 0 {
        return Ok(PublicChain::default());
    }
    let last = log.read(topic, partition, end - 1, 1).await?;
    let previous_hash = last.first().map(|record| record_hash(&record.bytes)).unwrap_or_default();
    Ok(PublicChain { next_seq: end, previous_hash })
}

async fn append<S: Service>(
    log: &dyn Log,
    partition: u16,
    epoch: Epoch,
    records: Vec<Record>,
) -> Result<(), AppendError> {
    if records.is_empty() {
        return Ok(());
    }
    let begun = monotonic();
    let count = records.len() as u64;
    let span = tracing::debug_span!("append", records = count);
    log.append(Batch { writer: S::TOPIC, partition, epoch, records }).instrument(span).await?;
    metrics::APPEND_SECONDS.with_label_values(&[S::NAME]).observe((monotonic() - begun).as_secs_f64());
    metrics::APPENDED.with_label_values(&[S::NAME]).inc_by(count);
    Ok(())
}

async fn parked_records<S: Service>(
    log: &dyn Log,
    partition: u16,
    state: &ShardState<S>,
    tenant: TenantId,
    entity: &[u8],
) -> Result<Vec<Record>, ReadError> {
    let parked = state.tenants.get(&tenant).and_then(|tenant| tenant.parked.get(entity)).cloned().unwrap_or_default();
    let mut records = Vec::with_capacity(parked.len());
    for input in parked {
        let found = log.read(input.topic, partition, input.seq, 1).await?;
        records.extend(found.into_iter().filter(|record| record.seq == input.seq));
    }
    Ok(records)
}

fn position<S: Service>(state: &ShardState<S>, topic: Topic) -> u64 {
    state.upstream.get(&topic).copied().unwrap_or(0)
}

async fn sleep_until(clock: &Clock, due: Option<Timestamp>) {
    match due {
        Some(due) => clock.sleep_until(due).await,
        None => std::future::pending().await,
    }
}
