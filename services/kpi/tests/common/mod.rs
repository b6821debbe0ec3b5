//! Contacts, orders and what came of them, for the tests of kpi.

#![allow(dead_code, reason = "each test binary uses its own part")]

use kernel::{
    Actor, AssignmentId, CommandId, Currency, CustomerId, Decider, Duration, EmployeeId, InquiryId, Money, OrderId,
    OutcomeId, Stamp, TenantId, Timestamp,
};
use kpi::Kpi;
use kpi::domain::{Command, Contact, Credit, Employee, Event, Granted, NewOrder, State};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
/// Midnight at which the tests begin.
pub const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

/// So many hours after the start.
pub fn hour(n: i64) -> Timestamp {
    START + Duration::from_hours(n)
}

pub fn stamp(n: usize) -> Stamp {
    let command_id = CommandId::of_parts(&[&n.to_le_bytes()]);
    Stamp { at: hour(1_000), tenant: TENANT, command_id, actor: Actor::default() }
}

pub fn customer(n: u8) -> CustomerId {
    CustomerId::from_bytes([n; 16])
}

pub fn employee(n: u8) -> EmployeeId {
    EmployeeId::from_bytes([n; 16])
}

pub fn inquiry(n: u8) -> InquiryId {
    InquiryId::from_bytes([n; 16])
}

pub fn order_id(n: u8) -> OrderId {
    OrderId::from_bytes([n; 16])
}

pub fn outcome(n: u8) -> OutcomeId {
    OutcomeId::from_bytes([n; 16])
}

pub fn yuan(minor: i64) -> Money {
    Money::new(minor, Currency::CNY)
}

/// The `n`th contact: agent and customer, in inquiry `n`, at desk `east`.
pub fn contact(n: u8, who: u8, of: u8, at: Timestamp) -> Command {
    let contact = Contact {
        inquiry_id: inquiry(n),
        assignment_id: AssignmentId::from_bytes([n; 16]),
        employee_id: employee(who),
        desk: "east".to_owned(),
        intent: "price".to_owned(),
        occurred_at: at,
        history: false,
        waited_ms: u64::from(n) * 1_000,
    };
    Command::NoteContact { customer_id: customer(of), contact }
}

pub fn past_contact(n: u8, who: u8, of: u8, at: Timestamp) -> Command {
    changed_contact(contact(n, who, of, at), |contact| contact.history = true)
}

pub fn changed_contact(command: Command, change: impl FnOnce(&mut Contact)) -> Command {
    let Command::NoteContact { customer_id, mut contact } = command else { panic!("a contact is expected") };
    change(&mut contact);
    Command::NoteContact { customer_id, contact }
}

pub fn order(n: u8, of: u8, amount: Money, at: Timestamp) -> Command {
    let order = NewOrder {
        order_id: order_id(n),
        customer_id: customer(of),
        amount,
        occurred_at: at,
        history: false,
        handler: None,
    };
    Command::NoteOrder(order)
}

/// An order of the past, with who sold it where that is known.
pub fn past_order(n: u8, of: u8, amount: Money, at: Timestamp, handler: Option<u8>) -> Command {
    let Command::NoteOrder(order) = order(n, of, amount, at) else { unreachable!() };
    Command::NoteOrder(NewOrder { history: true, handler: handler.map(employee), ..order })
}

pub fn refund(n: u8, of: u8, amount: Money, at: Timestamp) -> Command {
    Command::NoteRefund { refund_id: outcome(n), order_id: order_id(of), amount, occurred_at: at, history: false }
}

pub fn payment(n: u8, of: u8, amount: Money, at: Timestamp) -> Command {
    Command::NotePayment { payment_id: outcome(n), order_id: order_id(of), amount, occurred_at: at }
}

pub fn rating(n: u8, of: u8, score: u32, at: Timestamp) -> Command {
    Command::NoteRating { rating_id: outcome(n), inquiry_id: inquiry(of), score, occurred_at: at }
}

pub fn merge(kept: u8, merged: u8) -> Command {
    Command::MergeCustomers { kept: customer(kept), merged: customer(merged) }
}

pub fn hired(n: u8, desk: &str) -> Command {
    let known = Employee { code: format!("E{n}"), desk: desk.to_owned(), position: "sales".to_owned() };
    Command::NoteEmployee { employee_id: employee(n), employee: known, effective_from: START }
}

/// A tenant to whom facts are told one after the other.
#[derive(Default)]
pub struct Tenant {
    pub state: State,
    /// All events so far.
    pub log: Vec<Event>,
    told: usize,
}

impl Tenant {
    pub fn tell(&mut self, command: &Command) -> Vec<Event> {
        self.told += 1;
        let events = Kpi::decide(&self.state, command, &stamp(self.told)).expect("facts are never refused here");
        for event in &events {
            Kpi::evolve(&mut self.state, event);
        }
        Kpi::invariants(&self.state).expect("the laws hold");
        self.log.extend(events.iter().cloned());
        events
    }

    /// Who stands credited for an order, and with how much in all.
    pub fn credited(&self, order: u8) -> Option<(EmployeeId, i64)> {
        let order = self.state.orders.get(&order_id(order))?;
        let attribution = order.attribution.as_ref()?;
        Some((attribution.employee_id, order.credits.iter().map(|credit: &Credit| credit.amount).sum()))
    }

    pub fn granted(&self) -> impl Iterator<Item = &Granted> {
        self.log.iter().filter_map(|event| match event {
            Event::CreditGranted(granted) => Some(granted),
            _ => None,
        })
    }
}

pub fn given(facts: &[Command]) -> Tenant {
    let mut tenant = Tenant::default();
    for fact in facts {
        tenant.tell(fact);
    }
    tenant
}

/// The kinds of events: what a decision did.
pub fn kinds(events: &[Event]) -> Vec<&'static str> {
    let kind = |event: &Event| match event {
        Event::ContactNoted { .. } => "contact",
        Event::OrderNoted(_) => "order",
        Event::PaymentNoted { .. } => "payment",
        Event::RefundNoted { .. } => "refund",
        Event::RatingNoted { .. } => "rating",
        Event::CreditGranted(_) => "granted",
        Event::CreditReversed { .. } => "reversed",
        Event::CustomersMerged { .. } => "merged",
        Event::EmployeeNoted { .. } => "employee",
    };
    events.iter().map(kind).collect()
}
