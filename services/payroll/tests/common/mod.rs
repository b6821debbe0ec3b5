//! Plans, people, credits and closes, for the tests of payroll.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::collections::BTreeMap;

use kernel::{
    Actor, CommandId, CreditId, Currency, Decider, Duration, EmployeeId, Money, OrderId, Rounding, Stamp, TenantId,
    Timestamp,
};
use payroll::Payroll;
use payroll::domain::{
    Basis, Command, Company, Component, Credit, Earning, Event, Method, Participant, PayoutChanged, Plan, Rejection,
    State, Tier,
};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
/// Midnight at which the first month begins.
pub const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
/// Every month of the tests has thirty days.
pub const MONTH: Duration = Duration::from_days(30);

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

/// So many days after the start.
pub fn day(n: i64) -> Timestamp {
    START + Duration::from_days(n)
}

pub fn stamp(n: usize, at: Timestamp) -> Stamp {
    let command_id = CommandId::of_parts(&[&n.to_le_bytes()]);
    Stamp { at, tenant: TENANT, command_id, actor: Actor::default() }
}

pub fn employee(n: u8) -> EmployeeId {
    EmployeeId::from_bytes([n; 16])
}

pub fn credit_id(n: u16) -> CreditId {
    CreditId::of_parts(&[&n.to_le_bytes()])
}

pub fn yuan(minor: i64) -> Money {
    Money::new(minor, Currency::CNY)
}

pub fn company() -> Command {
    Command::NoteCompany(Company {
        legal_entity: "SH01".to_owned(),
        currency: Currency::CNY,
        zone: "Asia/Shanghai".to_owned(),
    })
}

/// Tiers as (lo, rate); each ends where the next begins.
pub fn tiers(table: &[(&str, &str)]) -> Vec<Tier> {
    let parse = |text: &str| text.parse().expect("a decimal");
    let tier = |(n, (lo, rate)): (usize, &(&str, &str))| Tier {
        lo: parse(lo),
        hi: table.get(n + 1).map(|(hi, _)| parse(hi)),
        rate: parse(rate),
    };
    table.iter().enumerate().map(tier).collect()
}

pub fn component(code: &str, basis: Basis, method: Method, table: &[(&str, &str)]) -> Component {
    Component { code: code.to_owned(), basis, method, tiers: tiers(table) }
}

/// A plan for a position with a commission on net sales.
pub fn plan(code: &str, version: u32, position: &str, from: Timestamp, table: &[(&str, &str)]) -> Plan {
    Plan {
        code: code.to_owned(),
        version,
        position: position.to_owned(),
        currency: Currency::CNY,
        components: vec![component("commission", Basis::NetSales, Method::Marginal, table)],
        rounding: Rounding::HalfUp,
        effective_from: from,
    }
}

/// Version 1 of plan `code`: a flat rate from long ago.
pub fn flat(code: &str, position: &str, rate: &str) -> Command {
    Command::ActivatePlan(plan(code, 1, position, day(-1_000), &[("0", rate)]))
}

pub fn hired(n: u8, position: &str, from: Timestamp) -> Command {
    let participant = Participant { code: format!("E{n}"), position: position.to_owned() };
    Command::NoteParticipant { employee_id: employee(n), participant, effective_from: from }
}

pub fn credit(n: u16, who: u8, amount: Money, at: Timestamp) -> Command {
    let credit = Credit {
        employee_id: employee(who),
        order_id: OrderId::of_parts(&[&n.to_le_bytes()]),
        inquiry_id: None,
        amount,
        occurred_at: at,
        refund: amount.minor < 0,
        new_customer: false,
    };
    Command::NoteCredit { credit_id: credit_id(n), credit, kpi_seq: u64::from(n) }
}

pub fn reversal(n: u16) -> Command {
    Command::NoteReversal { credit_id: credit_id(n), kpi_seq: 1_000 + u64::from(n) }
}

/// The name of the `n`th month, from 0.
pub fn month(n: i64) -> String {
    format!("2026-{:02}", n + 1)
}

/// Closes the `n`th month, from 0.
pub fn close(n: i64) -> Command {
    Command::ClosePeriod { period: month(n), start: day(30 * n), end: day(30 * (n + 1)) }
}

pub fn approve(n: i64) -> Command {
    Command::ApprovePayouts { period: month(n) }
}

/// A tenant to whom commands are given one after the other, all long after the months of the tests.
#[derive(Default)]
pub struct Tenant {
    pub state: State,
    pub log: Vec<Event>,
    given: usize,
}

impl Tenant {
    pub fn tell(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        self.given += 1;
        let events = Payroll::decide(&self.state, command, &stamp(self.given, day(3_000)))?;
        for event in &events {
            Payroll::evolve(&mut self.state, event);
        }
        Payroll::invariants(&self.state).expect("the laws hold");
        self.log.extend(events.iter().cloned());
        Ok(events)
    }

    pub fn told(&mut self, command: &Command) -> Vec<Event> {
        self.tell(command).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"))
    }

    /// Balance of an account of the one company, in minor units of its currency.
    pub fn balance(&self, account: &str) -> i128 {
        let key = ("SH01".to_owned(), Currency::CNY);
        self.state.ledger.get(&key).and_then(|accounts| accounts.get(account)).copied().unwrap_or(0)
    }
}

pub fn given(commands: &[Command]) -> Tenant {
    let mut tenant = Tenant::default();
    for command in commands {
        tenant.told(command);
    }
    tenant
}

/// A company with a seller (employee 1) at 5 %.
pub fn given_seller(more: &[Command]) -> Tenant {
    let mut commands = vec![company(), flat("sales", "seller", "0.05"), hired(1, "seller", day(-100))];
    commands.extend_from_slice(more);
    given(&commands)
}

pub fn earnings(events: &[Event]) -> Vec<Earning> {
    let earning = |event: &Event| match event {
        Event::EarningAccrued(earning) => Some(earning.clone()),
        _ => None,
    };
    events.iter().filter_map(earning).collect()
}

pub fn payouts(events: &[Event]) -> Vec<PayoutChanged> {
    let payout = |event: &Event| match event {
        Event::PayoutChanged(payout) => Some(payout.clone()),
        _ => None,
    };
    events.iter().filter_map(payout).collect()
}

/// Lines as (period earned in, amount, delta).
pub fn lines(events: &[Event]) -> Vec<(String, i64, i64)> {
    earnings(events).into_iter().map(|line| (line.period, line.amount.minor, line.delta.minor)).collect()
}

/// Sums of deltas by participant.
pub fn sums(events: &[Event]) -> BTreeMap<EmployeeId, i64> {
    let mut sums = BTreeMap::new();
    for line in earnings(events) {
        *sums.entry(line.employee_id).or_default() += line.delta.minor;
    }
    sums
}
