//! Who receives what.

use assignment::domain::{Command, Filter, Policy, PositionFacts, Presence, RosterFact, Rule};
use kernel::Duration;

use crate::common::*;

/// Who gets an inquiry with this intent from a customer who was here before, of one agent per position.
fn receiver_of(intent: &str) -> String {
    let mut tenant =
        company_of(&[experienced(agent("S1", "sales")), agent("M1", "sales_manager"), agent("C1", "service")]);
    known(&mut tenant, 1);
    let id = tenant.ask(ask(1, intent));
    tenant.status(id)
}

/// The customer was here before, with nobody who still works here.
fn known(tenant: &mut Tenant, customer: u64) {
    tenant.must(Command::NoteHandler { customer_id: customer_id(customer), employee_id: None, occurred_at: MONDAY });
}

/// `customer` spoke with `code` so many hours ago.
fn familiar(tenant: &mut Tenant, customer: u64, code: &str, hours_ago: i64) {
    let occurred_at = tenant.at - Duration::from_hours(hours_ago);
    let employee_id = Some(employee(code));
    tenant.must(Command::NoteHandler { customer_id: customer_id(customer), employee_id, occurred_at });
}

#[test]
fn an_inquiry_goes_to_whose_duty_it_is() {
    for (intent, receiver) in [
        ("price", "reserved S1"),
        ("new_product", "reserved M1"),
        ("large_purchase", "reserved M1"),
        ("custom_need", "reserved M1"),
        ("order_lookup", "reserved C1"),
        ("after_sales", "reserved C1"),
        ("out_of_scope", "reserved S1"),
    ] {
        assert_eq!(receiver_of(intent), receiver, "{intent}");
    }
}

#[test]
fn an_intent_that_is_nobodys_duty_is_out_of_scope() {
    assert_eq!(receiver_of("never_heard_of"), "reserved S1");
}

#[test]
fn when_out_of_scope_is_nobodys_duty_either_anyone_receives_it() {
    let mut tenant = company_of(&[agent("C1", "service")]);
    let first = tenant.ask(ask(1, "out_of_scope"));
    let second = tenant.ask(ask(2, "never_heard_of"));
    assert_eq!((tenant.status(first), tenant.status(second)), ("reserved C1".to_owned(), "reserved C1".to_owned()));
    assert_eq!(tenant.last_offer(second).decision.rule, Rule::Duty);
}

#[test]
fn without_an_intent_in_time_an_inquiry_is_routed_as_out_of_scope() {
    let mut tenant = company_of(&[experienced(agent("S1", "sales")), agent("C1", "service")]);
    let coming = ask(1, "");
    let id = coming.arrival.inquiry_id;
    tenant.must(Command::NoteInquiry(coming.arrival));
    tenant.pass(ms(499));
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(ms(1));
    assert_eq!(
        (tenant.status(id).as_str(), tenant.last_offer(id).decision.rule),
        ("reserved S1", Rule::FirstReception)
    );
}

#[test]
fn an_intent_that_comes_later_moves_only_what_is_not_assigned() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    hire(&mut tenant, experienced(agent("S1", "sales")));
    let capacity = PositionFacts { first_reception: true, ..position("sales", &["price", "out_of_scope"], 100) };
    tenant.roster(RosterFact::Position(capacity));
    let [assigned, offered, waiting] = [1, 2, 3].map(|n| {
        let coming = ask(n, "");
        let id = coming.arrival.inquiry_id;
        tenant.must(Command::NoteInquiry(coming.arrival));
        tenant.pass(ms(500));
        if n == 1 {
            tenant.accept(id);
            let wider = PositionFacts { first_reception: true, ..position("sales", &["price", "out_of_scope"], 200) };
            tenant.roster(RosterFact::Position(wider));
        }
        id
    });
    assert_eq!([assigned, offered, waiting].map(|id| tenant.status(id)), ["assigned S1", "reserved S1", "pending"]);
    for id in [assigned, offered, waiting] {
        tenant.intent(id, "order_lookup");
    }
    assert_eq!(tenant.status(assigned), "assigned S1");
    assert_eq!(tenant.inquiry(assigned).intent, Some(score_of_timeout()), "an assigned inquiry keeps its intent");
    assert_eq!(tenant.status(offered), "reserved S1", "an open offer stands");
    assert_eq!(tenant.inquiry(offered).intent, Some(score("order_lookup")), "and goes by the new intent if declined");
    assert!(tenant.status(waiting).starts_with("reserved C"), "{}", tenant.status(waiting));
    tenant.reject(offered);
    assert!(tenant.status(offered).starts_with("reserved C"), "{}", tenant.status(offered));
}

