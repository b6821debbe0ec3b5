//! The six services as processes that die, are restarted with or without snapshots, and come back as zombies.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use assignment::Assignment;
use intake::Intake;
use intent::Intent;
use kernel::Timestamp;
use kpi::Kpi;
use log::{Log, Topic};
use payroll::Payroll;
use roster::Roster;
use runtime::{Clock, Directory, Host, Service, Shared};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::call::{Ack, Call, Clients, unanswered};
use super::door::{Defect, Door, Storm};
use super::keys::FixedKeys;
use super::log::SimLog;

/// Names the program in its snapshots.
pub const BUILD: &str = "simulated";
/// A client waits so long for one answer, on paused time.
const PATIENCE: Duration = Duration::from_secs(3);
/// A run that is not quiet after so many looks never will be.
const LOOKS_MAX: u32 = 20_000;

/// One service's process.
pub struct Running<S: Service> {
    pub host: Host<S>,
    pub door: Arc<Door>,
    shutdown: CancellationToken,
}

/// All services.
pub struct Six {
    pub intake: Running<Intake>,
    pub roster: Running<Roster>,
    pub intent: Running<Intent>,
    pub assignment: Running<Assignment>,
    pub kpi: Running<Kpi>,
    pub payroll: Running<Payroll>,
}

/// Says `$body` for each of the six.
macro_rules! each {
    ($six:expr, $one:ident => $body:expr) => {{
        let six = $six;
        {
            let $one = &mut six.intake;
            $body;
        }
        {
            let $one = &mut six.roster;
            $body;
        }
        {
            let $one = &mut six.intent;
            $body;
        }
        {
            let $one = &mut six.assignment;
            $body;
        }
        {
            let $one = &mut six.kpi;
            $body;
        }
        {
            let $one = &mut six.payroll;
            $body;
        }
    }};
}

/// A request that was sent, and its command id.
#[derive(Debug, Clone)]
pub struct Sent {
    pub tenant: String,
    pub command_id: String,
    pub call: Call,
}

/// What clients remember of a run.
#[derive(Debug, Default)]
pub struct Memory {
    pub acked: Vec<(Sent, Ack)>,
    pub refused: Vec<(Sent, String)>,
}

pub struct World {
    pub log: Arc<SimLog>,
    pub storm: Arc<Storm>,
    pub clock: Clock,
    pub six: RefCell<Six>,
    pub clients: RefCell<Clients>,
    pub memory: RefCell<Memory>,
    keys: Arc<FixedKeys>,
    snapshots: TempDir,
    /// Processes that are gone: kept, so that nothing of them ends in good order.
    graves: RefCell<Vec<Box<dyn Any>>>,
    dead_doors: RefCell<Vec<Arc<Door>>>,
    /// Snapshots of earlier stops.
    old: RefCell<BTreeMap<PathBuf, Vec<u8>>>,
    defects: RefCell<BTreeMap<Topic, Defect>>,
}

impl World {
    /// Starts the six on an empty log. `percent` of all appends have a fault.
    pub fn new(seed: u64, percent: u64, partitions: u16, begin: Timestamp) -> Self {
        Self::on(SimLog::new(partitions), Arc::default(), seed, percent, begin)
    }

    /// Starts the six on a log that is there.
    pub fn on(log: SimLog, keys: Arc<FixedKeys>, seed: u64, percent: u64, begin: Timestamp) -> Self {
        let (log, storm) = (Arc::new(log), Arc::new(Storm::new(seed, percent)));
        let clock = Clock::virtual_from(begin);
        let snapshots = tempfile::tempdir().expect("a folder for snapshots");
        let birth = Birth { log: &log, storm: &storm, clock: &clock, keys: &keys };
        let folder = || Some(snapshots.path().to_owned());
        let six = Six {
            intake: birth.start(folder(), Defect::None),
            roster: birth.start(folder(), Defect::None),
            intent: birth.start(folder(), Defect::None),
            assignment: birth.start(folder(), Defect::None),
            kpi: birth.start(folder(), Defect::None),
            payroll: birth.start(folder(), Defect::None),
        };
        let clients = RefCell::new(clients(&six));
        Self {
            log,
            storm,
            clock,
            six: RefCell::new(six),
            clients,
            memory: RefCell::default(),
            keys,
            snapshots,
            graves: RefCell::default(),
            dead_doors: RefCell::default(),
            old: RefCell::default(),
            defects: RefCell::default(),
        }
    }

    pub fn keys(&self) -> Arc<FixedKeys> {
        self.keys.clone()
    }

    /// Every later instance of this service has the defect.
    pub fn plant(&self, service: Topic, defect: Defect) {
        self.defects.borrow_mut().insert(service, defect);
    }

