//! The contract as data: records and answers as JSON, from the compiled descriptors.
//!
//! Bytes are shown as hexadecimal, enums by name, instants as RFC 3339, and every scalar field is there, so that a
//! script may rely on it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Context, anyhow};
use log::{TOPICS, Topic};
use prost::Message;
use prost_reflect::{
    DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage, Value as Field,
};
use serde_json::{Map, Value};

use crate::admin::hex;

static POOL: LazyLock<DescriptorPool> =
    LazyLock::new(|| DescriptorPool::decode(proto::DESCRIPTORS).expect("descriptors that the build itself made"));

static EVENTS: LazyLock<BTreeMap<(Topic, u16), MessageDescriptor>> = LazyLock::new(events);

/// Records that the runtime writes into every topic.
const RUNTIME: [(u16, &str); 4] = [
    (runtime::schema::BATCH, "fenliu.common.v1.Batch"),
    (runtime::schema::COMMAND_NOTED, "fenliu.common.v1.CommandNoted"),
    (runtime::schema::PARKED, "fenliu.common.v1.Parked"),
    (runtime::schema::PARK_RELEASED, "fenliu.common.v1.ParkReleased"),
];

/// The message behind each schema number. The protos say it above each event: `// schema 7. …`.
fn events() -> BTreeMap<(Topic, u16), MessageDescriptor> {
    let mut events = BTreeMap::new();
    for topic in TOPICS {
        for (schema, name) in RUNTIME {
            events.insert((topic, schema), POOL.get_message_by_name(name).expect("a message of the contract"));
        }
        let package = format!("fenliu.{}.v1", topic.writer().name().split('.').nth(1).unwrap_or_default());
        for message in POOL.all_messages().filter(|message| message.package_name() == package) {
            let comment = comment_of(&message).unwrap_or_default();
            // `payroll` writes one event a second time, for finance.
            let number = match topic {
                Topic::Payout => comment.split_once("and schema ").map(|(_, rest)| rest),
                _ => comment.trim_start().strip_prefix("schema "),
            };
            let digits = number.map(|text| text.split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default());
            if let Some(Ok(schema)) = digits.map(str::parse) {
                events.insert((topic, schema), message);
            }
        }
    }
    events
}

fn comment_of(message: &MessageDescriptor) -> Option<String> {
    let file = message.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let place = info.location.iter().find(|location| location.path == message.path())?;
    place.leading_comments.clone()
}

/// The message behind a schema number.
pub fn event_message(topic: Topic, schema: u16) -> Option<MessageDescriptor> {
    EVENTS.get(&(topic, schema)).cloned()
}

/// An event's name and its payload as JSON.
pub fn event(topic: Topic, schema: u16, payload: &[u8]) -> anyhow::Result<(String, Value)> {
    let message = EVENTS
        .get(&(topic, schema))
        .ok_or_else(|| anyhow!("schema {schema} of {topic} is not known to this build of fenliu"))?;
    let decoded = DynamicMessage::decode(message.clone(), payload)
        .with_context(|| format!("decode {} of {topic}", message.name()))?;
    Ok((message.name().to_owned(), json(&decoded)))
}

/// A message of the contract as JSON; `name` is its full name, such as `fenliu.kpi.v1.QueryKpisResponse`.
pub fn message(name: &str, message: &impl Message) -> anyhow::Result<Value> {
    let descriptor = POOL.get_message_by_name(name).ok_or_else(|| anyhow!("no message {name} in the contract"))?;
    Ok(json(&DynamicMessage::decode(descriptor, &message.encode_to_vec()[..])?))
}

fn json(message: &DynamicMessage) -> Value {
    if message.descriptor().full_name() == "google.protobuf.Timestamp" {
        return timestamp(message);
    }
    let field = |field: FieldDescriptor| {
        let absent = field.supports_presence() && !message.has_field(&field);
        let value = if absent { Value::Null } else { value(&field.kind(), &message.get_field(&field)) };
        (field.name().to_owned(), value)
    };
    Value::Object(message.descriptor().fields().map(field).collect::<Map<_, _>>())
}

