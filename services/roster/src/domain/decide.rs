//! The decisions of roster: what of an import is new, and whether it may take effect.

use kernel::{EmployeeId, OutcomeId, Stamp, Timestamp};

use super::types::{Command, Event, Presence, Rejection, State, Versions, Wanted};

pub(super) fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    match command {
        Command::Import { wanted, effective_from } => import(state, wanted, *effective_from, stamp),
        Command::SetPresence { employee_id, presence } => {
            employed(state, *employee_id, stamp.at)?;
            // Recorded also when it is what was said last: others may have paused the agent since.
            Ok(vec![Event::PresenceSet { employee_id: *employee_id, presence: *presence }])
        }
        Command::LosePresence { employee_id } => {
            let present = state.presence.get(employee_id).is_some_and(|presence| *presence != Presence::Offline);
            Ok(if present { vec![Event::PresenceLost { employee_id: *employee_id }] } else { Vec::new() })
        }
    }
}

fn employed(state: &State, employee: EmployeeId, at: Timestamp) -> Result<(), Rejection> {
    let versions = state.employees.get(&employee).ok_or(Rejection::EmployeeUnknown)?;
    // Somebody whose first version is still to come may already sit down at their desk.
    match versions.at(at).or_else(|| versions.first()) {
        Some(Some(_)) => Ok(()),
        _ => Err(Rejection::EmployeeLeft),
    }
}

/// Whether `wanted` differs from the last version, and may follow it.
fn differs<T>(
    versions: Option<&Versions<T>>,
    from: Timestamp,
    what: impl Fn() -> String,
    same: impl Fn(&T) -> bool,
) -> Result<bool, Rejection> {
    match versions.and_then(Versions::last) {
        Some((_, last)) if same(last) => Ok(false),
        Some((last_from, _)) if *last_from > from => Err(Rejection::Backdated { what: what() }),
        _ => Ok(true),
    }
}

fn import(state: &State, wanted: &Wanted, from: Timestamp, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    match (&wanted.company, state.company.last()) {
        (None, None) => return Err(Rejection::CompanyMissing),
        (Some(company), Some((_, known))) if company.currency != known.currency => {
            return Err(Rejection::CurrencyChanges);
        }
        _ => {}
    }
    if let Some(company) = &wanted.company
        && differs(Some(&state.company), from, || "the company".to_owned(), |known| known == company)?
    {
        // The seed is made once: a new one would change every tie-break that is still open.
        let made = || *OutcomeId::derive(stamp.tenant, stamp.command_id, 0).as_bytes();
        let seed = if state.company.is_empty() { made() } else { state.seed };
        events.push(Event::CompanyDefined { company: company.clone(), seed, effective_from: from });
    }
    for desk in &wanted.desks {
        let same = |known: &super::Desk| known.same(desk) && !known.runs_out(desk, stamp.at);
        if differs(state.desks.get(&desk.code), from, || format!("desk {}", desk.code), same)? {
            events.push(Event::DeskDefined { desk: desk.clone(), effective_from: from });
        }
    }
    for position in &wanted.positions {
        let versions = state.positions.get(&position.code);
        if differs(versions, from, || format!("position {}", position.code), |known| known == position)? {
            let version = version_after(versions.map_or(0, Versions::len) + planted_versions());
            events.push(Event::PositionDefined { position: position.clone(), version, effective_from: from });
        }
    }
    events.extend(employees(state, wanted, from)?);
    if let Some(policy) = &wanted.policy
        && differs(Some(&state.policy), from, || "the policy".to_owned(), |known| known == policy)?
    {
        let version = version_after(state.policy.len());
        events.push(Event::PolicyDefined { policy: policy.clone(), version, effective_from: from });
    }
    Ok(events)
}

fn version_after(versions: usize) -> u32 {
    u32::try_from(versions).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_versions() -> usize {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_versions() -> usize {
    usize::from(crate::planted::is(2))
}

/// Whether something is there at `from`, or begins then with this import.
fn in_force<T>(versions: Option<&Versions<T>>, from: Timestamp, defined_now: impl Fn() -> bool) -> bool {
    versions.map_or_else(defined_now, |versions| versions.at(from).is_some())
}

fn employees(state: &State, wanted: &Wanted, from: Timestamp) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    for employee in &wanted.employees {
        let code = || employee.code.clone();
        let desks = || wanted.desks.iter().any(|desk| desk.code == employee.desk);
        if !in_force(state.desks.get(&employee.desk), from, desks) {
            return Err(Rejection::DeskUnknown { employee: code(), desk: employee.desk.clone() });
        }
        let positions = || wanted.positions.iter().any(|position| position.code == employee.position);
        if !in_force(state.positions.get(&employee.position), from, positions) {
            return Err(Rejection::PositionUnknown { employee: code(), position: employee.position.clone() });
        }
        let versions = state.employees.get(&employee.employee_id);
        let same = |known: &Option<super::Employee>| known.as_ref().is_some_and(|known| known.same(employee));
        if differs(versions, from, || format!("employee {}", employee.code), same)? {
            events.push(Event::EmployeeDefined { employee: employee.clone(), effective_from: from });
        }
    }
    for employee_id in &wanted.leaving {
        let versions = state.employees.get(employee_id).ok_or(Rejection::EmployeeUnknown)?;
        if differs(Some(versions), from, || format!("employee {employee_id}"), |known| known.is_none())? {
            events.push(Event::EmployeeLeft { employee_id: *employee_id, effective_from: from });
        }
    }
    Ok(events)
}

pub(super) fn command_of(events: &[Event]) -> Option<Command> {
    let mut wanted = Wanted::default();
    let mut from = Timestamp::default();
    for event in events.iter().cloned() {
        match event {
            Event::PresenceSet { employee_id, presence } => {
                return Some(Command::SetPresence { employee_id, presence });
            }
            Event::PresenceLost { employee_id } => return Some(Command::LosePresence { employee_id }),
            Event::CompanyDefined { company, effective_from, .. } => {
                wanted.company = Some(company);
                from = effective_from;
            }
            Event::DeskDefined { desk, effective_from } => {
                wanted.desks.push(desk);
                from = effective_from;
            }
            Event::PositionDefined { position, effective_from, .. } => {
                wanted.positions.push(position);
                from = effective_from;
            }
            Event::EmployeeDefined { employee, effective_from } => {
                wanted.employees.push(employee);
                from = effective_from;
            }
            Event::EmployeeLeft { employee_id, effective_from } => {
                wanted.leaving.push(employee_id);
                from = effective_from;
            }
            Event::PolicyDefined { policy, effective_from, .. } => {
                wanted.policy = Some(policy);
                from = effective_from;
            }
        }
    }
    if events.is_empty() { None } else { Some(Command::Import { wanted, effective_from: from }) }
}
