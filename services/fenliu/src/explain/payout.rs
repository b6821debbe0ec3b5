//! From a payout back to the inquiries that it came of: payout, statement lines, credits, orders, inquiries.

use std::collections::BTreeMap;

use kernel::{Decimal, PayoutId, TenantId};
use log::{Log, Topic};
use prost::Message;
use proto::common::Money;
use proto::intake::{HistoryInquiryRecorded, InquirySubmitted, OrderRecorded, RefundRecorded};
use proto::kpi::CreditGranted;
use proto::payroll::{BalanceCarried, Basis, CreditNoted, EarningAccrued, PayoutChanged, PlanActivated};

use super::walk::{Codes, Found, Ids, Walk, each, partitions};
use super::{Check, Explanation, Step, schema};

/// The payout that is asked about, if there is one.
pub(super) async fn find<'a>(
    log: &'a dyn Log,
    payout_id: PayoutId,
    tenant: Option<TenantId>,
) -> anyhow::Result<Option<Walk<'a>>> {
    let mut found = None;
    for partition in partitions(log, tenant) {
        each(log, Topic::Payroll, partition, |_, header, payload| {
            let is = |payout: PayoutChanged| payout.payout_id == payout_id.as_bytes();
            if header.schema == schema::PAYOUT_CHANGED && PayoutChanged::decode(payload).is_ok_and(is) {
                found = Some(header.tenant);
            }
        })
        .await?;
    }
    Ok(found.map(|tenant| Walk::new(log, tenant)))
}

/// What a payout is made of, as found on the log.
#[derive(Default)]
struct Made {
    changes: Vec<Found>,
    earnings: Vec<(Found, EarningAccrued)>,
    balances: Vec<Found>,
    /// By credit.
    notes: BTreeMap<Vec<u8>, (Found, CreditNoted)>,
    grants: BTreeMap<Vec<u8>, (Found, CreditGranted)>,
    /// By order, by refund, by inquiry.
    orders: BTreeMap<Vec<u8>, Found>,
    refunds: BTreeMap<Vec<u8>, Found>,
    inquiries: BTreeMap<Vec<u8>, Found>,
    /// Who received an inquiry, by inquiry.
    receptions: BTreeMap<Vec<u8>, Vec<Found>>,
}

pub(super) async fn explain(walk: &Walk<'_>, payout_id: PayoutId) -> anyhow::Result<Explanation> {
    let changes = walk.with_ids(Topic::Payroll, &Ids::one(*payout_id.as_bytes())).await?;
    let changes: Vec<Found> = changes.into_iter().filter(|found| found.schema == schema::PAYOUT_CHANGED).collect();
    let payout: PayoutChanged = changes.first().map_or_else(|| Ok(PayoutChanged::default()), Found::read)?;
    let mut made = made(walk, &payout).await?;
    made.changes = changes;
    let codes = walk.codes().await?;
    let carried_in = carried_in(walk, &payout, made.earnings.first().map_or(u64::MAX, |(found, _)| found.seq)).await?;
    let mut checks = vec![adds_up(&payout, &made.earnings, carried_in)];
    checks.extend(bases(walk, &made).await?);
    checks.push(granted(&made));
    let steps = steps(&made, &codes)?;
    Ok(Explanation { kind: "payout", id: payout_id.to_string(), tenant_id: walk.tenant.to_string(), steps, checks })
}

async fn made(walk: &Walk<'_>, payout: &PayoutChanged) -> anyhow::Result<Made> {
    let mut made = Made::default();
    let mut credits = Ids::default();
    for found in walk.of_schema(Topic::Payroll, schema::EARNING_ACCRUED).await? {
        let earning: EarningAccrued = found.read()?;
        if earning.employee_id == payout.participant_id && earning.posted_in == payout.period {
            earning.credit_ids.iter().for_each(|credit| credits.add(credit));
            made.earnings.push((found, earning));
        }
    }
    for found in walk.of_schema(Topic::Payroll, schema::BALANCE_CARRIED).await? {
        let balance: BalanceCarried = found.read()?;
        if balance.employee_id == payout.participant_id && balance.period == payout.period {
            made.balances.push(found);
        }
    }
    for found in walk.with_ids(Topic::Payroll, &credits).await? {
        if found.schema == schema::CREDIT_NOTED {
            let note: CreditNoted = found.read()?;
            made.notes.insert(note.credit_id.clone(), (found, note));
        }
    }
    let (mut orders, mut inquiries) = (Ids::default(), Ids::default());
    for found in walk.with_ids(Topic::Kpi, &credits).await? {
        if found.schema == schema::CREDIT_GRANTED {
            let grant: CreditGranted = found.read()?;
            orders.add(&grant.order_id);
            inquiries.add(&grant.inquiry_id);
            made.grants.insert(grant.credit_id.clone(), (found, grant));
        }
    }
    facts(walk, &orders, &inquiries, &mut made).await?;
    Ok(made)
}

/// The facts behind the credits.
async fn facts(walk: &Walk<'_>, orders: &Ids, inquiries: &Ids, made: &mut Made) -> anyhow::Result<()> {
    for found in walk.with_ids(Topic::Intake, orders).await? {
        if found.schema == schema::ORDER_RECORDED {
            let order: OrderRecorded = found.read()?;
            made.orders.insert(order.order_id, found);
        } else if found.schema == schema::REFUND_RECORDED {
            let refund: RefundRecorded = found.read()?;
            made.refunds.insert(refund.refund_id, found);
        }
    }
    for found in walk.with_ids(Topic::Intake, inquiries).await? {
        let id = match found.schema {
            schema::INQUIRY_SUBMITTED => found.read::<InquirySubmitted>()?.inquiry_id,
            schema::HISTORY_INQUIRY_RECORDED => found.read::<HistoryInquiryRecorded>()?.inquiry_id,
            _ => continue,
        };
        made.inquiries.insert(id, found);
    }
    for found in walk.with_ids(Topic::Assignment, inquiries).await? {
        if found.schema == schema::RESERVATION_ACCEPTED {
            let accepted: proto::assignment::ReservationAccepted = found.read()?;
            made.receptions.entry(accepted.inquiry_id).or_default().push(found);
        }
    }
    Ok(())
}

