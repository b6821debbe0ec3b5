//! An import's differences, as lines for people.

use crate::domain::{Event, State};

/// One line a change: `+` for what is new, `~` for a new version, `-` for who leaves.
pub(crate) fn lines(state: &State, events: &[Event]) -> Vec<String> {
    let sign = |known: bool| if known { '~' } else { '+' };
    let line = |event: &Event| match event {
        Event::CompanyDefined { company, .. } => {
            format!("{} company {}", sign(!state.company.is_empty()), company.name)
        }
        Event::DeskDefined { desk, .. } => format!("{} desk {}", sign(state.desks.contains_key(&desk.code)), desk.code),
        Event::PositionDefined { position, version, .. } => {
            format!("{} position {} v{version}", sign(state.positions.contains_key(&position.code)), position.code)
        }
        Event::EmployeeDefined { employee, .. } => {
            let known = state.employees.contains_key(&employee.employee_id);
            format!("{} employee {} ({} at {})", sign(known), employee.code, employee.position, employee.desk)
        }
        Event::EmployeeLeft { employee_id, .. } => format!("- employee {employee_id}"),
        Event::PolicyDefined { version, .. } => format!("{} policy v{version}", sign(!state.policy.is_empty())),
        Event::PresenceSet { employee_id, presence } => format!("~ presence {employee_id} {presence:?}"),
        Event::PresenceLost { employee_id } => format!("~ presence {employee_id} lost"),
    };
    events.iter().map(line).collect()
}
