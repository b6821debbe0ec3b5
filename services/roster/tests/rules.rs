//! The rules of roster, one sentence each.

mod common;

use common::{
    TODAY, Tenant, company, day, desk, employee, given_company, id, import, policy, position, sealed_name, set,
    whole_company,
};
use kernel::{CommandId, Currency, Refusal, RefusalKind};
use roster::domain::{Command, Company, Desk, Employee, Event, Presence, Rejection, Wanted, ZoneOffset};

fn hire(employee: Employee) -> Wanted {
    Wanted { employees: vec![employee], ..Wanted::default() }
}

fn leave(code: &str) -> Wanted {
    Wanted { leaving: vec![id(code)], ..Wanted::default() }
}

/// What kinds of things the events define.
fn kinds(events: &[Event]) -> Vec<&'static str> {
    let kind = |event: &Event| match event {
        Event::CompanyDefined { .. } => "company",
        Event::DeskDefined { .. } => "desk",
        Event::PositionDefined { .. } => "position",
        Event::EmployeeDefined { .. } => "employee",
        Event::EmployeeLeft { .. } => "left",
        Event::PolicyDefined { .. } => "policy",
        Event::PresenceSet { .. } => "set",
        Event::PresenceLost { .. } => "lost",
    };
    events.iter().map(kind).collect()
}

#[test]
fn a_first_import_defines_everything_once_and_the_next_nothing() {
    let mut tenant = Tenant::default();
    let events = tenant.tell(TODAY, &import(whole_company(), TODAY)).unwrap();
    let all = ["company", "desk", "desk", "position", "position", "employee", "employee", "policy"];
    assert_eq!(kinds(&events), all);
    assert_eq!(tenant.tell(day(9), &import(whole_company(), day(9))), Ok(Vec::new()));
}

#[test]
fn the_offsets_of_a_desk_are_renewed_before_they_end() {
    let at = |n: i64, zone: &str| {
        let yaml = format!("desks: [{{code: east, name_zh: 东区, name_en: East, zone: {zone}}}]");
        let desks = roster::file::parse(&yaml, day(n)).unwrap().desks;
        import(Wanted { desks, ..Wanted::default() }, day(n))
    };
    let mut tenant = Tenant::default();
    tenant.tell(TODAY, &import(Wanted { company: Some(company()), ..Wanted::default() }, TODAY)).unwrap();
    assert_eq!(kinds(&tenant.tell(TODAY, &at(0, "Europe/Berlin")).unwrap()), ["desk"]);
    let end = |tenant: &Tenant| tenant.state.desks["east"].last().unwrap().1.offsets.last().unwrap().from;
    let known = end(&tenant);
    assert_eq!(tenant.tell(day(3_000), &at(3_000, "Europe/Berlin")), Ok(Vec::new()), "two years are left");
    assert_eq!(kinds(&tenant.tell(day(3_400), &at(3_400, "Europe/Berlin")).unwrap()), ["desk"]);
    assert!(end(&tenant) > known + kernel::Duration::from_days(3_000));
    assert_eq!(tenant.tell(day(3_401), &at(3_401, "Europe/Berlin")), Ok(Vec::new()), "and not again");
    // A zone whose clock never changes has nothing to renew.
    let mut tenant = Tenant::default();
    tenant.tell(TODAY, &import(Wanted { company: Some(company()), ..Wanted::default() }, TODAY)).unwrap();
    tenant.tell(TODAY, &at(0, "Asia/Shanghai")).unwrap();
    assert_eq!(tenant.tell(day(9_000), &at(9_000, "Asia/Shanghai")), Ok(Vec::new()));
}

#[test]
fn only_what_differs_is_a_new_version() {
    let mut tenant = given_company();
    let mut wanted = whole_company();
    wanted.positions[1].capacity_units = 500;
    wanted.employees[0].experience_months = 25;
    let events = tenant.tell(day(1), &import(wanted, day(1))).unwrap();
    assert_eq!(kinds(&events), ["position", "employee"]);
    assert!(matches!(&events[0], Event::PositionDefined { position, version: 2, .. } if position.code == "sales"));
    let sales = &tenant.state.positions["sales"];
    assert_eq!(sales.at(day(0)).unwrap().capacity_units, 400, "the past keeps its own");
    assert_eq!(sales.at(day(1)).unwrap().capacity_units, 500, "from its instant on");
    assert_eq!(sales.at(day(-1)), None, "and before the first there was none");
}

#[test]
fn what_an_import_does_not_name_stays_as_it_is() {
    let mut tenant = given_company();
    let only = Wanted { policy: Some(policy(5)), ..Wanted::default() };
    let events = tenant.tell(day(1), &import(only, day(1))).unwrap();
    assert!(matches!(&events[..], [Event::PolicyDefined { version: 2, .. }]), "{events:?}");
    assert_eq!(tenant.state.employees.len(), 2);
}

