//! Closing a period: what everybody earned, what of it is not yet posted, and the payouts.

use std::collections::BTreeMap;

use kernel::{CreditId, Currency, Decimal, EmployeeId, Money, PayoutId, Rate, Timestamp, Violation, round_minor};

use super::rate::earn;
use super::types::{
    Basis, Chain, Closed, Component, Credit, Earning, Event, Participant, PayoutChanged, PayoutState, Plan, Posting,
    Rejection, State,
};

/// The first and so far only payout of a participant in a period.
const RUN: u32 = 1;

impl State {
    fn participant_at(&self, employee: EmployeeId, at: Timestamp) -> Option<&Participant> {
        let versions = self.participants.get(&employee)?;
        let last = versions.iter().rev().find(|(from, _)| *from < at);
        last.or_else(|| versions.first()).map(|(_, participant)| participant)
    }

    /// What a participant owes: to whom, in which currency, how much (negative).
    fn debts_of(&self, employee: EmployeeId) -> impl Iterator<Item = (&str, Currency, i64)> {
        let of = self.carried.iter().filter(move |((owner, ..), _)| *owner == employee);
        of.filter(|(_, balance)| **balance != 0)
            .map(|((_, entity, currency), balance)| (entity.as_str(), *currency, *balance))
    }

    /// The plan that pays a position in a period that ends at `end`: the last that took effect before.
    fn plan_of(&self, position: &str, end: Timestamp) -> Option<&(Plan, [u8; 32])> {
        let plans = self.plans.values().flatten();
        plans
            .filter(|(plan, _)| plan.position == position && plan.effective_from < end)
            .max_by_key(|(plan, _)| (plan.effective_from, plan.version))
    }

    pub(super) fn credits_in(
        &self,
        employee: EmployeeId,
        closed: &Closed,
    ) -> impl Iterator<Item = (CreditId, &Credit)> {
        let first = CreditId::default();
        let within = (closed.start, first)..(closed.end, first);
        let of = self.credits_of.get(&employee).filter(|_| !within.is_empty());
        let inside = of.into_iter().flat_map(move |all| all.range(within.clone()));
        inside.filter_map(|(_, id)| self.credits.get(id).map(|credit| (*id, credit)))
    }

    /// What a participant earned in one period under the plan of that period, as far as is known now, with what takes
    /// back that which was posted and is not earned any more: another plan or position turned out to hold. `posted_in`
    /// is the period whose close posts it.
    pub fn earnings(
        &self,
        employee: EmployeeId,
        period: &str,
        closed: &Closed,
        posted_in: &str,
    ) -> Result<Vec<Earning>, Rejection> {
        let blank = Earning {
            employee_id: employee,
            period: period.to_owned(),
            posted_in: posted_in.to_owned(),
            plan_code: String::new(),
            plan_hash: [0; 32],
            component: String::new(),
            basis_value: Rate(Decimal::ZERO),
            segments: Vec::new(),
            exact: Rate(Decimal::ZERO),
            amount: Money::new(0, Currency::default()),
            delta: Money::new(0, Currency::default()),
            credit_ids: Vec::new(),
        };
        let mut posted = self.posted_of(employee, period);
        let plan = self.participant_at(employee, closed.end).and_then(|p| self.plan_of(&p.position, closed.end));
        let mut earned = Vec::new();
        for (component, (plan, plan_hash)) in
            plan.into_iter().flat_map(|plan| plan.0.components.iter().map(move |c| (c, plan)))
        {
            // Differences never cross a currency: what was posted in another one stays, to be taken back.
            let key = (plan.code.as_str(), component.code.as_str());
            let same = posted.get(&key).is_some_and(|before| before.currency == plan.currency);
            let before = if same { posted.remove(&key).map_or(0, |before| before.minor) } else { 0 };
            let line = Earning {
                plan_code: plan.code.clone(),
                plan_hash: *plan_hash,
                component: component.code.clone(),
                ..blank.clone()
            };
            earned.push(self.earned(plan, component, closed, before, line)?);
        }
        // What is taken back comes first: in another currency it stands under the same key as what takes its place.
        let mut lines = Vec::new();
        for ((plan_code, component), before) in posted.into_iter().filter(|(_, before)| before.minor != 0) {
            let amount = Money::new(0, before.currency);
            lines.push(Earning {
                plan_code: plan_code.to_owned(),
                plan_hash: self
                    .plans
                    .get(plan_code)
                    .and_then(|versions| versions.last())
                    .map_or([0; 32], |(_, hash)| *hash),
                component: component.to_owned(),
                amount,
                delta: difference(amount, before.minor).ok_or_else(|| out_of_range(component, &blank))?,
                ..blank.clone()
            });
        }
        lines.extend(earned);
        Ok(lines)
    }

