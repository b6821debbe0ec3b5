//! A Fenliu in the test's own process, on a clock that the test holds.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use fenliu::Cluster;
use fenliu::client::Client;
use kernel::{Duration, Timestamp};
use log::{Faults, Options, TOPICS, Topic};
use runtime::Clock;
use tempfile::TempDir;

/// Partitions of the logs of these tests: the tests' tenants fall into several.
pub const PARTITIONS: u16 = 4;
/// Small, so that a log rolls to new segments within a test; a turn's batch fits in.
pub const SEGMENT_BYTES: u64 = 8 << 20;
/// 2026-09-15T01:00:00Z, a Tuesday morning in Shanghai.
pub const START: Timestamp = Timestamp::from_micros(1_789_434_000_000_000);

pub fn options(faults: Arc<Faults>) -> Options {
    Options { partitions: PARTITIONS, segment_bytes: SEGMENT_BYTES, faults, ..Options::default() }
}

/// A running Fenliu and a client of it.
pub struct Open {
    pub cluster: Cluster,
    pub client: Client,
    pub faults: Arc<Faults>,
}

impl Open {
    pub async fn at(dir: &Path, clock: Clock) -> Self {
        let faults = Arc::new(Faults::default());
        let cluster = Cluster::open(dir, clock, options(faults.clone())).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let address = cluster.serve(dir, any, any, false).await.unwrap();
        let client = Client::connect(address.grpc.to_string()).await.unwrap();
        Self { cluster, client, faults }
    }

    /// On a new folder, with virtual time that stands at [`START`].
    pub async fn new() -> (TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let open = Self::at(folder.path(), Clock::virtual_from(START)).await;
        (folder, open)
    }

    pub fn now(&self) -> Timestamp {
        self.cluster.shared.clock.now()
    }

    /// Moves virtual time, stopping at every timer on the way.
    pub async fn advance(&self, span: Duration) {
        let clock = &self.cluster.shared.clock;
        let to = clock.now() + span;
        self.cluster.settle().await;
        while let Some(due) = clock.next_due().filter(|due| *due <= to) {
            clock.advance_to(due);
            self.cluster.settle().await;
        }
        clock.advance_to(to);
        self.cluster.settle().await;
    }

    /// The end of every topic's partition.
    pub fn ends(&self) -> BTreeMap<(Topic, u16), u64> {
        let log = &self.cluster.shared.log;
        let places =
            TOPICS.into_iter().flat_map(|topic| (0..log.partitions()).map(move |partition| (topic, partition)));
        places.map(|(topic, partition)| ((topic, partition), *log.end(topic, partition).borrow())).collect()
    }
}
