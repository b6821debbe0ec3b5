//! Being written.
use std::path::Path;
pub(super) async fn run(_: &Path, _: &super::BenchArgs) -> anyhow::Result<serde_json::Value> {
    anyhow::bail!("not yet")
}
