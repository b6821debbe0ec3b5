//! The life of an offer and of an assignment.

use assignment::domain::{Command, Event, OfferState, Policy, PositionFacts, Presence, Rejection, RosterFact, Rule};
use kernel::{InquiryId, Refusal, ReservationId};

use crate::common::*;

fn accept(tenant: &mut Tenant, (reservation_id, epoch): (ReservationId, u32)) -> Result<Vec<Event>, Rejection> {
    tenant.tell(Command::Accept { reservation_id, epoch })
}

/// One agent and their open offer.
fn offered() -> (Tenant, InquiryId) {
    let mut tenant = alike(1);
    let id = tenant.ask(ask(1, "price"));
    (tenant, id)
}

#[test]
fn an_accepted_offer_becomes_an_assignment() {
    let (mut tenant, id) = offered();
    tenant.pass(secs(7));
    let events = tenant.accept(id);
    let [Event::ReservationAccepted { accepted, at }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((accepted.waited_ms, accepted.first, accepted.epoch), (7_000, true, 1));
    assert_eq!((accepted.intent.as_str(), accepted.desk.as_str(), *at), ("price", "east", MONDAY + secs(7)));
    assert_eq!(accepted.end.names.employee, "A0");
    assert_eq!(accepted.end.names.external_id, "q1");
    assert_eq!(tenant.status(id), "assigned A0");
}

#[test]
fn an_offer_expires_at_exactly_its_time() {
    let (mut tenant, id) = offered();
    let offer = tenant.offer(id);
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(id), "reserved A0");
    tenant.jump(ms(1)); // The accept comes with the very stamp of the expiry.
    assert_eq!(accept(&mut tenant, offer), Err(Rejection::ReservationOver("timeout")));
    assert_eq!(tenant.status(id), "pending");
}

#[test]
fn a_late_accept_is_told_what_became_of_the_offer() {
    type Change = fn(&mut Tenant, InquiryId);
    let cases: [(&str, &str, Change); 5] = [
        ("accepted", "RESERVATION_ACCEPTED", |tenant, id| drop(tenant.accept(id))),
        ("rejected", "RESERVATION_REJECTED", |tenant, id| drop(tenant.reject(id))),
        ("timeout", "RESERVATION_TIMED_OUT", |tenant, _| drop(tenant.pass(secs(30)))),
        ("cancelled", "RESERVATION_CANCELLED", |tenant, id| drop(tenant.close(id))),
        ("rescinded", "RESERVATION_RESCINDED", |tenant, _| drop(tenant.presence("A0", Presence::Offline))),
    ];
    for (state, reason, change) in cases {
        let (mut tenant, id) = offered();
        let offer = tenant.offer(id);
        change(&mut tenant, id);
        let refusal = accept(&mut tenant, offer).expect_err(state);
        assert_eq!((refusal.clone(), refusal.reason()), (Rejection::ReservationOver(state), reason));
        let (reservation_id, epoch) = offer;
        let reject = Command::Reject { reservation_id, epoch, reason: String::new() };
        assert_eq!(tenant.tell(reject), Err(Rejection::ReservationOver(state)));
    }
}

#[test]
fn an_accept_with_another_epoch_is_refused() {
    let (mut tenant, id) = offered();
    let (reservation_id, epoch) = tenant.offer(id);
    for given in [0, 2] {
        let refusal = accept(&mut tenant, (reservation_id, given));
        assert_eq!(refusal, Err(Rejection::WrongEpoch { expected: epoch, given }));
    }
    let unknown = ReservationId::from_bytes([9; 16]);
    assert_eq!(accept(&mut tenant, (unknown, 1)), Err(Rejection::ReservationUnknown));
    assert_eq!(tenant.status(id), "reserved A0");
}

#[test]
fn each_offer_of_an_inquiry_has_the_next_epoch() {
    let mut tenant = alike(3);
    let id = tenant.ask(ask(1, "price"));
    for epoch in 1..=3 {
        assert_eq!(tenant.offer(id).1, epoch);
        tenant.reject(id);
    }
}

