//! The laws of payroll over any history, and what must hold of the money whatever happens.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{START, Tenant, close, day, earnings, employee, month, payouts, plan, stamp, yuan};
use kernel::laws::{codec_law, run};
use kernel::{Currency, EmployeeId, Money, Stamp, Timestamp, digest_of};
use payroll::Payroll;
use payroll::domain::{Command, Company, Event, PayoutChanged, PayoutState, Plan};
use proptest::prelude::*;
use runtime::Service;

const POSITIONS: [&str; 3] = ["seller", "manager", "trainee"];
const CURRENCIES: [&str; 3] = ["CNY", "USD", "JPY"];

#[derive(Debug, Clone)]
enum Step {
    /// Code, position, first day, rates, currency and whether it follows the version before.
    Plan {
        code: usize,
        position: usize,
        from: i64,
        rates: [i64; 2],
        currency: usize,
        follows: bool,
    },
    Company {
        entity: u8,
    },
    Participant {
        who: u8,
        position: usize,
        from: i64,
    },
    Credit {
        who: u8,
        minor: i64,
        currency: usize,
        day: i64,
        new: bool,
    },
    /// Reverses one of the credits so far, or one that never was.
    Reversal {
        of: u16,
    },
    /// The next month, or one that was closed or lies ahead.
    Close {
        ahead: i64,
    },
    Approve {
        back: i64,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let currency = || prop_oneof![8 => Just(0_usize), 1 => Just(1), 1 => Just(2)];
    let minor =
        prop_oneof![6 => -500_000..2_000_000_i64, 1 => prop::sample::select(vec![0, 100_000, -100_000, 999_999_999])];
    prop_oneof![
        2 => (0..2_usize, 0..2_usize, -100..120_i64, [0..3_000_i64, 0..3_000_i64], currency(), prop::bool::weighted(0.9))
            .prop_map(|(code, position, from, rates, currency, follows)| Step::Plan { code, position, from, rates, currency, follows }),
        1 => (0..2_u8).prop_map(|entity| Step::Company { entity }),
        2 => (0..4_u8, 0..3_usize, 0..60_i64).prop_map(|(who, position, from)| Step::Participant { who, position, from }),
        // The last employee is nobody whom the roster knows.
        8 => (0..5_u8, minor, currency(), 0..130_i64, any::<bool>())
            .prop_map(|(who, minor, currency, day, new)| Step::Credit { who, minor, currency, day, new }),
        2 => (0..60_u16).prop_map(|of| Step::Reversal { of }),
        3 => prop_oneof![6 => Just(0), 1 => -2..3_i64].prop_map(|ahead| Step::Close { ahead }),
        2 => (0..3_i64).prop_map(|back| Step::Approve { back }),
    ]
}

/// A seller and a plan to begin with, then anything.
fn story() -> impl Strategy<Value = Vec<Step>> {
    let first = vec![
        Step::Company { entity: 0 },
        Step::Participant { who: 0, position: 0, from: 0 },
        Step::Participant { who: 1, position: 0, from: 0 },
        Step::Plan { code: 0, position: 0, from: -100, rates: [500, 800], currency: 0, follows: true },
    ];
    prop::collection::vec(step(), 1..60).prop_map(move |steps| [first.clone(), steps].concat())
}

fn currency(n: usize) -> Currency {
    CURRENCIES[n].parse().expect("a known currency")
}

/// The story as commands; the day goes on so that most closes are of a month that is over.
fn commands(story: &[Step]) -> Vec<(Command, Stamp)> {
    let mut versions: BTreeMap<usize, u32> = BTreeMap::new();
    let mut pays: BTreeMap<usize, usize> = BTreeMap::new();
    let mut last_day: BTreeMap<u8, i64> = BTreeMap::new();
    let (mut next_month, mut credits, mut kpi_seq) = (0, 0_u16, 0_u64);
    let mut commands = Vec::new();
    for (n, step) in story.iter().enumerate() {
        kpi_seq += 1;
        let command = match step {
            Step::Plan { code, position, from, rates, currency, follows } => {
                // A plan pays one position for ever.
                let position = pays.entry(*code).or_insert(*position);
                let version = versions.entry(*code).or_default();
                *version += 1;
                let number = if *follows { *version } else { *version + 1 };
                let rates = rates.map(|rate| kernel::Decimal::new(rate, 4).to_string());
                let table = [("0", rates[0].as_str()), ("5000", rates[1].as_str())];
                let made = plan(["a", "b"][*code], number, POSITIONS[*position], day(*from), &table);
                if !follows {
                    *version -= 1;
                }
                Command::ActivatePlan(Plan { currency: self::currency(*currency), ..made })
            }
            Step::Company { entity } => Command::NoteCompany(Company {
                legal_entity: format!("L{entity}"),
                currency: Currency::CNY,
                zone: "UTC".to_owned(),
            }),
            Step::Participant { who, position, from } => {
                // Roster never backdates before a version that is there.
                let last = last_day.entry(*who).or_insert(-100);
                *last += from;
                common::hired(*who, POSITIONS[*position], day(*last))
            }
            Step::Credit { who, minor, currency, day: at, new } => {
                credits += 1;
                let command = common::credit(credits, *who, Money::new(*minor, self::currency(*currency)), day(*at));
                let Command::NoteCredit { credit_id, mut credit, .. } = command else { unreachable!() };
                credit.new_customer = *new;
                Command::NoteCredit { credit_id, credit, kpi_seq }
            }
            Step::Reversal { of } => Command::NoteReversal { credit_id: common::credit_id(*of), kpi_seq },
            Step::Close { ahead } => {
                let command = close(next_month + ahead);
                next_month += i64::from(*ahead == 0);
                command
            }
            Step::Approve { back } => common::approve(next_month - 1 - back),
        };
        commands.push((command, stamp(n, day(35 * (next_month + 1)))));
    }
    commands
}

fn payload(event: &Event) -> (u16, Vec<u8>) {
    let mut payload = Vec::new();
    let schema = Payroll::encode(event, &mut payload);
    (schema, payload)
}

fn round_trip(event: &Event, at: Timestamp) -> Event {
    let (schema, payload) = payload(event);
    Payroll::decode(schema, &payload, at).expect("an own event decodes")
}

/// Every participant's payouts are one chain: dense, linked by hash, with running totals, each issued once.
fn chains_hold(log: &[Event]) -> Result<(), TestCaseError> {
    let mut last: BTreeMap<EmployeeId, (u64, [u8; 32])> = BTreeMap::new();
    let mut issued: BTreeMap<(EmployeeId, Currency), i64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for event in log {
        let Event::PayoutChanged(payout) = event else { continue };
        let PayoutChanged { participant_id, amount, state, .. } = payout;
        prop_assert!(amount.minor > 0, "a payout is never nothing and never negative");
        prop_assert!(seen.insert((payout.payout_id, payout.version, *state as u8)), "{:?} twice", state);
        let (seq, hash) = last.get(participant_id).copied().unwrap_or_default();
        prop_assert_eq!((payout.participant_seq, payout.previous_hash), (seq + 1, hash));
        let total = issued.entry((*participant_id, amount.currency)).or_default();
        *total += if *state == PayoutState::Issued { amount.minor } else { 0 };
        prop_assert_eq!(payout.issued_total, Money::new(*total, amount.currency));
        // The public record is the own one, byte for byte.
        let (_, bytes) = payload(event);
        prop_assert_eq!(Payroll::publish(event).map(|published| published.payload), Some(bytes.clone()));
        last.insert(*participant_id, (payout.participant_seq, *blake3::hash(&bytes).as_bytes()));
    }
    Ok(())
}

/// Every transaction is in one currency and sums to zero; a participant's lines are what their accounts moved by.
fn ledger_is_the_statements(log: &[Event]) -> Result<(), TestCaseError> {
    let mut moved: BTreeMap<(String, Currency), i128> = BTreeMap::new();
    let mut wanted: BTreeMap<(String, Currency), i128> = BTreeMap::new();
    for event in log {
        match event {
            Event::Posted { postings, .. } => {
                prop_assert_eq!(postings.iter().map(|posting| i128::from(posting.amount.minor)).sum::<i128>(), 0);
                prop_assert_eq!(
                    postings.iter().map(|posting| posting.amount.currency).collect::<BTreeSet<_>>().len(),
                    1
                );
                for posting in postings {
                    *moved.entry((posting.account.clone(), posting.amount.currency)).or_default() +=
                        i128::from(posting.amount.minor);
                }
            }
            Event::EarningAccrued(line) => {
                let mut add = |account: String, minor: i64| {
                    *wanted.entry((account, line.delta.currency)).or_default() += i128::from(minor)
                };
                add(format!("expense:incentive:{}", line.component), line.delta.minor);
                add(format!("liability:accrued:{}", line.employee_id), -line.delta.minor);
            }
            Event::PayoutChanged(payout) => {
                let steps = match payout.state {
                    PayoutState::Proposed => ("accrued", "proposed"),
                    PayoutState::Approved => ("proposed", "payable"),
                    PayoutState::Issued => ("payable", "in-transit"),
                    other => panic!("{other:?} is made by nothing yet"),
                };
                let mut add = |account: &str, minor: i64| {
                    *wanted
                        .entry((format!("liability:{account}:{}", payout.participant_id), payout.amount.currency))
                        .or_default() += i128::from(minor);
                };
                add(steps.0, payout.amount.minor);
                add(steps.1, -payout.amount.minor);
            }
            _ => {}
        }
    }
    for sums in [&mut moved, &mut wanted] {
        sums.retain(|_, sum| *sum != 0);
    }
    prop_assert_eq!(moved, wanted);
    Ok(())
}

/// A payout names its statement by the stored bytes of its lines.
fn payouts_pay_their_statements(log: &[Event]) -> Result<(), TestCaseError> {
    for payout in payouts(log) {
        let mut hasher = blake3::Hasher::new();
        for event in log {
            if let Event::EarningAccrued(line) = event
                && (line.posted_in.as_str(), line.employee_id) == (&payout.period, payout.participant_id)
            {
                hasher.update(blake3::hash(&payload(event).1).as_bytes());
            }
        }
        prop_assert_eq!(payout.statement_hash, *hasher.finalize().as_bytes());
    }
    Ok(())
}

/// After a close all that is posted for a closed period is what it earns as known now: no more, no less, no other currency.
fn posted_is_earned(tenant: &Tenant) -> Result<(), TestCaseError> {
    let state = &tenant.state;
    for (period, closed) in &state.closed {
        for who in state.participants.keys() {
            let mut posted: BTreeMap<Currency, i64> = BTreeMap::new();
            for line in earnings(&tenant.log).iter().filter(|line| (&line.period, &line.employee_id) == (period, who)) {
                *posted.entry(line.delta.currency).or_default() += line.delta.minor;
            }
            let mut earned: BTreeMap<Currency, i64> = BTreeMap::new();
            for line in state.earnings(*who, period, closed, period).expect("it was closed") {
                prop_assert_eq!(line.delta.minor, 0, "a second close would post {:?}", line);
                *earned.entry(line.amount.currency).or_default() += line.amount.minor;
            }
            posted.retain(|_, minor| *minor != 0);
            earned.retain(|_, minor| *minor != 0);
            prop_assert_eq!(&posted, &earned, "{} of {}", period, who);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(common::cases(250))]

    #[test]
    fn the_laws_hold_over_any_history(story in story()) {
        let history = run::<Payroll>(commands(&story));
        codec_law(&history, round_trip);
        let log: Vec<Event> = history.decisions.into_iter().flat_map(|(_, _, events)| events).collect();
        chains_hold(&log)?;
        ledger_is_the_statements(&log)?;
        payouts_pay_their_statements(&log)?;
    }

    #[test]
    fn all_that_is_posted_is_what_was_earned(story in story()) {
        let mut tenant = Tenant::default();
        for (command, _) in commands(&story) {
            let closes = matches!(command, Command::ClosePeriod { .. });
            if tenant.tell(&command).is_ok_and(|events| closes && !events.is_empty()) {
                posted_is_earned(&tenant)?;
                let before = digest_of(&tenant.state);
                prop_assert_eq!(tenant.tell(&command), Ok(Vec::new()), "a second close posts nothing");
                prop_assert_eq!(digest_of(&tenant.state), before);
            }
        }
    }

    #[test]
    fn the_order_of_credits_inside_a_cut_changes_no_byte(
        (credits, shuffled) in credits().prop_flat_map(|credits| (Just(credits.clone()), Just(credits).prop_shuffle())),
    ) {
        let closed = |credits: &[(u16, u8, i64, i64, bool)]| {
            let mut tenant = common::given_seller(&[common::hired(2, "seller", day(0)), common::flat("m", "manager", "0.01")]);
            for (seq, (n, who, minor, at, reversed)) in credits.iter().enumerate() {
                let command = common::credit(*n, *who, yuan(*minor), day(*at));
                let Command::NoteCredit { credit_id, credit, .. } = command else { unreachable!() };
                let kpi_seq = 2 * u64::try_from(seq).expect("few");
                tenant.told(&Command::NoteCredit { credit_id, credit, kpi_seq });
                if *reversed {
                    tenant.told(&Command::NoteReversal { credit_id, kpi_seq: kpi_seq + 1 });
                }
            }
            tenant.told(&Command::NoteReversal { credit_id: common::credit_id(0), kpi_seq: 0 });
            let mut bytes = Vec::new();
            for command in [close(0), common::approve(0), close(1)] {
                // The cut itself counts reversals, which come with their credits.
                let events = tenant.told(&command);
                bytes.extend(events.iter().filter(|event| !matches!(event, Event::PeriodClosed { .. })).map(|event| payload(event).1));
            }
            bytes
        };
        prop_assert_eq!(closed(&credits), closed(&shuffled));
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused_or_read_but_never_a_panic(
        story in story(), at: prop::sample::Index, byte: u8, cut: bool
    ) {
        let history = run::<Payroll>(commands(&story));
        for event in history.decisions.iter().flat_map(|(_, _, events)| events) {
            let (schema, mut payload) = payload(event);
            let place = at.index(payload.len());
            if cut { payload.truncate(place) } else { payload[place] ^= byte };
            if let Ok(read) = Payroll::decode(schema, &payload, START) {
                prop_assert_eq!(round_trip(&read, START), read);
            }
        }
    }
}

/// Credits of two sellers over two months, some of them reversed: number, who, minor units, day, reversed.
fn credits() -> impl Strategy<Value = Vec<(u16, u8, i64, i64, bool)>> {
    let credit = (1..3_u8, -50_000..200_000_i64, 0..60_i64, prop::bool::weighted(0.2));
    prop::collection::vec(credit, 1..20).prop_map(|credits| {
        (1..).zip(credits).map(|(n, (who, minor, day, reversed))| (n, who, minor, day, reversed)).collect()
    })
}

#[test]
fn a_participants_chain_goes_on_over_currencies_and_months() {
    let usd = |n: u16, minor| common::credit(n, 1, Money::new(minor, Currency::USD), day(30 * i64::from(n)));
    let dollars = Plan { currency: Currency::USD, ..plan("export", 1, "seller", day(30), &[("0", "0.01")]) };
    let facts = [
        common::credit(9, 1, yuan(10_000), day(1)),
        close(0),
        Command::ActivatePlan(dollars),
        usd(1, 500_000),
        usd(2, 500_000),
    ];
    let mut tenant = common::given_seller(&facts);
    for n in 0..4 {
        if n > 0 {
            tenant.told(&close(n));
        }
        tenant.told(&common::approve(n));
    }
    chains_hold(&tenant.log).unwrap();
    let seqs: Vec<u64> = payouts(&tenant.log).iter().map(|payout| payout.participant_seq).collect();
    assert_eq!(seqs, (1..=9).collect::<Vec<_>>(), "three payouts of three states each");
    assert_eq!(tenant.state.payouts.len(), 3);
    assert_eq!(tenant.state.statements.keys().filter(|(_, who)| *who == employee(1)).count(), 3, "{}", month(0));
}
