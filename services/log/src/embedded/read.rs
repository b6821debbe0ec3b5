//! Reading committed records: beside the writer, and from another process without touching anything.

use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::disk::Disk;
use super::frame::{self, Head, NoFrame, Placed};
use super::scan::{Damage, Index, Place, Scan, scan};
use super::{OpenError, partitions_in};
use crate::{AppendError, Batch, Boxed, Epoch, Log, ReadError, Record, Topic};

/// Bytes read from a segment at once: about as many as are wanted, within these bounds. The index is no finer than the
/// lower one, and the upper one is where larger reads stop being faster.
const CHUNK_MIN: usize = 64 << 10;
const CHUNK_MAX: usize = 1 << 20;

/// Records up to about `bytes_max` bytes, at least one.
pub(super) fn take(records: impl Iterator<Item = Record>, bytes_max: usize) -> Vec<Record> {
    let mut taken = Vec::new();
    let mut bytes = 0;
    for record in records {
        bytes += record.bytes.len();
        taken.push(record);
        if bytes >= bytes_max {
            break;
        }
    }
    taken
}

/// Reads records of one topic and partition from the segments, beginning at a place at or before the first.
pub(super) fn from_disk(
    disk: &Disk,
    topic: Topic,
    partition: u16,
    range: Range<u64>,
    place: Place,
    bytes_max: usize,
) -> Result<Vec<Record>, ReadError> {
    let mut frames = Frames::from(disk, place, bytes_max.clamp(CHUNK_MIN, CHUNK_MAX))?;
    let mut found: Vec<Record> = Vec::new();
    let mut bytes = 0;
    let mut next = range.start;
    while next < range.end && (found.is_empty() || bytes < bytes_max) {
        let (head, frame) = match frames.next() {
            Ok(Some(frame)) => frame,
            Err(failed @ ReadError::Io(_)) => return Err(failed),
            Ok(None) | Err(_) => return Err(missing(disk, place)),
        };
        if head.writer != topic.writer().number() || head.partition != partition {
            continue;
        }
        let begun = frame.start;
        let frame = &frames.chunk[frame];
        head.check(frame).map_err(|_| missing(disk, place))?;
        for placed in frame::places(&head, frame) {
            let Placed { topic: of, seq, bytes: within } = placed.map_err(|_| missing(disk, place))?;
            if of != topic || seq < next || next == range.end {
                continue;
            }
            if seq > next {
                return Err(missing(disk, place));
            }
            bytes += within.len();
            next += 1;
            let slice = frames.chunk.slice(begun + within.start..begun + within.end);
            found.push(Record { topic, partition, seq, bytes: slice });
        }
    }
    Ok(found)
}

/// Where the damage is that hides a record: the first frame from `place` on that is not whole. A reader checks only
/// the frames that it wants, so that it may have walked past the damaged one.
fn missing(disk: &Disk, place: Place) -> ReadError {
    let first = || -> Result<ReadError, ReadError> {
        let mut frames = Frames::from(disk, place, CHUNK_MAX)?;
        while let Some((head, frame)) = frames.next()? {
            if head.check(&frames.chunk[frame]).is_err() {
                return Ok(frames.damaged("checksum differs"));
            }
        }
        Ok(frames.damaged("a record is not there"))
    };
    first().unwrap_or_else(|damaged| damaged)
}

/// Walks over frames from a place on, across segments. Checks that they follow each other, not their contents.
struct Frames<'a> {
    disk: &'a Disk,
    file: File,
    length: u64,
    chunk_bytes: usize,
    /// Bytes of the segment from `place` on, and how many of them are done.
    chunk: Bytes,
    place: Place,
    done: usize,
    /// Where the walk is: at the frame that was given last, or where there was none.
    at: Place,
    last_frame: Option<u64>,
    /// Where the segment before this one ended, until this one has given a frame.
    came_from: Option<Place>,
}

