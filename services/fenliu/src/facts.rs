//! Facts from outside as JSON lines: one object a line, `fact` names its kind. What `fenliu ingest` reads.
//!
//! Amounts are decimal texts in major units with their ISO 4217 currency; instants are RFC 3339 with an offset; an
//! unknown field is refused. Nothing here does I/O.

use std::fmt;

use kernel::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::instant;

mod request;

/// An instant, written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&instant::text(self.0))
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        instant::parse(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// A customer by the platform's own id; everything else is optional.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    pub platform: String,
    pub id: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub phone: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// BCP 47, such as `zh` or `en`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
}

/// Who wrote a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    #[default]
    Customer,
    Agent,
    System,
}

/// A message that comes with its inquiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FirstMessage {
    /// The platform's own id; its place among the messages, from 1, when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    #[serde(default)]
    pub direction: Direction,
    pub text: String,
    /// The inquiry's time when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<At>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerFact {
    pub customer: Customer,
    pub at: At,
}

/// Two platform identities are one person: `merged` counts as `kept` from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkFact {
    pub kept: Customer,
    pub merged: Customer,
    pub at: At,
}

/// One customer conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InquiryFact {
    pub platform: String,
    pub id: String,
    pub desk: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub channel: String,
    pub customer: Customer,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub category: String,
    #[serde(default)]
    pub priority_minutes: u32,
    #[serde(default)]
    pub messages: Vec<FirstMessage>,
    pub at: At,
    /// The true intent, where the file is a test set; never sent.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub gold: String,
    /// Roster code of who handled it; history only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub handler: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageFact {
    pub platform: String,
    pub inquiry: String,
    pub id: String,
    #[serde(default)]
    pub direction: Direction,
    pub text: String,
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloseFact {
    pub platform: String,
    pub inquiry: String,
    #[serde(default)]
    pub reason: String,
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderFact {
    /// The customer's platform when empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub platform: String,
    pub id: String,
    pub customer: Customer,
    pub amount: String,
    pub currency: String,
    pub at: At,
    /// Roster code of who sold it; history only.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub handler: String,
}

/// A payment or a refund of an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MoneyFact {
    pub platform: String,
    pub order: String,
    pub id: String,
    pub amount: String,
    pub currency: String,
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RatingFact {
    pub platform: String,
    pub inquiry: String,
    pub id: String,
    /// 1 to 5.
    pub score: u32,
    pub at: At,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostFact {
    pub id: String,
    pub kind: String,
    #[serde(default)]
    pub desk: String,
    pub amount: String,
    pub currency: String,
    pub at: At,
}

/// One line of a file of facts. Read it with [`parse`], whose errors name the field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "fact", rename_all = "snake_case")]
pub enum Fact {
    Customer(CustomerFact),
    Link(LinkFact),
    Inquiry(InquiryFact),
    Message(MessageFact),
    Close(CloseFact),
    Order(OrderFact),
    Payment(MoneyFact),
    Refund(MoneyFact),
    Rating(RatingFact),
    Cost(CostFact),
}

/// One line of every kind, with all fields that today's facts may have.
pub const REFERENCE: &str = include_str!("facts/reference.txt");

/// All values of `fact`.
pub const KINDS: [&str; 10] =
    ["customer", "link", "inquiry", "message", "close", "order", "payment", "refund", "rating", "cost"];

impl fmt::Display for Fact {
    /// The line itself.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Reads one line. The error names the field and what is wrong with it.
pub fn parse(line: &str) -> Result<Fact, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| format!("not a JSON object: {error}"))?;
    from_value(value)
}

/// Reads a fact from a JSON object that was made elsewhere, such as by a mapping.
pub fn from_value(value: Value) -> Result<Fact, String> {
    let Value::Object(mut fields) = value else { return Err("not a JSON object".to_owned()) };
    let kind = fields.remove("fact").ok_or_else(|| format!("fact: is missing; it is one of {}", KINDS.join(", ")))?;
    let rest = Value::Object(fields);
    match kind.as_str().unwrap_or_default() {
        "customer" => read(rest).map(Fact::Customer),
        "link" => read(rest).map(Fact::Link),
        "inquiry" => read(rest).map(Fact::Inquiry),
        "message" => read(rest).map(Fact::Message),
        "close" => read(rest).map(Fact::Close),
        "order" => read(rest).map(Fact::Order),
        "payment" => read(rest).map(Fact::Payment),
        "refund" => read(rest).map(Fact::Refund),
        "rating" => read(rest).map(Fact::Rating),
        "cost" => read(rest).map(Fact::Cost),
        _ => Err(format!("fact: {kind} is not one of {}", KINDS.join(", "))),
    }
}

fn read<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let what = error.into_inner();
        if path == "." { what.to_string() } else { format!("{path}: {what}") }
    })
}

impl Fact {
    /// When it happened.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Customer(fact) => fact.at.0,
            Self::Link(fact) => fact.at.0,
            Self::Inquiry(fact) => fact.at.0,
            Self::Message(fact) => fact.at.0,
            Self::Close(fact) => fact.at.0,
            Self::Order(fact) => fact.at.0,
            Self::Payment(fact) | Self::Refund(fact) => fact.at.0,
            Self::Rating(fact) => fact.at.0,
            Self::Cost(fact) => fact.at.0,
        }
    }
}

#[cfg(test)]
mod tests;
