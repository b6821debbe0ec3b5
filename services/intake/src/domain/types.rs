//! The words of intake: commands, events, rejections and the state.

use kernel::{
    CustomerId, FactKey, IdMap, InquiryId, KeyId, Money, OrderId, OutcomeId, Refusal, RefusalKind, Sealed, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::AMOUNT_MAX;

/// A customer by the keyed hash of their platform identity, or, when a decision is taken again, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CustomerRef {
    Key([u8; 16]),
    Id(CustomerId),
}

/// An inquiry or order by its natural key, or, when a decision is taken again, by id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FactRef<I> {
    Key(FactKey),
    Id(I),
}

/// What is told of a customer; all but platform and language is sealed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CustomerDetails {
    pub platform: String,
    pub external_id: Option<Sealed>,
    pub name: Option<Sealed>,
    pub phone: Option<Sealed>,
    pub address: Option<Sealed>,
    pub language: String,
}

impl CustomerDetails {
    /// Whether more is told than who it is.
    pub(crate) fn tells(&self) -> bool {
        self.name.is_some() || self.phone.is_some() || self.address.is_some()
    }
}

/// A customer as a request brings them: admitted when unknown.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCustomer {
    pub reference: CustomerRef,
    pub details: CustomerDetails,
    /// Keyed hash of the details.
    pub body_mac: [u8; 16],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    Customer,
    Agent,
    System,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Natural key within its inquiry.
    pub key: FactKey,
    pub direction: Direction,
    pub text: Sealed,
    pub occurred_at: Timestamp,
    /// Length of the clear text in characters.
    pub characters: u32,
    pub body_mac: [u8; 16],
}

/// An outside fact's natural key and body.
#[derive(Debug, Clone, PartialEq)]
pub struct Fact {
    pub platform: String,
    pub external_id: String,
    pub body_mac: [u8; 16],
    pub occurred_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewInquiry {
    pub fact: Fact,
    pub desk: String,
    pub channel: String,
    pub language: String,
    pub priority_minutes: u32,
    pub category: String,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct NewOrder {
    pub fact: Fact,
    pub amount: Money,
    pub history: bool,
    /// Roster code of who sold it, with `history` only.
    pub handler: String,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    UpsertCustomer { customer: NewCustomer, occurred_at: Timestamp },
    LinkCustomers { kept: CustomerRef, merged: CustomerRef, occurred_at: Timestamp },
    SubmitInquiry { customer: NewCustomer, inquiry: NewInquiry },
    AppendMessage { inquiry: FactRef<InquiryId>, message: Message },
    CloseInquiry { inquiry: FactRef<InquiryId>, reason: String, occurred_at: Timestamp },
    RecordOrder { customer: NewCustomer, order: NewOrder },
    RecordPayment { order: FactRef<OrderId>, fact: Fact, amount: Money },
    RecordRefund { order: FactRef<OrderId>, fact: Fact, amount: Money },
    RecordRating { inquiry: FactRef<InquiryId>, fact: Fact, score: u32 },
    RecordCost(Cost),
    RecordHistoryInquiry { customer: NewCustomer, fact: Fact, desk: String, handler: String },
}

/// A cost is the tenant's own: it has no platform.
#[derive(Debug, Clone, PartialEq)]
pub struct Cost {
    pub external_id: String,
    pub body_mac: [u8; 16],
    pub occurred_at: Timestamp,
    pub kind: String,
    pub desk: String,
    pub amount: Money,
}

impl Cost {
    /// Its natural key and body, of no platform.
    pub fn fact(&self) -> Fact {
        let Self { external_id, body_mac, occurred_at, .. } = self;
        Fact {
            platform: String::new(),
            external_id: external_id.clone(),
            body_mac: *body_mac,
            occurred_at: *occurred_at,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct CustomerFacts {
    pub customer_id: CustomerId,
    pub customer_key: [u8; 16],
    pub details: CustomerDetails,
    pub occurred_at: Timestamp,
    pub body_mac: [u8; 16],
}

#[expect(
    clippy::large_enum_variant,
    reason = "an event lives for one decision or one fold; boxing costs more than it saves"
)]
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    CustomerUpserted(CustomerFacts),
    CustomersLinked {
        kept: CustomerId,
        merged: CustomerId,
        occurred_at: Timestamp,
    },
    InquirySubmitted {
        inquiry_id: InquiryId,
        customer_id: CustomerId,
        inquiry: NewInquiry,
    },
    MessageAppended {
        inquiry_id: InquiryId,
        customer_id: CustomerId,
        message: Message,
    },
    InquiryClosed {
        inquiry_id: InquiryId,
        reason: String,
        occurred_at: Timestamp,
    },
    OrderRecorded {
        order_id: OrderId,
        customer_id: CustomerId,
        order: NewOrder,
    },
    PaymentRecorded {
        payment_id: OutcomeId,
        order_id: OrderId,
        customer_id: CustomerId,
        fact: Fact,
        amount: Money,
        history: bool,
    },
    RefundRecorded {
        refund_id: OutcomeId,
        order_id: OrderId,
        customer_id: CustomerId,
        fact: Fact,
        amount: Money,
        history: bool,
    },
    RatingRecorded {
        rating_id: OutcomeId,
        inquiry_id: InquiryId,
        customer_id: CustomerId,
        fact: Fact,
        score: u32,
    },
    CostRecorded {
        cost_id: OutcomeId,
        cost: Cost,
    },
    HistoryInquiryRecorded {
        inquiry_id: InquiryId,
        customer_id: CustomerId,
        fact: Fact,
        desk: String,
        handler: String,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("{kind} {external_id:?} came before with other content; a fact is never changed")]
    FactDiffers { kind: &'static str, external_id: String },
    #[error("a message with this external_id came before with other content")]
    MessageDiffers,
    #[error("two messages of one request have the same external_id")]
    MessageRepeated,
    #[error("no inquiry with this platform and external_id")]
    InquiryUnknown,
    #[error("the inquiry is closed")]
    InquiryClosed,
    #[error("no order with this platform and external_id")]
    OrderUnknown,
    #[error("no customer with this platform and external_id")]
    CustomerUnknown,
    #[error("is more than 5 minutes ahead of the server's clock")]
    OccurredInFuture,
    #[error("is negative")]
    NegativeAmount,
    #[error("is more than {AMOUNT_MAX} minor units")]
    AmountTooLarge,
    #[error("is in another currency than the order")]
    OtherCurrency,
    #[error("the order's refunds would exceed its amount")]
    RefundExceedsOrder,
    #[error("an inquiry takes at most {} messages", super::decide::MESSAGES_MAX)]
    TooManyMessages,
}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        match self {
            Self::FactDiffers { .. } | Self::MessageDiffers => RefusalKind::AlreadyExists,
            Self::InquiryUnknown | Self::OrderUnknown | Self::CustomerUnknown => RefusalKind::NotFound,
            Self::InquiryClosed | Self::RefundExceedsOrder | Self::TooManyMessages => RefusalKind::FailedPrecondition,
            Self::OccurredInFuture
            | Self::NegativeAmount
            | Self::AmountTooLarge
            | Self::OtherCurrency
            | Self::MessageRepeated => RefusalKind::Invalid,
        }
    }

    fn reason(&self) -> &'static str {
        match self {
            Self::FactDiffers { .. } => "FACT_DIFFERS",
            Self::MessageDiffers => "MESSAGE_DIFFERS",
            Self::MessageRepeated => "MESSAGE_REPEATED",
            Self::InquiryUnknown => "INQUIRY_UNKNOWN",
            Self::InquiryClosed => "INQUIRY_CLOSED",
            Self::OrderUnknown => "ORDER_UNKNOWN",
            Self::CustomerUnknown => "CUSTOMER_UNKNOWN",
            Self::OccurredInFuture => "OCCURRED_IN_FUTURE",
            Self::NegativeAmount => "AMOUNT_NEGATIVE",
            Self::AmountTooLarge => "AMOUNT_TOO_LARGE",
            Self::OtherCurrency => "CURRENCY_DIFFERS",
            Self::RefundExceedsOrder => "REFUND_EXCEEDS_ORDER",
            Self::TooManyMessages => "TOO_MANY_MESSAGES",
        }
    }