fn score_of_timeout() -> assignment::domain::IntentScore {
    assignment::domain::IntentScore { intent: "out_of_scope".to_owned(), ppm: 0 }
}

#[test]
fn an_intent_may_come_before_its_inquiry() {
    let mut tenant = company_of(&[agent("C1", "service")]);
    let coming = ask(1, "order_lookup");
    let id = coming.arrival.inquiry_id;
    assert_eq!(tenant.intent(id, "price").len(), 1);
    tenant.intent(id, "order_lookup"); // A later one stands.
    tenant.must(Command::NoteInquiry(coming.arrival));
    assert_eq!((tenant.status(id).as_str(), tenant.last_offer(id).decision.rule), ("reserved C1", Rule::Duty));
    assert!(tenant.state.memory.pending_intents.is_empty());
}

#[test]
fn an_inquiry_is_admitted_once() {
    let mut tenant = company_of(&[agent("C1", "service")]);
    let id = tenant.ask(ask(1, "order_lookup"));
    assert_eq!(tenant.must(Command::NoteInquiry(ask(1, "").arrival)), Vec::new());
    tenant.close(id);
    assert_eq!(tenant.must(Command::NoteInquiry(ask(1, "").arrival)), Vec::new());
    assert_eq!(tenant.intent(id, "price"), Vec::new());
    assert_eq!(tenant.status(id), "cancelled C1");
}

#[test]
fn a_new_customer_is_received_by_experienced_reception_staff() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales")), agent("S3", "sales")]);
    let id = tenant.ask(ask(1, "price"));
    assert_eq!(tenant.status(id), "reserved S2");
    let decision = tenant.last_offer(id).decision.clone();
    assert_eq!((decision.rule, decision.passed_over), (Rule::FirstReception, vec![(Filter::Experience, 2)]));
}

#[test]
fn a_new_customer_waits_for_experienced_staff_and_then_goes_to_anyone_with_the_duty() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
    let [a, b] = [1, 2].map(|n| tenant.ask(ask(n, "price")));
    let new = tenant.ask(ask(3, "price"));
    assert_eq!([a, b, new].map(|id| tenant.status(id)), ["reserved S2", "reserved S2", "pending"]);
    tenant.accept(a);
    tenant.accept(b);
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(new), "pending");
    tenant.pass(ms(1));
    assert_eq!((tenant.status(new).as_str(), tenant.last_offer(new).decision.rule), ("reserved S1", Rule::Overflow));
}

#[test]
fn a_new_customer_gets_the_experienced_agent_who_becomes_free_in_time() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
    let [a, _] = [1, 2].map(|n| {
        let id = tenant.ask(ask(n, "price"));
        tenant.accept(id);
        id
    });
    let new = tenant.ask(ask(3, "price"));
    tenant.pass(secs(10));
    tenant.close(a);
    assert_eq!(
        (tenant.status(new).as_str(), tenant.last_offer(new).decision.rule),
        ("reserved S2", Rule::FirstReception)
    );
}

#[test]
fn a_new_customer_does_not_wait_when_no_experienced_agent_is_there() {
    for presence in [Presence::Paused, Presence::Offline] {
        let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
        tenant.presence("S2", presence);
        let id = tenant.ask(ask(1, "price"));
        assert_eq!(tenant.status(id), "reserved S1", "{presence:?}");
    }
}

