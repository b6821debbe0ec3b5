//! What each person is paid: plans, earnings, periods, payouts and the ledger.

mod close;
mod period;
pub mod rate;
mod types;

use kernel::{Decider, Stamp, Violation};

pub use types::{
    Basis, Chain, Closed, Command, Company, Component, Credit, Earning, Event, Method, Participant, PayoutChanged,
    PayoutState, Plan, Posting, Rejection, Segment, State, Tier,
};

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Payroll;

impl Decider for Payroll {
    const NAME: &'static str = "payroll";
    const LOGIC_VERSION: u32 = 1;

    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
        decide(state, command, stamp)
    }

    fn evolve(state: &mut State, event: &Event) {
        evolve(state, event);
    }

    fn command_of(events: &[Event]) -> Option<Command> {
        match events.first()?.clone() {
            Event::PlanActivated { plan, .. } => Some(Command::ActivatePlan(plan)),
            Event::CompanyNoted(company) => Some(Command::NoteCompany(company)),
            Event::ParticipantNoted { employee_id, participant, effective_from } => {
                Some(Command::NoteParticipant { employee_id, participant, effective_from })
            }
            Event::CreditNoted { credit_id, credit, kpi_seq } => {
                Some(Command::NoteCredit { credit_id, credit, kpi_seq })
            }
            Event::CreditReversalNoted { credit_id, kpi_seq } => Some(Command::NoteReversal { credit_id, kpi_seq }),
            Event::PeriodClosed { period, start, end, .. } => Some(Command::ClosePeriod { period, start, end }),
            Event::PayoutChanged(payout) => Some(Command::ApprovePayouts { period: payout.period }),
            // These follow from a close or an approval; they are never the first of a decision.
            Event::EarningAccrued(_) | Event::Posted { .. } | Event::BalanceCarried { .. } => None,
        }
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        invariants(state)
    }
}

fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    match command.clone() {
        Command::ActivatePlan(plan) => {
            let versions = state.plans.get(&plan.code);
            if versions.is_some_and(|versions| versions.iter().any(|(known, _)| *known == plan)) {
                return Ok(Vec::new());
            }
            let last = versions.and_then(|versions| versions.last()).map_or(0, |(known, _)| known.version);
            if plan.version != last + 1 {
                return Err(Rejection::PlanVersion { code: plan.code, given: plan.version, last });
            }
            // The last version's plan would go on paying the old position beside the new one.
            let position = versions.and_then(|versions| versions.last()).map(|(known, _)| &known.position);
            if let Some(known) = position.filter(|known| **known != plan.position) {
                return Err(Rejection::PlanPosition { code: plan.code, given: plan.position, known: known.clone() });
            }
            let plan_hash = crate::codec::plan_hash(&plan);
            Ok(vec![Event::PlanActivated { plan, plan_hash }])
        }
        Command::NoteCompany(company) => {
            let unchanged = state.company.as_ref() == Some(&company);
            Ok(if unchanged { Vec::new() } else { vec![Event::CompanyNoted(company)] })
        }
        Command::NoteParticipant { employee_id, participant, effective_from } => {
            let last = state.participants.get(&employee_id).and_then(|versions| versions.last());
            let unchanged = last.is_some_and(|(_, known)| *known == participant);
            let event = Event::ParticipantNoted { employee_id, participant, effective_from };
            Ok(if unchanged { Vec::new() } else { vec![event] })
        }
        Command::NoteCredit { credit_id, credit, kpi_seq } => {
            Ok(vec![Event::CreditNoted { credit_id, credit, kpi_seq }])
        }
        Command::NoteReversal { credit_id, kpi_seq } => {
            let known = state.credits.contains_key(&credit_id);
            Ok(if known { vec![Event::CreditReversalNoted { credit_id, kpi_seq }] } else { Vec::new() })
        }
        Command::ClosePeriod { period, start, end } => {
            close_period(state, period, Closed { start, end, kpi_known_seq: state.kpi_known_seq }, stamp)
        }
        Command::ApprovePayouts { period } => {
            if !state.closed.contains_key(&period) {
                return Err(Rejection::PeriodNotClosed(period));
            }
            close::approve(state, &period)
        }
    }
}

