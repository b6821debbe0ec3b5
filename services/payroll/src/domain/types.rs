//! The words of payroll: plans, commands, events, rejections and the state.

use std::collections::BTreeMap;

use kernel::{
    CreditId, Currency, EmployeeId, IdMap, InquiryId, Money, OrderId, PayoutId, Rate, Refusal, RefusalKind, Rounding,
    Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Each tier's rate applies to the part inside the tier.
    Marginal,
    /// The rate of the tier that the whole falls into applies to the whole.
    Slab,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    NetSales,
    Orders,
    NewCustomerSales,
}

/// `[lo, hi)`; the last tier has no `hi`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    pub lo: Rate,
    pub hi: Option<Rate>,
    pub rate: Rate,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Component {
    pub code: String,
    pub basis: Basis,
    pub method: Method,
    pub tiers: Vec<Tier>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    pub code: String,
    pub version: u32,
    /// Position that it pays.
    pub position: String,
    pub currency: Currency,
    pub components: Vec<Component>,
    pub rounding: Rounding,
    pub effective_from: Timestamp,
}

/// A credit of kpi.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    pub employee_id: EmployeeId,
    pub order_id: OrderId,
    pub inquiry_id: Option<InquiryId>,
    pub amount: Money,
    pub occurred_at: Timestamp,
    pub refund: bool,
    pub new_customer: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Company {
    pub legal_entity: String,
    pub currency: Currency,
    pub zone: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant {
    pub code: String,
    pub position: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    ActivatePlan(Plan),
    NoteCompany(Company),
    NoteParticipant { employee_id: EmployeeId, participant: Participant, effective_from: Timestamp },
    NoteCredit { credit_id: CreditId, credit: Credit, kpi_seq: u64 },
    NoteReversal { credit_id: CreditId, kpi_seq: u64 },
    ClosePeriod { period: String, start: Timestamp, end: Timestamp },
    ApprovePayouts { period: String },
}

/// One tier's part of an earning; all exact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    pub lo: Rate,
    pub hi: Option<Rate>,
    pub amount: Rate,
    pub rate: Rate,
    pub earned: Rate,
}

/// What a component earned a participant in a period: a line of a statement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Earning {
    pub employee_id: EmployeeId,
    /// Earned in.
    pub period: String,
    /// Posted with the close of.
    pub posted_in: String,
    pub plan_code: String,
    pub plan_hash: [u8; 32],
    pub component: String,
    pub basis_value: Rate,
    pub segments: Vec<Segment>,
    /// Before the one rounding.
    pub exact: Rate,
    pub amount: Money,
    /// Difference to what was posted before.
    pub delta: Money,
    pub credit_ids: Vec<CreditId>,
}

/// Positive is debit, negative is credit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    pub account: String,
    pub amount: Money,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PayoutState {
    Proposed,
    Held,
    Released,
    Approved,
    Issued,
    Submitted,
    Accepted,
    Rejected,
    Settled,
    Returned,
    Reissued,
    Cancelled,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PayoutChanged {
    pub payout_id: PayoutId,
    pub version: u32,
    pub state: PayoutState,
    pub participant_id: EmployeeId,
    pub legal_entity: String,
    pub period: String,
    pub run: u32,
    pub amount: Money,
    pub participant_seq: u64,
    pub issued_total: Money,
    pub previous_hash: [u8; 32],
    pub statement_hash: [u8; 32],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    PlanActivated { plan: Plan, plan_hash: [u8; 32] },
    CompanyNoted(Company),
    ParticipantNoted { employee_id: EmployeeId, participant: Participant, effective_from: Timestamp },
    CreditNoted { credit_id: CreditId, credit: Credit, kpi_seq: u64 },
    CreditReversalNoted { credit_id: CreditId, kpi_seq: u64 },
    PeriodClosed { period: String, start: Timestamp, end: Timestamp, kpi_known_seq: u64, participants: u32 },
    EarningAccrued(Earning),
    Posted { legal_entity: String, postings: Vec<Posting>, reference: String, period: String },
    BalanceCarried { employee_id: EmployeeId, legal_entity: String, period: String, balance: Money },
    PayoutChanged(PayoutChanged),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("version {given} of plan {code:?} does not follow version {last}; a plan is never changed, only followed")]
    PlanVersion { code: String, given: u32, last: u32 },
    #[error("plan {code:?} pays position {known:?}, not {given:?}; another position needs a plan of its own")]
    PlanPosition { code: String, given: String, known: String },
    #[error("the company is not known yet; import it first")]
    CompanyUnknown,
    #[error("period {0} is not over")]
    PeriodNotOver(String),
    #[error("period {0} is not closed; close it first")]
    PeriodNotClosed(String),
    #[error("period {later} is closed already: periods are closed in their order")]
    PeriodOrder { later: String },
    #[error("credits of {period} are in no closed period and would not be paid; close {period} first")]
    EarlierCredits { period: String },
    #[error("an amount is out of range: {0}")]
    OutOfRange(String),
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        RefusalKind::FailedPrecondition
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::PlanVersion { .. } => "PLAN_VERSION",
            Self::PlanPosition { .. } => "PLAN_POSITION",
            Self::CompanyUnknown => "COMPANY_UNKNOWN",
            Self::PeriodNotOver(_) => "PERIOD_NOT_OVER",
            Self::PeriodNotClosed(_) => "PERIOD_NOT_CLOSED",
            Self::PeriodOrder { .. } => "PERIOD_ORDER",
            Self::EarlierCredits { .. } => "EARLIER_CREDITS",
            Self::OutOfRange(_) => "OUT_OF_RANGE",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closed {
    pub start: Timestamp,
    pub end: Timestamp,
    pub kpi_known_seq: u64,
}

/// Where a participant's payouts are: the chain of the public topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Chain {
    pub seq: u64,
    pub issued_minor: BTreeMap<Currency, i64>,
    pub last_hash: [u8; 32],
}

/// One tenant's pay.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    /// Versions by code, in their order.
    pub plans: BTreeMap<String, Vec<(Plan, [u8; 32])>>,
    pub company: Option<Company>,
    pub participants: BTreeMap<EmployeeId, Vec<(Timestamp, Participant)>>,
    pub credits: IdMap<CreditId, Credit>,
    /// Credits of each participant by time; reversed ones are gone.
    pub credits_of: BTreeMap<EmployeeId, std::collections::BTreeSet<(Timestamp, CreditId)>>,
    pub kpi_known_seq: u64,
    pub closed: BTreeMap<String, Closed>,
    /// Minor units posted by participant, period earned in, plan and component.
    pub posted: BTreeMap<EmployeeId, BTreeMap<(String, String, String), Money>>,
    /// Lines by period posted in and participant.
    pub statements: BTreeMap<(String, EmployeeId), Vec<Earning>>,
    /// What participants owe to each legal entity in each currency: zero or negative. Debts are never set off across them.
    pub carried: BTreeMap<(EmployeeId, String, Currency), i64>,
    /// What was carried out of a period's close, by legal entity.
    pub carried_out: BTreeMap<(String, EmployeeId), Vec<(String, Money)>>,
    pub payouts: BTreeMap<PayoutId, PayoutChanged>,
    pub chains: BTreeMap<EmployeeId, Chain>,
    /// Balance of each account, in minor units, by legal entity and currency.
    pub ledger: BTreeMap<(String, Currency), BTreeMap<String, i128>>,
}
