//! The gRPC door of intake: checks fields, seals personal values, builds commands.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kernel::{FactKey, InquiryId, Purpose, SealPlace, Sealed, Subject, TenantId};
use proto::intake as pb;
use proto::intake::intake_service_server::{IntakeService, IntakeServiceServer};
use proto::intake::stream_inquiries_request::Request as StreamRequest;
use runtime::{Host, Meta, Vault, field, invalid, not_found, server};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::Intake;
use crate::domain::{
    Command, Cost, CustomerDetails, CustomerRef, Direction, Fact, FactRef, Message, NewCustomer, NewInquiry, NewOrder,
    key_of,
};

mod people;
mod stream;

use people::{People, Person};

/// Characters of one message.
const TEXT_MAX: usize = 8_000;
/// Messages that one request may bring.
const MESSAGES_PER_REQUEST: usize = 50;
/// Characters of names, phones, reasons and the like.
const SHORT_MAX: usize = 200;
const ADDRESS_MAX: usize = 1_000;
const PRIORITY_MINUTES_MAX: u32 = 1_440;

/// The service over its host.
pub fn api(host: Host<Intake>) -> IntakeServiceServer<Api> {
    IntakeServiceServer::new(Api { host, known: Arc::default() })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Intake>,
    known: Arc<Mutex<People>>,
}

/// What a request asks for, and how its answer finds its id in the state.
struct Prepared {
    meta: Meta,
    command: Command,
    find: Find,
}

/// The natural key that leads to the id in the answer.
#[derive(Debug, Clone, Copy)]
enum Find {
    Customer([u8; 16]),
    Fact(FactKey),
}

/// The ids of a fact that is known.
#[derive(Default)]
struct Found {
    id: String,
    customer_id: String,
}

/// A request that was carried out.
struct Done {
    id: String,
    customer_id: String,
    seq: u64,
}

impl Api {
    fn known(&self) -> MutexGuard<'_, People> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The person behind a customer key, with their data key where they have one.
    async fn customer_person(&self, tenant: TenantId, key: [u8; 16]) -> Result<Person, Status> {
        if let Some(person) = self.known().person(tenant, key) {
            return Ok(person);
        }
        let found = self.host.query(tenant, move |state, _| {
            let id = state.customer_by_key.get(&key)?;
            state.customers.get(id)?.keys.last().copied()
        });
        let person = Person { subject: Subject(key), key: found.await? };
        self.known().learn(tenant, person);
        Ok(person)
    }

    /// The person behind an inquiry.
    async fn inquiry_person(&self, tenant: TenantId, inquiry: FactKey) -> Result<Person, Status> {
        if let Some(person) = self.known().of_inquiry(tenant, inquiry) {
            return Ok(person);
        }
        let found = self.host.query(tenant, move |state, _| {
            let (id, _) = state.facts.get(&inquiry)?;
            let inquiry = state.inquiries.get(&InquiryId::from_bytes(*id))?;
            let customer = state.customers.get(&inquiry.customer_id)?;
            Some(Person { subject: Subject(customer.key), key: customer.keys.last().copied() })
        });
        found.await?.ok_or_else(|| not_found("INQUIRY_UNKNOWN", "no inquiry with this platform and external_id"))
    }

    fn seal(&self, meta: &Meta, person: &mut Person, field: &str, clear: &str) -> Result<Sealed, Status> {
        let place = SealPlace { tenant: meta.tenant, command_id: meta.command_id, field };
        let sealed = self.host.keys().seal(person.subject, person.key, Purpose::Service, place, clear.as_bytes());
        let sealed = sealed.map_err(|error| {
            tracing::error!(%error, "personal value cannot be sealed");
            runtime::status(tonic::Code::Unavailable, "KEY_STORE", "the key store cannot be written; try again later")
        })?;
        person.key = Some(sealed.key_id);
        Ok(sealed)
    }

    fn seal_present(
        &self,
        meta: &Meta,
        person: &mut Person,
        field: &str,
        clear: &str,
    ) -> Result<Option<Sealed>, Status> {
        if clear.is_empty() { Ok(None) } else { self.seal(meta, person, field, clear).map(Some) }
    }

    /// Keyed hash of a request without its command id and time: the body that a natural key stands for.
    fn body_mac(&self, tenant: TenantId, what: &str, request: &impl prost::Message) -> [u8; 16] {
        self.host.keys().mac(tenant, &format!("body.{what}"), &request.encode_to_vec())
    }

