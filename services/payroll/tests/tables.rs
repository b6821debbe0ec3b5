//! Rate tables: figures worked by hand, and properties against integer arithmetic.

mod common;

use common::component;
use kernel::{Decimal, Rate};
use payroll::domain::rate::{Inexact, earn};
use payroll::domain::{Basis, Component, Method};
use proptest::prelude::*;

fn table(method: Method, tiers: &[(&str, &str)]) -> Component {
    component("commission", Basis::NetSales, method, tiers)
}

fn decimal(text: &str) -> Decimal {
    text.parse::<Rate>().expect(text).0
}

fn earned(component: &Component, value: &str) -> Decimal {
    earn(component, decimal(value)).expect(value).1
}

const STEPS: [(&str, &str); 4] = [("0", "0.01"), ("10000", "0.02"), ("50000", "0.03"), ("100000", "0.04")];

#[test]
fn one_table_pays_differently_by_its_method() {
    // Oracle, "options for splitting attainment numbers across rate tiers".
    let cases = [
        ("5000", "50", "50"),
        ("10000", "100", "200"),
        ("15000", "200", "300"),
        ("50000", "900", "1500"),
        ("60000", "1200", "1800"),
        ("100000", "2400", "4000"),
        ("0", "0", "0"),
        ("9999.99", "99.9999", "99.9999"),
        ("10000.01", "100.0002", "200.0002"),
    ];
    for (value, marginal, slab) in cases {
        assert_eq!(earned(&table(Method::Marginal, &STEPS), value), decimal(marginal), "marginal {value}");
        assert_eq!(earned(&table(Method::Slab, &STEPS), value), decimal(slab), "slab {value}");
    }
}

#[test]
fn accumulated_sales_climb_the_table() {
    // Oracle, "earnings using step rates": January 2000, February 3200, March 4500 of one quarter.
    let steps = table(Method::Marginal, &[("0", "0.01"), ("1000", "0.02"), ("3000", "0.03"), ("8000", "0.05")]);
    let quarter = ["2000", "5200", "9700"].map(|value| earned(&steps, value));
    assert_eq!(quarter, ["30", "116", "285"].map(decimal), "30, then 86 and 169 more");
}

#[test]
fn a_deal_that_crosses_a_bound_is_shown_in_two_segments() {
    // Trailhead, "marginal payout rule functions": 145,000 before, a deal of 20,000.
    let steps = table(Method::Marginal, &[("0", "0.04"), ("150000", "0.06"), ("250000", "0.08")]);
    assert_eq!(earned(&steps, "165000") - earned(&steps, "145000"), decimal("1100"));
    let (segments, _) = earn(&steps, decimal("165000")).unwrap();
    let shown: Vec<_> = segments
        .iter()
        .map(|segment| (segment.lo.to_string(), segment.amount.to_string(), segment.earned.to_string()))
        .collect();
    let of = |lo: &str, amount: &str, earned: &str| (lo.to_owned(), amount.to_owned(), earned.to_owned());
    assert_eq!(shown, [of("0", "150000", "6000"), of("150000", "15000", "900")]);
}

#[test]
fn half_open_bounds_leave_no_gap_for_a_cent() {
    // MyTime prints bounds that end in .99, and is a few cents off for it.
    let steps = table(Method::Marginal, &[("0", "0.25"), ("500", "0.30"), ("3000", "0.40")]);
    for (value, expected) in
        [("400", "100"), ("100", "25"), ("1500", "425"), ("5000", "1675"), ("499.995", "124.99875")]
    {
        assert_eq!(earned(&steps, value), decimal(expected), "{value}");
    }
}

