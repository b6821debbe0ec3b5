//! Events of payroll as they stand on the log.

use kernel::{CreditId, Currency, EmployeeId, InquiryId, Money, OrderId, PayoutId, Rate, Rounding, Timestamp};
use prost::Message as _;
use proto::payroll as pb;
use runtime::{CodecError, wire};

use crate::domain::{
    Basis, Company, Component, Credit, Earning, Event, Method, Participant, PayoutChanged, PayoutState, Plan, Posting,
    Segment, Tier,
};

mod schema {
    pub(super) const PLAN_ACTIVATED: u16 = 1;
    pub(super) const PARTICIPANT_NOTED: u16 = 2;
    pub(super) const CREDIT_NOTED: u16 = 3;
    pub(super) const CREDIT_REVERSAL_NOTED: u16 = 4;
    pub(super) const COMPANY_NOTED: u16 = 5;
    pub(super) const EARNING_ACCRUED: u16 = 6;
    pub(super) const POSTED: u16 = 7;
    pub(super) const PERIOD_CLOSED: u16 = 8;
    pub(super) const PAYOUT_CHANGED: u16 = 9;
    pub(super) const BALANCE_CARRIED: u16 = 10;
}

/// Schema of `PayoutChanged` on the public topic.
pub(crate) const PUBLIC_PAYOUT_CHANGED: u16 = 1;

fn malformed(error: impl std::fmt::Display) -> CodecError {
    CodecError::Malformed(error.to_string())
}

/// The bytes of a payout's change, the same on both topics: what its chain is a hash of.
pub(crate) fn payout_payload(change: &PayoutChanged) -> Vec<u8> {
    payout_to_wire(change.clone()).encode_to_vec()
}

/// blake3 of a plan's stored bytes without the hash itself.
pub(crate) fn plan_hash(plan: &Plan) -> [u8; 32] {
    *blake3::hash(&plan_to_wire(plan.clone(), &[]).encode_to_vec()).as_bytes()
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event.clone() {
        Event::PlanActivated { plan, plan_hash } => {
            wire::put(schema::PLAN_ACTIVATED, &plan_to_wire(plan, &plan_hash), payload)
        }
        Event::CompanyNoted(company) => {
            let currency = company.currency.code().to_owned();
            let event = pb::CompanyNoted { legal_entity: company.legal_entity, currency, zone: company.zone };
            wire::put(schema::COMPANY_NOTED, &event, payload)
        }
        Event::ParticipantNoted { employee_id, participant, effective_from } => {
            let event = pb::ParticipantNoted {
                employee_id: employee_id.to_vec(),
                code: participant.code,
                position: participant.position,
                effective_from_us: effective_from.as_micros(),
            };
            wire::put(schema::PARTICIPANT_NOTED, &event, payload)
        }
        Event::CreditNoted { credit_id, credit, kpi_seq } => {
            let event = pb::CreditNoted {
                credit_id: credit_id.to_vec(),
                employee_id: credit.employee_id.to_vec(),
                order_id: credit.order_id.to_vec(),
                inquiry_id: credit.inquiry_id.map(InquiryId::to_vec).unwrap_or_default(),
                amount: wire::to_money(credit.amount),
                occurred_at_us: credit.occurred_at.as_micros(),
                refund: credit.refund,
                new_customer: credit.new_customer,
                kpi_seq,
            };
            wire::put(schema::CREDIT_NOTED, &event, payload)
        }
        Event::CreditReversalNoted { credit_id, kpi_seq } => {
            let event = pb::CreditReversalNoted { credit_id: credit_id.to_vec(), kpi_seq };
            wire::put(schema::CREDIT_REVERSAL_NOTED, &event, payload)
        }
        Event::PeriodClosed { period, start, end, kpi_known_seq, participants } => {
            let (start_us, end_us) = (start.as_micros(), end.as_micros());
            let event = pb::PeriodClosed { period, start_us, end_us, kpi_known_seq, participants };
            wire::put(schema::PERIOD_CLOSED, &event, payload)
        }
        Event::EarningAccrued(earning) => wire::put(schema::EARNING_ACCRUED, &earning_to_wire(earning), payload),
        Event::Posted { legal_entity, postings, reference, period } => {
            let posting =
                |posting: Posting| pb::Posting { account: posting.account, amount: wire::to_money(posting.amount) };
            let postings = postings.into_iter().map(posting).collect();
            wire::put(schema::POSTED, &pb::Posted { legal_entity, postings, reference, period }, payload)
        }
        Event::BalanceCarried { employee_id, legal_entity, period, balance } => {
            let (employee_id, balance) = (employee_id.to_vec(), wire::to_money(balance));
            wire::put(
                schema::BALANCE_CARRIED,
                &pb::BalanceCarried { employee_id, period, balance, legal_entity },
                payload,
            )
        }
        Event::PayoutChanged(change) => wire::put(schema::PAYOUT_CHANGED, &payout_to_wire(change), payload),
    }
}

