//! A small story in which every event of the contract happens.

use fenliu::client::{command_for, wire};
use integration_tests::chance::Chance;
use kernel::{CommandId, Duration, EventId, TenantId, Timestamp};
use log::{Batch, Envelope, Log, Record, Topic, record_hash};
use prost::Message;
use proto::{assignment as a, common, intent as n, payroll as p, roster as r};
use runtime::schema;
use serde_json::{Value, json};

use crate::machine::call::{Ack, Call};
use crate::machine::door::Defect;
use crate::machine::log::SimLog;
use crate::machine::traffic::fact;
use crate::machine::world::{Sent, World};

pub const TENANT: &str = "golden";
/// 2026-08-31T01:00:00Z, a Monday morning in Shanghai, on the last day of its month.
pub const BEGIN: Timestamp = Timestamp::from_micros(1_788_138_000_000_000);
pub const EMPLOYEES: [&str; 4] = ["E1", "E2", "E3", "E4"];
pub const INQUIRIES: [&str; 9] = ["i1", "i2", "i3", "i4", "i5", "i6", "i7", "i8", "i9"];
pub const PERIODS: [&str; 2] = ["2026-08", "2026-09"];
/// Credits that stand in the end, at least.
pub const ORDERS: usize = 3;

const COMPANY: &str = "company: { name: A golden company, currency: CNY, zone: Asia/Shanghai, legal_entity: LE1 }
effective_from: \"2026-01-01T00:00:00Z\"
desks:
  - { code: main, name_zh: 主, name_en: Main, zone: Asia/Shanghai }
positions:
  - { code: sales, name_zh: 销售, name_en: Sales, duties: [price_quote, out_of_scope], modules: [desk], kpis: { conversion: '1' }, capacity_units: 300, first_reception: true, plan: sales }
  - { code: service, name_zh: 客服, name_en: Service, duties: [order_status], capacity_units: 100 }
policy: { intent_wait_ms: 500, accept_timeout_ms: 20000, wrap_up_ms: 30000, misses_max: 1, sticky_wait_ms: 5000, experience_wait_ms: 5000, priorities: { order_status: 2 } }
employees:
  - { code: E1, name: Person one, desk: main, position: sales, languages: [zh, en], experience_months: 24, skills: { engine: 3 } }
  - { code: E2, name: Person two, desk: main, position: sales, languages: [zh, en], experience_months: 6 }
  - { code: E3, name: Person three, desk: main, position: service, languages: [zh, en], experience_months: 24, shifts: [{ days: [1, 2, 3, 4, 5], from: '08:00', to: '17:00' }] }
  - { code: E4, name: Person four, desk: main, position: service, languages: [zh], experience_months: 3 }
";

/// From the next day on somebody is more experienced, and somebody is gone.
const LATER: &str = "effective_from: \"2026-09-02T00:00:00Z\"
employees:
  - { code: E2, name: Person two, desk: main, position: sales, languages: [zh, en], experience_months: 18 }
  - { code: E4, name: Person four, desk: main, position: service, left: true }
";

