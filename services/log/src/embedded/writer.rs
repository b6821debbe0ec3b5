//! The committer: one thread that writes what waits as one group, syncs once, then answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::disk::{Disk, Writable};
use super::frame;
use super::scan::{self, Place, Scan};
use super::{Core, Queue, lock};
use crate::{AppendError, Batch, Topic};

/// Bytes written as one group: beyond it the sync takes longer than the next group would wait.
const GROUP_BYTES: usize = 4 << 20;

/// How long a group waits for those who were just answered: well below a sync, more than it takes to wake them.
const GATHER: Duration = Duration::from_micros(50);
/// A group waits in vain at most once in two to the power of this many.
const MISSED_MAX: u32 = 7;

type Answer = oneshot::Sender<Result<(), AppendError>>;

/// Makes durable, before anybody sees it, what a scan found: after an unclean stop the last group may never have been
/// synced. It is written again, because pages whose sync failed would pass a second one. Whatever stands behind it
/// becomes zeros, so that it can never be taken for a frame later.
pub(super) fn settle(disk: &Disk, found: &Scan, clean: bool) -> std::io::Result<()> {
    let end = found.next;
    if !clean && found.frames > 0 {
        let bytes = scan::load(disk, end.segment)?;
        let begun = usize::try_from(found.last_group.offset).map_err(std::io::Error::other)?;
        let ended = usize::try_from(end.offset).map_err(std::io::Error::other)?.min(bytes.len());
        let file = disk.write_segment(end.segment)?;
        file.overwrite(&bytes[begun..ended], found.last_group.offset)?;
        file.sync()?;
    }
    if found.cut.is_none() {
        return Ok(());
    }
    for number in disk.segments()?.into_iter().filter(|number| *number >= end.segment) {
        let file = disk.write_segment(number)?;
        let from = if number == end.segment { end.offset } else { 0 };
        let zeros = vec![0; usize::try_from(file.len()?.saturating_sub(from)).map_err(std::io::Error::other)?];
        file.overwrite(&zeros, from)?;
        file.sync()?;
    }
    Ok(())
}

/// The committer's own view: it alone moves these.
struct Committer {
    disk: Disk,
    segment_bytes: u64,
    file: Writable,
    next: Place,
    last_frame: u64,
    durable: u64,
    /// The end of each topic's partition, with what this group adds.
    ends: BTreeMap<(Topic, u16), u64>,
    durable_mark: Writable,
    spare: Option<JoinHandle<std::io::Result<()>>>,
    /// Why nothing may be written any more, once that is so.
    poisoned: Option<String>,
}

/// How the committer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// All that it took is durable.
    Clean,
    /// It is not known what is on the disk.
    Poisoned,
}

/// Batches that are written together: their frames, one behind the other, and where they begin.
struct Group {
    begun: Place,
    placed: Vec<Placed>,
    bytes: Vec<u8>,
}

impl Group {
    fn at(begun: Place) -> Self {
        Self { begun, placed: Vec::new(), bytes: Vec::new() }
    }
}

/// A batch that has its place in the group.
struct Placed {
    batch: Batch,
    answer: Answer,
    place: Place,
}

pub(super) fn start(core: &Arc<Core>, next: Place, last_frame: u64) -> std::io::Result<JoinHandle<Stopped>> {
    let disk = core.disk.clone();
    if !disk.segments()?.contains(&next.segment) {
        disk.make_segment(next.segment, core.options.segment_bytes)?;
    }
    let ends = lock(&core.shared).index.iter().map(|(key, index)| (*key, index.end)).collect();
    let durable_mark = disk.writable("durable", File::options().create(true).truncate(false).write(true))?;
    let mut committer = Committer {
        file: disk.write_segment(next.segment)?,
        segment_bytes: core.options.segment_bytes,
        next,
        last_frame,
        durable: last_frame,
        ends,
        durable_mark,
        spare: None,
        poisoned: None,
        disk,
    };
    committer.mark_durable();
    committer.prepare_spare();
    let core = core.clone();
    std::thread::Builder::new().name("fenliu-log".to_owned()).spawn(move || run(&core, committer))
}

