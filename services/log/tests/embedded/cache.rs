//! A disk with a write cache: what it may hold after the power failed, computed from what was done to it.

use std::collections::BTreeMap;

use crate::support::{Chance, Image};

/// A disk writes such pieces whole or not at all, in any order between two syncs.
const SECTOR: usize = 512;

/// A change of the folder. The syncs count from their end.
#[derive(Debug, Clone)]
pub enum Step {
    Create(String),
    Write { file: String, at: usize, bytes: Vec<u8> },
    Sync(String),
    Rename { from: String, to: String },
    Remove(String),
    SyncFolder,
}

impl Step {
    /// As the log tells of it.
    pub fn of(change: &str, file: &str, at: u64, bytes: &[u8]) -> Self {
        let (file, bytes) = (file.to_owned(), bytes.to_vec());
        match change {
            "create" => Self::Create(file),
            "write" => Self::Write { file, at: usize::try_from(at).unwrap(), bytes },
            "sync" => Self::Sync(file),
            "rename" => Self::Rename { from: file, to: String::from_utf8(bytes).unwrap() },
            "remove" => Self::Remove(file),
            "sync folder" => Self::SyncFolder,
            other => panic!("{other} is not known here"),
        }
    }
}

#[derive(Debug, Clone, Default)]
struct Stored {
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

/// A disk with a cache: what is durable, and what is only on its way.
#[derive(Debug, Clone, Default)]
pub struct Cached {
    files: Vec<Stored>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    /// The state of the names after each change that is not durable yet: they become so in order.
    pending_names: Vec<BTreeMap<String, usize>>,
}

impl Cached {
    pub fn holding(image: &Image) -> Self {
        let mut disk = Self::default();
        for (name, bytes) in &image.files {
            disk.names.insert(name.clone(), disk.files.len());
            disk.files.push(Stored { durable: bytes.clone(), pending: Vec::new() });
        }
        disk.durable_names = disk.names.clone();
        disk
    }

    pub fn take(&mut self, step: &Step) {
        match step {
            Step::Create(file) => {
                self.names.insert(file.clone(), self.files.len());
                self.files.push(Stored::default());
                self.pending_names.push(self.names.clone());
            }
            Step::Write { file, at, bytes } => {
                if !self.names.contains_key(file) {
                    self.take(&Step::Create(file.clone()));
                }
                self.files[self.names[file]].pending.push((*at, bytes.clone()));
            }
            Step::Sync(file) => {
                let file = &mut self.files[self.names[file]];
                for (at, bytes) in std::mem::take(&mut file.pending) {
                    write(&mut file.durable, at, &bytes);
                }
            }
            Step::Rename { from, to } => {
                let file = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), file);
                self.pending_names.push(self.names.clone());
            }
            Step::Remove(file) => {
                self.names.remove(file);
                self.pending_names.push(self.names.clone());
            }
            Step::SyncFolder => {
                self.durable_names = self.names.clone();
                self.pending_names.clear();
            }
        }
    }

    /// What a disk may hold after the power failed: of what was on its way everything, nothing, or any part.
    pub fn after_failure(&self, how: Lost, chance: &mut Chance) -> Image {
        let names = match how {
            Lost::Nothing => &self.names,
            Lost::Everything => &self.durable_names,
            Lost::SomeSectors | Lost::FromAByteOn => {
                let pending = chance.below(self.pending_names.len() + 1);
                if pending == 0 { &self.durable_names } else { &self.pending_names[pending - 1] }
            }
        };
        let files = names.iter().map(|(name, file)| {
            let file = &self.files[*file];
            let mut bytes = file.durable.clone();
            for (at, written) in &file.pending {
                match how {
                    Lost::Nothing => write(&mut bytes, *at, written),
                    Lost::Everything => {}
                    Lost::SomeSectors => {
                        for (from, sector) in sectors(*at, written).filter(|_| chance.below(2) == 0).collect::<Vec<_>>()
                        {
                            write(&mut bytes, from, sector);
                        }
                    }
                    Lost::FromAByteOn => write(&mut bytes, *at, &written[..chance.below(written.len() + 1)]),
                }
            }
            (name.clone(), bytes)
        });
        Image { files: files.collect() }
    }

    /// What processes see: everything that was written, durable or not.
    pub fn seen(&self) -> Image {
        self.after_failure(Lost::Nothing, &mut Chance(0))
    }
}

#[derive(Debug, Clone, Copy)]
pub enum Lost {
    Nothing,
    Everything,
    SomeSectors,
    FromAByteOn,
}

pub const ALL_WAYS: [Lost; 6] =
    [Lost::Nothing, Lost::Everything, Lost::SomeSectors, Lost::SomeSectors, Lost::FromAByteOn, Lost::FromAByteOn];

fn write(file: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    file.resize(file.len().max(at + bytes.len()), 0);
    file[at..at + bytes.len()].copy_from_slice(bytes);
}

fn sectors(at: usize, bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let first = (SECTOR - at % SECTOR).min(bytes.len());
    let (head, rest) = bytes.split_at(first);
    let rest = rest.chunks(SECTOR).enumerate().map(move |(n, sector)| (at + first + n * SECTOR, sector));
    std::iter::once((at, head)).chain(rest)
}
