//! The defects that `verify` is proved with are ones that it can see. One test: the switch is the process's.
#![cfg(feature = "planted-bugs")]

mod common;

use std::sync::atomic::Ordering;

use common::{NOON, order, refund, stamp, yuan};
use intake::Intake;
use intake::domain::{Command, Event, State};
use intake::planted::BUG;
use kernel::{Decider, Digest, digest_of};

fn rebuilt(events: &[Event]) -> Digest {
    let mut state = State::default();
    events.iter().for_each(|event| Intake::evolve(&mut state, event));
    digest_of(&state)
}

#[test]
fn a_planted_defect_changes_the_digest_or_a_decision() {
    let told: [Command; 2] = [order(1, "o1", yuan(10_000), false), refund("o1", "r1", yuan(2_500))];
    let decided = || {
        let stamped = told.iter().cloned().enumerate().map(|(n, command)| (command, stamp(n, NOON)));
        let history = kernel::laws::run::<Intake>(stamped);
        history.decisions.into_iter().flat_map(|(_, _, events)| events).collect::<Vec<Event>>()
    };
    let events = decided();
    let live = rebuilt(&events);
    BUG.store(1, Ordering::Relaxed);
    assert_ne!(rebuilt(&events), live, "bug 1 is in the fold");
    BUG.store(2, Ordering::Relaxed);
    assert_eq!(rebuilt(&events), live, "bug 2 is not");
    let with_bug = decided();
    BUG.store(0, Ordering::Relaxed);
    assert_ne!(events, with_bug);
}
