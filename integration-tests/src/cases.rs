//! What can be wrong with a request, made from the contract's descriptors: every field of every kind, in every way
//! that its kind allows.

use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, ReflectMessage, Value};
use tonic::Code;

/// A request with one thing wrong, and how it must be refused.
#[derive(Debug, Clone)]
pub struct Case {
    /// The field, and what is wrong with it.
    pub name: String,
    pub request: DynamicMessage,
    pub code: Code,
    pub reason: String,
    /// The field that the refusal names; none where no field is at fault.
    pub field: Option<String>,
}

/// What is particular to one RPC.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// Fields that may be missing.
    pub optional: &'static [&'static str],
    /// Texts that may hold control characters: what people write.
    pub free: &'static [&'static str],
    /// Fields that are not read.
    pub unread: &'static [&'static str],
    /// Fields whose absence or strangeness means that the thing named there is not known: (field, code, reason).
    pub unknown: &'static [(&'static str, Code, &'static str)],
}

/// Longer than any field may be, and within what gRPC takes.
const TOO_LONG: usize = 2 << 20;

pub fn text(text: &str) -> Value {
    Value::String(text.to_owned())
}

/// An instant as a field's value.
pub fn instant(contract: &DescriptorPool, seconds: i64, nanos: i32) -> Value {
    let descriptor = contract.get_message_by_name("google.protobuf.Timestamp").unwrap();
    let mut message = DynamicMessage::new(descriptor);
    message.transcode_from(&prost_types::Timestamp { seconds, nanos }).unwrap();
    Value::Message(message)
}

/// Sets the field at a path such as `messages[0].text`, or clears it.
pub fn set(message: &mut DynamicMessage, path: &str, to: Option<Value>) {
    let Some((first, rest)) = path.split_once('.') else {
        match to {
            Some(value) => message.set_field_by_name(path, value),
            None => message.clear_field_by_name(path),
        }
        return;
    };
    let name = first.trim_end_matches("[0]");
    let inner = match message.get_field_by_name_mut(name).unwrap() {
        Value::Message(inner) => inner,
        Value::List(list) => list[0].as_message_mut().unwrap(),
        other => panic!("{first} is {other:?}"),
    };
    set(inner, rest, to);
}

/// The message with one field set otherwise.
pub fn with(message: &DynamicMessage, path: &str, to: Option<Value>) -> DynamicMessage {
    let mut changed = message.clone();
    set(&mut changed, path, to);
    changed
}

pub fn get(message: &DynamicMessage, path: &str) -> Value {
    let Some((first, rest)) = path.split_once('.') else {
        return message.get_field_by_name(path).unwrap().into_owned();
    };
    match message.get_field_by_name(first.trim_end_matches("[0]")).unwrap().into_owned() {
        Value::Message(inner) => get(&inner, rest),
        Value::List(list) => get(list[0].as_message().unwrap(), rest),
        other => panic!("{first} is {other:?}"),
    }
}

/// Every case that follows from the kinds of the fields of `base`, which is a request that would be accepted at `now`
/// (seconds).
pub fn all(contract: &DescriptorPool, base: &DynamicMessage, manners: &Manners, now: i64) -> Vec<Case> {
    let mut maker = Maker { contract, base, manners, now, cases: Vec::new() };
    maker.message(base, "");
    maker.cases
}

struct Maker<'a> {
    contract: &'a DescriptorPool,
    base: &'a DynamicMessage,
    manners: &'a Manners,
    now: i64,
    cases: Vec<Case>,
}

