//! The rules of pay, one sentence each.

mod common;

use common::{
    approve, close, company, component, credit, credit_id, day, earnings, employee, flat, given, given_seller, hired,
    lines, month, payouts, plan, reversal, yuan,
};
use kernel::{Currency, Duration, Money, Refusal, Rounding};
use payroll::domain::{Basis, Command, Company, Event, Method, PayoutState, Plan, Rejection};

#[test]
fn a_close_accrues_posts_and_proposes() {
    let mut tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3)), credit(2, 1, yuan(-2_000), day(5))]);
    let events = tenant.told(&close(0));
    assert!(matches!(&events[0], Event::PeriodClosed { participants: 1, kpi_known_seq: 3, .. }), "{:?}", events[0]);
    let [line] = &earnings(&events)[..] else { panic!("{events:?}") };
    // (100 - 20) × 5 % = 4.00: a credit note reduces commission.
    assert_eq!(
        (line.basis_value.to_string(), line.exact.to_string(), line.amount),
        ("80".to_owned(), "4".to_owned(), yuan(400))
    );
    let mut behind = vec![credit_id(1), credit_id(2)];
    behind.sort_unstable();
    assert_eq!(line.credit_ids, behind);
    let [payout] = &payouts(&events)[..] else { panic!("{events:?}") };
    assert_eq!((payout.state, payout.amount, payout.version), (PayoutState::Proposed, yuan(400), 1));
    let who = employee(1);
    assert_eq!(tenant.balance("expense:incentive:commission"), 400);
    assert_eq!(tenant.balance(&format!("liability:accrued:{who}")), 0);
    assert_eq!(tenant.balance(&format!("liability:proposed:{who}")), -400);
}

#[test]
fn an_approval_issues_each_payout_once() {
    let mut tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3)), close(0)]);
    assert_eq!(tenant.tell(&approve(1)), Err(Rejection::PeriodNotClosed(month(1))));
    let events = tenant.told(&approve(0));
    let states: Vec<_> =
        payouts(&events).iter().map(|payout| (payout.state, payout.participant_seq, payout.issued_total)).collect();
    assert_eq!(states, [(PayoutState::Approved, 2, yuan(0)), (PayoutState::Issued, 3, yuan(500))]);
    assert_eq!(tenant.balance(&format!("liability:in-transit:{}", employee(1))), -500);
    assert_eq!(tenant.balance(&format!("liability:payable:{}", employee(1))), 0);
    assert_eq!(tenant.told(&approve(0)), []);
}

#[test]
fn a_closed_period_never_opens_again() {
    let mut tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3)), close(0), credit(2, 1, yuan(10_000), day(4))]);
    assert_eq!(tenant.told(&close(0)), []);
}

#[test]
fn late_facts_are_paid_as_differences_with_the_next_close_and_once() {
    let mut tenant = given_seller(&[credit(1, 1, yuan(500_000), day(3)), close(0)]);
    // The order of the first month grew from 5,000 to 7,000: 250 stay, 100 are new.
    tenant.told(&credit(2, 1, yuan(200_000), day(4)));
    tenant.told(&credit(3, 1, yuan(1_000), day(40)));
    let events = tenant.told(&close(1));
    assert_eq!(lines(&events), [(month(0), 35_000, 10_000), (month(1), 50, 50)]);
    assert_eq!(earnings(&events)[0].posted_in, month(1));
    assert_eq!(lines(&tenant.told(&close(2))), [], "again: nothing");
    // Retro on retro.
    tenant.told(&reversal(1));
    assert_eq!(lines(&tenant.told(&close(3))), [(month(0), 10_000, -25_000)]);
    assert_eq!(lines(&tenant.told(&close(4))), []);
}

#[test]
fn a_negative_net_is_carried_until_it_is_earned_back() {
    let mut tenant =
        given_seller(&[credit(1, 1, yuan(20_000), day(3)), close(0), approve(0), credit(2, 1, yuan(-30_000), day(40))]);
    let carried = |events: &[Event]| -> Vec<i64> {
        let balance = |event: &Event| match event {
            Event::BalanceCarried { balance, .. } => Some(balance.minor),
            _ => None,
        };
        events.iter().filter_map(balance).collect()
    };
    let events = tenant.told(&close(1));
    assert_eq!((payouts(&events), carried(&events)), (vec![], vec![-1_500]), "no payout is ever negative");
    assert_eq!(tenant.balance(&format!("liability:accrued:{}", employee(1))), 1_500, "what they owe");
    // A month without sales: the debt is stated again, so that every statement shows it.
    let events = tenant.told(&close(2));
    assert_eq!((payouts(&events), carried(&events)), (vec![], vec![-1_500]));
    assert_eq!(tenant.state.carried_out[&(month(2), employee(1))], [("SH01".to_owned(), yuan(-1_500))]);
    tenant.told(&credit(3, 1, yuan(20_000), day(91)));
    let events = tenant.told(&close(3));
    assert_eq!((payouts(&events), carried(&events)), (vec![], vec![-500]));
    tenant.told(&credit(4, 1, yuan(20_000), day(121)));
    let events = tenant.told(&close(4));
    assert_eq!(payouts(&events)[0].amount, yuan(500), "1,000 earned, 500 owed");
    assert_eq!(carried(&events), [0]);
    assert_eq!(carried(&tenant.told(&close(5))), Vec::<i64>::new());
}