#[test]
fn a_name_that_is_only_sealed_anew_is_no_change_and_another_name_is() {
    let mut tenant = given_company();
    let mut same = employee("E01", "east", "service", 24);
    same.name = Some(sealed_name("E01", 2));
    same.name_command_id = CommandId::from_bytes([2; 16]);
    assert_eq!(tenant.tell(day(1), &import(hire(same.clone()), day(1))), Ok(Vec::new()));
    same.name_mac = [8; 16];
    assert_eq!(kinds(&tenant.tell(day(1), &import(hire(same), day(1))).unwrap()), ["employee"]);
}

#[test]
fn other_zone_offsets_are_no_other_desk_but_another_zone_is() {
    let mut tenant = given_company();
    let until = |n, offset_seconds| {
        let offsets = vec![ZoneOffset { from: day(n), offset_seconds }];
        Wanted { desks: vec![Desk { offsets, ..desk("east") }], ..Wanted::default() }
    };
    let changes = tenant.tell(day(1), &import(until(3_600, 3_600), day(1))).unwrap();
    assert_eq!(kinds(&changes), ["desk"], "a clock that never changed begins to");
    let mut wanted = until(3_700, 7_200);
    assert_eq!(tenant.tell(day(1), &import(wanted.clone(), day(1))), Ok(Vec::new()));
    wanted.desks[0].zone = "Europe/Berlin".to_owned();
    assert_eq!(kinds(&tenant.tell(day(1), &import(wanted, day(1))).unwrap()), ["desk"]);
}

#[test]
fn nothing_takes_effect_before_a_version_that_is_there_already() {
    let mut tenant = given_company();
    let promoted = employee("E01", "east", "sales", 24);
    tenant.tell(day(1), &import(hire(promoted), day(30))).unwrap();
    let moved = import(hire(employee("E01", "west", "service", 24)), day(29));
    let refused = tenant.tell(day(2), &moved).unwrap_err();
    assert_eq!(refused, Rejection::Backdated { what: "employee E01".to_owned() });
    assert_eq!((refused.kind(), refused.reason()), (RefusalKind::FailedPrecondition, "BACKDATED"));
    // At the same instant it takes the other's place.
    tenant.tell(day(3), &import(hire(employee("E01", "west", "service", 24)), day(30))).unwrap();
    let in_force = tenant.state.employees[&id("E01")].at(day(30)).unwrap().as_ref().unwrap();
    assert_eq!((in_force.desk.as_str(), in_force.position.as_str()), ("west", "service"));
}

#[test]
fn backdating_is_refused_for_every_kind_of_thing() {
    let changed = [
        Wanted { company: Some(Company { name: "other".to_owned(), ..company() }), ..Wanted::default() },
        Wanted { desks: vec![Desk { name_en: "Far East".to_owned(), ..desk("east") }], ..Wanted::default() },
        Wanted { positions: vec![position("service", 1)], ..Wanted::default() },
        leave("E01"),
        Wanted { policy: Some(policy(9)), ..Wanted::default() },
    ];
    for wanted in changed {
        let mut tenant = given_company();
        let refused = tenant.tell(day(1), &import(wanted.clone(), day(-1))).unwrap_err();
        assert!(matches!(refused, Rejection::Backdated { .. }), "{wanted:?}: {refused:?}");
        assert!(tenant.tell(day(1), &import(wanted, day(0))).is_ok());
    }
}

#[test]
fn nothing_is_recorded_when_any_part_is_wrong() {
    let mut tenant = given_company();
    let before = tenant.state.clone();
    let mut wanted = whole_company();
    wanted.policy = Some(policy(9));
    wanted.employees.push(employee("E03", "moon", "service", 1));
    let refused = tenant.tell(day(1), &import(wanted, day(1))).unwrap_err();
    assert_eq!(refused, Rejection::DeskUnknown { employee: "E03".to_owned(), desk: "moon".to_owned() });
    assert_eq!(tenant.state, before);
}

#[test]
fn an_employee_needs_a_desk_and_a_position_that_the_company_has() {
    let mut tenant = given_company();
    let refused = tenant.tell(day(1), &import(hire(employee("E03", "east", "pilot", 1)), day(1))).unwrap_err();
    assert_eq!(refused, Rejection::PositionUnknown { employee: "E03".to_owned(), position: "pilot".to_owned() });
    let mut both = hire(employee("E03", "north", "pilot", 1));
    both.desks.push(desk("north"));
    both.positions.push(position("pilot", 1));
    assert_eq!(kinds(&tenant.tell(day(1), &import(both, day(1))).unwrap()), ["desk", "position", "employee"]);
}

#[test]
fn a_desk_or_position_of_the_future_cannot_be_held_today() {
    let mut tenant = given_company();
    let later = Wanted { desks: vec![desk("north")], positions: vec![position("pilot", 1)], ..Wanted::default() };
    tenant.tell(day(1), &import(later, day(30))).unwrap();
    let at_desk = |desk: &str, position: &str, from| import(hire(employee("E03", desk, position, 1)), from);
    let refused = tenant.tell(day(2), &at_desk("north", "service", day(29))).unwrap_err();
    assert_eq!(refused, Rejection::DeskUnknown { employee: "E03".to_owned(), desk: "north".to_owned() });
    let refused = tenant.tell(day(2), &at_desk("east", "pilot", day(29))).unwrap_err();
    assert_eq!(refused, Rejection::PositionUnknown { employee: "E03".to_owned(), position: "pilot".to_owned() });
    assert!(tenant.tell(day(2), &at_desk("north", "pilot", day(30))).is_ok());
}

