//! `fenliu ingest`: a file of facts through the front door, each acknowledged when it is durable.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use clap::Args;
use proto::intake::{StreamInquiriesRequest, StreamInquiriesResponse};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::progress::Progress;
use super::session::{Session, TenantArg, refused};
use super::{Global, output};
use crate::client;
use crate::facts::{self, Fact};
use crate::mapping::{Mapper, Mapping};

/// Facts on their way: enough to fill the server's group commits, few enough to bound memory.
const WINDOW: usize = 256;
/// Bytes of one line: what the server takes as one request.
const LINE_BYTES_MAX: u64 = runtime::server::REQUEST_BYTES_MAX as u64;
/// Refusals that are shown; all are counted.
const REFUSALS_SHOWN: usize = 20;

/// The format, for `--help`.
fn format() -> String {
    format!(
        "Each line of the file is one JSON object; `fact` names its kind:\n\n{}\n\
         Instants are RFC 3339 with an offset, amounts decimal texts in major units. A message's direction is customer \
         (the default), agent or system.\nAn unknown field is refused; `gold`, the true intent of a test set, may stand \
         in an inquiry and is never sent.\nWith --history an inquiry and an order also name their \"handler\", a roster \
         code; texts of past inquiries are not kept.\nA fact is known by the platform's own ids: running the same file \
         again changes nothing, so an interrupted ingest is simply run again.",
        facts::REFERENCE
    )
}

#[derive(Debug, Args)]
#[command(after_long_help = format())]
pub struct IngestArgs {
    /// File of facts, one JSON object a line; `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    tenant: TenantArg,
    /// The facts are of the past: inquiries and orders name their `handler`, are counted, and are never routed or paid.
    #[arg(long)]
    history: bool,
    /// Read a file of another system instead (CSV or columns), see deploy/mappings.
    #[arg(long, value_name = "MAPPING.yaml")]
    mapping: Option<PathBuf>,
}

/// What became of a file.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    /// Facts sent.
    pub sent: u64,
    /// Facts that are durable now, new or known before.
    pub admitted: u64,
    /// Lines that were refused, here or by the server.
    pub refused: u64,
    /// Those of them that are no facts; nothing of them was sent.
    pub invalid: u64,
    /// The first of the refused.
    pub refusals: Vec<Refusal>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Refusal {
    /// From 1.
    pub line: u64,
    /// Stable, upper case.
    pub reason: String,
    /// Field at fault; empty when none is.
    pub field: String,
    pub message: String,
}

impl Summary {
    fn refuse(&mut self, refusal: Refusal) {
        self.refused += 1;
        if self.refusals.len() < REFUSALS_SHOWN {
            self.refusals.push(refusal);
        }
    }

    fn invalid(&mut self, line: u64, message: String) {
        self.invalid += 1;
        let field = message.split_once(": ").map(|(field, _)| field).filter(|field| !field.contains(' '));
        let field = field.unwrap_or_default().to_owned();
        self.refuse(Refusal { line, reason: "INVALID_LINE".to_owned(), field, message });
    }

    fn answered(&mut self, line: u64, answer: StreamInquiriesResponse) {
        match answer.refusal {
            None => self.admitted += 1,
            Some(refusal) => {
                let message = refusal.message;
                self.refuse(Refusal { line, reason: refusal.reason, field: refusal.field, message });
            }
        }
    }

    fn text(&self) -> String {
        let mut text = format!("sent {}, admitted {}, refused {}\n", self.sent, self.admitted, self.refused);
        for refusal in &self.refusals {
            text.push_str(&format!("  line {}: {} [{}]\n", refusal.line, refusal.message, refusal.reason));
        }
        let more = self.refused - self.refusals.len() as u64;
        if more > 0 {
            text.push_str(&format!("  and {more} more\n"));
        }
        text
    }
}

/// A line of the file, read.
struct Line {
    number: u64,
    fact: Result<Fact, String>,
}

