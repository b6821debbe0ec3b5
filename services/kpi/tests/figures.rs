//! The measures of small cases, worked out by hand.

mod common;

use common::{changed_contact, contact, employee, given, hour, merge, order, past_contact, rating, refund, yuan};
use kernel::{Currency, Duration, Money};
use kpi::domain::measures::{Figures, Period, Ratio, Scope, table};
use kpi::domain::{Command, State};

const ANNA: u8 = 1;
const BO: u8 = 2;

/// Hours 24 (inclusive) to 48 (exclusive).
fn second_day() -> Period {
    Period { from: hour(24), to: hour(48) }
}

fn of(state: &State, scope: Scope<'_>) -> Figures {
    table(state, second_day()).row(scope)
}

fn ratio(numerator: u64, denominator: u64) -> Ratio {
    Ratio { numerator, denominator }
}

fn at_desk(command: Command, desk: &str) -> Command {
    changed_contact(command, |contact| contact.desk = desk.to_owned())
}

#[test]
fn a_ratio_has_a_value_only_over_something_and_is_rounded_half_up() {
    assert_eq!(ratio(0, 0).ppm(), None);
    assert_eq!(ratio(0, 3).ppm(), Some(0));
    assert_eq!(ratio(1, 3).ppm(), Some(333_333));
    assert_eq!(ratio(2, 3).ppm(), Some(666_667));
    assert_eq!(ratio(1, 2_000_000).ppm(), Some(1), "half of a millionth is one");
    assert_eq!(ratio(1, 2_000_001).ppm(), Some(0));
    assert_eq!(ratio(u64::MAX, u64::MAX).ppm(), Some(1_000_000));
}

#[test]
fn a_day_without_anything_has_no_ratios() {
    let figures = of(&State::default(), Scope::All);
    assert_eq!(figures, Figures::default());
    let ratios = [figures.conversion, figures.repurchase, figures.csat, figures.retention];
    assert!(ratios.iter().all(|ratio| ratio.ppm().is_none()));
}

/// Anna receives 1 (twice), 2 and 3; Bo receives 3 and 4. Customers 1 and 4 buy, 1 twice.
fn a_day() -> State {
    let east = |n, who, of, at| at_desk(contact(n, who, of, at), if who == ANNA { "east" } else { "west" });
    given(&[
        east(1, ANNA, 1, hour(24)),
        east(2, ANNA, 2, hour(25)),
        east(3, ANNA, 3, hour(26)),
        east(4, ANNA, 1, hour(30)),
        east(5, BO, 3, hour(40)),
        east(6, BO, 4, hour(41)),
        // The end of the period is outside.
        east(7, BO, 5, hour(48)),
        order(1, 1, yuan(10_000), hour(31)),
        order(2, 1, yuan(5_001), hour(32)),
        order(3, 4, yuan(20_000), hour(42)),
        refund(1, 1, yuan(1_000), hour(33)),
        // Of the next day, and of the day before.
        order(4, 4, yuan(7_777), hour(48)),
        refund(2, 1, yuan(500), hour(48)),
    ])
    .state
}

#[test]
fn customers_received_are_distinct_and_conversion_counts_who_bought() {
    let state = a_day();
    let anna = of(&state, Scope::Employee(employee(ANNA)));
    assert_eq!((anna.customers_received, anna.conversion), (3, ratio(1, 3)));
    let bo = of(&state, Scope::Employee(employee(BO)));
    assert_eq!((bo.customers_received, bo.conversion), (2, ratio(1, 2)));
    let all = of(&state, Scope::All);
    assert_eq!((all.customers_received, all.conversion), (4, ratio(2, 4)));
    assert_eq!(of(&state, Scope::Desk("west")), bo, "Bo is the whole of the western desk");
    assert_eq!(of(&state, Scope::Desk("nowhere")), Figures::default());
}

#[test]
fn sales_refunds_and_the_average_order_are_of_the_period() {
    let state = a_day();
    let anna = of(&state, Scope::Employee(employee(ANNA)));
    assert_eq!((anna.orders, &anna.sales[..], &anna.refunds[..]), (2, &[yuan(15_001)][..], &[yuan(1_000)][..]));
    // (150.01 - 10.00) / 2 = 70.005, half up.
    assert_eq!(anna.average_order_value, [yuan(7_001)]);
    let next = table(&state, Period { from: hour(48), to: hour(72) }).row(Scope::Employee(employee(ANNA)));
    assert_eq!((next.orders, &next.refunds[..], &next.average_order_value[..]), (0, &[yuan(500)][..], &[][..]));
}

#[test]
fn the_company_counts_every_order_and_nobody_is_credited_with_what_nobody_sold() {
    let state = given(&[
        contact(1, ANNA, 1, hour(24)),
        order(1, 1, yuan(10_000), hour(25)),
        // Of customers whom nobody received.
        order(2, 2, yuan(3_000), hour(26)),
        order(3, 2, yuan(2_001), hour(27)),
        order(4, 3, yuan(6_000), hour(47)),
        order(5, 3, yuan(9_999), hour(48)),
        refund(1, 2, yuan(1_000), hour(30)),
        refund(2, 4, yuan(500), hour(48)),
    ])
    .state;
    let all = of(&state, Scope::All);
    // 100.00 + 30.00 + 20.01 + 60.00; (210.01 - 10.00) / 4 = 50.0025; customer 2 of 1, 2 and 3 bought twice.
    assert_eq!((all.orders, &all.sales[..], &all.refunds[..]), (4, &[yuan(21_001)][..], &[yuan(1_000)][..]));
    assert_eq!((&all.average_order_value[..], all.repurchase), (&[yuan(5_000)][..], ratio(1, 3)));
    assert_eq!((all.customers_received, all.conversion), (1, ratio(1, 1)), "those come from contacts");
    let anna = of(&state, Scope::Employee(employee(ANNA)));
    assert_eq!((anna.orders, &anna.sales[..], &anna.refunds[..]), (1, &[yuan(10_000)][..], &[yuan(0)][..]));
    assert_eq!((&anna.average_order_value[..], anna.repurchase), (&[yuan(10_000)][..], ratio(0, 1)));
    assert_eq!(of(&state, Scope::Employee(employee(BO))), Figures::default());
}

