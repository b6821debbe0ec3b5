//! The pure vocabulary of Fenliu: what a decision is, what an id is, what money is, what a sealed value is.
//!
//! Nothing here reads a clock, draws a random number or does I/O (law L2). Every other crate builds on these words.

mod command_set;
mod decider;
mod digest;
mod id;
mod id_map;
#[cfg(feature = "laws")]
pub mod laws;
mod money;
mod sealed;
mod shard;
mod time;

pub use command_set::{COMMAND_WINDOW, CommandSet, Known};
pub use decider::{Actor, ActorKind, Decider, Refusal, RefusalKind, Stamp, Timer, Violation};
pub use digest::{Digest, digest_of};
pub use id::{
    AssignmentId, CommandId, CreditId, CustomerId, EmployeeId, EventId, FactKey, InquiryId, KeyId, OrderId, OutcomeId,
    PayoutId, ReservationId, TenantId,
};
pub use id_map::IdMap;
pub use money::{Currency, Money, MoneyError, Rate, Rounding, round_minor};
pub use sealed::{DataKey, Purpose, SealError, SealPlace, Sealed, Subject, seal, unseal};
pub use shard::shard_of;
pub use time::{Duration, Timestamp};

/// Decimal numbers between integer minor units and integer minor units; never a float.
pub use rust_decimal::Decimal;
