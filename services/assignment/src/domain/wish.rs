//! What an inquiry asks of an agent right now, and whether an agent can give it.

use std::collections::BTreeMap;

use kernel::EmployeeId;

use super::state::{Agent, Desk, Inquiry, Live, Need, Profile, Status, bit_of};
use super::types::{Filter, OUT_OF_SCOPE, PositionFacts, Rule};

type Positions = BTreeMap<String, PositionFacts>;

/// What an inquiry asks for, resolved against the desk: nobody waits for what nobody there has.
pub struct Wish<'a> {
    pub(super) desk: &'a str,
    /// Positions of the desk whose duty it is.
    positions: Vec<&'a str>,
    language: &'a str,
    skill: &'a str,
    /// The bits of the language and the skill, where one is asked for.
    bits: [u64; 2],
    /// First reception of a new customer by experienced staff.
    pub first: bool,
    /// The agent it waits for; a transfer passes over duty, language and skill.
    pub target: Option<EmployeeId>,
    pub(super) transfer: bool,
    pub(super) declined: &'a [EmployeeId],
    overflow: bool,
}

/// The primary language: `zh-CN` is `zh`.
pub(super) fn primary(language: &str) -> &str {
    language.split(['-', '_']).next().unwrap_or("")
}

fn has_duty(positions: &Positions, position: &str, intent: &str) -> bool {
    positions.get(position).is_some_and(|position| position.duties.iter().any(|duty| duty == intent))
}

fn is_first_received_by(positions: &Positions, position: &str, intent: &str) -> bool {
    let received = |known: &PositionFacts| {
        known.first_reception && (intent == OUT_OF_SCOPE || known.duties.iter().any(|duty| duty == intent))
    };
    positions.get(position).is_some_and(received)
}

/// Whether first reception of a new customer with this intent is work for experienced reception staff.
pub(super) fn is_first_reception(positions: &Positions, desk: &Desk, intent: &str) -> bool {
    desk.positions.keys().any(|position| is_first_received_by(positions, position, intent))
}

/// Whether an inquiry is a customer's very first, as long as it waits for experience.
pub(super) fn is_new(inquiry: &Inquiry) -> bool {
    inquiry.new_customer && inquiry.assignments == 0 && !inquiry.experience_over
}

/// Whether `position` receives `intent` at this desk: by duty; what is nobody's duty is out of scope; and what is
/// nobody's even so is everybody's.
pub(super) fn receives(positions: &Positions, desk: &Desk, position: &str, (intent, first): (&str, bool)) -> bool {
    if first {
        return is_first_received_by(positions, position, intent);
    }
    if has_duty(positions, position, intent) {
        return true;
    }
    let somebodys = |intent: &str| desk.positions.keys().any(|position| has_duty(positions, position, intent));
    !somebodys(intent) && (has_duty(positions, position, OUT_OF_SCOPE) || !somebodys(OUT_OF_SCOPE))
}

/// Whether the inquiry's language is asked for: somebody whom its duty falls to speaks it.
pub(super) fn is_spoken(positions: &Positions, desk: &Desk, need: &Need) -> bool {
    !need.language.is_empty()
        && desk.positions.iter().any(|(position, staff)| {
            (staff.languages.contains_key(&need.language) || staff.languages.contains_key(""))
                && receives(positions, desk, position, (&need.intent, false))
        })
}

/// What an inquiry's place in the queue is called.
pub(super) fn need_of(positions: &Positions, desk: Option<&Desk>, inquiry: &Inquiry) -> Need {
    let intent = inquiry.intent();
    let first = is_new(inquiry) && desk.is_some_and(|desk| is_first_reception(positions, desk, intent));
    Need {
        intent: intent.to_owned(),
        language: primary(&inquiry.arrival.language).to_owned(),
        skill: if inquiry.experience_over { String::new() } else { inquiry.arrival.category.clone() },
        first,
    }
}

/// [`need_of`] an inquiry as things stand.
pub(super) fn need_now(live: &Live, inquiry: &Inquiry) -> Need {
    need_of(&live.positions, live.desks.get(&inquiry.arrival.desk), inquiry)
}