#[test]
fn digits_that_do_not_fit_are_an_error_wherever_they_arise() {
    let tiny = "0.0000000000000000000000000001";
    // A product, a product that vanishes, a difference of bounds and a sum of segments.
    let lost = [
        (table(Method::Slab, &[("0", "0.1234567890123456789012345678")]), "92233720368547758.07"),
        (table(Method::Slab, &[("0", tiny)]), "0.01"),
        (table(Method::Marginal, &[("0", "1"), (tiny, "1")]), "92233720368547758.07"),
        (table(Method::Marginal, &[("0", "0.0000000000000000000000001"), ("1", "1")]), "92233720368547758.07"),
    ];
    for (component, value) in lost {
        assert_eq!(earn(&component, decimal(value)), Err(Inexact), "{component:?}");
    }
}

/// Tiers with bounds in whole yuan and rates in hundredths of a percent.
#[derive(Debug, Clone)]
struct Steps(Vec<(i64, i64)>);

impl Steps {
    fn component(&self, method: Method) -> Component {
        let text: Vec<(String, String)> =
            self.0.iter().map(|(lo, rate)| (lo.to_string(), Decimal::new(*rate, 4).to_string())).collect();
        let table: Vec<(&str, &str)> = text.iter().map(|(lo, rate)| (lo.as_str(), rate.as_str())).collect();
        self::table(method, &table)
    }

    /// What `from..to` (in cents) earns at each tier's rate, in millionths of a yuan.
    fn reference(&self, from: i64, to: i64) -> i128 {
        let tier = |(n, (lo, rate)): (usize, &(i64, i64))| {
            let hi = self.0.get(n + 1).map_or(i128::MAX, |(hi, _)| i128::from(*hi) * 100);
            let part = hi.min(i128::from(to)) - (i128::from(*lo) * 100).max(i128::from(from));
            part.max(0) * i128::from(*rate)
        };
        self.0.iter().enumerate().map(tier).sum()
    }
}

fn steps() -> impl Strategy<Value = Steps> {
    let bounds = prop::collection::btree_set(1..200_000_i64, 0..5);
    (bounds, prop::collection::vec(0..2_500_i64, 6))
        .prop_map(|(bounds, rates)| Steps(std::iter::once(0).chain(bounds).zip(rates).collect()))
}

/// A value in cents, often exactly at a bound or a cent beside it.
fn value_of(steps: &Steps, at: prop::sample::Index, beside: i64, any: i64) -> i64 {
    let (lo, _) = steps.0[at.index(steps.0.len())];
    if any < 0 { (lo * 100 + beside).max(0) } else { any }
}

fn cents(value: i64) -> Decimal {
    Decimal::new(value, 2)
}

fn millionths(exact: Decimal) -> i128 {
    let mut exact = exact;
    exact.rescale(6);
    exact.mantissa()
}

