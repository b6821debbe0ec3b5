//! The proof that a data folder is what it should be: every service is rebuilt from the log alone, compared with its
//! snapshot and with the Fenliu that runs, and every decision is taken again.

use std::path::Path;

use assignment::Assignment;
use intake::Intake;
use intent::Intent;
use kpi::Kpi;
use log::{Log, OpenError};
use payroll::Payroll;
use proto::admin::Shard;
use roster::Roster;
use runtime::{Service, ShardState, Verified, rebuild};
use serde::Serialize;

use crate::cluster::{BUILD, snapshots};

/// Differences shown for each service; all are counted.
const EXAMPLES_SHOWN: usize = 10;

/// What was found about one service, over all its partitions.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ServiceReport {
    /// Events folded.
    pub events: u64,
    /// Digest of the rebuilt state: the busy partition's own, or a hash over those of all busy ones in their order.
    /// Empty when there is none.
    pub digest: String,
    /// Whether snapshots and the running Fenliu have the rebuilt state.
    pub equal: bool,
    /// Decisions of the running logic version that were taken again.
    pub redecided: u64,
    /// How many came out otherwise.
    pub differences: u64,
    /// Decisions of older logic versions, which are not held to today's rules.
    pub older: u64,
    pub examples: Vec<Example>,
    /// Laws that the rebuilt states break.
    pub violations: Vec<String>,
    /// What else is wrong: which state is not equal to which, what cannot be read.
    pub problems: Vec<String>,
}

/// A decision that comes out otherwise.
#[derive(Debug, Clone, Serialize)]
pub struct Example {
    pub partition: u16,
    /// Sequence number of its first record.
    pub seq: u64,
    pub what: String,
}

/// What the log's own check found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LogReport {
    pub frames: u64,
    pub records: u64,
    pub bytes: u64,
    /// The first damage, with its place.
    pub damage: Option<String>,
    /// An unfinished write behind the end, which the next start cuts. No damage: nobody was told that it succeeded.
    pub cut: Option<String>,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Services {
    pub intake: ServiceReport,
    pub roster: ServiceReport,
    pub intent: ServiceReport,
    pub assignment: ServiceReport,
    pub kpi: ServiceReport,
    pub payroll: ServiceReport,
}

#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    pub services: Services,
    pub log: LogReport,
    /// Whether the states were compared with a running Fenliu's.
    pub live: bool,
    pub ok: bool,
}

impl Services {
    /// In the order in which facts flow.
    pub fn all(&self) -> [(&'static str, &ServiceReport); 6] {
        let Self { intake, roster, intent, assignment, kpi, payroll } = self;
        [
            ("intake", intake),
            ("roster", roster),
            ("intent", intent),
            ("assignment", assignment),
            ("kpi", kpi),
            ("payroll", payroll),
        ]
    }
}

impl ServiceReport {
    pub fn ok(&self) -> bool {
        self.equal && self.differences == 0 && self.violations.is_empty() && self.problems.is_empty()
    }

    fn unequal(&mut self, problem: String) {
        self.equal = false;
        self.problems.push(problem);
    }

