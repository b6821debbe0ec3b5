//! What kpi takes from intake, assignment and roster.

use kernel::{AssignmentId, CustomerId, EmployeeId, InquiryId, OrderId, OutcomeId, TenantId, Timestamp};
use log::Topic;
use prost::Message as _;
use proto::{assignment, intake, roster};
use runtime::{CodecError, Reaction, Upstream, wire};

use crate::domain::{Command, Contact, Employee, NewOrder};

/// Schemas of the upstream topics that exist; a higher one is from a newer build and stops the shard (L10).
const INTAKE_LAST: u16 = 11;
const ASSIGNMENT_LAST: u16 = 23;
const ROSTER_LAST: u16 = 8;

type Reacted = Result<Option<Reaction<Command>>, CodecError>;

pub(crate) fn react(record: &Upstream<'_>) -> Reacted {
    let schema = record.header.schema;
    match record.topic {
        Topic::Intake if schema <= INTAKE_LAST => from_intake(schema, record),
        Topic::Assignment if schema <= ASSIGNMENT_LAST => from_assignment(schema, record),
        Topic::Roster if schema <= ROSTER_LAST => from_roster(schema, record),
        _ => Err(CodecError::UnknownSchema(schema)),
    }
}

/// All facts of a customer park together: their credits depend on each other.
fn about(entity: &[u8], command: Command) -> Reacted {
    Ok(Some(Reaction { entity: entity.to_vec(), command }))
}

fn handler(tenant: TenantId, code: &str) -> Option<EmployeeId> {
    (!code.is_empty()).then(|| EmployeeId::of_code(tenant, code))
}

fn from_intake(schema: u16, record: &Upstream<'_>) -> Reacted {
    let (payload, tenant) = (record.payload, record.header.tenant);
    match schema {
        2 => {
            let event = intake::CustomersLinked::decode(payload)?;
            let kept = wire::id(&event.kept_customer_id, "kept_customer_id", CustomerId::from_bytes)?;
            let merged = wire::id(&event.merged_customer_id, "merged_customer_id", CustomerId::from_bytes)?;
            about(&event.kept_customer_id, Command::MergeCustomers { kept, merged })
        }
        6 => {
            let event = intake::OrderRecorded::decode(payload)?;
            let order = NewOrder {
                order_id: wire::id(&event.order_id, "order_id", OrderId::from_bytes)?,
                customer_id: wire::id(&event.customer_id, "customer_id", CustomerId::from_bytes)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: event.history,
                handler: handler(tenant, &event.handler),
            };
            about(&event.customer_id, Command::NoteOrder(order))
        }
        7 => {
            let event = intake::PaymentRecorded::decode(payload)?;
            let command = Command::NotePayment {
                payment_id: wire::id(&event.payment_id, "payment_id", OutcomeId::from_bytes)?,
                order_id: wire::id(&event.order_id, "order_id", OrderId::from_bytes)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            };
            about(&event.customer_id, command)
        }
        8 => {
            let event = intake::RefundRecorded::decode(payload)?;
            let command = Command::NoteRefund {
                refund_id: wire::id(&event.refund_id, "refund_id", OutcomeId::from_bytes)?,
                order_id: wire::id(&event.order_id, "order_id", OrderId::from_bytes)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: event.history,
            };
            about(&event.customer_id, command)
        }
        9 => {
            let event = intake::RatingRecorded::decode(payload)?;
            let command = Command::NoteRating {
                rating_id: wire::id(&event.rating_id, "rating_id", OutcomeId::from_bytes)?,
                inquiry_id: wire::id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
                score: event.score,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            };
            about(&event.customer_id, command)
        }
        11 => {
            let event = intake::HistoryInquiryRecorded::decode(payload)?;
            let inquiry_id = wire::id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?;
            let Some(employee_id) = handler(tenant, &event.handler) else { return Ok(None) };
            let contact = Contact {
                inquiry_id,
                // The past had no assignments; one a conversation stands for them.
                assignment_id: AssignmentId::from_bytes(*inquiry_id.as_bytes()),
                employee_id,
                desk: event.desk,
                intent: String::new(),
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                history: true,
                waited_ms: 0,
            };
            let customer_id = wire::id(&event.customer_id, "customer_id", CustomerId::from_bytes)?;
            about(&event.customer_id, Command::NoteContact { customer_id, contact })
        }
        _ => Ok(None),
    }
}

fn from_assignment(schema: u16, record: &Upstream<'_>) -> Reacted {
    if schema != 5 {
        return Ok(None);
    }
    let event = assignment::ReservationAccepted::decode(record.payload)?;
    let contact = Contact {
        inquiry_id: wire::id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
        assignment_id: wire::id(&event.assignment_id, "assignment_id", AssignmentId::from_bytes)?,
        employee_id: wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?,
        desk: event.desk,
        intent: event.intent,
        occurred_at: record.header.recorded_at,
        history: false,
        waited_ms: event.waited_ms,
    };
    let customer_id = wire::id(&event.customer_id, "customer_id", CustomerId::from_bytes)?;
    about(&event.customer_id, Command::NoteContact { customer_id, contact })
}

fn from_roster(schema: u16, record: &Upstream<'_>) -> Reacted {
    if schema != 4 {
        return Ok(None);
    }
    let event = roster::EmployeeDefined::decode(record.payload)?;
    let command = Command::NoteEmployee {
        employee_id: wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?,
        employee: Employee { code: event.code, desk: event.desk, position: event.position },
        effective_from: Timestamp::from_micros(event.effective_from_us),
    };
    about(&event.employee_id, command)
}
