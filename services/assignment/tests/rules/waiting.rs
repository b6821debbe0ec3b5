//! The queue: who of those who wait comes first.

use assignment::domain::{Policy, PositionFacts, RosterFact};
use kernel::InquiryId;

use crate::common::*;

/// One agent with room for one chat, who has one; then these ask, each so many seconds after the one before.
fn queue(tenant: &mut Tenant, asks: Vec<(i64, Ask)>) -> Vec<InquiryId> {
    let busy = tenant.ask(ask(1_000, "out_of_scope"));
    tenant.accept(busy);
    let ids = asks.into_iter().map(|(after, ask)| {
        tenant.pass(secs(after));
        let id = tenant.ask(ask);
        assert_eq!(tenant.status(id), "pending");
        id
    });
    let ids: Vec<InquiryId> = ids.collect();
    tenant.close(busy);
    ids
}

/// In which order the inquiries are served.
fn order_of(tenant: &mut Tenant, ids: &[InquiryId]) -> Vec<usize> {
    let mut order = Vec::new();
    while order.len() < ids.len() {
        let next = ids.iter().position(|id| tenant.status(*id) == "reserved A0").expect("one is offered");
        order.push(next);
        tenant.accept(ids[next]);
        tenant.close(ids[next]);
    }
    order
}

fn served(asks: Vec<(i64, Ask)>) -> Vec<usize> {
    let mut tenant = alike(1);
    let ids = queue(&mut tenant, asks);
    order_of(&mut tenant, &ids)
}

#[test]
fn who_came_first_is_served_first() {
    assert_eq!(
        served((0..6_u32).map(|n| (i64::from(n % 2), ask(u64::from(n), "price"))).collect()),
        [0, 1, 2, 3, 4, 5]
    );
}

#[test]
fn priority_is_a_head_start_in_minutes_and_no_more() {
    // Linear aging: five minutes of priority overtake who came less than five minutes earlier.
    let urgent = || ask(2, "price").urgent(5);
    assert_eq!(served(vec![(0, ask(1, "price")), (299, urgent())]), [1, 0]);
    assert_eq!(served(vec![(0, ask(1, "price")), (300, urgent())]), [0, 1], "the order of arrival decides a tie");
    assert_eq!(served(vec![(0, ask(1, "price")), (301, urgent())]), [0, 1]);
}

#[test]
fn an_intents_head_start_adds_to_the_priority() {
    let policy = Policy { version: 2, priorities: vec![("after_sales".to_owned(), 3)], ..Policy::default() };
    let mut tenant = alike(1);
    tenant.policy(policy);
    let asks = vec![
        (0, ask(1, "price")),
        (60, ask(2, "price").urgent(2)),
        (60, ask(3, "after_sales")),
        (60, ask(4, "after_sales").urgent(2)),
    ];
    let ids = queue(&mut tenant, asks);
    // Arrivals less head starts, in minutes: 0, 1 − 2, 2 − 3, 3 − 5.
    assert_eq!(order_of(&mut tenant, &ids), [3, 1, 2, 0]);
}

#[test]
fn a_new_policy_counts_for_those_who_wait_already() {
    let mut tenant = alike(1);
    let busy = tenant.ask(ask(1_000, "price"));
    let [first, second] = [ask(1, "price"), ask(2, "after_sales")].map(|ask| tenant.ask(ask));
    tenant.policy(Policy { version: 2, priorities: vec![("after_sales".to_owned(), 1)], ..Policy::default() });
    tenant.close(busy);
    assert_eq!([first, second].map(|id| tenant.status(id)), ["pending", "reserved A0"]);
}

#[test]
fn steady_urgent_arrivals_do_not_starve_an_ordinary_one() {
    let mut tenant = alike(1);
    tenant.policy(Policy { version: 2, wrap_up_ms: 0, ..Policy::default() });
    let busy = tenant.ask(ask(1_000, "price"));
    tenant.accept(busy);
    let ordinary = tenant.ask(ask(0, "price"));
    let mut current = busy;
    for n in 1..60 {
        // Each minute one with five minutes' head start comes, and one is served.
        tenant.pass(minutes(1));
        tenant.ask(ask(n, "price").urgent(5));
        tenant.complete(current);
        let open =
            tenant.state.live.inquiries.sorted().into_iter().find(|(_, inquiry)| inquiry.stage.holder().is_some());
        current = *open.expect("one is offered").0;
        tenant.accept(current);
        if current == ordinary {
            assert_eq!(n, 5, "who comes five minutes later overtakes it no more");
            return;
        }
    }
    panic!("it waited an hour");
}

