//! The fold from the wire: of what happens often, only the fields that the state keeps are read. Names, proofs of
//! decisions and reasons are for streams and for `explain`, and stay empty here. What comes of it is what comes of
//! decoding and folding, which a law of the tests holds it to.

use kernel::{AssignmentId, CustomerId, Decider, EmployeeId, InquiryId, ReservationId, Timestamp};
use runtime::CodecError;
use runtime::wire::Fields;

use crate::codec::{decode, schema};
use crate::domain::{
    Accepted, Arrival, Assignment, Completed, Decision, Event, IntentScore, Names, Offer, OfferEnd, Rule, State, pend,
};

pub(crate) fn fold(state: &mut State, schema: u16, payload: &[u8], at: Timestamp) -> Result<(), CodecError> {
    let event = match schema {
        schema::INQUIRY_PENDED => return pended(state, payload, at),
        schema::INTENT_SET => intent_set(payload, at)?,
        schema::RESERVATION_MADE => made(payload)?,
        schema::RESERVATION_ACCEPTED => accepted(payload, at)?,
        schema::INQUIRY_COMPLETED => completed(payload)?,
        schema::WRAP_UP_ENDED => wrap_up_ended(payload)?,
        _ => decode(schema, payload, at)?,
    };
    Assignment::evolve(state, &event);
    Ok(())
}

/// A field that every event of its kind has.
fn there<T>(value: Option<T>, field: &'static str) -> Result<T, CodecError> {
    value.ok_or_else(|| CodecError::Malformed(format!("{field} is missing")))
}

fn pended(state: &mut State, payload: &[u8], at: Timestamp) -> Result<(), CodecError> {
    let (mut inquiry, mut customer, mut familiar) = (None, None, None);
    let (mut desk, mut platform, mut external_id, mut language, mut category) = ("", "", "", "", "");
    let (mut priority_minutes, mut new_customer) = (0, false);
    let (mut intent_due, mut occurred_at) = (Timestamp::default(), Timestamp::default());
    for field in Fields::of(payload) {
        match field? {
            (1, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (2, value) => customer = Some(value.id("customer_id", CustomerId::from_bytes)?),
            (3, value) => desk = value.text()?,
            (4, value) => platform = value.text()?,
            (5, value) => external_id = value.text()?,
            (6, value) => language = value.text()?,
            (7, value) => priority_minutes = value.small()?,
            (8, value) => intent_due = value.instant()?,
            (9, value) => new_customer = value.flag()?,
            (10, value) => occurred_at = value.instant()?,
            (11, value) => category = value.text()?,
            (12, value) => familiar = value.optional_id("employee_id", EmployeeId::from_bytes)?,
            _ => {}
        }
    }
    let arrival = Arrival {
        inquiry_id: there(inquiry, "inquiry_id")?,
        customer_id: there(customer, "customer_id")?,
        desk: desk.to_owned(),
        platform: platform.to_owned(),
        external_id: external_id.to_owned(),
        language: language.to_owned(),
        category: category.to_owned(),
        priority_minutes,
        occurred_at,
    };
    pend(state, arrival, intent_due, (new_customer, familiar), at);
    Ok(())
}

fn intent_set(payload: &[u8], at: Timestamp) -> Result<Event, CodecError> {
    let (mut inquiry, mut intent, mut ppm, mut timed_out) = (None, "", 0, false);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (2, value) => intent = value.text()?,
            (3, value) => ppm = value.small()?,
            (4, value) => timed_out = value.flag()?,
            _ => {}
        }
    }
    let score = IntentScore { intent: intent.to_owned(), ppm };
    Ok(Event::IntentSet { inquiry_id: there(inquiry, "inquiry_id")?, score, timed_out, at })
}

