//! The choice among those who can take an inquiry, by the indexes; and the next inquiry for an agent.

use kernel::{EmployeeId, InquiryId};

use super::state::{Agent, Count, FreeKey, Inquiry, Live, Place, Profile, Status};
use super::types::{Decision, FILTERS, Filter, TIES_MAX};
use super::wish::{Wish, is_spoken, receives, speaks};

/// An agent as they are in the middle of a decision, where the state does not know it yet.
#[derive(Debug, Clone, Copy)]
pub struct Changed {
    pub employee_id: EmployeeId,
    pub held_units: u32,
    pub status: Status,
}

/// What came of a choice.
pub struct Outcome {
    pub chosen: Option<(EmployeeId, Decision)>,
    /// The target is there and only busy.
    pub target_possible: bool,
    /// Somebody fits but for room or a decline in this round.
    pub possible: bool,
}

/// Candidates in the order of choice, as far as a decision needs them.
#[derive(Default)]
struct Best {
    /// The best two.
    first: Option<FreeKey>,
    second: Option<FreeKey>,
    /// The best ones of those that tie with the first, ascending, and how many tie.
    ties: Vec<FreeKey>,
    tied: u32,
}

fn rank(key: &FreeKey) -> (u32, u64) {
    (key.0, key.1)
}

impl Best {
    fn take(&mut self, key: FreeKey) {
        match self.first {
            Some(first) if first <= key => self.second = Some(self.second.map_or(key, |second| second.min(key))),
            _ => {
                self.second = self.first;
                if self.first.is_none_or(|first| rank(&first) != rank(&key)) {
                    self.ties.clear();
                    self.tied = 0;
                }
                self.first = Some(key);
            }
        }
        if self.first.is_some_and(|first| rank(&first) == rank(&key)) {
            self.tied += 1;
            let place = self.ties.partition_point(|tie| *tie < key);
            if place < TIES_MAX {
                self.ties.insert(place, key);
                self.ties.truncate(TIES_MAX);
            }
        }
    }

    /// Takes the best of a profile's free agents; those behind the second that do not tie change nothing.
    fn take_from(&mut self, profile: &Profile, skip: impl Fn(&EmployeeId) -> bool) {
        for (taken, key) in profile.free.iter().filter(|key| !skip(&key.3)).enumerate() {
            let ties = self.first.is_some_and(|first| rank(&first) == rank(key));
            if taken >= 2 && !ties {
                break;
            }
            self.take(*key);
        }
    }
}

/// Chooses among the agents of the inquiry's desk, of whom `changed` are no more as the state knows them. Pure
/// look-up: the same state gives the same choice.
pub fn choose(live: &Live, wish: &Wish<'_>, changed: &[Changed]) -> Outcome {
    let mut tally = Tally::default();
    let mut best = Best::default();
    let mut possible = false;
    let is_changed = |id: &EmployeeId| changed.iter().any(|changed| changed.employee_id == *id);
    let changed_agents: Vec<(&Agent, u32, u32)> = changed
        .iter()
        .filter_map(|changed| live.agents.get(&changed.employee_id))
        .filter_map(|agent| Some((agent, agent.profile?, live.profiles.get(agent.profile? as usize)?.group)))
        .collect();
    for (g, group) in (0u32..).zip(&live.groups).filter(|(_, group)| group.count.members > 0) {
        let others = changed_agents.iter().filter(|(_, _, of)| *of == g);
        if group.desk != wish.desk {
            tally.failed(Filter::OtherDesk, group.count.members - others.count() as u32);
            continue;
        }
        if !wish.is_duty_of(&group.position) {
            let mut seen = Seen { count: group.count, free: 0 };
            others.for_each(|(agent, ..)| seen.without_status(live, agent));
            let of_group = |agent: &Agent| {
                agent.profile.and_then(|n| live.profiles.get(n as usize)).is_some_and(|own| own.group == g)
            };
            tally.unfit(live, wish, seen, Filter::Duty, target_in(live, wish, &is_changed, of_group));
            continue;
        }
        for n in &group.profiles {
            let Some(profile) = live.profiles.get(*n as usize) else { continue };
            let mut seen = Seen::of(profile);
            let others = changed_agents.iter().filter(|(_, of, _)| of == n);
            others.for_each(|(agent, ..)| seen.without(live, agent));
            let fits = wish.fits_otherwise(profile);
            tally.count(live, wish, (*n, profile), seen, fits, &is_changed);
            if fits.is_some() || (wish.first && !profile.experienced) {
                continue;
            }
            possible |= seen.count.available > 0;
            if wish.target.is_none() {
                best.take_from(profile, |id| wish.declined.contains(id) || is_changed(id));
            }
        }
    }
    for changed in changed {
        let Some(agent) = live.agents.get(&changed.employee_id) else { continue };
        let Some(profile) = agent.profile.and_then(|n| live.profiles.get(n as usize)) else { continue };
        let filter = wish.first_failing(live, agent, changed.status, changed.held_units);
        let fits = matches!(filter, None | Some(Filter::Capacity | Filter::Declined));
        possible |= fits && (profile.experienced || !wish.first);
        match filter {
            Some(filter) => tally.failed(filter, 1),
            None => {
                tally.eligible += 1;
                best.take(free_key(live, agent, changed.held_units));
            }
        }
    }
    let target_possible = wish.target.is_some_and(|target| {
        let now = changed.iter().find(|changed| changed.employee_id == target);
        live.agents.get(&target).filter(|agent| agent.profile.is_some()).is_some_and(|agent| {
            let (status, held) = now.map_or((live.status(agent), agent.held_units), |now| (now.status, now.held_units));
            let filter = wish.first_failing(live, agent, status, held);
            if filter.is_none() && now.is_none() {
                best.take(free_key(live, agent, held));
            }
            matches!(filter, None | Some(Filter::Capacity))
        })
    });
    let chosen = best.first.map(|winner| (winner.3, decision(live, wish, &best, &tally)));
    Outcome { chosen, target_possible, possible }
}

