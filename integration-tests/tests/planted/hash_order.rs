//! A fold that sees hash order: a decider of its own, because no real one can be made to.

use std::panic::{AssertUnwindSafe, catch_unwind};

use kernel::{Actor, CommandId, Decider, Refusal, RefusalKind, Stamp, TenantId, Timestamp, Violation, laws::run};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("never")]
struct Never;

impl Refusal for Never {
    fn kind(&self) -> RefusalKind {
        RefusalKind::Invalid
    }
    fn reason(&self) -> &'static str {
        "NEVER"
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
struct State(Vec<u32>);

/// Keeps the numbers of an event, in the order of a hash map when `HASHED`.
struct Toy<const HASHED: bool>;

#[expect(clippy::disallowed_types, reason = "the defect itself")]
fn keep(state: &mut State, numbers: &[u32], hashed: bool) {
    if hashed {
        let set: std::collections::HashSet<u32> = numbers.iter().copied().collect();
        state.0.extend(set);
    } else {
        state.0.extend(numbers);
    }
}

impl<const HASHED: bool> Decider for Toy<HASHED> {
    const NAME: &'static str = "toy";
    const LOGIC_VERSION: u32 = 1;
    type State = State;
    type Command = Vec<u32>;
    type Event = Vec<u32>;
    type Rejection = Never;

    fn decide(_: &State, command: &Vec<u32>, _: &Stamp) -> Result<Vec<Vec<u32>>, Never> {
        Ok(vec![command.clone()])
    }

    fn evolve(state: &mut State, event: &Vec<u32>) {
        keep(state, event, HASHED);
    }

    fn command_of(events: &[Vec<u32>]) -> Option<Vec<u32>> {
        events.first().cloned()
    }

    fn invariants(_: &State) -> Result<(), Violation> {
        Ok(())
    }
}

fn history<const HASHED: bool>() {
    let stamp = Stamp {
        at: Timestamp::from_micros(1),
        tenant: TenantId::of_code("toy"),
        command_id: CommandId::of_parts(&[b"toy"]),
        actor: Actor::default(),
    };
    run::<Toy<HASHED>>([((0..40).collect(), stamp)]);
}

#[test]
fn a_fold_that_sees_hash_order_is_found() {
    history::<false>();
    let panic = catch_unwind(AssertUnwindSafe(history::<true>)).expect_err("the defect was not found");
    let what = panic.downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(what.contains("L5: cold rebuild differs from live state"), "{what}");
}
