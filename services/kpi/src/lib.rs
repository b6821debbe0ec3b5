//! `kpi`: what each person achieved: credits and measures.

pub mod api;
mod codec;
pub mod domain;
mod fold;
mod react;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

pub use domain::Kpi;

impl Service for Kpi {
    const TOPIC: Topic = Topic::Kpi;
    const UPSTREAMS: &'static [Topic] = &[Topic::Intake, Topic::Assignment, Topic::Roster];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload)
    }

    fn fold(state: &mut Self::State, schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<(), CodecError> {
        fold::fold(state, schema, payload)
    }

    fn react(record: &Upstream<'_>, _vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        react::react(record)
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold of a credit is off by one. 2: the attribution window is a minute.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
