//! What a shop's platform tells: new conversations, what is said in them, orders and what becomes of them.

use std::collections::VecDeque;
use std::time::Duration;

use kernel::Timestamp;
use proto::common::Money;
use proto::intake as pb;
use proto::intake::stream_inquiries_request::Request;
use runtime::field::wire_timestamp;

use crate::chance::Chance;
use crate::load::now;

const PLATFORM: &str = "shop";
/// People who write to the shop; they come back.
const CUSTOMERS: u64 = 60;
/// Facts that may be told a second time under another command id.
const REMEMBERED: usize = 50;

/// A fact that was sent.
#[derive(Debug, Clone)]
pub(super) struct Sent {
    pub kind: &'static str,
    /// The platform's own id of the fact; of the inquiry and the message for a message.
    pub external_id: String,
    pub command_id: String,
    pub request: pb::StreamInquiriesRequest,
    /// The id that it got when it was told before.
    pub same_as: Option<String>,
}

/// One platform's facts, made by chance.
pub(super) struct Facts {
    pub tenant: String,
    /// In the order in which they were sent; at most a window.
    pub pending: VecDeque<Sent>,
    chance: Chance,
    count: u64,
    /// Conversations, and how many messages each has.
    open: Vec<(String, u64)>,
    closed: Vec<String>,
    /// Orders, and how often each was refunded.
    orders: Vec<(String, u64)>,
    told: VecDeque<(Sent, String)>,
}

impl Facts {
    pub(super) fn new(tenant: String, chance: Chance) -> Self {
        let (pending, open, closed, orders, told) = Default::default();
        Self { tenant, pending, chance, count: 0, open, closed, orders, told }
    }

    /// How long the platform waits before the next fact.
    pub(super) fn pause(&mut self) -> Duration {
        Duration::from_micros(500 + self.chance.below(6_000))
    }

    pub(super) fn answered(&mut self, sent: Sent, id: String) {
        let again = !matches!(sent.kind, "close" | "customer");
        if again && sent.same_as.is_none() {
            self.told.push_back((sent, id));
            if self.told.len() > REMEMBERED {
                self.told.pop_front();
            }
        }
    }

    fn name(&mut self, kind: &str) -> String {
        self.count += 1;
        format!("{kind}-{}", self.count)
    }

    pub(super) fn next(&mut self) -> Sent {
        let now = now();
        let what = self.chance.below(100);
        match what {
            40..56 if !self.open.is_empty() => self.message(now),
            56..68 => self.order(now),
            68..73 if !self.orders.is_empty() => self.money("payment", now),
            73..79 if !self.orders.is_empty() => self.money("refund", now),
            79..84 if !self.open.is_empty() => self.rating(now),
            84..89 if self.open.len() > 1 => self.close(now),
            89..92 => self.customer(now),
            92..100 if !self.told.is_empty() => self.once_more(now),
            _ => self.inquiry(now),
        }
    }

    fn sent(&mut self, kind: &'static str, external_id: String, make: impl FnOnce(String) -> Request) -> Sent {
        let command_id = self.chance.command_id();
        let request = pb::StreamInquiriesRequest { request: Some(make(command_id.clone())) };
        Sent { kind, external_id, command_id, request, same_as: None }
    }

    fn pick(&mut self, among: usize) -> usize {
        usize::try_from(self.chance.below(among as u64)).unwrap()
    }

    fn who(&mut self) -> Option<pb::Customer> {
        let number = self.chance.below(CUSTOMERS);
        Some(pb::Customer {
            platform: PLATFORM.to_owned(),
            external_id: format!("customer-{number}"),
            name: format!("Customer {number}"),
            language: "zh".to_owned(),
            ..Default::default()
        })
    }

    fn inquiry(&mut self, now: Timestamp) -> Sent {
        let (external_id, customer) = (self.name("inquiry"), self.who());
        let messages = vec![said("m1", "这个配件多少钱? how much is it", now)];
        self.open.push((external_id.clone(), 1));
        let (tenant, id) = (self.tenant.clone(), external_id.clone());
        self.sent("inquiry", external_id, |command_id| {
            Request::SubmitInquiry(pb::SubmitInquiryRequest {
                command_id,
                issued_at: Some(wire_timestamp(now)),
                tenant,
                platform: PLATFORM.to_owned(),
                external_id: id,
                desk: "main".to_owned(),
                customer,
                messages,
                occurred_at: Some(wire_timestamp(now)),
                ..Default::default()
            })
        })
    }

    fn message(&mut self, now: Timestamp) -> Sent {
        let at = self.pick(self.open.len());
        let (inquiry, messages) = &mut self.open[at];
        *messages += 1;
        let (inquiry, id) = (inquiry.clone(), format!("m{messages}"));
        let (tenant, external_id) = (self.tenant.clone(), format!("{inquiry}/{id}"));
        self.sent("message", external_id, |command_id| {
            Request::AppendMessage(pb::AppendMessageRequest {
                command_id,
                issued_at: Some(wire_timestamp(now)),
                tenant,
                platform: PLATFORM.to_owned(),
                inquiry_external_id: inquiry,
                message: Some(said(&id, "还在吗", now)),
            })
        })
    }

