//! A small company's traffic: random, valid, and the same for the same seed.

use fenliu::client::{command_for, wire};
use fenliu::facts;
use integration_tests::chance::Chance;
use kernel::{Duration, Timestamp};
use proto::{intent as n, payroll as p, roster as r};
use serde_json::{Value, json};

use super::call::Call;
use super::world::Sent;

/// 2026-09-29T02:00:00Z, a Tuesday; September ends for the company 38 hours later.
pub const BEGIN: Timestamp = Timestamp::from_micros(1_790_647_200_000_000);
/// After the end of September in Shanghai.
pub const CLOSE: Timestamp = Timestamp::from_micros(1_790_647_200_000_000 + 40 * 3_600_000_000);
pub const TENANTS: [&str; 2] = ["t1", "t2"];
pub const EMPLOYEES: [&str; 5] = ["E1", "E2", "E3", "E4", "E5"];

const COMPANY: &str = "company: { name: A company, currency: CNY, zone: Asia/Shanghai, legal_entity: LE1 }
effective_from: \"2026-01-01T00:00:00Z\"
desks:
  - { code: main, name_zh: 主, name_en: Main, zone: Asia/Shanghai }
  - { code: side, name_zh: 副, name_en: Side, zone: Asia/Shanghai }
positions:
  - { code: sales, name_zh: 销售, name_en: Sales, duties: [price_quote, out_of_scope], capacity_units: 300, first_reception: true, plan: sales }
  - { code: service, name_zh: 客服, name_en: Service, duties: [order_status, out_of_scope], capacity_units: 200 }
policy: { intent_wait_ms: 500, accept_timeout_ms: 20000, wrap_up_ms: 30000, misses_max: 4, sticky_wait_ms: 5000, experience_wait_ms: 5000 }
employees:
  - { code: E1, name: Person one, desk: main, position: sales, languages: [zh, en], experience_months: 24, skills: { engine: 3 } }
  - { code: E2, name: Person two, desk: main, position: sales, languages: [zh, en], experience_months: 6 }
  - { code: E3, name: Person three, desk: main, position: service, languages: [zh, en], experience_months: 24 }
  - { code: E4, name: Person four, desk: side, position: sales, languages: [zh, en], experience_months: 36 }
  - { code: E5, name: Person five, desk: side, position: service, languages: [zh, en], experience_months: 3 }
";

