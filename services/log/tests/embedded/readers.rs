//! Reading: from any place, from memory and from disk, and beside the writer.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Batch, Log, ReadError, Topic};

use crate::support::{
    Chains, Contents, Image, PARTITIONS, append, contents, contents_of, file_name, folder, large_folder, log_of, open,
    options, read_from, wait,
};

/// Every start, and pieces from the smallest to more than all.
fn reads_exactly(log: &dyn Log, expected: &Contents, what: &str) {
    for (key, records) in expected {
        for from in 0..=records.len() {
            for bytes_max in [0, 1, 300, 5000, usize::MAX] {
                let read = wait(log.read(key.0, key.1, from as u64, bytes_max)).unwrap();
                assert_eq!(read.is_empty(), from == records.len(), "{what}: {key:?} from {from}, {bytes_max} bytes");
                assert_eq!(read, records[from..from + read.len()], "{what}: {key:?} from {from}, {bytes_max} bytes");
                assert!(bytes_max < usize::MAX || from + read.len() == records.len(), "{what}: {key:?} from {from}");
            }
            let rest = read_from(log, *key, from as u64, 1).unwrap();
            assert_eq!(rest, records[from..], "{what}: {key:?} from {from}, record by record");
        }
        let end = records.len() as u64;
        let beyond = wait(log.read(key.0, key.1, end + 1, 1));
        assert_eq!(beyond, Err(ReadError::BeyondEnd { topic: key.0, partition: key.1, end, from: end + 1 }));
    }
}

#[test]
fn memory_disk_and_a_reader_beside_give_the_same_records_from_any_place() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 4 << 10, 40);
    let expected = contents_of(&batches);
    reads_exactly(&*log, &expected, "from memory");
    reads_exactly(&*log::read_only(dir.path()).unwrap(), &expected, "beside the writer");
    log.close();
    let log = open(dir.path(), options(4 << 10)).log;
    reads_exactly(&*log, &expected, "from disk");
    log.close();
    reads_exactly(&*log::read_only(dir.path()).unwrap(), &expected, "without a writer");
}

#[test]
fn a_topic_that_is_partly_in_memory_is_read_without_a_seam() {
    let dir = large_folder();
    let log = open(dir.path(), options(8 << 20)).log;
    let mut chains = Chains::default();
    // More than the recent records that are kept in memory.
    let batches: Vec<Batch> = (0..60).map(|n| chains.batch(Topic::Kpi, 0, &[vec![n; 50_000]])).collect();
    batches.iter().for_each(|batch| append(&*log, batch).unwrap());
    for from in [0, 1, 35, 38, 39, 40, 41, 59] {
        let read = read_from(&*log, (Topic::Kpi, 0), from, 120_000).unwrap();
        assert_eq!(read, contents_of(&batches[usize::try_from(from).unwrap()..])[&(Topic::Kpi, 0)]);
    }
}

#[test]
fn batches_larger_than_what_is_read_at_once_are_read_and_read_past() {
    let dir = large_folder();
    let log = open(dir.path(), options(8 << 20)).log;
    let mut chains = Chains::default();
    let large = |n: u8| vec![n; (1 << 20) + 700_000 + usize::from(n)];
    let batches: Vec<Batch> = (1..12)
        .map(|n| match n % 3 {
            0 => chains.batch(Topic::Intake, 0, &[large(n)]),
            1 => chains.batch(Topic::Kpi, 0, &[vec![n; 3]]),
            _ => chains.batch(Topic::Payroll, 0, &[large(n), vec![n; 9], large(n)]),
        })
        .collect();
    batches.iter().for_each(|batch| append(&*log, batch).unwrap());
    log.close();
    let reader = log::read_only(dir.path()).unwrap();
    for (key, records) in contents_of(&batches) {
        for from in 0..records.len() {
            assert_eq!(read_from(&*reader, key, from as u64, 1 << 20).unwrap(), records[from..], "{key:?} from {from}");
        }
    }
}

