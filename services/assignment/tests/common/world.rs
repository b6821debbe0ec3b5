//! Small companies and what may happen to them, as proptest makes them up. Few names, so that they meet often.

use assignment::domain::{AgentFacts, Command, Policy, PositionFacts, Presence, RosterFact, Shift, Stage};
use kernel::{Duration, InquiryId, ReservationId};
use proptest::prelude::*;

use super::{ALWAYS, Ask, MONDAY, SHANGHAI, Tenant, ask, customer_id, desk, employee, inquiry_id, ms, score, shift};

const INTENTS: [&str; 7] =
    ["order_lookup", "after_sales", "price", "new_product", "custom_need", "out_of_scope", "never_heard_of"];
const LANGUAGES: [&str; 4] = ["zh-CN", "en_US", "fr", ""];
const CATEGORIES: [&str; 4] = ["", "pumps", "tracks", "cranes"];
const DESKS: [&str; 3] = ["east", "west", "north"];
const POSITIONS: [&str; 4] = ["sales", "manager", "service", "anything"];

/// One thing that happens, after a pause.
#[derive(Clone)]
pub struct Move {
    pub pause: Duration,
    pub happening: Happening,
}

impl std::fmt::Debug for Move {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&format!("{:?} {:?}", self.pause, self.happening)) // On one line, also in `{:#?}`.
    }
}

#[derive(Debug, Clone)]
pub enum Happening {
    Arrives {
        customer: u64,
        desk: usize,
        language: usize,
        category: usize,
        priority: u32,
        intent: Option<usize>,
    },
    /// An intent of one of the last inquiries, or of one that is still to come.
    Intent {
        back: i64,
        intent: usize,
    },
    Closes {
        pick: usize,
    },
    Accept {
        pick: usize,
        mistake: Mistake,
    },
    Reject {
        pick: usize,
        mistake: Mistake,
    },
    Complete {
        pick: usize,
    },
    Transfer {
        pick: usize,
        to: Option<usize>,
        intent: Option<usize>,
    },
    Presence {
        agent: usize,
        presence: Presence,
    },
    Handler {
        customer: u64,
        agent: Option<usize>,
        hours_ago: i64,
    },
    Merge {
        kept: u64,
        merged: u64,
    },
    Roster {
        fact: RosterFact,
        hours_ahead: i64,
    },
}

#[derive(Debug, Clone, Copy)]
pub enum Mistake {
    None,
    Epoch,
    Unknown,
    /// A reservation that is over.
    Over,
}

/// Monday to Friday by day, by night over midnight, on a single day, or at all hours.
fn shifts() -> impl Strategy<Value = Vec<Shift>> {
    let days: Vec<Shift> = (1..=5).map(|day| shift(day, 9, 18)).collect();
    let nights: Vec<Shift> = (1..=7).flat_map(|day| [shift(day, 0, 6), shift(day, 22, 24)]).collect();
    prop_oneof![
        4 => Just(Vec::new()),
        2 => Just(days),
        1 => Just(nights),
        1 => (1..=7_u32, 0..12_u32, 12..=24_u32).prop_map(|(day, from, to)| vec![shift(day, from, to)]),
    ]
}

fn some_of(words: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    prop::sample::subsequence(words, 0..=most).prop_map(|words| words.into_iter().map(str::to_owned).collect())
}

pub fn agent_facts(agents: usize, desks: usize) -> impl Strategy<Value = AgentFacts> {
    let level = |skill: String| (skill, 3);
    let place = (0..agents, 0..desks, 0..POSITIONS.len());
    (place, some_of(&CATEGORIES[1..], 2), some_of(&["zh", "en", "fr-FR"], 2), shifts(), 0..24_u32).prop_map(
        move |((n, desk, position), skills, languages, shifts, experience_months)| AgentFacts {
            employee_id: employee(&format!("E{n}")),
            code: format!("E{n}"),
            desk: DESKS[desk].to_owned(),
            position: POSITIONS[position].to_owned(),
            skills: skills.into_iter().map(level).collect(),
            languages,
            shifts,
            experience_months,
        },
    )
}

fn position_facts() -> impl Strategy<Value = PositionFacts> {
    let units = prop::sample::select(vec![0, 100, 150, 200, 200, 300]);
    (0..POSITIONS.len(), 1..9_u32, some_of(&INTENTS[..6], 3), units, any::<bool>()).prop_map(
        |(n, version, duties, capacity_units, first_reception)| PositionFacts {
            code: POSITIONS[n].to_owned(),
            version,
            duties,
            capacity_units,
            first_reception,
        },
    )
}

