//! The queues of waiting inquiries and the timers of inquiries. Each change of an inquiry's place goes through here.

use std::collections::BTreeMap;

use kernel::{Duration, InquiryId, ReservationId, Timestamp};

use super::state::{Desk, Due, Inquiry, Place, Queue, Stage};
use super::types::{Policy, PositionFacts, Wait};
use super::wish::need_of;

const MINUTE: i64 = 60 * 1_000_000;

/// Who declined an inquiry, or handed it on, may be asked again this much later: long enough to have become free, short
/// enough for a customer who waits.
const ROUND: Duration = Duration::from_secs(30);

/// Kinds of timers, mixed into their ids so that two of one inquiry never share one.
mod kind {
    pub(super) const INTENT: u8 = 1;
    pub(super) const WRAP_UP: u8 = 2;
    pub(super) const STICKY: u8 = 3;
    pub(super) const EXPERIENCE: u8 = 4;
    pub(super) const ROUND: u8 = 5;
}

fn mixed(id: InquiryId, kind: u8) -> [u8; 16] {
    let mut bytes = *id.as_bytes();
    bytes[15] ^= kind;
    bytes
}

fn wait_id(inquiry_id: InquiryId, wait: Wait) -> [u8; 16] {
    let kind = match wait {
        Wait::Sticky => kind::STICKY,
        Wait::Experience => kind::EXPERIENCE,
        Wait::Round => kind::ROUND,
    };
    mixed(inquiry_id, kind)
}

/// What an inquiry's place is made of and kept in, apart from the inquiries themselves.
pub(super) struct Queues<'a> {
    pub(super) policy: &'a Policy,
    pub(super) positions: &'a BTreeMap<String, PositionFacts>,
    pub(super) desks: &'a mut BTreeMap<String, Desk>,
    pub(super) timers: &'a mut BTreeMap<(Timestamp, [u8; 16]), Due>,
}

impl Queues<'_> {
    pub(super) fn set_intent_timer(&mut self, inquiry_id: InquiryId, due: Timestamp) {
        self.timers.insert((due, mixed(inquiry_id, kind::INTENT)), Due::Intent(inquiry_id));
    }

    pub(super) fn clear_intent_timer(&mut self, inquiry_id: InquiryId, due: Timestamp) {
        self.timers.remove(&(due, mixed(inquiry_id, kind::INTENT)));
    }

    pub(super) fn set_wrap_up_timer(&mut self, inquiry_id: InquiryId, due: Timestamp) {
        self.timers.insert((due, mixed(inquiry_id, kind::WRAP_UP)), Due::WrapUp(inquiry_id));
    }

    pub(super) fn clear_wrap_up_timer(&mut self, inquiry_id: InquiryId, due: Timestamp) {
        self.timers.remove(&(due, mixed(inquiry_id, kind::WRAP_UP)));
    }

    pub(super) fn set_offer_timer(&mut self, inquiry_id: InquiryId, id: ReservationId, due: Timestamp) {
        self.timers.insert((due, *id.as_bytes()), Due::Offer(id, inquiry_id));
    }

    pub(super) fn clear_offer_timer(&mut self, id: ReservationId, due: Timestamp) {
        self.timers.remove(&(due, *id.as_bytes()));
    }

    fn set_wait(&mut self, inquiry: &mut Inquiry, wait: Wait, due: Timestamp) {
        let inquiry_id = inquiry.arrival.inquiry_id;
        self.timers.insert((due, wait_id(inquiry_id, wait)), Due::Wait(inquiry_id, wait));
        *inquiry.due(wait) = Some(due);
    }

    pub(super) fn clear_wait(&mut self, inquiry: &mut Inquiry, wait: Wait) {
        if let Some(due) = inquiry.due(wait).take() {
            self.timers.remove(&(due, wait_id(inquiry.arrival.inquiry_id, wait)));
        }
    }

    /// Ends all waits of an inquiry that is waiting no more.
    pub(super) fn clear_waits(&mut self, inquiry: &mut Inquiry) {
        for wait in [Wait::Sticky, Wait::Experience, Wait::Round] {
            self.clear_wait(inquiry, wait);
        }
    }

    /// Puts an inquiry into the queue where it belongs now, and starts the waits of that place.
    pub(super) fn place(&mut self, inquiry: &mut Inquiry, at: Timestamp) {
        let place = place_of(self.policy, inquiry);
        if !self.desks.contains_key(&inquiry.arrival.desk) {
            self.desks.insert(inquiry.arrival.desk.clone(), Desk::default());
        }
        let Some(desk) = self.desks.get_mut(&inquiry.arrival.desk) else { return };
        if let Some(target) = inquiry.target() {
            desk.for_agent.entry(target).or_default().insert(place);
            if inquiry.sticky_due.is_none() {
                let due = at + Duration::from_millis(i64::from(self.policy.sticky_wait_ms));
                self.set_wait(inquiry, Wait::Sticky, due);
            }
            inquiry.stage = Stage::Waiting(Queue::For(target));
            return;
        }
        let need = need_of(self.positions, Some(desk), inquiry);
        match desk.classes.get_mut(&need) {
            Some(places) => {
                places.insert(place);
            }
            None => {
                desk.classes.insert(need.clone(), [place].into());
            }
        }
        self.clear_wait(inquiry, Wait::Sticky);
        if (need.first || !need.skill.is_empty()) && inquiry.experience_due.is_none() {
            let whole = at + Duration::from_millis(i64::from(self.policy.experience_wait_ms));
            let due = *inquiry.experience_until.get_or_insert(whole);
            self.set_wait(inquiry, Wait::Experience, due);
        }
        if !inquiry.declined.is_empty() && inquiry.round_due.is_none() {
            self.set_wait(inquiry, Wait::Round, at + ROUND);
        }
        inquiry.stage = Stage::Waiting(Queue::Class(need));
    }

    /// Takes an inquiry out of the queue, if it waits. Must be called before anything that its place is made of changes.
    pub(super) fn unplace(&mut self, inquiry: &Inquiry) {
        let Stage::Waiting(queue) = &inquiry.stage else { return };
        let place = place_of(self.policy, inquiry);
        let Some(desk) = self.desks.get_mut(&inquiry.arrival.desk) else { return };
        match queue {
            Queue::For(target) => {
                if let Some(places) = desk.for_agent.get_mut(target) {
                    places.remove(&place);
                    if places.is_empty() {
                        desk.for_agent.remove(target);
                    }
                }
            }
            Queue::Class(need) => {
                if let Some(places) = desk.classes.get_mut(need) {
                    places.remove(&place);
                    if places.is_empty() {
                        desk.classes.remove(need);
                    }
                }
            }
        }
    }
}

fn head_start(policy: &Policy, inquiry: &Inquiry) -> i64 {
    let of_intent = policy.priorities.iter().find(|(intent, _)| *intent == inquiry.intent());
    let minutes = u64::from(inquiry.arrival.priority_minutes) + of_intent.map_or(0, |(_, minutes)| u64::from(*minutes));
    i64::try_from(minutes).unwrap_or(0).saturating_mul(MINUTE)
}

pub(super) fn place_of(policy: &Policy, inquiry: &Inquiry) -> Place {
    let score = inquiry.arrived_at.as_micros().saturating_sub(head_start(policy, inquiry));
    (score, inquiry.arrival_no, inquiry.arrival.inquiry_id)
}
