//! Typed ids: 16 bytes each, made by hashing, with no natural key or person inside.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that should have been an id and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an id: expected 32 hexadecimal digits (dashes allowed)")]
pub struct NotAnId;

/// blake3 of the parts, each preceded by its length, cut to 16 bytes.
fn hash16(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut out = [0; 16];
    out.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
    out
}

fn parse16(text: &str) -> Result<[u8; 16], NotAnId> {
    let mut out = [0u8; 16];
    let mut digits = text.bytes().filter(|b| *b != b'-');
    for byte in &mut out {
        let high = digits.next().and_then(hex_digit).ok_or(NotAnId)?;
        let low = digits.next().and_then(hex_digit).ok_or(NotAnId)?;
        *byte = high << 4 | low;
    }
    if digits.next().is_some() { Err(NotAnId) } else { Ok(out) }
}

fn hex_digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $kind:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub struct $name([u8; 16]);

        impl $name {
            /// The kind that goes into the hash, so that two kinds never share an id.
            pub const KIND: &'static str = $kind;

            /// The `n`th id of this kind that `command` makes for `tenant`.
            pub fn derive(tenant: TenantId, command: CommandId, n: u32) -> Self {
                Self(hash16(&[&tenant.0, Self::KIND.as_bytes(), &command.0, &n.to_le_bytes()]))
            }

            /// An id from parts other than a command, such as the parts of a payment. The parts must hold no
            /// natural key of a person: use ids or keyed hashes.
            pub fn of_parts(parts: &[&[u8]]) -> Self {
                let mut all: Vec<&[u8]> = vec![Self::KIND.as_bytes()];
                all.extend_from_slice(parts);
                Self(hash16(&all))
            }

            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Reads an id from a wire field; any other length than 16 is refused.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, NotAnId> {
                bytes.try_into().map(Self).map_err(|_| NotAnId)
            }

            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            pub fn to_vec(self) -> Vec<u8> {
                self.0.to_vec()
            }
        }

        impl crate::id_map::IdKey for $name {
            fn word(&self) -> u64 {
                let [a, b, c, d, e, f, g, h, ..] = self.0;
                u64::from_le_bytes([a, b, c, d, e, f, g, h])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;
            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse16(text).map(Self)
            }
        }
    )*};
}

ids! {
    /// One company; owns everything below. Made from the tenant's code with [`TenantId::of_code`].
    TenantId = "tenant";
    /// The client's name for one request, made by the client; also the cause of every event that came of it.
    CommandId = "command";
    /// One record of a log.
    EventId = "event";
    InquiryId = "inquiry";
    CustomerId = "customer";
    EmployeeId = "employee";
    ReservationId = "reservation";
    AssignmentId = "assignment";
    OrderId = "order";
    /// An outcome other than an order: payment, refund, rating, cost.
    OutcomeId = "outcome";
    CreditId = "credit";
    PayoutId = "payout";
    /// The natural key of a fact from outside (kind, platform, the platform's own id), hashed.
    FactKey = "fact";
    /// A data key in the key store.
    KeyId = "key";
}

impl TenantId {
    /// The id of the tenant that people call `code`.
    pub fn of_code(code: &str) -> Self {
        Self(hash16(&[b"tenant", code.as_bytes()]))
    }
}

impl EmployeeId {
    /// Employees are named by the roster's code, which is a number on a badge and no person's name.
    pub fn of_code(tenant: TenantId, code: &str) -> Self {
        Self(hash16(&[b"employee", tenant.as_bytes(), code.as_bytes()]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_bad_text_is_refused() {
        let id = TenantId::of_code("sample");
        assert_eq!(id.to_string().parse::<TenantId>(), Ok(id));
        assert!("xyz".parse::<TenantId>().is_err());
        assert!(format!("{id}00").parse::<TenantId>().is_err());
    }

    #[test]
    fn ids_are_pinned_for_ever() {
        // These bytes are on logs: a change here orphans every record that was ever written.
        assert_eq!(TenantId::of_code("sample").to_string(), "78f0ade61eb0848a32e042c9a37df099");
        let tenant = TenantId::from_bytes([1; 16]);
        let command = CommandId::from_bytes([2; 16]);
        assert_eq!(InquiryId::derive(tenant, command, 0).to_string(), "303fd8aa733214b4c087fd43c9faecec");
        assert_ne!(InquiryId::derive(tenant, command, 0), InquiryId::derive(tenant, command, 1));
    }
}
