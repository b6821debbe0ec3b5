//! The request that brings a fact to `intake`. Pure: ids and times come from the caller.

use kernel::{Currency, Decimal, Money, Timestamp};
use proto::intake as pb;
use proto::intake::stream_inquiries_request::Request;

use super::{CloseFact, Customer, Direction, Fact, FirstMessage, InquiryFact, MessageFact, MoneyFact, OrderFact};
use crate::client::wire;

/// Major units as text to whole minor units; digits that the currency does not have are refused, not rounded.
fn money(amount: &str, currency: &str) -> Result<proto::common::Money, String> {
    let currency: Currency = currency.parse().map_err(|error| format!("currency: {error}"))?;
    let exact = Decimal::from_str_exact(amount)
        .map_err(|_| format!("amount: {amount:?} is not a decimal number such as 1234.50"))?;
    let mut minor = exact.normalize();
    if minor.scale() > u32::from(currency.exponent()) {
        let decimals = currency.exponent();
        return Err(format!("amount: {amount} has more decimals than {currency} has ({decimals})"));
    }
    minor.rescale(u32::from(currency.exponent()));
    let minor = i64::try_from(minor.mantissa()).map_err(|_| format!("amount: {amount} is out of range"))?;
    Ok(runtime::field::wire_money(Money::new(minor, currency)))
}

impl Customer {
    fn to_wire(&self) -> Option<pb::Customer> {
        Some(pb::Customer {
            platform: self.platform.clone(),
            external_id: self.id.clone(),
            name: self.name.clone(),
            phone: self.phone.clone(),
            address: self.address.clone(),
            language: self.language.clone(),
        })
    }
}

impl Direction {
    fn to_wire(self) -> i32 {
        match self {
            Self::Customer => pb::Direction::Customer,
            Self::Agent => pb::Direction::Agent,
            Self::System => pb::Direction::System,
        }
        .into()
    }
}

/// The head that every request has.
#[derive(Debug, Clone)]
struct Head<'a> {
    tenant: &'a str,
    command_id: String,
    issued_at: Timestamp,
    history: bool,
}

impl Fact {
    /// The request that brings it to `intake`. With `history` an inquiry and an order are of the past and name their
    /// `handler`; without it a `handler` is refused. The error names the field.
    pub fn request(
        &self,
        tenant: &str,
        command_id: String,
        issued_at: Timestamp,
        history: bool,
    ) -> Result<pb::StreamInquiriesRequest, String> {
        let head = Head { tenant, command_id, issued_at, history };
        let request = match self {
            Self::Customer(fact) => Request::UpsertCustomer(pb::UpsertCustomerRequest {
                command_id: head.command_id,
                issued_at: wire(issued_at),
                tenant: tenant.to_owned(),
                customer: fact.customer.to_wire(),
                occurred_at: wire(fact.at.0),
            }),
            Self::Link(fact) => Request::LinkCustomer(pb::LinkCustomerRequest {
                command_id: head.command_id,
                issued_at: wire(issued_at),
                tenant: tenant.to_owned(),
                kept: fact.kept.to_wire(),
                merged: fact.merged.to_wire(),
                occurred_at: wire(fact.at.0),
            }),
            Self::Inquiry(fact) if history => Request::RecordHistoryInquiry(past_inquiry(fact, head)?),
            Self::Inquiry(fact) => Request::SubmitInquiry(inquiry(fact, head)?),
            Self::Message(fact) => Request::AppendMessage(message(fact, head)?),
            Self::Close(fact) => Request::CloseInquiry(close(fact, head)?),
            Self::Order(fact) => Request::RecordOrder(order(fact, head)?),
            Self::Payment(fact) => Request::RecordPayment(payment(fact, head)?),
            Self::Refund(fact) => Request::RecordRefund(refund(fact, head)?),
            Self::Rating(fact) => Request::RecordRating(pb::RecordRatingRequest {
                command_id: head.command_id,
                issued_at: wire(issued_at),
                tenant: tenant.to_owned(),
                platform: fact.platform.clone(),
                inquiry_external_id: fact.inquiry.clone(),
                external_id: fact.id.clone(),
                score: fact.score,
                occurred_at: wire(fact.at.0),
            }),
            Self::Cost(fact) => Request::RecordCost(pb::RecordCostRequest {
                command_id: head.command_id,
                issued_at: wire(issued_at),
                tenant: tenant.to_owned(),
                external_id: fact.id.clone(),
                kind: fact.kind.clone(),
                desk: fact.desk.clone(),
                amount: Some(money(&fact.amount, &fact.currency)?),
                occurred_at: wire(fact.at.0),
            }),
        };
        Ok(pb::StreamInquiriesRequest { request: Some(request) })
    }
}

