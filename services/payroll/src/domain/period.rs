//! Which period may be closed: each once, none over another, and none while credits before it are in no period.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::{Duration, Timestamp};

use super::types::{Closed, Rejection, State};

/// A company that moves to another time zone moves its bounds by less than this: from UTC-12 to UTC+14.
const ZONES_APART_MAX: Duration = Duration::from_hours(26);

/// The bounds that a close has, or why it may not be. `at` is now.
pub(super) fn closing(state: &State, period: &str, asked: Closed, at: Timestamp) -> Result<Closed, Rejection> {
    let closing = joined(state, &asked);
    let overlaps = |closed: &Closed| closed.start < closing.end && closing.start < closed.end;
    // A month that was passed over stays open for the credits that come late: they would never be paid.
    let follows = |closed: &Closed| closed.start >= closing.end && !has_credits(state, &closing);
    if let Some((later, _)) = state.closed.iter().find(|(_, closed)| overlaps(closed) || follows(closed)) {
        return Err(Rejection::PeriodOrder { later: later.clone() });
    }
    if at < closing.end {
        return Err(Rejection::PeriodNotOver(period.to_owned()));
    }
    match first_uncovered(state, closing.start) {
        Some(first) => Err(Rejection::EarlierCredits { period: month_of(state, first, period, asked.start) }),
        None => Ok(closing),
    }
}

/// A period begins where the one before it ended and ends where the one after it began, also when the company's zone
/// changed in between: no credit may fall into two periods or between them.
fn joined(state: &State, asked: &Closed) -> Closed {
    let near = |at: Timestamp, bound: Timestamp| (at - ZONES_APART_MAX..=at + ZONES_APART_MAX).contains(&bound);
    let ends = state.closed.values().map(|closed| closed.end).filter(|end| near(*end, asked.start));
    let starts = state.closed.values().map(|closed| closed.start).filter(|start| near(*start, asked.end));
    Closed { start: ends.max().unwrap_or(asked.start), end: starts.min().unwrap_or(asked.end), ..asked.clone() }
}

fn has_credits(state: &State, closing: &Closed) -> bool {
    state.credits_of.keys().any(|employee| state.credits_in(*employee, closing).next().is_some())
}

/// The earliest credit before `until` that is in no closed period.
fn first_uncovered(state: &State, until: Timestamp) -> Option<Timestamp> {
    let mut closed: Vec<&Closed> = state.closed.values().collect();
    closed.sort_by_key(|closed| closed.start);
    let mut from = Timestamp::from_micros(i64::MIN);
    let mut first = None;
    for (start, end) in closed.iter().map(|closed| (closed.start, closed.end)).chain([(until, until)]) {
        let gap = Closed { start: from, end: start.min(until), kpi_known_seq: 0 };
        let credits = state.credits_of.keys().filter_map(|employee| state.credits_in(*employee, &gap).next());
        first = first.or(credits.map(|(_, credit)| credit.occurred_at).min());
        from = from.max(end);
    }
    first
}

/// The month that an instant falls into, on the calendar on which `period` begins at `start`. The fold knows no time zones;
/// where the clock changed in between, the name may be off for an hour at a month's end, and the next refusal corrects it.
fn month_of(state: &State, at: Timestamp, period: &str, start: Timestamp) -> String {
    let midnight = format!("{period}-01").parse::<Date>().ok();
    let midnight = midnight.and_then(|first| TimeZone::UTC.to_timestamp(first.at(0, 0, 0, 0)).ok());
    let ahead = midnight.map_or(0, |midnight| midnight.as_microsecond() - start.as_micros());
    let local = jiff::Timestamp::from_microsecond(at.as_micros().saturating_add(ahead)).unwrap_or_default();
    let month = TimeZone::UTC.to_datetime(local).date().first_of_month();
    let name = |month: Date| month.strftime("%Y-%m").to_string();
    let beside = match state.closed.get(&name(month)) {
        None => Ok(month),
        Some(closed) if at < closed.start => month.yesterday(),
        Some(_) => month.last_of_month().tomorrow(),
    };
    name(beside.unwrap_or(month))
}
