//! What many measurements say together.

use std::time::Duration;

use serde_json::{Map, Value, json};

/// Spans in nanoseconds, ascending.
pub(super) struct Spans(Vec<u64>);

impl Spans {
    pub(super) fn of(mut nanos: Vec<u64>) -> Self {
        nanos.sort_unstable();
        Self(nanos)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The span that `per_mille` thousandths of all do not exceed, in microseconds.
    pub(super) fn at(&self, per_mille: usize) -> f64 {
        let place = (self.0.len() * per_mille).div_ceil(1_000).saturating_sub(1);
        micros(self.0.get(place).copied().unwrap_or(0))
    }

    /// `p50_us`, `p99_us`, `p999_us` and `max_us`, each behind `prefix`.
    pub(super) fn put(&self, prefix: &str, row: &mut Map<String, Value>) {
        for (name, per_mille) in [("p50_us", 500), ("p99_us", 990), ("p999_us", 999), ("max_us", 1_000)] {
            row.insert(format!("{prefix}{name}"), json!(self.at(per_mille)));
        }
    }
}

/// Microseconds with one decimal.
fn micros(nanos: u64) -> f64 {
    (nanos as f64 / 100.0).round() / 10.0
}

pub(super) fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Things a second, whole.
pub(super) fn rate(things: u64, span: Duration) -> f64 {
    (things as f64 / span.as_secs_f64().max(1e-9)).round()
}

/// A ratio with three decimals.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { (part / whole * 1_000.0).round() / 1_000.0 } else { 0.0 }
}

pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

/// The same numbers on every machine: chance for what is made up, never for what is measured.
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// SplitMix64.
    pub(super) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound.max(1)
    }

    pub(super) fn one_of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        let place = usize::try_from(self.below(things.len() as u64)).unwrap_or(0);
        &things[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let spans = Spans::of((1..=1_000).rev().map(|n| n * 1_000).collect());
        assert_eq!([spans.at(500), spans.at(990), spans.at(999), spans.at(1_000)], [500.0, 990.0, 999.0, 1_000.0]);
        assert_eq!(Spans::of(vec![7_000]).at(500), 7.0);
        assert_eq!(Spans::of(Vec::new()).at(990), 0.0);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(ratio(1.0, 3.0), 0.333);
    }
}