#[test]
fn who_declines_is_not_asked_again_in_this_round() {
    let mut tenant = alike(2);
    let id = tenant.ask(ask(1, "price"));
    let first = tenant.last_offer(id).employee_id;
    tenant.reject(id);
    let second = tenant.last_offer(id).employee_id;
    assert_ne!(first, second);
    tenant.reject(id);
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(ms(1));
    assert!(tenant.status(id).starts_with("reserved"), "a new round");
}

#[test]
fn a_single_agent_who_declines_is_asked_again_and_gets_others_meanwhile() {
    let mut tenant = alike(1);
    let [first, second] = [1, 2].map(|n| tenant.ask(ask(n, "price")));
    tenant.reject(first);
    assert_eq!([first, second].map(|id| tenant.status(id)), ["pending", "reserved A0"]);
    tenant.accept(second);
    tenant.close(second);
    tenant.pass(secs(30));
    assert_eq!(tenant.status(first), "reserved A0");
}

#[test]
fn who_declined_is_asked_again_when_the_other_goes_away_with_the_offer() {
    let mut tenant = alike(2);
    let id = tenant.ask(ask(1, "price"));
    let first = tenant.status(id);
    tenant.reject(id);
    let other = if first == "reserved A0" { "A1" } else { "A0" };
    assert_eq!(tenant.status(id), format!("reserved {other}"));
    tenant.presence(other, Presence::Offline);
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(secs(30));
    assert_eq!(tenant.status(id), first, "the round has an end");
}

#[test]
fn missed_offers_pause_the_agent() {
    let mut tenant = alike(1);
    tenant.policy(Policy { version: 2, misses_max: 2, ..Policy::default() });
    let id = tenant.ask(ask(1, "price"));
    tenant.pass(secs(30));
    assert_eq!((tenant.status(id).as_str(), tenant.agent("A0").misses), ("pending", 1));
    tenant.pass(secs(30));
    assert_eq!(tenant.status(id), "reserved A0");
    let events = tenant.pass(secs(30));
    let paused =
        |event: &Event| matches!(event, Event::AgentPresenceNoted { presence: Presence::Paused, missed: true, .. });
    assert_eq!(events.iter().filter(|event| paused(event)).count(), 1, "{events:?}");
    tenant.pass(minutes(10));
    assert_eq!(tenant.status(id), "pending", "a paused agent is asked nothing");
    tenant.presence("A0", Presence::Available);
    assert_eq!((tenant.status(id).as_str(), tenant.agent("A0").misses), ("reserved A0", 0));
}

#[test]
fn an_accept_ends_the_row_of_misses() {
    let mut tenant = alike(1);
    tenant.policy(Policy { version: 2, misses_max: 2, wrap_up_ms: 0, ..Policy::default() });
    for n in 0..4 {
        let id = tenant.ask(ask(n, "price"));
        tenant.pass(secs(60));
        tenant.accept(id);
        tenant.complete(id);
    }
    assert_eq!(tenant.agent("A0").misses, 0);
}

#[test]
fn an_agent_who_is_paused_for_misses_has_no_other_offers_left() {
    let mut tenant = alike(2);
    tenant.presence("A1", Presence::Offline);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 300)));
    tenant.policy(Policy { version: 2, misses_max: 1, ..Policy::default() });
    let first = tenant.ask(ask(1, "price"));
    tenant.pass(secs(10));
    let [second, third] = [2, 3].map(|n| tenant.ask(ask(n, "price")));
    tenant.accept(third);
    tenant.presence("A1", Presence::Available);
    tenant.pass(secs(20));
    let states = [first, second, third].map(|id| tenant.status(id));
    assert_eq!(states, ["reserved A1", "reserved A1", "assigned A0"]);
    let presences =
        tenant.events.iter().filter(|event| matches!(event, Event::AgentPresenceNoted { missed: true, .. }));
    assert_eq!(presences.count(), 1);
}