fn close_period(state: &State, period: String, closing: Closed, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
    if state.company.is_none() {
        return Err(Rejection::CompanyUnknown);
    }
    if state.closed.contains_key(&period) {
        return Ok(Vec::new());
    }
    let closing = period::closing(state, &period, closing, stamp.at)?;
    let rest = close::close(state, &period, &closing)?;
    let participants = u32::try_from(state.participants.len()).unwrap_or(u32::MAX);
    let Closed { start, end, kpi_known_seq } = closing;
    let mut events = vec![Event::PeriodClosed { period, start, end, kpi_known_seq, participants }];
    events.extend(rest);
    Ok(events)
}

fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::PlanActivated { plan, plan_hash } => {
            state.plans.entry(plan.code.clone()).or_default().push((plan.clone(), *plan_hash));
        }
        Event::CompanyNoted(company) => state.company = Some(company.clone()),
        Event::ParticipantNoted { employee_id, participant, effective_from } => {
            state.participants.entry(*employee_id).or_default().push((*effective_from, participant.clone()));
        }
        Event::CreditNoted { credit_id, credit, kpi_seq } => {
            state.kpi_known_seq = kpi_seq + 1;
            state.credits_of.entry(credit.employee_id).or_default().insert((credit.occurred_at, *credit_id));
            state.credits.insert(*credit_id, credit.clone());
        }
        Event::CreditReversalNoted { credit_id, kpi_seq } => {
            state.kpi_known_seq = kpi_seq + 1;
            if let Some(credit) = state.credits.get(credit_id)
                && let Some(of) = state.credits_of.get_mut(&credit.employee_id)
            {
                of.remove(&(credit.occurred_at, *credit_id));
            }
        }
        Event::PeriodClosed { period, start, end, kpi_known_seq, .. } => {
            let closed = Closed { start: *start, end: *end, kpi_known_seq: *kpi_known_seq };
            state.closed.insert(period.clone(), closed);
        }
        Event::EarningAccrued(earning) => {
            let key = (earning.period.clone(), earning.plan_code.clone(), earning.component.clone());
            state.posted.entry(earning.employee_id).or_default().insert(key, earning.amount);
            let statement = (earning.posted_in.clone(), earning.employee_id);
            state.statements.entry(statement).or_default().push(earning.clone());
        }
        Event::Posted { legal_entity, postings, .. } => {
            for posting in postings {
                let ledger = state.ledger.entry((legal_entity.clone(), posting.amount.currency)).or_default();
                *ledger.entry(posting.account.clone()).or_default() +=
                    i128::from(posting.amount.minor) + planted_cent();
            }
        }
        Event::BalanceCarried { employee_id, legal_entity, period, balance } => {
            state.carried.insert((*employee_id, legal_entity.clone(), balance.currency), balance.minor);
            let out = state.carried_out.entry((period.clone(), *employee_id)).or_default();
            out.push((legal_entity.clone(), *balance));
        }
        Event::PayoutChanged(change) => {
            state.chains.entry(change.participant_id).or_default().follow(change);
            state.payouts.insert(change.payout_id, change.clone());
        }
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_cent() -> i128 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_cent() -> i128 {
    i128::from(crate::planted::is(1))
}

fn invariants(state: &State) -> Result<(), Violation> {
    for ((entity, currency), accounts) in &state.ledger {
        let sum: i128 = accounts.values().sum();
        if sum != 0 {
            let what = format!("{entity} {currency}: {sum} minor units");
            return Err(Violation { law: "postings sum to zero", what });
        }
    }
    close::debts_are_on_their_accounts(state)?;
    // What was posted is what was paid plus what is carried (as a debt), per participant and currency.
    let mut balance: std::collections::BTreeMap<_, i128> = std::collections::BTreeMap::new();
    for (employee, posted) in &state.posted {
        for money in posted.values() {
            *balance.entry((*employee, money.currency)).or_default() += i128::from(money.minor);
        }
    }
    for payout in state.payouts.values() {
        *balance.entry((payout.participant_id, payout.amount.currency)).or_default() -= i128::from(payout.amount.minor);
    }
    for ((employee, _, currency), carried) in &state.carried {
        *balance.entry((*employee, *currency)).or_default() -= i128::from(*carried);
    }
    match balance.into_iter().find(|(_, left)| *left != 0) {
        Some(((employee, currency), left)) => {
            let what = format!("participant {employee}: {left} minor units of {currency} are unaccounted for");
            Err(Violation { law: "earnings are payouts and carried balance", what })
        }
        None => Ok(()),
    }
}
