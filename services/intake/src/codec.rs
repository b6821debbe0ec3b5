//! Events of intake as they stand on the log.

use kernel::{CustomerId, FactKey, InquiryId, OrderId, OutcomeId, Timestamp};
use prost::Message as _;
use proto::intake as pb;
use runtime::{CodecError, wire};

use crate::domain::{Cost, CustomerDetails, CustomerFacts, Direction, Event, Fact, Message, NewInquiry, NewOrder};

pub(crate) mod schema {
    pub(crate) const CUSTOMER_UPSERTED: u16 = 1;
    pub(crate) const CUSTOMERS_LINKED: u16 = 2;
    pub(crate) const INQUIRY_SUBMITTED: u16 = 3;
    pub(crate) const MESSAGE_APPENDED: u16 = 4;
    pub(crate) const INQUIRY_CLOSED: u16 = 5;
    pub(crate) const ORDER_RECORDED: u16 = 6;
    pub(crate) const PAYMENT_RECORDED: u16 = 7;
    pub(crate) const REFUND_RECORDED: u16 = 8;
    pub(crate) const RATING_RECORDED: u16 = 9;
    pub(crate) const COST_RECORDED: u16 = 10;
    pub(crate) const HISTORY_INQUIRY_RECORDED: u16 = 11;
}

pub(crate) fn encode(event: &Event, payload: &mut Vec<u8>) -> u16 {
    match event.clone() {
        Event::CustomerUpserted(facts) => wire::put(schema::CUSTOMER_UPSERTED, &customer_to_wire(facts), payload),
        Event::CustomersLinked { kept, merged, occurred_at } => {
            let (kept_customer_id, merged_customer_id) = (kept.to_vec(), merged.to_vec());
            let occurred_at_us = occurred_at.as_micros();
            wire::put(
                schema::CUSTOMERS_LINKED,
                &pb::CustomersLinked { kept_customer_id, merged_customer_id, occurred_at_us },
                payload,
            )
        }
        Event::InquirySubmitted { inquiry_id, customer_id, inquiry } => {
            wire::put(schema::INQUIRY_SUBMITTED, &inquiry_to_wire(inquiry_id, customer_id, inquiry), payload)
        }
        Event::MessageAppended { inquiry_id, customer_id, message } => {
            let message = Some(message_to_wire(message));
            let event =
                pb::MessageAppended { inquiry_id: inquiry_id.to_vec(), customer_id: customer_id.to_vec(), message };
            wire::put(schema::MESSAGE_APPENDED, &event, payload)
        }
        Event::InquiryClosed { inquiry_id, reason, occurred_at } => {
            let event =
                pb::InquiryClosed { inquiry_id: inquiry_id.to_vec(), reason, occurred_at_us: occurred_at.as_micros() };
            wire::put(schema::INQUIRY_CLOSED, &event, payload)
        }
        Event::OrderRecorded { order_id, customer_id, order } => {
            wire::put(schema::ORDER_RECORDED, &order_to_wire(order_id, customer_id, order), payload)
        }
        Event::PaymentRecorded { payment_id, order_id, customer_id, fact, amount, history } => {
            let event = pb::PaymentRecorded {
                payment_id: payment_id.to_vec(),
                order_id: order_id.to_vec(),
                customer_id: customer_id.to_vec(),
                external_id: fact.external_id,
                amount: wire::to_money(amount),
                history,
                occurred_at_us: fact.occurred_at.as_micros(),
                platform: fact.platform,
                body_mac: fact.body_mac.to_vec(),
            };
            wire::put(schema::PAYMENT_RECORDED, &event, payload)
        }
        Event::RefundRecorded { refund_id, order_id, customer_id, fact, amount, history } => {
            let event = pb::RefundRecorded {
                refund_id: refund_id.to_vec(),
                order_id: order_id.to_vec(),
                customer_id: customer_id.to_vec(),
                external_id: fact.external_id,
                amount: wire::to_money(amount),
                history,
                occurred_at_us: fact.occurred_at.as_micros(),
                platform: fact.platform,
                body_mac: fact.body_mac.to_vec(),
            };
            wire::put(schema::REFUND_RECORDED, &event, payload)
        }
        Event::RatingRecorded { rating_id, inquiry_id, customer_id, fact, score } => {
            let event = pb::RatingRecorded {
                rating_id: rating_id.to_vec(),
                inquiry_id: inquiry_id.to_vec(),
                customer_id: customer_id.to_vec(),
                external_id: fact.external_id,
                score,
                occurred_at_us: fact.occurred_at.as_micros(),
                platform: fact.platform,
                body_mac: fact.body_mac.to_vec(),
            };
            wire::put(schema::RATING_RECORDED, &event, payload)
        }
        Event::CostRecorded { cost_id, cost } => {
            let event = pb::CostRecorded {
                cost_id: cost_id.to_vec(),
                external_id: cost.external_id,
                kind: cost.kind,
                desk: cost.desk,
                amount: wire::to_money(cost.amount),
                occurred_at_us: cost.occurred_at.as_micros(),
                body_mac: cost.body_mac.to_vec(),
            };
            wire::put(schema::COST_RECORDED, &event, payload)
        }
        Event::HistoryInquiryRecorded { inquiry_id, customer_id, fact, desk, handler } => {
            let event = pb::HistoryInquiryRecorded {
                inquiry_id: inquiry_id.to_vec(),
                customer_id: customer_id.to_vec(),
                desk,
                platform: fact.platform,
                external_id: fact.external_id,
                handler,
                occurred_at_us: fact.occurred_at.as_micros(),
                body_mac: fact.body_mac.to_vec(),
            };
            wire::put(schema::HISTORY_INQUIRY_RECORDED, &event, payload)
        }
    }
}

