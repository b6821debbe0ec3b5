//! Events of kpi as they stand on the log.

use kernel::{AssignmentId, CreditId, CustomerId, EmployeeId, InquiryId, OrderId, OutcomeId, Timestamp};
use prost::Message as _;
use proto::kpi as pb;
use runtime::{CodecError, wire};

use crate::domain::{Contact, CreditKind, Employee, Event, Granted, NewOrder};

pub(crate) mod schema {
    pub(crate) const CONTACT_NOTED: u16 = 1;
    pub(crate) const ORDER_NOTED: u16 = 2;
    pub(crate) const PAYMENT_NOTED: u16 = 3;
    pub(crate) const REFUND_NOTED: u16 = 4;
    pub(crate) const RATING_NOTED: u16 = 5;
    pub(crate) const CREDIT_GRANTED: u16 = 6;
    pub(crate) const CREDIT_REVERSED: u16 = 7;
    pub(crate) const CUSTOMERS_MERGED: u16 = 8;
    pub(crate) const EMPLOYEE_NOTED: u16 = 9;
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event.clone() {
        Event::ContactNoted { customer_id, contact } => {
            let event = pb::ContactNoted {
                inquiry_id: contact.inquiry_id.to_vec(),
                assignment_id: contact.assignment_id.to_vec(),
                customer_id: customer_id.to_vec(),
                employee_id: contact.employee_id.to_vec(),
                desk: contact.desk,
                intent: contact.intent,
                occurred_at_us: contact.occurred_at.as_micros(),
                history: contact.history,
                waited_ms: contact.waited_ms,
            };
            wire::put(schema::CONTACT_NOTED, &event, payload)
        }
        Event::OrderNoted(order) => {
            let event = pb::OrderNoted {
                order_id: order.order_id.to_vec(),
                customer_id: order.customer_id.to_vec(),
                amount: wire::to_money(order.amount),
                occurred_at_us: order.occurred_at.as_micros(),
                history: order.history,
                handler_employee_id: order.handler.map(EmployeeId::to_vec).unwrap_or_default(),
            };
            wire::put(schema::ORDER_NOTED, &event, payload)
        }
        Event::PaymentNoted { payment_id, order_id, amount, occurred_at } => {
            let event = pb::PaymentNoted {
                payment_id: payment_id.to_vec(),
                order_id: order_id.to_vec(),
                amount: wire::to_money(amount),
                occurred_at_us: occurred_at.as_micros(),
            };
            wire::put(schema::PAYMENT_NOTED, &event, payload)
        }
        Event::RefundNoted { refund_id, order_id, amount, occurred_at, history } => {
            let event = pb::RefundNoted {
                refund_id: refund_id.to_vec(),
                order_id: order_id.to_vec(),
                amount: wire::to_money(amount),
                occurred_at_us: occurred_at.as_micros(),
                history,
            };
            wire::put(schema::REFUND_NOTED, &event, payload)
        }
        Event::RatingNoted { rating_id, inquiry_id, score, occurred_at } => {
            let event = pb::RatingNoted {
                rating_id: rating_id.to_vec(),
                inquiry_id: inquiry_id.to_vec(),
                score,
                occurred_at_us: occurred_at.as_micros(),
            };
            wire::put(schema::RATING_NOTED, &event, payload)
        }
        Event::CreditGranted(granted) => wire::put(schema::CREDIT_GRANTED, &granted_to_wire(granted), payload),
        Event::CreditReversed { credit_id, order_id, employee_id, amount, occurred_at, reason } => {
            let event = pb::CreditReversed {
                credit_id: credit_id.to_vec(),
                employee_id: employee_id.to_vec(),
                amount: wire::to_money(amount),
                occurred_at_us: occurred_at.as_micros(),
                reason,
                order_id: order_id.to_vec(),
            };
            wire::put(schema::CREDIT_REVERSED, &event, payload)
        }
        Event::CustomersMerged { kept, merged } => {
            let event = pb::CustomersMerged { kept_customer_id: kept.to_vec(), merged_customer_id: merged.to_vec() };
            wire::put(schema::CUSTOMERS_MERGED, &event, payload)
        }
        Event::EmployeeNoted { employee_id, employee, effective_from } => {
            let event = pb::EmployeeNoted {
                employee_id: employee_id.to_vec(),
                code: employee.code,
                desk: employee.desk,
                position: employee.position,
                effective_from_us: effective_from.as_micros(),
            };
            wire::put(schema::EMPLOYEE_NOTED, &event, payload)
        }
    }
}

fn granted_to_wire(granted: Granted) -> pb::CreditGranted {
    let kind = match granted.kind {
        CreditKind::Sale => pb::CreditKind::Sale,
        CreditKind::Refund => pb::CreditKind::Refund,
    };
    pb::CreditGranted {
        credit_id: granted.credit_id.to_vec(),
        kind: kind.into(),
        outcome_id: granted.outcome_id.to_vec(),
        order_id: granted.order_id.to_vec(),
        customer_id: granted.customer_id.to_vec(),
        employee_id: granted.employee_id.to_vec(),
        inquiry_id: granted.inquiry_id.map(InquiryId::to_vec).unwrap_or_default(),
        desk: granted.desk,
        amount: wire::to_money(granted.amount),
        occurred_at_us: granted.occurred_at.as_micros(),
        measure_version: granted.measure_version,
        new_customer: granted.new_customer,
        history: granted.history,
    }
}

