//! The embedded log: one segmented file log for all topics, one frame a batch, group commit, fsync before answer.
//!
//! Invariants: a frame is written only into space that was zeroed and made durable before; nobody is answered and
//! nothing is visible before the sync; a sync that fails ends the process; what a scan finds damaged is refused.

mod disk;
mod faults;
mod frame;
mod inspect;
mod pass;
mod read;
mod scan;
mod writer;

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use disk::Disk;
use scan::{Index, ScanError, scan};

use crate::{AppendError, Batch, Boxed, Epoch, Log, ReadError, Record, TOPICS, Topic};

pub use disk::raw_sync_rate;
pub use faults::Faults;
pub use inspect::{Stat, TopicStat, VerifyReport, dump, stat, verify};
pub use pass::{Pass, pass};
pub use read::{ReadOnly, read_only};
pub use scan::{Cut, Damage};

/// Recent records kept in memory for readers that are nearly up to date, per topic and partition.
const RING_BYTES: usize = 1 << 20;

/// A tenth of a second: readers hold the lock for microseconds, another writer for its whole life.
const LOCK_TRIES: u32 = 50;
const LOCK_PAUSE: Duration = Duration::from_millis(2);

/// How a log is made and kept.
#[derive(Debug, Clone)]
pub struct Options {
    /// Fixed when the log is made.
    pub partitions: u16,
    /// Size of one segment file, and so the limit of a batch.
    pub segment_bytes: u64,
    /// Called when the log cannot know what is on the disk any more; must not return into normal work.
    pub on_fatal: fn(&str),
    pub faults: Arc<Faults>,
}

impl Default for Options {
    fn default() -> Self {
        Self { partitions: 16, segment_bytes: 64 << 20, on_fatal: end_process, faults: Arc::default() }
    }
}

fn end_process(why: &str) {
    eprintln!("fenliu: the log cannot be written safely: {why}; the process ends, start it again to recover");
    std::process::exit(70);
}

#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("{0} is in use by another Fenliu; stop it first, or talk to it by its address")]
    InUse(String),
    #[error("the log was made with {made} partitions, {asked} were asked for; the number can never change")]
    Partitions { made: u16, asked: u16 },
    /// Starting anyway would lose what was acknowledged.
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error("there is no log in {0}")]
    Missing(String),
    #[error("open log: {0}")]
    Io(#[from] std::io::Error),
}

impl From<ScanError> for OpenError {
    fn from(error: ScanError) -> Self {
        match error {
            ScanError::Damage(damage) => Self::Damage(damage),
            ScanError::Io(error) => Self::Io(error),
        }
    }
}

/// An opened log, and what had to be cut from its end.
pub struct Opened {
    pub log: Arc<Embedded>,
    /// An unfinished write after an unclean stop. Nobody was told that it succeeded, unless the disk lost it.
    pub cut: Option<Cut>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// The log with its one writer. Dropping it closes it.
pub struct Embedded {
    core: Arc<Core>,
    committer: Mutex<Option<JoinHandle<writer::Stopped>>>,
    /// The folder's lock, until the log is closed.
    held: Mutex<Option<Held>>,
}

/// What the committer's thread shares with everybody else. It does not hold the log itself: the last holder of that
/// must find the committer alive, to close it and wait for it.
struct Core {
    disk: Disk,
    options: Options,
    queue: Mutex<Queue>,
    waiting: Condvar,
    shared: Mutex<Shared>,
}

/// Batches that wait for the committer.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<(Batch, oneshot::Sender<Result<(), AppendError>>)>,
    closed: bool,
}

/// What readers see.
struct Shared {
    index: Index,
    tails: BTreeMap<(Topic, u16), Tail>,
    epochs: BTreeMap<(Topic, u16), Epoch>,
    durable_frame: u64,
}

/// The live end of a topic's partition.
struct Tail {
    end: watch::Sender<u64>,
    ring: VecDeque<Record>,
    ring_bytes: usize,
}

