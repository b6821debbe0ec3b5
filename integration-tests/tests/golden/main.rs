//! Golden logs: what version 1 wrote folds for ever, to the same answers. `FENLIU_GOLDEN_WRITE=1 cargo test -p
//! integration-tests --test golden` writes them anew, which is right only while nothing of version 1 was released.
//!
//! A file a topic in `golden/v1`, a record a line: its event's name for readers, and its bytes, envelope and payload,
//! in hexadecimal. `expected.json` holds the answers; answers may gain fields, and never lose or change one.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../sim/machine/mod.rs"]
mod machine;

mod answers;
mod formats;
mod story;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use assignment::Assignment;
use fenliu::admin::{hex, unhex};
use intake::Intake;
use intent::Intent;
use kpi::Kpi;
use log::{Batch, Envelope, Log, Record, TOPICS, Topic};
use machine::keys::FixedKeys;
use machine::log::SimLog;
use machine::on_paused_time;
use machine::positions::entries;
use machine::world::World;
use payroll::Payroll;
use prost::Message;
use proto::{common, payroll as pb};
use roster::Roster;
use runtime::{Service, schema};
use serde_json::{Value, json};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

/// Whether the files are to be written anew.
pub fn writing() -> bool {
    std::env::var_os("FENLIU_GOLDEN_WRITE").is_some()
}

