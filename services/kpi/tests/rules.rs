//! The rules of attribution, one sentence each.

mod common;

use common::{
    contact, customer, employee, given, hired, hour, kinds, merge, order, past_contact, past_order, payment, refund,
    yuan,
};
use kernel::{Decider, Duration};
use kpi::Kpi;
use kpi::domain::{ATTRIBUTION_WINDOW, Command, Event, Granted};

const ANNA: u8 = 1;
const BO: u8 = 2;
const CEM: u8 = 3;

#[test]
fn a_sale_is_credited_to_the_last_contact_before_it() {
    let facts = [
        contact(1, ANNA, 7, hour(1)),
        contact(2, BO, 7, hour(5)),
        contact(3, CEM, 7, hour(9)),
        contact(4, CEM, 8, hour(7)),
    ];
    let mut tenant = given(&facts);
    let events = tenant.tell(&order(1, 7, yuan(10_000), hour(8)));
    assert_eq!(kinds(&events), ["order", "granted"]);
    assert_eq!(tenant.credited(1), Some((employee(BO), 10_000)));
    let granted = tenant.granted().next().unwrap();
    assert_eq!((granted.inquiry_id, granted.desk.as_str()), (Some(common::inquiry(2)), "east"));
    assert_eq!((granted.occurred_at, granted.history), (hour(8), false));
}

#[test]
fn the_window_holds_its_first_and_its_last_instant() {
    let sold = hour(100);
    let tick = Duration::from_micros(1);
    let cases = [
        (sold - ATTRIBUTION_WINDOW, true),
        (sold - ATTRIBUTION_WINDOW - tick, false),
        (sold, true),
        (sold + tick, false),
    ];
    for (at, credited) in cases {
        let tenant = given(&[contact(1, ANNA, 7, at), order(1, 7, yuan(500), sold)]);
        assert_eq!(tenant.credited(1).is_some(), credited, "{at:?}");
    }
}

#[test]
fn of_two_contacts_at_one_instant_the_same_one_is_last_whichever_is_told_first() {
    let (a, b) = (contact(1, ANNA, 7, hour(5)), contact(2, BO, 7, hour(5)));
    let sold = order(1, 7, yuan(500), hour(6));
    let first = given(&[a.clone(), b.clone(), sold.clone()]).credited(1);
    assert_eq!(first, given(&[b, sold, a]).credited(1));
    assert_eq!(first, Some((employee(BO), 500)));
}

#[test]
fn a_sale_without_contact_is_nobodys() {
    let tenant = given(&[order(1, 7, yuan(500), hour(6)), refund(1, 1, yuan(100), hour(7))]);
    assert_eq!((tenant.credited(1), tenant.granted().count()), (None, 0));
}

#[test]
fn a_contact_that_becomes_known_late_gets_the_credit() {
    let mut tenant = given(&[order(1, 7, yuan(10_000), hour(8)), refund(1, 1, yuan(2_500), hour(9))]);
    let events = tenant.tell(&contact(1, ANNA, 7, hour(1)));
    assert_eq!(kinds(&events), ["contact", "granted", "granted"], "the sale and its refund");
    assert_eq!(tenant.credited(1), Some((employee(ANNA), 7_500)));
    let events = tenant.tell(&contact(2, BO, 7, hour(7)));
    assert_eq!(kinds(&events), ["contact", "reversed", "reversed", "granted", "granted"]);
    assert_eq!(tenant.credited(1), Some((employee(BO), 7_500)));
    for event in &events[1..3] {
        assert!(
            matches!(event, Event::CreditReversed { employee_id, reason, .. } if *employee_id == employee(ANNA) && reason == "REATTRIBUTED")
        );
    }
    assert_eq!(kinds(&tenant.tell(&contact(3, CEM, 7, hour(2)))), ["contact"], "an earlier one changes nothing");
}

