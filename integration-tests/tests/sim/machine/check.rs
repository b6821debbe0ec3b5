//! The laws that every run must keep. What is broken is said in words that begin with what it is about.

use std::collections::BTreeMap;

use assignment::Assignment;
use intake::Intake;
use integration_tests::chance::Chance;
use intent::Intent;
use kpi::Kpi;
use log::{Log, Topic};
use payroll::Payroll;
use roster::Roster;
use runtime::{Host, Service, ShardState, rebuild};

use super::log::SimLog;
use super::positions;
use super::world::World;

const UPSTREAMS: [(Topic, &[Topic]); 6] = [
    (Topic::Intake, Intake::UPSTREAMS),
    (Topic::Roster, Roster::UPSTREAMS),
    (Topic::Intent, Intent::UPSTREAMS),
    (Topic::Assignment, Assignment::UPSTREAMS),
    (Topic::Kpi, Kpi::UPSTREAMS),
    (Topic::Payroll, Payroll::UPSTREAMS),
];

/// Everything that is wrong with a world that has come to rest. `seed` chooses where snapshots are taken.
pub async fn laws(world: &World, seed: u64) -> Vec<String> {
    let mut problems = Vec::new();
    let entries = positions::entries(&world.log, &mut problems);
    positions::commands(&entries, &world.memory.borrow(), &mut problems);
    positions::facts(&entries, &mut problems);
    positions::positions(&entries, &UPSTREAMS, &mut problems);
    positions::payouts(&entries, &mut problems);
    problems.extend(digests(world, seed).await);
    problems
}

/// L5: live, cold and snapshot plus tail; L2: every decision taken again; L6: the laws of every state.
pub async fn digests(world: &World, seed: u64) -> Vec<String> {
    let (intake, roster, intent, assignment, kpi, payroll) = {
        let six = world.six.borrow();
        (
            six.intake.host.clone(),
            six.roster.host.clone(),
            six.intent.host.clone(),
            six.assignment.host.clone(),
            six.kpi.host.clone(),
            six.payroll.host.clone(),
        )
    };
    let mut problems = Vec::new();
    service(&world.log, &intake, seed, &mut problems).await;
    service(&world.log, &roster, seed, &mut problems).await;
    service(&world.log, &intent, seed, &mut problems).await;
    service(&world.log, &assignment, seed, &mut problems).await;
    service(&world.log, &kpi, seed, &mut problems).await;
    service(&world.log, &payroll, seed, &mut problems).await;
    problems
}

async fn service<S: Service>(log: &SimLog, host: &Host<S>, seed: u64, problems: &mut Vec<String>) {
    let live = host.shards(true).await.expect("a service that serves");
    let live: BTreeMap<u16, _> = live.into_iter().map(|shard| (shard.partition, shard)).collect();
    for partition in 0..log.partitions() {
        let end = *log.end(S::TOPIC, partition).borrow();
        if end == 0 {
            continue;
        }
        let place = format!("{} {partition}", S::NAME);
        let cold = match runtime::verify::<S>(log, partition, end, None).await {
            Ok(cold) => cold,
            Err(error) => {
                problems.push(format!("fold: {place}: {error}"));
                continue;
            }
        };
        problems.extend(cold.violations.iter().map(|violation| format!("law: {place}: {violation}")));
        problems
            .extend(cold.examples.iter().map(|example| format!("decision: {place} {}: {}", example.seq, example.what)));
        match live.get(&partition) {
            Some(shard) if shard.digest == Some(cold.digest) && shard.next_seq == end => {
                if shard.parked > 0 {
                    problems.push(format!("parked: {place} has {} inputs", shard.parked));
                }
            }
            shard => problems.push(format!("digest: {place}: cold {} at {end}, live {shard:?}", cold.digest)),
        }
        let cut = Chance::new(seed, u64::from(S::TOPIC.number())).below(end + 1);
        let state = rebuild(log, partition, ShardState::<S>::default(), cut).await.expect("folded above");
        let snapshot = postcard::to_stdvec(&state).expect("a state encodes");
        let state: ShardState<S> = postcard::from_bytes(&snapshot).expect("a snapshot decodes");
        let state = rebuild(log, partition, state, end).await.expect("folded above");
        if state.digest() != cold.digest {
            problems.push(format!("digest: {place}: a snapshot at {cut} with its tail gives another state"));
        }
    }
}
