//! The committer: one thread that writes what waits as one group, syncs once, then answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::oneshot;

use super::disk::Disk;
use super::frame;
use super::scan::Place;
use super::{Embedded, Queue, lock};
use crate::{AppendError, Batch, Topic};

/// Bytes written as one group: beyond it the sync takes longer than the next group would wait.
const GROUP_BYTES: usize = 4 << 20;

type Answer = oneshot::Sender<Result<(), AppendError>>;

/// Zeros whatever stands behind the end of the log, so that it can never be taken for a frame later.
pub(super) fn clear_behind(disk: &Disk, end: Place, anything: bool) -> std::io::Result<()> {
    if !anything {
        return Ok(());
    }
    for number in disk.segments()?.into_iter().filter(|number| *number >= end.segment) {
        let file = disk.open_segment(number, true)?;
        let length = file.metadata()?.len();
        let from = if number == end.segment { end.offset } else { 0 };
        let zeros = vec![0; usize::try_from(length - from).map_err(std::io::Error::other)?];
        file.write_all_at(&zeros, from)?;
        file.sync_all()?;
    }
    Ok(())
}

/// The committer's own view: it alone moves these.
struct Committer {
    disk: Disk,
    segment_bytes: u64,
    file: File,
    next: Place,
    last_frame: u64,
    durable: u64,
    /// The end of each topic's partition, with what this group adds.
    ends: BTreeMap<(Topic, u16), u64>,
    durable_mark: File,
    spare: Option<std::thread::JoinHandle<std::io::Result<()>>>,
}

/// A batch that has its place in the group.
struct Placed {
    batch: Batch,
    answer: Answer,
    place: Place,
}

pub(super) fn start(log: &Arc<Embedded>, next: Place, last_frame: u64) -> std::io::Result<std::thread::JoinHandle<()>> {
    let disk = log.disk.clone();
    if !disk.segments()?.contains(&next.segment) {
        disk.make_segment(next.segment, log.options.segment_bytes)?;
    }
    let ends = lock(&log.shared).index.iter().map(|(key, index)| (*key, index.end)).collect();
    let durable_mark = File::options().create(true).truncate(false).write(true).open(disk.dir().join("durable"))?;
    let mut committer = Committer {
        file: disk.open_segment(next.segment, true)?,
        segment_bytes: log.options.segment_bytes,
        next,
        last_frame,
        durable: last_frame,
        ends,
        durable_mark,
        spare: None,
        disk,
    };
    committer.mark_durable();
    committer.prepare_spare();
    let log = Arc::downgrade(log);
    std::thread::Builder::new().name("fenliu-log".to_owned()).spawn(move || run(&log, &mut committer))
}

fn run(log: &Weak<Embedded>, committer: &mut Committer) {
    loop {
        let Some(log) = log.upgrade() else { return };
        let group = {
            let mut queue = lock(&log.queue);
            if queue.waiting.is_empty() {
                if queue.closed {
                    return;
                }
                // Looks up now and then, so that a log that nobody holds any more can go.
                let pause = Duration::from_millis(200);
                queue = log.waiting.wait_timeout(queue, pause).map_or_else(|error| error.into_inner().0, |woken| woken.0);
            }
            take_group(&mut queue)
        };
        if !group.is_empty() {
            committer.commit(&log, group);
        }
    }
}

fn take_group(queue: &mut Queue) -> Vec<(Batch, Answer)> {
    let mut group = Vec::new();
    let mut bytes = 0;
    while let Some((batch, _)) = queue.waiting.front() {
        let size = frame::size_of(batch);
        if !group.is_empty() && bytes + size > GROUP_BYTES {
            break;
        }
        bytes += size;
        group.extend(queue.waiting.pop_front());
    }
    group
}

