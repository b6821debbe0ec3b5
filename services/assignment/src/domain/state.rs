//! What assignment knows of one tenant. What routing needs at once is indexed; every index is part of the fold, and
//! [`super::invariants`] compares each with what it is made from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use kernel::{AssignmentId, CustomerId, EmployeeId, IdMap, InquiryId, ReservationId, Timestamp};
use serde::{Deserialize, Serialize};

use super::types::{
    AgentFacts, Arrival, Command, DeskFacts, IntentScore, Policy, PositionFacts, Presence, RosterFact, Wait,
};

/// Ended reservations that are remembered, so that a late accept is told what became of its offer (L9).
pub(super) const RESERVATIONS_MAX: usize = 50_000;

/// Intents that are kept for inquiries that have not come: theirs come within seconds, or never when an inquiry is
/// parked. The oldest gives way, and its inquiry is then routed without (L9).
pub(super) const PENDING_INTENTS_MAX: usize = 50_000;

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub live: Live,
    pub memory: Memory,
}

/// What routing works on; a look ahead copies the part that it needs.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Live {
    pub seed: [u8; 16],
    pub policy: Policy,
    pub positions: BTreeMap<String, PositionFacts>,
    pub desks: BTreeMap<String, Desk>,
    pub agents: IdMap<EmployeeId, Agent>,
    pub presence: IdMap<EmployeeId, Presence>,
    /// Agents that are alike in all that an inquiry may ask for.
    pub profiles: Vec<Profile>,
    /// Profiles of one desk and position: whom a decision passes over at once.
    pub groups: Vec<Group>,
    pub inquiries: IdMap<InquiryId, Inquiry>,
    /// Facts of the roster that count from a later time on, in the order of time and arrival.
    pub upcoming: BTreeMap<(Timestamp, u64), RosterFact>,
    pub(super) timers: BTreeMap<(Timestamp, [u8; 16]), Due>,
    pub(super) arrivals: u64,
    pub(super) assignments: u64,
    pub(super) noted: u64,
}

/// What a timer asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Due {
    Intent(InquiryId),
    Offer(ReservationId, InquiryId),
    Wait(InquiryId, Wait),
    WrapUp(InquiryId),
    Desk(String),
}

impl Due {
    fn command(&self) -> Command {
        match self {
            Self::Intent(inquiry_id) => Command::IntentDue { inquiry_id: *inquiry_id },
            Self::Offer(reservation_id, inquiry_id) => {
                Command::OfferDue { reservation_id: *reservation_id, inquiry_id: *inquiry_id }
            }
            Self::Wait(inquiry_id, wait) => Command::WaitDue { inquiry_id: *inquiry_id, wait: *wait },
            Self::WrapUp(inquiry_id) => Command::WrapUpDue { inquiry_id: *inquiry_id },
            Self::Desk(desk) => Command::RouteDesk { desk: desk.clone() },
        }
    }
}

/// What is kept when an inquiry is over.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Memory {
    pub ended: IdMap<InquiryId, Ended>,
    pub customers: IdMap<CustomerId, Customer>,
    /// Intents that came before their inquiry.
    pub pending_intents: IdMap<InquiryId, IntentScore>,
    /// In the order in which they came; some may be gone from the map.
    pub(super) pending_order: VecDeque<InquiryId>,
    pub reservations: IdMap<ReservationId, (InquiryId, OfferState)>,
    pub(super) over: VecDeque<ReservationId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfferState {
    Pending,
    Accepted,
    Rejected,
    TimedOut,
    Cancelled,
    Rescinded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    pub completed: bool,
    pub employee_id: Option<EmployeeId>,
    pub waited_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Customer {
    /// They had an inquiry or an order: no new customer. Only to be somebody's other name does not make one known.
    pub seen: bool,
    /// Who spoke with them last, and when.
    pub handler: Option<(EmployeeId, Timestamp)>,
    pub merged_into: Option<CustomerId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Desk {
    pub facts: Option<DeskFacts>,
    pub agents: BTreeSet<EmployeeId>,
    /// Who holds each position, and how many agents of the desk have each skill: what nobody has is not waited for.
    pub positions: BTreeMap<String, Staff>,
    pub skills: BTreeMap<String, u32>,
    /// Waiting inquiries that want the same, each set in the order of the queue.
    pub classes: BTreeMap<Need, BTreeSet<Place>>,
    /// Waiting inquiries for one agent.
    pub for_agent: BTreeMap<EmployeeId, BTreeSet<Place>>,
    /// When the desk's waiting inquiries are matched anew.
    pub next_due: Option<Timestamp>,
    pub(super) attempts: u64,
}

/// The agents of a desk who hold one position.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Staff {
    pub agents: u32,
    /// How many speak each language; under the empty text those who speak any.
    pub languages: BTreeMap<String, u32>,
}

/// What a waiting inquiry wants of an agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Need {
    pub intent: String,
    pub language: String,
    /// Empty: none.
    pub skill: String,
    /// A new customer's first reception.
    pub first: bool,
}

