//! Bad input: every RPC that changes something, with everything that can be wrong with it. Each is refused with a
//! status that a program can act on, and nothing of it is on any log.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use fenliu::verify::verify_folder;
use integration_tests::cases::{self, Case, text, with};
use integration_tests::open::{Open, START};
use integration_tests::{raw, table};
use log::Topic;
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, Value};
use proto::admin::ListShardsRequest;
use proto::intake as pb;
use runtime::{field_of, reason_of};
use table::Row;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

/// RPCs that change nothing: they have no command id and need none.
const READS: [&str; 15] = [
    "Classify",
    "GetCompany",
    "GetDesk",
    "GetInquiry",
    "GetModel",
    "GetStatement",
    "GetStatus",
    "ListCredits",
    "ListParked",
    "ListPayouts",
    "ListShards",
    "ListTenants",
    "QueryKpis",
    "WatchAssignments",
    "WatchOffers",
];
/// Changing RPCs that have tests of their own here, being streams or having no command id.
const APART: [&str; 3] = ["StreamInquiries", "KeepPresence", "ReleaseParked"];

/// What a refusal says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    code: Code,
    reason: String,
    field: Option<String>,
}

impl Said {
    fn of(status: &Status) -> Self {
        Self { code: status.code(), reason: reason_of(status).unwrap_or_default(), field: field_of(status) }
    }

    fn wanted(case: &Case) -> Self {
        Self { code: case.code, reason: case.reason.clone(), field: case.field.clone() }
    }
}

/// A Fenliu with work in every state, and any RPC of it.
struct Door {
    open: Open,
    channel: Channel,
    methods: BTreeMap<String, MethodDescriptor>,
    commands: u64,
}

impl Door {
    /// The answer as it stands on the wire.
    async fn call(&self, method: &str, request: &DynamicMessage) -> Result<Bytes, Said> {
        let answer = raw::call(&self.channel, &self.methods[method], Bytes::from(request.encode_to_vec())).await;
        answer.map_err(|status| Said::of(&status))
    }

    fn command(&mut self) -> String {
        self.commands += 1;
        format!("{:032x}", 0xc0ffee_u128 << 64 | u128::from(self.commands))
    }

    /// The request under a new command id, unless the id is what is wrong with it.
    fn anew(&mut self, case: &DynamicMessage, base: &DynamicMessage) -> DynamicMessage {
        let untouched = cases::get(case, "command_id") == cases::get(base, "command_id");
        if untouched { with(case, "command_id", Some(text(&self.command()))) } else { case.clone() }
    }

    async fn ends(&self) -> BTreeMap<(Topic, u16), u64> {
        self.open.cluster.settle().await;
        self.open.ends()
    }
}

async fn door() -> (tempfile::TempDir, Door, Vec<Row>) {
    let (folder, mut open) = Open::new().await;
    let bases = table::prepare(&mut open.client, START).await;
    let address = fenliu::cluster::address(folder.path()).unwrap().grpc;
    let channel = Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap();
    let contract = raw::contract();
    let rows = table::rows(&contract, &bases);
    let methods = raw::methods(&contract).into_iter();
    let methods = methods.map(|method| (format!("{}/{}", method.parent_service().full_name(), method.name()), method));
    (folder, Door { open, channel, methods: methods.collect(), commands: 0 }, rows)
}

fn cases_of(row: &Row) -> Vec<Case> {
    let now = START.as_micros() / 1_000_000;
    let mut all = cases::all(&raw::contract(), &row.base, &row.manners, now);
    all.extend(row.extra.iter().cloned());
    all
}

#[test]
fn no_rpc_is_missing_from_the_table() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_folder, door, rows) = runtime.block_on(door());
    let in_table: BTreeSet<&str> = rows.iter().map(|row| row.method).collect();
    for (name, method) in &door.methods {
        let changing = !READS.contains(&method.name());
        let has_command = ["command_id", "issued_at"].map(|field| method.input().get_field_by_name(field).is_some());
        if changing && !APART.contains(&method.name()) {
            assert!(in_table.contains(name.as_str()), "{name} has no row");
            assert_eq!(has_command, [true, true], "{name} cannot be repeated safely");
        } else {
            assert_eq!(has_command, [false, false], "{name} looks like a command");
        }
    }
}

