//! `roster`: who works here and what each position is: employees, positions, duties, skills, shifts, presence.

pub mod api;
mod changes;
mod codec;
pub mod domain;
pub mod file;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

pub use codec::COMPANY_DEFINED;
pub use domain::Roster;

impl Service for Roster {
    const TOPIC: Topic = Topic::Roster;
    const UPSTREAMS: &'static [Topic] = &[];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload)
    }

    /// Roster reads no other topic.
    fn react(record: &Upstream<'_>, _vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        Err(CodecError::UnknownSchema(record.header.schema))
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold of an employee is off by one month. 2: versions of positions count from two.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
