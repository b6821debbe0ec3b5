//! What happened on the sample day, folded from the logs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use kernel::{Currency, EmployeeId, InquiryId, Money, TenantId};
use log::{Envelope, Topic};
use prost::Message;
use proto::{assignment, intake, intent, kpi, payroll};
use runtime::{schema, wire};
use serde::Serialize;

use super::agents::{Conversation, conversations};
use super::sample::{PERIOD, Sample, TENANT};
use crate::client::Client;
use crate::cluster::Cluster;
use crate::commands::output::table;

const READ_BYTES: usize = 4 << 20;

/// Waits from arrival to first assignment.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Waits {
    pub p50_ms: u64,
    pub p95_ms: u64,
    pub max_ms: u64,
}

/// How an intent was recognised, against the sample's gold labels.
#[derive(Debug, Clone, Default, Serialize)]
pub struct IntentRow {
    pub intent: String,
    pub inquiries: u64,
    pub right: u64,
}

/// What one employee did, and what came of it. Amounts are texts such as `1234.50 CNY`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct EmployeeRow {
    pub employee: String,
    pub position: String,
    pub received: u64,
    pub first_receptions: u64,
    pub completed: u64,
    pub transferred: u64,
    pub credits: u64,
    pub credited: Vec<String>,
    pub earned: Vec<String>,
}

/// The whole day.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Summary {
    pub tenant: String,
    pub period: String,
    pub inquiries: u64,
    pub assigned: u64,
    pub completed: u64,
    pub cancelled: u64,
    pub transferred: u64,
    /// Still with an agent, or waiting.
    pub open: u64,
    pub new_customers: u64,
    /// New customers' inquiries that experienced reception staff received first, of all of them.
    pub first_reception_share: f64,
    /// Inquiries whose last classification is the gold intent, of all of them.
    pub intent_accuracy: f64,
    pub waits: Waits,
    pub orders: u64,
    pub refunds: u64,
    pub ratings: u64,
    pub credits: Vec<String>,
    pub earnings: Vec<String>,
    /// Payouts that were issued to finance.
    pub payouts: u64,
    pub paid: Vec<String>,
    pub intents: Vec<IntentRow>,
    pub employees: Vec<EmployeeRow>,
    /// Wall-clock milliseconds that playing took; absent when the day was played before.
    pub milliseconds: Option<u128>,
}

type Sums = BTreeMap<Currency, i64>;

fn add(sums: &mut Sums, money: Money) {
    let sum = sums.entry(money.currency).or_default();
    *sum = sum.saturating_add(money.minor);
}

fn texts(sums: &Sums) -> Vec<String> {
    sums.iter().map(|(currency, minor)| Money::new(*minor, *currency).to_string()).collect()
}

#[expect(clippy::float_arithmetic, clippy::cast_precision_loss, reason = "a share for people to read")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64 * 10_000.0).round() / 10_000.0 }
}

#[derive(Default)]
struct Employee {
    received: u64,
    first_receptions: u64,
    completed: u64,
    transferred: u64,
    /// By credit id, so that a reversal takes it away.
    credits: BTreeMap<Vec<u8>, Money>,
    earned: Sums,
}

/// What is gathered while the logs are read.
#[derive(Default)]
struct Fold {
    summary: Summary,
    conversations: BTreeMap<String, Conversation>,
    new_customers: BTreeMap<Vec<u8>, bool>,
    rules: BTreeMap<Vec<u8>, String>,
    labels: BTreeMap<Vec<u8>, String>,
    waits: Vec<u64>,
    employees: BTreeMap<Vec<u8>, Employee>,
    paid: Sums,
}

/// Reads the logs of the sample's tenant and says what happened.
pub(super) async fn of(cluster: &Cluster, client: &Client, sample: &Sample) -> anyhow::Result<Summary> {
    let mut fold = Fold { conversations: conversations(sample), ..Fold::default() };
    let log = &cluster.shared.log;
    let (tenant, partition) = (TenantId::of_code(TENANT), super::partition(&**log));
    for topic in [Topic::Intake, Topic::Intent, Topic::Assignment, Topic::Kpi, Topic::Payroll] {
        let (mut next, end) = (0, *log.end(topic, partition).borrow());
        while next < end {
            for record in log.read(topic, partition, next, READ_BYTES).await? {
                next = record.seq + 1;
                let (envelope, payload) = Envelope::decode(&record.bytes)?;
                if envelope.tenant == tenant && envelope.schema < schema::FIRST_RESERVED {
                    fold.take(topic, envelope.schema, payload)?;
                }
            }
        }
    }
    let request = proto::roster::GetCompanyRequest { tenant: TENANT.to_owned(), at: None };
    let company = client.roster.clone().get_company(request).await?.into_inner();
    let known = company.employees.into_iter().map(|employee| (employee.code, employee.position));
    Ok(fold.finish(tenant, known.collect()))
}

