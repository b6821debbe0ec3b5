//! Which tenants and desks exist: a view of the roster topic for every service's door. It is no part of any state.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, RwLock};

use kernel::{TenantId, shard_of};
use log::{Header, Log, Topic};
use prost::Message;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

const COMPANY_DEFINED: u16 = 1;
const DESK_DEFINED: u16 = 2;
const READ_BYTES: usize = 1 << 20;
/// After a failed read: callers who ask for an unknown tenant wait for the next one.
const RETRY: std::time::Duration = std::time::Duration::from_secs(1);

/// What is known of a tenant.
#[derive(Default)]
struct Known {
    code: String,
    /// Codes of its desks.
    desks: BTreeSet<String>,
}

/// Tenants, and the codes of their desks. Cloning shares it.
#[derive(Clone)]
pub struct Directory(Arc<Inner>);

struct Inner {
    log: Arc<dyn Log>,
    tenants: RwLock<BTreeMap<TenantId, Known>>,
    /// How far each partition of the roster topic has been read.
    read: Vec<watch::Sender<u64>>,
}

impl Directory {
    pub fn start(log: &Arc<dyn Log>, shutdown: &CancellationToken) -> Self {
        let read = (0..log.partitions()).map(|_| watch::channel(0).0).collect();
        let directory = Self(Arc::new(Inner { log: log.clone(), tenants: RwLock::default(), read }));
        for partition in 0..log.partitions() {
            let directory = directory.clone();
            let shutdown = shutdown.clone();
            crate::spawn("directory", async move {
                tokio::select! {
                    () = shutdown.cancelled() => {}
                    () = directory.read(partition) => {}
                }
            });
        }
        directory
    }

    async fn read(&self, partition: u16) {
        let inner = &*self.0;
        let mut end = inner.log.end(Topic::Roster, partition);
        let mut next = 0;
        loop {
            while next < *end.borrow_and_update() {
                match inner.log.read(Topic::Roster, partition, next, READ_BYTES).await {
                    Ok(records) => {
                        for record in records {
                            self.note(&record.bytes);
                            next = record.seq + 1;
                        }
                        inner.read[usize::from(partition)].send_replace(next);
                    }
                    Err(error) => {
                        tracing::error!(partition, %error, "roster cannot be read; trying again");
                        tokio::time::sleep(RETRY).await;
                    }
                }
            }
            if end.changed().await.is_err() {
                return;
            }
        }
    }

    fn note(&self, record: &[u8]) {
        let Ok((header, payload)) = Header::parse(record) else { return };
        let mut tenants = self.0.tenants.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        if header.schema == COMPANY_DEFINED {
            let code = proto::roster::CompanyDefined::decode(payload).map(|company| company.code);
            tenants.entry(header.tenant).or_default().code = code.unwrap_or_default();
        } else if header.schema == DESK_DEFINED
            && let Ok(desk) = proto::roster::DeskDefined::decode(payload)
        {
            tenants.entry(header.tenant).or_default().desks.insert(desk.code);
        }
    }

    /// Whether the tenant exists, as of all that is committed now.
    pub async fn knows(&self, tenant: TenantId) -> bool {
        let has = || self.0.tenants.read().unwrap_or_else(std::sync::PoisonError::into_inner).contains_key(&tenant);
        has() || {
            self.caught_up(tenant).await;
            has()
        }
    }

    /// Whether the tenant has a desk of this code, as of all that is committed now.
    pub async fn knows_desk(&self, tenant: TenantId, desk: &str) -> bool {
        let has = || {
            let tenants = self.0.tenants.read().unwrap_or_else(std::sync::PoisonError::into_inner);
            tenants.get(&tenant).is_some_and(|known| known.desks.contains(desk))
        };
        has() || {
            self.caught_up(tenant).await;
            has()
        }
    }

    /// Waits until all that the roster has committed so far was read: an import that was just answered must count.
    async fn caught_up(&self, tenant: TenantId) {
        let partition = shard_of(tenant, self.0.log.partitions());
        let end = *self.0.log.end(Topic::Roster, partition).borrow();
        let mut read = self.0.read[usize::from(partition)].subscribe();
        drop(read.wait_for(|read| *read >= end).await);
    }

    /// Codes of all tenants, ascending.
    pub fn codes(&self) -> Vec<String> {
        let tenants = self.0.tenants.read().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut codes: Vec<String> = tenants.values().map(|known| known.code.clone()).collect();
        codes.sort_unstable();
        codes
    }
}
