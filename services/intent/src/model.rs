//! The classifier: softmax regression over hashed n-grams, trained one labelled event at a time.
//!
//! AdaGrad with one accumulator a row, label smoothing, replay of earlier events, one temperature. Sums run in a
//! fixed order and only basic operations are used, so that a rebuild has the same bits on any machine.

#![expect(clippy::float_arithmetic, reason = "the model computes with floats; no money comes here")]
#![expect(clippy::cast_possible_truncation, reason = "weights are kept in 32 bits")]

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::math::{exp, ln};

const RATE: f64 = 0.5;
const BIAS_FACTOR: f64 = 0.1;
const SMOOTHING: f64 = 0.1;
/// Steps on earlier events for each new one: many while events are few, so that a small import is learnt well.
const REPLAY_FEW: usize = 12;
const REPLAY_MANY: usize = 4;
const FEW: usize = 2_000;
/// Labelled events kept for replay (L9); later ones take the place of earlier ones by hash.
const KEPT_MAX: usize = 50_000;
/// N-grams that have weights; later ones are not learnt any more, those that are known go on learning. About a hundred
/// thousand short examples bring so many (L9).
const ROWS_MAX: usize = 1 << 20;
/// Predictions before learning that the temperature is fitted on.
const PROGRESS_MAX: usize = 512;
/// Below so many events the temperature is the usual one of this recipe.
const FITTED_FROM: usize = 200;
const TEMPERATURE_USUAL: f64 = 0.6;
/// Events between two fits.
const FIT_EVERY: u64 = 32;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct Row {
    squares: f32,
    /// One weight a label; labels that came later are absent and count as zero.
    weights: Vec<f32>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub label: u32,
    pub features: Features,
}

/// The model: a fold of labelled events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// Labels in the order in which they first came.
    pub labels: Vec<String>,
    places: BTreeMap<u32, u32>,
    rows: Vec<Row>,
    bias: Row,
    kept: Vec<Kept>,
    /// Labelled events so far.
    pub examples: u64,
    /// Scores before learning, with the label that was right.
    progress: VecDeque<(Vec<f32>, u32)>,
    pub temperature: f64,
}

impl Default for Model {
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            places: BTreeMap::new(),
            rows: Vec::new(),
            bias: Row::default(),
            kept: Vec::new(),
            examples: 0,
            progress: VecDeque::new(),
            temperature: TEMPERATURE_USUAL,
        }
    }
}

/// Features with their values: 1 + ln(count), each block scaled to length √½.
fn values(features: &Features) -> Vec<(u32, f64)> {
    let mut out = Vec::with_capacity(features.words.len() + features.characters.len());
    for block in [&features.words, &features.characters] {
        let raw = |count: u32| 1.0 + ln(f64::from(count.max(1)));
        let square: f64 = block.iter().map(|(_, count)| raw(*count) * raw(*count)).sum();
        if square > 0.0 {
            let scale = (0.5 / square).sqrt();
            out.extend(block.iter().map(|(hash, count)| (*hash, raw(*count) * scale)));
        }
    }
    out
}

fn softmax(scores: &[f64], temperature: f64) -> Vec<f64> {
    let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let raised: Vec<f64> = scores.iter().map(|score| exp((score - most) / temperature)).collect();
    let sum: f64 = raised.iter().sum();
    raised.into_iter().map(|value| value / sum).collect()
}

impl Model {
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// The temperature in thousandths.
    #[expect(clippy::cast_sign_loss, reason = "a temperature is positive")]
    pub fn temperature_milli(&self) -> u32 {
        (self.temperature * 1_000.0 + 0.5) as u32
    }

    fn scores(&self, values: &[(u32, f64)]) -> Vec<f64> {
        let mut scores: Vec<f64> = vec![0.0; self.labels.len()];
        let mut add = |row: &Row, value: f64| {
            for (score, weight) in scores.iter_mut().zip(&row.weights) {
                *score += f64::from(*weight) * value;
            }
        };
        add(&self.bias, 1.0);
        for (hash, value) in values {
            if let Some(place) = self.places.get(hash) {
                add(&self.rows[*place as usize], *value);
            }
        }
        scores
    }

    /// Calibrated probabilities of all labels, in the order of `labels`.
    pub fn probabilities(&self, features: &Features) -> Vec<f64> {
        if self.labels.is_empty() {
            return Vec::new();
        }
        softmax(&self.scores(&values(features)), self.temperature)
    }

