//! A tenant of assignment for tests: it is told commands, its clock moves, and after every step the laws are checked.

#![allow(dead_code, reason = "each test binary uses its own part")]

pub mod check;
pub mod words;
pub mod world;

use assignment::Assignment;
use assignment::domain::{
    Agent, Command, Event, Inquiry, Offer, Policy, Presence, Rejection, RosterFact, Stage, State,
};
use kernel::{Actor, CommandId, Decider, Duration, EmployeeId, InquiryId, ReservationId, Stamp, TenantId, Timestamp};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};
use runtime::Service;

pub use words::*;

pub const TENANT: TenantId = TenantId::from_bytes([7; 16]);
/// 2026-09-14T02:00:00Z, a Monday: 10:00 in Shanghai.
pub const MONDAY: Timestamp = Timestamp::from_micros(1_789_351_200_000_000);
/// Facts that count from the beginning.
pub const ALWAYS: Timestamp = Timestamp::from_micros(0);

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(seeds)),
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    }
}

pub fn ms(millis: i64) -> Duration {
    Duration::from_millis(millis)
}

pub fn secs(secs: i64) -> Duration {
    Duration::from_secs(secs)
}

pub fn minutes(minutes: i64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub fn round_trip(event: &Event, at: Timestamp) -> Event {
    let mut payload = Vec::new();
    let schema = Assignment::encode(event, &mut payload);
    Assignment::decode(schema, &payload, at).expect("an own event decodes")
}

/// How much is checked after each decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checks {
    All,
    /// Each choice against the naive table; the state is checked by the caller, now and then.
    Choices,
    None,
}

pub struct Tenant {
    pub state: State,
    pub at: Timestamp,
    /// The commands that were given, with their stamps; timers apart.
    pub told: Vec<(Command, Stamp)>,
    /// All events so far, in order.
    pub events: Vec<Event>,
    checks: Checks,
    commands: u64,
}

impl Default for Tenant {
    fn default() -> Self {
        Self::new(Checks::All)
    }
}

impl Tenant {
    pub fn new(checks: Checks) -> Self {
        Self { state: State::default(), at: MONDAY, told: Vec::new(), events: Vec::new(), checks, commands: 0 }
    }

    /// Decides and folds one command at the present instant, after the timers that are due.
    pub fn tell(&mut self, command: Command) -> Result<Vec<Event>, Rejection> {
        self.fire_due();
        self.commands += 1;
        let command_id = CommandId::of_parts(&[b"test", &self.commands.to_le_bytes()]);
        let stamp = Stamp { at: self.at, tenant: TENANT, command_id, actor: Actor::default() };
        self.told.push((command.clone(), stamp.clone()));
        self.step(&command, &stamp)
    }

    /// The same, for what must be carried out; and what is due at once happens too.
    pub fn must(&mut self, command: Command) -> Vec<Event> {
        let mut events = self.tell(command.clone()).unwrap_or_else(|refusal| panic!("{command:?}: {refusal}"));
        events.extend(self.fire_due());
        events
    }

    /// Fires all timers due at the present instant, as the shard does before each input.
    pub fn fire_due(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(timer) = Assignment::next_timer(&self.state).filter(|timer| timer.due <= self.at) {
            let command_id = timer.command_id(TENANT);
            let stamp = Stamp { at: self.at, tenant: TENANT, command_id, actor: Actor::default() };
            let events = self.step(&timer.command, &stamp).unwrap_or_else(|refusal| panic!("a timer: {refusal}"));
            assert!(!events.is_empty(), "the timer {timer:?} fired and changed nothing");
            all.extend(events);
        }
        all
    }

    /// Lets time pass; each timer fires when it is due.
    pub fn pass(&mut self, span: Duration) -> Vec<Event> {
        let until = self.at + span;
        let mut all = Vec::new();
        while let Some(timer) = Assignment::next_timer(&self.state).filter(|timer| timer.due <= until) {
            self.at = self.at.max(timer.due);
            all.extend(self.fire_due());
        }
        self.at = until;
        all
    }

    /// The clock jumps; what was due in between fires late.
    pub fn jump(&mut self, span: Duration) {
        self.at = self.at + span;
    }

    fn step(&mut self, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
        let events = Assignment::decide(&self.state, command, stamp)?;
        for event in &events {
            if self.checks != Checks::None {
                check::choice_equals_the_naive_table(&self.state, event);
            }
            Assignment::evolve(&mut self.state, event);
        }
        self.events.extend(events.iter().cloned());
        if self.checks == Checks::All {
            check::state(&self.state, stamp.at, || format!("{command:?} gave {events:?}"));
        }
        Ok(events)
    }

    // What is the case.

