//! Events of assignment as they stand on the log.

use kernel::{AssignmentId, CustomerId, EmployeeId, InquiryId, ReservationId, Timestamp};
use prost::Message as _;
use proto::assignment as pb;
use proto::roster;
use runtime::{CodecError, wire};

use crate::domain::{
    Accepted, AgentFacts, Arrival, Completed, Decision, DeskFacts, Event, Filter, IntentScore, Names, Offer, OfferEnd,
    Policy, PositionFacts, Presence, RosterFact, Rule, Shift, Transferred, Wait, ZoneOffset,
};

pub(crate) mod schema {
    pub(crate) const INQUIRY_PENDED: u16 = 1;
    pub(crate) const INTENT_SET: u16 = 2;
    pub(crate) const PENDING_INTENT_NOTED: u16 = 3;
    pub(crate) const RESERVATION_MADE: u16 = 4;
    pub(crate) const RESERVATION_ACCEPTED: u16 = 5;
    pub(crate) const RESERVATION_REJECTED: u16 = 6;
    pub(crate) const RESERVATION_TIMED_OUT: u16 = 7;
    pub(crate) const RESERVATION_CANCELLED: u16 = 8;
    pub(crate) const RESERVATION_RESCINDED: u16 = 9;
    pub(crate) const INQUIRY_COMPLETED: u16 = 10;
    pub(crate) const WRAP_UP_ENDED: u16 = 11;
    pub(crate) const INQUIRY_TRANSFERRED: u16 = 12;
    pub(crate) const INQUIRY_CANCELLED: u16 = 13;
    pub(crate) const HANDLER_NOTED: u16 = 14;
    pub(crate) const AGENT_NOTED: u16 = 15;
    pub(crate) const AGENT_PRESENCE_NOTED: u16 = 16;
    pub(crate) const POSITION_NOTED: u16 = 17;
    pub(crate) const DESK_NOTED: u16 = 18;
    pub(crate) const POLICY_NOTED: u16 = 19;
    pub(crate) const CUSTOMERS_MERGED: u16 = 20;
    pub(crate) const WAIT_ENDED: u16 = 21;
    pub(crate) const ROUTING_ATTEMPTED: u16 = 22;
    pub(crate) const ROSTER_TOOK_EFFECT: u16 = 23;
}

fn optional(id: Option<EmployeeId>) -> Vec<u8> {
    id.map(EmployeeId::to_vec).unwrap_or_default()
}

fn names_to_wire(names: Names) -> Option<pb::Names> {
    Some(pb::Names { platform: names.platform, external_id: names.external_id, employee: names.employee })
}

fn filter_to_wire(filter: Filter) -> pb::Filter {
    match filter {
        Filter::OtherDesk => pb::Filter::OtherDesk,
        Filter::OffShift => pb::Filter::OffShift,
        Filter::NotAvailable => pb::Filter::NotAvailable,
        Filter::Duty => pb::Filter::Duty,
        Filter::Language => pb::Filter::Language,
        Filter::Skill => pb::Filter::Skill,
        Filter::Capacity => pb::Filter::Capacity,
        Filter::Declined => pb::Filter::Declined,
        Filter::Experience => pb::Filter::Experience,
        Filter::NotSticky => pb::Filter::NotSticky,
    }
}

fn rule_to_wire(rule: Rule) -> &'static str {
    match rule {
        Rule::Familiar => "familiar",
        Rule::Transfer => "transfer",
        Rule::FirstReception => "first_reception",
        Rule::Duty => "duty",
        Rule::Overflow => "overflow",
    }
}

fn decision_to_wire(decision: Decision) -> pb::Decision {
    let count = |(filter, candidates): &(Filter, u32)| pb::FilterCount {
        filter: filter_to_wire(*filter).into(),
        candidates: *candidates,
    };
    pb::Decision {
        policy_hash: decision.policy_hash.to_vec(),
        policy_version: decision.policy_version,
        runner_up: optional(decision.runner_up),
        tie_set: decision.tie_set.into_iter().map(EmployeeId::to_vec).collect(),
        winner_load_ppm: decision.winner_load_ppm,
        runner_up_load_ppm: decision.runner_up_load_ppm,
        passed_over: decision.passed_over.iter().map(count).collect(),
        eligible: decision.eligible,
        probability_ppm: decision.probability_ppm,
        rule: rule_to_wire(decision.rule).to_owned(),
    }
}

