//! The fold: what each event makes of the state.

use kernel::{EmployeeId, InquiryId, Timestamp};

use super::state::{
    Agent, Customer, Ended, Inquiry, Live, Memory, OfferState, PENDING_INTENTS_MAX, RESERVATIONS_MAX, Stage, State,
};
use super::types::{Arrival, Event, IntentScore, OfferEnd, RosterFact, Transferred, Wait};

pub(super) fn evolve(state: &mut State, event: &Event) {
    remember(state, event);
    live(&mut state.live, event);
}

/// The part of the fold that routing does not look at while it looks ahead. Comes before [`live`].
fn remember(state: &mut State, event: &Event) {
    let State { live, memory } = state;
    match event {
        Event::InquiryPended { arrival, .. } => see(memory, arrival),
        Event::IntentSet { inquiry_id, .. } => {
            memory.pending_intents.remove(inquiry_id);
        }
        Event::PendingIntentNoted { inquiry_id, score } => {
            if memory.pending_intents.insert(*inquiry_id, score.clone()).is_none() {
                memory.pending_order.push_back(*inquiry_id);
            }
            if memory.pending_order.len() > PENDING_INTENTS_MAX
                && let Some(oldest) = memory.pending_order.pop_front()
            {
                memory.pending_intents.remove(&oldest);
            }
        }
        Event::ReservationMade(offer) => {
            memory.reservations.insert(offer.reservation_id, (offer.inquiry_id, OfferState::Pending));
        }
        Event::ReservationAccepted { accepted, at } => {
            over(memory, &accepted.end, OfferState::Accepted);
            let root = memory.root(accepted.customer_id);
            let customer = memory.customers.get_or_insert_with(root, Default::default);
            customer.handler = Some((accepted.end.employee_id, *at));
        }
        Event::ReservationRejected { end, .. } => over(memory, end, OfferState::Rejected),
        Event::ReservationTimedOut { end, .. } => over(memory, end, OfferState::TimedOut),
        Event::ReservationCancelled { end } => over(memory, end, OfferState::Cancelled),
        Event::ReservationRescinded { end, .. } => over(memory, end, OfferState::Rescinded),
        Event::WrapUpEnded { inquiry_id, employee_id } => {
            let waited_ms = live.inquiries.get(inquiry_id).map_or(0, waited);
            memory.ended.insert(*inquiry_id, Ended { completed: true, employee_id: Some(*employee_id), waited_ms });
        }
        Event::InquiryCancelled { inquiry_id, employee_id, .. } => {
            let waited_ms = live.inquiries.get(inquiry_id).map_or(0, waited);
            memory.ended.insert(*inquiry_id, Ended { completed: false, employee_id: *employee_id, waited_ms });
        }
        Event::HandlerNoted { customer_id, employee_id, occurred_at } => {
            let root = memory.root(*customer_id);
            let customer = memory.customers.get_or_insert_with(root, Default::default);
            customer.seen = true;
            if let Some(employee) = employee_id
                && customer.handler.is_none_or(|(_, at)| at <= *occurred_at)
            {
                customer.handler = Some((*employee, *occurred_at));
            }
        }
        Event::CustomersMerged { kept, merged } => {
            let moved = memory.customers.get(merged).copied().unwrap_or_default();
            let into = memory.customers.get_or_insert_with(*kept, Default::default);
            into.seen |= moved.seen;
            into.handler = [into.handler, moved.handler].into_iter().flatten().max_by_key(|(id, at)| (*at, *id));
            memory.customers.insert(*merged, Customer { merged_into: Some(*kept), ..Customer::default() });
        }
        Event::InquiryCompleted(_)
        | Event::InquiryTransferred { .. }
        | Event::RosterNoted { .. }
        | Event::AgentPresenceNoted { .. }
        | Event::WaitEnded { .. }
        | Event::RoutingAttempted { .. }
        | Event::RosterTookEffect { .. } => {}
    }
}

/// Folds [`Event::InquiryPended`] without the event.
pub(crate) fn pend(
    state: &mut State,
    arrival: Arrival,
    intent_due: Timestamp,
    who: (bool, Option<EmployeeId>),
    at: Timestamp,
) {
    see(&mut state.memory, &arrival);
    arrive(&mut state.live, arrival, intent_due, who, at);
}

/// The customer was here.
fn see(memory: &mut Memory, arrival: &Arrival) {
    let root = memory.root(arrival.customer_id);
    memory.customers.get_or_insert_with(root, Default::default).seen = true;
}

fn arrive(
    live: &mut Live,
    arrival: Arrival,
    intent_due: Timestamp,
    (new_customer, familiar): (bool, Option<EmployeeId>),
    at: Timestamp,
) {
    live.arrivals += 1;
    let id = arrival.inquiry_id;
    let mut inquiry = Inquiry::new(arrival, at, live.arrivals, new_customer, familiar);
    inquiry.intent_due = Some(intent_due);
    live.inquiries.insert(id, inquiry);
    live.queues().0.set_intent_timer(id, intent_due);
}

