//! How good the classifier is on a labelled set, through the same fold that serves.

use std::collections::BTreeMap;

use kernel::Decider;
use serde::Serialize;

use crate::domain::{Event, Example, Intent, Source, State};
use crate::features::extract;

/// Key of the feature hashes: evaluation has no tenant.
const KEY: u64 = 0x5eed;

/// What came out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Evaluation {
    pub train: u64,
    pub test: u64,
    pub right: u64,
    /// Right answers in parts per million of the test examples.
    pub accuracy_ppm: u64,
    /// Expected calibration error over ten bins of the top probability, in parts per million.
    pub ece_ppm: u64,
    /// Test examples and right answers by label.
    pub labels: BTreeMap<String, (u64, u64)>,
    pub temperature_milli: u32,
    pub rows: u64,
}

/// A state that has learnt the examples, in the order of a hash of their texts.
pub fn learn(examples: &[(String, String)]) -> State {
    let mut order: Vec<&(String, String)> = examples.iter().collect();
    order.sort_by_key(|(_, text)| *blake3::hash(text.as_bytes()).as_bytes());
    let mut state = State::default();
    for (label, text) in order {
        let features = extract(KEY, text);
        let example =
            Example { key: [0; 16], label: label.clone(), source: Source::Import, features, inquiry_id: None };
        Intent::evolve(&mut state, &Event::LabelTaught(example));
    }
    state
}

/// Classifies one text with a state of [`learn`].
pub fn classify(state: &State, text: &str) -> (String, u32) {
    let scores = state.classify(&extract(KEY, text));
    scores.into_iter().next().map(|score| (score.label, score.ppm)).unwrap_or_default()
}

/// Learns `train`, each `(label, text)`, and asks for every text of `test`.
pub fn evaluate(train: &[(String, String)], test: &[(String, String)]) -> Evaluation {
    let state = learn(train);
    let mut labels: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    let mut bins = [(0u64, 0u64, 0u64); 10];
    let mut right = 0;
    for (label, text) in test {
        let (found, ppm) = classify(&state, text);
        let hit = u64::from(found == *label);
        right += hit;
        let entry = labels.entry(label.clone()).or_default();
        *entry = (entry.0 + 1, entry.1 + hit);
        let bin = &mut bins[(ppm / 100_000).min(9) as usize];
        *bin = (bin.0 + 1, bin.1 + hit, bin.2 + u64::from(ppm));
    }
    let count = test.len() as u64;
    let gap = |(_, hits, sum): &(u64, u64, u64)| (hits * 1_000_000).abs_diff(*sum);
    Evaluation {
        train: train.len() as u64,
        test: count,
        right,
        accuracy_ppm: (right * 1_000_000).checked_div(count).unwrap_or(0),
        ece_ppm: bins.iter().map(gap).sum::<u64>().checked_div(count).unwrap_or(0),
        labels,
        temperature_milli: state.model.temperature_milli(),
        rows: state.model.rows() as u64,
    }
}
