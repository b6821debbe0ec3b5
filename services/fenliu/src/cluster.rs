//! The six services in one process on the embedded log.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use assignment::Assignment;
use intake::Intake;
use intent::Intent;
use kernel::Timestamp;
use kpi::Kpi;
use log::{Embedded, Header, Log, OpenError, Options, Topic};
use payroll::Payroll;
use prost::Message;
use roster::Roster;
use runtime::{Clock, Directory, FileKeys, Host, Keys, Shared, server};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;

/// Hash of the sources of this build.
pub const BUILD: &str = env!("FENLIU_BUILD");

/// Names of the gRPC services, for health checks.
const SERVICES: [&str; 7] = [
    "fenliu.intake.v1.IntakeService",
    "fenliu.roster.v1.RosterService",
    "fenliu.intent.v1.IntentService",
    "fenliu.assignment.v1.AssignmentService",
    "fenliu.kpi.v1.KpiService",
    "fenliu.payroll.v1.PayrollService",
    "fenliu.admin.v1.AdminService",
];

/// A running Fenliu without its network door.
#[derive(Clone)]
pub struct Cluster {
    pub shared: Shared,
    pub intake: Host<Intake>,
    pub roster: Host<Roster>,
    pub intent: Host<Intent>,
    pub assignment: Host<Assignment>,
    pub kpi: Host<Kpi>,
    pub payroll: Host<Payroll>,
    log: Arc<Embedded>,
}

/// Where a running Fenliu listens; written into its data folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Address {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub pid: u32,
}

pub fn snapshots(dir: &Path) -> PathBuf {
    dir.join("snapshots")
}

fn address_path(dir: &Path) -> PathBuf {
    dir.join("address.json")
}

/// The address of the Fenliu that runs on `dir`, when its folder names one.
pub fn address(dir: &Path) -> Option<Address> {
    serde_json::from_slice(&std::fs::read(address_path(dir)).ok()?).ok()
}

/// Codes of the companies in a folder's log, whether or not a Fenliu runs on it; none where there is no log yet.
pub async fn tenants(dir: &Path) -> anyhow::Result<Vec<String>> {
    let log = match log::read_only(dir) {
        Err(OpenError::Missing(_)) => return Ok(Vec::new()),
        log => log?,
    };
    let mut codes = std::collections::BTreeSet::new();
    for partition in 0..log.partitions() {
        let (mut next, end) = (0, *log.end(Topic::Roster, partition).borrow());
        while next < end {
            for record in log.read(Topic::Roster, partition, next, 1 << 20).await? {
                next = record.seq + 1;
                let (header, payload) = Header::parse(&record.bytes)?;
                if header.schema == roster::COMPANY_DEFINED {
                    codes.insert(proto::roster::CompanyDefined::decode(payload)?.code);
                }
            }
        }
    }
    Ok(codes.into_iter().collect())
}

/// Writes a small file so that a reader finds the old one or the new one.
fn replace(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    std::fs::write(&temporary, bytes)?;
    std::fs::rename(&temporary, path)
}

impl Cluster {
    /// Opens the log in `dir` and starts all services. The clock is the services' own.
    pub fn open(dir: &Path, clock: Clock, options: Options) -> anyhow::Result<Self> {
        let opened = Embedded::open(dir, options)?;
        if let Some(cut) = &opened.cut {
            tracing::warn!(
                file = cut.file,
                offset = cut.offset,
                bytes = cut.bytes,
                "an unfinished write was cut from the log"
            );
        }
        let keys: Arc<dyn Keys> = Arc::new(FileKeys::open(&dir.join("keys")).context("open the key store")?);
        let shutdown = CancellationToken::new();
        let log: Arc<dyn Log> = opened.log.clone();
        let directory = Directory::start(&log, &shutdown);
        let (snapshots, build) = (Some(snapshots(dir)), BUILD.to_owned());
        let shared = Shared { log, clock, keys, directory, snapshots, build, shutdown };
        Ok(Self {
            intake: Host::start(&shared),
            roster: Host::start(&shared),
            intent: Host::start(&shared),
            assignment: Host::start(&shared),
            kpi: Host::start(&shared),
            payroll: Host::start(&shared),
            log: opened.log,
            shared,
        })
    }

