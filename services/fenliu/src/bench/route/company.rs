//! Companies with room for every inquiry at once, classifiers that learnt the sample's labels, and its texts.

use anyhow::Context;
use kernel::{CommandId, TenantId};
use proto::intake as pb;
use proto::intent::{Example, LabelSource, TeachRequest};
use proto::roster::{ImportCompanyRequest, Presence, SetPresenceRequest};
use runtime::Clock;

use super::TenantCode;
use crate::client::{Client, new_command, wire};
use crate::commands::session::refused;
use crate::demo::Sample;
use crate::facts::{Fact, InquiryFact};

/// Agents of a company that is alone, and of one among many.
const ALONE: u64 = 160;
const AMONG_MANY: u64 = 16;
/// Conversations that one agent may have at a time: what is offered comes back within moments, and never waits.
const CHATS: u64 = 500;
const EXAMPLES_PER_REQUEST: usize = 200;
/// Of ten inquiries so many are of customers who were never there.
const NEW_OF_TEN: u64 = 6;

const SALES: &str = "new_product, part_fitment, price_quote, bulk_purchase, custom_order, stock_check, distributorship";
const SERVICE: &str = "order_status, shipping_change, return_refund, quality_claim, install_support, invoice, payment_issue, out_of_scope";
const SKILLS: [&str; 7] = ["hydraulics", "engine", "undercarriage", "attachments", "electrical", "cabin", "filters"];

fn yaml(code: &str, agents: u64) -> String {
    let units = CHATS * 100;
    let mut text = format!(
        "company: {{code: {code}, name: {code}, currency: CNY, zone: Asia/Shanghai, legal_entity: {code}}}
desks:
  - {{code: domestic, name_zh: 国内, name_en: Domestic, zone: Asia/Shanghai}}
  - {{code: export, name_zh: 外贸, name_en: Export, zone: Asia/Shanghai}}
positions:
  - {{code: sales, name_zh: 销售, name_en: Sales, duties: [{SALES}], capacity_units: {units}, first_reception: true}}
  - {{code: service, name_zh: 客服, name_en: Service, duties: [{SERVICE}], capacity_units: {units}}}
policy: {{wrap_up_ms: 0}}
employees:
"
    );
    for n in 0..agents {
        let desk = if n % 4 < 2 { "domestic" } else { "export" };
        let position = if n.is_multiple_of(2) { "sales" } else { "service" };
        let [first, second] = [n / 4 % 7, (n / 4 + 3) % 7].map(|skill| SKILLS[usize::try_from(skill).unwrap_or(0)]);
        text.push_str(&format!(
            "  - {{code: E{n}, name: E{n}, desk: {desk}, position: {position}, experience_months: 24, languages: [zh, en], skills: {{{first}: 3, {second}: 4}}}}\n"
        ));
    }
    text
}

/// Makes one company through the front door.
pub(super) async fn make(client: &Client, n: u64, of: u64, texts: &Texts) -> anyhow::Result<TenantCode> {
    let code = format!("company-{n}");
    let agents = if of == 1 { ALONE } else { AMONG_MANY };
    let mut client = client.clone();
    let now = || wire(Clock::real().now());
    let request = ImportCompanyRequest {
        command_id: new_command()?,
        issued_at: now(),
        tenant: code.clone(),
        yaml: yaml(&code, agents),
        dry_run: false,
    };
    client.roster.import_company(request).await.map_err(refused).context("import a company")?;
    for employee in (0..agents).map(|n| format!("E{n}")) {
        let presence = Presence::Available.into();
        let (command_id, tenant) = (new_command()?, code.clone());
        let request = SetPresenceRequest { command_id, issued_at: now(), tenant, employee, presence };
        client.roster.set_presence(request).await.map_err(refused).context("set presence")?;
    }
    // To learn is dear, and many companies learn at once: a part of the labels makes a model of the same kind.
    let labels: Vec<&(String, String)> = texts.examples.iter().step_by(if of == 1 { 1 } else { 4 }).collect();
    for examples in labels.chunks(EXAMPLES_PER_REQUEST) {
        let example = |(label, text): &&(String, String)| Example {
            text: text.clone(),
            label: label.clone(),
            inquiry_id: String::new(),
        };
        let request = TeachRequest {
            command_id: new_command()?,
            issued_at: now(),
            tenant: code.clone(),
            source: LabelSource::Import.into(),
            examples: examples.iter().map(example).collect(),
        };
        client.intent.teach(request).await.map_err(refused).context("teach the labels")?;
    }
    Ok(TenantCode { id: TenantId::of_code(&code), code })
}

/// What people write, from the sample's day.
pub(super) struct Texts {
    inquiries: Vec<InquiryFact>,
    examples: Vec<(String, String)>,
}

impl Texts {
    pub(super) fn of_sample() -> anyhow::Result<Self> {
        let Sample { day, examples, .. } = Sample::load(None)?;
        let inquiries = day.into_iter().filter_map(|fact| match fact {
            Fact::Inquiry(fact) => Some(fact),
            _ => None,
        });
        Ok(Self { inquiries: inquiries.collect(), examples })
    }

    /// The nth inquiry of a run: a real text under an id of its own.
    pub(super) fn request(
        &self,
        tenant: &TenantCode,
        run_no: u64,
        n: u64,
        command_id: CommandId,
    ) -> pb::SubmitInquiryRequest {
        let fact = &self.inquiries[usize::try_from(n).unwrap_or(0) % self.inquiries.len()];
        let customer = if n % 10 < NEW_OF_TEN { n } else { n / 2 };
        let now = wire(Clock::real().now());
        let message = |(at, message): (usize, &crate::facts::FirstMessage)| pb::Message {
            external_id: (at + 1).to_string(),
            direction: pb::Direction::Customer.into(),
            text: message.text.clone(),
            occurred_at: now,
        };
        pb::SubmitInquiryRequest {
            command_id: command_id.to_string(),
            issued_at: now,
            tenant: tenant.code.clone(),
            platform: fact.platform.clone(),
            external_id: format!("{run_no}-{n}"),
            desk: fact.desk.clone(),
            channel: fact.channel.clone(),
            customer: Some(pb::Customer {
                platform: fact.platform.clone(),
                external_id: format!("c{run_no}-{customer}"),
                language: fact.customer.language.clone(),
                ..Default::default()
            }),
            messages: fact.messages.iter().enumerate().map(message).collect(),
            priority_minutes: fact.priority_minutes,
            category: fact.category.clone(),
            occurred_at: now,
        }
    }
}