fn steps(made: &Made, codes: &Codes) -> anyhow::Result<Vec<Step>> {
    let mut steps = Vec::new();
    for found in &made.changes {
        steps.push(found.step(codes)?);
    }
    for (found, _) in &made.earnings {
        steps.push(found.step(codes)?);
    }
    for found in &made.balances {
        steps.push(found.step(codes)?);
    }
    for (credit_id, (found, _)) in &made.notes {
        let mut note = found.step(codes)?;
        if let Some((found, grant)) = made.grants.get(credit_id) {
            let mut granted = found.step(codes)?;
            // A sale's outcome is its order, a refund's the refund.
            let refund = made.refunds.get(&grant.outcome_id).into_iter();
            let order = refund.chain(made.orders.get(&grant.order_id));
            let inquiry = made.inquiries.get(&grant.inquiry_id).into_iter();
            let receptions = made.receptions.get(&grant.inquiry_id).into_iter().flatten();
            for behind in order.chain(inquiry).chain(receptions) {
                granted.because.push(behind.step(codes)?);
            }
            note.because.push(granted);
        }
        steps.push(note);
    }
    Ok(steps)
}

/// What the participant owed in the payout's currency before this close.
async fn carried_in(walk: &Walk<'_>, payout: &PayoutChanged, before: u64) -> anyhow::Result<i64> {
    let mut carried = 0;
    for found in walk.of_schema(Topic::Payroll, schema::BALANCE_CARRIED).await? {
        let carry: BalanceCarried = found.read()?;
        let Some(balance) = carry.balance.filter(|balance| currency(payout) == balance.currency) else { continue };
        let same = carry.employee_id == payout.participant_id && carry.legal_entity == payout.legal_entity;
        if found.seq < before && same {
            carried = balance.minor;
        }
    }
    Ok(carried)
}

fn currency(payout: &PayoutChanged) -> &str {
    payout.amount.as_ref().map_or("", |amount| &amount.currency)
}

fn minor(money: Option<&Money>) -> i64 {
    money.map_or(0, |money| money.minor)
}

fn shown(minor: i64, like: Option<&Money>) -> String {
    like.map_or_else(String::new, |money| format!("{} {}", Decimal::new(minor, money.exponent), money.currency))
}

fn decimal(money: Option<&Money>) -> Decimal {
    money.map_or(Decimal::ZERO, |money| Decimal::new(money.minor, money.exponent))
}

fn adds_up(payout: &PayoutChanged, earnings: &[(Found, EarningAccrued)], carried_in: i64) -> Check {
    let deltas = earnings.iter().filter_map(|(_, earning)| earning.delta.as_ref());
    let lines: i64 = deltas.filter(|delta| delta.currency == currency(payout)).map(|delta| delta.minor).sum();
    let like = payout.amount.as_ref();
    let paid = minor(like);
    let [lines_shown, carried, paid_shown] = [lines, carried_in, paid].map(|minor| shown(minor, like));
    let what = format!("lines of {lines_shown} and a carried balance of {carried} are the payout of {paid_shown}");
    Check { what, holds: lines + carried_in == paid }
}

/// The credits of each line are what it paid on.
async fn bases(walk: &Walk<'_>, made: &Made) -> anyhow::Result<Vec<Check>> {
    let mut plans: BTreeMap<Vec<u8>, PlanActivated> = BTreeMap::new();
    for found in walk.of_schema(Topic::Payroll, schema::PLAN_ACTIVATED).await? {
        let plan: PlanActivated = found.read()?;
        plans.insert(plan.plan_hash.clone(), plan);
    }
    let check = |(_, earning): &(Found, EarningAccrued)| {
        let component = plans.get(&earning.plan_hash)?.components.iter().find(|c| c.code == earning.component)?;
        let credits = earning.credit_ids.iter().filter_map(|id| made.notes.get(id));
        let sum: Decimal = match component.basis() {
            Basis::Orders => Decimal::from(credits.count()),
            Basis::NetSales | Basis::NewCustomerSales | Basis::Unspecified => {
                credits.map(|(_, note)| decimal(note.amount.as_ref())).sum()
            }
        };
        let basis = Decimal::from_str_exact(&earning.basis_value).ok()?;
        let EarningAccrued { component, period, credit_ids, .. } = earning;
        let what = format!("{} credits give the basis {basis} of {component} in {period}", credit_ids.len());
        Some(Check { what, holds: sum == basis })
    };
    let missing = |(_, earning): &(Found, EarningAccrued)| Check {
        what: format!("the plan of {} is on the log", earning.component),
        holds: false,
    };
    Ok(made.earnings.iter().map(|earning| check(earning).unwrap_or_else(|| missing(earning))).collect())
}

/// Every credit that is paid on was granted, with the same amount.
fn granted(made: &Made) -> Check {
    let ids = made.earnings.iter().flat_map(|(_, earning)| &earning.credit_ids);
    let same = |id: &Vec<u8>| {
        let (note, grant) = (made.notes.get(id), made.grants.get(id));
        note.zip(grant).is_some_and(|((_, note), (_, grant))| note.amount == grant.amount)
    };
    let holds = ids.clone().all(same);
    Check { what: format!("each of {} credits was granted by kpi with the same amount", made.notes.len()), holds }
}
