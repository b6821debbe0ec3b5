//! A bit flipped or a page zeroed anywhere in a log that nobody has open: refused with its place. Only the last group
//! after an unclean stop cannot be told from a torn write: it is cut and reported.

use std::collections::BTreeMap;
use std::path::Path;

use log::{Batch, Damage, Embedded, OpenError, Topic};

use crate::support::{
    Chains, Chance, Contents, FrameAt, Image, append, contents, contents_of, file_name, folder, log_of, open, options,
};

const SEGMENT_BYTES: u64 = 1400;
const TURNS: usize = 7;
/// Any will do: it chooses the bit of each byte.
const SEED: u64 = 20;

/// What a start makes of a folder.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Refused(Damage),
    /// The log opened with a cut, and with these records.
    Cut(Contents),
    Same,
}

/// Opens the log for checking, for reading and for writing, which must agree.
fn find(dir: &Path, segment_bytes: u64, original: &Contents) -> Found {
    let report = log::verify(dir);
    let read = log::read_only(dir);
    match Embedded::open(dir, options(segment_bytes)) {
        Err(OpenError::Damage(damage)) => {
            assert_eq!(report.unwrap().damage.as_ref(), Some(&damage));
            assert_eq!(read.map(drop).unwrap_err().to_string(), damage.to_string());
            Found::Refused(damage)
        }
        Err(other) => panic!("refused without a place: {other}"),
        Ok(opened) => {
            let report = report.unwrap();
            let served = contents(&*opened.log).unwrap();
            assert_eq!(report.damage, None);
            assert_eq!(report.cut, opened.cut);
            assert_eq!(contents(&*read.unwrap()).unwrap(), served);
            match opened.cut {
                Some(_) => Found::Cut(served),
                None => {
                    assert_eq!(&served, original, "other content was served in silence");
                    Found::Same
                }
            }
        }
    }
}

fn sample(clean: bool) -> (Image, Vec<Batch>) {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), SEGMENT_BYTES, TURNS);
    if clean {
        log.close();
    }
    let image = Image::of(dir.path());
    assert_eq!(image.files.contains_key("clean"), clean);
    assert!(ends(&image.frames()).len() > 2);
    (image, batches)
}

/// Flips one bit of each byte of each file, and shows what was found.
fn flip_everywhere(image: &Image, batches: &[Batch], mut check: impl FnMut(&str, usize, Found)) {
    let original = contents_of(batches);
    let dir = folder();
    let mut chance = Chance(SEED);
    for (name, bytes) in &image.files {
        for at in 0..bytes.len() {
            let bit = chance.below(8);
            let mut flipped = image.clone();
            flipped.files.get_mut(name).unwrap()[at] ^= 1 << bit;
            flipped.write_to(dir.path());
            check(name, at, find(dir.path(), SEGMENT_BYTES, &original));
        }
    }
}

/// The end of the frames of each segment that has any.
fn ends(frames: &[FrameAt]) -> BTreeMap<&str, usize> {
    frames.iter().map(|frame| (frame.file.as_str(), frame.end())).collect()
}

fn assert_refused(found: Found, file: &str, offset: usize, what: &str) {
    let Found::Refused(damage) = found else { panic!("{what}: not refused but {found:?}") };
    assert_eq!((file_name(&damage.file).as_str(), damage.offset as usize), (file, offset), "{what}: {damage}");
}

/// Whether a byte of a segment is behind the last frame of the log.
fn unused(frames: &[FrameAt], file: &str, at: usize) -> bool {
    let last = frames.last().unwrap();
    file > last.file.as_str() || (file == last.file && at >= last.end())
}

#[test]
fn after_a_clean_stop_any_flipped_bit_is_refused_with_its_place() {
    let (image, batches) = sample(true);
    let (frames, original) = (image.frames(), contents_of(&batches));
    let ends = ends(&frames);
    flip_everywhere(&image, &batches, |file, at, found| {
        let what = format!("seed {SEED}, {file} byte {at}");
        match frames.iter().find(|frame| frame.holds(file, at)) {
            Some(frame) => assert_refused(found, file, frame.offset, &what),
            // How far readers may go while a writer is there; nobody is.
            None if file == "durable" => assert_eq!(found, Found::Same, "{what}"),
            None if !file.ends_with(".seg") => assert_refused(found, file, 0, &what),
            // Space that nothing was written to yet: zeroed again, which is reported.
            None if unused(&frames, file, at) => assert_eq!(found, Found::Cut(original.clone()), "{what}"),
            None => assert_refused(found, file, ends[file], &what),
        }
    });
}

