//! One pass over a log that does only what no reader can do without: the limit that rebuilds are measured against.

use std::path::Path;

use super::OpenError;
use super::disk::Disk;
use super::frame::{self, Head, NoFrame};
use super::read::{existing, read_into};
use super::scan::Place;
use crate::Header;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;

/// What the pass met.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pass {
    pub frames: u64,
    pub records: u64,
    /// Envelopes and payloads.
    pub bytes: u64,
    /// Schemas summed up, so that the headers are really read.
    pub schemas: u64,
}

/// Reads every frame, checks its checksum, and reads the header of each of its records; keeps nothing.
pub fn pass(dir: &Path) -> Result<Pass, OpenError> {
    let (disk, _) = existing(dir)?;
    let mut pass = Pass::default();
    let mut buffer = Vec::new();
    for number in disk.segments()? {
        pass.segment(&disk, number, &mut buffer)?;
    }
    Ok(pass)
}

impl Pass {
    fn segment(&mut self, disk: &Disk, number: u64, buffer: &mut Vec<u8>) -> Result<(), OpenError> {
        let file = disk.open_segment(number)?;
        let mut offset = 0;
        let mut wanted = CHUNK;
        loop {
            buffer.resize(wanted, 0);
            let filled = read_into(&file, offset, buffer)?;
            let chunk = &buffer[..filled];
            let mut at = 0;
            let last = filled < wanted;
            let ended = loop {
                match frame::parse(&chunk[at..]) {
                    Ok(head) => {
                        self.frame(&head, &chunk[at..]);
                        at = (at + head.size()).min(filled);
                    }
                    Err(NoFrame::Empty) => break last || filled - at >= frame::HEAD,
                    Err(NoFrame::Short(size)) => {
                        wanted = size.max(CHUNK);
                        break last;
                    }
                    Err(NoFrame::Bad(what)) => {
                        let place = Place { segment: number, offset: offset + at as u64 };
                        return Err(place.damage(disk, what.to_owned()).into());
                    }
                }
            };
            if ended {
                return Ok(());
            }
            offset += at as u64;
        }
    }

    fn frame(&mut self, head: &Head, bytes: &[u8]) {
        self.frames += 1;
        for placed in frame::places(head, bytes).map_while(Result::ok) {
            let record = &bytes[placed.bytes];
            self.records += 1;
            self.bytes += record.len() as u64;
            self.schemas += Header::parse(record).map_or(0, |(header, _)| u64::from(header.schema));
        }
    }
}
