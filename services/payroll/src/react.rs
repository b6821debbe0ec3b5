//! What payroll takes from kpi and roster.

use kernel::{CreditId, EmployeeId, InquiryId, OrderId, Timestamp};
use log::Topic;
use prost::Message as _;
use proto::{kpi, roster};
use runtime::{CodecError, Reaction, Upstream, wire};

use crate::domain::{Command, Company, Credit, Participant};

/// Schemas of the upstream topics that exist; a higher one is from a newer build and stops the shard (L10).
const KPI_LAST: u16 = 9;
const ROSTER_LAST: u16 = 8;

type Reacted = Result<Option<Reaction<Command>>, CodecError>;

pub(crate) fn react(record: &Upstream<'_>) -> Reacted {
    let schema = record.header.schema;
    match record.topic {
        Topic::Kpi if schema <= KPI_LAST => from_kpi(schema, record),
        Topic::Roster if schema <= ROSTER_LAST => from_roster(schema, record),
        _ => Err(CodecError::UnknownSchema(schema)),
    }
}

fn from_kpi(schema: u16, record: &Upstream<'_>) -> Reacted {
    let kpi_seq = record.header.seq;
    match schema {
        6 => {
            let event = kpi::CreditGranted::decode(record.payload)?;
            if event.history {
                return Ok(None); // The past counts for measures, never for pay.
            }
            let refund = match event.kind() {
                kpi::CreditKind::Sale => false,
                kpi::CreditKind::Refund => true,
                kpi::CreditKind::Unspecified => return Err(CodecError::Malformed("a credit without kind".to_owned())),
            };
            let credit = Credit {
                employee_id: wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?,
                order_id: wire::id(&event.order_id, "order_id", OrderId::from_bytes)?,
                inquiry_id: wire::optional_id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
                refund,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                new_customer: event.new_customer,
            };
            let credit_id = wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?;
            let command = Command::NoteCredit { credit_id, credit, kpi_seq };
            Ok(Some(Reaction { entity: event.order_id, command }))
        }
        7 => {
            let event = kpi::CreditReversed::decode(record.payload)?;
            let credit_id = wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?;
            Ok(Some(Reaction { entity: event.order_id, command: Command::NoteReversal { credit_id, kpi_seq } }))
        }
        _ => Ok(None),
    }
}

fn from_roster(schema: u16, record: &Upstream<'_>) -> Reacted {
    match schema {
        1 => {
            let event = roster::CompanyDefined::decode(record.payload)?;
            let currency = event.currency.parse().map_err(|error| CodecError::Malformed(format!("{error}")))?;
            let company = Company { legal_entity: event.legal_entity, currency, zone: event.zone };
            Ok(Some(Reaction { entity: b"company".to_vec(), command: Command::NoteCompany(company) }))
        }
        4 => {
            let event = roster::EmployeeDefined::decode(record.payload)?;
            let command = Command::NoteParticipant {
                employee_id: wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?,
                participant: Participant { code: event.code, position: event.position },
                effective_from: Timestamp::from_micros(event.effective_from_us),
            };
            Ok(Some(Reaction { entity: event.employee_id, command }))
        }
        _ => Ok(None),
    }
}
