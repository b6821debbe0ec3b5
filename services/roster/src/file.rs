//! The company file: YAML that people write, checked whole before anything is recorded.

use std::collections::BTreeMap;

use jiff::Timestamp as Instant;
use jiff::tz::TimeZone;
use kernel::{Rate, Timestamp};
use serde::Deserialize;

use crate::domain::{Company, Desk, Policy, Position, Shift, ZoneOffset};

/// Years of zone offsets that a desk carries.
const OFFSET_YEARS: i64 = 10;
/// Entries of one list (L9).
const ENTRIES_MAX: usize = 5_000;
/// Bytes of a code: a record's envelope names the positions of who acts, and has room for so much (L9).
const CODE_BYTES_MAX: usize = 64;

/// A company file as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyFile {
    pub company: Option<CompanyEntry>,
    #[serde(default)]
    desks: Vec<DeskEntry>,
    #[serde(default)]
    positions: Vec<PositionEntry>,
    #[serde(default)]
    pub employees: Vec<EmployeeEntry>,
    policy: Option<PolicyEntry>,
    /// When it takes effect; at once when absent.
    effective_from: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompanyEntry {
    /// The tenant's code, for `fenliu init`.
    pub code: Option<String>,
    name: String,
    currency: String,
    zone: String,
    legal_entity: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DeskEntry {
    code: String,
    name_zh: String,
    name_en: String,
    zone: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PositionEntry {
    code: String,
    name_zh: String,
    name_en: String,
    duties: Vec<String>,
    #[serde(default)]
    modules: Vec<String>,
    #[serde(default)]
    kpis: BTreeMap<String, String>,
    capacity_units: u32,
    #[serde(default)]
    first_reception: bool,
    #[serde(default)]
    plan: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmployeeEntry {
    pub code: String,
    pub name: String,
    pub desk: String,
    pub position: String,
    #[serde(default)]
    pub skills: BTreeMap<String, u32>,
    #[serde(default)]
    pub languages: Vec<String>,
    #[serde(default)]
    shifts: Vec<ShiftEntry>,
    #[serde(default)]
    pub experience_months: u32,
    /// The employee leaves when the file takes effect.
    #[serde(default)]
    pub left: bool,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ShiftEntry {
    /// 1 = Monday .. 7 = Sunday.
    days: Vec<u32>,
    /// Local time of the desk, `08:00`.
    from: String,
    /// `24:00` is the day's end. Earlier than `from`: the shift ends on the next day.
    to: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct PolicyEntry {
    intent_wait_ms: u32,
    accept_timeout_ms: u32,
    wrap_up_ms: u32,
    chat_cost: u32,
    sticky_hours: u32,
    sticky_wait_ms: u32,
    experience_months: u32,
    experience_wait_ms: u32,
    misses_max: u32,
    priorities: BTreeMap<String, u32>,
}

impl Default for PolicyEntry {
    fn default() -> Self {
        Self {
            intent_wait_ms: 500,
            accept_timeout_ms: 30_000,
            wrap_up_ms: 60_000,
            chat_cost: 100,
            sticky_hours: 72,
            sticky_wait_ms: 30_000,
            experience_months: 12,
            experience_wait_ms: 30_000,
            misses_max: 3,
            priorities: BTreeMap::new(),
        }
    }
}

/// A mistake in the file, with its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct FileError {
    pub place: String,
    pub what: String,
}

fn wrong(place: impl Into<String>, what: impl Into<String>) -> FileError {
    FileError { place: place.into(), what: what.into() }
}

/// What a file defines, without what must be sealed first.
#[derive(Debug, Clone)]
pub struct Definitions {
    pub company: Option<Company>,
    pub desks: Vec<Desk>,
    pub positions: Vec<Position>,
    pub employees: Vec<(EmployeeEntry, Vec<Shift>)>,
    pub policy: Option<Policy>,
    pub effective_from: Timestamp,
}

/// Reads and checks a company file. `now` is when it takes effect, where it does not say.
pub fn parse(yaml: &str, now: Timestamp) -> Result<Definitions, FileError> {
    let file: CompanyFile = serde_norway::from_str(yaml).map_err(|error| {
        let place = error
            .location()
            .map_or_else(|| "file".to_owned(), |at| format!("line {}, column {}", at.line(), at.column()));
        wrong(place, error.to_string())
    })?;
    if file.desks.len().max(file.positions.len()).max(file.employees.len()) > ENTRIES_MAX {
        return Err(wrong("file", format!("a list has more than {ENTRIES_MAX} entries")));
    }
    let effective_from = match &file.effective_from {
        None => now,
        Some(text) => {
            let instant: Instant = text.parse().map_err(|_| {
                wrong("effective_from", format!("{text:?} is not an instant such as 2026-01-01T00:00:00+08:00"))
            })?;
            Timestamp::from_micros(instant.as_microsecond())
        }
    };
    unique("desks", file.desks.iter().map(|desk| &desk.code))?;
    unique("positions", file.positions.iter().map(|position| &position.code))?;
    unique("employees", file.employees.iter().map(|employee| &employee.code))?;
    Ok(Definitions {
        company: file.company.map(company).transpose()?,
        desks: file.desks.into_iter().map(|entry| desk(entry, effective_from)).collect::<Result<_, _>>()?,
        positions: file.positions.into_iter().map(position).collect::<Result<_, _>>()?,
        employees: file.employees.into_iter().map(employee).collect::<Result<_, _>>()?,
        policy: file.policy.map(policy).transpose()?,
        effective_from,
    })
}

fn unique<'a>(list: &str, codes: impl Iterator<Item = &'a String>) -> Result<(), FileError> {
    let mut seen = std::collections::BTreeSet::new();
    for code in codes {
        if code.trim().is_empty() || code.len() > CODE_BYTES_MAX || code.chars().any(char::is_control) {
            return Err(wrong(
                list,
                format!("{code:?} is not a code of 1 to {CODE_BYTES_MAX} bytes without control characters"),
            ));
        }
        if !seen.insert(code) {
            return Err(wrong(list, format!("code {code:?} stands there twice")));
        }
    }
    Ok(())
}

fn zone(name: &str, place: String) -> Result<TimeZone, FileError> {
    TimeZone::get(name).map_err(|_| wrong(place, format!("{name:?} is not an IANA time zone such as Asia/Shanghai")))
}

fn company(entry: CompanyEntry) -> Result<Company, FileError> {
    zone(&entry.zone, "company.zone".to_owned())?;
    let currency = entry.currency.parse().map_err(|error| wrong("company.currency", format!("{error}")))?;
    // The request names the tenant; the file's own code is for `fenliu init`.
    let code = String::new();
    Ok(Company { code, name: entry.name, currency, zone: entry.zone, legal_entity: entry.legal_entity })
}

fn desk(entry: DeskEntry, from: Timestamp) -> Result<Desk, FileError> {
    let zone = zone(&entry.zone, format!("desk {}: zone", entry.code))?;
    let start =
        Instant::from_microsecond(from.as_micros()).map_err(|_| wrong("effective_from", "is outside the calendar"))?;
    let end = from + kernel::Duration::from_days(OFFSET_YEARS * 366);
    let first = ZoneOffset { from: Timestamp::from_micros(i64::MIN), offset_seconds: zone.to_offset(start).seconds() };
    let later = zone.following(start).map(|transition| ZoneOffset {
        from: Timestamp::from_micros(transition.timestamp().as_microsecond()),
        offset_seconds: transition.offset().seconds(),
    });
    let offsets = std::iter::once(first).chain(later.take_while(|offset| offset.from < end)).collect();
    let DeskEntry { code, name_zh, name_en, zone } = entry;
    Ok(Desk { code, name_zh, name_en, zone, offsets })
}

fn position(entry: PositionEntry) -> Result<Position, FileError> {
    let place = format!("position {}", entry.code);
    if entry.capacity_units == 0 || entry.capacity_units > 100_000 {
        return Err(wrong(place, "capacity_units must be 1 to 100000"));
    }
    let mut kpis = Vec::new();
    let mut sum = kernel::Decimal::ZERO;
    for (measure, weight) in entry.kpis {
        let weight: Rate = weight.parse().map_err(|error| wrong(&place, format!("kpis.{measure}: {error}")))?;
        if weight.0 < kernel::Decimal::ZERO {
            return Err(wrong(place, format!("kpis.{measure}: {weight} is negative")));
        }
        let added = sum.checked_add(weight.0);
        sum = added.ok_or_else(|| wrong(&place, format!("kpis.{measure}: {weight} is too large for a weight")))?;
        kpis.push((measure, weight));
    }
    if !kpis.is_empty() && sum != kernel::Decimal::ONE {
        return Err(wrong(place, format!("the weights of kpis sum to {sum}, not to 1")));
    }
    Ok(Position {
        code: entry.code,
        name_zh: entry.name_zh,
        name_en: entry.name_en,
        duties: entry.duties,
        modules: entry.modules,
        kpis,
        capacity_units: entry.capacity_units,
        first_reception: entry.first_reception,
        plan: entry.plan,
    })
}

fn employee(entry: EmployeeEntry) -> Result<(EmployeeEntry, Vec<Shift>), FileError> {
    let place = format!("employee {}", entry.code);
    if let Some((skill, level)) = entry.skills.iter().find(|(_, level)| !(1..=5).contains(*level)) {
        return Err(wrong(place, format!("skill {skill} has level {level}; levels are 1 to 5")));
    }
    let mut shifts = Vec::new();
    for shift in &entry.shifts {
        let (start, end) = (minute(&shift.from, &place)?, minute(&shift.to, &place)?);
        for day in &shift.days {
            if !(1..=7).contains(day) {
                return Err(wrong(place, format!("day {day} of a shift is not 1 (Monday) to 7 (Sunday)")));
            }
            if start < end {
                shifts.push(Shift { weekday: *day, start_minute: start, end_minute: end });
            } else {
                shifts.push(Shift { weekday: *day, start_minute: start, end_minute: 1440 });
                if end > 0 {
                    shifts.push(Shift { weekday: day % 7 + 1, start_minute: 0, end_minute: end });
                }
            }
        }
    }
    shifts.sort_by_key(|shift| (shift.weekday, shift.start_minute, shift.end_minute));
    Ok((entry, shifts))
}

fn minute(text: &str, place: &str) -> Result<u32, FileError> {
    let parsed = text.split_once(':').and_then(|(hours, minutes)| {
        let (hours, minutes): (u32, u32) = (hours.parse().ok()?, minutes.parse().ok()?);
        (hours <= 24 && minutes < 60).then(|| hours * 60 + minutes).filter(|minute| *minute <= 1440)
    });
    parsed.ok_or_else(|| wrong(place, format!("{text:?} is not a time of day such as 08:30")))
}

fn policy(entry: PolicyEntry) -> Result<Policy, FileError> {
    if entry.chat_cost == 0 || entry.accept_timeout_ms < 1_000 || entry.misses_max == 0 {
        return Err(wrong("policy", "chat_cost and misses_max must be at least 1, accept_timeout_ms at least 1000"));
    }
    Ok(Policy {
        intent_wait_ms: entry.intent_wait_ms,
        accept_timeout_ms: entry.accept_timeout_ms,
        wrap_up_ms: entry.wrap_up_ms,
        chat_cost: entry.chat_cost,
        sticky_hours: entry.sticky_hours,
        sticky_wait_ms: entry.sticky_wait_ms,
        experience_months: entry.experience_months,
        experience_wait_ms: entry.experience_wait_ms,
        misses_max: entry.misses_max,
        priorities: entry.priorities.into_iter().collect(),
    })
}

/// The tenant's code that a file names, for `fenliu init`.
pub fn tenant_code(yaml: &str) -> Option<String> {
    let file: CompanyFile = serde_norway::from_str(yaml).ok()?;
    file.company?.code
}
