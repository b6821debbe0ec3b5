//! The one shell around every service: shards and their recovery, snapshots, keys, streams, the gRPC server, telemetry.
//!
//! It knows no service by name, but for the roster's topic, from which it learns which tenants exist.

mod call;
mod clock;
mod directory;
pub mod field;
mod follow;
mod host;
mod keys;
pub mod metrics;
pub mod server;
mod service;
mod shard;
mod snapshot;
mod state;
mod status;
pub mod telemetry;
mod turn;
mod verify;
pub mod wire;

use std::future::Future;

pub use call::{Meta, Receipt};
pub use clock::{Clock, monotonic};
pub use directory::Directory;
pub use follow::{Followed, From};
pub use host::{Host, ParkedInfo, Pending, ShardInfo, Shared};
pub use keys::{FileKeys, KeyError, Keys};
pub use service::{CodecError, Published, Reaction, Service, Upstream, Vault, schema};
pub use shard::{RecoverError, rebuild};
pub use state::{FoldError, ParkedInput, ShardState, Tenant};
pub use status::{CallError, field_of, invalid, not_found, reason_of, status};
pub use verify::{Difference, Verified, verify};

/// Starts a named task. The one door to `tokio::spawn`, so that every task can be found.
pub fn spawn<F>(name: &'static str, task: F)
where
    F: Future<Output = ()> + Send + 'static,
{
    use tracing::Instrument;
    tokio::spawn(task.instrument(tracing::debug_span!("task", name)));
}
