//! Records that `verify` accepts, folders that are fast to sync, and the bytes of a log as a value.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::Duration;

use kernel::{Actor, CommandId, EventId, TenantId, Timestamp};
use log::{
    AppendError, Batch, Boxed, Embedded, Envelope, Epoch, Faults, Log, Opened, Options, ReadError, Record, TOPICS,
    Topic, record_hash,
};
use tempfile::TempDir;

pub const PARTITIONS: u16 = 4;
/// Bytes of a frame's head and of a record's, pinned here as they are pinned on every disk.
pub const HEAD: usize = 40;

pub type Key = (Topic, u16);
pub type Contents = BTreeMap<Key, Vec<Record>>;

/// A folder in memory where there is one: these tests open a log thousands of times.
pub fn folder() -> TempDir {
    let memory = Path::new("/dev/shm");
    let builder = tempfile::Builder::new();
    if memory.is_dir() { builder.tempdir_in(memory).or_else(|_| tempfile::tempdir()) } else { tempfile::tempdir() }
        .unwrap()
}

/// For a few large segments, for which a folder in memory may be too small.
pub fn large_folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

pub fn options(segment_bytes: u64) -> Options {
    Options {
        partitions: PARTITIONS,
        segment_bytes,
        on_fatal: |why| panic!("the log ended the process: {why}"),
        faults: Arc::default(),
    }
}

pub fn faulty(segment_bytes: u64, on_fatal: fn(&str)) -> (Options, Arc<Faults>) {
    let faults = Arc::new(Faults::default());
    (Options { on_fatal, faults: faults.clone(), ..options(segment_bytes) }, faults)
}

pub fn open(dir: &Path, options: Options) -> Opened {
    Embedded::open(dir, options).unwrap()
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Waits for a future of the log, which needs no runtime.
pub fn wait<T>(mut future: Boxed<'_, T>) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        std::thread::park();
    }
}

/// Small, seeded and the same everywhere.
pub struct Chance(pub u64);

impl Chance {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// The hash chains of a log's topics: what the next record of each must say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chains {
    ends: BTreeMap<Key, (u64, [u8; 32])>,
}

impl Chains {
    /// The chains as a log has them.
    pub fn of(contents: &Contents) -> Self {
        let ends = contents.iter().filter_map(|(key, records)| {
            let last = records.last()?;
            Some((*key, (last.seq + 1, record_hash(&last.bytes))))
        });
        Self { ends: ends.collect() }
    }

    pub fn end(&self, key: Key) -> u64 {
        self.ends.get(&key).map_or(0, |end| end.0)
    }

    /// The next record of a topic's partition.
    pub fn record(&mut self, topic: Topic, partition: u16, payload: &[u8]) -> Record {
        let (seq, previous_hash) = self.ends.get(&(topic, partition)).copied().unwrap_or_default();
        let envelope = Envelope {
            schema: 1,
            logic_version: 1,
            tenant: TenantId::from_bytes([9; 16]),
            seq,
            id: EventId::from_bytes([3; 16]),
            recorded_at: Timestamp::from_micros(1_700_000_000_000_000),
            command_id: CommandId::from_bytes([5; 16]),
            request_mac: [0; 16],
            correlation: [7; 16],
            previous_hash,
            causation: None,
            actor: Actor::default(),
        };
        let bytes = envelope.encode(payload).unwrap();
        self.ends.insert((topic, partition), (seq + 1, record_hash(&bytes)));
        Record { topic, partition, seq, bytes: bytes.into() }
    }

    /// A batch of one writer with one record per payload; `Payroll` alternates between its two topics.
    pub fn batch(&mut self, writer: Topic, partition: u16, payloads: &[Vec<u8>]) -> Batch {
        let records = payloads.iter().enumerate().map(|(n, payload)| {
            let topic = if writer == Topic::Payroll && n % 2 == 1 { Topic::Payout } else { writer };
            self.record(topic, partition, payload)
        });
        Batch { writer, partition, epoch: Epoch(1), records: records.collect() }
    }

    /// The `n`th of a fixed series of turns that uses several writers, sizes, and batches over two topics. No payload
    /// ends with a zero byte, so that zeroing any byte of a frame's end changes it.
    pub fn turn(&mut self, n: usize) -> Batch {
        let payload =
            |record: usize| format!("turn {n} record {record} {}", "x".repeat((n * 7 + record * 3) % 23)).into_bytes();
        match n % 3 {
            0 => self.batch(Topic::Intake, 0, &[payload(0)]),
            1 => self.batch(Topic::Payroll, 1, &[payload(0), payload(1), payload(2)]),
            _ => self.batch(Topic::Kpi, 0, &[payload(0)]),
        }
    }
}

/// What a log holds after these batches.
pub fn contents_of<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Contents {
    let mut contents = Contents::new();
    for record in batches.into_iter().flat_map(|batch| &batch.records) {
        contents.entry((record.topic, record.partition)).or_default().push(record.clone());
    }
    contents
}

/// Appends and waits until it is durable.
pub fn append(log: &dyn Log, batch: &Batch) -> Result<(), AppendError> {
    wait(log.append(batch.clone()))
}