fn timestamp(message: &DynamicMessage) -> Value {
    let part = |name| message.get_field_by_name(name).map(|field| field.into_owned());
    let seconds = part("seconds").and_then(|field| field.as_i64()).unwrap_or_default();
    let nanos = part("nanos").and_then(|field| field.as_i32()).unwrap_or_default();
    jiff::Timestamp::new(seconds, nanos).map_or(Value::Null, |at| Value::String(at.to_string()))
}

fn value(kind: &Kind, field: &Field) -> Value {
    match field {
        Field::Bool(value) => Value::from(*value),
        Field::I32(value) => Value::from(*value),
        Field::I64(value) => Value::from(*value),
        Field::U32(value) => Value::from(*value),
        Field::U64(value) => Value::from(*value),
        Field::F32(value) => Value::from(*value),
        Field::F64(value) => Value::from(*value),
        Field::String(value) => Value::from(value.as_str()),
        Field::Bytes(value) => Value::from(hex(value)),
        Field::EnumNumber(number) => match kind {
            Kind::Enum(known) => {
                known.get_value(*number).map_or_else(|| Value::from(*number), |value| Value::from(value.name()))
            }
            _ => Value::from(*number),
        },
        Field::Message(message) => json(message),
        Field::List(values) => Value::Array(values.iter().map(|item| value(kind, item)).collect()),
        Field::Map(_) => Value::Null, // No message of the contract has a map (L10).
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_its_events_densely_numbered() {
        let count = |topic: Topic| {
            let own = EVENTS.keys().filter(|(of, schema)| *of == topic && *schema < runtime::schema::FIRST_RESERVED);
            let schemas: Vec<u16> = own.map(|(_, schema)| *schema).collect();
            let dense: Vec<u16> = (1..=u16::try_from(schemas.len()).unwrap()).collect();
            assert_eq!(schemas, dense, "{topic}");
            schemas.len()
        };
        assert!(TOPICS.map(count).iter().all(|count| *count > 0));
        assert_eq!(count(Topic::Payout), 1);
        assert_eq!(EVENTS[&(Topic::Payout, 1)].name(), "PayoutChanged");
        assert_eq!(EVENTS[&(Topic::Intake, 3)].name(), "InquirySubmitted");
    }

    #[test]
    fn a_payload_is_shown_with_hexadecimal_ids_and_all_scalars() {
        let payload = proto::kpi::PaymentNoted {
            payment_id: vec![0xab; 16],
            amount: Some(proto::common::Money { minor: 1234, currency: "CNY".to_owned(), exponent: 2 }),
            ..Default::default()
        };
        let (name, shown) = event(Topic::Kpi, 3, &payload.encode_to_vec()).unwrap();
        assert_eq!(name, "PaymentNoted");
        assert_eq!(shown["payment_id"], "ab".repeat(16));
        assert_eq!(shown["amount"]["minor"], 1234);
        assert_eq!(shown["occurred_at_us"], 0);
        assert!(event(Topic::Kpi, 999, b"").unwrap_err().to_string().contains("999"));
        assert!(event(Topic::Kpi, 3, b"\xff").is_err());
    }

    #[test]
    fn answers_show_enums_by_name_and_instants_as_text() {
        let answer = proto::assignment::WatchOffersResponse {
            step: proto::assignment::Step::Offered.into(),
            recorded_at: Some(prost_types::Timestamp { seconds: 1, nanos: 0 }),
            ..Default::default()
        };
        let shown = message("fenliu.assignment.v1.WatchOffersResponse", &answer).unwrap();
        assert_eq!(shown["step"], "STEP_OFFERED");
        assert_eq!(shown["recorded_at"], "1970-01-01T00:00:01Z");
        assert_eq!(shown["expires_at"], Value::Null);
        assert_eq!(shown["heartbeat"], false);
    }
}
