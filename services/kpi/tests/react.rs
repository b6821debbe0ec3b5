//! What kpi takes from other topics: the known types, and a stop at the first unknown one.

use kernel::{CommandId, EmployeeId, Sealed, TenantId, Timestamp};
use kpi::Kpi;
use kpi::domain::Command;
use log::{Header, Topic};
use prost::Message as _;
use proto::{assignment, common, intake, roster};
use runtime::{CodecError, Reaction, Service, Upstream, Vault};

const TENANT: TenantId = TenantId::from_bytes([1; 16]);
const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// Nothing that kpi reads is sealed.
struct NothingSealed;

impl Vault for NothingSealed {
    fn open(&self, _: TenantId, _: CommandId, field: &str, _: &Sealed) -> Option<Vec<u8>> {
        panic!("kpi opened {field}")
    }
    fn mac(&self, _: TenantId, what: &str, _: &[u8]) -> [u8; 16] {
        panic!("kpi hashed {what}")
    }
}

fn react(topic: Topic, schema: u16, payload: &[u8]) -> Result<Option<Reaction<Command>>, CodecError> {
    let command_id = CommandId::from_bytes([2; 16]);
    let header =
        Header { schema, logic_version: 1, tenant: TENANT, seq: 7, recorded_at: NOW, command_id, request_mac: [0; 16] };
    Kpi::react(&Upstream { topic, header, payload }, &NothingSealed)
}

fn command(topic: Topic, schema: u16, payload: &[u8]) -> Option<Command> {
    react(topic, schema, payload).expect("readable").map(|reaction| reaction.command)
}

fn yuan(minor: i64) -> Option<common::Money> {
    Some(common::Money { minor, currency: "CNY".to_owned(), exponent: 2 })
}

#[test]
fn a_type_that_is_not_known_here_stops_the_shard() {
    for (topic, last) in [(Topic::Intake, 11), (Topic::Assignment, 23), (Topic::Roster, 8)] {
        assert_eq!(react(topic, last + 1, b""), Err(CodecError::UnknownSchema(last + 1)), "{topic}");
        let known = (1..=last).all(|schema| !matches!(react(topic, schema, b""), Err(CodecError::UnknownSchema(_))));
        assert!(known, "{topic}");
    }
    assert_eq!(react(Topic::Payroll, 1, b""), Err(CodecError::UnknownSchema(1)), "kpi does not read payroll");
}

#[test]
fn a_record_that_cannot_be_read_is_malformed() {
    let of_interest = [2, 6, 7, 8, 9, 11].map(|schema| (Topic::Intake, schema));
    for (topic, schema) in of_interest.into_iter().chain([(Topic::Assignment, 5), (Topic::Roster, 4)]) {
        for payload in [&b"\xff\xff\xff"[..], b"\x0a\x01x"] {
            let read = react(topic, schema, payload);
            assert!(matches!(read, Err(CodecError::Malformed(_))), "{topic} {schema}: {read:?}");
        }
    }
    let wrong_exponent = intake::OrderRecorded {
        order_id: vec![1; 16],
        customer_id: vec![2; 16],
        amount: Some(common::Money { minor: 1, currency: "JPY".to_owned(), exponent: 2 }),
        ..Default::default()
    };
    assert!(matches!(react(Topic::Intake, 6, &wrong_exponent.encode_to_vec()), Err(CodecError::Malformed(_))));
}

#[test]
fn an_accepted_reservation_is_a_contact_at_the_time_of_its_record() {
    let accepted = assignment::ReservationAccepted {
        inquiry_id: vec![1; 16],
        assignment_id: vec![2; 16],
        employee_id: vec![3; 16],
        customer_id: vec![4; 16],
        desk: "east".to_owned(),
        waited_ms: 900,
        ..Default::default()
    };
    let Some(Command::NoteContact { contact, .. }) = command(Topic::Assignment, 5, &accepted.encode_to_vec()) else {
        panic!("a contact is expected")
    };
    assert_eq!((contact.occurred_at, contact.waited_ms, contact.history), (NOW, 900, false));
}

#[test]
fn a_conversation_of_the_past_is_a_contact_of_the_past_where_its_handler_is_known() {
    let mut past = intake::HistoryInquiryRecorded {
        inquiry_id: vec![1; 16],
        customer_id: vec![4; 16],
        handler: "E07".to_owned(),
        occurred_at_us: 5,
        ..Default::default()
    };
    let Some(Command::NoteContact { contact, .. }) = command(Topic::Intake, 11, &past.encode_to_vec()) else {
        panic!("a contact is expected")
    };
    assert!(contact.history);
    assert_eq!((contact.employee_id, contact.occurred_at.as_micros()), (EmployeeId::of_code(TENANT, "E07"), 5));
    past.handler.clear();
    assert_eq!(command(Topic::Intake, 11, &past.encode_to_vec()), None);
}

#[test]
fn an_order_names_its_seller_only_where_an_old_system_did() {
    let mut order = intake::OrderRecorded {
        order_id: vec![1; 16],
        customer_id: vec![2; 16],
        amount: yuan(500),
        history: true,
        handler: "E07".to_owned(),
        ..Default::default()
    };
    let handler = |order: &intake::OrderRecorded| match command(Topic::Intake, 6, &order.encode_to_vec()) {
        Some(Command::NoteOrder(order)) => order.handler,
        other => panic!("{other:?}"),
    };
    assert_eq!(handler(&order), Some(EmployeeId::of_code(TENANT, "E07")));
    order.handler.clear();
    assert_eq!(handler(&order), None);
}

#[test]
fn employees_come_from_the_roster() {
    let defined = roster::EmployeeDefined { employee_id: vec![3; 16], code: "E07".to_owned(), ..Default::default() };
    assert!(matches!(command(Topic::Roster, 4, &defined.encode_to_vec()), Some(Command::NoteEmployee { .. })));
    assert_eq!(command(Topic::Roster, 6, b"whatever presence is"), None);
}