    fn add(&mut self, partition: u16, found: &Verified) {
        self.events += found.events;
        self.redecided += found.redecided;
        self.differences += found.differences;
        self.older += found.older;
        self.violations.extend(found.violations.iter().cloned());
        let room = EXAMPLES_SHOWN.saturating_sub(self.examples.len());
        let examples = found.examples.iter().take(room);
        self.examples.extend(examples.map(|example| Example {
            partition,
            seq: example.seq,
            what: example.what.clone(),
        }));
    }
}

/// Checks the log in `dir` alone: checksums, numbers and hash chains.
pub fn verify_log(dir: &Path) -> Result<LogReport, OpenError> {
    let found = log::verify(dir)?;
    let cut = |cut: log::Cut| format!("{} bytes in {} from byte {} on", cut.bytes, cut.file, cut.offset);
    Ok(LogReport {
        frames: found.frames,
        records: found.records,
        bytes: found.bytes,
        damage: found.damage.map(|damage| damage.to_string()),
        cut: found.cut.map(cut),
    })
}

/// Verifies the folder `dir`. `live` are the shards of the Fenliu that runs on it, with their digests, asked for just
/// before; `None` when none runs. A folder that cannot be read at all is an error, everything else is in the report.
pub async fn verify_folder(dir: &Path, live: Option<&[Shard]>) -> anyhow::Result<Report> {
    let mut report = Report { log: verify_log(dir)?, live: live.is_some(), ..Report::default() };
    if report.log.damage.is_some() {
        return Ok(report); // A damaged log is folded by nobody.
    }
    let log = log::read_only(dir)?;
    let folder = Folder { dir, log: &*log, live };
    report.services = Services {
        intake: folder.service::<Intake>().await?,
        roster: folder.service::<Roster>().await?,
        intent: folder.service::<Intent>().await?,
        assignment: folder.service::<Assignment>().await?,
        kpi: folder.service::<Kpi>().await?,
        payroll: folder.service::<Payroll>().await?,
    };
    let events: u64 = report.services.all().iter().map(|(_, service)| service.events).sum();
    report.ok = events > 0 && report.services.all().iter().all(|(_, service)| service.ok());
    Ok(report)
}

struct Folder<'a> {
    dir: &'a Path,
    log: &'a dyn Log,
    live: Option<&'a [Shard]>,
}

impl Folder<'_> {
    async fn service<S: Service>(&self) -> anyhow::Result<ServiceReport> {
        let mut report = ServiceReport { equal: true, ..ServiceReport::default() };
        let mut digests = Vec::new();
        for partition in 0..self.log.partitions() {
            let end = *self.log.end(S::TOPIC, partition).borrow();
            if end == 0 {
                continue;
            }
            let live = self.live_shard::<S>(partition);
            if self.live.is_some() && live.is_none() {
                report.unequal(format!("partition {partition}: the running Fenliu does not serve it"));
            }
            // The running shard may be behind the end of the log by now, or ahead of the log that was opened.
            let upto = live.map_or(end, |shard| shard.next_seq.min(end));
            let snapshots = snapshots(self.dir);
            let found = match runtime::verify::<S>(self.log, partition, upto, Some((&snapshots, BUILD))).await {
                Ok(found) => found,
                Err(error) => {
                    report.unequal(format!("partition {partition}: the log cannot be folded: {error}"));
                    continue;
                }
            };
            report.add(partition, &found);
            digests.push(found.digest.to_string());
            if let Some(problem) = self.snapshot_problem::<S>(partition, upto, &found).await? {
                report.unequal(format!("partition {partition}: {problem}"));
            }
            if let Some(shard) = live
                && (shard.next_seq != upto || shard.digest != found.digest.to_string())
            {
                let (digest, next_seq) = (&shard.digest, shard.next_seq);
                report.unequal(format!("partition {partition}: the running Fenliu has digest {digest} at {next_seq}"));
            }
        }
        report.digest = together(&digests);
        Ok(report)
    }

    fn live_shard<S: Service>(&self, partition: u16) -> Option<&Shard> {
        let mut shards = self.live?.iter();
        shards.find(|shard| shard.service == S::NAME && shard.partition == u32::from(partition))
    }

    async fn snapshot_problem<S: Service>(
        &self,
        partition: u16,
        upto: u64,
        found: &Verified,
    ) -> anyhow::Result<Option<String>> {
        let Some((seq, digest)) = found.snapshot else { return Ok(None) };
        if seq > upto && self.live.is_some() {
            // Taken since the running Fenliu was asked: the log has gone on too.
            let log = log::read_only(self.dir)?;
            let rebuilt = rebuild(&*log, partition, ShardState::<S>::default(), seq).await;
            return Ok(match rebuilt {
                Ok(state) if state.digest() == digest => None,
                _ => Some(format!("the snapshot at {seq} is not what the log gives")),
            });
        }
        Ok((!found.snapshot_equal).then(|| format!("the snapshot at {seq} is not what the log gives")))
    }
}

/// One digest for all busy partitions.
fn together(digests: &[String]) -> String {
    match digests {
        [] => String::new(),
        [only] => only.clone(),
        many => blake3::hash(many.concat().as_bytes()).to_hex().to_string(),
    }
}