#[test]
fn a_refund_goes_to_whom_the_sale_was_credited_whoever_was_there_since() {
    let facts = [contact(1, ANNA, 7, hour(1)), order(1, 7, yuan(10_000), hour(2)), contact(2, BO, 7, hour(50))];
    let mut tenant = given(&facts);
    let events = tenant.tell(&refund(1, 1, yuan(4_000), hour(51)));
    assert_eq!(kinds(&events), ["refund", "granted"]);
    assert_eq!(tenant.credited(1), Some((employee(ANNA), 6_000)));
    let granted = tenant.granted().last().unwrap();
    assert_eq!((granted.amount, granted.occurred_at), (yuan(-4_000), hour(51)), "in the period of the refund");
    assert_eq!(granted.outcome_id, *common::outcome(1).as_bytes());
}

#[test]
fn a_refund_and_a_payment_that_arrive_before_their_order_wait_for_it() {
    let mut tenant = given(&[
        contact(1, ANNA, 7, hour(1)),
        refund(1, 1, yuan(4_000), hour(9)),
        payment(2, 1, yuan(10_000), hour(8)),
    ]);
    let events = tenant.tell(&order(1, 7, yuan(10_000), hour(2)));
    assert_eq!(kinds(&events), ["order", "granted", "granted"]);
    assert_eq!(tenant.credited(1), Some((employee(ANNA), 6_000)));
    assert_eq!(tenant.state.orders.get(&common::order_id(1)).unwrap().paid, 10_000);
    assert!(tenant.state.early.is_empty(), "nothing waits any more");
}

#[test]
fn a_payment_credits_nobody() {
    let mut tenant = given(&[contact(1, ANNA, 7, hour(1)), order(1, 7, yuan(10_000), hour(2))]);
    assert_eq!(kinds(&tenant.tell(&payment(1, 1, yuan(10_000), hour(3)))), ["payment"]);
}

/// Whether every credit of a history is marked as of the past.
fn all_past(facts: &[Command]) -> bool {
    let tenant = given(facts);
    let past: Vec<bool> = tenant.granted().map(|granted: &Granted| granted.history).collect();
    assert!(!past.is_empty(), "something was credited");
    past.into_iter().all(|past| past)
}

#[test]
fn an_order_of_the_past_never_pays_and_nor_does_its_refund() {
    let refund = |history| Command::NoteRefund {
        refund_id: common::outcome(1),
        order_id: common::order_id(1),
        amount: yuan(1),
        occurred_at: hour(6),
        history,
    };
    assert!(all_past(&[past_order(1, 7, yuan(500), hour(5), Some(ANNA)), refund(true)]));
    assert!(all_past(&[contact(1, ANNA, 7, hour(4)), past_order(1, 7, yuan(500), hour(5), None), refund(false)]));
}

#[test]
fn a_conversation_of_the_past_never_pays_also_when_it_sells_today() {
    let facts = [past_contact(1, ANNA, 7, hour(1)), order(1, 7, yuan(500), hour(5)), refund(1, 1, yuan(100), hour(6))];
    assert!(all_past(&facts));
    let mut tenant = given(&facts);
    tenant.tell(&contact(2, BO, 7, hour(4)));
    let last: Vec<_> = tenant.granted().skip(2).map(|granted| (granted.employee_id, granted.history)).collect();
    assert_eq!(last, [(employee(BO), false), (employee(BO), false)], "a contact of today does");
}

#[test]
fn who_sold_an_order_of_the_past_is_who_the_old_system_says() {
    let tenant = given(&[contact(1, ANNA, 7, hour(4)), past_order(1, 7, yuan(500), hour(5), Some(BO))]);
    assert_eq!(tenant.credited(1), Some((employee(BO), 500)));
}