fn policy() -> impl Strategy<Value = Policy> {
    let waits = prop::sample::select(vec![0, 1_000, 30_000, 90_000]);
    let cost = prop::sample::select(vec![40, 50, 100, 100, 150]);
    let wrap_up = prop::sample::select(vec![0, 0, 60_000]);
    let priorities = prop::sample::subsequence(&INTENTS[..], 0..3);
    (1..9_u32, waits.clone(), waits, cost, wrap_up, 1..4_u32, priorities, 1..80_u32).prop_map(
        |(version, sticky_wait_ms, experience_wait_ms, chat_cost, wrap_up_ms, misses_max, first, sticky_hours)| {
            Policy {
                version,
                hash: [u8::try_from(version).expect("small"); 32],
                sticky_wait_ms,
                experience_wait_ms,
                chat_cost,
                wrap_up_ms,
                misses_max,
                sticky_hours,
                priorities: first.into_iter().map(|intent| (intent.to_owned(), 5)).collect(),
                ..Policy::default()
            }
        },
    )
}

/// In Shanghai, or in a place whose clocks change at noon of the first day.
fn zone(desks: usize) -> impl Strategy<Value = RosterFact> {
    (0..desks, any::<bool>()).prop_map(|(n, changes)| {
        let change = MONDAY + Duration::from_hours(2);
        let offsets: &[_] = if changes { &[(ALWAYS, -4 * 3600), (change, -5 * 3600)] } else { &[(ALWAYS, SHANGHAI)] };
        desk(DESKS[n], offsets)
    })
}

fn roster(agents: usize, desks: usize) -> impl Strategy<Value = Happening> {
    let left = (0..agents).prop_map(|n| RosterFact::Left(employee(&format!("E{n}"))));
    let fact = prop_oneof![
        4 => agent_facts(agents, desks).prop_map(RosterFact::Agent),
        2 => left,
        3 => position_facts().prop_map(RosterFact::Position),
        3 => policy().prop_map(RosterFact::Policy),
        1 => zone(desks),
        1 => any::<[u8; 16]>().prop_map(RosterFact::Seed),
    ];
    (fact, prop::sample::select(vec![0, 0, 0, -1, 1, 20]))
        .prop_map(|(fact, hours_ahead)| Happening::Roster { fact, hours_ahead })
}

fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        6 => Just(Duration::ZERO),
        6 => (0..3_000_i64).prop_map(ms),
        4 => prop::sample::select(vec![499, 500, 30_000, 60_000]).prop_map(ms),
        3 => (0..120_000_i64).prop_map(ms),
        1 => (1..30_i64).prop_map(Duration::from_hours),
    ]
}

fn happening(agents: usize, desks: usize) -> impl Strategy<Value = Happening> {
    let pick = || 0..64_usize;
    let customer = || 0..12_u64;
    let intent = || 0..INTENTS.len();
    let mistake = prop_oneof![
        12 => Just(Mistake::None),
        1 => Just(Mistake::Epoch),
        1 => Just(Mistake::Unknown),
        1 => Just(Mistake::Over),
    ];
    let presence = prop_oneof![
        4 => Just(Presence::Available),
        1 => Just(Presence::Paused),
        1 => Just(Presence::Offline),
    ];
    let wants = (0..LANGUAGES.len(), 0..CATEGORIES.len(), 0..10_u32);
    prop_oneof![
        24 => (customer(), 0..desks, wants, prop::option::weighted(0.8, intent())).prop_map(
            |(customer, desk, (language, category, priority), intent)| {
                Happening::Arrives { customer, desk, language, category, priority, intent }
            }
        ),
        8 => (-3..12_i64, intent()).prop_map(|(back, intent)| Happening::Intent { back, intent }),
        24 => (pick(), mistake.clone()).prop_map(|(pick, mistake)| Happening::Accept { pick, mistake }),
        8 => (pick(), mistake).prop_map(|(pick, mistake)| Happening::Reject { pick, mistake }),
        14 => pick().prop_map(|pick| Happening::Complete { pick }),
        12 => (pick(), prop::option::of(0..agents), prop::option::of(intent()))
            .prop_map(|(pick, to, intent)| Happening::Transfer { pick, to, intent }),
        4 => pick().prop_map(|pick| Happening::Closes { pick }),
        8 => (0..agents, presence).prop_map(|(agent, presence)| Happening::Presence { agent, presence }),
        2 => (customer(), prop::option::weighted(0.8, 0..agents), 0..100_i64)
            .prop_map(|(customer, agent, hours_ago)| Happening::Handler { customer, agent, hours_ago }),
        2 => (customer(), customer()).prop_map(|(kept, merged)| Happening::Merge { kept, merged }),
        8 => roster(agents, desks),
    ]
}