fn plan_to_wire(plan: Plan, plan_hash: &[u8]) -> pb::PlanActivated {
    let tier = |tier: Tier| pb::Tier {
        lo: tier.lo.to_string(),
        hi: tier.hi.map(|hi| hi.to_string()).unwrap_or_default(),
        rate: tier.rate.to_string(),
    };
    let component = |component: Component| pb::Component {
        code: component.code,
        basis: match component.basis {
            Basis::NetSales => pb::Basis::NetSales,
            Basis::Orders => pb::Basis::Orders,
            Basis::NewCustomerSales => pb::Basis::NewCustomerSales,
        }
        .into(),
        method: match component.method {
            Method::Marginal => pb::TableMethod::Marginal,
            Method::Slab => pb::TableMethod::Slab,
        }
        .into(),
        tiers: component.tiers.into_iter().map(tier).collect(),
    };
    pb::PlanActivated {
        code: plan.code,
        version: plan.version,
        plan_hash: plan_hash.to_vec(),
        position: plan.position,
        currency: plan.currency.code().to_owned(),
        components: plan.components.into_iter().map(component).collect(),
        rounding: match plan.rounding {
            Rounding::HalfUp => "half_up",
            Rounding::HalfEven => "half_even",
        }
        .to_owned(),
        effective_from_us: plan.effective_from.as_micros(),
    }
}

pub(crate) fn segment_to_wire(segment: Segment) -> pb::Segment {
    pb::Segment {
        lo: segment.lo.to_string(),
        hi: segment.hi.map(|hi| hi.to_string()).unwrap_or_default(),
        amount: segment.amount.to_string(),
        rate: segment.rate.to_string(),
        earned: segment.earned.to_string(),
    }
}

fn earning_to_wire(earning: Earning) -> pb::EarningAccrued {
    pb::EarningAccrued {
        employee_id: earning.employee_id.to_vec(),
        period: earning.period,
        plan_code: earning.plan_code,
        plan_hash: earning.plan_hash.to_vec(),
        component: earning.component,
        basis_value: earning.basis_value.to_string(),
        segments: earning.segments.into_iter().map(segment_to_wire).collect(),
        exact: earning.exact.to_string(),
        amount: wire::to_money(earning.amount),
        delta: wire::to_money(earning.delta),
        credit_ids: earning.credit_ids.into_iter().map(CreditId::to_vec).collect(),
        posted_in: earning.posted_in,
    }
}

pub(crate) fn state_to_wire(state: PayoutState) -> pb::PayoutState {
    match state {
        PayoutState::Proposed => pb::PayoutState::Proposed,
        PayoutState::Held => pb::PayoutState::Held,
        PayoutState::Released => pb::PayoutState::Released,
        PayoutState::Approved => pb::PayoutState::Approved,
        PayoutState::Issued => pb::PayoutState::Issued,
        PayoutState::Submitted => pb::PayoutState::Submitted,
        PayoutState::Accepted => pb::PayoutState::Accepted,
        PayoutState::Rejected => pb::PayoutState::Rejected,
        PayoutState::Settled => pb::PayoutState::Settled,
        PayoutState::Returned => pb::PayoutState::Returned,
        PayoutState::Reissued => pb::PayoutState::Reissued,
        PayoutState::Cancelled => pb::PayoutState::Cancelled,
    }
}

fn payout_to_wire(change: PayoutChanged) -> pb::PayoutChanged {
    pb::PayoutChanged {
        payout_id: change.payout_id.to_vec(),
        version: change.version,
        state: state_to_wire(change.state).into(),
        participant_id: change.participant_id.to_vec(),
        legal_entity: change.legal_entity,
        period: change.period,
        run: change.run,
        amount: wire::to_money(change.amount),
        gross: true,
        participant_seq: change.participant_seq,
        issued_total: wire::to_money(change.issued_total),
        previous_hash: change.previous_hash.to_vec(),
        statement_hash: change.statement_hash.to_vec(),
    }
}

