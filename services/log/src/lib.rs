//! The event log: topics, records, and the one trait that both back-ends serve.
//!
//! The unit is the atomic append of one shard's batch. A record's bytes are its envelope and payload; the log itself
//! knows only topic, partition and sequence number.

mod embedded;
mod envelope;
mod topic;

use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use tokio::sync::watch;

pub use embedded::{
    Cut, Damage, Embedded, Faults, OpenError, Opened, Options, Pass, ReadOnly, Stat, TopicStat, VerifyReport, dump,
    pass, raw_sync_rate, read_only, stat, verify,
};
pub use envelope::{Causation, Envelope, EnvelopeError, Header, record_hash};
pub use topic::{TOPICS, Topic};

/// One record as it stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub topic: Topic,
    pub partition: u16,
    /// Dense per topic and partition, from 0.
    pub seq: u64,
    /// Envelope and payload, see [`Envelope`].
    pub bytes: Bytes,
}

/// Who may write a shard: grows with every take-over, and an older one is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u64);

/// All records of one shard's turn; all of them become visible at once, or none does.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The topic whose single writer appends: its shard is fenced by `epoch`. Records may also go to topics that are
    /// published with it (payroll's payouts).
    pub writer: Topic,
    pub partition: u16,
    pub epoch: Epoch,
    /// In the order of their sequence numbers, per topic. All have `partition`.
    pub records: Vec<Record>,
}

/// Why a batch was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// A newer writer owns the shard. Nothing was written.
    #[error("another writer took over the shard: epoch {held:?} is not the newest, {newest:?}")]
    Fenced { held: Epoch, newest: Epoch },
    /// The batch does not continue the topic. Nothing was written.
    #[error("{topic} partition {partition} continues at {expected}, the batch starts at {given}")]
    Gap { topic: Topic, partition: u16, expected: u64, given: u64 },
    /// The disk is full. Nothing was written; the log is whole and can be appended to once there is room.
    #[error("no room to write: {0}")]
    Full(String),
    /// The batch is larger than the log takes. Nothing was written.
    #[error("batch of {bytes} bytes exceeds the limit of {limit}")]
    TooLarge { bytes: usize, limit: usize },
    /// It is not known whether the batch is on the log. The writer must drop its state, fence and recover.
    #[error("outcome unclear: {0}")]
    Unclear(String),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("{topic} partition {partition} ends at {end}, {from} was asked for")]
    BeyondEnd { topic: Topic, partition: u16, end: u64, from: u64 },
    /// The bytes are not what was written.
    #[error("damage in {file} at byte {offset}: {what}")]
    Damaged { file: String, offset: u64, what: String },
    #[error("cannot read: {0}")]
    Io(String),
}

/// A future that is returned by a trait object.
pub type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A durable, ordered log of records by topic and partition.
///
/// Only committed records are ever read. Positions are sequence numbers; a back-end maps them to its own offsets.
pub trait Log: Send + Sync + 'static {
    /// Takes over a shard of `writer`: every batch of an earlier epoch is refused from here on, and what the earlier
    /// owner had begun is finished or undone. Recovery starts here.
    fn fence(&self, writer: Topic, partition: u16) -> Boxed<'_, Result<Epoch, AppendError>>;

    /// Appends a batch; resolves when it is durable, which is the moment it becomes visible to readers.
    fn append(&self, batch: Batch) -> Boxed<'_, Result<(), AppendError>>;

    /// Committed records from sequence number `from` on, in order: at least one when there is one, and about
    /// `bytes_max` bytes at most. Empty when `from` is the end.
    fn read(
        &self,
        topic: Topic,
        partition: u16,
        from: u64,
        bytes_max: usize,
    ) -> Boxed<'_, Result<Vec<Record>, ReadError>>;

    /// The next sequence number of a topic's partition, as a value that can be waited on: it changes after each commit.
    fn end(&self, topic: Topic, partition: u16) -> watch::Receiver<u64>;

    /// Number of partitions, fixed when the log was made.
    fn partitions(&self) -> u16;
}
