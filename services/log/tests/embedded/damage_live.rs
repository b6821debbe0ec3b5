//! Damage in the midst of a group, and damage that comes while the log is open.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use log::{Batch, Embedded, Log, ReadError, Topic};

use crate::support::{
    Chains, Chance, Contents, FrameAt, Image, contents, contents_of, file_name, folder, large_folder, log_of, open,
    options, read_from, wait,
};

/// Appends on many partitions and topics at once until many of them shared a group, and then some more.
fn grouped(dir: &Path, segment_bytes: u64, groups: usize) -> (Arc<Embedded>, Vec<Batch>, Image) {
    let log = open(dir, options(segment_bytes)).log;
    let (mut chains, mut batches) = (Chains::default(), Vec::new());
    let mut enough = false;
    for n in 0..200 {
        let wave: Vec<Batch> = [Topic::Intake, Topic::Kpi, Topic::Payroll]
            .into_iter()
            .flat_map(|writer| (0..4).map(move |partition| (writer, partition)))
            .map(|(writer, partition)| chains.batch(writer, partition, &[format!("wave {n}").into_bytes()]))
            .collect();
        let answers: Vec<_> = wave.iter().map(|batch| log.append(batch.clone())).collect();
        answers.into_iter().for_each(|answer| wait(answer).unwrap());
        batches.extend(wave);
        let image = Image::of(dir);
        let frames = image.frames();
        // One wave more, so that a later group follows them.
        if enough {
            return (log, batches, image);
        }
        enough = frames.windows(3).filter(|three| three[0].durable_up_to == three[2].durable_up_to).count() >= groups;
    }
    panic!("no frames shared a group");
}

#[test]
fn a_flip_in_a_group_is_refused_when_a_later_group_proves_that_it_was_durable() {
    let dir = folder();
    let (log, batches, image) = grouped(dir.path(), 1 << 20, 6);
    drop(log);
    let frames = image.frames();
    let last_group = frames.last().unwrap().durable_up_to;
    let copy = folder();
    let first_of_several = |two: &[FrameAt]| {
        two[0].durable_up_to == two[1].durable_up_to
            && two[0].durable_up_to + 1 == two[0].frame_no
            && two[0].frame_no <= last_group
    };
    assert!(frames.windows(2).any(first_of_several), "no group of several frames before the last");
    for frame in &frames {
        let mut flipped = image.clone();
        flipped.files.get_mut(&frame.file).unwrap()[frame.offset + frame.length - 1] ^= 1;
        flipped.write_to(copy.path());
        let damage = log::verify(copy.path()).unwrap().damage.map(|damage| damage.offset as usize);
        let opened = Embedded::open(copy.path(), options(1 << 20));
        if frame.frame_no <= last_group {
            assert_eq!(damage, Some(frame.offset), "frame {} of {}", frame.frame_no, frames.len());
            assert!(opened.is_err(), "frame {} of {}", frame.frame_no, frames.len());
        } else {
            // The group was written by one write: what stands before the damage is whole, the rest is cut.
            let whole = usize::try_from(frame.frame_no - 1).unwrap();
            assert_eq!(damage, None);
            assert_eq!(contents(&*opened.unwrap().log).unwrap(), contents_of(&by_frames(&batches, &image)[..whole]));
        }
    }
}

/// The batches in the order in which they were written.
fn by_frames(batches: &[Batch], image: &Image) -> Vec<Batch> {
    let mut ordered: Vec<(usize, Batch)> = batches
        .iter()
        .map(|batch| {
            let record = &batch.records[0].bytes;
            let at = image.files.values().position(|bytes| find(bytes, record).is_some()).unwrap();
            let file = image.files.values().nth(at).unwrap();
            (at << 32 | find(file, record).unwrap(), batch.clone())
        })
        .collect();
    ordered.sort_by_key(|(at, _)| *at);
    ordered.into_iter().map(|(_, batch)| batch).collect()
}

fn find(bytes: &[u8], part: &[u8]) -> Option<usize> {
    bytes.windows(part.len()).position(|window| window == part)
}

/// Reads everything topic by topic: each is what was written, or its damage is named.
fn serves_nothing_else(log: &dyn Log, original: &Contents, flipped: (&str, usize), frames: &[FrameAt], what: &str) {
    let hit = frames.iter().find(|frame| frame.holds(flipped.0, flipped.1));
    for (key, records) in original {
        match read_from(log, *key, 0, 500) {
            Ok(read) => assert_eq!(&read, records, "{what}: other content was served in silence"),
            Err(ReadError::Damaged { file, offset, .. }) => {
                // Where no frame is hit, the bit is behind the last frame of its segment.
                let end = frames.iter().filter(|frame| frame.file == flipped.0).map(FrameAt::end).max();
                let place = hit.map_or(end, |frame| Some(frame.offset));
                assert_eq!((file_name(&file).as_str(), Some(offset as usize)), (flipped.0, place), "{what}");
            }
            Err(other) => panic!("{what}: refused without a place: {other}"),
        }
    }
}