    fn customer_key(&self, tenant: TenantId, customer: &pb::Customer) -> [u8; 16] {
        let identity = format!("{}\0{}", customer.platform, customer.external_id);
        self.host.keys().mac(tenant, "customer", identity.as_bytes())
    }

    /// Checks and seals a customer; their person is returned for further values of the same request.
    async fn customer(
        &self,
        meta: &Meta,
        customer: Option<&pb::Customer>,
        name: &str,
    ) -> Result<(NewCustomer, Person), Status> {
        let customer = customer.ok_or_else(|| invalid(name, "is missing"))?;
        field::key(&customer.platform, &format!("{name}.platform"))?;
        field::key(&customer.external_id, &format!("{name}.external_id"))?;
        field::at_most(&customer.name, SHORT_MAX, &format!("{name}.name"))?;
        field::at_most(&customer.phone, SHORT_MAX, &format!("{name}.phone"))?;
        field::at_most(&customer.address, ADDRESS_MAX, &format!("{name}.address"))?;
        field::at_most(&customer.language, SHORT_MAX, &format!("{name}.language"))?;
        let key = self.customer_key(meta.tenant, customer);
        let mut person = self.customer_person(meta.tenant, key).await?;
        let details = CustomerDetails {
            platform: customer.platform.clone(),
            external_id: self.seal_present(meta, &mut person, "customer.external_id", &customer.external_id)?,
            name: self.seal_present(meta, &mut person, "customer.name", &customer.name)?,
            phone: self.seal_present(meta, &mut person, "customer.phone", &customer.phone)?,
            address: self.seal_present(meta, &mut person, "customer.address", &customer.address)?,
            language: customer.language.clone(),
        };
        let body_mac = self.body_mac(meta.tenant, "customer", customer);
        self.known().remember(meta.tenant, person);
        Ok((NewCustomer { reference: CustomerRef::Key(key), details, body_mac }, person))
    }

    fn message(
        &self,
        meta: &Meta,
        person: &mut Person,
        inquiry: FactKey,
        message: &pb::Message,
        names: [&str; 2],
    ) -> Result<Message, Status> {
        let [name, seal_field] = names;
        let field = |part: &str| format!("{name}.{part}");
        field::key(&message.external_id, &field("external_id"))?;
        field::required(&message.text, &field("text"))?;
        field::at_most(&message.text, TEXT_MAX, &field("text"))?;
        let direction = match pb::Direction::try_from(message.direction) {
            Ok(pb::Direction::Customer) => Direction::Customer,
            Ok(pb::Direction::Agent) => Direction::Agent,
            Ok(pb::Direction::System) => Direction::System,
            Ok(pb::Direction::Unspecified) | Err(_) => {
                return Err(invalid(&field("direction"), "is not one of customer, agent and system"));
            }
        };
        Ok(Message {
            key: message_key(&**self.host.keys(), meta.tenant, inquiry, &message.external_id),
            direction,
            text: self.seal(meta, person, seal_field, &message.text)?,
            occurred_at: field::timestamp(message.occurred_at, &field("occurred_at"))?,
            characters: u32::try_from(message.text.chars().count()).unwrap_or(u32::MAX),
            body_mac: self.body_mac(meta.tenant, "message", message),
        })
    }

    fn fact(
        platform: &str,
        external_id: &str,
        occurred_at: Option<prost_types::Timestamp>,
        body_mac: [u8; 16],
    ) -> Result<Fact, Status> {
        field::key(platform, "platform")?;
        field::key(external_id, "external_id")?;
        let occurred_at = field::timestamp(occurred_at, "occurred_at")?;
        Ok(Fact { platform: platform.to_owned(), external_id: external_id.to_owned(), body_mac, occurred_at })
    }

    async fn desk(&self, tenant: TenantId, desk: &str) -> Result<(), Status> {
        field::key(desk, "desk")?;
        if self.host.directory().knows_desk(tenant, desk).await || !self.host.directory().knows(tenant).await {
            return Ok(()); // An unknown tenant is refused as such by the call itself.
        }
        Err(not_found("DESK_UNKNOWN", format!("desk: the company has no desk {desk:?}")))
    }