/// Commits what waits until the queue is closed and empty.
fn run(core: &Core, mut committer: Committer) -> Stopped {
    // Also when a bug ends this thread, nobody waits for ever.
    let _closing = Closing(core);
    let mut patience = Patience::default();
    loop {
        let waiting = {
            let mut queue = lock(&core.queue);
            while queue.waiting.is_empty() {
                if queue.closed {
                    return if committer.poisoned.is_none() { Stopped::Clean } else { Stopped::Poisoned };
                }
                queue = core.waiting.wait(queue).unwrap_or_else(PoisonError::into_inner);
            }
            let mut queue = patience.wait(core, queue);
            take_group(&mut queue)
        };
        patience.answering = waiting.len();
        committer.commit(core, waiting);
    }
}

/// Waits a moment for those who were just answered: writers that write again at once would else come too late for this
/// group and wait for a whole further sync, and two half groups would alternate for ever. Where they do not come, it
/// gives up, for longer each time.
#[derive(Default)]
struct Patience {
    /// Batches of the group before this one.
    answering: usize,
    /// Groups that are taken as they are.
    skip: u32,
    /// How often nobody came, lately.
    missed: u32,
}

impl Patience {
    fn wait<'a>(&mut self, core: &'a Core, queue: MutexGuard<'a, Queue>) -> MutexGuard<'a, Queue> {
        if self.skip > 0 {
            self.skip -= 1;
            return queue;
        }
        let all = queue.waiting.len() + std::mem::take(&mut self.answering);
        let incomplete = |queue: &mut Queue| queue.waiting.len() < all && !queue.closed;
        let waited = core.waiting.wait_timeout_while(queue, GATHER, incomplete);
        let (queue, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            self.missed = (self.missed + 1).min(MISSED_MAX);
            self.skip = 1 << self.missed;
        } else {
            self.missed = 0;
        }
        queue
    }
}

