//! The words of roster: commands, events, rejections and the state.

use std::collections::BTreeMap;

use kernel::{CommandId, Currency, Duration, EmployeeId, Rate, Refusal, RefusalKind, Sealed, Timestamp};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presence {
    Available,
    /// Finishes what they have, takes nothing new.
    Paused,
    Offline,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    /// The tenant's code, as requests name it.
    pub code: String,
    pub name: String,
    pub currency: Currency,
    /// IANA zone of periods and days.
    pub zone: String,
    pub legal_entity: String,
}

/// From `from` on, local time is UTC + `offset_seconds`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneOffset {
    pub from: Timestamp,
    pub offset_seconds: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desk {
    pub code: String,
    pub name_zh: String,
    pub name_en: String,
    pub zone: String,
    pub offsets: Vec<ZoneOffset>,
}

/// Before the last known change of a desk's clock is nearer than this, an import renews what is known: twice the time
/// between two changes, so that the next one is always known.
const OFFSETS_RENEWED_BEFORE: Duration = Duration::from_days(365);

impl Desk {
    /// Equal but for the zone's offsets: a table of the years to come, which does not make another desk.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let named = |desk: &Self| Self { offsets: Vec::new(), ..desk.clone() };
        named(self) == named(other)
    }

    /// Whether this one's offsets end soon and the other's go on.
    pub(crate) fn runs_out(&self, other: &Self, now: Timestamp) -> bool {
        let end = |desk: &Self| desk.offsets.last().map(|offset| offset.from);
        end(self) < Some(now + OFFSETS_RENEWED_BEFORE) && end(self) < end(other)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    pub code: String,
    pub name_zh: String,
    pub name_en: String,
    pub duties: Vec<String>,
    pub modules: Vec<String>,
    /// Measures and their weights, which sum to 1.
    pub kpis: Vec<(String, Rate)>,
    pub capacity_units: u32,
    pub first_reception: bool,
    pub plan: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shift {
    /// 1 = Monday .. 7 = Sunday.
    pub weekday: u32,
    /// Minutes after local midnight, the end excluded.
    pub start_minute: u32,
    pub end_minute: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employee {
    pub employee_id: EmployeeId,
    pub code: String,
    pub name: Option<Sealed>,
    /// Keyed hash of the name: tells whether it changed.
    pub name_mac: [u8; 16],
    /// The command that the name was sealed for.
    pub name_command_id: CommandId,
    pub desk: String,
    pub position: String,
    /// Skill and level 1..5.
    pub skills: Vec<(String, u32)>,
    pub languages: Vec<String>,
    pub shifts: Vec<Shift>,
    pub experience_months: u32,
}

impl Employee {
    /// Equal but for how the name is sealed.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let sealed = |employee: &Self| Self { name: None, name_command_id: CommandId::default(), ..employee.clone() };
        sealed(self) == sealed(other)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub intent_wait_ms: u32,
    pub accept_timeout_ms: u32,
    pub wrap_up_ms: u32,
    pub chat_cost: u32,
    pub sticky_hours: u32,
    pub sticky_wait_ms: u32,
    pub experience_months: u32,
    pub experience_wait_ms: u32,
    pub misses_max: u32,
    /// Intents and the head start of each, in minutes.
    pub priorities: Vec<(String, u32)>,
}

/// The company as an import wants it. What it does not name stays as it is.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Wanted {
    pub company: Option<Company>,
    pub desks: Vec<Desk>,
    pub positions: Vec<Position>,
    pub employees: Vec<Employee>,
    /// Employees who leave.
    pub leaving: Vec<EmployeeId>,
    pub policy: Option<Policy>,
}

#[expect(clippy::large_enum_variant, reason = "a command lives for one decision; boxing costs more than it saves")]
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Import { wanted: Wanted, effective_from: Timestamp },
    SetPresence { employee_id: EmployeeId, presence: Presence },
    LosePresence { employee_id: EmployeeId },
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    CompanyDefined { company: Company, seed: [u8; 16], effective_from: Timestamp },
    DeskDefined { desk: Desk, effective_from: Timestamp },
    PositionDefined { position: Position, version: u32, effective_from: Timestamp },
    EmployeeDefined { employee: Employee, effective_from: Timestamp },
    EmployeeLeft { employee_id: EmployeeId, effective_from: Timestamp },
    PolicyDefined { policy: Policy, version: u32, effective_from: Timestamp },
    PresenceSet { employee_id: EmployeeId, presence: Presence },
    PresenceLost { employee_id: EmployeeId },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no employee with this code")]
    EmployeeUnknown,
    #[error("the employee has left")]
    EmployeeLeft,
    #[error("employee {employee} names desk {desk:?}, which the company does not have then")]
    DeskUnknown { employee: String, desk: String },
    #[error("employee {employee} names position {position:?}, which the company does not have then")]
    PositionUnknown { employee: String, position: String },
    #[error("{what} already has a version that takes effect later; a change never rewrites the past")]
    Backdated { what: String },
    #[error("the company is not defined yet: the file needs `company`")]
    CompanyMissing,
    #[error("the currency of a company cannot change")]
    CurrencyChanges,
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::EmployeeUnknown => RefusalKind::NotFound,
            Self::EmployeeLeft | Self::Backdated { .. } | Self::CurrencyChanges => RefusalKind::FailedPrecondition,
            Self::DeskUnknown { .. } | Self::PositionUnknown { .. } | Self::CompanyMissing => RefusalKind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::EmployeeUnknown => "EMPLOYEE_UNKNOWN",
            Self::EmployeeLeft => "EMPLOYEE_LEFT",
            Self::DeskUnknown { .. } => "DESK_UNKNOWN",
            Self::PositionUnknown { .. } => "POSITION_UNKNOWN",
            Self::Backdated { .. } => "BACKDATED",
            Self::CompanyMissing => "COMPANY_MISSING",
            Self::CurrencyChanges => "CURRENCY_CHANGES",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::EmployeeUnknown | Self::EmployeeLeft => Some("employee"),
            Self::DeskUnknown { .. }
            | Self::PositionUnknown { .. }
            | Self::Backdated { .. }
            | Self::CompanyMissing
            | Self::CurrencyChanges => Some("yaml"),
        }
    }
}

/// Versions of one thing, each in force from its instant on, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions<T>(Vec<(Timestamp, T)>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Versions<T> {
    /// What is in force at `at`.
    pub fn at(&self, at: Timestamp) -> Option<&T> {
        self.0.iter().rev().find(|(from, _)| *from <= at).map(|(_, value)| value)
    }

    pub fn first(&self) -> Option<&T> {
        self.0.first().map(|(_, value)| value)
    }

    pub fn last(&self) -> Option<&(Timestamp, T)> {
        self.0.last()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, from: Timestamp, value: T) {
        self.0.push((from, value));
    }

    pub(super) fn in_order(&self) -> bool {
        self.0.is_sorted_by_key(|(from, _)| *from)
    }
}

/// One tenant's company, with its past. `None` as an employee's version: they have left.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub company: Versions<Company>,
    pub seed: [u8; 16],
    pub desks: BTreeMap<String, Versions<Desk>>,
    pub positions: BTreeMap<String, Versions<Position>>,
    pub employees: BTreeMap<EmployeeId, Versions<Option<Employee>>>,
    pub policy: Versions<Policy>,
    pub presence: BTreeMap<EmployeeId, Presence>,
}
