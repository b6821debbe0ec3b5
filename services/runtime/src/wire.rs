//! How the vocabulary stands in protobuf fields of events: for every service's codec.

use kernel::{KeyId, Money, Purpose, Sealed, Subject, Timestamp};
use proto::common;

use crate::service::CodecError;

/// Appends an event's message to `payload` and returns its schema: what every `encode` does.
pub fn put(schema: u16, message: &impl prost::Message, payload: &mut Vec<u8>) -> u16 {
    message.encode(payload).expect("a vector grows");
    schema
}

/// Sixteen bytes that must be there.
#[inline]
pub fn bytes16(bytes: &[u8], field: &'static str) -> Result<[u8; 16], CodecError> {
    bytes.try_into().map_err(|_| CodecError::Malformed(format!("{field} has {} bytes, not 16", bytes.len())))
}

/// An id that must be there.
#[inline]
pub fn id<T>(bytes: &[u8], field: &'static str, make: impl Fn([u8; 16]) -> T) -> Result<T, CodecError> {
    bytes16(bytes, field).map(make)
}

/// An id that may be absent: empty bytes.
#[inline]
pub fn optional_id<T>(
    bytes: &[u8],
    field: &'static str,
    make: impl Fn([u8; 16]) -> T,
) -> Result<Option<T>, CodecError> {
    if bytes.is_empty() { Ok(None) } else { id(bytes, field, make).map(Some) }
}

pub fn money(money: Option<common::Money>, field: &'static str) -> Result<Money, CodecError> {
    let money = money.ok_or_else(|| CodecError::Malformed(format!("{field} is missing")))?;
    Money::from_parts(money.minor, &money.currency, money.exponent)
        .map_err(|error| CodecError::Malformed(format!("{field}: {error}")))
}

pub fn to_money(money: Money) -> Option<common::Money> {
    Some(crate::field::wire_money(money))
}

pub fn sealed(sealed: common::Sealed) -> Result<Sealed, CodecError> {
    let purpose = match sealed.purpose() {
        common::Purpose::Service => Purpose::Service,
        common::Purpose::Statutory => Purpose::Statutory,
        common::Purpose::Unspecified => return Err(CodecError::Malformed("a sealed value without purpose".to_owned())),
    };
    Ok(Sealed {
        subject: Subject(bytes16(&sealed.subject, "subject")?),
        purpose,
        key_id: id(&sealed.key_id, "key_id", KeyId::from_bytes)?,
        algorithm: sealed.algorithm,
        nonce: sealed.nonce,
        ciphertext: sealed.ciphertext,
    })
}

pub fn optional_sealed(value: Option<common::Sealed>) -> Result<Option<Sealed>, CodecError> {
    value.map(sealed).transpose()
}

pub fn to_sealed(sealed: &Sealed) -> common::Sealed {
    let purpose = match sealed.purpose {
        Purpose::Service => common::Purpose::Service,
        Purpose::Statutory => common::Purpose::Statutory,
    };
    common::Sealed {
        subject: sealed.subject.0.to_vec(),
        purpose: purpose.into(),
        key_id: sealed.key_id.to_vec(),
        algorithm: sealed.algorithm,
        nonce: sealed.nonce.clone(),
        ciphertext: sealed.ciphertext.clone(),
    }
}

/// One field of a message as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// Four or eight bytes; no fold needs one.
    Fixed,
}

/// The fields of a message one after the other, with nothing copied: for folds, which need few of them. What a field
/// means is up to the reader, who skips those that it does not need; the last of several is the one that counts.
#[derive(Debug, Clone)]
pub struct Fields<'a>(&'a [u8]);

fn cut() -> CodecError {
    CodecError::Malformed("a field is cut".to_owned())
}

