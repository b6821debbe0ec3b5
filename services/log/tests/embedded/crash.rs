//! Kill -9 of a writing process, again and again on the same folder.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use log::{Batch, Embedded, Envelope, Log, Options, Record, Topic};

use crate::support::{Chains, Chance, Contents, Key, options, wait};

const CHILD: &str = "FENLIU_LOG_CRASH_CHILD";
/// The child's test, which does nothing in an ordinary run.
const CHILD_TEST: &str = "crash::appends_until_it_is_killed_when_started_as_a_child";
const SHARDS: u16 = 8;
const ROUNDS: u64 = 20;
/// Acknowledged records before the kill, at most.
const ACKNOWLEDGED_MAX: usize = 800;

fn eight_shards() -> Options {
    Options { partitions: SHARDS, ..options(64 << 10) }
}

/// The chains as they stand at the end of a log, without reading all of it.
fn resume(log: &dyn Log) -> Vec<Chains> {
    let last = |topic, partition| {
        let end = *log.end(topic, partition).borrow();
        let from = end.checked_sub(1)?;
        Some(((topic, partition), wait(log.read(topic, partition, from, 1)).unwrap()))
    };
    (0..SHARDS)
        .map(|partition| {
            let lasts = [Topic::Payroll, Topic::Payout].into_iter().filter_map(|topic| last(topic, partition));
            Chains::of(&lasts.collect())
        })
        .collect()
}

/// A batch whose every record says how many records it has and which of them it is.
fn next_batch(chains: &mut Chains, partition: u16, chance: &mut Chance) -> Batch {
    let count = 1 + chance.below(6);
    let first = chains.end((Topic::Payroll, partition));
    let payloads = (0..count).map(|n| format!("{first} {n} {count} {}", "x".repeat(chance.below(400))).into_bytes());
    chains.batch(Topic::Payroll, partition, &payloads.collect::<Vec<_>>())
}

#[test]
fn appends_until_it_is_killed_when_started_as_a_child() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let log = Embedded::open(Path::new(&dir), eight_shards()).unwrap().log;
    let chains = resume(&*log);
    std::thread::scope(|scope| {
        for (partition, chains) in (0..SHARDS).zip(chains) {
            let log: &Arc<Embedded> = &log;
            scope.spawn(move || append_for_ever(&**log, partition, chains));
        }
    });
}

fn append_for_ever(log: &dyn Log, partition: u16, mut chains: Chains) {
    let epoch = wait(log.fence(Topic::Payroll, partition)).unwrap();
    let mut chance = Chance(chains.end((Topic::Payroll, partition)) * u64::from(SHARDS) + u64::from(partition));
    loop {
        let batch = Batch { epoch, ..next_batch(&mut chains, partition, &mut chance) };
        let lines: Vec<String> = batch.records.iter().map(|record| line(record.topic, partition, record.seq)).collect();
        wait(log.append(batch)).unwrap();
        // One write of less than a pipe's atomic size.
        std::io::stdout().lock().write_all(lines.concat().as_bytes()).unwrap();
    }
}

fn line(topic: Topic, partition: u16, seq: u64) -> String {
    format!("acknowledged {} {partition} {seq}\n", topic.number())
}

fn parse(line: &str) -> Option<(Key, u64)> {
    let mut words = line.strip_prefix("acknowledged ")?.split(' ');
    let topic = Topic::from_number(words.next()?.parse().ok()?)?;
    Some(((topic, words.next()?.parse().ok()?), words.next()?.parse().ok()?))
}

fn start(dir: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([CHILD_TEST, "--exact", "--nocapture", "--test-threads=1"]).env(CHILD, dir);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Lets a child append until it has acknowledged about `limit` records, kills it, and returns the ends that it had
/// acknowledged, from all of its output.
fn append_and_kill(dir: &Path, limit: usize) -> BTreeMap<Key, u64> {
    let mut child = start(dir);
    let mut ends = BTreeMap::new();
    let mut count = 0;
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        if let Some((key, seq)) = parse(&line.unwrap()) {
            let end = ends.entry(key).or_insert(0);
            *end = (seq + 1).max(*end);
            count += 1;
            if count == limit {
                child.kill().unwrap();
            }
        }
    }
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(count >= limit, "the child ended by itself: {said}");
    ends
}

/// All records of the log, in one pass. `verify` checks their chains.
fn dump(dir: &Path) -> Contents {
    let report = log::verify(dir).unwrap();
    assert_eq!(report.damage, None);
    let mut contents = Contents::new();
    log::dump(dir, |record| contents.entry((record.topic, record.partition)).or_default().push(record.clone()))
        .unwrap();
    contents
}

/// Batches are whole: the records of each say how many they are.
fn assert_whole(contents: &Contents) {
    for partition in 0..SHARDS {
        let mut batches: BTreeMap<u64, (Vec<usize>, usize)> = BTreeMap::new();
        for topic in [Topic::Payroll, Topic::Payout] {
            let records: &[Record] = contents.get(&(topic, partition)).map_or(&[], Vec::as_slice);
            for (seq, record) in records.iter().enumerate() {
                assert_eq!(record.seq, seq as u64, "{topic} {partition} is not dense");
                let (_, payload) = Envelope::decode(&record.bytes).unwrap();
                let text = std::str::from_utf8(payload).unwrap();
                let numbers: Vec<usize> = text.split(' ').take(3).map(|word| word.parse().unwrap()).collect();
                let batch = batches.entry(numbers[0] as u64).or_insert((Vec::new(), numbers[2]));
                batch.0.push(numbers[1]);
            }
        }
        for (first, (mut records, count)) in batches {
            records.sort_unstable();
            assert_eq!(
                records,
                (0..count).collect::<Vec<_>>(),
                "partition {partition}, the batch that begins at {first}"
            );
        }
    }
}

#[test]
fn a_writer_killed_twenty_times_loses_nothing_that_it_acknowledged() {
    const SEED: u64 = 31;
    let mut chance = Chance(SEED);
    // On a real disk, so that the kill comes while a sync is under way.
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<Key, u64> = BTreeMap::new();
    for round in 0..ROUNDS {
        let what = format!("seed {SEED}, round {round}");
        let limit = 1 + chance.below(ACKNOWLEDGED_MAX);
        acknowledged.extend(append_and_kill(dir.path(), limit));
        let before = dump(dir.path());
        for (key, end) in &acknowledged {
            let there = before.get(key).map_or(0, Vec::len) as u64;
            assert!(there >= *end, "{what}: {key:?} was acknowledged up to {end}, {there} are there");
        }
        assert_whole(&before);
        // Every other round it is a child again that recovers.
        if round % 2 == 0 {
            let log = Embedded::open(dir.path(), eight_shards()).unwrap().log;
            for (key, records) in &before {
                assert_eq!(*log.end(key.0, key.1).borrow(), records.len() as u64, "{what}: {key:?}");
            }
            log.close();
            let report = log::verify(dir.path()).unwrap();
            assert_eq!((report.damage, report.cut), (None, None), "{what}");
        }
    }
    let total: u64 = acknowledged.values().sum();
    assert!(total > ROUNDS, "{total} records in {ROUNDS} rounds");
}