fn employee(bytes: &[u8]) -> Result<EmployeeId, CodecError> {
    wire::id(bytes, "employee_id", EmployeeId::from_bytes)
}

fn bytes32(bytes: &[u8], field: &str) -> Result<[u8; 32], CodecError> {
    bytes.try_into().map_err(|_| malformed(format!("{field} has {} bytes, not 32", bytes.len())))
}

fn rate(text: &str) -> Result<Rate, CodecError> {
    text.parse().map_err(malformed)
}

fn optional_rate(text: &str) -> Result<Option<Rate>, CodecError> {
    if text.is_empty() { Ok(None) } else { rate(text).map(Some) }
}

fn currency(text: &str) -> Result<Currency, CodecError> {
    text.parse().map_err(malformed)
}

pub(crate) fn decode(schema: u16, payload: &[u8]) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::PLAN_ACTIVATED => {
            let event = pb::PlanActivated::decode(payload)?;
            let plan_hash = bytes32(&event.plan_hash, "plan_hash")?;
            Event::PlanActivated { plan: plan(event)?, plan_hash }
        }
        schema::COMPANY_NOTED => {
            let event = pb::CompanyNoted::decode(payload)?;
            let currency = currency(&event.currency)?;
            Event::CompanyNoted(Company { legal_entity: event.legal_entity, currency, zone: event.zone })
        }
        schema::PARTICIPANT_NOTED => {
            let event = pb::ParticipantNoted::decode(payload)?;
            Event::ParticipantNoted {
                employee_id: employee(&event.employee_id)?,
                participant: Participant { code: event.code, position: event.position },
                effective_from: Timestamp::from_micros(event.effective_from_us),
            }
        }
        schema::CREDIT_NOTED => {
            let event = pb::CreditNoted::decode(payload)?;
            let credit = Credit {
                employee_id: employee(&event.employee_id)?,
                order_id: wire::id(&event.order_id, "order_id", OrderId::from_bytes)?,
                inquiry_id: wire::optional_id(&event.inquiry_id, "inquiry_id", InquiryId::from_bytes)?,
                amount: wire::money(event.amount, "amount")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                refund: event.refund,
                new_customer: event.new_customer,
            };
            let credit_id = wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?;
            Event::CreditNoted { credit_id, credit, kpi_seq: event.kpi_seq }
        }
        schema::CREDIT_REVERSAL_NOTED => {
            let event = pb::CreditReversalNoted::decode(payload)?;
            let credit_id = wire::id(&event.credit_id, "credit_id", CreditId::from_bytes)?;
            Event::CreditReversalNoted { credit_id, kpi_seq: event.kpi_seq }
        }
        schema::PERIOD_CLOSED => {
            let event = pb::PeriodClosed::decode(payload)?;
            Event::PeriodClosed {
                period: event.period,
                start: Timestamp::from_micros(event.start_us),
                end: Timestamp::from_micros(event.end_us),
                kpi_known_seq: event.kpi_known_seq,
                participants: event.participants,
            }
        }
        schema::EARNING_ACCRUED => Event::EarningAccrued(earning(pb::EarningAccrued::decode(payload)?)?),
        schema::POSTED => {
            let event = pb::Posted::decode(payload)?;
            let posting = |posting: pb::Posting| {
                Ok(Posting { account: posting.account, amount: wire::money(posting.amount, "amount")? })
            };
            Event::Posted {
                legal_entity: event.legal_entity,
                postings: event.postings.into_iter().map(posting).collect::<Result<_, CodecError>>()?,
                reference: event.reference,
                period: event.period,
            }
        }
        schema::BALANCE_CARRIED => {
            let event = pb::BalanceCarried::decode(payload)?;
            let balance = wire::money(event.balance, "balance")?;
            let (legal_entity, period) = (event.legal_entity, event.period);
            Event::BalanceCarried { employee_id: employee(&event.employee_id)?, legal_entity, period, balance }
        }
        schema::PAYOUT_CHANGED => Event::PayoutChanged(payout(pb::PayoutChanged::decode(payload)?)?),
        other => return Err(CodecError::UnknownSchema(other)),
    })
}

