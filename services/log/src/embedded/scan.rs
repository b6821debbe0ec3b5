//! Reading the log from its files: the index of an open log, and the end of what is durable.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use bytes::Bytes;

use super::disk::Disk;
use super::frame::{self, Head, NoFrame};
use crate::Topic;

/// Bytes of log between two entries of the sparse index of a topic's partition.
const INDEX_EVERY: u64 = 64 << 10;

/// Where something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Place {
    pub segment: u64,
    pub offset: u64,
}

impl Place {
    pub(super) fn damage(self, disk: &Disk, what: String) -> Damage {
        Damage { file: disk.segment_path(self.segment).display().to_string(), offset: self.offset, what }
    }
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
        let far = self
            .sparse
            .last()
            .is_none_or(|(_, last)| last.segment != place.segment || place.offset - last.offset >= INDEX_EVERY);
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
    /// Where the last group begins: what a process that was killed may not have synced.
    pub last_group: Place,
    /// Where the scan met no further frame.
    pub stopped: Place,
    pub cut: Option<Cut>,
    pub frames: u64,
    durable: u64,
}

/// One segment in memory.
pub(super) fn load(disk: &Disk, number: u64) -> std::io::Result<Bytes> {
    let file: File = disk.open_segment(number)?;
    let length = usize::try_from(file.metadata()?.len()).map_err(std::io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes.into())
}

/// Scans all segments, checking every frame, up to frame `limit` where one is given.
pub(super) fn scan(
    disk: &Disk,
    limit: Option<u64>,
    mut each: impl FnMut(Place, &Head, &Bytes) -> Result<(), Damage>,
) -> Result<Scan, ScanError> {
    let mut scan = Scan::default();
    let segments = disk.segments()?;
    let mut loaded = match segments.first() {
        Some(first) => load(disk, *first)?,
        None => Bytes::new(),
    };
    for (at, number) in segments.iter().enumerate() {
        let Some(why) = scan.segment(disk, *number, &loaded, limit, &mut each)? else { return Ok(scan) };
        let rest =
            loaded.slice(usize::try_from(scan.stopped.offset).map_err(std::io::Error::other)?.min(loaded.len())..);
        let following = segments.get(at + 1);
        let next = following.map(|number| load(disk, *number)).transpose()?.unwrap_or_default();
        if frame::parse(&next).is_ok_and(|head| head.frame_no == scan.last_frame + 1) {
            // The log goes on there: between its last frame and its end, a segment is zeros.
            if !zeros(&rest) {
                return Err(scan.stopped.damage(disk, "bytes behind the last frame of a segment".to_owned()).into());
            }
            loaded = next;
            continue;
        }
        let behind = Behind::of(disk, scan.last_frame, &rest, &next, segments.get(at + 2..).unwrap_or_default())?;
        if behind.in_rest == 0 && behind.in_next > 0 && frame::parse(&next).is_err() {
            scan.stopped = Place { segment: *following.unwrap_or(number), offset: 0 };
        }
        if behind.durable > scan.last_frame || limit.is_some_and(|limit| limit > scan.last_frame) {
            return Err(scan.stopped.damage(disk, why.to_owned()).into());
        }
        // Whatever stands behind was written in the same group as what is torn: nobody was told of it.
        if behind.in_rest + behind.in_next + behind.further > 0 {
            let file = disk.segment_path(scan.stopped.segment).display().to_string();
            let bytes = behind.in_rest + behind.in_next + behind.further;
            scan.cut = Some(Cut { file, offset: scan.stopped.offset, bytes });
        }
        return Ok(scan);
    }
    Ok(scan)
}

