//! Streams to people and platforms: cut as often as you like, nothing is missing, nothing is out of order, and a
//! repeat is known by its event id.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fenliu::client::Client;
use integration_tests::chance::{Chance, number};
use integration_tests::company::{self, CALM, Pace};
use integration_tests::evidence;
use integration_tests::load::{self, Load};
use integration_tests::open::{Open, PARTITIONS};
use integration_tests::server::{Server, serve_if_asked};
use integration_tests::watcher::{Cuts, Kind, Watcher, steps};
use kernel::{TenantId, shard_of};
use log::Topic;
use proto::admin::ListShardsRequest;
use proto::assignment::assignment_service_client::AssignmentServiceClient;
use proto::assignment::{WatchAssignmentsRequest, WatchAssignmentsResponse, WatchOffersRequest};
use proto::intake as pb;
use proto::intake::stream_inquiries_request::Request;
use proto::roster::{Presence, SetPresenceRequest};
use runtime::field::wire_timestamp;
use runtime::reason_of;
use tokio_stream::StreamExt;
use tonic::transport::Endpoint;
use tonic::{Code, Status, Streaming};

const TENANTS: [&str; 2] = ["acme", "t1"];
/// Cuts of each kind of stream.
const CUTS: u64 = 100;
const RESTARTS: u64 = 5;
/// Long past anything that a working server needs on a slow machine.
const DEADLINE: Duration = Duration::from_secs(120);

#[test]
fn serve_when_asked() {
    serve_if_asked();
}

/// The end of each tenant's reception, as the running server says it.
async fn ends(client: &mut Client) -> Vec<u64> {
    let shards = client.admin.list_shards(ListShardsRequest { digests: false }).await.unwrap().into_inner().shards;
    let end = |tenant: &str| {
        let partition = u32::from(shard_of(TenantId::of_code(tenant), PARTITIONS));
        let found = shards.iter().find(|shard| shard.service == "assignment" && shard.partition == partition);
        found.unwrap().next_seq
    };
    TENANTS.map(end).to_vec()
}

