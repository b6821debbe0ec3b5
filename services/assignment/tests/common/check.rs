//! What must hold after every decision.

use std::collections::BTreeMap;

use assignment::Assignment;
use assignment::domain::{Candidate, Event, Filter, Offer, State, TIES_MAX, candidates, decision_of};
use kernel::{Decider, EmployeeId, Timestamp};

/// The laws of the state, and that nobody waits who could be served.
pub fn state(state: &State, now: Timestamp, after: impl Fn() -> String) {
    if let Err(violation) = Assignment::invariants(state) {
        panic!("{violation}\nafter {}", after());
    }
    nobody_waits_who_could_be_served(state, now, after);
}

/// A desk that is matched anew at this very instant has its turn to come.
pub fn nobody_waits_who_could_be_served(state: &State, now: Timestamp, after: impl Fn() -> String) {
    for (id, inquiry) in state.live.inquiries.sorted() {
        let desk = state.live.desks.get(&inquiry.arrival.desk);
        if desk.and_then(|desk| desk.next_due).is_some_and(|due| due <= now) {
            continue;
        }
        if let Some((employee, decision)) = decision_of(state, *id) {
            panic!("{inquiry:?} waits, and {employee} could take it: {decision:?}\nafter {}", after());
        }
    }
}

/// The decision of an offer is what the table of candidates says, made one agent at a time on the state before it.
pub fn choice_equals_the_naive_table(before: &State, event: &Event) {
    let Event::ReservationMade(offer) = event else { return };
    let table = candidates(before, offer.inquiry_id).unwrap_or_else(|| panic!("{offer:?}: the inquiry does not wait"));
    let decision = &offer.decision;
    let again = decision_of(before, offer.inquiry_id);
    assert_eq!(again, Some((offer.employee_id, decision.clone())), "decided again on the state just before the offer");
    let eligible: Vec<&Candidate> = table.iter().filter(|candidate| candidate.filter.is_none()).collect();
    let winner = table.first().unwrap_or_else(|| panic!("{offer:?}: nobody works here"));
    assert_eq!((winner.employee_id, winner.filter), (offer.employee_id, None), "{}", shown(offer, &table));
    assert_eq!(winner.load_ppm, decision.winner_load_ppm, "{}", shown(offer, &table));
    assert_eq!(decision.eligible as usize, eligible.len(), "{}", shown(offer, &table));
    let runner_up = eligible.get(1);
    assert_eq!(decision.runner_up, runner_up.map(|candidate| candidate.employee_id), "{}", shown(offer, &table));
    assert_eq!(decision.runner_up_load_ppm, runner_up.map_or(0, |c| c.load_ppm), "{}", shown(offer, &table));
    let ties = |candidate: &&&Candidate| {
        (candidate.load_ppm, candidate.last_assigned) == (winner.load_ppm, winner.last_assigned)
    };
    let tied: Vec<EmployeeId> = eligible.iter().filter(ties).map(|candidate| candidate.employee_id).collect();
    assert_eq!(decision.tie_set, tied[..tied.len().min(TIES_MAX)], "{}", shown(offer, &table));
    let probability = 1_000_000 / u32::try_from(tied.len()).expect("few");
    assert_eq!(decision.probability_ppm, probability, "{}", shown(offer, &table));
    let mut failed: BTreeMap<Filter, u32> = BTreeMap::new();
    for filter in table.iter().filter_map(|candidate| candidate.filter) {
        *failed.entry(filter).or_default() += 1;
    }
    assert_eq!(decision.passed_over, failed.into_iter().collect::<Vec<_>>(), "{}", shown(offer, &table));
    let policy = &before.live.policy;
    assert_eq!((decision.policy_version, decision.policy_hash), (policy.version, policy.hash));
}

fn shown(offer: &Offer, table: &[Candidate]) -> String {
    format!("{offer:?}\nbut the table is {table:#?}")
}
