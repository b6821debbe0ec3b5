//! The simulated agents: what each hears on their stream of offers, and what they do about it, when. Their moods are a
//! hash of the conversation, so that the same day is always played the same way.

use std::collections::{BTreeMap, BTreeSet};

use kernel::{CommandId, Duration, FactKey, InquiryId, TenantId, Timestamp};
use proto::assignment::{Step, WatchOffersResponse};
use runtime::field;

use super::sample::{Sample, TENANT};
use super::setup::command_of;
use crate::facts::{Fact, InquiryFact};

/// What the play does next.
#[derive(Debug, Clone)]
pub(super) enum Action {
    /// The nth fact of the day happens.
    Fact(usize),
    Presence {
        agent: String,
        available: bool,
    },
    Accept {
        reservation_id: String,
        epoch: u32,
    },
    Reject {
        reservation_id: String,
        epoch: u32,
    },
    Reply {
        inquiry_id: String,
        number: u32,
    },
    Complete {
        inquiry_id: String,
        assignment: u32,
    },
    Transfer {
        inquiry_id: String,
        assignment: u32,
    },
}

/// A conversation of the day.
#[derive(Debug, Clone)]
pub(super) struct Conversation {
    pub platform: String,
    pub external_id: String,
    pub gold: String,
    pub chinese: bool,
}

/// All agents, and what they have on their desks.
pub(super) struct Staff {
    /// Intents that each agent receives, by roster code.
    duties: BTreeMap<String, BTreeSet<String>>,
    conversations: BTreeMap<String, Conversation>,
    /// Offers that are still open.
    open: BTreeSet<String>,
    /// Who has which inquiry, and the how manieth assignment of it that is.
    holding: BTreeMap<String, (String, u32)>,
    assignments: BTreeMap<String, u32>,
}

/// The id that the inquiry of the day's nth fact gets: ids follow from command ids.
fn inquiry_id(n: usize) -> Option<String> {
    let command: CommandId = command_of("day", n).parse().ok()?;
    Some(InquiryId::derive(TenantId::of_code(TENANT), command, 0).to_string())
}

/// The day's conversations by the id that their inquiry gets.
pub(super) fn conversations(sample: &Sample) -> BTreeMap<String, Conversation> {
    let inquiries = sample.day.iter().enumerate().filter_map(|(n, fact)| match fact {
        Fact::Inquiry(fact) => Some((inquiry_id(n)?, conversation(fact))),
        _ => None,
    });
    inquiries.collect()
}

fn conversation(fact: &InquiryFact) -> Conversation {
    Conversation {
        platform: fact.platform.clone(),
        external_id: fact.id.clone(),
        gold: fact.gold.clone(),
        chinese: fact.customer.language == "zh",
    }
}

/// A number of the conversation's own, for one use.
fn mood(external_id: &str, what: &str, number: u32) -> i64 {
    let hash = FactKey::of_parts(&[what.as_bytes(), external_id.as_bytes(), &number.to_le_bytes()]);
    let [a, b, c, d, ..] = *hash.as_bytes();
    i64::from(u32::from_le_bytes([a, b, c, d]))
}

/// Seconds between `least` and `most`, by mood.
fn seconds(mood: i64, least: i64, most: i64) -> Duration {
    Duration::from_millis(least * 1_000 + mood % ((most - least) * 1_000))
}

impl Staff {
    pub(super) fn new(sample: &Sample, duties: BTreeMap<String, BTreeSet<String>>) -> Self {
        let (open, holding, assignments) = Default::default();
        Self { duties, conversations: conversations(sample), open, holding, assignments }
    }

    pub(super) fn codes(&self) -> impl Iterator<Item = &String> {
        self.duties.keys()
    }

    pub(super) fn conversation(&self, inquiry_id: &str) -> Option<&Conversation> {
        self.conversations.get(inquiry_id)
    }

    pub(super) fn is_open(&self, reservation_id: &str) -> bool {
        self.open.contains(reservation_id)
    }

    /// Whether the assignment of that number still runs.
    pub(super) fn holds(&self, inquiry_id: &str, assignment: u32) -> bool {
        self.holding.get(inquiry_id).is_some_and(|(_, number)| *number == assignment)
    }