const PLAN: &str = "code: sales
version: 1
position: sales
currency: CNY
effective_from: \"2026-01-01T00:00:00Z\"
components:
  - code: net_sales
    basis: net_sales
    method: marginal
    tiers: [{ lo: \"0\", hi: \"1000\", rate: \"0.01\" }, { lo: \"1000\", rate: \"0.025\" }]
";

struct Story {
    world: World,
    chance: Chance,
}

/// Tells it; the log, and the time at which it ends.
pub async fn tell() -> (SimLog, Timestamp) {
    let mut story = Story { world: World::new(0, 0, 1, BEGIN), chance: Chance::new(0, 0) };
    story.found().await;
    story.receive().await;
    story.overtake().await;
    story.sell().await;
    story.leave().await;
    story.month_ends("2026-08", 1_788_192_000).await;
    story.give_back().await;
    story.month_ends("2026-09", 1_790_784_000).await;
    park(&story.world.log);
    (story.world.log.fork(), story.now())
}

impl Story {
    fn now(&self) -> Timestamp {
        self.world.clock.now()
    }

    async fn send(&mut self, call: impl FnOnce(String, Option<prost_types::Timestamp>, String) -> Call) -> Ack {
        let command_id = CommandId::of_parts(&[b"golden", &self.chance.next().to_le_bytes()]).to_string();
        let call = call(command_id.clone(), wire(self.now()), TENANT.to_owned());
        let sent = Sent { tenant: TENANT.to_owned(), command_id, call };
        let what = format!("{sent:?}");
        let ack = self.world.carry_out(sent).await.unwrap_or_else(|status| panic!("{status}: {what}"));
        self.world.settle().await;
        ack
    }

    async fn fact(&mut self, line: Value) -> Ack {
        let name = self.chance.next().to_string();
        let sent = fact(TENANT, &name, &line, self.now(), false);
        let ack = self.world.carry_out(sent).await.unwrap_or_else(|status| panic!("{status}: {line}"));
        self.world.settle().await;
        ack
    }

    async fn pass(&self, secs: i64) {
        let clock = &self.world.clock;
        let to = clock.now() + Duration::from_secs(secs);
        self.world.settle().await;
        loop {
            let due = self.world.six.borrow().assignment.host.next_due().filter(|due| *due <= to);
            let Some(due) = due else { break };
            clock.advance_to(due);
            self.world.settle().await;
        }
        clock.advance_to(to);
        self.world.settle().await;
    }

    async fn presence(&mut self, employee: &str, presence: r::Presence) {
        let (employee, presence) = (employee.to_owned(), presence.into());
        self.send(|command_id, issued_at, tenant| {
            Call::Presence(r::SetPresenceRequest { command_id, issued_at, tenant, employee, presence })
        })
        .await;
    }

    async fn import(&mut self, yaml: &str) {
        let yaml = yaml.to_owned();
        self.send(|command_id, issued_at, tenant| {
            Call::Import(r::ImportCompanyRequest { command_id, issued_at, tenant, yaml, dry_run: false })
        })
        .await;
    }

    async fn found(&mut self) {
        self.import(COMPANY).await;
        self.send(|command_id, issued_at, tenant| {
            Call::Plan(p::ActivatePlanRequest { command_id, issued_at, tenant, yaml: PLAN.to_owned() })
        })
        .await;
        let texts = [
            ("price_quote", "多少钱一个"),
            ("price_quote", "how much is it"),
            ("price_quote", "报个价"),
            ("order_status", "货到哪了"),
            ("order_status", "where is my order"),
            ("order_status", "发货了吗"),
        ];
        let example = |(label, text): (&str, &str)| n::Example {
            text: text.to_owned(),
            label: label.to_owned(),
            inquiry_id: String::new(),
        };
        let examples: Vec<n::Example> = texts.into_iter().map(example).collect();
        for source in [n::LabelSource::Import, n::LabelSource::Correction] {
            // The second time they are known, and only the command is noted.
            let (source, examples) = (source.into(), examples.clone());
            self.send(|command_id, issued_at, tenant| {
                Call::Teach(n::TeachRequest { command_id, issued_at, tenant, source, examples })
            })
            .await;
        }
        for employee in EMPLOYEES {
            self.presence(employee, r::Presence::Available).await;
        }
    }

    fn inquiry(id: &str, customer: &str, text: &str) -> Value {
        json!({"fact": "inquiry", "platform": "shop", "id": id, "desk": "main", "category": "engine",
            "customer": {"platform": "shop", "id": customer, "name": "Customer", "phone": "000", "address": "Somewhere", "language": "zh"},
            "messages": [{"text": text}]})
    }

    async fn ask(&mut self, id: &str, customer: &str, text: &str) -> String {
        self.fact(Self::inquiry(id, customer, text)).await.id
    }

    async fn close(&mut self, id: &str) {
        self.fact(json!({"fact": "close", "platform": "shop", "inquiry": id, "reason": "customer_left"})).await;
    }

    async fn look(&self, id: &str) -> a::GetInquiryResponse {
        let request = a::GetInquiryRequest { tenant: TENANT.to_owned(), inquiry_id: id.to_owned() };
        let mut client = self.world.clients.borrow().assignment.clone();
        client.get_inquiry(request).await.unwrap().into_inner()
    }

    async fn offered(&self, id: &str) -> a::GetInquiryResponse {
        for _ in 0..10 {
            let inquiry = self.look(id).await;
            if inquiry.state == "reserved" {
                return inquiry;
            }
            self.pass(4).await;
        }
        panic!("{:?} is not offered", self.look(id).await);
    }

    async fn accept(&mut self, id: &str) -> String {
        let offer = self.offered(id).await;
        let (reservation_id, epoch) = (offer.reservation_id, offer.epoch);
        self.send(|command_id, issued_at, tenant| {
            Call::Accept(a::AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch })
        })
        .await;
        offer.employee
    }

    async fn complete(&mut self, id: &str) {
        let (inquiry_id, disposition) = (id.to_owned(), "price_quote".to_owned());
        self.send(|command_id, issued_at, tenant| {
            Call::Complete(a::CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition })
        })
        .await;
    }

    /// Everything that reception may come to.
    async fn receive(&mut self) {
        let first = self.ask("i1", "c1", "多少钱一个").await;
        let offer = self.offered(&first).await;
        let (reservation_id, epoch) = (offer.reservation_id, offer.epoch);
        self.send(|command_id, issued_at, tenant| {
            let reason = "busy".to_owned();
            Call::Reject(a::RejectReservationRequest { command_id, issued_at, tenant, reservation_id, epoch, reason })
        })
        .await;
        self.accept(&first).await;
        for text in ["how much is it", "how much is it"] {
            let id = self.chance.next().to_string();
            self.fact(json!({"fact": "message", "platform": "shop", "inquiry": "i1", "id": id, "text": text})).await;
        }
        let inquiry_id = first.clone();
        self.send(|command_id, issued_at, tenant| {
            let (to_employee, intent, reason) = (String::new(), "order_status".to_owned(), "duty".to_owned());
            Call::Transfer(a::TransferInquiryRequest {
                command_id,
                issued_at,
                tenant,
                inquiry_id,
                to_employee,
                intent,
                reason,
            })
        })
        .await;
        self.accept(&first).await;
        self.complete(&first).await;
        self.pass(60).await;
        // Nobody answers; then the one who missed it is paused, and comes back.
        let second = self.ask("i2", "c2", "报个价").await;
        let missed = self.offered(&second).await.employee;
        self.pass(21).await;
        self.presence(&missed, r::Presence::Available).await;
        self.accept(&second).await;
        // Closed while it is offered, while it is received, and while the agent goes away.
        let third = self.ask("i3", "c3", "多少钱一个").await;
        self.offered(&third).await;
        self.close("i3").await;
        let fourth = self.ask("i4", "c4", "多少钱一个").await;
        self.accept(&fourth).await;
        self.close("i4").await;
        let fifth = self.ask("i5", "c5", "多少钱一个").await;
        let offered_to = self.offered(&fifth).await.employee;
        self.presence(&offered_to, r::Presence::Offline).await;
        self.presence(&offered_to, r::Presence::Available).await;
        self.accept(&fifth).await;
        self.complete(&fifth).await;
        // The one whom the customer knows is away: somebody else comes after a while.
        self.pass(60).await;
        let with = self.look(&fifth).await.employee;
        self.presence(&with, r::Presence::Paused).await;
        let sixth = self.ask("i6", "c5", "报个价").await;
        self.pass(6).await;
        self.presence(&with, r::Presence::Available).await;
        self.accept(&sixth).await;
        self.complete(&second).await;
        self.pass(60).await;
    }

    /// Intents that come before their inquiries.
    async fn overtake(&mut self) {
        self.world.plant(Topic::Assignment, Defect::SlowIntake);
        self.world.six.borrow().assignment.door.die();
        let name = |n: u32| format!("overtaken {n}");
        for (n, id, customer) in [(0, "i7", "c6"), (1, "i8", "c7")] {
            let line = Self::inquiry(id, customer, "发货了吗");
            self.world.attempt_quietly(&fact(TENANT, &name(n), &line, self.now(), false)).await;
        }
        self.world.rest().await;
        self.world.settle().await;
        self.world.plant(Topic::Assignment, Defect::None);
        self.world.crash_all(false);
        self.world.settle().await;
    }

    /// Orders and what follows, a past that becomes known late, two customers who are one.
    async fn sell(&mut self) {
        let order = |id: &str, customer: &str, amount: &str| json!({"fact": "order", "id": id, "customer": {"platform": "shop", "id": customer}, "amount": amount, "currency": "CNY"});
        let money = |fact: &str, order: &str, amount: &str| json!({"fact": fact, "platform": "shop", "order": order, "id": format!("{fact} {order}"), "amount": amount, "currency": "CNY"});
        for (id, customer, amount) in [("O1", "c1", "1500.00"), ("O2", "c2", "300.50"), ("O3", "c5", "80.00")] {
            self.fact(order(id, customer, amount)).await;
            self.fact(money("payment", id, amount)).await;
        }
        self.fact(money("refund", "O3", "10.00")).await;
        self.fact(json!({"fact": "rating", "platform": "shop", "inquiry": "i1", "id": "r1", "score": 5})).await;
        self.fact(json!({"fact": "cost", "id": "K1", "kind": "advertising", "desk": "main", "amount": "20.00", "currency": "CNY"})).await;
        self.fact(json!({"fact": "customer", "customer": {"platform": "mail", "id": "m1", "name": "Customer one"}}))
            .await;
        self.fact(json!({"fact": "link", "kept": {"platform": "shop", "id": "c1"}, "merged": {"platform": "mail", "id": "m1"}})).await;
        self.fact(json!({"fact": "link", "kept": {"platform": "shop", "id": "c2"}, "merged": {"platform": "shop", "id": "c5"}})).await;
        // Somebody had spoken with the customer just before the order, and that becomes known only now.
        let now = self.now();
        self.pass(3_600).await;
        self.fact(order("O4", "c9", "50.00")).await;
        for (id, handler) in [("h1", "E1"), ("h2", "E2")] {
            let at = if id == "h1" { now } else { now + Duration::from_secs(600) };
            let line = json!({"fact": "inquiry", "platform": "shop", "id": id, "desk": "main",
                "customer": {"platform": "shop", "id": "c9"}, "handler": handler, "at": fenliu::instant::text(at)});
            let past = fenliu::facts::from_value(line).unwrap();
            self.send(|command_id, _, tenant| {
                Call::Fact(Box::new(past.request(&tenant, command_id, now, true).unwrap()))
            })
            .await;
        }
    }

    /// A stream of presence that is lost, and a roster that changes tomorrow.
    async fn leave(&mut self) {
        let beat = r::KeepPresenceRequest { tenant: TENANT.to_owned(), employee: "E1".to_owned() };
        let mut client = self.world.clients.borrow().roster.clone();
        let mut kept = client.keep_presence(tokio_stream::once(beat)).await.unwrap().into_inner();
        kept.message().await.unwrap().expect("the loss is recorded");
        self.world.settle().await;
        self.import(LATER).await;
        let ninth = self.ask("i9", "c8", "多少钱一个").await;
        self.accept(&ninth).await;
        self.complete(&ninth).await;
    }

    async fn month_ends(&mut self, period: &str, end: i64) {
        let to = Timestamp::from_micros(end * 1_000_000) + Duration::from_secs(60);
        self.pass(to.since(self.now()).as_micros() / 1_000_000).await;
        let named = period.to_owned();
        self.send(|command_id, issued_at, tenant| {
            Call::Close(p::ClosePeriodRequest { command_id, issued_at, tenant, period: named })
        })
        .await;
        let named = period.to_owned();
        self.send(|command_id, issued_at, tenant| {
            Call::Approve(p::ApprovePayoutsRequest { command_id, issued_at, tenant, period: named })
        })
        .await;
    }

    /// More goes back than was sold in the month.
    async fn give_back(&mut self) {
        for (order, amount) in [("O1", "1000.00"), ("O2", "200.00")] {
            let id = format!("back {order}");
            self.fact(json!({"fact": "refund", "platform": "shop", "order": order, "id": id, "amount": amount, "currency": "CNY"})).await;
        }
    }
}

