//! What assignment takes from intake, intent and roster.

use kernel::{CustomerId, EmployeeId, InquiryId, TenantId, Timestamp};
use log::Topic;
use prost::Message as _;
use proto::{intake, intent, roster};
use runtime::{CodecError, Reaction, Upstream, wire};

use crate::codec;
use crate::domain::{AgentFacts, Arrival, Command, DeskFacts, IntentScore, PositionFacts, RosterFact};

/// Schemas of the upstream topics that exist; a higher one is from a newer build and stops the shard (L10).
const INTAKE_LAST: u16 = 11;
const INTENT_LAST: u16 = 3;
const ROSTER_LAST: u16 = 8;

type Reacted = Result<Option<Reaction<Command>>, CodecError>;

pub(crate) fn react(record: &Upstream<'_>) -> Reacted {
    let schema = record.header.schema;
    match record.topic {
        Topic::Intake if schema <= INTAKE_LAST => from_intake(schema, record),
        Topic::Intent if schema <= INTENT_LAST => from_intent(schema, record.payload),
        Topic::Roster if schema <= ROSTER_LAST => from_roster(schema, record.payload),
        _ => Err(CodecError::UnknownSchema(schema)),
    }
}

fn about(entity: &[u8], command: Command) -> Reacted {
    Ok(Some(Reaction { entity: entity.to_vec(), command }))
}

fn customer(bytes: &[u8]) -> Result<CustomerId, CodecError> {
    wire::id(bytes, "customer_id", CustomerId::from_bytes)
}

fn inquiry(bytes: &[u8]) -> Result<InquiryId, CodecError> {
    wire::id(bytes, "inquiry_id", InquiryId::from_bytes)
}

fn handler(tenant: TenantId, code: &str) -> Option<EmployeeId> {
    (!code.is_empty()).then(|| EmployeeId::of_code(tenant, code))
}

fn from_intake(schema: u16, record: &Upstream<'_>) -> Reacted {
    let (payload, tenant) = (record.payload, record.header.tenant);
    match schema {
        2 => {
            let event = intake::CustomersLinked::decode(payload)?;
            let (kept, merged) = (customer(&event.kept_customer_id)?, customer(&event.merged_customer_id)?);
            about(&event.kept_customer_id, Command::MergeCustomers { kept, merged })
        }
        3 => {
            let event = intake::InquirySubmitted::decode(payload)?;
            let arrival = Arrival {
                inquiry_id: inquiry(&event.inquiry_id)?,
                customer_id: customer(&event.customer_id)?,
                desk: event.desk,
                platform: event.platform,
                external_id: event.external_id,
                language: event.language,
                category: event.category,
                priority_minutes: event.priority_minutes,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            };
            about(&event.inquiry_id, Command::NoteInquiry(arrival))
        }
        5 => {
            let event = intake::InquiryClosed::decode(payload)?;
            let command = Command::CloseInquiry { inquiry_id: inquiry(&event.inquiry_id)?, reason: event.reason };
            about(&event.inquiry_id, command)
        }
        6 => {
            let event = intake::OrderRecorded::decode(payload)?;
            let command = Command::NoteHandler {
                customer_id: customer(&event.customer_id)?,
                employee_id: handler(tenant, &event.handler),
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            };
            about(&event.customer_id, command)
        }
        11 => {
            let event = intake::HistoryInquiryRecorded::decode(payload)?;
            let command = Command::NoteHandler {
                customer_id: customer(&event.customer_id)?,
                employee_id: handler(tenant, &event.handler),
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            };
            about(&event.customer_id, command)
        }
        _ => Ok(None),
    }
}

fn from_intent(schema: u16, payload: &[u8]) -> Reacted {
    if schema != 2 {
        return Ok(None);
    }
    let event = intent::IntentClassified::decode(payload)?;
    let top = event.scores.into_iter().next();
    let top = top.ok_or_else(|| CodecError::Malformed("a classification without a score".to_owned()))?;
    let score = IntentScore { intent: top.label, ppm: top.ppm };
    about(&event.inquiry_id, Command::NoteIntent { inquiry_id: inquiry(&event.inquiry_id)?, score })
}

fn note(entity: &[u8], fact: RosterFact, effective_from_us: i64) -> Reacted {
    about(entity, Command::NoteRoster { fact, effective_from: Timestamp::from_micros(effective_from_us) })
}

fn from_roster(schema: u16, payload: &[u8]) -> Reacted {
    match schema {
        1 => {
            let event = roster::CompanyDefined::decode(payload)?;
            let seed = wire::bytes16(&event.seed, "seed")?;
            about(b"company", Command::NoteRoster { fact: RosterFact::Seed(seed), effective_from: codec::ALWAYS })
        }
        2 => {
            let event = roster::DeskDefined::decode(payload)?;
            let entity = event.code.clone().into_bytes();
            let fact = RosterFact::Desk(DeskFacts { code: event.code, offsets: codec::offsets(&event.offsets) });
            about(&entity, Command::NoteRoster { fact, effective_from: codec::ALWAYS })
        }
        3 => {
            let event = roster::PositionDefined::decode(payload)?;
            let entity = event.code.clone().into_bytes();
            let fact = RosterFact::Position(PositionFacts {
                code: event.code,
                version: event.version,
                duties: event.duties,
                capacity_units: event.capacity_units,
                first_reception: event.first_reception,
            });
            note(&entity, fact, event.effective_from_us)
        }
        4 => {
            let event = roster::EmployeeDefined::decode(payload)?;
            let fact = RosterFact::Agent(AgentFacts {
                employee_id: wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?,
                code: event.code,
                desk: event.desk,
                position: event.position,
                skills: event.skills.into_iter().map(|skill| (skill.code, skill.level)).collect(),
                languages: event.languages,
                shifts: codec::shifts(&event.shifts),
                experience_months: event.experience_months,
            });
            note(&event.employee_id, fact, event.effective_from_us)
        }
        5 => {
            let event = roster::EmployeeLeft::decode(payload)?;
            let employee = wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?;
            note(&event.employee_id, RosterFact::Left(employee), event.effective_from_us)
        }
        6 => {
            let event = roster::PresenceSet::decode(payload)?;
            let presence = codec::presence(event.presence())?;
            let employee_id = wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?;
            about(&event.employee_id, Command::NotePresence { employee_id, presence })
        }
        7 => {
            let event = roster::PresenceLost::decode(payload)?;
            let employee_id = wire::id(&event.employee_id, "employee_id", EmployeeId::from_bytes)?;
            let presence = crate::domain::Presence::Offline;
            about(&event.employee_id, Command::NotePresence { employee_id, presence })
        }
        8 => {
            let hash = log::record_hash(payload);
            let event = roster::PolicyDefined::decode(payload)?;
            let effective_from_us = event.effective_from_us;
            note(b"policy", RosterFact::Policy(codec::policy(event, hash)), effective_from_us)
        }
        _ => Ok(None),
    }
}
