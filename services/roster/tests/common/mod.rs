//! A company and its people, for the tests of roster.

#![allow(dead_code, reason = "each test binary uses its own part")]

use kernel::{
    Actor, CommandId, Currency, DataKey, Decider, Duration, EmployeeId, KeyId, Purpose, SealPlace, Sealed, Stamp,
    Subject, TenantId, Timestamp, seal,
};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};
use roster::Roster;
use roster::domain::{
    Command, Company, Desk, Employee, Event, Policy, Position, Presence, Rejection, Shift, State, Wanted, ZoneOffset,
};

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
/// The day on which the tests begin.
pub const TODAY: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

/// So many days after (before) today.
pub fn day(n: i64) -> Timestamp {
    TODAY + Duration::from_days(n)
}

pub fn stamp(n: usize, at: Timestamp) -> Stamp {
    let command_id = CommandId::of_parts(&[&n.to_le_bytes()]);
    Stamp { at, tenant: TENANT, command_id, actor: Actor::default() }
}

pub fn company() -> Company {
    Company {
        name: "Sany Parts".to_owned(),
        currency: Currency::CNY,
        zone: "Asia/Shanghai".to_owned(),
        legal_entity: "SH01".to_owned(),
        code: "test".to_owned(),
    }
}

pub fn desk(code: &str) -> Desk {
    let first = ZoneOffset { from: Timestamp::from_micros(i64::MIN), offset_seconds: 28_800 };
    Desk {
        code: code.to_owned(),
        name_zh: "东区".to_owned(),
        name_en: "East".to_owned(),
        zone: "Asia/Shanghai".to_owned(),
        offsets: vec![first],
    }
}

pub fn position(code: &str, capacity_units: u32) -> Position {
    Position {
        code: code.to_owned(),
        name_zh: "客服".to_owned(),
        name_en: "Service".to_owned(),
        duties: vec!["order_lookup".to_owned(), "after_sales".to_owned()],
        modules: vec!["desk".to_owned()],
        kpis: vec![
            ("csat".to_owned(), "0.30".parse().expect("a decimal")),
            ("conversion".to_owned(), "0.70".parse().expect("a decimal")),
        ],
        capacity_units,
        first_reception: false,
        plan: "service".to_owned(),
    }
}

pub fn id(code: &str) -> EmployeeId {
    EmployeeId::of_code(TENANT, code)
}

/// The name sealed anew: an import seals it under its own command id every time.
pub fn sealed_name(code: &str, import: u8) -> Sealed {
    let field = format!("employees[{code}].name");
    let place = SealPlace { tenant: TENANT, command_id: CommandId::from_bytes([import; 16]), field: &field };
    let subject = Subject(*id(code).as_bytes());
    seal(&DataKey([5; 32]), KeyId::from_bytes([5; 16]), subject, Purpose::Statutory, place, "李雷".as_bytes())
}

pub fn employee(code: &str, desk: &str, position: &str, experience_months: u32) -> Employee {
    Employee {
        employee_id: id(code),
        code: code.to_owned(),
        name: Some(sealed_name(code, 1)),
        name_command_id: CommandId::from_bytes([1; 16]),
        name_mac: [7; 16],
        desk: desk.to_owned(),
        position: position.to_owned(),
        skills: vec![("hydraulics".to_owned(), 3)],
        languages: vec!["zh".to_owned(), "en".to_owned()],
        shifts: vec![Shift { weekday: 1, start_minute: 480, end_minute: 1_020 }],
        experience_months,
    }
}

pub fn policy(misses_max: u32) -> Policy {
    Policy {
        intent_wait_ms: 500,
        accept_timeout_ms: 30_000,
        wrap_up_ms: 60_000,
        chat_cost: 100,
        sticky_hours: 72,
        sticky_wait_ms: 30_000,
        experience_months: 12,
        experience_wait_ms: 30_000,
        misses_max,
        priorities: vec![("after_sales".to_owned(), 10)],
    }
}

/// Two desks, two positions, two people and a policy.
pub fn whole_company() -> Wanted {
    Wanted {
        company: Some(company()),
        desks: vec![desk("east"), desk("west")],
        positions: vec![position("service", 300), position("sales", 400)],
        employees: vec![employee("E01", "east", "service", 24), employee("E02", "west", "sales", 3)],
        leaving: Vec::new(),
        policy: Some(policy(3)),
    }
}

pub fn import(wanted: Wanted, effective_from: Timestamp) -> Command {
    Command::Import { wanted, effective_from }
}

pub fn set(code: &str, presence: Presence) -> Command {
    Command::SetPresence { employee_id: id(code), presence }
}

/// A tenant to whom commands are given one after the other.
#[derive(Default)]
pub struct Tenant {
    pub state: State,
    given: usize,
}

impl Tenant {
    pub fn tell(&mut self, at: Timestamp, command: &Command) -> Result<Vec<Event>, Rejection> {
        self.given += 1;
        let events = Roster::decide(&self.state, command, &stamp(self.given, at))?;
        for event in &events {
            Roster::evolve(&mut self.state, event);
        }
        Roster::invariants(&self.state).expect("the laws hold");
        Ok(events)
    }
}

/// A tenant with the whole company, in force from today.
pub fn given_company() -> Tenant {
    let mut tenant = Tenant::default();
    tenant.tell(TODAY, &import(whole_company(), TODAY)).expect("imported");
    tenant
}
