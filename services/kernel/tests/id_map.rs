//! `IdMap` against an ordered map: the same look-ups, and never a trace of hash order.

use std::collections::BTreeMap;

use kernel::{IdMap, OrderId, digest_of};
use proptest::prelude::*;

/// Few ids, so that operations meet; some share their first eight bytes, and so the hash that chance would give them.
fn id() -> impl Strategy<Value = OrderId> {
    (0..4_u8, 0..6_u8).prop_map(|(first, last)| {
        let mut bytes = [first; 16];
        bytes[15] = last;
        OrderId::from_bytes(bytes)
    })
}

#[derive(Debug, Clone)]
enum Step {
    Insert(OrderId, u32),
    Remove(OrderId),
    Count(OrderId),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (id(), any::<u32>()).prop_map(|(id, value)| Step::Insert(id, value)),
        1 => id().prop_map(Step::Remove),
        1 => id().prop_map(Step::Count),
    ]
}

proptest! {
    #[test]
    fn it_answers_like_an_ordered_map(steps in prop::collection::vec(step(), 0..60)) {
        let (mut map, mut model) = (IdMap::default(), BTreeMap::new());
        for step in steps {
            match step {
                Step::Insert(id, value) => prop_assert_eq!(map.insert(id, value), model.insert(id, value)),
                Step::Remove(id) => prop_assert_eq!(map.remove(&id), model.remove(&id)),
                Step::Count(id) => {
                    let counted = map.get_or_insert_with(id, || 0);
                    *counted = counted.wrapping_add(1);
                    let counted = model.entry(id).or_insert(0);
                    *counted = counted.wrapping_add(1);
                }
            }
            prop_assert_eq!(map.len(), model.len());
        }
        prop_assert_eq!(map.sorted(), model.iter().collect::<Vec<_>>());
        for id in model.keys() {
            prop_assert!(map.contains_key(id));
        }
    }

    #[test]
    fn the_order_of_insertion_leaves_no_trace(
        entries in prop::collection::btree_map(id(), any::<u32>(), 0..24),
        shuffled in any::<prop::sample::Index>(),
        detour in prop::collection::vec(id(), 0..24),
    ) {
        let forward: IdMap<OrderId, u32> = entries.iter().map(|(id, value)| (*id, *value)).collect();
        let mut other = IdMap::default();
        // Another order, another history of growth, and entries that came and went.
        for id in &detour {
            other.insert(*id, 7);
        }
        for id in &detour {
            other.remove(id);
        }
        let mut rotated: Vec<_> = entries.iter().rev().collect();
        if !rotated.is_empty() {
            let middle = shuffled.index(rotated.len());
            rotated.rotate_left(middle);
        }
        for (id, value) in rotated {
            other.insert(*id, *value);
        }
        prop_assert_eq!(&forward, &other);
        prop_assert_eq!(digest_of(&forward), digest_of(&other));
        prop_assert_eq!(format!("{forward:?}"), format!("{other:?}"));
        let stored = postcard::to_stdvec(&other).unwrap();
        let read: IdMap<OrderId, u32> = postcard::from_bytes(&stored).unwrap();
        prop_assert_eq!(read, forward);
    }
}
