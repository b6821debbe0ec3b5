//! One row for every RPC that changes something: a request that is accepted, and how each thing wrong with it is
//! refused.

use fenliu::client::Client;
use kernel::Timestamp;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use proto::common::Money;
use proto::{assignment, intake, intent, payroll, roster};
use runtime::field::wire_timestamp;
use tonic::Code;

use crate::cases::{Case, Manners, request, text, with};
use crate::company::{self, CALM};

mod bases;
mod pay;

pub use bases::{TENANT, prepare};

use Code::{AlreadyExists, FailedPrecondition, InvalidArgument, NotFound};
use bases::Bases;

/// An RPC with its request.
pub struct Row {
    pub method: &'static str,
    /// Accepted as it is, but for its command id.
    pub base: DynamicMessage,
    pub manners: Manners,
    /// Wrong in ways that do not follow from the kinds of the fields.
    pub extra: Vec<Case>,
    /// A field whose change makes another request, also acceptable: under the same command id it is refused.
    pub other: (&'static str, Value),
    /// The same for the natural key: what the other request is refused with under a new command id.
    pub rival: Option<(Code, &'static str)>,
    /// Fields of the answer that a repeat does not give again: that is so today, and not meant (L4).
    pub forgotten: &'static [&'static str],
}

impl Row {
    fn new(contract: &DescriptorPool, method: &'static str, base: &impl Message, other: (&'static str, Value)) -> Self {
        let service = method.split_once("Service/").unwrap();
        let name = format!("{}.{}Request", service.0.rsplit_once('.').unwrap().0, service.1);
        let base = request(contract, &name, base);
        Self { method, base, manners: Manners::default(), extra: Vec::new(), other, rival: None, forgotten: &[] }
    }

    fn manners(mut self, manners: Manners) -> Self {
        self.manners = manners;
        self
    }

    fn rival(mut self, reason: &'static str) -> Self {
        self.rival = Some((AlreadyExists, reason));
        self
    }

    /// One more way to be wrong.
    fn wrong(mut self, path: &str, to: Value, code: Code, reason: &str) -> Self {
        let field = (code == InvalidArgument).then(|| path.to_owned());
        let what: String = format!("{to:?}").chars().take(60).collect();
        self.extra.push(Case {
            name: format!("{path} is {what}"),
            request: with(&self.base, path, Some(to)),
            code,
            reason: reason.to_owned(),
            field,
        });
        self
    }

    fn invalid(self, path: &str, to: Value) -> Self {
        self.wrong(path, to, InvalidArgument, "INVALID_FIELD")
    }
}

const NO_TENANT: (&str, Code, &str) = ("tenant", NotFound, "TENANT_UNKNOWN");
const NO_INQUIRY: (&str, Code, &str) = ("inquiry_external_id", NotFound, "INQUIRY_UNKNOWN");
const NO_ORDER: (&str, Code, &str) = ("order_external_id", NotFound, "ORDER_UNKNOWN");
const NO_DESK: (&str, Code, &str) = ("desk", NotFound, "DESK_UNKNOWN");

/// All rows. Some are accepted only after those before them.
pub fn rows(contract: &DescriptorPool, bases: &Bases) -> Vec<Row> {
    let mut rows = facts(contract, bases);
    rows.extend(outcomes(contract, bases));
    rows.extend(people(contract, bases));
    rows.extend(pay::rows(contract, bases));
    rows
}

/// Language is a code and takes control characters all the same, as do channel, category, disposition and intent: that
/// is so today, and not meant.
const CUSTOMER_FREE: [&str; 4] = CUSTOMER_OPTIONAL;
const CUSTOMER_OPTIONAL: [&str; 4] = ["customer.name", "customer.phone", "customer.address", "customer.language"];