/// A log of the first `turns` turns, still open.
pub fn log_of(dir: &Path, segment_bytes: u64, turns: usize) -> (Arc<Embedded>, Vec<Batch>) {
    let log = open(dir, options(segment_bytes)).log;
    let mut chains = Chains::default();
    let batches: Vec<Batch> = (0..turns).map(|n| chains.turn(n)).collect();
    for batch in &batches {
        append(&*log, batch).unwrap();
    }
    (log, batches)
}

/// All records of a topic's partition, read in pieces of about `bytes_max` bytes.
pub fn read_from(
    log: &dyn Log,
    (topic, partition): Key,
    from: u64,
    bytes_max: usize,
) -> Result<Vec<Record>, ReadError> {
    let mut records = Vec::new();
    let mut next = from;
    loop {
        let some = wait(log.read(topic, partition, next, bytes_max))?;
        if some.is_empty() {
            return Ok(records);
        }
        for record in some {
            assert_eq!(
                (record.topic, record.partition, record.seq),
                (topic, partition, next),
                "a gap in what was read"
            );
            next += 1;
            records.push(record);
        }
    }
}

/// Everything that a log serves. The ends must agree with it.
pub fn contents(log: &dyn Log) -> Result<Contents, ReadError> {
    let mut contents = Contents::new();
    for key in TOPICS.into_iter().flat_map(|topic| (0..log.partitions()).map(move |partition| (topic, partition))) {
        let records = read_from(log, key, 0, 1000)?;
        assert_eq!(*log.end(key.0, key.1).borrow(), records.len() as u64, "the end of {key:?}");
        if !records.is_empty() {
            contents.insert(key, records);
        }
    }
    Ok(contents)
}

/// Appends one more record, and checks after a clean stop that the whole log is sound and holds it.
pub fn goes_on(dir: &Path, log: &Embedded, mut expected: Contents) {
    let batch = Chains::of(&expected).batch(Topic::Intake, 0, &[b"and on".to_vec()]);
    append(log, &batch).unwrap();
    expected.entry((Topic::Intake, 0)).or_default().extend(batch.records);
    log.close();
    let report = log::verify(dir).unwrap();
    assert_eq!((report.damage, report.cut), (None, None));
    assert_eq!(report.records, expected.values().map(|records| records.len() as u64).sum::<u64>());
    assert_eq!(contents(&*log::read_only(dir).unwrap()).unwrap(), expected);
}

/// The files of a log as a value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    pub fn of(dir: &Path) -> Self {
        let files = fs::read_dir(dir.join("log")).unwrap().filter_map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            // A spare segment may be under way; what is not renamed yet is no part of the log.
            (!name.ends_with(".tmp")).then(|| fs::read(&path).ok().map(|bytes| (name, bytes)))?
        });
        Self { files: files.collect() }
    }

    /// Makes the folder hold exactly this.
    pub fn write_to(&self, dir: &Path) {
        let inner = dir.join("log");
        fs::create_dir_all(&inner).unwrap();
        for entry in fs::read_dir(&inner).unwrap() {
            let path = entry.unwrap().path();
            if !self.files.contains_key(path.file_name().unwrap().to_str().unwrap()) {
                fs::remove_file(path).unwrap();
            }
        }
        for (name, bytes) in &self.files {
            fs::write(inner.join(name), bytes).unwrap();
        }
    }

    /// The frames of all segments, in order.
    pub fn frames(&self) -> Vec<FrameAt> {
        let mut frames = Vec::new();
        for (name, bytes) in self.files.iter().filter(|(name, _)| name.ends_with(".seg")) {
            let mut at = 0;
            while at + HEAD <= bytes.len() && bytes[at] != 0 {
                let number = |from: usize| u64::from_le_bytes(bytes[at + from..at + from + 8].try_into().unwrap());
                let body = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
                let (frame_no, durable_up_to) = (number(24), number(32));
                frames.push(FrameAt { file: name.clone(), offset: at, length: HEAD + body, frame_no, durable_up_to });
                at += (HEAD + body).next_multiple_of(8);
            }
        }
        frames
    }
}

/// Where a frame stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameAt {
    pub file: String,
    pub offset: usize,
    /// Head and body, without padding.
    pub length: usize,
    pub frame_no: u64,
    pub durable_up_to: u64,
}

impl FrameAt {
    pub fn end(&self) -> usize {
        self.offset + self.length.next_multiple_of(8)
    }

    pub fn holds(&self, file: &str, at: usize) -> bool {
        self.file == file && (self.offset..self.end()).contains(&at)
    }
}

/// Waits until the second segment is ready, so that no thread of the log is at work.
pub fn spare_is_there(dir: &Path) {
    let spare = dir.join("log").join("0000000001.seg");
    let there = (0..4000).any(|_| {
        std::thread::sleep(Duration::from_millis(5));
        spare.exists()
    });
    assert!(there, "no spare segment after 20 s");
}

pub fn file_name(path: &str) -> String {
    PathBuf::from(path).file_name().unwrap().to_str().unwrap().to_owned()
}
