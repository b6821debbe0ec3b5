//! The decisions: what follows from each command, and the routing that it makes possible.

use kernel::{AssignmentId, Duration, EmployeeId, InquiryId, ReservationId, Stamp, Timestamp};

use super::evolve;
use super::routing::{Deciding, names};
use super::state::{Agent, Inquiry, OfferState, Stage, State, Status};
use super::types::{
    Accepted, Arrival, Command, Completed, Event, IntentScore, OUT_OF_SCOPE, OfferEnd, Presence, Rejection, RosterFact,
    Transferred, Wait,
};

type Decided = Result<Vec<Event>, Rejection>;

pub(super) fn decide(state: &State, command: &Command, stamp: &Stamp) -> Decided {
    let mut deciding = Deciding::new(&state.live, stamp, 0);
    match command {
        Command::NoteInquiry(arrival) => deciding.note_inquiry(state, arrival),
        Command::NoteIntent { inquiry_id, score } => deciding.note_intent(state, *inquiry_id, score),
        Command::CloseInquiry { inquiry_id, reason } => deciding.close(*inquiry_id, reason),
        Command::NoteHandler { customer_id, employee_id, occurred_at } => {
            let known = state.memory.customers.get(&state.memory.root(*customer_id));
            let newer = |(_, at): (EmployeeId, Timestamp)| at < *occurred_at;
            let news =
                known.is_none_or(|known| !known.seen || employee_id.is_some() && known.handler.is_none_or(newer));
            let (customer_id, employee_id, occurred_at) = (*customer_id, *employee_id, *occurred_at);
            let event = Event::HandlerNoted { customer_id, employee_id, occurred_at };
            deciding.events.extend(news.then_some(event));
        }
        Command::MergeCustomers { kept, merged } => {
            let (kept, merged) = (state.memory.root(*kept), state.memory.root(*merged));
            if kept != merged {
                deciding.events.push(Event::CustomersMerged { kept, merged });
            }
        }
        Command::NoteRoster { fact, effective_from } => {
            deciding.events.push(Event::RosterNoted { fact: fact.clone(), effective_from: *effective_from });
            if *effective_from <= stamp.at {
                deciding.roster_takes_effect(stamp.at, Some(fact));
            }
        }
        Command::NotePresence { employee_id, presence } => deciding.note_presence(*employee_id, *presence),
        Command::Accept { reservation_id, epoch } => deciding.accept(state, *reservation_id, *epoch)?,
        Command::Reject { reservation_id, epoch, reason } => {
            deciding.reject(state, *reservation_id, *epoch, reason)?;
        }
        Command::Complete { inquiry_id, disposition } => deciding.complete(state, *inquiry_id, disposition)?,
        Command::Transfer { inquiry_id, to, intent, reason } => {
            deciding.transfer(state, *inquiry_id, *to, [intent, reason])?;
        }
        Command::IntentDue { inquiry_id } => {
            let score = IntentScore { intent: OUT_OF_SCOPE.to_owned(), ppm: 0 };
            deciding.set_intent(*inquiry_id, &score, true);
        }
        Command::OfferDue { inquiry_id, .. } => deciding.offer_due(*inquiry_id),
        Command::WaitDue { inquiry_id, wait } => deciding.wait_due(*inquiry_id, *wait),
        Command::WrapUpDue { inquiry_id } => deciding.wrap_up_due(*inquiry_id),
        Command::RosterDue { until } => {
            deciding.roster_takes_effect(*until, None);
        }
        Command::RouteDesk { desk } => deciding.route_desk(desk),
    }
    Ok(deciding.events)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_micros() / 1_000).unwrap_or(0)
}

fn over_because(state: OfferState) -> &'static str {
    match state {
        OfferState::Pending => "pending",
        OfferState::Accepted => "accepted",
        OfferState::Rejected => "rejected",
        OfferState::TimedOut => "timeout",
        OfferState::Cancelled => "cancelled",
        OfferState::Rescinded => "rescinded",
    }
}

