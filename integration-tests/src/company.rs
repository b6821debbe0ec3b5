//! A small company: one desk, four people, a plan of one percent.

use kernel::Timestamp;
use proto::payroll::ActivatePlanRequest;
use proto::roster::ImportCompanyRequest;
use runtime::field::wire_timestamp;

/// Roster codes of its people; the last is no seller.
pub const EMPLOYEES: [&str; 4] = ["E1", "E2", "E3", "E4"];

/// Times that the policy gives, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    pub intent_wait: u32,
    pub accept_timeout: u32,
    pub wrap_up: u32,
}

/// So short that everything happens within seconds of real time.
pub const FAST: Pace = Pace { intent_wait: 20, accept_timeout: 1_000, wrap_up: 50 };
/// As people are given.
pub const CALM: Pace = Pace { intent_wait: 500, accept_timeout: 30_000, wrap_up: 60_000 };

pub fn yaml(pace: Pace) -> String {
    let Pace { intent_wait, accept_timeout, wrap_up } = pace;
    let employee = |code: &str| {
        let position = if code == EMPLOYEES[3] { "service" } else { "sales" };
        format!(
            "  - {{ code: {code}, name: Person {code}, desk: main, position: {position}, languages: [zh, en], experience_months: 24 }}\n"
        )
    };
    let employees: String = EMPLOYEES.into_iter().map(employee).collect();
    format!(
        "company: {{ name: A company, currency: CNY, zone: Asia/Shanghai, legal_entity: LE1 }}
effective_from: \"2026-01-01T00:00:00Z\"
desks:
  - {{ code: main, name_zh: 主, name_en: Main, zone: Asia/Shanghai }}
positions:
  - {{ code: sales, name_zh: 销售, name_en: Sales, duties: [price_quote, out_of_scope], capacity_units: 2000, first_reception: true, plan: sales }}
  - {{ code: service, name_zh: 客服, name_en: Service, duties: [order_status], capacity_units: 2000 }}
policy: {{ intent_wait_ms: {intent_wait}, accept_timeout_ms: {accept_timeout}, wrap_up_ms: {wrap_up}, misses_max: 100000, sticky_wait_ms: 200, experience_wait_ms: 200 }}
employees:
{employees}"
    )
}

pub fn plan(version: u32) -> String {
    format!(
        "code: sales
version: {version}
position: sales
currency: CNY
effective_from: \"2026-01-01T00:00:00Z\"
components:
  - code: net_sales
    basis: net_sales
    method: marginal
    tiers: [{{ lo: \"0\", rate: \"0.01\" }}]
"
    )
}

/// Imports the company as `tenant` and activates its plan.
pub async fn found(client: &mut fenliu::client::Client, tenant: &str, pace: Pace, now: Timestamp) {
    let command = |what: &str| fenliu::client::command_for(&["found", tenant, what]);
    let import = ImportCompanyRequest {
        command_id: command("company"),
        issued_at: Some(wire_timestamp(now)),
        tenant: tenant.to_owned(),
        yaml: yaml(pace),
        dry_run: false,
    };
    client.roster.import_company(import).await.expect("the company is right");
    let activate = ActivatePlanRequest {
        command_id: command("plan"),
        issued_at: Some(wire_timestamp(now)),
        tenant: tenant.to_owned(),
        yaml: plan(1),
    };
    client.payroll.activate_plan(activate).await.expect("the plan is right");
}
