//! A company with work in every state, and requests that it accepts.

use super::*;

pub const TENANT: &str = "acme";

/// What the requests refer to.
pub struct Bases {
    now: Timestamp,
    /// Open offers: reservation and epoch.
    pub(super) reserved: Vec<(String, u32)>,
    /// Assigned inquiries.
    pub(super) assigned: Vec<String>,
    /// Who has the second of them.
    pub(super) holder: String,
    /// A reservation that was accepted.
    pub(super) accepted: String,
    /// An inquiry that is only offered.
    pub(super) pending: String,
}

/// Founds the company and brings it into the state that the rows need.
pub async fn prepare(client: &mut Client, now: Timestamp) -> Bases {
    company::found(client, TENANT, CALM, now).await;
    let mut bases = Bases {
        now,
        reserved: Vec::new(),
        assigned: Vec::new(),
        holder: String::new(),
        accepted: String::new(),
        pending: String::new(),
    };
    for employee in company::EMPLOYEES {
        let command_id = fenliu::client::command_for(&["come", employee]);
        let request = roster::SetPresenceRequest { command_id, employee: employee.to_owned(), ..bases.presence() };
        client.roster.set_presence(request).await.unwrap();
    }
    for n in 0..4 {
        let name = format!("inquiry-{n}");
        let inquiry_id = bases.submitted(client, &name).await;
        let offered = offered(client, &inquiry_id).await;
        if n < 2 {
            bases.reserved.push((offered.reservation_id, offered.epoch));
            bases.pending = inquiry_id;
            continue;
        }
        let request = assignment::AcceptReservationRequest {
            command_id: fenliu::client::command_for(&["accept", &name]),
            issued_at: wire(now),
            tenant: TENANT.to_owned(),
            reservation_id: offered.reservation_id.clone(),
            epoch: offered.epoch,
        };
        client.assignment.accept_reservation(request).await.unwrap();
        bases.accepted = offered.reservation_id;
        bases.assigned.push(inquiry_id);
        bases.holder = offered.employee;
    }
    bases.submitted(client, "inquiry-closed").await;
    let close = intake::CloseInquiryRequest { inquiry_external_id: "inquiry-closed".to_owned(), ..bases.close() };
    let command_id = fenliu::client::command_for(&["close"]);
    client.intake.close_inquiry(intake::CloseInquiryRequest { command_id, ..close }).await.unwrap();
    let order = intake::RecordOrderRequest { external_id: "order-0".to_owned(), ..bases.order() };
    let command_id = fenliu::client::command_for(&["order"]);
    client.intake.record_order(intake::RecordOrderRequest { command_id, ..order }).await.unwrap();
    for n in 1..=4 {
        let customer = Some(who(n));
        let command_id = fenliu::client::command_for(&["customer", &n.to_string()]);
        let request = intake::UpsertCustomerRequest { command_id, customer, ..bases.upsert() };
        client.intake.upsert_customer(request).await.unwrap();
    }
    bases
}

