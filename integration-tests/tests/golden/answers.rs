//! What is asked of the services that have folded the golden log.

use fenliu::client::wire;
use fenliu::contract::message;
use kernel::Timestamp;
use proto::{assignment as a, intake as i, intent as n, kpi as k, payroll as p, roster as r};
use serde_json::{Map, Value, json};

use crate::machine::log::SimLog;
use crate::story::{EMPLOYEES, INQUIRIES, ORDERS, PERIODS, TENANT};

/// The answers of services that know nothing but this log.
pub async fn of(log: SimLog, now: Timestamp) -> Value {
    let world = crate::reopened(log, now).await;
    let clients = world.clients.borrow().clone();
    let tenant = || TENANT.to_owned();
    let mut all = Map::new();
    let mut put = |name: String, value: Value| drop(all.insert(name, value));

    let mut roster = clients.roster;
    for (name, at) in [("now", wire(now)), ("begin", wire(crate::story::BEGIN))] {
        let company = roster.get_company(r::GetCompanyRequest { tenant: tenant(), at }).await.unwrap().into_inner();
        put(format!("company {name}"), message("fenliu.roster.v1.GetCompanyResponse", &company).unwrap());
    }
    let (mut intake, mut assignment) = (clients.intake, clients.assignment);
    for external_id in INQUIRIES {
        let request = i::GetInquiryRequest {
            tenant: tenant(),
            platform: "shop".to_owned(),
            external_id: external_id.to_owned(),
            ..Default::default()
        };
        let admitted = intake.get_inquiry(request).await.unwrap().into_inner();
        put(format!("inquiry {external_id}"), message("fenliu.intake.v1.GetInquiryResponse", &admitted).unwrap());
        let request = a::GetInquiryRequest { tenant: tenant(), inquiry_id: admitted.inquiry_id };
        let state = assignment.get_inquiry(request).await.unwrap().into_inner();
        put(format!("reception of {external_id}"), message("fenliu.assignment.v1.GetInquiryResponse", &state).unwrap());
    }
    let request = a::GetDeskRequest { tenant: tenant(), desk: "main".to_owned() };
    let desk = assignment.get_desk(request).await.unwrap().into_inner();
    put("desk".to_owned(), message("fenliu.assignment.v1.GetDeskResponse", &desk).unwrap());
    let model = clients.intent.clone().get_model(n::GetModelRequest { tenant: tenant() }).await.unwrap().into_inner();
    let counts: Vec<Value> = model.labels.iter().map(|label| json!([label.label, label.examples])).collect();
    put("model".to_owned(), json!({"examples": model.examples, "labels": counts}));

    let mut kpi = clients.kpi;
    let (from, to) = (wire(Timestamp::default()), wire(now));
    let request = k::QueryKpisRequest { tenant: tenant(), from, to, ..Default::default() };
    let figures = kpi.query_kpis(request).await.unwrap().into_inner();
    put("figures".to_owned(), message("fenliu.kpi.v1.QueryKpisResponse", &figures).unwrap());
    let request = k::ListCreditsRequest { tenant: tenant(), page_size: 1_000, ..Default::default() };
    let credits = kpi.list_credits(request).await.unwrap().into_inner();
    assert!(credits.credits.len() >= ORDERS, "{credits:?}");
    put("credits".to_owned(), message("fenliu.kpi.v1.ListCreditsResponse", &credits).unwrap());

    let mut payroll = clients.payroll;
    for period in PERIODS {
        let request = p::ListPayoutsRequest { tenant: tenant(), period: period.to_owned() };
        let payouts = payroll.list_payouts(request).await.unwrap().into_inner();
        put(format!("payouts {period}"), message("fenliu.payroll.v1.ListPayoutsResponse", &payouts).unwrap());
        for employee in EMPLOYEES {
            let (employee_code, period_code) = (employee.to_owned(), period.to_owned());
            let request = p::GetStatementRequest { tenant: tenant(), employee: employee_code, period: period_code };
            let statement = payroll.get_statement(request).await.unwrap().into_inner();
            let name = format!("statement {period} {employee}");
            put(name, message("fenliu.payroll.v1.GetStatementResponse", &statement).unwrap());
        }
    }
    Value::Object(all)
}

/// What `found` has lost of `expected`, by its place. More than was expected is no loss.
pub fn lost(place: &str, expected: &Value, found: &Value, all: &mut Vec<String>) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            for (key, value) in expected {
                lost(&format!("{place}/{key}"), value, found.get(key).unwrap_or(&Value::Null), all);
            }
        }
        (Value::Array(expected), Value::Array(found)) if expected.len() == found.len() => {
            for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
                lost(&format!("{place}/{n}"), expected, found, all);
            }
        }
        _ if expected == found => {}
        _ => all.push(format!("{place}: was {expected}, is {found}")),
    }
}
