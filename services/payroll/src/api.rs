//! The gRPC door of payroll.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use kernel::{EmployeeId, Timestamp};
use proto::payroll as pb;
use proto::payroll::payroll_service_server::{PayrollService, PayrollServiceServer};
use runtime::{Host, field, invalid, not_found, server};
use tonic::{Request, Response, Status};

use crate::domain::{Closed, Command, Earning, PayoutChanged, Payroll, State};
use crate::{codec, file};

/// Bytes of a plan file.
const YAML_MAX: usize = 256 << 10;

/// The service over its host.
pub fn api(host: Host<Payroll>) -> PayrollServiceServer<Api> {
    PayrollServiceServer::new(Api { host })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Payroll>,
}

/// The instants of a month such as `2026-09` in a zone.
fn bounds(period: &str, zone: &str) -> Result<(Timestamp, Timestamp), Status> {
    let wrong = || invalid("period", format!("{period:?} is not a month such as 2026-09"));
    let first: Date = format!("{period}-01").parse().map_err(|_| wrong())?;
    if first.strftime("%Y-%m").to_string() != period {
        return Err(wrong());
    }
    let zone = TimeZone::get(zone)
        .map_err(|error| runtime::status(tonic::Code::Internal, "ZONE_UNKNOWN", error.to_string()))?;
    let instant = |date: Date| {
        let instant = zone.to_timestamp(date.at(0, 0, 0, 0)).map_err(|_| wrong())?;
        Ok::<_, Status>(Timestamp::from_micros(instant.as_microsecond()))
    };
    let next = first.checked_add(jiff::Span::new().months(1)).map_err(|_| wrong())?;
    Ok((instant(first)?, instant(next)?))
}

impl Api {
    async fn closing(&self, tenant: kernel::TenantId, period: &str) -> Result<Closed, Status> {
        let zone =
            self.host.query(tenant, |state, _| state.company.as_ref().map(|company| company.zone.clone())).await?;
        let zone = zone.ok_or_else(|| not_found("COMPANY_UNKNOWN", "the company is not known yet; import it first"))?;
        let (start, end) = bounds(period, &zone)?;
        Ok(Closed { start, end, kpi_known_seq: 0 })
    }
}

#[tonic::async_trait]
impl PayrollService for Api {
    async fn activate_plan(
        &self,
        request: Request<pb::ActivatePlanRequest>,
    ) -> Result<Response<pb::ActivatePlanResponse>, Status> {
        let request = request.into_inner();
        let meta = self.host.meta("ActivatePlan", &request, &request.command_id, request.issued_at, &request.tenant)?;
        field::required(&request.yaml, "yaml")?;
        if request.yaml.len() > YAML_MAX {
            return Err(invalid("yaml", format!("has {} bytes; {YAML_MAX} are allowed", request.yaml.len())));
        }
        let plan = file::parse(&request.yaml).map_err(|error| invalid("yaml", error))?;
        let (code, version, plan_hash) = (plan.code.clone(), plan.version, codec::plan_hash(&plan));
        let receipt = self.host.call(meta, Command::ActivatePlan(plan)).await?;
        let plan_hash = hex(&plan_hash);
        Ok(Response::new(pb::ActivatePlanResponse { code, version, plan_hash, seq: receipt.first_seq }))
    }

    async fn close_period(
        &self,
        request: Request<pb::ClosePeriodRequest>,
    ) -> Result<Response<pb::ClosePeriodResponse>, Status> {
        let request = request.into_inner();
        let meta = self.host.meta("ClosePeriod", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let tenant = meta.tenant;
        let closing = self.closing(tenant, &request.period).await?;
        let period = request.period.clone();
        let command = Command::ClosePeriod { period: period.clone(), start: closing.start, end: closing.end };
        let receipt = self.host.call(meta, command).await?;
        let counted = self.host.query(tenant, move |state, _| {
            let statements = state.statements.keys().filter(|(posted_in, _)| *posted_in == period).count();
            let payouts = state.payouts.values().filter(|payout| payout.period == period).count();
            (statements, payouts, state.unpaid(&closing))
        });
        let (participants, payouts, unpaid) = counted.await?;
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let (participants, payouts) = (count(participants), count(payouts));
        Ok(Response::new(pb::ClosePeriodResponse { participants, payouts, seq: receipt.first_seq, unpaid }))
    }

    async fn approve_payouts(
        &self,
        request: Request<pb::ApprovePayoutsRequest>,
    ) -> Result<Response<pb::ApprovePayoutsResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("ApprovePayouts", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let tenant = meta.tenant;
        let period = request.period.clone();
        let receipt = self.host.call(meta, Command::ApprovePayouts { period: period.clone() }).await?;
        let issued = self.host.query(tenant, move |state, _| {
            let of_period = state.payouts.values().filter(|payout| payout.period == period);
            of_period.filter(|payout| payout.state == crate::domain::PayoutState::Issued).count()
        });
        let issued = u32::try_from(issued.await?).unwrap_or(u32::MAX);
        Ok(Response::new(pb::ApprovePayoutsResponse { issued, seq: receipt.first_seq }))
    }

    async fn get_statement(
        &self,
        request: Request<pb::GetStatementRequest>,
    ) -> Result<Response<pb::GetStatementResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let employee = EmployeeId::of_code(tenant, field::key(&request.employee, "employee")?);
        let open = self.closing(tenant, &request.period).await?;
        let statement = self.host.query(tenant, move |state, _| {
            if !state.participants.contains_key(&employee) {
                return Err(not_found("EMPLOYEE_UNKNOWN", "employee: no participant with this code"));
            }
            statement(state, employee, &request, &open)
        });
        statement.await?.map(Response::new)
    }

