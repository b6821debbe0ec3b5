//! Short words for the facts that tests are made of.

use assignment::domain::{
    AgentFacts, Arrival, DeskFacts, IntentScore, Policy, PositionFacts, Presence, RosterFact, Shift, ZoneOffset,
};
use kernel::{CustomerId, EmployeeId, InquiryId, Timestamp};

use super::{ALWAYS, MONDAY, TENANT, Tenant};

pub const SHANGHAI: i32 = 8 * 3600;

pub fn employee(code: &str) -> EmployeeId {
    EmployeeId::of_code(TENANT, code)
}

pub fn inquiry_id(n: u64) -> InquiryId {
    InquiryId::of_parts(&[b"test", &n.to_le_bytes()])
}

pub fn customer_id(n: u64) -> CustomerId {
    CustomerId::of_parts(&[b"test", &n.to_le_bytes()])
}

pub fn score(intent: &str) -> IntentScore {
    IntentScore { intent: intent.to_owned(), ppm: 900_000 }
}

/// An inquiry to come, with its intent.
#[derive(Debug, Clone)]
pub struct Ask {
    pub arrival: Arrival,
    pub intent: String,
}

/// The `n`th inquiry, by the `n`th customer, at the desk `east`, in Chinese, about no product.
pub fn ask(n: u64, intent: &str) -> Ask {
    let arrival = Arrival {
        inquiry_id: inquiry_id(n),
        customer_id: customer_id(n),
        desk: "east".to_owned(),
        platform: "taobao".to_owned(),
        external_id: format!("q{n}"),
        language: "zh-CN".to_owned(),
        category: String::new(),
        priority_minutes: 0,
        occurred_at: MONDAY,
    };
    Ask { arrival, intent: intent.to_owned() }
}

impl Ask {
    pub fn by(mut self, customer: u64) -> Self {
        self.arrival.customer_id = customer_id(customer);
        self
    }

    pub fn desk(mut self, desk: &str) -> Self {
        desk.clone_into(&mut self.arrival.desk);
        self
    }

    pub fn about(mut self, category: &str) -> Self {
        category.clone_into(&mut self.arrival.category);
        self
    }

    pub fn in_language(mut self, language: &str) -> Self {
        language.clone_into(&mut self.arrival.language);
        self
    }

    pub fn urgent(mut self, minutes: u32) -> Self {
        self.arrival.priority_minutes = minutes;
        self
    }
}

/// A new agent at the desk `east` who speaks Chinese and works at all hours.
pub fn agent(code: &str, position: &str) -> AgentFacts {
    AgentFacts {
        employee_id: employee(code),
        code: code.to_owned(),
        desk: "east".to_owned(),
        position: position.to_owned(),
        skills: Vec::new(),
        languages: vec!["zh".to_owned()],
        shifts: Vec::new(),
        experience_months: 1,
    }
}

pub fn experienced(facts: AgentFacts) -> AgentFacts {
    AgentFacts { experience_months: 24, ..facts }
}

pub fn skilled(facts: AgentFacts, skills: &[&str]) -> AgentFacts {
    AgentFacts { skills: skills.iter().map(|skill| ((*skill).to_owned(), 3)).collect(), ..facts }
}

pub fn speaking(facts: AgentFacts, languages: &[&str]) -> AgentFacts {
    AgentFacts { languages: languages.iter().map(|language| (*language).to_owned()).collect(), ..facts }
}

pub fn at_desk(facts: AgentFacts, desk: &str) -> AgentFacts {
    AgentFacts { desk: desk.to_owned(), ..facts }
}

pub fn working(facts: AgentFacts, shifts: &[Shift]) -> AgentFacts {
    AgentFacts { shifts: shifts.to_vec(), ..facts }
}

/// From hour to hour of the desk's local day.
pub fn shift(weekday: u32, from_hour: u32, to_hour: u32) -> Shift {
    Shift { weekday, start_minute: from_hour * 60, end_minute: to_hour * 60 }
}

pub fn position(code: &str, duties: &[&str], capacity_units: u32) -> PositionFacts {
    PositionFacts {
        code: code.to_owned(),
        version: 1,
        duties: duties.iter().map(|duty| (*duty).to_owned()).collect(),
        capacity_units,
        first_reception: false,
    }
}

pub fn desk(code: &str, offsets: &[(Timestamp, i32)]) -> RosterFact {
    let beginning = Timestamp::from_micros(i64::MIN);
    let offset = |(from, seconds): &(Timestamp, i32)| ZoneOffset {
        from: if *from == ALWAYS { beginning } else { *from },
        seconds: *seconds,
    };
    RosterFact::Desk(DeskFacts { code: code.to_owned(), offsets: offsets.iter().map(offset).collect() })
}

/// The company of the rules: sales receive new customers, managers what is large or new, service what was bought.
/// Nobody works there yet; two chats at once.
pub fn company() -> Tenant {
    let mut tenant = Tenant::default();
    tenant.roster(RosterFact::Seed([1; 16]));
    tenant.roster(desk("east", &[(ALWAYS, SHANGHAI)]));
    let sales = PositionFacts { first_reception: true, ..position("sales", &["price", "out_of_scope"], 200) };
    tenant.roster(RosterFact::Position(sales));
    let large = ["new_product", "large_purchase", "custom_need"];
    tenant.roster(RosterFact::Position(position("sales_manager", &large, 200)));
    tenant.roster(RosterFact::Position(position("service", &["order_lookup", "after_sales"], 200)));
    tenant.policy(Policy { version: 1, ..Policy::default() });
    tenant
}

/// The company with these agents, all available.
pub fn company_of(agents: &[AgentFacts]) -> Tenant {
    let mut tenant = company();
    for facts in agents {
        hire(&mut tenant, facts.clone());
    }
    tenant
}

pub fn hire(tenant: &mut Tenant, facts: AgentFacts) {
    let code = facts.code.clone();
    tenant.roster(RosterFact::Agent(facts));
    tenant.presence(&code, Presence::Available);
}

/// A company with one desk, one position that receives all, and agents `A0`, `A1`, … with room for one chat each.
pub fn alike(agents: usize) -> Tenant {
    let mut tenant = Tenant::default();
    tenant.roster(RosterFact::Seed([1; 16]));
    tenant.roster(RosterFact::Position(position("all", &["out_of_scope"], 100)));
    tenant.policy(Policy { version: 1, ..Policy::default() });
    for n in 0..agents {
        hire(&mut tenant, agent(&format!("A{n}"), "all"));
    }
    tenant
}