fn wait_to_wire(wait: Wait) -> pb::Wait {
    match wait {
        Wait::Sticky => pb::Wait::Sticky,
        Wait::Experience => pb::Wait::Experience,
        Wait::Round => pb::Wait::Round,
    }
}

fn presence_to_wire(presence: Presence) -> roster::Presence {
    match presence {
        Presence::Available => roster::Presence::Available,
        Presence::Paused => roster::Presence::Paused,
        Presence::Offline => roster::Presence::Offline,
    }
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event.clone() {
        Event::InquiryPended { arrival, intent_due, new_customer, familiar, .. } => {
            let event = pb::InquiryPended {
                inquiry_id: arrival.inquiry_id.to_vec(),
                customer_id: arrival.customer_id.to_vec(),
                desk: arrival.desk,
                platform: arrival.platform,
                external_id: arrival.external_id,
                language: arrival.language,
                priority_minutes: arrival.priority_minutes,
                intent_due_us: intent_due.as_micros(),
                new_customer,
                occurred_at_us: arrival.occurred_at.as_micros(),
                category: arrival.category,
                familiar_employee_id: optional(familiar),
            };
            wire::put(schema::INQUIRY_PENDED, &event, payload)
        }
        Event::IntentSet { inquiry_id, score, timed_out, .. } => {
            let IntentScore { intent, ppm } = score;
            let event = pb::IntentSet { inquiry_id: inquiry_id.to_vec(), intent, ppm, timed_out };
            wire::put(schema::INTENT_SET, &event, payload)
        }
        Event::PendingIntentNoted { inquiry_id, score } => {
            let IntentScore { intent, ppm } = score;
            wire::put(
                schema::PENDING_INTENT_NOTED,
                &pb::PendingIntentNoted { inquiry_id: inquiry_id.to_vec(), intent, ppm },
                payload,
            )
        }
        Event::ReservationMade(offer) => {
            let event = pb::ReservationMade {
                reservation_id: offer.reservation_id.to_vec(),
                inquiry_id: offer.inquiry_id.to_vec(),
                employee_id: offer.employee_id.to_vec(),
                epoch: offer.epoch,
                expires_at_us: offer.expires_at.as_micros(),
                cost_units: offer.cost_units,
                decision: Some(decision_to_wire(offer.decision)),
                names: names_to_wire(offer.names),
            };
            wire::put(schema::RESERVATION_MADE, &event, payload)
        }
        Event::ReservationAccepted { accepted, .. } => {
            let event = pb::ReservationAccepted {
                reservation_id: accepted.end.reservation_id.to_vec(),
                inquiry_id: accepted.end.inquiry_id.to_vec(),
                employee_id: accepted.end.employee_id.to_vec(),
                assignment_id: accepted.assignment_id.to_vec(),
                customer_id: accepted.customer_id.to_vec(),
                desk: accepted.desk,
                intent: accepted.intent,
                waited_ms: accepted.waited_ms,
                first: accepted.first,
                epoch: accepted.epoch,
                names: names_to_wire(accepted.end.names),
            };
            wire::put(schema::RESERVATION_ACCEPTED, &event, payload)
        }
        Event::ReservationRejected { end, epoch, reason, .. } => {
            let event = pb::ReservationRejected {
                reservation_id: end.reservation_id.to_vec(),
                inquiry_id: end.inquiry_id.to_vec(),
                employee_id: end.employee_id.to_vec(),
                reason,
                epoch,
                names: names_to_wire(end.names),
            };
            wire::put(schema::RESERVATION_REJECTED, &event, payload)
        }
        Event::ReservationTimedOut { end, misses, .. } => {
            let event = pb::ReservationTimedOut {
                reservation_id: end.reservation_id.to_vec(),
                inquiry_id: end.inquiry_id.to_vec(),
                employee_id: end.employee_id.to_vec(),
                misses,
                names: names_to_wire(end.names),
            };
            wire::put(schema::RESERVATION_TIMED_OUT, &event, payload)
        }
        Event::ReservationCancelled { end } => {
            let event = pb::ReservationCancelled {
                reservation_id: end.reservation_id.to_vec(),
                inquiry_id: end.inquiry_id.to_vec(),
                employee_id: end.employee_id.to_vec(),
                names: names_to_wire(end.names),
            };
            wire::put(schema::RESERVATION_CANCELLED, &event, payload)
        }
        Event::ReservationRescinded { end, .. } => {
            let event = pb::ReservationRescinded {
                reservation_id: end.reservation_id.to_vec(),
                inquiry_id: end.inquiry_id.to_vec(),
                employee_id: end.employee_id.to_vec(),
                names: names_to_wire(end.names),
            };
            wire::put(schema::RESERVATION_RESCINDED, &event, payload)
        }
        Event::InquiryCompleted(completed) => {
            let event = pb::InquiryCompleted {
                assignment_id: completed.assignment_id.to_vec(),
                inquiry_id: completed.inquiry_id.to_vec(),
                employee_id: completed.employee_id.to_vec(),
                customer_id: completed.customer_id.to_vec(),
                desk: completed.desk,
                disposition: completed.disposition,
                handled_ms: completed.handled_ms,
                wrap_until_us: completed.wrap_until.as_micros(),
                names: names_to_wire(completed.names),
            };
            wire::put(schema::INQUIRY_COMPLETED, &event, payload)
        }
        Event::WrapUpEnded { inquiry_id, employee_id } => {
            let event = pb::WrapUpEnded { inquiry_id: inquiry_id.to_vec(), employee_id: employee_id.to_vec() };
            wire::put(schema::WRAP_UP_ENDED, &event, payload)
        }
        Event::InquiryTransferred { transferred, .. } => {
            let event = pb::InquiryTransferred {
                assignment_id: transferred.assignment_id.to_vec(),
                inquiry_id: transferred.inquiry_id.to_vec(),
                from_employee_id: transferred.from.to_vec(),
                to_employee_id: optional(transferred.to),
                intent: transferred.intent,
                reason: transferred.reason,
                names: names_to_wire(transferred.names),
            };
            wire::put(schema::INQUIRY_TRANSFERRED, &event, payload)
        }
        Event::InquiryCancelled { inquiry_id, reason, employee_id, names } => {
            let (inquiry_id, employee_id) = (inquiry_id.to_vec(), optional(employee_id));
            let event = pb::InquiryCancelled { inquiry_id, reason, employee_id, names: names_to_wire(names) };
            wire::put(schema::INQUIRY_CANCELLED, &event, payload)
        }
        Event::HandlerNoted { customer_id, employee_id, occurred_at } => {
            let event = pb::HandlerNoted {
                customer_id: customer_id.to_vec(),
                employee_id: optional(employee_id),
                occurred_at_us: occurred_at.as_micros(),
            };
            wire::put(schema::HANDLER_NOTED, &event, payload)
        }
        Event::RosterNoted { fact, effective_from } => encode_roster(fact, effective_from, payload),
        Event::AgentPresenceNoted { employee_id, presence, missed } => {
            let presence = presence_to_wire(presence).into();
            let event = pb::AgentPresenceNoted { employee_id: employee_id.to_vec(), presence, missed };
            wire::put(schema::AGENT_PRESENCE_NOTED, &event, payload)
        }
        Event::CustomersMerged { kept, merged } => {
            let event = pb::CustomersMerged { kept_customer_id: kept.to_vec(), merged_customer_id: merged.to_vec() };
            wire::put(schema::CUSTOMERS_MERGED, &event, payload)
        }
        Event::WaitEnded { inquiry_id, wait, .. } => {
            let event = pb::WaitEnded { inquiry_id: inquiry_id.to_vec(), wait: wait_to_wire(wait).into() };
            wire::put(schema::WAIT_ENDED, &event, payload)
        }
        Event::RoutingAttempted { desk, next_due, .. } => {
            let event = pb::RoutingAttempted { desk, next_due_us: next_due.map_or(0, Timestamp::as_micros) };
            wire::put(schema::ROUTING_ATTEMPTED, &event, payload)
        }
        Event::RosterTookEffect { until, .. } => {
            wire::put(schema::ROSTER_TOOK_EFFECT, &pb::RosterTookEffect { until_us: until.as_micros() }, payload)
        }
    }
}