#[test]
fn who_goes_offline_or_pauses_loses_open_offers_but_not_assignments() {
    for presence in [Presence::Paused, Presence::Offline] {
        let mut tenant = alike(1);
        tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 300)));
        let [assigned, first, second] = [1, 2, 3].map(|n| tenant.ask(ask(n, "price")));
        tenant.accept(assigned);
        hire(&mut tenant, agent("A1", "all"));
        let events = tenant.presence("A0", presence);
        let rescinded = events.iter().filter(|event| matches!(event, Event::ReservationRescinded { .. })).count();
        assert_eq!(rescinded, 2);
        let states = [assigned, first, second].map(|id| tenant.status(id));
        assert_eq!(states, ["assigned A0", "reserved A1", "reserved A1"], "{presence:?}");
        assert!(tenant.inquiry(first).declined.is_empty(), "they did not decline");
        tenant.complete(assigned);
    }
}

#[test]
fn who_leaves_loses_open_offers() {
    let (mut tenant, id) = offered();
    let (reservation_id, _) = tenant.offer(id);
    hire(&mut tenant, agent("A1", "all"));
    tenant.roster(RosterFact::Left(employee("A0")));
    assert_eq!(tenant.status(id), "reserved A1");
    let known = tenant.state.memory.reservations.get(&reservation_id);
    assert_eq!(known, Some(&(id, OfferState::Rescinded)));
}

#[test]
fn wrap_up_holds_the_capacity() {
    let (mut tenant, id) = offered();
    tenant.accept(id);
    tenant.pass(secs(100));
    let next = tenant.ask(ask(2, "price"));
    let events = tenant.complete(id);
    let Some(Event::InquiryCompleted(completed)) = events.first() else { panic!("{events:?}") };
    assert_eq!((completed.handled_ms, completed.wrap_until), (100_000, MONDAY + secs(160)));
    assert_eq!([id, next].map(|id| tenant.status(id)), ["wrapping A0", "pending"]);
    tenant.pass(ms(59_999));
    assert_eq!(tenant.status(next), "pending");
    tenant.pass(ms(1));
    assert_eq!([id, next].map(|id| tenant.status(id)), ["completed A0", "reserved A0"]);
}

#[test]
fn without_wrap_up_the_next_is_offered_with_the_completion() {
    let (mut tenant, id) = offered();
    tenant.policy(Policy { version: 2, wrap_up_ms: 0, ..Policy::default() });
    tenant.accept(id);
    let next = tenant.ask(ask(2, "price"));
    let inquiry_id = id;
    let events = tenant.tell(Command::Complete { inquiry_id, disposition: "price".to_owned() }).expect("done");
    let [Event::InquiryCompleted(_), Event::WrapUpEnded { .. }, Event::ReservationMade(offer)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!(offer.inquiry_id, next);
}

#[test]
fn only_what_is_assigned_can_be_completed_or_transferred() {
    let (mut tenant, id) = offered();
    let refusals = |tenant: &mut Tenant, inquiry_id, expected: Rejection| {
        let complete = Command::Complete { inquiry_id, disposition: String::new() };
        assert_eq!(tenant.tell(complete), Err(expected.clone()));
        assert_eq!(tenant.transfer(inquiry_id, "", ""), Err(expected));
    };
    refusals(&mut tenant, inquiry_id(99), Rejection::InquiryUnknown);
    refusals(&mut tenant, id, Rejection::NotAssigned("reserved"));
    tenant.accept(id);
    let waiting = tenant.ask(ask(2, "price"));
    refusals(&mut tenant, waiting, Rejection::NotAssigned("pending"));
    tenant.close(waiting);
    refusals(&mut tenant, waiting, Rejection::NotAssigned("cancelled"));
    tenant.complete(id);
    refusals(&mut tenant, id, Rejection::NotAssigned("wrapping"));
    tenant.pass(secs(60));
    refusals(&mut tenant, id, Rejection::NotAssigned("completed"));
}

#[test]
fn a_transfer_to_a_named_agent_goes_to_them_whatever_their_duty() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    hire(&mut tenant, speaking(agent("M1", "sales_manager"), &["en"]));
    let id = tenant.ask(ask(1, "order_lookup"));
    tenant.accept(id);
    tenant.transfer(id, "M1", "").expect("transferred");
    let offer = tenant.last_offer(id);
    assert_eq!((tenant.status(id).as_str(), offer.decision.rule, offer.epoch), ("reserved M1", Rule::Transfer, 2));
    let events = tenant.accept(id);
    let [Event::ReservationAccepted { accepted, .. }] = &events[..] else { panic!("{events:?}") };
    assert!(!accepted.first);
}

