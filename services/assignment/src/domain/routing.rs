//! The routing that a command makes possible: offers, and waits that have become pointless.

use std::collections::BTreeSet;

use kernel::{Duration, EmployeeId, InquiryId, ReservationId, Stamp, Timestamp};

use super::calendar::{next_boundary, on_shift};
use super::choice::{Changed, choose, first_for};
use super::evolve;
use super::queue::place_of;
use super::state::{Agent, Desk, Inquiry, Live, Need, Queue, Stage, Status};
use super::types::{Decision, Event, Names, Offer, OfferEnd, Presence, Wait};
use super::wish::{Wish, need_now};

/// Inquiries that one decision offers to an agent who becomes free, or looks at when it matches a desk: a decision
/// must end, what is left comes with the next (L9).
const OFFERS_PER_DECISION: usize = 64;

/// The events of one decision as they are found.
pub(super) struct Deciding<'a> {
    pub(super) live: &'a Live,
    pub(super) stamp: &'a Stamp,
    pub(super) events: Vec<Event>,
    pub(super) offers: u32,
    /// Agents who are no more as the state knows them, by the events so far.
    pub(super) changed: Vec<Changed>,
}

pub(super) fn names(inquiry: &Inquiry, employee: Option<&Agent>) -> Names {
    Names {
        platform: inquiry.arrival.platform.clone(),
        external_id: inquiry.arrival.external_id.clone(),
        employee: employee.map(|agent| agent.facts.code.clone()).unwrap_or_default(),
    }
}

impl<'a> Deciding<'a> {
    pub(super) fn new(live: &'a Live, stamp: &'a Stamp, offers: u32) -> Self {
        Self { live, stamp, events: Vec::new(), offers, changed: Vec::new() }
    }

    pub(super) fn at(&self) -> Timestamp {
        self.stamp.at
    }

    pub(super) fn agent(&self, id: EmployeeId) -> Option<&Agent> {
        self.live.agents.get(&id)
    }

    /// The agent as they are by the events so far, for a change.
    pub(super) fn now(&mut self, employee_id: EmployeeId) -> Option<&mut Changed> {
        let known = self.changed.iter().position(|changed| changed.employee_id == employee_id);
        let n = match known {
            Some(n) => n,
            None => {
                let agent = self.live.agents.get(&employee_id)?;
                let status = self.live.status(agent);
                self.changed.push(Changed { employee_id, held_units: agent.held_units, status });
                self.changed.len() - 1
            }
        };
        self.changed.get_mut(n)
    }

    /// The agent lets go of what an inquiry held.
    pub(super) fn free(&mut self, employee_id: EmployeeId, cost: u32) {
        if let Some(now) = self.now(employee_id) {
            now.held_units = now.held_units.saturating_sub(cost);
        }
    }

    pub(super) fn offer_end(&self, inquiry: &Inquiry) -> Option<OfferEnd> {
        let Stage::Reserved { reservation_id, employee_id, .. } = inquiry.stage else { return None };
        let names = names(inquiry, self.agent(employee_id));
        Some(OfferEnd { reservation_id, inquiry_id: inquiry.arrival.inquiry_id, employee_id, names })
    }

    /// Offers an inquiry to whom it should go to, if anybody can take it; ends waits that have become pointless.
    pub(super) fn route(&mut self, inquiry: &mut Inquiry) -> Option<EmployeeId> {
        loop {
            let need = need_now(self.live, inquiry);
            let (outcome, target, wants_best) = {
                let wish = Wish::new(self.live, inquiry, &need)?;
                (choose(self.live, &wish, &self.changed), wish.target, wish.wants_best())
            };
            if let Some((employee, decision)) = outcome.chosen {
                self.offer(inquiry, employee, decision);
                return Some(employee);
            }
            let over = inquiry.experience_until.is_some_and(|until| until <= self.at());
            let wait = if target.is_some() {
                (!outcome.target_possible).then_some(Wait::Sticky)?
            } else {
                (wants_best && (over || !outcome.possible)).then_some(Wait::Experience)?
            };
            evolve::end_wait(inquiry, wait);
            self.events.push(Event::WaitEnded { inquiry_id: inquiry.arrival.inquiry_id, wait, at: self.at() });
        }
    }

    fn offer(&mut self, inquiry: &Inquiry, employee_id: EmployeeId, decision: Decision) {
        let reservation_id = ReservationId::derive(self.stamp.tenant, self.stamp.command_id, self.offers);
        self.offers += 1;
        let cost_units = self.live.policy.chat_cost;
        self.events.push(Event::ReservationMade(Box::new(Offer {
            reservation_id,
            inquiry_id: inquiry.arrival.inquiry_id,
            employee_id,
            epoch: inquiry.epoch + 1,
            expires_at: self.at() + Duration::from_millis(i64::from(self.live.policy.accept_timeout_ms) + planted_ms()),
            cost_units,
            decision,
            names: names(inquiry, self.agent(employee_id)),
        })));
        if let Some(now) = self.now(employee_id) {
            now.held_units += cost_units;
        }
    }

    /// Gives an agent who has room what waits for them.
    pub(super) fn serve(&mut self, employee_id: EmployeeId) {
        let Some(agent) = self.live.agents.get(&employee_id) else { return };
        let mut looked_at: Vec<InquiryId> = Vec::new();
        while let Some(now) = self.now(employee_id).copied()
            && now.status == Status::Available
            && self.live.has_room(agent, now.held_units)
            && looked_at.len() < OFFERS_PER_DECISION
            && let Some(id) = first_for(self.live, agent, &looked_at)
        {
            looked_at.push(id);
            if let Some(mut inquiry) = self.live.inquiries.get(&id).cloned() {
                self.route(&mut inquiry);
            }
        }
    }