/// Candidates by what became of them.
#[derive(Default)]
struct Tally {
    failed: [u32; FILTERS.len()],
    eligible: u32,
}

impl Tally {
    fn failed(&mut self, filter: Filter, agents: u32) {
        self.failed[filter as usize] += agents;
    }

    /// Counts the agents of a profile of the inquiry's desk by their first failing filter, without looking at each.
    fn count(
        &mut self,
        live: &Live,
        wish: &Wish<'_>,
        (n, profile): (u32, &Profile),
        seen: Seen,
        fits: Option<Filter>,
        is_changed: &impl Fn(&EmployeeId) -> bool,
    ) {
        let is_here = |agent: &Agent| agent.profile == Some(n);
        let target = target_in(live, wish, is_changed, is_here);
        if let Some(filter) = fits {
            return self.unfit(live, wish, seen, filter, target);
        }
        self.failed(Filter::OffShift, seen.count.off_shift);
        self.failed(Filter::NotAvailable, seen.count.not_available);
        let available_here = |id: &EmployeeId| available(live, *id, is_changed).filter(|agent| is_here(agent));
        self.failed(Filter::Capacity, seen.count.available - seen.free);
        let has_room = |agent: &&Agent| live.has_room(agent, agent.held_units);
        let declined = wish.declined.iter().filter_map(available_here).filter(has_room).count();
        let declined = u32::try_from(declined).unwrap_or(u32::MAX);
        self.failed(Filter::Declined, declined);
        let free = seen.free - declined;
        if wish.target.is_some() {
            let is_free = |agent: &&Agent| has_room(agent) && !wish.declined.contains(&agent.facts.employee_id);
            let target_free = u32::from(target.filter(is_free).is_some());
            self.failed(Filter::NotSticky, free - target_free);
            self.eligible += target_free;
        } else if wish.first && !profile.experienced {
            self.failed(Filter::Experience, free);
        } else {
            self.eligible += free;
        }
    }

    /// Counts agents who all fail `filter`, if they are there at all.
    fn unfit(&mut self, live: &Live, wish: &Wish<'_>, seen: Seen, filter: Filter, target: Option<&Agent>) {
        self.failed(Filter::OffShift, seen.count.off_shift);
        self.failed(Filter::NotAvailable, seen.count.not_available);
        // A transfer's target passes over duty, language and skill.
        let passed = target.filter(|_| wish.transfer);
        self.failed(filter, seen.count.available - u32::from(passed.is_some()));
        if let Some(agent) = passed {
            match wish.first_failing(live, agent, Status::Available, agent.held_units) {
                Some(filter) => self.failed(filter, 1),
                None => self.eligible += 1,
            }
        }
    }
}

/// An agent who is available as the state knows them.
fn available<'a>(live: &'a Live, id: EmployeeId, is_changed: &impl Fn(&EmployeeId) -> bool) -> Option<&'a Agent> {
    live.agents.get(&id).filter(|agent| !is_changed(&id) && live.status(agent) == Status::Available)
}

