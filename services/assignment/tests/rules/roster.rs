//! Shifts, zones and what changes about the company.

use assignment::domain::{Command, DeskFacts, Event, Policy, PositionFacts, Presence, RosterFact, ZoneOffset};
use kernel::{Duration, InquiryId, Timestamp};

use crate::common::*;

fn hours(hours: i64) -> Duration {
    Duration::from_hours(hours)
}

/// A desk in this zone with one agent, `A0`, who works these shifts.
fn shifted(offsets: &[(Timestamp, i32)], shifts: &[assignment::domain::Shift]) -> Tenant {
    let mut tenant = alike(0);
    tenant.roster(desk("east", offsets));
    hire(&mut tenant, working(agent("A0", "all"), shifts));
    tenant
}

/// When the inquiry is first offered, looked at each minute; hours and minutes after Monday 10:00 in Shanghai.
fn offered_after(tenant: &mut Tenant, id: InquiryId) -> (i64, i64) {
    let begin = tenant.at;
    for minute in 0..14 * 24 * 60 {
        if tenant.status(id) == "reserved A0" {
            return (minute / 60, minute % 60);
        }
        tenant.pass(minutes(1));
    }
    panic!("not offered within two weeks of {begin:?}");
}

#[test]
fn who_is_off_shift_is_asked_when_their_shift_begins() {
    // It is Monday 10:00 in Shanghai.
    for (shifts, expected) in [
        (vec![shift(1, 9, 18)], (0, 0)),
        (vec![shift(1, 12, 18)], (2, 0)),
        (vec![shift(1, 8, 10)], (7 * 24 - 2, 0)),
        (vec![shift(2, 9, 18)], (23, 0)),
        (vec![shift(7, 23, 24)], (6 * 24 + 13, 0)),
        (vec![shift(1, 8, 10), shift(1, 11, 12)], (1, 0)),
    ] {
        let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &shifts);
        let id = tenant.ask(ask(1, "price"));
        assert_eq!(offered_after(&mut tenant, id), expected, "{shifts:?}");
    }
}

#[test]
fn shifts_are_in_the_desks_own_time() {
    // The same instant is Sunday 22:00 in New York, and Monday 02:00 in a desk that names no zone.
    for (offset, expected) in [(-4 * 3600, (11, 0)), (0, (7, 0)), (5 * 3600 + 1800, (1, 30))] {
        let mut tenant = shifted(&[(ALWAYS, offset)], &[shift(1, 9, 18)]);
        let id = tenant.ask(ask(1, "price"));
        assert_eq!(offered_after(&mut tenant, id), expected, "{offset}");
    }
}

#[test]
fn nothing_is_offered_after_the_shift() {
    let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &[shift(1, 9, 12)]);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 900)));
    tenant.pass(ms(2 * 3_600_000 - 1));
    let last = tenant.ask(ask(1, "price"));
    assert_eq!(tenant.status(last), "reserved A0");
    tenant.pass(ms(1));
    let late = tenant.ask(ask(2, "price"));
    assert_eq!(tenant.status(late), "pending");
    tenant.accept(last); // What was offered in time may still be taken.
    assert_eq!(tenant.status(last), "assigned A0");
}

#[test]
fn a_shift_past_midnight_has_no_gap() {
    // The roster's file gives 22:00 to 06:00 as two shifts; at midnight nobody goes home.
    let shifts = [shift(1, 22, 24), shift(2, 0, 6)];
    let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &shifts);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 10_000)));
    tenant.pass(hours(12));
    for minute in 0..8 * 60 {
        assert!(tenant.agent("A0").on_shift, "{minute} minutes after 22:00");
        tenant.pass(minutes(1));
    }
    assert!(!tenant.agent("A0").on_shift, "06:00");
}

#[test]
fn a_change_of_the_clocks_moves_the_shift() {
    // Summer time: on Sunday at 01:00 UTC, clocks go from UTC + 2 to UTC + 1.
    let change = Timestamp::from_micros(1_792_890_000_000_000);
    let mut tenant = shifted(&[(ALWAYS, 2 * 3600), (change, 3600)], &[shift(7, 2, 4)]);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 10_000)));
    tenant.at = change - hours(3);
    tenant.fire_due();
    let mut working = Vec::new();
    for quarter in 0..24 {
        if tenant.agent("A0").on_shift {
            working.push(quarter);
        }
        tenant.pass(minutes(15));
    }
    // From 22:00 UTC on: 02:00 comes first at 00:00 UTC, the hour from 02:00 to 03:00 comes twice, 04:00 is 03:00 UTC.
    assert_eq!(working, (8..20).collect::<Vec<_>>());

    // And in spring, when 02:00 becomes 03:00: from midnight, 23:00 UTC, to 04:00 are three hours.
    let mut tenant = shifted(&[(ALWAYS, 3600), (change, 2 * 3600)], &[shift(7, 0, 4)]);
    tenant.at = change - hours(3);
    tenant.fire_due();
    let mut working = Vec::new();
    for quarter in 0..24 {
        if tenant.agent("A0").on_shift {
            working.push(quarter);
        }
        tenant.pass(minutes(15));
    }
    assert_eq!(working, (4..16).collect::<Vec<_>>());
}

