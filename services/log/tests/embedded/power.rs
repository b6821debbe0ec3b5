//! Power fails at any moment. What a disk may then hold is computed from what was written, synced and renamed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use log::{AppendError, Batch, Boxed, Embedded, Faults, Log, Options, TOPICS, Topic};
use tokio::sync::watch;

use crate::cache::{ALL_WAYS, Cached, Lost, Step};
use crate::support::{
    Chains, Chance, Contents, Image, Key, PARTITIONS, contents, contents_of, folder, goes_on, options,
};

const SEGMENT_BYTES: u64 = 2048;

/// What was done to a folder, and at each moment the ends that somebody had seen or been told.
type History = Vec<(Step, BTreeMap<Key, u64>)>;

/// Sees what readers see and what writers are told.
#[derive(Default)]
struct Witness {
    visible: BTreeMap<Key, watch::Receiver<u64>>,
    waiting: Vec<(Batch, Boxed<'static, Result<(), AppendError>>)>,
    ends: BTreeMap<Key, u64>,
}

impl Witness {
    fn look(&mut self) -> &BTreeMap<Key, u64> {
        for (key, end) in &self.visible {
            raise(&mut self.ends, *key, *end.borrow());
        }
        let (ends, mut context) = (&mut self.ends, Context::from_waker(Waker::noop()));
        self.waiting.retain_mut(|(batch, answer)| {
            let Poll::Ready(answer) = answer.as_mut().poll(&mut context) else { return true };
            answer.unwrap();
            batch.records.iter().for_each(|record| raise(ends, (record.topic, record.partition), record.seq + 1));
            false
        });
        &self.ends
    }
}

fn raise(ends: &mut BTreeMap<Key, u64>, key: Key, end: u64) {
    let highest = ends.entry(key).or_insert(0);
    *highest = end.max(*highest);
}

/// A log whose every change is written down.
struct Recorded {
    /// Never dropped, so that its answers can be looked at from its own thread.
    log: &'static Embedded,
    history: Arc<Mutex<History>>,
    witness: Arc<Mutex<Witness>>,
}

impl Recorded {
    fn open(dir: &Path, planted: u8) -> Self {
        let faults = Arc::new(Faults::default());
        faults.planted.store(planted, Ordering::Relaxed);
        let (history, witness): (Arc<Mutex<History>>, Arc<Mutex<Witness>>) = Default::default();
        let (write_down, looked) = (history.clone(), witness.clone());
        faults.watch(move |change, file, at, bytes| {
            let step = Step::of(change, file, at, bytes);
            write_down.lock().unwrap().push((step, looked.lock().unwrap().look().clone()));
        });
        let log: &Arc<Embedded> =
            Box::leak(Box::new(crate::support::open(dir, Options { faults, ..options(SEGMENT_BYTES) }).log));
        let keys = TOPICS.into_iter().flat_map(|topic| (0..PARTITIONS).map(move |partition| (topic, partition)));
        witness.lock().unwrap().visible = keys.map(|key| (key, log.end(key.0, key.1))).collect();
        Self { log, history, witness }
    }

    /// Several shards at once, in waves, so that groups have several frames and the log rolls.
    fn append(&self, chains: &mut Chains, waves: usize, chance: &mut Chance) -> Vec<Batch> {
        let mut given = Vec::new();
        for _ in 0..waves {
            let shards = [(Topic::Intake, 0), (Topic::Payroll, 0), (Topic::Payroll, 1), (Topic::Kpi, 3)];
            let wave = shards.map(|(writer, partition)| {
                let payloads: Vec<Vec<u8>> = (0..1 + chance.below(3)).map(|_| vec![b'x'; chance.below(200)]).collect();
                chains.batch(writer, partition, &payloads)
            });
            {
                // The log's thread looks for answers before its next change: it waits until all are given.
                let mut witness = self.witness.lock().unwrap();
                witness.waiting.extend(wave.iter().map(|batch| (batch.clone(), self.log.append(batch.clone()))));
            }
            let answered = (0..20_000).any(|_| {
                std::thread::sleep(Duration::from_micros(100));
                let mut witness = self.witness.lock().unwrap();
                witness.look();
                witness.waiting.is_empty()
            });
            assert!(answered, "no answer");
            given.extend(wave);
        }
        given
    }

