//! The command line: what a person types.
//!
//! Exit codes: 0 done, 1 refused or failed, 2 wrong usage. Results go to standard output, everything else to standard
//! error.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use runtime::telemetry::{self, Telemetry};

pub mod company;
mod explain;
pub mod ingest;
pub mod init;
mod intents;
mod log;
pub(crate) mod output;
mod parked;
mod pay;
mod people;
pub(crate) mod progress;
pub mod session;
pub mod up;
mod verify;
mod watch;

pub use up::stop_signal;

/// Fenliu (分流) routes the customer inquiries of a seller to the right person, measures what came of each, and pays
/// people for it.
#[derive(Debug, Parser)]
#[command(
    name = "fenliu",
    version,
    max_term_width = 100,
    after_help = "\
First steps:
  fenliu demo                                  play the sample day and stay up
  fenliu up                                    start on ./data; leave it running
  fenliu init --company my.yaml                make a company of your own
  fenliu submit --desk D --customer shop:c1 'is it in stock?'
  fenliu explain shop:A001                     why an inquiry went where it went
  fenliu verify                                prove that all states follow from the log

Exit codes: 0 done, 1 refused or failed, 2 wrong usage."
)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Heading of the options that every command has.
const GENERAL: &str = "Options of every command";

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Data folder: the log, keys, snapshots, and the address of the Fenliu that runs on it.
    #[arg(long, global = true, help_heading = GENERAL, env = "FENLIU_DATA", value_name = "DIR", default_value = "./data")]
    pub data: PathBuf,
    /// Talk to the Fenliu at this address, such as http://127.0.0.1:7070, instead of the one that runs on the data
    /// folder.
    #[arg(long, global = true, help_heading = GENERAL, env = "FENLIU_ADDRESS", value_name = "URL")]
    pub address: Option<String>,
    /// Print JSON on standard output: one object, or one a line for streams.
    #[arg(long, global = true, help_heading = GENERAL)]
    pub json: bool,
    /// What to log to standard error, such as `info` or `warn,runtime=debug` [default: info for `up` and `demo`, else
    /// warn].
    #[arg(long, global = true, help_heading = GENERAL, env = "FENLIU_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Log as JSON, one object a line.
    #[arg(long, global = true, help_heading = GENERAL)]
    log_json: bool,
    /// Send traces to this OpenTelemetry collector (OTLP over gRPC), such as http://127.0.0.1:4317.
    #[arg(long, global = true, help_heading = GENERAL, env = "FENLIU_OTLP", value_name = "URL")]
    otlp: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start Fenliu on the data folder and serve until Ctrl-C.
    Up(up::UpArgs),
    /// Play the sample company's day through the front door, then stay up.
    Demo(DemoArgs),
    /// Make a company: import its people, activate its plans, teach what its inquiries are called.
    Init(init::InitArgs),
    /// Stream a file of facts (inquiries, orders, ratings, …) in.
    Ingest(ingest::IngestArgs),
    /// Submit one inquiry by hand and see who gets it.
    Submit(people::SubmitArgs),
    /// Accept the open offer of an inquiry, for the employee to whom it is offered.
    Accept(people::InquiryArgs),
    /// Reject the open offer of an inquiry: it goes to somebody else.
    Reject(people::RejectArgs),
    /// Complete an inquiry that somebody has.
    Complete(people::CompleteArgs),
    /// Hand an inquiry on to somebody else.
    Transfer(people::TransferArgs),
    /// Say that an employee takes work, pauses, or is away.
    Presence(company::PresenceArgs),
    /// Show a desk: what waits, and how loaded its people are.
    Desk(people::DeskArgs),
    /// Show one inquiry: what is known of it, and who has it.
    Inquiry(people::InquiryArgs),
    /// Follow offers or assignments live.
    #[command(subcommand)]
    Watch(watch::WatchCommand),
    /// Say which intent a text carries, and how sure that is.
    Classify(intents::ClassifyArgs),
    /// Teach that a text carries an intent.
    Teach(intents::TeachArgs),
    /// Show what people and desks achieved.
    Kpi(pay::KpiArgs),
    /// Show what an employee earned in a month, line by line.
    Statement(pay::StatementArgs),
    /// List payouts.
    Payouts(pay::PayoutsArgs),
    /// Close a month: statements, postings, proposed payouts. It never opens again.
    ClosePeriod(pay::PeriodArgs),
    /// Approve and issue the payouts of a closed month.
    Approve(pay::PeriodArgs),
    /// Show the company: desks, positions, employees.
    Company(company::CompanyArgs),
    /// Import a company file; only what differs is recorded.
    Import(company::ImportArgs),
    /// Say why: from an inquiry to its payout, or from a payout to its inquiries.
    Explain(explain::ExplainArgs),
    /// Prove the data folder: rebuild every service from the log, compare, and take every decision again.
    Verify,
    /// Look into the log.
    #[command(subcommand)]
    Log(log::LogCommand),
    /// Show inputs that could not be processed, or release them.
    Parked {
        #[command(subcommand)]
        command: Option<parked::ParkedCommand>,
    },
    /// Measure: print one figure, with the machine's own limits beside it.
    Bench(crate::bench::BenchArgs),
}