impl Tail {
    fn new(end: u64) -> Self {
        Self { end: watch::channel(end).0, ring: VecDeque::new(), ring_bytes: 0 }
    }

    fn push(&mut self, record: Record) {
        self.ring_bytes += record.bytes.len();
        self.ring.push_back(record);
        while self.ring_bytes > RING_BYTES {
            let Some(oldest) = self.ring.pop_front() else { break };
            self.ring_bytes -= oldest.bytes.len();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Embedded {
    /// Opens the log in `dir`, making it when it is not there, and cuts an unfinished write from its end.
    pub fn open(dir: &Path, options: Options) -> Result<Opened, OpenError> {
        let disk = Disk::new(dir, options.faults.clone());
        disk.make_dir()?;
        let held = Held::take(dir)?;
        match disk.get("meta")? {
            None if disk.segments()?.is_empty() => {
                disk.put("meta", &format!("fenliu log format 1 partitions {}", options.partitions))?;
            }
            None => return Err(disk.damage("meta", "it is gone, and there are segments").into()),
            Some(meta) => {
                let made = partitions_in(&meta)?;
                if made != options.partitions {
                    return Err(OpenError::Partitions { made, asked: options.partitions });
                }
            }
        }
        let found = scan(&disk, None, |_, _, _| Ok(()))?;
        let clean = disk.get("clean")?;
        if let Some(clean) = &clean {
            refuse_lost_frames(&disk, clean, &found)?;
            disk.remove("clean")?;
        }
        writer::settle(&disk, &found, clean.is_some())?;
        let tails = tails(&found.index, options.partitions);
        let shared = Shared { index: found.index, tails, epochs: BTreeMap::new(), durable_frame: found.last_frame };
        let core = Arc::new(Core {
            disk,
            options,
            queue: Mutex::default(),
            waiting: Condvar::new(),
            shared: Mutex::new(shared),
        });
        let committer = writer::start(&core, found.next, found.last_frame)?;
        let log = Arc::new(Self { core, committer: Mutex::new(Some(committer)), held: Mutex::new(Some(held)) });
        Ok(Opened { log, cut: found.cut })
    }

    /// Finishes what waits, marks the end of the log, so that a later start can tell damage from a torn write, and
    /// gives the folder up. What is there can still be read.
    pub fn close(&self) {
        lock(&self.core.queue).closed = true;
        self.core.waiting.notify_all();
        let Some(committer) = lock(&self.committer).take() else { return };
        if committer.join().is_ok_and(|stopped| stopped == writer::Stopped::Clean) {
            let last = lock(&self.core.shared).durable_frame;
            if let Err(error) = self.core.disk.put("clean", &last.to_string()) {
                tracing::warn!(%error, "no mark of a clean stop; the next start takes the last frame on trust");
            }
        }
        drop(lock(&self.held).take());
    }
}

impl Drop for Embedded {
    fn drop(&mut self) {
        self.close();
    }
}

/// The folder's lock.
struct Held(File);

impl Held {
    /// Takes the lock. A reader that looks whether there is a writer holds it for a moment.
    fn take(dir: &Path) -> Result<Self, OpenError> {
        let held = File::create(dir.join("LOCK"))?;
        for _ in 0..LOCK_TRIES {
            if held.try_lock().is_ok() {
                return Ok(Self(held));
            }
            std::thread::sleep(LOCK_PAUSE);
        }
        Err(OpenError::InUse(dir.display().to_string()))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // A process that is being started at this moment shares the open file: closing it would not give it up.
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the folder's lock was not given up");
        }
    }
}

fn partitions_in(meta: &str) -> Result<u16, OpenError> {
    let partitions = meta.strip_prefix("fenliu log format 1 partitions ").and_then(|text| text.parse().ok());
    partitions
        .ok_or_else(|| OpenError::Io(std::io::Error::other(format!("meta says {meta:?}, which is not known here"))))
}

/// After a clean stop, every frame up to the mark was durable: a scan that ends earlier has found damage.
fn refuse_lost_frames(disk: &Disk, clean: &str, found: &scan::Scan) -> Result<(), OpenError> {
    let last: u64 = clean.parse().map_err(|_| std::io::Error::other("the mark of the clean stop is not a number"))?;
    if found.last_frame < last {
        let what = format!("frame {} of {last} is not whole although the log was closed cleanly", found.last_frame + 1);
        return Err(found.stopped.damage(disk, what).into());
    }
    Ok(())
}

fn tails(index: &Index, partitions: u16) -> BTreeMap<(Topic, u16), Tail> {
    let places = TOPICS.into_iter().flat_map(|topic| (0..partitions).map(move |partition| (topic, partition)));
    places.map(|key| (key, Tail::new(index.get(&key).map_or(0, |index| index.end)))).collect()
}

impl Log for Embedded {
    fn fence(&self, writer: Topic, partition: u16) -> Boxed<'_, Result<Epoch, AppendError>> {
        let mut shared = lock(&self.core.shared);
        let epoch = shared.epochs.entry((writer, partition)).or_insert(Epoch(0));
        epoch.0 += 1;
        let epoch = *epoch;
        drop(shared);
        // What the earlier owner had queued is decided before the new one reads: an empty turn of the committer.
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.enqueue(Batch { writer, partition, epoch, records: Vec::new() }, answer);
            answered.await.unwrap_or_else(|_| Err(AppendError::Unclear("the log is closed".to_owned())))?;
            Ok(epoch)
        })
    }

    fn append(&self, batch: Batch) -> Boxed<'_, Result<(), AppendError>> {
        let (answer, answered) = oneshot::channel();
        self.enqueue(batch, answer);
        Box::pin(
            async move { answered.await.unwrap_or_else(|_| Err(AppendError::Unclear("the log is closed".to_owned()))) },
        )
    }

    fn read(
        &self,
        topic: Topic,
        partition: u16,
        from: u64,
        bytes_max: usize,
    ) -> Boxed<'_, Result<Vec<Record>, ReadError>> {
        Box::pin(async move {
            let (place, end) = {
                let shared = lock(&self.core.shared);
                let Some(tail) = shared.tails.get(&(topic, partition)) else { return Ok(Vec::new()) };
                let end = *tail.end.borrow();
                if from > end {
                    return Err(ReadError::BeyondEnd { topic, partition, end, from });
                }
                if let Some(first) = tail.ring.front().filter(|first| first.seq <= from) {
                    let skip = usize::try_from(from - first.seq).unwrap_or(usize::MAX);
                    return Ok(read::take(tail.ring.iter().skip(skip).cloned(), bytes_max));
                }
                let index = shared.index.get(&(topic, partition));
                match index.and_then(|index| index.find(from)) {
                    Some(place) if from < end => (place, end),
                    _ => return Ok(Vec::new()),
                }
            };
            read::from_disk(&self.core.disk, topic, partition, from..end, place, bytes_max)
        })
    }

    fn end(&self, topic: Topic, partition: u16) -> watch::Receiver<u64> {
        let mut shared = lock(&self.core.shared);
        shared.tails.entry((topic, partition)).or_insert_with(|| Tail::new(0)).end.subscribe()
    }

    fn partitions(&self) -> u16 {
        self.core.options.partitions
    }
}

impl Embedded {
    fn enqueue(&self, batch: Batch, answer: oneshot::Sender<Result<(), AppendError>>) {
        let mut queue = lock(&self.core.queue);
        if queue.closed {
            drop(answer.send(Err(AppendError::Unclear("the log is closed".to_owned()))));
            return;
        }
        queue.waiting.push_back((batch, answer));
        drop(queue);
        self.core.waiting.notify_one();
    }
}