#[test]
fn frames_of_every_length_are_read_across_the_edges_of_what_is_read_at_once() {
    let dir = large_folder();
    let log = open(dir.path(), options(6 << 20)).log;
    let mut chains = Chains::default();
    // A first frame that ends close to the first mebibyte, by every multiple of eight around it.
    let mut batches = Vec::new();
    for n in 0..5 {
        let overhead = 300;
        batches.push(chains.batch(Topic::Kpi, 0, &[vec![1; (1 << 20) - overhead - 8 * n]]));
        batches.extend((0..8).map(|m| chains.batch(Topic::Intake, 1, &[vec![2; m * 5 + n]])));
    }
    batches.iter().for_each(|batch| append(&*log, batch).unwrap());
    log.close();
    let reader = log::read_only(dir.path()).unwrap();
    for (key, records) in contents_of(&batches) {
        for from in 0..records.len() {
            assert_eq!(read_from(&*reader, key, from as u64, 4 << 20).unwrap(), records[from..], "{key:?} from {from}");
        }
    }
}

#[test]
fn readers_beside_a_busy_writer_see_whole_batches_and_all_that_was_acknowledged() {
    let dir = folder();
    let log = open(dir.path(), options(8 << 10)).log;
    let done = AtomicBool::new(false);
    let acknowledged = |topic| *log.end(topic, 0).borrow();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut chains = Chains::default();
            for n in 0..600 {
                let size = (n * 37) % 700;
                append(&*log, &chains.batch(Topic::Payroll, 0, &vec![vec![b'x'; size]; 4])).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
        let mut looks = 0;
        while !done.load(Ordering::Relaxed) || looks == 0 {
            let before = acknowledged(Topic::Payroll);
            let reader = log::read_only(dir.path()).unwrap();
            let seen = contents(&*reader).unwrap();
            let [events, payouts] =
                [Topic::Payroll, Topic::Payout].map(|topic| seen.get(&(topic, 0)).map_or(0, Vec::len) as u64);
            assert_eq!(events, payouts, "a part of a batch");
            assert!(events >= before, "{before} were acknowledged, {events} are there");
            let report = log::verify(dir.path()).unwrap();
            assert_eq!((report.damage, report.cut), (None, None));
            assert!(report.records >= events + payouts);
            let stat = log::stat(dir.path()).unwrap();
            assert!(stat.topics.iter().map(|topic| topic.records).sum::<u64>() >= report.records);
            looks += 1;
        }
    });
    let mut dumped = Contents::new();
    log::dump(dir.path(), |record| dumped.entry((record.topic, record.partition)).or_default().push(record.clone()))
        .unwrap();
    assert_eq!(dumped, contents(&*log).unwrap());
}

#[test]
fn a_reader_sees_nothing_that_is_not_durable() {
    // The mark of what is durable is written before anybody is answered, and bounds what a reader beside may see.
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 16 << 10, 5);
    let mark = dir.path().join("log").join("durable");
    for frames in 0..=5u64 {
        fs::write(&mark, frames.to_le_bytes()).unwrap();
        let whole = &batches[..usize::try_from(frames).unwrap()];
        assert_eq!(contents(&*log::read_only(dir.path()).unwrap()).unwrap(), contents_of(whole));
        assert_eq!(log::verify(dir.path()).unwrap().frames, frames);
        assert_eq!(log::stat(dir.path()).unwrap().frames, frames);
    }
    drop(log);
}

#[test]
fn a_reader_beside_a_writer_that_has_only_just_begun_sees_an_empty_log() {
    let dir = folder();
    let log = open(dir.path(), options(16 << 10)).log;
    fs::remove_file(dir.path().join("log").join("durable")).unwrap();
    assert_eq!(contents(&*log::read_only(dir.path()).unwrap()).unwrap(), Contents::new());
    drop(log);
}