/// Waits until an inquiry is offered to somebody.
async fn offered(client: &mut Client, inquiry_id: &str) -> assignment::GetInquiryResponse {
    loop {
        let request = assignment::GetInquiryRequest { tenant: TENANT.to_owned(), inquiry_id: inquiry_id.to_owned() };
        if let Ok(found) = client.assignment.get_inquiry(request).await
            && found.get_ref().state == "reserved"
        {
            return found.into_inner();
        }
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

fn who(number: u32) -> intake::Customer {
    intake::Customer {
        platform: "shop".to_owned(),
        external_id: format!("customer-{number}"),
        name: "张三".to_owned(),
        phone: "13800000000".to_owned(),
        address: "上海".to_owned(),
        language: "zh".to_owned(),
    }
}

impl Bases {
    async fn submitted(&self, client: &mut Client, name: &str) -> String {
        let request = intake::SubmitInquiryRequest {
            command_id: fenliu::client::command_for(&["submit", name]),
            external_id: name.to_owned(),
            ..self.submit()
        };
        client.intake.submit_inquiry(request).await.unwrap().into_inner().inquiry_id
    }

    fn head(&self) -> (String, Option<prost_types::Timestamp>, String) {
        (format!("{:032x}", 0), wire(self.now), TENANT.to_owned())
    }

    fn message(&self, id: &str) -> intake::Message {
        intake::Message {
            external_id: id.to_owned(),
            direction: intake::Direction::Customer.into(),
            text: "多少钱?\n\thow much".to_owned(),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn submit(&self) -> intake::SubmitInquiryRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::SubmitInquiryRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            external_id: "inquiry-new".to_owned(),
            desk: "main".to_owned(),
            channel: "chat".to_owned(),
            customer: Some(who(9)),
            messages: vec![self.message("m1")],
            priority_minutes: 3,
            category: "parts".to_owned(),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn append(&self) -> intake::AppendMessageRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::AppendMessageRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            inquiry_external_id: "inquiry-0".to_owned(),
            message: Some(self.message("m2")),
        }
    }

    /// Of the inquiry that the first row submits.
    pub(super) fn close(&self) -> intake::CloseInquiryRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::CloseInquiryRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            inquiry_external_id: "inquiry-new".to_owned(),
            reason: "left".to_owned(),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn upsert(&self) -> intake::UpsertCustomerRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::UpsertCustomerRequest {
            command_id,
            issued_at,
            tenant,
            customer: Some(who(8)),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn link(&self) -> intake::LinkCustomerRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::LinkCustomerRequest {
            command_id,
            issued_at,
            tenant,
            kept: Some(who(1)),
            merged: Some(who(2)),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn history(&self) -> intake::RecordHistoryInquiryRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordHistoryInquiryRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            external_id: "inquiry-old".to_owned(),
            desk: "main".to_owned(),
            customer: Some(who(3)),
            handler: "E1".to_owned(),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn order(&self) -> intake::RecordOrderRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordOrderRequest {
            command_id,
            issued_at,
            tenant,
            external_id: "order-new".to_owned(),
            customer: Some(who(1)),
            amount: Some(cny(10_000)),
            occurred_at: wire(self.now),
            history: false,
            handler: String::new(),
        }
    }

    pub(super) fn payment(&self) -> intake::RecordPaymentRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordPaymentRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            order_external_id: "order-0".to_owned(),
            external_id: "payment-new".to_owned(),
            amount: Some(cny(10_000)),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn refund(&self) -> intake::RecordRefundRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordRefundRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            order_external_id: "order-0".to_owned(),
            external_id: "refund-new".to_owned(),
            amount: Some(cny(100)),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn rating(&self) -> intake::RecordRatingRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordRatingRequest {
            command_id,
            issued_at,
            tenant,
            platform: "shop".to_owned(),
            inquiry_external_id: "inquiry-0".to_owned(),
            external_id: "rating-new".to_owned(),
            score: 5,
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn cost(&self) -> intake::RecordCostRequest {
        let (command_id, issued_at, tenant) = self.head();
        intake::RecordCostRequest {
            command_id,
            issued_at,
            tenant,
            external_id: "cost-new".to_owned(),
            kind: "ads".to_owned(),
            desk: "main".to_owned(),
            amount: Some(cny(100)),
            occurred_at: wire(self.now),
        }
    }

    pub(super) fn presence(&self) -> roster::SetPresenceRequest {
        let (command_id, issued_at, tenant) = self.head();
        let presence = roster::Presence::Available.into();
        roster::SetPresenceRequest { command_id, issued_at, tenant, employee: "E4".to_owned(), presence }
    }

    pub(super) fn teach(&self) -> intent::TeachRequest {
        let (command_id, issued_at, tenant) = self.head();
        let (text, label) = ("多少钱".to_owned(), "price_quote".to_owned());
        let examples = vec![intent::Example { text, label, inquiry_id: String::new() }];
        intent::TeachRequest { command_id, issued_at, tenant, source: intent::LabelSource::Import.into(), examples }
    }

    pub(super) fn accept(&self) -> assignment::AcceptReservationRequest {
        let (command_id, issued_at, tenant) = self.head();
        let (reservation_id, epoch) = self.reserved[0].clone();
        assignment::AcceptReservationRequest { command_id, issued_at, tenant, reservation_id, epoch }
    }

    pub(super) fn reject(&self) -> assignment::RejectReservationRequest {
        let (command_id, issued_at, tenant) = self.head();
        let (reservation_id, epoch) = self.reserved[1].clone();
        let reason = "busy".to_owned();
        assignment::RejectReservationRequest { command_id, issued_at, tenant, reservation_id, epoch, reason }
    }

    pub(super) fn complete(&self) -> assignment::CompleteInquiryRequest {
        let (command_id, issued_at, tenant) = self.head();
        let (inquiry_id, disposition) = (self.assigned[0].clone(), "price_quote".to_owned());
        assignment::CompleteInquiryRequest { command_id, issued_at, tenant, inquiry_id, disposition }
    }

    pub(super) fn transfer(&self) -> assignment::TransferInquiryRequest {
        let (command_id, issued_at, tenant) = self.head();
        assignment::TransferInquiryRequest {
            command_id,
            issued_at,
            tenant,
            inquiry_id: self.assigned[1].clone(),
            to_employee: String::new(),
            intent: "price_quote".to_owned(),
            reason: "tired".to_owned(),
        }
    }

    pub(super) fn import(&self) -> roster::ImportCompanyRequest {
        let (command_id, issued_at, tenant) = self.head();
        let yaml = company::yaml(CALM).replace("experience_months: 24", "experience_months: 25");
        roster::ImportCompanyRequest { command_id, issued_at, tenant, yaml, dry_run: false }
    }

    pub(super) fn activate(&self) -> payroll::ActivatePlanRequest {
        let (command_id, issued_at, tenant) = self.head();
        payroll::ActivatePlanRequest { command_id, issued_at, tenant, yaml: company::plan(2) }
    }

    pub(super) fn close_period(&self) -> payroll::ClosePeriodRequest {
        let (command_id, issued_at, tenant) = self.head();
        payroll::ClosePeriodRequest { command_id, issued_at, tenant, period: "2026-08".to_owned() }
    }

    pub(super) fn approve(&self) -> payroll::ApprovePayoutsRequest {
        let (command_id, issued_at, tenant) = self.head();
        payroll::ApprovePayoutsRequest { command_id, issued_at, tenant, period: "2026-08".to_owned() }
    }
}
