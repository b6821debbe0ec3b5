//! The decisions of intake: is the fact new, does it fit what is known, may it be admitted.

use std::collections::BTreeSet;

use kernel::{CustomerId, Duration, FactKey, InquiryId, Money, OrderId, OutcomeId, Stamp, Timestamp};

use super::types::{
    Command, Customer, CustomerFacts, CustomerRef, Event, Fact, FactRef, Message, NewCustomer, NewInquiry, NewOrder,
    Order, Rejection, State,
};
use super::{AMOUNT_MAX, OCCURRED_SKEW_MAX};

/// Messages of one inquiry: longer conversations are new inquiries (L9).
pub const MESSAGES_MAX: usize = 500;

/// The natural key of a fact.
pub(crate) fn fact_key(kind: &'static str, fact: &Fact) -> FactKey {
    key_of(kind, &fact.platform, &fact.external_id)
}

/// The natural key of a fact by its parts.
pub fn key_of(kind: &'static str, platform: &str, external_id: &str) -> FactKey {
    FactKey::of_parts(&[kind.as_bytes(), platform.as_bytes(), external_id.as_bytes()])
}

pub(crate) const INQUIRY: &str = "inquiry";
pub(crate) const ORDER: &str = "order";
pub(crate) const PAYMENT: &str = "payment";
pub(crate) const REFUND: &str = "refund";
pub(crate) const RATING: &str = "rating";
pub(crate) const COST: &str = "cost";

pub(super) fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::UpsertCustomer { customer, occurred_at } => upsert_customer(state, customer, *occurred_at, stamp),
        Command::LinkCustomers { kept, merged, occurred_at } => link(state, *kept, *merged, *occurred_at, stamp),
        Command::SubmitInquiry { customer, inquiry } => submit(state, customer, inquiry, stamp),
        Command::AppendMessage { inquiry, message } => append(state, *inquiry, message, stamp),
        Command::CloseInquiry { inquiry, reason, occurred_at } => {
            not_in_future(*occurred_at, stamp)?;
            let (inquiry_id, found) = find_inquiry(state, *inquiry)?;
            let event = Event::InquiryClosed { inquiry_id, reason: reason.clone(), occurred_at: *occurred_at };
            Ok(if found.closed || found.history { Vec::new() } else { vec![event] })
        }
        Command::RecordOrder { customer, order } => record_order(state, customer, order, stamp),
        Command::RecordPayment { order, fact, amount } => {
            let Some((order_id, known)) = new_outcome(state, PAYMENT, *order, fact, *amount, stamp)? else {
                return Ok(Vec::new());
            };
            let payment_id = OutcomeId::derive(stamp.tenant, stamp.command_id, 0);
            let (customer_id, history) = (root(state, known.customer_id), known.history);
            let (fact, amount) = (fact.clone(), *amount);
            Ok(vec![Event::PaymentRecorded { payment_id, order_id, customer_id, fact, amount, history }])
        }
        Command::RecordRefund { order, fact, amount } => {
            let Some((order_id, known)) = new_outcome(state, REFUND, *order, fact, *amount, stamp)? else {
                return Ok(Vec::new());
            };
            if known.refunded.checked_add(amount.minor).is_none_or(|refunded| refunded > known.amount.minor) {
                return Err(Rejection::RefundExceedsOrder);
            }
            let refund_id = OutcomeId::derive(stamp.tenant, stamp.command_id, 0);
            let (customer_id, history) = (root(state, known.customer_id), known.history);
            let (fact, amount) = (fact.clone(), *amount);
            Ok(vec![Event::RefundRecorded { refund_id, order_id, customer_id, fact, amount, history }])
        }
        Command::RecordRating { inquiry, fact, score } => {
            if !is_new(state, RATING, fact, stamp)? {
                return Ok(Vec::new());
            }
            let (inquiry_id, found) = find_inquiry(state, *inquiry)?;
            let rating_id = OutcomeId::derive(stamp.tenant, stamp.command_id, 0);
            let customer_id = root(state, found.customer_id);
            Ok(vec![Event::RatingRecorded { rating_id, inquiry_id, customer_id, fact: fact.clone(), score: *score }])
        }
        Command::RecordCost(cost) => {
            in_range(cost.amount)?;
            if !is_new(state, COST, &cost.fact(), stamp)? {
                return Ok(Vec::new());
            }
            let cost_id = OutcomeId::derive(stamp.tenant, stamp.command_id, 0);
            Ok(vec![Event::CostRecorded { cost_id, cost: cost.clone() }])
        }
        Command::RecordHistoryInquiry { customer, fact, desk, handler } => {
            if !is_new(state, INQUIRY, fact, stamp)? {
                return Ok(Vec::new());
            }
            let (mut events, customer_id) = admit(state, customer, fact.occurred_at, stamp)?;
            let inquiry_id = InquiryId::derive(stamp.tenant, stamp.command_id, 0);
            let (fact, desk, handler) = (fact.clone(), desk.clone(), handler.clone());
            events.push(Event::HistoryInquiryRecorded { inquiry_id, customer_id, fact, desk, handler });
            Ok(events)
        }
    }
}

