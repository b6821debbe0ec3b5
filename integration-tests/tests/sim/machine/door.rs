//! How one instance of one service sees the log: through faults that follow from the seed. An instance dies at its
//! door: nothing that it asks for is answered any more, as if its process were gone.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use integration_tests::chance::Chance;
use log::{AppendError, Batch, Boxed, Envelope, Epoch, Log, ReadError, Record, Topic};
use prost::Message;
use proto::common;
use tokio::sync::watch;

use super::log::SimLog;

/// What befalls an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    Slow,
    Full,
    /// Not committed, and the writer is not told whether it is.
    Unclear,
    /// Committed, and the writer is not told whether it is.
    UnclearThough,
    /// The instance dies with the batch in its hands; it may come back later and try to append it.
    CrashBefore,
    /// The instance dies when the batch is durable and nobody was answered.
    CrashAfter,
}

/// The faults of a run. Each service has its own chance, so that what befalls one does not depend on the others.
pub struct Storm {
    seed: u64,
    percent: AtomicU64,
    chances: Mutex<BTreeMap<Topic, Chance>>,
    counts: Mutex<BTreeMap<&'static str, u64>>,
}

impl Storm {
    pub fn new(seed: u64, percent: u64) -> Self {
        Self { seed, percent: AtomicU64::new(percent), chances: Mutex::default(), counts: Mutex::default() }
    }

    /// From here on nothing goes wrong.
    pub fn calm(&self) {
        self.percent.store(0, Ordering::Relaxed);
    }

    pub fn is_calm(&self) -> bool {
        self.percent.load(Ordering::Relaxed) == 0
    }

    fn roll(&self, service: Topic, end: u64) -> u64 {
        let mut chances = self.chances.lock().unwrap_or_else(PoisonError::into_inner);
        let actor = u64::from(service.number());
        chances.entry(service).or_insert_with(|| Chance::new(self.seed, actor)).below(end)
    }

    /// True in so many of a hundred cases, while the storm lasts.
    pub fn strikes(&self, service: Topic, percent: u64) -> bool {
        !self.is_calm() && self.roll(service, 100) < percent
    }

    pub fn count(&self, what: &'static str) {
        *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(what).or_default() += 1;
    }

    pub fn counts(&self) -> BTreeMap<&'static str, u64> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fault(&self, service: Topic) -> Fault {
        let percent = self.percent.load(Ordering::Relaxed);
        if percent == 0 || self.roll(service, 100) >= percent {
            return Fault::None;
        }
        let (fault, name) = match self.roll(service, 7) {
            0 | 1 => (Fault::Slow, "slow appends"),
            2 => (Fault::Full, "full"),
            3 => (Fault::Unclear, "unclear, not committed"),
            4 => (Fault::UnclearThough, "unclear, committed"),
            5 => (Fault::CrashBefore, "crashes before commit"),
            _ => (Fault::CrashAfter, "crashes after commit"),
        };
        self.count(name);
        fault
    }
}

/// Defects between a service and its log: the proofs must find each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Defect {
    #[default]
    None,
    /// A batch's positions are those of all that is upstream, taken or not.
    EarlyPositions,
    /// A batch has no positions.
    NoPositions,
    /// What recovery reads has no request in it: the commands that were carried out are not in the state.
    ForgottenCommands,
    /// No defect: intake is read one record at a time, so that intents overtake their inquiries.
    SlowIntake,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Live,
    Dead,
    /// Dead for all but the append that it died with.
    Zombie,
}

/// One instance's way to the log.
pub struct Door {
    log: Arc<SimLog>,
    storm: Arc<Storm>,
    service: Topic,
    defect: Defect,
    mode: watch::Sender<Mode>,
}

impl Door {
    pub fn new(log: &Arc<SimLog>, storm: &Arc<Storm>, service: Topic, defect: Defect) -> Self {
        Self { log: log.clone(), storm: storm.clone(), service, defect, mode: watch::channel(Mode::Live).0 }
    }

    pub fn die(&self) {
        self.mode.send_replace(Mode::Dead);
    }

    pub fn is_dead(&self) -> bool {
        *self.mode.borrow() != Mode::Live
    }

    /// Lets a dead instance do what it was about to do.
    pub fn haunt(&self) {
        self.mode.send_replace(Mode::Zombie);
    }

    async fn pass(&self, also_zombies: bool) {
        let mut mode = self.mode.subscribe();
        let alive = |mode: &Mode| *mode == Mode::Live || also_zombies && *mode == Mode::Zombie;
        drop(mode.wait_for(alive).await.expect("the door outlives its calls"));
    }

