//! SIGKILL at any point under load: what was acknowledged stands, once, and the whole adds up.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use fenliu::client::Client;
use fenliu::verify::verify_folder;
use integration_tests::chance::{Chance, number};
use integration_tests::load::{Load, What};
use integration_tests::open::PARTITIONS;
use integration_tests::server::{Server, serve_if_asked};
use integration_tests::{company, evidence};
use proto::admin::{GetStatusRequest, ListShardsRequest};

const TENANTS: [&str; 3] = ["acme", "t1", "t3"];

#[test]
fn serve_when_asked() {
    serve_if_asked();
}

async fn found(folder: &Path) {
    let mut server = Server::start(folder, None);
    let address = server.address().await.unwrap();
    let mut client = Client::connect(address.to_string()).await.unwrap();
    for tenant in TENANTS {
        company::found(&mut client, tenant, company::FAST, integration_tests::load::now()).await;
    }
    assert!(server.stop().await.success());
}

/// Waits until every service has read all there is.
async fn settled(client: &mut Client) {
    while !client.admin.get_status(GetStatusRequest {}).await.unwrap().into_inner().settled {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn what_was_acknowledged_is_there_once_however_often_the_server_is_killed() {
    let (kills, seed) = (number("FENLIU_KILLS", 50), number("FENLIU_SEED", 1));
    println!("FENLIU_SEED={seed} FENLIU_KILLS={kills}");
    assert!(evidence::partitions(&TENANTS, PARTITIONS) > 1);
    let folder = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let memory = runtime.block_on(async {
        found(folder.path()).await;
        let mut chance = Chance::new(seed, 1_000);
        let mut load = Load::start(&TENANTS, seed);
        for kill in 0..kills {
            let mut server = Server::start(folder.path(), None);
            if chance.below(8) == 0 {
                // Also while it recovers.
                tokio::time::sleep(Duration::from_millis(chance.below(60))).await;
            } else {
                let address = server.address().await.unwrap_or_else(|| panic!("no start after {kill} kills"));
                let before = load.acked();
                load.serve_at(Some(address));
                tokio::time::sleep(Duration::from_millis(20 + chance.below(700))).await;
                // On a slow machine it takes longer until there is work to interrupt.
                for _ in 0..2_000 {
                    if load.acked() >= before + 10 {
                        break;
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
            server.kill();
            load.serve_at(None);
            load.check();
        }
        let mut server = Server::start(folder.path(), None);
        let address = server.address().await.unwrap();
        load.serve_at(Some(address));
        let memory = load.finish().await;

        // The running state is the one that the log gives. Timers go on: ask and compare until both are of one moment.
        let mut client = Client::connect(address.to_string()).await.unwrap();
        settled(&mut client).await;
        let live = client.admin.list_shards(ListShardsRequest { digests: true }).await.unwrap().into_inner().shards;
        let report = verify_folder(folder.path(), Some(&live)).await.unwrap();
        assert!(report.ok && report.live, "{report:#?}");
        settled(&mut client).await;
        assert!(server.stop().await.success());
        memory
    });

    let report = runtime.block_on(verify_folder(folder.path(), None)).unwrap();
    assert!(report.ok, "{report:#?}");
    assert_eq!((&report.log.damage, &report.log.cut), (&None, &None));
    for (name, service) in report.services.all() {
        assert!(service.equal && service.differences == 0 && service.events > 0, "{name}: {service:?}");
    }
    let entries = evidence::entries(folder.path());
    evidence::prove(&entries, &memory);
    let kinds = memory.acked.iter().map(|acked| match &acked.what {
        What::Fact { kind, .. } => kind,
        What::Presence => "presence",
        What::Accepted { .. } => "accept",
        What::Rejected { .. } => "reject",
        What::Completed { .. } => "complete",
        What::Transferred { .. } => "transfer",
    });
    let kinds: BTreeSet<&str> = kinds.collect();
    println!(
        "{} acknowledged, {} refused, {} sent again, {} records",
        memory.acked.len(),
        memory.refused.len(),
        memory.repeated,
        entries.len()
    );
    // Otherwise the kills met no load, and the proof says nothing.
    assert!(memory.acked.len() as u64 > 4 * kills, "{} acknowledged", memory.acked.len());
    assert!(memory.repeated > kills, "{} sent again", memory.repeated);
    if kills >= 20 {
        assert_eq!(kinds.len(), 13, "each kind of command was at work: {kinds:?}");
        let completed = memory.acked.iter().filter(|acked| matches!(acked.what, What::Completed { .. }));
        assert!(completed.count() > 20);
    }
}
