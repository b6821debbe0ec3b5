//! A folder, the binary, and a Fenliu that runs in this process on a clock that the test moves.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use fenliu::Cluster;
use kernel::{Duration, Timestamp};
use runtime::Clock;
use serde_json::Value;
use tempfile::TempDir;

/// What the binary did.
#[derive(Debug)]
pub struct Run {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    /// Standard output of a run that must have succeeded.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fenliu"));
    for name in
        ["FENLIU_DATA", "FENLIU_ADDRESS", "FENLIU_TENANT", "FENLIU_LOG", "FENLIU_GRPC", "FENLIU_HTTP", "FENLIU_OTLP"]
    {
        command.env_remove(name);
    }
    command
}

/// Runs the binary.
pub fn fenliu(arguments: &[&str]) -> Run {
    let output = binary().args(arguments).stdin(Stdio::null()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Run { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A data folder that goes away with the test.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn fenliu(&self, arguments: &[&str]) -> Run {
        let data = self.path().display().to_string();
        fenliu(&[arguments, &["--data", &data]].concat())
    }

    /// The one JSON object that a command prints that must succeed.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        let stdout = self.fenliu(&[arguments, &["--json"]].concat()).ok();
        serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {stdout}"))
    }

    /// Starts `fenliu up` and waits until it says that it is up.
    pub fn up(&self) -> Up {
        let mut command = binary();
        command.args(["up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--json", "--log", "error", "--data"]);
        let mut child = command.arg(self.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(said["pid"], child.id());
        Up(child)
    }
}

/// A process that serves.
pub struct Up(Child);

impl Up {
    /// Asks it to stop, and returns its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code()
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        drop(self.0.kill());
    }
}

/// A Fenliu in this process.
pub struct Running {
    folder: Folder,
    files: TempDir,
    runtime: tokio::runtime::Runtime,
    cluster: Cluster,
}

/// 2026-09-15T01:00:00Z, a Tuesday morning in Shanghai.
const START: Timestamp = Timestamp::from_micros(1_789_434_000_000_000);

impl Running {
    pub fn start() -> Self {
        let folder = Folder::new();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let cluster = runtime.block_on(async {
            let cluster = Cluster::open_folder(folder.path(), Some(4), Clock::virtual_from(START)).unwrap();
            let any = "127.0.0.1:0".parse().unwrap();
            cluster.serve(folder.path(), any, any, true).await.unwrap();
            cluster
        });
        Self { folder, files: tempfile::tempdir().unwrap(), runtime, cluster }
    }

    pub fn fenliu(&self, arguments: &[&str]) -> Run {
        self.folder.fenliu(arguments)
    }

    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.folder.json(arguments)
    }

    /// Writes a file beside the data folder and returns its path.
    pub fn file(&self, name: &str, content: &str) -> String {
        let path = self.files.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Makes the company `acme`: one desk, one seller, a plan of one percent, six labelled examples.
    #[track_caller]
    pub fn init(&self) -> Value {
        let company = self.file("acme.yaml", &company(24));
        let plan = self.file("plan.yaml", PLAN);
        let labels = self.file("labels.tsv", LABELS);
        self.json(&["init", "--company", &company, "--plan", &plan, "--labels", &labels])
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub fn settle(&self) {
        self.block_on(self.cluster.settle());
    }

    /// Moves the clock, stopping at every timer on the way.
    pub fn advance_minutes(&self, minutes: i64) {
        let clock = &self.cluster.shared.clock;
        let to = clock.now() + Duration::from_secs(minutes * 60);
        self.settle();
        while let Some(due) = clock.next_due().filter(|due| *due <= to) {
            clock.advance_to(due);
            self.settle();
        }
        clock.advance_to(to);
        self.settle();
    }

    /// Stops it cleanly; the folder stays.
    pub fn stop(self) -> Folder {
        self.settle();
        self.runtime.block_on(self.cluster.stop(self.folder.path()));
        self.folder
    }
}

/// The first file of the log.
pub fn first_segment(data: &Path) -> PathBuf {
    let log = std::fs::read_dir(data.join("log")).unwrap();
    let mut segments: Vec<PathBuf> = log.map(|entry| entry.unwrap().path()).collect();
    segments.retain(|path| std::fs::metadata(path).unwrap().len() > 1 << 20);
    segments.sort();
    segments.remove(0)
}

/// A company file; the seller's experience in months tells versions apart.
pub fn company(months: u32) -> String {
    format!(
        "company: {{ code: acme, name: Acme, currency: CNY, zone: Asia/Shanghai, legal_entity: ACME }}
effective_from: \"2026-09-01T00:00:00Z\"
desks:
  - {{ code: domestic, name_zh: 国内, name_en: Domestic, zone: Asia/Shanghai }}
positions:
  - code: sales
    name_zh: 销售
    name_en: Sales
    duties: [price_quote, order_status, out_of_scope]
    capacity_units: 300
    first_reception: true
    plan: sales
employees:
  - {{ code: E01, name: First, desk: domestic, position: sales, languages: [zh, en], experience_months: {months} }}
"
    )
}

const PLAN: &str = "code: sales
version: 1
position: sales
currency: CNY
effective_from: \"2026-01-01T00:00:00Z\"
components:
  - code: net_sales
    basis: net_sales
    method: marginal
    tiers: [{ lo: \"0\", rate: \"0.01\" }]
";

const LABELS: &str = "price_quote\t多少钱
price_quote\thow much is it
price_quote\t报个价
order_status\t我的货到哪了
order_status\twhere is my order
order_status\t发货了吗
";
