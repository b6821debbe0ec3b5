//! The gRPC door of roster.

use std::time::Duration;

use kernel::{EmployeeId, Purpose, SealPlace, Subject, TenantId};
use proto::roster as pb;
use proto::roster::roster_service_server::{RosterService, RosterServiceServer};
use runtime::{Host, Meta, field, invalid, not_found, server};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::domain::{Command, Company, Employee, Presence, Rejection, Roster, Shift, Wanted};
use crate::file::{self, Definitions, EmployeeEntry};
use crate::{changes, codec};

/// Bytes of a company file.
const YAML_MAX: usize = 1 << 20;
/// Silence after which a kept presence is lost.
const SILENCE_MAX: Duration = Duration::from_secs(30);

/// The service over its host.
pub fn api(host: Host<Roster>) -> RosterServiceServer<Api> {
    RosterServiceServer::new(Api { host })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Roster>,
}

impl Api {
    fn employee_id(&self, tenant: TenantId, code: &str) -> Result<EmployeeId, Status> {
        Ok(EmployeeId::of_code(tenant, field::key(code, "employee")?))
    }

    fn wanted(&self, meta: &Meta, code: &str, definitions: Definitions) -> Result<Wanted, Status> {
        let company = definitions.company.map(|company| Company { code: code.to_owned(), ..company });
        let mut wanted = Wanted {
            company,
            desks: definitions.desks,
            positions: definitions.positions,
            policy: definitions.policy,
            ..Wanted::default()
        };
        for (entry, shifts) in definitions.employees {
            if entry.left {
                wanted.leaving.push(EmployeeId::of_code(meta.tenant, &entry.code));
            } else {
                wanted.employees.push(self.employee(meta, entry, shifts)?);
            }
        }
        Ok(wanted)
    }

    /// The name in clear; empty when its key was destroyed.
    fn name(&self, tenant: TenantId, employee: &Employee) -> String {
        let field = name_field(&employee.code);
        let open = |sealed| self.host.keys().open(tenant, employee.name_command_id, &field, sealed);
        employee
            .name
            .as_ref()
            .and_then(open)
            .map(|clear| String::from_utf8_lossy(&clear).into_owned())
            .unwrap_or_default()
    }

    fn employee(&self, meta: &Meta, entry: EmployeeEntry, shifts: Vec<Shift>) -> Result<Employee, Status> {
        let employee_id = EmployeeId::of_code(meta.tenant, &entry.code);
        let name_field = name_field(&entry.code);
        let place = SealPlace { tenant: meta.tenant, command_id: meta.command_id, field: &name_field };
        let subject = Subject(*employee_id.as_bytes());
        let sealed = self.host.keys().seal(subject, None, Purpose::Statutory, place, entry.name.as_bytes());
        let name = sealed.map_err(|error| {
            tracing::error!(%error, "name cannot be sealed");
            runtime::status(tonic::Code::Unavailable, "KEY_STORE", "the key store cannot be written; try again later")
        })?;
        Ok(Employee {
            employee_id,
            name: Some(name),
            name_command_id: meta.command_id,
            name_mac: self.host.keys().mac(meta.tenant, "employee.name", entry.name.as_bytes()),
            code: entry.code,
            desk: entry.desk,
            position: entry.position,
            skills: entry.skills.into_iter().collect(),
            languages: entry.languages,
            shifts,
            experience_months: entry.experience_months,
        })
    }
}

/// The field that an employee's name is sealed for.
pub(crate) fn name_field(code: &str) -> String {
    format!("employees[{code}].name")
}

#[tonic::async_trait]
impl RosterService for Api {
    type KeepPresenceStream = ReceiverStream<Result<pb::KeepPresenceResponse, Status>>;

    async fn import_company(
        &self,
        request: Request<pb::ImportCompanyRequest>,
    ) -> Result<Response<pb::ImportCompanyResponse>, Status> {
        let request = request.into_inner();
        let meta =
            self.host.meta("ImportCompany", &request, &request.command_id, request.issued_at, &request.tenant)?;
        field::required(&request.yaml, "yaml")?;
        if request.yaml.len() > YAML_MAX {
            return Err(invalid("yaml", format!("has {} bytes; {YAML_MAX} are allowed", request.yaml.len())));
        }
        let definitions =
            file::parse(&request.yaml, self.host.now()).map_err(|error| invalid("yaml", error.to_string()))?;
        let effective_from = definitions.effective_from;
        let wanted = self.wanted(&meta, &request.tenant, definitions)?;
        let command = Command::Import { wanted, effective_from };
        let (previewed, tenant) = (command.clone(), meta.tenant);
        let stamp =
            kernel::Stamp { at: self.host.now(), tenant, command_id: meta.command_id, actor: kernel::Actor::default() };
        let preview = self.host.query_new(tenant, move |state, _| {
            use kernel::Decider;
            Roster::decide(state, &previewed, &stamp).map(|events| changes::lines(state, &events))
        });
        let changes = preview.await?;
        if request.dry_run {
            let changes = changes.map_err(|refusal| Status::from(runtime::CallError::Refused(refusal)))?;
            return Ok(Response::new(pb::ImportCompanyResponse { changes, seq: 0 }));
        }
        let receipt = self.host.call(meta, command).await?;
        let changes = changes.unwrap_or_default();
        Ok(Response::new(pb::ImportCompanyResponse { changes, seq: receipt.first_seq }))
    }