    async fn delay(&self) {
        let ms = self.storm.roll(self.service, 400);
        tokio::time::sleep(Duration::from_millis(ms)).await;
    }

    async fn late(&self, batch: Batch) -> ! {
        self.die();
        self.pass(true).await;
        match self.log.commit(batch) {
            Ok(()) => self.storm.count("late appends before anybody took over"),
            Err(AppendError::Fenced { .. }) => self.storm.count("zombies refused"),
            Err(error) => panic!("a zombie's append must be fenced, not {error}"),
        }
        self.die();
        std::future::pending().await
    }

    async fn append(&self, batch: Batch) -> Result<(), AppendError> {
        self.pass(false).await;
        let batch = self.spoiled(batch);
        match self.storm.fault(self.service) {
            Fault::None => self.log.commit(batch),
            Fault::Slow => {
                self.delay().await;
                self.pass(false).await;
                let appended = self.log.commit(batch);
                self.delay().await;
                self.pass(false).await;
                appended
            }
            Fault::Full => Err(AppendError::Full("simulated".to_owned())),
            Fault::Unclear => Err(AppendError::Unclear("simulated".to_owned())),
            Fault::UnclearThough => {
                self.log.commit(batch)?;
                Err(AppendError::Unclear("simulated".to_owned()))
            }
            Fault::CrashBefore => self.late(batch).await,
            Fault::CrashAfter => {
                self.log.commit(batch)?;
                self.die();
                std::future::pending().await
            }
        }
    }

    async fn read(&self, topic: Topic, partition: u16, from: u64) -> Result<Vec<Record>, ReadError> {
        self.pass(false).await;
        if self.storm.strikes(self.service, 1) {
            self.storm.count("reads failed");
            return Err(ReadError::Io("simulated".to_owned()));
        }
        // What is read at once decides where batches end.
        let count = if self.storm.is_calm() { usize::MAX } else { 1 + self.storm.roll(self.service, 12) as usize };
        let slow = self.defect == Defect::SlowIntake && topic == Topic::Intake;
        let records = self.log.some(topic, partition, from, if slow { 1 } else { count })?;
        let forgets = self.defect == Defect::ForgottenCommands && topic == self.service;
        Ok(if forgets { records.into_iter().map(without_request).collect() } else { records })
    }

    fn spoiled(&self, mut batch: Batch) -> Batch {
        if matches!(self.defect, Defect::EarlyPositions | Defect::NoPositions) {
            let last = batch.records.iter_mut().rev().find(|record| record.topic == self.service);
            let last = last.expect("a batch ends with its record");
            let (envelope, payload) = Envelope::decode(&last.bytes).expect("a record");
            let mut positions = common::Batch::decode(payload).expect("a batch's record");
            match self.defect {
                Defect::NoPositions => positions.upstream.clear(),
                _ => {
                    for position in &mut positions.upstream {
                        let topic = Topic::from_number(u8::try_from(position.topic).expect("small")).expect("a topic");
                        position.next_seq = *self.log.watch(topic, batch.partition).borrow();
                    }
                }
            }
            last.bytes = envelope.encode(&positions.encode_to_vec()).expect("an envelope").into();
        }
        batch
    }
}

fn without_request(record: Record) -> Record {
    let (envelope, payload) = Envelope::decode(&record.bytes).expect("a record");
    let envelope = Envelope { request_mac: [0; 16], ..envelope };
    Record { bytes: envelope.encode(payload).expect("an envelope").into(), ..record }
}

impl Log for Door {
    fn fence(&self, writer: Topic, partition: u16) -> Boxed<'_, Result<Epoch, AppendError>> {
        Box::pin(async move {
            self.pass(false).await;
            if self.storm.strikes(self.service, 3) {
                self.storm.count("fences failed");
                return Err(AppendError::Unclear("simulated".to_owned()));
            }
            Ok(self.log.take_over(writer, partition))
        })
    }

    fn append(&self, batch: Batch) -> Boxed<'_, Result<(), AppendError>> {
        Box::pin(self.append(batch))
    }

    fn read(&self, topic: Topic, partition: u16, from: u64, _: usize) -> Boxed<'_, Result<Vec<Record>, ReadError>> {
        Box::pin(self.read(topic, partition, from))
    }

    fn end(&self, topic: Topic, partition: u16) -> watch::Receiver<u64> {
        self.log.watch(topic, partition)
    }

    fn partitions(&self) -> u16 {
        self.log.partitions()
    }
}
