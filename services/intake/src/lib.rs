//! `intake`: admits facts from outside, once each: inquiries, messages, orders, refunds, ratings, customers, costs.

pub mod api;
mod codec;
pub mod domain;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

pub use domain::Intake;

impl Service for Intake {
    const TOPIC: Topic = Topic::Intake;
    const UPSTREAMS: &'static [Topic] = &[];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload)
    }

    /// Intake reads no other topic.
    fn react(record: &Upstream<'_>, _vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        Err(CodecError::UnknownSchema(record.header.schema))
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold of a refund is off by one. 2: a fact must have happened an hour ago.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
