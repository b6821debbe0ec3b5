//! Resumable streams of one tenant's committed events, read from the log itself.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use kernel::{EventId, TenantId, Timestamp};
use log::{Envelope, Log};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use crate::service::{Service, schema};
use crate::status::status;

/// Items that wait for a reader of a stream.
const BUFFER: usize = 256;
/// How long a reader may leave its buffer full before it is cut and told to resume.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(10);
/// A quiet stream says this often that it is alive, and how far it has shown.
const HEARTBEAT: std::time::Duration = std::time::Duration::from_secs(1);
/// Bytes of log read at once.
const READ_BYTES: usize = 256 << 10;

/// One item of a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum Followed<E> {
    Event {
        seq: u64,
        event_id: EventId,
        recorded_at: Timestamp,
        event: E,
    },
    /// Everything before `seq` was shown.
    Heartbeat {
        seq: u64,
    },
}

/// Where a stream begins and what it shows besides events.
#[derive(Debug, Clone, Copy)]
pub struct From {
    pub seq: u64,
    /// Begin at the end of the log instead of at `seq`.
    pub live_only: bool,
    /// A heartbeat each time that all was shown, not only once a second.
    pub progress: bool,
}

/// Which events a stream shows; decoding is done before.
pub type Select<E, T> = Box<dyn Fn(&Followed<E>) -> Option<T> + Send>;

/// The stream itself. `select` turns an event into an item or leaves it out; it sees heartbeats too.
pub(crate) fn follow<S: Service, T: Send + 'static>(
    log: Arc<dyn Log>,
    partition: u16,
    tenant: TenantId,
    from: From,
    shutdown: CancellationToken,
    select: Select<S::Event, T>,
) -> ReceiverStream<Result<T, Status>> {
    let (sender, receiver) = mpsc::channel(BUFFER);
    // Kept for the last word, which must fit although the buffer is full.
    let last_word = sender.clone().try_reserve_owned().expect("the channel is new and empty");
    crate::spawn("follow", async move {
        let end = *log.end(S::TOPIC, partition).borrow();
        if from.seq > end && !from.live_only {
            let message = format!("from_seq: {} is beyond the end of the log, {end}", from.seq);
            last_word.send(Err(status(Code::OutOfRange, "SEQ_BEYOND_END", message)));
            return;
        }
        let next = if from.live_only { end } else { from.seq };
        let mut follower = Follower::<S, T> { log, partition, tenant, next, progress: from.progress, select, sender };
        let ended = tokio::select! {
            () = shutdown.cancelled() => None,
            Err(ended) = follower.run() => Some(ended),
        };
        let stopping =
            || status(Code::Unavailable, "STOPPING", format!("the server stops; resume from_seq {}", follower.next));
        if let Some(status) = ended.unwrap_or_else(|| Some(stopping())) {
            last_word.send(Err(status));
        }
    });
    ReceiverStream::new(receiver)
}

struct Follower<S: Service, T> {
    log: Arc<dyn Log>,
    partition: u16,
    tenant: TenantId,
    next: u64,
    progress: bool,
    select: Select<S::Event, T>,
    sender: mpsc::Sender<Result<T, Status>>,
}

impl<S: Service, T: Send + 'static> Follower<S, T> {
    /// Runs until the reader goes away (`Err(None)`) or must be told why it ends.
    async fn run(&mut self) -> Result<std::convert::Infallible, Option<Status>> {
        let mut end = self.log.end(S::TOPIC, self.partition);
        loop {
            while self.next < *end.borrow_and_update() {
                self.show().await?;
            }
            if self.progress {
                self.heartbeat().await?;
            }
            tokio::select! {
                changed = end.changed() => if changed.is_err() { return Err(None) },
                () = tokio::time::sleep(HEARTBEAT) => self.heartbeat().await?,
                () = self.sender.closed() => return Err(None),
            }
        }
    }

    async fn show(&mut self) -> Result<(), Option<Status>> {
        let failed = |error: String| Some(status(Code::Unavailable, "LOG_UNREADABLE", error));
        let records = self.log.read(S::TOPIC, self.partition, self.next, READ_BYTES).await;
        for record in records.map_err(|error| failed(error.to_string()))? {
            let (envelope, payload) = Envelope::decode(&record.bytes).map_err(|error| failed(error.to_string()))?;
            if envelope.tenant == self.tenant && envelope.schema < schema::FIRST_RESERVED {
                let event = S::decode(envelope.schema, payload, envelope.recorded_at)
                    .map_err(|error| failed(error.to_string()))?;
                let recorded_at = envelope.recorded_at;
                let item = Followed::Event { seq: record.seq, event_id: envelope.id, recorded_at, event };
                self.send(&item).await?;
            }
            self.next = record.seq + 1;
        }
        Ok(())
    }

    async fn heartbeat(&mut self) -> Result<(), Option<Status>> {
        self.send(&Followed::Heartbeat { seq: self.next }).await
    }

    async fn send(&mut self, item: &Followed<S::Event>) -> Result<(), Option<Status>> {
        let Some(item) = (self.select)(item) else { return Ok(()) };
        match self.sender.send_timeout(Ok(item), PATIENCE).await {
            Ok(()) => Ok(()),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(None),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => {
                let message = format!("the reader does not keep up; resume from_seq {}", self.next);
                Err(Some(status(Code::ResourceExhausted, "SLOW_READER", message)))
            }
        }
    }
}

/// Resolves with the first of the futures; never, when there are none.
pub(crate) async fn any<F: Future + Unpin>(mut futures: Vec<F>) -> F::Output {
    std::future::poll_fn(|context| {
        for future in &mut futures {
            if let Poll::Ready(output) = Pin::new(future).poll(context) {
                return Poll::Ready(output);
            }
        }
        Poll::Pending
    })
    .await
}