fn customer(bytes: &[u8]) -> Result<CustomerId, CodecError> {
    wire::id(bytes, "customer_id", CustomerId::from_bytes)
}

fn employee(bytes: &[u8]) -> Result<EmployeeId, CodecError> {
    wire::id(bytes, "employee_id", EmployeeId::from_bytes)
}

fn order(bytes: &[u8]) -> Result<OrderId, CodecError> {
    wire::id(bytes, "order_id", OrderId::from_bytes)
}

fn inquiry(bytes: &[u8]) -> Result<InquiryId, CodecError> {
    wire::id(bytes, "inquiry_id", InquiryId::from_bytes)
}

pub(crate) fn decode(schema: u16, payload: &[u8]) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::CONTACT_NOTED => {
            let event = pb::ContactNoted::decode(payload)?;
            let contact = Contact {
                inquiry_id: inquiry(&event.inquiry_id)?,
                assignment_id: wire::id(&event.assignment_id, "assignment_id", AssignmentId::from_bytes)?,
                employee_id: employee(&event.employee_id)?,
                desk: event.desk,
                intent: event.intent,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: event.history,
                waited_ms: event.waited_ms,
            };
            Event::ContactNoted { customer_id: customer(&event.customer_id)?, contact }
        }
        schema::ORDER_NOTED => {
            let event = pb::OrderNoted::decode(payload)?;
            Event::OrderNoted(NewOrder {
                order_id: order(&event.order_id)?,
                customer_id: customer(&event.customer_id)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: event.history,
                handler: wire::optional_id(&event.handler_employee_id, "handler_employee_id", EmployeeId::from_bytes)?,
            })
        }
        schema::PAYMENT_NOTED => {
            let event = pb::PaymentNoted::decode(payload)?;
            Event::PaymentNoted {
                payment_id: wire::id(&event.payment_id, "payment_id", OutcomeId::from_bytes)?,
                order_id: order(&event.order_id)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            }
        }
        schema::REFUND_NOTED => {
            let event = pb::RefundNoted::decode(payload)?;
            Event::RefundNoted {
                refund_id: wire::id(&event.refund_id, "refund_id", OutcomeId::from_bytes)?,
                order_id: order(&event.order_id)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: event.history,
            }
        }
        schema::RATING_NOTED => {
            let event = pb::RatingNoted::decode(payload)?;
            Event::RatingNoted {
                rating_id: wire::id(&event.rating_id, "rating_id", OutcomeId::from_bytes)?,
                inquiry_id: inquiry(&event.inquiry_id)?,
                score: event.score,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            }
        }
        schema::CREDIT_GRANTED => Event::CreditGranted(granted(pb::CreditGranted::decode(payload)?)?),
        schema::CREDIT_REVERSED => {
            let event = pb::CreditReversed::decode(payload)?;
            Event::CreditReversed {
                credit_id: wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?,
                order_id: order(&event.order_id)?,
                employee_id: employee(&event.employee_id)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                reason: event.reason,
            }
        }
        schema::CUSTOMERS_MERGED => {
            let event = pb::CustomersMerged::decode(payload)?;
            Event::CustomersMerged {
                kept: customer(&event.kept_customer_id)?,
                merged: customer(&event.merged_customer_id)?,
            }
        }
        schema::EMPLOYEE_NOTED => {
            let event = pb::EmployeeNoted::decode(payload)?;
            Event::EmployeeNoted {
                employee_id: employee(&event.employee_id)?,
                employee: Employee { code: event.code, desk: event.desk, position: event.position },
                effective_from: Timestamp::from_micros(event.effective_from_us),
            }
        }
        other => return Err(CodecError::UnknownSchema(other)),
    })
}

fn granted(event: pb::CreditGranted) -> Result<Granted, CodecError> {
    let kind = match event.kind() {
        pb::CreditKind::Sale => CreditKind::Sale,
        pb::CreditKind::Refund => CreditKind::Refund,
        pb::CreditKind::Unspecified => return Err(CodecError::Malformed("a credit without kind".to_owned())),
    };
    Ok(Granted {
        credit_id: wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?,
        kind,
        outcome_id: wire::bytes16(&event.outcome_id, "outcome_id")?,
        order_id: order(&event.order_id)?,
        customer_id: customer(&event.customer_id)?,
        employee_id: employee(&event.employee_id)?,
        inquiry_id: wire::optional_id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
        desk: event.desk,
        amount: wire::money(event.amount, "amount")?,
        occurred_at: Timestamp::from_micros(event.occurred_at_us),
        measure_version: event.measure_version,
        new_customer: event.new_customer,
        history: event.history,
    })
}