#[test]
fn every_currency_has_its_own_figures() {
    let dollars = Money::new(300, Currency::USD);
    let state =
        given(&[contact(1, ANNA, 1, hour(24)), order(1, 1, yuan(100), hour(25)), order(2, 1, dollars, hour(26))]).state;
    let all = of(&state, Scope::All);
    assert_eq!(
        (all.orders, all.sales, all.average_order_value),
        (2, vec![yuan(100), dollars], vec![yuan(100), dollars])
    );
}

#[test]
fn repurchase_is_who_bought_twice_among_who_bought() {
    let state = a_day();
    assert_eq!(of(&state, Scope::All).repurchase, ratio(1, 2));
    assert_eq!(of(&state, Scope::Employee(employee(BO))).repurchase, ratio(0, 1));
    let merged = given(&[
        contact(1, ANNA, 1, hour(24)),
        contact(2, ANNA, 2, hour(24)),
        order(1, 1, yuan(1), hour(25)),
        order(2, 2, yuan(1), hour(25)),
        merge(1, 2),
    ]);
    assert_eq!(of(&merged.state, Scope::All).repurchase, ratio(1, 1), "two identities that each bought once are one");
}

#[test]
fn csat_is_fours_and_fives_among_the_ratings_of_the_period() {
    let contacts = [
        contact(1, ANNA, 1, hour(20)),
        contact(2, ANNA, 2, hour(25)),
        contact(3, ANNA, 3, hour(25)),
        contact(4, ANNA, 4, hour(25)),
    ];
    let ratings = [
        rating(1, 1, 5, hour(26)),
        rating(2, 2, 4, hour(26)),
        rating(3, 3, 3, hour(47)),
        // Of another day, and of an inquiry that nobody had.
        rating(4, 4, 1, hour(48)),
        rating(5, 99, 1, hour(30)),
    ];
    let state = given(&[&contacts[..], &ratings[..]].concat()).state;
    assert_eq!(of(&state, Scope::All).csat, ratio(2, 3));
    assert_eq!(of(&state, Scope::Employee(employee(BO))).csat, ratio(0, 0));
}

#[test]
fn a_rating_belongs_to_who_had_the_inquiry_when_it_was_given() {
    // Inquiry 1 goes from Anna to Bo at hour 30.
    let passed_on = changed_contact(contact(2, BO, 1, hour(30)), |contact| contact.inquiry_id = common::inquiry(1));
    let facts = [
        contact(1, ANNA, 1, hour(25)),
        passed_on,
        rating(1, 1, 5, hour(29)),
        rating(2, 1, 1, hour(31)),
        rating(3, 1, 4, hour(30)),
    ];
    let state = given(&facts).state;
    assert_eq!(of(&state, Scope::Employee(employee(ANNA))).csat, ratio(1, 1));
    assert_eq!(of(&state, Scope::Employee(employee(BO))).csat, ratio(1, 2));
}

#[test]
fn retention_is_who_came_back_of_who_came_in_the_day_before() {
    let came = |n, of, at| contact(n, ANNA, of, at);
    let state = given(&[
        came(1, 1, hour(0)),
        came(2, 2, hour(23)),
        came(3, 3, hour(12)),
        came(4, 1, hour(47)),
        came(5, 4, hour(30)),
        // Two days before does not count.
        came(6, 5, hour(-1)),
        came(7, 5, hour(30)),
    ])
    .state;
    assert_eq!(of(&state, Scope::All).retention, ratio(1, 3));
    assert_eq!(of(&state, Scope::Employee(employee(BO))).retention, ratio(0, 0));
}

#[test]
fn the_median_wait_leaves_out_conversations_of_the_past() {
    let waited = |n, at, ms| changed_contact(contact(n, ANNA, n, at), |contact| contact.waited_ms = ms);
    let past = changed_contact(past_contact(9, ANNA, 9, hour(25)), |contact| contact.waited_ms = 1);
    let state = given(&[waited(1, hour(25), 400), waited(2, hour(26), 900), waited(3, hour(27), 500), past]).state;
    let all = of(&state, Scope::All);
    assert_eq!((all.wait_p50_ms, all.customers_received), (500, 4));
}

#[test]
fn the_largest_amounts_are_cut_at_the_largest_and_end_no_process() {
    let sold = |n| order(n, 1, yuan(i64::MAX), hour(25));
    let state = given(&[contact(1, ANNA, 1, hour(24)), sold(1), sold(2), sold(3)]).state;
    assert_eq!(of(&state, Scope::All).sales, [yuan(i64::MAX)]);
    let forever =
        Period { from: kernel::Timestamp::from_micros(i64::MIN), to: kernel::Timestamp::from_micros(i64::MAX) };
    assert_eq!(table(&state, forever).row(Scope::All).orders, 3);
    let backwards = Period { from: hour(48), to: hour(48) - Duration::from_hours(1) };
    assert_eq!(table(&state, backwards).row(Scope::All).orders, 0);
}
