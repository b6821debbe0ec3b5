//! Who of those who could is chosen: routing feeds pay, so an unbroken tie would be a pay bug.

use std::collections::BTreeMap;

use assignment::domain::{Policy, PositionFacts, Presence, RosterFact};
use kernel::EmployeeId;

use crate::common::*;

/// Gini coefficient of shares, in parts per thousand.
fn gini_per_mille(counts: &[u64]) -> u64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let (n, sum) = (sorted.len() as i64, sorted.iter().sum::<u64>());
    let weighted: i64 =
        (1..).zip(&sorted).map(|(rank, count): (i64, &u64)| (2 * rank - n - 1) * count.cast_signed()).sum();
    (weighted.unsigned_abs() * 1_000).div_ceil(n.unsigned_abs() * sum)
}

/// Ten agents like each other, with room for five; so many inquiries, one after the other, each taking `handled`
/// seconds and coming `every` seconds. Returns how many each got.
fn counts(inquiries: u64, every: i64, handled: i64, seed: u8) -> BTreeMap<EmployeeId, u64> {
    let mut tenant = Tenant::new(Checks::None);
    tenant.roster(RosterFact::Seed([seed; 16]));
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 500)));
    tenant.policy(Policy { version: 1, wrap_up_ms: 0, ..Policy::default() });
    for n in 0..10 {
        hire(&mut tenant, agent(&format!("A{n}"), "all"));
    }
    let mut counts = BTreeMap::new();
    let mut open = std::collections::VecDeque::new();
    for n in 0..inquiries {
        tenant.pass(secs(every));
        while let Some((_, id)) = open.pop_front_if(|(until, _)| *until <= tenant.at) {
            tenant.complete(id);
        }
        let id = tenant.ask(ask(n, "price"));
        *counts.entry(tenant.last_offer(id).employee_id).or_default() += 1;
        tenant.accept(id);
        open.push_back((tenant.at + secs(handled), id));
    }
    counts
}

#[test]
fn ten_equal_agents_get_equal_shares_at_low_load() {
    // 5 % load: 50 places, 2.5 of them taken on average.
    for seed in 0..3 {
        let counts = counts(2_000, 60, 150, seed);
        let shares: Vec<u64> = counts.values().copied().collect();
        assert_eq!(shares.len(), 10);
        assert!(gini_per_mille(&shares) <= 20, "seed {seed}: {shares:?}");
    }
}

#[test]
fn ten_equal_agents_get_equal_shares_when_nobody_is_ever_busy() {
    let counts = counts(2_000, 60, 1, 1);
    assert!(counts.values().all(|count| (199..=201).contains(count)), "{counts:?}");
}

#[test]
fn agents_who_were_never_assigned_come_in_turn() {
    let mut tenant = alike(10);
    let mut seen = std::collections::BTreeSet::new();
    for n in 0..10 {
        let id = tenant.ask(ask(n, "price"));
        let decision = &tenant.last_offer(id).decision;
        let tied = 10 - usize::try_from(n).expect("small");
        assert_eq!(decision.tie_set.len(), tied.min(8), "bounded");
        assert_eq!(decision.probability_ppm as usize, 1_000_000 / tied);
        assert!(seen.insert(tenant.last_offer(id).employee_id), "nobody twice");
        tenant.accept(id);
        tenant.close(id);
    }
}

#[test]
fn ties_are_broken_by_the_tenants_seed() {
    let first_of = |seed: u8| {
        let mut tenant = alike(10);
        tenant.roster(RosterFact::Seed([seed; 16]));
        let id = tenant.ask(ask(1, "price"));
        (tenant.last_offer(id).employee_id, tenant.last_offer(id).decision.tie_set.clone())
    };
    let firsts: BTreeMap<EmployeeId, u32> = (0..60).fold(BTreeMap::new(), |mut firsts, seed| {
        *firsts.entry(first_of(seed).0).or_default() += 1;
        firsts
    });
    assert!(firsts.len() >= 8, "of ten agents, with 60 seeds: {firsts:?}");
    assert_eq!(first_of(7), first_of(7), "the same seed gives the same choice");
    assert_ne!(first_of(7).1, first_of(8).1);
}

#[test]
fn the_load_comes_before_the_time_since_the_last_assignment() {
    let mut tenant = alike(2);
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 300)));
    let first = tenant.ask(ask(1, "price"));
    tenant.accept(first);
    let second = tenant.ask(ask(2, "price"));
    assert_ne!(tenant.status(first).replace("assigned", ""), tenant.status(second).replace("reserved", ""));
    tenant.accept(second);
    let latest = tenant.last_offer(second).employee_id;
    tenant.close(second);
    let third = tenant.ask(ask(3, "price"));
    assert_eq!(tenant.last_offer(third).employee_id, latest, "assigned last, but free");
    let decision = &tenant.last_offer(third).decision;
    assert_eq!((decision.winner_load_ppm, decision.runner_up_load_ppm), (0, 333_333));
}

#[test]
fn the_load_is_a_share_of_ones_own_capacity() {
    let mut tenant = alike(1);
    tenant.roster(RosterFact::Position(PositionFacts { version: 1, ..position("half", &["out_of_scope"], 200) }));
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 400)));
    hire(&mut tenant, agent("H0", "half"));
    let holders: Vec<String> = (0..6)
        .map(|n| {
            let id = tenant.ask(ask(n, "price"));
            tenant.accept(id);
            tenant.status(id)
        })
        .collect();
    let of = |who: &str| holders.iter().filter(|holder| holder.ends_with(who)).count();
    assert_eq!((of("A0"), of("H0")), (4, 2), "{holders:?}");
}

#[test]
fn going_away_and_coming_back_does_not_change_ones_turn() {
    let mut tenant = alike(3);
    for n in 0..3 {
        let id = tenant.ask(ask(n, "price"));
        tenant.accept(id);
        tenant.finish(id);
    }
    let longest = tenant.last_offer(inquiry_id(0)).employee_id;
    let code = tenant.state.live.agents.get(&longest).expect("known").facts.code.clone();
    tenant.presence(&code, Presence::Offline);
    tenant.presence(&code, Presence::Available);
    let id = tenant.ask(ask(9, "price"));
    assert_eq!(tenant.last_offer(id).employee_id, longest);
}

#[test]
fn an_agent_who_has_nothing_to_do_with_it_changes_no_choice() {
    let choices = |extra: bool| {
        let mut tenant = alike(4);
        if extra {
            hire(&mut tenant, at_desk(agent("W1", "all"), "west"));
        }
        let choices = (0..8).map(|n| {
            let id = tenant.ask(ask(n, "price"));
            tenant.status(id)
        });
        choices.collect::<Vec<_>>()
    };
    assert_eq!(choices(true), choices(false));
}
