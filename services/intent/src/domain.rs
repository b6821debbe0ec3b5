//! Which intent a conversation carries: what was taught, and what was classified.

use std::collections::{BTreeSet, VecDeque};

use kernel::{Decider, IdMap, InquiryId, Refusal, RefusalKind, Stamp, Violation};
use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::model::Model;

/// When none fits.
pub const OUT_OF_SCOPE: &str = "out_of_scope";
/// Below this calibrated probability, in parts per million, no intent is believed. Chosen on the sample's labelled
/// examples: wrong answers below it are as many as right ones.
const BELIEVED_FROM: u32 = 200_000;
/// A change of the top probability by less than this does not make a new classification.
const NOTABLE: u32 = 50_000;
/// Labels of one tenant (L9).
const LABELS_MAX: usize = 512;
/// Conversations whose features are kept, so that later messages add to them (L9).
const CONVERSATIONS_MAX: usize = 20_000;
/// Features of a conversation from which on nothing more is added: those of about as many characters as are looked at
/// of one message. Intent shows early, and who never stops talking must not fill the memory (L9).
const CONVERSATION_FEATURES_MAX: usize = 6_000;
/// Scores in an event.
const SCORES_MAX: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    Import,
    Disposition,
    Correction,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    /// Keyed hash of what is taught.
    pub key: [u8; 16],
    pub label: String,
    pub source: Source,
    pub features: Features,
    pub inquiry_id: Option<InquiryId>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    Teach(Vec<Example>),
    /// More was said in a conversation.
    Hear { inquiry_id: InquiryId, features: Features },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Score {
    pub label: String,
    /// Calibrated probability in parts per million.
    pub ppm: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    LabelTaught(Example),
    IntentClassified { inquiry_id: InquiryId, scores: Vec<Score>, model_examples: u64, features: Features, revision: u32 },
    TextNoted { inquiry_id: InquiryId, features: Features },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("a company has at most {LABELS_MAX} labels")]
    TooManyLabels,
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        RefusalKind::FailedPrecondition
    }
    fn reason(&self) -> &'static str {
        "TOO_MANY_LABELS"
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Conversation {
    pub features: Features,
    pub revision: u32,
    pub top: Option<Score>,
}

impl Conversation {
    /// The features of all that was said, with what is said now.
    fn with(&self, added: &Features) -> Features {
        let kept = self.features.words.len() + self.features.characters.len();
        if kept >= CONVERSATION_FEATURES_MAX { self.features.clone() } else { self.features.plus(added) }
    }
}

/// One tenant's model and open conversations.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub model: Model,
    taught: BTreeSet<([u8; 16], String)>,
    pub counts: std::collections::BTreeMap<String, u64>,
    pub conversations: IdMap<InquiryId, Conversation>,
    oldest_first: VecDeque<InquiryId>,
}

impl State {
    /// The best labels of a text, best first; the first is the decision.
    pub fn classify(&self, features: &Features) -> Vec<Score> {
        let probabilities = if features.is_empty() { Vec::new() } else { self.model.probabilities(features) };
        let mut scores: Vec<Score> = self
            .model
            .labels
            .iter()
            .zip(&probabilities)
            .map(|(label, probability)| Score { label: label.clone(), ppm: to_ppm(*probability) })
            .collect();
        scores.sort_by(|a, b| b.ppm.cmp(&a.ppm).then_with(|| a.label.cmp(&b.label)));
        scores.truncate(SCORES_MAX);
        match scores.first() {
            Some(top) if top.label == OUT_OF_SCOPE || top.ppm >= believed_from() => {}
            first => {
                // How sure one may be that nothing fits: what the best label leaves.
                let ppm = first.map_or(0, |top| 1_000_000 - top.ppm);
                scores.retain(|score| score.label != OUT_OF_SCOPE);
                scores.insert(0, Score { label: OUT_OF_SCOPE.to_owned(), ppm });
                scores.truncate(SCORES_MAX);
            }
        }
        scores
    }
}

#[expect(clippy::float_arithmetic, clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a probability becomes fixed point here")]
fn to_ppm(probability: f64) -> u32 {
    (probability.clamp(0.0, 1.0) * 1_000_000.0 + 0.5) as u32
}

#[cfg(not(feature = "planted-bugs"))]
fn believed_from() -> u32 {
    BELIEVED_FROM
}