impl Fold {
    fn take(&mut self, topic: Topic, schema: u16, payload: &[u8]) -> anyhow::Result<()> {
        match topic {
            Topic::Intake => self.intake(schema, payload)?,
            Topic::Intent if schema == 2 => {
                let event = intent::IntentClassified::decode(payload)?;
                let top = event.scores.into_iter().next().map(|score| score.label).unwrap_or_default();
                self.labels.insert(event.inquiry_id, top);
            }
            Topic::Assignment => self.assignment(schema, payload)?,
            Topic::Kpi => self.kpi(schema, payload)?,
            Topic::Payroll => self.payroll(schema, payload)?,
            Topic::Intent | Topic::Roster | Topic::Payout => {}
        }
        Ok(())
    }

    fn of_day(&self, inquiry: &[u8]) -> bool {
        InquiryId::from_slice(inquiry).is_ok_and(|id| self.conversations.contains_key(&id.to_string()))
    }

    fn intake(&mut self, schema: u16, payload: &[u8]) -> anyhow::Result<()> {
        match schema {
            3 if self.of_day(&intake::InquirySubmitted::decode(payload)?.inquiry_id) => self.summary.inquiries += 1,
            6 => self.summary.orders += u64::from(!intake::OrderRecorded::decode(payload)?.history),
            8 => self.summary.refunds += u64::from(!intake::RefundRecorded::decode(payload)?.history),
            9 => self.summary.ratings += 1,
            _ => {}
        }
        Ok(())
    }

    fn assignment(&mut self, schema: u16, payload: &[u8]) -> anyhow::Result<()> {
        match schema {
            1 => {
                let event = assignment::InquiryPended::decode(payload)?;
                if self.of_day(&event.inquiry_id) {
                    self.new_customers.insert(event.inquiry_id, event.new_customer);
                }
            }
            4 => {
                let event = assignment::ReservationMade::decode(payload)?;
                self.rules
                    .insert(event.reservation_id, event.decision.map(|decision| decision.rule).unwrap_or_default());
            }
            5 => {
                let event = assignment::ReservationAccepted::decode(payload)?;
                if !self.of_day(&event.inquiry_id) {
                    return Ok(());
                }
                let rule = self.rules.get(&event.reservation_id).map_or("", String::as_str);
                let first = event.first && rule == "first_reception";
                let employee = self.employees.entry(event.employee_id).or_default();
                employee.received += 1;
                employee.first_receptions += u64::from(first);
                if event.first {
                    self.summary.assigned += 1;
                    self.waits.push(event.waited_ms);
                }
            }
            10 => {
                let event = assignment::InquiryCompleted::decode(payload)?;
                if self.of_day(&event.inquiry_id) {
                    self.summary.completed += 1;
                    self.employees.entry(event.employee_id).or_default().completed += 1;
                }
            }
            12 => {
                let event = assignment::InquiryTransferred::decode(payload)?;
                if self.of_day(&event.inquiry_id) {
                    self.summary.transferred += 1;
                    self.employees.entry(event.from_employee_id).or_default().transferred += 1;
                }
            }
            13 if self.of_day(&assignment::InquiryCancelled::decode(payload)?.inquiry_id) => {
                self.summary.cancelled += 1
            }
            _ => {}
        }
        Ok(())
    }

    fn kpi(&mut self, schema: u16, payload: &[u8]) -> anyhow::Result<()> {
        match schema {
            6 => {
                let event = kpi::CreditGranted::decode(payload)?;
                if !event.history {
                    let amount = wire::money(event.amount, "amount")?;
                    self.employees.entry(event.employee_id).or_default().credits.insert(event.credit_id, amount);
                }
            }
            7 => {
                let event = kpi::CreditReversed::decode(payload)?;
                self.employees.entry(event.employee_id).or_default().credits.remove(&event.credit_id);
            }
            _ => {}
        }
        Ok(())
    }

