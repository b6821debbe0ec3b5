//! Facts from outside, for the tests of intake.

#![allow(dead_code, reason = "each test binary uses its own part")]

use intake::Intake;
use intake::domain::{
    Command, Cost, CustomerDetails, CustomerRef, Direction, Event, Fact, FactRef, Message, NewCustomer, NewInquiry,
    NewOrder, Rejection, State, key_of,
};
use kernel::{
    Actor, CommandId, Currency, DataKey, Decider, Duration, FactKey, KeyId, Money, Purpose, SealPlace, Sealed, Stamp,
    Subject, TenantId, Timestamp, seal,
};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
/// Noon of some day: facts happen around it.
pub const NOON: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
pub const PLATFORM: &str = "taobao";

/// The stamp of the `n`th request.
pub fn stamp(n: usize, at: Timestamp) -> Stamp {
    let command_id = CommandId::of_parts(&[&n.to_le_bytes()]);
    Stamp { at, tenant: TENANT, command_id, actor: Actor::default() }
}

/// A body's keyed hash: the same for the same body.
pub fn mac(body: &str) -> [u8; 16] {
    *FactKey::of_parts(&[body.as_bytes()]).as_bytes()
}

pub fn sealed(customer: u8, field: &str, clear: &str) -> Sealed {
    let place = SealPlace { tenant: TENANT, command_id: CommandId::from_bytes([9; 16]), field };
    let (key, key_id) = (DataKey([customer; 32]), KeyId::from_bytes([customer; 16]));
    seal(&key, key_id, Subject([customer; 16]), Purpose::Service, place, clear.as_bytes())
}

pub fn customer(n: u8) -> NewCustomer {
    customer_named(n, "王师傅")
}

pub fn customer_named(n: u8, name: &str) -> NewCustomer {
    let details = CustomerDetails {
        platform: PLATFORM.to_owned(),
        external_id: Some(sealed(n, "customer.external_id", &format!("c{n}"))),
        name: Some(sealed(n, "customer.name", name)),
        language: "zh".to_owned(),
        ..CustomerDetails::default()
    };
    NewCustomer { reference: customer_key(n), details, body_mac: mac(&format!("customer {n} {name}")) }
}

pub fn customer_key(n: u8) -> CustomerRef {
    CustomerRef::Key([n; 16])
}

/// A fact that happened so many minutes after noon. Its body is hashed with it.
pub fn fact(external_id: &str, minutes: i64, body: &str) -> Fact {
    Fact {
        platform: PLATFORM.to_owned(),
        external_id: external_id.to_owned(),
        body_mac: mac(&format!("{external_id} {minutes} {body}")),
        occurred_at: NOON + Duration::from_secs(minutes * 60),
    }
}

pub fn message(inquiry: &str, external_id: &str, customer: u8, text: &str) -> Message {
    let key = FactKey::of_parts(&[b"message", inquiry.as_bytes(), external_id.as_bytes()]);
    Message {
        key,
        direction: Direction::Customer,
        text: sealed(customer, "messages[0].text", text),
        occurred_at: NOON,
        characters: u32::try_from(text.chars().count()).expect("short"),
        body_mac: mac(text),
    }
}

pub fn submit(who: u8, external_id: &str, minutes: i64, texts: &[(&str, &str)]) -> Command {
    let inquiry = NewInquiry {
        fact: fact(external_id, minutes, &format!("{who} {texts:?}")),
        desk: "east".to_owned(),
        channel: "chat".to_owned(),
        language: "zh".to_owned(),
        priority_minutes: 3,
        category: "pumps".to_owned(),
        messages: texts.iter().map(|(id, text)| message(external_id, id, who, text)).collect(),
    };
    Command::SubmitInquiry { customer: customer(who), inquiry }
}

pub fn append(inquiry: &str, external_id: &str, text: &str) -> Command {
    Command::AppendMessage { inquiry: inquiry_ref(inquiry), message: message(inquiry, external_id, 1, text) }
}

pub fn close(inquiry: &str) -> Command {
    Command::CloseInquiry { inquiry: inquiry_ref(inquiry), reason: "resolved".to_owned(), occurred_at: NOON }
}

pub fn inquiry_ref<I>(external_id: &str) -> FactRef<I> {
    FactRef::Key(key_of("inquiry", PLATFORM, external_id))
}

pub fn order_ref<I>(external_id: &str) -> FactRef<I> {
    FactRef::Key(key_of("order", PLATFORM, external_id))
}

pub fn yuan(minor: i64) -> Money {
    Money::new(minor, Currency::CNY)
}

pub fn dollars(minor: i64) -> Money {
    Money::new(minor, Currency::USD)
}

pub fn order(who: u8, external_id: &str, amount: Money, history: bool) -> Command {
    let handler = if history { "E01" } else { "" };
    let fact = fact(external_id, 0, &format!("{who} {amount} {history}"));
    Command::RecordOrder {
        customer: customer(who),
        order: NewOrder { fact, amount, history, handler: handler.to_owned() },
    }
}

pub fn payment(of: &str, external_id: &str, amount: Money) -> Command {
    Command::RecordPayment { order: order_ref(of), fact: fact(external_id, 1, &format!("{of} {amount}")), amount }
}

pub fn refund(of: &str, external_id: &str, amount: Money) -> Command {
    Command::RecordRefund { order: order_ref(of), fact: fact(external_id, 2, &format!("{of} {amount}")), amount }
}

pub fn rating(of: &str, external_id: &str, score: u32) -> Command {
    Command::RecordRating { inquiry: inquiry_ref(of), fact: fact(external_id, 3, &format!("{of} {score}")), score }
}

pub fn cost(external_id: &str, amount: Money) -> Command {
    Command::RecordCost(Cost {
        external_id: external_id.to_owned(),
        body_mac: mac(&format!("{external_id} {amount}")),
        occurred_at: NOON,
        kind: "advertising".to_owned(),
        desk: "east".to_owned(),
        amount,
    })
}

pub fn history(who: u8, external_id: &str) -> Command {
    let fact = fact(external_id, -60 * 24 * 30, &format!("history {who}"));
    let (desk, handler) = ("east".to_owned(), "E01".to_owned());
    Command::RecordHistoryInquiry { customer: customer(who), fact, desk, handler }
}

pub fn link(kept: u8, merged: u8) -> Command {
    Command::LinkCustomers { kept: customer_key(kept), merged: customer_key(merged), occurred_at: NOON }
}

pub fn upsert(who: u8, name: &str) -> Command {
    Command::UpsertCustomer { customer: customer_named(who, name), occurred_at: NOON }
}

/// A tenant to whom commands are given one after the other, a second apart, from noon on.
#[derive(Default)]
pub struct Tenant {
    pub state: State,
    given: usize,
}

impl Tenant {
    pub fn tell(&mut self, command: &Command) -> Result<Vec<Event>, Rejection> {
        self.given += 1;
        let at = NOON + Duration::from_secs(i64::try_from(self.given).expect("few"));
        let events = Intake::decide(&self.state, command, &stamp(self.given, at))?;
        for event in &events {
            Intake::evolve(&mut self.state, event);
        }
        Intake::invariants(&self.state).expect("the laws hold");
        Ok(events)
    }
}

/// A tenant that has been told `commands`, each of which must be carried out.
pub fn given(commands: &[Command]) -> Tenant {
    let mut tenant = Tenant::default();
    for command in commands {
        tenant.tell(command).unwrap_or_else(|refusal| panic!("given {command:?}: {refusal}"));
    }
    tenant
}
