//! Follows the log of `assignment`: notes when reservations are durable, and plays the agents, who accept and complete
//! at once, so that capacity comes back.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, anyhow};
use assignment::Assignment;
use assignment::domain::Command;
use kernel::{CommandId, InquiryId, ReservationId, TenantId, shard_of};
use log::{Header, Log, Record, Topic};
use prost::Message;
use proto::assignment as pb;
use runtime::{Host, Pending, monotonic};
use tokio::sync::mpsc;

use super::{Run, TenantCode};
use crate::bench::say;
use crate::bench::stats::nanos;
use crate::client::{explain_status, wire};
use crate::cluster::Cluster;

/// Schemas of the events that are looked at.
const RESERVATION_MADE: u16 = 4;
const RESERVATION_ACCEPTED: u16 = 5;
/// Bytes of log read at once.
const READ_BYTES: usize = 256 << 10;

/// The run that is on.
static ATTENDED: Mutex<Option<Arc<Run>>> = Mutex::new(None);

/// Reservations belong to this run from here on.
pub(super) fn attend(run: Arc<Run>) {
    *ATTENDED.lock().unwrap_or_else(PoisonError::into_inner) = Some(run);
}

fn attended() -> Option<Arc<Run>> {
    ATTENDED.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Starts a follower of each partition that has a company.
pub(super) fn start(cluster: &Cluster, tenants: &[TenantCode]) {
    let partitions = cluster.shared.log.partitions();
    let busy: BTreeSet<u16> = tenants.iter().map(|tenant| shard_of(tenant.id, partitions)).collect();
    let (answers, pendings) = mpsc::unbounded_channel();
    runtime::spawn("bench_answers", note_refusals(pendings));
    for partition in busy {
        let agents = Agents { host: cluster.assignment.clone(), tenants: tenants.to_vec(), answers: answers.clone() };
        let (log, shutdown) = (cluster.shared.log.clone(), cluster.shared.shutdown.clone());
        runtime::spawn("bench_watch", async move {
            let ended = tokio::select! {
                () = shutdown.cancelled() => Ok(()),
                ended = agents.follow(&*log, partition) => ended,
            };
            if let Err(error) = ended {
                say(format!("route: the follower of partition {partition} ended: {error:#}"));
            }
        });
    }
}

/// A refused accept or completion would keep capacity, and the backlog would grow.
async fn note_refusals(mut pendings: mpsc::UnboundedReceiver<Pending<Assignment>>) {
    while let Some(pending) = pendings.recv().await {
        if let Err(error) = pending.receipt().await {
            let refusal = explain_status(&tonic::Status::from(error));
            say(format!("route: an agent was refused: {refusal}"));
        }
    }
}

struct Agents {
    host: Host<Assignment>,
    tenants: Vec<TenantCode>,
    answers: mpsc::UnboundedSender<Pending<Assignment>>,
}

impl Agents {
    async fn follow(&self, log: &dyn Log, partition: u16) -> anyhow::Result<()> {
        let mut end = log.end(Topic::Assignment, partition);
        let mut next = *end.borrow_and_update();
        loop {
            end.changed().await?;
            // When the commit was seen, before anything is done about it.
            let seen = monotonic();
            let run = attended();
            while next < *end.borrow_and_update() {
                for record in log.read(Topic::Assignment, partition, next, READ_BYTES).await? {
                    next = record.seq + 1;
                    self.see(&record, seen, run.as_deref()).await?;
                }
            }
        }
    }

    async fn see(&self, record: &Record, seen: Duration, run: Option<&Run>) -> anyhow::Result<()> {
        let (header, payload) = Header::parse(&record.bytes)?;
        let tenant = header.tenant;
        match header.schema {
            RESERVATION_MADE => {
                let made = pb::ReservationMade::decode(payload)?;
                if let Some((run, n)) =
                    run.and_then(|run| Some((run, *run.by_inquiry.get(&inquiry(&made.inquiry_id)?)?)))
                    && run.sent[n].reserved.swap(nanos(seen), Ordering::Relaxed) == 0
                {
                    run.reserved.fetch_add(1, Ordering::Relaxed);
                }
                let reservation_id = ReservationId::from_slice(&made.reservation_id)?;
                let command = Command::Accept { reservation_id, epoch: made.epoch };
                self.tell(tenant, "AcceptReservation", reservation_id.as_bytes(), command).await
            }
            RESERVATION_ACCEPTED => {
                let accepted = pb::ReservationAccepted::decode(payload)?;
                let inquiry_id = inquiry(&accepted.inquiry_id).context("an inquiry's id")?;
                let command = Command::Complete { inquiry_id, disposition: String::new() };
                self.tell(tenant, "CompleteInquiry", accepted.assignment_id.as_slice(), command).await
            }
            _ => Ok(()),
        }
    }

    async fn tell(&self, tenant: TenantId, method: &'static str, about: &[u8], command: Command) -> anyhow::Result<()> {
        let code = self.tenants.iter().find(|known| known.id == tenant).context("a company of the run")?;
        let command_id = CommandId::of_parts(&[b"bench", method.as_bytes(), about]);
        let issued_at = wire(self.host.now());
        // As large as a real one, for its MAC.
        let request = pb::CompleteInquiryRequest {
            command_id: command_id.to_string(),
            issued_at,
            tenant: code.code.clone(),
            inquiry_id: command_id.to_string(),
            disposition: String::new(),
        };
        let meta = self.host.meta(method, &request, &request.command_id, issued_at, &code.code);
        let meta = meta.map_err(|status| anyhow!("{status}"))?;
        let pending = self.host.enqueue(meta, command).await.map_err(tonic::Status::from);
        let pending = pending.map_err(|status| anyhow!("{method}: {}", explain_status(&status)))?;
        self.answers.send(pending).map_err(|_| anyhow!("nobody notes refusals"))
    }
}

fn inquiry(bytes: &[u8]) -> Option<InquiryId> {
    InquiryId::from_slice(bytes).ok()
}
