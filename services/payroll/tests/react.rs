//! What payroll takes from other topics: the known types, and a stop at the first unknown one.

use kernel::{CommandId, Sealed, TenantId, Timestamp};
use log::{Header, Topic};
use payroll::Payroll;
use payroll::domain::Command;
use prost::Message as _;
use proto::{common, kpi, roster};
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

/// Nothing that payroll reads is sealed.
struct NothingSealed;

impl Vault for NothingSealed {
    fn open(&self, _: TenantId, _: CommandId, field: &str, _: &Sealed) -> Option<Vec<u8>> {
        panic!("payroll opened {field}")
    }
    fn mac(&self, _: TenantId, what: &str, _: &[u8]) -> [u8; 16] {
        panic!("payroll hashed {what}")
    }
}

fn react(topic: Topic, schema: u16, payload: &[u8]) -> Result<Option<Reaction<Command>>, CodecError> {
    let header = Header {
        schema,
        logic_version: 1,
        tenant: TenantId::from_bytes([1; 16]),
        seq: 7,
        recorded_at: Timestamp::from_micros(0),
        command_id: CommandId::from_bytes([2; 16]),
        request_mac: [0; 16],
    };
    Payroll::react(&Upstream { topic, header, payload }, &NothingSealed)
}

fn command(topic: Topic, schema: u16, payload: &[u8]) -> Option<Command> {
    react(topic, schema, payload).expect("readable").map(|reaction| reaction.command)
}

fn granted(history: bool, kind: kpi::CreditKind) -> Vec<u8> {
    let granted = kpi::CreditGranted {
        credit_id: vec![1; 16],
        kind: kind.into(),
        order_id: vec![2; 16],
        employee_id: vec![3; 16],
        amount: Some(common::Money { minor: -500, currency: "CNY".to_owned(), exponent: 2 }),
        occurred_at_us: 9,
        history,
        ..Default::default()
    };
    granted.encode_to_vec()
}

#[test]
fn a_type_that_is_not_known_here_stops_the_shard() {
    for (topic, last) in [(Topic::Kpi, 9), (Topic::Roster, 8)] {
        assert_eq!(react(topic, last + 1, b""), Err(CodecError::UnknownSchema(last + 1)), "{topic}");
        let known = (1..=last).all(|schema| !matches!(react(topic, schema, b""), Err(CodecError::UnknownSchema(_))));
        assert!(known, "{topic}");
    }
    assert_eq!(react(Topic::Intake, 6, b""), Err(CodecError::UnknownSchema(6)), "payroll does not read intake");
}

#[test]
fn a_credit_is_noted_with_its_place_in_kpi_and_one_of_the_past_never() {
    let Some(Command::NoteCredit { credit, kpi_seq, .. }) =
        command(Topic::Kpi, 6, &granted(false, kpi::CreditKind::Refund))
    else {
        panic!("a credit is expected")
    };
    assert_eq!((kpi_seq, credit.amount.minor, credit.refund, credit.inquiry_id), (7, -500, true, None));
    assert_eq!(command(Topic::Kpi, 6, &granted(true, kpi::CreditKind::Sale)), None, "history never pays");
}

#[test]
fn a_credit_without_kind_is_malformed() {
    let unspecified = granted(false, kpi::CreditKind::Unspecified);
    assert!(matches!(react(Topic::Kpi, 6, &unspecified), Err(CodecError::Malformed(_))));
    for (topic, schema) in [(Topic::Kpi, 6), (Topic::Kpi, 7), (Topic::Roster, 4), (Topic::Roster, 1)] {
        let read = react(topic, schema, b"\xff\xff\xff");
        assert!(matches!(read, Err(CodecError::Malformed(_))), "{topic} {schema}: {read:?}");
    }
}

#[test]
fn the_company_and_its_people_come_from_the_roster() {
    let company =
        roster::CompanyDefined { currency: "CNY".to_owned(), legal_entity: "SH01".to_owned(), ..Default::default() };
    assert!(matches!(command(Topic::Roster, 1, &company.encode_to_vec()), Some(Command::NoteCompany(_))));
    let nowhere = roster::CompanyDefined { currency: "cny".to_owned(), ..company };
    assert!(matches!(react(Topic::Roster, 1, &nowhere.encode_to_vec()), Err(CodecError::Malformed(_))));
    let hired =
        roster::EmployeeDefined { employee_id: vec![3; 16], position: "sales".to_owned(), ..Default::default() };
    assert!(matches!(command(Topic::Roster, 4, &hired.encode_to_vec()), Some(Command::NoteParticipant { .. })));
}
