//! Days of a company with three desks, made from a seed: agents come and go, accept most offers, decline or miss some,
//! complete and hand on; the clock runs and sometimes jumps.

mod common;

use assignment::Assignment;
use assignment::domain::{Command, Event, Policy, PositionFacts, Presence, RosterFact, Stage};
use common::{ALWAYS, Ask, Checks, MONDAY, SHANGHAI, Tenant, check, round_trip};
use kernel::{Decider, Duration, InquiryId, digest_of};

const STEPS: u64 = 20_000;
const AGENTS: u64 = 30;
const INTENTS: [&str; 6] = ["price", "order_lookup", "after_sales", "large_purchase", "out_of_scope", "never_heard_of"];

/// A small generator: chance that is the same on every machine.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % limit
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::try_from(self.below(all.len() as u64)).expect("small")]
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

fn found_company() -> Tenant {
    let mut tenant = Tenant::new(Checks::Choices);
    tenant.roster(RosterFact::Seed([5; 16]));
    for (code, offset) in [("east", SHANGHAI), ("west", -4 * 3600), ("north", 0)] {
        tenant.roster(common::desk(code, &[(ALWAYS, offset)]));
    }
    let sales = common::position("sales", &["price", "out_of_scope"], 300);
    tenant.roster(RosterFact::Position(PositionFacts { first_reception: true, ..sales }));
    tenant.roster(RosterFact::Position(common::position("manager", &["large_purchase"], 200)));
    tenant.roster(RosterFact::Position(common::position("service", &["order_lookup", "after_sales"], 400)));
    let priorities = vec![("after_sales".to_owned(), 2)];
    tenant.policy(Policy { version: 1, wrap_up_ms: 20_000, misses_max: 2, priorities, ..Policy::default() });
    tenant
}

fn hire_some(tenant: &mut Tenant, chance: &mut Chance, n: u64) {
    let code = format!("E{n}");
    let mut facts = common::agent(&code, chance.of(&["sales", "sales", "manager", "service", "service"]));
    facts = common::at_desk(facts, chance.of(&["east", "east", "west", "north"]));
    facts = common::speaking(facts, chance.of(&[&["zh"][..], &["zh", "en"], &["en"], &[]]));
    facts = common::skilled(facts, chance.of(&[&[][..], &["pumps"], &["pumps", "tracks"]]));
    facts.experience_months = u32::try_from(chance.below(24)).expect("small");
    if chance.one_in(3) {
        facts = common::working(facts, &[1, 2, 3, 4, 5].map(|day| common::shift(day, 8, 20)));
    }
    tenant.roster(RosterFact::Agent(facts));
    tenant.presence(&code, Presence::Available);
}

fn arrives(tenant: &mut Tenant, chance: &mut Chance, n: u64) {
    let coming: Ask = common::ask(n, chance.of(&INTENTS))
        .by(chance.below(3_000))
        .desk(chance.of(&["east", "east", "west", "north"]))
        .about(chance.of(&["", "", "pumps", "tracks", "cranes"]))
        .in_language(chance.of(&["zh-CN", "zh-CN", "en-US", "fr"]))
        .urgent(u32::try_from(chance.below(4)).expect("small"));
    if chance.one_in(20) {
        tenant.must(Command::NoteInquiry(coming.arrival)); // Its intent comes too late.
    } else {
        tenant.ask(coming);
    }
}

/// One in this stage, at random.
fn one(tenant: &Tenant, chance: &mut Chance, wanted: fn(&Stage) -> bool) -> Option<InquiryId> {
    let live = &tenant.state.live;
    let wants = |id: &InquiryId| live.inquiries.get(id).is_some_and(|inquiry| wanted(&inquiry.stage));
    let held = live.agents.sorted().into_iter().flat_map(|(_, agent)| &agent.held).map(|(id, _)| *id);
    let all: Vec<InquiryId> = held.filter(wants).collect();
    (!all.is_empty()).then(|| chance.of(&all))
}

