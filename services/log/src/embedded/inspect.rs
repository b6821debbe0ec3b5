//! Looking into a log: figures, a dump, and the check of everything that can be checked.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::OpenError;
use super::disk::Disk;
use super::frame::{self, Head};
use super::read::{existing, look};
use super::scan::{Cut, Damage, Place, scan};
use crate::{Envelope, Record, Topic, record_hash};

/// Figures of a topic's partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicStat {
    pub topic: Topic,
    pub partition: u16,
    pub records: u64,
    /// Envelopes and payloads.
    pub bytes: u64,
}

/// Figures of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stat {
    pub segments: u64,
    /// On disk, zeroed space included.
    pub disk_bytes: u64,
    pub frames: u64,
    pub topics: Vec<TopicStat>,
    pub cut: Option<Cut>,
}

/// What a check of the whole log found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct VerifyReport {
    pub frames: u64,
    pub records: u64,
    pub bytes: u64,
    /// The first damage: the check ends there.
    pub damage: Option<Damage>,
    /// An unfinished write behind the end; the next start cuts it.
    pub cut: Option<Cut>,
}

/// Counts what is there.
pub fn stat(dir: &Path) -> Result<Stat, OpenError> {
    let (disk, _) = existing(dir)?;
    let ((), found) = look(dir, &disk, |(), _, _, _| Ok(()))?;
    let found = found?;
    let mut disk_bytes = 0;
    let segments = disk.segments()?;
    for number in &segments {
        disk_bytes += std::fs::metadata(disk.segment_path(*number))?.len();
    }
    let topics = found.index.into_iter().map(|((topic, partition), index)| TopicStat {
        topic,
        partition,
        records: index.end,
        bytes: index.bytes,
    });
    let (frames, cut) = (found.frames, found.cut);
    Ok(Stat { segments: segments.len() as u64, disk_bytes, frames, topics: topics.collect(), cut })
}

/// Shows every record to `each`, in the order of the log. Damage anywhere is refused before the first is shown.
pub fn dump(dir: &Path, mut each: impl FnMut(&Record)) -> Result<(), OpenError> {
    let (disk, _) = existing(dir)?;
    let ((), found) = look(dir, &disk, |(), _, _, _| Ok(()))?;
    scan(&disk, Some(found?.last_frame), |place, head, bytes| {
        records_at(&disk, place, head, bytes)?.iter().for_each(&mut each);
        Ok(())
    })?;
    Ok(())
}

/// What a check has found sound, and the last record of each topic's partition.
#[derive(Default)]
struct Sound {
    report: VerifyReport,
    last: BTreeMap<(Topic, u16), [u8; 32]>,
}

/// Checks every frame's checksum and number, every record's sequence number and envelope, and the hash chains.
pub fn verify(dir: &Path) -> Result<VerifyReport, OpenError> {
    let checked = existing(dir).and_then(|(disk, _)| {
        look(dir, &disk, |sound: &mut Sound, place, head, bytes| {
            sound.report.frames += 1;
            for record in records_at(&disk, place, head, bytes)? {
                follows(&record, &mut sound.last).map_err(|what| place.damage(&disk, what))?;
                sound.report.records += 1;
                sound.report.bytes += record.bytes.len() as u64;
            }
            Ok(())
        })
    });
    match checked {
        Ok((sound, Ok(found))) => Ok(VerifyReport { cut: found.cut, ..sound.report }),
        Ok((sound, Err(OpenError::Damage(damage)))) => Ok(VerifyReport { damage: Some(damage), ..sound.report }),
        Err(OpenError::Damage(damage)) => Ok(VerifyReport { damage: Some(damage), ..VerifyReport::default() }),
        Ok((_, Err(error))) | Err(error) => Err(error),
    }
}

fn records_at(disk: &Disk, place: Place, head: &Head, bytes: &Bytes) -> Result<Vec<Record>, Damage> {
    frame::records(head, bytes).map_err(|bad| place.damage(disk, format!("{bad:?}")))
}

/// Checks that a record's envelope agrees with its place and with the record before it.
fn follows(record: &Record, last: &mut BTreeMap<(Topic, u16), [u8; 32]>) -> Result<(), String> {
    let (topic, seq) = (record.topic, record.seq);
    let (envelope, _) = Envelope::decode(&record.bytes).map_err(|error| error.to_string())?;
    if envelope.seq != seq {
        return Err(format!("{topic} record {seq} says that it is {}", envelope.seq));
    }
    let previous = last.insert((topic, record.partition), record_hash(&record.bytes));
    if envelope.previous_hash != previous.unwrap_or_default() {
        return Err(format!("{topic} record {seq} does not follow the one before it"));
    }
    Ok(())
}
