//! The commands that were carried out lately (L4), as a fold of the log.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{CommandId, Duration, Timestamp};

/// How long a command id is remembered after its `issued_at`, and how old a command may be at most. The two are one
/// number: an id that has been forgotten is always refused as expired, so it can never act twice.
pub const COMMAND_WINDOW: Duration = Duration::from_days(7);

/// What is remembered of a command: enough to answer a repeat and to refuse the same id with another body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub request_mac: [u8; 16],
    /// First record that the command made, and how many.
    pub first_seq: u64,
    pub records: u32,
    /// Events among the records.
    pub events: u32,
    pub recorded_at: Timestamp,
}

/// Carried-out commands of the window, oldest first. Command ids come from outside and could be chosen to collide in
/// a hash, so the set is ordered.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommandSet {
    known: BTreeMap<CommandId, Known>,
    by_age: BTreeSet<(Timestamp, CommandId)>,
}

impl CommandSet {
    pub fn get(&self, id: &CommandId) -> Option<&Known> {
        self.known.get(id)
    }

    pub fn len(&self) -> usize {
        self.known.len()
    }

    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Folds one record that a caller's command made, and forgets what left the window. Ages are taken from
    /// `recorded_at`, which is never earlier than a minute before `issued_at` (the runtime refuses later stamps), so an
    /// id is forgotten only when it would be refused as expired.
    pub fn note(&mut self, id: CommandId, request_mac: [u8; 16], seq: u64, recorded_at: Timestamp, is_event: bool) {
        self.known.entry(id).or_insert_with(|| {
            self.by_age.insert((recorded_at, id));
            Known { request_mac, first_seq: seq, records: 0, events: 0, recorded_at }
        });
        if let Some(known) = self.known.get_mut(&id) {
            known.records += 1;
            known.events += u32::from(is_event);
        }
        // The slack covers clients whose clock is ahead of the shard's by the allowed skew.
        let horizon = recorded_at - COMMAND_WINDOW - Duration::from_secs(120);
        while let Some((at, oldest)) = self.by_age.first().copied() {
            if at >= horizon {
                break;
            }
            self.by_age.pop_first();
            self.known.remove(&oldest);
        }
    }
}
