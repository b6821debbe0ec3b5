//! The disk fails under a running Fenliu: full, unable to sync, torn at its end.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fenliu::client::Client;
use fenliu::verify::verify_folder;
use integration_tests::chance::{Chance, number};
use integration_tests::company::{self, CALM};
use integration_tests::evidence;
use integration_tests::load::{self, Load};
use integration_tests::open::{Open, START};
use integration_tests::server::{Server, serve_if_asked};
use log::Faults;
use proto::intake as pb;
use runtime::field::wire_timestamp;
use runtime::{Clock, reason_of};
use tonic::{Code, Status};

const TENANTS: [&str; 2] = ["acme", "t1"];
/// Exit code of a process whose log cannot be written safely.
const UNSAFE: i32 = 70;

#[test]
fn serve_when_asked() {
    serve_if_asked();
}

fn order(n: u64) -> pb::RecordOrderRequest {
    let now = Some(wire_timestamp(START));
    pb::RecordOrderRequest {
        command_id: fenliu::client::command_for(&["order", &n.to_string()]),
        issued_at: now,
        tenant: "acme".to_owned(),
        external_id: format!("order-{n}"),
        customer: Some(pb::Customer {
            platform: "shop".to_owned(),
            external_id: format!("customer-{n}"),
            ..Default::default()
        }),
        amount: Some(proto::common::Money { minor: 100, currency: "CNY".to_owned(), exponent: 2 }),
        occurred_at: now,
        ..Default::default()
    }
}

async fn record(client: &mut Client, n: u64) -> Result<pb::RecordOrderResponse, Status> {
    client.intake.record_order(order(n)).await.map(tonic::Response::into_inner)
}

/// The same request again and again until it is answered.
async fn record_at_last(client: &mut Client, n: u64) -> pb::RecordOrderResponse {
    loop {
        match record(client, n).await {
            Ok(answer) => return answer,
            Err(status) if load::unanswered(&status) => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(status) => panic!("{status:?}"),
        }
    }
}

/// The disk is full for every write from now on, until `full` is unset.
fn no_room(faults: &Arc<Faults>, full: &Arc<AtomicBool>) {
    let (counter, still) = (Arc::downgrade(faults), full.clone());
    // A write that strikes is still seen: it writes half of its bytes.
    faults.watch(move |change, _, _, _| {
        if change == "write"
            && still.load(Ordering::Relaxed)
            && let Some(faults) = counter.upgrade()
        {
            faults.full.store(0, Ordering::Relaxed);
        }
    });
    faults.full.store(0, Ordering::Relaxed);
}

