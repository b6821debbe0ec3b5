//! Many clients at work on a server that goes away and comes back, and what they were told.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use fenliu::client::Client;
use kernel::Timestamp;
use log::Topic;
use runtime::{Clock, reason_of};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tonic::{Code, Status};

use crate::chance::Chance;
use crate::people;

/// Longer than clients of a working server ever wait, on any machine.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(300);

/// An answer that a client got: it must be true for ever.
#[derive(Debug, Clone)]
pub struct Acked {
    pub topic: Topic,
    pub tenant: String,
    pub command_id: String,
    /// First record of the command.
    pub seq: u64,
    pub what: What,
}

/// What was acknowledged, by its natural key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A fact from outside: its kind, its platform's id, and the id that it got.
    Fact {
        kind: &'static str,
        external_id: String,
        id: String,
    },
    Presence,
    Accepted {
        reservation_id: String,
        assignment_id: String,
    },
    Rejected {
        reservation_id: String,
    },
    Completed {
        inquiry_id: String,
    },
    Transferred {
        inquiry_id: String,
    },
}

/// A command that was refused for good: nothing of it may ever be on the log.
#[derive(Debug, Clone)]
pub struct Refused {
    pub topic: Topic,
    pub tenant: String,
    pub command_id: String,
    pub reason: String,
}

/// What all clients were told.
#[derive(Debug, Default)]
pub struct Memory {
    pub acked: Vec<Acked>,
    pub refused: Vec<Refused>,
    /// Commands that were sent again because nobody knew what had become of them.
    pub repeated: u64,
}

/// How clients find the server, and when they end.
#[derive(Clone)]
pub struct Door {
    address: watch::Receiver<Option<SocketAddr>>,
    finish: watch::Receiver<bool>,
    memory: Arc<Mutex<Memory>>,
}

impl Door {
    /// Waits until a server answers.
    pub async fn client(&mut self) -> Client {
        loop {
            let address = *self.address.wait_for(Option::is_some).await.expect("the test holds the sender");
            if let Some(address) = address
                && let Ok(client) = Client::connect(address.to_string()).await
            {
                return client;
            }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
    }

    /// Whether nothing new shall be begun.
    pub fn finishing(&self) -> bool {
        *self.finish.borrow()
    }

    /// Resolves when nothing new shall be begun.
    pub async fn finish(&mut self) {
        drop(self.finish.wait_for(|finish| *finish).await);
    }

    pub fn tell(&self, tell: impl FnOnce(&mut Memory)) {
        tell(&mut self.memory.lock().unwrap());
    }
}

/// Clients of some tenants.
pub struct Load {
    address: watch::Sender<Option<SocketAddr>>,
    finish: watch::Sender<bool>,
    memory: Arc<Mutex<Memory>>,
    clients: JoinSet<Result<(), String>>,
}

impl Load {
    /// Starts the clients of each tenant: its platform, and its people.
    pub fn start(tenants: &[&str], seed: u64) -> Self {
        let (address, addressed) = watch::channel(None);
        let (finish, finishing) = watch::channel(false);
        let memory = Arc::<Mutex<Memory>>::default();
        let door = Door { address: addressed, finish: finishing, memory: memory.clone() };
        let mut clients = JoinSet::new();
        let mut actors = 0..;
        let mut chance = || Chance::new(seed, actors.next().unwrap());
        for tenant in tenants {
            clients.spawn(people::platform(door.clone(), (*tenant).to_owned(), chance()));
            for employee in crate::company::EMPLOYEES {
                let agent = people::Agent::new(tenant, employee, chance());
                clients.spawn(agent.work(door.clone()));
            }
        }
        Self { address, finish, memory, clients }
    }

    /// For watchers of the same server.
    pub fn door(&self) -> Door {
        Door { address: self.address.subscribe(), finish: self.finish.subscribe(), memory: self.memory.clone() }
    }

    /// The server is there, or not.
    pub fn serve_at(&self, address: Option<SocketAddr>) {
        self.address.send_replace(address);
    }

    pub fn acked(&self) -> usize {
        self.memory.lock().unwrap().acked.len()
    }

    /// Fails when a client has ended.
    pub fn check(&mut self) {
        if let Some(ended) = self.clients.try_join_next() {
            panic!("a client ended early: {ended:?}");
        }
    }

    /// Lets the clients begin nothing new, finish what is open, and end.
    pub async fn finish(mut self) -> Memory {
        self.finish.send_replace(true);
        let ended = async {
            while let Some(ended) = self.clients.join_next().await {
                ended.unwrap().unwrap();
            }
        };
        tokio::time::timeout(PATIENCE, ended).await.expect("every client gets its answers at last");
        std::mem::take(&mut *self.memory.lock().unwrap())
    }
}

/// Real time, as a client's own clock says it.
pub fn now() -> Timestamp {
    Clock::real().now()
}

/// Whether a status leaves open what became of the request: it must be sent again. Anything else is an answer.
pub fn unanswered(status: &Status) -> bool {
    match reason_of(status) {
        // The connection broke, or the server did not get to an answer in time.
        None => !matches!(status.code(), Code::InvalidArgument | Code::Unimplemented | Code::OutOfRange),
        Some(reason) => unanswered_because(&reason),
    }
}

/// The same by the reason alone.
pub fn unanswered_because(reason: &str) -> bool {
    matches!(reason, "" | "UNAVAILABLE" | "STOPPING" | "OVERLOADED" | "DISK_FULL" | "KEY_STORE" | "SLOW_READER")
}