impl Committer {
    fn commit(&mut self, log: &Embedded, group: Vec<(Batch, Answer)>) {
        let mut placed: Vec<Placed> = Vec::new();
        let mut bytes = Vec::new();
        let mut begun = self.next;
        for (batch, answer) in group {
            if let Err(refused) = self.admit(log, &batch) {
                drop(answer.send(Err(refused)));
                continue;
            }
            if batch.records.is_empty() {
                drop(answer.send(Ok(())));
                continue;
            }
            let size = frame::size_of(&batch) as u64;
            if self.next.offset + size > self.segment_bytes {
                // The group goes on in the next segment; what is placed so far is committed first.
                self.write(log, std::mem::take(&mut placed), std::mem::take(&mut bytes), begun);
                if let Err(error) = self.roll() {
                    drop(answer.send(Err(failure(&error))));
                    continue;
                }
                begun = self.next;
            }
            self.last_frame += 1;
            frame::encode(&batch, self.last_frame, self.durable, &mut bytes);
            for record in &batch.records {
                self.ends.insert((record.topic, record.partition), record.seq + 1);
            }
            let place = self.next;
            self.next.offset += size;
            placed.push(Placed { batch, answer, place });
        }
        self.write(log, placed, bytes, begun);
    }

    /// Checks that the batch comes from the newest owner and continues its topics.
    fn admit(&self, log: &Embedded, batch: &Batch) -> Result<(), AppendError> {
        let newest = lock(&log.shared).epochs.get(&(batch.writer, batch.partition)).copied();
        if let Some(newest) = newest
            && newest != batch.epoch
        {
            return Err(AppendError::Fenced { held: batch.epoch, newest });
        }
        let size = frame::size_of(batch);
        let limit = usize::try_from(self.segment_bytes).unwrap_or(usize::MAX);
        if size > limit {
            return Err(AppendError::TooLarge { bytes: size, limit });
        }
        let mut ends: BTreeMap<(Topic, u16), u64> = BTreeMap::new();
        for record in &batch.records {
            let key = (record.topic, record.partition);
            let expected = ends.get(&key).or_else(|| self.ends.get(&key)).copied().unwrap_or(0);
            if record.seq != expected || record.partition != batch.partition {
                let (topic, partition, given) = (record.topic, record.partition, record.seq);
                return Err(AppendError::Gap { topic, partition, expected, given });
            }
            ends.insert(key, expected + 1);
        }
        Ok(())
    }

    /// Writes a group, syncs it, and lets everybody know.
    fn write(&mut self, log: &Embedded, placed: Vec<Placed>, bytes: Vec<u8>, begun: Place) {
        if placed.is_empty() {
            return;
        }
        if self.disk.faults.planted.load(Ordering::Relaxed) == 1 {
            return self.acknowledge_before_sync(log, placed, &bytes, begun);
        }
        if let Err(error) = self.disk.write(&self.file, &bytes, begun.offset) {
            return self.undo(log, placed, begun, &error);
        }
        if let Err(error) = self.disk.sync(&self.file) {
            return self.poison(log, placed, &error);
        }
        self.publish(log, placed);
    }

    /// A planted bug: the proof that the power-loss test can fail.
    fn acknowledge_before_sync(&mut self, log: &Embedded, placed: Vec<Placed>, bytes: &[u8], begun: Place) {
        self.publish(log, placed);
        let written = self.disk.write(&self.file, bytes, begun.offset).and_then(|()| self.disk.sync(&self.file));
        if let Err(error) = written {
            self.poison(log, Vec::new(), &error);
        }
    }

    fn publish(&mut self, log: &Embedded, placed: Vec<Placed>) {
        self.durable = self.last_frame;
        self.mark_durable();
        let mut answers = Vec::with_capacity(placed.len());
        let mut shared = lock(&log.shared);
        shared.durable_frame = self.durable;
        let mut ends: BTreeMap<(Topic, u16), u64> = BTreeMap::new();
        for Placed { batch, answer, place } in placed {
            for record in batch.records {
                let key = (record.topic, record.partition);
                let bytes = record.bytes.len() as u64;
                shared.index.entry(key).or_default().note(record.seq, record.seq + 1, bytes, place);
                ends.insert(key, record.seq + 1);
                shared.tails.entry(key).or_insert_with(|| super::Tail::new(0)).push(record);
            }
            answers.push(answer);
        }
        for (key, end) in ends {
            if let Some(tail) = shared.tails.get(&key) {
                tail.end.send_replace(end);
            }
        }
        drop(shared);
        for answer in answers {
            drop(answer.send(Ok(())));
        }
    }