fn step(tenant: &mut Tenant, chance: &mut Chance, n: u64) {
    tenant.pass(common::ms(i64::try_from(chance.below(4_000)).expect("small")));
    match chance.below(100) {
        0..=29 => arrives(tenant, chance, n),
        30..=64 => {
            if let Some(id) = one(tenant, chance, |stage| matches!(stage, Stage::Reserved { .. })) {
                if chance.one_in(10) {
                    tenant.reject(id)
                } else {
                    tenant.accept(id)
                };
            }
        }
        65..=90 => {
            if let Some(id) = one(tenant, chance, |stage| matches!(stage, Stage::Assigned { .. })) {
                match chance.below(12) {
                    0 => drop(tenant.close(id)),
                    1 => {
                        let to = format!("E{}", chance.below(AGENTS));
                        let to = if chance.one_in(2) { to.as_str() } else { "" };
                        let intent = chance.of(&["", "", "after_sales", "large_purchase"]);
                        // A colleague of another desk is refused; the inquiry stays where it is.
                        if tenant.transfer(id, to, intent).is_err() {
                            tenant.complete(id);
                        }
                    }
                    _ => drop(tenant.complete(id)),
                }
            }
        }
        91..=97 => {
            let code = format!("E{}", chance.below(AGENTS));
            let back = tenant.state.live.presence.get(&common::employee(&code)) != Some(&Presence::Available);
            let presence =
                chance.of(&[Presence::Available, Presence::Available, Presence::Available, Presence::Offline]);
            tenant.presence(&code, if back { Presence::Available } else { presence });
        }
        98 => {
            let n = chance.below(AGENTS);
            hire_some(tenant, chance, n);
        }
        _ => match chance.below(6) {
            0 => tenant.jump(Duration::from_hours(i64::try_from(chance.below(5)).expect("small"))),
            1 => {
                let code = format!("E{}", chance.below(AGENTS));
                tenant.roster_from(RosterFact::Left(common::employee(&code)), tenant.at + common::minutes(30));
            }
            2 => {
                let capacity_units = chance.of(&[100, 300, 500]);
                let facts = common::position("service", &["order_lookup", "after_sales"], capacity_units);
                tenant.roster(RosterFact::Position(facts));
            }
            _ => {
                let (kept, merged) = (chance.below(3_000), chance.below(3_000));
                let (kept, merged) = (common::customer_id(kept), common::customer_id(merged));
                tenant.must(Command::MergeCustomers { kept, merged });
            }
        },
    }
}

#[test]
fn days_of_a_company_keep_every_law() {
    let mut chance = Chance(0x5eed_0001);
    let mut tenant = found_company();
    for n in 0..AGENTS {
        hire_some(&mut tenant, &mut chance, n);
    }
    for n in 0..STEPS {
        step(&mut tenant, &mut chance, n);
        if n % 200 == 0 {
            tenant.fire_due();
            check::state(&tenant.state, tenant.at, || format!("step {n}"));
        }
    }
    tenant.fire_due();
    check::state(&tenant.state, tenant.at, || "the last step".to_owned());

    // L1, L5: the log alone, through its codec and a snapshot in the middle, gives the same state.
    let mut cold = assignment::domain::State::default();
    for (n, event) in tenant.events.iter().enumerate() {
        if n == tenant.events.len() / 2 {
            cold = through_a_snapshot(&cold);
        }
        let read = round_trip(event, recorded_at(event).unwrap_or(MONDAY));
        assert_eq!(&read, event);
        Assignment::evolve(&mut cold, &read);
    }
    assert_eq!(digest_of(&cold), digest_of(&tenant.state));

    // The days were worth it: every kind of end was met, many times.
    let ended = tenant.state.memory.ended.sorted();
    let completed = ended.iter().filter(|(_, ended)| ended.completed).count();
    let count = |wanted: fn(&Event) -> bool| tenant.events.iter().filter(|event| wanted(event)).count();
    let met = [
        completed,
        ended.len() - completed,
        count(|event| matches!(event, Event::ReservationTimedOut { .. })),
        count(|event| matches!(event, Event::ReservationRejected { .. })),
        count(|event| matches!(event, Event::ReservationRescinded { .. })),
        count(|event| matches!(event, Event::InquiryTransferred { .. })),
        count(|event| matches!(event, Event::AgentPresenceNoted { missed: true, .. })),
    ];
    assert!(met.iter().all(|count| *count > 20), "{met:?}");
}

fn through_a_snapshot(state: &assignment::domain::State) -> assignment::domain::State {
    let bytes = postcard::to_stdvec(state).expect("a state encodes");
    postcard::from_bytes(&bytes).expect("a snapshot decodes")
}

/// The stamp that the event carries; those without one do not need it.
fn recorded_at(event: &Event) -> Option<kernel::Timestamp> {
    match event {
        Event::InquiryPended { at, .. }
        | Event::IntentSet { at, .. }
        | Event::ReservationAccepted { at, .. }
        | Event::ReservationRejected { at, .. }
        | Event::ReservationTimedOut { at, .. }
        | Event::ReservationRescinded { at, .. }
        | Event::InquiryTransferred { at, .. }
        | Event::WaitEnded { at, .. }
        | Event::RoutingAttempted { at, .. }
        | Event::RosterTookEffect { at, .. } => Some(*at),
        Event::PendingIntentNoted { .. }
        | Event::ReservationMade(_)
        | Event::ReservationCancelled { .. }
        | Event::InquiryCompleted(_)
        | Event::WrapUpEnded { .. }
        | Event::InquiryCancelled { .. }
        | Event::HandlerNoted { .. }
        | Event::RosterNoted { .. }
        | Event::AgentPresenceNoted { .. }
        | Event::CustomersMerged { .. } => None,
    }
}
