//! The defects that `verify` is proved with are ones that it can see. One test: the switch is the process's.
#![cfg(feature = "planted-bugs")]

mod common;

use std::sync::atomic::Ordering;

use common::{TODAY, import, stamp, whole_company};
use kernel::{Decider, Digest, digest_of};
use roster::Roster;
use roster::domain::{Event, State};
use roster::planted::BUG;

fn rebuilt(events: &[Event]) -> Digest {
    let mut state = State::default();
    events.iter().for_each(|event| Roster::evolve(&mut state, event));
    digest_of(&state)
}

#[test]
fn a_planted_defect_changes_the_digest_or_a_decision() {
    let told = import(whole_company(), TODAY);
    let decided = || Roster::decide(&State::default(), &told, &stamp(0, TODAY)).unwrap();
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
