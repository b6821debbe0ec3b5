//! Reading committed records: beside the writer, and from another process without touching anything.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::disk::Disk;
use super::frame::{self, Head, NoFrame};
use super::scan::{Index, Place, scan};
use super::{OpenError, partitions_in};
use crate::{AppendError, Batch, Boxed, Epoch, Log, ReadError, Record, Topic};

/// Bytes read from a segment at once.
const CHUNK: usize = 1 << 20;

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
    mut place: Place,
    bytes_max: usize,
) -> Result<Vec<Record>, ReadError> {
    let failed = |error: std::io::Error| ReadError::Io(error.to_string());
    let mut found: Vec<Record> = Vec::new();
    let mut bytes = 0;
    let mut next = range.start;
    let mut wanted = CHUNK;
    while next < range.end && bytes < bytes_max {
        let file = disk.open_segment(place.segment, false).map_err(failed)?;
        let chunk = read_chunk(&file, place.offset, wanted).map_err(failed)?;
        wanted = CHUNK;
        let mut at = 0;
        let stopped = loop {
            let rest = &chunk[at..];
            let head = match Head::parse(rest) {
                Ok(head) if rest.len() < head.size() => break NoFrame::Short(head.size()),
                Ok(head) => head,
                Err(stop) => break stop,
            };
            if head.writer == topic.writer().number() && head.partition == partition {
                let place = Place { offset: place.offset + at as u64, ..place };
                for record in checked(disk, place, &head, chunk.slice(at..))? {
                    if record.topic == topic && record.seq == next && next < range.end {
                        bytes += record.bytes.len();
                        next += 1;
                        found.push(record);
                    }
                }
            }
            at += head.size();
            if next >= range.end || bytes >= bytes_max {
                return Ok(found);
            }
        };
        place = match stopped {
            // The chunk ended inside a frame, or just before one.
            NoFrame::Short(size) if at > 0 || chunk.len() >= wanted => {
                wanted = wanted.max(size);
                Place { offset: place.offset + at as u64, ..place }
            }
            NoFrame::Empty if at > 0 && chunk.len() == CHUNK && chunk.len() - at < frame::HEAD => {
                Place { offset: place.offset + at as u64, ..place }
            }
            NoFrame::Empty | NoFrame::Short(_) => Place { segment: place.segment + 1, offset: 0 },
            NoFrame::Bad(what) => return Err(damaged(disk, Place { offset: place.offset + at as u64, ..place }, what)),
        };
    }
    Ok(found)
}

fn checked(disk: &Disk, place: Place, head: &Head, bytes: Bytes) -> Result<Vec<Record>, ReadError> {
    let records = head.check(&bytes).and_then(|()| frame::records(head, &bytes));
    records.map_err(|bad| damaged(disk, place, if let NoFrame::Bad(what) = bad { what } else { "a frame is cut" }))
}

fn damaged(disk: &Disk, place: Place, what: &str) -> ReadError {
    let file = disk.segment_path(place.segment).display().to_string();
    ReadError::Damaged { file, offset: place.offset, what: what.to_owned() }
}

fn read_chunk(file: &File, offset: u64, wanted: usize) -> std::io::Result<Bytes> {
    let mut bytes = vec![0; wanted];
    let mut filled = 0;
    while filled < wanted {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(filled);
    Ok(bytes.into())
}

/// The durable prefix of a log, as it was when it was opened. Changes nothing on disk.
pub struct ReadOnly {
    disk: Disk,
    index: Index,
    partitions: u16,
}

/// Opens a log for reading, also beside its writer.
pub fn read_only(dir: &Path) -> Result<Arc<ReadOnly>, OpenError> {
    let disk = Disk::new(dir, Arc::default());
    let meta = disk.get("meta")?.ok_or_else(|| OpenError::Missing(dir.display().to_string()))?;
    let found = scan(&disk, live_limit(dir, &disk)?, |_, _, _| Ok(()))?;
    if let Some(clean) = disk.get("clean")? {
        super::refuse_lost_frames(&disk, &clean, &found)?;
    }
    Ok(Arc::new(ReadOnly { index: found.index, partitions: partitions_in(&meta)?, disk }))
}

/// The last frame that a live writer has synced; none when nobody writes: then every whole frame counts.
pub(super) fn live_limit(dir: &Path, disk: &Disk) -> Result<Option<u64>, OpenError> {
    let Ok(held) = File::open(dir.join("LOCK")) else { return Ok(None) };
    if held.try_lock_shared().is_ok() {
        return Ok(None);
    }
    let mut mark = [0; 8];
    let file = File::open(disk.dir().join("durable"))?;
    file.read_exact_at(&mut mark, 0)?;
    Ok(Some(u64::from_le_bytes(mark)))
}

impl Log for ReadOnly {
    fn fence(&self, _: Topic, _: u16) -> Boxed<'_, Result<Epoch, AppendError>> {
        Box::pin(async { Err(AppendError::Unclear("the log is open for reading only".to_owned())) })
    }

    fn append(&self, _: Batch) -> Boxed<'_, Result<(), AppendError>> {
        Box::pin(async { Err(AppendError::Unclear("the log is open for reading only".to_owned())) })
    }

    fn read(&self, topic: Topic, partition: u16, from: u64, bytes_max: usize) -> Boxed<'_, Result<Vec<Record>, ReadError>> {
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
