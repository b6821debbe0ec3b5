//! The laws as reusable property tests: each service calls these with its own strategies.

use std::fmt::Debug;

use crate::{Decider, Stamp, Timestamp, digest_of};

/// A decided history: each command with its stamp and the events it gave. Refused commands are kept without events.
pub struct History<D: Decider> {
    pub decisions: Vec<(D::Command, Stamp, Vec<D::Event>)>,
    pub state: D::State,
}

/// Decides `commands` one after the other, firing due timers before each, and checks on the way that `decide` is
/// deterministic (L2), that invariants hold after every event (L6) and that deciding again from events agrees (L2).
///
/// # Panics
/// When a law is broken; the message says which.
pub fn run<D: Decider>(commands: impl IntoIterator<Item = (D::Command, Stamp)>) -> History<D>
where
    D::Rejection: Debug,
{
    let mut history = History::<D> { decisions: Vec::new(), state: D::State::default() };
    for (command, stamp) in commands {
        while let Some(timer) = D::next_timer(&history.state).filter(|timer| timer.due <= stamp.at) {
            let fired = Stamp { command_id: timer.command_id(stamp.tenant), ..stamp.clone() };
            let before = D::next_timer(&history.state);
            step::<D>(&mut history, timer.command, fired);
            assert_ne!(D::next_timer(&history.state), before, "a fired timer must not stay due");
        }
        step::<D>(&mut history, command, stamp);
    }
    replay_law::<D>(&history);
    history
}

fn step<D: Decider>(history: &mut History<D>, command: D::Command, stamp: Stamp) {
    let first = D::decide(&history.state, &command, &stamp);
    assert_eq!(first, D::decide(&history.state, &command, &stamp), "L2: decide is not deterministic for {command:?}");
    let events = first.unwrap_or_default();
    if !events.is_empty() {
        let rebuilt = D::command_of(&events).expect("L2: events of a decision give their command back");
        let again = D::decide(&history.state, &rebuilt, &stamp);
        assert_eq!(again.as_ref(), Ok(&events), "L2: deciding {rebuilt:?} again, rebuilt from its events, differs");
    }
    for event in &events {
        D::evolve(&mut history.state, event);
    }
    // Inside a decision a law may be half-way; between decisions it must hold.
    if let Err(violation) = D::invariants(&history.state) {
        panic!("L6 after {command:?} gave {events:?}: {violation}");
    }
    history.decisions.push((command, stamp, events));
}

/// L1, L5: the state is the fold of its events, also through a snapshot at any point.
fn replay_law<D: Decider>(history: &History<D>) {
    let events: Vec<&D::Event> = history.decisions.iter().flat_map(|(_, _, events)| events).collect();
    let mut cold = D::State::default();
    for (n, event) in events.iter().enumerate() {
        if n == events.len() / 2 {
            let snapshot = postcard::to_stdvec(&cold).expect("a state encodes");
            cold = postcard::from_bytes(&snapshot).expect("L5: a snapshot decodes");
        }
        D::evolve(&mut cold, event);
    }
    assert_eq!(digest_of(&cold), digest_of(&history.state), "L5: cold rebuild differs from live state");
    assert_eq!(cold, history.state, "L5: cold rebuild differs from live state although digests agree");
}

/// L2, L10: every event of the history survives its codec unchanged.
///
/// # Panics
/// When an event comes back different.
pub fn codec_law<D: Decider>(history: &History<D>, round_trip: impl Fn(&D::Event, Timestamp) -> D::Event) {
    for (_, stamp, events) in &history.decisions {
        for event in events {
            assert_eq!(&round_trip(event, stamp.at), event, "L10: an event changed on its way through the codec");
        }
    }
}