fn waited(inquiry: &Inquiry) -> u64 {
    match inquiry.stage {
        Stage::Assigned { waited_ms, .. } | Stage::Wrapping { waited_ms, .. } => waited_ms,
        Stage::AwaitingIntent | Stage::Waiting(_) | Stage::Reserved { .. } => 0,
    }
}

fn over(memory: &mut Memory, end: &OfferEnd, how: OfferState) {
    memory.reservations.insert(end.reservation_id, (end.inquiry_id, how));
    memory.over.push_back(end.reservation_id);
    if memory.over.len() > RESERVATIONS_MAX
        && let Some(oldest) = memory.over.pop_front()
    {
        memory.reservations.remove(&oldest);
    }
}

/// The part of the fold that routing works on.
pub(super) fn live(live: &mut Live, event: &Event) {
    match event {
        Event::InquiryPended { arrival, intent_due, new_customer, familiar, at } => {
            arrive(live, arrival.clone(), *intent_due, (*new_customer, *familiar), *at);
        }
        Event::IntentSet { inquiry_id, score, at, .. } => live.with_inquiry(*inquiry_id, |queues, inquiry| {
            if let Some(due) = inquiry.intent_due.take() {
                queues.clear_intent_timer(*inquiry_id, due);
            }
            let waiting = matches!(inquiry.stage, Stage::AwaitingIntent | Stage::Waiting(_));
            queues.unplace(inquiry);
            inquiry.intent = Some(score.clone());
            if waiting {
                queues.place(inquiry, *at);
            }
        }),
        Event::ReservationMade(offer) => {
            live.with_inquiry(offer.inquiry_id, |queues, inquiry| {
                queues.unplace(inquiry);
                queues.clear_waits(inquiry);
                inquiry.epoch = offer.epoch;
                inquiry.stage = Stage::Reserved {
                    reservation_id: offer.reservation_id,
                    employee_id: offer.employee_id,
                    expires_at: offer.expires_at,
                    cost: offer.cost_units,
                };
                queues.set_offer_timer(offer.inquiry_id, offer.reservation_id, offer.expires_at);
            });
            live.hold(offer.employee_id, offer.inquiry_id, offer.cost_units);
        }
        Event::ReservationAccepted { accepted, at } => {
            live.assignments += 1 + planted_assignments();
            let number = live.assignments;
            live.with_inquiry(accepted.end.inquiry_id, |queues, inquiry| {
                let Stage::Reserved { reservation_id, employee_id, expires_at, cost } = inquiry.stage else { return };
                queues.clear_offer_timer(reservation_id, expires_at);
                inquiry.assignments += 1;
                inquiry.declined.clear();
                inquiry.transfer_to = None;
                inquiry.stage = Stage::Assigned {
                    assignment_id: accepted.assignment_id,
                    employee_id,
                    accepted_at: *at,
                    waited_ms: accepted.waited_ms,
                    cost,
                };
            });
            live.with_agent(accepted.end.employee_id, |agent| {
                agent.last_assigned = number;
                agent.misses = 0;
            });
        }
        Event::ReservationRejected { end, at, .. } => back_to_queue(live, end, *at, true, |_| {}),
        Event::ReservationTimedOut { end, misses, at } => {
            back_to_queue(live, end, *at, true, |agent| agent.misses = *misses);
        }
        Event::ReservationRescinded { end, at } => back_to_queue(live, end, *at, false, |_| {}),
        Event::ReservationCancelled { .. } => {} // `InquiryCancelled` follows in the same decision.
        Event::InquiryCompleted(completed) => live.with_inquiry(completed.inquiry_id, |queues, inquiry| {
            let Stage::Assigned { employee_id, waited_ms, cost, .. } = inquiry.stage else { return };
            inquiry.stage = Stage::Wrapping { employee_id, until: completed.wrap_until, waited_ms, cost };
            queues.set_wrap_up_timer(completed.inquiry_id, completed.wrap_until);
        }),
        Event::WrapUpEnded { inquiry_id, employee_id } => {
            if let Some(inquiry) = live.inquiries.remove(inquiry_id)
                && let Stage::Wrapping { until, .. } = inquiry.stage
            {
                live.queues().0.clear_wrap_up_timer(*inquiry_id, until);
            }
            live.let_go(*employee_id, *inquiry_id, |_| {});
        }
        Event::InquiryTransferred { transferred, at } => {
            live.let_go(transferred.from, transferred.inquiry_id, |_| {});
            live.with_inquiry(transferred.inquiry_id, |queues, inquiry| {
                apply_transfer(inquiry, transferred);
                queues.place(inquiry, *at);
            });
        }
        Event::InquiryCancelled { inquiry_id, .. } => cancel(live, *inquiry_id),
        Event::RosterNoted { fact, effective_from } => {
            live.noted += 1;
            live.upcoming.insert((*effective_from, live.noted), fact.clone());
        }
        Event::RosterTookEffect { until, at } => took_effect(live, *until, *at),
        Event::AgentPresenceNoted { employee_id, presence, missed } => {
            live.unindex(*employee_id);
            live.presence.insert(*employee_id, *presence);
            if let Some(agent) = live.agents.get_mut(employee_id).filter(|_| !missed) {
                agent.misses = 0;
            }
            live.index(*employee_id);
        }
        Event::WaitEnded { inquiry_id, wait, at } => live.with_inquiry(*inquiry_id, |queues, inquiry| {
            queues.unplace(inquiry);
            queues.clear_wait(inquiry, *wait);
            end_wait(inquiry, *wait);
            queues.place(inquiry, *at);
        }),
        Event::RoutingAttempted { desk, next_due, at } => {
            live.refresh_shifts(desk, *at);
            live.set_desk_due(desk, *next_due, true);
        }
        Event::PendingIntentNoted { .. } | Event::HandlerNoted { .. } | Event::CustomersMerged { .. } => {}
    }
}

