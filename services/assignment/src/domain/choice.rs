//! The choice among those who can take an inquiry, by the indexes; and the next inquiry for an agent.

use kernel::{EmployeeId, InquiryId};

use super::state::{Agent, FreeKey, Inquiry, Live, Place, Profile, Status};
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
    for (n, profile) in live.profiles.iter().enumerate().filter(|(_, profile)| profile.members > 0) {
        let mut seen = Seen::of(profile);
        for agent in changed.iter().filter_map(|changed| live.agents.get(&changed.employee_id)) {
            if agent.profile.is_some_and(|own| own as usize == n) {
                seen.without(live, agent);
            }
        }
        if profile.desk != wish.desk {
            tally.failed(Filter::OtherDesk, seen.members);
            continue;
        }
        let fits = wish.fits(profile);
        tally.count(live, wish, (n, profile), seen, fits, &is_changed);
        if fits.is_some() || (wish.first && !profile.experienced) {
            continue;
        }
        possible |= seen.available > 0;
        if wish.target.is_none() {
            best.take_from(profile, |id| wish.declined.contains(id) || is_changed(id));
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
        (n, profile): (usize, &Profile),
        seen: Seen,
        fits: Option<Filter>,
        is_changed: &impl Fn(&EmployeeId) -> bool,
    ) {
        self.failed(Filter::OffShift, seen.off_shift);
        self.failed(Filter::NotAvailable, seen.not_available);
        let available_here = |id: &EmployeeId| {
            let agent = live.agents.get(id).filter(|agent| agent.profile.is_some_and(|own| own as usize == n))?;
            (!is_changed(id) && live.status(agent) == Status::Available).then_some(agent)
        };
        let target = wish.target.and_then(|target| available_here(&target));
        if let Some(filter) = fits {
            // A transfer's target passes over duty, language and skill.
            let passed = target.filter(|_| wish.transfer);
            self.failed(filter, seen.available - u32::from(passed.is_some()));
            if let Some(agent) = passed {
                match wish.first_failing(live, agent, Status::Available, agent.held_units) {
                    Some(filter) => self.failed(filter, 1),
                    None => self.eligible += 1,
                }
            }
            return;
        }
        self.failed(Filter::Capacity, seen.available - seen.free);
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
}

/// How many agents of a profile are in which status.
#[derive(Clone, Copy)]
struct Seen {
    members: u32,
    off_shift: u32,
    not_available: u32,
    available: u32,
    free: u32,
}

impl Seen {
    fn of(profile: &Profile) -> Self {
        let Profile { members, off_shift, not_available, available, .. } = *profile;
        Self {
            members,
            off_shift,
            not_available,
            available,
            free: u32::try_from(profile.free.len()).unwrap_or(u32::MAX),
        }
    }

    fn without(&mut self, live: &Live, agent: &Agent) {
        self.members -= 1;
        match live.status(agent) {
            Status::OffShift => self.off_shift -= 1,
            Status::NotAvailable => self.not_available -= 1,
            Status::Available => {
                self.available -= 1;
                self.free -= u32::from(live.has_room(agent, agent.held_units));
            }
        }
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
    for (need, places) in &desk.classes {
        let earlier = |place: &&Place| first.is_none_or(|first| **place < first);
        // The cheap questions first.
        if places.first().filter(earlier).is_none()
            || (need.first && !profile.experienced)
            || !receives(&live.positions, desk, &profile.position, (&need.intent, need.first))
            || (!speaks(&profile.languages, &need.language) && is_spoken(&live.positions, desk, need))
            || (desk.skills.contains_key(&need.skill) && !profile.skills.iter().any(|(skill, _)| *skill == need.skill))
        {
            continue;
        }
        if let Some(place) = places.iter().find(takes).filter(earlier) {
            first = Some(*place);
        }
    }
    first.map(|place| place.2)
}