#[test]
fn the_wait_for_experience_is_one_wait_however_often_an_offer_is_declined() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
    let id = tenant.ask(ask(1, "price"));
    tenant.pass(secs(20));
    tenant.reject(id);
    assert_eq!(tenant.status(id), "pending", "S2 may be asked again, if they become free for it in time");
    tenant.pass(secs(30));
    assert_eq!(tenant.status(id), "reserved S1", "the clock ran from the first wait on");
}

#[test]
fn an_experienced_agent_who_always_declines_does_not_keep_a_new_customer() {
    // The wait is longer than a round, so each round ends with another offer to the same agent.
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
    tenant.policy(Policy { version: 2, experience_wait_ms: 90_000, ..Policy::default() });
    let id = tenant.ask(ask(1, "price"));
    let mut declined = 0;
    while tenant.status(id) != "reserved S1" {
        if tenant.status(id) == "reserved S2" {
            tenant.reject(id);
            declined += 1;
        }
        tenant.pass(secs(1));
        assert!(tenant.at <= MONDAY + secs(125), "declined {declined} times and still {}", tenant.status(id));
    }
    assert!(declined > 1);
}

#[test]
fn the_order_lookup_of_a_new_customer_goes_to_service() {
    let mut tenant = company_of(&[experienced(agent("S1", "sales")), agent("C1", "service")]);
    let id = tenant.ask(ask(1, "order_lookup"));
    assert_eq!((tenant.status(id).as_str(), tenant.last_offer(id).decision.rule), ("reserved C1", Rule::Duty));
}

#[test]
fn a_customer_who_was_here_before_is_not_new() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales"))]);
    tenant.presence("S2", Presence::Offline);
    let first = tenant.ask(ask(1, "price"));
    tenant.close(first);
    tenant.presence("S2", Presence::Available);
    tenant.ask(ask(9, "price"));
    let again = tenant.ask(ask(2, "price").by(1));
    assert_eq!(tenant.status(again), "reserved S1", "the load decides, not the experience");
    known(&mut tenant, 3);
    let imported = tenant.ask(ask(3, "price"));
    assert_eq!(tenant.last_offer(imported).decision.rule, Rule::Duty);
}

#[test]
fn two_names_of_one_new_customer_do_not_make_them_known() {
    let mut tenant = company_of(&[experienced(agent("S1", "sales"))]);
    tenant.must(Command::MergeCustomers { kept: customer_id(1), merged: customer_id(2) });
    let id = tenant.ask(ask(1, "price").by(2));
    assert!(tenant.inquiry(id).new_customer);
    assert_eq!(tenant.last_offer(id).decision.rule, Rule::FirstReception);
    let again = tenant.ask(ask(2, "price").by(1));
    assert!(!tenant.inquiry(again).new_customer, "they are one person");
}

#[test]
fn a_customer_returns_to_whom_they_spoke_with() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    familiar(&mut tenant, 1, "C2", 71);
    let id = tenant.ask(ask(1, "order_lookup"));
    assert_eq!((tenant.status(id).as_str(), tenant.last_offer(id).decision.rule), ("reserved C2", Rule::Familiar));
    let decision = &tenant.last_offer(id).decision;
    assert_eq!((decision.eligible, decision.passed_over.clone()), (1, vec![(Filter::NotSticky, 1)]));
}

#[test]
fn a_customer_returns_to_whom_they_spoke_with_only_within_the_policys_time() {
    for (hours, rule) in [(72, Rule::Familiar), (73, Rule::Duty)] {
        let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
        familiar(&mut tenant, 1, "C2", hours);
        let id = tenant.ask(ask(1, "order_lookup"));
        assert_eq!(tenant.last_offer(id).decision.rule, rule, "{hours} hours");
    }
}

#[test]
fn who_accepted_an_inquiry_is_whom_the_customer_knows() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    let first = tenant.ask(ask(1, "order_lookup"));
    let holder = tenant.last_offer(first).employee_id;
    tenant.accept(first);
    let other = tenant.ask(ask(2, "order_lookup"));
    tenant.accept(other);
    tenant.finish(other);
    let again = tenant.ask(ask(3, "order_lookup").by(1));
    assert_eq!(tenant.last_offer(again).employee_id, holder, "although they are busier");
}

