//! The fold of intake.

use kernel::{CustomerId, FactKey, KeyId, Sealed, Violation};

use super::decide::{COST, INQUIRY, ORDER, PAYMENT, RATING, REFUND, fact_key};
use super::types::{Customer, CustomerFacts, Event, Fact, Inquiry, Order, State};

pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::CustomerUpserted(facts) => upsert(state, facts),
        Event::CustomersLinked { kept, merged, .. } => {
            if let Some(customer) = state.customers.get_mut(merged) {
                customer.merged_into = Some(*kept);
            }
        }
        Event::InquirySubmitted { inquiry_id, customer_id, inquiry } => {
            note(state, INQUIRY, &inquiry.fact, *inquiry_id.as_bytes());
            for message in &inquiry.messages {
                note_key(state, *customer_id, message.text.key_id);
            }
            let messages = inquiry.messages.iter().map(|message| (message.key, message.body_mac)).collect();
            let kept = Inquiry { messages, ..kept(&inquiry.fact, *customer_id, &inquiry.desk) };
            state.inquiries.insert(*inquiry_id, kept);
        }
        Event::MessageAppended { inquiry_id, customer_id, message } => {
            note_key(state, *customer_id, message.text.key_id);
            if let Some(inquiry) = state.inquiries.get_mut(inquiry_id) {
                inquiry.messages.push((message.key, message.body_mac));
            }
        }
        Event::InquiryClosed { inquiry_id, .. } => {
            if let Some(inquiry) = state.inquiries.get_mut(inquiry_id) {
                inquiry.closed = true;
            }
        }
        Event::OrderRecorded { order_id, customer_id, order } => {
            note(state, ORDER, &order.fact, *order_id.as_bytes());
            let kept = Order { customer_id: *customer_id, amount: order.amount, refunded: 0, history: order.history };
            state.orders.insert(*order_id, kept);
        }
        Event::PaymentRecorded { payment_id, fact, .. } => note(state, PAYMENT, fact, *payment_id.as_bytes()),
        Event::RefundRecorded { refund_id, order_id, fact, amount, .. } => {
            note(state, REFUND, fact, *refund_id.as_bytes());
            if let Some(order) = state.orders.get_mut(order_id) {
                order.refunded += refunded_by(amount.minor);
            }
        }
        Event::RatingRecorded { rating_id, fact, .. } => note(state, RATING, fact, *rating_id.as_bytes()),
        Event::CostRecorded { cost_id, cost } => note(state, COST, &cost.fact(), *cost_id.as_bytes()),
        Event::HistoryInquiryRecorded { inquiry_id, customer_id, fact, desk, .. } => {
            note(state, INQUIRY, fact, *inquiry_id.as_bytes());
            let kept = Inquiry { closed: true, history: true, ..kept(fact, *customer_id, desk) };
            state.inquiries.insert(*inquiry_id, kept);
        }
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn refunded_by(minor: i64) -> i64 {
    minor
}

#[cfg(feature = "planted-bugs")]
fn refunded_by(minor: i64) -> i64 {
    if crate::planted::is(1) { minor + 1 } else { minor }
}

fn kept(fact: &Fact, customer_id: CustomerId, desk: &str) -> Inquiry {
    Inquiry {
        customer_id,
        desk: desk.to_owned(),
        platform: fact.platform.clone(),
        external_id: fact.external_id.clone(),
        closed: false,
        history: false,
        messages: Vec::new(),
        occurred_at: fact.occurred_at,
    }
}

fn note(state: &mut State, kind: &'static str, fact: &Fact, id: [u8; 16]) {
    let key: FactKey = fact_key(kind, fact);
    state.facts.insert(key, (id, fact.body_mac));
}

fn upsert(state: &mut State, facts: &CustomerFacts) {
    state.customer_by_key.insert(facts.customer_key, facts.customer_id);
    let customer = state.customers.get_or_insert_with(facts.customer_id, Customer::default);
    customer.key = facts.customer_key;
    customer.body_mac = facts.body_mac;
    customer.language.clone_from(&facts.details.language);
    let details = &facts.details;
    customer.told_at = facts.occurred_at;
    customer.named |= details.tells();
    let sealed: [&Option<Sealed>; 4] = [&details.external_id, &details.name, &details.phone, &details.address];
    let keys: Vec<KeyId> = sealed.into_iter().flatten().map(|sealed| sealed.key_id).collect();
    for key in keys {
        note_key(state, facts.customer_id, key);
    }
}

fn note_key(state: &mut State, customer: CustomerId, key: KeyId) {
    if let Some(customer) = state.customers.get_mut(&customer)
        && !customer.keys.contains(&key)
    {
        customer.keys.push(key);
    }
}

pub(super) fn invariants(state: &State) -> Result<(), Violation> {
    for (id, order) in state.orders.sorted() {
        if order.refunded < 0 || order.refunded > order.amount.minor {
            let what = format!("order {id} of {} has {} minor units refunded", order.amount, order.refunded);
            return Err(Violation { law: "refunds never exceed their order", what });
        }
    }
    for (id, inquiry) in state.inquiries.sorted() {
        if !state.customers.contains_key(&inquiry.customer_id) {
            return Err(Violation { law: "every inquiry has a customer", what: format!("inquiry {id}") });
        }
    }
    let facts = state.facts.len();
    if facts < state.orders.len() + state.inquiries.len() {
        return Err(Violation { law: "every fact has a natural key", what: format!("{facts} keys") });
    }
    Ok(())
}
