//! Rounding and adding of money, against plain integer arithmetic.

use kernel::{Currency, Decimal, Money, MoneyError, Rate, Rounding, round_minor};
use proptest::prelude::*;

const CURRENCIES: [&str; 4] = ["JPY", "CNY", "USD", "KWD"];

fn currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(&CURRENCIES[..]).prop_map(|code| code.parse().expect("a known currency"))
}

fn rounding() -> impl Strategy<Value = Rounding> {
    prop::sample::select(vec![Rounding::HalfUp, Rounding::HalfEven])
}

/// Amounts in major units as (mantissa, scale); half of them end in a tie.
fn exact() -> impl Strategy<Value = (i64, u32)> {
    let any = (-1_000_000_000_000_000_i64..=1_000_000_000_000_000, 0..=12_u32);
    let tie = (-1_000_000_i64..=1_000_000, 1..=6_u32).prop_map(|(whole, scale)| (whole * 10 + 5, scale));
    prop_oneof![any, tie]
}

/// `mantissa / 10^scale` major units in minor units of 10^-exponent, rounded by integers alone.
fn reference(mantissa: i64, scale: u32, exponent: u32, rounding: Rounding) -> i128 {
    let mantissa = i128::from(mantissa);
    if scale <= exponent {
        return mantissa * 10_i128.pow(exponent - scale);
    }
    let unit = 10_i128.pow(scale - exponent);
    let (floor, rest) = (mantissa.div_euclid(unit), mantissa.rem_euclid(unit));
    let up = match (rest * 2).cmp(&unit) {
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Equal => match rounding {
            Rounding::HalfUp => mantissa > 0,
            Rounding::HalfEven => floor.rem_euclid(2) == 1,
        },
    };
    floor + i128::from(up)
}

proptest! {
    #[test]
    fn rounding_agrees_with_integer_arithmetic(
        (mantissa, scale) in exact(), currency in currency(), rounding in rounding()
    ) {
        let wanted = reference(mantissa, scale, u32::from(currency.exponent()), rounding);
        let rounded = round_minor(Decimal::new(mantissa, scale), currency, rounding).unwrap();
        prop_assert_eq!(i128::from(rounded.minor), wanted);
        prop_assert_eq!(rounded.currency, currency);
    }

    #[test]
    fn a_refund_rounds_to_the_size_of_its_sale(
        (mantissa, scale) in exact(), currency in currency(), rounding in rounding()
    ) {
        let sale = round_minor(Decimal::new(mantissa, scale), currency, rounding).unwrap();
        let refund = round_minor(Decimal::new(-mantissa, scale), currency, rounding).unwrap();
        prop_assert_eq!(sale.minor, -refund.minor);
    }

    #[test]
    fn more_never_rounds_to_less(
        (a, scale) in exact(), step in 0..1_000_000_i64, currency in currency(), rounding in rounding()
    ) {
        let less = round_minor(Decimal::new(a, scale), currency, rounding).unwrap();
        let more = round_minor(Decimal::new(a + step, scale), currency, rounding).unwrap();
        prop_assert!(less.minor <= more.minor);
    }

    #[test]
    fn whole_minor_units_stay_what_they_are(minor: i64, currency in currency(), rounding in rounding()) {
        let money = Money::new(minor, currency);
        prop_assert_eq!(round_minor(money.to_decimal(), currency, rounding), Ok(money));
    }

    #[test]
    fn adding_is_exact_or_refused(a: i64, b: i64, one in currency(), other in currency()) {
        let sum = Money::new(a, one).checked_add(Money::new(b, other));
        if one != other {
            prop_assert_eq!(sum, Err(MoneyError::MixedCurrencies(one, other)));
        } else {
            let wanted = a.checked_add(b).map(|minor| Money::new(minor, one)).ok_or(MoneyError::OutOfRange);
            prop_assert_eq!(&sum, &wanted);
            prop_assert_eq!(sum, Money::new(b, one).checked_add(Money::new(a, one)));
        }
    }

    #[test]
    fn a_rate_keeps_every_digit_it_was_written_with(mantissa: i64, scale in 0..=28_u32) {
        let rate = Rate(Decimal::new(mantissa, scale));
        let read: Rate = rate.to_string().parse().unwrap();
        prop_assert_eq!((read.0.mantissa(), read.0.scale()), (i128::from(mantissa), scale));
        let stored = postcard::to_stdvec(&rate).unwrap();
        prop_assert_eq!(postcard::from_bytes::<Rate>(&stored), Ok(rate));
    }

    #[test]
    fn text_that_is_no_exact_decimal_is_no_rate(text in "[0-9.eE+ -]{0,40}") {
        // Whatever is accepted is written back without loss; nothing is rounded on the way in.
        if let Ok(rate) = text.parse::<Rate>() {
            let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
            let (given, kept) = (digits(&text), digits(&rate.to_string()));
            prop_assert_eq!(given.trim_start_matches('0'), kept.trim_start_matches('0'), "{}", text);
        }
    }
}

#[test]
fn the_last_amount_that_fits_is_kept_and_the_next_is_refused() {
    let largest = Decimal::new(i64::MAX, 2);
    let half = Decimal::new(5, 3);
    let below_half = Decimal::new(4, 3);
    for rounding in [Rounding::HalfUp, Rounding::HalfEven] {
        assert_eq!(round_minor(largest + below_half, Currency::CNY, rounding).unwrap().minor, i64::MAX);
        assert_eq!(round_minor(largest + half, Currency::CNY, rounding), Err(MoneyError::OutOfRange));
        let least = Decimal::new(i64::MIN, 2);
        assert_eq!(round_minor(least - below_half, Currency::CNY, rounding).unwrap().minor, i64::MIN);
        assert_eq!(round_minor(Decimal::MAX, Currency::CNY, rounding), Err(MoneyError::OutOfRange));
        assert_eq!(round_minor(Decimal::MIN, Currency::CNY, rounding), Err(MoneyError::OutOfRange));
    }
}

#[test]
fn an_amount_that_cannot_be_written_in_minor_units_is_refused() {
    // Seventy-nine octillion yen fit a decimal, but not with three more digits.
    let kwd: Currency = "KWD".parse().unwrap();
    let amount = Decimal::from_str_exact("79228162514264337593543950335").unwrap();
    assert_eq!(round_minor(amount, kwd, Rounding::HalfUp), Err(MoneyError::OutOfRange));
}