impl<'a> Fields<'a> {
    pub fn of(message: &'a [u8]) -> Self {
        Self(message)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, CodecError> {
        let mut value = 0;
        for (n, byte) in self.0.iter().enumerate().take(10) {
            value |= u64::from(byte & 0x7f) << (7 * n);
            if byte & 0x80 == 0 {
                self.0 = &self.0[n + 1..];
                return Ok(value);
            }
        }
        Err(cut())
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], CodecError> {
        let length = usize::try_from(length).map_err(|_| cut())?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or_else(cut)?;
        self.0 = rest;
        Ok(taken)
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Field<'a>), CodecError>;

    /// The field's number and what it holds. Nothing behind an error.
    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let mut read = || {
            let tag = self.number()?;
            let field = match tag & 7 {
                0 => Field::Number(self.number()?),
                1 => self.take(8).map(|_| Field::Fixed)?,
                2 => {
                    let length = self.number()?;
                    Field::Bytes(self.take(length)?)
                }
                5 => self.take(4).map(|_| Field::Fixed)?,
                other => return Err(CodecError::Malformed(format!("wire type {other}"))),
            };
            Ok((tag >> 3, field))
        };
        let field = read();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Field<'a> {
    #[inline]
    pub fn bytes(self) -> Result<&'a [u8], CodecError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Number(_) | Self::Fixed => Err(CodecError::Malformed("bytes are missing".to_owned())),
        }
    }

    #[inline]
    pub fn text(self) -> Result<&'a str, CodecError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| CodecError::Malformed("a text is not UTF-8".to_owned()))
    }

    #[inline]
    pub fn id<T>(self, field: &'static str, make: impl Fn([u8; 16]) -> T) -> Result<T, CodecError> {
        id(self.bytes()?, field, make)
    }

    pub fn optional_id<T>(self, field: &'static str, make: impl Fn([u8; 16]) -> T) -> Result<Option<T>, CodecError> {
        optional_id(self.bytes()?, field, make)
    }

    #[inline]
    pub fn number(self) -> Result<u64, CodecError> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Bytes(_) | Self::Fixed => Err(CodecError::Malformed("a number is missing".to_owned())),
        }
    }

    /// A number of 32 bits, of which the lower ones count, as protobuf has it.
    #[expect(clippy::cast_possible_truncation, reason = "protobuf says so")]
    #[inline]
    pub fn small(self) -> Result<u32, CodecError> {
        Ok(self.number()? as u32)
    }

    pub fn flag(self) -> Result<bool, CodecError> {
        Ok(self.number()? != 0)
    }

    /// Microseconds of an `int64`.
    #[inline]
    pub fn instant(self) -> Result<Timestamp, CodecError> {
        Ok(Timestamp::from_micros(self.number()?.cast_signed()))
    }

    pub fn money(self, field: &'static str) -> Result<Money, CodecError> {
        let (mut minor, mut currency, mut exponent) = (0, "", 0);
        for part in Fields::of(self.bytes()?) {
            match part? {
                (1, value) => minor = value.number()?.cast_signed(),
                (2, value) => currency = value.text()?,
                (3, value) => exponent = value.small()?,
                _ => {}
            }
        }
        Money::from_parts(minor, currency, exponent).map_err(|error| CodecError::Malformed(format!("{field}: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message;

    #[test]
    fn fields_are_read_as_protobuf_reads_them_and_never_beyond_their_end() {
        let money = common::Money { minor: -1234, currency: "CNY".to_owned(), exponent: 2 };
        let batch = common::Batch {
            upstream: vec![common::UpstreamPosition { topic: 3, next_seq: u64::MAX }, Default::default()],
            inputs: 300,
        };
        let bytes = money.encode_to_vec();
        assert_eq!(Field::Bytes(&bytes).money("amount").unwrap().minor, -1234);
        let bytes = batch.encode_to_vec();
        let fields: Vec<_> = Fields::of(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields.last(), Some(&(2, Field::Number(300))));
        let position: Vec<_> = Fields::of(fields[0].1.bytes().unwrap()).map(Result::unwrap).collect();
        assert_eq!(position, [(1, Field::Number(3)), (2, Field::Number(u64::MAX))]);
        for end in 0..bytes.len() {
            for field in Fields::of(&bytes[..end]).flatten() {
                assert!(field.1 != Field::Fixed);
            }
        }
        assert!(Fields::of(&[0x08]).next().unwrap().is_err());
        assert!(
            Fields::of(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]).next().unwrap().is_err()
        );
        assert!(Fields::of(&[0x0b]).next().unwrap().is_err());
    }
}