#[test]
fn a_stream_that_is_cut_a_hundred_times_shows_everything_in_order() {
    let seed = number("FENLIU_SEED", 1);
    println!("FENLIU_SEED={seed}");
    let folder = tempfile::tempdir().unwrap();
    let cuts = Arc::<Cuts>::default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let watchers = runtime.block_on(async {
        let mut server = Server::start(folder.path(), None);
        let mut address = server.address().await;
        let mut client = Client::connect(address.unwrap().to_string()).await.unwrap();
        for tenant in TENANTS {
            company::found(&mut client, tenant, company::FAST, load::now()).await;
        }
        drop(client);
        let mut load = Load::start(&TENANTS, seed);
        let mut watching = Vec::new();
        let mut stops = Vec::new();
        for (n, tenant) in (0..).zip(TENANTS) {
            let (stop, stopped) = tokio::sync::watch::channel(None);
            stops.push(stop);
            let kinds = company::EMPLOYEES.map(Kind::Offers).into_iter().chain([Kind::Assignments; 2]);
            for (m, kind) in (0..).zip(kinds) {
                let watcher = Watcher::new(tenant, kind, Chance::new(seed, 2_000 + 100 * n + m), &cuts);
                watching.push(tokio::spawn(watcher.watch(load.door(), stopped.clone())));
            }
        }
        load.serve_at(address);
        let mut chance = Chance::new(seed, 3_000);
        for restart in 0..RESTARTS {
            tokio::time::sleep(Duration::from_millis(500 + chance.below(900))).await;
            load.check();
            // The clients find out by themselves that it went away.
            if restart % 2 == 0 {
                server.kill();
            } else {
                assert!(server.stop().await.success());
            }
            load.serve_at(None);
            server = Server::start(folder.path(), None);
            address = server.address().await;
            load.serve_at(address);
        }
        let often = async {
            while !cuts.enough(CUTS) {
                assert!(watching.iter().all(|watcher| !watcher.is_finished()), "a watcher ended early");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(DEADLINE, often).await.expect("the streams were cut often enough in time");
        load.finish().await;
        let mut client = Client::connect(address.unwrap().to_string()).await.unwrap();
        for (stop, end) in stops.iter().zip(ends(&mut client).await) {
            stop.send_replace(Some(end));
        }
        let mut watchers = Vec::new();
        for watcher in watching {
            watchers.push(watcher.await.unwrap().unwrap());
        }
        assert!(server.stop().await.success());
        watchers
    });

    let entries = evidence::entries(folder.path());
    for watcher in &watchers {
        let (kind, tenant) = (watcher.kind, &watcher.tenant);
        let expected = watcher.expected(&entries);
        for (seen, expected) in watcher.seen.iter().zip(&expected) {
            assert_eq!(seen, expected, "{kind:?} of {tenant}");
        }
        assert_eq!(watcher.seen.len(), expected.len(), "{kind:?} of {tenant} shows all that there is");
        if !matches!(kind, Kind::Offers("E4")) {
            assert!(!expected.is_empty(), "{kind:?} of {tenant} had nothing to show, which proves nothing");
        }
    }
    println!("{cuts:?}");
    let offers = watchers.iter().filter(|watcher| matches!(watcher.kind, Kind::Offers(_)));
    let assignments = watchers.iter().filter(|watcher| matches!(watcher.kind, Kind::Assignments));
    for counts in [steps(offers.flat_map(|w| &w.seen)), steps(assignments.flat_map(|w| &w.seen))] {
        println!("{counts:?}");
        assert_eq!(counts.len(), 8, "every step was shown: {counts:?}");
    }
    assert!(cuts.repeats.load(Ordering::Relaxed) > 0);
}

/// A Fenliu whose sellers are there.
async fn at_work(pace: Pace) -> (tempfile::TempDir, Open) {
    let (folder, mut open) = Open::new().await;
    let issued_at = Some(wire_timestamp(open.now()));
    company::found(&mut open.client, "acme", pace, open.cluster.shared.clock.now()).await;
    for employee in company::EMPLOYEES {
        let request = SetPresenceRequest {
            command_id: fenliu::client::command_for(&["come", employee]),
            issued_at,
            tenant: "acme".to_owned(),
            employee: employee.to_owned(),
            presence: Presence::Available.into(),
        };
        open.client.roster.set_presence(request).await.unwrap();
    }
    open.cluster.settle().await;
    (folder, open)
}

/// Submits inquiries and closes them again: each makes two events or more in reception.
async fn come_and_go(open: &mut Open, inquiries: u64) {
    let now = Some(wire_timestamp(open.now()));
    let submit = |n: u64| {
        Request::SubmitInquiry(pb::SubmitInquiryRequest {
            command_id: fenliu::client::command_for(&["submit", &n.to_string()]),
            issued_at: now,
            tenant: "acme".to_owned(),
            platform: "shop".to_owned(),
            external_id: format!("inquiry-{n}"),
            desk: "main".to_owned(),
            customer: Some(pb::Customer {
                platform: "shop".to_owned(),
                external_id: format!("customer-{n}"),
                ..Default::default()
            }),
            messages: vec![pb::Message {
                external_id: "m1".to_owned(),
                direction: pb::Direction::Customer.into(),
                text: "how much".to_owned(),
                occurred_at: now,
            }],
            occurred_at: now,
            ..Default::default()
        })
    };
    let close = |n: u64| {
        Request::CloseInquiry(pb::CloseInquiryRequest {
            command_id: fenliu::client::command_for(&["close", &n.to_string()]),
            issued_at: now,
            tenant: "acme".to_owned(),
            platform: "shop".to_owned(),
            inquiry_external_id: format!("inquiry-{n}"),
            reason: "left".to_owned(),
            occurred_at: now,
        })
    };
    tell(open, (0..inquiries).map(submit).collect()).await;
    tell(open, (0..inquiries).map(close).collect()).await;
}

async fn tell(open: &mut Open, requests: Vec<Request>) {
    let requests = requests.into_iter().map(|request| pb::StreamInquiriesRequest { request: Some(request) });
    let answers = open.client.intake.stream_inquiries(tokio_stream::iter(requests)).await.unwrap();
    let mut answers = answers.into_inner();
    while let Some(answer) = answers.next().await {
        assert_eq!(answer.unwrap().refusal, None);
    }
    open.cluster.settle().await;
}

fn from(from_seq: u64) -> WatchAssignmentsRequest {
    WatchAssignmentsRequest { tenant: "acme".to_owned(), from_seq, live_only: false, progress: true }
}

fn end(open: &Open) -> u64 {
    let partition = shard_of(TenantId::of_code("acme"), PARTITIONS);
    open.ends()[&(Topic::Assignment, partition)]
}

/// Items up to the first heartbeat, which is returned too.
async fn shown(stream: &mut Streaming<WatchAssignmentsResponse>) -> (Vec<u64>, u64) {
    let mut seqs = Vec::new();
    loop {
        let item = stream.next().await.unwrap().unwrap();
        if item.heartbeat {
            return (seqs, item.seq);
        }
        seqs.push(item.seq);
    }
}

#[tokio::test]
async fn a_heartbeat_says_how_far_was_shown() {
    let (_folder, mut open) = at_work(CALM).await;
    come_and_go(&mut open, 3).await;
    let mut client = open.client.clone();
    let mut stream = client.assignment.watch_assignments(from(0)).await.unwrap().into_inner();
    let (seqs, beat) = shown(&mut stream).await;
    assert_eq!(beat, end(&open));
    // Three offers, withdrawn and cancelled again.
    assert_eq!(seqs.len(), 9, "{seqs:?}");
    // Without anything to show, the stream still says that it is alive.
    for _ in 0..2 {
        assert_eq!(shown(&mut stream).await, (vec![], beat));
    }
    // What other tenants or the inside of the service do moves the heartbeat, too.
    let mut quiet = client.assignment.watch_assignments(from(beat)).await.unwrap().into_inner();
    assert_eq!(shown(&mut quiet).await, (vec![], beat));
    open.advance(kernel::Duration::from_hours(1)).await;
    let mut live = client
        .assignment
        .watch_assignments(WatchAssignmentsRequest { live_only: true, ..from(0) })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown(&mut live).await, (vec![], end(&open)));
}

#[tokio::test]
async fn a_stream_from_beyond_the_end_is_out_of_range() {
    let (_folder, mut open) = at_work(CALM).await;
    come_and_go(&mut open, 2).await;
    let mut client = open.client.clone();
    let end = end(&open);
    let mut at_end = client.assignment.watch_assignments(from(end)).await.unwrap().into_inner();
    assert_eq!(shown(&mut at_end).await, (vec![], end));
    let refused = |status: Status| {
        assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::OutOfRange, Some("SEQ_BEYOND_END")));
        assert!(status.message().starts_with("from_seq: "), "{}", status.message());
    };
    for beyond in [end + 1, u64::MAX] {
        let mut stream = client.assignment.watch_assignments(from(beyond)).await.unwrap().into_inner();
        refused(stream.next().await.unwrap().unwrap_err());
        let request = WatchOffersRequest {
            tenant: "acme".to_owned(),
            employee: "E1".to_owned(),
            from_seq: beyond,
            ..Default::default()
        };
        let mut stream = client.assignment.watch_offers(request).await.unwrap().into_inner();
        refused(stream.next().await.unwrap().unwrap_err());
    }
}

