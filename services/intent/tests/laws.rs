//! The laws of intent over any history of lessons and conversations.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use common::{EXAMPLES, Ear, NOW, Tenant, example, inquiry, stamp};
use intent::Intent;
use intent::domain::{Command, Event, OUT_OF_SCOPE, State};
use kernel::laws::{codec_law, run};
use kernel::{Decider, Stamp, Timestamp, digest_of};
use proptest::prelude::*;
use runtime::Service;

const LABELS: [&str; 4] = ["price", "order_lookup", "after_sales", OUT_OF_SCOPE];
const TEXTS: [&str; 9] = [
    "液压泵多少钱",
    "液压泵漏油",
    "how much",
    "where is my order 123456",
    "退货",
    "你好",
    "",
    "🙂🙂🙂",
    "PC200-8 主泵 电话13800001234",
];

/// What is heard of each text; worked out once.
static HEARD: LazyLock<Vec<Command>> = LazyLock::new(|| {
    let ear = Ear::open();
    TEXTS.iter().map(|text| ear.hear(0, text)).collect()
});

#[derive(Debug, Clone)]
enum Step {
    /// Texts and labels.
    Teach(Vec<(usize, usize)>),
    /// Inquiry and text.
    Hear(u32, usize),
}

fn story() -> impl Strategy<Value = Vec<Step>> {
    let lesson = prop::collection::vec((0..TEXTS.len(), 0..LABELS.len()), 0..4);
    let step = prop_oneof![1 => lesson.prop_map(Step::Teach), 2 => (0..4_u32, 0..TEXTS.len()).prop_map(|(n, text)| Step::Hear(n, text))];
    prop::collection::vec(step, 1..25)
}

fn commands(story: &[Step]) -> Vec<(Command, Stamp)> {
    let command = |step: &Step| match step {
        Step::Teach(lesson) => Command::Teach(
            lesson.iter().map(|(text, label)| example(TEXTS[*text], LABELS[*label], &HEARD[*text])).collect(),
        ),
        Step::Hear(n, text) => {
            let Command::Hear { features, .. } = HEARD[*text].clone() else { unreachable!() };
            Command::Hear { inquiry_id: inquiry(*n), features }
        }
    };
    story.iter().enumerate().map(|(n, step)| (command(step), stamp(n))).collect()
}

fn round_trip(event: &Event, at: Timestamp) -> Event {
    let mut payload = Vec::new();
    let schema = Intent::encode(event, &mut payload);
    Intent::decode(schema, &payload, at).expect("an own event decodes")
}

proptest! {
    #![proptest_config(common::cases(60))]

    #[test]
    fn the_laws_hold_over_any_history(story in story()) {
        let history = run::<Intent>(commands(&story));
        codec_law(&history, round_trip);
        let mut taught = BTreeSet::new();
        let mut revisions: BTreeMap<_, u32> = BTreeMap::new();
        for event in history.decisions.iter().flat_map(|(_, _, events)| events) {
            match event {
                Event::LabelTaught(example) => {
                    prop_assert!(taught.insert((example.key, example.label.clone())), "learnt twice");
                }
                Event::IntentClassified { inquiry_id, scores, revision, .. } => {
                    let last = revisions.entry(*inquiry_id).or_default();
                    prop_assert_eq!(*revision, *last + 1);
                    *last = *revision;
                    prop_assert!((1..=3).contains(&scores.len()));
                    prop_assert!(scores.is_sorted_by(|a, b| a.ppm >= b.ppm), "best first: {:?}", scores);
                    prop_assert!(scores.iter().map(|score| score.ppm).sum::<u32>() <= 1_000_003);
                    prop_assert_eq!(scores.iter().map(|score| &score.label).collect::<BTreeSet<_>>().len(), scores.len());
                }
                Event::TextNoted { inquiry_id, .. } => prop_assert!(revisions.contains_key(inquiry_id)),
            }
        }
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused_or_read_but_never_a_panic(
        story in story(), at: prop::sample::Index, byte: u8, cut: bool
    ) {
        let history = run::<Intent>(commands(&story));
        for event in history.decisions.iter().flat_map(|(_, _, events)| events) {
            let mut payload = Vec::new();
            let schema = Intent::encode(event, &mut payload);
            let place = at.index(payload.len());
            if cut { payload.truncate(place) } else { payload[place] ^= byte };
            if let Ok(read) = Intent::decode(schema, &payload, NOW) {
                prop_assert_eq!(round_trip(&read, NOW), read.clone());
                // Whatever a log says, the fold goes on.
                let mut state = history.state.clone();
                Intent::evolve(&mut state, &read);
            }
        }
    }
}

#[test]
fn a_rebuild_has_the_same_bits_also_after_the_temperature_was_fitted() {
    // Enough lessons that the calibration is fitted; a letter makes each one of its own.
    let ear = Ear::open();
    let lesson = |n: u8| {
        let example = |(text, label): &(&str, &str)| {
            let text = format!("{text} {}", char::from(b'a' + n));
            example(&text, label, &ear.hear(0, &text))
        };
        (Command::Teach(EXAMPLES.iter().map(example).collect()), stamp(usize::from(n)))
    };
    let history = run::<Intent>((0..15).map(lesson));
    codec_law(&history, round_trip);
    let (before, after) = (State::default().model.temperature_milli(), history.state.model.temperature_milli());
    assert_eq!(history.state.model.examples, 270);
    assert_ne!(after, before, "it was fitted");
}

#[test]
fn the_order_of_lessons_is_the_order_on_the_log() {
    // Learning depends on the order; a fold that saw another one would be another model.
    let ear = Ear::open();
    let model = |backwards: bool| {
        let mut examples = EXAMPLES.to_vec();
        if backwards {
            examples.reverse();
        }
        let mut tenant = Tenant::default();
        let events = tenant.teach(&ear, &examples);
        let labels: Vec<String> = events
            .iter()
            .map(|event| match event {
                Event::LabelTaught(example) => example.label.clone(),
                _ => panic!("{event:?}"),
            })
            .collect();
        assert_eq!(labels, examples.iter().map(|(_, label)| *label).collect::<Vec<_>>());
        digest_of(&tenant.state.model)
    };
    assert_eq!(model(false), model(false));
    assert_ne!(model(false), model(true));
}
