//! Why: from an inquiry to what it paid, and from a payout back to the inquiries that it came of (L7).
//!
//! Everything is read from the log in the folder, by ids; whether a Fenliu runs on it makes no difference. Decisions
//! are taken again on the state that the log gives up to them.

use std::path::Path;

use anyhow::bail;
use kernel::{InquiryId, PayoutId, TenantId};
use log::Topic;
use serde::Serialize;
use serde_json::Value;

mod decision;
mod inquiry;
mod payout;
mod walk;
mod words;

pub use decision::{CandidateRow, DecisionTable};

use walk::{Codes, Found};

/// What is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// An inquiry's or a payout's id.
    Id([u8; 16]),
    /// An inquiry by the platform's own id.
    Inquiry { platform: String, external_id: String },
}

impl std::str::FromStr for Subject {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse::<InquiryId>() {
            return Ok(Self::Id(*id.as_bytes()));
        }
        match text.split_once(':') {
            Some((platform, id)) if !platform.is_empty() && !id.is_empty() => {
                Ok(Self::Inquiry { platform: platform.to_owned(), external_id: id.to_owned() })
            }
            _ => Err(format!("{text:?} is neither an id (32 hexadecimal digits) nor PLATFORM:ID, such as shop:A001")),
        }
    }
}

/// One record, and what it means.
#[derive(Debug, Clone, Serialize)]
pub struct Step {
    /// RFC 3339.
    pub at: String,
    pub topic: &'static str,
    pub seq: u64,
    pub event: String,
    /// In words.
    pub about: String,
    pub payload: Value,
    /// Of a `ReservationMade`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decision: Option<DecisionTable>,
    /// The records behind it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<Step>,
}

/// Something that must hold, and whether it does.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    pub what: String,
    pub holds: bool,
}

#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// `inquiry` or `payout`.
    pub kind: &'static str,
    pub id: String,
    pub tenant_id: String,
    pub steps: Vec<Step>,
    pub checks: Vec<Check>,
}

impl Explanation {
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// Explains an inquiry or a payout from the log in `dir`.
pub async fn explain(dir: &Path, subject: &Subject, tenant: Option<TenantId>) -> anyhow::Result<Explanation> {
    let log = log::read_only(dir)?;
    if let Some((walk, inquiry_id)) = inquiry::find(&*log, subject, tenant).await? {
        return inquiry::explain(&walk, inquiry_id).await;
    }
    if let Subject::Id(id) = subject
        && let Some(walk) = payout::find(&*log, PayoutId::from_bytes(*id), tenant).await?
    {
        return payout::explain(&walk, PayoutId::from_bytes(*id)).await;
    }
    match subject {
        Subject::Id(_) => bail!("no inquiry and no payout has this id in {}", dir.display()),
        Subject::Inquiry { platform, external_id } => {
            bail!("no inquiry {platform}:{external_id} in {}", dir.display())
        }
    }
}

impl Found {
    fn step(&self, codes: &Codes) -> anyhow::Result<Step> {
        let (event, payload) = crate::contract::event(self.topic, self.schema, self.payload())?;
        Ok(Step {
            at: crate::instant::text(self.at),
            topic: self.topic.name(),
            seq: self.seq,
            about: words::about(&event, &payload, codes),
            event,
            payload,
            decision: None,
            because: Vec::new(),
        })
    }
}

/// Records in the order in which they happened: by time, and at the same time in the order in which facts flow.
fn sort(found: &mut Vec<Found>) {
    let place = |found: &Found| (found.at, found.topic.number(), found.seq);
    found.sort_by_key(place);
    found.dedup_by_key(|found| place(found));
}

/// Schema numbers that the walk itself must know; the rest is only shown.
mod schema {
    pub const INQUIRY_SUBMITTED: u16 = 3;
    pub const ORDER_RECORDED: u16 = 6;
    pub const REFUND_RECORDED: u16 = 8;
    pub const HISTORY_INQUIRY_RECORDED: u16 = 11;
    pub const EMPLOYEE_DEFINED: u16 = 4;
    pub const RESERVATION_MADE: u16 = 4;
    pub const RESERVATION_ACCEPTED: u16 = 5;
    pub const CREDIT_GRANTED: u16 = 6;
    pub const PLAN_ACTIVATED: u16 = 1;
    pub const CREDIT_NOTED: u16 = 3;
    pub const EARNING_ACCRUED: u16 = 6;
    pub const PAYOUT_CHANGED: u16 = 9;
    pub const BALANCE_CARRIED: u16 = 10;
}

/// Topics that an inquiry's own id is looked for in.
const INQUIRY_TOPICS: [Topic; 4] = [Topic::Intake, Topic::Intent, Topic::Assignment, Topic::Kpi];