struct Closing<'a>(&'a Core);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut queue = lock(&self.0.queue);
        queue.closed = true;
        queue.waiting.clear();
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
    fn commit(&mut self, core: &Core, waiting: Vec<(Batch, Answer)>) {
        let mut group = Group::at(self.next);
        for (batch, answer) in waiting {
            match self.make_room(core, &mut group, &batch) {
                Ok(()) if batch.records.is_empty() => drop(answer.send(Ok(()))),
                Ok(()) => self.place(&mut group, batch, answer),
                Err(refused) => drop(answer.send(Err(refused))),
            }
        }
        self.write(core, group);
    }

    /// Admits a batch and sees to it that its segment has room for it: where it has not, the group so far is
    /// committed, and a new one begins in the next segment.
    fn make_room(&mut self, core: &Core, group: &mut Group, batch: &Batch) -> Result<(), AppendError> {
        self.admit(core, batch)?;
        if self.has_room(batch) {
            return Ok(());
        }
        self.write(core, std::mem::replace(group, Group::at(self.next)));
        group.begun = self.next;
        // Where the group failed, the batch may not continue its topics any more, and there is room again.
        self.admit(core, batch)?;
        if self.has_room(batch) {
            return Ok(());
        }
        if let Err(error) = self.roll() {
            if !is_full(&error) {
                self.poison(core, Vec::new(), &error);
            }
            return Err(failure(&error));
        }
        group.begun = self.next;
        Ok(())
    }

    fn has_room(&self, batch: &Batch) -> bool {
        batch.records.is_empty() || self.next.offset + frame::size_of(batch) as u64 <= self.segment_bytes
    }

    fn place(&mut self, group: &mut Group, batch: Batch, answer: Answer) {
        self.last_frame += 1;
        frame::encode(&batch, self.last_frame, self.durable, &mut group.bytes);
        for record in &batch.records {
            self.ends.insert((record.topic, record.partition), record.seq + 1);
        }
        let place = self.next;
        self.next.offset += frame::size_of(&batch) as u64;
        group.placed.push(Placed { batch, answer, place });
    }

    /// Checks that the batch comes from the newest owner and continues its topics.
    fn admit(&self, core: &Core, batch: &Batch) -> Result<(), AppendError> {
        if let Some(why) = &self.poisoned {
            return Err(AppendError::Unclear(why.clone()));
        }
        let newest = lock(&core.shared).epochs.get(&(batch.writer, batch.partition)).copied();
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
    fn write(&mut self, core: &Core, group: Group) {
        if group.placed.is_empty() {
            return;
        }
        if self.disk.faults.planted.load(Ordering::Relaxed) == 1 {
            return self.acknowledge_before_sync(core, group);
        }
        if let Err(error) = self.file.write(&group.bytes, group.begun.offset) {
            return self.undo(core, group, &error);
        }
        if let Err(error) = self.file.sync() {
            return self.poison(core, group.placed, &error);
        }
        self.publish(core, group.placed);
    }

    /// A planted bug: the proof that the power-loss test can fail.
    fn acknowledge_before_sync(&mut self, core: &Core, group: Group) {
        self.publish(core, group.placed);
        let written = self.file.write(&group.bytes, group.begun.offset).and_then(|()| self.file.sync());
        if let Err(error) = written {
            self.poison(core, Vec::new(), &error);
        }
    }

    fn publish(&mut self, core: &Core, placed: Vec<Placed>) {
        self.durable = self.last_frame;
        self.mark_durable();
        let mut answers = Vec::with_capacity(placed.len());
        let mut shared = lock(&core.shared);
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
    fn undo(&mut self, core: &Core, group: Group, error: &std::io::Error) {
        if !is_full(error) {
            return self.poison(core, group.placed, error);
        }
        // A part may have been written, and whole frames among it: they must not come back after a power failure.
        let zeros = vec![0; group.bytes.len()];
        if let Err(error) = self.file.overwrite(&zeros, group.begun.offset).and_then(|()| self.file.sync()) {
            return self.poison(core, group.placed, &error);
        }
        self.next = group.begun;
        self.last_frame -= group.placed.len() as u64;
        for Placed { batch, answer, .. } in group.placed.into_iter().rev() {
            for record in batch.records.iter().rev() {
                self.ends.insert((record.topic, record.partition), record.seq);
            }
            drop(answer.send(Err(failure(error))));
        }
    }

    /// What is on the disk is not known any more.
    fn poison(&mut self, core: &Core, placed: Vec<Placed>, error: &std::io::Error) {
        self.poisoned = Some(error.to_string());
        let mut queue = lock(&core.queue);
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        (core.options.on_fatal)(&error.to_string());
        let answers =
            placed.into_iter().map(|placed| placed.answer).chain(waiting.into_iter().map(|(_, answer)| answer));
        for answer in answers {
            drop(answer.send(Err(AppendError::Unclear(error.to_string()))));
        }
    }

    /// Goes on in the next segment, which is ready unless the disk was too slow or full.
    fn roll(&mut self) -> std::io::Result<()> {
        // A full disk may have room by now; any other error of the disk is one that nobody may go on after.
        if let Some(Ok(Err(error))) = self.spare.take().map(JoinHandle::join)
            && !is_full(&error)
        {
            return Err(error);
        }
        let number = self.next.segment + 1;
        if !self.disk.segments()?.contains(&number) {
            self.disk.make_segment(number, self.segment_bytes)?;
        }
        self.file = self.disk.write_segment(number)?;
        self.next = Place { segment: number, offset: 0 };
        self.prepare_spare();
        Ok(())
    }

    fn prepare_spare(&mut self) {
        let (disk, number, bytes) = (self.disk.clone(), self.next.segment + 1, self.segment_bytes);
        let spare = std::thread::Builder::new()
            .name("fenliu-log-spare".to_owned())
            .spawn(move || if disk.segments()?.contains(&number) { Ok(()) } else { disk.make_segment(number, bytes) });
        self.spare = spare.ok();
    }

    /// Tells readers in other processes how far the log is durable. Not synced: it only ever lags.
    fn mark_durable(&self) {
        if let Err(error) = self.durable_mark.overwrite(&self.durable.to_le_bytes(), 0) {
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