#[test]
fn whatever_is_wrong_is_refused_by_name_and_leaves_nothing_on_any_log() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (folder, mut door, rows) = door().await;
        let (mut wrong, mut count) = (Vec::new(), 0);
        for row in &rows {
            let before = door.ends().await;
            for case in cases_of(row) {
                count += 1;
                let request = door.anew(&case.request, &row.base);
                let said = door.call(row.method, &request).await;
                if said != Err(Said::wanted(&case)) {
                    wrong.push(format!("{}: {}: {said:?}, not {:?}", row.method, case.name, Said::wanted(&case)));
                }
                let after = door.ends().await;
                if after != before {
                    wrong.push(format!("{}: {}: it is on the log", row.method, case.name));
                    break;
                }
            }
            accepted_once(&mut door, row, &mut wrong).await;
        }
        assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
        assert!(count > 700, "only {count} cases");
        // What was refused is not in the running state either.
        let request = ListShardsRequest { digests: true };
        let live = door.open.client.admin.list_shards(request).await.unwrap().into_inner().shards;
        let report = verify_folder(folder.path(), Some(&live)).await.unwrap();
        assert!(report.ok, "{report:#?}");
    });
}

/// The base of a row is accepted, so that it was the thing wrong that was refused; and it is accepted once.
async fn accepted_once(door: &mut Door, row: &Row, wrong: &mut Vec<String>) {
    let mut check = |right: bool, what: String| {
        if !right {
            wrong.push(format!("{}: {what}", row.method));
        }
    };
    let request = door.anew(&row.base, &row.base);
    let before = door.ends().await;
    let first = door.call(row.method, &request).await;
    check(first.is_ok(), format!("the base is refused: {first:?}"));
    let after = door.ends().await;
    check(after != before, "the base leaves nothing".to_owned());
    let again = door.call(row.method, &request).await;
    let remembered = |answer: &Result<Bytes, Said>| {
        let answer = DynamicMessage::decode(door.methods[row.method].output(), answer.clone().ok()?).unwrap();
        Some(row.forgotten.iter().fold(answer, |answer, field| with(&answer, field, None)))
    };
    check(
        again.is_ok() && remembered(&again) == remembered(&first),
        format!("the repeat is answered {again:?}, not {first:?}"),
    );
    let other = with(&request, row.other.0, Some(row.other.1.clone()));
    let reused = door.call(row.method, &other).await;
    let wanted = Said { code: Code::AlreadyExists, reason: "COMMAND_ID_REUSED".to_owned(), field: None };
    check(reused == Err(wanted), format!("the same id with another body: {reused:?}"));
    if let Some((code, reason)) = row.rival {
        let rival = with(&other, "command_id", Some(text(&door.command())));
        let refused = door.call(row.method, &rival).await;
        let wanted = Said { code, reason: reason.to_owned(), field: None };
        check(refused == Err(wanted), format!("the same natural key with another body: {refused:?}"));
    }
    let last = door.ends().await;
    check(last == after, "repeats and rivals leave something".to_owned());
}

/// The request of a fact as one of a stream.
fn in_stream(method: &str, request: DynamicMessage) -> pb::StreamInquiriesRequest {
    let descriptor = raw::contract().get_message_by_name("fenliu.intake.v1.StreamInquiriesRequest").unwrap();
    let name: String = method.rsplit('/').next().unwrap().chars().fold(String::new(), |name, letter| {
        let gap = if letter.is_uppercase() && !name.is_empty() { "_" } else { "" };
        format!("{name}{gap}{}", letter.to_lowercase())
    });
    let mut stream = DynamicMessage::new(descriptor);
    stream.set_field_by_name(&name, Value::Message(request));
    pb::StreamInquiriesRequest::decode(stream.encode_to_vec().as_slice()).unwrap()
}

#[test]
fn a_refusal_inside_a_stream_does_not_end_it() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, mut door, rows) = door().await;
        let rows: Vec<Row> = rows.into_iter().filter(|row| row.method.contains(".intake.")).collect();
        assert_eq!(rows.len(), 11);
        let (requests, stream) = mpsc::channel(1);
        let mut client = door.open.client.clone();
        let answers = client.intake.stream_inquiries(ReceiverStream::new(stream)).await.unwrap();
        let mut answers = answers.into_inner();
        let (mut wrong, before) = (Vec::new(), door.ends().await);
        for row in &rows {
            for case in cases_of(row) {
                let request = door.anew(&case.request, &row.base);
                let Value::String(command_id) = cases::get(&request, "command_id") else { unreachable!() };
                requests.send(in_stream(row.method, request)).await.unwrap();
                let answer = answers.next().await.unwrap().unwrap();
                let refusal = answer.refusal.clone().unwrap_or_default();
                let field = (!refusal.field.is_empty()).then_some(refusal.field);
                let code = Code::from(i32::try_from(refusal.code).unwrap());
                let said = Said { code, reason: refusal.reason, field };
                if said != Said::wanted(&case) || answer.command_id != command_id || !answer.id.is_empty() {
                    wrong.push(format!("{}: {}: {said:?}, not {:?}", row.method, case.name, Said::wanted(&case)));
                }
            }
        }
        requests.send(pb::StreamInquiriesRequest { request: None }).await.unwrap();
        let refusal = answers.next().await.unwrap().unwrap().refusal.unwrap();
        assert_eq!((refusal.reason.as_str(), refusal.field.as_str()), ("INVALID_FIELD", "request"));
        assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
        assert_eq!(door.ends().await, before);
        // And the stream still takes what is right.
        for row in &rows {
            let request = door.anew(&row.base, &row.base);
            requests.send(in_stream(row.method, request)).await.unwrap();
            let answer = answers.next().await.unwrap().unwrap();
            assert_eq!(answer.refusal, None, "{}", row.method);
            assert_eq!(answer.id.len(), 32);
        }
        drop(requests);
        assert!(answers.next().await.is_none());
    });
}