    /// One component's line, with `before` already posted.
    fn earned(
        &self,
        plan: &Plan,
        component: &Component,
        closed: &Closed,
        before: i64,
        line: Earning,
    ) -> Result<Earning, Rejection> {
        let (value, credit_ids) = self.basis_value(line.employee_id, component, plan.currency, closed);
        let refused = || out_of_range(&component.code, &line);
        let (segments, exact) = earn(component, value).map_err(|_| refused())?;
        let amount = round_minor(exact, plan.currency, plan.rounding).map_err(|_| refused())?;
        let amount = Money::new(amount.minor.saturating_add(planted_cent()), amount.currency);
        let delta = difference(amount, before).ok_or_else(refused)?;
        let (basis_value, exact) = (Rate(value.normalize()), Rate(exact));
        Ok(Earning { basis_value, segments, exact, amount, delta, credit_ids, ..line })
    }

    /// What stands posted for a participant and a period, by plan and component.
    fn posted_of(&self, employee: EmployeeId, period: &str) -> BTreeMap<(&str, &str), Money> {
        let all = self.posted.get(&employee).into_iter().flatten();
        all.filter(|((of, ..), _)| of == period)
            .map(|((_, plan, component), money)| ((plan.as_str(), component.as_str()), *money))
            .collect()
    }

    fn basis_value(
        &self,
        employee: EmployeeId,
        component: &Component,
        currency: Currency,
        closed: &Closed,
    ) -> (Decimal, Vec<CreditId>) {
        let mut value = Decimal::ZERO;
        let mut ids = Vec::new();
        for (id, credit) in self.credits_in(employee, closed).filter(|(_, credit)| credit.amount.currency == currency) {
            let part = match component.basis {
                Basis::NetSales => Some(credit.amount.to_decimal()),
                Basis::NewCustomerSales => credit.new_customer.then(|| credit.amount.to_decimal()),
                Basis::Orders => (!credit.refund).then_some(Decimal::ONE),
            };
            if let Some(part) = part {
                value += part;
                ids.push(id);
            }
        }
        ids.sort_unstable();
        (value, ids)
    }

