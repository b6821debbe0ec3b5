//! The key store: one data key a person, apart from the log. Erasing a person is destroying their key.
//!
//! On one machine it is a folder: `secret` (the installation's key of keyed hashes) and `blocks/NNNN`, each a block of
//! random keys that was made durable before the first of them is used. A key's id says where it stands.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::{CommandId, DataKey, KeyId, Purpose, SealPlace, Sealed, Subject, TenantId, seal, unseal};

use crate::Vault;

/// Keys in a block: enough that a new block is rare, few enough that the waste of a restart (the rest of the current
/// block) is 128 KiB at most.
const BLOCK_KEYS: u64 = 4096;
const KEY_BYTES: usize = 32;
/// Bytes before the keys: a magic number and the block's own number.
const HEAD_BYTES: usize = 16;
const MAGIC: &[u8; 8] = b"fenliuk1";

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("key store {path}: {what}")]
    Store { path: String, what: String },
    #[error("no random numbers: {0}")]
    Random(String),
}

/// A key store that can also make keys.
pub trait Keys: Vault {
    /// Seals `clear` for a person: under `known`, the key that the person's earlier values were sealed with, while it
    /// exists, else under a new key that is durable before this returns.
    fn seal(
        &self,
        subject: Subject,
        known: Option<KeyId>,
        purpose: Purpose,
        place: SealPlace<'_>,
        clear: &[u8],
    ) -> Result<Sealed, KeyError>;

    /// Destroys a key for ever. Returns whether there was one.
    fn destroy(&self, key: KeyId) -> Result<bool, KeyError>;

    /// Keyed hash of a whole request, for the envelope.
    fn request_mac(&self, tenant: TenantId, method: &str, body: &[u8]) -> [u8; 16];
}

/// The file store.
pub struct FileKeys {
    dir: PathBuf,
    secret: [u8; 32],
    blocks: Mutex<Blocks>,
}

struct Blocks {
    /// All keys by block number; destroyed ones are zeros.
    keys: BTreeMap<u64, Vec<u8>>,
    /// The next key to hand out.
    next: u64,
    /// End of the durable blocks.
    end: u64,
}

fn store_error(path: &Path) -> impl Fn(std::io::Error) -> KeyError + '_ {
    move |error| KeyError::Store { path: path.display().to_string(), what: error.to_string() }
}

fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    getrandom::fill(bytes).map_err(|error| KeyError::Random(error.to_string()))
}

/// Writes a file so that after any crash it is whole or absent, readable by its owner only.
fn write_durable(path: &Path, bytes: &[u8]) -> Result<(), KeyError> {
    let fail = store_error(path);
    let temporary = path.with_extension("tmp");
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary).map_err(&fail)?;
    file.write_all(bytes).map_err(&fail)?;
    file.sync_all().map_err(&fail)?;
    fs::rename(&temporary, path).map_err(&fail)?;
    let parent = path.parent().expect("a file in the store's folder");
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(&fail)
}

impl FileKeys {
    /// Opens the store in `dir`, making it when it is not there.
    pub fn open(dir: &Path) -> Result<Self, KeyError> {
        let blocks_dir = dir.join("blocks");
        fs::create_dir_all(&blocks_dir).map_err(store_error(dir))?;
        let secret_path = dir.join("secret");
        if !secret_path.exists() {
            let mut secret = [0; 32];
            random(&mut secret)?;
            write_durable(&secret_path, &secret)?;
        }
        let mut secret = [0; 32];
        File::open(&secret_path)
            .and_then(|mut file| file.read_exact(&mut secret))
            .map_err(store_error(&secret_path))?;
        let mut keys = BTreeMap::new();
        for entry in fs::read_dir(&blocks_dir).map_err(store_error(&blocks_dir))? {
            let path = entry.map_err(store_error(&blocks_dir))?.path();
            if path.extension().is_some() {
                continue; // a block that was not finished
            }
            let (number, block) = read_block(&path)?;
            keys.insert(number, block);
        }
        // Which keys of the last block were used is on the log, not here: start with a fresh block.
        let end = keys.last_key_value().map_or(0, |(number, _)| number + 1) * BLOCK_KEYS;
        Ok(Self { dir: dir.to_owned(), secret, blocks: Mutex::new(Blocks { keys, next: end, end }) })
    }