#[cfg(feature = "planted-bugs")]
fn believed_from() -> u32 {
    if crate::planted::is(2) { 990_000 } else { BELIEVED_FROM }
}

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Intent;

impl Decider for Intent {
    const NAME: &'static str = "intent";
    const LOGIC_VERSION: u32 = 1;

    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, _: &Stamp) -> Result<Vec<Event>, Rejection> {
        match command {
            Command::Teach(examples) => teach(state, examples),
            Command::Hear { inquiry_id, features } => Ok(vec![hear(state, *inquiry_id, features)]),
        }
    }

    fn evolve(state: &mut State, event: &Event) {
        match event {
            Event::LabelTaught(example) => {
                state.model.learn(&example.label, &example.features);
                state.taught.insert((example.key, example.label.clone()));
                *state.counts.entry(example.label.clone()).or_default() += 1 + planted_count();
            }
            Event::IntentClassified { inquiry_id, scores, features, revision, .. } => {
                let conversation = note(state, *inquiry_id, features);
                conversation.revision = *revision;
                conversation.top = scores.first().cloned();
            }
            Event::TextNoted { inquiry_id, features } => {
                note(state, *inquiry_id, features);
            }
        }
    }

    fn command_of(events: &[Event]) -> Option<Command> {
        match events.first()?.clone() {
            Event::IntentClassified { inquiry_id, features, .. } | Event::TextNoted { inquiry_id, features } => {
                Some(Command::Hear { inquiry_id, features })
            }
            Event::LabelTaught(_) => {
                let example = |event: &Event| match event {
                    Event::LabelTaught(example) => Some(example.clone()),
                    Event::IntentClassified { .. } | Event::TextNoted { .. } => None,
                };
                Some(Command::Teach(events.iter().filter_map(example).collect()))
            }
        }
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        let counted: u64 = state.counts.values().sum();
        if counted != state.model.examples || state.taught.len() as u64 != counted {
            let what = format!("{counted} counted, {} taught, {} learnt", state.taught.len(), state.model.examples);
            return Err(Violation { law: "every labelled event is learnt once", what });
        }
        if state.oldest_first.len() != state.conversations.len() {
            return Err(Violation { law: "every conversation is in the queue once", what: String::new() });
        }
        Ok(())
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_count() -> u64 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_count() -> u64 {
    u64::from(crate::planted::is(1))
}

fn teach(state: &State, examples: &[Example]) -> Result<Vec<Event>, Rejection> {
    let mut new = BTreeSet::new();
    let mut labels: BTreeSet<&str> = state.model.labels.iter().map(String::as_str).collect();
    let mut events = Vec::new();
    for example in examples {
        let key = (example.key, example.label.clone());
        if state.taught.contains(&key) || !new.insert(key) {
            continue;
        }
        labels.insert(&example.label);
        if labels.len() > LABELS_MAX {
            return Err(Rejection::TooManyLabels);
        }
        events.push(Event::LabelTaught(example.clone()));
    }
    Ok(events)
}

fn hear(state: &State, inquiry_id: InquiryId, added: &Features) -> Event {
    let known = state.conversations.get(&inquiry_id);
    let whole = known.map_or_else(|| added.clone(), |known| known.with(added));
    let scores = state.classify(&whole);
    let same = known.and_then(|known| known.top.as_ref()).zip(scores.first()).is_some_and(|(was, is)| {
        was.label == is.label && was.ppm.abs_diff(is.ppm) <= NOTABLE
    });
    let features = added.clone();
    if same {
        return Event::TextNoted { inquiry_id, features };
    }
    let revision = known.map_or(0, |known| known.revision) + 1;
    Event::IntentClassified { inquiry_id, scores, model_examples: state.model.examples, features, revision }
}

fn note<'s>(state: &'s mut State, inquiry_id: InquiryId, added: &Features) -> &'s mut Conversation {
    if !state.conversations.contains_key(&inquiry_id) {
        state.oldest_first.push_back(inquiry_id);
        if state.oldest_first.len() > CONVERSATIONS_MAX
            && let Some(oldest) = state.oldest_first.pop_front()
        {
            state.conversations.remove(&oldest);
        }
    }
    let conversation = state.conversations.get_or_insert_with(inquiry_id, Conversation::default);
    conversation.features = conversation.with(added);
    conversation
}
