//! Personal data, encrypted per person before it enters a log (L8).

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};

use crate::{CommandId, KeyId, TenantId};

/// The person a sealed value is about: a keyed hash of who they are on their platform, or an employee's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Subject(pub [u8; 16]);

/// What a value may be used for; authenticated with the value, so it cannot be turned into another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Purpose {
    /// To serve the customer. Erased on request.
    #[default]
    Service,
    /// Kept because a law says so (pay records).
    Statutory,
}

/// The one algorithm in use. Its number is on the log for ever.
pub const XCHACHA20_POLY1305: u32 = 1;

/// An encrypted personal value as it stands on the log. The fold never opens it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sealed {
    pub subject: Subject,
    pub purpose: Purpose,
    pub key_id: KeyId,
    pub algorithm: u32,
    pub nonce: Vec<u8>,
    pub ciphertext: Vec<u8>,
}

/// A person's data key. Does not print itself.
#[derive(Clone, PartialEq, Eq)]
pub struct DataKey(pub [u8; 32]);

impl std::fmt::Debug for DataKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DataKey([REDACTED])")
    }
}

/// Where a value stands; authenticated with it, so that a value cannot be moved to another tenant, command or field.
#[derive(Debug, Clone, Copy)]
pub struct SealPlace<'a> {
    pub tenant: TenantId,
    pub command_id: CommandId,
    /// The field's name, with an index when it repeats: `messages[2].text`.
    pub field: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("sealed with algorithm {0}, which is not known here")]
    UnknownAlgorithm(u32),
    #[error("sealed value is not authentic: wrong key, place or bytes")]
    NotAuthentic,
}

fn associated_data(place: SealPlace<'_>, subject: Subject, purpose: Purpose) -> Vec<u8> {
    let mut data = Vec::with_capacity(64 + place.field.len());
    data.extend_from_slice(place.tenant.as_bytes());
    data.extend_from_slice(&subject.0);
    data.push(match purpose {
        Purpose::Service => 1,
        Purpose::Statutory => 2,
    });
    data.extend_from_slice(place.command_id.as_bytes());
    data.extend_from_slice(place.field.as_bytes());
    data
}

/// Encrypts `clear` with `key`. Pure: the nonce is a hash of key id, place and content, so sealing the same request
/// twice gives the same bytes, and no two different values share a nonce under one key.
pub fn seal(
    key: &DataKey,
    key_id: KeyId,
    subject: Subject,
    purpose: Purpose,
    place: SealPlace<'_>,
    clear: &[u8],
) -> Sealed {
    let aad = associated_data(place, subject, purpose);
    let mut hasher = blake3::Hasher::new_keyed(&key.0);
    hasher.update(&(aad.len() as u64).to_le_bytes());
    hasher.update(&aad);
    hasher.update(clear);
    let mut nonce = [0u8; 24];
    hasher.finalize_xof().fill(&mut nonce);
    let cipher = XChaCha20Poly1305::new(&Key::from(key.0));
    let ciphertext = cipher
        .encrypt(&XNonce::from(nonce), Payload { msg: clear, aad: &aad })
        .expect("messages are far below the cipher's limit of 256 GiB");
    Sealed { subject, purpose, key_id, algorithm: XCHACHA20_POLY1305, nonce: nonce.to_vec(), ciphertext }
}

/// Decrypts `sealed`, which must stand where it was made for.
pub fn unseal(key: &DataKey, sealed: &Sealed, place: SealPlace<'_>) -> Result<Vec<u8>, SealError> {
    if sealed.algorithm != XCHACHA20_POLY1305 {
        return Err(SealError::UnknownAlgorithm(sealed.algorithm));
    }
    let nonce: [u8; 24] = sealed.nonce.as_slice().try_into().map_err(|_| SealError::NotAuthentic)?;
    let aad = associated_data(place, sealed.subject, sealed.purpose);
    XChaCha20Poly1305::new(&Key::from(key.0))
        .decrypt(&XNonce::from(nonce), Payload { msg: &sealed.ciphertext, aad: &aad })
        .map_err(|_| SealError::NotAuthentic)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: DataKey = DataKey([7; 32]);

    fn place(field: &str) -> SealPlace<'_> {
        SealPlace { tenant: TenantId::from_bytes([1; 16]), command_id: CommandId::from_bytes([2; 16]), field }
    }

    fn sealed() -> Sealed {
        seal(&KEY, KeyId::from_bytes([3; 16]), Subject([4; 16]), Purpose::Service, place("name"), "王师傅".as_bytes())
    }

    #[test]
    fn opens_only_with_its_key_at_its_place_and_unchanged() {
        assert_eq!(unseal(&KEY, &sealed(), place("name")).unwrap(), "王师傅".as_bytes());
        assert_eq!(unseal(&KEY, &sealed(), place("phone")), Err(SealError::NotAuthentic));
        assert_eq!(unseal(&DataKey([8; 32]), &sealed(), place("name")), Err(SealError::NotAuthentic));
        let other_subject = Sealed { subject: Subject([9; 16]), ..sealed() };
        assert_eq!(unseal(&KEY, &other_subject, place("name")), Err(SealError::NotAuthentic));
        let other_purpose = Sealed { purpose: Purpose::Statutory, ..sealed() };
        assert_eq!(unseal(&KEY, &other_purpose, place("name")), Err(SealError::NotAuthentic));
        let mut flipped = sealed();
        flipped.ciphertext[0] ^= 1;
        assert_eq!(unseal(&KEY, &flipped, place("name")), Err(SealError::NotAuthentic));
    }

    #[test]
    fn sealing_twice_gives_the_same_bytes() {
        assert_eq!(sealed(), sealed());
    }
}
