//! The laws of roster over any history of imports and presence.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{TODAY, day, id, stamp};
use kernel::laws::{codec_law, run};
use kernel::{CommandId, Currency, Decider, Stamp, Timestamp};
use proptest::prelude::*;
use roster::Roster;
use roster::domain::{Command, Event, Presence, State, Wanted};
use runtime::Service;

const DESKS: [&str; 3] = ["east", "west", "nowhere"];
const POSITIONS: [&str; 3] = ["service", "sales", "none"];
const CODES: [&str; 4] = ["E01", "E02", "E03", "E04"];

/// An import in a few numbers, of which it prints.
#[derive(Debug, Clone)]
struct Import {
    /// Days after the import at which it takes effect; negative: in the past.
    in_days: i64,
    /// Name and currency.
    company: Option<(u8, bool)>,
    /// Variants by code.
    desks: BTreeMap<usize, u8>,
    positions: BTreeMap<usize, u32>,
    /// Desk, position and experience by code.
    employees: BTreeMap<usize, (usize, usize, u32)>,
    leaving: BTreeSet<usize>,
    policy: Option<u32>,
    /// Names are sealed under every import's own command id.
    seal: u8,
}

fn optional<S: Strategy>(probability: f64, strategy: S) -> impl Strategy<Value = Option<S::Value>> {
    prop::option::weighted(probability, strategy)
}

fn an_import() -> impl Strategy<Value = Import> {
    let in_days = prop::sample::select(vec![-30, -1, 0, 0, 0, 1, 40]);
    // The last desk and position are never defined.
    let employee = (prop_oneof![9 => 0..2_usize, 1 => Just(2)], prop_oneof![9 => 0..2_usize, 1 => Just(2)], 1..3_u32);
    let lists = (
        prop::collection::btree_map(0..2_usize, 0..2_u8, 0..3),
        prop::collection::btree_map(0..2_usize, 300..302_u32, 0..3),
        prop::collection::btree_map(0..4_usize, employee, 0..4),
        prop::collection::btree_set(0..4_usize, 0..2),
    );
    let company = optional(0.5, (0..2_u8, prop::bool::weighted(0.95)));
    (in_days, company, lists, optional(0.3, 1..3_u32), any::<u8>()).prop_map(
        |(in_days, company, (desks, positions, employees, mut leaving), policy, seal)| {
            // A file names everybody once.
            leaving.retain(|code| !employees.contains_key(code));
            Import { in_days, company, desks, positions, employees, leaving, policy, seal }
        },
    )
}