fn made(payload: &[u8]) -> Result<Event, CodecError> {
    let (mut reservation, mut inquiry, mut employee) = (None, None, None);
    let (mut epoch, mut expires_at, mut cost_units) = (0, Timestamp::default(), 0);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => reservation = Some(value.id("reservation_id", ReservationId::from_bytes)?),
            (2, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (3, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            (4, value) => epoch = value.small()?,
            (5, value) => expires_at = value.instant()?,
            (6, value) => cost_units = value.small()?,
            _ => {}
        }
    }
    Ok(Event::ReservationMade(Box::new(Offer {
        reservation_id: there(reservation, "reservation_id")?,
        inquiry_id: there(inquiry, "inquiry_id")?,
        employee_id: there(employee, "employee_id")?,
        epoch,
        expires_at,
        cost_units,
        decision: unread(),
        names: Names::default(),
    })))
}

/// In the place of a decision whose proof the fold does not look at.
fn unread() -> Decision {
    Decision {
        policy_hash: [0; 32],
        policy_version: 0,
        runner_up: None,
        tie_set: Vec::new(),
        winner_load_ppm: 0,
        runner_up_load_ppm: 0,
        passed_over: Vec::new(),
        eligible: 0,
        probability_ppm: 0,
        rule: Rule::Duty,
    }
}

fn accepted(payload: &[u8], at: Timestamp) -> Result<Event, CodecError> {
    let (mut reservation, mut inquiry, mut employee, mut assignment, mut customer) = (None, None, None, None, None);
    let (mut waited_ms, mut first, mut epoch) = (0, false, 0);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => reservation = Some(value.id("reservation_id", ReservationId::from_bytes)?),
            (2, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (3, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            (4, value) => assignment = Some(value.id("assignment_id", AssignmentId::from_bytes)?),
            (5, value) => customer = Some(value.id("customer_id", CustomerId::from_bytes)?),
            (8, value) => waited_ms = value.number()?,
            (9, value) => first = value.flag()?,
            (10, value) => epoch = value.small()?,
            _ => {}
        }
    }
    let end = OfferEnd {
        reservation_id: there(reservation, "reservation_id")?,
        inquiry_id: there(inquiry, "inquiry_id")?,
        employee_id: there(employee, "employee_id")?,
        names: Names::default(),
    };
    let accepted = Accepted {
        end,
        epoch,
        assignment_id: there(assignment, "assignment_id")?,
        customer_id: there(customer, "customer_id")?,
        desk: String::new(),
        intent: String::new(),
        waited_ms,
        first,
    };
    Ok(Event::ReservationAccepted { accepted: Box::new(accepted), at })
}

fn completed(payload: &[u8]) -> Result<Event, CodecError> {
    let (mut assignment, mut inquiry, mut employee, mut customer) = (None, None, None, None);
    let (mut handled_ms, mut wrap_until) = (0, Timestamp::default());
    for field in Fields::of(payload) {
        match field? {
            (1, value) => assignment = Some(value.id("assignment_id", AssignmentId::from_bytes)?),
            (2, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (3, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            (4, value) => customer = Some(value.id("customer_id", CustomerId::from_bytes)?),
            (7, value) => handled_ms = value.number()?,
            (8, value) => wrap_until = value.instant()?,
            _ => {}
        }
    }
    Ok(Event::InquiryCompleted(Box::new(Completed {
        assignment_id: there(assignment, "assignment_id")?,
        inquiry_id: there(inquiry, "inquiry_id")?,
        employee_id: there(employee, "employee_id")?,
        customer_id: there(customer, "customer_id")?,
        desk: String::new(),
        disposition: String::new(),
        handled_ms,
        wrap_until,
        names: Names::default(),
    })))
}

fn wrap_up_ended(payload: &[u8]) -> Result<Event, CodecError> {
    let (mut inquiry, mut employee) = (None, None);
    for field in Fields::of(payload) {
        match field? {
            (1, value) => inquiry = Some(value.id("inquiry_id", InquiryId::from_bytes)?),
            (2, value) => employee = Some(value.id("employee_id", EmployeeId::from_bytes)?),
            _ => {}
        }
    }
    Ok(Event::WrapUpEnded { inquiry_id: there(inquiry, "inquiry_id")?, employee_id: there(employee, "employee_id")? })
}
