//! Sends inquiries when they are due, by gRPC or straight into the host.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, anyhow};
use intake::Intake;
use intake::domain as words;
use kernel::{KeyId, Purpose, SealPlace, Subject};
use proto::intake as pb;
use runtime::{Host, Meta, Pending, field, monotonic};
use tokio::sync::mpsc;

use super::{Run, TenantCode};
use crate::client::{Client, explain_status};
use crate::cluster::Cluster;

/// How an inquiry comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    /// Sealed as the door does it, then queued in process.
    Host,
    /// Over the network, as platforms do.
    Grpc,
}

impl Door {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Grpc => "grpc",
        }
    }
}

/// Starts a thread that sends everything; a thread of its own, because it must be on time.
pub(super) fn send(
    door: Door,
    cluster: &Cluster,
    client: &Client,
    tenants: &[TenantCode],
    run: Arc<Run>,
    requests: Vec<pb::SubmitInquiryRequest>,
) -> JoinHandle<anyhow::Result<()>> {
    let (runtime, host, client) = (tokio::runtime::Handle::current(), cluster.intake.clone(), client.clone());
    let receivers = tenants.iter().map(|tenant| (tenant.code.clone(), collector(&run))).collect();
    std::thread::spawn(move || match door {
        Door::Grpc => by_grpc(&runtime, &client, &run, requests),
        Door::Host => Sealer { host, people: BTreeMap::new() }.all(&runtime, &run, &receivers, requests),
    })
}

fn sleep_until(due: Duration) {
    if let Some(left) = due.checked_sub(monotonic()) {
        std::thread::sleep(left);
    }
}

fn by_grpc(
    runtime: &tokio::runtime::Handle,
    client: &Client,
    run: &Arc<Run>,
    requests: Vec<pb::SubmitInquiryRequest>,
) -> anyhow::Result<()> {
    let _inside = runtime.enter();
    for (n, request) in requests.into_iter().enumerate() {
        sleep_until(run.sent[n].due);
        let (mut stub, run) = (client.intake.clone(), run.clone());
        runtime::spawn("bench_submit", async move {
            match stub.submit_inquiry(request).await {
                Ok(_) => run.acknowledge(n),
                Err(_) => drop(run.refused.fetch_add(1, Ordering::Relaxed)),
            }
        });
    }
    Ok(())
}

type Flights = BTreeMap<String, mpsc::UnboundedSender<(usize, Pending<Intake>)>>;

/// Notes acknowledgements of one company, which come in the order of its inquiries.
fn collector(run: &Arc<Run>) -> mpsc::UnboundedSender<(usize, Pending<Intake>)> {
    let (sender, mut flights) = mpsc::unbounded_channel::<(usize, Pending<Intake>)>();
    let run = run.clone();
    runtime::spawn("bench_acknowledged", async move {
        while let Some((n, pending)) = flights.recv().await {
            match pending.receipt().await {
                Ok(_) => run.acknowledge(n),
                Err(_) => drop(run.refused.fetch_add(1, Ordering::Relaxed)),
            }
        }
    });
    sender
}

/// Does what the front door does to a request, without the network.
struct Sealer {
    host: Host<Intake>,
    people: BTreeMap<[u8; 16], KeyId>,
}

impl Sealer {
    fn all(
        mut self,
        runtime: &tokio::runtime::Handle,
        run: &Run,
        flights: &Flights,
        requests: Vec<pb::SubmitInquiryRequest>,
    ) -> anyhow::Result<()> {
        for (n, request) in requests.into_iter().enumerate() {
            sleep_until(run.sent[n].due);
            let (meta, command) = self.prepare(&request)?;
            let pending = runtime.block_on(self.host.enqueue(meta, command)).map_err(tonic::Status::from);
            let pending = pending.map_err(|status| anyhow!(explain_status(&status)))?;
            let flight = flights.get(&request.tenant).context("a company of the run")?;
            flight.send((n, pending)).map_err(|_| anyhow!("nobody notes acknowledgements"))?;
        }
        Ok(())
    }

    fn prepare(&mut self, request: &pb::SubmitInquiryRequest) -> anyhow::Result<(Meta, words::Command)> {
        let refused = |status: tonic::Status| anyhow!(explain_status(&status));
        let meta = self.host.meta("SubmitInquiry", request, &request.command_id, request.issued_at, &request.tenant);
        let meta = meta.map_err(refused)?;
        let customer = request.customer.as_ref().context("a customer")?;
        let keys = self.host.keys().clone();
        let identity = format!("{}\0{}", customer.platform, customer.external_id);
        let key = keys.mac(meta.tenant, "customer", identity.as_bytes());
        let mut seal = |field: &str, clear: &str| {
            let place = SealPlace { tenant: meta.tenant, command_id: meta.command_id, field };
            let known = self.people.get(&key).copied();
            let sealed = keys.seal(Subject(key), known, Purpose::Service, place, clear.as_bytes())?;
            self.people.insert(key, sealed.key_id);
            anyhow::Ok(sealed)
        };
        let mac = |what: &str, body: &[u8]| keys.mac(meta.tenant, what, body);
        let occurred_at = field::timestamp(request.occurred_at, "occurred_at").map_err(refused)?;
        let details = words::CustomerDetails {
            platform: customer.platform.clone(),
            external_id: Some(seal("customer.external_id", &customer.external_id)?),
            language: customer.language.clone(),
            ..Default::default()
        };
        let body_mac = mac("body.customer", &prost::Message::encode_to_vec(customer));
        let reference = words::CustomerRef::Key(key);
        let fact_key = words::key_of("inquiry", &request.platform, &request.external_id);
        let mut messages = Vec::new();
        for (n, message) in request.messages.iter().enumerate() {
            messages.push(words::Message {
                key: kernel::FactKey::of_parts(&[b"message", fact_key.as_bytes(), message.external_id.as_bytes()]),
                direction: words::Direction::Customer,
                text: seal(&format!("messages[{n}].text"), &message.text)?,
                occurred_at,
                characters: u32::try_from(message.text.chars().count())?,
                body_mac: mac("body.message", &prost::Message::encode_to_vec(message)),
            });
        }
        let fact = words::Fact {
            platform: request.platform.clone(),
            external_id: request.external_id.clone(),
            body_mac: mac("body.inquiry", &prost::Message::encode_to_vec(request)),
            occurred_at,
        };
        let inquiry = words::NewInquiry {
            fact,
            desk: request.desk.clone(),
            channel: request.channel.clone(),
            language: customer.language.clone(),
            priority_minutes: request.priority_minutes,
            category: request.category.clone(),
            messages,
        };
        let customer = words::NewCustomer { reference, details, body_mac };
        Ok((meta, words::Command::SubmitInquiry { customer, inquiry }))
    }
}
