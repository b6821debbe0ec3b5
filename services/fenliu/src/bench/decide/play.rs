//! What happens in the company, one command after the other: inquiries come, people accept or reject, complete, wrap
//! up, and timers fire when they are due. As many inquiries come as are completed, so that the queue stays as long.

use std::collections::BTreeMap;

use anyhow::{anyhow, bail};
use assignment::Assignment;
use assignment::domain::{Command, Event, IntentScore, Presence, State};
use kernel::{Actor, CommandId, Decider, Duration, Stamp, Timestamp};
use runtime::monotonic;

use super::company::{self, CHATS, TENANT};
use crate::bench::stats::{Dice, nanos};

/// Spans of a conversation and of the moment until an offer is answered, shortest and longest, in milliseconds.
const TALKS_MS: [u64; 2] = [60_000, 540_000];
const ANSWERS_MS: [u64; 2] = [1_000, 8_000];
/// From an inquiry to its intent.
const INTENT_MS: i64 = 5;
/// Offers of a thousand that are rejected.
const REJECTED: u64 = 50;

enum Next {
    Arrival,
    Tell(Command),
}

pub(super) struct Play {
    state: State,
    at: Timestamp,
    planned: BTreeMap<(Timestamp, u64), Next>,
    customers: u64,
    arrived: u64,
    told: u64,
    dice: Dice,
}

