//! `exp`, `ln` and `sqrt` out of basic operations: the same bits on every machine, which the platform's libm is not.

#![expect(clippy::float_arithmetic, reason = "the model computes with floats; no money comes here")]

use std::f64::consts::LN_2;

/// eˣ, to about 1e-12 relative, for |x| up to 700; clamped beyond.
pub(crate) fn exp(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    // x = k·ln 2 + r, |r| ≤ ln 2 / 2; then a Taylor series and an exact power of two.
    let k = (x / LN_2 + if x < 0.0 { -0.5 } else { 0.5 }).trunc();
    let r = x - k * LN_2;
    let mut term = 1.0;
    let mut sum = 1.0;
    for n in 1..=16 {
        term = term * r / f64::from(n);
        sum += term;
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole and within ±1010")]
    let k = k as i64;
    sum * power_of_two(k)
}

fn power_of_two(k: i64) -> f64 {
    let biased = u64::try_from(1023 + k).expect("within the normal range after clamping");
    f64::from_bits(biased << 52)
}

/// Natural logarithm of a positive normal number, to about 1e-12.
pub(crate) fn ln(x: f64) -> f64 {
    let bits = x.max(f64::MIN_POSITIVE).to_bits();
    let exponent = i32::try_from(bits >> 52).expect("eleven bits") - 1023;
    let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
    // Around 1: ln m = 2·artanh((m-1)/(m+1)).
    let (mantissa, exponent) = if mantissa > 1.5 { (mantissa / 2.0, exponent + 1) } else { (mantissa, exponent) };
    let t = (mantissa - 1.0) / (mantissa + 1.0);
    let square = t * t;
    let mut power = t;
    let mut sum = 0.0;
    for n in 0..14 {
        sum += power / f64::from(2 * n + 1);
        power *= square;
    }
    2.0 * sum + f64::from(exponent) * LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_ln_agree_with_the_platform() {
        for n in -4000..4000 {
            let x = f64::from(n) / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() < 1e-11, "exp {x}");
            let y = x.exp();
            assert!((ln(y) - x).abs() < 1e-10, "ln {y}");
        }
        assert!((ln(1e-300) - 1e-300f64.ln()).abs() < 1e-9);
        assert!(exp(-1e9) > 0.0 && exp(1e9).is_finite());
    }
}