    async fn list_payouts(
        &self,
        request: Request<pb::ListPayoutsRequest>,
    ) -> Result<Response<pb::ListPayoutsResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let payouts = self.host.query(tenant, move |state, _| {
            let wanted = |payout: &&PayoutChanged| request.period.is_empty() || payout.period == request.period;
            state.payouts.values().filter(wanted).map(|payout| payout_row(state, payout)).collect()
        });
        Ok(Response::new(pb::ListPayoutsResponse { payouts: payouts.await? }))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn payout_row(state: &State, payout: &PayoutChanged) -> pb::Payout {
    let participant = state.participants.get(&payout.participant_id).and_then(|versions| versions.last());
    pb::Payout {
        payout_id: payout.payout_id.to_string(),
        version: payout.version,
        state: codec::state_to_wire(payout.state).into(),
        employee: participant.map(|(_, known)| known.code.clone()).unwrap_or_default(),
        period: payout.period.clone(),
        amount: Some(field::wire_money(payout.amount)),
        statement_hash: hex(&payout.statement_hash),
    }
}

/// The statement of a closed period as it was posted; of an open one as it stands now.
fn statement(
    state: &State,
    employee: EmployeeId,
    request: &pb::GetStatementRequest,
    open: &Closed,
) -> Result<pb::GetStatementResponse, Status> {
    let period = &request.period;
    let closed = state.closed.contains_key(period);
    let lines = if closed {
        state.statements.get(&(period.clone(), employee)).cloned().unwrap_or_default()
    } else {
        let earnings = state.earnings(employee, period, open, period);
        earnings.map_err(|refusal| Status::from(runtime::CallError::Refused(refusal)))?
    };
    let currency = lines.first().map(|line| line.delta.currency).or(state.company.as_ref().map(|c| c.currency));
    let currency = currency.unwrap_or_default();
    let total: i64 = lines.iter().filter(|line| line.delta.currency == currency).map(|line| line.delta.minor).sum();
    let of_currency = |money: &kernel::Money| money.currency == currency;
    let payout = state
        .payouts
        .values()
        .find(|payout| payout.participant_id == employee && payout.period == *period && of_currency(&payout.amount));
    let out = state.carried_out.get(&(period.clone(), employee)).into_iter().flatten();
    let carried_out: i64 =
        out.map(|(_, balance)| balance).filter(|b| of_currency(b)).map(|balance| balance.minor).sum();
    let paid = payout.map_or(0, |payout| payout.amount.minor);
    // What was carried in is what the payout and the carry-out leave of the total.
    let carried_in = if closed { paid + carried_out - total } else { 0 };
    let money = |minor| Some(field::wire_money(kernel::Money::new(minor, currency)));
    Ok(pb::GetStatementResponse {
        employee: request.employee.clone(),
        period: period.clone(),
        lines: lines.into_iter().map(line).collect(),
        total: money(total),
        carried_in: money(carried_in),
        carried_out: money(carried_out),
        payout_id: payout.map(|payout| payout.payout_id.to_string()).unwrap_or_default(),
        statement_hash: payout.map(|payout| hex(&payout.statement_hash)).unwrap_or_default(),
        closed,
    })
}

fn line(earning: Earning) -> pb::StatementLine {
    pb::StatementLine {
        component: earning.component,
        plan_code: earning.plan_code,
        plan_hash: hex(&earning.plan_hash),
        period: earning.period,
        basis_value: earning.basis_value.to_string(),
        segments: earning.segments.into_iter().map(codec::segment_to_wire).collect(),
        exact: earning.exact.to_string(),
        amount: Some(field::wire_money(earning.amount)),
        delta: Some(field::wire_money(earning.delta)),
        credit_ids: earning.credit_ids.iter().map(ToString::to_string).collect(),
    }
}