    fn blocks(&self) -> MutexGuard<'_, Blocks> {
        self.blocks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn block_path(&self, number: u64) -> PathBuf {
        self.dir.join("blocks").join(format!("{number:08}"))
    }

    fn allocate(&self) -> Result<(KeyId, DataKey), KeyError> {
        let mut blocks = self.blocks();
        if blocks.next == blocks.end {
            let number = blocks.end / BLOCK_KEYS;
            let mut block = vec![0; HEAD_BYTES + KEY_BYTES * BLOCK_KEYS as usize];
            block[..8].copy_from_slice(MAGIC);
            block[8..16].copy_from_slice(&number.to_le_bytes());
            random(&mut block[HEAD_BYTES..])?;
            write_durable(&self.block_path(number), &block)?;
            blocks.keys.insert(number, block);
            blocks.end += BLOCK_KEYS;
        }
        let index = blocks.next;
        blocks.next += 1;
        let key = key_at(&blocks.keys, index).expect("just made");
        Ok((key_id(index), key))
    }

    fn find(&self, id: KeyId) -> Option<DataKey> {
        key_at(&self.blocks().keys, index_of(id)?)
    }

    fn keyed_hash(&self, tenant: TenantId, what: &str, clear: &[u8]) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.secret);
        hasher.update(tenant.as_bytes());
        hasher.update(&(what.len() as u64).to_le_bytes());
        hasher.update(what.as_bytes());
        hasher.update(clear);
        let mut out = [0; 16];
        hasher.finalize_xof().fill(&mut out);
        out
    }
}

fn read_block(path: &Path) -> Result<(u64, Vec<u8>), KeyError> {
    let block = fs::read(path).map_err(store_error(path))?;
    let number = block.get(8..16).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let length = HEAD_BYTES + KEY_BYTES * BLOCK_KEYS as usize;
    match number {
        Some(number) if block.len() == length && block.starts_with(MAGIC) => Ok((number, block)),
        _ => Err(KeyError::Store {
            path: path.display().to_string(),
            what: "not a block of keys, or damaged".to_owned(),
        }),
    }
}

fn key_id(index: u64) -> KeyId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&index.to_be_bytes());
    KeyId::from_bytes(id)
}

fn index_of(id: KeyId) -> Option<u64> {
    let bytes = id.as_bytes();
    let index = u64::from_be_bytes(bytes[..8].try_into().expect("eight bytes"));
    bytes[8..].iter().all(|byte| *byte == 0).then_some(index)
}

fn key_at(blocks: &BTreeMap<u64, Vec<u8>>, index: u64) -> Option<DataKey> {
    let block = blocks.get(&(index / BLOCK_KEYS))?;
    let at = HEAD_BYTES + KEY_BYTES * usize::try_from(index % BLOCK_KEYS).expect("below the block's size");
    let key: [u8; KEY_BYTES] = block[at..at + KEY_BYTES].try_into().expect("whole keys");
    (key != [0; KEY_BYTES]).then_some(DataKey(key))
}

impl Vault for FileKeys {
    fn open(&self, tenant: TenantId, command_id: CommandId, field: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        let key = self.find(sealed.key_id)?;
        unseal(&key, sealed, SealPlace { tenant, command_id, field }).ok()
    }

    fn mac(&self, tenant: TenantId, what: &str, clear: &[u8]) -> [u8; 16] {
        self.keyed_hash(tenant, what, clear)
    }
}

