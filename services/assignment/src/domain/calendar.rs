//! Local time of a desk, from the offsets that the roster gave: a fold needs no zone tables.

use kernel::{Duration, Timestamp};

use super::state::Desk;
use super::types::AgentFacts;

const MINUTE: i64 = 60 * 1_000_000;
const DAY: i64 = 24 * 60 * MINUTE;

fn offset_micros(desk: &Desk, at: Timestamp) -> i64 {
    let offsets = desk.facts.as_ref().map_or(&[][..], |facts| &facts.offsets);
    let last = offsets.iter().rev().find(|offset| offset.from <= at);
    last.map_or(0, |offset| i64::from(offset.seconds) * 1_000_000)
}

/// Weekday (1 = Monday) and minutes after local midnight.
pub(super) fn local(desk: &Desk, at: Timestamp) -> (u32, u32) {
    let local = at.as_micros().saturating_add(offset_micros(desk, at));
    // 1970-01-01 was a Thursday.
    let weekday = (local.div_euclid(DAY) + 3).rem_euclid(7) + 1;
    let minute = local.rem_euclid(DAY) / MINUTE;
    (u32::try_from(weekday).unwrap_or(1), u32::try_from(minute).unwrap_or(0))
}

/// Whether a shift covers the instant, in the desk's local time.
pub(super) fn on_shift(desk: &Desk, agent: &AgentFacts, at: Timestamp) -> bool {
    if agent.shifts.is_empty() {
        return true;
    }
    let (weekday, minute) = local(desk, at);
    agent
        .shifts
        .iter()
        .any(|shift| shift.weekday == weekday && shift.start_minute <= minute && minute < shift.end_minute)
}

/// When a shift of one of the agents next begins or ends, or the clocks change.
pub(super) fn next_boundary<'a>(
    desk: &Desk,
    agents: impl Iterator<Item = &'a AgentFacts>,
    at: Timestamp,
) -> Option<Timestamp> {
    let offset = offset_micros(desk, at);
    let local = at.as_micros().saturating_add(offset);
    let week_start = local - (local.div_euclid(DAY) + 3).rem_euclid(7) * DAY - local.rem_euclid(DAY);
    let in_week = local - week_start;
    let mut next: Option<i64> = None;
    for shift in agents.flat_map(|agent| &agent.shifts) {
        for minute in [shift.start_minute, shift.end_minute] {
            let boundary = (i64::from(shift.weekday) - 1) * DAY + i64::from(minute) * MINUTE;
            let ahead = (boundary - in_week).rem_euclid(7 * DAY);
            let ahead = if ahead == 0 { 7 * DAY } else { ahead };
            next = Some(next.map_or(ahead, |next| next.min(ahead)));
        }
    }
    let change = desk.facts.iter().flat_map(|facts| &facts.offsets).map(|offset| offset.from).find(|from| *from > at);
    let shift = next.map(|ahead| at + Duration::from_micros(ahead));
    match (shift, change) {
        (Some(shift), Some(change)) => Some(shift.min(change)),
        (Some(shift), None) => Some(shift),
        (None, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::{DeskFacts, Shift, ZoneOffset};
    use super::*;

    fn desk(seconds: i32) -> Desk {
        let offsets = vec![ZoneOffset { from: Timestamp::from_micros(i64::MIN), seconds }];
        Desk { facts: Some(DeskFacts { code: "d".to_owned(), offsets }), ..Desk::default() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn weekday_and_minute_are_the_desks_own() {
        // 2026-09-15T02:30:00Z is a Tuesday; 10:30 in Shanghai, and still Monday evening in New York.
        let instant = at(1_789_439_400);
        assert_eq!(local(&desk(8 * 3600), instant), (2, 10 * 60 + 30));
        assert_eq!(local(&desk(-4 * 3600), instant), (1, 22 * 60 + 30));
    }

    #[test]
    fn the_next_boundary_is_the_nearest_start_or_end() {
        let shift = |weekday, start_minute, end_minute| Shift { weekday, start_minute, end_minute };
        let agent = AgentFacts {
            employee_id: kernel::EmployeeId::from_bytes([1; 16]),
            code: String::new(),
            desk: String::new(),
            position: String::new(),
            skills: Vec::new(),
            languages: Vec::new(),
            shifts: vec![shift(2, 9 * 60, 12 * 60), shift(1, 0, 60)],
            experience_months: 0,
        };
        let instant = at(1_789_439_400);
        let next = next_boundary(&desk(8 * 3600), [&agent].into_iter(), instant);
        assert_eq!(next, Some(instant + Duration::from_secs(90 * 60)), "the shift ends at noon");
        let monday = next_boundary(&desk(8 * 3600), [&agent].into_iter(), instant + Duration::from_secs(90 * 60));
        assert_eq!(
            monday,
            Some(instant + Duration::from_secs(90 * 60) + Duration::from_hours(6 * 24 - 12)),
            "next Monday"
        );
        assert_eq!(next_boundary(&desk(0), [].into_iter(), instant), None);
    }
}