#[derive(Debug, Args)]
struct DemoArgs {
    /// Folder of another sample; the built-in one when not given.
    #[arg(long, value_name = "DIR")]
    sample: Option<PathBuf>,
    /// End when the day is over instead of staying up.
    #[arg(long)]
    exit: bool,
    /// Where to serve gRPC.
    #[arg(long, env = "FENLIU_GRPC", value_name = "ADDRESS", default_value = "127.0.0.1:7070")]
    grpc: SocketAddr,
    /// Where to serve /metrics and /healthz.
    #[arg(long, env = "FENLIU_HTTP", value_name = "ADDRESS", default_value = "127.0.0.1:7071")]
    http: SocketAddr,
}

/// Runs the command that was typed.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    runtime.block_on(async {
        let guard = match telemetry::init(&telemetry_of(&cli)) {
            Ok(guard) => guard,
            Err(error) => return failed(&error.context("set up logging")),
        };
        let code = run(cli).await.unwrap_or_else(|error| failed(&error));
        drop(guard);
        code
    })
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("fenliu: {error:#}");
    ExitCode::FAILURE
}

fn telemetry_of(cli: &Cli) -> Telemetry {
    let serving = matches!(cli.command, Command::Up(_) | Command::Demo(_));
    let filter = cli.global.log.clone().unwrap_or_else(|| if serving { "info" } else { "warn" }.to_owned());
    Telemetry { filter, json: cli.global.log_json, otlp_endpoint: cli.global.otlp.clone() }
}

async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match cli.command {
        Command::Up(args) => up::run(global, args).await,
        Command::Demo(args) => {
            let DemoArgs { sample, exit, grpc, http } = args;
            let (data, json) = (cli.global.data, cli.global.json);
            crate::demo::run(crate::demo::DemoArgs { data, sample, exit, json, grpc, http }).await
        }
        Command::Init(args) => init::run(global, args).await,
        Command::Ingest(args) => ingest::run(global, args).await,
        Command::Submit(args) => people::submit(global, args).await,
        Command::Accept(args) => people::accept(global, args).await,
        Command::Reject(args) => people::reject(global, args).await,
        Command::Complete(args) => people::complete(global, args).await,
        Command::Transfer(args) => people::transfer(global, args).await,
        Command::Presence(args) => company::presence(global, args).await,
        Command::Desk(args) => people::desk(global, args).await,
        Command::Inquiry(args) => people::inquiry(global, args).await,
        Command::Watch(command) => watch::run(global, command).await,
        Command::Classify(args) => intents::classify(global, args).await,
        Command::Teach(args) => intents::teach(global, args).await,
        Command::Kpi(args) => pay::kpi(global, args).await,
        Command::Statement(args) => pay::statement(global, args).await,
        Command::Payouts(args) => pay::payouts(global, args).await,
        Command::ClosePeriod(args) => pay::close_period(global, args).await,
        Command::Approve(args) => pay::approve(global, args).await,
        Command::Company(args) => company::company(global, args).await,
        Command::Import(args) => company::import(global, args).await,
        Command::Explain(args) => explain::run(global, args).await,
        Command::Verify => verify::run(global).await,
        Command::Log(command) => log::run(global, command),
        Command::Parked { command } => parked::run(global, command).await,
        Command::Bench(args) => crate::bench::run(global, &args).await,
    }
}
