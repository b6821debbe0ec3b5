//! The words of assignment: commands, events, rejections.

use kernel::{AssignmentId, CustomerId, EmployeeId, InquiryId, Refusal, RefusalKind, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

/// When no intent fits, or none came in time.
pub const OUT_OF_SCOPE: &str = "out_of_scope";

/// What assignment keeps of an inquiry when it arrives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrival {
    pub inquiry_id: InquiryId,
    pub customer_id: CustomerId,
    pub desk: String,
    pub platform: String,
    pub external_id: String,
    pub language: String,
    pub category: String,
    pub priority_minutes: u32,
    pub occurred_at: Timestamp,
}

/// What people and platforms call the things in an event; no fold reads it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names {
    pub platform: String,
    pub external_id: String,
    /// Roster code; empty when the event is about no employee.
    pub employee: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntentScore {
    pub intent: String,
    /// Calibrated probability in parts per million.
    pub ppm: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Wait {
    /// For the agent whom the customer knows, or to whom it was transferred.
    Sticky,
    /// For an agent with the experience that a first reception wants, and the skill that the product wants.
    Experience,
    /// For a new round: all who were asked have declined.
    Round,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Presence {
    Available,
    Paused,
    Offline,
}

/// Hours of one weekday in the desk's local time; minutes after midnight, the end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shift {
    /// 1 = Monday .. 7 = Sunday.
    pub weekday: u32,
    pub start_minute: u32,
    pub end_minute: u32,
}

/// From `from` on, local time is UTC + `seconds`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneOffset {
    pub from: Timestamp,
    pub seconds: i32,
}

/// What assignment needs of an employee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFacts {
    pub employee_id: EmployeeId,
    pub code: String,
    pub desk: String,
    pub position: String,
    /// Skill and level 1..5.
    pub skills: Vec<(String, u32)>,
    /// Empty: any.
    pub languages: Vec<String>,
    /// Empty: at all hours.
    pub shifts: Vec<Shift>,
    pub experience_months: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PositionFacts {
    pub code: String,
    pub version: u32,
    pub duties: Vec<String>,
    pub capacity_units: u32,
    pub first_reception: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeskFacts {
    pub code: String,
    pub offsets: Vec<ZoneOffset>,
}

/// The rules that turn an inquiry, an intent and a desk's state into a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    pub version: u32,
    /// blake3 of its stored bytes; zeros for the built-in one.
    pub hash: [u8; 32],
    pub intent_wait_ms: u32,
    pub accept_timeout_ms: u32,
    pub wrap_up_ms: u32,
    pub chat_cost: u32,
    pub sticky_hours: u32,
    pub sticky_wait_ms: u32,
    pub experience_months: u32,
    pub experience_wait_ms: u32,
    pub misses_max: u32,
    /// Intents and the head start of each in the queue, in minutes.
    pub priorities: Vec<(String, u32)>,
}

/// What a company has that says nothing of a policy.
impl Default for Policy {
    fn default() -> Self {
        Self {
            version: 0,
            hash: [0; 32],
            intent_wait_ms: 500,
            accept_timeout_ms: 30_000,
            wrap_up_ms: 60_000,
            chat_cost: 100,
            sticky_hours: 72,
            sticky_wait_ms: 30_000,
            experience_months: 12,
            experience_wait_ms: 30_000,
            misses_max: 3,
            priorities: Vec::new(),
        }
    }
}

