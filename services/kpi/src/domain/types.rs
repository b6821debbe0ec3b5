//! The words of kpi: commands, events and the state.

use kernel::{
    AssignmentId, CreditId, CustomerId, Duration, EmployeeId, IdMap, InquiryId, Money, OrderId, OutcomeId, Refusal,
    RefusalKind, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Version of the attribution rule below; a credit names the one it was given by.
pub const MEASURE_VERSION: u32 = 1;
/// A sale is credited to the last contact at most this long before it.
pub const ATTRIBUTION_WINDOW: Duration = Duration::from_hours(72);

/// An agent received a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    pub inquiry_id: InquiryId,
    pub assignment_id: AssignmentId,
    pub employee_id: EmployeeId,
    pub desk: String,
    pub intent: String,
    pub occurred_at: Timestamp,
    pub history: bool,
    pub waited_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub amount: Money,
    pub occurred_at: Timestamp,
    pub history: bool,
    /// Who sold it, where an old system knows.
    pub handler: Option<EmployeeId>,
}

/// A payment, refund or rating of something known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    NoteContact { customer_id: CustomerId, contact: Contact },
    NoteOrder(NewOrder),
    NotePayment { payment_id: OutcomeId, order_id: OrderId, amount: Money, occurred_at: Timestamp },
    NoteRefund { refund_id: OutcomeId, order_id: OrderId, amount: Money, occurred_at: Timestamp, history: bool },
    NoteRating { rating_id: OutcomeId, inquiry_id: InquiryId, score: u32, occurred_at: Timestamp },
    MergeCustomers { kept: CustomerId, merged: CustomerId },
    NoteEmployee { employee_id: EmployeeId, employee: Employee, effective_from: Timestamp },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum CreditKind {
    Sale,
    Refund,
}

/// An outcome's share given to an employee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    pub credit_id: CreditId,
    pub kind: CreditKind,
    /// Order or refund.
    pub outcome_id: [u8; 16],
    pub order_id: OrderId,
    pub customer_id: CustomerId,
    pub employee_id: EmployeeId,
    pub inquiry_id: Option<InquiryId>,
    pub desk: String,
    /// Negative for a refund.
    pub amount: Money,
    pub occurred_at: Timestamp,
    pub measure_version: u32,
    pub new_customer: bool,
    /// The order or the contact is of the past: it counts, and never pays.
    pub history: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    ContactNoted {
        customer_id: CustomerId,
        contact: Contact,
    },
    OrderNoted(NewOrder),
    PaymentNoted {
        payment_id: OutcomeId,
        order_id: OrderId,
        amount: Money,
        occurred_at: Timestamp,
    },
    RefundNoted {
        refund_id: OutcomeId,
        order_id: OrderId,
        amount: Money,
        occurred_at: Timestamp,
        history: bool,
    },
    RatingNoted {
        rating_id: OutcomeId,
        inquiry_id: InquiryId,
        score: u32,
        occurred_at: Timestamp,
    },
    CreditGranted(Granted),
    CreditReversed {
        credit_id: CreditId,
        order_id: OrderId,
        employee_id: EmployeeId,
        amount: Money,
        occurred_at: Timestamp,
        reason: String,
    },
    CustomersMerged {
        kept: CustomerId,
        merged: CustomerId,
    },
    EmployeeNoted {
        employee_id: EmployeeId,
        employee: Employee,
        effective_from: Timestamp,
    },
}

/// Facts that were admitted are never refused here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {}

impl Refusal for Rejection {
    fn kind(&self) -> RefusalKind {
        match *self {}
    }
    fn reason(&self) -> &'static str {
        match *self {}
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Employee {
    pub code: String,
    pub desk: String,
    pub position: String,
}

/// A credit that stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    pub credit_id: CreditId,
    pub kind: CreditKind,
    pub outcome_id: [u8; 16],
    pub amount: i64,
    pub occurred_at: Timestamp,
}

/// Who an order is credited to, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attribution {
    pub employee_id: EmployeeId,
    pub inquiry_id: Option<InquiryId>,
    pub desk: String,
    pub new_customer: bool,
    /// The order or the contact is of the past: it counts, and never pays.
    pub history: bool,
}

/// What came before its order did: it waits for the order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Early {
    pub refunds: Vec<(OutcomeId, i64, Timestamp)>,
    pub paid: i64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub customer_id: CustomerId,
    pub amount: Money,
    pub occurred_at: Timestamp,
    pub history: bool,
    pub handler: Option<EmployeeId>,
    /// Refunds in the order of arrival.
    pub refunds: Vec<(OutcomeId, i64, Timestamp)>,
    pub paid: i64,
    pub attribution: Option<Attribution>,
    /// The credits that stand: the sale's and each refund's.
    pub credits: Vec<Credit>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Customer {
    /// By time, then assignment.
    pub contacts: Vec<Contact>,
    /// By time, then id: the first is the customer's first ever.
    pub orders: BTreeSet<(Timestamp, OrderId)>,
    pub merged_into: Option<CustomerId>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rating {
    pub inquiry_id: InquiryId,
    pub score: u32,
    pub occurred_at: Timestamp,
}

/// One tenant's achievements.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct State {
    pub customers: IdMap<CustomerId, Customer>,
    pub orders: IdMap<OrderId, Order>,
    /// Refunds and payments of orders that are not known yet.
    pub early: IdMap<OrderId, Early>,
    pub ratings: IdMap<OutcomeId, Rating>,
    /// Customer of each inquiry that had a contact.
    pub inquiries: IdMap<InquiryId, CustomerId>,
    /// What is known of each employee, from its instant on, oldest first.
    pub employees: BTreeMap<EmployeeId, Vec<(Timestamp, Employee)>>,
}

impl State {
    /// The identity that a customer counts as.
    pub fn root(&self, mut id: CustomerId) -> CustomerId {
        while let Some(kept) = self.customers.get(&id).and_then(|customer| customer.merged_into) {
            id = kept;
        }
        id
    }
}
