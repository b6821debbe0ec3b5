//! Rate tables: marginal and slab, exact.

use kernel::{Decimal, Rate};

use super::types::{Component, Method, Segment, Tier};

/// A result that does not fit a decimal exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inexact;

/// What a component earns on `value` (major units or pieces), tier by tier, exact. A value below zero is a debt at the
/// first tier's rate: what was paid on a sale goes back with its refund.
pub fn earn(component: &Component, value: Decimal) -> Result<(Vec<Segment>, Decimal), Inexact> {
    let mut segments = Vec::new();
    let mut total = Decimal::ZERO;
    for (tier, amount) in parts(component, value)? {
        let earned = product(amount, tier.rate.0)?;
        total = sum(total, earned)?;
        let (lo, hi, rate) = (tier.lo, tier.hi, tier.rate);
        segments.push(Segment { lo, hi, amount: Rate(amount.normalize()), rate, earned: Rate(earned.normalize()) });
    }
    Ok((segments, total.normalize()))
}

/// A product keeps all digits only while its scale is the sum of its factors' scales.
fn product(a: Decimal, b: Decimal) -> Result<Decimal, Inexact> {
    let (a, b) = (a.normalize(), b.normalize());
    let exact = |product: &Decimal| a.is_zero() || b.is_zero() || product.scale() == a.scale() + b.scale();
    a.checked_mul(b).filter(exact).ok_or(Inexact)
}

/// A sum keeps all digits only while its scale is the larger of its parts' scales.
fn sum(a: Decimal, b: Decimal) -> Result<Decimal, Inexact> {
    let (a, b) = (a.normalize(), b.normalize());
    let exact = |sum: &Decimal| sum.scale() == a.scale().max(b.scale());
    a.checked_add(b).filter(exact).ok_or(Inexact)
}

fn parts(component: &Component, value: Decimal) -> Result<Vec<(&Tier, Decimal)>, Inexact> {
    let Some(first) = component.tiers.first() else { return Ok(Vec::new()) };
    if value < Decimal::ZERO {
        return Ok(vec![(first, value)]);
    }
    let inside = |tier: &&Tier| tier.lo.0 <= value && tier.hi.is_none_or(|hi| value < hi.0);
    let part = |tier: &Tier| sum(tier.hi.map_or(value, |hi| hi.0.min(value)), -tier.lo.0);
    match component.method {
        Method::Slab => Ok(component.tiers.iter().filter(inside).map(|tier| (tier, value)).collect()),
        Method::Marginal => {
            let reached = component.tiers.iter().filter(|tier| tier.lo.0 < value);
            reached.map(|tier| Ok((tier, part(tier)?))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::types::Basis;
    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    /// 1 % to 10,000, 2 % to 50,000, 3 % to 100,000, 4 % above.
    fn table(method: Method) -> Component {
        let bounds = ["0", "10000", "50000", "100000"];
        let rates = ["0.01", "0.02", "0.03", "0.04"];
        let tiers = (0..4).map(|n| Tier {
            lo: rate(bounds[n]),
            hi: bounds.get(n + 1).map(|hi| rate(hi)),
            rate: rate(rates[n]),
        });
        Component { code: "commission".to_owned(), basis: Basis::NetSales, method, tiers: tiers.collect() }
    }

    fn earned(method: Method, value: &str) -> String {
        earn(&table(method), rate(value).0).unwrap().1.to_string()
    }

    #[test]
    fn slab_pays_the_whole_at_the_tiers_rate_and_a_bound_belongs_to_the_upper_tier() {
        let cases =
            [("5000", "50"), ("10000", "200"), ("15000", "300"), ("50000", "1500"), ("60000", "1800"), ("0", "0")];
        for (value, expected) in cases {
            assert_eq!(earned(Method::Slab, value), expected, "{value}");
        }
    }

    #[test]
    fn marginal_pays_each_part_at_its_own_rate() {
        let cases =
            [("5000", "50"), ("10000", "100"), ("15000", "200"), ("50000", "900"), ("60000", "1200"), ("0", "0")];
        for (value, expected) in cases {
            assert_eq!(earned(Method::Marginal, value), expected, "{value}");
        }
    }

    #[test]
    fn a_debt_goes_back_at_the_first_rate() {
        assert_eq!(earned(Method::Marginal, "-100"), "-1");
        assert_eq!(earned(Method::Slab, "-100"), "-1");
    }

    #[test]
    fn marginal_is_additive_over_any_cut() {
        for cut in [1, 9_999, 10_000, 10_001, 49_000, 60_000] {
            let table = table(Method::Marginal);
            let whole = earn(&table, Decimal::from(70_000)).unwrap().1;
            let before = earn(&table, Decimal::from(cut)).unwrap().1;
            assert!(before <= whole);
            let again: Decimal =
                earn(&table, Decimal::from(70_000)).unwrap().0.iter().map(|segment| segment.earned.0).sum();
            assert_eq!(again, whole);
        }
    }

    #[test]
    fn digits_that_would_be_lost_are_an_error() {
        let mut table = table(Method::Slab);
        table.tiers[3].rate = rate("0.1234567890123456789012345678");
        assert_eq!(earn(&table, rate("79228162514264337593.54").0), Err(Inexact));
    }
}