    async fn set_presence(
        &self,
        request: Request<pb::SetPresenceRequest>,
    ) -> Result<Response<pb::SetPresenceResponse>, Status> {
        let request = request.into_inner();
        let meta = self.host.meta("SetPresence", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let employee_id = self.employee_id(meta.tenant, &request.employee)?;
        let presence = match pb::Presence::try_from(request.presence) {
            Ok(pb::Presence::Available) => Presence::Available,
            Ok(pb::Presence::Paused) => Presence::Paused,
            Ok(pb::Presence::Offline) => Presence::Offline,
            Ok(pb::Presence::Unspecified) | Err(_) => {
                return Err(invalid("presence", "is not one of available, paused and offline"));
            }
        };
        let receipt = self.host.call(meta, Command::SetPresence { employee_id, presence }).await?;
        Ok(Response::new(pb::SetPresenceResponse { seq: receipt.first_seq }))
    }

    async fn keep_presence(
        &self,
        request: Request<Streaming<pb::KeepPresenceRequest>>,
    ) -> Result<Response<Self::KeepPresenceStream>, Status> {
        let mut beats = request.into_inner();
        let first = beats.next().await.ok_or_else(|| invalid("employee", "is missing"))??;
        let tenant = self.host.tenant(&first.tenant)?;
        let employee_id = self.employee_id(tenant, &first.employee)?;
        let known = self.host.query(tenant, move |state, _| state.employees.contains_key(&employee_id)).await?;
        if !known {
            return Err(Status::from(runtime::CallError::Refused(Rejection::EmployeeUnknown)));
        }
        let (answer, answers) = mpsc::channel(1);
        let host = self.host.clone();
        // Outlives the request: its caller may be gone for good, which is what must be recorded.
        runtime::spawn("keep_presence", async move {
            while let Ok(Some(Ok(_))) = tokio::time::timeout(SILENCE_MAX, beats.next()).await {}
            // One command for the lost stream; heartbeats are never events.
            let meta = host.own_meta(tenant, "presence_lost", employee_id.as_bytes());
            let lost = host.call(meta, Command::LosePresence { employee_id }).await;
            drop(answer.send(lost.map(|_| pb::KeepPresenceResponse {})).await); // Nobody may be there to hear it.
        });
        Ok(Response::new(ReceiverStream::new(answers)))
    }

    async fn get_company(
        &self,
        request: Request<pb::GetCompanyRequest>,
    ) -> Result<Response<pb::GetCompanyResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let at = match request.at {
            Some(_) => field::timestamp(request.at, "at")?,
            None => self.host.now(),
        };
        let state = self.host.query(tenant, |state, _| state.clone()).await?;
        let company = state.company.at(at).cloned();
        let company = company.ok_or_else(|| not_found("COMPANY_UNKNOWN", "at: there was no company at that time"))?;
        let employees = state.employees.values().filter_map(|versions| versions.at(at)?.clone());
        let employee = |employee: Employee| pb::Employee {
            employee_id: employee.employee_id.to_string(),
            name: self.name(tenant, &employee),
            presence: state.presence.get(&employee.employee_id).map_or(0, |p| codec::presence_to_wire(*p).into()),
            code: employee.code,
            desk: employee.desk,
            position: employee.position,
            skills: codec::skills_to_wire(employee.skills),
            languages: employee.languages,
            shifts: codec::shifts_to_wire(employee.shifts),
            experience_months: employee.experience_months,
        };
        let policy_version = u32::try_from(state.policy.len()).unwrap_or(u32::MAX);
        Ok(Response::new(pb::GetCompanyResponse {
            company: Some(codec::company_to_wire(company, state.seed, at)),
            desks: state.desks.values().filter_map(|v| v.at(at)).map(|d| codec::desk_to_wire(d.clone(), at)).collect(),
            positions: state
                .positions
                .values()
                .filter_map(|versions| versions.at(at).map(|position| (versions.len(), position)))
                .map(|(n, p)| codec::position_to_wire(p.clone(), u32::try_from(n).unwrap_or(u32::MAX), at))
                .collect(),
            employees: employees.map(employee).collect(),
            policy: state.policy.at(at).map(|policy| codec::policy_to_wire(policy.clone(), policy_version, at)),
        }))
    }
}
