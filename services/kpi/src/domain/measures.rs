//! The measures, computed from the state for everybody and a period, in one pass over the facts.
//!
//! Employees and desks get what was credited to them. The whole company gets every order, also one that nobody is credited
//! with; who was received, and whom that turned into a buyer, is only known from contacts.
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

/// The rows of everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    employees: BTreeMap<EmployeeId, Figures>,
    desks: BTreeMap<String, Figures>,
    total: Figures,
}

impl Table {
    /// One row; that of somebody who did nothing is empty.
    pub fn row(&self, scope: Scope<'_>) -> Figures {
        let row = match scope {
            Scope::Employee(id) => self.employees.get(&id),
            Scope::Desk(code) => self.desks.get(code),
            Scope::All => Some(&self.total),
        };
        row.cloned().unwrap_or_default()
    }
}

/// Computes all rows.
pub fn table(state: &State, period: Period) -> Table {
    let mut all = Everybody::default();
    contacts(state, period, &mut all);
    orders(state, period, &mut all);
    ratings(state, period, &mut all);
    Table {
        employees: all.employees.into_iter().map(|(id, sums)| (id, sums.figures())).collect(),
        desks: all.desks.into_iter().map(|(code, sums)| (code.to_owned(), sums.figures())).collect(),
        total: all.total.figures(),
    }
}

/// Sums of the rows while the facts go by.
#[derive(Default)]
struct Everybody<'a> {
    employees: BTreeMap<EmployeeId, Sums>,
    desks: BTreeMap<&'a str, Sums>,
    total: Sums,
}

impl<'a> Everybody<'a> {
    /// The rows of whom something is credited to.
    fn credited(&mut self, employee: EmployeeId, desk: &'a str) -> [&mut Sums; 2] {
        [self.employees.entry(employee).or_default(), self.desks.entry(desk).or_default()]
    }

    /// These and the company's.
    fn and_total(&mut self, employee: EmployeeId, desk: &'a str) -> [&mut Sums; 3] {
        let Self { employees, desks, total } = self;
        [employees.entry(employee).or_default(), desks.entry(desk).or_default(), total]
    }
}

/// What one row is made of.
#[derive(Default)]
struct Sums {
    received: BTreeSet<CustomerId>,
    /// Received in the period before.
    earlier: BTreeSet<CustomerId>,
    waits: Vec<u64>,
    /// With an order that a contact led to.
    converted: BTreeSet<CustomerId>,
    orders_of: BTreeMap<CustomerId, u64>,
    sold: BTreeMap<Currency, Sold>,
    csat: Ratio,
}

/// In minor units of one currency.
#[derive(Default)]
struct Sold {
    sales: i128,
    refunds: i128,
    orders: u64,
}

impl Sums {
    fn sale(&mut self, customer: CustomerId, currency: Currency, minor: i64) {
        *self.orders_of.entry(customer).or_default() += 1;
        let sold = self.sold.entry(currency).or_default();
        sold.sales += i128::from(minor);
        sold.orders += 1;
    }

    fn refund(&mut self, currency: Currency, minor: i64) {
        self.sold.entry(currency).or_default().refunds += i128::from(minor);
    }

    fn figures(self) -> Figures {
        let mut figures = Figures {
            customers_received: self.received.len() as u64,
            conversion: Ratio {
                numerator: self.converted.intersection(&self.received).count() as u64,
                denominator: self.received.len() as u64,
            },
            orders: self.orders_of.values().sum(),
            repurchase: Ratio {
                numerator: self.orders_of.values().filter(|orders| **orders >= 2).count() as u64,
                denominator: self.orders_of.len() as u64,
            },
            csat: self.csat,
            retention: Ratio {
                numerator: self.earlier.intersection(&self.received).count() as u64,
                denominator: self.earlier.len() as u64,
            },
            wait_p50_ms: median(self.waits),
            ..Figures::default()
        };
        for (currency, Sold { sales, refunds, orders }) in self.sold {
            let money = |minor: i128| Money::new(i64::try_from(minor).unwrap_or(i64::MAX), currency);
            figures.sales.push(money(sales));
            figures.refunds.push(money(refunds));
            if orders > 0 {
                let exact = money(sales - refunds).to_decimal() / Decimal::from(orders);
                figures.average_order_value.extend(round_minor(exact, currency, Rounding::HalfUp));
            }
        }
        figures
    }
}

fn median(mut values: Vec<u64>) -> u64 {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

fn contacts<'a>(state: &'a State, period: Period, all: &mut Everybody<'a>) {
    let before = period.before();
    for (id, customer) in state.customers.sorted() {
        for contact in &customer.contacts {
            let (now, earlier) = (period.holds(contact.occurred_at), before.holds(contact.occurred_at));
            if !now && !earlier {
                continue;
            }
            for sums in all.and_total(contact.employee_id, &contact.desk) {
                if now {
                    sums.received.insert(*id);
                    sums.waits.extend((!contact.history).then_some(contact.waited_ms));
                } else {
                    sums.earlier.insert(*id);
                }
            }
        }
    }
}

fn orders<'a>(state: &'a State, period: Period, all: &mut Everybody<'a>) {
    for (_, order) in state.orders.sorted() {
        let (customer, currency) = (order.customer_id, order.amount.currency);
        if period.holds(order.occurred_at) {
            all.total.sale(customer, currency, order.amount.minor);
        }
        for (_, minor, _) in order.refunds.iter().filter(|(_, _, occurred_at)| period.holds(*occurred_at)) {
            all.total.refund(currency, *minor);
        }
        let Some(attribution) = &order.attribution else { continue };
        for credit in order.credits.iter().filter(|credit| period.holds(credit.occurred_at)) {
            let credited = all.credited(attribution.employee_id, &attribution.desk);
            match credit.kind {
                CreditKind::Sale => {
                    for sums in credited {
                        sums.sale(customer, currency, credit.amount);
                        sums.converted.insert(customer);
                    }
                    all.total.converted.insert(customer);
                }
                CreditKind::Refund => credited.into_iter().for_each(|sums| sums.refund(currency, -credit.amount)),
            }
        }
    }
}

/// Ratings belong to who had the inquiry when the rating was given.
fn ratings<'a>(state: &'a State, period: Period, all: &mut Everybody<'a>) {
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
        let Some(contact) = contact else { continue };
        for sums in all.and_total(contact.employee_id, &contact.desk) {
            sums.csat.denominator += 1;
            sums.csat.numerator += u64::from(rating.score >= 4);
        }
    }
}