fn encode_roster(fact: RosterFact, effective_from: Timestamp, payload: &mut Vec<u8>) -> u16 {
    let effective_from_us = effective_from.as_micros();
    match fact {
        RosterFact::Agent(facts) => {
            let skill = |(code, level)| roster::Skill { code, level };
            let shift = |shift: Shift| roster::Shift {
                weekday: shift.weekday,
                start_minute: shift.start_minute,
                end_minute: shift.end_minute,
            };
            let event = pb::AgentNoted {
                employee_id: facts.employee_id.to_vec(),
                code: facts.code,
                desk: facts.desk,
                position: facts.position,
                skills: facts.skills.into_iter().map(skill).collect(),
                languages: facts.languages,
                shifts: facts.shifts.into_iter().map(shift).collect(),
                experience_months: facts.experience_months,
                effective_from_us,
                left: false,
            };
            wire::put(schema::AGENT_NOTED, &event, payload)
        }
        RosterFact::Left(employee_id) => {
            let employee_id = employee_id.to_vec();
            let event = pb::AgentNoted { employee_id, effective_from_us, left: true, ..Default::default() };
            wire::put(schema::AGENT_NOTED, &event, payload)
        }
        RosterFact::Position(PositionFacts { code, version, duties, capacity_units, first_reception }) => {
            let event = pb::PositionNoted { code, version, duties, capacity_units, first_reception, effective_from_us };
            wire::put(schema::POSITION_NOTED, &event, payload)
        }
        RosterFact::Desk(DeskFacts { code, offsets }) => {
            let offset = |offset: ZoneOffset| roster::ZoneOffset {
                from_us: offset.from.as_micros(),
                offset_seconds: offset.seconds,
            };
            let event = pb::DeskNoted { code, offsets: offsets.into_iter().map(offset).collect() };
            wire::put(schema::DESK_NOTED, &event, payload)
        }
        RosterFact::Policy(policy) => {
            let policy_hash = policy.hash.to_vec();
            let policy = Some(policy_to_wire(policy, effective_from_us));
            wire::put(schema::POLICY_NOTED, &pb::PolicyNoted { policy, seed: Vec::new(), policy_hash }, payload)
        }
        RosterFact::Seed(seed) => {
            let event = pb::PolicyNoted { policy: None, seed: seed.to_vec(), policy_hash: Vec::new() };
            wire::put(schema::POLICY_NOTED, &event, payload)
        }
    }
}