    /// An agent can take nothing any more: their offers, and what waits for them, go to others. `back` came back from
    /// them before.
    pub(super) fn go_elsewhere(&mut self, employee_id: EmployeeId, back: Option<Inquiry>) {
        let Some(agent) = self.live.agents.get(&employee_id) else { return };
        let has_come_back = |id: InquiryId| back.as_ref().is_some_and(|back| back.arrival.inquiry_id == id);
        let held = agent.held.iter().filter(|(id, _)| !has_come_back(*id));
        let held: Vec<&Inquiry> = held.filter_map(|(id, _)| self.live.inquiries.get(id)).collect();
        let mut homeless: Vec<Inquiry> = Vec::new();
        for inquiry in held {
            let Some(end) = self.offer_end(inquiry) else { continue };
            let cost = inquiry.stage.holder().map_or(0, |(_, cost)| cost);
            self.events.push(Event::ReservationRescinded { end, at: self.at() });
            self.free(employee_id, cost);
            homeless.push(inquiry.released());
        }
        homeless.extend(back);
        let waiting = self.live.desks.get(&agent.facts.desk).and_then(|desk| desk.for_agent.get(&employee_id));
        let waiting = waiting.into_iter().flatten().take(OFFERS_PER_DECISION);
        homeless.extend(waiting.filter_map(|(_, _, id)| self.live.inquiries.get(id)).cloned());
        homeless.sort_by_key(|inquiry| place_of(&self.live.policy, inquiry));
        for mut inquiry in homeless {
            self.route(&mut inquiry);
        }
    }

    /// Matches the waiting inquiries of a desk with its agents, on a copy of the state that moves on with each offer.
    pub(super) fn route_desk(&mut self, code: &str) {
        let at = self.at();
        let desk = self.live.desks.get(code);
        let boundary = desk.and_then(|desk| {
            let agents = desk.agents.iter().filter_map(|id| self.live.agents.get(id)).map(|agent| &agent.facts);
            next_boundary(desk, agents, at)
        });
        let attempted = |next_due| Event::RoutingAttempted { desk: code.to_owned(), next_due, at };
        let waiting = queue_of(self.live, code);
        if waiting.is_empty() || !desk.is_some_and(|desk| self.has_anybody_free(desk)) {
            self.events.push(attempted(boundary));
            return;
        }
        let mut ahead = look_ahead(self.live, &waiting);
        evolve::live(&mut ahead, &attempted(boundary));
        let (mut found, mut all) = (Vec::new(), true);
        let mut hopeless: BTreeSet<Need> = BTreeSet::new();
        for id in waiting {
            if !ahead.profiles.iter().any(|profile| profile.desk == code && !profile.free.is_empty()) {
                break;
            }
            if found.len() >= OFFERS_PER_DECISION {
                all = false;
                break;
            }
            let Some(mut inquiry) = ahead.inquiries.get(&id).cloned() else { continue };
            let alike = match &inquiry.stage {
                Stage::Waiting(Queue::Class(need)) if inquiry.declined.is_empty() => Some(need.clone()),
                _ => None,
            };
            if alike.as_ref().is_some_and(|need| hopeless.contains(need)) {
                continue;
            }
            let mut deciding = Deciding::new(&ahead, self.stamp, self.offers);
            let chosen = deciding.route(&mut inquiry);
            self.offers = deciding.offers;
            let events = deciding.events;
            if chosen.is_none() {
                hopeless.extend(alike);
            }
            events.iter().for_each(|event| evolve::live(&mut ahead, event));
            found.extend(events);
        }
        self.events.push(attempted(if all { boundary } else { Some(at) }));
        self.events.extend(found);
    }

    /// Whether somebody of a desk has room now; who is on shift may have changed since the state was told.
    fn has_anybody_free(&self, desk: &Desk) -> bool {
        let agents = desk.agents.iter().filter_map(|id| self.live.agents.get(id));
        let mut free = agents.filter(|agent| {
            self.live.presence.get(&agent.facts.employee_id) == Some(&Presence::Available)
                && self.live.has_room(agent, agent.held_units)
        });
        free.any(|agent| on_shift(desk, &agent.facts, self.at()))
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_ms() -> i64 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_ms() -> i64 {
    i64::from(crate::planted::is(2))
}

/// A copy of what the matching of these waiting inquiries looks at and changes.
fn look_ahead(live: &Live, waiting: &[InquiryId]) -> Live {
    let inquiries = waiting.iter().filter_map(|id| Some((*id, live.inquiries.get(id)?.clone())));
    Live {
        policy: live.policy.clone(),
        positions: live.positions.clone(),
        desks: live.desks.clone(),
        agents: live.agents.clone(),
        presence: live.presence.clone(),
        profiles: live.profiles.clone(),
        groups: live.groups.clone(),
        inquiries: inquiries.collect(),
        ..Live::default()
    }
}

/// The waiting inquiries of a desk in the order of the queue.
fn queue_of(live: &Live, code: &str) -> Vec<InquiryId> {
    let Some(desk) = live.desks.get(code) else { return Vec::new() };
    let mut places: Vec<_> = desk.classes.values().chain(desk.for_agent.values()).flatten().copied().collect();
    places.sort_unstable();
    places.into_iter().map(|(_, _, id)| id).collect()
}
