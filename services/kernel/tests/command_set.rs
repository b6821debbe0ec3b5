//! The window of command ids (L4): an id acts once, and the set is bounded.

use std::collections::BTreeMap;

use kernel::{COMMAND_WINDOW, CommandId, CommandSet, Duration, Timestamp, digest_of};
use proptest::prelude::*;

/// The skew that the runtime allows a client's clock: its `SKEW_MAX`.
const SKEW: Duration = Duration::from_secs(60);
const START: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);
/// Beyond the window an id stays known for at most this long.
const SLACK: Duration = Duration::from_secs(120);

/// One request: how much time passes before it, which of the clients' commands it repeats.
#[derive(Debug, Clone)]
struct Sent {
    wait: Duration,
    command: u8,
}

/// A command as its client made it once: issued so long before or after it first arrives.
fn issued() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (-3_600..=60_i64).prop_map(Duration::from_secs),
        // Around the edges of what is accepted, to the microsecond.
        1 => (-2..=2_i64).prop_map(|micros| Duration::from_micros(-COMMAND_WINDOW.as_micros() + micros)),
        1 => (-2..=2_i64).prop_map(|micros| Duration::from_micros(SKEW.as_micros() + micros)),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let wait = prop_oneof![
        3 => (0..7_200_000_000_i64).prop_map(Duration::from_micros),
        2 => (0..72_i64).prop_map(Duration::from_hours),
        1 => (-130_000_000..130_000_000_i64).prop_map(|micros| Duration::from_micros(COMMAND_WINDOW.as_micros() + micros)),
    ];
    (wait, 0..12_u8).prop_map(|(wait, command)| Sent { wait, command })
}

/// What the runtime does with a request before it is decided.
fn accepted(set: &CommandSet, id: CommandId, issued_at: Timestamp, at: Timestamp) -> bool {
    set.get(&id).is_none() && issued_at >= at - COMMAND_WINDOW && issued_at <= at + SKEW
}

proptest! {
    #[test]
    fn a_command_never_acts_twice_and_the_set_is_bounded(
        issued in prop::collection::vec(issued(), 12),
        requests in prop::collection::vec(sent(), 1..80),
    ) {
        let mut set = CommandSet::default();
        let (mut at, mut seq) = (START, 0);
        let mut issued_at: BTreeMap<u8, Timestamp> = BTreeMap::new();
        let mut acted: BTreeMap<u8, Timestamp> = BTreeMap::new();
        for Sent { wait, command } in requests {
            at = at + wait;
            let id = CommandId::of_parts(&[&[command]]);
            // A repeat is the same request, with the time of its first making.
            let made_at = *issued_at.entry(command).or_insert(at + issued[usize::from(command)]);
            if !accepted(&set, id, made_at, at) {
                continue;
            }
            prop_assert_eq!(acted.insert(command, at), None, "command {} acted twice", command);
            set.note(id, [command; 16], seq, at, true);
            set.note(id, [command; 16], seq + 1, at, false);
            let known = set.get(&id).expect("noted");
            prop_assert_eq!((known.first_seq, known.records, known.events), (seq, 2, 1));
            seq += 2;
            let kept = acted.values().filter(|acted_at| **acted_at >= at - COMMAND_WINDOW - SLACK).count();
            prop_assert_eq!(set.len(), kept);
        }
    }

    #[test]
    fn a_snapshot_forgets_and_remembers_the_same(requests in prop::collection::vec(sent(), 1..60), cut: prop::sample::Index) {
        let cut = cut.index(requests.len());
        let (mut set, mut restored) = (CommandSet::default(), CommandSet::default());
        let mut at = START;
        for (n, Sent { wait, command }) in requests.into_iter().enumerate() {
            if n == cut {
                restored = postcard::from_bytes(&postcard::to_stdvec(&set).unwrap()).unwrap();
            }
            at = at + wait;
            for set in [&mut set, &mut restored] {
                set.note(CommandId::of_parts(&[&[command]]), [command; 16], n as u64, at, true);
            }
        }
        // The copy began empty and took the place of the whole at the cut, so both went through the same.
        prop_assert_eq!(&set, &restored);
        prop_assert_eq!(digest_of(&set), digest_of(&restored));
    }
}