impl<'a> Wish<'a> {
    /// Of an inquiry at its desk, `None` when there is no such desk; `need` is [`need_now`] of it.
    pub fn new(live: &'a Live, inquiry: &'a Inquiry, need: &'a Need) -> Option<Self> {
        let desk = live.desks.get(&inquiry.arrival.desk)?;
        let receiving = desk.positions.keys().map(String::as_str);
        let receives = |position: &&str| receives(&live.positions, desk, position, (&need.intent, need.first));
        let language = if is_spoken(&live.positions, desk, need) { need.language.as_str() } else { "" };
        let skill = if desk.skills.contains_key(&need.skill) { need.skill.as_str() } else { "" };
        let bit = |text: &str, skill| if text.is_empty() { 0 } else { bit_of(text, skill) };
        Some(Self {
            desk: &inquiry.arrival.desk,
            positions: receiving.filter(receives).collect(),
            language,
            skill,
            bits: [bit(language, false), bit(skill, true)],
            first: need.first,
            target: inquiry.target(),
            transfer: inquiry.transfer_to.is_some(),
            declined: &inquiry.declined,
            overflow: inquiry.sticky_over || inquiry.experience_over,
        })
    }

    /// Whether it waits for someone better than its duty demands.
    pub fn wants_best(&self) -> bool {
        self.first || !self.skill.is_empty()
    }

    pub(super) fn is_duty_of(&self, position: &str) -> bool {
        self.positions.contains(&position)
    }

    pub(super) fn fits(&self, profile: &Profile) -> Option<Filter> {
        if self.is_duty_of(&profile.position) { self.fits_otherwise(profile) } else { Some(Filter::Duty) }
    }

    /// [`Self::fits`], for those whose duty it is.
    pub(super) fn fits_otherwise(&self, profile: &Profile) -> Option<Filter> {
        let [language, skill] = self.bits;
        if profile.bits & language != language || !speaks(&profile.languages, self.language) {
            Some(Filter::Language)
        } else if profile.bits & skill != skill
            || !self.skill.is_empty() && !profile.skills.iter().any(|skill| skill == self.skill)
        {
            Some(Filter::Skill)
        } else {
            None
        }
    }

    pub(super) fn rule(&self) -> Rule {
        match (self.target, self.transfer) {
            (Some(_), true) => Rule::Transfer,
            (Some(_), false) => Rule::Familiar,
            (None, _) if self.first => Rule::FirstReception,
            (None, _) if self.overflow => Rule::Overflow,
            (None, _) => Rule::Duty,
        }
    }

    /// The first filter that this agent fails; the whole pipeline, one agent at a time. What [`super::choice::choose`] finds with
    /// its indexes must agree with this.
    pub fn first_failing(&self, live: &Live, agent: &Agent, status: Status, held_units: u32) -> Option<Filter> {
        let is_target = self.target == Some(agent.facts.employee_id);
        let profile = agent.profile.and_then(|n| live.profiles.get(n as usize))?;
        if profile.desk != self.desk {
            return Some(Filter::OtherDesk);
        }
        match status {
            Status::OffShift => return Some(Filter::OffShift),
            Status::NotAvailable => return Some(Filter::NotAvailable),
            Status::Available => {}
        }
        if let Some(filter) = self.fits(profile).filter(|_| !(is_target && self.transfer)) {
            return Some(filter);
        }
        if !live.has_room(agent, held_units) {
            Some(Filter::Capacity)
        } else if self.declined.contains(&agent.facts.employee_id) {
            Some(Filter::Declined)
        } else if self.target.is_none() && self.first && !profile.experienced {
            Some(Filter::Experience)
        } else if self.target.is_some() && !is_target {
            Some(Filter::NotSticky)
        } else {
            None
        }
    }
}

/// Whether a profile's languages, which are primary ones, hold this one.
pub(super) fn speaks(languages: &[String], language: &str) -> bool {
    language.is_empty() || languages.is_empty() || languages.iter().any(|known| known == language)
}
