//! The laws of assignment over any history: of any company, any customers, right and wrong answers, and jumps of time.

mod common;

use assignment::Assignment;
use assignment::domain::{Event, OfferState};
use common::world::{Play, story};
use common::{cases, check, inquiry_id, round_trip};
use kernel::Decider;
use kernel::laws::{History, codec_law, run};
use proptest::prelude::*;
use runtime::Service;

/// The fold from the wire, which reads only what it needs, ends where the events lead.
fn fold_law(history: &History<Assignment>) {
    let mut state = assignment::domain::State::default();
    for (_, stamp, events) in &history.decisions {
        for event in events {
            let mut payload = Vec::new();
            let schema = Assignment::encode(event, &mut payload);
            Assignment::fold(&mut state, schema, &payload, stamp.at).expect("an own event folds");
        }
    }
    assert_eq!(state, history.state, "L5: the fold from the wire differs from that of the events");
}

proptest! {
    #![proptest_config(cases(256))]

    /// L2, L5, L6, L10; with each step checked by the tenant: nobody waits who could be served, and every choice is
    /// that of the naive table.
    #[test]
    fn the_laws_hold_over_any_history(story in story(120)) {
        let play = Play::all(&story);
        let history = run::<Assignment>(play.tenant.told.clone());
        codec_law(&history, round_trip);
        fold_law(&history);
        let events: Vec<Event> = history.decisions.into_iter().flat_map(|(_, _, events)| events).collect();
        prop_assert_eq!(&play.tenant.events[..events.len()], &events[..], "two runs of one story differ");
    }

    #[test]
    fn nobody_waits_for_ever(story in story(60)) {
        let mut play = Play::all(&story);
        play.drain();
        prop_assert_eq!(play.unserved(), Vec::<String>::new());
        for n in 0..play.arrived {
            let (live, ended) = (&play.tenant.state.live.inquiries, &play.tenant.state.memory.ended);
            let (live, ended) = (live.contains_key(&inquiry_id(n)), ended.contains_key(&inquiry_id(n)));
            prop_assert!(live != ended, "inquiry {n} is live: {live}, ended: {ended}");
        }
    }

    /// A reservation is made once, ends once, and the offer that an answer names is the one that is open.
    #[test]
    fn every_offer_ends_once(story in story(60)) {
        let play = Play::all(&story);
        let mut state = assignment::domain::State::default();
        for event in &play.tenant.events {
            let ended = match event {
                Event::ReservationMade(offer) => {
                    prop_assert!(!state.memory.reservations.contains_key(&offer.reservation_id), "made twice");
                    None
                }
                Event::ReservationAccepted { accepted, .. } => Some(&accepted.end),
                Event::ReservationRejected { end, .. }
                | Event::ReservationTimedOut { end, .. }
                | Event::ReservationCancelled { end }
                | Event::ReservationRescinded { end, .. } => Some(end),
                _ => None,
            };
            if let Some(end) = ended {
                let known = state.memory.reservations.get(&end.reservation_id);
                prop_assert_eq!(known, Some(&(end.inquiry_id, OfferState::Pending)), "ended twice");
            }
            Assignment::evolve(&mut state, event);
        }
        check::state(&state, play.tenant.at, String::new);
    }
}
