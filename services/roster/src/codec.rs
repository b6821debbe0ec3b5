//! Events of roster as they stand on the log.

use kernel::{CommandId, EmployeeId, Timestamp};
use prost::Message as _;
use proto::roster as pb;
use runtime::{CodecError, wire};

use crate::domain::{Company, Desk, Employee, Event, Policy, Position, Presence, Shift, ZoneOffset};

/// Schema of `CompanyDefined`, the first record of every tenant.
pub const COMPANY_DEFINED: u16 = 1;

mod schema {
    pub(super) use super::COMPANY_DEFINED;
    pub(super) const DESK_DEFINED: u16 = 2;
    pub(super) const POSITION_DEFINED: u16 = 3;
    pub(super) const EMPLOYEE_DEFINED: u16 = 4;
    pub(super) const EMPLOYEE_LEFT: u16 = 5;
    pub(super) const PRESENCE_SET: u16 = 6;
    pub(super) const PRESENCE_LOST: u16 = 7;
    pub(super) const POLICY_DEFINED: u16 = 8;
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event.clone() {
        Event::CompanyDefined { company, seed, effective_from } => {
            wire::put(schema::COMPANY_DEFINED, &company_to_wire(company, seed, effective_from), payload)
        }
        Event::DeskDefined { desk, effective_from } => {
            wire::put(schema::DESK_DEFINED, &desk_to_wire(desk, effective_from), payload)
        }
        Event::PositionDefined { position, version, effective_from } => {
            wire::put(schema::POSITION_DEFINED, &position_to_wire(position, version, effective_from), payload)
        }
        Event::EmployeeDefined { employee, effective_from } => {
            wire::put(schema::EMPLOYEE_DEFINED, &employee_to_wire(employee, effective_from), payload)
        }
        Event::EmployeeLeft { employee_id, effective_from } => {
            let effective_from_us = effective_from.as_micros();
            wire::put(
                schema::EMPLOYEE_LEFT,
                &pb::EmployeeLeft { employee_id: employee_id.to_vec(), effective_from_us },
                payload,
            )
        }
        Event::PolicyDefined { policy, version, effective_from } => {
            wire::put(schema::POLICY_DEFINED, &policy_to_wire(policy, version, effective_from), payload)
        }
        Event::PresenceSet { employee_id, presence } => {
            let presence = presence_to_wire(presence).into();
            wire::put(schema::PRESENCE_SET, &pb::PresenceSet { employee_id: employee_id.to_vec(), presence }, payload)
        }
        Event::PresenceLost { employee_id } => {
            wire::put(schema::PRESENCE_LOST, &pb::PresenceLost { employee_id: employee_id.to_vec() }, payload)
        }
    }
}

pub(crate) fn presence_to_wire(presence: Presence) -> pb::Presence {
    match presence {
        Presence::Available => pb::Presence::Available,
        Presence::Paused => pb::Presence::Paused,
        Presence::Offline => pb::Presence::Offline,
    }
}

pub(crate) fn company_to_wire(company: Company, seed: [u8; 16], effective_from: Timestamp) -> pb::CompanyDefined {
    pb::CompanyDefined {
        name: company.name,
        currency: company.currency.code().to_owned(),
        zone: company.zone,
        seed: seed.to_vec(),
        effective_from_us: effective_from.as_micros(),
        legal_entity: company.legal_entity,
        code: company.code,
    }
}

pub(crate) fn desk_to_wire(desk: Desk, effective_from: Timestamp) -> pb::DeskDefined {
    let offset =
        |offset: ZoneOffset| pb::ZoneOffset { from_us: offset.from.as_micros(), offset_seconds: offset.offset_seconds };
    pb::DeskDefined {
        code: desk.code,
        name_zh: desk.name_zh,
        name_en: desk.name_en,
        zone: desk.zone,
        offsets: desk.offsets.into_iter().map(offset).collect(),
        effective_from_us: effective_from.as_micros(),
    }
}

