//! Finding records by the ids in them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use kernel::{EmployeeId, TenantId, Timestamp, shard_of};
use log::{Header, Log, Record, Topic};
use prost::Message;

use super::schema;

/// Bytes read at once.
const READ_BYTES: usize = 4 << 20;

/// A record that was looked for.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub topic: Topic,
    pub seq: u64,
    pub at: Timestamp,
    pub schema: u16,
    bytes: Bytes,
    payload_at: usize,
}

impl Found {
    fn new(record: &Record, header: &Header, payload: &[u8]) -> Self {
        Self {
            topic: record.topic,
            seq: record.seq,
            at: header.recorded_at,
            schema: header.schema,
            bytes: record.bytes.clone(),
            payload_at: record.bytes.len() - payload.len(),
        }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[self.payload_at..]
    }

    /// The payload as the message that it is.
    pub(super) fn read<M: Message + Default>(&self) -> anyhow::Result<M> {
        Ok(M::decode(self.payload())?)
    }
}

/// Ids that records are looked for by.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids(BTreeSet<[u8; 16]>);

impl Ids {
    pub(super) fn one(id: [u8; 16]) -> Self {
        Self(BTreeSet::from([id]))
    }

    /// Takes an id from a field of an event; what is no id (an absent one) is left out.
    pub(super) fn add(&mut self, id: &[u8]) {
        if let Ok(id) = id.try_into() {
            self.0.insert(id);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a payload has one of the ids in a field. A field of 16 bytes is its length, 16, and then its bytes.
    fn within(&self, payload: &[u8]) -> bool {
        payload.windows(17).any(|window| window[0] == 16 && self.0.contains(&window[1..]))
    }
}

/// Roster codes by employee.
pub(super) type Codes = BTreeMap<EmployeeId, String>;

/// One tenant's records in one log.
pub(super) struct Walk<'a> {
    pub log: &'a dyn Log,
    pub tenant: TenantId,
    pub partition: u16,
}

impl<'a> Walk<'a> {
    pub(super) fn new(log: &'a dyn Log, tenant: TenantId) -> Self {
        Self { log, tenant, partition: shard_of(tenant, log.partitions()) }
    }

    /// The tenant's records of a topic that `wanted` wants.
    pub(super) async fn select(
        &self,
        topic: Topic,
        mut wanted: impl FnMut(&Header, &[u8]) -> bool,
    ) -> anyhow::Result<Vec<Found>> {
        let mut found = Vec::new();
        each(self.log, topic, self.partition, |record, header, payload| {
            if header.tenant == self.tenant && wanted(header, payload) {
                found.push(Found::new(record, header, payload));
            }
        })
        .await?;
        Ok(found)
    }

    /// The tenant's records of a topic that have one of the ids in them.
    pub(super) async fn with_ids(&self, topic: Topic, ids: &Ids) -> anyhow::Result<Vec<Found>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.select(topic, |_, payload| ids.within(payload)).await
    }

    /// The tenant's records of one schema.
    pub(super) async fn of_schema(&self, topic: Topic, schema: u16) -> anyhow::Result<Vec<Found>> {
        self.select(topic, |header, _| header.schema == schema).await
    }

    pub(super) async fn codes(&self) -> anyhow::Result<Codes> {
        let mut codes = Codes::new();
        for found in self.of_schema(Topic::Roster, schema::EMPLOYEE_DEFINED).await? {
            let employee: proto::roster::EmployeeDefined = found.read()?;
            if let Ok(id) = EmployeeId::from_slice(&employee.employee_id) {
                codes.insert(id, employee.code);
            }
        }
        Ok(codes)
    }
}

/// Shows every event of a topic's partition to `see`; the runtime's own records are left out.
pub(super) async fn each(
    log: &dyn Log,
    topic: Topic,
    partition: u16,
    mut see: impl FnMut(&Record, &Header, &[u8]),
) -> anyhow::Result<()> {
    let end = *log.end(topic, partition).borrow();
    let mut next = 0;
    while next < end {
        for record in log.read(topic, partition, next, READ_BYTES).await? {
            next = record.seq + 1;
            let (header, payload) = Header::parse(&record.bytes)?;
            if header.schema < runtime::schema::FIRST_RESERVED {
                see(&record, &header, payload);
            }
        }
    }
    Ok(())
}

/// Partitions to look into: the tenant's, or all.
pub(super) fn partitions(log: &dyn Log, tenant: Option<TenantId>) -> Vec<u16> {
    match tenant {
        Some(tenant) => vec![shard_of(tenant, log.partitions())],
        None => (0..log.partitions()).collect(),
    }
}
