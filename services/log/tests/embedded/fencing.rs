//! Who may write, in which order, and how much.

use std::path::Path;

use log::{AppendError, Batch, Embedded, Epoch, Log, OpenError, Topic};

use crate::support::{Chains, PARTITIONS, append, contents, contents_of, folder, log_of, open, options, wait};

const SEGMENT_BYTES: u64 = 16 << 10;

fn at(epoch: Epoch, batch: Batch) -> Batch {
    Batch { epoch, ..batch }
}

#[test]
fn an_older_epoch_is_refused_and_nothing_is_written() {
    let dir = folder();
    let log = open(dir.path(), options(SEGMENT_BYTES)).log;
    let mut chains = Chains::default();
    let old = wait(log.fence(Topic::Kpi, 1)).unwrap();
    let first = at(old, chains.batch(Topic::Kpi, 1, &[b"a".to_vec()]));
    append(&*log, &first).unwrap();
    let new = wait(log.fence(Topic::Kpi, 1)).unwrap();
    assert!(new > old);
    let late = at(old, chains.clone().batch(Topic::Kpi, 1, &[b"b".to_vec()]));
    assert_eq!(append(&*log, &late), Err(AppendError::Fenced { held: old, newest: new }));
    let second = at(new, chains.batch(Topic::Kpi, 1, &[b"c".to_vec()]));
    append(&*log, &second).unwrap();
    assert_eq!(contents(&*log).unwrap(), contents_of([&first, &second]));
}

#[test]
fn fencing_one_shard_leaves_the_others_alone() {
    let dir = folder();
    let log = open(dir.path(), options(SEGMENT_BYTES)).log;
    let mut chains = Chains::default();
    let held = wait(log.fence(Topic::Kpi, 1)).unwrap();
    wait(log.fence(Topic::Kpi, 2)).unwrap();
    wait(log.fence(Topic::Intake, 1)).unwrap();
    append(&*log, &at(held, chains.batch(Topic::Kpi, 1, &[b"a".to_vec()]))).unwrap();
}

#[test]
fn what_was_queued_before_a_fence_is_decided_when_the_fence_is_answered() {
    let dir = folder();
    let log = open(dir.path(), options(SEGMENT_BYTES)).log;
    let mut chains = Chains::default();
    let mut epoch = wait(log.fence(Topic::Kpi, 0)).unwrap();
    for _ in 0..50 {
        let queued: Vec<_> =
            (0..8).map(|_| log.append(at(epoch, chains.batch(Topic::Kpi, 0, &[b"queued".to_vec()])))).collect();
        epoch = wait(log.fence(Topic::Kpi, 0)).unwrap();
        let end = *log.end(Topic::Kpi, 0).borrow();
        let written = queued.into_iter().map(wait).take_while(Result::is_ok).count() as u64;
        // The end that the new owner recovers to does not move any more.
        assert_eq!(*log.end(Topic::Kpi, 0).borrow(), end);
        assert!(written <= end);
        chains = Chains::of(&contents(&*log).unwrap());
        assert_eq!(chains.end((Topic::Kpi, 0)), end);
    }
}

#[test]
fn batches_are_taken_in_the_order_in_which_they_were_given() {
    let dir = folder();
    let log = open(dir.path(), options(SEGMENT_BYTES)).log;
    let mut chains = Chains::default();
    let batches: Vec<Batch> = (0..200).map(|n| chains.batch(Topic::Payroll, n % 2, &vec![b"x".to_vec(); 3])).collect();
    let answers: Vec<_> = batches.iter().map(|batch| log.append(batch.clone())).collect();
    // Waited for in another order than given.
    answers.into_iter().rev().for_each(|answer| wait(answer).unwrap());
    assert_eq!(contents(&*log).unwrap(), contents_of(&batches));
}

#[test]
fn a_batch_that_does_not_continue_its_topics_is_refused_whole() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), SEGMENT_BYTES, 6);
    let chains = Chains::of(&contents_of(&batches));
    let good = chains.clone().batch(Topic::Payroll, 1, &vec![b"x".to_vec(); 4]);
    for (record, seq) in [(0, 3), (0, 5), (1, 1), (1, 9), (2, 4), (3, 2), (3, 4)] {
        let mut bad = good.clone();
        let topic = bad.records[record].topic;
        let expected = bad.records[record].seq;
        bad.records[record].seq = seq;
        let refused = AppendError::Gap { topic, partition: 1, expected, given: seq };
        assert_eq!(append(&*log, &bad), Err(refused));
    }
    let mut elsewhere = good.clone();
    elsewhere.records[3].partition = 2;
    assert!(matches!(append(&*log, &elsewhere), Err(AppendError::Gap { .. })));
    assert_eq!(contents(&*log).unwrap(), contents_of(&batches));
    append(&*log, &good).unwrap();
}

