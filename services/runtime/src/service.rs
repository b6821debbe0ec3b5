//! What the runtime asks of a service: its decider, its place among the topics, its codec and its reactions.

use kernel::{CommandId, Decider, Sealed, TenantId, Timestamp};
use log::{Header, Topic};

/// Schemas that the runtime itself writes, in every topic. The services' own start at 1.
pub mod schema {
    pub const BATCH: u16 = 0xff01;
    pub const COMMAND_NOTED: u16 = 0xff02;
    pub const PARKED: u16 = 0xff03;
    pub const PARK_RELEASED: u16 = 0xff04;
    pub const FIRST_RESERVED: u16 = 0xff00;
}

/// Why a payload could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// A type that this build does not know. From upstream it stops the shard: skipping it would lose a fact (L10).
    #[error("schema {0} is not known here")]
    UnknownSchema(u16),
    /// The bytes do not fit their type. From upstream the input is parked.
    #[error("malformed payload: {0}")]
    Malformed(String),
}

impl From<prost::DecodeError> for CodecError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A record of another service's topic.
#[derive(Debug, Clone, Copy)]
pub struct Upstream<'a> {
    pub topic: Topic,
    /// Tenant, seq, schema, recorded_at, and the command that caused it.
    pub header: Header,
    pub payload: &'a [u8],
}

/// What an upstream record asks a service to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Reaction<C> {
    /// What it is about, such as an inquiry's id: when this input parks, later ones of the same entity park behind it.
    pub entity: Vec<u8>,
    pub command: C,
}

/// A record that goes to a second, public topic in the same batch as the event it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub topic: Topic,
    pub schema: u16,
    pub payload: Vec<u8>,
}

/// Opens sealed values and makes keyed hashes, before a command is built; no fold ever sees it.
pub trait Vault: Send + Sync + 'static {
    /// The clear bytes, or `None` when the key was destroyed or the value is not authentic.
    fn open(&self, tenant: TenantId, command_id: CommandId, field: &str, sealed: &Sealed) -> Option<Vec<u8>>;

    /// A keyed hash that only this installation can make: for comparison and look-up of personal values. `what`
    /// separates uses, so that hashes of one use cannot be compared with those of another.
    fn mac(&self, tenant: TenantId, what: &str, clear: &[u8]) -> [u8; 16];
}

/// A service: everything that the one shell needs to run it.
pub trait Service: Decider {
    /// Its own topic, which it alone writes.
    const TOPIC: Topic;
    /// The topics that it reads.
    const UPSTREAMS: &'static [Topic];

    /// Appends the event's payload to `payload` and returns its schema number.
    fn encode(event: &Self::Event, payload: &mut Vec<u8>) -> u16;

    /// Reads an event back. `recorded_at` is the envelope's: events that need their own time take it from there.
    fn decode(schema: u16, payload: &[u8], recorded_at: Timestamp) -> Result<Self::Event, CodecError>;

    /// Decodes and folds at once. A service may read only what its fold needs; what comes of it must be what comes of
    /// [`Self::decode`] and `evolve`.
    fn fold(state: &mut Self::State, schema: u16, payload: &[u8], recorded_at: Timestamp) -> Result<(), CodecError> {
        let event = Self::decode(schema, payload, recorded_at)?;
        Self::evolve(state, &event);
        Ok(())
    }

    /// The public record that `event` makes besides itself, if any.
    fn publish(event: &Self::Event) -> Option<Published> {
        let _ = event;
        None
    }

    /// The command that an upstream record asks for; `None` when it is of no interest. Batch and other runtime
    /// records never come here.
    fn react(record: &Upstream<'_>, vault: &dyn Vault) -> Result<Option<Reaction<Self::Command>>, CodecError>;
}
