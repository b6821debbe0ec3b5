//! Instants as people write and read them.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::Timestamp;

/// An instant in RFC 3339, UTC.
pub fn text(at: Timestamp) -> String {
    match jiff::Timestamp::from_microsecond(at.as_micros()) {
        Ok(instant) => instant.to_string(),
        Err(_) => format!("{at:?}"),
    }
}

/// Reads RFC 3339 with its offset.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let instant: jiff::Timestamp =
        text.parse().map_err(|_| format!("{text:?} is not an instant such as 2026-09-15T09:00:00+08:00"))?;
    Ok(Timestamp::from_micros(instant.as_microsecond()))
}

/// Reads an instant, or a date, which is its midnight in UTC.
pub fn parse_or_date(text: &str) -> Result<Timestamp, String> {
    match text.parse::<Date>() {
        // A date's parser also takes a text that goes on with a time; that is for `parse`.
        Ok(date) if text.len() <= "2026-09-15".len() => midnight(date),
        Ok(_) | Err(_) => parse(text).map_err(|_| {
            format!("{text:?} is not a date such as 2026-09-15 or an instant such as 2026-09-15T09:00:00+08:00")
        }),
    }
}

/// Midnight of a date in UTC.
pub fn midnight(date: Date) -> Result<Timestamp, String> {
    let instant = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).map_err(|error| error.to_string())?;
    Ok(Timestamp::from_micros(instant.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_need_an_offset_and_dates_are_midnight_in_utc() {
        let at = parse("2026-09-15T09:00:00+08:00").unwrap();
        assert_eq!(text(at), "2026-09-15T01:00:00Z");
        assert!(parse("2026-09-15T09:00:00").is_err());
        assert_eq!(text(parse_or_date("2026-09-15").unwrap()), "2026-09-15T00:00:00Z");
        assert_eq!(parse_or_date("2026-09-15T01:00:00Z").unwrap(), at);
        assert!(parse_or_date("yesterday").unwrap_err().contains("2026-09-15"));
    }
}
