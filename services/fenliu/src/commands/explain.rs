//! `fenliu explain`.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use kernel::TenantId;

use super::Global;
use super::output::{self, table};
use crate::explain::{CandidateRow, DecisionTable, Explanation, Step, Subject, explain};

#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// An inquiry (its id, or PLATFORM:ID) or a payout (its id).
    #[arg(value_name = "INQUIRY|PAYOUT")]
    subject: Subject,
    /// Code of the company; needed only where two have an inquiry of the same PLATFORM:ID.
    #[arg(long, env = "FENLIU_TENANT", value_name = "CODE")]
    tenant: Option<String>,
}

pub async fn run(global: &Global, args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let tenant = args.tenant.as_deref().map(TenantId::of_code);
    let explanation = explain(&global.data, &args.subject, tenant).await.context("explain")?;
    output::show(global.json, &serde_json::to_value(&explanation)?, |_| explanation_text(&explanation));
    Ok(if explanation.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explanation_text(explanation: &Explanation) -> String {
    let mut shown = format!("{} {}\n", explanation.kind, explanation.id);
    for step in &explanation.steps {
        step_text(step, 0, &mut shown);
    }
    shown.push('\n');
    for check in &explanation.checks {
        shown.push_str(&format!("{} {}\n", if check.holds { "holds:" } else { "DOES NOT HOLD:" }, check.what));
    }
    shown
}

fn step_text(step: &Step, depth: usize, shown: &mut String) {
    let topic = step.topic.split('.').nth(1).unwrap_or_default();
    let indent = "  ".repeat(depth);
    shown.push_str(&format!("{indent}{:<27}  {topic:<10} {:>6}  {}", step.at, step.seq, step.event));
    shown.push_str(&if step.about.is_empty() { "\n".to_owned() } else { format!(": {}\n", step.about) });
    if let Some(decision) = &step.decision {
        for line in decision_text(decision).lines() {
            shown.push_str(&format!("      {line}\n"));
        }
    }
    for behind in &step.because {
        step_text(behind, depth + 1, shown);
    }
}

fn decision_text(decision: &DecisionTable) -> String {
    let row = |candidate: &CandidateRow| {
        let outcome = match candidate.filter {
            None if candidate.chosen => "chosen".to_owned(),
            None => "eligible".to_owned(),
            Some(filter) => filter.to_owned(),
        };
        let load = format!("{}%", candidate.load_ppm / 10_000);
        vec![candidate.employee.clone(), outcome, load, candidate.last_assigned.to_string(), candidate.tie.clone()]
    };
    let rows: Vec<_> = decision.candidates.iter().map(row).collect();
    table(&["employee", "outcome", "load", "last assignment", "tie-break"], &rows)
}