/// No input of the story can park; what an operator would see of one is written by hand, in a batch of its own.
fn park(log: &SimLog) {
    let (topic, partition) = (Topic::Kpi, 0);
    let end = *log.end(topic, partition).borrow();
    let last = log.records(topic, partition).pop().unwrap();
    let (before, batch) = Envelope::decode(&last.bytes).unwrap();
    let entity = b"an entity".to_vec();
    let parked = common::Parked {
        entity: entity.clone(),
        reason: "UNDECODABLE".to_owned(),
        detail: "written by hand".to_owned(),
        topic: u32::from(Topic::Intake.number()),
        seq: 0,
    };
    let tenant = TenantId::of_code(TENANT);
    let three = [
        (schema::PARKED, tenant, parked.encode_to_vec()),
        (schema::PARK_RELEASED, tenant, common::ParkReleased { entity }.encode_to_vec()),
        (schema::BATCH, TenantId::default(), batch.to_vec()),
    ];
    let mut previous_hash = record_hash(&last.bytes);
    let mut records = Vec::new();
    for (seq, (schema, tenant, payload)) in (end..).zip(three) {
        let command_id: CommandId = command_for(&["golden", "park", &seq.to_string()]).parse().unwrap();
        let id = EventId::of_parts(&[b"golden", command_id.as_bytes()]);
        let envelope =
            Envelope { schema, tenant, seq, id, command_id, previous_hash, request_mac: [0; 16], ..before.clone() };
        let bytes = envelope.encode(&payload).unwrap();
        previous_hash = record_hash(&bytes);
        records.push(Record { topic, partition, seq, bytes: bytes.into() });
    }
    let epoch = log.take_over(topic, partition);
    log.commit(Batch { writer: topic, partition, epoch, records }).unwrap();
}
