//! One service in one process: its shards, and the handle that its API calls them by.

use std::path::PathBuf;
use std::sync::Arc;

use kernel::{Digest, TenantId, Timestamp, shard_of};
use log::{Log, Topic};
use prost::Message;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::call::{Meta, Receipt};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::field;
use crate::follow::{self, Followed, From};
use crate::keys::Keys;
use crate::service::{Service, Vault};
use crate::shard::{Input, Progress, Shard};
use crate::state::{ParkedInput, ShardState};
use crate::status::CallError;

/// Calls that wait for one shard; one more is refused as overload (L9).
const WAITING_MAX: usize = 4096;

/// What all services of a process share.
#[derive(Clone)]
pub struct Shared {
    pub log: Arc<dyn Log>,
    pub clock: Clock,
    pub keys: Arc<dyn Keys>,
    pub directory: Directory,
    /// Folder of snapshots; none: every start folds the whole log.
    pub snapshots: Option<PathBuf>,
    /// Names the sources of this program: a snapshot of another build is not trusted.
    pub build: String,
    pub shutdown: CancellationToken,
}

/// A running service. Cloning shares it.
pub struct Host<S: Service>(Arc<Inner<S>>);

impl<S: Service> Clone for Host<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<S: Service> {
    shared: Shared,
    shards: Vec<ShardHandle<S>>,
}

struct ShardHandle<S: Service> {
    inputs: mpsc::Sender<Input<S>>,
    progress: watch::Receiver<Progress>,
}

/// A shard as operators see it.
#[derive(Debug, Clone)]
pub struct ShardInfo {
    pub service: &'static str,
    pub partition: u16,
    pub next_seq: u64,
    pub digest: Option<Digest>,
    pub tenants: usize,
    pub parked: usize,
}

/// A parked input as operators see it.
#[derive(Debug, Clone)]
pub struct ParkedInfo {
    pub service: &'static str,
    pub partition: u16,
    pub tenant: TenantId,
    pub entity: Vec<u8>,
    pub input: ParkedInput,
}

/// The answer to a queued command.
#[must_use = "the command's outcome is known only by its receipt"]
pub struct Pending<S: Service>(oneshot::Receiver<Result<Receipt, CallError<S::Rejection>>>);

impl<S: Service> Pending<S> {
    fn new(meta: Meta, command: S::Command) -> (Input<S>, Self) {
        let (answer, answered) = oneshot::channel();
        (Input::Call { meta: Box::new(meta), command, answer }, Self(answered))
    }

    /// Resolves when the command's events are durable, or with why there are none.
    pub async fn receipt(self) -> Result<Receipt, CallError<S::Rejection>> {
        self.0.await.unwrap_or_else(|_| Err(CallError::Unavailable("the shard dropped its state".to_owned())))
    }
}

impl<S: Service> Host<S> {
    /// Starts all shards of the service; each idles until it has something to do.
    pub fn start(shared: &Shared) -> Self {
        let shards = (0..shared.log.partitions()).map(|partition| start_shard(shared, partition)).collect();
        Self(Arc::new(Inner { shared: shared.clone(), shards }))
    }

    fn shard(&self, tenant: TenantId) -> &ShardHandle<S> {
        &self.0.shards[usize::from(self.partition_of(tenant))]
    }

    pub fn partition_of(&self, tenant: TenantId) -> u16 {
        shard_of(tenant, self.0.shared.log.partitions())
    }

    /// Checks the head of a mutating request. The MAC covers method and whole request, so that a repeat is known from
    /// another request under the same id.
    pub fn meta<M: Message>(
        &self,
        method: &'static str,
        request: &M,
        command_id: &str,
        issued_at: Option<prost_types::Timestamp>,
        tenant: &str,
    ) -> Result<Meta, Status> {
        let command_id: kernel::CommandId = field::id(command_id, "command_id")?;
        let issued_at = field::timestamp(issued_at, "issued_at")?;
        let tenant = self.tenant(tenant)?;
        tracing::Span::current().record("command_id", tracing::field::display(command_id));
        let mac = self.0.shared.keys.request_mac(tenant, method, &request.encode_to_vec());
        Ok(Meta::local(tenant, command_id, issued_at, mac))
    }