#[test]
fn a_transfer_waits_for_a_named_agent_who_is_busy_and_then_goes_to_another() {
    let mut tenant = alike(3);
    let [first, second] = [1, 2].map(|n| {
        let id = tenant.ask(ask(n, "price"));
        tenant.accept(id);
        id
    });
    let (from, to) = (tenant.status(first), tenant.status(second));
    let to = to.strip_prefix("assigned ").expect("assigned").to_owned();
    tenant.transfer(first, &to, "").expect("transferred");
    assert_eq!(tenant.status(first), "pending");
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(first), "pending");
    tenant.pass(ms(1));
    assert!(tenant.status(first).starts_with("reserved"), "{}", tenant.status(first));
    assert_ne!(tenant.status(first).replace("reserved", "assigned"), from, "not back to who handed it on");
}

#[test]
fn a_transfer_to_anyone_goes_by_the_intent_that_it_names_and_not_back() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service"), agent("M1", "sales_manager")]);
    let id = tenant.ask(ask(1, "order_lookup"));
    tenant.accept(id);
    let first = tenant.status(id);
    tenant.transfer(id, "", "").expect("transferred");
    assert!(tenant.status(id).starts_with("reserved C"));
    assert_ne!(tenant.status(id).replace("reserved", "assigned"), first);
    tenant.accept(id);
    tenant.transfer(id, "", "large_purchase").expect("transferred");
    assert_eq!(tenant.status(id), "reserved M1");
    assert_eq!(tenant.inquiry(id).intent.as_ref().map(|score| score.intent.as_str()), Some("large_purchase"));
}

#[test]
fn what_nobody_else_can_take_comes_back_after_a_round() {
    let mut tenant = alike(1);
    let id = tenant.ask(ask(1, "price"));
    tenant.accept(id);
    tenant.transfer(id, "", "").expect("transferred");
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(ms(1));
    assert_eq!(tenant.status(id), "reserved A0", "better than nobody");
}

#[test]
fn a_transfer_to_nobody_of_the_desk_or_to_oneself_is_refused() {
    let mut tenant = alike(1);
    hire(&mut tenant, at_desk(agent("W1", "all"), "west"));
    hire(&mut tenant, agent("L1", "all"));
    tenant.roster(RosterFact::Left(employee("L1")));
    let id = tenant.ask(ask(1, "price"));
    tenant.accept(id);
    for (to, refusal) in [
        ("A0", Rejection::SameAgent),
        ("W1", Rejection::AgentUnknown),
        ("L1", Rejection::AgentUnknown),
        ("nobody", Rejection::AgentUnknown),
    ] {
        assert_eq!(tenant.transfer(id, to, ""), Err(refusal), "{to}");
    }
    assert_eq!(tenant.status(id), "assigned A0");
}

#[test]
fn the_agent_who_hands_on_gets_the_next_that_waits() {
    let mut tenant = alike(1);
    let id = tenant.ask(ask(1, "price"));
    tenant.accept(id);
    let next = tenant.ask(ask(2, "price"));
    tenant.transfer(id, "", "").expect("transferred");
    assert_eq!([id, next].map(|id| tenant.status(id)), ["pending", "reserved A0"]);
}