    fn payroll(&mut self, schema: u16, payload: &[u8]) -> anyhow::Result<()> {
        match schema {
            6 => {
                let event = payroll::EarningAccrued::decode(payload)?;
                if event.posted_in == PERIOD {
                    let delta = wire::money(event.delta, "delta")?;
                    add(&mut self.employees.entry(event.employee_id).or_default().earned, delta);
                }
            }
            9 => {
                let event = payroll::PayoutChanged::decode(payload)?;
                if event.state() == payroll::PayoutState::Issued && event.period == PERIOD {
                    self.summary.payouts += 1;
                    add(&mut self.paid, wire::money(event.amount, "amount")?);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn finish(mut self, tenant: TenantId, known: Vec<(String, String)>) -> Summary {
        self.waits.sort_unstable();
        let at =
            |percent: usize| self.waits.get(self.waits.len().saturating_sub(1) * percent / 100).copied().unwrap_or(0);
        let waits = Waits { p50_ms: at(50), p95_ms: at(95), max_ms: at(100) };
        let intents = self.intents();
        let new_customers = self.new_customers.values().filter(|new| **new).count() as u64;
        let first: u64 = self.employees.values().map(|employee| employee.first_receptions).sum();
        let (mut credits, mut earnings) = (Sums::new(), Sums::new());
        let mut employees = Vec::new();
        for (code, position) in known {
            let id = EmployeeId::of_code(tenant, &code).to_vec();
            let of = self.employees.remove(&id).unwrap_or_default();
            let mut credited = Sums::new();
            of.credits.values().for_each(|money| add(&mut credited, *money));
            credited.iter().for_each(|(currency, minor)| add(&mut credits, Money::new(*minor, *currency)));
            of.earned.iter().for_each(|(currency, minor)| add(&mut earnings, Money::new(*minor, *currency)));
            employees.push(EmployeeRow {
                employee: code,
                position,
                received: of.received,
                first_receptions: of.first_receptions,
                completed: of.completed,
                transferred: of.transferred,
                credits: of.credits.len() as u64,
                credited: texts(&credited),
                earned: texts(&of.earned),
            });
        }
        employees.sort_by(|a, b| a.employee.cmp(&b.employee));
        let right = intents.iter().map(|row| row.right).sum();
        let summary = self.summary;
        Summary {
            tenant: TENANT.to_owned(),
            period: PERIOD.to_owned(),
            open: summary.inquiries.saturating_sub(summary.completed + summary.cancelled),
            new_customers,
            first_reception_share: share(first, new_customers),
            intent_accuracy: share(right, summary.inquiries),
            waits,
            credits: texts(&credits),
            earnings: texts(&earnings),
            paid: texts(&self.paid),
            intents,
            employees,
            ..summary
        }
    }

    fn intents(&self) -> Vec<IntentRow> {
        let mut rows: BTreeMap<&str, IntentRow> = BTreeMap::new();
        for (id, conversation) in &self.conversations {
            let row = rows.entry(&conversation.gold).or_default();
            row.inquiries += 1;
            let label = id.parse::<InquiryId>().ok().and_then(|id| self.labels.get(id.as_bytes().as_slice()));
            row.right += u64::from(label == Some(&conversation.gold));
        }
        rows.into_iter().map(|(intent, row)| IntentRow { intent: intent.to_owned(), ..row }).collect()
    }
}

#[expect(clippy::float_arithmetic, reason = "a share for people to read")]
fn percent(share: f64) -> String {
    format!("{:.1} %", share * PERCENT)
}

const PERCENT: f64 = 100.0;

impl Summary {
    /// For people.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let secs = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
        let mut line = |text_of: String| writeln!(text, "{text_of}").unwrap_or_default();
        line(format!(
            "The sample day: {} inquiries, {} assigned, {} completed, {} transferred, {} cancelled, {} open",
            self.inquiries, self.assigned, self.completed, self.transferred, self.cancelled, self.open
        ));
        line(format!(
            "  {} of {} new customers' inquiries were received first by experienced reception staff",
            percent(self.first_reception_share),
            self.new_customers
        ));
        line(format!("  intents recognised: {} as the gold labels say", percent(self.intent_accuracy)));
        let Waits { p50_ms, p95_ms, max_ms } = self.waits;
        line(format!("  waits: median {}, 95th percentile {}, longest {}", secs(p50_ms), secs(p95_ms), secs(max_ms)));
        line(format!(
            "  {} orders, {} refunds, {} ratings; credited: {}",
            self.orders,
            self.refunds,
            self.ratings,
            self.credits.join(", ")
        ));
        line(format!(
            "  {}: earned {}; {} payouts of {}",
            self.period,
            self.earnings.join(", "),
            self.payouts,
            self.paid.join(", ")
        ));
        let row = |row: &IntentRow| vec![row.intent.clone(), row.inquiries.to_string(), row.right.to_string()];
        let intents: Vec<Vec<String>> = self.intents.iter().map(row).collect();
        line(format!("\n{}", table(&["intent", "inquiries", "recognised"], &intents)));
        let row = |row: &EmployeeRow| {
            vec![
                row.employee.clone(),
                row.position.clone(),
                row.received.to_string(),
                row.first_receptions.to_string(),
                row.completed.to_string(),
                row.transferred.to_string(),
                row.credits.to_string(),
                row.credited.join(", "),
                row.earned.join(", "),
            ]
        };
        let employees: Vec<Vec<String>> = self.employees.iter().map(row).collect();
        let head =
            ["employee", "position", "received", "first", "completed", "handed on", "credits", "credited", "earned"];
        line(table(&head, &employees));
        if let Some(ms) = self.milliseconds {
            line(format!("played in {}", secs(u64::try_from(ms).unwrap_or(0))));
        }
        text
    }
}