fn not_in_future(occurred_at: Timestamp, stamp: &Stamp) -> Result<(), Rejection> {
    if occurred_at > stamp.at + skew_max() { Err(Rejection::OccurredInFuture) } else { Ok(()) }
}

#[cfg(not(feature = "planted-bugs"))]
fn skew_max() -> Duration {
    OCCURRED_SKEW_MAX
}

#[cfg(feature = "planted-bugs")]
fn skew_max() -> Duration {
    if crate::planted::is(2) { Duration::from_secs(-3_600) } else { OCCURRED_SKEW_MAX }
}

fn in_range(amount: Money) -> Result<(), Rejection> {
    match amount.minor {
        ..0 => Err(Rejection::NegativeAmount),
        0..=AMOUNT_MAX => Ok(()),
        _ => Err(Rejection::AmountTooLarge),
    }
}

/// Whether the fact is new; the same natural key with another body is refused.
fn is_new(state: &State, kind: &'static str, fact: &Fact, stamp: &Stamp) -> Result<bool, Rejection> {
    not_in_future(fact.occurred_at, stamp)?;
    match state.facts.get(&fact_key(kind, fact)) {
        None => Ok(true),
        Some((_, body)) if *body == fact.body_mac => Ok(false),
        Some(_) => Err(Rejection::FactDiffers { kind, external_id: fact.external_id.clone() }),
    }
}

/// The order of a new payment or refund; `None` when the fact is known.
fn new_outcome<'s>(
    state: &'s State,
    kind: &'static str,
    order: FactRef<OrderId>,
    fact: &Fact,
    amount: Money,
    stamp: &Stamp,
) -> Result<Option<(OrderId, &'s Order)>, Rejection> {
    in_range(amount)?;
    if !is_new(state, kind, fact, stamp)? {
        return Ok(None);
    }
    let order_id = match order {
        FactRef::Id(id) => Some(id),
        FactRef::Key(key) => state.facts.get(&key).map(|(id, _)| OrderId::from_bytes(*id)),
    };
    let found = order_id.and_then(|id| state.orders.get(&id).map(|order| (id, order)));
    let (order_id, order) = found.ok_or(Rejection::OrderUnknown)?;
    if order.amount.currency != amount.currency {
        return Err(Rejection::OtherCurrency);
    }
    Ok(Some((order_id, order)))
}

/// The identity that a customer counts as.
fn root(state: &State, mut id: CustomerId) -> CustomerId {
    while let Some(kept) = state.customers.get(&id).and_then(|customer| customer.merged_into) {
        id = kept;
    }
    id
}

fn find_customer(state: &State, reference: CustomerRef) -> Option<CustomerId> {
    let id = match reference {
        CustomerRef::Key(key) => state.customer_by_key.get(&key).copied(),
        CustomerRef::Id(id) => state.customers.contains_key(&id).then_some(id),
    };
    id.map(|id| root(state, id))
}