#[test]
fn a_company_comes_first_and_keeps_its_currency_and_its_seed() {
    let mut tenant = Tenant::default();
    let desks = Wanted { desks: vec![desk("east")], ..Wanted::default() };
    assert_eq!(tenant.tell(TODAY, &import(desks, TODAY)), Err(Rejection::CompanyMissing));
    let mut tenant = given_company();
    let seed = tenant.state.seed;
    assert_ne!(seed, [0; 16]);
    let dollars = Wanted { company: Some(Company { currency: Currency::USD, ..company() }), ..Wanted::default() };
    assert_eq!(tenant.tell(day(1), &import(dollars, day(1))), Err(Rejection::CurrencyChanges));
    let renamed = Wanted { company: Some(Company { name: "Lei & Li".to_owned(), ..company() }), ..Wanted::default() };
    let events = tenant.tell(day(1), &import(renamed, day(1))).unwrap();
    assert!(matches!(&events[..], [Event::CompanyDefined { seed: kept, .. }] if *kept == seed));
    assert_eq!(tenant.state.seed, seed);
}

#[test]
fn two_companies_have_two_seeds() {
    let mut first = Tenant::default();
    let mut second = Tenant::default();
    second.tell(TODAY, &set("E01", Presence::Offline)).unwrap_err();
    for tenant in [&mut first, &mut second] {
        tenant.tell(TODAY, &import(whole_company(), TODAY)).unwrap();
    }
    assert_ne!(first.state.seed, second.state.seed, "made from the import's command id");
}

#[test]
fn who_leaves_leaves_once_and_may_come_back() {
    let mut tenant = given_company();
    assert_eq!(kinds(&tenant.tell(day(1), &import(leave("E01"), day(5))).unwrap()), ["left"]);
    assert_eq!(tenant.tell(day(1), &import(leave("E01"), day(9))), Ok(Vec::new()), "they leave already");
    assert_eq!(tenant.tell(day(1), &import(leave("E99"), day(9))), Err(Rejection::EmployeeUnknown));
    assert!(tenant.tell(day(4), &set("E01", Presence::Available)).is_ok(), "until then they work");
    assert_eq!(tenant.tell(day(5), &set("E01", Presence::Paused)), Err(Rejection::EmployeeLeft));
    let again = import(hire(employee("E01", "east", "service", 24)), day(8));
    assert_eq!(kinds(&tenant.tell(day(8), &again).unwrap()), ["employee"], "the same as before, and yet a change");
    assert!(tenant.tell(day(8), &set("E01", Presence::Paused)).is_ok());
}

#[test]
fn whoever_says_that_they_are_there_is_heard_also_when_they_say_it_again() {
    let mut tenant = given_company();
    assert_eq!(tenant.tell(TODAY, &set("E99", Presence::Available)), Err(Rejection::EmployeeUnknown));
    // Assignment pauses who misses offers; roster does not know, and must not swallow that they are back.
    for presence in [Presence::Available, Presence::Available, Presence::Paused, Presence::Offline, Presence::Offline] {
        assert_eq!(kinds(&tenant.tell(TODAY, &set("E01", presence)).unwrap()), ["set"]);
        assert_eq!(tenant.state.presence[&id("E01")], presence);
    }
}

#[test]
fn a_lost_presence_is_lost_once() {
    let mut tenant = given_company();
    let lose = Command::LosePresence { employee_id: id("E01") };
    assert_eq!(tenant.tell(TODAY, &lose), Ok(Vec::new()), "who never came cannot be lost");
    tenant.tell(TODAY, &set("E01", Presence::Paused)).unwrap();
    assert_eq!(kinds(&tenant.tell(TODAY, &lose).unwrap()), ["lost"]);
    assert_eq!(tenant.tell(TODAY, &lose), Ok(Vec::new()));
    assert_eq!(tenant.tell(TODAY, &Command::LosePresence { employee_id: id("E99") }), Ok(Vec::new()));
}

#[test]
fn who_starts_tomorrow_may_sit_down_today_also_when_their_last_day_is_known() {
    let mut tenant = given_company();
    tenant.tell(TODAY, &import(hire(employee("E03", "east", "service", 1)), day(1))).unwrap();
    assert!(tenant.tell(TODAY, &set("E03", Presence::Available)).is_ok());
    tenant.tell(TODAY, &import(leave("E03"), day(90))).unwrap();
    assert!(tenant.tell(TODAY, &set("E03", Presence::Paused)).is_ok(), "a contract for three months is a contract");
    assert_eq!(tenant.tell(day(90), &set("E03", Presence::Available)), Err(Rejection::EmployeeLeft));
}