#[test]
fn a_desk_that_moves_to_another_zone_has_other_hours_at_once() {
    let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &[shift(1, 9, 18)]);
    assert!(tenant.agent("A0").on_shift);
    tenant.roster(desk("east", &[(ALWAYS, -4 * 3600)]));
    assert!(!tenant.agent("A0").on_shift, "it is Sunday there");
    tenant.pass(hours(11));
    assert!(tenant.agent("A0").on_shift);
}

#[test]
fn a_clock_that_jumps_over_many_shifts_finds_who_works_now() {
    let days: Vec<_> = (1..=5).map(|day| shift(day, 9, 18)).collect();
    let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &days);
    tenant.jump(hours(7 * 24 * 5 + 9));
    let events = tenant.fire_due();
    assert!(!tenant.agent("A0").on_shift, "Monday 19:00");
    assert_eq!(events.len(), 1, "one look, not one for each shift: {events:?}");
    tenant.pass(hours(14));
    assert!(tenant.agent("A0").on_shift, "Tuesday 09:00");
}

#[test]
fn a_desk_is_looked_at_when_something_changes_and_at_no_other_time() {
    let mut tenant = shifted(&[(ALWAYS, SHANGHAI)], &[shift(1, 9, 18)]);
    let events = tenant.pass(Duration::from_days(7));
    let attempts = events.iter().filter(|event| matches!(event, Event::RoutingAttempted { .. })).count();
    assert_eq!((attempts, events.len()), (2, 2), "the end and the begin of the shift: {events:?}");
}

#[test]
fn what_the_roster_says_of_a_later_day_counts_from_then_on() {
    let mut tenant = alike(1);
    let tomorrow = tenant.at + Duration::from_days(1);
    let facts = RosterFact::Position(position("all", &["out_of_scope"], 300));
    tenant.roster_from(facts, tomorrow);
    tenant.roster_from(RosterFact::Left(employee("A0")), tomorrow + hours(1));
    let ids = [1, 2, 3].map(|n| tenant.ask(ask(n, "price")));
    tenant.accept(ids[0]);
    tenant.pass(ms(24 * 3_600_000 - 1));
    assert_eq!(ids.map(|id| tenant.status(id)), ["assigned A0", "pending", "pending"]);
    tenant.pass(ms(1));
    assert_eq!(ids.map(|id| tenant.status(id)), ["assigned A0", "reserved A0", "reserved A0"]);
    tenant.accept(ids[1]);
    tenant.pass(hours(1));
    let after = tenant.ask(ask(4, "price"));
    assert_eq!(tenant.status(after), "pending", "nobody works here any more");
    assert!(tenant.agent("A0").left);
    assert!(tenant.state.live.upcoming.is_empty());
}

#[test]
fn who_comes_back_after_they_left_works_again() {
    let mut tenant = alike(1);
    tenant.roster(RosterFact::Left(employee("A0")));
    let id = tenant.ask(ask(1, "price"));
    assert_eq!(tenant.status(id), "pending");
    tenant.roster(RosterFact::Agent(agent("A0", "all")));
    assert_eq!(tenant.status(id), "reserved A0");
}

#[test]
fn a_new_skill_a_new_language_and_a_new_position_count_at_once() {
    let mut tenant = company_of(&[agent("C1", "service"), skilled(agent("C2", "service"), &["pumps"])]);
    tenant.presence("C2", Presence::Offline);
    tenant.policy(Policy { version: 2, experience_wait_ms: 3_600_000, ..Policy::default() });
    tenant.presence("C2", Presence::Available);
    let [busy, also, waits] = [1, 2, 3].map(|n| tenant.ask(ask(n, "order_lookup").about("pumps")));
    assert_eq!([busy, also, waits].map(|id| tenant.status(id)), ["reserved C2", "reserved C2", "pending"]);
    tenant.roster(RosterFact::Agent(skilled(agent("C1", "service"), &["pumps"])));
    assert_eq!(tenant.status(waits), "reserved C1");
}