impl Keys for FileKeys {
    fn seal(
        &self,
        subject: Subject,
        known: Option<KeyId>,
        purpose: Purpose,
        place: SealPlace<'_>,
        clear: &[u8],
    ) -> Result<Sealed, KeyError> {
        let found = known.and_then(|id| self.find(id).map(|key| (id, key)));
        let (id, key) = match found {
            Some(found) => found,
            None => self.allocate()?,
        };
        Ok(seal(&key, id, subject, purpose, place, clear))
    }

    fn destroy(&self, id: KeyId) -> Result<bool, KeyError> {
        let Some(index) = index_of(id) else { return Ok(false) };
        let mut blocks = self.blocks();
        if key_at(&blocks.keys, index).is_none() {
            return Ok(false);
        }
        let number = index / BLOCK_KEYS;
        let at = HEAD_BYTES + KEY_BYTES * usize::try_from(index % BLOCK_KEYS).expect("below the block's size");
        let path = self.block_path(number);
        let file = OpenOptions::new().write(true).open(&path).map_err(store_error(&path))?;
        file.write_all_at(&[0; KEY_BYTES], at as u64).map_err(store_error(&path))?;
        file.sync_all().map_err(store_error(&path))?;
        let block = blocks.keys.get_mut(&number).expect("found above");
        block[at..at + KEY_BYTES].fill(0);
        Ok(true)
    }

    fn request_mac(&self, tenant: TenantId, method: &str, body: &[u8]) -> [u8; 16] {
        self.keyed_hash(tenant, &format!("request.{method}"), body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: TenantId = TenantId::from_bytes([1; 16]);
    const COMMAND: CommandId = CommandId::from_bytes([2; 16]);
    const PLACE: SealPlace<'_> = SealPlace { tenant: TENANT, command_id: COMMAND, field: "name" };

    fn sealed(keys: &FileKeys, known: Option<KeyId>) -> Sealed {
        keys.seal(Subject([3; 16]), known, Purpose::Service, PLACE, b"clear").unwrap()
    }

    #[test]
    fn values_open_after_a_restart_and_never_after_erasure() {
        let dir = tempfile::tempdir().unwrap();
        let keys = FileKeys::open(dir.path()).unwrap();
        let first = sealed(&keys, None);
        let same_person = sealed(&keys, Some(first.key_id));
        assert_eq!(same_person.key_id, first.key_id);
        let mac = keys.mac(TENANT, "phone", b"138");
        drop(keys);

        let keys = FileKeys::open(dir.path()).unwrap();
        assert_eq!(keys.open(TENANT, COMMAND, "name", &first).as_deref(), Some(&b"clear"[..]));
        assert_eq!(keys.mac(TENANT, "phone", b"138"), mac);
        assert_ne!(keys.mac(TENANT, "name", b"138"), mac);
        let other = sealed(&keys, None);
        assert_ne!(other.key_id, first.key_id, "a key is never handed out twice, restart or not");
        assert!(keys.destroy(first.key_id).unwrap());
        assert!(!keys.destroy(first.key_id).unwrap());
        assert_eq!(keys.open(TENANT, COMMAND, "name", &first), None);
        drop(keys);

        let keys = FileKeys::open(dir.path()).unwrap();
        assert_eq!(keys.open(TENANT, COMMAND, "name", &first), None);
        assert_eq!(keys.open(TENANT, COMMAND, "name", &other).as_deref(), Some(&b"clear"[..]));
        assert_ne!(sealed(&keys, Some(first.key_id)).key_id, first.key_id, "an erased person gets a new key");
    }

    #[test]
    fn a_damaged_block_is_refused_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        sealed(&FileKeys::open(dir.path()).unwrap(), None);
        let block = dir.path().join("blocks/00000000");
        fs::write(&block, b"short").unwrap();
        let error = FileKeys::open(dir.path()).err().unwrap().to_string();
        assert!(error.contains("00000000"), "{error}");
    }
}