    /// Closes the log and gives all that was done.
    fn close(self) -> History {
        self.log.close();
        std::mem::take(&mut *self.history.lock().unwrap())
    }
}

/// Starts on what the disk holds, and says what of `must` is lost, or what else is wrong.
fn check(dir: &Path, image: &Image, given: &[Batch], must: &BTreeMap<Key, u64>) -> Result<Contents, String> {
    image.write_to(dir);
    if image.files.contains_key("meta") {
        let report = log::verify(dir).map_err(|error| format!("verify: {error}"))?;
        if let Some(damage) = report.damage {
            return Err(format!("a power failure was taken for damage: {damage}"));
        }
    }
    let log = Embedded::open(dir, options(SEGMENT_BYTES)).map_err(|error| format!("open: {error}"))?.log;
    let found = contents(&*log).map_err(|error| format!("read: {error}"))?;
    for (key, end) in must {
        let there = found.get(key).map_or(0, Vec::len) as u64;
        if there < *end {
            return Err(format!("LOST: {key:?} was acknowledged up to {end}, {there} are there"));
        }
    }
    let there = |record: &log::Record| {
        let records = found.get(&(record.topic, record.partition));
        records.and_then(|records| records.get(usize::try_from(record.seq).unwrap())) == Some(record)
    };
    let mut whole = Vec::new();
    for batch in given {
        let records = batch.records.iter().filter(|record| there(record)).count();
        if records != 0 && records != batch.records.len() {
            return Err(format!("{records} of a batch of {}", batch.records.len()));
        }
        whole.extend((records > 0).then_some(batch));
    }
    if contents_of(whole) != found {
        return Err("records that nobody gave".to_owned());
    }
    goes_on(dir, &log, found.clone());
    Ok(found)
}

/// Lets the power fail after each of the steps, in each way.
fn fail_everywhere(before: &Cached, history: &History, given: &[Batch], chance: &mut Chance) -> Result<(), String> {
    let dir = folder();
    let mut disk = before.clone();
    for (n, (step, seen)) in history.iter().enumerate() {
        disk.take(step);
        for how in ALL_WAYS {
            let image = disk.after_failure(how, chance);
            check(dir.path(), &image, given, seen).map_err(|what| format!("after step {n}, {how:?} lost: {what}"))?;
        }
    }
    Ok(())
}

/// What a log does that is appended to and closed, and what it was given.
fn recorded(planted: u8, waves: usize, chance: &mut Chance) -> (History, Vec<Batch>) {
    let dir = folder();
    let recorded = Recorded::open(dir.path(), planted);
    let given = recorded.append(&mut Chains::default(), waves, chance);
    let history = recorded.close();
    assert!(history.len() > 5 * waves, "{} steps", history.len());
    (history, given)
}

/// Appends, and fails the power at every step of it.
fn run(planted: u8, seed: u64) -> Result<(), String> {
    let mut chance = Chance(seed);
    let (history, given) = recorded(planted, 6, &mut chance);
    fail_everywhere(&Cached::default(), &history, &given, &mut chance)
}

#[test]
fn nothing_that_anybody_saw_or_was_told_is_lost_when_the_power_fails_at_any_moment() {
    for seed in 1..3 {
        run(0, seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn a_log_that_acknowledges_before_it_syncs_is_caught() {
    let what = run(1, 1).expect_err("the planted bug was not found");
    assert!(what.contains("LOST"), "{what}");
}

/// What a reader in another process may see is bounded by a mark: it must never be ahead of the disk.
fn mark_is_never_ahead(history: &History) -> Result<(), String> {
    let (mut disk, mut marks) = (Cached::default(), 0);
    for (n, (step, _)) in history.iter().enumerate() {
        disk.take(step);
        let Some(mark) = disk.seen().files.get("durable").and_then(|bytes| bytes.first_chunk().copied()) else {
            continue;
        };
        let mark = u64::from_le_bytes(mark);
        let durable = disk.after_failure(Lost::Everything, &mut Chance(0)).frames().len() as u64;
        if mark > durable {
            return Err(format!("step {n}: readers see {mark} frames, {durable} are durable"));
        }
        marks = mark;
    }
    if marks > 0 { Ok(()) } else { Err("there was no mark".to_owned()) }
}

#[test]
fn readers_in_other_processes_never_see_what_is_not_durable() {
    mark_is_never_ahead(&recorded(0, 10, &mut Chance(3)).0).unwrap();
    mark_is_never_ahead(&recorded(1, 10, &mut Chance(3)).0).expect_err("the planted bug was not found");
}

/// Kills the process at some of its steps; the next one starts on what the first had written, synced or not, and then
/// the power fails at every step of that.
#[test]
fn what_a_killed_process_left_unsynced_is_made_durable_before_anybody_sees_it() {
    const SEED: u64 = 5;
    let mut chance = Chance(SEED);
    let (first, given) = recorded(0, 4, &mut chance);
    // Also where a name is there and not durable yet.
    let renamed = |killed: usize| matches!(first[killed - 1].0, Step::Rename { .. });
    for killed in (1..first.len()).filter(|killed| killed % 9 == 0 || renamed(*killed)) {
        let mut disk = Cached::default();
        first[..killed].iter().for_each(|(step, _)| disk.take(step));
        let dir = folder();
        disk.seen().write_to(dir.path());
        let next = Recorded::open(dir.path(), 0);
        let recovered = contents(next.log).unwrap();
        let more = next.append(&mut Chains::of(&recovered), 1, &mut chance);
        let second = next.close();
        let given: Vec<Batch> = given.iter().filter(|batch| is_in(batch, &recovered)).chain(&more).cloned().collect();
        fail_everywhere(&disk, &second, &given, &mut chance)
            .unwrap_or_else(|what| panic!("seed {SEED}, killed after step {killed}: {what}"));
    }
}

fn is_in(batch: &Batch, contents: &Contents) -> bool {
    let record = &batch.records[0];
    let seq = usize::try_from(record.seq).unwrap();
    contents.get(&(record.topic, record.partition)).and_then(|records| records.get(seq)) == Some(record)
}

#[test]
fn a_power_failure_during_recovery_loses_nothing_either() {
    const SEED: u64 = 9;
    let mut chance = Chance(SEED);
    let (first, given) = recorded(0, 4, &mut chance);
    let mut disk = Cached::default();
    for (n, (step, told)) in first.iter().enumerate() {
        disk.take(step);
        if n % 5 != 0 {
            continue;
        }
        let image = disk.after_failure(Lost::SomeSectors, &mut chance);
        let dir = folder();
        image.write_to(dir.path());
        let next = Recorded::open(dir.path(), 0);
        let recovered = contents(next.log).unwrap();
        let mut second = next.close();
        for (_, seen) in &mut second {
            told.iter().for_each(|(key, end)| raise(seen, *key, *end));
        }
        let given: Vec<Batch> = given.iter().filter(|batch| is_in(batch, &recovered)).cloned().collect();
        fail_everywhere(&Cached::holding(&image), &second, &given, &mut chance)
            .unwrap_or_else(|what| panic!("seed {SEED}, the power failed after step {n} and again {what}"));
    }
}
