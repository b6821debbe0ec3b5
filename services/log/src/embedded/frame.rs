//! The frame: one batch on disk. Its layout is on the log for ever.
//!
//! ```text
//! byte  0  magic          u32
//!       4  body_len       u32   bytes after the head, padding apart
//!       8  crc32c         u32   of bytes 12.. to the end of the body
//!      12  writer         u8    topic number of the service that wrote it
//!      13  zero           u8
//!      14  partition      u16
//!      16  records        u32
//!      20  zero           u32
//!      24  frame_no       u64   dense over the whole log, from 1
//!      32  durable_up_to  u64   the last frame that was known to be durable when this one was written
//!      40  body: per record  topic u8, three zeros, length u32, seq u64, bytes
//! ```
//! Integers are little-endian; frames begin at multiples of eight. Space without a frame is zeros.

use std::ops::Range;

use bytes::Bytes;

use crate::{Batch, Record, Topic};

pub(super) const HEAD: usize = 40;
const RECORD_HEAD: usize = 16;
const MAGIC: u32 = 0x474f_4c46;

/// A frame's head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub body_len: usize,
    crc: u32,
    pub writer: u8,
    pub partition: u16,
    pub records: u32,
    pub frame_no: u64,
    pub durable_up_to: u64,
}

/// Why there is no frame at a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoFrame {
    /// Nothing was written here.
    Empty,
    /// The frame goes on beyond the bytes given: this many are needed from its start.
    Short(usize),
    /// The bytes are not a frame, or are damaged.
    Bad(&'static str),
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

impl Head {
    /// Reads a head, without checking the frame's checksum.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, NoFrame> {
        if bytes.len() < HEAD {
            return if bytes.iter().all(|byte| *byte == 0) { Err(NoFrame::Empty) } else { Err(NoFrame::Short(HEAD)) };
        }
        let magic = u32::from_le_bytes(array(bytes, 0));
        if magic == 0 && bytes[..HEAD].iter().all(|byte| *byte == 0) {
            return Err(NoFrame::Empty);
        }
        if magic != MAGIC {
            return Err(NoFrame::Bad("no frame begins here"));
        }
        Ok(Self {
            body_len: u32::from_le_bytes(array(bytes, 4)) as usize,
            crc: u32::from_le_bytes(array(bytes, 8)),
            writer: bytes[12],
            partition: u16::from_le_bytes(array(bytes, 14)),
            records: u32::from_le_bytes(array(bytes, 16)),
            frame_no: u64::from_le_bytes(array(bytes, 24)),
            durable_up_to: u64::from_le_bytes(array(bytes, 32)),
        })
    }

    /// Bytes of the frame without its padding.
    pub(super) fn length(&self) -> usize {
        HEAD + self.body_len
    }

    /// Bytes from this frame's start to the next one's.
    pub(super) fn size(&self) -> usize {
        self.length().next_multiple_of(8)
    }

    /// Checks the frame that begins `bytes`: its checksum, and that its padding is zeros, as far as it is there.
    pub(super) fn check(&self, bytes: &[u8]) -> Result<(), NoFrame> {
        if bytes.len() < self.length() {
            return Err(NoFrame::Short(self.size()));
        }
        if crc32c::crc32c(&bytes[12..self.length()]) != self.crc {
            return Err(NoFrame::Bad("checksum differs"));
        }
        if bytes[self.length()..bytes.len().min(self.size())].iter().any(|byte| *byte != 0) {
            return Err(NoFrame::Bad("padding is not zero"));
        }
        Ok(())
    }
}

/// Reads and checks the frame that begins `bytes`.
pub(super) fn parse(bytes: &[u8]) -> Result<Head, NoFrame> {
    let head = Head::parse(bytes)?;
    head.check(bytes)?;
    Ok(head)
}

/// The records of a checked frame, as slices of `bytes`, which begins with it.
pub(super) fn records(head: &Head, bytes: &Bytes) -> Result<Vec<Record>, NoFrame> {
    let record = |place: Result<Placed, NoFrame>| {
        let Placed { topic, seq, bytes: range } = place?;
        Ok(Record { topic, partition: head.partition, seq, bytes: bytes.slice(range) })
    };
    places(head, bytes).map(record).collect()
}

/// A record of a frame, and where its bytes are from the frame's start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub topic: Topic,
    pub seq: u64,
    pub bytes: Range<usize>,
}

/// Where the records of a checked frame are in `bytes`, which begins with it. Ends at the first that is wrong.
pub(super) fn places<'a>(head: &Head, bytes: &'a [u8]) -> impl Iterator<Item = Result<Placed, NoFrame>> + 'a {
    let end = head.length();
    let mut at = HEAD;
    let mut place = move || {
        if at + RECORD_HEAD > end {
            return Err(NoFrame::Bad("a record is cut"));
        }
        let topic = Topic::from_number(bytes[at]).ok_or(NoFrame::Bad("a topic is not known here"))?;
        let length = u32::from_le_bytes(array(bytes, at + 4)) as usize;
        let seq = u64::from_le_bytes(array(bytes, at + 8));
        let begun = at + RECORD_HEAD;
        if begun + length > end {
            return Err(NoFrame::Bad("a record is cut"));
        }
        at = begun + length;
        Ok((Placed { topic, seq, bytes: begun..at }, at >= end))
    };
    let mut done = end <= HEAD;
    std::iter::from_fn(move || {
        if done {
            return None;
        }
        let placed = place();
        done = placed.as_ref().map_or(true, |(_, last)| *last);
        Some(placed.map(|(placed, _)| placed))
    })
}

/// Bytes that a batch takes as a frame.
pub(super) fn size_of(batch: &Batch) -> usize {
    let body: usize = batch.records.iter().map(|record| RECORD_HEAD + record.bytes.len()).sum();
    (HEAD + body).next_multiple_of(8)
}

/// Appends a batch as a frame to `out`, whose length is a multiple of eight.
pub(super) fn encode(batch: &Batch, frame_no: u64, durable_up_to: u64, out: &mut Vec<u8>) {
    let start = out.len();
    let body: usize = batch.records.iter().map(|record| RECORD_HEAD + record.bytes.len()).sum();
    let fits = |length: usize| u32::try_from(length).expect("a frame is smaller than a segment");
    out.extend_from_slice(&MAGIC.to_le_bytes());
    out.extend_from_slice(&fits(body).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&[batch.writer.number(), 0]);
    out.extend_from_slice(&batch.partition.to_le_bytes());
    out.extend_from_slice(&fits(batch.records.len()).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&frame_no.to_le_bytes());
    out.extend_from_slice(&durable_up_to.to_le_bytes());
    for record in &batch.records {
        out.extend_from_slice(&[record.topic.number(), 0, 0, 0]);
        out.extend_from_slice(&fits(record.bytes.len()).to_le_bytes());
        out.extend_from_slice(&record.seq.to_le_bytes());
        out.extend_from_slice(&record.bytes);
    }
    let crc = crc32c::crc32c(&out[start + 12..]);
    out[start + 8..start + 12].copy_from_slice(&crc.to_le_bytes());
    out.resize(out.len().next_multiple_of(8), 0);
}
