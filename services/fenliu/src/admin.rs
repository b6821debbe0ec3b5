//! What operators ask of a running Fenliu.

use kernel::TenantId;
use proto::admin as pb;
use proto::admin::admin_service_server::{AdminService, AdminServiceServer};
use runtime::{ParkedInfo, ShardInfo, field, invalid};
use tonic::{Request, Response, Status};

use crate::cluster::{BUILD, Cluster};

pub fn api(cluster: Cluster) -> AdminServiceServer<Admin> {
    AdminServiceServer::new(Admin { cluster })
}

pub struct Admin {
    cluster: Cluster,
}

/// Bytes as hexadecimal text.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Hexadecimal text as bytes.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_status(&self, _: Request<pb::GetStatusRequest>) -> Result<Response<pb::GetStatusResponse>, Status> {
        let clock = &self.cluster.shared.clock;
        Ok(Response::new(pb::GetStatusResponse {
            version: format!("{} build {BUILD}", env!("CARGO_PKG_VERSION")),
            now: Some(field::wire_timestamp(clock.now())),
            clock_is_virtual: clock.is_virtual(),
            settled: self.cluster.settled(),
        }))
    }

    async fn list_tenants(
        &self,
        _: Request<pb::ListTenantsRequest>,
    ) -> Result<Response<pb::ListTenantsResponse>, Status> {
        let tenants = self.cluster.shared.directory.codes();
        Ok(Response::new(pb::ListTenantsResponse { tenants }))
    }

    async fn list_shards(
        &self,
        request: Request<pb::ListShardsRequest>,
    ) -> Result<Response<pb::ListShardsResponse>, Status> {
        let digests = request.into_inner().digests;
        let Cluster { intake, roster, intent, assignment, kpi, payroll, .. } = &self.cluster;
        let mut infos: Vec<ShardInfo> = intake.shards(digests).await?;
        infos.extend(roster.shards(digests).await?);
        infos.extend(intent.shards(digests).await?);
        infos.extend(assignment.shards(digests).await?);
        infos.extend(kpi.shards(digests).await?);
        infos.extend(payroll.shards(digests).await?);
        let shard = |info: ShardInfo| pb::Shard {
            service: info.service.to_owned(),
            partition: info.partition.into(),
            next_seq: info.next_seq,
            digest: info.digest.map(|digest| digest.to_string()).unwrap_or_default(),
            tenants: u32::try_from(info.tenants).unwrap_or(u32::MAX),
            parked: u32::try_from(info.parked).unwrap_or(u32::MAX),
        };
        Ok(Response::new(pb::ListShardsResponse { shards: infos.into_iter().map(shard).collect() }))
    }

    async fn list_parked(&self, _: Request<pb::ListParkedRequest>) -> Result<Response<pb::ListParkedResponse>, Status> {
        let Cluster { intent, assignment, kpi, payroll, .. } = &self.cluster;
        let mut infos: Vec<ParkedInfo> = intent.parked().await?;
        infos.extend(assignment.parked().await?);
        infos.extend(kpi.parked().await?);
        infos.extend(payroll.parked().await?);
        let parked = |info: ParkedInfo| pb::ParkedInput {
            service: info.service.to_owned(),
            partition: info.partition.into(),
            tenant_id: info.tenant.to_string(),
            entity: hex(&info.entity),
            reason: info.input.reason,
            detail: info.input.detail,
            topic: info.input.topic.name().to_owned(),
            seq: info.input.seq,
        };
        Ok(Response::new(pb::ListParkedResponse { parked: infos.into_iter().map(parked).collect() }))
    }

    async fn release_parked(
        &self,
        request: Request<pb::ReleaseParkedRequest>,
    ) -> Result<Response<pb::ReleaseParkedResponse>, Status> {
        let request = request.into_inner();
        let tenant: TenantId = field::id(&request.tenant_id, "tenant_id")?;
        let entity = unhex(&request.entity).ok_or_else(|| invalid("entity", "is not hexadecimal"))?;
        let released = match request.service.as_str() {
            "intent" => self.cluster.intent.release(tenant, entity).await?,
            "assignment" => self.cluster.assignment.release(tenant, entity).await?,
            "kpi" => self.cluster.kpi.release(tenant, entity).await?,
            "payroll" => self.cluster.payroll.release(tenant, entity).await?,
            _ => return Err(invalid("service", "is not one of intent, assignment, kpi and payroll")),
        };
        Ok(Response::new(pb::ReleaseParkedResponse { released }))
    }
}
