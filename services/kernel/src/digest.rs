//! The canonical digest of domain state (L5).

use std::fmt;

use serde::Serialize;

/// blake3 of a state's canonical encoding. Equal states have equal digests on every machine and in every build;
/// nothing outside memory keeps one, so a change of a state's shape may change it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The digest of `state`. Its encoding is canonical because states hold only ordered maps ([`crate::IdMap`] is
/// written in key order), integers and texts.
pub fn digest_of<S: Serialize>(state: &S) -> Digest {
    let bytes = postcard::to_stdvec(state).expect("a state of plain data encodes");
    Digest(*blake3::hash(&bytes).as_bytes())
}