proptest! {
    #![proptest_config(common::cases(1_000))]

    #[test]
    fn marginal_pay_is_the_sum_of_its_parts(
        steps in steps(), at: prop::sample::Index, beside in -1..=1_i64, any in -10_000_000..30_000_000_i64, share in 0..=100_i64,
    ) {
        let whole = value_of(&steps, at, beside, any);
        let first = whole * share / 100;
        let component = steps.component(Method::Marginal);
        let earned = |value: i64| millionths(earn(&component, cents(value)).unwrap().1);
        // f(a + b) = f(a) + f(b | a), and both are what integers say.
        prop_assert_eq!(earned(whole), earned(first) + steps.reference(first, whole));
        prop_assert_eq!(earned(whole), steps.reference(0, whole));
        let segments = earn(&component, cents(whole)).unwrap().0;
        let amounts: Decimal = segments.iter().map(|segment| segment.amount.0).sum();
        prop_assert_eq!(amounts, cents(whole), "the segments are the whole");
        for segment in segments {
            prop_assert_eq!(segment.amount.0 * segment.rate.0, segment.earned.0);
        }
    }

    #[test]
    fn slab_pay_jumps_at_bounds_only(
        steps in steps(), at: prop::sample::Index, beside in -1..=1_i64, any in -10_000_000..30_000_000_i64,
    ) {
        let value = value_of(&steps, at, beside, any);
        let (segments, exact) = earn(&steps.component(Method::Slab), cents(value)).unwrap();
        // The last tier that begins at or below the value: a bound belongs to the upper tier.
        let (lo, rate) = *steps.0.iter().rfind(|(lo, _)| lo * 100 <= value).unwrap();
        prop_assert_eq!(millionths(exact), i128::from(value) * i128::from(rate));
        prop_assert_eq!(segments.len(), 1);
        prop_assert_eq!(segments[0].lo.0, Decimal::from(lo));
    }

    #[test]
    fn a_debt_goes_back_at_the_first_rate(steps in steps(), value in 1..30_000_000_i64) {
        for method in [Method::Marginal, Method::Slab] {
            let (segments, exact) = earn(&steps.component(method), cents(-value)).unwrap();
            prop_assert_eq!(millionths(exact), -i128::from(value) * i128::from(steps.0[0].1));
            prop_assert_eq!(segments.len(), 1);
        }
    }

    #[test]
    fn any_decimals_give_an_exact_result_or_an_error(
        lo in (0_i64.., 0..=28_u32), rate in (any::<i64>(), 0..=28_u32), other in (any::<i64>(), 0..=28_u32), minor: i64, slab: bool
    ) {
        let text = |(mantissa, scale): (i64, u32)| Decimal::new(mantissa, scale).to_string();
        let (lo, rate, other) = (text(lo), text(rate), text(other));
        let method = if slab { Method::Slab } else { Method::Marginal };
        let component = table(method, &[("0", &rate), (&lo, &other)]);
        if let Ok((segments, exact)) = earn(&component, cents(minor)) {
            for segment in &segments {
                prop_assert_eq!(exactly(&[(segment.amount.0, segment.rate.0)]), exactly(&[(segment.earned.0, Decimal::ONE)]));
            }
            let parts: Vec<_> = segments.iter().map(|segment| (segment.earned.0, Decimal::ONE)).collect();
            prop_assert_eq!(exactly(&parts), exactly(&[(exact, Decimal::ONE)]));
            let amounts: Vec<_> = segments.iter().map(|segment| (segment.amount.0, Decimal::ONE)).collect();
            if minor != 0 {
                prop_assert_eq!(exactly(&amounts), exactly(&[(cents(minor), Decimal::ONE)]));
            }
        }
    }
}

/// The sum of products as decimal digits at scale 56, by schoolbook arithmetic on limbs of ten digits: no rounding.
fn exactly(products: &[(Decimal, Decimal)]) -> Vec<i128> {
    const LIMB: i128 = 10_000_000_000;
    let digits = |decimal: Decimal| {
        // The mantissa moved to scale 28 as limbs, lowest first.
        let mut limbs = vec![0_i128; 16];
        let (mut mantissa, mut limb) = (decimal.mantissa().abs(), 0);
        while mantissa > 0 {
            limbs[limb] = mantissa % LIMB;
            mantissa /= LIMB;
            limb += 1;
        }
        for _ in decimal.scale()..28 {
            let mut carry = 0;
            for limb in &mut limbs {
                let ten = *limb * 10 + carry;
                (*limb, carry) = (ten % LIMB, ten / LIMB);
            }
        }
        (limbs, if decimal.is_sign_negative() { -1 } else { 1 })
    };
    let mut sum = vec![0_i128; 32];
    for (a, b) in products {
        let ((a, a_sign), (b, b_sign)) = (digits(*a), digits(*b));
        for (n, x) in a.iter().enumerate() {
            for (m, y) in b.iter().enumerate() {
                sum[n + m] += x * y * a_sign * b_sign;
            }
        }
    }
    // One form for equal sums: every limb but the last in 0..LIMB.
    for n in 0..sum.len() - 1 {
        let carry = sum[n].div_euclid(LIMB);
        sum[n] -= carry * LIMB;
        sum[n + 1] += carry;
    }
    sum
}
