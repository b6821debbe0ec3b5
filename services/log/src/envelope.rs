//! The envelope: one compact binary block before the payload of every record. Its layout is on the log for ever.
//!
//! ```text
//! byte  0  format           u8, 1
//!       1  schema           u16   type of the payload, per topic
//!       3  logic_version    u32
//!       7  tenant           16
//!      23  seq              u64
//!      31  id               16
//!      47  recorded_at      i64   microseconds since the epoch
//!      55  command_id       16
//!      71  request_mac      16    keyed hash of the request; zeros where no request is the cause
//!      87  correlation      16    the trace that it belongs to
//!     103  previous_hash    32    blake3 of the record before, zeros for the first
//!     135  causation        u8 topic (0: none), u16 partition, u64 seq
//!     146  actor            u8 kind, 16 id, u8 count, then per position u8 length and text
//!          payload
//! ```
//! Integers are little-endian.

use kernel::{Actor, ActorKind, CommandId, EmployeeId, EventId, TenantId, Timestamp};

use crate::Topic;

const FORMAT: u8 = 1;
/// Bytes up to and including the number of positions.
const FIXED: usize = 164;
/// Positions of one actor: nobody holds more, and a length must have a bound (L9).
const POSITIONS_MAX: usize = 16;
/// Bytes of a position's code.
const POSITION_BYTES_MAX: usize = 64;

/// The upstream record that caused this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Causation {
    pub topic: Topic,
    pub partition: u16,
    pub seq: u64,
}

/// All that is known of a record besides its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub schema: u16,
    pub logic_version: u32,
    pub tenant: TenantId,
    pub seq: u64,
    pub id: EventId,
    pub recorded_at: Timestamp,
    pub command_id: CommandId,
    pub request_mac: [u8; 16],
    pub correlation: [u8; 16],
    pub previous_hash: [u8; 32],
    pub causation: Option<Causation>,
    pub actor: Actor,
}

/// The part of an envelope that a fold needs, read without touching the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub schema: u16,
    pub logic_version: u32,
    pub tenant: TenantId,
    pub seq: u64,
    pub recorded_at: Timestamp,
    pub command_id: CommandId,
    pub request_mac: [u8; 16],
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    #[error("record of {0} bytes is shorter than its envelope")]
    Short(usize),
    #[error("envelope format {0} is not known here")]
    UnknownFormat(u8),
    #[error("topic number {0} is not known here")]
    UnknownTopic(u8),
    #[error("actor kind {0} is not known here")]
    UnknownActorKind(u8),
    #[error("a position's code is not UTF-8")]
    NotText,
    #[error("an actor with {0} positions, or a position of more than {POSITION_BYTES_MAX} bytes, does not fit")]
    TooLarge(usize),
}

/// blake3 of a record's bytes: the link of the hash chain.
pub fn record_hash(bytes: &[u8]) -> [u8; 32] {
    *blake3::hash(bytes).as_bytes()
}

#[inline]
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Header {
    /// Reads the header and finds the payload.
    #[inline]
    pub fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), EnvelopeError> {
        let payload_at = payload_at(bytes)?;
        let header = Self {
            schema: u16::from_le_bytes(array(bytes, 1)),
            logic_version: u32::from_le_bytes(array(bytes, 3)),
            tenant: TenantId::from_bytes(array(bytes, 7)),
            seq: u64::from_le_bytes(array(bytes, 23)),
            recorded_at: Timestamp::from_micros(i64::from_le_bytes(array(bytes, 47))),
            command_id: CommandId::from_bytes(array(bytes, 55)),
            request_mac: array(bytes, 71),
        };
        Ok((header, &bytes[payload_at..]))
    }
}

#[inline]
fn payload_at(bytes: &[u8]) -> Result<usize, EnvelopeError> {
    if bytes.len() < FIXED {
        return Err(EnvelopeError::Short(bytes.len()));
    }
    if bytes[0] != FORMAT {
        return Err(EnvelopeError::UnknownFormat(bytes[0]));
    }
    let mut at = FIXED;
    for _ in 0..bytes[FIXED - 1] {
        let length = *bytes.get(at).ok_or(EnvelopeError::Short(bytes.len()))?;
        at += 1 + usize::from(length);
    }
    if at > bytes.len() { Err(EnvelopeError::Short(bytes.len())) } else { Ok(at) }
}