#[test]
fn a_period_is_closed_when_it_is_over_and_in_order() {
    let mut tenant = given_seller(&[]);
    let future = Command::ClosePeriod { period: "2040-01".to_owned(), start: day(3_000), end: day(3_030) };
    assert_eq!(tenant.tell(&future), Err(Rejection::PeriodNotOver("2040-01".to_owned())));
    let now = Command::ClosePeriod { period: "2039-12".to_owned(), start: day(2_970), end: day(3_000) };
    assert!(tenant.tell(&now).is_ok(), "its end is the first instant after it");
    assert_eq!(tenant.tell(&close(0)), Err(Rejection::PeriodOrder { later: "2039-12".to_owned() }));
    assert_eq!(given(&[]).tell(&close(0)), Err(Rejection::CompanyUnknown));
}

#[test]
fn a_period_holds_its_first_instant_and_not_its_end() {
    let tick = Duration::from_micros(1);
    let at = [day(0) - tick, day(0), day(30) - tick, day(30)];
    let facts: Vec<Command> = (1..).zip(at).map(|(n, at)| credit(n, 1, yuan(i64::from(n) * 10_000), at)).collect();
    let mut tenant = given_seller(&facts);
    assert_eq!(earnings(&tenant.told(&close(-1)))[0].basis_value.to_string(), "100");
    assert_eq!(earnings(&tenant.told(&close(0)))[0].basis_value.to_string(), "500", "the second and the third");
    assert_eq!(earnings(&tenant.told(&close(1)))[0].basis_value.to_string(), "400");
}

#[test]
fn a_company_that_moves_to_another_zone_has_no_hour_paid_twice_and_none_unpaid() {
    for shift in [-6, 6] {
        let inside = |n, hours| credit(n, 1, yuan(10_000), day(30) + Duration::from_hours(hours));
        let mut tenant = given_seller(&[inside(1, -7), inside(2, -3), inside(3, 3), inside(4, 7), close(0)]);
        let start = day(30) + Duration::from_hours(shift);
        tenant.told(&Command::ClosePeriod { period: month(1), start, end: day(60) + Duration::from_hours(shift) });
        let paid: Vec<_> =
            tenant.state.statements.values().flatten().flat_map(|line| line.credit_ids.clone()).collect();
        let distinct: std::collections::BTreeSet<_> = paid.iter().collect();
        assert_eq!((paid.len(), distinct.len()), (4, 4), "a shift of {shift} hours");
    }
}

#[test]
fn a_period_is_not_closed_before_the_credits_of_an_earlier_one() {
    // The first month's credit comes before any close; the third month's when the fourth is to be closed.
    let mut tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3)), credit(2, 1, yuan(10_000), day(33))]);
    let earlier = |n| Err(Rejection::EarlierCredits { period: month(n) });
    assert_eq!(tenant.tell(&close(1)), earlier(0));
    assert_eq!(tenant.tell(&close(2)), earlier(0));
    tenant.told(&close(0));
    assert_eq!(tenant.tell(&close(2)), earlier(1));
    assert_eq!(lines(&tenant.told(&close(1))), [(month(1), 500, 500)]);
    tenant.told(&credit(3, 1, yuan(10_000), day(63)));
    tenant.told(&reversal(3));
    assert_eq!(lines(&tenant.told(&close(3))), [], "what was taken back keeps no month open");
    // Late credits of a month that was passed over, and of one before the first close: both are paid, once.
    tenant.told(&credit(4, 1, yuan(20_000), day(65)));
    tenant.told(&credit(5, 1, yuan(40_000), day(-5)));
    assert_eq!(tenant.tell(&close(4)), Err(Rejection::EarlierCredits { period: "2025-12".to_owned() }));
    let before = Command::ClosePeriod { period: "2025-12".to_owned(), start: day(-31), end: day(0) };
    assert_eq!(lines(&tenant.told(&before)), [("2025-12".to_owned(), 2_000, 2_000)]);
    assert_eq!(tenant.tell(&close(4)), earlier(2));
    assert_eq!(lines(&tenant.told(&close(2))), [(month(2), 1_000, 1_000)]);
    assert_eq!(lines(&tenant.told(&close(4))), []);
    let refused = Rejection::EarlierCredits { period: month(0) };
    assert_eq!((refused.reason(), refused.kind()), ("EARLIER_CREDITS", kernel::RefusalKind::FailedPrecondition));
}