/// Both chats of C2 are taken; then customer 1, who knows C2, asks.
fn waits_for_c2() -> (Tenant, [kernel::InquiryId; 3]) {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    let busy = [11, 12].map(|n| {
        familiar(&mut tenant, n, "C2", 1);
        let id = tenant.ask(ask(n, "order_lookup"));
        tenant.accept(id);
        id
    });
    familiar(&mut tenant, 1, "C2", 1);
    let id = tenant.ask(ask(1, "order_lookup"));
    assert_eq!(tenant.status(id), "pending");
    (tenant, [id, busy[0], busy[1]])
}

#[test]
fn a_customer_waits_for_whom_they_know_while_that_agent_is_only_busy() {
    let (mut tenant, [id, busy, _]) = waits_for_c2();
    tenant.pass(secs(29));
    tenant.close(busy);
    assert_eq!((tenant.status(id).as_str(), tenant.last_offer(id).decision.rule), ("reserved C2", Rule::Familiar));
}

#[test]
fn a_customer_waits_for_whom_they_know_no_longer_than_the_policy_says() {
    let (mut tenant, [id, ..]) = waits_for_c2();
    tenant.pass(ms(29_999));
    assert_eq!(tenant.status(id), "pending");
    tenant.pass(ms(1));
    assert_eq!((tenant.status(id).as_str(), tenant.last_offer(id).decision.rule), ("reserved C1", Rule::Overflow));
}

#[test]
fn a_customer_who_waits_for_an_agent_goes_elsewhere_when_that_agent_goes_away() {
    for presence in [Presence::Paused, Presence::Offline] {
        let (mut tenant, [id, ..]) = waits_for_c2();
        tenant.presence("C2", presence);
        assert_eq!(tenant.status(id), "reserved C1", "{presence:?}");
    }
    let (mut tenant, [id, ..]) = waits_for_c2();
    tenant.roster(RosterFact::Left(employee("C2")));
    assert_eq!(tenant.status(id), "reserved C1");
}

#[test]
fn nobody_waits_for_whom_they_know_when_that_agent_cannot_take_it() {
    type Change = fn(&mut Tenant);
    let changes: [(&str, Change); 6] = [
        ("paused", |tenant| drop(tenant.presence("C2", Presence::Paused))),
        ("offline", |tenant| drop(tenant.presence("C2", Presence::Offline))),
        ("off shift", |tenant| {
            tenant.roster(RosterFact::Agent(working(agent("C2", "service"), &[shift(7, 0, 24)])));
        }),
        ("without the duty", |tenant| tenant.roster(RosterFact::Agent(agent("C2", "sales_manager")))),
        ("at another desk", |tenant| tenant.roster(RosterFact::Agent(at_desk(agent("C2", "service"), "west")))),
        ("left", |tenant| tenant.roster(RosterFact::Left(employee("C2")))),
    ];
    for (what, change) in changes {
        let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
        familiar(&mut tenant, 1, "C2", 1);
        change(&mut tenant);
        let id = tenant.ask(ask(1, "order_lookup"));
        assert_eq!(tenant.status(id), "reserved C1", "{what}");
    }
}

#[test]
fn merged_customers_keep_the_newest_handler() {
    for (kept, merged) in [(1, 2), (2, 1)] {
        let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
        familiar(&mut tenant, 1, "C1", 20);
        familiar(&mut tenant, 2, "C2", 10);
        tenant.must(Command::MergeCustomers { kept: customer_id(kept), merged: customer_id(merged) });
        for (n, customer) in [(1, 1), (2, 2)] {
            let id = tenant.ask(ask(n, "order_lookup").by(customer));
            assert_eq!(tenant.status(id), "reserved C2", "customer {customer}, {kept} kept");
        }
        let again = Command::MergeCustomers { kept: customer_id(merged), merged: customer_id(kept) };
        assert_eq!(tenant.must(again), Vec::new(), "they are one person already");
    }
}