/// The inquiry of an open reservation.
fn open_offer(state: &State, id: ReservationId, epoch: u32) -> Result<(InquiryId, &Inquiry, EmployeeId), Rejection> {
    let (inquiry_id, how) = state.memory.reservations.get(&id).ok_or(Rejection::ReservationUnknown)?;
    let inquiry = state.live.inquiries.get(inquiry_id);
    if let Some(inquiry) = inquiry
        && let Stage::Reserved { reservation_id, employee_id, .. } = inquiry.stage
        && reservation_id == id
    {
        if inquiry.epoch != epoch {
            return Err(Rejection::WrongEpoch { expected: inquiry.epoch, given: epoch });
        }
        return Ok((*inquiry_id, inquiry, employee_id));
    }
    Err(Rejection::ReservationOver(over_because(*how)))
}

/// An assigned inquiry.
fn assigned(state: &State, id: InquiryId) -> Result<&Inquiry, Rejection> {
    match state.live.inquiries.get(&id) {
        Some(inquiry) => match inquiry.stage {
            Stage::Assigned { .. } => Ok(inquiry),
            Stage::AwaitingIntent | Stage::Waiting(_) | Stage::Reserved { .. } | Stage::Wrapping { .. } => {
                Err(Rejection::NotAssigned(inquiry.stage.name()))
            }
        },
        None => Err(match state.memory.ended.get(&id) {
            Some(ended) if ended.completed => Rejection::NotAssigned("completed"),
            Some(_) => Rejection::NotAssigned("cancelled"),
            None => Rejection::InquiryUnknown,
        }),
    }
}