/// The command's kind, nanoseconds of the decision, nanoseconds of its fold.
pub(super) type Timed = (&'static str, u64, u64);

impl Play {
    /// A company whose people are all busy, with `waiting` inquiries in the queue that came over the last minutes.
    pub(super) fn steady(agents: usize, waiting: usize) -> anyhow::Result<Self> {
        let at = Timestamp::from_micros(1_790_000_000_000_000);
        let (planned, mut dice) = (BTreeMap::new(), Dice::new(20_260_915));
        let roster = company::roster(agents, &mut dice);
        let customers = 4 * (waiting + agents * CHATS) as u64;
        let mut play = Self { state: State::default(), at, planned, customers, arrived: 0, told: 0, dice };
        for command in roster {
            play.tell(&command)?;
        }
        for n in 0..agents {
            play.tell(&Command::NotePresence { employee_id: company::employee(n), presence: Presence::Available })?;
        }
        // First as many as people can take, then those who wait; all within the time of a conversation.
        let all = (waiting + agents * CHATS) as u64;
        let span_us = i64::try_from(TALKS_MS[1] * 1_000).unwrap_or(i64::MAX);
        for n in 0..all {
            let after = span_us / i64::try_from(all).unwrap_or(1) * i64::try_from(n).unwrap_or(0);
            play.plan(Duration::from_micros(after), Next::Arrival);
        }
        let until = at + Duration::from_micros(span_us);
        while play.at < until {
            play.step()?;
        }
        // Conversations end while the queue fills: who is missing comes now.
        while play.waiting() < waiting {
            play.plan(Duration::ZERO, Next::Arrival);
            play.plan(Duration::from_millis(INTENT_MS * 2), Next::Arrival);
            for _ in 0..8 {
                play.step()?;
            }
        }
        play.go_on(20_000)?;
        Ok(play)
    }

    pub(super) fn go_on(&mut self, decisions: usize) -> anyhow::Result<Vec<Timed>> {
        (0..decisions).map(|_| self.step()).collect()
    }

    pub(super) fn waiting(&self) -> usize {
        let desks = self.state.live.desks.values();
        desks
            .flat_map(|desk| desk.classes.values().chain(desk.for_agent.values()))
            .map(std::collections::BTreeSet::len)
            .sum()
    }

    pub(super) fn profiles(&self) -> usize {
        self.state.live.profiles.len()
    }

    pub(super) fn classes(&self) -> usize {
        self.state.live.desks.values().map(|desk| desk.classes.len()).sum()
    }

    fn plan(&mut self, after: Duration, next: Next) {
        self.told += 1;
        self.planned.insert((self.at + after, self.told), next);
    }

    fn between(&mut self, [least, most]: [u64; 2]) -> Duration {
        Duration::from_millis(i64::try_from(least + self.dice.below(most - least)).unwrap_or(0))
    }

    /// Whatever is due next: a timer, or something planned.
    fn step(&mut self) -> anyhow::Result<Timed> {
        let timer = Assignment::next_timer(&self.state);
        let planned = self.planned.first_key_value().map(|((at, _), _)| *at);
        if let Some(timer) = timer.filter(|timer| planned.is_none_or(|at| timer.due <= at)) {
            self.at = self.at.max(timer.due);
            let command_id = timer.command_id(TENANT);
            return self.decide(&timer.command, command_id);
        }
        let Some(((at, _), next)) = self.planned.pop_first() else { bail!("nothing happens any more") };
        self.at = self.at.max(at);
        match next {
            Next::Tell(command) => self.tell(&command),
            Next::Arrival => {
                let (arrival, intent) = company::inquiry(self.arrived, self.customers, self.at, &mut self.dice);
                self.arrived += 1;
                let score = IntentScore { intent: intent.to_owned(), ppm: 870_000 };
                let noted = Command::NoteIntent { inquiry_id: arrival.inquiry_id, score };
                self.plan(Duration::from_millis(INTENT_MS), Next::Tell(noted));
                self.tell(&Command::NoteInquiry(arrival))
            }
        }
    }

    fn tell(&mut self, command: &Command) -> anyhow::Result<Timed> {
        self.told += 1;
        let command_id = CommandId::of_parts(&[b"bench", &self.told.to_le_bytes()]);
        self.decide(command, command_id)
    }

    fn decide(&mut self, command: &Command, command_id: CommandId) -> anyhow::Result<Timed> {
        let stamp = Stamp { at: self.at, tenant: TENANT, command_id, actor: Actor::default() };
        let begun = monotonic();
        let decided = Assignment::decide(&self.state, command, &stamp);
        let ended = monotonic();
        // An offer may have run out, or its inquiry be gone, before the answer.
        let events = decided.or_else(|refusal| match command {
            Command::Accept { .. } | Command::Reject { .. } | Command::Complete { .. } => Ok(Vec::new()),
            other => Err(anyhow!("{other:?}: {refusal}")),
        })?;
        let folding = monotonic();
        for event in &events {
            Assignment::evolve(&mut self.state, event);
        }
        let folded = monotonic();
        self.follow(&events);
        Ok((kind(command), nanos(ended - begun), nanos(folded - folding)))
    }

    /// What people do about what happened.
    fn follow(&mut self, events: &[Event]) {
        for event in events {
            match event {
                Event::ReservationMade(offer) => {
                    let (reservation_id, epoch) = (offer.reservation_id, offer.epoch);
                    let after = self.between(ANSWERS_MS);
                    let answer = if self.dice.below(1_000) < REJECTED {
                        Command::Reject { reservation_id, epoch, reason: "busy".to_owned() }
                    } else {
                        Command::Accept { reservation_id, epoch }
                    };
                    self.plan(after, Next::Tell(answer));
                }
                Event::ReservationAccepted { accepted, .. } => {
                    let after = self.between(TALKS_MS);
                    let inquiry_id = accepted.end.inquiry_id;
                    self.plan(after, Next::Tell(Command::Complete { inquiry_id, disposition: String::new() }));
                }
                Event::WrapUpEnded { .. } => self.plan(Duration::ZERO, Next::Arrival),
                _ => {}
            }
        }
    }
}

fn kind(command: &Command) -> &'static str {
    match command {
        Command::NoteInquiry(_) => "arrival",
        Command::NoteIntent { .. } => "intent",
        Command::Accept { .. } => "accept",
        Command::Reject { .. } => "reject",
        Command::Complete { .. } => "complete",
        Command::WrapUpDue { .. } => "wrap-up ends",
        Command::WaitDue { .. } => "wait ends",
        Command::OfferDue { .. } => "offer runs out",
        Command::RouteDesk { .. } => "match a desk",
        _ => "other",
    }
}