pub(crate) fn position_to_wire(position: Position, version: u32, effective_from: Timestamp) -> pb::PositionDefined {
    let weight = |(measure, weight): (String, kernel::Rate)| pb::KpiWeight { measure, weight: weight.to_string() };
    pb::PositionDefined {
        code: position.code,
        version,
        name_zh: position.name_zh,
        name_en: position.name_en,
        duties: position.duties,
        modules: position.modules,
        kpis: position.kpis.into_iter().map(weight).collect(),
        capacity_units: position.capacity_units,
        first_reception: position.first_reception,
        plan: position.plan,
        effective_from_us: effective_from.as_micros(),
    }
}

pub(crate) fn skills_to_wire(skills: Vec<(String, u32)>) -> Vec<pb::Skill> {
    skills.into_iter().map(|(code, level)| pb::Skill { code, level }).collect()
}

pub(crate) fn shifts_to_wire(shifts: Vec<Shift>) -> Vec<pb::Shift> {
    let shift = |shift: Shift| pb::Shift {
        weekday: shift.weekday,
        start_minute: shift.start_minute,
        end_minute: shift.end_minute,
    };
    shifts.into_iter().map(shift).collect()
}

fn employee_to_wire(employee: Employee, effective_from: Timestamp) -> pb::EmployeeDefined {
    pb::EmployeeDefined {
        employee_id: employee.employee_id.to_vec(),
        code: employee.code,
        name: employee.name.as_ref().map(wire::to_sealed),
        desk: employee.desk,
        position: employee.position,
        skills: skills_to_wire(employee.skills),
        languages: employee.languages,
        shifts: shifts_to_wire(employee.shifts),
        experience_months: employee.experience_months,
        effective_from_us: effective_from.as_micros(),
        name_mac: employee.name_mac.to_vec(),
        name_command_id: employee.name_command_id.to_vec(),
    }
}

pub(crate) fn policy_to_wire(policy: Policy, version: u32, effective_from: Timestamp) -> pb::PolicyDefined {
    let priority = |(intent, head_start_minutes)| pb::IntentPriority { intent, head_start_minutes };
    pb::PolicyDefined {
        version,
        intent_wait_ms: policy.intent_wait_ms,
        accept_timeout_ms: policy.accept_timeout_ms,
        wrap_up_ms: policy.wrap_up_ms,
        chat_cost: policy.chat_cost,
        sticky_hours: policy.sticky_hours,
        sticky_wait_ms: policy.sticky_wait_ms,
        experience_months: policy.experience_months,
        experience_wait_ms: policy.experience_wait_ms,
        misses_max: policy.misses_max,
        priorities: policy.priorities.into_iter().map(priority).collect(),
        effective_from_us: effective_from.as_micros(),
    }
}

fn employee_id(bytes: &[u8]) -> Result<EmployeeId, CodecError> {
    wire::id(bytes, "employee_id", EmployeeId::from_bytes)
}

fn malformed(error: impl std::fmt::Display) -> CodecError {
    CodecError::Malformed(error.to_string())
}

