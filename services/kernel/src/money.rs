//! Money: integer minor units with currency and exponent. Rates are decimals; floats do not exist here.

use std::fmt;
use std::str::FromStr;

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

/// An ISO 4217 currency: three letters and the number of decimals of its minor unit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Currency {
    code: [u8; 3],
    exponent: u8,
}

/// An amount in minor units: CNY 12.34 is 1234 with exponent 2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Money {
    pub minor: i64,
    pub currency: Currency,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("currency {0:?} is not three upper-case letters known here")]
    UnknownCurrency(String),
    #[error("exponent {given} is wrong for {currency}: it has {expected}")]
    WrongExponent { currency: Currency, given: u32, expected: u8 },
    #[error("amounts in {0} and {1} cannot be added")]
    MixedCurrencies(Currency, Currency),
    #[error("amount is out of range")]
    OutOfRange,
    #[error("{0:?} is not a decimal number")]
    NotADecimal(String),
}

/// Exponents other than 2 (ISO 4217 list one, as amended to 2024). Every other code listed below has 2.
const EXPONENT_ZERO: &[&str] =
    &["BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"];
const EXPONENT_THREE: &[&str] = &["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"];
const EXPONENT_TWO: &[&str] = &[
    "AED", "ARS", "AUD", "BDT", "BGN", "BRL", "CAD", "CHF", "CNY", "COP", "CZK", "DKK", "DZD", "EGP", "ETB", "EUR",
    "GBP", "GHS", "HKD", "HUF", "IDR", "ILS", "INR", "KES", "KZT", "LAK", "LKR", "MAD", "MMK", "MNT", "MOP", "MXN",
    "MYR", "MZN", "NGN", "NOK", "NPR", "NZD", "PEN", "PHP", "PKR", "PLN", "QAR", "RON", "RSD", "RUB", "SAR", "SEK",
    "SGD", "THB", "TRY", "TWD", "TZS", "UAH", "USD", "UZS", "ZAR", "ZMW",
];

impl Currency {
    pub const CNY: Self = Self { code: *b"CNY", exponent: 2 };
    pub const USD: Self = Self { code: *b"USD", exponent: 2 };

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.code).expect("three ASCII letters")
    }
    pub const fn exponent(&self) -> u8 {
        self.exponent
    }
}

impl Default for Currency {
    fn default() -> Self {
        Self::CNY
    }
}

impl FromStr for Currency {
    type Err = MoneyError;
    fn from_str(code: &str) -> Result<Self, MoneyError> {
        let exponent = if EXPONENT_TWO.contains(&code) {
            2
        } else if EXPONENT_ZERO.contains(&code) {
            0
        } else if EXPONENT_THREE.contains(&code) {
            3
        } else {
            return Err(MoneyError::UnknownCurrency(code.to_owned()));
        };
        let code = code.as_bytes().try_into().map_err(|_| MoneyError::UnknownCurrency(code.to_owned()))?;
        Ok(Self { code, exponent })
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Money {
    pub const fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// From wire fields; the exponent must be the currency's own, or a sender with another idea of the minor unit
    /// would be off by a factor of ten.
    pub fn from_parts(minor: i64, code: &str, exponent: u32) -> Result<Self, MoneyError> {
        let currency: Currency = code.parse()?;
        if u32::from(currency.exponent) != exponent {
            return Err(MoneyError::WrongExponent { currency, given: exponent, expected: currency.exponent });
        }
        Ok(Self { minor, currency })
    }

    pub fn checked_add(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::OutOfRange)?;
        Ok(Self { minor, ..self })
    }

    /// In major units, exact.
    pub fn to_decimal(self) -> Decimal {
        Decimal::new(self.minor, u32::from(self.currency.exponent))
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.to_decimal(), self.currency)
    }
}

/// A rate or factor, kept as the text it was written as: `0.015`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(pub Decimal);

impl FromStr for Rate {
    type Err = MoneyError;
    fn from_str(text: &str) -> Result<Self, MoneyError> {
        Decimal::from_str_exact(text).map(Self).map_err(|_| MoneyError::NotADecimal(text.to_owned()))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for Rate {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Rounding {
    #[default]
    HalfUp,
    HalfEven,
}

/// The one function that rounds money: an exact amount in major units to whole minor units of `currency`.
pub fn round_minor(exact: Decimal, currency: Currency, rounding: Rounding) -> Result<Money, MoneyError> {
    let strategy = match rounding {
        // Half away from zero, so that a refund rounds to the same size as the sale.
        Rounding::HalfUp => RoundingStrategy::MidpointAwayFromZero,
        Rounding::HalfEven => RoundingStrategy::MidpointNearestEven,
    };
    let scale = u32::from(currency.exponent);
    let mut rounded = exact.round_dp_with_strategy(scale, strategy);
    rounded.rescale(scale);
    if rounded.scale() != scale {
        return Err(MoneyError::OutOfRange);
    }
    let minor = i64::try_from(rounded.mantissa()).map_err(|_| MoneyError::OutOfRange)?;
    Ok(Money { minor, currency })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str, rounding: Rounding) -> i64 {
        round_minor(Decimal::from_str_exact(text).unwrap(), Currency::CNY, rounding).unwrap().minor
    }

    #[test]
    fn halves_round_by_the_named_rule() {
        assert_eq!(round("0.125", Rounding::HalfUp), 13);
        assert_eq!(round("0.125", Rounding::HalfEven), 12);
        assert_eq!(round("-0.125", Rounding::HalfUp), -13);
        assert_eq!(round("7", Rounding::HalfUp), 700);
    }

    #[test]
    fn exponents_are_the_currencys_own() {
        assert!(Money::from_parts(5, "JPY", 0).is_ok());
        assert_eq!(
            Money::from_parts(5, "JPY", 2),
            Err(MoneyError::WrongExponent { currency: "JPY".parse().unwrap(), given: 2, expected: 0 })
        );
        assert!(Money::from_parts(5, "cny", 2).is_err());
    }

    #[test]
    fn too_large_amounts_are_refused_not_wrapped() {
        assert_eq!(round_minor(Decimal::MAX, Currency::CNY, Rounding::HalfUp), Err(MoneyError::OutOfRange));
        let most = Money::new(i64::MAX, Currency::CNY);
        assert_eq!(most.checked_add(Money::new(1, Currency::CNY)), Err(MoneyError::OutOfRange));
    }
}
