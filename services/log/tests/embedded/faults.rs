//! A disk that is full, and a disk that fails to sync.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use log::{AppendError, Batch, Log, Topic};

use crate::support::{
    Chains, Chance, Contents, Image, append, contents, contents_of, faulty, folder, goes_on, open, options,
    spare_is_there, wait,
};

/// Small, so that the log rolls to a new segment again and again.
const SEGMENT_BYTES: u64 = 2048;
const WAVES: usize = 6;

/// Shards that append at the same time, two batches each.
struct Shards {
    shards: Vec<(Topic, u16, Chains)>,
    chance: Chance,
    /// What was acknowledged, in order per shard.
    acknowledged: Vec<Batch>,
}

impl Shards {
    fn new(seed: u64) -> Self {
        let writers = [Topic::Intake, Topic::Payroll].into_iter();
        let shards = writers.flat_map(|writer| (0..4).map(move |partition| (writer, partition, Chains::default())));
        Self { shards: shards.collect(), chance: Chance(seed), acknowledged: Vec::new() }
    }

    /// Appends two batches of each shard, all at once.
    fn wave(&mut self, log: &dyn Log) -> Vec<[Result<(), AppendError>; 2]> {
        let pairs: Vec<[(Batch, Chains); 2]> = (0..self.shards.len())
            .map(|n| {
                let (writer, partition, mut chains) = self.shards[n].clone();
                [(); 2].map(|()| {
                    let records = 1 + self.chance.below(3);
                    let payloads: Vec<Vec<u8>> = (0..records).map(|_| vec![b'x'; self.chance.below(300)]).collect();
                    (chains.batch(writer, partition, &payloads), chains.clone())
                })
            })
            .collect();
        let answers: Vec<_> =
            pairs.iter().map(|pair| pair.each_ref().map(|(batch, _)| log.append(batch.clone()))).collect();
        let answers: Vec<_> = answers.into_iter().map(|pair| pair.map(wait)).collect();
        for ((shard, pair), answer) in self.shards.iter_mut().zip(pairs).zip(&answers) {
            for ((batch, chains), answer) in pair.into_iter().zip(answer) {
                if answer.is_ok() {
                    shard.2 = chains;
                    self.acknowledged.push(batch);
                }
            }
        }
        answers
    }

    fn expected(&self) -> Contents {
        contents_of(&self.acknowledged)
    }
}

#[test]
fn a_full_disk_is_an_error_to_the_caller_and_the_log_goes_on_when_there_is_room() {
    let mut refused = 0;
    for n in 0.. {
        let what = format!("the {n}th write, seed {n}");
        let dir = folder();
        let (options, faults) = faulty(SEGMENT_BYTES, |why| panic!("a full disk ended the process: {why}"));
        let log = open(dir.path(), options).log;
        faults.full.store(n, Ordering::Relaxed);
        let mut shards = Shards::new(n.unsigned_abs());
        for _ in 0..WAVES {
            for (shard, answer) in shards.wave(&*log).into_iter().enumerate() {
                match answer {
                    [Ok(()), Ok(())] => {}
                    // The second may have come to another group than the first.
                    [Ok(()), Err(AppendError::Full(_))]
                    | [Err(AppendError::Full(_)), Err(AppendError::Full(_) | AppendError::Gap { .. })] => refused += 1,
                    other => panic!("{what}, shard {shard}: {other:?}"),
                }
            }
            assert_eq!(contents(&*log).unwrap(), shards.expected(), "{what}: seen from memory");
        }
        let struck = faults.full.load(Ordering::Relaxed) < 0;
        faults.full.store(-1, Ordering::Relaxed);
        let report = log::verify(dir.path()).unwrap();
        assert_eq!((report.damage, report.cut), (None, None), "{what}");
        assert_eq!(contents(&*log::read_only(dir.path()).unwrap()).unwrap(), shards.expected(), "{what}: seen on disk");
        goes_on(dir.path(), &log, shards.expected());
        if !struck {
            break;
        }
    }
    assert!(refused > 20, "only {refused} appends met the full disk");
}

#[test]
fn what_was_refused_for_want_of_room_is_gone_from_the_disk_before_the_caller_hears_of_it() {
    // Otherwise a power failure could bring the half back that was written, and with it whole batches.
    let dir = folder();
    let (options, faults) = faulty(SEGMENT_BYTES, |why| panic!("{why}"));
    let log = open(dir.path(), options).log;
    spare_is_there(dir.path());
    let unsynced = Arc::new(AtomicUsize::new(0));
    let seen = unsynced.clone();
    faults.watch(move |change, file, _, _| match change {
        "write" if file.ends_with(".seg") => seen.store(1, Ordering::SeqCst),
        "sync" if file.ends_with(".seg") => seen.store(0, Ordering::SeqCst),
        _ => {}
    });
    faults.full.store(0, Ordering::Relaxed);
    let refused = append(&*log, &Chains::default().turn(0));
    assert!(matches!(refused, Err(AppendError::Full(_))), "{refused:?}");
    assert_eq!(unsynced.load(Ordering::SeqCst), 0);
    assert!(Image::of(dir.path()).frames().is_empty());
}