/// A company and what happens to it.
pub fn story(most: usize) -> impl Strategy<Value = Vec<Move>> {
    (1..=12_usize, 1..=3_usize).prop_flat_map(move |(agents, desks)| {
        let now = |happening| Move { pause: Duration::ZERO, happening };
        let always = move |fact| now(Happening::Roster { fact, hours_ahead: 0 });
        let positions = prop::collection::vec(position_facts(), 2..8);
        let people = prop::collection::vec(agent_facts(agents, desks), agents..agents * 2);
        let present = prop::collection::vec(prop::bool::weighted(0.8), agents);
        let moves = (pause(), happening(agents, desks)).prop_map(|(pause, happening)| Move { pause, happening });
        (positions, people, present, prop::option::of(policy()), prop::collection::vec(moves, 1..most)).prop_map(
            move |(positions, people, present, policy, moves)| {
                let mut all: Vec<Move> = positions.into_iter().map(|fact| always(RosterFact::Position(fact))).collect();
                all.extend(people.into_iter().map(|fact| always(RosterFact::Agent(fact))));
                all.extend(policy.map(|policy| always(RosterFact::Policy(policy))));
                let here = present.into_iter().enumerate().filter(|(_, here)| *here);
                let available = |(agent, _)| now(Happening::Presence { agent, presence: Presence::Available });
                all.extend(here.map(available));
                all.extend(moves);
                all
            },
        )
    })
}

/// Plays a story; what refers to an inquiry or an offer picks one of those that there are at that moment.
#[derive(Default)]
pub struct Play {
    pub tenant: Tenant,
    /// Inquiries that have arrived.
    pub arrived: u64,
}

impl Play {
    pub fn all(moves: &[Move]) -> Self {
        let mut play = Self::default();
        moves.iter().for_each(|step| play.go(step));
        play.tenant.fire_due();
        play
    }

    pub fn go(&mut self, step: &Move) {
        self.tenant.jump(step.pause);
        let at = self.tenant.at;
        match &step.happening {
            Happening::Arrives { customer, desk, language, category, priority, intent } => {
                let coming = ask(self.arrived, intent.map_or("", |n| INTENTS[n]))
                    .by(*customer)
                    .desk(DESKS[*desk])
                    .in_language(LANGUAGES[*language])
                    .about(CATEGORIES[*category])
                    .urgent(*priority);
                self.arrives(coming);
            }
            Happening::Intent { back, intent } => {
                let newest = i64::try_from(self.arrived).expect("few");
                let n = u64::try_from(newest - back).unwrap_or(0);
                self.tell(Command::NoteIntent { inquiry_id: inquiry_id(n), score: score(INTENTS[*intent]) });
            }
            Happening::Closes { pick } => {
                if let Some(inquiry_id) = self.pick(*pick, |_| true) {
                    self.tell(Command::CloseInquiry { inquiry_id, reason: "gone".to_owned() });
                }
            }
            Happening::Accept { pick, mistake } => {
                if let Some((reservation_id, epoch)) = self.offer(*pick, *mistake) {
                    self.tell(Command::Accept { reservation_id, epoch });
                }
            }
            Happening::Reject { pick, mistake } => {
                if let Some((reservation_id, epoch)) = self.offer(*pick, *mistake) {
                    self.tell(Command::Reject { reservation_id, epoch, reason: "busy".to_owned() });
                }
            }
            Happening::Complete { pick } => {
                if let Some(inquiry_id) = self.assigned(*pick) {
                    self.tell(Command::Complete { inquiry_id, disposition: "price".to_owned() });
                }
            }
            Happening::Transfer { pick, to, intent } => {
                if let Some(inquiry_id) = self.assigned(*pick) {
                    let to = to.map(|n| employee(&format!("E{n}")));
                    let intent = intent.map_or("", |n| INTENTS[n]).to_owned();
                    self.tell(Command::Transfer { inquiry_id, to, intent, reason: "asked".to_owned() });
                }
            }
            Happening::Presence { agent, presence } => {
                self.tell(Command::NotePresence { employee_id: employee(&format!("E{agent}")), presence: *presence });
            }
            Happening::Handler { customer, agent, hours_ago } => {
                let employee_id = agent.map(|n| employee(&format!("E{n}")));
                let (customer_id, occurred_at) = (customer_id(*customer), at - Duration::from_hours(*hours_ago));
                self.tell(Command::NoteHandler { customer_id, employee_id, occurred_at });
            }
            Happening::Merge { kept, merged } => {
                self.tell(Command::MergeCustomers { kept: customer_id(*kept), merged: customer_id(*merged) });
            }
            Happening::Roster { fact, hours_ahead } => {
                let effective_from = match fact {
                    // These have no time of their own.
                    RosterFact::Desk(_) | RosterFact::Seed(_) => ALWAYS,
                    RosterFact::Agent(_) | RosterFact::Left(_) | RosterFact::Position(_) | RosterFact::Policy(_) => {
                        at + Duration::from_hours(*hours_ahead)
                    }
                };
                self.tell(Command::NoteRoster { fact: fact.clone(), effective_from });
            }
        }
    }