#[test]
fn a_passed_over_month_ends_where_the_next_one_began_in_another_zone() {
    for shift in [-6, 6] {
        let moved = |n: i64| day(30 * n) + Duration::from_hours(shift);
        let mut tenant = given_seller(&[close(1)]);
        // One credit an hour around the bound between the first month, which was passed over, and the second.
        for n in 0..20_u16 {
            tenant.told(&credit(n + 1, 1, yuan(10_000), day(30) + Duration::from_hours(i64::from(n) - 10)));
        }
        tenant.told(&Command::ClosePeriod { period: month(0), start: moved(0), end: moved(1) });
        tenant.told(&Command::ClosePeriod { period: month(2), start: moved(2), end: moved(3) });
        let statements = tenant.state.statements.values().flatten();
        let paid: i64 = statements.map(|line| line.delta.minor).sum();
        assert_eq!(paid, 20 * 500, "a shift of {shift} hours");
    }
}

#[test]
fn a_plan_never_pays_another_position() {
    let mut tenant = given_seller(&[flat("management", "manager", "0.02"), hired(2, "manager", day(-100))]);
    let moved = Plan { version: 2, ..plan("sales", 1, "manager", day(0), &[("0", "0.10")]) };
    let refused = tenant.tell(&Command::ActivatePlan(moved)).unwrap_err();
    let (given, known) = ("manager".to_owned(), "seller".to_owned());
    assert_eq!(refused, Rejection::PlanPosition { code: "sales".to_owned(), given, known });
    assert_eq!(refused.reason(), "PLAN_POSITION");
}

#[test]
fn a_debt_is_never_set_off_against_what_another_legal_entity_pays() {
    let other = Command::NoteCompany(Company {
        legal_entity: "SZ02".to_owned(),
        currency: Currency::CNY,
        zone: "Asia/Shanghai".to_owned(),
    });
    let mut tenant = given_seller(&[credit(1, 1, yuan(-20_000), day(3)), close(0), other]);
    tenant.told(&credit(2, 1, yuan(30_000), day(33)));
    let events = tenant.told(&close(1));
    let paid: Vec<_> = payouts(&events).into_iter().map(|p| (p.legal_entity, p.amount)).collect();
    assert_eq!(paid, [("SZ02".to_owned(), yuan(1_500))], "all of it: the 10.00 are owed to SH01");
    assert_eq!(tenant.state.carried_out[&(month(1), employee(1))], [("SH01".to_owned(), yuan(-1_000))]);
    // Back at the first one, the debt is earned back.
    tenant.told(&company());
    tenant.told(&credit(3, 1, yuan(30_000), day(63)));
    let paid: Vec<_> = payouts(&tenant.told(&close(2))).into_iter().map(|p| (p.legal_entity, p.amount)).collect();
    assert_eq!(paid, [("SH01".to_owned(), yuan(500))]);
}

#[test]
fn a_total_of_what_was_issued_that_leaves_the_range_is_refused() {
    let most = |n, at| credit(n, 1, yuan(i64::MAX / 2), at);
    let mut tenant = given(&[company(), flat("sales", "seller", "1"), hired(1, "seller", day(0)), most(1, day(3))]);
    tenant.told(&close(0));
    tenant.told(&approve(0));
    for n in 1..3 {
        tenant.told(&most(u16::try_from(n).unwrap() + 1, day(30 * n + 3)));
        tenant.told(&close(n));
    }
    tenant.told(&approve(1));
    assert!(matches!(tenant.tell(&approve(2)), Err(Rejection::OutOfRange(_))));
}

#[test]
fn periods_never_overlap() {
    let mut tenant = given_seller(&[close(0)]);
    let overlapping = Command::ClosePeriod { period: "odd".to_owned(), start: day(10), end: day(40) };
    assert_eq!(tenant.tell(&overlapping), Err(Rejection::PeriodOrder { later: month(0) }));
    let backwards = Command::ClosePeriod { period: "odd".to_owned(), start: day(60), end: day(50) };
    assert!(tenant.tell(&backwards).is_ok_and(|events| payouts(&events).is_empty()), "nothing falls into it");
}

