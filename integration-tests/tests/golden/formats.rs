//! Formats that are no records of a log, and stand on it or beside it all the same: pinned with fixed keys.

use fenliu::admin::{hex, unhex};
use kernel::{
    CommandId, Currency, CustomerId, DataKey, EmployeeId, EventId, InquiryId, KeyId, Money, OrderId, PayoutId, Purpose,
    SealPlace, Sealed, Subject, TenantId, Timestamp, seal, shard_of, unseal,
};
use log::{Causation, Envelope, Topic};
use prost::Message;
use proto::{common, payroll as pb};
use runtime::{FileKeys, Keys, Vault};
use serde_json::{Value, json};

use crate::{read_json, write_json, writing};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const COMMAND: CommandId = CommandId::from_bytes([2; 16]);
const PLACE: SealPlace<'_> = SealPlace { tenant: TENANT, command_id: COMMAND, field: "messages[2].text" };
const CLEAR: &str = "小松PC200的主泵多少钱";
const KEY: DataKey = DataKey([9; 32]);

/// A key store as version 1 wrote it: a secret of 32 bytes, and one block of 4096 keys of 32 bytes.
fn key_store() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("blocks")).unwrap();
    std::fs::write(dir.path().join("secret"), [8; 32]).unwrap();
    let block = [b"fenliuk1".to_vec(), vec![0; 8], KEY.0.repeat(4096)].concat();
    std::fs::write(dir.path().join("blocks/00000000"), block).unwrap();
    dir
}

/// The id of the first key of the first block.
fn key_id() -> KeyId {
    KeyId::from_bytes([0; 16])
}

fn sealed_json(sealed: &Sealed) -> Value {
    json!({
        "subject": hex(&sealed.subject.0),
        "key_id": sealed.key_id.to_string(),
        "algorithm": sealed.algorithm,
        "nonce": hex(&sealed.nonce),
        "ciphertext": hex(&sealed.ciphertext),
    })
}

fn sealed() -> Sealed {
    seal(&KEY, key_id(), Subject([4; 16]), Purpose::Service, PLACE, CLEAR.as_bytes())
}

fn envelope() -> Vec<u8> {
    let envelope = Envelope {
        schema: 7,
        logic_version: 2,
        tenant: TENANT,
        seq: 42,
        id: EventId::from_bytes([3; 16]),
        recorded_at: Timestamp::from_micros(1_789_434_000_000_000),
        command_id: COMMAND,
        request_mac: [4; 16],
        correlation: [5; 16],
        previous_hash: [6; 32],
        causation: Some(Causation { topic: Topic::Kpi, partition: 9, seq: 77 }),
        actor: kernel::Actor {
            kind: kernel::ActorKind::Employee,
            id: EmployeeId::from_bytes([7; 16]),
            positions: vec!["sales_manager".to_owned()],
        },
    };
    envelope.encode(b"payload").unwrap()
}

/// What finance reads, field by field.
fn payout() -> Vec<u8> {
    let money = |minor| Some(common::Money { minor, currency: "CNY".to_owned(), exponent: 2 });
    let change = pb::PayoutChanged {
        payout_id: vec![1; 16],
        version: 1,
        state: pb::PayoutState::Issued.into(),
        participant_id: vec![2; 16],
        legal_entity: "LE1".to_owned(),
        period: "2026-09".to_owned(),
        run: 1,
        amount: money(123_456),
        gross: true,
        participant_seq: 3,
        issued_total: money(654_321),
        previous_hash: vec![3; 32],
        statement_hash: vec![4; 32],
    };
    change.encode_to_vec()
}

fn formats() -> Value {
    let store = key_store();
    let keys = FileKeys::open(store.path()).unwrap();
    let shards: Vec<Value> = ["sample", "golden", "acme", "一家公司"]
        .iter()
        .map(|code| {
            let tenant = TenantId::of_code(code);
            json!({"tenant": code, "id": tenant.to_string(), "of_4": shard_of(tenant, 4), "of_16": shard_of(tenant, 16)})
        })
        .collect();
    let currency: Currency = "CNY".parse().unwrap();
    json!({
        "shards": shards,
        "ids": {
            "inquiry": InquiryId::derive(TENANT, COMMAND, 0).to_string(),
            "customer": CustomerId::derive(TENANT, COMMAND, 1).to_string(),
            "order": OrderId::derive(TENANT, COMMAND, 2).to_string(),
            "employee": EmployeeId::of_code(TENANT, "S01").to_string(),
            "payout": PayoutId::of_parts(&[b"a", b"bc"]).to_string(),
            "command": CommandId::of_parts(&[b"ab", b"c"]).to_string(),
        },
        "envelope": hex(&envelope()),
        "payout": hex(&payout()),
        "request_mac": hex(&keys.request_mac(TENANT, "SubmitInquiry", b"a request")),
        "customer_mac": hex(&keys.mac(TENANT, "customer", b"shop\0c1")),
        "sealed": sealed_json(&sealed()),
        "money": serde_json::to_value(Money::new(-1_234, currency)).unwrap(),
    })
}

#[test]
fn formats_are_what_they_were() {
    if writing() {
        write_json("formats.json", &formats());
    }
    let expected = read_json("formats.json");
    let found = formats();
    let mut lost = Vec::new();
    crate::answers::lost("", &expected, &found, &mut lost);
    assert!(lost.is_empty(), "{lost:#?}");
}

#[test]
fn what_was_sealed_once_can_be_opened_for_ever() {
    if writing() {
        return;
    }
    let expected = read_json("formats.json");
    let sealed = &expected["sealed"];
    let bytes = |field: &str| unhex(sealed[field].as_str().unwrap()).unwrap();
    let sealed = Sealed {
        subject: Subject(bytes("subject").try_into().unwrap()),
        purpose: Purpose::Service,
        key_id: key_id(),
        algorithm: u32::try_from(sealed["algorithm"].as_u64().unwrap()).unwrap(),
        nonce: bytes("nonce"),
        ciphertext: bytes("ciphertext"),
    };
    assert_eq!(unseal(&KEY, &sealed, PLACE).unwrap(), CLEAR.as_bytes());
    let store = key_store();
    let keys = FileKeys::open(store.path()).unwrap();
    assert_eq!(keys.open(TENANT, COMMAND, PLACE.field, &sealed).as_deref(), Some(CLEAR.as_bytes()));
}