#[tokio::test]
async fn streams_end_with_stopping_when_the_server_stops() {
    let (folder, mut open) = at_work(CALM).await;
    come_and_go(&mut open, 3).await;
    let mut client = open.client.clone();
    let mut stream = client.assignment.watch_assignments(from(0)).await.unwrap().into_inner();
    let (_, beat) = shown(&mut stream).await;
    open.cluster.stop(folder.path()).await;
    let status = loop {
        match stream.next().await.unwrap() {
            Ok(item) => assert!(item.heartbeat, "{item:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::Unavailable, Some("STOPPING")));
    assert!(status.message().ends_with(&format!("resume from_seq {beat}")), "{}", status.message());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_cut_and_can_resume() {
    let (_folder, mut open) = at_work(CALM).await;
    // More than fits into all buffers between the log and a reader who reads nothing.
    come_and_go(&mut open, 900).await;
    let all = {
        let mut client = open.client.clone();
        let mut stream = client.assignment.watch_assignments(from(0)).await.unwrap().into_inner();
        shown(&mut stream).await.0
    };
    assert!(all.len() > 2_500, "{}", all.len());
    let address = fenliu::cluster::address(_folder.path()).unwrap().grpc;
    let narrow = Endpoint::from_shared(format!("http://{address}")).unwrap().initial_stream_window_size(65_535);
    let mut client = AssignmentServiceClient::new(narrow.connect().await.unwrap());
    let mut patience = Duration::from_secs(12);
    for attempt in 1.. {
        let mut stream = client.watch_assignments(from(0)).await.unwrap().into_inner();
        let first = stream.next().await.unwrap().unwrap();
        // The reader does nothing for longer than the server waits. On a slow machine that takes another attempt.
        tokio::time::sleep(patience).await;
        let mut seqs = vec![first.seq];
        let status = loop {
            match stream.next().await.unwrap() {
                Ok(item) if item.heartbeat => break None,
                Ok(item) => seqs.push(item.seq),
                Err(status) => break Some(status),
            }
        };
        let Some(status) = status else {
            assert!(attempt < 4, "a reader who does not read is cut");
            patience *= 2;
            continue;
        };
        assert_eq!((status.code(), reason_of(&status).as_deref()), (Code::ResourceExhausted, Some("SLOW_READER")));
        assert_eq!(seqs, all[..seqs.len()]);
        let next = seqs.last().unwrap() + 1;
        let told: u64 = status.message().rsplit(' ').next().unwrap().parse().unwrap();
        assert!((next..=all[seqs.len()]).contains(&told), "{} after {next}", status.message());
        let mut stream = client.watch_assignments(from(told)).await.unwrap().into_inner();
        let (rest, _) = shown(&mut stream).await;
        assert_eq!(rest, all[seqs.len()..]);
        break;
    }
}

/// The last thing that the roster's log says of an employee's presence.
fn last_presence(folder: &std::path::Path) -> u16 {
    let entries = evidence::entries(folder);
    let of_presence = entries.iter().filter(|entry| entry.topic == Topic::Roster);
    of_presence.map(|entry| entry.envelope.schema).rfind(|schema| matches!(schema, 6 | 7)).unwrap()
}

const PRESENCE_LOST: u16 = 7;

async fn presence_is_lost(folder: &std::path::Path) -> bool {
    for _ in 0..500 {
        if last_presence(folder) == PRESENCE_LOST {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_stream_that_ends_is_one_presence_lost() {
    let (folder, open) = at_work(CALM).await;
    let mut client = open.client.clone();
    let beat = proto::roster::KeepPresenceRequest { tenant: "acme".to_owned(), employee: "E1".to_owned() };
    client.roster.keep_presence(tokio_stream::iter([beat])).await.unwrap();
    assert!(presence_is_lost(folder.path()).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_presence_stream_that_breaks_is_one_presence_lost() {
    let (folder, _open) = at_work(CALM).await;
    let beat = proto::roster::KeepPresenceRequest { tenant: "acme".to_owned(), employee: "E1".to_owned() };
    let address = fenliu::cluster::address(folder.path()).unwrap();
    // A client of its own, which dies with its connection as a desk does whose power goes.
    let desk = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (kept, keeping) = tokio::sync::oneshot::channel();
    desk.spawn(async move {
        let mut client = Client::connect(format!("http://{}", address.grpc)).await.unwrap();
        let beats = tokio_stream::once(beat).chain(tokio_stream::pending());
        let mut answers = client.roster.keep_presence(beats).await.unwrap().into_inner();
        kept.send(()).unwrap();
        answers.message().await
    });
    keeping.await.unwrap();
    assert_ne!(last_presence(folder.path()), PRESENCE_LOST, "while the stream lives they are there");
    desk.shutdown_background();
    assert!(presence_is_lost(folder.path()).await);
}
