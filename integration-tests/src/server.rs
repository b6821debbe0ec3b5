//! A Fenliu in a process of its own, which a test can kill: the test binary, started again to run one function.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use fenliu::Cluster;
use log::Faults;
use runtime::Clock;

use crate::open::options;

/// Names the folder; without it [`serve_if_asked`] does nothing.
const FOLDER: &str = "FENLIU_TEST_SERVE";
/// How many syncs succeed before one fails.
const SYNC_FAULT: &str = "FENLIU_TEST_SYNC_FAULT";
/// Stands before the address on standard output.
const ADDRESS: &str = "fenliu-test-address ";

/// The body of a `#[test]` named `serve_when_asked` in every test file that starts servers. Serves until standard
/// input ends, which it also does when the test's process dies.
pub fn serve_if_asked() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let faults = Arc::new(Faults::default());
        if let Ok(after) = std::env::var(SYNC_FAULT) {
            faults.sync.store(after.parse().unwrap(), Ordering::Relaxed);
        }
        let cluster = Cluster::open(folder, Clock::real(), options(faults)).unwrap();
        let any = "127.0.0.1:0".parse().unwrap();
        let address = cluster.serve(folder, any, any, false).await.unwrap();
        println!("\n{ADDRESS}{}", address.grpc);
        let (ended, end) = tokio::sync::oneshot::channel();
        std::thread::spawn(move || {
            drop(std::io::stdin().read_to_end(&mut Vec::new()));
            ended.send(()).ok();
        });
        drop(end.await);
        cluster.stop(folder).await;
    });
}

/// The process.
pub struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<std::process::ChildStdout>>,
}

impl Server {
    /// Starts a server on `folder`, which fails its nth sync when `sync_fault` says so.
    pub fn start(folder: &Path, sync_fault: Option<u64>) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve_when_asked", "--exact", "--nocapture"]).env(FOLDER, folder);
        command.env_remove("RUST_TEST_THREADS").env_remove("RUST_BACKTRACE");
        if let Some(after) = sync_fault {
            command.env(SYNC_FAULT, after.to_string());
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        Self { child, stdin, stdout }
    }

    /// Waits until it serves; `None` when it ended before that.
    pub async fn address(&mut self) -> Option<SocketAddr> {
        let mut stdout = self.stdout.take()?;
        let read = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            while stdout.read_line(&mut line).ok()? > 0 {
                if let Some(address) = line.strip_prefix(ADDRESS) {
                    return Some((address.trim().parse().ok()?, stdout));
                }
                line.clear();
            }
            None
        });
        let (address, stdout) = read.await.ok()??;
        self.stdout = Some(stdout);
        Some(address)
    }

    /// SIGKILL, at once.
    pub fn kill(mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }

    /// Asks it to stop cleanly and waits until it has.
    pub async fn stop(mut self) -> ExitStatus {
        drop(self.stdin.take());
        self.ended().await
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