pub(crate) fn decode(schema: u16, payload: &[u8]) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::COMPANY_DEFINED => {
            let event = pb::CompanyDefined::decode(payload)?;
            let company = Company {
                name: event.name,
                currency: event.currency.parse().map_err(malformed)?,
                zone: event.zone,
                legal_entity: event.legal_entity,
                code: event.code,
            };
            let effective_from = Timestamp::from_micros(event.effective_from_us);
            Event::CompanyDefined { company, seed: wire::bytes16(&event.seed, "seed")?, effective_from }
        }
        schema::DESK_DEFINED => {
            let event = pb::DeskDefined::decode(payload)?;
            let offset = |offset: pb::ZoneOffset| ZoneOffset {
                from: Timestamp::from_micros(offset.from_us),
                offset_seconds: offset.offset_seconds,
            };
            let desk = Desk {
                code: event.code,
                name_zh: event.name_zh,
                name_en: event.name_en,
                zone: event.zone,
                offsets: event.offsets.into_iter().map(offset).collect(),
            };
            Event::DeskDefined { desk, effective_from: Timestamp::from_micros(event.effective_from_us) }
        }
        schema::POSITION_DEFINED => position(pb::PositionDefined::decode(payload)?)?,
        schema::EMPLOYEE_DEFINED => employee(pb::EmployeeDefined::decode(payload)?)?,
        schema::EMPLOYEE_LEFT => {
            let event = pb::EmployeeLeft::decode(payload)?;
            let effective_from = Timestamp::from_micros(event.effective_from_us);
            Event::EmployeeLeft { employee_id: employee_id(&event.employee_id)?, effective_from }
        }
        schema::PRESENCE_SET => {
            let event = pb::PresenceSet::decode(payload)?;
            let presence = match event.presence() {
                pb::Presence::Available => Presence::Available,
                pb::Presence::Paused => Presence::Paused,
                pb::Presence::Offline => Presence::Offline,
                pb::Presence::Unspecified => return Err(malformed("presence is unspecified")),
            };
            Event::PresenceSet { employee_id: employee_id(&event.employee_id)?, presence }
        }
        schema::PRESENCE_LOST => {
            Event::PresenceLost { employee_id: employee_id(&pb::PresenceLost::decode(payload)?.employee_id)? }
        }
        schema::POLICY_DEFINED => policy(pb::PolicyDefined::decode(payload)?),
        other => return Err(CodecError::UnknownSchema(other)),
    })
}

fn position(event: pb::PositionDefined) -> Result<Event, CodecError> {
    let weight = |weight: pb::KpiWeight| Ok((weight.measure, weight.weight.parse().map_err(malformed)?));
    let position = Position {
        code: event.code,
        name_zh: event.name_zh,
        name_en: event.name_en,
        duties: event.duties,
        modules: event.modules,
        kpis: event.kpis.into_iter().map(weight).collect::<Result<_, CodecError>>()?,
        capacity_units: event.capacity_units,
        first_reception: event.first_reception,
        plan: event.plan,
    };
    let effective_from = Timestamp::from_micros(event.effective_from_us);
    Ok(Event::PositionDefined { position, version: event.version, effective_from })
}

fn employee(event: pb::EmployeeDefined) -> Result<Event, CodecError> {
    let shift = |shift: pb::Shift| Shift {
        weekday: shift.weekday,
        start_minute: shift.start_minute,
        end_minute: shift.end_minute,
    };
    let employee = Employee {
        employee_id: employee_id(&event.employee_id)?,
        code: event.code,
        name: wire::optional_sealed(event.name)?,
        name_mac: wire::bytes16(&event.name_mac, "name_mac")?,
        name_command_id: wire::id(&event.name_command_id, "name_command_id", CommandId::from_bytes)?,
        desk: event.desk,
        position: event.position,
        skills: event.skills.into_iter().map(|skill| (skill.code, skill.level)).collect(),
        languages: event.languages,
        shifts: event.shifts.into_iter().map(shift).collect(),
        experience_months: event.experience_months,
    };
    Ok(Event::EmployeeDefined { employee, effective_from: Timestamp::from_micros(event.effective_from_us) })
}

fn policy(event: pb::PolicyDefined) -> Event {
    let policy = Policy {
        intent_wait_ms: event.intent_wait_ms,
        accept_timeout_ms: event.accept_timeout_ms,
        wrap_up_ms: event.wrap_up_ms,
        chat_cost: event.chat_cost,
        sticky_hours: event.sticky_hours,
        sticky_wait_ms: event.sticky_wait_ms,
        experience_months: event.experience_months,
        experience_wait_ms: event.experience_wait_ms,
        misses_max: event.misses_max,
        priorities: event.priorities.into_iter().map(|entry| (entry.intent, entry.head_start_minutes)).collect(),
    };
    let effective_from = Timestamp::from_micros(event.effective_from_us);
    Event::PolicyDefined { policy, version: event.version, effective_from }
}
