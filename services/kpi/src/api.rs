//! The gRPC door of kpi: only questions.

use kernel::{CreditId, EmployeeId, InquiryId, OrderId, Timestamp};
use proto::kpi as pb;
use proto::kpi::kpi_service_server::{KpiService, KpiServiceServer};
use runtime::{Host, field, invalid, server};
use tonic::{Request, Response, Status};

use crate::domain::measures::{Figures, Period, Ratio, Scope, table};
use crate::domain::{Kpi, State};

const PAGE_MAX: u32 = 1_000;
const PAGE_DEFAULT: u32 = 100;

/// The service over its host.
pub fn api(host: Host<Kpi>) -> KpiServiceServer<Api> {
    KpiServiceServer::new(Api { host })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Kpi>,
}

#[tonic::async_trait]
impl KpiService for Api {
    async fn query_kpis(
        &self,
        request: Request<pb::QueryKpisRequest>,
    ) -> Result<Response<pb::QueryKpisResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let period = Period { from: field::timestamp(request.from, "from")?, to: field::timestamp(request.to, "to")? };
        if period.to <= period.from {
            return Err(invalid("to", "is not after from"));
        }
        let answer =
            self.host.query(tenant, move |state, seq| answer(state, seq, &request.employee, &request.desk, period));
        Ok(Response::new(answer.await?))
    }

    async fn list_credits(
        &self,
        request: Request<pb::ListCreditsRequest>,
    ) -> Result<Response<pb::ListCreditsResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let employee = match request.employee.as_str() {
            "" => None,
            code => Some(EmployeeId::of_code(tenant, code)),
        };
        let order: Option<OrderId> = match request.order_id.as_str() {
            "" => None,
            text => Some(field::id(text, "order_id")?),
        };
        let after: Option<CreditId> = match request.page_token.as_str() {
            "" => None,
            text => Some(field::id(text, "page_token")?),
        };
        let size = match request.page_size {
            0 => PAGE_DEFAULT,
            size if size <= PAGE_MAX => size,
            _ => return Err(invalid("page_size", format!("is more than {PAGE_MAX}"))),
        };
        let rows = self.host.query(tenant, move |state, _| credits(state, employee, order)).await?;
        let skip =
            after.and_then(|after| rows.iter().position(|row| row.credit_id == after.to_string())).map_or(0, |n| n + 1);
        let size = size as usize;
        let more = rows.len() > skip + size;
        let credits: Vec<_> = rows.into_iter().skip(skip).take(size).collect();
        let last = credits.last().map(|credit| credit.credit_id.clone()).unwrap_or_default();
        Ok(Response::new(pb::ListCreditsResponse { credits, next_page_token: if more { last } else { String::new() } }))
    }
}

fn credits(state: &State, employee: Option<EmployeeId>, only: Option<OrderId>) -> Vec<pb::Credit> {
    let mut rows: Vec<(Timestamp, CreditId, pb::Credit)> = Vec::new();
    for (id, order) in state.orders.sorted() {
        let Some(attribution) = &order.attribution else { continue };
        if only.is_some_and(|only| only != *id) || employee.is_some_and(|employee| employee != attribution.employee_id)
        {
            continue;
        }
        for credit in &order.credits {
            let row = pb::Credit {
                credit_id: credit.credit_id.to_string(),
                order_id: id.to_string(),
                employee: code(state, attribution.employee_id),
                inquiry_id: attribution.inquiry_id.map(|id: InquiryId| id.to_string()).unwrap_or_default(),
                amount: Some(field::wire_money(kernel::Money::new(credit.amount, order.amount.currency))),
                occurred_at: Some(field::wire_timestamp(credit.occurred_at)),
                reversed: false,
            };
            rows.push((credit.occurred_at, credit.credit_id, row));
        }
    }
    rows.sort_by_key(|(at, id, _)| (std::cmp::Reverse(*at), *id));
    rows.into_iter().map(|(_, _, row)| row).collect()
}

fn code(state: &State, employee: EmployeeId) -> String {
    let last = state.employees.get(&employee).and_then(|versions| versions.last());
    last.map_or_else(|| employee.to_string(), |(_, known)| known.code.clone())
}

fn answer(state: &State, seq: u64, employee: &str, desk: &str, period: Period) -> pb::QueryKpisResponse {
    let table = table(state, period);
    let latest = state.employees.iter().filter_map(|(id, versions)| Some((*id, &versions.last()?.1)));
    let wanted = latest.filter(|(_, known)| {
        (employee.is_empty() || known.code == employee) && (desk.is_empty() || known.desk == desk)
    });
    let employees: Vec<_> =
        wanted.map(|(id, known)| row(&known.code, &known.desk, &table.row(Scope::Employee(id)))).collect();
    let mut desks: Vec<&str> =
        state.employees.values().filter_map(|v| v.last()).map(|(_, e)| e.desk.as_str()).collect();
    desks.sort_unstable();
    desks.dedup();
    let desks = desks.into_iter().filter(|code| desk.is_empty() || *code == desk);
    pb::QueryKpisResponse {
        employees,
        desks: desks.map(|code| row("", code, &table.row(Scope::Desk(code)))).collect(),
        total: Some(row("", "", &table.row(Scope::All))),
        known_seq: seq,
    }
}

fn row(employee: &str, desk: &str, figures: &Figures) -> pb::Kpis {
    let ratio =
        |ratio: Ratio| Some(pb::Ratio { numerator: ratio.numerator, denominator: ratio.denominator, ppm: ratio.ppm() });
    let moneys = |moneys: &[kernel::Money]| moneys.iter().map(|money| field::wire_money(*money)).collect();
    pb::Kpis {
        employee: employee.to_owned(),
        desk: desk.to_owned(),
        customers_received: figures.customers_received,
        conversion: ratio(figures.conversion),
        orders: figures.orders,
        sales: moneys(&figures.sales),
        refunds: moneys(&figures.refunds),
        average_order_value: moneys(&figures.average_order_value),
        repurchase: ratio(figures.repurchase),
        csat: ratio(figures.csat),
        retention: ratio(figures.retention),
        wait_p50_ms: figures.wait_p50_ms,
    }
}