#[test]
fn readers_and_writers_that_come_and_go_never_disturb_each_other() {
    let dir = folder();
    // Long enough that a writer comes while a reader is at it.
    let (log, batches) = log_of(dir.path(), 2048, 300);
    drop(log);
    let done = AtomicBool::new(false);
    let look = || {
        let mut seen = 0;
        let mut records = 0;
        while !done.load(Ordering::Relaxed) {
            let report = log::verify(dir.path()).unwrap();
            assert_eq!(report.damage, None);
            assert!(report.frames >= seen, "{} frames, {seen} were there", report.frames);
            seen = report.frames;
            let reader = contents(&*log::read_only(dir.path()).unwrap()).unwrap();
            let stat = log::stat(dir.path()).unwrap();
            assert!(reader.values().map(Vec::len).sum::<usize>() as u64 >= report.records);
            assert!(stat.frames >= report.frames);
            let before = std::mem::take(&mut records);
            log::dump(dir.path(), |_| records += 1).unwrap();
            assert!(records >= before);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(look);
        scope.spawn(look);
        let mut chains = Chains::of(&contents_of(&batches));
        let mut failed = Vec::new();
        for _ in 0..60 {
            match log::Embedded::open(dir.path(), options(2048)) {
                Ok(opened) => (0..20).for_each(|n| append(&*opened.log, &chains.turn(n)).unwrap()),
                Err(error) => failed.push(error.to_string()),
            }
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(failed, Vec::<String>::new());
    });
}

#[test]
fn a_reader_that_a_writer_overtakes_does_not_take_what_it_sees_for_damage() {
    // The reader finds no writer and is held up behind the first segment and behind the second, by pipes in the place
    // of segments. Meanwhile a writer comes and writes all of them.
    let dir = folder();
    let (log, _) = log_of(dir.path(), 1200, 14);
    let image = Image::of(dir.path());
    drop(log);
    let (frames, file) = (image.frames(), |number: u64| dir.path().join("log").join(format!("{number:010}.seg")));
    assert!(frames.last().unwrap().file >= file_name(file(3).to_str().unwrap()), "too few segments");
    let mut before = image.clone();
    before.files.retain(|name, _| !name.ends_with(".seg"));
    let mut first = image.files["0000000000.seg"].clone();
    first[frames[0].end()..].fill(0);
    before.files.insert("0000000000.seg".to_owned(), first);
    before.files.insert("0000000003.seg".to_owned(), vec![0; 1200]);
    before.files.insert("durable".to_owned(), 1u64.to_le_bytes().to_vec());
    before.write_to(dir.path());
    for number in [1, 2] {
        assert!(std::process::Command::new("mkfifo").arg(file(number)).status().unwrap().success());
    }
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| log::verify(dir.path()).unwrap());
        let until_read = |number| drop(fs::File::options().write(true).open(file(number)).unwrap());
        until_read(1);
        let writer = fs::File::create(dir.path().join("LOCK")).unwrap();
        writer.lock().unwrap();
        fs::remove_file(file(1)).unwrap();
        for number in [0, 1, 3] {
            fs::write(file(number), &image.files[&file_name(file(number).to_str().unwrap())]).unwrap();
        }
        let durable = frames.iter().filter(|frame| frame.file < file_name(file(2).to_str().unwrap())).count() as u64;
        fs::write(dir.path().join("log").join("durable"), durable.to_le_bytes()).unwrap();
        until_read(2);
        let report = reader.join().unwrap();
        assert_eq!((report.frames, report.damage, report.cut), (durable, None, None));
    });
}

#[test]
fn a_reader_that_looks_whether_there_is_a_writer_does_not_keep_one_out() {
    let dir = folder();
    drop(log_of(dir.path(), 2048, 3));
    let held = fs::File::open(dir.path().join("LOCK")).unwrap();
    held.lock_shared().unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| log::Embedded::open(dir.path(), options(2048)).map(drop));
        // Most likely the writer finds the lock held by now; where it is slower, there is nothing to wait for.
        std::thread::sleep(std::time::Duration::from_millis(10));
        held.unlock().unwrap();
        writer.join().unwrap().unwrap();
    });
}

#[test]
fn readers_change_nothing_on_disk() {
    let dir = folder();
    let (log, _) = log_of(dir.path(), 16 << 10, 5);
    log.close();
    let before = Image::of(dir.path());
    let reader = log::read_only(dir.path()).unwrap();
    contents(&*reader).unwrap();
    log::verify(dir.path()).unwrap();
    log::stat(dir.path()).unwrap();
    log::dump(dir.path(), |_| {}).unwrap();
    assert!(wait(reader.fence(Topic::Kpi, 0)).is_err());
    assert!(append(&*reader, &Chains::default().turn(0)).is_err());
    assert_eq!(Image::of(dir.path()), before);
}

#[test]
fn the_end_of_a_topic_can_be_waited_for() {
    let dir = folder();
    let log = open(dir.path(), options(16 << 10)).log;
    let mut ends: Vec<_> = (0..PARTITIONS).map(|partition| log.end(Topic::Payroll, partition)).collect();
    let waiting = std::thread::spawn(move || {
        let mut end = ends.remove(2);
        wait(Box::pin(async move { end.wait_for(|end| *end == 4).await.map(|end| *end) }))
    });
    let mut chains = Chains::default();
    append(&*log, &chains.batch(Topic::Payroll, 1, &vec![b"x".to_vec(); 9])).unwrap();
    append(&*log, &chains.batch(Topic::Payroll, 2, &vec![b"x".to_vec(); 8])).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), 4);
}
