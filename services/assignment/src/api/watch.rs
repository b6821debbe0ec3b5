//! Events as the streams show them.

use kernel::{EmployeeId, EventId, InquiryId, Timestamp};
use proto::assignment as pb;
use runtime::{Followed, field};

use crate::domain::{Event, Names, OfferEnd};

/// What an event says to people and platforms; nothing for events of the inside.
struct Shown<'a> {
    step: pb::Step,
    inquiry_id: InquiryId,
    employee_id: Option<EmployeeId>,
    names: &'a Names,
}

fn ended<'a>(step: pb::Step, end: &'a OfferEnd) -> Option<Shown<'a>> {
    Some(Shown { step, inquiry_id: end.inquiry_id, employee_id: Some(end.employee_id), names: &end.names })
}

fn shown(event: &Event) -> Option<Shown<'_>> {
    match event {
        Event::ReservationMade(offer) => Some(Shown {
            step: pb::Step::Offered,
            inquiry_id: offer.inquiry_id,
            employee_id: Some(offer.employee_id),
            names: &offer.names,
        }),
        Event::ReservationAccepted { accepted, .. } => ended(pb::Step::Assigned, &accepted.end),
        Event::ReservationRejected { end, .. } => ended(pb::Step::Rejected, end),
        Event::ReservationTimedOut { end, .. } => ended(pb::Step::TimedOut, end),
        Event::ReservationCancelled { end } | Event::ReservationRescinded { end, .. } => {
            ended(pb::Step::Withdrawn, end)
        }
        Event::InquiryCompleted(completed) => Some(Shown {
            step: pb::Step::Completed,
            inquiry_id: completed.inquiry_id,
            employee_id: Some(completed.employee_id),
            names: &completed.names,
        }),
        Event::InquiryTransferred { transferred, .. } => Some(Shown {
            step: pb::Step::Transferred,
            inquiry_id: transferred.inquiry_id,
            employee_id: Some(transferred.from),
            names: &transferred.names,
        }),
        Event::InquiryCancelled { inquiry_id, employee_id, names, .. } => {
            Some(Shown { step: pb::Step::Cancelled, inquiry_id: *inquiry_id, employee_id: *employee_id, names })
        }
        Event::InquiryPended { .. }
        | Event::IntentSet { .. }
        | Event::PendingIntentNoted { .. }
        | Event::WrapUpEnded { .. }
        | Event::HandlerNoted { .. }
        | Event::RosterNoted { .. }
        | Event::AgentPresenceNoted { .. }
        | Event::CustomersMerged { .. }
        | Event::WaitEnded { .. }
        | Event::RoutingAttempted { .. }
        | Event::RosterTookEffect { .. } => None,
    }
}

fn id_of(event_id: EventId) -> String {
    event_id.to_string()
}

fn time_of(recorded_at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(field::wire_timestamp(recorded_at))
}

/// One agent's offers and what became of them.
pub(super) fn offer(followed: &Followed<Event>, employee: EmployeeId) -> Option<pb::WatchOffersResponse> {
    let (seq, event_id, recorded_at, event) = match followed {
        Followed::Heartbeat { seq } => {
            return Some(pb::WatchOffersResponse { seq: *seq, heartbeat: true, ..Default::default() });
        }
        Followed::Event { seq, event_id, recorded_at, event } => (*seq, *event_id, *recorded_at, event),
    };
    let shown = shown(event).filter(|shown| shown.employee_id == Some(employee))?;
    let mut response = pb::WatchOffersResponse {
        event_id: id_of(event_id),
        seq,
        step: shown.step.into(),
        inquiry_id: shown.inquiry_id.to_string(),
        recorded_at: time_of(recorded_at),
        ..Default::default()
    };
    match event {
        Event::ReservationMade(offer) => {
            response.reservation_id = offer.reservation_id.to_string();
            response.epoch = offer.epoch;
            response.expires_at = time_of(offer.expires_at);
        }
        Event::ReservationAccepted { accepted, .. } => {
            response.reservation_id = accepted.end.reservation_id.to_string();
            response.epoch = accepted.epoch;
        }
        Event::ReservationRejected { end, .. }
        | Event::ReservationTimedOut { end, .. }
        | Event::ReservationCancelled { end }
        | Event::ReservationRescinded { end, .. } => response.reservation_id = end.reservation_id.to_string(),
        _ => {}
    }
    Some(response)
}

/// The whole tenant's.
pub(super) fn assignment(followed: &Followed<Event>) -> Option<pb::WatchAssignmentsResponse> {
    let (seq, event_id, recorded_at, event) = match followed {
        Followed::Heartbeat { seq } => {
            return Some(pb::WatchAssignmentsResponse { seq: *seq, heartbeat: true, ..Default::default() });
        }
        Followed::Event { seq, event_id, recorded_at, event } => (*seq, *event_id, *recorded_at, event),
    };
    let shown = shown(event)?;
    Some(pb::WatchAssignmentsResponse {
        event_id: id_of(event_id),
        seq,
        step: shown.step.into(),
        inquiry_id: shown.inquiry_id.to_string(),
        platform: shown.names.platform.clone(),
        external_id: shown.names.external_id.clone(),
        employee: shown.names.employee.clone(),
        recorded_at: time_of(recorded_at),
        heartbeat: false,
    })
}