impl Envelope {
    /// Writes envelope and payload as one record.
    pub fn encode(&self, payload: &[u8]) -> Result<Vec<u8>, EnvelopeError> {
        let positions = &self.actor.positions;
        if positions.len() > POSITIONS_MAX || positions.iter().any(|code| code.len() > POSITION_BYTES_MAX) {
            return Err(EnvelopeError::TooLarge(positions.len()));
        }
        let mut out =
            Vec::with_capacity(FIXED + payload.len() + positions.iter().map(|code| code.len() + 1).sum::<usize>());
        out.push(FORMAT);
        out.extend_from_slice(&self.schema.to_le_bytes());
        out.extend_from_slice(&self.logic_version.to_le_bytes());
        out.extend_from_slice(self.tenant.as_bytes());
        out.extend_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(self.id.as_bytes());
        out.extend_from_slice(&self.recorded_at.as_micros().to_le_bytes());
        out.extend_from_slice(self.command_id.as_bytes());
        out.extend_from_slice(&self.request_mac);
        out.extend_from_slice(&self.correlation);
        out.extend_from_slice(&self.previous_hash);
        let (topic, partition, seq) = self.causation.map_or((0, 0, 0), |c| (c.topic.number(), c.partition, c.seq));
        out.push(topic);
        out.extend_from_slice(&partition.to_le_bytes());
        out.extend_from_slice(&seq.to_le_bytes());
        out.push(match self.actor.kind {
            ActorKind::Service => 1,
            ActorKind::LocalOperator => 2,
            ActorKind::Employee => 3,
            ActorKind::Platform => 4,
        });
        out.extend_from_slice(self.actor.id.as_bytes());
        out.push(u8::try_from(positions.len()).expect("at most 16"));
        for code in positions {
            out.push(u8::try_from(code.len()).expect("at most 64"));
            out.extend_from_slice(code.as_bytes());
        }
        out.extend_from_slice(payload);
        Ok(out)
    }

    /// Reads a whole record back: its envelope and payload.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8]), EnvelopeError> {
        let (header, payload) = Header::parse(bytes)?;
        let causation = match bytes[135] {
            0 => None,
            number => Some(Causation {
                topic: Topic::from_number(number).ok_or(EnvelopeError::UnknownTopic(number))?,
                partition: u16::from_le_bytes(array(bytes, 136)),
                seq: u64::from_le_bytes(array(bytes, 138)),
            }),
        };
        let kind = match bytes[146] {
            1 => ActorKind::Service,
            2 => ActorKind::LocalOperator,
            3 => ActorKind::Employee,
            4 => ActorKind::Platform,
            other => return Err(EnvelopeError::UnknownActorKind(other)),
        };
        let mut positions = Vec::new();
        let mut at = FIXED;
        for _ in 0..bytes[FIXED - 1] {
            let length = usize::from(bytes[at]);
            let text = std::str::from_utf8(&bytes[at + 1..at + 1 + length]).map_err(|_| EnvelopeError::NotText)?;
            positions.push(text.to_owned());
            at += 1 + length;
        }
        let envelope = Self {
            schema: header.schema,
            logic_version: header.logic_version,
            tenant: header.tenant,
            seq: header.seq,
            id: EventId::from_bytes(array(bytes, 31)),
            recorded_at: header.recorded_at,
            command_id: header.command_id,
            request_mac: header.request_mac,
            correlation: array(bytes, 87),
            previous_hash: array(bytes, 103),
            causation,
            actor: Actor { kind, id: EmployeeId::from_bytes(array(bytes, 147)), positions },
        };
        Ok((envelope, payload))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            schema: 7,
            logic_version: 2,
            tenant: TenantId::from_bytes([1; 16]),
            seq: 42,
            id: EventId::from_bytes([2; 16]),
            recorded_at: Timestamp::from_micros(1_700_000_000_000_000),
            command_id: CommandId::from_bytes([3; 16]),
            request_mac: [4; 16],
            correlation: [5; 16],
            previous_hash: [6; 32],
            causation: Some(Causation { topic: Topic::Kpi, partition: 9, seq: 77 }),
            actor: Actor {
                kind: ActorKind::Employee,
                id: EmployeeId::from_bytes([7; 16]),
                positions: vec!["sales_manager".to_owned(), "trainer".to_owned()],
            },
        }
    }

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let bytes = envelope().encode(b"payload").unwrap();
        let (decoded, payload) = Envelope::decode(&bytes).unwrap();
        assert_eq!((decoded, payload), (envelope(), &b"payload"[..]));
        let (header, payload) = Header::parse(&bytes).unwrap();
        assert_eq!((header.seq, header.schema, payload), (42, 7, &b"payload"[..]));
    }

    #[test]
    fn the_layout_is_pinned_for_ever() {
        // Golden: a change of one byte of the layout orphans every log that was ever written.
        let bytes = envelope().encode(b"payload").unwrap();
        assert_eq!(
            blake3::hash(&bytes).to_hex().as_str(),
            "ff17ac75968bbf1660b8f3b9cf6b9f31d3e9e41980a04ea7eb42cd8940554cbc"
        );
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = envelope().encode(b"").unwrap();
        for length in 0..bytes.len() {
            assert!(Envelope::decode(&bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn an_unknown_format_is_refused() {
        let mut bytes = envelope().encode(b"").unwrap();
        bytes[0] = 2;
        assert_eq!(Envelope::decode(&bytes), Err(EnvelopeError::UnknownFormat(2)));
    }
}