fn policy_to_wire(policy: Policy, effective_from_us: i64) -> roster::PolicyDefined {
    let priority = |(intent, head_start_minutes)| roster::IntentPriority { intent, head_start_minutes };
    roster::PolicyDefined {
        version: policy.version,
        intent_wait_ms: policy.intent_wait_ms,
        accept_timeout_ms: policy.accept_timeout_ms,
        wrap_up_ms: policy.wrap_up_ms,
        chat_cost: policy.chat_cost,
        sticky_hours: policy.sticky_hours,
        sticky_wait_ms: policy.sticky_wait_ms,
        experience_months: policy.experience_months,
        experience_wait_ms: policy.experience_wait_ms,
        misses_max: policy.misses_max,
        priorities: policy.priorities.into_iter().map(priority).collect(),
        effective_from_us,
    }
}

fn inquiry(bytes: &[u8]) -> Result<InquiryId, CodecError> {
    wire::id(bytes, "inquiry_id", InquiryId::from_bytes)
}

fn employee(bytes: &[u8]) -> Result<EmployeeId, CodecError> {
    wire::id(bytes, "employee_id", EmployeeId::from_bytes)
}

fn optional_employee(bytes: &[u8]) -> Result<Option<EmployeeId>, CodecError> {
    wire::optional_id(bytes, "employee_id", EmployeeId::from_bytes)
}

