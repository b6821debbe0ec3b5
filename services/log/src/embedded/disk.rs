//! The files of the log: segments, markers, the folder's lock. Everything that can fail on a disk is here.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};

/// Bytes written at once when a segment is filled with zeros.
const ZERO_CHUNK: usize = 256 << 10;

/// Faults that tests order: each counts down with the operations of its kind and strikes at zero. Below zero: never.
#[derive(Debug)]
pub struct Faults {
    /// The nth sync fails.
    pub sync: AtomicI64,
    /// The nth write finds the disk full.
    pub full: AtomicI64,
    /// A planted bug, for the proof that the tests can fail: 1 acknowledges before the sync.
    pub planted: AtomicU8,
    /// Syncs stop having effect from the nth on, as if power were about to fail: what they should have made durable
    /// is noted in `lost_from` instead.
    pub power: AtomicI64,
}

impl Default for Faults {
    fn default() -> Self {
        let never = || AtomicI64::new(-1);
        Self { sync: never(), full: never(), planted: AtomicU8::new(0), power: never() }
    }
}

impl Faults {
    fn strikes(counter: &AtomicI64) -> bool {
        counter.load(Ordering::Relaxed) >= 0 && counter.fetch_sub(1, Ordering::Relaxed) == 0
    }
}

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
        self.dir.join(format!("{number:010}.seg"))
    }

    /// Numbers of the segments that exist, ascending.
    pub(super) fn segments(&self) -> std::io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            if path.extension().is_some_and(|ext| ext == "seg") {
                let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse().ok());
                numbers.push(number.ok_or_else(|| std::io::Error::other(format!("{} is not a segment", path.display())))?);
            }
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Makes a segment of zeros, durable with its name before it is there. Leaves nothing behind when it fails.
    pub(super) fn make_segment(&self, number: u64, bytes: u64) -> std::io::Result<()> {
        let path = self.segment_path(number);
        let temporary = path.with_extension("tmp");
        let made = (|| {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
            let zeros = vec![0u8; ZERO_CHUNK];
            let mut left = bytes;
            while left > 0 {
                if Faults::strikes(&self.faults.full) {
                    return Err(std::io::Error::from(ErrorKind::StorageFull));
                }
                let chunk = left.min(ZERO_CHUNK as u64);
                file.write_all(&zeros[..usize::try_from(chunk).unwrap_or(ZERO_CHUNK)])?;
                left -= chunk;
            }
            file.sync_all()?;
            fs::rename(&temporary, &path)?;
            self.sync_dir()
        })();
        if made.is_err() {
            drop(fs::remove_file(&temporary));
        }
        made
    }

    pub(super) fn open_segment(&self, number: u64, write: bool) -> std::io::Result<File> {
        OpenOptions::new().read(true).write(write).open(self.segment_path(number))
    }

    pub(super) fn write(&self, file: &File, bytes: &[u8], at: u64) -> std::io::Result<()> {
        if Faults::strikes(&self.faults.full) {
            return Err(std::io::Error::from(ErrorKind::StorageFull));
        }
        file.write_all_at(bytes, at)
    }

    /// Makes what was written durable. After an error nobody may try again: the kernel may have dropped the pages.
    pub(super) fn sync(&self, file: &File) -> std::io::Result<()> {
        if Faults::strikes(&self.faults.sync) {
            return Err(std::io::Error::other("input/output error (ordered by a test)"));
        }
        if self.faults.power.load(Ordering::Relaxed) >= 0 && self.faults.power.fetch_sub(1, Ordering::Relaxed) <= 0 {
            return Err(std::io::Error::other("the power failed (ordered by a test)"));
        }
        file.sync_data()
    }

    pub(super) fn sync_dir(&self) -> std::io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    /// Writes a small file atomically and durably.
    pub(super) fn put(&self, name: &str, text: &str) -> std::io::Result<()> {
        let temporary = self.dir.join(format!("{name}.tmp"));
        let mut file = File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, self.dir.join(name))?;
        self.sync_dir()
    }

    pub(super) fn get(&self, name: &str) -> std::io::Result<Option<String>> {
        match File::open(self.dir.join(name)) {
            Ok(mut file) => {
                let mut text = String::new();
                file.read_to_string(&mut text)?;
                Ok(Some(text))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) fn remove(&self, name: &str) -> std::io::Result<()> {
        match fs::remove_file(self.dir.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => self.sync_dir(),
        }
    }
}