/// The agent whom the inquiry waits for, when they are available and one of those that are looked at.
fn target_in<'a>(
    live: &'a Live,
    wish: &Wish<'_>,
    is_changed: &impl Fn(&EmployeeId) -> bool,
    is_here: impl Fn(&Agent) -> bool,
) -> Option<&'a Agent> {
    wish.target.and_then(|target| available(live, target, is_changed)).filter(|agent| is_here(agent))
}

/// How many agents of a profile or group are in which status, but for those who changed.
#[derive(Clone, Copy)]
struct Seen {
    count: Count,
    /// Available with room.
    free: u32,
}

impl Seen {
    fn of(profile: &Profile) -> Self {
        Self { count: profile.count, free: u32::try_from(profile.free.len()).unwrap_or(u32::MAX) }
    }

    fn without(&mut self, live: &Live, agent: &Agent) {
        self.without_status(live, agent);
        if live.status(agent) == Status::Available {
            self.free -= u32::from(live.has_room(agent, agent.held_units));
        }
    }

    fn without_status(&mut self, live: &Live, agent: &Agent) {
        self.count.members -= 1;
        *self.count.of(live.status(agent)) -= 1;
    }
}

pub(super) fn free_key(live: &Live, agent: &Agent, held_units: u32) -> FreeKey {
    (live.load_ppm(agent, held_units), agent.last_assigned, agent.tie, agent.facts.employee_id)
}

fn decision(live: &Live, wish: &Wish<'_>, best: &Best, tally: &Tally) -> Decision {
    let failed = FILTERS.into_iter().zip(tally.failed).filter(|(_, candidates)| *candidates > 0);
    Decision {
        policy_hash: live.policy.hash,
        policy_version: live.policy.version,
        runner_up: best.second.map(|key| key.3),
        tie_set: best.ties.iter().map(|key| key.3).collect(),
        winner_load_ppm: best.first.map_or(0, |key| key.0),
        runner_up_load_ppm: best.second.map_or(0, |key| key.0),
        passed_over: failed.collect(),
        eligible: tally.eligible,
        probability_ppm: 1_000_000 / best.tied.max(1),
        rule: wish.rule(),
    }
}

/// The first waiting inquiry that an agent may take: the head of those that wait for them, or of a class that they
/// receive. Who waits for the agent has a head start of the sticky wait, and no more: else returning customers could
/// keep the others waiting for ever.
pub(super) fn first_for(live: &Live, agent: &Agent, skip: &[InquiryId]) -> Option<InquiryId> {
    let id = agent.facts.employee_id;
    let desk = live.desks.get(&agent.facts.desk)?;
    let takes = |place: &&Place| {
        let declined = |inquiry: &Inquiry| inquiry.declined.contains(&id);
        !skip.contains(&place.2) && !live.inquiries.get(&place.2).is_some_and(declined)
    };
    let head_start = i64::from(live.policy.sticky_wait_ms) * 1_000;
    let for_them = desk.for_agent.get(&id).and_then(|places| places.iter().find(takes));
    let profile = live.profiles.get(agent.profile? as usize)?;
    let mut first: Option<Place> = for_them.map(|(score, n, id)| (score.saturating_sub(head_start), *n, *id));
    // Classes of one intent stand together: whether the agent receives it is asked once.
    let mut received: [Option<(&str, bool)>; 2] = [None; 2];
    for (need, places) in &desk.classes {
        let earlier = |place: &&Place| first.is_none_or(|first| **place < first);
        // The cheap questions first.
        if places.first().filter(earlier).is_none()
            || (need.first && !profile.experienced)
            || !receives_once(&mut received[usize::from(need.first)], &need.intent, || {
                receives(&live.positions, desk, &profile.position, (&need.intent, need.first))
            })
            || (!speaks(&profile.languages, &need.language) && is_spoken(&live.positions, desk, need))
            || !(need.skill.is_empty()
                || profile.skills.contains(&need.skill)
                || !desk.skills.contains_key(&need.skill))
        {
            continue;
        }
        if let Some(place) = places.iter().find(takes).filter(earlier) {
            first = Some(*place);
        }
    }
    first.map(|place| place.2)
}

/// The answer to a question about an intent, which is asked again only for another one.
fn receives_once<'a>(last: &mut Option<(&'a str, bool)>, intent: &'a str, ask: impl FnOnce() -> bool) -> bool {
    match *last {
        Some((asked, answer)) if asked == intent => answer,
        _ => {
            let answer = ask();
            *last = Some((intent, answer));
            answer
        }
    }
}
