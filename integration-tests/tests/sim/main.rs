//! The cluster under faults, by seed: `FENLIU_SEEDS=200 cargo test -p integration-tests --test sim`, and one seed again
//! with `FENLIU_SEED=17`.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod machine;

use integration_tests::chance::number;
use machine::check::laws;
use machine::on_paused_time;
use machine::play::{Outcome, Player, outcome};
use machine::traffic::{BEGIN, steps};
use machine::world::World;

/// Of a hundred appends, so many have a fault.
const STORM: u64 = 12;
const STEPS: usize = 45;

fn seeds(default: u64) -> Vec<u64> {
    match std::env::var("FENLIU_SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (1..=number("FENLIU_SEEDS", default)).collect(),
    }
}

/// Says which seed failed, however it failed.
fn by_seed<T>(seed: u64, run: impl FnOnce() -> T) -> T {
    struct Named(u64);
    impl Drop for Named {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("seed {} failed; again with FENLIU_SEED={}", self.0, self.0);
            }
        }
    }
    let named = Named(seed);
    let done = run();
    std::mem::forget(named);
    done
}

/// Sends everything that was acknowledged once more: the same answers, and nothing new on the log.
async fn repeat(world: &World) {
    world.settle().await;
    let before = world.log.total();
    let acked = std::mem::take(&mut world.memory.borrow_mut().acked);
    for (sent, ack) in &acked {
        let again = world.carry_out(sent.clone()).await;
        assert_eq!(again.as_ref().ok(), Some(ack), "{sent:?}");
    }
    world.memory.borrow_mut().acked = acked;
    world.settle().await;
    assert_eq!(world.log.total(), before, "a repeat wrote something");
}

fn run(seed: u64, storm: u64, calm: bool) -> (Outcome, u64) {
    by_seed(seed, || {
        on_paused_time(async {
            let world = World::new(seed, storm, 2, BEGIN);
            let player = Player::new(&world, seed);
            player.found().await;
            let steps = steps(seed, STEPS);
            if calm {
                player.calmly(&steps).await
            } else {
                player.wildly(&steps).await
            }
            player.end().await;
            let problems = laws(&world, seed).await;
            assert!(problems.is_empty(), "{problems:#?}\n{:?}", world.storm.counts());
            repeat(&world).await;
            let seen = outcome(&world).await;
            // Whatever was done, a start from nothing but the log gives the same.
            world.crash_all(false);
            world.settle().await;
            let problems = laws(&world, seed).await;
            assert!(problems.is_empty(), "after a last crash: {problems:#?}");
            assert_eq!(outcome(&world).await, seen, "after a last crash");
            // And so does one from the snapshots of a clean stop; the first of the two writes them.
            world.restart_all(true).await;
            world.settle().await;
            world.restart_all(true).await;
            world.settle().await;
            assert!(std::fs::read_dir(world.folder()).unwrap().count() >= 6, "there are no snapshots");
            let problems = laws(&world, seed).await;
            assert!(problems.is_empty(), "after a last stop: {problems:#?}");
            let counts = world.storm.counts();
            println!("seed {seed}: {} records, {counts:?}", world.log.total());
            (seen, counts.values().sum())
        })
    })
}

#[test]
fn faults_change_nothing_of_what_comes_out() {
    let (mut faults, mut credits, mut payouts) = (0, 0, 0);
    for seed in seeds(12) {
        let (expected, none) = run(seed, 0, true);
        assert_eq!(none, 0, "a run without a storm has no faults");
        let (seen, struck) = run(seed, STORM, true);
        assert_eq!(seen, expected, "seed {seed}: faults changed what came out");
        faults += struck;
        credits += seen.credits.len();
        payouts += seen.payouts.len();
    }
    assert!(faults > 0 && credits > 0 && payouts > 0, "{faults} faults, {credits} credits, {payouts} payouts");
}

#[test]
fn the_laws_hold_whatever_happens_at_once() {
    let mut faults = 0;
    for seed in seeds(12) {
        faults += run(seed + 1_000, 2 * STORM, false).1;
    }
    assert!(faults > 0);
}
