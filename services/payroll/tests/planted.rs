//! The defects that `verify` is proved with are ones that it can see. One test: the switch is the process's.
#![cfg(feature = "planted-bugs")]

mod common;

use std::sync::atomic::Ordering;

use common::{close, credit, day, given_seller, stamp, yuan};
use kernel::{Decider, Digest, digest_of};
use payroll::Payroll;
use payroll::domain::{Event, State};
use payroll::planted::BUG;

fn rebuilt(events: &[Event]) -> Digest {
    let mut state = State::default();
    events.iter().for_each(|event| Payroll::evolve(&mut state, event));
    digest_of(&state)
}

#[test]
fn a_planted_defect_changes_the_digest_or_a_decision() {
    let tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3))]);
    let decided = || Payroll::decide(&tenant.state, &close(0), &stamp(0, day(3_000))).unwrap();
    let events = decided();
    let log = [&tenant.log[..], &events].concat();
    let live = rebuilt(&log);
    BUG.store(1, Ordering::Relaxed);
    assert_ne!(rebuilt(&log), live, "bug 1 is in the fold");
    BUG.store(2, Ordering::Relaxed);
    assert_eq!(rebuilt(&log), live, "bug 2 is not");
    let with_bug = decided();
    BUG.store(0, Ordering::Relaxed);
    assert_ne!(events, with_bug);
}
