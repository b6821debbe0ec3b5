//! Faults that tests order, and the record of what was done to the files.

use std::fmt;
use std::sync::atomic::{AtomicI64, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

/// Is told of every change of the log's folder just before it is made: the change, the file's name, and for a write
/// its place and bytes. Changes are `create`, `write`, `sync`, `rename` (the bytes are the new name), `remove`, and
/// `sync folder`; the two syncs are told of when they are done.
type Watch = Box<dyn FnMut(&str, &str, u64, &[u8]) + Send>;

/// Each counter goes down with the operations of its kind and strikes once, at zero. Below zero: never.
pub struct Faults {
    /// The nth sync of a file fails.
    pub sync: AtomicI64,
    /// The nth write finds the disk full after half of its bytes.
    pub full: AtomicI64,
    /// A planted bug, for the proof that the tests can fail: 1 acknowledges before the sync.
    pub planted: AtomicU8,
    /// What a power failure would leave is computed from what this sees.
    watch: Mutex<Option<Watch>>,
}

impl Default for Faults {
    fn default() -> Self {
        let never = || AtomicI64::new(-1);
        Self { sync: never(), full: never(), planted: AtomicU8::new(0), watch: Mutex::default() }
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faults")
            .field("sync", &self.sync)
            .field("full", &self.full)
            .field("planted", &self.planted)
            .finish_non_exhaustive()
    }
}

impl Faults {
    /// Shows every later change of the folder to `watch`.
    pub fn watch(&self, watch: impl FnMut(&str, &str, u64, &[u8]) + Send + 'static) {
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(watch));
    }

    pub(super) fn see(&self, change: &str, file: &str, at: u64, bytes: &[u8]) {
        if let Some(watch) = &mut *self.watch.lock().unwrap_or_else(PoisonError::into_inner) {
            watch(change, file, at, bytes);
        }
    }

    pub(super) fn strikes(counter: &AtomicI64) -> bool {
        counter.load(Ordering::Relaxed) >= 0 && counter.fetch_sub(1, Ordering::Relaxed) == 0
    }
}