#[test]
fn the_first_order_is_of_a_new_customer_also_when_it_arrives_second() {
    let mut tenant = given(&[contact(1, ANNA, 7, hour(1)), order(2, 7, yuan(200), hour(20))]);
    assert!(tenant.granted().last().unwrap().new_customer);
    let events = tenant.tell(&order(1, 7, yuan(100), hour(10)));
    assert_eq!(kinds(&events), ["order", "granted", "reversed", "granted"]);
    let standing =
        |n: u8| tenant.state.orders.get(&common::order_id(n)).unwrap().attribution.clone().unwrap().new_customer;
    assert_eq!((standing(1), standing(2)), (true, false));
}

#[test]
fn an_order_of_the_past_makes_a_customer_a_returning_one() {
    let tenant = given(&[
        past_order(1, 7, yuan(1), hour(-5_000), None),
        contact(1, ANNA, 7, hour(1)),
        order(2, 7, yuan(2), hour(2)),
    ]);
    assert!(!tenant.granted().last().unwrap().new_customer);
}

#[test]
fn merged_customers_have_one_history() {
    let mut tenant = given(&[
        contact(1, ANNA, 7, hour(1)),
        order(1, 8, yuan(300), hour(2)),
        past_order(9, 7, yuan(1), hour(-90), None),
    ]);
    assert_eq!(tenant.credited(1), None, "nobody spoke with the identity that bought");
    let events = tenant.tell(&merge(7, 8));
    assert_eq!(kinds(&events), ["merged", "granted"]);
    assert_eq!(tenant.credited(1), Some((employee(ANNA), 300)));
    let granted = tenant.granted().last().unwrap();
    assert_eq!((granted.customer_id, granted.new_customer), (customer(7), false));
    for (kept, merged) in [(7, 8), (8, 7), (7, 7), (8, 8)] {
        assert_eq!(tenant.tell(&merge(kept, merged)), [], "they are one already");
    }
    tenant.tell(&contact(2, BO, 8, hour(10)));
    tenant.tell(&order(2, 7, yuan(50), hour(11)));
    assert_eq!(tenant.credited(2), Some((employee(BO), 50)), "what either does later is of both");
}

#[test]
fn circles_of_merges_end_and_so_do_chains() {
    let mut tenant = given(&[]);
    for n in 0..200 {
        tenant.tell(&merge(n + 1, n));
        tenant.tell(&merge(n, n + 1));
        tenant.tell(&merge(0, n + 1));
    }
    tenant.tell(&contact(1, ANNA, 0, hour(1)));
    tenant.tell(&order(1, 200, yuan(9), hour(2)));
    assert_eq!(tenant.credited(1), Some((employee(ANNA), 9)));
}

#[test]
fn an_account_that_everybody_buys_from_costs_no_more_than_any_other() {
    // Walk-in customers share one account. A fact about it must not look at all that it ever bought: at a step an
    // order this would take minutes.
    let mut tenant = kpi::domain::State::default();
    for n in 0..20_000_u32 {
        let Command::NoteOrder(mut walk_in) = order(1, 7, yuan(100), hour(i64::from(n))) else { unreachable!() };
        walk_in.order_id = kernel::OrderId::of_parts(&[&n.to_le_bytes()]);
        for event in Kpi::decide(&tenant, &Command::NoteOrder(walk_in), &common::stamp(n as usize)).unwrap() {
            Kpi::evolve(&mut tenant, &event);
        }
    }
    let events = Kpi::decide(&tenant, &contact(1, ANNA, 7, hour(5_000)), &common::stamp(0)).unwrap();
    assert_eq!(events.len(), 1 + 73, "the contact, and the orders of the window after it with both its ends");
}

#[test]
fn an_employee_is_noted_when_something_changed() {
    let mut tenant = given(&[hired(ANNA, "east")]);
    assert_eq!(tenant.tell(&hired(ANNA, "east")), []);
    assert_eq!(kinds(&tenant.tell(&hired(ANNA, "west"))), ["employee"]);
    assert_eq!(kinds(&tenant.tell(&hired(ANNA, "east"))), ["employee"]);
}
