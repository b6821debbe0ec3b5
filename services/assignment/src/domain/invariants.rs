//! The laws of the state (L6), and that every index is what it is made from.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{EmployeeId, InquiryId, Violation};

use super::choice::free_key;
use super::index::{bits, primaries, skills, spoken};
use super::queue::place_of;
use super::state::{Agent, Count, Desk, Group, Live, Memory, OfferState, Profile, Queue, Stage, State, Status};
use super::types::Presence;
use super::wish::need_now;

fn violated(law: &'static str, what: String) -> Result<(), Violation> {
    Err(Violation { law, what })
}

pub(super) fn check(state: &State) -> Result<(), Violation> {
    for (id, _) in state.live.inquiries.sorted() {
        if state.memory.ended.contains_key(id) {
            return violated("every inquiry is in exactly one state", format!("{id} is live and ended"));
        }
    }
    held_units(&state.live)?;
    queues(&state.live)?;
    profiles(&state.live)?;
    groups(&state.live)?;
    desks(&state.live)?;
    timers(&state.live)?;
    reservations(state)?;
    pending_intents(state)
}

fn held_units(live: &Live) -> Result<(), Violation> {
    let law = "an agent's held units are those of the inquiries that they hold";
    let mut holding: BTreeMap<EmployeeId, u64> = BTreeMap::new();
    for (id, inquiry) in live.inquiries.sorted() {
        let Some((employee, cost)) = inquiry.stage.holder() else { continue };
        let held = live.agents.get(&employee).is_some_and(|agent| agent.held.contains(&(*id, cost)));
        if !held {
            return violated(law, format!("{employee} does not hold {id}"));
        }
        *holding.entry(employee).or_default() += u64::from(cost);
    }
    for (id, agent) in live.agents.sorted() {
        let sum: u64 = agent.held.iter().map(|(_, cost)| u64::from(*cost)).sum();
        if sum != u64::from(agent.held_units) || sum != holding.get(id).copied().unwrap_or(0) {
            return violated(law, format!("{} holds {:?}, {} units", agent.facts.code, agent.held, agent.held_units));
        }
    }
    Ok(())
}

fn queues(live: &Live) -> Result<(), Violation> {
    let law = "every waiting inquiry is in one queue, and nothing else is";
    let mut waiting = 0;
    for (id, inquiry) in live.inquiries.sorted() {
        let Stage::Waiting(queue) = &inquiry.stage else { continue };
        waiting += 1;
        let desk = live.desks.get(&inquiry.arrival.desk);
        let places = desk.and_then(|desk| match queue {
            Queue::For(target) => desk.for_agent.get(target),
            Queue::Class(need) => desk.classes.get(need),
        });
        if !places.is_some_and(|places| places.contains(&place_of(&live.policy, inquiry))) {
            return violated(law, format!("{id} is not in {queue:?}"));
        }
        let right = match queue {
            Queue::For(target) => inquiry.target() == Some(*target),
            Queue::Class(need) => inquiry.target().is_none() && *need == need_now(live, inquiry),
        };
        if !right {
            return violated("an inquiry waits where it belongs", format!("{inquiry:?}"));
        }
    }
    let queued = live.desks.values().flat_map(|desk| desk.classes.values().chain(desk.for_agent.values()));
    let queued: usize = queued.map(|places| places.len()).sum();
    if queued == waiting { Ok(()) } else { violated(law, format!("{queued} are queued, {waiting} wait")) }
}

fn profiles(live: &Live) -> Result<(), Violation> {
    let law = "profiles count their agents";
    let emptied = |profile: &Profile| Profile { count: Count::default(), free: Default::default(), ..profile.clone() };
    let mut made: Vec<Profile> = live.profiles.iter().map(emptied).collect();
    for (id, agent) in live.agents.sorted() {
        let Some(n) = agent.profile else { continue };
        let Some(profile) = made.get_mut(n as usize) else { return violated(law, format!("{id} has profile {n}")) };
        let facts = &agent.facts;
        let same = (&profile.desk, &profile.position) == (&facts.desk, &facts.position)
            && profile.bits == bits(facts)
            && profile.languages.iter().map(String::as_str).eq(primaries(facts))
            && profile.skills.iter().map(String::as_str).eq(skills(facts));
        if !same || profile.experienced != (facts.experience_months >= live.policy.experience_months) {
            return violated("an agent's profile is theirs", format!("{facts:?} has {profile:?}"));
        }
        profile.count.members += 1;
        *profile.count.of(live.status(agent)) += 1;
        if live.status(agent) == Status::Available && live.has_room(agent, agent.held_units) {
            profile.free.insert(free_key(live, agent, agent.held_units));
        }
    }
    match made.iter().zip(&live.profiles).find(|(made, kept)| made != kept) {
        Some((made, kept)) => violated(law, format!("{kept:?} should be {made:?}")),
        None => Ok(()),
    }
}