    async fn run(&self, request: StreamRequest) -> Result<Done, Status> {
        let Prepared { meta, command, find } = self.prepare(&request).await?;
        let tenant = meta.tenant;
        let receipt = self.host.call(meta, command).await?;
        let Found { id, customer_id } = self.find(tenant, find).await?;
        Ok(Done { id, customer_id, seq: receipt.first_seq })
    }

    async fn find(&self, tenant: TenantId, find: Find) -> Result<Found, Status> {
        let found = self.host.query(tenant, move |state, _| match find {
            Find::Customer(key) => {
                state.customer_by_key.get(&key).map(|id| Found { id: id.to_string(), customer_id: id.to_string() })
            }
            Find::Fact(key) => state.facts.get(&key).map(|(id, _)| {
                let inquiry_id = InquiryId::from_bytes(*id);
                let customer = state.inquiries.get(&inquiry_id).map(|inquiry| inquiry.customer_id.to_string());
                Found { id: inquiry_id.to_string(), customer_id: customer.unwrap_or_default() }
            }),
        });
        Ok(found.await?.unwrap_or_default())
    }

    async fn prepare_submit(&self, request: &pb::SubmitInquiryRequest) -> Result<Prepared, Status> {
        let meta = self.meta("SubmitInquiry", request, &request.command_id, request.issued_at, &request.tenant)?;
        self.desk(meta.tenant, &request.desk).await?;
        field::at_most(&request.channel, SHORT_MAX, "channel")?;
        field::at_most(&request.category, SHORT_MAX, "category")?;
        if request.priority_minutes > PRIORITY_MINUTES_MAX {
            return Err(invalid("priority_minutes", format!("is more than {PRIORITY_MINUTES_MAX}")));
        }
        if request.messages.is_empty() || request.messages.len() > MESSAGES_PER_REQUEST {
            return Err(invalid(
                "messages",
                format!("has {} entries; 1 to {MESSAGES_PER_REQUEST} are allowed", request.messages.len()),
            ));
        }
        let body = pb::SubmitInquiryRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "inquiry", &body);
        let fact = Self::fact(&request.platform, &request.external_id, request.occurred_at, body_mac)?;
        let key = key_of(crate::domain::INQUIRY, &fact.platform, &fact.external_id);
        let (customer, mut person) = self.customer(&meta, request.customer.as_ref(), "customer").await?;
        let mut messages = Vec::with_capacity(request.messages.len());
        for (n, message) in request.messages.iter().enumerate() {
            let (name, seal_field) = (format!("messages[{n}]"), format!("messages[{n}].text"));
            messages.push(self.message(&meta, &mut person, key, message, [&name, &seal_field])?);
        }
        let channel = if request.channel.is_empty() { "chat" } else { &request.channel };
        let inquiry = NewInquiry {
            fact,
            desk: request.desk.clone(),
            channel: channel.to_owned(),
            language: customer.details.language.clone(),
            priority_minutes: request.priority_minutes,
            category: request.category.clone(),
            messages,
        };
        self.known().remember_inquiry(meta.tenant, key, person);
        Ok(Prepared { meta, command: Command::SubmitInquiry { customer, inquiry }, find: Find::Fact(key) })
    }

    fn meta<M: prost::Message>(
        &self,
        method: &'static str,
        request: &M,
        command_id: &str,
        issued_at: Option<prost_types::Timestamp>,
        tenant: &str,
    ) -> Result<Meta, Status> {
        self.host.meta(method, request, command_id, issued_at, tenant)
    }

    fn inquiry_key(platform: &str, external_id: &str) -> Result<FactKey, Status> {
        field::key(platform, "platform")?;
        field::key(external_id, "inquiry_external_id")?;
        Ok(key_of(crate::domain::INQUIRY, platform, external_id))
    }

    async fn prepare_append(&self, request: &pb::AppendMessageRequest) -> Result<Prepared, Status> {
        let meta = self.meta("AppendMessage", request, &request.command_id, request.issued_at, &request.tenant)?;
        let key = Self::inquiry_key(&request.platform, &request.inquiry_external_id)?;
        let message = request.message.as_ref().ok_or_else(|| invalid("message", "is missing"))?;
        let mut person = self.inquiry_person(meta.tenant, key).await?;
        let message = self.message(&meta, &mut person, key, message, ["message", "messages[0].text"])?;
        self.known().remember_inquiry(meta.tenant, key, person);
        Ok(Prepared {
            meta,
            command: Command::AppendMessage { inquiry: FactRef::Key(key), message },
            find: Find::Fact(key),
        })
    }

    fn prepare_close(&self, request: &pb::CloseInquiryRequest) -> Result<Prepared, Status> {
        let meta = self.meta("CloseInquiry", request, &request.command_id, request.issued_at, &request.tenant)?;
        let key = Self::inquiry_key(&request.platform, &request.inquiry_external_id)?;
        field::at_most(&request.reason, SHORT_MAX, "reason")?;
        let occurred_at = field::timestamp(request.occurred_at, "occurred_at")?;
        let command = Command::CloseInquiry { inquiry: FactRef::Key(key), reason: request.reason.clone(), occurred_at };
        Ok(Prepared { meta, command, find: Find::Fact(key) })
    }

    async fn prepare_upsert(&self, request: &pb::UpsertCustomerRequest) -> Result<Prepared, Status> {
        let meta = self.meta("UpsertCustomer", request, &request.command_id, request.issued_at, &request.tenant)?;
        let occurred_at = field::timestamp(request.occurred_at, "occurred_at")?;
        let (customer, person) = self.customer(&meta, request.customer.as_ref(), "customer").await?;
        let find = Find::Customer(person.subject.0);
        Ok(Prepared { meta, command: Command::UpsertCustomer { customer, occurred_at }, find })
    }

    fn prepare_link(&self, request: &pb::LinkCustomerRequest) -> Result<Prepared, Status> {
        let meta = self.meta("LinkCustomer", request, &request.command_id, request.issued_at, &request.tenant)?;
        let occurred_at = field::timestamp(request.occurred_at, "occurred_at")?;
        let key = |customer: Option<&pb::Customer>, name: &str| {
            let customer = customer.ok_or_else(|| invalid(name, "is missing"))?;
            field::key(&customer.platform, &format!("{name}.platform"))?;
            field::key(&customer.external_id, &format!("{name}.external_id"))?;
            Ok::<_, Status>(self.customer_key(meta.tenant, customer))
        };
        let kept = key(request.kept.as_ref(), "kept")?;
        let merged = key(request.merged.as_ref(), "merged")?;
        let command =
            Command::LinkCustomers { kept: CustomerRef::Key(kept), merged: CustomerRef::Key(merged), occurred_at };
        Ok(Prepared { meta, command, find: Find::Customer(kept) })
    }

    async fn prepare_order(&self, request: &pb::RecordOrderRequest) -> Result<Prepared, Status> {
        let meta = self.meta("RecordOrder", request, &request.command_id, request.issued_at, &request.tenant)?;
        if !request.handler.is_empty() && !request.history {
            return Err(invalid("handler", "is for history only; who sold an order of today is found by attribution"));
        }
        field::at_most(&request.handler, SHORT_MAX, "handler")?;
        let amount = field::money(request.amount.as_ref(), "amount")?;
        let (customer, _) = self.customer(&meta, request.customer.as_ref(), "customer").await?;
        let body = pb::RecordOrderRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "order", &body);
        let platform = &customer.details.platform;
        let fact = Self::fact(platform, &request.external_id, request.occurred_at, body_mac)?;
        let key = key_of(crate::domain::ORDER, &fact.platform, &fact.external_id);
        let order = NewOrder { fact, amount, history: request.history, handler: request.handler.clone() };
        Ok(Prepared { meta, command: Command::RecordOrder { customer, order }, find: Find::Fact(key) })
    }

    fn order_key(platform: &str, external_id: &str) -> Result<FactKey, Status> {
        field::key(external_id, "order_external_id")?;
        Ok(key_of(crate::domain::ORDER, platform, external_id))
    }

    fn prepare_payment(&self, request: &pb::RecordPaymentRequest) -> Result<Prepared, Status> {
        let meta = self.meta("RecordPayment", request, &request.command_id, request.issued_at, &request.tenant)?;
        let body = pb::RecordPaymentRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "payment", &body);
        let fact = Self::fact(&request.platform, &request.external_id, request.occurred_at, body_mac)?;
        let order = FactRef::Key(Self::order_key(&request.platform, &request.order_external_id)?);
        let amount = field::money(request.amount.as_ref(), "amount")?;
        let key = key_of(crate::domain::PAYMENT, &fact.platform, &fact.external_id);
        Ok(Prepared { meta, command: Command::RecordPayment { order, fact, amount }, find: Find::Fact(key) })
    }

    fn prepare_refund(&self, request: &pb::RecordRefundRequest) -> Result<Prepared, Status> {
        let meta = self.meta("RecordRefund", request, &request.command_id, request.issued_at, &request.tenant)?;
        let body = pb::RecordRefundRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "refund", &body);
        let fact = Self::fact(&request.platform, &request.external_id, request.occurred_at, body_mac)?;
        let order = FactRef::Key(Self::order_key(&request.platform, &request.order_external_id)?);
        let amount = field::money(request.amount.as_ref(), "amount")?;
        let key = key_of(crate::domain::REFUND, &fact.platform, &fact.external_id);
        Ok(Prepared { meta, command: Command::RecordRefund { order, fact, amount }, find: Find::Fact(key) })
    }

    fn prepare_rating(&self, request: &pb::RecordRatingRequest) -> Result<Prepared, Status> {
        let meta = self.meta("RecordRating", request, &request.command_id, request.issued_at, &request.tenant)?;
        if !(1..=5).contains(&request.score) {
            return Err(invalid("score", format!("is {}; 1 to 5 are allowed", request.score)));
        }
        let body = pb::RecordRatingRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "rating", &body);
        let fact = Self::fact(&request.platform, &request.external_id, request.occurred_at, body_mac)?;
        let inquiry = FactRef::Key(Self::inquiry_key(&request.platform, &request.inquiry_external_id)?);
        let key = key_of(crate::domain::RATING, &fact.platform, &fact.external_id);
        Ok(Prepared {
            meta,
            command: Command::RecordRating { inquiry, fact, score: request.score },
            find: Find::Fact(key),
        })
    }

    async fn prepare_cost(&self, request: &pb::RecordCostRequest) -> Result<Prepared, Status> {
        let meta = self.meta("RecordCost", request, &request.command_id, request.issued_at, &request.tenant)?;
        field::key(&request.external_id, "external_id")?;
        field::key(&request.kind, "kind")?;
        if !request.desk.is_empty() {
            self.desk(meta.tenant, &request.desk).await?;
        }
        let body = pb::RecordCostRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let cost = Cost {
            external_id: request.external_id.clone(),
            body_mac: self.body_mac(meta.tenant, "cost", &body),
            occurred_at: field::timestamp(request.occurred_at, "occurred_at")?,
            kind: request.kind.clone(),
            desk: request.desk.clone(),
            amount: field::money(request.amount.as_ref(), "amount")?,
        };
        let key = crate::domain::fact_key(crate::domain::COST, &cost.fact());
        Ok(Prepared { meta, command: Command::RecordCost(cost), find: Find::Fact(key) })
    }

    async fn prepare_history(&self, request: &pb::RecordHistoryInquiryRequest) -> Result<Prepared, Status> {
        let meta =
            self.meta("RecordHistoryInquiry", request, &request.command_id, request.issued_at, &request.tenant)?;
        self.desk(meta.tenant, &request.desk).await?;
        field::key(&request.handler, "handler")?;
        let body = pb::RecordHistoryInquiryRequest { command_id: String::new(), issued_at: None, ..request.clone() };
        let body_mac = self.body_mac(meta.tenant, "inquiry", &body);
        let fact = Self::fact(&request.platform, &request.external_id, request.occurred_at, body_mac)?;
        let key = key_of(crate::domain::INQUIRY, &fact.platform, &fact.external_id);
        let (customer, _) = self.customer(&meta, request.customer.as_ref(), "customer").await?;
        let (desk, handler) = (request.desk.clone(), request.handler.clone());
        Ok(Prepared {
            meta,
            command: Command::RecordHistoryInquiry { customer, fact, desk, handler },
            find: Find::Fact(key),
        })
    }

    async fn prepare(&self, request: &StreamRequest) -> Result<Prepared, Status> {
        match request {
            StreamRequest::SubmitInquiry(request) => self.prepare_submit(request).await,
            StreamRequest::AppendMessage(request) => self.prepare_append(request).await,
            StreamRequest::CloseInquiry(request) => self.prepare_close(request),
            StreamRequest::UpsertCustomer(request) => self.prepare_upsert(request).await,
            StreamRequest::LinkCustomer(request) => self.prepare_link(request),
            StreamRequest::RecordOrder(request) => self.prepare_order(request).await,
            StreamRequest::RecordPayment(request) => self.prepare_payment(request),
            StreamRequest::RecordRefund(request) => self.prepare_refund(request),
            StreamRequest::RecordRating(request) => self.prepare_rating(request),
            StreamRequest::RecordCost(request) => self.prepare_cost(request).await,
            StreamRequest::RecordHistoryInquiry(request) => self.prepare_history(request).await,
        }
    }
}