    /// Credits of a period that no plan pays, for the person who closes it.
    pub fn unpaid(&self, closed: &Closed) -> Vec<String> {
        let mut lines = Vec::new();
        for employee in self.credits_of.keys() {
            let participant = self.participant_at(*employee, closed.end);
            let plan = participant.and_then(|participant| self.plan_of(&participant.position, closed.end));
            let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
            for (_, credit) in self.credits_in(*employee, closed) {
                if plan.is_none_or(|(plan, _)| plan.currency != credit.amount.currency) {
                    *sums.entry(credit.amount.currency).or_default() += i128::from(credit.amount.minor);
                }
            }
            let name = participant.map_or_else(|| employee.to_string(), |p| format!("{} ({})", p.code, p.position));
            lines.extend(sums.iter().map(|(currency, minor)| {
                let sum = Decimal::from_i128_with_scale(*minor, u32::from(currency.exponent()));
                format!("{name}: credits of {sum} {currency} have no plan in this currency")
            }));
        }
        lines
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_cent() -> i64 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_cent() -> i64 {
    i64::from(crate::planted::is(2))
}

fn out_of_range(component: &str, line: &Earning) -> Rejection {
    Rejection::OutOfRange(format!("{component} of {} in {}", line.employee_id, line.period))
}

/// From what was posted to what is earned. `None` when either direction of the posting is out of range.
fn difference(amount: Money, posted: i64) -> Option<Money> {
    let minor = amount.minor.checked_sub(posted).filter(|minor| *minor != i64::MIN)?;
    Some(Money::new(minor, amount.currency))
}

/// The events of a close, after `PeriodClosed`.
pub(super) fn close(state: &State, period: &str, closing: &Closed) -> Result<Vec<Event>, Rejection> {
    let company = state.company.as_ref().ok_or(Rejection::CompanyUnknown)?;
    let mut events = Vec::new();
    let people: Vec<EmployeeId> = state.participants.keys().copied().collect();
    for employee in people {
        let mut lines = Vec::new();
        // Closed periods first: late facts are paid as differences, tagged with the period that they belong to.
        for (earlier, closed) in &state.closed {
            let earnings = state.earnings(employee, earlier, closed, period)?;
            lines.extend(earnings.into_iter().filter(|earning| earning.delta.minor != 0));
        }
        let earnings = state.earnings(employee, period, closing, period)?;
        lines.extend(earnings.into_iter().filter(|earning| earning.delta.minor != 0 || !earning.credit_ids.is_empty()));
        events.extend(pay(state, employee, period, lines, &company.legal_entity)?);
    }
    Ok(events)
}

fn posted(legal_entity: &str, period: &str, reference: String, debit: String, credit: String, amount: Money) -> Event {
    let opposite = Money::new(-amount.minor, amount.currency);
    let postings = vec![Posting { account: debit, amount }, Posting { account: credit, amount: opposite }];
    Event::Posted { legal_entity: legal_entity.to_owned(), postings, reference, period: period.to_owned() }
}

fn account(kind: &str, employee: EmployeeId) -> String {
    format!("{kind}:{employee}")
}

/// blake3 over the blake3 of each line's stored bytes, in their order: whoever has the log can compute it.
fn statement_hash(lines: &[Earning]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        let mut payload = Vec::new();
        crate::codec::encode(&Event::EarningAccrued(line.clone()), &mut payload);
        hasher.update(blake3::hash(&payload).as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// One participant's lines, postings and payout.
fn pay(
    state: &State,
    employee: EmployeeId,
    period: &str,
    lines: Vec<Earning>,
    legal_entity: &str,
) -> Result<Vec<Event>, Rejection> {
    let mut events = Vec::new();
    let mut net: BTreeMap<Currency, i64> = BTreeMap::new();
    for (entity, currency, balance) in state.debts_of(employee) {
        if entity == legal_entity {
            net.insert(currency, balance);
        }
    }
    let statement_hash = statement_hash(&lines);
    for line in lines {
        let sum = net.entry(line.delta.currency).or_default();
        *sum = sum.checked_add(line.delta.minor).ok_or_else(|| Rejection::OutOfRange(format!("pay of {employee}")))?;
        let (delta, component, earned_in) = (line.delta, line.component.clone(), line.period.clone());
        events.push(Event::EarningAccrued(line));
        if delta.minor != 0 {
            let reference = format!("earning {employee} {earned_in} {component}");
            let expense = format!("expense:incentive:{component}");
            events.push(posted(
                legal_entity,
                period,
                reference,
                expense,
                account("liability:accrued", employee),
                delta,
            ));
        }
    }
    let mut chain = state.chains.get(&employee).cloned().unwrap_or_default();
    for (currency, minor) in net {
        let amount = Money::new(minor, currency);
        if minor > 0 {
            let payout = PayoutChanged {
                payout_id: payout_id(employee, legal_entity, currency, period),
                version: 1,
                state: PayoutState::Proposed,
                participant_id: employee,
                legal_entity: legal_entity.to_owned(),
                period: period.to_owned(),
                run: RUN,
                amount,
                participant_seq: 0,
                issued_total: Money::new(0, currency),
                previous_hash: [0; 32],
                statement_hash,
            };
            let reference = format!("payout {} proposed", payout.payout_id);
            events.push(Event::PayoutChanged(chain.link(payout)?));
            let (debit, credit) = (account("liability:accrued", employee), account("liability:proposed", employee));
            events.push(posted(legal_entity, period, reference, debit, credit, amount));
        }
        let balance = Money::new(minor.min(0), currency);
        let before = state.carried.get(&(employee, legal_entity.to_owned(), currency)).copied().unwrap_or(0);
        // A debt is stated with every close, so that each statement shows what it carries.
        if balance.minor != 0 || before != 0 {
            events.push(carried(employee, legal_entity, period, balance));
        }
    }
    // So is a debt to an entity that pays nobody any more: nothing that this one pays is set off against it.
    for (entity, currency, balance) in state.debts_of(employee).filter(|(entity, ..)| *entity != legal_entity) {
        events.push(carried(employee, entity, period, Money::new(balance, currency)));
    }
    Ok(events)
}

fn carried(employee: EmployeeId, legal_entity: &str, period: &str, balance: Money) -> Event {
    let (legal_entity, period) = (legal_entity.to_owned(), period.to_owned());
    Event::BalanceCarried { employee_id: employee, legal_entity, period, balance }
}

/// What is accrued and not paid on a participant's account with a legal entity is what they owe to it, and nothing else.
pub(super) fn debts_are_on_their_accounts(state: &State) -> Result<(), Violation> {
    for ((employee, entity, currency), debt) in &state.carried {
        let accounts = state.ledger.get(&(entity.clone(), *currency));
        let accrued = accounts.and_then(|accounts| accounts.get(&account("liability:accrued", *employee)));
        let accrued = accrued.copied().unwrap_or(0);
        if accrued != -i128::from(*debt) {
            let what = format!("participant {employee}, {entity} {currency}: {debt} carried, {accrued} accrued");
            return Err(Violation { law: "a carried balance stands on its account", what });
        }
    }
    Ok(())
}

/// Payout ids name the payment: one participant, one payment key (entity and currency), one period, one run.
fn payout_id(employee: EmployeeId, legal_entity: &str, currency: Currency, period: &str) -> PayoutId {
    let code = currency.code().as_bytes();
    PayoutId::of_parts(&[employee.as_bytes(), legal_entity.as_bytes(), code, period.as_bytes(), &RUN.to_le_bytes()])
}

impl Chain {
    /// Gives a change its place in the participant's chain.
    fn link(&mut self, change: PayoutChanged) -> Result<PayoutChanged, Rejection> {
        let issued = self.issued_minor.entry(change.amount.currency).or_default();
        if change.state == PayoutState::Issued {
            let total = issued.checked_add(change.amount.minor);
            *issued =
                total.ok_or_else(|| Rejection::OutOfRange(format!("all that {} was issued", change.participant_id)))?;
        }
        let linked = PayoutChanged {
            participant_seq: self.seq + 1,
            issued_total: Money::new(*issued, change.amount.currency),
            previous_hash: self.last_hash,
            ..change
        };
        self.seq = linked.participant_seq;
        self.last_hash = *blake3::hash(&crate::codec::payout_payload(&linked)).as_bytes();
        Ok(linked)
    }

    /// Folds a linked change.
    pub(super) fn follow(&mut self, change: &PayoutChanged) {
        self.seq = change.participant_seq;
        self.issued_minor.insert(change.issued_total.currency, change.issued_total.minor);
        self.last_hash = *blake3::hash(&crate::codec::payout_payload(change)).as_bytes();
    }
}

/// Approves and issues what was proposed for a period, in the order of ids.
pub(super) fn approve(state: &State, period: &str) -> Result<Vec<Event>, Rejection> {
    let mut chains = state.chains.clone();
    let mut events = Vec::new();
    let proposed =
        state.payouts.values().filter(|payout| payout.period == period && payout.state == PayoutState::Proposed);
    for payout in proposed {
        let employee = payout.participant_id;
        let chain = chains.entry(employee).or_default();
        let steps = [
            (PayoutState::Approved, "approved", "liability:proposed", "liability:payable"),
            (PayoutState::Issued, "issued", "liability:payable", "liability:in-transit"),
        ];
        for (state, name, debit, credit) in steps {
            events.push(Event::PayoutChanged(chain.link(PayoutChanged { state, ..payout.clone() })?));
            let reference = format!("payout {} {name}", payout.payout_id);
            let (debit, credit) = (account(debit, employee), account(credit, employee));
            events.push(posted(&payout.legal_entity, period, reference, debit, credit, payout.amount));
        }
    }
    Ok(events)
}
