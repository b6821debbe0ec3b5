//! Checks of request fields: every refusal names its field.

use std::str::FromStr;

use kernel::{Money, Timestamp};
use tonic::Status;

use crate::status::invalid;

/// Characters of a code or a platform's id. Long enough for any platform seen, short enough to index (L9).
pub const ID_CHARACTERS_MAX: usize = 200;

/// A text that must be there.
pub fn required<'a>(text: &'a str, field: &str) -> Result<&'a str, Status> {
    if text.trim().is_empty() { Err(invalid(field, "is missing")) } else { Ok(text) }
}

/// A text of at most `max` characters.
pub fn at_most<'a>(text: &'a str, max: usize, field: &str) -> Result<&'a str, Status> {
    let characters = text.chars().count();
    if characters > max {
        return Err(invalid(field, format!("has {characters} characters; {max} are allowed")));
    }
    Ok(text)
}

/// A code or platform id: there, not too long, and without control characters.
pub fn key<'a>(text: &'a str, field: &str) -> Result<&'a str, Status> {
    required(text, field)?;
    at_most(text, ID_CHARACTERS_MAX, field)?;
    if text.chars().any(char::is_control) {
        return Err(invalid(field, "has a control character"));
    }
    Ok(text)
}

/// An instant that must be there.
pub fn timestamp(at: Option<prost_types::Timestamp>, field: &str) -> Result<Timestamp, Status> {
    let at = at.ok_or_else(|| invalid(field, "is missing"))?;
    // Years 0001 to 9999, the range of google.protobuf.Timestamp.
    if !(-62_135_596_800..=253_402_300_799).contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return Err(invalid(field, "is not a valid instant"));
    }
    Ok(Timestamp::from_micros(at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000))
}

/// An instant as it goes onto the wire.
pub fn wire_timestamp(at: Timestamp) -> prost_types::Timestamp {
    let micros = at.as_micros();
    prost_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos: i32::try_from(micros.rem_euclid(1_000_000)).unwrap_or(0) * 1_000,
    }
}

/// An id in its text form.
pub fn id<T: FromStr>(text: &str, field: &str) -> Result<T, Status> {
    required(text, field)?.parse().map_err(|_| invalid(field, "is not an id: 32 hexadecimal digits are expected"))
}

/// An amount of money that must be there, with the currency's own exponent.
pub fn money(money: Option<&proto::common::Money>, field: &str) -> Result<Money, Status> {
    let money = money.ok_or_else(|| invalid(field, "is missing"))?;
    Money::from_parts(money.minor, &money.currency, money.exponent).map_err(|error| invalid(field, error.to_string()))
}

/// An amount as it goes onto the wire.
pub fn wire_money(money: Money) -> proto::common::Money {
    proto::common::Money {
        minor: money.minor,
        currency: money.currency.code().to_owned(),
        exponent: u32::from(money.currency.exponent()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::field_of;

    #[test]
    fn every_refusal_names_its_field() {
        for refused in [
            required(" ", "desk").err(),
            at_most("abc", 2, "desk").err(),
            key("a\nb", "desk").err(),
            timestamp(None, "desk").err(),
            timestamp(Some(prost_types::Timestamp { seconds: i64::MAX, nanos: 0 }), "desk").err(),
            timestamp(Some(prost_types::Timestamp { seconds: 0, nanos: -1 }), "desk").err(),
            id::<kernel::InquiryId>("zz", "desk").err(),
            money(None, "desk").err(),
        ] {
            assert_eq!(field_of(&refused.expect("refused")).as_deref(), Some("desk"));
        }
    }

    #[test]
    fn instants_survive_the_wire_also_before_1970() {
        for micros in [0, 1, -1, 1_700_000_000_123_456, -1_500_000] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(timestamp(Some(wire_timestamp(at)), "at").unwrap(), at);
        }
    }
}
