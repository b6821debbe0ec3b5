//! `payroll`: what each person is paid: earnings, periods, payouts, ledger postings. Gross variable pay only.

pub mod api;
mod codec;
pub mod domain;
pub mod file;
mod react;

use kernel::Timestamp;
use log::Topic;
use runtime::{CodecError, Published, Reaction, Service, Upstream, Vault};

pub use domain::Payroll;

impl Service for Payroll {
    const TOPIC: Topic = Topic::Payroll;
    const UPSTREAMS: &'static [Topic] = &[Topic::Kpi, Topic::Roster];

    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16 {
        codec::encode(event, payload)
    }

    fn decode(schema: u16, payload: &[u8], _recorded_at: Timestamp) -> Result<Self::Event, CodecError> {
        codec::decode(schema, payload)
    }

    /// Payouts also go to finance's own topic, in the same batch.
    fn publish(event: &Self::Event) -> Option<Published> {
        let domain::Event::PayoutChanged(change) = event else { return None };
        let payload = codec::payout_payload(change);
        Some(Published { topic: Topic::Payout, schema: codec::PUBLIC_PAYOUT_CHANGED, payload })
    }

    fn react(record: &Upstream<'_>, _vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError> {
        react::react(record)
    }
}

/// Defects that a test switches on to see that `fenliu verify` reports them.
#[cfg(feature = "planted-bugs")]
pub mod planted {
    use std::sync::atomic::{AtomicU8, Ordering};

    /// 1: the fold of a posting is off by one. 2: an earning is one minor unit too large.
    pub static BUG: AtomicU8 = AtomicU8::new(0);

    pub(crate) fn is(bug: u8) -> bool {
        BUG.load(Ordering::Relaxed) == bug
    }
}