static FATAL: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_failed_sync_ends_the_process_and_nobody_is_acknowledged() {
    let mut fatal = 0;
    for n in 0.. {
        let what = format!("the {n}th sync, seed {n}");
        let dir = folder();
        let (options, faults) = faulty(SEGMENT_BYTES, |why| FATAL.lock().unwrap().push(why.to_owned()));
        let log = open(dir.path(), options).log;
        faults.sync.store(n, Ordering::Relaxed);
        let mut shards = Shards::new(n.unsigned_abs());
        let mut failed = false;
        for _ in 0..WAVES {
            for answer in shards.wave(&*log).into_iter().flatten() {
                match answer {
                    Ok(()) => assert!(!failed || FATAL.lock().unwrap().len() == 1, "{what}"),
                    Err(AppendError::Unclear(_)) => failed = true,
                    Err(other) => panic!("{what}: {other}"),
                }
            }
            let seen = contents(&*log).unwrap();
            assert_eq!(seen, shards.expected(), "{what}: what is seen is what was acknowledged");
        }
        let struck = faults.sync.load(Ordering::Relaxed) < 0;
        let ended = std::mem::take(&mut *FATAL.lock().unwrap());
        assert_eq!(ended.len(), usize::from(failed), "{what}: {ended:?}");
        drop(log);
        if failed {
            fatal += 1;
            assert!(!Image::of(dir.path()).files.contains_key("clean"), "{what}: no clean stop");
            acknowledged_is_there(dir.path(), &shards, &what);
        }
        if !struck {
            break;
        }
    }
    assert!(fatal > 5, "only {fatal} of the syncs were needed");
}

/// After a reopening: what was acknowledged, and perhaps batches whose outcome was unclear.
fn acknowledged_is_there(dir: &Path, shards: &Shards, what: &str) {
    let log = open(dir, options(SEGMENT_BYTES)).log;
    let found = contents(&*log).unwrap();
    for (key, records) in shards.expected() {
        assert_eq!(found[&key][..records.len()], records, "{what}: {key:?}");
    }
    goes_on(dir, &log, found);
}

#[test]
fn after_a_failed_sync_nothing_is_accepted_any_more() {
    let dir = folder();
    let (options, faults) = faulty(SEGMENT_BYTES, |_| {});
    let log = open(dir.path(), options).log;
    let mut chains = Chains::default();
    append(&*log, &chains.turn(0)).unwrap();
    spare_is_there(dir.path());
    faults.sync.store(0, Ordering::Relaxed);
    assert!(matches!(append(&*log, &chains.clone().turn(0)), Err(AppendError::Unclear(_))));
    let end = *log.end(Topic::Intake, 0).borrow();
    assert!(matches!(append(&*log, &chains.turn(0)), Err(AppendError::Unclear(_))));
    assert!(matches!(wait(log.fence(Topic::Intake, 0)), Err(AppendError::Unclear(_))));
    assert_eq!(*log.end(Topic::Intake, 0).borrow(), end);
}

/// Whether the process is about to end, and whether it may.
static ENDING: (Mutex<(bool, bool)>, Condvar) = (Mutex::new((false, false)), Condvar::new());

fn ends_slowly(_: &str) {
    let mut state = ENDING.0.lock().unwrap();
    state.0 = true;
    ENDING.1.notify_all();
    while !state.1 {
        state = ENDING.1.wait(state).unwrap();
    }
}

#[test]
fn the_process_ends_before_anybody_is_answered_after_a_failed_sync() {
    let dir = folder();
    let (options, faults) = faulty(1 << 20, ends_slowly);
    let log = open(dir.path(), options).log;
    let mut chains = Chains::default();
    append(&*log, &chains.turn(0)).unwrap();
    spare_is_there(dir.path());
    faults.sync.store(0, Ordering::Relaxed);
    let mut last = log.append(chains.turn(0));
    let ending = ENDING.1.wait_timeout_while(ENDING.0.lock().unwrap(), Duration::from_secs(20), |state| !state.0);
    assert!(!ending.unwrap().1.timed_out(), "the process did not end");
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(last.as_mut().poll(&mut context), Poll::Pending));
    let seen = *log.end(Topic::Intake, 0).borrow();
    ENDING.0.lock().unwrap().1 = true;
    ENDING.1.notify_all();
    assert!(matches!(wait(last), Err(AppendError::Unclear(_))));
    assert_eq!(*log.end(Topic::Intake, 0).borrow(), seen, "nothing became visible");
}