/// An inquiry's place in the queue: arrival less head start in microseconds, then the order of arrival. Linear aging:
/// what has a head start of p minutes can be overtaken only by what waited p minutes longer.
pub type Place = (i64, u64, InquiryId);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    pub facts: AgentFacts,
    pub left: bool,
    pub on_shift: bool,
    /// Missed offers in a row.
    pub misses: u32,
    /// What each inquiry holds of the capacity.
    pub held: Vec<(InquiryId, u32)>,
    pub held_units: u32,
    /// Number of the last assignment, counted over the tenant; 0 before the first.
    pub last_assigned: u64,
    /// The seeded hash that breaks ties.
    pub tie: u64,
    /// Index of the agent's profile; none once they left.
    pub profile: Option<u32>,
}

/// Agents with the same desk, position, languages, skills and experience.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    pub desk: String,
    pub position: String,
    /// Primary ones, ascending; empty: any.
    pub languages: Vec<String>,
    /// Ascending, without their levels: no rule asks for a level.
    pub skills: Vec<String>,
    /// Bits of the languages and skills: who lacks a bit lacks the text, without comparing texts.
    pub bits: u64,
    pub experienced: bool,
    /// Index of the group of its desk and position.
    pub group: u32,
    /// Those who are available and have room for one more are in `free`.
    pub count: Count,
    pub free: BTreeSet<FreeKey>,
}

/// The profiles of one desk and position.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Group {
    pub desk: String,
    pub position: String,
    /// Indexes of the profiles that have members, ascending.
    pub profiles: Vec<u32>,
    pub count: Count,
}

/// How many agents are in which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    pub members: u32,
    pub off_shift: u32,
    pub not_available: u32,
    /// On shift and available.
    pub available: u32,
}

/// The bit of a language or skill: half of the bits are for each.
pub(super) fn bit_of(text: &str, skill: bool) -> u64 {
    // FNV-1a; any spread does.
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    1 << ((hash >> 32) % 32 + if skill { 32 } else { 0 })
}

impl Count {
    pub(super) fn of(&mut self, status: Status) -> &mut u32 {
        match status {
            Status::OffShift => &mut self.off_shift,
            Status::NotAvailable => &mut self.not_available,
            Status::Available => &mut self.available,
        }
    }
}

/// The order of choice: load in parts per million, longest since the last assignment, seeded hash, id.
pub type FreeKey = (u32, u64, u64, EmployeeId);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    pub arrival: Arrival,
    pub arrived_at: Timestamp,
    pub arrival_no: u64,
    pub new_customer: bool,
    pub familiar: Option<EmployeeId>,
    pub intent: Option<IntentScore>,
    pub stage: Stage,
    /// Number of reservations so far.
    pub epoch: u32,
    /// Number of assignments so far.
    pub assignments: u32,
    pub transfer_to: Option<EmployeeId>,
    pub sticky_over: bool,
    pub experience_over: bool,
    /// Who is not asked in this round: they declined, or handed it on.
    pub declined: Vec<EmployeeId>,
    pub intent_due: Option<Timestamp>,
    pub sticky_due: Option<Timestamp>,
    pub experience_due: Option<Timestamp>,
    /// The end of the wait for experience, from its beginning on: offers that come to nothing do not lengthen it.
    pub experience_until: Option<Timestamp>,
    pub round_due: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    AwaitingIntent,
    Waiting(Queue),
    Reserved { reservation_id: ReservationId, employee_id: EmployeeId, expires_at: Timestamp, cost: u32 },
    Assigned { assignment_id: AssignmentId, employee_id: EmployeeId, accepted_at: Timestamp, waited_ms: u64, cost: u32 },
    Wrapping { employee_id: EmployeeId, until: Timestamp, waited_ms: u64, cost: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Queue {
    For(EmployeeId),
    Class(Need),
}

/// Whether an agent can be asked at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    OffShift,
    NotAvailable,
    Available,
}

