//! `intent`: which intent a message carries, how sure that is; learns from labelled events.

pub mod api;
mod codec;
pub mod domain;
pub mod evaluate;
mod features;
mod math;
mod model;
mod react;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

pub use domain::Intent;

impl Service for Intent {
    const TOPIC: Topic = Topic::Intent;
    const UPSTREAMS: &'static [Topic] = &[Topic::Intake];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload)
    }

    fn react(record: &Upstream<'_>, vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        react::react(record, vault)
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold counts a label twice. 2: nearly nothing is believed.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