#[test]
fn customers_who_come_back_to_an_agent_do_not_keep_the_others_waiting() {
    let mut tenant = alike(1);
    tenant.policy(Policy { version: 2, wrap_up_ms: 0, ..Policy::default() });
    let mut current = tenant.ask(ask(1, "price"));
    tenant.accept(current);
    tenant.pass(secs(40));
    let stranger = tenant.ask(ask(2, "price"));
    for n in 10..40 {
        // Each chat takes a minute; twenty seconds before its end, the first customer has another question.
        let returning = tenant.ask(ask(n, "price").by(1));
        tenant.pass(secs(20));
        tenant.complete(current);
        if tenant.status(stranger) == "reserved A0" {
            assert_eq!(n, 11, "the head start of who knows the agent is the sticky wait");
            return;
        }
        assert_eq!(tenant.status(returning), "reserved A0");
        tenant.accept(returning);
        current = returning;
        tenant.pass(secs(40));
    }
    panic!("the stranger waits half an hour");
}

#[test]
fn those_who_decline_and_those_who_hand_on_keep_the_inquirys_place() {
    let mut tenant = alike(1);
    let first = tenant.ask(ask(1, "price"));
    tenant.pass(secs(5));
    let second = tenant.ask(ask(2, "price"));
    tenant.accept(first);
    tenant.pass(secs(5));
    let transferred = tenant.transfer(first, "", "");
    assert!(transferred.is_ok());
    assert_eq!(tenant.status(second), "reserved A0", "not at once to the same agent");
    hire(&mut tenant, agent("A1", "all"));
    assert_eq!(tenant.status(first), "reserved A1");
    assert_eq!(tenant.inquiry(first).arrived_at, MONDAY);
}

#[test]
fn one_whom_an_agent_declined_does_not_stand_in_the_way_of_those_behind() {
    let mut tenant = alike(1);
    let first = tenant.ask(ask(1, "price"));
    tenant.reject(first);
    tenant.roster(RosterFact::Agent(working(agent("A0", "all"), &[shift(7, 0, 24)])));
    let second = tenant.ask(ask(2, "price"));
    assert_eq!([first, second].map(|id| tenant.status(id)), ["pending", "pending"]);
    tenant.roster(RosterFact::Agent(agent("A0", "all")));
    assert_eq!([first, second].map(|id| tenant.status(id)), ["pending", "reserved A0"]);
}

#[test]
fn an_agent_who_becomes_free_gets_as_many_as_they_have_room_for() {
    let mut tenant = alike(1);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 300)));
    tenant.presence("A0", assignment::domain::Presence::Offline);
    let ids = [1, 2, 3, 4].map(|n| tenant.ask(ask(n, "price")));
    tenant.presence("A0", assignment::domain::Presence::Available);
    assert_eq!(ids.map(|id| tenant.status(id)), ["reserved A0", "reserved A0", "reserved A0", "pending"]);
}

#[test]
fn a_full_queue_is_drained_in_bounded_decisions_when_the_desk_opens() {
    let mut tenant = alike(0);
    let ids: Vec<InquiryId> = (0..300).map(|n| tenant.ask(ask(n, "price"))).collect();
    let position = PositionFacts { capacity_units: 20_000, ..position("all", &["out_of_scope"], 0) };
    tenant.roster(RosterFact::Position(position));
    let before = tenant.events.len();
    tenant
        .tell(assignment::domain::Command::NotePresence {
            employee_id: employee("A0"),
            presence: assignment::domain::Presence::Available,
        })
        .expect("noted");
    tenant.roster(RosterFact::Agent(agent("A0", "all")));
    let attempts = tenant.events[before..].iter();
    let attempts = attempts.filter(|event| matches!(event, assignment::domain::Event::RoutingAttempted { .. })).count();
    assert!(attempts >= 4, "{attempts} decisions");
    let offered = ids.iter().filter(|id| tenant.status(**id) == "reserved A0").count();
    assert_eq!(offered, 200, "all that there is room for");
    assert!(ids[..200].iter().all(|id| tenant.status(*id) == "reserved A0"), "in the order of the queue");
}
