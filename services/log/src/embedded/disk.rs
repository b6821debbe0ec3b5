//! The files of the log: segments, markers, the folder's lock. Everything that can fail on a disk is here.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::faults::Faults;
use super::scan::{Damage, ScanError};

/// Bytes written at once when a segment is filled with zeros.
const ZERO_CHUNK: usize = 256 << 10;

/// The folder of one log.
#[derive(Debug, Clone)]
pub(super) struct Disk {
    dir: PathBuf,
    pub faults: Arc<Faults>,
}

impl Disk {
    pub(super) fn new(dir: &Path, faults: Arc<Faults>) -> Self {
        Self { dir: dir.join("log"), faults }
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(super) fn segment_path(&self, number: u64) -> PathBuf {
        self.dir.join(segment_name(number))
    }

    /// Makes the folder, durable with its name.
    pub(super) fn make_dir(&self) -> Result<()> {
        let root = self.dir.parent().unwrap_or(Path::new("."));
        if !root.is_dir() {
            fs::create_dir_all(root)?;
            let above = root.parent().filter(|above| !above.as_os_str().is_empty());
            File::open(above.unwrap_or(Path::new(".")))?.sync_all()?;
        }
        fs::create_dir_all(&self.dir)?;
        File::open(root)?.sync_all()?;
        // A process that was killed may have left names that are not durable yet.
        self.sync_dir()
    }

    /// Numbers of the segments that exist, ascending.
    pub(super) fn segments(&self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "seg") {
                let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
                numbers.push(number.ok_or_else(|| Error::other(format!("{} is not a segment", path.display())))?);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes a segment of zeros, durable with its name before it is there. Leaves nothing behind when it fails.
    pub(super) fn make_segment(&self, number: u64, bytes: u64) -> Result<()> {
        let (name, temporary) = (segment_name(number), format!("{number:010}.tmp"));
        let made = (|| {
            let file = self.create(&temporary)?;
            let zeros = vec![0u8; ZERO_CHUNK];
            let mut at = 0;
            while at < bytes {
                let chunk = usize::try_from(bytes - at).unwrap_or(ZERO_CHUNK).min(ZERO_CHUNK);
                file.write(&zeros[..chunk], at)?;
                at += chunk as u64;
            }
            file.sync()?;
            self.rename(&temporary, &name)
        })();
        if made.is_err() {
            drop(fs::remove_file(self.dir.join(&temporary)));
        }
        made
    }

    pub(super) fn open_segment(&self, number: u64) -> Result<File> {
        File::open(self.segment_path(number))
    }

    pub(super) fn write_segment(&self, number: u64) -> Result<Writable> {
        self.writable(&segment_name(number), OpenOptions::new().write(true))
    }

    fn create(&self, name: &str) -> Result<Writable> {
        self.faults.see("create", name, 0, &[]);
        self.writable(name, OpenOptions::new().write(true).create(true).truncate(true))
    }

    pub(super) fn writable(&self, name: &str, how: &OpenOptions) -> Result<Writable> {
        Ok(Writable { file: how.open(self.dir.join(name))?, name: name.to_owned(), faults: self.faults.clone() })
    }

    /// Writes a small file atomically and durably: the text, and a line with its checksum.
    pub(super) fn put(&self, name: &str, text: &str) -> Result<()> {
        let temporary = format!("{name}.tmp");
        let file = self.create(&temporary)?;
        file.write(sealed(text).as_bytes(), 0)?;
        file.sync()?;
        self.rename(&temporary, name)
    }

    /// The text of a small file, checked.
    pub(super) fn get(&self, name: &str) -> std::result::Result<Option<String>, ScanError> {
        let bytes = match fs::read(self.dir.join(name)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let text = std::str::from_utf8(&bytes).ok().and_then(|all| all.split_once('\n'));
        match text {
            Some((text, _)) if sealed(text).as_bytes() == bytes => Ok(Some(text.to_owned())),
            _ => Err(self.damage(name, "checksum differs").into()),
        }
    }

    /// Damage of a small file.
    pub(super) fn damage(&self, name: &str, what: &str) -> Damage {
        Damage { file: self.dir.join(name).display().to_string(), offset: 0, what: what.to_owned() }
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        self.faults.see("remove", name, 0, &[]);
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => self.sync_dir(),
        }
    }

    fn rename(&self, from: &str, to: &str) -> Result<()> {
        self.faults.see("rename", from, 0, to.as_bytes());
        fs::rename(self.dir.join(from), self.dir.join(to))?;
        self.sync_dir()
    }

    pub(super) fn sync_dir(&self) -> Result<()> {
        File::open(&self.dir)?.sync_all()?;
        self.faults.see("sync folder", "", 0, &[]);
        Ok(())
    }
}

fn sealed(text: &str) -> String {
    format!("{text}\n{:08x}\n", crc32c::crc32c(text.as_bytes()))
}

fn segment_name(number: u64) -> String {
    format!("{number:010}.seg")
}

/// A file that is written in place.
pub(super) struct Writable {
    file: File,
    name: String,
    faults: Arc<Faults>,
}

impl Writable {
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<()> {
        if Faults::strikes(&self.faults.full) {
            self.overwrite(&bytes[..bytes.len() / 2], at)?;
            return Err(Error::from(ErrorKind::StorageFull));
        }
        self.overwrite(bytes, at)
    }

    /// Writes where there were bytes before, which takes no room.
    pub(super) fn overwrite(&self, bytes: &[u8], at: u64) -> Result<()> {
        self.faults.see("write", &self.name, at, bytes);
        self.file.write_all_at(bytes, at)
    }

    /// Makes what was written durable. After an error nobody may try again: the kernel may have dropped the pages.
    pub(super) fn sync(&self) -> Result<()> {
        if Faults::strikes(&self.faults.sync) {
            return Err(Error::other("input/output error (ordered by a test)"));
        }
        self.file.sync_data()?;
        self.faults.see("sync", &self.name, 0, &[]);
        Ok(())
    }

    pub(super) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Durable writes a second that the disk under `dir` gives to one writer: `write` and `fdatasync` of `bytes` into
/// zeroed space, for `span`. The limit that group commit is measured against; `now` is a monotone clock.
pub fn raw_sync_rate(dir: &Path, bytes: usize, span: Duration, now: fn() -> Duration) -> Result<u64> {
    let disk = Disk::new(dir, Arc::default());
    fs::create_dir_all(disk.dir())?;
    let size: u64 = 16 << 20;
    disk.make_segment(u64::MAX, size)?;
    let file = disk.write_segment(u64::MAX)?;
    let block = vec![7; bytes];
    let begun = now();
    let mut writes = 0u64;
    while now() - begun < span {
        let at = (writes * bytes as u64) % (size - bytes as u64);
        file.overwrite(&block, at)?;
        file.sync()?;
        writes += 1;
    }
    let micros = u64::try_from((now() - begun).as_micros()).unwrap_or(u64::MAX).max(1);
    fs::remove_file(disk.segment_path(u64::MAX))?;
    Ok(writes * 1_000_000 / micros)
}