fn customer_to_wire(facts: CustomerFacts) -> pb::CustomerUpserted {
    let details = facts.details;
    pb::CustomerUpserted {
        customer_id: facts.customer_id.to_vec(),
        customer_key: facts.customer_key.to_vec(),
        platform: details.platform,
        external_id: details.external_id.as_ref().map(wire::to_sealed),
        name: details.name.as_ref().map(wire::to_sealed),
        phone: details.phone.as_ref().map(wire::to_sealed),
        address: details.address.as_ref().map(wire::to_sealed),
        language: details.language,
        occurred_at_us: facts.occurred_at.as_micros(),
        body_mac: facts.body_mac.to_vec(),
    }
}

fn message_to_wire(message: Message) -> pb::SealedMessage {
    let direction = match message.direction {
        Direction::Customer => pb::Direction::Customer,
        Direction::Agent => pb::Direction::Agent,
        Direction::System => pb::Direction::System,
    };
    pb::SealedMessage {
        message_key: message.key.to_vec(),
        direction: direction.into(),
        text: Some(wire::to_sealed(&message.text)),
        occurred_at_us: message.occurred_at.as_micros(),
        characters: message.characters,
        body_mac: message.body_mac.to_vec(),
    }
}

fn inquiry_to_wire(inquiry_id: InquiryId, customer_id: CustomerId, inquiry: NewInquiry) -> pb::InquirySubmitted {
    pb::InquirySubmitted {
        inquiry_id: inquiry_id.to_vec(),
        customer_id: customer_id.to_vec(),
        desk: inquiry.desk,
        platform: inquiry.fact.platform,
        external_id: inquiry.fact.external_id,
        channel: inquiry.channel,
        language: inquiry.language,
        priority_minutes: inquiry.priority_minutes,
        category: inquiry.category,
        messages: inquiry.messages.into_iter().map(message_to_wire).collect(),
        occurred_at_us: inquiry.fact.occurred_at.as_micros(),
        body_mac: inquiry.fact.body_mac.to_vec(),
    }
}

fn order_to_wire(order_id: OrderId, customer_id: CustomerId, order: NewOrder) -> pb::OrderRecorded {
    pb::OrderRecorded {
        order_id: order_id.to_vec(),
        customer_id: customer_id.to_vec(),
        platform: order.fact.platform,
        external_id: order.fact.external_id,
        amount: wire::to_money(order.amount),
        history: order.history,
        handler: order.handler,
        occurred_at_us: order.fact.occurred_at.as_micros(),
        body_mac: order.fact.body_mac.to_vec(),
    }
}

fn fact(platform: String, external_id: String, body_mac: &[u8], occurred_at_us: i64) -> Result<Fact, CodecError> {
    let body_mac = wire::bytes16(body_mac, "body_mac")?;
    Ok(Fact { platform, external_id, body_mac, occurred_at: Timestamp::from_micros(occurred_at_us) })
}

fn customer(bytes: &[u8]) -> Result<CustomerId, CodecError> {
    wire::id(bytes, "customer_id", CustomerId::from_bytes)
}

fn inquiry(bytes: &[u8]) -> Result<InquiryId, CodecError> {
    wire::id(bytes, "inquiry_id", InquiryId::from_bytes)
}

fn order(bytes: &[u8]) -> Result<OrderId, CodecError> {
    wire::id(bytes, "order_id", OrderId::from_bytes)
}

