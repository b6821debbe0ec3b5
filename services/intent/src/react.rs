//! What intent takes from intake: what customers say. The text is opened here, turned into features, and forgotten.

use kernel::{InquiryId, TenantId};
use log::Topic;
use prost::Message as _;
use proto::intake as pb;
use runtime::{CodecError, Reaction, Upstream, Vault, wire};

use crate::domain::Command;
use crate::features::{Features, extract};

/// Schemas of intake that exist; a higher one is from a newer build and stops the shard (L10).
const INTAKE_LAST: u16 = 11;
const INQUIRY_SUBMITTED: u16 = 3;
const MESSAGE_APPENDED: u16 = 4;

/// The tenant's key of feature hashes.
pub(crate) fn feature_key(vault: &dyn Vault, tenant: TenantId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = vault.mac(tenant, "intent.features", b"");
    u64::from_le_bytes([a, b, c, d, e, f, g, h])
}

pub(crate) fn react(record: &Upstream<'_>, vault: &dyn Vault) -> Result<Option<Reaction<Command>>, CodecError> {
    if record.topic != Topic::Intake || record.header.schema > INTAKE_LAST {
        return Err(CodecError::UnknownSchema(record.header.schema));
    }
    match record.header.schema {
        INQUIRY_SUBMITTED => {
            let event = pb::InquirySubmitted::decode(record.payload)?;
            let mut features = Features::default();
            for (n, message) in event.messages.into_iter().enumerate() {
                if let Some(said) = heard(record, vault, message, &format!("messages[{n}].text"))? {
                    features = features.plus(&said);
                }
            }
            hear(event.inquiry_id, features)
        }
        MESSAGE_APPENDED => {
            let event = pb::MessageAppended::decode(record.payload)?;
            let message = event.message.ok_or_else(|| CodecError::Malformed("message is missing".to_owned()))?;
            match heard(record, vault, message, "messages[0].text")? {
                Some(features) => hear(event.inquiry_id, features),
                None => Ok(None),
            }
        }
        _ => Ok(None),
    }
}

fn hear(inquiry: Vec<u8>, features: Features) -> Result<Option<Reaction<Command>>, CodecError> {
    let inquiry_id = wire::id(&inquiry, "inquiry_id", InquiryId::from_bytes)?;
    Ok(Some(Reaction { entity: inquiry, command: Command::Hear { inquiry_id, features } }))
}

/// Features of a customer's message; none of anybody else's. An erased text has no features.
fn heard(
    record: &Upstream<'_>,
    vault: &dyn Vault,
    message: pb::SealedMessage,
    field: &str,
) -> Result<Option<Features>, CodecError> {
    if message.direction() != pb::Direction::Customer {
        return Ok(None);
    }
    let sealed = message.text.ok_or_else(|| CodecError::Malformed("a message without text".to_owned()))?;
    let tenant = record.header.tenant;
    let text = vault.open(tenant, record.header.command_id, field, &wire::sealed(sealed)?).unwrap_or_default();
    Ok(Some(extract(feature_key(vault, tenant), &String::from_utf8_lossy(&text))))
}
