//! A company of any size, after the pattern of the sample: two desks, sales and service, skills in product categories.

use assignment::domain::{AgentFacts, Arrival, Command, DeskFacts, Policy, PositionFacts, RosterFact, ZoneOffset};
use kernel::{CustomerId, EmployeeId, InquiryId, TenantId, Timestamp};

use crate::bench::stats::Dice;

const SALES: [&str; 7] =
    ["new_product", "part_fitment", "price_quote", "bulk_purchase", "custom_order", "stock_check", "distributorship"];
const SERVICE: [&str; 8] = [
    "order_status",
    "shipping_change",
    "return_refund",
    "quality_claim",
    "install_support",
    "invoice",
    "payment_issue",
    "out_of_scope",
];
const CATEGORIES: [&str; 7] =
    ["hydraulics", "engine", "undercarriage", "attachments", "electrical", "cabin", "filters"];
/// Units of an inquiry and of an agent: five conversations at a time.
const CHAT_COST: u32 = 100;
pub(super) const CHATS: usize = 5;

pub(super) const TENANT: TenantId = TenantId::from_bytes([7; 16]);

pub(super) fn employee(n: usize) -> EmployeeId {
    EmployeeId::of_code(TENANT, &format!("E{n:05}"))
}

/// What the roster says of the company.
pub(super) fn roster(agents: usize, dice: &mut Dice) -> Vec<Command> {
    let always = Timestamp::from_micros(0);
    let mut facts = vec![
        RosterFact::Seed([9; 16]),
        RosterFact::Policy(Policy {
            version: 1,
            chat_cost: CHAT_COST,
            priorities: vec![("quality_claim".to_owned(), 3), ("bulk_purchase".to_owned(), 2)],
            ..Policy::default()
        }),
    ];
    for (code, duties, first_reception) in positions() {
        let duties = duties.iter().map(|duty| (*duty).to_owned()).collect();
        let capacity_units = CHAT_COST * u32::try_from(CHATS).unwrap_or(1);
        facts.push(RosterFact::Position(PositionFacts {
            code: code.to_owned(),
            version: 1,
            duties,
            capacity_units,
            first_reception,
        }));
    }
    for code in ["domestic", "export"] {
        let offsets = vec![ZoneOffset { from: always, seconds: 8 * 3600 }];
        facts.push(RosterFact::Desk(DeskFacts { code: code.to_owned(), offsets }));
    }
    facts.extend((0..agents).map(|n| RosterFact::Agent(agent(n, dice))));
    facts.into_iter().map(|fact| Command::NoteRoster { fact, effective_from: always }).collect()
}

fn positions() -> [(&'static str, &'static [&'static str], bool); 4] {
    [
        ("sales_manager", &SALES, true),
        ("customer_service", &SERVICE, false),
        ("export_sales", &SALES, true),
        ("export_service", &SERVICE, false),
    ]
}

fn agent(n: usize, dice: &mut Dice) -> AgentFacts {
    let domestic = n % 5 < 3;
    let sales = n.is_multiple_of(2);
    let position = match (domestic, sales) {
        (true, true) => "sales_manager",
        (true, false) => "customer_service",
        (false, true) => "export_sales",
        (false, false) => "export_service",
    };
    let languages: &[&str] = match (domestic, dice.below(10)) {
        (true, 0) => &["zh", "en"],
        (true, _) => &["zh"],
        (false, 0..2) => &["en"],
        (false, 2) => &["en", "ru"],
        (false, _) => &["en", "zh"],
    };
    let mut skills: Vec<(String, u32)> = Vec::new();
    for _ in 0..dice.below(4) {
        let skill = *dice.one_of(&CATEGORIES);
        if !skills.iter().any(|(known, _)| known == skill) {
            skills.push((skill.to_owned(), 1 + u32::try_from(dice.below(5)).unwrap_or(0)));
        }
    }
    skills.sort();
    AgentFacts {
        employee_id: employee(n),
        code: format!("E{n:05}"),
        desk: if domestic { "domestic" } else { "export" }.to_owned(),
        position: position.to_owned(),
        skills,
        languages: languages.iter().map(|language| (*language).to_owned()).collect(),
        shifts: Vec::new(),
        experience_months: u32::try_from(dice.below(60)).unwrap_or(0),
    }
}

/// The nth inquiry and its intent. A customer comes back now and then.
pub(super) fn inquiry(n: u64, customers: u64, at: Timestamp, dice: &mut Dice) -> (Arrival, &'static str) {
    let domestic = dice.below(5) < 3;
    let intent = if dice.below(2) == 0 { *dice.one_of(&SALES) } else { *dice.one_of(&SERVICE) };
    let language = match (domestic, dice.below(10)) {
        (true, _) => "zh",
        (false, 0) => "zh",
        (false, 1) => "ru",
        (false, _) => "en",
    };
    let category = if dice.below(3) == 0 { "" } else { *dice.one_of(&CATEGORIES) };
    let arrival = Arrival {
        inquiry_id: InquiryId::of_parts(&[b"bench", &n.to_le_bytes()]),
        customer_id: CustomerId::of_parts(&[b"bench", &dice.below(customers).to_le_bytes()]),
        desk: if domestic { "domestic" } else { "export" }.to_owned(),
        platform: "shop".to_owned(),
        external_id: format!("A{n:07}"),
        language: language.to_owned(),
        category: category.to_owned(),
        priority_minutes: if dice.below(20) == 0 { 5 } else { 0 },
        occurred_at: at,
    };
    (arrival, intent)
}
