//! How the vocabulary stands in protobuf fields of events: for every service's codec.

use kernel::{KeyId, Money, Purpose, Sealed, Subject};
use proto::common;

use crate::service::CodecError;

/// Sixteen bytes that must be there.
pub fn bytes16(bytes: &[u8], field: &'static str) -> Result<[u8; 16], CodecError> {
    bytes.try_into().map_err(|_| CodecError::Malformed(format!("{field} has {} bytes, not 16", bytes.len())))
}

/// An id that must be there.
pub fn id<T>(bytes: &[u8], field: &'static str, make: impl Fn([u8; 16]) -> T) -> Result<T, CodecError> {
    bytes16(bytes, field).map(make)
}

/// An id that may be absent: empty bytes.
pub fn optional_id<T>(bytes: &[u8], field: &'static str, make: impl Fn([u8; 16]) -> T) -> Result<Option<T>, CodecError> {
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