fn customer(bytes: &[u8]) -> Result<CustomerId, CodecError> {
    wire::id(bytes, "customer_id", CustomerId::from_bytes)
}

fn malformed(what: &str) -> CodecError {
    CodecError::Malformed(what.to_owned())
}

fn names(names: Option<pb::Names>) -> Names {
    let pb::Names { platform, external_id, employee } = names.unwrap_or_default();
    Names { platform, external_id, employee }
}

fn hash32(bytes: &[u8]) -> Result<[u8; 32], CodecError> {
    bytes.try_into().map_err(|_| malformed("a hash of 32 bytes is missing"))
}

fn filter(filter: pb::Filter) -> Result<Filter, CodecError> {
    Ok(match filter {
        pb::Filter::OtherDesk => Filter::OtherDesk,
        pb::Filter::OffShift => Filter::OffShift,
        pb::Filter::NotAvailable => Filter::NotAvailable,
        pb::Filter::Duty => Filter::Duty,
        pb::Filter::Language => Filter::Language,
        pb::Filter::Skill => Filter::Skill,
        pb::Filter::Capacity => Filter::Capacity,
        pb::Filter::Declined => Filter::Declined,
        pb::Filter::Experience => Filter::Experience,
        pb::Filter::NotSticky => Filter::NotSticky,
        pb::Filter::Unspecified => return Err(malformed("a count without filter")),
    })
}

fn decision(decision: Option<pb::Decision>) -> Result<Decision, CodecError> {
    let decision = decision.ok_or_else(|| malformed("decision is missing"))?;
    let count = |count: &pb::FilterCount| Ok((filter(count.filter())?, count.candidates));
    Ok(Decision {
        policy_hash: hash32(&decision.policy_hash)?,
        policy_version: decision.policy_version,
        runner_up: optional_employee(&decision.runner_up)?,
        tie_set: decision.tie_set.iter().map(|id| employee(id)).collect::<Result<_, _>>()?,
        winner_load_ppm: decision.winner_load_ppm,
        runner_up_load_ppm: decision.runner_up_load_ppm,
        passed_over: decision.passed_over.iter().map(count).collect::<Result<_, CodecError>>()?,
        eligible: decision.eligible,
        probability_ppm: decision.probability_ppm,
        rule: match decision.rule.as_str() {
            "familiar" => Rule::Familiar,
            "transfer" => Rule::Transfer,
            "first_reception" => Rule::FirstReception,
            "duty" => Rule::Duty,
            "overflow" => Rule::Overflow,
            _ => return Err(malformed("a decision of an unknown rule")),
        },
    })
}

pub(crate) fn presence(presence: roster::Presence) -> Result<Presence, CodecError> {
    match presence {
        roster::Presence::Available => Ok(Presence::Available),
        roster::Presence::Paused => Ok(Presence::Paused),
        roster::Presence::Offline => Ok(Presence::Offline),
        roster::Presence::Unspecified => Err(malformed("presence is missing")),
    }
}

/// The end of an offer, from the fields that its events share.
fn offer_end(
    reservation: &[u8],
    inquiry_id: &[u8],
    employee_id: &[u8],
    named: Option<pb::Names>,
) -> Result<OfferEnd, CodecError> {
    Ok(OfferEnd {
        reservation_id: wire::id(reservation, "reservation_id", ReservationId::from_bytes)?,
        inquiry_id: inquiry(inquiry_id)?,
        employee_id: employee(employee_id)?,
        names: names(named),
    })
}