    fn close(&mut self, now: Timestamp) -> Sent {
        let at = self.pick(self.open.len());
        let (inquiry, _) = self.open.swap_remove(at);
        self.closed.push(inquiry.clone());
        let tenant = self.tenant.clone();
        self.sent("close", inquiry.clone(), |command_id| {
            Request::CloseInquiry(pb::CloseInquiryRequest {
                command_id,
                issued_at: Some(wire_timestamp(now)),
                tenant,
                platform: PLATFORM.to_owned(),
                inquiry_external_id: inquiry,
                reason: "left".to_owned(),
                occurred_at: Some(wire_timestamp(now)),
            })
        })
    }

    fn order(&mut self, now: Timestamp) -> Sent {
        let (external_id, customer) = (self.name("order"), self.who());
        self.orders.push((external_id.clone(), 0));
        let (tenant, id) = (self.tenant.clone(), external_id.clone());
        self.sent("order", external_id, |command_id| {
            Request::RecordOrder(pb::RecordOrderRequest {
                command_id,
                issued_at: Some(wire_timestamp(now)),
                tenant,
                external_id: id,
                customer,
                amount: cny(10_000),
                occurred_at: Some(wire_timestamp(now)),
                ..Default::default()
            })
        })
    }

    /// A payment or a refund; at most ten refunds of a tenth.
    fn money(&mut self, kind: &'static str, now: Timestamp) -> Sent {
        let (at, external_id) = (self.pick(self.orders.len()), self.name(kind));
        let (order, refunds) = &mut self.orders[at];
        let order = order.clone();
        *refunds += u64::from(kind == "refund");
        if *refunds >= 10 {
            self.orders.swap_remove(at);
        }
        let (tenant, id) = (self.tenant.clone(), external_id.clone());
        let (platform, issued_at) = (PLATFORM.to_owned(), Some(wire_timestamp(now)));
        self.sent(kind, external_id, |command_id| {
            if kind == "payment" {
                Request::RecordPayment(pb::RecordPaymentRequest {
                    command_id,
                    issued_at,
                    tenant,
                    platform,
                    order_external_id: order,
                    external_id: id,
                    amount: cny(10_000),
                    occurred_at: issued_at,
                })
            } else {
                Request::RecordRefund(pb::RecordRefundRequest {
                    command_id,
                    issued_at,
                    tenant,
                    platform,
                    order_external_id: order,
                    external_id: id,
                    amount: cny(1_000),
                    occurred_at: issued_at,
                })
            }
        })
    }

    fn rating(&mut self, now: Timestamp) -> Sent {
        let (at, external_id) = (self.pick(self.open.len()), self.name("rating"));
        let inquiry = self.open[at].0.clone();
        let (tenant, id) = (self.tenant.clone(), external_id.clone());
        let score = 1 + u32::try_from(self.chance.below(5)).unwrap();
        self.sent("rating", external_id, |command_id| {
            Request::RecordRating(pb::RecordRatingRequest {
                command_id,
                issued_at: Some(wire_timestamp(now)),
                tenant,
                platform: PLATFORM.to_owned(),
                inquiry_external_id: inquiry,
                external_id: id,
                score,
                occurred_at: Some(wire_timestamp(now)),
            })
        })
    }

    fn customer(&mut self, now: Timestamp) -> Sent {
        let external_id = self.name("customer");
        let customer = self.who().map(|who| pb::Customer { phone: external_id.clone(), ..who });
        let tenant = self.tenant.clone();
        self.sent("customer", external_id, |command_id| {
            let issued_at = Some(wire_timestamp(now));
            Request::UpsertCustomer(pb::UpsertCustomerRequest {
                command_id,
                issued_at,
                tenant,
                customer,
                occurred_at: issued_at,
            })
        })
    }

    /// A fact that was told before, as a platform does that lost track: the same body under a new command id.
    fn once_more(&mut self, now: Timestamp) -> Sent {
        let at = self.pick(self.told.len());
        let (mut sent, id) = self.told[at].clone();
        let command_id = self.chance.command_id();
        let (command, issued_at) = match sent.request.request.as_mut().expect("made above") {
            Request::SubmitInquiry(request) => (&mut request.command_id, &mut request.issued_at),
            Request::AppendMessage(request) => (&mut request.command_id, &mut request.issued_at),
            Request::RecordOrder(request) => (&mut request.command_id, &mut request.issued_at),
            Request::RecordPayment(request) => (&mut request.command_id, &mut request.issued_at),
            Request::RecordRefund(request) => (&mut request.command_id, &mut request.issued_at),
            Request::RecordRating(request) => (&mut request.command_id, &mut request.issued_at),
            other => panic!("{other:?} is not told twice"),
        };
        command.clone_from(&command_id);
        *issued_at = Some(wire_timestamp(now));
        Sent { command_id, same_as: Some(id), ..sent }
    }
}

fn said(id: &str, text: &str, now: Timestamp) -> pb::Message {
    pb::Message {
        external_id: id.to_owned(),
        direction: pb::Direction::Customer.into(),
        text: text.to_owned(),
        occurred_at: Some(wire_timestamp(now)),
    }
}

fn cny(minor: i64) -> Option<Money> {
    Some(Money { minor, currency: "CNY".to_owned(), exponent: 2 })
}