    pub fn snapshot_path(&self, service: &str, partition: u16) -> PathBuf {
        self.snapshots.path().join(format!("{service}-{partition:02}.snapshot"))
    }

    fn reborn<S: Service>(&self, slot: &mut Running<S>, snapshots: bool) {
        let birth = Birth { log: &self.log, storm: &self.storm, clock: &self.clock, keys: &self.keys };
        let defect = self.defects.borrow().get(&S::TOPIC).copied().unwrap_or_default();
        let dir = snapshots.then(|| self.snapshots.path().to_owned());
        let gone = std::mem::replace(slot, birth.start(dir, defect));
        if gone.door.is_dead() {
            self.dead_doors.borrow_mut().push(gone.door.clone());
            self.graves.borrow_mut().push(Box::new(gone));
        }
    }

    fn renew_clients(&self) {
        let fresh = clients(&self.six.borrow());
        *self.clients.borrow_mut() = fresh;
    }

    /// Restarts whoever died, and lets a dead one haunt now and then.
    pub fn supervise(&self) {
        let mut restarted = false;
        let mut six = self.six.borrow_mut();
        each!(&mut *six, slot => {
            if slot.door.is_dead() {
                let service = topic_of(slot);
                let snapshots = self.storm.is_calm() || self.storm.strikes(service, 70);
                self.disturb_snapshots(service);
                self.reborn(slot, snapshots);
                restarted = true;
            }
        });
        drop(six);
        if restarted {
            self.renew_clients();
        }
        let mut doors = self.dead_doors.borrow_mut();
        if !doors.is_empty() && (self.storm.is_calm() || self.storm.strikes(Topic::Payout, 5)) {
            doors.remove(0).haunt();
        }
    }

    /// A service's snapshots may be gone, damaged, or ones of long ago, before any start.
    fn disturb_snapshots(&self, service: Topic) {
        let files = std::fs::read_dir(self.snapshots.path()).expect("the folder of snapshots");
        let name = service.name().split('.').nth(1).expect("fenliu.SERVICE.v1");
        for file in files.map(|entry| entry.expect("an entry").path()) {
            if !file.file_name().is_some_and(|file| file.to_string_lossy().starts_with(name)) {
                continue;
            }
            if self.storm.strikes(service, 15) {
                self.storm.count("snapshots deleted");
                drop(std::fs::remove_file(&file));
            } else if self.storm.strikes(service, 10) {
                self.storm.count("snapshots damaged");
                let mut bytes = std::fs::read(&file).expect("a snapshot");
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x20;
                std::fs::write(&file, bytes).expect("write");
            } else if let Some(old) = self.old.borrow().get(&file)
                && self.storm.strikes(service, 30)
            {
                self.storm.count("snapshots stale");
                std::fs::write(&file, old).expect("write");
            }
        }
    }

    fn keep_old_snapshots(&self) {
        let files = std::fs::read_dir(self.snapshots.path()).expect("the folder of snapshots");
        for file in files.map(|entry| entry.expect("an entry").path()) {
            let bytes = std::fs::read(&file).expect("a snapshot");
            self.old.borrow_mut().entry(file).or_insert(bytes);
        }
    }

    /// Now and then a process is killed, stopped in good order, or all are at once.
    pub async fn disturb(&self) {
        for service in [Topic::Intake, Topic::Roster, Topic::Intent, Topic::Assignment, Topic::Kpi, Topic::Payroll] {
            if self.storm.strikes(service, 2) {
                self.storm.count("kills");
                each!(&mut *self.six.borrow_mut(), slot => if topic_of(slot) == service { slot.door.die() });
            }
        }
        if self.storm.strikes(Topic::Payout, 4) {
            self.storm.count("kills of all");
            each!(&mut *self.six.borrow_mut(), slot => slot.door.die());
        }
        if self.storm.strikes(Topic::Payout, 6) {
            self.storm.count("clean stops of all");
            self.restart_all(self.storm.strikes(Topic::Payout, 80)).await;
        }
        self.supervise();
    }

    /// Stops all in good order, which writes snapshots, and starts them anew.
    pub async fn restart_all(&self, snapshots: bool) {
        let mut ends: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        each!(&mut *self.six.borrow_mut(), slot => {
            if !slot.door.is_dead() {
                slot.shutdown.cancel();
                let (host, door) = (slot.host.clone(), slot.door.clone());
                ends.push(Box::pin(async move {
                    // One that dies while it stops is as dead as any.
                    if tokio::time::timeout(Duration::from_secs(60), host.stopped()).await.is_err() {
                        assert!(door.is_dead(), "a service did not stop");
                    }
                }));
            }
        });
        all(ends).await;
        self.keep_old_snapshots();
        each!(&mut *self.six.borrow_mut(), slot => {
            self.disturb_snapshots(topic_of(slot));
            self.reborn(slot, snapshots)
        });
        self.renew_clients();
    }