fn groups(live: &Live) -> Result<(), Violation> {
    let law = "groups count their profiles";
    let emptied = |group: &Group| Group { profiles: Vec::new(), count: Count::default(), ..group.clone() };
    let mut made: Vec<Group> = live.groups.iter().map(emptied).collect();
    for (n, profile) in (0u32..).zip(&live.profiles).filter(|(_, profile)| profile.count.members > 0) {
        let group = made.get_mut(profile.group as usize);
        let own = |group: &&mut Group| (&group.desk, &group.position) == (&profile.desk, &profile.position);
        let Some(group) = group.filter(own) else { return violated(law, format!("{profile:?} has another's group")) };
        group.profiles.push(n);
        group.count.members += profile.count.members;
        group.count.off_shift += profile.count.off_shift;
        group.count.not_available += profile.count.not_available;
        group.count.available += profile.count.available;
    }
    match made.iter().zip(&live.groups).find(|(made, kept)| made != kept) {
        Some((made, kept)) => violated(law, format!("{kept:?} should be {made:?}")),
        None => Ok(()),
    }
}

fn desks(live: &Live) -> Result<(), Violation> {
    let mut made: BTreeMap<&str, Desk> = BTreeMap::new();
    for (id, agent) in live.agents.sorted() {
        if agent.left != agent.profile.is_none() {
            return violated("who has not left has a profile", format!("{agent:?}"));
        }
        if agent.left {
            continue;
        }
        let desk = made.entry(&agent.facts.desk).or_default();
        desk.agents.insert(*id);
        skills(&agent.facts).into_iter().for_each(|skill| *desk.skills.entry(skill.to_owned()).or_default() += 1);
        let staff = desk.positions.entry(agent.facts.position.clone()).or_default();
        staff.agents += 1;
        let languages = spoken(&agent.facts).into_iter();
        languages.for_each(|language| *staff.languages.entry(language.to_owned()).or_default() += 1);
    }
    let nobody = Desk::default();
    for (code, kept) in &live.desks {
        let made = made.get(code.as_str()).unwrap_or(&nobody);
        if (&made.agents, &made.skills, &made.positions) != (&kept.agents, &kept.skills, &kept.positions) {
            return violated("a desk counts its agents", format!("{code}: {kept:?}"));
        }
        if kept.classes.values().chain(kept.for_agent.values()).any(|places| places.is_empty()) {
            return violated("no queue is kept empty", format!("{code}: {kept:?}"));
        }
    }
    match made.keys().find(|code| !live.desks.contains_key(**code)) {
        Some(code) => violated("a desk counts its agents", format!("{code} is missing")),
        None => Ok(()),
    }
}

/// An open reservation is that of an inquiry that is reserved, and the other way round.
fn reservations(state: &State) -> Result<(), Violation> {
    let law = "every open reservation is its inquiry's";
    let Memory { reservations, over, .. } = &state.memory;
    let mut open = 0;
    for (id, inquiry) in state.live.inquiries.sorted() {
        let Stage::Reserved { reservation_id, .. } = inquiry.stage else { continue };
        open += 1;
        let asked = inquiry.stage.holder().and_then(|(employee, _)| state.live.agents.get(&employee));
        let there = |agent: &Agent| state.live.presence.get(&agent.facts.employee_id) == Some(&Presence::Available);
        if !asked.is_some_and(|agent| there(agent) && !agent.left) {
            return violated("an offer is open only to who is there", format!("{id} is offered to {asked:?}"));
        }
        if reservations.get(&reservation_id) != Some(&(*id, OfferState::Pending)) {
            return violated(law, format!("{id} has {reservation_id}"));
        }
    }
    if reservations.len() == open + over.len() {
        Ok(())
    } else {
        violated(law, format!("{open} are open, {} over, {} known", over.len(), reservations.len()))
    }
}

fn pending_intents(state: &State) -> Result<(), Violation> {
    let memory = &state.memory;
    let early = |id: &InquiryId| !state.live.inquiries.contains_key(id) && !memory.ended.contains_key(id);
    let order: BTreeSet<&InquiryId> = memory.pending_order.iter().collect();
    match memory.pending_intents.sorted().into_iter().find(|(id, _)| !early(id) || !order.contains(id)) {
        Some((id, _)) => violated("an early intent waits for its inquiry only", format!("{id}")),
        None => Ok(()),
    }
}

fn timers(live: &Live) -> Result<(), Violation> {
    let mut expected = live.desks.values().filter(|desk| desk.next_due.is_some()).count();
    for (_, inquiry) in live.inquiries.sorted() {
        let waits = [inquiry.intent_due, inquiry.sticky_due, inquiry.experience_due, inquiry.round_due];
        expected += waits.iter().flatten().count();
        expected += usize::from(matches!(inquiry.stage, Stage::Reserved { .. } | Stage::Wrapping { .. }));
    }
    if expected == live.timers.len() {
        Ok(())
    } else {
        violated("every wait has its timer", format!("{expected} waits, {} timers", live.timers.len()))
    }
}
