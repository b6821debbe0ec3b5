//! A command's way to the running Fenliu: its connection, its company, its time.

use anyhow::{anyhow, bail};
use clap::Args;
use kernel::Timestamp;
use proto::admin::ListTenantsRequest;
use proto::intake::GetInquiryRequest;
use runtime::Clock;
use tonic::Status;

use super::Global;
use crate::client::{self, Client, explain_status};
use crate::cluster;

/// For commands that work on one company.
#[derive(Debug, Clone, Args)]
pub struct TenantArg {
    /// Code of the company; needed only where more than one was imported.
    #[arg(long, env = "FENLIU_TENANT", value_name = "CODE")]
    pub tenant: Option<String>,
}

impl TenantArg {
    /// The code that was given, or the only one there is.
    pub async fn code(&self, global: &Global) -> anyhow::Result<String> {
        if let Some(code) = &self.tenant {
            return Ok(code.clone());
        }
        let tenants = match &global.address {
            Some(address) => {
                let mut client = Client::connect(address.clone()).await?;
                client.admin.list_tenants(ListTenantsRequest {}).await.map_err(refused)?.into_inner().tenants
            }
            None => cluster::tenants(&global.data).await?,
        };
        match &tenants[..] {
            [only] => Ok(only.clone()),
            [] => bail!(
                "which company? None was imported into {} yet: make one with `fenliu init --company FILE`, or name one with --tenant CODE",
                global.data.display()
            ),
            many => bail!("which company? Name one with --tenant CODE; there are {}", many.join(", ")),
        }
    }
}

/// A connection with a company and a clock.
#[derive(Clone)]
pub struct Session {
    pub client: Client,
    pub tenant: String,
    virtual_now: Option<Timestamp>,
}

/// What every mutating request begins with.
pub struct Head {
    pub command_id: String,
    pub issued_at: Option<prost_types::Timestamp>,
    pub tenant: String,
}

/// Connects to the address that was given, or to the Fenliu that runs on the data folder.
pub async fn connect(global: &Global) -> anyhow::Result<Client> {
    match &global.address {
        Some(address) => Client::connect(address.clone()).await,
        None => Client::of_folder(&global.data).await,
    }
}

impl Session {
    pub async fn open(global: &Global, tenant: &TenantArg) -> anyhow::Result<Self> {
        let client = connect(global).await?;
        Self::with(client, tenant.code(global).await?).await
    }

    pub async fn with(client: Client, tenant: String) -> anyhow::Result<Self> {
        // The one question before the first request also says whether the server is in the past, in a sample day.
        let virtual_now = client.virtual_now().await.map_err(refused)?;
        Ok(Self { client, tenant, virtual_now })
    }

    /// The time to issue a request at.
    pub fn now(&self) -> Timestamp {
        self.virtual_now.unwrap_or_else(|| Clock::real().now())
    }

    /// A head with a new command id.
    pub fn head(&self) -> anyhow::Result<Head> {
        Ok(Head {
            command_id: client::new_command()?,
            issued_at: client::wire(self.now()),
            tenant: self.tenant.clone(),
        })
    }

    /// The id of an inquiry that a person named by id or by `platform:external_id`.
    pub async fn inquiry(&mut self, name: &str) -> anyhow::Result<String> {
        if name.parse::<kernel::InquiryId>().is_ok() {
            return Ok(name.to_owned());
        }
        let (platform, external_id) = pair(name).map_err(|what| anyhow!("inquiry: {what}"))?;
        let request = GetInquiryRequest { tenant: self.tenant.clone(), platform, external_id, ..Default::default() };
        Ok(self.client.intake.get_inquiry(request).await.map_err(refused)?.into_inner().inquiry_id)
    }
}

/// `platform:id`. The id may hold colons, the platform may not.
pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((platform, id)) if !platform.is_empty() && !id.is_empty() => Ok((platform.to_owned(), id.to_owned())),
        _ => Err(format!("{text:?} is not of the form PLATFORM:ID, such as shop:A001")),
    }
}

/// A refusal as an error that people read.
#[expect(clippy::needless_pass_by_value, reason = "the form that map_err takes")]
pub fn refused(status: Status) -> anyhow::Error {
    anyhow!("{}", explain_status(&status))
}
