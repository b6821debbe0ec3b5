//! The two defects in each service's code, against `fenliu verify` on a folder that was written without them.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};

use fenliu::Cluster;
use fenliu::client::{command_for, wire};
use fenliu::verify::{Report, verify_folder};
use kernel::{Duration, Timestamp};
use log::Options;
use proto::{assignment as a, intent as n, roster as r};
use runtime::Clock;
use serde_json::{Value, json};

use crate::machine::call::{Ack, Call, Clients};
use crate::machine::traffic::{BEGIN, CLOSE, closing, fact, founding};

const TENANT: &str = "t1";
/// What customers say first: from clear to unclear, so that the model is as sure as that.
const TEXTS: [&str; 5] = [
    "多少钱一个 报个价 谢谢",
    "你好 这个多少钱 发货了吗",
    "price of the shipped order",
    "什么时候能便宜",
    "hello there",
];

/// Switches of the defects, by service.
fn switches() -> [(&'static str, &'static AtomicU8); 6] {
    [
        ("intake", &intake::planted::BUG),
        ("roster", &roster::planted::BUG),
        ("intent", &intent::planted::BUG),
        ("assignment", &assignment::planted::BUG),
        ("kpi", &kpi::planted::BUG),
        ("payroll", &payroll::planted::BUG),
    ]
}