#[tonic::async_trait]
impl IntakeService for Api {
    async fn submit_inquiry(
        &self,
        request: Request<pb::SubmitInquiryRequest>,
    ) -> Result<Response<pb::SubmitInquiryResponse>, Status> {
        let done = self.run(StreamRequest::SubmitInquiry(request.into_inner())).await?;
        Ok(Response::new(pb::SubmitInquiryResponse {
            inquiry_id: done.id,
            customer_id: done.customer_id,
            seq: done.seq,
        }))
    }
    async fn append_message(
        &self,
        request: Request<pb::AppendMessageRequest>,
    ) -> Result<Response<pb::AppendMessageResponse>, Status> {
        let done = self.run(StreamRequest::AppendMessage(request.into_inner())).await?;
        Ok(Response::new(pb::AppendMessageResponse { inquiry_id: done.id, seq: done.seq }))
    }
    async fn close_inquiry(
        &self,
        request: Request<pb::CloseInquiryRequest>,
    ) -> Result<Response<pb::CloseInquiryResponse>, Status> {
        let done = self.run(StreamRequest::CloseInquiry(request.into_inner())).await?;
        Ok(Response::new(pb::CloseInquiryResponse { inquiry_id: done.id, seq: done.seq }))
    }
    async fn upsert_customer(
        &self,
        request: Request<pb::UpsertCustomerRequest>,
    ) -> Result<Response<pb::UpsertCustomerResponse>, Status> {
        let done = self.run(StreamRequest::UpsertCustomer(request.into_inner())).await?;
        Ok(Response::new(pb::UpsertCustomerResponse { customer_id: done.id, seq: done.seq }))
    }
    async fn link_customer(
        &self,
        request: Request<pb::LinkCustomerRequest>,
    ) -> Result<Response<pb::LinkCustomerResponse>, Status> {
        let done = self.run(StreamRequest::LinkCustomer(request.into_inner())).await?;
        Ok(Response::new(pb::LinkCustomerResponse { customer_id: done.id, seq: done.seq }))
    }
    async fn record_order(
        &self,
        request: Request<pb::RecordOrderRequest>,
    ) -> Result<Response<pb::RecordOrderResponse>, Status> {
        let done = self.run(StreamRequest::RecordOrder(request.into_inner())).await?;
        Ok(Response::new(pb::RecordOrderResponse { order_id: done.id, seq: done.seq }))
    }
    async fn record_payment(
        &self,
        request: Request<pb::RecordPaymentRequest>,
    ) -> Result<Response<pb::RecordPaymentResponse>, Status> {
        let done = self.run(StreamRequest::RecordPayment(request.into_inner())).await?;
        Ok(Response::new(pb::RecordPaymentResponse { payment_id: done.id, seq: done.seq }))
    }
    async fn record_refund(
        &self,
        request: Request<pb::RecordRefundRequest>,
    ) -> Result<Response<pb::RecordRefundResponse>, Status> {
        let done = self.run(StreamRequest::RecordRefund(request.into_inner())).await?;
        Ok(Response::new(pb::RecordRefundResponse { refund_id: done.id, seq: done.seq }))
    }
    async fn record_rating(
        &self,
        request: Request<pb::RecordRatingRequest>,
    ) -> Result<Response<pb::RecordRatingResponse>, Status> {
        let done = self.run(StreamRequest::RecordRating(request.into_inner())).await?;
        Ok(Response::new(pb::RecordRatingResponse { rating_id: done.id, seq: done.seq }))
    }
    async fn record_cost(
        &self,
        request: Request<pb::RecordCostRequest>,
    ) -> Result<Response<pb::RecordCostResponse>, Status> {
        let done = self.run(StreamRequest::RecordCost(request.into_inner())).await?;
        Ok(Response::new(pb::RecordCostResponse { cost_id: done.id, seq: done.seq }))
    }
    async fn record_history_inquiry(
        &self,
        request: Request<pb::RecordHistoryInquiryRequest>,
    ) -> Result<Response<pb::RecordHistoryInquiryResponse>, Status> {
        let done = self.run(StreamRequest::RecordHistoryInquiry(request.into_inner())).await?;
        Ok(Response::new(pb::RecordHistoryInquiryResponse { inquiry_id: done.id, seq: done.seq }))
    }