    fn field(&self) -> Option<&'static str> {
        match self {
            Self::OccurredInFuture => Some("occurred_at"),
            Self::NegativeAmount | Self::AmountTooLarge | Self::OtherCurrency => Some("amount"),
            Self::MessageRepeated => Some("messages"),
            Self::FactDiffers { .. }
            | Self::MessageDiffers
            | Self::InquiryUnknown
            | Self::InquiryClosed
            | Self::OrderUnknown
            | Self::CustomerUnknown
            | Self::RefundExceedsOrder
            | Self::TooManyMessages => None,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Customer {
    pub key: [u8; 16],
    /// Every data key that a value of this person was sealed with: all of them go when the person is erased.
    pub keys: Vec<KeyId>,
    /// Hash of the details told last.
    pub body_mac: [u8; 16],
    /// Since when the details told last are so.
    pub told_at: Timestamp,
    /// Whether a name, phone or address was ever told: who came with an order is known by their platform's id only.
    pub named: bool,
    pub language: String,
    /// Another identity that this one was found to be.
    pub merged_into: Option<CustomerId>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inquiry {
    pub customer_id: CustomerId,
    pub desk: String,
    pub platform: String,
    pub external_id: String,
    pub closed: bool,
    /// From an import; it was never open here.
    pub history: bool,
    /// Bodies by natural key, in the order of arrival.
    pub messages: Vec<(FactKey, [u8; 16])>,
    pub occurred_at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    pub customer_id: CustomerId,
    pub amount: Money,
    /// Minor units refunded so far; never more than the amount.
    pub refunded: i64,
    pub history: bool,
}

/// One tenant's facts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub customers: IdMap<CustomerId, Customer>,
    pub customer_by_key: std::collections::BTreeMap<[u8; 16], CustomerId>,
    pub inquiries: IdMap<InquiryId, Inquiry>,
    pub orders: IdMap<OrderId, Order>,
    /// Every fact by its natural key: the id that it got, and the hash of its body. Kept for ever (L4).
    pub facts: IdMap<FactKey, ([u8; 16], [u8; 16])>,
}
