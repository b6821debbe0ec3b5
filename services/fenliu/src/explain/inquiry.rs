//! From an inquiry to what it paid.

use std::collections::BTreeSet;

use anyhow::bail;
use kernel::{InquiryId, TenantId};
use log::{Log, Topic};
use prost::Message;
use proto::intake::{HistoryInquiryRecorded, InquirySubmitted};
use proto::kpi::CreditGranted;
use proto::payroll::{EarningAccrued, PayoutChanged};

use super::walk::{Found, Ids, Walk, each, partitions};
use super::{Check, Explanation, INQUIRY_TOPICS, Subject, decision, schema, sort};

/// The inquiry that is asked about, if there is one.
pub(super) async fn find<'a>(
    log: &'a dyn Log,
    subject: &Subject,
    tenant: Option<TenantId>,
) -> anyhow::Result<Option<(Walk<'a>, InquiryId)>> {
    let mut matches = Vec::new();
    for partition in partitions(log, tenant) {
        each(log, Topic::Intake, partition, |_, header, payload| {
            if tenant.is_none_or(|tenant| tenant == header.tenant)
                && let Some(id) = inquiry_of(subject, header.schema, payload)
            {
                matches.push((header.tenant, id));
            }
        })
        .await?;
    }
    match matches[..] {
        [] => Ok(None),
        [(tenant, id)] => Ok(Some((Walk::new(log, tenant), id))),
        [..] => bail!("{} companies have an inquiry of this name; say which with --tenant CODE", matches.len()),
    }
}

/// The id of the inquiry that a record begins, when it is the one that is asked about.
fn inquiry_of(subject: &Subject, schema: u16, payload: &[u8]) -> Option<InquiryId> {
    let (id, platform, external_id) = match schema {
        schema::INQUIRY_SUBMITTED => {
            let inquiry = InquirySubmitted::decode(payload).ok()?;
            (inquiry.inquiry_id, inquiry.platform, inquiry.external_id)
        }
        schema::HISTORY_INQUIRY_RECORDED => {
            let inquiry = HistoryInquiryRecorded::decode(payload).ok()?;
            (inquiry.inquiry_id, inquiry.platform, inquiry.external_id)
        }
        _ => return None,
    };
    let asked = match subject {
        Subject::Id(asked) => id == asked,
        Subject::Inquiry { platform: of, external_id: name } => platform == *of && external_id == *name,
    };
    if asked { InquiryId::from_slice(&id).ok() } else { None }
}

pub(super) async fn explain(walk: &Walk<'_>, inquiry_id: InquiryId) -> anyhow::Result<Explanation> {
    let own = Ids::one(*inquiry_id.as_bytes());
    let mut all = Vec::new();
    for topic in INQUIRY_TOPICS {
        all.extend(walk.with_ids(topic, &own).await?);
    }
    let (orders, credits) = outcomes(&all)?;
    all.extend(walk.with_ids(Topic::Intake, &orders).await?);
    all.extend(walk.with_ids(Topic::Kpi, &orders).await?);
    all.extend(walk.with_ids(Topic::Kpi, &credits).await?);
    let pay = walk.with_ids(Topic::Payroll, &credits).await?;
    all.extend(payouts(walk, &pay).await?);
    all.extend(pay);
    sort(&mut all);
    let mut tables = decision::tables(walk, inquiry_id, &assignment_of(&all)).await?;
    let codes = walk.codes().await?;
    let mut steps = Vec::with_capacity(all.len());
    let mut checks = Vec::new();
    for found in &all {
        let mut step = found.step(&codes)?;
        if found.topic == Topic::Assignment && found.schema == schema::RESERVATION_MADE {
            step.decision = tables.remove(&found.seq);
            let holds = step.decision.as_ref().is_some_and(|table| table.equal);
            let what = format!("the decision in record {} comes out the same when it is taken again", found.seq);
            checks.push(Check { what, holds });
        }
        steps.push(step);
    }
    Ok(Explanation { kind: "inquiry", id: inquiry_id.to_string(), tenant_id: walk.tenant.to_string(), steps, checks })
}

fn assignment_of(all: &[Found]) -> Vec<Found> {
    all.iter().filter(|found| found.topic == Topic::Assignment).cloned().collect()
}

/// Orders and credits that were attributed to the inquiry.
fn outcomes(all: &[Found]) -> anyhow::Result<(Ids, Ids)> {
    let (mut orders, mut credits) = (Ids::default(), Ids::default());
    let granted = all.iter().filter(|found| found.topic == Topic::Kpi && found.schema == schema::CREDIT_GRANTED);
    for found in granted {
        let credit: CreditGranted = found.read()?;
        orders.add(&credit.order_id);
        credits.add(&credit.credit_id);
    }
    Ok((orders, credits))
}

/// The payouts that pay the earnings among `pay`.
async fn payouts(walk: &Walk<'_>, pay: &[Found]) -> anyhow::Result<Vec<Found>> {
    let mut paid = BTreeSet::new();
    for found in pay.iter().filter(|found| found.schema == schema::EARNING_ACCRUED) {
        let earning: EarningAccrued = found.read()?;
        paid.insert((earning.employee_id, earning.posted_in));
    }
    if paid.is_empty() {
        return Ok(Vec::new());
    }
    walk.select(Topic::Payroll, |header, payload| {
        header.schema == schema::PAYOUT_CHANGED
            && PayoutChanged::decode(payload).is_ok_and(|payout| paid.contains(&(payout.participant_id, payout.period)))
    })
    .await
}