impl<'a> Frames<'a> {
    fn from(disk: &'a Disk, place: Place, chunk_bytes: usize) -> Result<Self, ReadError> {
        let file = disk.open_segment(place.segment).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        let (chunk, done, at) = (Bytes::new(), 0, place);
        Ok(Self { disk, file, length, chunk_bytes, chunk, place, done, at, last_frame: None, came_from: None })
    }

    /// The next frame and where it is in the chunk; nothing behind the last one.
    fn next(&mut self) -> Result<Option<(Head, Range<usize>)>, ReadError> {
        loop {
            let rest = &self.chunk[self.done..];
            self.at = Place { offset: self.place.offset + self.done as u64, ..self.place };
            let left = usize::try_from(self.length.saturating_sub(self.at.offset)).unwrap_or(usize::MAX);
            let wanted = match Head::parse(rest) {
                Ok(head) if head.length() > left => return Err(self.damaged("a frame is cut")),
                // A file that was cut off within its last padding may end before the next multiple of eight.
                Ok(head) if rest.len() >= head.size().min(left) => return self.give(head).map(Some),
                Ok(head) => head.size(),
                Err(NoFrame::Bad(what)) => return Err(self.damaged(what)),
                Err(NoFrame::Empty | NoFrame::Short(_)) if rest.len() < frame::HEAD.min(left) => frame::HEAD,
                Err(NoFrame::Short(_)) => return Err(self.damaged("a frame is cut")),
                Err(NoFrame::Empty) if self.enter_next_segment()? => continue,
                Err(NoFrame::Empty) => return Ok(None),
            };
            self.fill(wanted.max(self.chunk_bytes).min(left))?;
        }
    }

    fn fill(&mut self, wanted: usize) -> Result<(), ReadError> {
        (self.place, self.done) = (self.at, 0);
        self.chunk = read_chunk(&self.file, self.place.offset, wanted).map_err(failed)?;
        if self.chunk.len() < wanted { Err(self.damaged("the segment became shorter")) } else { Ok(()) }
    }

    fn give(&mut self, head: Head) -> Result<(Head, Range<usize>), ReadError> {
        let rest = &self.chunk[self.done..];
        if self.last_frame.is_some_and(|last| head.frame_no != last + 1) {
            // A whole frame that follows another one: what is missing stood where the last segment ended.
            self.at = self.came_from.filter(|_| head.check(rest).is_ok()).unwrap_or(self.at);
            return Err(self.damaged("frame out of order"));
        }
        let begun = self.done;
        self.done += head.size().min(rest.len());
        (self.last_frame, self.came_from) = (Some(head.frame_no), None);
        Ok((head, begun..self.done))
    }

    fn enter_next_segment(&mut self) -> Result<bool, ReadError> {
        let place = Place { segment: self.place.segment + 1, offset: 0 };
        if !self.disk.segment_path(place.segment).exists() {
            return Ok(false);
        }
        let came_from = Some(self.came_from.unwrap_or(self.at));
        *self = Self { last_frame: self.last_frame, came_from, ..Self::from(self.disk, place, self.chunk_bytes)? };
        Ok(true)
    }

    fn damaged(&self, what: &str) -> ReadError {
        let Damage { file, offset, what } = self.at.damage(self.disk, what.to_owned());
        ReadError::Damaged { file, offset, what }
    }
}

fn failed(error: std::io::Error) -> ReadError {
    ReadError::Io(error.to_string())
}

fn read_chunk(file: &File, offset: u64, wanted: usize) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; wanted];
    let filled = read_into(file, offset, &mut bytes)?;
    bytes.truncate(filled);
    Ok(bytes.into())
}