impl Stage {
    /// The state's name, as people and platforms know it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::AwaitingIntent | Self::Waiting(_) => "pending",
            Self::Reserved { .. } => "reserved",
            Self::Assigned { .. } => "assigned",
            Self::Wrapping { .. } => "wrapping",
        }
    }

    /// Who holds it, and how many units.
    pub fn holder(&self) -> Option<(EmployeeId, u32)> {
        match self {
            Self::AwaitingIntent | Self::Waiting(_) => None,
            Self::Reserved { employee_id, cost, .. }
            | Self::Assigned { employee_id, cost, .. }
            | Self::Wrapping { employee_id, cost, .. } => Some((*employee_id, *cost)),
        }
    }
}

impl Inquiry {
    pub(super) fn new(
        arrival: Arrival,
        arrived_at: Timestamp,
        arrival_no: u64,
        new_customer: bool,
        familiar: Option<EmployeeId>,
    ) -> Self {
        Self {
            arrival,
            arrived_at,
            arrival_no,
            new_customer,
            familiar,
            intent: None,
            stage: Stage::AwaitingIntent,
            epoch: 0,
            assignments: 0,
            transfer_to: None,
            sticky_over: false,
            experience_over: false,
            declined: Vec::new(),
            intent_due: None,
            sticky_due: None,
            experience_due: None,
            experience_until: None,
            round_due: None,
        }
    }

    /// The agent it waits for, while it does: whom it was transferred to, else whom the customer knows.
    pub fn target(&self) -> Option<EmployeeId> {
        let familiar = self.familiar.filter(|_| self.assignments == 0);
        self.transfer_to.or(familiar).filter(|_| !self.sticky_over)
    }

    pub(super) fn due(&mut self, wait: Wait) -> &mut Option<Timestamp> {
        match wait {
            Wait::Sticky => &mut self.sticky_due,
            Wait::Experience => &mut self.experience_due,
            Wait::Round => &mut self.round_due,
        }
    }

    /// As it will stand once its offer or assignment has ended.
    pub(super) fn released(&self) -> Self {
        Self { stage: Stage::AwaitingIntent, ..self.clone() }
    }

    pub(super) fn intent(&self) -> &str {
        self.intent.as_ref().map_or("", |score| score.intent.as_str())
    }
}

impl Memory {
    /// The identity that a customer counts as.
    pub fn root(&self, mut id: CustomerId) -> CustomerId {
        while let Some(kept) = self.customers.get(&id).and_then(|customer| customer.merged_into) {
            id = kept;
        }
        id
    }
}

impl Live {
    pub fn capacity(&self, position: &str) -> u32 {
        self.positions.get(position).map_or(0, |position| position.capacity_units)
    }

    pub fn status(&self, agent: &Agent) -> Status {
        if !agent.on_shift {
            Status::OffShift
        } else if self.presence.get(&agent.facts.employee_id) == Some(&Presence::Available) {
            Status::Available
        } else {
            Status::NotAvailable
        }
    }

    /// Load in parts per million of the capacity.
    pub fn load_ppm(&self, agent: &Agent, held_units: u32) -> u32 {
        let capacity = u64::from(self.capacity(&agent.facts.position));
        let ppm = (u64::from(held_units) * 1_000_000).checked_div(capacity).unwrap_or(u64::from(u32::MAX));
        u32::try_from(ppm).unwrap_or(u32::MAX)
    }

    pub fn has_room(&self, agent: &Agent, held_units: u32) -> bool {
        held_units.saturating_add(self.policy.chat_cost) <= self.capacity(&agent.facts.position)
    }

    pub fn next_timer(&self) -> Option<(Timestamp, [u8; 16], Command)> {
        let timer = self.timers.first_key_value().map(|((due, id), wants)| (*due, *id, wants.command()));
        let roster = self
            .upcoming
            .first_key_value()
            .map(|((until, _), _)| (*until, *b"roster effective", Command::RosterDue { until: *until }));
        match (timer, roster) {
            (Some(timer), Some(roster)) => Some(if (roster.0, roster.1) < (timer.0, timer.1) { roster } else { timer }),
            (timer, roster) => timer.or(roster),
        }
    }
}