fn find_inquiry(state: &State, inquiry: FactRef<InquiryId>) -> Result<(InquiryId, &super::Inquiry), Rejection> {
    let id = match inquiry {
        FactRef::Id(id) => Some(id),
        FactRef::Key(key) => state.facts.get(&key).map(|(id, _)| InquiryId::from_bytes(*id)),
    };
    id.and_then(|id| state.inquiries.get(&id).map(|inquiry| (id, inquiry))).ok_or(Rejection::InquiryUnknown)
}

/// The customer's id, with the event that admits them when they are new.
fn admit(
    state: &State,
    customer: &NewCustomer,
    occurred_at: Timestamp,
    stamp: &Stamp,
) -> Result<(Vec<Event>, CustomerId), Rejection> {
    if let Some(id) = find_customer(state, customer.reference) {
        return Ok((Vec::new(), id));
    }
    let CustomerRef::Key(customer_key) = customer.reference else { return Err(Rejection::CustomerUnknown) };
    let customer_id = CustomerId::derive(stamp.tenant, stamp.command_id, 0);
    let details = customer.details.clone();
    let facts = CustomerFacts { customer_id, customer_key, details, occurred_at, body_mac: customer.body_mac };
    Ok((vec![Event::CustomerUpserted(facts)], customer_id))
}

fn upsert_customer(
    state: &State,
    customer: &NewCustomer,
    occurred_at: Timestamp,
    stamp: &Stamp,
) -> Result<Vec<Event>, Rejection> {
    not_in_future(occurred_at, stamp)?;
    let CustomerRef::Key(customer_key) = customer.reference else { return Err(Rejection::CustomerUnknown) };
    let Some(customer_id) = state.customer_by_key.get(&customer_key).copied() else {
        return Ok(admit(state, customer, occurred_at, stamp)?.0);
    };
    // What was so before what is known is old news: a file that is told again from its beginning changes nothing.
    let unchanged = state.customers.get(&customer_id).is_some_and(|known: &Customer| {
        let old = occurred_at < known.told_at && (known.named || !customer.details.tells());
        known.body_mac == customer.body_mac || old
    });
    if unchanged {
        return Ok(Vec::new());
    }
    let details = customer.details.clone();
    let facts = CustomerFacts { customer_id, customer_key, details, occurred_at, body_mac: customer.body_mac };
    Ok(vec![Event::CustomerUpserted(facts)])
}

fn link(
    state: &State,
    kept: CustomerRef,
    merged: CustomerRef,
    occurred_at: Timestamp,
    stamp: &Stamp,
) -> Result<Vec<Event>, Rejection> {
    not_in_future(occurred_at, stamp)?;
    let kept = find_customer(state, kept).ok_or(Rejection::CustomerUnknown)?;
    let merged = find_customer(state, merged).ok_or(Rejection::CustomerUnknown)?;
    if kept == merged {
        return Ok(Vec::new());
    }
    Ok(vec![Event::CustomersLinked { kept, merged, occurred_at }])
}

fn submit(state: &State, customer: &NewCustomer, inquiry: &NewInquiry, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    if !is_new(state, INQUIRY, &inquiry.fact, stamp)? {
        return Ok(Vec::new());
    }
    let mut keys = BTreeSet::new();
    for message in &inquiry.messages {
        not_in_future(message.occurred_at, stamp)?;
        // Not dropped when equal: a message's seal names its place among the request's messages.
        if !keys.insert(message.key) {
            return Err(Rejection::MessageRepeated);
        }
    }
    let (mut events, customer_id) = admit(state, customer, inquiry.fact.occurred_at, stamp)?;
    let inquiry_id = InquiryId::derive(stamp.tenant, stamp.command_id, 0);
    events.push(Event::InquirySubmitted { inquiry_id, customer_id, inquiry: inquiry.clone() });
    Ok(events)
}