    fn tell(&mut self, command: Command) {
        // A refusal is an answer too; the checks are in the tenant.
        if let Err(refusal) = self.tenant.tell(command) {
            assert!(!refusal.to_string().is_empty());
        }
    }

    fn arrives(&mut self, coming: Ask) {
        self.arrived += 1;
        let (inquiry_id, intent) = (coming.arrival.inquiry_id, coming.intent);
        self.tell(Command::NoteInquiry(coming.arrival));
        if !intent.is_empty() {
            self.tell(Command::NoteIntent { inquiry_id, score: score(&intent) });
        }
    }

    fn pick(&self, pick: usize, wanted: impl Fn(&Stage) -> bool) -> Option<InquiryId> {
        let live = self.tenant.state.live.inquiries.sorted();
        let found: Vec<InquiryId> =
            live.iter().filter(|(_, inquiry)| wanted(&inquiry.stage)).map(|(id, _)| **id).collect();
        (!found.is_empty()).then(|| found[pick % found.len()])
    }

    /// One that is assigned, mostly; else any that there ever was.
    fn assigned(&self, pick: usize) -> Option<InquiryId> {
        let any = (self.arrived > 0).then(|| inquiry_id(pick as u64 % self.arrived.max(1)));
        if pick == 0 { any } else { self.pick(pick, |stage| matches!(stage, Stage::Assigned { .. })).or(any) }
    }

    fn offer(&self, pick: usize, mistake: Mistake) -> Option<(ReservationId, u32)> {
        let over = self.tenant.state.memory.reservations.sorted().into_iter().next().map(|(id, _)| (*id, 1));
        let open = self.pick(pick, |stage| matches!(stage, Stage::Reserved { .. })).map(|id| self.tenant.offer(id));
        match mistake {
            Mistake::None => open,
            Mistake::Epoch => open.map(|(id, epoch)| (id, epoch + 1)),
            Mistake::Unknown => Some((ReservationId::from_bytes([3; 16]), 1)),
            Mistake::Over => over,
        }
    }

    /// Everybody works at all hours, has room, is present, accepts and completes at once: after some time nothing waits.
    pub fn drain(&mut self) {
        self.tenant.pass(Duration::from_hours(30)); // What was noted for later has taken effect.
        let at = self.tenant.at;
        for code in POSITIONS {
            let known = self.tenant.state.live.positions.get(code).cloned();
            let facts = known.unwrap_or_else(|| super::position(code, &[], 0));
            let fact = RosterFact::Position(PositionFacts { capacity_units: 1_000, ..facts });
            self.tell(Command::NoteRoster { fact, effective_from: at });
        }
        let agents = self.tenant.state.live.agents.sorted().into_iter().filter(|(_, agent)| !agent.left);
        let agents: Vec<AgentFacts> = agents.map(|(_, agent)| agent.facts.clone()).collect();
        for facts in agents {
            let employee_id = facts.employee_id;
            let fact = RosterFact::Agent(AgentFacts { shifts: Vec::new(), ..facts });
            self.tell(Command::NoteRoster { fact, effective_from: at });
            self.tell(Command::NotePresence { employee_id, presence: Presence::Available });
        }
        for _ in 0..600 {
            while let Some(id) = self.pick(0, |stage| matches!(stage, Stage::Reserved { .. })) {
                self.tenant.accept(id);
            }
            while let Some(id) = self.pick(0, |stage| matches!(stage, Stage::Assigned { .. })) {
                self.tenant.complete(id);
            }
            if self.pick(0, |_| true).is_none() {
                break;
            }
            self.tenant.pass(ms(1_000));
        }
    }

    /// Inquiries of desks where somebody works.
    pub fn unserved(&self) -> Vec<String> {
        let live = &self.tenant.state.live;
        let staffed = |desk: &str| live.desks.get(desk).is_some_and(|desk| !desk.agents.is_empty());
        let left = live.inquiries.sorted().into_iter().filter(|(_, inquiry)| staffed(&inquiry.arrival.desk));
        left.map(|(_, inquiry)| format!("{inquiry:#?}")).collect()
    }
}