pub fn read_json(file: &str) -> Value {
    let path = folder().join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub fn write_json(file: &str, value: &Value) {
    std::fs::create_dir_all(folder()).unwrap();
    let text = serde_json::to_string_pretty(value).unwrap();
    std::fs::write(folder().join(file), text + "\n").unwrap();
}

fn file_of(topic: Topic) -> PathBuf {
    folder().join(format!("{}.jsonl", topic.name().split('.').nth(1).unwrap()))
}

/// Writes the log once, before anybody reads it.
fn golden() -> SimLog {
    static WRITTEN: Mutex<bool> = Mutex::new(false);
    let mut written = WRITTEN.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if writing() && !*written {
        write();
        *written = true;
    }
    drop(written);
    read()
}

fn write() {
    let (log, now) = on_paused_time(story::tell());
    std::fs::create_dir_all(folder()).unwrap();
    for topic in TOPICS {
        let mut text = String::new();
        for record in log.records(topic, 0) {
            let (envelope, payload) = Envelope::decode(&record.bytes).unwrap();
            let (event, _) = fenliu::contract::event(topic, envelope.schema, payload).unwrap();
            text += &format!("{}\n", json!({"seq": record.seq, "event": event, "record": hex(&record.bytes)}));
        }
        std::fs::write(file_of(topic), text).unwrap();
    }
    let expected = on_paused_time(answers::of(log, now));
    write_json("expected.json", &json!({"now_us": now.as_micros(), "answers": expected}));
}

fn read() -> SimLog {
    let log = SimLog::new(1);
    for topic in TOPICS {
        let text = std::fs::read_to_string(file_of(topic)).unwrap();
        let record = |(seq, line): (u64, &str)| {
            let line: Value = serde_json::from_str(line).unwrap();
            let bytes = unhex(line["record"].as_str().unwrap()).unwrap();
            Record { topic, partition: 0, seq, bytes: bytes.into() }
        };
        let records: Vec<Record> = (0..).zip(text.lines()).map(record).collect();
        assert!(!records.is_empty(), "{topic} has no golden records");
        let epoch = log.take_over(topic.writer(), 0);
        log.commit(Batch { writer: topic.writer(), partition: 0, epoch, records }).unwrap();
    }
    log
}

/// Decodes a payload and encodes it again.
fn again<S: Service>(envelope: &Envelope, payload: &[u8]) -> (u16, Vec<u8>) {
    let event = S::decode(envelope.schema, payload, envelope.recorded_at).unwrap();
    let mut encoded = Vec::new();
    let schema = S::encode(&event, &mut encoded);
    (schema, encoded)
}

fn again_runtime(schema: u16, payload: &[u8]) -> Vec<u8> {
    match schema {
        schema::BATCH => common::Batch::decode(payload).unwrap().encode_to_vec(),
        schema::COMMAND_NOTED => common::CommandNoted::decode(payload).unwrap().encode_to_vec(),
        schema::PARKED => common::Parked::decode(payload).unwrap().encode_to_vec(),
        schema::PARK_RELEASED => common::ParkReleased::decode(payload).unwrap().encode_to_vec(),
        other => panic!("schema {other:#x} is not the runtime's"),
    }
}

#[test]
fn every_golden_record_decodes_and_encodes_to_the_same_bytes() {
    let log = golden();
    for topic in TOPICS {
        for record in log.records(topic, 0) {
            let (envelope, payload) = Envelope::decode(&record.bytes).unwrap();
            assert_eq!(envelope.encode(payload).unwrap(), record.bytes, "envelope of {topic} {}", record.seq);
            let (schema, encoded) = match topic {
                _ if envelope.schema >= schema::FIRST_RESERVED => {
                    (envelope.schema, again_runtime(envelope.schema, payload))
                }
                Topic::Intake => again::<Intake>(&envelope, payload),
                Topic::Roster => again::<Roster>(&envelope, payload),
                Topic::Intent => again::<Intent>(&envelope, payload),
                Topic::Assignment => again::<Assignment>(&envelope, payload),
                Topic::Kpi => again::<Kpi>(&envelope, payload),
                Topic::Payroll => again::<Payroll>(&envelope, payload),
                Topic::Payout => (1, pb::PayoutChanged::decode(payload).unwrap().encode_to_vec()),
            };
            let place = format!("{topic} {} (schema {})", record.seq, envelope.schema);
            assert_eq!((schema, hex(&encoded)), (envelope.schema, hex(payload)), "{place}");
        }
    }
}

/// Schema numbers by topic, from the contract's own comments.
fn schemas() -> BTreeMap<Topic, BTreeSet<u16>> {
    let mut all = BTreeMap::from([(Topic::Payout, BTreeSet::from([1]))]);
    for topic in TOPICS.into_iter().filter(|topic| *topic != Topic::Payout) {
        let service = topic.name().split('.').nth(1).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/fenliu").join(service).join("v1/events.proto");
        let text = std::fs::read_to_string(path).unwrap();
        let comments = text.lines().filter_map(|line| line.trim().strip_prefix("// schema "));
        let number = |rest: &str| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap();
        all.insert(topic, comments.map(number).collect());
    }
    all
}

#[test]
fn every_event_of_the_contract_is_in_the_golden_log() {
    let log = golden();
    let mut missing = Vec::new();
    let mut runtime_schemas =
        BTreeSet::from([schema::BATCH, schema::COMMAND_NOTED, schema::PARKED, schema::PARK_RELEASED]);
    for (topic, wanted) in schemas() {
        let records = log.records(topic, 0);
        let found: BTreeSet<u16> =
            records.iter().map(|record| Envelope::decode(&record.bytes).unwrap().0.schema).collect();
        missing.extend(wanted.difference(&found).map(|schema| format!("{topic} schema {schema}")));
        runtime_schemas = &runtime_schemas - &found;
    }
    missing.extend(runtime_schemas.iter().map(|schema| format!("runtime schema {schema:#x}")));
    assert!(missing.is_empty(), "an event without a golden record may change unseen: {missing:#?}");
}

#[test]
fn the_golden_log_is_whole() {
    let mut problems = Vec::new();
    entries(&golden(), &mut problems);
    assert!(problems.is_empty(), "{problems:#?}");
}

#[test]
fn the_golden_log_folds_to_the_same_answers() {
    let log = golden();
    let expected = read_json("expected.json");
    let now = kernel::Timestamp::from_micros(expected["now_us"].as_i64().unwrap());
    let found = on_paused_time(answers::of(log, now));
    let mut lost = Vec::new();
    answers::lost("", &expected["answers"], &found, &mut lost);
    assert!(lost.is_empty(), "{lost:#?}");
}

/// A world on the golden log, which must not write to it.
pub async fn reopened(log: SimLog, now: kernel::Timestamp) -> World {
    let before = log.total();
    let world = World::on(log, std::sync::Arc::new(FixedKeys::default()), 0, 0, now);
    world.settle().await;
    assert_eq!(world.log.total(), before, "a start wrote to the log: {:?}", written(&world, before));
    world
}

fn written(world: &World, _: u64) -> Vec<String> {
    let mut last = Vec::new();
    for topic in TOPICS {
        let end = *world.log.end(topic, 0).borrow();
        if let Some(record) = world.log.records(topic, 0).last() {
            last.push(format!(
                "{topic} ends at {end} with schema {}",
                Envelope::decode(&record.bytes).unwrap().0.schema
            ));
        }
    }
    last
}
