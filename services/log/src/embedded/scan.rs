//! Reading the log from its files: the index of an open log, and the end of what is durable.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::disk::Disk;
use super::frame::{self, Head, NoFrame};
use crate::Topic;

/// Bytes of log between two entries of the sparse index of a topic's partition.
const INDEX_EVERY: u64 = 64 << 10;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub segment: u64,
    pub offset: u64,
}

/// Frames of one writer and partition: where those with some sequence number begin, sparsely, per topic.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicIndex {
    pub end: u64,
    pub bytes: u64,
    sparse: Vec<(u64, Place)>,
}

impl TopicIndex {
    /// Notes a frame that holds records of the topic from `first` to before `end`.
    pub(super) fn note(&mut self, first: u64, end: u64, bytes: u64, place: Place) {
        let far = self.sparse.last().is_none_or(|(_, last)| {
            last.segment != place.segment || place.offset - last.offset >= INDEX_EVERY
        });
        if far {
            self.sparse.push((first, place));
        }
        self.end = end;
        self.bytes += bytes;
    }

    /// A place at or before the frame with `seq`.
    pub(super) fn find(&self, seq: u64) -> Option<Place> {
        let after = self.sparse.partition_point(|(first, _)| *first <= seq);
        self.sparse.get(after.checked_sub(1)?).map(|(_, place)| *place)
    }
}

pub(super) type Index = BTreeMap<(Topic, u16), TopicIndex>;

/// Bytes that looked like an unfinished write and are no part of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub file: String,
    pub offset: u64,
    /// Bytes from there on that are not zero.
    pub bytes: u64,
}

/// Bytes that are not what was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("damage in {file} at byte {offset}: {what}")]
pub struct Damage {
    pub file: String,
    pub offset: u64,
    pub what: String,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ScanError {
    #[error(transparent)]
    Damage(#[from] Damage),
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// What a scan of the whole log found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub index: Index,
    pub last_frame: u64,
    /// Where the next frame goes.
    pub next: Place,
    pub cut: Option<Cut>,
    pub frames: u64,
}

impl Default for Place {
    fn default() -> Self {
        Self { segment: 0, offset: 0 }
    }
}

/// One segment in memory.
pub(super) fn load(disk: &Disk, number: u64) -> std::io::Result<bytes::Bytes> {
    let file: File = disk.open_segment(number, false)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}

/// Scans all segments, checking every frame, up to frame `limit` where one is given.
pub(super) fn scan(
    disk: &Disk,
    limit: Option<u64>,
    mut each: impl FnMut(Place, &Head, &bytes::Bytes) -> Result<(), Damage>,
) -> Result<Scan, ScanError> {
    let mut scan = Scan::default();
    let segments = disk.segments()?;
    let mut at = 0;
    while let Some(number) = segments.get(at).copied() {
        let bytes = load(disk, number)?;
        let mut offset = 0;
        let stopped = loop {
            if limit.is_some_and(|limit| scan.last_frame >= limit) {
                return Ok(scan);
            }
            let rest = bytes.slice(offset..);
            let expected = scan.last_frame + 1;
            match frame::parse(&rest) {
                Ok(head) if head.frame_no == expected => {
                    let place = Place { segment: number, offset: offset as u64 };
                    note(disk, &mut scan, place, &head, &rest)?;
                    each(place, &head, &rest)?;
                    offset += head.size();
                    scan.next = Place { segment: number, offset: offset as u64 };
                }
                Ok(_) => break NoFrame::Bad("frame out of order"),
                Err(stop) => break stop,
            }
        };
        // An empty place may be the end of a segment whose successor goes on, or the end of the log.
        match later_frame(disk, &segments[at..], &bytes, offset)? {
            Some((segment, head)) if stopped == NoFrame::Empty && segment != number && head.frame_no == scan.last_frame + 1 => {
                at = segments.iter().position(|other| *other == segment).expect("listed");
                scan.next = Place { segment, offset: 0 };
            }
            Some((_, head)) if head.durable_up_to > scan.last_frame => {
                let what = match stopped {
                    NoFrame::Bad(what) => what.to_owned(),
                    NoFrame::Empty => "zeros where a frame was".to_owned(),
                    NoFrame::Short(_) => "a frame is cut".to_owned(),
                };
                let file = disk.segment_path(number).display().to_string();
                return Err(Damage { file, offset: offset as u64, what }.into());
            }
            // Whatever stands behind was written in the same group as what is torn: nobody was told of it.
            later => {
                scan.cut = cut(disk, &segments[at..], &bytes, offset, later.is_some())?;
                return Ok(scan);
            }
        }
    }
    Ok(scan)
}

fn note(disk: &Disk, scan: &mut Scan, place: Place, head: &Head, bytes: &bytes::Bytes) -> Result<(), Damage> {
    let damage = |what: String| Damage {
        file: disk.segment_path(place.segment).display().to_string(),
        offset: place.offset,
        what,
    };
    let records = frame::records(head, bytes).map_err(|bad| damage(format!("{bad:?}")))?;
    for record in records {
        let index = scan.index.entry((record.topic, record.partition)).or_default();
        if record.seq != index.end {
            let what = format!("{} partition {} has record {} where {} belongs", record.topic, record.partition, record.seq, index.end);
            return Err(damage(what));
        }
        index.note(record.seq, record.seq + 1, record.bytes.len() as u64, place);
    }
    scan.last_frame = head.frame_no;
    scan.frames += 1;
    Ok(())
}

/// The first whole frame behind a place, in this segment or a later one.
fn later_frame(
    disk: &Disk,
    segments: &[u64],
    bytes: &[u8],
    offset: usize,
) -> std::io::Result<Option<(u64, Head)>> {
    let Some((number, later)) = segments.split_first() else { return Ok(None) };
    let begin = offset.next_multiple_of(8);
    if let Some(head) = first_frame(bytes.get(begin..).unwrap_or_default(), offset % 8 == 0) {
        return Ok(Some((*number, head)));
    }
    for number in later {
        if let Some(head) = first_frame(&load(disk, *number)?, false) {
            return Ok(Some((*number, head)));
        }
    }
    Ok(None)
}

fn first_frame(bytes: &[u8], skip_first: bool) -> Option<Head> {
    let places = (0..bytes.len()).step_by(8).skip(usize::from(skip_first));
    places.filter(|at| bytes[*at] != 0).find_map(|at| frame::parse(&bytes[at..]).ok())
}

/// What stands behind the end of the log and is not zero.
fn cut(
    disk: &Disk,
    segments: &[u64],
    bytes: &[u8],
    offset: usize,
    later: bool,
) -> std::io::Result<Option<Cut>> {
    let mut garbage = bytes.get(offset..).unwrap_or_default().iter().filter(|byte| **byte != 0).count() as u64;
    let number = segments.first().copied().unwrap_or(0);
    for segment in segments.iter().skip(1) {
        garbage += load(disk, *segment)?.iter().filter(|byte| **byte != 0).count() as u64;
    }
    if garbage == 0 && !later {
        return Ok(None);
    }
    let file = disk.segment_path(number).display().to_string();
    Ok(Some(Cut { file, offset: offset as u64, bytes: garbage }))
}