pub async fn run(global: &Global, args: IngestArgs) -> anyhow::Result<ExitCode> {
    let mapper = match &args.mapping {
        None => None,
        Some(path) => {
            let yaml = super::company::read(path)?;
            Some(Mapping::parse(&yaml).map_err(|error| anyhow!("{}: {error}", path.display()))?.begin())
        }
    };
    let lines = read(&args.file, mapper)?;
    let mut session = Session::open(global, &args.tenant).await?;
    let summary = send(&mut session, lines, args.history).await?;
    output::show(global.json, &serde_json::to_value(&summary)?, |_| summary.text());
    Ok(if summary.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Reads and parses on a thread of its own, at most a window ahead.
fn read(path: &Path, mapper: Option<Mapper>) -> anyhow::Result<mpsc::Receiver<anyhow::Result<Line>>> {
    let name = path.display().to_string();
    let file: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).with_context(|| format!("read {name}"))?)
    };
    let (sender, lines) = mpsc::channel(WINDOW);
    let reader = move || {
        if let Err(error) = read_lines(BufReader::new(file), mapper, &sender) {
            drop(sender.blocking_send(Err(error.context(format!("read {name}")))));
        }
    };
    std::thread::Builder::new().name("fenliu-ingest-read".to_owned()).spawn(reader)?;
    Ok(lines)
}

fn read_lines(
    mut file: impl BufRead,
    mut mapper: Option<Mapper>,
    lines: &mpsc::Sender<anyhow::Result<Line>>,
) -> anyhow::Result<()> {
    let mut number = 0;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? == 0 {
            return Ok(());
        }
        number += 1;
        let cut = bytes.len() as u64 == LINE_BYTES_MAX && !bytes.ends_with(b"\n");
        if cut {
            file.skip_until(b'\n')?;
        }
        let text = match std::str::from_utf8(&bytes) {
            _ if cut => Err(format!("the line is longer than {LINE_BYTES_MAX} bytes")),
            Ok(text) => Ok(text.trim_start_matches('\u{feff}').trim_end_matches(['\n', '\r'])),
            Err(_) => Err("the line is not UTF-8".to_owned()),
        };
        let fact = match (text, &mut mapper) {
            (Err(error), _) => Some(Err(error)),
            (Ok(text), Some(mapper)) => mapper.line(text),
            (Ok(text), None) => (!text.trim().is_empty()).then(|| facts::parse(text)),
        };
        if let Some(fact) = fact
            && lines.blocking_send(Ok(Line { number, fact })).is_err()
        {
            return Ok(()); // The connection broke; nobody waits for more.
        }
    }
}

/// Sends facts over one stream with a window, in their order.
async fn send(
    session: &mut Session,
    mut lines: mpsc::Receiver<anyhow::Result<Line>>,
    history: bool,
) -> anyhow::Result<Summary> {
    let (requests, stream) = mpsc::channel::<StreamInquiriesRequest>(WINDOW);
    let answers = session.client.intake.stream_inquiries(ReceiverStream::new(stream)).await.map_err(refused)?;
    let mut answers = answers.into_inner();
    let mut summary = Summary::default();
    let mut waiting: VecDeque<u64> = VecDeque::new();
    let mut progress = Progress::start();
    let mut more = true;
    while more || !waiting.is_empty() {
        tokio::select! {
            line = lines.recv(), if more && waiting.len() < WINDOW => match line {
                None => more = false,
                Some(line) => {
                    let line = line?;
                    let request = line.fact.and_then(|fact| request(session, &fact, history));
                    match request {
                        Err(message) => summary.invalid(line.number, message),
                        Ok(request) => {
                            requests.send(request).await.map_err(|_| broken(&summary, "the stream ended"))?;
                            waiting.push_back(line.number);
                            summary.sent += 1;
                        }
                    }
                }
            },
            answer = answers.message(), if !waiting.is_empty() => {
                let answer = answer.map_err(|status| broken(&summary, &client::explain_status(&status)))?;
                let answer = answer.ok_or_else(|| broken(&summary, "the server ended the stream"))?;
                // Answers come in the order of the requests.
                let line = waiting.pop_front().ok_or_else(|| broken(&summary, "an answer without a request"))?;
                summary.answered(line, answer);
                let rate = progress.rate(summary.admitted);
                progress.show(|| format!("{} admitted, {} refused, {rate}/s", summary.admitted, summary.refused));
            }
        }
    }
    Ok(summary)
}

fn request(session: &Session, fact: &Fact, history: bool) -> Result<StreamInquiriesRequest, String> {
    let command_id = client::new_command().map_err(|error| error.to_string())?;
    fact.request(&session.tenant, command_id, session.now(), history)
}

fn broken(summary: &Summary, why: &str) -> anyhow::Error {
    anyhow!(
        "the connection broke after {} facts: {why}. What was admitted stays; run the same again to go on",
        summary.admitted
    )
}
