//! The figures.

use std::process::ExitCode;

/// Runs one figure by its name.
pub async fn run(name: &str, json: bool) -> anyhow::Result<ExitCode> {
    anyhow::bail!("there is no figure {name:?} yet (json: {json})")
}