fn facts(contract: &DescriptorPool, bases: &Bases) -> Vec<Row> {
    let submit = "fenliu.intake.v1.IntakeService/SubmitInquiry";
    let many = |count: usize| {
        let message =
            crate::cases::get(&request(contract, "fenliu.intake.v1.SubmitInquiryRequest", &bases.submit()), "messages");
        Value::List(vec![message.as_list().unwrap()[0].clone(); count])
    };
    vec![
        Row::new(contract, submit, &bases.submit(), ("category", text("other")))
            .manners(Manners {
                optional: &[
                    "channel",
                    "priority_minutes",
                    "category",
                    "customer.name",
                    "customer.phone",
                    "customer.address",
                    "customer.language",
                ],
                free: &[
                    "customer.name",
                    "customer.phone",
                    "customer.address",
                    "customer.language",
                    "messages[0].text",
                    "channel",
                    "category",
                ],
                unknown: &[NO_TENANT, NO_DESK],
                ..Manners::default()
            })
            .rival("FACT_DIFFERS")
            .invalid("priority_minutes", Value::U32(1_441))
            .invalid("priority_minutes", Value::U32(u32::MAX))
            .invalid("messages", many(51))
            .wrong("messages", many(2), InvalidArgument, "MESSAGE_REPEATED")
            .invalid("messages[0].text", text(&"字".repeat(8_001)))
            .invalid("external_id", text(&"x".repeat(201)))
            .invalid("customer.name", text(&"x".repeat(201)))
            .invalid("customer.address", text(&"x".repeat(1_001))),
        Row::new(
            contract,
            "fenliu.intake.v1.IntakeService/AppendMessage",
            &bases.append(),
            ("message.text", text("other")),
        )
        .manners(Manners {
            free: &["message.text"],
            unknown: &[NO_TENANT, NO_INQUIRY, ("platform", NotFound, "INQUIRY_UNKNOWN")],
            ..Manners::default()
        })
        .rival("MESSAGE_DIFFERS")
        .wrong("inquiry_external_id", text("inquiry-closed"), FailedPrecondition, "INQUIRY_CLOSED"),
        Row::new(contract, "fenliu.intake.v1.IntakeService/CloseInquiry", &bases.close(), ("reason", text("other")))
            .manners(Manners {
                optional: &["reason"],
                free: &["reason"],
                unknown: &[NO_TENANT, NO_INQUIRY, ("platform", NotFound, "INQUIRY_UNKNOWN")],
                ..Manners::default()
            }),
        Row::new(
            contract,
            "fenliu.intake.v1.IntakeService/UpsertCustomer",
            &bases.upsert(),
            ("customer.name", text("other")),
        )
        .manners(Manners {
            optional: &CUSTOMER_OPTIONAL,
            free: &CUSTOMER_FREE,
            unknown: &[NO_TENANT],
            ..Manners::default()
        }),
        Row::new(
            contract,
            "fenliu.intake.v1.IntakeService/LinkCustomer",
            &bases.link(),
            ("merged.external_id", text("customer-4")),
        )
        .manners(Manners {
            unread: &[
                "kept.name",
                "kept.phone",
                "kept.address",
                "kept.language",
                "merged.name",
                "merged.phone",
                "merged.address",
                "merged.language",
            ],
            unknown: &[
                NO_TENANT,
                ("kept.external_id", NotFound, "CUSTOMER_UNKNOWN"),
                ("merged.external_id", NotFound, "CUSTOMER_UNKNOWN"),
            ],
            ..Manners::default()
        }),
        Row::new(
            contract,
            "fenliu.intake.v1.IntakeService/RecordHistoryInquiry",
            &bases.history(),
            ("handler", text("E2")),
        )
        .manners(Manners {
            optional: &CUSTOMER_OPTIONAL,
            free: &CUSTOMER_FREE,
            unknown: &[NO_TENANT, NO_DESK],
            ..Manners::default()
        })
        .rival("FACT_DIFFERS"),
    ]
}

fn outcomes(contract: &DescriptorPool, bases: &Bases) -> Vec<Row> {
    let amount = |minor| Value::Message(request(contract, "fenliu.common.v1.Money", &cny(minor)));
    let dollars = Money { currency: "USD".to_owned(), ..cny(100) };
    let dollars = Value::Message(request(contract, "fenliu.common.v1.Money", &dollars));
    let of_order =
        Manners { unknown: &[NO_TENANT, NO_ORDER, ("platform", NotFound, "ORDER_UNKNOWN")], ..Manners::default() };
    vec![
        Row::new(contract, "fenliu.intake.v1.IntakeService/RecordOrder", &bases.order(), ("amount", amount(200)))
            .manners(Manners {
                optional: &[
                    "customer.name",
                    "customer.phone",
                    "customer.address",
                    "customer.language",
                    "history",
                    "handler",
                ],
                free: &CUSTOMER_FREE,
                unknown: &[NO_TENANT],
                ..Manners::default()
            })
            .rival("FACT_DIFFERS")
            .invalid("handler", text("E1")),
        Row::new(contract, "fenliu.intake.v1.IntakeService/RecordPayment", &bases.payment(), ("amount", amount(200)))
            .manners(of_order)
            .rival("FACT_DIFFERS")
            .wrong("amount", dollars.clone(), InvalidArgument, "CURRENCY_DIFFERS"),
        Row::new(contract, "fenliu.intake.v1.IntakeService/RecordRefund", &bases.refund(), ("amount", amount(200)))
            .manners(of_order)
            .rival("FACT_DIFFERS")
            .wrong("amount", dollars, InvalidArgument, "CURRENCY_DIFFERS")
            .wrong("amount", amount(10_001), FailedPrecondition, "REFUND_EXCEEDS_ORDER"),
        Row::new(contract, "fenliu.intake.v1.IntakeService/RecordRating", &bases.rating(), ("score", Value::U32(1)))
            .manners(Manners {
                unknown: &[NO_TENANT, NO_INQUIRY, ("platform", NotFound, "INQUIRY_UNKNOWN")],
                ..Manners::default()
            })
            .rival("FACT_DIFFERS")
            .invalid("score", Value::U32(6))
            .invalid("score", Value::U32(u32::MAX)),
        Row::new(contract, "fenliu.intake.v1.IntakeService/RecordCost", &bases.cost(), ("kind", text("other")))
            .manners(Manners { optional: &["desk"], unknown: &[NO_TENANT, NO_DESK], ..Manners::default() })
            .rival("FACT_DIFFERS"),
    ]
}

