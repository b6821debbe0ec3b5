//! A log whose tail is torn: whatever the place, the whole frames before it are there and nothing else is.

use std::path::Path;

use log::Batch;

use crate::support::{FrameAt, Image, contents, contents_of, file_name, folder, goes_on, log_of, open, options};

/// Frames whose every byte is tried.
const TORN: usize = 3;

/// A log after an unclean stop: as it is while its writer still has it open.
fn torn_log(segment_bytes: u64, turns: usize) -> (Image, Vec<Batch>) {
    let dir = folder();
    let (log, batches) = log_of(dir.path(), segment_bytes, turns);
    let image = Image::of(dir.path());
    drop(log);
    assert!(!image.files.contains_key("clean"));
    (image, batches)
}

/// The files after a loss of everything from a byte on: cut off, or zeros.
fn lose(image: &Image, frame: &FrameAt, at: usize, zeroed: bool) -> Image {
    let mut torn = image.clone();
    let later: Vec<String> =
        torn.files.keys().filter(|name| **name > frame.file && name.ends_with(".seg")).cloned().collect();
    for name in later {
        if zeroed {
            torn.files.get_mut(&name).unwrap().fill(0);
        } else {
            torn.files.remove(&name);
        }
    }
    let bytes = torn.files.get_mut(&frame.file).unwrap();
    if zeroed {
        bytes[at..].fill(0)
    } else {
        bytes.truncate(at)
    }
    torn
}

fn tear_everywhere(segment_bytes: u64, turns: usize, zeroed: bool) {
    let (image, batches) = torn_log(segment_bytes, turns);
    let frames = image.frames();
    assert_eq!(frames.len(), turns);
    let dir = folder();
    for (whole, frame) in frames.iter().enumerate().skip(turns - TORN) {
        for at in frame.offset..frame.end() {
            lose(&image, frame, at, zeroed).write_to(dir.path());
            // Only padding may be missing from a whole frame.
            let whole = if at >= frame.offset + frame.length { whole + 1 } else { whole };
            let torn_at =
                (at > frame.offset && at < frame.offset + frame.length).then_some((frame.file.clone(), frame.offset));
            opens_with(dir.path(), segment_bytes, &batches[..whole], torn_at, &format!("{} cut at {at}", frame.file));
        }
    }
}

fn opens_with(dir: &Path, segment_bytes: u64, whole: &[Batch], torn_at: Option<(String, usize)>, what: &str) {
    let expected = contents_of(whole);
    let report = log::verify(dir).unwrap();
    assert_eq!((report.frames, report.damage), (whole.len() as u64, None), "{what}");
    assert_eq!(report.cut.map(|cut| (file_name(&cut.file), cut.offset as usize)), torn_at, "{what}");
    assert_eq!(contents(&*log::read_only(dir).unwrap()).unwrap(), expected, "{what}");
    let opened = open(dir, options(segment_bytes));
    assert_eq!(opened.cut.map(|cut| (file_name(&cut.file), cut.offset as usize)), torn_at, "{what}");
    assert_eq!(contents(&*opened.log).unwrap(), expected, "{what}");
    goes_on(dir, &opened.log, expected);
}

#[test]
fn cut_off_at_any_byte_of_its_last_three_frames_the_log_opens_with_the_whole_frames_before() {
    tear_everywhere(16 << 10, 8, false);
}

#[test]
fn zeroed_from_any_byte_of_its_last_three_frames_the_log_opens_with_the_whole_frames_before() {
    tear_everywhere(16 << 10, 8, true);
}

#[test]
fn a_tail_that_spans_two_segments_is_cut_off_at_any_byte_as_well() {
    tear_everywhere(straddling(), 8, false);
}

#[test]
fn a_tail_that_spans_two_segments_is_zeroed_from_any_byte_as_well() {
    tear_everywhere(straddling(), 8, true);
}

/// A segment size with which the last three frames of eight stand in two segments.
fn straddling() -> u64 {
    let segment_bytes = 1400;
    let frames = torn_log(segment_bytes, 8).0.frames();
    assert_ne!(frames[5].file, frames[7].file, "the layout changed; choose another size");
    segment_bytes
}

#[test]
fn a_log_cut_before_its_first_frame_is_whole_opens_empty() {
    let (image, _) = torn_log(16 << 10, 1);
    let frame = &image.frames()[0];
    let dir = folder();
    for at in 0..frame.length {
        lose(&image, frame, at, false).write_to(dir.path());
        let torn_at = (at > 0).then_some((frame.file.clone(), 0));
        opens_with(dir.path(), 16 << 10, &[], torn_at, &format!("cut at {at}"));
    }
}

#[test]
fn a_tail_lost_after_a_clean_stop_is_refused_and_not_cut() {
    let dir = folder();
    let (log, _) = log_of(dir.path(), 16 << 10, 4);
    log.close();
    let image = Image::of(dir.path());
    let last = image.frames().pop().unwrap();
    for at in last.offset..last.offset + last.length {
        for zeroed in [false, true] {
            lose(&image, &last, at, zeroed).write_to(dir.path());
            let error = log::Embedded::open(dir.path(), options(16 << 10)).unwrap_err();
            let log::OpenError::Damage(damage) = error else { panic!("{error} at {at}") };
            assert_eq!((file_name(&damage.file), damage.offset as usize), (last.file.clone(), last.offset));
            assert_eq!(log::verify(dir.path()).unwrap().damage, Some(damage));
            assert!(log::read_only(dir.path()).is_err());
        }
    }
}