const PLAN: &str = "code: sales
version: 1
position: sales
currency: CNY
effective_from: \"2026-01-01T00:00:00Z\"
components:
  - code: net_sales
    basis: net_sales
    method: marginal
    tiers: [{ lo: \"0\", hi: \"1000\", rate: \"0.01\" }, { lo: \"1000\", rate: \"0.025\" }]
  - code: orders
    basis: orders
    method: slab
    tiers: [{ lo: \"0\", rate: \"1.5\" }]
";

const TEXTS: [(&str, &str); 10] = [
    ("price_quote", "多少钱一个 能便宜吗"),
    ("price_quote", "please quote me a price for ten"),
    ("price_quote", "报个价 谢谢"),
    ("price_quote", "how much is the pump"),
    ("price_quote", "什么价格 含税吗"),
    ("order_status", "我的货到哪了 三天了"),
    ("order_status", "where is my order please"),
    ("order_status", "发货了吗 单号多少"),
    ("order_status", "has it been shipped yet"),
    ("order_status", "快递怎么还没到"),
];

/// One thing that happens.
#[derive(Debug, Clone)]
pub struct Step {
    pub tenant: &'static str,
    /// Names its command for ever.
    pub number: u64,
    pub kind: Kind,
}

#[derive(Debug, Clone)]
pub enum Kind {
    /// A fact line, but for its time; `name` is the inquiry's own when it is one.
    Fact {
        fact: Value,
        history: bool,
        inquiry: Option<String>,
    },
    /// Facts that come at once, in any order.
    Burst(Vec<Value>),
    Presence(&'static str, r::Presence),
    Teach(&'static str, String),
    Wait(i64),
}

fn sent(tenant: &str, command: &str, make: impl FnOnce(String, String) -> Call) -> Sent {
    let command_id = command_for(&["sim", tenant, command]);
    Sent { tenant: tenant.to_owned(), command_id: command_id.clone(), call: make(command_id, tenant.to_owned()) }
}

/// The request of a fact line that happens now, or in the past.
pub fn fact(tenant: &str, command: &str, fact: &Value, now: Timestamp, history: bool) -> Sent {
    let mut fact = fact.clone();
    let at = if history { now - Duration::from_days(40) } else { now };
    fact["at"] = json!(fenliu::instant::text(at));
    let fact = facts::from_value(fact).expect("a fact");
    sent(tenant, command, |command_id, tenant| {
        Call::Fact(Box::new(fact.request(&tenant, command_id, now, history).expect("a request")))
    })
}

/// The request of any other step.
pub fn request(step: &Step, now: Timestamp) -> Sent {
    let command = step.number.to_string();
    let issued_at = wire(now);
    match &step.kind {
        Kind::Fact { fact: line, history, .. } => fact(step.tenant, &command, line, now, *history),
        Kind::Presence(employee, presence) => sent(step.tenant, &command, |command_id, tenant| {
            let (employee, presence) = ((*employee).to_owned(), (*presence).into());
            Call::Presence(r::SetPresenceRequest { command_id, issued_at, tenant, employee, presence })
        }),
        Kind::Teach(label, text) => sent(step.tenant, &command, |command_id, tenant| {
            let (label, text, inquiry_id) = ((*label).to_owned(), text.clone(), String::new());
            let examples = vec![n::Example { text, inquiry_id, label }];
            let source = n::LabelSource::Correction.into();
            Call::Teach(n::TeachRequest { command_id, issued_at, tenant, source, examples })
        }),
        Kind::Burst(_) | Kind::Wait(_) => panic!("{step:?} is not one request"),
    }
}

/// What makes a company: roster, plan, examples, presence.
pub fn founding(tenant: &'static str, now: Timestamp) -> Vec<Sent> {
    let issued_at = wire(now);
    let mut all = vec![
        sent(tenant, "import", |command_id, tenant| {
            let yaml = COMPANY.to_owned();
            Call::Import(r::ImportCompanyRequest { command_id, issued_at, tenant, yaml, dry_run: false })
        }),
        sent(tenant, "plan", |command_id, tenant| {
            Call::Plan(p::ActivatePlanRequest { command_id, issued_at, tenant, yaml: PLAN.to_owned() })
        }),
        sent(tenant, "teach", |command_id, tenant| {
            let example = |(label, text): &(&str, &str)| n::Example {
                text: (*text).to_owned(),
                label: (*label).to_owned(),
                inquiry_id: String::new(),
            };
            let (source, examples) = (n::LabelSource::Import.into(), TEXTS.iter().map(example).collect());
            Call::Teach(n::TeachRequest { command_id, issued_at, tenant, source, examples })
        }),
    ];
    all.extend(EMPLOYEES.iter().map(|employee| {
        sent(tenant, &format!("begin {employee}"), |command_id, tenant| {
            let (employee, presence) = ((*employee).to_owned(), r::Presence::Available.into());
            Call::Presence(r::SetPresenceRequest { command_id, issued_at, tenant, employee, presence })
        })
    }));
    all
}

/// Closing September, and approving what is to be paid.
pub fn closing(tenant: &str, now: Timestamp) -> [Sent; 2] {
    let (issued_at, period) = (wire(now), || "2026-09".to_owned());
    [
        sent(tenant, "close", |command_id, tenant| {
            Call::Close(p::ClosePeriodRequest { command_id, issued_at, tenant, period: period() })
        }),
        sent(tenant, "approve", |command_id, tenant| {
            Call::Approve(p::ApprovePayoutsRequest { command_id, issued_at, tenant, period: period() })
        }),
    ]
}

/// What has happened so far, so that what comes is valid.
#[derive(Default)]
struct Past {
    inquiries: Vec<(String, Value)>,
    /// Orders whose burst is over.
    orders: Vec<String>,
    numbers: u64,
}

impl Past {
    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

fn customer(chance: &mut Chance) -> Value {
    let n = chance.below(8);
    json!({"platform": "shop", "id": format!("c{n}"), "name": format!("Customer {n}"), "language": "zh"})
}

fn amount(chance: &mut Chance) -> String {
    format!("{}.{:02}", 10 + chance.below(900), chance.below(100))
}

/// `count` steps that follow from the seed.
pub fn steps(seed: u64, count: usize) -> Vec<Step> {
    let mut chance = Chance::new(seed, 0x7aff1c);
    let mut pasts: [Past; 2] = Default::default();
    let mut all = Vec::new();
    for number in 0..count as u64 {
        let who = chance.below(2) as usize;
        let kind = step(&mut chance, &mut pasts[who]);
        all.push(Step { tenant: TENANTS[who], number, kind });
    }
    all
}

fn step(chance: &mut Chance, past: &mut Past) -> Kind {
    let one = |fact: Value| Kind::Fact { fact, history: false, inquiry: None };
    match chance.below(20) {
        0..=6 => inquiry(chance, past),
        7 | 8 if !past.inquiries.is_empty() => {
            let (id, _) = &past.inquiries[chance.below(past.inquiries.len() as u64) as usize];
            let id = id.clone();
            let text = TEXTS[chance.below(10) as usize].1;
            let number = past.number();
            one(json!({"fact": "message", "platform": "shop", "inquiry": id, "id": format!("m{number}"), "text": text}))
        }
        9 if past.inquiries.len() > 3 => {
            let (id, _) = past.inquiries.remove(chance.below(past.inquiries.len() as u64) as usize);
            one(json!({"fact": "close", "platform": "shop", "inquiry": id, "reason": "customer_left"}))
        }
        10..=13 => Kind::Burst(burst(chance, past)),
        14 => {
            let presence = match chance.below(4) {
                0 => r::Presence::Paused,
                1 => r::Presence::Offline,
                _ => r::Presence::Available,
            };
            Kind::Presence(EMPLOYEES[chance.below(5) as usize], presence)
        }
        15 => {
            let (label, text) = TEXTS[chance.below(10) as usize];
            let number = past.number();
            Kind::Teach(label, format!("{text} {number}"))
        }
        16 => {
            let number = past.number();
            let handler = EMPLOYEES[chance.below(5) as usize];
            let fact = json!({"fact": "inquiry", "platform": "shop", "id": format!("h{number}"), "desk": "main",
                "customer": customer(chance), "handler": handler});
            Kind::Fact { fact, history: true, inquiry: None }
        }
        17 => {
            let (kept, merged) =
                (customer(chance), json!({"platform": "other", "id": format!("o{}", chance.below(4))}));
            one(json!({"fact": "link", "kept": kept, "merged": merged}))
        }
        _ => Kind::Wait(1 + i64::try_from(chance.below(40_000)).expect("small")),
    }
}

fn inquiry(chance: &mut Chance, past: &mut Past) -> Kind {
    let id = format!("i{}", past.number());
    let customer = customer(chance);
    let desk = ["main", "main", "side"][chance.below(3) as usize];
    let category = ["", "engine"][chance.below(2) as usize];
    let texts = (0..=chance.below(2)).map(|_| json!({"text": TEXTS[chance.below(10) as usize].1}));
    let messages: Vec<Value> = texts.collect();
    past.inquiries.push((id.clone(), customer.clone()));
    let fact = json!({"fact": "inquiry", "platform": "shop", "id": id, "desk": desk, "customer": customer,
        "category": category, "messages": messages});
    Kind::Fact { fact, history: false, inquiry: Some(id) }
}

/// Facts that do not depend on each other.
fn burst(chance: &mut Chance, past: &mut Past) -> Vec<Value> {
    let mut facts = Vec::new();
    let mut orders = Vec::new();
    for _ in 0..=chance.below(4) {
        let number = past.number();
        let known = past.orders.len() as u64;
        let fact = match chance.below(6) {
            0 | 1 => {
                let id = format!("O{number}");
                orders.push(id.clone());
                json!({"fact": "order", "id": id, "customer": customer(chance), "amount": amount(chance), "currency": "CNY"})
            }
            2 if known > 0 => {
                let order = &past.orders[chance.below(known) as usize];
                json!({"fact": "payment", "platform": "shop", "order": order, "id": format!("P{number}"),
                    "amount": amount(chance), "currency": "CNY"})
            }
            3 if known > 0 => {
                let order = &past.orders[chance.below(known) as usize];
                json!({"fact": "refund", "platform": "shop", "order": order, "id": format!("R{number}"),
                    "amount": format!("1.{:02}", chance.below(100)), "currency": "CNY"})
            }
            4 if !past.inquiries.is_empty() => {
                let (inquiry, _) = &past.inquiries[chance.below(past.inquiries.len() as u64) as usize];
                json!({"fact": "rating", "platform": "shop", "inquiry": inquiry, "id": format!("S{number}"),
                    "score": 1 + chance.below(5)})
            }
            _ => json!({"fact": "cost", "id": format!("K{number}"), "kind": "advertising", "desk": "main",
                "amount": amount(chance), "currency": "CNY"}),
        };
        facts.push(fact);
    }
    past.orders.append(&mut orders);
    facts
}
