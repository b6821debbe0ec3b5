//! The gRPC door of intent.

use kernel::InquiryId;
use proto::intent as pb;
use proto::intent::intent_service_server::{IntentService, IntentServiceServer};
use runtime::{Host, Vault, field, invalid, not_found, server};
use tonic::{Request, Response, Status};

use crate::codec;
use crate::domain::{Command, Example, Intent, Source};
use crate::features::extract;
use crate::react::feature_key;

/// Characters of one text.
const TEXT_MAX: usize = 8_000;
const LABEL_MAX: usize = 64;
/// Examples of one request.
const EXAMPLES_MAX: usize = 1_000;

/// The service over its host.
pub fn api(host: Host<Intent>) -> IntentServiceServer<Api> {
    IntentServiceServer::new(Api { host })
        .max_decoding_message_size(server::REQUEST_BYTES_MAX)
        .max_encoding_message_size(server::ANSWER_BYTES_MAX)
}

#[derive(Clone)]
pub struct Api {
    host: Host<Intent>,
}

impl Api {
    async fn example(
        &self,
        tenant: kernel::TenantId,
        n: usize,
        example: pb::Example,
        source: Source,
    ) -> Result<Example, Status> {
        let field_name = |part: &str| format!("examples[{n}].{part}");
        let label = field::key(&example.label, &field_name("label"))?;
        let label = field::at_most(label, LABEL_MAX, &field_name("label"))?.to_owned();
        let vault: &dyn Vault = &**self.host.keys();
        if example.inquiry_id.is_empty() {
            let text = field::required(&example.text, &field_name("text"))?;
            let text = field::at_most(text, TEXT_MAX, &field_name("text"))?;
            let key = vault.mac(tenant, "intent.example", text.as_bytes());
            let features = extract(feature_key(vault, tenant), text);
            return Ok(Example { key, label, source, features, inquiry_id: None });
        }
        if !example.text.is_empty() {
            return Err(invalid(&field_name("text"), "stands beside inquiry_id; one of the two is wanted"));
        }
        let inquiry_id: InquiryId = field::id(&example.inquiry_id, &field_name("inquiry_id"))?;
        let features = self.host.query(tenant, move |state, _| {
            state.conversations.get(&inquiry_id).map(|conversation| conversation.features.clone())
        });
        let features = features.await?.ok_or_else(|| {
            not_found("INQUIRY_UNKNOWN", format!("{}: was not classified lately", field_name("inquiry_id")))
        })?;
        let key = vault.mac(tenant, "intent.inquiry", inquiry_id.as_bytes());
        Ok(Example { key, label, source, features, inquiry_id: Some(inquiry_id) })
    }
}

#[tonic::async_trait]
impl IntentService for Api {
    async fn classify(&self, request: Request<pb::ClassifyRequest>) -> Result<Response<pb::ClassifyResponse>, Status> {
        let request = request.into_inner();
        let tenant = self.host.tenant(&request.tenant)?;
        let text = field::at_most(field::required(&request.text, "text")?, TEXT_MAX, "text")?;
        let features = extract(feature_key(&**self.host.keys(), tenant), text);
        let answer = self.host.query(tenant, move |state, _| pb::ClassifyResponse {
            scores: codec::scores_to_wire(&state.classify(&features)),
            model_examples: state.model.examples,
        });
        answer.await.map(Response::new)
    }

    async fn teach(&self, request: Request<pb::TeachRequest>) -> Result<Response<pb::TeachResponse>, Status> {
        let request = request.into_inner();
        let meta = self.host.meta("Teach", &request, &request.command_id, request.issued_at, &request.tenant)?;
        let source = match pb::LabelSource::try_from(request.source) {
            Ok(pb::LabelSource::Import) => Source::Import,
            Ok(pb::LabelSource::Disposition) => Source::Disposition,
            Ok(pb::LabelSource::Correction) => Source::Correction,
            Ok(pb::LabelSource::Unspecified) | Err(_) => {
                return Err(invalid("source", "is not one of import, disposition and correction"));
            }
        };
        if request.examples.is_empty() || request.examples.len() > EXAMPLES_MAX {
            let count = request.examples.len();
            return Err(invalid("examples", format!("has {count} entries; 1 to {EXAMPLES_MAX} are allowed")));
        }
        let mut examples = Vec::with_capacity(request.examples.len());
        for (n, example) in request.examples.into_iter().enumerate() {
            examples.push(self.example(meta.tenant, n, example, source).await?);
        }
        let receipt = self.host.call(meta, Command::Teach(examples)).await?;
        Ok(Response::new(pb::TeachResponse { taught: receipt.events, seq: receipt.first_seq }))
    }

    async fn get_model(&self, request: Request<pb::GetModelRequest>) -> Result<Response<pb::GetModelResponse>, Status> {
        let tenant = self.host.tenant(&request.into_inner().tenant)?;
        let answer = self.host.query(tenant, |state, _| {
            let count =
                |(label, examples): (&String, &u64)| pb::LabelCount { label: label.clone(), examples: *examples };
            pb::GetModelResponse {
                examples: state.model.examples,
                labels: state.counts.iter().map(count).collect(),
                temperature_milli: state.model.temperature_milli(),
                rows: state.model.rows() as u64,
            }
        });
        answer.await.map(Response::new)
    }
}
