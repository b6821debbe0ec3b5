//! What is known from outside: each fact once, by its natural key.

mod decide;
mod evolve;
mod types;

use kernel::{Decider, Duration, Stamp, Violation};

pub(crate) use decide::{COST, INQUIRY, ORDER, PAYMENT, RATING, REFUND, fact_key};
pub use decide::{MESSAGES_MAX, key_of};
pub use types::{
    Command, Cost, Customer, CustomerDetails, CustomerFacts, CustomerRef, Direction, Event, Fact, FactRef, Inquiry,
    Message, NewCustomer, NewInquiry, NewOrder, Order, Rejection, State,
};

/// How far ahead of the shard's clock a fact may have happened: platforms' clocks are not exact.
pub const OCCURRED_SKEW_MAX: Duration = Duration::from_secs(300);

/// Minor units of one amount: far above any order, and so far below the range of an integer that sums of nine thousand of
/// them, and any share of one, stay exact everywhere behind this door (L9).
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Intake;

impl Decider for Intake {
    const NAME: &'static str = "intake";
    const LOGIC_VERSION: u32 = 1;

    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
        decide::decide(state, command, stamp)
    }

    fn evolve(state: &mut State, event: &Event) {
        evolve::evolve(state, event);
    }

    fn command_of(events: &[Event]) -> Option<Command> {
        decide::command_of(events)
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        evolve::invariants(state)
    }
}