#[test]
fn what_is_no_message_or_too_large_is_refused_too() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, door, rows) = door().await;
        let before = door.ends().await;
        for row in &rows {
            let method = &door.methods[row.method];
            // gRPC itself answers, so there is a code and no reason.
            let too_large = with(&row.base, "tenant", Some(text(&"x".repeat(5 << 20))));
            let status = raw::call(&door.channel, method, too_large.encode_to_vec().into()).await.unwrap_err();
            assert_eq!(status.code(), Code::OutOfRange, "{}: {status:?}", row.method);
            let whole = row.base.encode_to_vec();
            let cut = Bytes::copy_from_slice(&whole[..whole.len() - 1]);
            for garbage in [Bytes::from_static(b"\xff\xff\xff"), Bytes::from_static(b"\x0a\x05abc"), cut] {
                let status = raw::call(&door.channel, method, garbage).await.unwrap_err();
                assert_eq!(status.code(), Code::Internal, "{}: {status:?}", row.method);
            }
            let empty = raw::call(&door.channel, method, Bytes::new()).await.unwrap_err();
            assert_eq!(Said::of(&empty).field.as_deref(), Some("command_id"), "{}", row.method);
        }
        assert_eq!(door.ends().await, before);
    });
}

#[test]
fn a_park_that_is_not_there_is_not_released() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, door, _) = door().await;
        let before = door.ends().await;
        let tenant = kernel::TenantId::of_code(table::TENANT).to_string();
        let mut client = door.open.client.clone();
        let mut release = async |service: &str, tenant_id: &str, entity: &str| {
            let [service, tenant_id, entity] = [service, tenant_id, entity].map(str::to_owned);
            let request = proto::admin::ReleaseParkedRequest { service, tenant_id, entity };
            client.admin.release_parked(request).await.map(|answer| answer.into_inner().released)
        };
        for (service, tenant, entity, field) in [
            ("intake", tenant.as_str(), "00", "service"),
            ("", &tenant, "00", "service"),
            ("kpi", "", "00", "tenant_id"),
            ("kpi", "acme", "00", "tenant_id"),
            ("kpi", &tenant, "0", "entity"),
            ("kpi", &tenant, "zz", "entity"),
        ] {
            let said = Said::of(&release(service, tenant, entity).await.unwrap_err());
            let (code, reason) = (Code::InvalidArgument, "INVALID_FIELD".to_owned());
            assert_eq!(said, Said { code, reason, field: Some(field.to_owned()) });
        }
        for service in ["intent", "assignment", "kpi", "payroll"] {
            assert_eq!(release(service, &tenant, "00").await.unwrap(), 0);
            assert_eq!(release(service, &"ab".repeat(16), "00").await.unwrap(), 0);
        }
        assert_eq!(door.ends().await, before);
    });
}

#[test]
fn presence_is_kept_for_nobody_who_is_not_there() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let (_folder, door, _) = door().await;
        let before = door.ends().await;
        let mut client = door.open.client.clone();
        let mut keep = async |tenant: &str, employee: &str| {
            let [tenant, employee] = [tenant, employee].map(str::to_owned);
            let beats = tokio_stream::iter([proto::roster::KeepPresenceRequest { tenant, employee }]);
            client.roster.keep_presence(beats).await.map(drop).map_err(|status| Said::of(&status))
        };
        for (tenant, employee, field) in
            [("", "E1", "tenant"), ("acme", "", "employee"), ("a\nb", "E1", "tenant"), ("acme", "E\u{0}", "employee")]
        {
            let said = keep(tenant, employee).await.unwrap_err();
            let (code, reason) = (Code::InvalidArgument, "INVALID_FIELD".to_owned());
            assert_eq!(said, Said { code, reason, field: Some(field.to_owned()) });
        }
        assert_eq!(keep("acme", "E99").await.unwrap_err().reason, "EMPLOYEE_UNKNOWN");
        assert_eq!(keep("nobody", "E1").await.unwrap_err().reason, "TENANT_UNKNOWN");
        let silence = tokio_stream::iter(Vec::<proto::roster::KeepPresenceRequest>::new());
        let said = Said::of(&door.open.client.clone().roster.keep_presence(silence).await.unwrap_err());
        assert_eq!(said.field.as_deref(), Some("employee"));
        assert_eq!(door.ends().await, before);
    });
}
