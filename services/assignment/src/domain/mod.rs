//! Who receives which inquiry, and why.
//!
//! Between decisions nobody waits who could be served: every command first does what it says, then routes the inquiry
//! or serves the agent whom it freed. What changes many at once (shifts, roster, policy) is a timer of the desk.

mod calendar;
mod choice;
mod decide;
mod evolve;
mod explain;
mod index;
mod invariants;
mod queue;
mod routing;
mod state;
mod types;
mod wish;

use kernel::{Decider, Stamp, Timer, Violation};

pub(crate) use evolve::pend;
pub use explain::{Candidate, candidates, decision_of};
pub use state::{
    Agent, Count, Customer, Desk, Ended, Group, Inquiry, Live, Memory, Need, OfferState, Profile, Queue, Staff, Stage,
    State, Status,
};
pub use types::{
    Accepted, AgentFacts, Arrival, Command, Completed, Decision, DeskFacts, Event, FILTERS, Filter, IntentScore, Names,
    OUT_OF_SCOPE, Offer, OfferEnd, Policy, PositionFacts, Presence, Rejection, RosterFact, Rule, Shift, TIES_MAX,
    Transferred, Wait, ZoneOffset,
};

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Assignment;

impl Decider for Assignment {
    const NAME: &'static str = "assignment";
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

    fn next_timer(state: &State) -> Option<Timer<Command>> {
        state.live.next_timer().map(|(due, id, command)| Timer { due, id, command })
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        invariants::check(state)
    }
}