#[test]
fn a_batch_that_was_appended_already_is_refused() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), SEGMENT_BYTES, 3);
    for batch in &batches {
        assert!(matches!(append(&*log, batch), Err(AppendError::Gap { .. })));
    }
}

#[test]
fn a_batch_larger_than_a_segment_is_refused_and_the_largest_is_taken() {
    let dir = folder();
    let log = open(dir.path(), options(2048)).log;
    let chains = Chains::default();
    let sized = |payload: usize| chains.clone().batch(Topic::Kpi, 0, &[vec![b'x'; payload]]);
    let overhead = crate::support::HEAD + 16 + sized(0).records[0].bytes.len();
    let over = append(&*log, &sized(2048 - overhead + 1));
    assert_eq!(over, Err(AppendError::TooLarge { bytes: 2056, limit: 2048 }));
    append(&*log, &Chains::default().turn(0)).unwrap();
    append(&*log, &sized(2048 - overhead)).unwrap();
    log.close();
    assert_eq!(log::verify(dir.path()).unwrap().records, 2);
}

#[test]
fn a_second_writer_on_the_folder_is_refused_and_the_first_goes_on() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), SEGMENT_BYTES, 3);
    let error = Embedded::open(dir.path(), options(SEGMENT_BYTES)).unwrap_err();
    assert!(matches!(error, OpenError::InUse(_)), "{error}");
    append(&*log, &Chains::of(&contents_of(&batches)).turn(3)).unwrap();
}

#[test]
fn a_log_that_is_dropped_is_closed_and_can_be_opened_at_once() {
    let dir = folder();
    let mut chains = Chains::default();
    for n in 0..20 {
        let opened = open(dir.path(), options(SEGMENT_BYTES));
        assert_eq!(opened.cut, None);
        append(&*opened.log, &chains.turn(n)).unwrap();
        drop(opened);
        assert!(dir.path().join("log").join("clean").exists(), "dropped in round {n} without the mark of a clean stop");
    }
}

#[test]
fn what_was_queued_is_written_before_the_log_is_closed() {
    let dir = folder();
    let log = open(dir.path(), options(SEGMENT_BYTES)).log;
    let mut chains = Chains::default();
    let batches: Vec<Batch> = (0..60).map(|n| chains.turn(n)).collect();
    let answers: Vec<_> = batches.iter().map(|batch| log.append(batch.clone())).collect();
    log.close();
    answers.into_iter().for_each(|answer| wait(answer).unwrap());
    assert!(matches!(append(&*log, &chains.turn(60)), Err(AppendError::Unclear(_))));
    assert_eq!(contents(&*log::read_only(dir.path()).unwrap()).unwrap(), contents_of(&batches));
}

#[test]
fn another_number_of_partitions_than_the_log_was_made_with_is_refused() {
    let dir = folder();
    drop(log_of(dir.path(), SEGMENT_BYTES, 3));
    let other = log::Options { partitions: PARTITIONS + 1, ..options(SEGMENT_BYTES) };
    let error = Embedded::open(dir.path(), other).unwrap_err();
    assert!(matches!(error, OpenError::Partitions { made: PARTITIONS, asked } if asked == PARTITIONS + 1), "{error}");
    assert_eq!(log::read_only(dir.path()).unwrap().partitions(), PARTITIONS);
}

#[test]
fn a_folder_without_a_log_is_missing_to_its_readers_and_stays_as_it_is() {
    let dir = folder();
    let missing = |error: OpenError| assert!(matches!(error, OpenError::Missing(_)), "{error}");
    let nowhere: &Path = dir.path();
    missing(log::verify(nowhere).unwrap_err());
    missing(log::stat(nowhere).unwrap_err());
    missing(log::dump(nowhere, |_| {}).unwrap_err());
    missing(log::read_only(nowhere).map(drop).unwrap_err());
    assert_eq!(std::fs::read_dir(nowhere).unwrap().count(), 0);
}