#[test]
fn a_plan_is_never_changed_only_followed() {
    let first = plan("sales", 1, "seller", day(-10), &[("0", "0.05")]);
    let mut tenant = given(&[company(), Command::ActivatePlan(first.clone())]);
    assert_eq!(tenant.told(&Command::ActivatePlan(first.clone())), [], "the same is there already");
    let changed = Plan { position: "other".to_owned(), ..first.clone() };
    let skipped = Plan { version: 3, ..first.clone() };
    for plan in [changed, skipped, Plan { version: 0, ..first.clone() }] {
        let refused = tenant.tell(&Command::ActivatePlan(plan.clone())).unwrap_err();
        assert_eq!(refused, Rejection::PlanVersion { code: "sales".to_owned(), given: plan.version, last: 1 });
        assert_eq!(refused.reason(), "PLAN_VERSION");
    }
    let events = tenant.told(&Command::ActivatePlan(Plan { version: 2, ..first }));
    assert!(matches!(&events[..], [Event::PlanActivated { plan_hash, .. }] if *plan_hash != [0; 32]));
    let again = Plan { version: 1, ..plan("sales", 1, "seller", day(-10), &[("0", "0.05")]) };
    assert_eq!(tenant.told(&Command::ActivatePlan(again)), [], "an old version told again changes nothing");
}

#[test]
fn the_plan_that_took_effect_last_before_the_periods_end_pays_it() {
    let version = |version, from, rate| Command::ActivatePlan(plan("sales", version, "seller", from, &[("0", rate)]));
    let mut tenant = given(&[
        company(),
        hired(1, "seller", day(0)),
        version(1, day(0), "0.01"),
        version(2, day(29), "0.02"),
        version(3, day(30), "0.03"),
        credit(1, 1, yuan(10_000), day(3)),
        credit(2, 1, yuan(10_000), day(33)),
    ]);
    assert_eq!(lines(&tenant.told(&close(0))), [(month(0), 200, 200)]);
    assert_eq!(lines(&tenant.told(&close(1))), [(month(1), 300, 300)]);
}

#[test]
fn a_plan_that_takes_effect_in_a_closed_period_pays_only_the_difference() {
    // The same plan in a new version, another plan for the position, and another component of it.
    let second = plan("sales", 2, "seller", day(1), &[("0", "0.08")]);
    let another = plan("better sales", 1, "seller", day(1), &[("0", "0.08")]);
    let mut renamed = second.clone();
    renamed.components[0].code = "bonus".to_owned();
    for later in [second, another, renamed] {
        let mut tenant = given_seller(&[credit(1, 1, yuan(10_000), day(3)), close(0), approve(0)]);
        tenant.told(&Command::ActivatePlan(later.clone()));
        let events = tenant.told(&close(1));
        let paid: i64 = lines(&events).iter().map(|(_, _, delta)| delta).sum();
        assert_eq!(paid, 300, "8.00 in all and not 5.00 + 8.00: {later:?}");
        assert_eq!(payouts(&events)[0].amount, yuan(300));
        assert_eq!(lines(&tenant.told(&close(2))), [], "and once");
    }
}

#[test]
fn a_position_that_changed_in_a_closed_period_pays_only_the_difference() {
    let more = [flat("management", "manager", "0.02"), credit(1, 1, yuan(10_000), day(3)), close(0)];
    // Roster tells late that they were manager from the tenth day on, or at a position without a plan.
    for (position, expected) in [("manager", -300), ("trainee", -500)] {
        let mut tenant = given_seller(&more);
        tenant.told(&hired(1, position, day(10)));
        let events = tenant.told(&close(1));
        let paid: i64 = lines(&events).iter().map(|(_, _, delta)| delta).sum();
        assert_eq!(paid, expected, "{position}");
        assert_eq!(lines(&tenant.told(&close(2))), []);
    }
}

#[test]
fn differences_never_cross_a_currency() {
    let dollars = Plan { version: 2, currency: Currency::USD, ..plan("sales", 1, "seller", day(1), &[("0", "0.10")]) };
    let usd = |minor| Money::new(minor, Currency::USD);
    let mut tenant =
        given_seller(&[credit(1, 1, yuan(10_000), day(3)), credit(2, 1, usd(10_000), day(4)), close(0), approve(0)]);
    tenant.told(&Command::ActivatePlan(dollars));
    let events = tenant.told(&close(1));
    let deltas: Vec<Money> = earnings(&events).into_iter().map(|line| line.delta).collect();
    assert_eq!(deltas, [yuan(-500), usd(1_000)]);
    assert_eq!(payouts(&events).iter().map(|payout| payout.amount).collect::<Vec<_>>(), [usd(1_000)]);
    assert_eq!(tenant.state.carried[&(employee(1), "SH01".to_owned(), Currency::CNY)], -500);
    assert_eq!(lines(&tenant.told(&close(2))), []);
}

