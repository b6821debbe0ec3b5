//! All metric names, in one place. Labels are bounded: never a tenant, an agent or an inquiry.

use std::sync::LazyLock;

use prometheus::core::Collector;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, TextEncoder, exponential_buckets};

fn registered<C: Collector + Clone + 'static>(made: prometheus::Result<C>) -> C {
    let metric = made.expect("names and labels here are valid");
    prometheus::register(Box::new(metric.clone())).expect("a metric is registered once");
    metric
}

fn counter(name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    registered(IntCounterVec::new(Opts::new(name, help), labels))
}

/// 50 µs to 3.3 s, doubling.
fn seconds(name: &str, help: &str) -> HistogramVec {
    let buckets = exponential_buckets(50e-6, 2.0, 17).expect("a valid range");
    registered(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), &["service"]))
}

/// Inputs decided: calls, timers and upstream records.
pub static INPUTS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_shard_inputs_total", "Inputs decided.", &["service"]));
/// Records appended to the service's own topic.
pub static APPENDED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_shard_records_total", "Records appended.", &["service"]));
/// Seconds from handing a batch to the log until it is durable.
pub static APPEND_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| seconds("fenliu_append_seconds", "Seconds until a batch is durable."));
/// Upstream records not yet read.
pub static LAG: LazyLock<IntGaugeVec> = LazyLock::new(|| {
    let opts = Opts::new("fenliu_shard_lag_records", "Upstream records not yet read.");
    registered(IntGaugeVec::new(opts, &["service", "shard"]))
});
/// Seconds that a shard took to recover.
pub static RECOVER_SECONDS: LazyLock<HistogramVec> =
    LazyLock::new(|| seconds("fenliu_recover_seconds", "Seconds until a shard has its state back."));
/// Times that a shard dropped its state.
pub static RECOVERIES: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_shard_recoveries_total", "Times that a shard dropped its state.", &["service"]));
/// Commands refused, by reason.
pub static REJECTIONS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_rejections_total", "Commands refused.", &["service", "reason"]));
/// Inputs parked, by reason.
pub static PARKED: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_parked_total", "Inputs parked.", &["service", "reason"]));
/// Laws of a state found broken (L6).
pub static VIOLATIONS: LazyLock<IntCounterVec> =
    LazyLock::new(|| counter("fenliu_invariant_violations_total", "Laws found broken.", &["service", "law"]));
/// All metrics as Prometheus reads them.
pub fn render() -> String {
    TextEncoder::new().encode_to_string(&prometheus::gather()).unwrap_or_default()
}