    pub(super) fn is_held(&self, inquiry_id: &str) -> bool {
        self.holding.contains_key(inquiry_id)
    }

    pub(super) fn open_conversations(&self) -> usize {
        self.holding.len() + self.open.len()
    }

    /// What an agent will do about something that their stream showed.
    pub(super) fn hear(&mut self, agent: &str, item: &WatchOffersResponse) -> Vec<(Timestamp, Action)> {
        let at = field::timestamp(item.recorded_at, "recorded_at").unwrap_or_default();
        let inquiry_id = item.inquiry_id.clone();
        match item.step() {
            Step::Offered => {
                self.open.insert(item.reservation_id.clone());
                self.consider(item, at)
            }
            Step::Assigned => {
                self.open.remove(&item.reservation_id);
                let number = self.assignments.entry(inquiry_id.clone()).or_default();
                *number += 1;
                let number = *number;
                self.holding.insert(inquiry_id.clone(), (agent.to_owned(), number));
                self.work(agent, &inquiry_id, number, at)
            }
            Step::Rejected | Step::TimedOut | Step::Withdrawn => {
                self.open.remove(&item.reservation_id);
                Vec::new()
            }
            Step::Completed | Step::Transferred | Step::Cancelled => {
                self.holding.remove(&inquiry_id);
                Vec::new()
            }
            Step::Unspecified => Vec::new(),
        }
    }

    /// Two in a hundred offers are overlooked, three are rejected.
    fn consider(&self, item: &WatchOffersResponse, at: Timestamp) -> Vec<(Timestamp, Action)> {
        let Some(conversation) = self.conversation(&item.inquiry_id) else { return Vec::new() };
        let (reservation_id, epoch) = (item.reservation_id.clone(), item.epoch);
        let mood_of = |what| mood(&conversation.external_id, what, epoch);
        match mood_of("offer") % 100 {
            0..2 => Vec::new(),
            2..5 => vec![(at + seconds(mood_of("reject"), 2, 6), Action::Reject { reservation_id, epoch })],
            _ => vec![(at + seconds(mood_of("accept"), 1, 12), Action::Accept { reservation_id, epoch })],
        }
    }

    /// Replies and completes, or hands on what is somebody else's duty.
    fn work(&self, agent: &str, inquiry_id: &str, number: u32, at: Timestamp) -> Vec<(Timestamp, Action)> {
        let Some(conversation) = self.conversation(inquiry_id) else { return Vec::new() };
        let mood_of = |what| mood(&conversation.external_id, what, number);
        let inquiry = || inquiry_id.to_owned();
        let reply = |number, after| (at + after, Action::Reply { inquiry_id: inquiry(), number });
        let first = reply(number * 10, seconds(mood_of("reply"), 6, 40));
        let mine = self.duties.get(agent).is_some_and(|duties| duties.contains(&conversation.gold));
        if !mine && number <= 2 {
            let after = seconds(mood_of("transfer"), 45, 150);
            return vec![first, (at + after, Action::Transfer { inquiry_id: inquiry(), assignment: number })];
        }
        let longest = if conversation.gold == "out_of_scope" { 120 } else { 660 };
        let after = seconds(mood_of("complete"), 90, longest);
        let second = reply(number * 10 + 1, seconds(mood_of("second"), 50, 88));
        vec![first, second, (at + after, Action::Complete { inquiry_id: inquiry(), assignment: number })]
    }
}

const REPLIES_ZH: [&str; 5] = [
    "收到，我先看一下",
    "您稍等，正在给您查",
    "好的，这边给您确认一下型号和库存",
    "麻烦把铭牌照片发我核对一下",
    "明白了，我马上处理",
];
const REPLIES_EN: [&str; 5] = [
    "Hello, let me check this for you.",
    "One moment please, I am looking it up.",
    "Understood. I will confirm the part and the stock.",
    "Could you send a photo of the nameplate, please?",
    "Thank you, I am taking care of it now.",
];

/// What an agent writes as their nth reply.
pub(super) fn reply_text(conversation: &Conversation, number: u32) -> &'static str {
    let texts = if conversation.chinese { REPLIES_ZH } else { REPLIES_EN };
    let mood = usize::try_from(mood(&conversation.external_id, "text", number)).unwrap_or(0);
    texts[mood % texts.len()]
}