/// A fact of the roster, and from when it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RosterFact {
    Agent(AgentFacts),
    /// Somebody left: the code is all that stays.
    Left(EmployeeId),
    Position(PositionFacts),
    Desk(DeskFacts),
    Policy(Policy),
    /// The tenant's seed of tie-breaks.
    Seed([u8; 16]),
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    NoteInquiry(Arrival),
    NoteIntent {
        inquiry_id: InquiryId,
        score: IntentScore,
    },
    CloseInquiry {
        inquiry_id: InquiryId,
        reason: String,
    },
    /// A past handler of a customer, or only that the customer was there before.
    NoteHandler {
        customer_id: CustomerId,
        employee_id: Option<EmployeeId>,
        occurred_at: Timestamp,
    },
    MergeCustomers {
        kept: CustomerId,
        merged: CustomerId,
    },
    NoteRoster {
        fact: RosterFact,
        effective_from: Timestamp,
    },
    NotePresence {
        employee_id: EmployeeId,
        presence: Presence,
    },

    Accept {
        reservation_id: ReservationId,
        epoch: u32,
    },
    Reject {
        reservation_id: ReservationId,
        epoch: u32,
        reason: String,
    },
    Complete {
        inquiry_id: InquiryId,
        disposition: String,
    },
    Transfer {
        inquiry_id: InquiryId,
        to: Option<EmployeeId>,
        intent: String,
        reason: String,
    },

    /// Timers.
    IntentDue {
        inquiry_id: InquiryId,
    },
    OfferDue {
        reservation_id: ReservationId,
        inquiry_id: InquiryId,
    },
    WaitDue {
        inquiry_id: InquiryId,
        wait: Wait,
    },
    WrapUpDue {
        inquiry_id: InquiryId,
    },
    RosterDue {
        until: Timestamp,
    },
    RouteDesk {
        desk: String,
    },
}

/// The first filter that a candidate failed, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Filter {
    OtherDesk,
    OffShift,
    NotAvailable,
    Duty,
    Language,
    Skill,
    Capacity,
    Declined,
    Experience,
    NotSticky,
}

pub const FILTERS: [Filter; 10] = [
    Filter::OtherDesk,
    Filter::OffShift,
    Filter::NotAvailable,
    Filter::Duty,
    Filter::Language,
    Filter::Skill,
    Filter::Capacity,
    Filter::Declined,
    Filter::Experience,
    Filter::NotSticky,
];

/// What brought a choice about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    Familiar,
    Transfer,
    FirstReception,
    Duty,
    Overflow,
}

/// The proof of one choice (L7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub policy_hash: [u8; 32],
    pub policy_version: u32,
    pub runner_up: Option<EmployeeId>,
    /// Who tied with the winner on all but the seeded hash, the winner first; at most [`TIES_MAX`].
    pub tie_set: Vec<EmployeeId>,
    pub winner_load_ppm: u32,
    pub runner_up_load_ppm: u32,
    /// Candidates per first failing filter; filters that nobody failed are left out.
    pub passed_over: Vec<(Filter, u32)>,
    pub eligible: u32,
    pub probability_ppm: u32,
    pub rule: Rule,
}

/// Employees of a tie that a decision names (L7 wants it bounded).
pub const TIES_MAX: usize = 8;

/// An offer of an inquiry to an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    pub reservation_id: ReservationId,
    pub inquiry_id: InquiryId,
    pub employee_id: EmployeeId,
    /// Which reservation of this inquiry, from 1.
    pub epoch: u32,
    pub expires_at: Timestamp,
    pub cost_units: u32,
    pub decision: Decision,
    pub names: Names,
}

/// An offer that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferEnd {
    pub reservation_id: ReservationId,
    pub inquiry_id: InquiryId,
    pub employee_id: EmployeeId,
    pub names: Names,
}

