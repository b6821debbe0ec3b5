//! The defects that `verify` is proved with are ones that it can see. One test: the switch is the process's.
#![cfg(feature = "planted-bugs")]

mod common;

use std::sync::atomic::Ordering;

use assignment::Assignment;
use assignment::domain::{Event, State};
use assignment::planted::BUG;
use common::{alike, ask};
use kernel::{Decider, Digest, digest_of};

fn rebuilt(events: &[Event]) -> Digest {
    let mut state = State::default();
    events.iter().for_each(|event| Assignment::evolve(&mut state, event));
    digest_of(&state)
}

#[test]
fn a_planted_defect_changes_the_digest_or_a_decision() {
    let mut tenant = alike(1);
    let id = tenant.ask(ask(1, "price"));
    tenant.accept(id);
    tenant.finish(id); // Nothing is open any more: a defect must be seen all the same.
    let live = digest_of(&tenant.state);
    assert_eq!(rebuilt(&tenant.events), live);
    BUG.store(1, Ordering::Relaxed);
    assert_ne!(rebuilt(&tenant.events), live, "bug 1 is in the fold");
    BUG.store(2, Ordering::Relaxed);
    assert_eq!(rebuilt(&tenant.events), live, "bug 2 is not");

    let decided = |told: &[_]| {
        let history = kernel::laws::run::<Assignment>(told.iter().cloned());
        history.decisions.into_iter().flat_map(|(_, _, events)| events).collect::<Vec<Event>>()
    };
    let with_bug = decided(&tenant.told);
    BUG.store(0, Ordering::Relaxed);
    assert_ne!(decided(&tenant.told), with_bug);
}
