//! `fenliu init`: a company of one's own, with its plans and what its inquiries are called.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::Args;
use proto::intent::{Example, LabelSource, TeachRequest};
use proto::payroll::ActivatePlanRequest;
use serde_json::json;

use super::company::{changes_text, import_company, read, tenant_of_file};
use super::progress::Progress;
use super::session::{Session, TenantArg, connect, refused};
use super::{Global, output};

/// Examples of one request: below what the server takes, so that progress is seen.
const EXAMPLES_PER_REQUEST: usize = 500;
/// Bytes of texts of one request: each yields several features, of which the server takes a bounded number at once.
const BYTES_PER_REQUEST: usize = 128 << 10;

#[derive(Debug, Args)]
pub struct InitArgs {
    /// Company file (YAML): desks, positions, employees, policy. `company.code` in it is the company's code.
    #[arg(long, value_name = "FILE")]
    company: PathBuf,
    /// Incentive plan (YAML); once for each plan, earlier versions first.
    #[arg(long = "plan", value_name = "FILE")]
    plans: Vec<PathBuf>,
    /// Labelled examples, one a line: the intent, a tab, the text.
    #[arg(long = "labels", value_name = "FILE")]
    labels: Vec<PathBuf>,
    #[command(flatten)]
    tenant: TenantArg,
    /// Check all files, show what would change, record nothing.
    #[arg(long)]
    dry_run: bool,
}

/// What a company is made of, read and checked.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// YAML.
    pub company: String,
    pub plans: Vec<String>,
    /// Label and text.
    pub examples: Vec<(String, String)>,
}

/// What was new.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    pub changes: Vec<String>,
    /// `code vN`.
    pub plans: Vec<String>,
    pub examples: u64,
    pub taught: u64,
}

pub async fn run(global: &Global, args: InitArgs) -> anyhow::Result<ExitCode> {
    let content = content(&args)?;
    let tenant = tenant_of_file(global, &args.tenant, &content.company).await?;
    let mut session = Session::with(connect(global).await?, tenant.clone()).await?;
    let loaded = if args.dry_run {
        let changes = import_company(&mut session, content.company, true).await?;
        Loaded { changes, ..Loaded::default() }
    } else {
        load(&mut session, content).await?
    };
    let value = json!({
        "tenant": tenant,
        "dry_run": args.dry_run,
        "changes": loaded.changes,
        "plans": loaded.plans,
        "examples": loaded.examples,
        "taught": loaded.taught,
    });
    output::show(global.json, &value, |_| {
        let mut text = changes_text(&tenant, &loaded.changes, args.dry_run);
        for plan in &loaded.plans {
            text.push_str(&format!("plan {plan} is active\n"));
        }
        if loaded.examples > 0 {
            text.push_str(&format!("{} examples, {} of them new\n", loaded.examples, loaded.taught));
        }
        text
    });
    Ok(ExitCode::SUCCESS)
}

/// Reads all files, so that a mistake in the last is found before the first is sent.
fn content(args: &InitArgs) -> anyhow::Result<Content> {
    let mut content = Content { company: read(&args.company)?, ..Content::default() };
    let now = runtime::Clock::real().now();
    roster::file::parse(&content.company, now).map_err(|error| anyhow!("{}: {error}", args.company.display()))?;
    for path in &args.plans {
        let yaml = read(path)?;
        payroll::file::parse(&yaml).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        content.plans.push(yaml);
    }
    for path in &args.labels {
        let examples = labels(&read(path)?).map_err(|error| anyhow!("{}: {error}", path.display()))?;
        content.examples.extend(examples);
    }
    content.examples = mixed(content.examples);
    Ok(content)
}

/// Reads labelled examples: `label<TAB>text` a line; empty lines and lines that begin with `#` are passed over.
pub fn labels(file: &str) -> anyhow::Result<Vec<(String, String)>> {
    let mut examples = Vec::new();
    for (n, line) in file.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let Some((label, text)) = line.split_once('\t') else {
            bail!("line {}: an intent, a tab and a text are expected", n + 1);
        };
        if label.trim().is_empty() || text.trim().is_empty() {
            bail!("line {}: the {} is empty", n + 1, if label.trim().is_empty() { "intent" } else { "text" });
        }
        examples.push((label.trim().to_owned(), text.to_owned()));
    }
    Ok(examples)
}

/// Examples in the order of a hash. Files are often sorted by label, and a classifier that learns one example after the
/// other would know the last label best.
pub fn mixed(mut examples: Vec<(String, String)>) -> Vec<(String, String)> {
    examples.sort_by_cached_key(|(_, text)| *blake3::hash(text.as_bytes()).as_bytes());
    examples
}

/// Sends a company. Doing it again changes nothing.
pub async fn load(session: &mut Session, content: Content) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded { changes: import_company(session, content.company, false).await?, ..Loaded::default() };
    for yaml in content.plans {
        let head = session.head()?;
        let request =
            ActivatePlanRequest { command_id: head.command_id, issued_at: head.issued_at, tenant: head.tenant, yaml };
        let plan = session.client.payroll.activate_plan(request).await.map_err(refused)?.into_inner();
        loaded.plans.push(format!("{} v{}", plan.code, plan.version));
    }
    let mut progress = Progress::start();
    let total = content.examples.len();
    for batch in batches(content.examples) {
        loaded.examples += batch.len() as u64;
        loaded.taught += teach(session, LabelSource::Import, batch).await?;
        progress.show(|| format!("taught {} of {total} examples", loaded.examples));
    }
    Ok(loaded)
}

fn batches(examples: Vec<(String, String)>) -> Vec<Vec<(String, String)>> {
    let mut batches: Vec<Vec<(String, String)>> = Vec::new();
    let mut bytes = 0;
    for example in examples {
        let full = batches.last().is_none_or(|batch| batch.len() >= EXAMPLES_PER_REQUEST);
        let size = example.0.len() + example.1.len();
        if full || bytes + size > BYTES_PER_REQUEST {
            batches.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(batch) = batches.last_mut() {
            batch.push(example);
        }
    }
    batches
}

/// Teaches labelled texts as one command; returns how many were new.
pub(super) async fn teach(
    session: &mut Session,
    source: LabelSource,
    examples: Vec<(String, String)>,
) -> anyhow::Result<u64> {
    let head = session.head()?;
    let example = |(label, text)| Example { text, label, inquiry_id: String::new() };
    let request = TeachRequest {
        command_id: head.command_id,
        issued_at: head.issued_at,
        tenant: head.tenant,
        source: source.into(),
        examples: examples.into_iter().map(example).collect(),
    };
    Ok(session.client.intent.teach(request).await.map_err(refused)?.into_inner().taught.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_read_and_a_wrong_line_is_named() {
        let file = "# intents\nprice_quote\t多少钱\n\norder_status\twhere is\tit\n";
        assert_eq!(
            labels(file).unwrap(),
            [("price_quote".to_owned(), "多少钱".to_owned()), ("order_status".to_owned(), "where is\tit".to_owned())]
        );
        assert!(labels("a\tb\nno tab\n").unwrap_err().to_string().contains("line 2"));
        assert!(labels("a\t \n").unwrap_err().to_string().contains("text is empty"));
    }

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        let example = |text: &str| ("a".to_owned(), text.to_owned());
        let many = batches((0..1_201).map(|n| example(&n.to_string())).collect());
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [500, 500, 201]);
        let large = "x".repeat(BYTES_PER_REQUEST / 2 + 1);
        assert_eq!(batches(vec![example(&large), example(&large)]).len(), 2);
        assert!(batches(Vec::new()).is_empty());
    }
}