fn flip_while_open(dir: &Path, image: &Image, log: &dyn Log, original: &Contents) {
    const SEED: u64 = 7;
    let mut chance = Chance(SEED);
    let frames = image.frames();
    let last = frames.last().unwrap();
    for (name, bytes) in image.files.iter().filter(|(name, _)| name.ends_with(".seg") && **name <= last.file) {
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << chance.below(8);
            fs::write(dir.join("log").join(name), &flipped).unwrap();
            serves_nothing_else(log, original, (name, at), &frames, &format!("seed {SEED}, {name} byte {at}"));
        }
        fs::write(dir.join("log").join(name), bytes).unwrap();
    }
    assert_eq!(&contents(log).unwrap(), original);
}

#[test]
fn a_bit_flipped_while_the_log_is_open_for_reading_is_refused_when_it_is_read() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 1400, 7);
    log.close();
    let reader = log::read_only(dir.path()).unwrap();
    flip_while_open(dir.path(), &Image::of(dir.path()), &*reader, &contents_of(&batches));
}

#[test]
fn a_bit_flipped_while_the_log_is_open_for_writing_is_refused_when_it_is_read() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 1400, 7);
    log.close();
    // Opened again, so that nothing is served from memory.
    let log = open(dir.path(), options(1400)).log;
    flip_while_open(dir.path(), &Image::of(dir.path()), &*log, &contents_of(&batches));
}

#[test]
fn a_flip_in_any_bit_of_a_frames_head_is_refused_in_a_segment_of_many_megabytes() {
    // Lengths that point far away, with frames larger than what is read at once.
    let dir = large_folder();
    let log = open(dir.path(), options(8 << 20)).log;
    let mut chains = Chains::default();
    let payloads = [1 << 10, 2 << 20, 1 << 10, 1 << 10].map(|size| vec![b'x'; size]);
    let batches: Vec<Batch> = payloads.into_iter().map(|payload| chains.batch(Topic::Kpi, 0, &[payload])).collect();
    batches.iter().for_each(|batch| wait(log.append(batch.clone())).unwrap());
    log.close();
    let image = Image::of(dir.path());
    let (frames, original) = (image.frames(), contents_of(&batches));
    let reader = log::read_only(dir.path()).unwrap();
    assert_eq!(contents(&*reader).unwrap(), original);
    for frame in &frames {
        let path = dir.path().join("log").join(&frame.file);
        let file = fs::File::options().write(true).open(path).unwrap();
        for bit in 0..crate::support::HEAD * 8 {
            let at = frame.offset + bit / 8;
            let byte = image.files[&frame.file][at];
            std::os::unix::fs::FileExt::write_all_at(&file, &[byte ^ (1 << (bit % 8))], at as u64).unwrap();
            serves_nothing_else(
                &*reader,
                &original,
                (&frame.file, at),
                &frames,
                &format!("frame {} bit {bit}", frame.frame_no),
            );
            std::os::unix::fs::FileExt::write_all_at(&file, &[byte], at as u64).unwrap();
        }
    }
}

#[test]
fn damage_in_what_the_writer_has_marked_durable_is_refused_by_a_reader_beside_it() {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 1 << 20, 5);
    let image = Image::of(dir.path());
    for frame in image.frames() {
        let mut flipped = image.clone();
        flipped.files.get_mut(&frame.file).unwrap()[frame.offset + frame.length - 1] ^= 1;
        fs::write(dir.path().join("log").join(&frame.file), &flipped.files[&frame.file]).unwrap();
        let error = log::read_only(dir.path()).map(drop).unwrap_err();
        assert!(matches!(&error, log::OpenError::Damage(damage) if damage.offset as usize == frame.offset), "{error}");
        assert_eq!(log::verify(dir.path()).unwrap().damage.map(|damage| damage.offset as usize), Some(frame.offset));
    }
    fs::write(dir.path().join("log").join("0000000000.seg"), &image.files["0000000000.seg"]).unwrap();
    assert_eq!(contents(&*log::read_only(dir.path()).unwrap()).unwrap(), contents_of(&batches));
    drop(log);
}