/// What the end of a wait changes about an inquiry's wishes.
pub(super) fn end_wait(inquiry: &mut Inquiry, wait: Wait) {
    match wait {
        Wait::Sticky => inquiry.sticky_over = true,
        Wait::Experience => inquiry.experience_over = true,
        Wait::Round => inquiry.declined.clear(),
    }
}

/// What a transfer changes about an inquiry's wishes: a new target, another intent, and not at once the same agent.
pub(super) fn apply_transfer(inquiry: &mut Inquiry, transferred: &Transferred) {
    inquiry.transfer_to = transferred.to;
    inquiry.sticky_over = false;
    inquiry.experience_over = false;
    inquiry.experience_until = None;
    inquiry.declined = vec![transferred.from];
    if !transferred.intent.is_empty() {
        inquiry.intent = Some(IntentScore { intent: transferred.intent.clone(), ppm: 1_000_000 });
    }
    inquiry.stage = Stage::AwaitingIntent;
}

fn back_to_queue(live: &mut Live, end: &OfferEnd, at: Timestamp, declined: bool, change: impl FnOnce(&mut Agent)) {
    live.with_inquiry(end.inquiry_id, |queues, inquiry| {
        let Stage::Reserved { reservation_id, expires_at, .. } = inquiry.stage else { return };
        queues.clear_offer_timer(reservation_id, expires_at);
        if declined {
            inquiry.declined.push(end.employee_id);
        }
        queues.place(inquiry, at);
    });
    live.let_go(end.employee_id, end.inquiry_id, change);
}

fn cancel(live: &mut Live, id: InquiryId) {
    let Some(mut inquiry) = live.inquiries.remove(&id) else { return };
    let (mut queues, _) = live.queues();
    queues.unplace(&inquiry);
    queues.clear_waits(&mut inquiry);
    if let Some(due) = inquiry.intent_due {
        queues.clear_intent_timer(id, due);
    }
    match inquiry.stage {
        Stage::Reserved { reservation_id, expires_at, .. } => queues.clear_offer_timer(reservation_id, expires_at),
        Stage::Wrapping { until, .. } => queues.clear_wrap_up_timer(id, until),
        Stage::AwaitingIntent | Stage::Waiting(_) | Stage::Assigned { .. } => {}
    }
    if let Some((employee, _)) = inquiry.stage.holder() {
        live.let_go(employee, id, |_| {});
    }
}

fn took_effect(live: &mut Live, until: Timestamp, at: Timestamp) {
    let mut rebuild = false;
    while let Some(entry) = live.upcoming.first_entry().filter(|entry| entry.key().0 <= until) {
        match entry.remove() {
            RosterFact::Agent(facts) => live.put_agent(facts, at),
            RosterFact::Left(employee) => live.agent_left(employee, at),
            RosterFact::Position(position) => {
                live.positions.insert(position.code.clone(), position);
                rebuild = true;
            }
            RosterFact::Desk(facts) => {
                let code = facts.code.clone();
                live.desks.entry(code.clone()).or_default().facts = Some(facts);
                live.refresh_shifts(&code, at);
                live.route_soon(&code, at);
            }
            RosterFact::Policy(policy) => {
                live.policy = policy;
                rebuild = true;
            }
            RosterFact::Seed(seed) => {
                live.seed = seed;
                rebuild = true;
            }
        }
    }
    if rebuild {
        live.rebuild(at);
    }
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_assignments() -> u64 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_assignments() -> u64 {
    u64::from(crate::planted::is(1))
}