impl Import {
    fn wanted(&self) -> Wanted {
        let company = self.company.map(|(name, yuan)| roster::domain::Company {
            name: format!("company {name}"),
            currency: if yuan { Currency::CNY } else { Currency::USD },
            ..common::company()
        });
        let desk = |(code, variant): (&usize, &u8)| roster::domain::Desk {
            name_en: format!("desk {variant}"),
            ..common::desk(DESKS[*code])
        };
        let employee = |(code, (desk, position, months)): (&usize, &(usize, usize, u32))| roster::domain::Employee {
            name: Some(common::sealed_name(CODES[*code], self.seal)),
            name_command_id: CommandId::from_bytes([self.seal; 16]),
            ..common::employee(CODES[*code], DESKS[*desk], POSITIONS[*position], *months)
        };
        Wanted {
            company,
            desks: self.desks.iter().map(desk).collect(),
            positions: self.positions.iter().map(|(code, units)| common::position(POSITIONS[*code], *units)).collect(),
            employees: self.employees.iter().map(employee).collect(),
            leaving: self.leaving.iter().map(|code| id(CODES[*code])).collect(),
            policy: self.policy.map(common::policy),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Import(Box<Import>),
    Set(usize, Presence),
    Lose(usize),
}

fn story() -> impl Strategy<Value = Vec<(Step, i64)>> {
    let presence = prop::sample::select(vec![Presence::Available, Presence::Paused, Presence::Offline]);
    let step = prop_oneof![
        3 => an_import().prop_map(|import| Step::Import(Box::new(import))),
        2 => (0..4_usize, presence).prop_map(|(code, presence)| Step::Set(code, presence)),
        1 => (0..4_usize).prop_map(Step::Lose),
    ];
    prop::collection::vec((step, prop_oneof![Just(0), 0..20_i64]), 1..40)
}

/// The story's commands with their stamps; days pass between them. It begins with a company.
fn commands(story: &[(Step, i64)]) -> Vec<(Command, Stamp)> {
    let mut at = TODAY;
    let mut commands = vec![(common::import(common::whole_company(), TODAY), stamp(0, TODAY))];
    for (n, (step, days)) in story.iter().enumerate() {
        at = at + kernel::Duration::from_days(*days);
        let command = match step {
            Step::Import(import) => common::import(import.wanted(), at + kernel::Duration::from_days(import.in_days)),
            Step::Set(code, presence) => common::set(CODES[*code], *presence),
            Step::Lose(code) => Command::LosePresence { employee_id: id(CODES[*code]) },
        };
        commands.push((command, stamp(n + 1, at)));
    }
    commands
}

fn round_trip(event: &Event, at: Timestamp) -> Event {
    let mut payload = Vec::new();
    let schema = Roster::encode(event, &mut payload);
    Roster::decode(schema, &payload, at).expect("an own event decodes")
}

/// All that is in force at an instant, in words.
fn in_force(state: &State, at: Timestamp) -> Vec<String> {
    let mut all = vec![format!("{:?} {:?}", state.company.at(at), state.policy.at(at))];
    all.extend(state.desks.values().map(|versions| format!("{:?}", versions.at(at))));
    all.extend(state.positions.values().map(|versions| format!("{:?}", versions.at(at))));
    all.extend(state.employees.values().map(|versions| format!("{:?}", versions.at(at))));
    all.retain(|one| one != "None");
    all
}

/// Version numbers of each position and of the policy, as their events give them.
fn versions_are_dense(events: &[&Event]) -> Result<(), TestCaseError> {
    let mut last: BTreeMap<&str, u32> = BTreeMap::new();
    for event in events {
        let (what, version) = match event {
            Event::PositionDefined { position, version, .. } => (position.code.as_str(), *version),
            Event::PolicyDefined { version, .. } => ("the policy", *version),
            _ => continue,
        };
        let before = last.insert(what, version).unwrap_or(0);
        prop_assert_eq!(version, before + 1, "{}", what);
    }
    Ok(())
}

proptest! {
    #![proptest_config(common::cases(150))]

    #[test]
    fn the_laws_hold_over_any_history(story in story()) {
        let history = run::<Roster>(commands(&story));
        codec_law(&history, round_trip);
        let events: Vec<&Event> = history.decisions.iter().flat_map(|(_, _, events)| events).collect();
        versions_are_dense(&events)?;
        let seeds: BTreeSet<_> = events.iter().filter_map(|event| match event {
            Event::CompanyDefined { seed, .. } => Some(*seed),
            _ => None,
        }).collect();
        prop_assert_eq!(seeds.len(), 1, "the seed of tie-breaks is made once");
    }

    #[test]
    fn a_change_never_rewrites_the_past_and_importing_again_changes_nothing(story in story()) {
        let mut state = State::default();
        for (n, (command, stamp)) in commands(&story).into_iter().enumerate() {
            let before = state.clone();
            let Ok(events) = Roster::decide(&state, &command, &stamp) else { continue };
            for event in &events {
                Roster::evolve(&mut state, event);
            }
            let Command::Import { effective_from, .. } = &command else { continue };
            for days in [1, 2, 10, 29, 40, 60] {
                let at = *effective_from - kernel::Duration::from_days(days);
                prop_assert_eq!(in_force(&before, at), in_force(&state, at), "{} days before", days);
            }
            let again = Roster::decide(&state, &command, &common::stamp(10_000 + n, stamp.at));
            prop_assert_eq!(again, Ok(Vec::new()), "{:?}", command);
        }
    }

    #[test]
    fn everybody_at_work_has_a_desk_and_a_position_at_every_instant(story in story()) {
        let history = run::<Roster>(commands(&story));
        let state = &history.state;
        for days in -60..400 {
            for employee in state.employees.values().filter_map(|versions| versions.at(day(days))?.as_ref()) {
                let desk = state.desks.get(&employee.desk).and_then(|versions| versions.at(day(days)));
                let position = state.positions.get(&employee.position).and_then(|versions| versions.at(day(days)));
                prop_assert!(desk.is_some() && position.is_some(), "{} on day {}", employee.code, days);
            }
        }
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused_or_read_but_never_a_panic(
        story in story(), at: prop::sample::Index, byte: u8, cut: bool
    ) {
        let history = run::<Roster>(commands(&story));
        for event in history.decisions.iter().flat_map(|(_, _, events)| events) {
            let mut payload = Vec::new();
            let schema = Roster::encode(event, &mut payload);
            let place = at.index(payload.len());
            if cut { payload.truncate(place) } else { payload[place] ^= byte };
            if let Ok(read) = Roster::decode(schema, &payload, TODAY) {
                prop_assert_eq!(round_trip(&read, TODAY), read);
            }
        }
    }
}