fn plan(event: pb::PlanActivated) -> Result<Plan, CodecError> {
    let tier = |tier: pb::Tier| Ok(Tier { lo: rate(&tier.lo)?, hi: optional_rate(&tier.hi)?, rate: rate(&tier.rate)? });
    let component = |component: pb::Component| {
        Ok(Component {
            basis: match component.basis() {
                pb::Basis::NetSales => Basis::NetSales,
                pb::Basis::Orders => Basis::Orders,
                pb::Basis::NewCustomerSales => Basis::NewCustomerSales,
                pb::Basis::Unspecified => return Err(malformed("a component without basis")),
            },
            method: match component.method() {
                pb::TableMethod::Marginal => Method::Marginal,
                pb::TableMethod::Slab => Method::Slab,
                pb::TableMethod::Unspecified => return Err(malformed("a component without method")),
            },
            code: component.code,
            tiers: component.tiers.into_iter().map(tier).collect::<Result<_, CodecError>>()?,
        })
    };
    Ok(Plan {
        code: event.code,
        version: event.version,
        position: event.position,
        currency: currency(&event.currency)?,
        components: event.components.into_iter().map(component).collect::<Result<_, CodecError>>()?,
        rounding: match event.rounding.as_str() {
            "half_up" => Rounding::HalfUp,
            "half_even" => Rounding::HalfEven,
            other => return Err(malformed(format!("rounding {other:?} is not known here"))),
        },
        effective_from: Timestamp::from_micros(event.effective_from_us),
    })
}

fn earning(event: pb::EarningAccrued) -> Result<Earning, CodecError> {
    let segment = |segment: pb::Segment| {
        Ok(Segment {
            lo: rate(&segment.lo)?,
            hi: optional_rate(&segment.hi)?,
            amount: rate(&segment.amount)?,
            rate: rate(&segment.rate)?,
            earned: rate(&segment.earned)?,
        })
    };
    let credit = |id: Vec<u8>| wire::id(&id, "credit_id", CreditId::from_bytes);
    Ok(Earning {
        employee_id: employee(&event.employee_id)?,
        period: event.period,
        posted_in: event.posted_in,
        plan_code: event.plan_code,
        plan_hash: bytes32(&event.plan_hash, "plan_hash")?,
        component: event.component,
        basis_value: rate(&event.basis_value)?,
        segments: event.segments.into_iter().map(segment).collect::<Result<_, CodecError>>()?,
        exact: rate(&event.exact)?,
        amount: wire::money(event.amount, "amount")?,
        delta: wire::money(event.delta, "delta")?,
        credit_ids: event.credit_ids.into_iter().map(credit).collect::<Result<_, _>>()?,
    })
}

fn payout(event: pb::PayoutChanged) -> Result<PayoutChanged, CodecError> {
    let state = match event.state() {
        pb::PayoutState::Proposed => PayoutState::Proposed,
        pb::PayoutState::Held => PayoutState::Held,
        pb::PayoutState::Released => PayoutState::Released,
        pb::PayoutState::Approved => PayoutState::Approved,
        pb::PayoutState::Issued => PayoutState::Issued,
        pb::PayoutState::Submitted => PayoutState::Submitted,
        pb::PayoutState::Accepted => PayoutState::Accepted,
        pb::PayoutState::Rejected => PayoutState::Rejected,
        pb::PayoutState::Settled => PayoutState::Settled,
        pb::PayoutState::Returned => PayoutState::Returned,
        pb::PayoutState::Reissued => PayoutState::Reissued,
        pb::PayoutState::Cancelled => PayoutState::Cancelled,
        pb::PayoutState::Unspecified => return Err(malformed("a payout without state")),
    };
    let amount: Money = wire::money(event.amount, "amount")?;
    Ok(PayoutChanged {
        payout_id: wire::id(&event.payout_id, "payout_id", PayoutId::from_bytes)?,
        version: event.version,
        state,
        participant_id: employee(&event.participant_id)?,
        legal_entity: event.legal_entity,
        period: event.period,
        run: event.run,
        amount,
        participant_seq: event.participant_seq,
        issued_total: wire::money(event.issued_total, "issued_total")?,
        previous_hash: bytes32(&event.previous_hash, "previous_hash")?,
        statement_hash: bytes32(&event.statement_hash, "statement_hash")?,
    })
}