/// A defect that is on until it is dropped, also by a panic.
struct On(&'static AtomicU8);

impl On {
    fn new(switch: &'static AtomicU8, bug: u8) -> Self {
        switch.store(bug, Ordering::Relaxed);
        Self(switch)
    }
}

impl Drop for On {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

struct Story {
    cluster: Cluster,
    clients: Clients,
}

impl Story {
    fn now(&self) -> Timestamp {
        self.cluster.shared.clock.now()
    }

    async fn pass(&self, secs: i64) {
        self.cluster.settle().await;
        let clock = &self.cluster.shared.clock;
        let to = clock.now() + Duration::from_secs(secs);
        while let Some(due) = self.cluster.next_due().filter(|due| *due <= to) {
            clock.advance_to(due);
            self.cluster.settle().await;
        }
        clock.advance_to(to);
        self.cluster.settle().await;
    }

    async fn send(&self, call: Call) -> Ack {
        call.send(&self.clients).await.unwrap()
    }

    async fn fact(&self, name: &str, line: Value) -> Ack {
        self.send(fact(TENANT, name, &line, self.now(), false).call).await
    }

    /// One customer asks, is received by a person, buys, pays and gives a part back.
    async fn customer(&self, n: u32, text: &str) {
        let customer = json!({"platform": "shop", "id": format!("c{n}"), "name": "Customer"});
        let texts = json!([{"text": text}]);
        let inquiry = json!({"fact": "inquiry", "platform": "shop", "id": format!("i{n}"), "desk": "main",
            "customer": customer, "messages": texts});
        let inquiry = self.fact(&format!("inquiry {n}"), inquiry).await.id;
        self.pass(1).await;
        let asked = a::GetInquiryRequest { tenant: TENANT.to_owned(), inquiry_id: inquiry.clone() };
        let offer = self.clients.assignment.clone().get_inquiry(asked).await.unwrap().into_inner();
        assert_eq!(offer.state, "reserved", "{offer:?}");
        let (tenant, issued_at) = (TENANT.to_owned(), wire(self.now()));
        self.send(Call::Accept(a::AcceptReservationRequest {
            command_id: command_for(&["accept", &inquiry]),
            issued_at,
            tenant: tenant.clone(),
            reservation_id: offer.reservation_id,
            epoch: offer.epoch,
        }))
        .await;
        // The sale comes well after the contact, and well within what counts as following from it.
        self.pass(600).await;
        self.send(Call::Complete(a::CompleteInquiryRequest {
            command_id: command_for(&["complete", &inquiry]),
            issued_at: wire(self.now()),
            tenant,
            inquiry_id: inquiry,
            disposition: "price_quote".to_owned(),
        }))
        .await;
        let (order, amount) = (format!("O{n}"), format!("{}.00", 200 + n));
        self.fact(
            &format!("order {n}"),
            json!({"fact": "order", "id": order, "customer": customer, "amount": amount, "currency": "CNY"}),
        )
        .await;
        let money = |fact: &str, amount: &str| json!({"fact": fact, "platform": "shop", "order": order, "id": format!("{fact}{n}"), "amount": amount, "currency": "CNY"});
        self.fact(&format!("payment {n}"), money("payment", &amount)).await;
        self.fact(&format!("refund {n}"), money("refund", "20.00")).await;
        let rating = json!({"fact": "rating", "platform": "shop", "inquiry": format!("i{n}"), "id": format!("r{n}"), "score": 5});
        self.fact(&format!("rating {n}"), rating).await;
        self.pass(60).await;
    }
}

/// Enough for the model to be sure of something, and not quite sure.
fn more_examples(now: Timestamp) -> Call {
    let words = ["泵", "滤芯", "链条", "油缸", "马达", "密封", "水箱", "皮带", "轴承", "铲斗", "履带", "仪表"];
    let example = |label: &str, text: String| n::Example { text, label: label.to_owned(), inquiry_id: String::new() };
    let price = words.iter().map(|word| example("price_quote", format!("{word}多少钱 报个价")));
    let status = words.iter().map(|word| example("order_status", format!("{word}发货了吗 到哪了")));
    Call::Teach(n::TeachRequest {
        command_id: command_for(&["more examples"]),
        issued_at: wire(now),
        tenant: TENANT.to_owned(),
        source: n::LabelSource::Import.into(),
        examples: price.chain(status).collect(),
    })
}

/// A month's end of a small company, on disk.
async fn written(dir: &Path) {
    let options = Options { partitions: 2, ..Options::default() };
    let cluster = Cluster::open(dir, Clock::virtual_from(BEGIN), options).unwrap();
    let Cluster { intake, roster, intent, assignment, kpi, payroll, .. } = &cluster;
    let clients = Clients::of(intake, roster, intent, assignment, kpi, payroll);
    let story = Story { cluster, clients };
    for sent in founding(TENANT, BEGIN) {
        story.send(sent.call).await;
    }
    story.send(more_examples(BEGIN)).await;
    story.pass(1).await;
    for (n, text) in (0..).zip(TEXTS) {
        story.customer(n, text).await;
    }
    for presence in [r::Presence::Paused, r::Presence::Available] {
        let request = r::SetPresenceRequest {
            command_id: command_for(&["presence", presence.as_str_name()]),
            issued_at: wire(story.now()),
            tenant: TENANT.to_owned(),
            employee: "E1".to_owned(),
            presence: presence.into(),
        };
        story.send(Call::Presence(request)).await;
    }
    story.pass(CLOSE.since(story.now()).as_micros() / 1_000_000).await;
    for sent in closing(TENANT, story.now()) {
        story.send(sent.call).await;
    }
    story.cluster.settle().await;
    story.cluster.clone().stop(dir).await;
}

fn broken(report: &Report, of: &str) -> Vec<String> {
    let others = report.services.all().into_iter().filter(|(name, service)| *name != of && !service.ok());
    others.map(|(name, service)| format!("{name}: {service:?}")).collect()
}

#[test]
fn verify_reports_a_changed_field_and_a_changed_rule_of_every_service() {
    let _turn = crate::turn();
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(written(dir.path()));
    let verify = || runtime.block_on(verify_folder(dir.path(), None)).unwrap();
    let report = verify();
    assert!(report.ok, "{report:#?}");
    assert!(report.services.all().iter().all(|(_, service)| service.redecided > 0), "{report:#?}");
    let mut missed = Vec::new();
    for (name, switch) in switches() {
        for bug in [1, 2] {
            let on = On::new(switch, bug);
            let report = verify();
            drop(on);
            let (_, service) = report.services.all().into_iter().find(|(of, _)| *of == name).unwrap();
            let seen = if bug == 1 { !service.equal } else { service.differences > 0 };
            if !seen || report.ok {
                missed.push(format!("{name}, bug {bug}"));
            }
            let others = broken(&report, name);
            if !others.is_empty() {
                missed.push(format!("{name}, bug {bug} is laid at the door of {others:?}"));
            }
        }
    }
    assert!(missed.is_empty(), "not reported: {missed:#?}");
    assert!(verify().ok, "with all of them off again");
}