    /// The disk was full: nothing of the group counts, and the next group goes to the same place.
    fn undo(&mut self, log: &Embedded, placed: Vec<Placed>, begun: Place, error: &std::io::Error) {
        if !is_full(error) {
            return self.poison(log, placed, error);
        }
        // A part may have been written: zeros make the place empty again, where they can be written at all.
        let length = usize::try_from(self.next.offset - begun.offset).unwrap_or(0);
        if let Err(error) = self.file.write_all_at(&vec![0; length], begun.offset) {
            return self.poison(log, placed, &error);
        }
        self.next = begun;
        self.last_frame -= placed.len() as u64;
        for Placed { batch, answer, .. } in placed.into_iter().rev() {
            for record in batch.records.iter().rev() {
                self.ends.insert((record.topic, record.partition), record.seq);
            }
            drop(answer.send(Err(failure(error))));
        }
    }

    /// What is on the disk is not known any more.
    fn poison(&mut self, log: &Embedded, placed: Vec<Placed>, error: &std::io::Error) {
        let mut queue = lock(&log.queue);
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        (log.options.on_fatal)(&error.to_string());
        let answers = placed.into_iter().map(|placed| placed.answer).chain(waiting.into_iter().map(|(_, answer)| answer));
        for answer in answers {
            drop(answer.send(Err(AppendError::Unclear(error.to_string()))));
        }
    }

    /// Goes on in the next segment, which is ready unless the disk was too slow or full.
    fn roll(&mut self) -> std::io::Result<()> {
        if let Some(spare) = self.spare.take() {
            drop(spare.join());
        }
        let number = self.next.segment + 1;
        if !self.disk.segments()?.contains(&number) {
            self.disk.make_segment(number, self.segment_bytes)?;
        }
        self.file = self.disk.open_segment(number, true)?;
        self.next = Place { segment: number, offset: 0 };
        self.prepare_spare();
        Ok(())
    }

    fn prepare_spare(&mut self) {
        let (disk, number, bytes) = (self.disk.clone(), self.next.segment + 1, self.segment_bytes);
        let spare = std::thread::Builder::new().name("fenliu-log-spare".to_owned()).spawn(move || {
            if disk.segments()?.contains(&number) { Ok(()) } else { disk.make_segment(number, bytes) }
        });
        self.spare = spare.ok();
    }

    /// Tells readers in other processes how far the log is durable. Not synced: it only ever lags.
    fn mark_durable(&self) {
        if let Err(error) = self.durable_mark.write_all_at(&self.durable.to_le_bytes(), 0) {
            tracing::warn!(%error, "the durable mark was not written; readers beside see less");
        }
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        if let Some(spare) = self.spare.take() {
            drop(spare.join());
        }
    }
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn failure(error: &std::io::Error) -> AppendError {
    if is_full(error) { AppendError::Full(error.to_string()) } else { AppendError::Unclear(error.to_string()) }
}

/// Durable writes a second that the disk under `dir` gives to one writer: `write` and `fdatasync` of `bytes` into
/// zeroed space, for `span`. The limit that group commit is measured against; `now` is a monotone clock.
pub fn raw_sync_rate(dir: &Path, bytes: usize, span: Duration, now: fn() -> Duration) -> std::io::Result<u64> {
    let disk = Disk::new(dir, Arc::default());
    std::fs::create_dir_all(disk.dir())?;
    let size: u64 = 16 << 20;
    disk.make_segment(u64::MAX, size)?;
    let file = disk.open_segment(u64::MAX, true)?;
    let block = vec![7; bytes];
    let begun = now();
    let mut writes = 0u64;
    while now() - begun < span {
        let at = (writes * bytes as u64) % (size - bytes as u64);
        file.write_all_at(&block, at)?;
        file.sync_data()?;
        writes += 1;
    }
    let micros = u64::try_from((now() - begun).as_micros()).unwrap_or(u64::MAX).max(1);
    std::fs::remove_file(disk.segment_path(u64::MAX))?;
    Ok(writes * 1_000_000 / micros)
}