    /// Kills all at once and starts them anew.
    pub fn crash_all(&self, snapshots: bool) {
        each!(&mut *self.six.borrow_mut(), slot => {
            slot.door.die();
            self.reborn(slot, snapshots)
        });
        self.renew_clients();
    }

    fn settled(&self) -> bool {
        let mut settled = true;
        each!(&mut *self.six.borrow_mut(), slot => settled &= !slot.door.is_dead() && slot.host.settled());
        settled
    }

    /// Waits until all that is written was read, and nothing is written any more.
    ///
    /// # Panics
    /// When that never comes: somebody recovers for ever, or two write because of each other.
    pub async fn settle(&self) {
        let (mut calm, mut total) = (0, 0);
        for _ in 0..LOOKS_MAX {
            self.supervise();
            // On paused time this ends only when nobody has anything to do.
            tokio::time::sleep(Duration::from_millis(5)).await;
            let now = self.log.total();
            calm = if self.settled() && now == total { calm + 1 } else { 0 };
            total = now;
            if calm == 3 {
                return;
            }
        }
        panic!("the services do not come to rest: {} records, {:?}", self.log.total(), self.storm.counts());
    }

    /// Sends a request until it is answered.
    pub async fn carry_out(&self, sent: Sent) -> Result<Ack, Status> {
        for _ in 0..1_000 {
            if let Some(answer) = self.attempt(&sent).await {
                match &answer {
                    Ok(ack) => self.memory.borrow_mut().acked.push((sent, ack.clone())),
                    Err(status) => self.memory.borrow_mut().refused.push((sent, status.to_string())),
                }
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("never answered: {sent:?}");
    }

    /// Sends a request once; nothing when there is no answer.
    pub async fn attempt(&self, sent: &Sent) -> Option<Result<Ack, Status>> {
        self.supervise();
        let clients = self.clients.borrow().clone();
        match tokio::time::timeout(PATIENCE, sent.call.clone().send(&clients)).await {
            Err(_) => None,
            Ok(Err(status)) if unanswered(&status) => None,
            Ok(answer) => Some(answer),
        }
    }

    /// Sends a request once without restarting whoever died.
    pub async fn attempt_quietly(&self, sent: &Sent) {
        let clients = self.clients.borrow().clone();
        let asked = tokio::time::timeout(PATIENCE, sent.call.clone().send(&clients)).await;
        asked.expect("an answer").unwrap_or_else(|status| panic!("{status}: {sent:?}"));
    }

    /// Waits until those who live have nothing to do.
    pub async fn rest(&self) {
        let mut total = u64::MAX;
        while total != self.log.total() {
            total = self.log.total();
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    pub fn folder(&self) -> &Path {
        self.snapshots.path()
    }
}

fn topic_of<S: Service>(_: &Running<S>) -> Topic {
    S::TOPIC
}

fn clients(six: &Six) -> Clients {
    let Six { intake, roster, intent, assignment, kpi, payroll } = six;
    Clients::of(&intake.host, &roster.host, &intent.host, &assignment.host, &kpi.host, &payroll.host)
}

struct Birth<'a> {
    log: &'a Arc<SimLog>,
    storm: &'a Arc<Storm>,
    clock: &'a Clock,
    keys: &'a Arc<FixedKeys>,
}

impl Birth<'_> {
    fn start<S: Service>(&self, snapshots: Option<PathBuf>, defect: Defect) -> Running<S> {
        let door = Arc::new(Door::new(self.log, self.storm, S::TOPIC, defect));
        let shutdown = CancellationToken::new();
        // Whether a tenant exists is no part of what is proved here: the directory reads without faults.
        let plain: Arc<dyn Log> = self.log.clone();
        let shared = Shared {
            log: door.clone(),
            clock: self.clock.clone(),
            keys: self.keys.clone(),
            directory: Directory::start(&plain, &shutdown),
            snapshots,
            build: BUILD.to_owned(),
            shutdown: shutdown.clone(),
        };
        Running { host: Host::start(&shared), door, shutdown }
    }
}

/// Runs futures at the same time; their outputs in their order.
pub async fn all<'a, T>(futures: Vec<Pin<Box<dyn Future<Output = T> + 'a>>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(Some).collect();
    let mut outputs: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, output) in waiting.iter_mut().zip(&mut outputs) {
            if let Some(pending) = future
                && let Poll::Ready(ready) = pending.as_mut().poll(context)
            {
                *output = Some(ready);
                *future = None;
            }
        }
        if waiting.iter().all(Option::is_none) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outputs.into_iter().flatten().collect()
}
