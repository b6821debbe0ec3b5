//! `assignment`: who receives which inquiry, and why.

pub mod api;
mod codec;
pub mod domain;
mod fold;
mod react;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

pub use domain::Assignment;

impl Service for Assignment {
    const TOPIC: Topic = Topic::Assignment;
    const UPSTREAMS: &'static [Topic] = &[Topic::Roster, Topic::Intake, Topic::Intent];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload, recorded_at)
    }

    fn fold(state: &mut Self::State, schema: u16, payload: &[u8], recorded_at: Timestamp) -> Result<(), CodecError> {
        fold::fold(state, schema, payload, recorded_at)
    }

    fn react(record: &Upstream<'_>, _vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        react::react(record)
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold counts each assignment twice. 2: offers expire a millisecond later.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