    /// Opens the log in `dir` with as many partitions as it was made with, 16 when it is new. Asking for another number
    /// than it has is refused: it can never change.
    pub fn open_folder(dir: &Path, partitions: Option<u16>, clock: Clock) -> anyhow::Result<Self> {
        let options = |partitions| Options { partitions, ..Options::default() };
        let first = partitions.unwrap_or(Options::default().partitions);
        match Self::open(dir, clock.clone(), options(first)) {
            Err(error) => match error.downcast_ref::<OpenError>() {
                Some(OpenError::Partitions { made, .. }) if partitions.is_none() => {
                    Self::open(dir, clock, options(*made))
                }
                _ => Err(error),
            },
            opened => opened,
        }
    }

    /// Whether every service has read all there is and fired all timers that are due.
    pub fn settled(&self) -> bool {
        self.intent.settled() && self.assignment.settled() && self.kpi.settled() && self.payroll.settled()
    }

    /// When the next timer of any service is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        let due = [self.intent.next_due(), self.assignment.next_due(), self.kpi.next_due(), self.payroll.next_due()];
        due.into_iter().flatten().min()
    }

    /// Waits until [`Self::settled`] holds, and still holds after everybody had a turn.
    pub async fn settle(&self) {
        let mut calm = 0;
        while calm < 2 {
            if self.settled() {
                calm += 1;
                tokio::task::yield_now().await;
            } else {
                calm = 0;
                tokio::time::sleep(std::time::Duration::from_micros(200)).await;
            }
        }
    }

    fn routes(&self) -> Routes {
        Routes::new(intake::api::api(self.intake.clone()))
            .add_service(roster::api::api(self.roster.clone()))
            .add_service(intent::api::api(self.intent.clone()))
            .add_service(assignment::api::api(self.assignment.clone()))
            .add_service(kpi::api::api(self.kpi.clone()))
            .add_service(payroll::api::api(self.payroll.clone()))
            .add_service(crate::admin::api(self.clone()))
    }

    /// Serves gRPC and metrics on loopback, and writes the address into the folder. Port 0 takes a free one.
    pub async fn serve(
        &self,
        dir: &Path,
        grpc: SocketAddr,
        http: SocketAddr,
        reflection: bool,
    ) -> anyhow::Result<Address> {
        let grpc_listener = server::listen(grpc).await?;
        let http_listener = server::listen(http).await?;
        let address =
            Address { grpc: grpc_listener.local_addr()?, http: http_listener.local_addr()?, pid: std::process::id() };
        let (routes, shutdown) = (self.routes(), self.shared.shutdown.clone());
        runtime::spawn("grpc", async move {
            if let Err(error) = server::serve_grpc(grpc_listener, routes, &SERVICES, reflection, shutdown).await {
                tracing::error!(%error, "gRPC server ended");
            }
        });
        let shutdown = self.shared.shutdown.clone();
        runtime::spawn("http", async move {
            if let Err(error) = server::serve_http(http_listener, shutdown).await {
                tracing::error!(%error, "HTTP server ended");
            }
        });
        replace(&address_path(dir), &serde_json::to_vec(&address)?)
            .context("write the address into the data folder")?;
        Ok(address)
    }

    /// Stops cleanly: no new requests, turns in flight finish, snapshots are written, the log is closed.
    pub async fn stop(self, dir: &Path) {
        self.shared.shutdown.cancel();
        drop(std::fs::remove_file(address_path(dir)));
        self.intake.stopped().await;
        self.roster.stopped().await;
        self.intent.stopped().await;
        self.assignment.stopped().await;
        self.kpi.stopped().await;
        self.payroll.stopped().await;
        self.log.close();
    }
}
