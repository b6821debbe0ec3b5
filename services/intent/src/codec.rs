//! Events of intent as they stand on the log.

use kernel::InquiryId;
use prost::Message as _;
use proto::intent as pb;
use runtime::{CodecError, wire};

use crate::domain::{Event, Example, Score, Source};
use crate::features::Features;

mod schema {
    pub(super) const LABEL_TAUGHT: u16 = 1;
    pub(super) const INTENT_CLASSIFIED: u16 = 2;
    pub(super) const TEXT_NOTED: u16 = 3;
}

fn features_to_wire(features: &Features) -> Option<pb::Features> {
    let all = || features.words.iter().chain(&features.characters);
    Some(pb::Features {
        version: features.version,
        hashes: all().map(|(hash, _)| *hash).collect(),
        counts: all().map(|(_, count)| *count).collect(),
        block_start: u32::try_from(features.words.len()).unwrap_or(u32::MAX),
    })
}

fn features(features: Option<pb::Features>) -> Result<Features, CodecError> {
    let malformed = |what: &str| CodecError::Malformed(format!("features: {what}"));
    let features = features.ok_or_else(|| malformed("missing"))?;
    if features.hashes.len() != features.counts.len() {
        return Err(malformed("hashes and counts differ in number"));
    }
    let mut words: Vec<(u32, u32)> = features.hashes.into_iter().zip(features.counts).collect();
    let start = features.block_start as usize;
    if start > words.len() {
        return Err(malformed("the second block begins behind the end"));
    }
    let characters = words.split_off(start);
    Ok(Features { version: features.version, words, characters })
}

pub(crate) fn scores_to_wire(scores: &[Score]) -> Vec<pb::Score> {
    scores.iter().map(|score| pb::Score { label: score.label.clone(), ppm: score.ppm }).collect()
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event {
        Event::LabelTaught(example) => {
            let source = match example.source {
                Source::Import => pb::LabelSource::Import,
                Source::Disposition => pb::LabelSource::Disposition,
                Source::Correction => pb::LabelSource::Correction,
            };
            let event = pb::LabelTaught {
                example_key: example.key.to_vec(),
                label: example.label.clone(),
                source: source.into(),
                features: features_to_wire(&example.features),
                inquiry_id: example.inquiry_id.map(InquiryId::to_vec).unwrap_or_default(),
            };
            wire::put(schema::LABEL_TAUGHT, &event, payload)
        }
        Event::IntentClassified { inquiry_id, scores, model_examples, features, revision } => {
            let event = pb::IntentClassified {
                inquiry_id: inquiry_id.to_vec(),
                scores: scores_to_wire(scores),
                model_examples: *model_examples,
                features: features_to_wire(features),
                revision: *revision,
            };
            wire::put(schema::INTENT_CLASSIFIED, &event, payload)
        }
        Event::TextNoted { inquiry_id, features } => {
            let event = pb::TextNoted { inquiry_id: inquiry_id.to_vec(), features: features_to_wire(features) };
            wire::put(schema::TEXT_NOTED, &event, payload)
        }
    }
}

pub(crate) fn decode(schema: u16, payload: &[u8]) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::LABEL_TAUGHT => {
            let event = pb::LabelTaught::decode(payload)?;
            let source = match event.source() {
                pb::LabelSource::Import => Source::Import,
                pb::LabelSource::Disposition => Source::Disposition,
                pb::LabelSource::Correction => Source::Correction,
                pb::LabelSource::Unspecified => return Err(CodecError::Malformed("a label without source".to_owned())),
            };
            Event::LabelTaught(Example {
                key: wire::bytes16(&event.example_key, "example_key")?,
                label: event.label,
                source,
                features: features(event.features)?,
                inquiry_id: wire::optional_id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
            })
        }
        schema::INTENT_CLASSIFIED => {
            let event = pb::IntentClassified::decode(payload)?;
            Event::IntentClassified {
                inquiry_id: wire::id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
                scores: event.scores.into_iter().map(|score| Score { label: score.label, ppm: score.ppm }).collect(),
                model_examples: event.model_examples,
                features: features(event.features)?,
                revision: event.revision,
            }
        }
        schema::TEXT_NOTED => {
            let event = pb::TextNoted::decode(payload)?;
            let inquiry_id = wire::id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?;
            Event::TextNoted { inquiry_id, features: features(event.features)? }
        }
        other => return Err(CodecError::UnknownSchema(other)),
    })
}
