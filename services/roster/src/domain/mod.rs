//! Who works here and what each position is, version by version: a change never rewrites the past.

mod decide;
mod types;

use kernel::{Decider, Stamp, Violation};

pub use types::{
    Command, Company, Desk, Employee, Event, Policy, Position, Presence, Rejection, Shift, State, Versions, Wanted,
    ZoneOffset,
};

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Roster;

impl Decider for Roster {
    const NAME: &'static str = "roster";
    const LOGIC_VERSION: u32 = 1;

    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
        decide::decide(state, command, stamp)
    }

    fn evolve(state: &mut State, event: &Event) {
        match event.clone() {
            Event::CompanyDefined { company, seed, effective_from } => {
                state.seed = seed;
                state.company.add(effective_from, company);
            }
            Event::DeskDefined { desk, effective_from } => {
                state.desks.entry(desk.code.clone()).or_default().add(effective_from, desk);
            }
            Event::PositionDefined { position, effective_from, .. } => {
                state.positions.entry(position.code.clone()).or_default().add(effective_from, position);
            }
            Event::EmployeeDefined { employee, effective_from } => {
                let employee = planted_level(employee);
                state.employees.entry(employee.employee_id).or_default().add(effective_from, Some(employee));
            }
            Event::EmployeeLeft { employee_id, effective_from } => {
                state.employees.entry(employee_id).or_default().add(effective_from, None);
            }
            Event::PolicyDefined { policy, effective_from, .. } => state.policy.add(effective_from, policy),
            Event::PresenceSet { employee_id, presence } => {
                state.presence.insert(employee_id, presence);
            }
            Event::PresenceLost { employee_id } => {
                state.presence.insert(employee_id, Presence::Offline);
            }
        }
    }

    fn command_of(events: &[Event]) -> Option<Command> {
        decide::command_of(events)
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        let ordered = state.desks.values().all(Versions::in_order)
            && state.positions.values().all(Versions::in_order)
            && state.employees.values().all(Versions::in_order)
            && state.company.in_order()
            && state.policy.in_order();
        if !ordered {
            return Err(Violation {
                law: "versions follow each other in time",
                what: "a version is out of order".to_owned(),
            });
        }
        for versions in state.employees.values() {
            if let Some((_, Some(employee))) = versions.last() {
                let known =
                    state.desks.contains_key(&employee.desk) && state.positions.contains_key(&employee.position);
                if !known {
                    let what = format!("employee {}", employee.code);
                    return Err(Violation { law: "every employee has a desk and a position", what });
                }
            }
        }
        match state.presence.keys().find(|id| !state.employees.contains_key(id)) {
            Some(id) => Err(Violation { law: "presence is of employees", what: format!("{id}") }),
            None => Ok(()),
        }
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_level(employee: Employee) -> Employee {
    employee
}

#[cfg(feature = "planted-bugs")]
fn planted_level(mut employee: Employee) -> Employee {
    if crate::planted::is(1) {
        employee.experience_months += 1;
    }
    employee
}
