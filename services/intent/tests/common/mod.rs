//! Customers' words on their way into intent: sealed as intake seals them, heard as the service hears them.

#![allow(dead_code, reason = "each test binary uses its own part")]

use intent::Intent;
use intent::domain::{Command, Event, Example, Score, Source, State};
use kernel::{Actor, CommandId, Decider, InquiryId, KeyId, Purpose, SealPlace, Stamp, Subject, TenantId, Timestamp};
use log::{Header, Topic};
use proptest::test_runner::{Config as ProptestConfig, FileFailurePersistence};
use prost::Message as _;
use proto::intake as pb;
use runtime::{CodecError, FileKeys, Keys, Reaction, Service, Upstream, wire};

pub const TENANT: TenantId = TenantId::from_bytes([1; 16]);
pub const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);
const COMMAND: CommandId = CommandId::from_bytes([2; 16]);
const INQUIRY_SUBMITTED: u16 = 3;
const MESSAGE_APPENDED: u16 = 4;

/// So many cases; a failing one is printed with its seed, which then stands beside the test and is tried first.
pub fn cases(cases: u32) -> ProptestConfig {
    let seeds = FileFailurePersistence::WithSource("seeds");
    ProptestConfig { cases, failure_persistence: Some(Box::new(seeds)), ..ProptestConfig::default() }
}

pub fn stamp(n: usize) -> Stamp {
    let command_id = CommandId::of_parts(&[&n.to_le_bytes()]);
    Stamp { at: NOW, tenant: TENANT, command_id, actor: Actor::default() }
}

pub fn inquiry(n: u32) -> InquiryId {
    InquiryId::of_parts(&[&n.to_le_bytes()])
}

/// What one command hears, whatever the type of its features.
pub fn example(text: &str, label: &str, heard: &Command) -> Example {
    let Command::Hear { features, .. } = heard else { panic!("something heard is expected") };
    let key = *InquiryId::of_parts(&[text.as_bytes()]).as_bytes();
    Example { key, label: label.to_owned(), source: Source::Import, features: features.clone(), inquiry_id: None }
}

/// A key store with a person's key, and the way from a text to what is heard of it.
pub struct Ear {
    pub keys: FileKeys,
    person: KeyId,
    _dir: tempfile::TempDir,
}

impl Ear {
    pub fn open() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let keys = FileKeys::open(dir.path()).expect("a key store");
        let place = SealPlace { tenant: TENANT, command_id: COMMAND, field: "name" };
        let sealed = keys.seal(Subject([3; 16]), None, Purpose::Service, place, b"x").expect("a key");
        Self { keys, person: sealed.key_id, _dir: dir }
    }

    /// Destroys the key that all texts of this ear are sealed with.
    pub fn erase(&self) {
        assert!(self.keys.destroy(self.person).expect("destroyed"));
    }

    pub fn message(&self, tenant: TenantId, n: usize, direction: pb::Direction, text: &str) -> pb::SealedMessage {
        let field = format!("messages[{n}].text");
        let place = SealPlace { tenant, command_id: COMMAND, field: &field };
        let sealed = self.keys.seal(Subject([3; 16]), Some(self.person), Purpose::Service, place, text.as_bytes());
        pb::SealedMessage {
            message_key: vec![4; 16],
            direction: direction.into(),
            text: Some(wire::to_sealed(&sealed.expect("sealed"))),
            occurred_at_us: NOW.as_micros(),
            characters: 0,
            body_mac: vec![5; 16],
        }
    }

    pub fn react(
        &self,
        tenant: TenantId,
        topic: Topic,
        schema: u16,
        payload: &[u8],
    ) -> Result<Option<Reaction<Command>>, CodecError> {
        let header = Header {
            schema,
            logic_version: 1,
            tenant,
            seq: 0,
            recorded_at: NOW,
            command_id: COMMAND,
            request_mac: [0; 16],
        };
        Intent::react(&Upstream { topic, header, payload }, &self.keys)
    }

    /// What is heard of a new inquiry with these messages.
    pub fn submitted(&self, tenant: TenantId, n: u32, said: &[(pb::Direction, &str)]) -> Command {
        let message =
            |(n, (direction, text)): (usize, &(pb::Direction, &str))| self.message(tenant, n, *direction, text);
        let event = pb::InquirySubmitted {
            inquiry_id: inquiry(n).to_vec(),
            messages: said.iter().enumerate().map(message).collect(),
            ..pb::InquirySubmitted::default()
        };
        let reaction = self.react(tenant, Topic::Intake, INQUIRY_SUBMITTED, &event.encode_to_vec()).expect("readable");
        reaction.expect("an inquiry is always heard").command
    }

    /// What is heard of one more message, if anything.
    pub fn appended(&self, n: u32, direction: pb::Direction, text: &str) -> Option<Command> {
        let message = Some(self.message(TENANT, 0, direction, text));
        let event = pb::MessageAppended { inquiry_id: inquiry(n).to_vec(), customer_id: vec![6; 16], message };
        let reaction = self.react(TENANT, Topic::Intake, MESSAGE_APPENDED, &event.encode_to_vec()).expect("readable");
        reaction.map(|reaction| reaction.command)
    }

    /// What is heard when a customer says one thing.
    pub fn hear(&self, n: u32, text: &str) -> Command {
        self.appended(n, pb::Direction::Customer, text).expect("customers are heard")
    }
}

/// A tenant to whom commands are given one after the other.
#[derive(Default)]
pub struct Tenant {
    pub state: State,
    told: usize,
}

impl Tenant {
    pub fn told(&mut self, command: &Command) -> Vec<Event> {
        self.told += 1;
        let events = Intent::decide(&self.state, command, &stamp(self.told)).expect("carried out");
        for event in &events {
            Intent::evolve(&mut self.state, event);
        }
        events
    }

    pub fn teach(&mut self, ear: &Ear, examples: &[(&str, &str)]) -> Vec<Event> {
        let examples = examples.iter().map(|(text, label)| example(text, label, &ear.hear(0, text)));
        let events = self.told(&Command::Teach(examples.collect()));
        Intent::invariants(&self.state).expect("the laws hold");
        events
    }

    /// The scores of a text as the model is now.
    pub fn classify(&self, ear: &Ear, text: &str) -> Vec<Score> {
        let Command::Hear { features, .. } = ear.hear(0, text) else { unreachable!() };
        self.state.classify(&features)
    }
}

pub const EXAMPLES: [(&str, &str); 18] = [
    ("液压泵多少钱", "price"),
    ("这个滤芯什么价格", "price"),
    ("how much is the hydraulic pump", "price"),
    ("便宜一点可以吗", "price"),
    ("what is your best price for filters", "price"),
    ("报个价", "price"),
    ("我的订单到哪里了", "order_lookup"),
    ("什么时候发货", "order_lookup"),
    ("where is my order", "order_lookup"),
    ("物流怎么不动了", "order_lookup"),
    ("has my parcel shipped", "order_lookup"),
    ("查一下快递", "order_lookup"),
    ("泵漏油了要退货", "after_sales"),
    ("坏了怎么保修", "after_sales"),
    ("the seal broke after two days", "after_sales"),
    ("申请退款", "after_sales"),
    ("warranty claim for a broken pump", "after_sales"),
    ("装上去不转", "after_sales"),
];