fn assignment(bytes: &[u8]) -> Result<AssignmentId, CodecError> {
    wire::id(bytes, "assignment_id", AssignmentId::from_bytes)
}

pub(crate) fn decode(schema: u16, payload: &[u8], at: Timestamp) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::INQUIRY_PENDED => pended(pb::InquiryPended::decode(payload)?, at)?,
        schema::INTENT_SET => {
            let event = pb::IntentSet::decode(payload)?;
            let score = IntentScore { intent: event.intent, ppm: event.ppm };
            Event::IntentSet { inquiry_id: inquiry(&event.inquiry_id)?, score, timed_out: event.timed_out, at }
        }
        schema::PENDING_INTENT_NOTED => {
            let event = pb::PendingIntentNoted::decode(payload)?;
            let score = IntentScore { intent: event.intent, ppm: event.ppm };
            Event::PendingIntentNoted { inquiry_id: inquiry(&event.inquiry_id)?, score }
        }
        schema::RESERVATION_MADE => {
            let event = pb::ReservationMade::decode(payload)?;
            Event::ReservationMade(Box::new(Offer {
                reservation_id: wire::id(&event.reservation_id, "reservation_id", ReservationId::from_bytes)?,
                inquiry_id: inquiry(&event.inquiry_id)?,
                employee_id: employee(&event.employee_id)?,
                epoch: event.epoch,
                expires_at: Timestamp::from_micros(event.expires_at_us),
                cost_units: event.cost_units,
                decision: decision(event.decision)?,
                names: names(event.names),
            }))
        }
        schema::RESERVATION_ACCEPTED => accepted(pb::ReservationAccepted::decode(payload)?, at)?,
        schema::RESERVATION_REJECTED => {
            let event = pb::ReservationRejected::decode(payload)?;
            let end = offer_end(&event.reservation_id, &event.inquiry_id, &event.employee_id, event.names)?;
            Event::ReservationRejected { end, epoch: event.epoch, reason: event.reason, at }
        }
        schema::RESERVATION_TIMED_OUT => {
            let event = pb::ReservationTimedOut::decode(payload)?;
            let end = offer_end(&event.reservation_id, &event.inquiry_id, &event.employee_id, event.names)?;
            Event::ReservationTimedOut { end, misses: event.misses, at }
        }
        schema::RESERVATION_CANCELLED => {
            let event = pb::ReservationCancelled::decode(payload)?;
            let end = offer_end(&event.reservation_id, &event.inquiry_id, &event.employee_id, event.names)?;
            Event::ReservationCancelled { end }
        }
        schema::RESERVATION_RESCINDED => {
            let event = pb::ReservationRescinded::decode(payload)?;
            let end = offer_end(&event.reservation_id, &event.inquiry_id, &event.employee_id, event.names)?;
            Event::ReservationRescinded { end, at }
        }
        schema::INQUIRY_COMPLETED => completed(pb::InquiryCompleted::decode(payload)?)?,
        schema::WRAP_UP_ENDED => {
            let event = pb::WrapUpEnded::decode(payload)?;
            Event::WrapUpEnded { inquiry_id: inquiry(&event.inquiry_id)?, employee_id: employee(&event.employee_id)? }
        }
        schema::INQUIRY_TRANSFERRED => transferred(pb::InquiryTransferred::decode(payload)?, at)?,
        schema::INQUIRY_CANCELLED => {
            let event = pb::InquiryCancelled::decode(payload)?;
            Event::InquiryCancelled {
                inquiry_id: inquiry(&event.inquiry_id)?,
                reason: event.reason,
                employee_id: optional_employee(&event.employee_id)?,
                names: names(event.names),
            }
        }
        schema::HANDLER_NOTED => {
            let event = pb::HandlerNoted::decode(payload)?;
            Event::HandlerNoted {
                customer_id: customer(&event.customer_id)?,
                employee_id: optional_employee(&event.employee_id)?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            }
        }
        schema::AGENT_NOTED => agent(pb::AgentNoted::decode(payload)?)?,
        schema::AGENT_PRESENCE_NOTED => {
            let event = pb::AgentPresenceNoted::decode(payload)?;
            let presence = presence(event.presence())?;
            Event::AgentPresenceNoted { employee_id: employee(&event.employee_id)?, presence, missed: event.missed }
        }
        schema::POSITION_NOTED => {
            let pb::PositionNoted { code, version, duties, capacity_units, first_reception, effective_from_us } =
                pb::PositionNoted::decode(payload)?;
            let fact = PositionFacts { code, version, duties, capacity_units, first_reception };
            let effective_from = Timestamp::from_micros(effective_from_us);
            Event::RosterNoted { fact: RosterFact::Position(fact), effective_from }
        }
        schema::DESK_NOTED => {
            let event = pb::DeskNoted::decode(payload)?;
            let fact = DeskFacts { code: event.code, offsets: offsets(&event.offsets) };
            // What a desk's offsets say of its hours they say of all times.
            Event::RosterNoted { fact: RosterFact::Desk(fact), effective_from: ALWAYS }
        }
        schema::POLICY_NOTED => policy_noted(pb::PolicyNoted::decode(payload)?)?,
        schema::CUSTOMERS_MERGED => {
            let event = pb::CustomersMerged::decode(payload)?;
            let (kept, merged) = (customer(&event.kept_customer_id)?, customer(&event.merged_customer_id)?);
            Event::CustomersMerged { kept, merged }
        }
        schema::WAIT_ENDED => {
            let event = pb::WaitEnded::decode(payload)?;
            let wait = match event.wait() {
                pb::Wait::Sticky => Wait::Sticky,
                pb::Wait::Experience => Wait::Experience,
                pb::Wait::Round => Wait::Round,
                pb::Wait::Unspecified => return Err(malformed("wait is missing")),
            };
            Event::WaitEnded { inquiry_id: inquiry(&event.inquiry_id)?, wait, at }
        }
        schema::ROUTING_ATTEMPTED => {
            let event = pb::RoutingAttempted::decode(payload)?;
            let next_due = (event.next_due_us != 0).then(|| Timestamp::from_micros(event.next_due_us));
            Event::RoutingAttempted { desk: event.desk, next_due, at }
        }
        schema::ROSTER_TOOK_EFFECT => {
            let event = pb::RosterTookEffect::decode(payload)?;
            Event::RosterTookEffect { until: Timestamp::from_micros(event.until_us), at }
        }
        other => return Err(CodecError::UnknownSchema(other)),
    })
}