impl Scan {
    /// Takes the frames of one segment, and says why there are no more; nothing once the limit is reached.
    fn segment(
        &mut self,
        disk: &Disk,
        number: u64,
        bytes: &Bytes,
        limit: Option<u64>,
        each: &mut impl FnMut(Place, &Head, &Bytes) -> Result<(), Damage>,
    ) -> Result<Option<&'static str>, Damage> {
        let mut offset = 0;
        loop {
            self.stopped = Place { segment: number, offset: offset as u64 };
            if limit.is_some_and(|limit| self.last_frame >= limit) {
                return Ok(None);
            }
            let rest = bytes.slice(offset..);
            let head = match frame::parse(&rest) {
                Ok(head) if head.frame_no == self.last_frame + 1 => head,
                Ok(_) => return Ok(Some("frame out of order")),
                Err(NoFrame::Bad(what)) => return Ok(Some(what)),
                Err(NoFrame::Empty) => return Ok(Some("zeros where a frame was")),
                Err(NoFrame::Short(_)) => return Ok(Some("a frame is cut")),
            };
            self.note(disk, self.stopped, &head, &rest)?;
            each(self.stopped, &head, &rest)?;
            // A file that was cut off within the padding of its last frame ends there.
            offset = (offset + head.size()).min(bytes.len());
            self.next = Place { segment: number, offset: self.stopped.offset + head.size() as u64 };
        }
    }

    fn note(&mut self, disk: &Disk, place: Place, head: &Head, bytes: &Bytes) -> Result<(), Damage> {
        for record in frame::places(head, bytes) {
            let record = record.map_err(|bad| place.damage(disk, format!("{bad:?}")))?;
            let index = self.index.entry((record.topic, head.partition)).or_default();
            if record.seq != index.end {
                let (topic, partition, seq, end) = (record.topic, head.partition, record.seq, index.end);
                let what = format!("{topic} partition {partition} has record {seq} where {end} belongs");
                return Err(place.damage(disk, what));
            }
            index.note(record.seq, record.seq + 1, record.bytes.len() as u64, place);
        }
        if self.frames == 0 || head.durable_up_to != self.durable {
            self.last_group = place;
        }
        self.durable = head.durable_up_to;
        self.last_frame = head.frame_no;
        self.frames += 1;
        Ok(())
    }
}

/// What stands behind the place where a scan stopped.
struct Behind {
    /// Bytes that are not zero, in the rest of the segment, in the one after it, and in those after that.
    in_rest: u64,
    in_next: u64,
    further: u64,
    /// The newest frame that a whole frame behind says was durable. The first of them does not do: it may have been
    /// written together with what is damaged.
    durable: u64,
}

impl Behind {
    fn of(disk: &Disk, last_frame: u64, rest: &[u8], next: &[u8], further: &[u64]) -> std::io::Result<Self> {
        let (in_rest, in_next) = (filled(rest), filled(next));
        let mut behind = Self { in_rest, in_next, further: 0, durable: 0 };
        behind.durable = durable_in(rest, last_frame).max(durable_in(next, last_frame));
        for number in further {
            let bytes = load(disk, *number)?;
            behind.further += filled(&bytes);
            behind.durable = behind.durable.max(durable_in(&bytes, last_frame));
        }
        Ok(behind)
    }
}

/// The greatest `durable_up_to` of the whole frames in `bytes`, which begin at a multiple of eight.
fn durable_in(bytes: &[u8], last_frame: u64) -> u64 {
    let (mut durable, mut at) = (0, 0);
    while at < bytes.len() {
        if at % ZEROS.len() == 0 && zeros(&bytes[at..bytes.len().min(at + ZEROS.len())]) {
            at += ZEROS.len();
            continue;
        }
        match frame::parse(&bytes[at..]) {
            Ok(head) if head.frame_no > last_frame => {
                durable = durable.max(head.durable_up_to);
                at += head.size();
            }
            _ => at += 8,
        }
    }
    durable
}

/// As many zeros as are compared at once.
static ZEROS: [u8; 4096] = [0; 4096];

fn zeros(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|chunk| chunk == &ZEROS[..chunk.len()])
}

fn filled(bytes: &[u8]) -> u64 {
    let chunks = bytes.chunks(ZEROS.len()).filter(|chunk| !zeros(chunk));
    chunks.map(|chunk| chunk.iter().filter(|byte| **byte != 0).count() as u64).sum()
}
