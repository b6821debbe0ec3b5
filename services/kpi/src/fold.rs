//! The fold from the wire: what happens often is read without the events in between, and only the fields that the state
//! keeps. What comes of it is what comes of decoding and folding, which a law of the tests holds it to.

use kernel::{AssignmentId, CreditId, CustomerId, Decider, EmployeeId, InquiryId, Money, OrderId, Timestamp};
use proto::kpi as pb;
use runtime::CodecError;
use runtime::wire::Fields;

use crate::codec::{decode, schema};
use crate::domain::{
    Attribution, Contact, Credit, CreditKind, Kpi, NewOrder, State, grant, note_contact, note_order, note_payment,
};

type Folded = Result<(), CodecError>;

pub(crate) fn fold(state: &mut State, schema: u16, payload: &[u8]) -> Folded {
    match schema {
        schema::CONTACT_NOTED => contact(state, payload),
        schema::ORDER_NOTED => order(state, payload),
        schema::PAYMENT_NOTED => payment(state, payload),
        schema::CREDIT_GRANTED => credit(state, payload),
        _ => {
            Kpi::evolve(state, &decode(schema, payload)?);
            Ok(())
        }
    }
}

/// A field that every event of its kind has.
fn there<T>(value: Option<T>, field: &'static str) -> Result<T, CodecError> {
    value.ok_or_else(|| CodecError::Malformed(format!("{field} is missing")))
}

fn contact(state: &mut State, payload: &[u8]) -> Folded {
    let (mut inquiry, mut assignment, mut customer, mut employee) = (None, None, None, None);
    let (mut desk, mut intent, mut occurred_at, mut history, mut waited_ms) = ("", "", Timestamp::default(), false, 0);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (2, value) => assignment = Some(value.id("assignment_id", AssignmentId::from_bytes)?),
            (3, value) => customer = Some(value.id("customer_id", CustomerId::from_bytes)?),
            (4, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            (5, value) => desk = value.text()?,
            (6, value) => intent = value.text()?,
            (7, value) => occurred_at = value.instant()?,
            (8, value) => history = value.flag()?,
            (9, value) => waited_ms = value.number()?,
            _ => {}
        }
    }
    let contact = Contact {
        inquiry_id: there(inquiry, "inquiry_id")?,
        assignment_id: there(assignment, "assignment_id")?,
        employee_id: there(employee, "employee_id")?,
        desk: desk.to_owned(),
        intent: intent.to_owned(),
        occurred_at,
        history,
        waited_ms,
    };
    note_contact(state, there(customer, "customer_id")?, contact);
    Ok(())
}

fn order(state: &mut State, payload: &[u8]) -> Folded {
    let (mut order, mut customer, mut amount, mut handler) = (None, None, None, None);
    let (mut occurred_at, mut history) = (Timestamp::default(), false);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => order = Some(value.id("order_id", OrderId::from_bytes)?),
            (2, value) => customer = Some(value.id("customer_id", CustomerId::from_bytes)?),
            (3, value) => amount = Some(value.money("amount")?),
            (4, value) => occurred_at = value.instant()?,
            (5, value) => history = value.flag()?,
            (6, value) => handler = value.optional_id("handler_employee_id", EmployeeId::from_bytes)?,
            _ => {}
        }
    }
    let order = NewOrder {
        order_id: there(order, "order_id")?,
        customer_id: there(customer, "customer_id")?,
        amount: there(amount, "amount")?,
        occurred_at,
        history,
        handler,
    };
    note_order(state, &order);
    Ok(())
}

fn payment(state: &mut State, payload: &[u8]) -> Folded {
    let (mut order, mut amount): (Option<OrderId>, Option<Money>) = (None, None);
    for field in Fields::of(payload) {
        match field? {
            (2, value) => order = Some(value.id("order_id", OrderId::from_bytes)?),
            (3, value) => amount = Some(value.money("amount")?),
            _ => {}
        }
    }
    note_payment(state, there(order, "order_id")?, there(amount, "amount")?.minor);
    Ok(())
}

fn credit(state: &mut State, payload: &[u8]) -> Folded {
    let (mut credit_id, mut kind, mut outcome_id, mut order, mut employee) = (None, None, None, None, None);
    let (mut inquiry_id, mut desk, mut amount) = (None, "", None);
    let (mut occurred_at, mut new_customer, mut history) = (Timestamp::default(), false, false);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => credit_id = Some(value.id("credit_id", CreditId::from_bytes)?),
            (2, value) => kind = kind_of(value.small()?),
            (3, value) => outcome_id = Some(value.id("outcome_id", |bytes| bytes)?),
            (4, value) => order = Some(value.id("order_id", OrderId::from_bytes)?),
            (6, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            (7, value) => inquiry_id = value.optional_id("inquiry_id", InquiryId::from_bytes)?,
            (8, value) => desk = value.text()?,
            (9, value) => amount = Some(value.money("amount")?),
            (10, value) => occurred_at = value.instant()?,
            (12, value) => new_customer = value.flag()?,
            (13, value) => history = value.flag()?,
            _ => {}
        }
    }
    let employee_id = there(employee, "employee_id")?;
    let credit = Credit {
        credit_id: there(credit_id, "credit_id")?,
        kind: there(kind, "kind")?,
        outcome_id: there(outcome_id, "outcome_id")?,
        amount: there(amount, "amount")?.minor,
        occurred_at,
    };
    let attribution = Attribution { employee_id, inquiry_id, desk: desk.to_owned(), new_customer, history };
    grant(state, there(order, "order_id")?, attribution, credit);
    Ok(())
}

fn kind_of(number: u32) -> Option<CreditKind> {
    match pb::CreditKind::try_from(number.cast_signed()) {
        Ok(pb::CreditKind::Sale) => Some(CreditKind::Sale),
        Ok(pb::CreditKind::Refund) => Some(CreditKind::Refund),
        Ok(pb::CreditKind::Unspecified) | Err(_) => None,
    }
}