#[test]
fn closing_ends_an_inquiry_in_every_state_and_frees_its_agent() {
    // Without intent, waiting, reserved, assigned.
    let mut tenant = alike(0);
    let coming = ask(1, "");
    let early = coming.arrival.inquiry_id;
    tenant.must(Command::NoteInquiry(coming.arrival));
    tenant.close(early);
    assert_eq!(tenant.status(early), "cancelled");
    let waiting = tenant.ask(ask(2, "price"));
    tenant.close(waiting);
    assert_eq!(tenant.status(waiting), "cancelled");

    hire(&mut tenant, agent("A0", "all"));
    let [reserved, next] = [3, 4].map(|n| tenant.ask(ask(n, "price")));
    let events = tenant.close(reserved);
    assert!(
        matches!(events[..], [Event::ReservationCancelled { .. }, Event::InquiryCancelled { .. }, ..]),
        "{events:?}"
    );
    assert_eq!([reserved, next].map(|id| tenant.status(id)), ["cancelled A0", "reserved A0"]);

    tenant.accept(next);
    let last = tenant.ask(ask(5, "price"));
    tenant.close(next);
    assert_eq!([next, last].map(|id| tenant.status(id)), ["cancelled A0", "reserved A0"]);

    tenant.accept(last);
    tenant.complete(last);
    assert_eq!(tenant.close(last), Vec::new(), "it is being wrapped up: it is completed already");
    assert_eq!(tenant.close(inquiry_id(99)), Vec::new());
    assert_eq!(tenant.close(next), Vec::new());
}

#[test]
fn a_cut_of_capacity_leaves_what_is_held_and_stops_new_offers() {
    let mut tenant = alike(1);
    let capacity = |units| RosterFact::Position(PositionFacts { ..position("all", &["out_of_scope"], units) });
    tenant.roster(capacity(300));
    let ids = [1, 2, 3].map(|n| {
        let id = tenant.ask(ask(n, "price"));
        tenant.accept(id);
        id
    });
    tenant.roster(capacity(100));
    assert_eq!(tenant.agent("A0").held_units, 300, "200 over");
    let waiting = tenant.ask(ask(4, "price"));
    tenant.close(ids[0]);
    tenant.close(ids[1]);
    assert_eq!(tenant.status(waiting), "pending", "still full");
    tenant.close(ids[2]);
    assert_eq!(tenant.status(waiting), "reserved A0");
}

#[test]
fn a_decision_never_gives_an_agent_more_than_they_have_room_for() {
    // Two agents become free in the same instant, before their desk is matched anew.
    let mut tenant = alike(1);
    let busy = tenant.ask(ask(100, "price"));
    tenant.accept(busy);
    let ids: Vec<InquiryId> = (0..5).map(|n| tenant.ask(ask(n, "price"))).collect();
    tenant.tell(Command::NotePresence { employee_id: employee("A1"), presence: Presence::Available }).expect("noted");
    let fact = RosterFact::Agent(agent("A1", "all"));
    tenant.tell(Command::NoteRoster { fact, effective_from: ALWAYS }).expect("noted");
    tenant.close(busy);
    let held: Vec<_> = ids.iter().map(|id| tenant.status(*id)).collect();
    assert_eq!(held.iter().filter(|status| *status == "reserved A0").count(), 1, "{held:?}");
    assert_eq!(held.iter().filter(|status| *status == "reserved A1").count(), 1, "{held:?}");
}

#[test]
fn the_memory_of_ended_offers_and_of_early_intents_is_bounded() {
    let mut state = assignment::domain::State::default();
    let fold = |state: &mut _, event: &Event| <assignment::Assignment as kernel::Decider>::evolve(state, event);
    for n in 0..60_000_u64 {
        fold(&mut state, &Event::PendingIntentNoted { inquiry_id: inquiry_id(n), score: score("price") });
        let end = assignment::domain::OfferEnd {
            reservation_id: ReservationId::of_parts(&[&n.to_le_bytes()]),
            inquiry_id: inquiry_id(n),
            employee_id: employee("A0"),
            names: Default::default(),
        };
        fold(&mut state, &Event::ReservationCancelled { end });
    }
    assert_eq!((state.memory.pending_intents.len(), state.memory.reservations.len()), (50_000, 50_000));
    assert!(state.memory.pending_intents.contains_key(&inquiry_id(59_999)));
    assert!(!state.memory.pending_intents.contains_key(&inquiry_id(0)));
}
