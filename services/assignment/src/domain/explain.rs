//! The full table of a decision's candidates, one agent at a time: what `explain` prints and what the tests hold the
//! indexed choice against.

use kernel::{EmployeeId, InquiryId};

use super::choice::choose;
use super::state::{Inquiry, State};
use super::types::{Decision, Filter};
use super::wish::{Wish, need_now};

/// One agent of the tenant, as a decision saw them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    pub employee_id: EmployeeId,
    pub code: String,
    /// The first filter that they failed; none: eligible.
    pub filter: Option<Filter>,
    pub load_ppm: u32,
    /// Number of their last assignment, 0 before the first.
    pub last_assigned: u64,
    /// The seeded hash.
    pub tie: u64,
}

fn waiting(state: &State, inquiry_id: InquiryId) -> Option<&Inquiry> {
    state.live.inquiries.get(&inquiry_id).filter(|inquiry| inquiry.stage.holder().is_none() && inquiry.intent.is_some())
}

/// Every agent who has not left, eligible ones first, in the order of choice; `None` when the inquiry does not wait.
pub fn candidates(state: &State, inquiry_id: InquiryId) -> Option<Vec<Candidate>> {
    let inquiry = waiting(state, inquiry_id)?;
    let live = &state.live;
    let need = need_now(live, inquiry);
    let wish = Wish::new(live, inquiry, &need)?;
    let agents = live.agents.sorted().into_iter().filter(|(_, agent)| agent.profile.is_some());
    let mut all: Vec<Candidate> = agents
        .map(|(id, agent)| Candidate {
            employee_id: *id,
            code: agent.facts.code.clone(),
            filter: wish.first_failing(live, agent, live.status(agent), agent.held_units),
            load_ppm: live.load_ppm(agent, agent.held_units),
            last_assigned: agent.last_assigned,
            tie: agent.tie,
        })
        .collect();
    // Those that failed a later filter were nearer.
    all.sort_by_key(|c| {
        (c.filter.is_some(), c.filter.map(std::cmp::Reverse), c.load_ppm, c.last_assigned, c.tie, c.employee_id)
    });
    Some(all)
}

/// What would be decided for a waiting inquiry now; `None` when it does not wait or nobody can take it.
pub fn decision_of(state: &State, inquiry_id: InquiryId) -> Option<(EmployeeId, Decision)> {
    let inquiry = waiting(state, inquiry_id)?;
    let need = need_now(&state.live, inquiry);
    let wish = Wish::new(&state.live, inquiry, &need)?;
    choose(&state.live, &wish, &[]).chosen
}