fn people(contract: &DescriptorPool, bases: &Bases) -> Vec<Row> {
    let label = |label: &str| {
        let example = intent::Example { text: "多少钱".to_owned(), label: label.to_owned(), ..Default::default() };
        Value::List(vec![Value::Message(request(contract, "fenliu.intent.v1.Example", &example))])
    };
    let of_inquiry = |id: &str| {
        let example = intent::Example { inquiry_id: id.to_owned(), label: "price".to_owned(), ..Default::default() };
        Value::List(vec![Value::Message(request(contract, "fenliu.intent.v1.Example", &example))])
    };
    let both =
        intent::Example { text: "a".to_owned(), inquiry_id: bases.assigned[0].clone(), label: "price".to_owned() };
    let both = Value::List(vec![Value::Message(request(contract, "fenliu.intent.v1.Example", &both))]);
    let reservation = [NO_TENANT, ("reservation_id", NotFound, "RESERVATION_UNKNOWN")];
    let inquiry = [NO_TENANT, ("inquiry_id", NotFound, "INQUIRY_UNKNOWN")];
    let by_reservation = Manners { unknown: reservation.to_vec().leak(), ..Manners::default() };
    let by_inquiry =
        |optional, free| Manners { unknown: inquiry.to_vec().leak(), optional, free, ..Manners::default() };
    let over = |row: Row| {
        row.wrong("epoch", Value::U32(0), InvalidArgument, "WRONG_EPOCH")
            .wrong("epoch", Value::U32(99), InvalidArgument, "WRONG_EPOCH")
            .wrong("reservation_id", text(&bases.accepted), FailedPrecondition, "RESERVATION_ACCEPTED")
    };
    let assigned = |row: Row| row.wrong("inquiry_id", text(&bases.pending), FailedPrecondition, "NOT_ASSIGNED");
    vec![
        Row::new(
            contract,
            "fenliu.roster.v1.RosterService/SetPresence",
            &bases.presence(),
            ("presence", Value::EnumNumber(3)),
        )
        .manners(Manners {
            // Whether a company exists is known to the roster by its employees.
            unknown: &[("tenant", NotFound, "EMPLOYEE_UNKNOWN"), ("employee", NotFound, "EMPLOYEE_UNKNOWN")],
            ..Manners::default()
        }),
        Row::new(contract, "fenliu.intent.v1.IntentService/Teach", &bases.teach(), ("examples", label("other")))
            .manners(Manners {
                unread: &["examples[0].inquiry_id"],
                free: &["examples[0].text"],
                unknown: &[NO_TENANT],
                ..Manners::default()
            })
            .invalid("examples[0].label", text(&"x".repeat(65)))
            .invalid("examples[0].text", text(&"字".repeat(8_001)))
            .wrong_at("examples", both, "examples[0].text")
            .wrong_at("examples", of_inquiry("x"), "examples[0].inquiry_id")
            .wrong_at("examples", of_inquiry(&"g".repeat(32)), "examples[0].inquiry_id")
            .wrong("examples", of_inquiry(&"ab".repeat(16)), NotFound, "INQUIRY_UNKNOWN"),
        over(
            Row::new(
                contract,
                "fenliu.assignment.v1.AssignmentService/AcceptReservation",
                &bases.accept(),
                ("reservation_id", text(&bases.reserved[1].0)),
            )
            .manners(Manners { optional: &["epoch"], ..by_reservation }),
        ),
        over(
            Row::new(
                contract,
                "fenliu.assignment.v1.AssignmentService/RejectReservation",
                &bases.reject(),
                ("reason", text("other")),
            )
            .manners(Manners { optional: &["epoch", "reason"], free: &["reason"], ..by_reservation }),
        ),
        assigned(
            Row::new(
                contract,
                "fenliu.assignment.v1.AssignmentService/CompleteInquiry",
                &bases.complete(),
                ("disposition", text("other")),
            )
            .manners(by_inquiry(&["disposition"], &["disposition"])),
        ),
        assigned(
            Row::new(
                contract,
                "fenliu.assignment.v1.AssignmentService/TransferInquiry",
                &bases.transfer(),
                ("reason", text("other")),
            )
            .manners(by_inquiry(&["to_employee", "intent", "reason"], &["intent", "reason"]))
            .wrong("to_employee", text("E99"), NotFound, "AGENT_UNKNOWN")
            .wrong("to_employee", text(&bases.holder), InvalidArgument, "SAME_AGENT"),
        ),
    ]
}

impl Row {
    /// Wrong as a whole, where the refusal names a field inside.
    fn wrong_at(self, path: &str, to: Value, field: &str) -> Self {
        let mut row = self.invalid(path, to);
        row.extra.last_mut().unwrap().field = Some(field.to_owned());
        row
    }
}

fn cny(minor: i64) -> Money {
    Money { minor, currency: "CNY".to_owned(), exponent: 2 }
}

/// An instant as it stands in a request.
fn wire(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(wire_timestamp(at))
}