/// Whether the running state is the log's, once the shards that met the fault have recovered.
async fn equal(client: &mut Client, folder: &Path) -> bool {
    for _ in 0..1_000 {
        let request = proto::admin::ListShardsRequest { digests: true };
        if let Ok(shards) = client.admin.list_shards(request).await
            && verify_folder(folder, Some(&shards.into_inner().shards)).await.unwrap().ok
        {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_leaves_nothing_and_all_goes_on_when_there_is_room() {
    let (folder, mut open) = Open::new().await;
    company::found(&mut open.client, "acme", CALM, START).await;
    let mut answers = Vec::new();
    for n in 0..10 {
        answers.push(record(&mut open.client, n).await.unwrap());
    }
    open.cluster.settle().await;
    for round in 1..=3 {
        let before = open.ends();
        let full = Arc::new(AtomicBool::new(true));
        no_room(&open.faults, &full);
        // The first is told what is wrong; those that find the shard recovering are told to come again.
        let status = record(&mut open.client, 100 * round).await.unwrap_err();
        assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::ResourceExhausted, Some("DISK_FULL")));
        let mut told_full = 0;
        for n in 1..6 {
            let status = record(&mut open.client, 100 * round + n).await.unwrap_err();
            match (status.code(), reason_of(&status).as_deref()) {
                (Code::ResourceExhausted, Some("DISK_FULL")) => told_full += 1,
                (Code::Unavailable, Some("UNAVAILABLE")) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(told_full > 0);
        // Another service of the same log is told the same.
        let yaml = company::plan(u32::try_from(1 + round).unwrap());
        let plan = proto::payroll::ActivatePlanRequest {
            command_id: fenliu::client::command_for(&["plan", &yaml]),
            issued_at: Some(wire_timestamp(START)),
            tenant: "acme".to_owned(),
            yaml,
        };
        let status = open.client.payroll.activate_plan(plan.clone()).await.unwrap_err();
        assert_eq!(reason_of(&status).as_deref(), Some("DISK_FULL"));
        // What was there before can be read, and what was refused is not there.
        assert_eq!(open.ends(), before);
        assert!(equal(&mut open.client, folder.path()).await, "what runs is what the log gives");

        full.store(false, Ordering::Relaxed);
        open.faults.full.store(-1, Ordering::Relaxed);
        for n in 0..6 {
            let answer = record_at_last(&mut open.client, 100 * round + n).await;
            assert_eq!(record(&mut open.client, 100 * round + n).await.unwrap(), answer);
            answers.push(answer);
        }
        open.client.payroll.activate_plan(plan).await.unwrap();
        open.cluster.settle().await;
    }
    open.cluster.clone().stop(folder.path()).await;
    let report = verify_folder(folder.path(), None).await.unwrap();
    assert!(report.ok, "{report:#?}");
    let entries = evidence::entries(folder.path());
    let orders = entries.iter().filter_map(|entry| entry.event::<pb::OrderRecorded>(log::Topic::Intake, 6));
    let ids: Vec<String> = orders.map(|event| fenliu::admin::hex(&event.order_id)).collect();
    assert_eq!(ids, answers.iter().map(|answer| answer.order_id.clone()).collect::<Vec<_>>());
    let noted = entries.iter().filter(|entry| entry.event::<proto::kpi::OrderNoted>(log::Topic::Kpi, 2).is_some());
    assert_eq!(noted.count(), answers.len());
}

#[test]
fn a_sync_that_fails_ends_the_process_and_loses_nothing_that_was_acknowledged() {
    let seed = number("FENLIU_SEED", 1);
    println!("FENLIU_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let memory = runtime.block_on(async {
        let mut server = Server::start(folder.path(), None);
        let mut client = Client::connect(server.address().await.unwrap().to_string()).await.unwrap();
        for tenant in TENANTS {
            company::found(&mut client, tenant, company::FAST, load::now()).await;
        }
        assert!(server.stop().await.success());
        let mut chance = Chance::new(seed, 1_000);
        let mut load = Load::start(&TENANTS, seed);
        for failure in 0..6 {
            // Once at the very start, too: while it recovers.
            let after = if failure == 0 { 0 } else { 3 + chance.below(120) };
            let mut server = Server::start(folder.path(), Some(after));
            load.serve_at(server.address().await);
            assert_eq!(server.ended().await.code(), Some(UNSAFE), "after {after} syncs");
            load.serve_at(None);
            load.check();
        }
        let mut server = Server::start(folder.path(), None);
        load.serve_at(server.address().await);
        let memory = load.finish().await;
        assert!(server.stop().await.success());
        memory
    });
    let report = runtime.block_on(verify_folder(folder.path(), None)).unwrap();
    assert!(report.ok, "{report:#?}");
    evidence::prove(&evidence::entries(folder.path()), &memory);
    assert!(memory.acked.len() > 50, "{} acknowledged", memory.acked.len());
}

/// A write to a segment: the file's name, the place and the bytes.
type Write = (String, u64, Vec<u8>);

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Writes bytes into a copy's segment.
fn put(folder: &Path, (file, at, _): &Write, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().write(true).open(folder.join("log").join(file)).unwrap();
    file.write_all_at(bytes, *at).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_torn_end_is_cut_and_what_it_held_can_be_sent_again() {
    let (folder, mut open) = Open::new().await;
    company::found(&mut open.client, "acme", CALM, START).await;
    let mut before = Vec::new();
    for n in 0..5 {
        before.push(record(&mut open.client, n).await.unwrap());
    }
    open.cluster.settle().await;
    let writes = Arc::new(Mutex::new(Vec::<Write>::new()));
    let seen = writes.clone();
    open.faults.watch(move |change, file, at, bytes| {
        if change == "write" && file.ends_with(".seg") {
            seen.lock().unwrap().push((file.to_owned(), at, bytes.to_vec()));
        }
    });
    record(&mut open.client, 5).await.unwrap();
    open.cluster.settle().await;
    let writes = writes.lock().unwrap().clone();
    let (first, later) = writes.split_first().unwrap();
    let whole = first.2.len();
    let cuts = (0..40).chain((40..whole).step_by(97)).chain([whole - 2, whole - 1]);
    let mut count = 0;
    for cut in cuts {
        // The power went while this was written: of the first write `cut` bytes are there, of the later ones nothing.
        let torn = tempfile::tempdir().unwrap();
        copy(folder.path(), torn.path());
        for write in later {
            put(torn.path(), write, &vec![0; write.2.len()]);
        }
        let mut bytes = first.2.clone();
        bytes[cut..].fill(0);
        put(torn.path(), first, &bytes);
        let mut open = Open::at(torn.path(), Clock::virtual_from(START)).await;
        for (n, answer) in (0..).zip(&before) {
            assert_eq!(&record(&mut open.client, n).await.unwrap(), answer, "cut at {cut} of {whole}");
        }
        let answer = record(&mut open.client, 5).await.unwrap();
        assert_eq!(record(&mut open.client, 5).await.unwrap(), answer);
        open.cluster.settle().await;
        open.cluster.clone().stop(torn.path()).await;
        let report = verify_folder(torn.path(), None).await.unwrap();
        assert!(report.ok, "cut at {cut} of {whole}: {report:#?}");
        let entries = evidence::entries(torn.path());
        let orders = entries.iter().filter_map(|entry| entry.event::<pb::OrderRecorded>(log::Topic::Intake, 6));
        assert_eq!(orders.count(), 6, "cut at {cut} of {whole}");
        count += 1;
    }
    assert!(count > 40, "{count}");
}

/// An inquiry of about a megabyte.
fn large(n: u64) -> pb::SubmitInquiryRequest {
    let now = Some(wire_timestamp(START));
    let message = |m: u64| pb::Message {
        external_id: format!("m{m}"),
        direction: pb::Direction::Customer.into(),
        text: "字".repeat(7_000),
        occurred_at: now,
    };
    pb::SubmitInquiryRequest {
        command_id: fenliu::client::command_for(&["large", &n.to_string()]),
        issued_at: now,
        tenant: "acme".to_owned(),
        platform: "shop".to_owned(),
        external_id: format!("large-{n}"),
        desk: "main".to_owned(),
        customer: order(0).customer,
        messages: (0..50).map(message).collect(),
        occurred_at: now,
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_requests_that_wait_for_a_slow_disk_are_taken_a_batch_at_a_time() {
    let (folder, mut open) = Open::new().await;
    company::found(&mut open.client, "acme", CALM, START).await;
    open.cluster.settle().await;
    // The customer is known, so that the door needs no look at the state for the others.
    open.client.intake.submit_inquiry(large(99)).await.unwrap();
    open.cluster.settle().await;
    // While the disk is slow, requests gather that are together larger than any batch may be.
    let slow = AtomicBool::new(true);
    open.faults.watch(move |change, file, _, _| {
        if change == "write" && file.ends_with(".seg") && slow.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(3));
        }
    });
    let requests = (0..16).map(|n| pb::StreamInquiriesRequest {
        request: Some(pb::stream_inquiries_request::Request::SubmitInquiry(large(n))),
    });
    let requests: Vec<_> = requests.collect();
    let answers = open.client.intake.stream_inquiries(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    let mut count = 0;
    while let Some(answer) = tokio_stream::StreamExt::next(&mut answers).await {
        assert_eq!(answer.unwrap().refusal, None);
        count += 1;
    }
    assert_eq!(count, 16);
    open.faults.watch(|_, _, _, _| {});
    open.cluster.settle().await;
    open.cluster.clone().stop(folder.path()).await;
    assert!(verify_folder(folder.path(), None).await.unwrap().ok);
}