/// Facts without a time of their own count from the beginning.
pub(crate) const ALWAYS: Timestamp = Timestamp::from_micros(0);

fn pended(event: pb::InquiryPended, at: Timestamp) -> Result<Event, CodecError> {
    let arrival = Arrival {
        inquiry_id: inquiry(&event.inquiry_id)?,
        customer_id: customer(&event.customer_id)?,
        desk: event.desk,
        platform: event.platform,
        external_id: event.external_id,
        language: event.language,
        category: event.category,
        priority_minutes: event.priority_minutes,
        occurred_at: Timestamp::from_micros(event.occurred_at_us),
    };
    let familiar = optional_employee(&event.familiar_employee_id)?;
    let intent_due = Timestamp::from_micros(event.intent_due_us);
    Ok(Event::InquiryPended { arrival, intent_due, new_customer: event.new_customer, familiar, at })
}

fn accepted(event: pb::ReservationAccepted, at: Timestamp) -> Result<Event, CodecError> {
    let accepted = Accepted {
        end: offer_end(&event.reservation_id, &event.inquiry_id, &event.employee_id, event.names)?,
        epoch: event.epoch,
        assignment_id: assignment(&event.assignment_id)?,
        customer_id: customer(&event.customer_id)?,
        desk: event.desk,
        intent: event.intent,
        waited_ms: event.waited_ms,
        first: event.first,
    };
    Ok(Event::ReservationAccepted { accepted: Box::new(accepted), at })
}