const HANDLER_WITHOUT_HISTORY: &str = "handler: is for past facts only (`--history`); who receives an inquiry or sells \
     an order of today is found by Fenliu";

fn inquiry(fact: &InquiryFact, head: Head<'_>) -> Result<pb::SubmitInquiryRequest, String> {
    if !fact.handler.is_empty() {
        return Err(HANDLER_WITHOUT_HISTORY.to_owned());
    }
    if fact.messages.is_empty() {
        return Err("messages: is empty; an inquiry has at least one message".to_owned());
    }
    let message = |(n, message): (usize, &FirstMessage)| pb::Message {
        external_id: if message.id.is_empty() { (n + 1).to_string() } else { message.id.clone() },
        direction: message.direction.to_wire(),
        text: message.text.clone(),
        occurred_at: wire(message.at.unwrap_or(fact.at).0),
    };
    Ok(pb::SubmitInquiryRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        external_id: fact.id.clone(),
        desk: fact.desk.clone(),
        channel: fact.channel.clone(),
        customer: fact.customer.to_wire(),
        messages: fact.messages.iter().enumerate().map(message).collect(),
        priority_minutes: fact.priority_minutes,
        category: fact.category.clone(),
        occurred_at: wire(fact.at.0),
    })
}

/// Texts of past conversations are not stored: only who spoke with whom, and when.
fn past_inquiry(fact: &InquiryFact, head: Head<'_>) -> Result<pb::RecordHistoryInquiryRequest, String> {
    if fact.handler.is_empty() {
        return Err("handler: is missing; a past inquiry names who handled it".to_owned());
    }
    Ok(pb::RecordHistoryInquiryRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        external_id: fact.id.clone(),
        desk: fact.desk.clone(),
        customer: fact.customer.to_wire(),
        handler: fact.handler.clone(),
        occurred_at: wire(fact.at.0),
    })
}

fn message(fact: &MessageFact, head: Head<'_>) -> Result<pb::AppendMessageRequest, String> {
    if head.history {
        return Err("fact: a message is no history; past inquiries are kept without their texts".to_owned());
    }
    let message = pb::Message {
        external_id: fact.id.clone(),
        direction: fact.direction.to_wire(),
        text: fact.text.clone(),
        occurred_at: wire(fact.at.0),
    };
    Ok(pb::AppendMessageRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        inquiry_external_id: fact.inquiry.clone(),
        message: Some(message),
    })
}

fn close(fact: &CloseFact, head: Head<'_>) -> Result<pb::CloseInquiryRequest, String> {
    if head.history {
        return Err("fact: a close is no history; past inquiries are closed from the start".to_owned());
    }
    Ok(pb::CloseInquiryRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        inquiry_external_id: fact.inquiry.clone(),
        reason: fact.reason.clone(),
        occurred_at: wire(fact.at.0),
    })
}

fn order(fact: &OrderFact, head: Head<'_>) -> Result<pb::RecordOrderRequest, String> {
    if !head.history && !fact.handler.is_empty() {
        return Err(HANDLER_WITHOUT_HISTORY.to_owned());
    }
    if !fact.platform.is_empty() && fact.platform != fact.customer.platform {
        let (order, customer) = (&fact.platform, &fact.customer.platform);
        return Err(format!("platform: is {order:?} while the customer's is {customer:?}; an order is the customer's"));
    }
    Ok(pb::RecordOrderRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        external_id: fact.id.clone(),
        customer: fact.customer.to_wire(),
        amount: Some(money(&fact.amount, &fact.currency)?),
        occurred_at: wire(fact.at.0),
        history: head.history,
        handler: fact.handler.clone(),
    })
}

fn payment(fact: &MoneyFact, head: Head<'_>) -> Result<pb::RecordPaymentRequest, String> {
    Ok(pb::RecordPaymentRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        order_external_id: fact.order.clone(),
        external_id: fact.id.clone(),
        amount: Some(money(&fact.amount, &fact.currency)?),
        occurred_at: wire(fact.at.0),
    })
}

fn refund(fact: &MoneyFact, head: Head<'_>) -> Result<pb::RecordRefundRequest, String> {
    Ok(pb::RecordRefundRequest {
        command_id: head.command_id,
        issued_at: wire(head.issued_at),
        tenant: head.tenant.to_owned(),
        platform: fact.platform.clone(),
        order_external_id: fact.order.clone(),
        external_id: fact.id.clone(),
        amount: Some(money(&fact.amount, &fact.currency)?),
        occurred_at: wire(fact.at.0),
    })
}