/// An accepted offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub end: OfferEnd,
    pub epoch: u32,
    pub assignment_id: AssignmentId,
    pub customer_id: CustomerId,
    pub desk: String,
    pub intent: String,
    pub waited_ms: u64,
    /// The inquiry's first assignment.
    pub first: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completed {
    pub assignment_id: AssignmentId,
    pub inquiry_id: InquiryId,
    pub employee_id: EmployeeId,
    pub customer_id: CustomerId,
    pub desk: String,
    pub disposition: String,
    pub handled_ms: u64,
    pub wrap_until: Timestamp,
    pub names: Names,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transferred {
    pub assignment_id: AssignmentId,
    pub inquiry_id: InquiryId,
    pub from: EmployeeId,
    pub to: Option<EmployeeId>,
    pub intent: String,
    pub reason: String,
    pub names: Names,
}

/// What happened. `at` is the envelope's `recorded_at`: the fold needs it for its timers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    InquiryPended {
        arrival: Arrival,
        intent_due: Timestamp,
        new_customer: bool,
        familiar: Option<EmployeeId>,
        at: Timestamp,
    },
    IntentSet {
        inquiry_id: InquiryId,
        score: IntentScore,
        timed_out: bool,
        at: Timestamp,
    },
    PendingIntentNoted {
        inquiry_id: InquiryId,
        score: IntentScore,
    },
    ReservationMade(Box<Offer>),
    ReservationAccepted {
        accepted: Box<Accepted>,
        at: Timestamp,
    },
    ReservationRejected {
        end: OfferEnd,
        epoch: u32,
        reason: String,
        at: Timestamp,
    },
    ReservationTimedOut {
        end: OfferEnd,
        misses: u32,
        at: Timestamp,
    },
    ReservationCancelled {
        end: OfferEnd,
    },
    ReservationRescinded {
        end: OfferEnd,
        at: Timestamp,
    },
    InquiryCompleted(Box<Completed>),
    WrapUpEnded {
        inquiry_id: InquiryId,
        employee_id: EmployeeId,
    },
    InquiryTransferred {
        transferred: Box<Transferred>,
        at: Timestamp,
    },
    InquiryCancelled {
        inquiry_id: InquiryId,
        reason: String,
        employee_id: Option<EmployeeId>,
        names: Names,
    },
    HandlerNoted {
        customer_id: CustomerId,
        employee_id: Option<EmployeeId>,
        occurred_at: Timestamp,
    },
    RosterNoted {
        fact: RosterFact,
        effective_from: Timestamp,
    },
    AgentPresenceNoted {
        employee_id: EmployeeId,
        presence: Presence,
        missed: bool,
    },
    CustomersMerged {
        kept: CustomerId,
        merged: CustomerId,
    },
    WaitEnded {
        inquiry_id: InquiryId,
        wait: Wait,
        at: Timestamp,
    },
    RoutingAttempted {
        desk: String,
        next_due: Option<Timestamp>,
        at: Timestamp,
    },
    RosterTookEffect {
        until: Timestamp,
        at: Timestamp,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("no reservation with this id is open or was lately")]
    ReservationUnknown,
    #[error("the reservation is over: {0}")]
    ReservationOver(&'static str),
    #[error("epoch: the inquiry's reservation has epoch {expected}, not {given}")]
    WrongEpoch { expected: u32, given: u32 },
    #[error("no inquiry with this id")]
    InquiryUnknown,
    #[error("the inquiry is {0}, not assigned")]
    NotAssigned(&'static str),
    #[error("to_employee: no agent with this code works at the inquiry's desk")]
    AgentUnknown,
    #[error("to_employee: has the inquiry already")]
    SameAgent,
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::ReservationUnknown | Self::InquiryUnknown | Self::AgentUnknown => RefusalKind::NotFound,
            Self::ReservationOver(_) | Self::NotAssigned(_) => RefusalKind::FailedPrecondition,
            Self::WrongEpoch { .. } | Self::SameAgent => RefusalKind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::ReservationUnknown => "RESERVATION_UNKNOWN",
            Self::ReservationOver("accepted") => "RESERVATION_ACCEPTED",
            Self::ReservationOver("rejected") => "RESERVATION_REJECTED",
            Self::ReservationOver("timeout") => "RESERVATION_TIMED_OUT",
            Self::ReservationOver("cancelled") => "RESERVATION_CANCELLED",
            Self::ReservationOver(_) => "RESERVATION_RESCINDED",
            Self::WrongEpoch { .. } => "WRONG_EPOCH",
            Self::InquiryUnknown => "INQUIRY_UNKNOWN",
            Self::NotAssigned(_) => "NOT_ASSIGNED",
            Self::AgentUnknown => "AGENT_UNKNOWN",
            Self::SameAgent => "SAME_AGENT",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::WrongEpoch { .. } => Some("epoch"),
            Self::AgentUnknown | Self::SameAgent => Some("to_employee"),
            Self::ReservationUnknown | Self::ReservationOver(_) => Some("reservation_id"),
            Self::InquiryUnknown | Self::NotAssigned(_) => Some("inquiry_id"),
        }
    }
}