impl Deciding<'_> {
    // What other services say.

    fn note_inquiry(&mut self, state: &State, arrival: &Arrival) {
        let (live, memory, at) = (self.live, &state.memory, self.at());
        if live.inquiries.contains_key(&arrival.inquiry_id) || memory.ended.contains_key(&arrival.inquiry_id) {
            return;
        }
        let known = memory.customers.get(&memory.root(arrival.customer_id));
        let since = at - Duration::from_hours(i64::from(live.policy.sticky_hours));
        let familiar = known.and_then(|known| known.handler).filter(|(_, when)| *when >= since).map(|(who, _)| who);
        let new_customer = !known.is_some_and(|known| known.seen);
        let intent_due = at + Duration::from_millis(i64::from(live.policy.intent_wait_ms));
        let arrival = arrival.clone();
        let mut inquiry = Inquiry::new(arrival.clone(), at, live.arrivals + 1, new_customer, familiar);
        self.events.push(Event::InquiryPended { arrival, intent_due, new_customer, familiar, at });
        if let Some(score) = memory.pending_intents.get(&inquiry.arrival.inquiry_id) {
            inquiry.intent = Some(score.clone());
            let (inquiry_id, score) = (inquiry.arrival.inquiry_id, score.clone());
            self.events.push(Event::IntentSet { inquiry_id, score, timed_out: false, at });
            self.route(&mut inquiry);
        }
    }

    fn note_intent(&mut self, state: &State, inquiry_id: InquiryId, score: &IntentScore) {
        if self.live.inquiries.contains_key(&inquiry_id) {
            self.set_intent(inquiry_id, score, false);
        } else if !state.memory.ended.contains_key(&inquiry_id) {
            self.events.push(Event::PendingIntentNoted { inquiry_id, score: score.clone() });
        }
    }

    fn set_intent(&mut self, inquiry_id: InquiryId, score: &IntentScore, timed_out: bool) {
        let Some(inquiry) = self.live.inquiries.get(&inquiry_id) else { return };
        let pending = match inquiry.stage {
            Stage::AwaitingIntent => true,
            // A later intent re-ranks only what is unassigned, and only when it is another one.
            Stage::Waiting(_) if inquiry.intent() != score.intent => true,
            Stage::Reserved { .. } if inquiry.intent() != score.intent => false,
            Stage::Waiting(_) | Stage::Reserved { .. } | Stage::Assigned { .. } | Stage::Wrapping { .. } => return,
        };
        self.events.push(Event::IntentSet { inquiry_id, score: score.clone(), timed_out, at: self.at() });
        if pending {
            let mut inquiry = inquiry.clone();
            inquiry.intent = Some(score.clone());
            self.route(&mut inquiry);
        }
    }

    fn close(&mut self, inquiry_id: InquiryId, reason: &str) {
        let Some(inquiry) = self.live.inquiries.get(&inquiry_id) else { return };
        if matches!(inquiry.stage, Stage::Wrapping { .. }) {
            return;
        }
        let holder = inquiry.stage.holder();
        if let Some(end) = self.offer_end(inquiry) {
            self.events.push(Event::ReservationCancelled { end });
        }
        self.events.push(Event::InquiryCancelled {
            inquiry_id,
            reason: reason.to_owned(),
            employee_id: holder.map(|(employee, _)| employee),
            names: names(inquiry, holder.and_then(|(employee, _)| self.agent(employee))),
        });
        if let Some((employee, cost)) = holder {
            self.free(employee, cost);
            self.serve(employee);
        }
    }

    fn note_presence(&mut self, employee_id: EmployeeId, presence: Presence) {
        if self.live.presence.get(&employee_id) == Some(&presence) {
            return;
        }
        self.events.push(Event::AgentPresenceNoted { employee_id, presence, missed: false });
        let Some(agent) = self.live.agents.get(&employee_id) else { return };
        let status = match presence {
            _ if !agent.on_shift => Status::OffShift,
            Presence::Available => Status::Available,
            Presence::Paused | Presence::Offline => Status::NotAvailable,
        };
        if let Some(now) = self.now(employee_id) {
            now.status = status;
        }
        if presence == Presence::Available {
            self.serve(employee_id);
        } else {
            self.go_elsewhere(employee_id, None);
        }
    }

    /// What was noted up to `until`, and `fact`, count from here on. Who leaves has no offers any more; the desks are
    /// matched anew by their timers.
    fn roster_takes_effect(&mut self, until: Timestamp, fact: Option<&RosterFact>) {
        let at = self.at();
        self.events.push(Event::RosterTookEffect { until, at });
        let upcoming = self.live.upcoming.iter().take_while(|((from, _), _)| *from <= until).map(|(_, fact)| fact);
        for fact in upcoming.chain(fact) {
            let RosterFact::Left(employee_id) = fact else { continue };
            let Some(agent) = self.live.agents.get(employee_id) else { continue };
            let held = agent.held.iter().filter_map(|(id, _)| self.live.inquiries.get(id));
            let ends: Vec<OfferEnd> = held.filter_map(|inquiry| self.offer_end(inquiry)).collect();
            self.events.extend(ends.into_iter().map(|end| Event::ReservationRescinded { end, at }));
        }
    }

    // What agents do.

    fn accept(&mut self, state: &State, id: ReservationId, epoch: u32) -> Result<(), Rejection> {
        let (inquiry_id, inquiry, employee_id) = open_offer(state, id, epoch)?;
        let names = names(inquiry, self.agent(employee_id));
        let accepted = Accepted {
            end: OfferEnd { reservation_id: id, inquiry_id, employee_id, names },
            epoch,
            assignment_id: AssignmentId::derive(self.stamp.tenant, self.stamp.command_id, 0),
            customer_id: inquiry.arrival.customer_id,
            desk: inquiry.arrival.desk.clone(),
            intent: inquiry.intent().to_owned(),
            waited_ms: millis(self.at().since(inquiry.arrived_at)),
            first: inquiry.assignments == 0,
        };
        self.events.push(Event::ReservationAccepted { accepted: Box::new(accepted), at: self.at() });
        Ok(())
    }

    fn reject(&mut self, state: &State, id: ReservationId, epoch: u32, reason: &str) -> Result<(), Rejection> {
        let (_, inquiry, employee_id) = open_offer(state, id, epoch)?;
        let Some(end) = self.offer_end(inquiry) else { return Err(Rejection::ReservationUnknown) };
        let at = self.at();
        self.events.push(Event::ReservationRejected { end, epoch, reason: reason.to_owned(), at });
        let mut inquiry = self.declined(inquiry, employee_id);
        self.route(&mut inquiry);
        self.serve(employee_id);
        Ok(())
    }

    fn offer_due(&mut self, inquiry_id: InquiryId) {
        let Some(inquiry) = self.live.inquiries.get(&inquiry_id) else { return };
        let Some(end) = self.offer_end(inquiry) else { return };
        let employee_id = end.employee_id;
        let misses = self.agent(employee_id).map_or(0, |agent| agent.misses) + 1;
        self.events.push(Event::ReservationTimedOut { end, misses, at: self.at() });
        let mut inquiry = self.declined(inquiry, employee_id);
        if misses >= self.live.policy.misses_max {
            let presence = Presence::Paused;
            self.events.push(Event::AgentPresenceNoted { employee_id, presence, missed: true });
            if let Some(now) = self.now(employee_id).filter(|now| now.status == Status::Available) {
                now.status = Status::NotAvailable;
            }
            self.go_elsewhere(employee_id, Some(inquiry));
        } else {
            self.route(&mut inquiry);
            self.serve(employee_id);
        }
    }

    /// An inquiry whose offer came back, and the agent without it.
    fn declined(&mut self, inquiry: &Inquiry, employee_id: EmployeeId) -> Inquiry {
        self.free(employee_id, inquiry.stage.holder().map_or(0, |(_, cost)| cost));
        let mut inquiry = inquiry.released();
        inquiry.declined.push(employee_id);
        inquiry
    }

    fn complete(&mut self, state: &State, inquiry_id: InquiryId, disposition: &str) -> Result<(), Rejection> {
        let inquiry = assigned(state, inquiry_id)?;
        let Stage::Assigned { assignment_id, employee_id, accepted_at, cost, .. } = inquiry.stage else {
            return Err(Rejection::InquiryUnknown);
        };
        let wrap_up_ms = self.live.policy.wrap_up_ms;
        self.events.push(Event::InquiryCompleted(Box::new(Completed {
            assignment_id,
            inquiry_id,
            employee_id,
            customer_id: inquiry.arrival.customer_id,
            desk: inquiry.arrival.desk.clone(),
            disposition: disposition.to_owned(),
            handled_ms: millis(self.at().since(accepted_at)),
            wrap_until: self.at() + Duration::from_millis(i64::from(wrap_up_ms)),
            names: names(inquiry, self.agent(employee_id)),
        })));
        if wrap_up_ms == 0 {
            self.events.push(Event::WrapUpEnded { inquiry_id, employee_id });
            self.free(employee_id, cost);
            self.serve(employee_id);
        }
        Ok(())
    }

    fn wrap_up_due(&mut self, inquiry_id: InquiryId) {
        let Some(inquiry) = self.live.inquiries.get(&inquiry_id) else { return };
        let Some((employee_id, cost)) = inquiry.stage.holder() else { return };
        self.events.push(Event::WrapUpEnded { inquiry_id, employee_id });
        self.free(employee_id, cost);
        self.serve(employee_id);
    }

    fn transfer(
        &mut self,
        state: &State,
        inquiry_id: InquiryId,
        to: Option<EmployeeId>,
        [intent, reason]: [&String; 2],
    ) -> Result<(), Rejection> {
        let inquiry = assigned(state, inquiry_id)?;
        let Stage::Assigned { assignment_id, employee_id, cost, .. } = inquiry.stage else {
            return Err(Rejection::InquiryUnknown);
        };
        if let Some(to) = to {
            let here = |agent: &&Agent| !agent.left && agent.facts.desk == inquiry.arrival.desk;
            self.agent(to).filter(here).ok_or(Rejection::AgentUnknown)?;
            if to == employee_id {
                return Err(Rejection::SameAgent);
            }
        }
        let transferred = Transferred {
            assignment_id,
            inquiry_id,
            from: employee_id,
            to,
            intent: intent.clone(),
            reason: reason.clone(),
            names: names(inquiry, self.agent(employee_id)),
        };
        let mut inquiry = inquiry.clone();
        evolve::apply_transfer(&mut inquiry, &transferred);
        self.events.push(Event::InquiryTransferred { transferred: Box::new(transferred), at: self.at() });
        self.free(employee_id, cost);
        self.route(&mut inquiry);
        self.serve(employee_id);
        Ok(())
    }

    fn wait_due(&mut self, inquiry_id: InquiryId, wait: Wait) {
        let Some(mut inquiry) = self.live.inquiries.get(&inquiry_id).cloned() else { return };
        self.events.push(Event::WaitEnded { inquiry_id, wait, at: self.at() });
        evolve::end_wait(&mut inquiry, wait);
        self.route(&mut inquiry);
    }
}