/// Fills `bytes` from the file, as far as it goes.
pub(super) fn read_into(file: &File, offset: u64, bytes: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The durable prefix of a log, as it was when it was opened. Changes nothing on disk.
pub struct ReadOnly {
    disk: Disk,
    index: Index,
    partitions: u16,
}

/// Opens a log for reading, also beside its writer.
pub fn read_only(dir: &Path) -> Result<Arc<ReadOnly>, OpenError> {
    let (disk, partitions) = existing(dir)?;
    let ((), found) = look(dir, &disk, |(), _, _, _| Ok(()))?;
    Ok(Arc::new(ReadOnly { index: found?.index, partitions, disk }))
}

/// The folder of a log that was made before, and its number of partitions.
pub(super) fn existing(dir: &Path) -> Result<(Disk, u16), OpenError> {
    let disk = Disk::new(dir, Arc::default());
    match disk.get("meta")? {
        Some(meta) => Ok((disk, partitions_in(&meta)?)),
        None if disk.segments().is_ok_and(|segments| !segments.is_empty()) => {
            Err(disk.damage("meta", "it is gone, and there are segments").into())
        }
        None => Err(OpenError::Missing(dir.display().to_string())),
    }
}

/// Scans the durable prefix of a log that somebody may be writing; `each` keeps what it wants to know of the frames.
/// It begins anew when a writer came meanwhile: what is being written looks like damage to one who does not know.
pub(super) fn look<T: Default>(
    dir: &Path,
    disk: &Disk,
    each: impl Fn(&mut T, Place, &Head, &Bytes) -> Result<(), Damage>,
) -> Result<(T, Result<Scan, OpenError>), OpenError> {
    let mut before = Writer::of(dir, disk)?;
    loop {
        let mut seen = T::default();
        let found = scan(disk, before.limit(), |place, head, bytes| each(&mut seen, place, head, bytes));
        let found = found.map_err(OpenError::from).and_then(|found| match disk.get("clean")? {
            Some(clean) if !before.here => super::refuse_lost_frames(disk, &clean, &found).map(|()| found),
            _ => Ok(found),
        });
        let after = Writer::of(dir, disk)?;
        if before.here || before == after {
            return Ok((seen, found));
        }
        before = after;
    }
}

/// What readers know of the writer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Writer {
    here: bool,
    /// The last frame that it has synced; it only ever grows.
    durable: u64,
}

impl Writer {
    fn of(dir: &Path, disk: &Disk) -> Result<Self, OpenError> {
        let here = match File::open(dir.join("LOCK")) {
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            file => {
                let file = file?;
                let free = file.try_lock_shared().is_ok();
                if free {
                    file.unlock()?;
                }
                !free
            }
        };
        let mut mark = [0; 8];
        match File::open(disk.dir().join("durable")).and_then(|file| file.read_exact_at(&mut mark, 0)) {
            // The writer has only just begun.
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::UnexpectedEof) => {}
            read => read?,
        }
        Ok(Self { here, durable: u64::from_le_bytes(mark) })
    }

    /// Where readers stop; nowhere when nobody writes: then every whole frame counts.
    fn limit(self) -> Option<u64> {
        self.here.then_some(self.durable)
    }
}

impl Log for ReadOnly {
    fn fence(&self, _: Topic, _: u16) -> Boxed<'_, Result<Epoch, AppendError>> {
        Box::pin(async { Err(AppendError::Unclear("the log is open for reading only".to_owned())) })
    }

    fn append(&self, _: Batch) -> Boxed<'_, Result<(), AppendError>> {
        Box::pin(async { Err(AppendError::Unclear("the log is open for reading only".to_owned())) })
    }

    fn read(
        &self,
        topic: Topic,
        partition: u16,
        from: u64,
        bytes_max: usize,
    ) -> Boxed<'_, Result<Vec<Record>, ReadError>> {
        Box::pin(async move {
            let index = self.index.get(&(topic, partition));
            let end = index.map_or(0, |index| index.end);
            if from > end {
                return Err(ReadError::BeyondEnd { topic, partition, end, from });
            }
            match index.and_then(|index| index.find(from)) {
                Some(place) if from < end => from_disk(&self.disk, topic, partition, from..end, place, bytes_max),
                _ => Ok(Vec::new()),
            }
        })
    }

    fn end(&self, topic: Topic, partition: u16) -> watch::Receiver<u64> {
        watch::channel(self.index.get(&(topic, partition)).map_or(0, |index| index.end)).1
    }

    fn partitions(&self) -> u16 {
        self.partitions
    }
}