fn append(
    state: &State,
    inquiry: FactRef<InquiryId>,
    message: &Message,
    stamp: &Stamp,
) -> Result<Vec<Event>, Rejection> {
    not_in_future(message.occurred_at, stamp)?;
    let (inquiry_id, found) = find_inquiry(state, inquiry)?;
    if let Some((_, body)) = found.messages.iter().find(|(key, _)| *key == message.key) {
        return if *body == message.body_mac { Ok(Vec::new()) } else { Err(Rejection::MessageDiffers) };
    }
    if found.closed || found.history {
        return Err(Rejection::InquiryClosed);
    }
    if found.messages.len() >= MESSAGES_MAX {
        return Err(Rejection::TooManyMessages);
    }
    let customer_id = root(state, found.customer_id);
    Ok(vec![Event::MessageAppended { inquiry_id, customer_id, message: message.clone() }])
}

fn record_order(
    state: &State,
    customer: &NewCustomer,
    order: &NewOrder,
    stamp: &Stamp,
) -> Result<Vec<Event>, Rejection> {
    in_range(order.amount)?;
    if !is_new(state, ORDER, &order.fact, stamp)? {
        return Ok(Vec::new());
    }
    let (mut events, customer_id) = admit(state, customer, order.fact.occurred_at, stamp)?;
    let order_id = OrderId::derive(stamp.tenant, stamp.command_id, 0);
    events.push(Event::OrderRecorded { order_id, customer_id, order: order.clone() });
    Ok(events)
}

/// The customer part of a decision's command: as they were admitted with it, or as the known one.
fn customer_of(first: &Event, customer_id: CustomerId) -> NewCustomer {
    match first {
        Event::CustomerUpserted(facts) => NewCustomer {
            reference: CustomerRef::Key(facts.customer_key),
            details: facts.details.clone(),
            body_mac: facts.body_mac,
        },
        _ => NewCustomer { reference: CustomerRef::Id(customer_id), details: Default::default(), body_mac: [0; 16] },
    }
}

pub(super) fn command_of(events: &[Event]) -> Option<Command> {
    let (first, last) = (events.first()?, events.last()?);
    Some(match last.clone() {
        Event::CustomerUpserted(facts) => {
            Command::UpsertCustomer { customer: customer_of(first, facts.customer_id), occurred_at: facts.occurred_at }
        }
        Event::CustomersLinked { kept, merged, occurred_at } => {
            Command::LinkCustomers { kept: CustomerRef::Id(kept), merged: CustomerRef::Id(merged), occurred_at }
        }
        Event::InquirySubmitted { customer_id, inquiry, .. } => {
            Command::SubmitInquiry { customer: customer_of(first, customer_id), inquiry }
        }
        Event::MessageAppended { inquiry_id, message, .. } => {
            Command::AppendMessage { inquiry: FactRef::Id(inquiry_id), message }
        }
        Event::InquiryClosed { inquiry_id, reason, occurred_at } => {
            Command::CloseInquiry { inquiry: FactRef::Id(inquiry_id), reason, occurred_at }
        }
        Event::OrderRecorded { customer_id, order, .. } => {
            Command::RecordOrder { customer: customer_of(first, customer_id), order }
        }
        Event::PaymentRecorded { order_id, fact, amount, .. } => {
            Command::RecordPayment { order: FactRef::Id(order_id), fact, amount }
        }
        Event::RefundRecorded { order_id, fact, amount, .. } => {
            Command::RecordRefund { order: FactRef::Id(order_id), fact, amount }
        }
        Event::RatingRecorded { inquiry_id, fact, score, .. } => {
            Command::RecordRating { inquiry: FactRef::Id(inquiry_id), fact, score }
        }
        Event::CostRecorded { cost, .. } => Command::RecordCost(cost),
        Event::HistoryInquiryRecorded { customer_id, fact, desk, handler, .. } => {
            Command::RecordHistoryInquiry { customer: customer_of(first, customer_id), fact, desk, handler }
        }
    })
}
