//! The measures, computed from the state for any people and period.
//!
//! Sources of the formulas: the usual definitions of Chinese e-commerce customer service (接待人数, 询单转化率, 客单价,
//! 复购率) and of support desks (CSAT as top-two-box of a five-point scale).

use std::collections::{BTreeMap, BTreeSet};

use kernel::{Currency, CustomerId, Decimal, EmployeeId, Money, Rounding, Timestamp, round_minor};

use super::types::{Contact, CreditKind, State};

/// Whom a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    Employee(EmployeeId),
    Desk(&'a str),
    All,
}

impl Scope<'_> {
    fn covers(self, employee: EmployeeId, desk: &str) -> bool {
        match self {
            Self::Employee(id) => id == employee,
            Self::Desk(code) => code == desk,
            Self::All => true,
        }
    }
}

/// From inclusive, to exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Period {
    fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// The equally long period that ends where this one begins.
    fn before(self) -> Self {
        Self { from: self.from - self.to.since(self.from), to: self.from }
    }
}

/// A ratio with its parts; without a denominator it has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ratio {
    pub numerator: u64,
    pub denominator: u64,
}

impl Ratio {
    /// Parts per million, rounded half up.
    pub fn ppm(self) -> Option<u32> {
        let doubled = (u128::from(self.numerator) * 2_000_000 + u128::from(self.denominator))
            .checked_div(u128::from(self.denominator) * 2)?;
        u32::try_from(doubled).ok()
    }
}

/// One row of measures.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Figures {
    pub customers_received: u64,
    pub conversion: Ratio,
    pub orders: u64,
    pub sales: Vec<Money>,
    pub refunds: Vec<Money>,
    pub average_order_value: Vec<Money>,
    pub repurchase: Ratio,
    pub csat: Ratio,
    pub retention: Ratio,
    pub wait_p50_ms: u64,
}

/// Computes one row.
pub fn figures(state: &State, scope: Scope<'_>, period: Period) -> Figures {
    let mut received = BTreeSet::new();
    let mut earlier = BTreeSet::new();
    let mut waits = Vec::new();
    for (id, customer) in state.customers.sorted() {
        for contact in customer.contacts.iter().filter(|contact| scope.covers(contact.employee_id, &contact.desk)) {
            if period.holds(contact.occurred_at) {
                received.insert(*id);
                if !contact.history {
                    waits.push(contact.waited_ms);
                }
            } else if period.before().holds(contact.occurred_at) {
                earlier.insert(*id);
            }
        }
    }
    let mut figures = Figures {
        customers_received: received.len() as u64,
        retention: Ratio {
            numerator: earlier.intersection(&received).count() as u64,
            denominator: earlier.len() as u64,
        },
        csat: csat(state, scope, period),
        wait_p50_ms: median(waits),
        ..Figures::default()
    };
    sales(state, scope, period, &received, &mut figures);
    figures
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn sales(state: &State, scope: Scope<'_>, period: Period, received: &BTreeSet<CustomerId>, figures: &mut Figures) {
    let mut sold: BTreeMap<Currency, (i128, i128, u64)> = BTreeMap::new();
    let mut orders_of: BTreeMap<CustomerId, u64> = BTreeMap::new();
    for (_, order) in state.orders.sorted() {
        let Some(attribution) = &order.attribution else { continue };
        if !scope.covers(attribution.employee_id, &attribution.desk) {
            continue;
        }
        let entry = sold.entry(order.amount.currency).or_default();
        for credit in order.credits.iter().filter(|credit| period.holds(credit.occurred_at)) {
            match credit.kind {
                CreditKind::Sale => {
                    entry.0 += i128::from(credit.amount);
                    entry.2 += 1;
                    figures.orders += 1;
                    *orders_of.entry(order.customer_id).or_default() += 1;
                }
                CreditKind::Refund => entry.1 -= i128::from(credit.amount),
            }
        }
    }
    figures.conversion = Ratio {
        numerator: orders_of.keys().filter(|customer| received.contains(customer)).count() as u64,
        denominator: received.len() as u64,
    };
    figures.repurchase = Ratio {
        numerator: orders_of.values().filter(|orders| **orders >= 2).count() as u64,
        denominator: orders_of.len() as u64,
    };
    for (currency, (sales, refunds, orders)) in sold {
        let money = |minor: i128| Money::new(i64::try_from(minor).unwrap_or(i64::MAX), currency);
        figures.sales.push(money(sales));
        figures.refunds.push(money(refunds));
        if orders > 0 {
            let exact = money(sales - refunds).to_decimal() / Decimal::from(orders);
            figures.average_order_value.extend(round_minor(exact, currency, Rounding::HalfUp));
        }
    }
}

/// Ratings belong to who had the inquiry when the rating was given.
fn csat(state: &State, scope: Scope<'_>, period: Period) -> Ratio {
    let mut ratio = Ratio::default();
    for (_, rating) in state.ratings.sorted() {
        if !period.holds(rating.occurred_at) {
            continue;
        }
        let contact = state.inquiries.get(&rating.inquiry_id).and_then(|customer| {
            let customer = state.customers.get(&state.root(*customer))?;
            let of_inquiry = |contact: &&Contact| {
                contact.inquiry_id == rating.inquiry_id && contact.occurred_at <= rating.occurred_at
            };
            customer.contacts.iter().rev().find(of_inquiry)
        });
        if contact.is_some_and(|contact| scope.covers(contact.employee_id, &contact.desk)) {
            ratio.denominator += 1;
            ratio.numerator += u64::from(rating.score >= 4);
        }
    }
    ratio
}
