//! Which intent a conversation carries: what was taught, and what was classified.

use std::collections::{BTreeSet, VecDeque};

use kernel::{Decider, IdMap, InquiryId, Refusal, RefusalKind, Stamp, Violation};
use serde::{Deserialize, Serialize};

use crate::features::Features;
use crate::model::Model;

/// When none fits.
pub const OUT_OF_SCOPE: &str = "out_of_scope";
/// An intent is believed from a part of the way from chance (1 / n of n labels) to certainty on: 1 / this. So that the bar
/// means the same whether there are two labels or a hundred. Chosen on the sample's fifteen labels, where the bar is 0.2:
/// wrong answers below it are as many as right ones.
const BELIEVED_PART: u64 = 7;
/// A change of the top probability by less than this does not make a new classification.
const NOTABLE: u32 = 50_000;
/// Labels of one tenant (L9).
const LABELS_MAX: usize = 512;
/// Hashed features of one request to teach: about 5 MiB of events. A text has about five a character, so that this many
/// are in a thousand messages of two hundred characters each, and a request of long texts does not stop the shard (L9).
const LESSON_FEATURES_MAX: usize = 1 << 20;
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
    Hear {
        inquiry_id: InquiryId,
        features: Features,
    },
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
    IntentClassified {
        inquiry_id: InquiryId,
        scores: Vec<Score>,
        model_examples: u64,
        features: Features,
        revision: u32,
    },
    TextNoted {
        inquiry_id: InquiryId,
        features: Features,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("a company has at most {LABELS_MAX} labels")]
    TooManyLabels,
    #[error("have more than {LESSON_FEATURES_MAX} features together; send fewer at once")]
    ExamplesTooLarge,
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::TooManyLabels => RefusalKind::FailedPrecondition,
            Self::ExamplesTooLarge => RefusalKind::Invalid,
        }
    }
    fn reason(&self) -> &'static str {
        match self {
            Self::TooManyLabels => "TOO_MANY_LABELS",
            Self::ExamplesTooLarge => "EXAMPLES_TOO_LARGE",
        }
    }
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::TooManyLabels => None,
            Self::ExamplesTooLarge => Some("examples"),
        }
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
        if self.features.len() >= CONVERSATION_FEATURES_MAX { self.features.clone() } else { self.features.plus(added) }
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
        let labels = self.model.labels.len();
        // One label alone has the whole probability of whatever is said: it tells nothing apart.
        let nothing = features.is_empty() || labels < 2;
        let probabilities = if nothing { Vec::new() } else { self.model.probabilities(features) };
        let mut scores: Vec<Score> = self
            .model
            .labels
            .iter()
            .zip(&probabilities)
            .map(|(label, probability)| Score { label: label.clone(), ppm: to_ppm(*probability) })
            .collect();
        scores.sort_by(|a, b| b.ppm.cmp(&a.ppm).then_with(|| a.label.cmp(&b.label)));
        match scores.first() {
            Some(top) if top.label == OUT_OF_SCOPE || top.ppm >= believed_from(labels) => {}
            first => scores = nothing_fits(first.map_or(0, |top| top.ppm), &scores),
        }
        scores.truncate(SCORES_MAX);
        scores
    }
}

/// That nothing fits is as sure as the best label leaves room for; the labels share what is left.
fn nothing_fits(top: u32, scores: &[Score]) -> Vec<Score> {
    let share = |ppm: u32| u32::try_from(u64::from(ppm) * u64::from(top) / 1_000_000).unwrap_or(top);
    let (taught, labels): (Vec<&Score>, Vec<&Score>) = scores.iter().partition(|score| score.label == OUT_OF_SCOPE);
    let ppm = 1_000_000 - top + taught.first().map_or(0, |score| share(score.ppm));
    let labels = labels.into_iter().map(|score| Score { label: score.label.clone(), ppm: share(score.ppm) });
    std::iter::once(Score { label: OUT_OF_SCOPE.to_owned(), ppm }).chain(labels).collect()
}

#[expect(
    clippy::float_arithmetic,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability becomes fixed point here"
)]
fn to_ppm(probability: f64) -> u32 {
    (probability.clamp(0.0, 1.0) * 1_000_000.0 + 0.5) as u32
}

#[cfg(not(feature = "planted-bugs"))]
fn believed_from(labels: usize) -> u32 {
    bar(labels)
}

#[cfg(feature = "planted-bugs")]
fn believed_from(labels: usize) -> u32 {
    if crate::planted::is(2) { 990_000 } else { bar(labels) }
}

/// The calibrated probability, in parts per million, from which on one of n labels is believed:
/// 1 / n + (1 - 1 / n) / 7 = (n + 6) / 7n. It is 0.57 of 2 labels, 0.31 of 5, 0.2 of 15 and 0.15 of 100.
fn bar(labels: usize) -> u32 {
    let labels = labels.max(1) as u64;
    let bar = 1_000_000 * (labels + BELIEVED_PART - 1) / (labels * BELIEVED_PART);
    u32::try_from(bar).unwrap_or(1_000_000)
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
    let mut size = 0;
    for example in examples {
        let key = (example.key, example.label.clone());
        if state.taught.contains(&key) || !new.insert(key) {
            continue;
        }
        labels.insert(&example.label);
        if labels.len() > LABELS_MAX {
            return Err(Rejection::TooManyLabels);
        }
        size += example.features.len();
        if size > LESSON_FEATURES_MAX {
            return Err(Rejection::ExamplesTooLarge);
        }
        events.push(Event::LabelTaught(example.clone()));
    }
    Ok(events)
}

fn hear(state: &State, inquiry_id: InquiryId, added: &Features) -> Event {
    let known = state.conversations.get(&inquiry_id);
    let whole = known.map_or_else(|| added.clone(), |known| known.with(added));
    let scores = state.classify(&whole);
    let same = known
        .and_then(|known| known.top.as_ref())
        .zip(scores.first())
        .is_some_and(|(was, is)| was.label == is.label && was.ppm.abs_diff(is.ppm) <= NOTABLE);
    let features = added.clone();
    if same {
        return Event::TextNoted { inquiry_id, features };
    }
    // A conversation that was forgotten begins at 1 again, and with what is said from then on. Nobody compares revisions
    // across records: the later record counts, whatever its number.
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