impl Maker<'_> {
    fn push(&mut self, path: &str, what: &str, to: Option<Value>, reason: &str, field: &str) {
        self.cases.push(Case {
            name: format!("{path} {what}"),
            request: with(self.base, path, to),
            code: Code::InvalidArgument,
            reason: reason.to_owned(),
            field: Some(field.to_owned()),
        });
    }

    fn invalid(&mut self, path: &str, what: &str, to: Option<Value>) {
        self.push(path, what, to, "INVALID_FIELD", path);
    }

    fn message(&mut self, message: &DynamicMessage, prefix: &str) {
        for field in message.descriptor().fields() {
            let path = format!("{prefix}{}", field.name());
            if !self.manners.unread.contains(&path.as_str()) {
                self.field(message, &field, &path);
            }
        }
    }

    fn field(&mut self, message: &DynamicMessage, field: &FieldDescriptor, path: &str) {
        if let Some((_, code, reason)) = self.manners.unknown.iter().find(|(known, ..)| *known == path) {
            self.unknown(field, path, *code, reason);
        }
        if !self.manners.optional.contains(&path) {
            self.invalid(path, "is missing", None);
        }
        if field.is_list() {
            let list = message.get_field(field).into_owned();
            let first = list.as_list().and_then(|list| list.first()).cloned().unwrap();
            self.invalid(path, "has too many entries", Some(Value::List(vec![first.clone(); 1_001])));
            self.message(first.as_message().unwrap(), &format!("{path}[0]."));
            return;
        }
        match field.kind() {
            Kind::String => self.text(path),
            Kind::Enum(_) => {
                for number in [99, -1, i32::MAX] {
                    self.invalid(path, &format!("is {number}"), Some(Value::EnumNumber(number)));
                }
            }
            Kind::Message(kind) => match kind.full_name() {
                "google.protobuf.Timestamp" => self.instant(path),
                "fenliu.common.v1.Money" => self.money(path),
                _ => {
                    let inner = message.get_field(field).into_owned();
                    self.message(inner.as_message().unwrap(), &format!("{path}."));
                }
            },
            _ => {}
        }
    }

    fn unknown(&mut self, field: &FieldDescriptor, path: &str, code: Code, reason: &str) {
        let stranger = match field.kind() {
            Kind::String if path.ends_with("_id") && !path.ends_with("external_id") => text(&"ab".repeat(16)),
            Kind::String => text("nobody-knows-this"),
            _ => Value::U32(77),
        };
        self.cases.push(Case {
            name: format!("{path} names something unknown"),
            request: with(self.base, path, Some(stranger)),
            code,
            reason: reason.to_owned(),
            field: None,
        });
    }

    fn text(&mut self, path: &str) {
        self.invalid(path, "is too long", Some(text(&"x".repeat(TOO_LONG))));
        let last = path.rsplit('.').next().unwrap_or(path);
        if last.ends_with("_id") && !last.ends_with("external_id") {
            for malformed in ["x", "123", &"g".repeat(32), &"a".repeat(31), &"a".repeat(33), "'; drop table--", "\u{0}"]
            {
                self.invalid(path, &format!("is {malformed:?}"), Some(text(malformed)));
            }
        } else if !self.manners.free.contains(&path) {
            if !self.manners.optional.contains(&path) {
                self.invalid(path, "is blank", Some(text(" \t ")));
            }
            let Value::String(usual) = get(self.base, path) else { return };
            for control in ['\u{0}', '\n', '\u{1b}', '\u{85}'] {
                self.invalid(path, &format!("has {control:?}"), Some(text(&format!("{usual}{control}"))));
            }
        }
    }

    fn instant(&mut self, path: &str) {
        for (seconds, nanos) in
            [(i64::MAX, 0), (i64::MIN, 0), (253_402_300_800, 0), (self.now, -1), (self.now, 1_000_000_000)]
        {
            self.invalid(path, &format!("is {seconds}.{nanos}"), Some(instant(self.contract, seconds, nanos)));
        }
        let day = 86_400;
        if path == "issued_at" {
            for age in [7 * day + 1, 8 * day, 400 * day, self.now] {
                let then = Some(instant(self.contract, self.now - age, 0));
                self.push(path, &format!("is {age} s ago"), then, "COMMAND_EXPIRED", path);
            }
            for ahead in [61, day, 400 * day] {
                let then = Some(instant(self.contract, self.now + ahead, 0));
                self.push(path, &format!("is {ahead} s ahead"), then, "COMMAND_FROM_FUTURE", path);
            }
        } else {
            // What only the domain can refuse is named without its place in the request.
            let field = path.rsplit('.').next().unwrap_or(path);
            for ahead in [301, day, 400 * day] {
                let then = Some(instant(self.contract, self.now + ahead, 0));
                self.push(path, &format!("is {ahead} s ahead"), then, "OCCURRED_IN_FUTURE", field);
            }
        }
    }

    fn money(&mut self, path: &str) {
        for minor in [-1, i64::MIN] {
            let field = format!("{path}.minor");
            self.push(&field, &format!("is {minor}"), Some(Value::I64(minor)), "AMOUNT_NEGATIVE", path);
        }
        let (field, huge) = (format!("{path}.minor"), Some(Value::I64(i64::MAX)));
        self.push(&field, "is more than can be summed", huge, "AMOUNT_TOO_LARGE", path);
        for currency in ["", "cny", "CN", "XXQ", "CNY ", "人民币", "CNY\n"] {
            let (field, value) = (format!("{path}.currency"), Some(text(currency)));
            self.push(&field, &format!("is {currency:?}"), value, "INVALID_FIELD", path);
        }
        for exponent in [0, 1, 3, u32::MAX] {
            let (field, value) = (format!("{path}.exponent"), Some(Value::U32(exponent)));
            self.push(&field, &format!("is {exponent}"), value, "INVALID_FIELD", path);
        }
    }
}

/// A message of the contract as a request that can be changed.
pub fn request(contract: &DescriptorPool, name: &str, message: &impl Message) -> DynamicMessage {
    let descriptor = contract.get_message_by_name(name).unwrap();
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).unwrap()
}