fn completed(event: pb::InquiryCompleted) -> Result<Event, CodecError> {
    Ok(Event::InquiryCompleted(Box::new(Completed {
        assignment_id: assignment(&event.assignment_id)?,
        inquiry_id: inquiry(&event.inquiry_id)?,
        employee_id: employee(&event.employee_id)?,
        customer_id: customer(&event.customer_id)?,
        desk: event.desk,
        disposition: event.disposition,
        handled_ms: event.handled_ms,
        wrap_until: Timestamp::from_micros(event.wrap_until_us),
        names: names(event.names),
    })))
}

fn transferred(event: pb::InquiryTransferred, at: Timestamp) -> Result<Event, CodecError> {
    let transferred = Transferred {
        assignment_id: assignment(&event.assignment_id)?,
        inquiry_id: inquiry(&event.inquiry_id)?,
        from: employee(&event.from_employee_id)?,
        to: optional_employee(&event.to_employee_id)?,
        intent: event.intent,
        reason: event.reason,
        names: names(event.names),
    };
    Ok(Event::InquiryTransferred { transferred: Box::new(transferred), at })
}

fn agent(event: pb::AgentNoted) -> Result<Event, CodecError> {
    let (employee_id, effective_from) =
        (employee(&event.employee_id)?, Timestamp::from_micros(event.effective_from_us));
    if event.left {
        return Ok(Event::RosterNoted { fact: RosterFact::Left(employee_id), effective_from });
    }
    let fact = RosterFact::Agent(AgentFacts {
        employee_id,
        code: event.code,
        desk: event.desk,
        position: event.position,
        skills: event.skills.into_iter().map(|skill| (skill.code, skill.level)).collect(),
        languages: event.languages,
        shifts: shifts(&event.shifts),
        experience_months: event.experience_months,
    });
    Ok(Event::RosterNoted { fact, effective_from })
}

pub(crate) fn shifts(shifts: &[roster::Shift]) -> Vec<Shift> {
    let shift = |shift: &roster::Shift| Shift {
        weekday: shift.weekday,
        start_minute: shift.start_minute,
        end_minute: shift.end_minute,
    };
    shifts.iter().map(shift).collect()
}

pub(crate) fn offsets(offsets: &[roster::ZoneOffset]) -> Vec<ZoneOffset> {
    let offset = |offset: &roster::ZoneOffset| ZoneOffset {
        from: Timestamp::from_micros(offset.from_us),
        seconds: offset.offset_seconds,
    };
    offsets.iter().map(offset).collect()
}

pub(crate) fn policy(policy: roster::PolicyDefined, hash: [u8; 32]) -> Policy {
    let priorities = policy.priorities.into_iter();
    Policy {
        version: policy.version,
        hash,
        intent_wait_ms: policy.intent_wait_ms,
        accept_timeout_ms: policy.accept_timeout_ms,
        wrap_up_ms: policy.wrap_up_ms,
        chat_cost: policy.chat_cost,
        sticky_hours: policy.sticky_hours,
        sticky_wait_ms: policy.sticky_wait_ms,
        experience_months: policy.experience_months,
        experience_wait_ms: policy.experience_wait_ms,
        misses_max: policy.misses_max,
        priorities: priorities.map(|priority| (priority.intent, priority.head_start_minutes)).collect(),
    }
}

fn policy_noted(event: pb::PolicyNoted) -> Result<Event, CodecError> {
    Ok(match event.policy {
        Some(wire) => {
            let effective_from = Timestamp::from_micros(wire.effective_from_us);
            let fact = RosterFact::Policy(policy(wire, hash32(&event.policy_hash)?));
            Event::RosterNoted { fact, effective_from }
        }
        None => {
            let seed = wire::bytes16(&event.seed, "seed")?;
            Event::RosterNoted { fact: RosterFact::Seed(seed), effective_from: ALWAYS }
        }
    })
}