    type StreamInquiriesStream = ReceiverStream<Result<pb::StreamInquiriesResponse, Status>>;

    async fn stream_inquiries(
        &self,
        request: Request<Streaming<pb::StreamInquiriesRequest>>,
    ) -> Result<Response<Self::StreamInquiriesStream>, Status> {
        Ok(Response::new(stream::run(self.clone(), request.into_inner())))
    }

    async fn get_inquiry(
        &self,
        request: Request<pb::GetInquiryRequest>,
    ) -> Result<Response<pb::GetInquiryResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let by_id: Option<InquiryId> = match request.inquiry_id.as_str() {
            "" => None,
            text => Some(field::id(text, "inquiry_id")?),
        };
        let key = match by_id {
            Some(_) => None,
            None => Some(Self::inquiry_key(&request.platform, &request.external_id)?),
        };
        let found = self.host.query(tenant, move |state, _| {
            let id = by_id.or_else(|| state.facts.get(&key?).map(|(id, _)| InquiryId::from_bytes(*id)))?;
            state.inquiries.get(&id).map(|inquiry| (id, inquiry.clone()))
        });
        let (id, inquiry) = found.await?.ok_or_else(|| not_found("INQUIRY_UNKNOWN", "no such inquiry"))?;
        Ok(Response::new(pb::GetInquiryResponse {
            inquiry_id: id.to_string(),
            customer_id: inquiry.customer_id.to_string(),
            desk: inquiry.desk,
            platform: inquiry.platform,
            external_id: inquiry.external_id,
            closed: inquiry.closed,
            messages: u32::try_from(inquiry.messages.len()).unwrap_or(u32::MAX),
            occurred_at: Some(field::wire_timestamp(inquiry.occurred_at)),
        }))
    }
}

