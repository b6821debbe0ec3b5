//! What `verify` is for: it sees what is not as it should be.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use fenliu::verify::{Report, verify_folder};
use proto::admin::{ListShardsRequest, Shard};
use support::{Folder, Running};

const ORDERS: &str = r#"{"fact":"order","id":"O1","customer":{"platform":"shop","id":"c1"},"amount":"10.00","currency":"CNY","at":"2026-09-15T00:00:00Z"}
{"fact":"order","id":"O2","customer":{"platform":"shop","id":"c2"},"amount":"10.00","currency":"CNY","at":"2026-09-15T00:00:00Z"}"#;

fn live(running: &Running) -> Vec<Shard> {
    running.block_on(async {
        let mut client = fenliu::client::Client::of_folder(running.path()).await.unwrap();
        client.admin.list_shards(ListShardsRequest { digests: true }).await.unwrap().into_inner().shards
    })
}

fn verify(folder: &Folder) -> Report {
    tokio::runtime::Runtime::new().unwrap().block_on(verify_folder(folder.path(), None)).unwrap()
}

#[test]
fn a_running_fenliu_with_another_state_is_reported() {
    let running = Running::start();
    running.init();
    running.json(&["ingest", &running.file("orders.jsonl", ORDERS)]);
    running.settle();
    let shards = live(&running);
    let verify = |shards: &[Shard]| running.block_on(verify_folder(running.path(), Some(shards))).unwrap();
    let report = verify(&shards);
    assert!(report.ok && report.live, "{report:?}");
    let kpi = shards.iter().position(|shard| shard.service == "kpi").unwrap();

    let mut other = shards.clone();
    other[kpi].digest = "0".repeat(64);
    let report = verify(&other);
    assert!(!report.ok && !report.services.kpi.equal, "{report:?}");
    assert!(report.services.kpi.problems[0].contains("the running Fenliu has digest 000"), "{report:?}");
    assert!(report.services.all().iter().all(|(name, service)| *name == "kpi" || service.ok()), "{report:?}");

    let mut ahead = shards.clone();
    ahead[kpi].next_seq += 1;
    assert!(!verify(&ahead).services.kpi.equal, "a state that the log does not reach");

    let mut missing = shards.clone();
    missing.remove(kpi);
    let report = verify(&missing);
    assert!(report.services.kpi.problems[0].contains("does not serve"), "{report:?}");

    // A shard that was asked some records ago is compared at its place.
    running.json(&["ingest", &running.file("more.jsonl", &ORDERS.replace("\"O", "\"P"))]);
    running.settle();
    let report = verify(&shards);
    assert!(report.ok, "{report:?}");
    running.stop();
}

#[test]
fn a_snapshot_that_the_log_does_not_give_is_reported() {
    let folders = [ORDERS, ORDERS].map(|orders| {
        let running = Running::start();
        running.init();
        running.json(&["ingest", &running.file("orders.jsonl", orders)]);
        running.stop()
    });
    let [mine, other] = &folders;
    assert!(verify(mine).ok);
    let name = std::fs::read_dir(mine.path().join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .find(|name| name.starts_with("intake-"))
        .unwrap();
    let [to, from] = [mine, other].map(|folder| folder.path().join("snapshots").join(&name));
    std::fs::copy(from, &to).unwrap();
    let report = verify(mine);
    assert!(!report.ok && !report.services.intake.equal, "{report:?}");
    assert!(report.services.intake.problems[0].contains("the snapshot at"), "{report:?}");
    assert!(report.services.kpi.ok(), "{report:?}");
    std::fs::remove_file(to).unwrap();
    assert!(verify(mine).ok, "without a snapshot the log is all there is");
}