pub(super) fn command_of(events: &[Event]) -> Option<Command> {
    Some(match events.first()?.clone() {
        Event::InquiryPended { arrival, .. } => Command::NoteInquiry(arrival),
        Event::IntentSet { inquiry_id, timed_out: true, .. } => Command::IntentDue { inquiry_id },
        Event::IntentSet { inquiry_id, score, .. } | Event::PendingIntentNoted { inquiry_id, score } => {
            Command::NoteIntent { inquiry_id, score }
        }
        Event::ReservationAccepted { accepted, .. } => {
            Command::Accept { reservation_id: accepted.end.reservation_id, epoch: accepted.epoch }
        }
        Event::ReservationRejected { end, epoch, reason, .. } => {
            Command::Reject { reservation_id: end.reservation_id, epoch, reason }
        }
        Event::ReservationTimedOut { end, .. } => {
            Command::OfferDue { reservation_id: end.reservation_id, inquiry_id: end.inquiry_id }
        }
        Event::ReservationCancelled { end } => match events.get(1)? {
            Event::InquiryCancelled { reason, .. } => {
                Command::CloseInquiry { inquiry_id: end.inquiry_id, reason: reason.clone() }
            }
            _ => return None,
        },
        Event::InquiryCancelled { inquiry_id, reason, .. } => Command::CloseInquiry { inquiry_id, reason },
        Event::InquiryCompleted(completed) => {
            Command::Complete { inquiry_id: completed.inquiry_id, disposition: completed.disposition }
        }
        Event::WrapUpEnded { inquiry_id, .. } => Command::WrapUpDue { inquiry_id },
        Event::InquiryTransferred { transferred, .. } => {
            let Transferred { inquiry_id, to, intent, reason, .. } = *transferred;
            Command::Transfer { inquiry_id, to, intent, reason }
        }
        Event::HandlerNoted { customer_id, employee_id, occurred_at } => {
            Command::NoteHandler { customer_id, employee_id, occurred_at }
        }
        Event::RosterNoted { fact, effective_from } => Command::NoteRoster { fact, effective_from },
        Event::AgentPresenceNoted { employee_id, presence, .. } => Command::NotePresence { employee_id, presence },
        Event::CustomersMerged { kept, merged } => Command::MergeCustomers { kept, merged },
        Event::WaitEnded { inquiry_id, wait, .. } => Command::WaitDue { inquiry_id, wait },
        Event::RoutingAttempted { desk, .. } => Command::RouteDesk { desk },
        Event::RosterTookEffect { until, .. } => Command::RosterDue { until },
        // These follow from one of the above and are never the first of a decision.
        Event::ReservationMade(_) | Event::ReservationRescinded { .. } => return None,
    })
}
