//! The indexes of agents: profiles, and what a desk has. Each change of an agent goes out and in again here.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{EmployeeId, FactKey, IdMap, InquiryId, Timestamp};

use super::calendar::on_shift;
use super::choice::free_key;
use super::queue::Queues;
use super::state::{Agent, Count, Due, Group, Inquiry, Live, Profile, Stage, Status, bit_of};
use super::types::AgentFacts;
use super::wish::{is_first_reception, is_new, primary};

fn count_up(counts: &mut BTreeMap<String, u32>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    } else {
        counts.insert(key.to_owned(), 1);
    }
}

fn count_down(counts: &mut BTreeMap<String, u32>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Primary languages, each once; the empty text alone stands for any.
pub(super) fn spoken(facts: &AgentFacts) -> BTreeSet<&str> {
    if facts.languages.is_empty() { [""].into() } else { facts.languages.iter().map(|known| primary(known)).collect() }
}

/// Primary languages as a profile has them: none for any.
pub(super) fn primaries(facts: &AgentFacts) -> impl Iterator<Item = &str> {
    spoken(facts).into_iter().filter(|_| !facts.languages.is_empty())
}

/// The bits of an agent's languages and skills; whoever speaks any language has the bits of all.
pub(super) fn bits(facts: &AgentFacts) -> u64 {
    let spoken = primaries(facts).fold(0, |bits, language| bits | bit_of(language, false));
    let languages = if facts.languages.is_empty() { u64::from(u32::MAX) } else { spoken };
    skills(facts).into_iter().fold(languages, |bits, skill| bits | bit_of(skill, true))
}

/// Skills, each once.
pub(super) fn skills(facts: &AgentFacts) -> BTreeSet<&str> {
    facts.skills.iter().map(|(skill, _)| skill.as_str()).collect()
}

/// The group of an agent's desk and position, made when there is none.
fn group_of(groups: &mut Vec<Group>, facts: &AgentFacts) -> u32 {
    let same = |group: &Group| group.desk == facts.desk && group.position == facts.position;
    // A group that nobody is in any more makes room for another.
    let unused = || groups.iter().position(|group| group.count.members == 0);
    let n = groups.iter().position(same).or_else(unused).unwrap_or(groups.len());
    if groups.get(n).is_none_or(|group| !same(group)) {
        let group = Group { desk: facts.desk.clone(), position: facts.position.clone(), ..Group::default() };
        match groups.get_mut(n) {
            Some(unused) => *unused = group,
            None => groups.push(group),
        }
    }
    u32::try_from(n).unwrap_or(u32::MAX)
}

impl Live {
    fn desk_timer(code: &str, attempts: u64, due: Timestamp) -> (Timestamp, [u8; 16]) {
        (due, *FactKey::of_parts(&[b"route desk", code.as_bytes(), &attempts.to_le_bytes()]).as_bytes())
    }

    /// Sets when a desk is matched anew; an attempt that was made counts, so that no two firings share an id.
    pub(super) fn set_desk_due(&mut self, code: &str, due: Option<Timestamp>, attempted: bool) {
        let desk = self.desks.entry(code.to_owned()).or_default();
        if let Some(old) = desk.next_due.take() {
            self.timers.remove(&Self::desk_timer(code, desk.attempts, old));
        }
        desk.attempts += u64::from(attempted);
        desk.next_due = due;
        if let Some(due) = due {
            self.timers.insert(Self::desk_timer(code, desk.attempts, due), Due::Desk(code.to_owned()));
        }
    }

    /// The desk is matched anew at `at`, or earlier if it was to be.
    pub(super) fn route_soon(&mut self, code: &str, at: Timestamp) {
        let due = self.desks.get(code).and_then(|desk| desk.next_due).map_or(at, |due| due.min(at));
        self.set_desk_due(code, Some(due), false);
    }

    // Agents.

    /// Changes an agent and keeps the indexes right.
    pub(super) fn with_agent(&mut self, id: EmployeeId, change: impl FnOnce(&mut Agent)) {
        self.unindex(id);
        if let Some(agent) = self.agents.get_mut(&id) {
            change(agent);
        }
        self.index(id);
    }

    pub(super) fn unindex(&mut self, id: EmployeeId) {
        let Some(agent) = self.agents.get(&id) else { return };
        let Some(n) = agent.profile else { return };
        let (status, room) = (self.status(agent), self.has_room(agent, agent.held_units));
        let key = free_key(self, agent, agent.held_units);
        let profile = &mut self.profiles[n as usize];
        *profile.count.of(status) -= 1;
        *self.groups[profile.group as usize].count.of(status) -= 1;
        if status == Status::Available && room {
            profile.free.remove(&key);
        }
    }

    pub(super) fn index(&mut self, id: EmployeeId) {
        let Some(agent) = self.agents.get(&id) else { return };
        let Some(n) = agent.profile else { return };
        let (status, room) = (self.status(agent), self.has_room(agent, agent.held_units));
        let key = free_key(self, agent, agent.held_units);
        let profile = &mut self.profiles[n as usize];
        *profile.count.of(status) += 1;
        *self.groups[profile.group as usize].count.of(status) += 1;
        if status == Status::Available && room {
            profile.free.insert(key);
        }
    }

    fn each_agent(&mut self, change: impl Fn(&mut Self, EmployeeId)) {
        let agents: Vec<EmployeeId> = self.agents.sorted().into_iter().map(|(id, _)| *id).collect();
        agents.into_iter().for_each(|id| change(self, id));
    }

    /// Takes an agent out of their profile and desk.
    fn leave_profile(&mut self, id: EmployeeId) {
        self.unindex(id);
        let Some(agent) = self.agents.get_mut(&id) else { return };
        let Some(n) = agent.profile.take() else { return };
        let profile = &mut self.profiles[n as usize];
        profile.count.members -= 1;
        let group = &mut self.groups[profile.group as usize];
        group.count.members -= 1;
        if profile.count.members == 0 {
            group.profiles.retain(|own| *own != n);
        }
        if let Some(desk) = self.desks.get_mut(&agent.facts.desk) {
            desk.agents.remove(&id);
            skills(&agent.facts).into_iter().for_each(|skill| count_down(&mut desk.skills, skill));
            if let Some(staff) = desk.positions.get_mut(&agent.facts.position) {
                staff.agents -= 1;
                spoken(&agent.facts).into_iter().for_each(|language| count_down(&mut staff.languages, language));
                if staff.agents == 0 {
                    desk.positions.remove(&agent.facts.position);
                }
            }
        }
    }

    fn join_profile(&mut self, id: EmployeeId) {
        let Some(agent) = self.agents.get_mut(&id).filter(|agent| !agent.left) else { return };
        let facts = &agent.facts;
        let group = group_of(&mut self.groups, facts);
        let profile = Profile {
            bits: bits(facts),
            desk: facts.desk.clone(),
            position: facts.position.clone(),
            languages: primaries(facts).map(str::to_owned).collect(),
            skills: skills(facts).into_iter().map(str::to_owned).collect(),
            experienced: facts.experience_months >= self.policy.experience_months,
            group,
            count: Count::default(),
            free: BTreeSet::new(),
        };
        let group = &mut self.groups[group as usize];
        let same = |known: &Profile| {
            known.experienced == profile.experienced
                && known.languages == profile.languages
                && known.skills == profile.skills
        };
        let known = group.profiles.iter().find(|n| self.profiles.get(**n as usize).is_some_and(same));
        let n = match known {
            Some(n) => *n as usize,
            // A profile that nobody has any more makes room for another.
            None => match self.profiles.iter().position(|unused| unused.count.members == 0) {
                Some(n) => {
                    self.profiles[n] = profile;
                    n
                }
                None => {
                    self.profiles.push(profile);
                    self.profiles.len() - 1
                }
            },
        };
        agent.profile = u32::try_from(n).ok();
        self.profiles[n].count.members += 1;
        group.count.members += 1;
        if let Some(n) = agent.profile
            && let Err(place) = group.profiles.binary_search(&n)
        {
            group.profiles.insert(place, n);
        }
        let desk = self.desks.entry(facts.desk.clone()).or_default();
        desk.agents.insert(id);
        skills(facts).into_iter().for_each(|skill| count_up(&mut desk.skills, skill));
        let staff = desk.positions.entry(facts.position.clone()).or_default();
        staff.agents += 1;
        spoken(facts).into_iter().for_each(|language| count_up(&mut staff.languages, language));
        self.index(id);
    }

    /// A new version of an agent counts from `at` on.
    pub(super) fn put_agent(&mut self, facts: AgentFacts, at: Timestamp) {
        let (id, desk) = (facts.employee_id, facts.desk.clone());
        self.leave_profile(id);
        let old_desk = self.agents.get(&id).map(|agent| agent.facts.desk.clone());
        let shift = on_shift(self.desks.entry(desk.clone()).or_default(), &facts, at);
        let tie = self.tie_of(id);
        match self.agents.get_mut(&id) {
            Some(agent) => {
                agent.facts = facts;
                agent.left = false;
                agent.on_shift = shift;
            }
            None => {
                let agent = Agent {
                    facts,
                    left: false,
                    on_shift: shift,
                    misses: 0,
                    held: Vec::new(),
                    held_units: 0,
                    last_assigned: 0,
                    tie,
                    profile: None,
                };
                self.agents.insert(id, agent);
            }
        }
        self.join_profile(id);
        self.staff_changed(&desk, at);
        if let Some(old) = old_desk.filter(|old| *old != desk) {
            self.staff_changed(&old, at);
        }
    }

    pub(super) fn agent_left(&mut self, id: EmployeeId, at: Timestamp) {
        self.leave_profile(id);
        if let Some(agent) = self.agents.get_mut(&id) {
            agent.left = true;
            let desk = agent.facts.desk.clone();
            self.staff_changed(&desk, at);
        }
    }

    /// Others work at a desk now: what waits there may be no first reception any more, or has become one.
    fn staff_changed(&mut self, code: &str, at: Timestamp) {
        let Some(desk) = self.desks.get(code) else { return };
        let mut moving: Vec<InquiryId> = Vec::new();
        for (need, places) in &desk.classes {
            let wants_first = is_first_reception(&self.positions, desk, &need.intent);
            let other = |inquiry: &Inquiry| (wants_first && is_new(inquiry)) != need.first;
            let ids = places.iter().map(|(_, _, id)| *id);
            moving.extend(ids.filter(|id| self.inquiries.get(id).is_some_and(other)));
        }
        for id in moving {
            self.with_inquiry(id, |queues, inquiry| {
                queues.unplace(inquiry);
                queues.place(inquiry, at);
            });
        }
        self.route_soon(code, at);
    }

    fn tie_of(&self, id: EmployeeId) -> u64 {
        let hash = FactKey::of_parts(&[b"tie", &self.seed, id.as_bytes()]);
        let [a, b, c, d, e, f, g, h, ..] = *hash.as_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// Everything that depends on positions, policy or seed, made anew. Rare: those change a few times a year.
    pub(super) fn rebuild(&mut self, at: Timestamp) {
        self.each_agent(Self::leave_profile);
        self.profiles.clear();
        self.groups.clear();
        self.each_agent(|live, id| {
            let tie = live.tie_of(id);
            if let Some(agent) = live.agents.get_mut(&id) {
                agent.tie = tie;
            }
            live.join_profile(id);
        });
        let waiting = |inquiry: &Inquiry| matches!(inquiry.stage, Stage::Waiting(_));
        let all = self.inquiries.sorted().into_iter();
        let waiting: Vec<InquiryId> = all.filter(|(_, inquiry)| waiting(inquiry)).map(|(id, _)| *id).collect();
        // Their places were made by the old rules: what is there cannot be found by the new ones.
        for desk in self.desks.values_mut() {
            desk.classes.clear();
            desk.for_agent.clear();
        }
        for id in waiting {
            self.with_inquiry(id, |queues, inquiry| queues.place(inquiry, at));
        }
        let desks: Vec<String> = self.desks.keys().cloned().collect();
        for desk in desks {
            self.route_soon(&desk, at);
        }
    }

    /// Who of a desk is on shift at `at`.
    pub(super) fn refresh_shifts(&mut self, code: &str, at: Timestamp) {
        let Some(desk) = self.desks.get(code) else { return };
        let changed: Vec<(EmployeeId, bool)> = desk
            .agents
            .iter()
            .filter_map(|id| self.agents.get(id))
            .map(|agent| (agent, on_shift(desk, &agent.facts, at)))
            .filter(|(agent, shift)| agent.on_shift != *shift)
            .map(|(agent, shift)| (agent.facts.employee_id, shift))
            .collect();
        for (id, shift) in changed {
            self.with_agent(id, |agent| agent.on_shift = shift);
        }
    }

    // Inquiries.

    /// The queues, and beside them the inquiries.
    pub(super) fn queues(&mut self) -> (Queues<'_>, &mut IdMap<InquiryId, Inquiry>) {
        let Self { policy, positions, desks, timers, inquiries, .. } = self;
        (Queues { policy, positions, desks, timers }, inquiries)
    }

    /// Changes an inquiry and its place in the queues.
    pub(super) fn with_inquiry(&mut self, id: InquiryId, change: impl FnOnce(&mut Queues<'_>, &mut Inquiry)) {
        let (mut queues, inquiries) = self.queues();
        if let Some(inquiry) = inquiries.get_mut(&id) {
            change(&mut queues, inquiry);
        }
    }

    pub(super) fn hold(&mut self, employee: EmployeeId, inquiry: InquiryId, cost: u32) {
        self.with_agent(employee, |agent| {
            agent.held.push((inquiry, cost));
            agent.held_units += cost;
        });
    }

    pub(super) fn let_go(&mut self, employee: EmployeeId, inquiry: InquiryId, change: impl FnOnce(&mut Agent)) {
        self.with_agent(employee, |agent| {
            if let Some(n) = agent.held.iter().position(|(held, _)| *held == inquiry) {
                agent.held_units -= agent.held.remove(n).1;
            }
            change(agent);
        });
    }
}