#[test]
fn after_an_unclean_stop_only_the_last_frame_is_cut_and_any_other_flipped_bit_is_refused() {
    let (image, batches) = sample(false);
    let (frames, original) = (image.frames(), contents_of(&batches));
    let without_last = contents_of(&batches[..batches.len() - 1]);
    let (ends, last) = (ends(&frames), frames.last().unwrap());
    assert_eq!(last.durable_up_to + 1, last.frame_no, "the last frame is a group of its own");
    flip_everywhere(&image, &batches, |file, at, found| {
        let what = format!("seed {SEED}, {file} byte {at}");
        match frames.iter().find(|frame| frame.holds(file, at)) {
            Some(frame) if frame == last => assert_eq!(found, Found::Cut(without_last.clone()), "{what}"),
            Some(frame) => assert_refused(found, file, frame.offset, &what),
            None if file == "durable" => assert_eq!(found, Found::Same, "{what}"),
            None if !file.ends_with(".seg") => assert_refused(found, file, 0, &what),
            None if unused(&frames, file, at) => assert_eq!(found, Found::Cut(original.clone()), "{what}"),
            None => assert_refused(found, file, ends[file], &what),
        }
    });
}

/// A log whose frames are spread over many pages, several to a page and several pages to a segment.
fn pages(clean: bool) -> (Image, Contents) {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), 16 << 10, 150);
    if clean {
        log.close();
    }
    (Image::of(dir.path()), contents_of(&batches))
}

fn zero_each_page(clean: bool) {
    const PAGE: usize = 4096;
    let (image, original) = pages(clean);
    let frames = image.frames();
    let last = frames.last().unwrap();
    let dir = folder();
    let mut refused = 0;
    for (name, bytes) in image.files.iter().filter(|(name, _)| name.ends_with(".seg")) {
        for at in (0..bytes.len()).step_by(PAGE) {
            let mut zeroed = image.clone();
            zeroed.files.get_mut(name).unwrap()[at..(at + PAGE).min(bytes.len())].fill(0);
            let first = frames.iter().find(|frame| frame.file == *name && frame.end() > at && frame.offset < at + PAGE);
            // The page with the last frame is a torn tail after an unclean stop.
            let Some(first) = first.filter(|_| clean || !(last.file == *name && last.end() <= at + PAGE)) else {
                continue;
            };
            zeroed.write_to(dir.path());
            assert_refused(find(dir.path(), 16 << 10, &original), name, first.offset, &format!("{name} page at {at}"));
            refused += 1;
        }
    }
    assert!(refused > 8, "{refused} pages");
}

#[test]
fn a_zeroed_page_is_refused_after_a_clean_stop() {
    zero_each_page(true);
}

#[test]
fn a_zeroed_page_before_the_last_frame_is_refused_after_an_unclean_stop() {
    zero_each_page(false);
}

#[test]
fn records_that_do_not_say_what_they_are_or_what_they_follow_are_found_by_the_check() {
    let chains = || Chains::of(&contents_of(&[Chains::default().turn(0)]));
    let altered = |at: usize| {
        let mut batch = chains().batch(Topic::Intake, 0, &[b"x".to_vec()]);
        let mut bytes = batch.records[0].bytes.to_vec();
        bytes[at] ^= 1;
        batch.records[0].bytes = bytes.into();
        batch
    };
    // The format, the sequence number and the hash of the record before, in the envelope.
    for (at, what) in [(0, "format"), (23, "says that it is"), (103, "does not follow")] {
        let dir = folder();
        let log = open(dir.path(), options(SEGMENT_BYTES)).log;
        append(&*log, &Chains::default().turn(0)).unwrap();
        append(&*log, &altered(at)).unwrap();
        log.close();
        let frame = Image::of(dir.path()).frames().pop().unwrap();
        let report = log::verify(dir.path()).unwrap();
        let damage = report.damage.unwrap();
        assert!(damage.what.contains(what) && damage.offset as usize == frame.offset, "{damage}");
        assert_eq!(report.records, 1);
    }
}

#[test]
fn a_segment_that_is_gone_is_refused() {
    let (image, batches) = sample(false);
    let original = contents_of(&batches);
    let dir = folder();
    let last = image.frames().pop().unwrap();
    for name in image.files.keys().filter(|name| name.ends_with(".seg") && **name < last.file) {
        let mut without = image.clone();
        without.files.remove(name);
        without.write_to(dir.path());
        assert!(matches!(find(dir.path(), SEGMENT_BYTES, &original), Found::Refused(_)), "{name}");
    }
}

#[test]
fn a_refused_log_is_left_as_it_is() {
    let (image, _) = sample(false);
    let first = &image.frames()[0];
    let mut flipped = image.clone();
    flipped.files.get_mut(&first.file).unwrap()[first.offset + 50] ^= 1;
    let dir = folder();
    flipped.write_to(dir.path());
    assert!(Embedded::open(dir.path(), options(SEGMENT_BYTES)).is_err());
    assert_eq!(Image::of(dir.path()), flipped);
}

#[test]
fn a_cut_is_reported_once() {
    let (image, batches) = sample(false);
    let last = image.frames().pop().unwrap();
    let mut flipped = image.clone();
    flipped.files.get_mut(&last.file).unwrap()[last.offset + 50] ^= 1;
    let dir = folder();
    flipped.write_to(dir.path());
    assert!(open(dir.path(), options(SEGMENT_BYTES)).cut.is_some());
    let again = open(dir.path(), options(SEGMENT_BYTES));
    assert_eq!(again.cut, None);
    assert_eq!(contents(&*again.log).unwrap(), contents_of(&batches[..TURNS - 1]));
}