#[test]
fn an_older_handler_does_not_replace_a_newer_one() {
    let mut tenant = company_of(&[agent("C1", "service"), agent("C2", "service")]);
    familiar(&mut tenant, 1, "C2", 1);
    familiar(&mut tenant, 1, "C1", 2);
    let id = tenant.ask(ask(1, "order_lookup"));
    assert_eq!(tenant.status(id), "reserved C2");
}

#[test]
fn a_product_goes_to_who_is_trained_for_it() {
    let mut tenant = company_of(&[agent("C1", "service"), skilled(agent("C2", "service"), &["pumps"])]);
    let other = tenant.ask(ask(1, "order_lookup").about("pumps"));
    tenant.accept(other);
    let id = tenant.ask(ask(2, "order_lookup").about("pumps"));
    assert_eq!(tenant.status(id), "reserved C2", "although they are busier");
    tenant.accept(id);
    assert_eq!(tenant.last_offer(id).decision.passed_over, vec![(Filter::Skill, 1)]);
    let waits = tenant.ask(ask(3, "order_lookup").about("pumps"));
    assert_eq!(tenant.status(waits), "pending");
    tenant.pass(secs(30));
    assert_eq!(tenant.status(waits), "reserved C1");
}

#[test]
fn a_product_that_nobody_is_trained_for_goes_to_anyone() {
    let mut tenant = company_of(&[agent("C1", "service"), skilled(agent("C2", "service"), &["pumps"])]);
    for n in 0..4 {
        let id = tenant.ask(ask(n, "order_lookup").about("cranes"));
        assert_ne!(tenant.status(id), "pending");
    }
}

#[test]
fn an_inquiry_goes_to_who_speaks_its_language() {
    for (language, receiver) in [("en-US", "reserved C2"), ("en_GB", "reserved C2"), ("zh-TW", "reserved C1")] {
        let mut tenant = company_of(&[agent("C1", "service"), speaking(agent("C2", "service"), &["en-AU"])]);
        let id = tenant.ask(ask(1, "order_lookup").in_language(language));
        assert_eq!(tenant.status(id), receiver, "{language}");
        assert_eq!(tenant.last_offer(id).decision.passed_over, vec![(Filter::Language, 1)]);
    }
}

#[test]
fn a_language_that_nobody_speaks_is_not_waited_for() {
    let mut tenant = company_of(&[agent("C1", "service")]);
    let id = tenant.ask(ask(1, "order_lookup").in_language("fr"));
    assert_eq!(tenant.status(id), "reserved C1");
}

#[test]
fn a_language_that_only_others_speak_is_not_waited_for() {
    // Sales speak French, but orders are not their duty: without this rule, the customer would wait for ever.
    let mut tenant = company_of(&[agent("C1", "service"), speaking(agent("S1", "sales"), &["fr"])]);
    let id = tenant.ask(ask(1, "order_lookup").in_language("fr"));
    assert_eq!(tenant.status(id), "reserved C1");
    let price = tenant.ask(ask(2, "price").in_language("fr"));
    assert_eq!(tenant.status(price), "reserved S1");
}

#[test]
fn who_names_no_language_speaks_any() {
    let mut tenant = company_of(&[agent("C1", "service"), speaking(agent("C2", "service"), &[])]);
    let id = tenant.ask(ask(1, "order_lookup").in_language("fr"));
    assert_eq!(tenant.status(id), "reserved C2");
}

#[test]
fn an_inquiry_stays_at_its_desk() {
    let mut tenant = company_of(&[agent("C1", "service"), at_desk(agent("C2", "service"), "west")]);
    let id = tenant.ask(ask(1, "order_lookup").desk("west"));
    assert_eq!(tenant.status(id), "reserved C2");
    assert_eq!(tenant.last_offer(id).decision.passed_over, vec![(Filter::OtherDesk, 1)]);
    let nowhere = tenant.ask(ask(2, "order_lookup").desk("north"));
    assert_eq!(tenant.status(nowhere), "pending");
    hire(&mut tenant, at_desk(agent("C3", "service"), "north"));
    assert_eq!(tenant.status(nowhere), "reserved C3", "somebody works there now");
}
