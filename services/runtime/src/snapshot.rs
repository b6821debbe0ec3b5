//! Snapshots: a cache of folded state. Any of them may be deleted or damaged; then the log is folded instead.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

const MAGIC: &[u8; 8] = b"fenlius1";

/// Where a service's shard keeps its snapshot.
pub(crate) fn path(dir: &Path, service: &str, partition: u16) -> PathBuf {
    dir.join(format!("{service}-{partition:02}.snapshot"))
}

/// Writes `value` atomically: after any crash the old snapshot or the new one is there, whole. `build` names the
/// sources that this program was made from: another build may give its state another shape.
pub(crate) fn write<T: Serialize>(path: &Path, build: &str, value: &T) -> std::io::Result<()> {
    let body = postcard::to_stdvec(value).map_err(std::io::Error::other)?;
    let mut bytes = Vec::with_capacity(body.len() + 72);
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(blake3::hash(build.as_bytes()).as_bytes());
    bytes.extend_from_slice(blake3::hash(&body).as_bytes());
    bytes.extend_from_slice(&body);
    let dir = path.parent().expect("a file in the snapshots folder");
    fs::create_dir_all(dir)?;
    let temporary = path.with_extension("tmp");
    let mut file = File::create(&temporary)?;
    file.write_all(&bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    File::open(dir)?.sync_all()
}

/// Reads a snapshot back; `None` when there is none that this build can trust, with the reason in the log.
pub(crate) fn read<T: DeserializeOwned>(path: &Path, build: &str) -> Option<T> {
    let bytes = fs::read(path).ok()?;
    let problem = match bytes.split_at_checked(72) {
        Some((head, body)) if head.starts_with(MAGIC) => {
            if head[8..40] != *blake3::hash(build.as_bytes()).as_bytes() {
                "made by another build".to_owned()
            } else if head[40..72] != *blake3::hash(body).as_bytes() {
                "checksum differs".to_owned()
            } else {
                match postcard::from_bytes(body) {
                    Ok(value) => return Some(value),
                    Err(error) => format!("cannot be decoded: {error}"),
                }
            }
        }
        _ => "not a snapshot".to_owned(),
    };
    tracing::info!(snapshot = %path.display(), problem, "snapshot ignored, the log is folded instead");
    None
}