    pub fn inquiry(&self, id: InquiryId) -> &Inquiry {
        self.state.live.inquiries.get(&id).unwrap_or_else(|| panic!("{id} is not live"))
    }

    pub fn agent(&self, code: &str) -> &Agent {
        self.state.live.agents.get(&employee(code)).unwrap_or_else(|| panic!("{code} is not known"))
    }

    /// State and holder of an inquiry in one word: `pending`, `reserved E1`, `completed E2`.
    pub fn status(&self, id: InquiryId) -> String {
        let code = |id: EmployeeId| self.state.live.agents.get(&id).map_or("?", |agent| agent.facts.code.as_str());
        match self.state.live.inquiries.get(&id) {
            Some(inquiry) => match inquiry.stage.holder() {
                Some((holder, _)) => format!("{} {}", inquiry.stage.name(), code(holder)),
                None => inquiry.stage.name().to_owned(),
            },
            None => match self.state.memory.ended.get(&id) {
                Some(ended) => {
                    let state = if ended.completed { "completed" } else { "cancelled" };
                    ended.employee_id.map_or_else(|| state.to_owned(), |holder| format!("{state} {}", code(holder)))
                }
                None => "unknown".to_owned(),
            },
        }
    }

    /// The open offer of an inquiry.
    pub fn offer(&self, id: InquiryId) -> (ReservationId, u32) {
        match self.inquiry(id).stage {
            Stage::Reserved { reservation_id, .. } => (reservation_id, self.inquiry(id).epoch),
            Stage::AwaitingIntent | Stage::Waiting(_) | Stage::Assigned { .. } | Stage::Wrapping { .. } => {
                panic!("{id} is {}", self.status(id))
            }
        }
    }

    /// The last offer that was made of an inquiry.
    pub fn last_offer(&self, id: InquiryId) -> &Offer {
        let made = |event: &'_ &Event| matches!(event, Event::ReservationMade(offer) if offer.inquiry_id == id);
        match self.events.iter().rev().find(made) {
            Some(Event::ReservationMade(offer)) => offer,
            _ => panic!("{id} was never offered"),
        }
    }

    // What people do.

    pub fn roster(&mut self, fact: RosterFact) {
        self.roster_from(fact, ALWAYS);
    }

    pub fn roster_from(&mut self, fact: RosterFact, effective_from: Timestamp) {
        self.must(Command::NoteRoster { fact, effective_from });
    }

    pub fn policy(&mut self, policy: Policy) {
        self.roster(RosterFact::Policy(policy));
    }

    /// An inquiry arrives and its intent is known at once.
    pub fn ask(&mut self, ask: Ask) -> InquiryId {
        let (id, intent) = (ask.arrival.inquiry_id, ask.intent.clone());
        self.must(Command::NoteInquiry(ask.arrival));
        self.intent(id, &intent);
        id
    }

    pub fn intent(&mut self, inquiry_id: InquiryId, intent: &str) -> Vec<Event> {
        self.must(Command::NoteIntent { inquiry_id, score: score(intent) })
    }

    pub fn presence(&mut self, code: &str, presence: Presence) -> Vec<Event> {
        self.must(Command::NotePresence { employee_id: employee(code), presence })
    }

    pub fn accept(&mut self, id: InquiryId) -> Vec<Event> {
        let (reservation_id, epoch) = self.offer(id);
        self.must(Command::Accept { reservation_id, epoch })
    }

    pub fn reject(&mut self, id: InquiryId) -> Vec<Event> {
        let (reservation_id, epoch) = self.offer(id);
        self.must(Command::Reject { reservation_id, epoch, reason: "busy".to_owned() })
    }

    pub fn complete(&mut self, inquiry_id: InquiryId) -> Vec<Event> {
        self.must(Command::Complete { inquiry_id, disposition: String::new() })
    }

    /// Completes an inquiry and waits until its wrap-up is over.
    pub fn finish(&mut self, inquiry_id: InquiryId) {
        self.complete(inquiry_id);
        let wrap_up = i64::from(self.state.live.policy.wrap_up_ms);
        self.pass(ms(wrap_up));
    }

    pub fn transfer(&mut self, inquiry_id: InquiryId, to: &str, intent: &str) -> Result<Vec<Event>, Rejection> {
        let to = (!to.is_empty()).then(|| employee(to));
        let mut events =
            self.tell(Command::Transfer { inquiry_id, to, intent: intent.to_owned(), reason: "asked".to_owned() })?;
        events.extend(self.fire_due());
        Ok(events)
    }

    pub fn close(&mut self, inquiry_id: InquiryId) -> Vec<Event> {
        self.must(Command::CloseInquiry { inquiry_id, reason: "customer left".to_owned() })
    }
}