    /// The head of a command that the server itself gives, such as for a lost stream. Nobody can repeat it.
    pub fn own_meta(&self, tenant: TenantId, what: &str, entity: &[u8]) -> Meta {
        let now = self.now();
        let parts: [&[u8]; 4] = [what.as_bytes(), tenant.as_bytes(), entity, &now.as_micros().to_le_bytes()];
        Meta::own(tenant, kernel::CommandId::of_parts(&parts), now)
    }

    /// The id of a tenant by its code; whether it exists is checked by [`Self::call`] and [`Self::query`].
    pub fn tenant(&self, code: &str) -> Result<TenantId, Status> {
        Ok(TenantId::of_code(field::key(code, "tenant")?))
    }

    /// Carries out a command; resolves when its events are durable. A repeat gets the first receipt.
    pub async fn call(&self, meta: Meta, command: S::Command) -> Result<Receipt, Status> {
        self.try_call(meta, command).await.map_err(Status::from)
    }

    /// Like [`Self::call`], with the service's own refusal.
    pub async fn try_call(&self, meta: Meta, command: S::Command) -> Result<Receipt, CallError<S::Rejection>> {
        self.check_tenant(&meta).await?;
        let (input, pending) = Pending::new(meta.clone(), command);
        self.shard(meta.tenant).inputs.try_send(input).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => CallError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => CallError::Unavailable("the service stops".to_owned()),
        })?;
        pending.receipt().await
    }

    /// Queues a command and returns its pending answer, so that a stream keeps many in flight in order. Waits while
    /// the queue is full: the stream's own flow control is the back-pressure.
    pub async fn enqueue(&self, meta: Meta, command: S::Command) -> Result<Pending<S>, CallError<S::Rejection>> {
        self.check_tenant(&meta).await?;
        let (input, pending) = Pending::new(meta.clone(), command);
        let sent = self.shard(meta.tenant).inputs.send(input).await;
        sent.map_err(|_| CallError::Unavailable("the service stops".to_owned()))?;
        Ok(pending)
    }

    async fn check_tenant(&self, meta: &Meta) -> Result<(), CallError<S::Rejection>> {
        // A tenant begins with a record of the roster.
        if S::TOPIC == Topic::Roster || self.0.shared.directory.knows(meta.tenant).await {
            Ok(())
        } else {
            Err(CallError::TenantUnknown)
        }
    }

    /// Reads a tenant's committed state between turns. `read` also gets the next sequence number of the topic.
    pub async fn query<R: Send + 'static>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&S::State, u64) -> R + Send + 'static,
    ) -> Result<R, Status> {
        if !self.0.shared.directory.knows(tenant).await {
            return Err(CallError::<S::Rejection>::TenantUnknown.into());
        }
        self.query_new(tenant, read).await
    }

    /// Like [`Self::query`], for a tenant that need not exist yet.
    pub async fn query_new<R: Send + 'static>(
        &self,
        tenant: TenantId,
        read: impl FnOnce(&S::State, u64) -> R + Send + 'static,
    ) -> Result<R, Status> {
        self.query_shard(self.partition_of(tenant), move |shard| match shard.tenants.get(&tenant) {
            Some(kept) => read(&kept.state, shard.next_seq),
            None => read(&S::State::default(), shard.next_seq),
        })
        .await
    }

    async fn query_shard<R: Send + 'static>(
        &self,
        partition: u16,
        read: impl FnOnce(&ShardState<S>) -> R + Send + 'static,
    ) -> Result<R, Status> {
        let (answer, answered) = oneshot::channel();
        let shard = &self.0.shards[usize::from(partition)];
        let query = Input::Query(Box::new(move |state| drop(answer.send(read(state)))));
        let unavailable = |why: &str| Status::from(CallError::<S::Rejection>::Unavailable(why.to_owned()));
        shard.inputs.send(query).await.map_err(|_| unavailable("the service stops"))?;
        answered.await.map_err(|_| unavailable("the shard dropped its state"))
    }

    /// Committed events of one tenant from a sequence number on, then live, as a bounded stream.
    pub fn follow<T: Send + 'static>(
        &self,
        tenant: TenantId,
        from: From,
        select: impl Fn(&Followed<S::Event>) -> Option<T> + Send + 'static,
    ) -> ReceiverStream<Result<T, Status>> {
        let shared = &self.0.shared;
        let partition = self.partition_of(tenant);
        follow::follow::<S, T>(shared.log.clone(), partition, tenant, from, shared.shutdown.clone(), Box::new(select))
    }

    pub fn keys(&self) -> &Arc<dyn Keys> {
        &self.0.shared.keys
    }

    pub fn clock(&self) -> &Clock {
        &self.0.shared.clock
    }

    pub fn directory(&self) -> &Directory {
        &self.0.shared.directory
    }

    pub fn now(&self) -> Timestamp {
        self.0.shared.clock.now()
    }

    /// Whether every shard has read all that is upstream and fired all timers that are due.
    pub fn settled(&self) -> bool {
        let log = &self.0.shared.log;
        let now = self.now();
        (0u16..).zip(&self.0.shards).all(|(partition, shard)| {
            let progress = shard.progress.borrow();
            let read_all = S::UPSTREAMS.iter().all(|topic| {
                let end = *log.end(*topic, partition).borrow();
                end == 0 || progress.upstream.get(topic).copied().unwrap_or(0) == end
            });
            read_all && progress.next_due.is_none_or(|due| due > now)
        })
    }

    /// When the next timer of any shard is due: a driver of virtual time moves no further at once.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.0.shards.iter().filter_map(|shard| shard.progress.borrow().next_due).min()
    }

    /// Shards that have a tenant.
    pub async fn shards(&self, digests: bool) -> Result<Vec<ShardInfo>, Status> {
        let mut infos = Vec::new();
        for partition in self.busy() {
            let info = self.query_shard(partition, move |state| ShardInfo {
                service: S::NAME,
                partition,
                next_seq: state.next_seq,
                digest: digests.then(|| state.digest()),
                tenants: state.tenants.len(),
                parked: state.parked(),
            });
            infos.push(info.await?);
        }
        Ok(infos)
    }

    pub async fn parked(&self) -> Result<Vec<ParkedInfo>, Status> {
        let mut all = Vec::new();
        for partition in self.busy() {
            let parked = self.query_shard(partition, move |state| {
                let mut found = Vec::new();
                for (tenant, kept) in &state.tenants {
                    for (entity, inputs) in &kept.parked {
                        let info = |input: &ParkedInput| ParkedInfo {
                            service: S::NAME,
                            partition,
                            tenant: *tenant,
                            entity: entity.clone(),
                            input: input.clone(),
                        };
                        found.extend(inputs.iter().map(info));
                    }
                }
                found
            });
            all.extend(parked.await?);
        }
        Ok(all)
    }

    /// Lifts a park: its inputs are read and decided again, in order. Returns how many there were.
    pub async fn release(&self, tenant: TenantId, entity: Vec<u8>) -> Result<u32, Status> {
        let (answer, answered) = oneshot::channel();
        let sent = self.shard(tenant).inputs.send(Input::Release { tenant, entity, answer }).await;
        let unavailable = || CallError::<S::Rejection>::Unavailable("the shard is not serving".to_owned());
        sent.map_err(|_| unavailable())?;
        answered.await.unwrap_or_else(|_| Err(unavailable())).map_err(Status::from)
    }

    fn busy(&self) -> Vec<u16> {
        let shards = (0u16..).zip(&self.0.shards);
        shards.filter(|(_, shard)| shard.progress.borrow().serving).map(|(partition, _)| partition).collect()
    }

    /// Resolves when every shard has ended.
    pub async fn stopped(&self) {
        for shard in &self.0.shards {
            shard.inputs.closed().await;
        }
    }
}

fn start_shard<S: Service>(shared: &Shared, partition: u16) -> ShardHandle<S> {
    let (inputs, receiver) = mpsc::channel(WAITING_MAX);
    let (progress, watched) = watch::channel(Progress::default());
    let vault: Arc<dyn Vault> = shared.keys.clone();
    let shard = Shard::<S> {
        partition,
        log: shared.log.clone(),
        clock: shared.clock.clone(),
        vault,
        snapshots: shared.snapshots.clone(),
        build: shared.build.clone(),
        inputs: receiver,
        progress,
        shutdown: shared.shutdown.clone(),
        suspects: Default::default(),
        next: Vec::new(),
    };
    crate::spawn(S::NAME, shard.run());
    ShardHandle { inputs, progress: watched }
}