#[test]
fn credits_that_no_plan_pays_are_named_and_not_paid() {
    let other = Money::new(9_900, Currency::USD);
    let facts = [
        hired(2, "trainee", day(0)),
        credit(1, 1, other, day(3)),
        credit(2, 2, yuan(100), day(3)),
        credit(3, 9, yuan(200), day(3)),
    ];
    let mut tenant = given_seller(&facts);
    let events = tenant.told(&close(0));
    assert_eq!((payouts(&events), earnings(&events)), (vec![], vec![]));
    let unpaid = tenant.state.unpaid(&tenant.state.closed[&month(0)]);
    assert_eq!(unpaid.len(), 3, "{unpaid:?}");
    assert!(unpaid[0].contains("E1 (seller): credits of 99.00 USD"), "{unpaid:?}");
    assert!(unpaid[1].contains("E2 (trainee): credits of 1.00 CNY"), "{unpaid:?}");
    assert!(unpaid[2].contains("credits of 2.00 CNY"), "{unpaid:?}");
}

#[test]
fn the_largest_credits_are_refused_or_named_and_end_no_process() {
    let most = |n, who| credit(n, who, yuan(i64::MAX), day(3));
    let mut tenant = given(&[
        company(),
        flat("sales", "seller", "100"),
        hired(1, "seller", day(0)),
        hired(2, "trainee", day(0)),
        most(1, 1),
        most(2, 1),
        most(3, 2),
        most(4, 2),
    ]);
    assert!(matches!(tenant.tell(&close(0)), Err(Rejection::OutOfRange(_))));
    let closed = payroll::domain::Closed { start: day(0), end: day(30), kpi_known_seq: 0 };
    assert!(tenant.state.unpaid(&closed)[0].contains("E2"));
}

#[test]
fn orders_and_first_orders_have_their_own_basis() {
    let parts = vec![
        component("pieces", Basis::Orders, Method::Slab, &[("0", "1.50"), ("3", "2.00")]),
        component("first", Basis::NewCustomerSales, Method::Marginal, &[("0", "0.10")]),
    ];
    let plan = Plan { components: parts, rounding: Rounding::HalfEven, ..plan("sales", 1, "seller", day(0), &[]) };
    let first = |n, minor| {
        let Command::NoteCredit { credit_id, credit, kpi_seq } = credit(n, 1, yuan(minor), day(3)) else {
            unreachable!()
        };
        Command::NoteCredit { credit_id, credit: payroll::domain::Credit { new_customer: true, ..credit }, kpi_seq }
    };
    let mut tenant = given(&[
        company(),
        Command::ActivatePlan(plan),
        hired(1, "seller", day(0)),
        credit(1, 1, yuan(1), day(3)),
        credit(2, 1, yuan(1), day(3)),
        first(3, 1_025),
        first(4, -1_000),
    ]);
    let lines: Vec<_> = earnings(&tenant.told(&close(0)))
        .into_iter()
        .map(|line| (line.basis_value.to_string(), line.amount.minor, line.credit_ids.len()))
        .collect();
    // Three orders at 2.00 each; a refund is no order. 0.25 of first orders at 10 % is 0.025: half to even.
    assert_eq!(lines, [("3".to_owned(), 600, 3), ("0.25".to_owned(), 2, 2)]);
}

#[test]
fn noting_the_same_changes_nothing() {
    let mut tenant = given_seller(&[]);
    assert_eq!(tenant.told(&company()), []);
    assert_eq!(tenant.told(&hired(1, "seller", day(50))), []);
    assert_eq!(tenant.told(&reversal(99)), [], "a credit that never came needs no reversal");
    let other = Command::NoteCompany(Company {
        legal_entity: "SZ02".to_owned(),
        currency: Currency::CNY,
        zone: "UTC".to_owned(),
    });
    assert_eq!(tenant.told(&other).len(), 1);
}

#[test]
fn who_is_hired_after_the_period_is_paid_by_their_first_position() {
    // The credit comes from an agent whose roster entry begins later.
    let mut tenant = given(&[
        company(),
        flat("sales", "seller", "0.05"),
        hired(1, "seller", day(200)),
        credit(1, 1, yuan(10_000), day(3)),
    ]);
    assert_eq!(lines(&tenant.told(&close(0))), [(month(0), 500, 500)]);
}