    /// Folds one labelled event.
    pub fn learn(&mut self, label: &str, features: &Features) {
        let label = match self.labels.iter().position(|known| known == label) {
            Some(place) => place,
            None => {
                self.labels.push(label.to_owned());
                self.labels.len() - 1
            }
        };
        let label = u32::try_from(label).unwrap_or(u32::MAX);
        let values = values(features);
        let before = self.scores(&values).iter().map(|score| *score as f32).collect();
        self.progress.push_back((before, label));
        if self.progress.len() > PROGRESS_MAX {
            self.progress.pop_front();
        }
        self.step(&values, label);
        self.replay();
        self.keep(Kept { label, features: features.clone() });
        self.examples += 1;
        if self.examples.is_multiple_of(FIT_EVERY) && self.progress.len() >= FITTED_FROM {
            self.temperature = self.fitted();
        }
    }

    fn step(&mut self, values: &[(u32, f64)], label: u32) {
        let labels = self.labels.len();
        let even = SMOOTHING / labels as f64;
        let mut gradient = softmax(&self.scores(values), 1.0);
        for (n, slope) in gradient.iter_mut().enumerate() {
            *slope -= even + if n == label as usize { 1.0 - SMOOTHING } else { 0.0 };
        }
        let length: f64 = gradient.iter().map(|slope| slope * slope).sum();
        descend(&mut self.bias, &gradient, length, 1.0, RATE * BIAS_FACTOR);
        for (hash, value) in values {
            if let Some(row) = self.row(*hash) {
                descend(row, &gradient, length, *value, RATE);
            }
        }
    }

    /// The weights of an n-gram; none of a new one when there is no room.
    fn row(&mut self, hash: u32) -> Option<&mut Row> {
        let next = self.rows.len();
        let place = match self.places.get(&hash) {
            Some(place) => *place as usize,
            None if next < ROWS_MAX => {
                self.places.insert(hash, next as u32);
                self.rows.push(Row::default());
                next
            }
            None => return None,
        };
        self.rows.get_mut(place)
    }

    /// Steps on earlier events, chosen by a hash of how many there were.
    fn replay(&mut self) {
        let steps = if self.kept.len() < FEW { REPLAY_FEW } else { REPLAY_MANY };
        for n in 0..steps as u64 {
            if self.kept.is_empty() {
                return;
            }
            let place = pick(self.examples, n) % self.kept.len() as u64;
            let kept = self.kept[usize::try_from(place).unwrap_or(0)].clone();
            self.step(&values(&kept.features), kept.label);
        }
    }

    fn keep(&mut self, kept: Kept) {
        if self.kept.len() < KEPT_MAX {
            self.kept.push(kept);
        } else {
            let place = pick(self.examples, u64::MAX) % KEPT_MAX as u64;
            self.kept[usize::try_from(place).unwrap_or(0)] = kept;
        }
    }

    /// The temperature under which the last predictions were least surprising.
    fn fitted(&self) -> f64 {
        let mut best = (f64::INFINITY, self.temperature);
        for hundredths in (20..=120).step_by(5) {
            let temperature = f64::from(hundredths) / 100.0;
            let mut surprise = 0.0;
            for (scores, label) in &self.progress {
                let scores: Vec<f64> = scores.iter().map(|score| f64::from(*score)).collect();
                let probability = softmax(&scores, temperature).get(*label as usize).copied().unwrap_or(0.0);
                surprise -= ln(probability.max(1e-6));
            }
            if surprise < best.0 {
                best = (surprise, temperature);
            }
        }
        best.1
    }
}

fn descend(row: &mut Row, gradient: &[f64], length: f64, value: f64, rate: f64) {
    row.weights.resize(gradient.len(), 0.0);
    let squares = f64::from(row.squares) + length * value * value;
    row.squares = squares as f32;
    let step = rate * value / (squares + 1e-12).sqrt();
    for (weight, slope) in row.weights.iter_mut().zip(gradient) {
        *weight = (f64::from(*weight) - step * slope) as f32;
    }
}

/// A number from two, as good as chance and the same for ever (the finaliser of MurmurHash3).
fn pick(a: u64, b: u64) -> u64 {
    let mut h = a.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ b.wrapping_mul(0xc2b2_ae3d_27d4_eb4f);
    h ^= h >> 33;
    h = h.wrapping_mul(0xff51_afd7_ed55_8ccd);
    h ^= h >> 33;
    h = h.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_ngrams_are_not_learnt_without_end_and_known_ones_are() {
        let room = u32::try_from(ROWS_MAX).unwrap();
        let mut model = Model { labels: vec!["a".to_owned(), "b".to_owned()], ..Model::default() };
        let all: Vec<(u32, f64)> = (0..room + 10).map(|hash| (hash, 0.001)).collect();
        model.step(&all, 0);
        assert_eq!((model.rows(), model.places.len()), (ROWS_MAX, ROWS_MAX));
        let before = model.rows[7].clone();
        model.step(&[(7, 1.0), (room + 3, 1.0)], 1);
        assert_eq!(model.rows(), ROWS_MAX);
        assert_ne!(model.rows[7], before);
        assert_eq!(model.scores(&[(room + 3, 1.0)]), model.scores(&[]), "as if it were not there");
    }
}