#[test]
fn a_first_reception_is_one_no_more_when_the_reception_staff_has_left() {
    let mut tenant = company_of(&[agent("S1", "sales"), experienced(agent("S2", "sales")), agent("C1", "service")]);
    tenant.policy(Policy { version: 2, experience_wait_ms: 3_600_000, ..Policy::default() });
    let busy: Vec<InquiryId> = (0..2).map(|n| tenant.ask(ask(n, "out_of_scope"))).collect();
    busy.iter().for_each(|id| drop(tenant.accept(*id)));
    let [a, b] = [10, 11].map(|n| tenant.ask(ask(n, "order_lookup")));
    tenant.accept(a);
    tenant.accept(b);
    let waits = tenant.ask(ask(5, "out_of_scope"));
    assert_eq!(tenant.status(waits), "pending", "for S2");
    tenant.roster(RosterFact::Left(employee("S1")));
    tenant.roster(RosterFact::Left(employee("S2")));
    assert_eq!(tenant.status(waits), "pending", "C1 is busy");
    tenant.close(a);
    assert_eq!(tenant.status(waits), "reserved C1", "nobody here receives new customers, so anyone does");
}

#[test]
fn a_position_that_begins_to_receive_new_customers_changes_what_they_wait_for() {
    let mut tenant = company_of(&[agent("C1", "service")]);
    let plain = PositionFacts { first_reception: false, ..position("sales", &["price", "out_of_scope"], 100) };
    tenant.roster(RosterFact::Position(plain.clone()));
    hire(&mut tenant, agent("S1", "sales"));
    hire(&mut tenant, experienced(agent("S2", "sales")));
    let ids = [1, 2, 3].map(|n| tenant.ask(ask(n, "price")));
    let waits = ids[2];
    assert_eq!(tenant.status(waits), "pending");
    tenant.roster(RosterFact::Position(PositionFacts { first_reception: true, ..plain }));
    let of =
        |tenant: &Tenant, holder: &str| ids.into_iter().find(|id| tenant.status(*id) == format!("reserved {holder}"));
    let by_new = of(&tenant, "S1").expect("S1 has one");
    tenant.close(by_new);
    assert_eq!(tenant.status(waits), "pending", "S1 is no experienced agent");
    let by_experienced = of(&tenant, "S2").expect("S2 has one");
    tenant.close(by_experienced);
    assert_eq!(tenant.status(waits), "reserved S2");
}

#[test]
fn who_changes_desks_keeps_what_they_have_and_gets_what_waits_there() {
    let mut tenant = alike(1);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 200)));
    let mine = tenant.ask(ask(1, "price"));
    tenant.accept(mine);
    let there = tenant.ask(ask(2, "price").desk("west"));
    tenant.roster(RosterFact::Agent(at_desk(agent("A0", "all"), "west")));
    assert_eq!([mine, there].map(|id| tenant.status(id)), ["assigned A0", "reserved A0"]);
    let here = tenant.ask(ask(3, "price"));
    assert_eq!(tenant.status(here), "pending");
}

#[test]
fn presence_that_is_known_already_is_no_event() {
    let mut tenant = alike(1);
    assert_eq!(tenant.presence("A0", Presence::Available), Vec::new());
    assert_eq!(tenant.presence("nobody", Presence::Offline).len(), 1, "the roster may tell of them later");
}

#[test]
fn presence_may_come_before_the_agent_is_known() {
    let mut tenant = alike(0);
    tenant.presence("A0", Presence::Available);
    let id = tenant.ask(ask(1, "price"));
    tenant.roster(RosterFact::Agent(agent("A0", "all")));
    assert_eq!(tenant.status(id), "reserved A0");
}

#[test]
fn years_of_changes_leave_no_trace_in_what_a_choice_looks_at() {
    let mut tenant = alike(2);
    for n in 0..200 {
        let skill = format!("skill {n}");
        tenant.roster(RosterFact::Agent(skilled(agent("A0", "all"), &[skill.as_str()])));
    }
    assert!(tenant.state.live.profiles.len() <= 3, "{} profiles", tenant.state.live.profiles.len());
}

#[test]
fn a_desk_without_offsets_is_on_universal_time() {
    let mut tenant = alike(0);
    let fact = RosterFact::Desk(DeskFacts { code: "east".to_owned(), offsets: Vec::<ZoneOffset>::new() });
    tenant.must(Command::NoteRoster { fact, effective_from: ALWAYS });
    hire(&mut tenant, working(agent("A0", "all"), &[shift(1, 2, 3)]));
    assert!(tenant.agent("A0").on_shift, "Monday 02:00 UTC");
    tenant.pass(hours(1));
    assert!(!tenant.agent("A0").on_shift);
}
