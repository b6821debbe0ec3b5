//! Looking into a log: figures, a dump, and the check of everything that can be checked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::OpenError;
use super::disk::Disk;
use super::frame;
use super::read::live_limit;
use super::scan::{Cut, Damage, scan};
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
    let disk = Disk::new(dir, Arc::default());
    if disk.get("meta")?.is_none() {
        return Err(OpenError::Missing(dir.display().to_string()));
    }
    let found = scan(&disk, live_limit(dir, &disk)?, |_, _, _| Ok(()))?;
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
    Ok(Stat { segments: segments.len() as u64, disk_bytes, frames: found.frames, topics: topics.collect(), cut: found.cut })
}

/// Shows every record to `each`, in the order of the log.
pub fn dump(dir: &Path, mut each: impl FnMut(&Record)) -> Result<(), OpenError> {
    let disk = Disk::new(dir, Arc::default());
    if disk.get("meta")?.is_none() {
        return Err(OpenError::Missing(dir.display().to_string()));
    }
    scan(&disk, live_limit(dir, &disk)?, |place, head, bytes| {
        let damage = |bad| Damage {
            file: disk.segment_path(place.segment).display().to_string(),
            offset: place.offset,
            what: format!("{bad:?}"),
        };
        frame::records(head, bytes).map_err(damage)?.iter().for_each(&mut each);
        Ok(())
    })?;
    Ok(())
}

/// Checks every frame's checksum and number, every record's sequence number and envelope, and the hash chains.
pub fn verify(dir: &Path) -> Result<VerifyReport, OpenError> {
    let disk = Disk::new(dir, Arc::default());
    if disk.get("meta")?.is_none() {
        return Err(OpenError::Missing(dir.display().to_string()));
    }
    let mut report = VerifyReport::default();
    let mut last: BTreeMap<(Topic, u16), [u8; 32]> = BTreeMap::new();
    let scanned = scan(&disk, live_limit(dir, &disk)?, |place, head, bytes| {
        let damage = |what: String| Damage {
            file: disk.segment_path(place.segment).display().to_string(),
            offset: place.offset,
            what,
        };
        report.frames += 1;
        for record in frame::records(head, bytes).map_err(|bad| damage(format!("{bad:?}")))? {
            let key = (record.topic, record.partition);
            let (envelope, _) = Envelope::decode(&record.bytes).map_err(|error| damage(error.to_string()))?;
            if envelope.seq != record.seq {
                return Err(damage(format!("{} record {} says that it is {}", record.topic, record.seq, envelope.seq)));
            }
            if envelope.previous_hash != last.get(&key).copied().unwrap_or_default() {
                return Err(damage(format!("{} record {} does not follow the one before it", record.topic, record.seq)));
            }
            last.insert(key, record_hash(&record.bytes));
            report.records += 1;
            report.bytes += record.bytes.len() as u64;
        }
        Ok(())
    });
    match scanned {
        Ok(found) => {
            if let Some(clean) = disk.get("clean")?
                && let Err(OpenError::Damage(damage)) = super::refuse_lost_frames(&disk, &clean, &found)
            {
                report.damage = Some(damage);
            }
            report.cut = found.cut;
        }
        Err(super::ScanError::Damage(damage)) => report.damage = Some(damage),
        Err(super::ScanError::Io(error)) => return Err(error.into()),
    }
    Ok(report)
}