pub(crate) fn decode(schema: u16, payload: &[u8]) -> Result<Event, CodecError> {
    Ok(match schema {
        schema::CUSTOMER_UPSERTED => Event::CustomerUpserted(customer_facts(pb::CustomerUpserted::decode(payload)?)?),
        schema::CUSTOMERS_LINKED => {
            let event = pb::CustomersLinked::decode(payload)?;
            Event::CustomersLinked {
                kept: customer(&event.kept_customer_id)?,
                merged: customer(&event.merged_customer_id)?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
            }
        }
        schema::INQUIRY_SUBMITTED => submitted(pb::InquirySubmitted::decode(payload)?)?,
        schema::MESSAGE_APPENDED => {
            let event = pb::MessageAppended::decode(payload)?;
            let sealed = event.message.ok_or_else(|| CodecError::Malformed("message is missing".to_owned()))?;
            Event::MessageAppended {
                inquiry_id: inquiry(&event.inquiry_id)?,
                customer_id: customer(&event.customer_id)?,
                message: message(sealed)?,
            }
        }
        schema::INQUIRY_CLOSED => {
            let event = pb::InquiryClosed::decode(payload)?;
            let occurred_at = Timestamp::from_micros(event.occurred_at_us);
            Event::InquiryClosed { inquiry_id: inquiry(&event.inquiry_id)?, reason: event.reason, occurred_at }
        }
        schema::ORDER_RECORDED => {
            let event = pb::OrderRecorded::decode(payload)?;
            Event::OrderRecorded {
                order_id: order(&event.order_id)?,
                customer_id: customer(&event.customer_id)?,
                order: NewOrder {
                    fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
                    amount: wire::money(event.amount, "amount")?,
                    history: event.history,
                    handler: event.handler,
                },
            }
        }
        schema::PAYMENT_RECORDED => {
            let event = pb::PaymentRecorded::decode(payload)?;
            Event::PaymentRecorded {
                payment_id: wire::id(&event.payment_id, "payment_id", OutcomeId::from_bytes)?,
                order_id: order(&event.order_id)?,
                customer_id: customer(&event.customer_id)?,
                fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
                amount: wire::money(event.amount, "amount")?,
                history: event.history,
            }
        }
        schema::REFUND_RECORDED => {
            let event = pb::RefundRecorded::decode(payload)?;
            Event::RefundRecorded {
                refund_id: wire::id(&event.refund_id, "refund_id", OutcomeId::from_bytes)?,
                order_id: order(&event.order_id)?,
                customer_id: customer(&event.customer_id)?,
                fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
                amount: wire::money(event.amount, "amount")?,
                history: event.history,
            }
        }
        schema::RATING_RECORDED => {
            let event = pb::RatingRecorded::decode(payload)?;
            Event::RatingRecorded {
                rating_id: wire::id(&event.rating_id, "rating_id", OutcomeId::from_bytes)?,
                inquiry_id: inquiry(&event.inquiry_id)?,
                customer_id: customer(&event.customer_id)?,
                fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
                score: event.score,
            }
        }
        schema::COST_RECORDED => {
            let event = pb::CostRecorded::decode(payload)?;
            let cost = Cost {
                external_id: event.external_id,
                body_mac: wire::bytes16(&event.body_mac, "body_mac")?,
                occurred_at: Timestamp::from_micros(event.occurred_at_us),
                kind: event.kind,
                desk: event.desk,
                amount: wire::money(event.amount, "amount")?,
            };
            Event::CostRecorded { cost_id: wire::id(&event.cost_id, "cost_id", OutcomeId::from_bytes)?, cost }
        }
        schema::HISTORY_INQUIRY_RECORDED => {
            let event = pb::HistoryInquiryRecorded::decode(payload)?;
            Event::HistoryInquiryRecorded {
                inquiry_id: inquiry(&event.inquiry_id)?,
                customer_id: customer(&event.customer_id)?,
                fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
                desk: event.desk,
                handler: event.handler,
            }
        }
        other => return Err(CodecError::UnknownSchema(other)),
    })
}

fn customer_facts(event: pb::CustomerUpserted) -> Result<CustomerFacts, CodecError> {
    Ok(CustomerFacts {
        customer_id: customer(&event.customer_id)?,
        customer_key: wire::bytes16(&event.customer_key, "customer_key")?,
        details: CustomerDetails {
            platform: event.platform,
            external_id: wire::optional_sealed(event.external_id)?,
            name: wire::optional_sealed(event.name)?,
            phone: wire::optional_sealed(event.phone)?,
            address: wire::optional_sealed(event.address)?,
            language: event.language,
        },
        occurred_at: Timestamp::from_micros(event.occurred_at_us),
        body_mac: wire::bytes16(&event.body_mac, "body_mac")?,
    })
}

fn message(message: pb::SealedMessage) -> Result<Message, CodecError> {
    let direction = match message.direction() {
        pb::Direction::Customer => Direction::Customer,
        pb::Direction::Agent => Direction::Agent,
        pb::Direction::System => Direction::System,
        pb::Direction::Unspecified => return Err(CodecError::Malformed("a message without direction".to_owned())),
    };
    let text = message.text.ok_or_else(|| CodecError::Malformed("a message without text".to_owned()))?;
    Ok(Message {
        key: wire::id(&message.message_key, "message_key", FactKey::from_bytes)?,
        direction,
        text: wire::sealed(text)?,
        occurred_at: Timestamp::from_micros(message.occurred_at_us),
        characters: message.characters,
        body_mac: wire::bytes16(&message.body_mac, "body_mac")?,
    })
}

fn submitted(event: pb::InquirySubmitted) -> Result<Event, CodecError> {
    Ok(Event::InquirySubmitted {
        inquiry_id: inquiry(&event.inquiry_id)?,
        customer_id: customer(&event.customer_id)?,
        inquiry: NewInquiry {
            fact: fact(event.platform, event.external_id, &event.body_mac, event.occurred_at_us)?,
            desk: event.desk,
            channel: event.channel,
            language: event.language,
            priority_minutes: event.priority_minutes,
            category: event.category,
            messages: event.messages.into_iter().map(message).collect::<Result<_, _>>()?,
        },
    })
}