/// The natural key of a message within its inquiry. Keyed, for a platform's id of a message may tell who wrote it.
fn message_key(vault: &dyn Vault, tenant: TenantId, inquiry: FactKey, external_id: &str) -> FactKey {
    let identity = [inquiry.as_bytes(), external_id.as_bytes()].concat();
    FactKey::from_bytes(vault.mac(tenant, "message.key", &identity))
}

/// The command id of a stream's request, as it was sent.
fn command_id_of(request: &StreamRequest) -> &str {
    match request {
        StreamRequest::SubmitInquiry(request) => &request.command_id,
        StreamRequest::AppendMessage(request) => &request.command_id,
        StreamRequest::CloseInquiry(request) => &request.command_id,
        StreamRequest::UpsertCustomer(request) => &request.command_id,
        StreamRequest::LinkCustomer(request) => &request.command_id,
        StreamRequest::RecordOrder(request) => &request.command_id,
        StreamRequest::RecordPayment(request) => &request.command_id,
        StreamRequest::RecordRefund(request) => &request.command_id,
        StreamRequest::RecordRating(request) => &request.command_id,
        StreamRequest::RecordCost(request) => &request.command_id,
        StreamRequest::RecordHistoryInquiry(request) => &request.command_id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_message_is_known_only_with_the_secret() {
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [ours, theirs] = dirs.each_ref().map(|dir| runtime::FileKeys::open(dir.path()).unwrap());
        let tenant = TenantId::from_bytes([1; 16]);
        let inquiry = key_of("inquiry", "taobao", "q1");
        let key = |vault: &dyn Vault, tenant, inquiry, id| message_key(vault, tenant, inquiry, id);
        let ours_key = key(&ours, tenant, inquiry, "m1");
        assert_eq!(key(&ours, tenant, inquiry, "m1"), ours_key);
        let others = [
            key(&theirs, tenant, inquiry, "m1"),
            key(&ours, TenantId::from_bytes([2; 16]), inquiry, "m1"),
            key(&ours, tenant, key_of("inquiry", "taobao", "q2"), "m1"),
            key(&ours, tenant, inquiry, "m2"),
        ];
        assert!(others.iter().all(|other| *other != ours_key));
    }
}
