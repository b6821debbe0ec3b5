//! A log in memory with the promises of [`log::Log`]: atomic appends, fencing, reads of committed records only.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use log::{AppendError, Batch, Boxed, Epoch, Log, ReadError, Record, TOPICS, Topic};
use tokio::sync::watch;

/// The records of all topics.
pub struct SimLog {
    partitions: u16,
    shelves: Mutex<BTreeMap<(Topic, u16), Shelf>>,
    epochs: Mutex<BTreeMap<(Topic, u16), Epoch>>,
}

struct Shelf {
    records: Vec<Record>,
    end: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimLog {
    pub fn new(partitions: u16) -> Self {
        let places = TOPICS.into_iter().flat_map(|topic| (0..partitions).map(move |partition| (topic, partition)));
        let shelf = |place| (place, Shelf { records: Vec::new(), end: watch::channel(0).0 });
        Self { partitions, shelves: Mutex::new(places.map(shelf).collect()), epochs: Mutex::default() }
    }

    /// Another log with the same records, from which on the two go their own ways.
    pub fn fork(&self) -> Self {
        let fork = Self::new(self.partitions);
        for (place, shelf) in lock(&self.shelves).iter() {
            fork.push(*place, shelf.records.clone());
        }
        fork
    }

    fn push(&self, place: (Topic, u16), records: Vec<Record>) {
        let mut shelves = lock(&self.shelves);
        let shelf = shelves.get_mut(&place).expect("a partition of the log");
        shelf.records.extend(records);
        shelf.end.send_replace(shelf.records.len() as u64);
    }

    /// All records of a topic's partition.
    pub fn records(&self, topic: Topic, partition: u16) -> Vec<Record> {
        lock(&self.shelves)[&(topic, partition)].records.clone()
    }

    /// Records on the whole log.
    pub fn total(&self) -> u64 {
        lock(&self.shelves).values().map(|shelf| shelf.records.len() as u64).sum()
    }

    pub fn take_over(&self, writer: Topic, partition: u16) -> Epoch {
        let mut epochs = lock(&self.epochs);
        let epoch = epochs.entry((writer, partition)).or_insert(Epoch(0));
        epoch.0 += 1;
        *epoch
    }

    /// Appends all of a batch or nothing.
    pub fn commit(&self, batch: Batch) -> Result<(), AppendError> {
        let newest = lock(&self.epochs).get(&(batch.writer, batch.partition)).copied().unwrap_or(Epoch(0));
        if batch.epoch != newest {
            return Err(AppendError::Fenced { held: batch.epoch, newest });
        }
        let mut by_topic: BTreeMap<Topic, Vec<Record>> = BTreeMap::new();
        for record in batch.records {
            assert_eq!(record.partition, batch.partition, "a batch stays in its partition");
            assert_eq!(record.topic.writer(), batch.writer, "a topic has one writer");
            by_topic.entry(record.topic).or_default().push(record);
        }
        for (topic, records) in &by_topic {
            let end = lock(&self.shelves)[&(*topic, batch.partition)].records.len() as u64;
            for (expected, record) in (end..).zip(records) {
                if record.seq != expected {
                    let (topic, partition, given) = (*topic, batch.partition, record.seq);
                    return Err(AppendError::Gap { topic, partition, expected, given });
                }
            }
        }
        for (topic, records) in by_topic {
            self.push((topic, batch.partition), records);
        }
        Ok(())
    }

    /// At most `count` committed records from `from` on.
    pub fn some(&self, topic: Topic, partition: u16, from: u64, count: usize) -> Result<Vec<Record>, ReadError> {
        let shelves = lock(&self.shelves);
        let records = &shelves[&(topic, partition)].records;
        let end = records.len() as u64;
        if from > end {
            return Err(ReadError::BeyondEnd { topic, partition, end, from });
        }
        let from = usize::try_from(from).expect("below the number of records in memory");
        Ok(records[from..].iter().take(count).cloned().collect())
    }

    pub fn watch(&self, topic: Topic, partition: u16) -> watch::Receiver<u64> {
        lock(&self.shelves)[&(topic, partition)].end.subscribe()
    }
}

/// Without any fault: for readers that prove something.
impl Log for SimLog {
    fn fence(&self, writer: Topic, partition: u16) -> Boxed<'_, Result<Epoch, AppendError>> {
        Box::pin(async move { Ok(self.take_over(writer, partition)) })
    }

    fn append(&self, batch: Batch) -> Boxed<'_, Result<(), AppendError>> {
        Box::pin(async move { self.commit(batch) })
    }

    fn read(&self, topic: Topic, partition: u16, from: u64, _: usize) -> Boxed<'_, Result<Vec<Record>, ReadError>> {
        Box::pin(async move { self.some(topic, partition, from, usize::MAX) })
    }

    fn end(&self, topic: Topic, partition: u16) -> watch::Receiver<u64> {
        self.watch(topic, partition)
    }

    fn partitions(&self) -> u16 {
        self.partitions
    }
}
