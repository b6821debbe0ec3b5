//! A key store in memory whose keys follow from a number, so that the same seed gives the same bytes.

use std::sync::atomic::{AtomicU64, Ordering};

use kernel::{CommandId, DataKey, KeyId, Purpose, SealPlace, Sealed, Subject, TenantId, seal, unseal};
use runtime::{KeyError, Keys, Vault};

#[derive(Default)]
pub struct FixedKeys {
    next: AtomicU64,
}

/// A fixed secret: nothing here is anybody's.
const SECRET: [u8; 32] = [7; 32];

fn key(id: KeyId) -> DataKey {
    DataKey(*blake3::keyed_hash(&SECRET, id.as_bytes()).as_bytes())
}

impl Vault for FixedKeys {
    fn open(&self, tenant: TenantId, command_id: CommandId, field: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        unseal(&key(sealed.key_id), sealed, SealPlace { tenant, command_id, field }).ok()
    }

    fn mac(&self, tenant: TenantId, what: &str, clear: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&SECRET);
        hasher
            .update(tenant.as_bytes())
            .update(&(what.len() as u64).to_le_bytes())
            .update(what.as_bytes())
            .update(clear);
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        out
    }
}

impl Keys for FixedKeys {
    fn seal(
        &self,
        subject: Subject,
        known: Option<KeyId>,
        purpose: Purpose,
        place: SealPlace<'_>,
        clear: &[u8],
    ) -> Result<Sealed, KeyError> {
        let id = known.unwrap_or_else(|| KeyId::of_parts(&[&self.next.fetch_add(1, Ordering::Relaxed).to_le_bytes()]));
        Ok(seal(&key(id), id, subject, purpose, place, clear))
    }

    fn destroy(&self, _: KeyId) -> Result<bool, KeyError> {
        Ok(false)
    }

    fn request_mac(&self, tenant: TenantId, method: &str, body: &[u8]) -> [u8; 16] {
        self.mac(tenant, &format!("request.{method}"), body)
    }
}
