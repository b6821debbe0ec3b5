//! The one shape of every service: decide, then evolve.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{CommandId, EmployeeId, TenantId, Timestamp};

/// Who asked. Part of every record.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub struct Actor {
    pub kind: ActorKind,
    /// Hash of the caller's name; an employee's id for an employee.
    pub id: EmployeeId,
    /// Codes of the positions that the actor held at that moment.
    pub positions: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, serde::Deserialize)]
pub enum ActorKind {
    /// A service that reacts to another service's record, or a timer.
    #[default]
    Service,
    /// The person at this machine: the only caller that exists while only loopback is served.
    LocalOperator,
    Employee,
    Platform,
}

/// What a decision may know about the moment it is taken in. Time is here and nowhere else (L2).
#[derive(Debug, Clone, PartialEq)]
pub struct Stamp {
    /// The shard's clock, monotone: becomes the records' `recorded_at`.
    pub at: Timestamp,
    pub tenant: TenantId,
    /// The cause; new ids are derived from it, so that deciding again makes the same ids.
    pub command_id: CommandId,
    pub actor: Actor,
}

/// A command that the state itself asks for at a given time.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer<C> {
    pub due: Timestamp,
    /// Names the timer among those due at the same time, and its firing for ever.
    pub id: [u8; 16],
    pub command: C,
}

impl<C> Timer<C> {
    /// The command id of this timer's firing.
    pub fn command_id(&self, tenant: TenantId) -> CommandId {
        CommandId::of_parts(&[b"timer", tenant.as_bytes(), &self.due.as_micros().to_le_bytes(), &self.id])
    }
}

/// A law of a state (L6) that does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{law} is violated: {what}")]
pub struct Violation {
    pub law: &'static str,
    pub what: String,
}

/// Why a command was refused, in the caller's terms. Refusals leave nothing on the log.
pub trait Refusal: std::error::Error + Send + 'static {
    fn kind(&self) -> RefusalKind;
    /// Stable, upper-case: `AGENT_AT_CAPACITY`. Clients switch on it.
    fn reason(&self) -> &'static str;
    /// The request's field that is at fault, when one is.
    fn field(&self) -> Option<&'static str> {
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    Invalid,
    NotFound,
    AlreadyExists,
    FailedPrecondition,
}

/// One service's rules over one tenant's state.
///
/// Both functions are synchronous and pure: no clock, no chance, no I/O, no iteration over hash order. What a decision
/// needs from outside is looked up first and put into the command.
pub trait Decider: Sized + Send + Sync + 'static {
    /// The service's name: `assignment`.
    const NAME: &'static str;
    /// Grows whenever `decide` would decide anything differently than before. Recorded with every event.
    const LOGIC_VERSION: u32;

    /// One tenant's state. Serialised only into snapshots and digests, which may be thrown away.
    type State: Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync;
    type Command: Clone + PartialEq + Debug + Send + Sync + 'static;
    type Event: Clone + PartialEq + Debug + Send + Sync + 'static;
    type Rejection: Refusal + Clone + PartialEq;

    /// What follows from `command`, or why nothing may. No events means that it is already so.
    fn decide(state: &Self::State, command: &Self::Command, stamp: &Stamp)
    -> Result<Vec<Self::Event>, Self::Rejection>;

    /// Folds one event. Total on every event that was ever written: never fails, never panics.
    fn evolve(state: &mut Self::State, event: &Self::Event);

    /// The command that these events, all of one decision, came from: events carry all that the decision read from
    /// outside the state, so that `verify` can decide it again. `None` only for an empty slice.
    fn command_of(events: &[Self::Event]) -> Option<Self::Command>;

    /// The earliest timer of the state in (due, id) order, if any.
    fn next_timer(state: &Self::State) -> Option<Timer<Self::Command>> {
        let _ = state;
        None
    }

    /// The conservation laws of the state (L6).
    fn invariants(state: &Self::State) -> Result<(), Violation>;
}
