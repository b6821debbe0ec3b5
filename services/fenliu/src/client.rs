//! A client of a running Fenliu.

use std::path::Path;

use anyhow::{Context, bail};
use kernel::{CommandId, Timestamp};
use proto::admin::GetStatusRequest;
use proto::admin::admin_service_client::AdminServiceClient;
use proto::assignment::assignment_service_client::AssignmentServiceClient;
use proto::intake::intake_service_client::IntakeServiceClient;
use proto::intent::intent_service_client::IntentServiceClient;
use proto::kpi::kpi_service_client::KpiServiceClient;
use proto::payroll::payroll_service_client::PayrollServiceClient;
use proto::roster::roster_service_client::RosterServiceClient;
use runtime::{field, server};
use tonic::Status;
use tonic::transport::Channel;

use crate::cluster;

/// How long a Fenliu has to answer before it counts as not running.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Stubs of all services over one connection.
#[derive(Clone)]
pub struct Client {
    pub intake: IntakeServiceClient<Channel>,
    pub roster: RosterServiceClient<Channel>,
    pub intent: IntentServiceClient<Channel>,
    pub assignment: AssignmentServiceClient<Channel>,
    pub kpi: KpiServiceClient<Channel>,
    pub payroll: PayrollServiceClient<Channel>,
    pub admin: AdminServiceClient<Channel>,
}

impl Client {
    /// Connects to an address such as `http://127.0.0.1:7070`; the scheme may be left out.
    pub async fn connect(address: String) -> anyhow::Result<Self> {
        let url = if address.contains("://") { address } else { format!("http://{address}") };
        let endpoint = Channel::from_shared(url.clone()).with_context(|| format!("{url} is not an address"))?;
        let channel =
            endpoint.connect_timeout(PATIENCE).connect().await.with_context(|| format!("connect to {url}"))?;
        let largest = server::ANSWER_BYTES_MAX;
        Ok(Self {
            intake: IntakeServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            roster: RosterServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            intent: IntentServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            assignment: AssignmentServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            kpi: KpiServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            payroll: PayrollServiceClient::new(channel.clone()).max_decoding_message_size(largest),
            admin: AdminServiceClient::new(channel).max_decoding_message_size(largest),
        })
    }

    /// Connects to the Fenliu that runs on a data folder.
    pub async fn of_folder(dir: &Path) -> anyhow::Result<Self> {
        match Self::if_running(dir).await {
            Some(client) => Ok(client),
            None => {
                let dir = dir.display();
                bail!(
                    "no Fenliu runs on {dir}; start one with `fenliu up --data {dir}`, or name another with --address"
                )
            }
        }
    }

    /// The Fenliu that runs on a data folder, if one does. An address that was left behind by one that was killed is
    /// no Fenliu: nobody answers there.
    pub async fn if_running(dir: &Path) -> Option<Self> {
        let address = cluster::address(dir)?;
        let mut client = Self::connect(address.grpc.to_string()).await.ok()?;
        let asked = client.admin.get_status(GetStatusRequest {});
        tokio::time::timeout(PATIENCE, asked).await.ok()?.ok()?;
        Some(client)
    }

    /// The server's clock while it plays a sample day; `None` when its time is real.
    pub async fn virtual_now(&self) -> Result<Option<Timestamp>, Status> {
        let status = self.admin.clone().get_status(GetStatusRequest {}).await?.into_inner();
        if status.clock_is_virtual { field::timestamp(status.now, "now").map(Some) } else { Ok(None) }
    }
}

/// A new command id, random.
pub fn new_command() -> anyhow::Result<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    Ok(CommandId::from_bytes(bytes).to_string())
}

/// A command id that is always the same for the same thing, so that doing it again is a repeat.
pub fn command_for(parts: &[&str]) -> String {
    let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    CommandId::of_parts(&parts).to_string()
}

/// An instant as it goes onto the wire.
pub fn wire(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(field::wire_timestamp(at))
}

/// A refusal as people read it: what, and the stable reason.
pub fn explain_status(status: &Status) -> String {
    let reason = runtime::reason_of(status).unwrap_or_else(|| format!("{:?}", status.code()));
    format!("{} [{reason}]", status.message())
}
