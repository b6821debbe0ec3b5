//! Planted bugs: the proofs of this crate can fail. Each test puts one defect in and asserts that it is found.
//! (Acknowledging before the sync is planted in the log's own tests.)
//!
//! The defects inside the six services are behind their feature `planted-bugs`, which only this crate's
//! dev-dependencies ask for. They are all off until a test stores a number in `planted::BUG` of a service, so the other
//! tests of this crate run the real code; the number is the process's, so the tests here take turns.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

#[path = "../sim/machine/mod.rs"]
mod machine;

mod hash_order;
mod services;

use std::sync::{Mutex, MutexGuard, PoisonError};

use kernel::{TenantId, shard_of};
use log::{Log, Topic};
use machine::check::{digests, laws};
use machine::door::Defect;
use machine::on_paused_time;
use machine::play::Player;
use machine::traffic::{BEGIN, TENANTS, fact, steps};
use machine::world::{BUILD, World};
use serde_json::json;

fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the laws say of a stormy run in which one service has a defect.
fn with(service: Topic, defect: Defect, seed: u64) -> Vec<String> {
    on_paused_time(async {
        let world = World::new(seed, 12, 2, BEGIN);
        let player = Player::new(&world, seed);
        player.found().await;
        world.plant(service, defect);
        world.crash_all(false);
        player.wildly(&steps(seed, 40)).await;
        world.storm.calm();
        world.settle().await;
        world.crash_all(false);
        world.settle().await;
        laws(&world, seed).await
    })
}

fn found(problems: &[String], what: &str) -> bool {
    problems.iter().any(|problem| problem.starts_with(what))
}

#[test]
fn without_a_defect_nothing_is_found() {
    let _turn = turn();
    assert_eq!(with(Topic::Kpi, Defect::None, 5), Vec::<String>::new());
}

#[test]
fn a_position_that_is_written_early_is_found() {
    let _turn = turn();
    // Whether an input is passed over depends on when the crashes come; a position that is not true is seen otherwise.
    let (mut untrue, mut passed_over) = (false, false);
    for seed in 1..=16 {
        let problems = with(Topic::Kpi, Defect::EarlyPositions, seed);
        untrue |= found(&problems, "position: fenliu.kpi.v1");
        passed_over |= found(&problems, "reaction: ");
        if untrue && passed_over {
            return;
        }
    }
    panic!("untrue positions seen: {untrue}; passed over inputs seen: {passed_over}");
}

#[test]
fn a_position_that_is_not_written_is_found() {
    let _turn = turn();
    let problems = with(Topic::Kpi, Defect::NoPositions, 5);
    assert!(found(&problems, "reaction: fenliu.kpi.v1"), "{problems:#?}");
}

#[test]
fn commands_that_are_not_in_the_recovered_state_are_found() {
    let _turn = turn();
    let problems = on_paused_time(async {
        let world = World::new(1, 0, 2, BEGIN);
        Player::new(&world, 1).found().await;
        let order = json!({"fact": "cost", "id": "K1", "kind": "advertising", "amount": "5.00", "currency": "CNY"});
        let sent = fact(TENANTS[0], "once", &order, BEGIN, false);
        world.carry_out(sent.clone()).await.unwrap();
        let alone = laws(&world, 1).await;
        assert!(alone.is_empty(), "{alone:#?}");
        world.plant(Topic::Intake, Defect::ForgottenCommands);
        world.crash_all(false);
        world.carry_out(sent).await.unwrap();
        world.settle().await;
        laws(&world, 1).await
    });
    assert!(found(&problems, "command: "), "{problems:#?}");
    assert!(found(&problems, "digest: intake"), "the live state lost what a cold rebuild has: {problems:#?}");
}

#[test]
fn a_snapshot_ahead_of_the_log_is_found() {
    let _turn = turn();
    on_paused_time(async {
        let world = World::new(2, 0, 2, BEGIN);
        let player = Player::new(&world, 2);
        player.found().await;
        player.calmly(&steps(2, 6)).await;
        let cost =
            |id: &str| json!({"fact": "cost", "id": id, "kind": "advertising", "amount": "5.00", "currency": "CNY"});
        let now = world.clock.now();

        // The snapshot of a batch that then never came to the log.
        let other = World::on(world.log.fork(), world.keys(), 2, 0, now);
        other.carry_out(fact(TENANTS[0], "ahead", &cost("K-ahead"), now, false)).await.unwrap();
        other.settle().await;
        other.restart_all(true).await;
        let partition = shard_of(TenantId::of_code(TENANTS[0]), world.log.partitions());

        world.carry_out(fact(TENANTS[0], "instead", &cost("K-instead"), now, false)).await.unwrap();
        world.settle().await;
        let ends = [&world, &other].map(|world| *world.log.end(Topic::Intake, partition).borrow());
        assert_eq!(ends[0], ends[1], "the snapshot must not be refused for its number alone");
        std::fs::copy(other.snapshot_path("intake", partition), world.snapshot_path("intake", partition)).unwrap();

        let verified =
            runtime::verify::<intake::Intake>(&*world.log, partition, ends[0], Some((world.folder(), BUILD)))
                .await
                .unwrap();
        assert!(verified.snapshot.is_some() && !verified.snapshot_equal, "verify does not see it");

        world.crash_all(true);
        world.settle().await;
        let problems = digests(&world, 2).await;
        assert!(found(&problems, "digest: intake"), "{problems:#?}");
        std::fs::remove_file(world.snapshot_path("intake", partition)).unwrap();
        world.crash_all(true);
        world.settle().await;
        assert_eq!(digests(&world, 2).await, Vec::<String>::new(), "without it the log is all there is");
    });
}
