//! Attribution: a sale is credited to the last contact in the window before it.

use std::collections::BTreeSet;

use kernel::{CreditId, CustomerId, OrderId, OutcomeId, Stamp, Timestamp};

use super::types::{
    ATTRIBUTION_WINDOW, Attribution, Command, Contact, Credit, CreditKind, Customer, Early, Event, Granted,
    MEASURE_VERSION, NewOrder, Order, Rating, State,
};

pub(super) fn decide(state: &State, command: &Command, stamp: &Stamp) -> Vec<Event> {
    let mut after = After { state, stamp, events: Vec::new(), credits: 0 };
    match command.clone() {
        Command::NoteContact { customer_id, contact } => {
            let customer_id = state.root(customer_id);
            after.events.push(Event::ContactNoted { customer_id, contact: contact.clone() });
            after.recredit(customer_id, Change::Contact(&contact));
        }
        Command::NoteOrder(mut order) => {
            order.customer_id = state.root(order.customer_id);
            after.events.push(Event::OrderNoted(order.clone()));
            let kept = kept(&order, state.early.get(&order.order_id).cloned().unwrap_or_default());
            after.recredit(order.customer_id, Change::Order(order.order_id, &kept));
        }
        Command::NotePayment { payment_id, order_id, amount, occurred_at } => {
            after.events.push(Event::PaymentNoted { payment_id, order_id, amount, occurred_at });
        }
        Command::NoteRefund { refund_id, order_id, amount, occurred_at, history } => {
            after.events.push(Event::RefundNoted { refund_id, order_id, amount, occurred_at, history });
            if let Some(order) = state.orders.get(&order_id)
                && let Some(attribution) = &order.attribution
            {
                after.grant_refund(order_id, order, attribution, (refund_id, amount.minor, occurred_at));
            }
        }
        Command::NoteRating { rating_id, inquiry_id, score, occurred_at } => {
            after.events.push(Event::RatingNoted { rating_id, inquiry_id, score, occurred_at });
        }
        Command::MergeCustomers { kept, merged } => {
            let (kept, merged) = (state.root(kept), state.root(merged));
            if kept != merged {
                after.events.push(Event::CustomersMerged { kept, merged });
                after.recredit(kept, Change::Merge(merged));
            }
        }
        Command::NoteEmployee { employee_id, employee, effective_from } => {
            let last = state.employees.get(&employee_id).and_then(|versions| versions.last());
            if last.is_none_or(|(_, known)| *known != employee) {
                after.events.push(Event::EmployeeNoted { employee_id, employee, effective_from });
            }
        }
    }
    after.events
}

/// An order as the state keeps it, with what came before it.
fn kept(order: &NewOrder, early: Early) -> Order {
    Order {
        customer_id: order.customer_id,
        amount: order.amount,
        occurred_at: order.occurred_at,
        history: order.history,
        handler: order.handler,
        refunds: early.refunds,
        paid: early.paid,
        attribution: None,
        credits: Vec::new(),
    }
}

/// What changes for a customer. Their orders are credited as they stand after it.
#[derive(Clone, Copy)]
enum Change<'a> {
    Contact(&'a Contact),
    Order(OrderId, &'a Order),
    /// The contacts and orders of this identity are the customer's too.
    Merge(CustomerId),
}

/// The events of one decision as they are found.
struct After<'a> {
    state: &'a State,
    stamp: &'a Stamp,
    events: Vec<Event>,
    credits: u32,
}

impl After<'_> {
    /// Credits the orders that a change touches. Not all of the customer's: an account that many people buy from has
    /// very many.
    fn recredit(&mut self, customer: CustomerId, change: Change<'_>) {
        let state = self.state;
        let (contact, order, merged) = match change {
            Change::Contact(contact) => (Some(contact), None, None),
            Change::Order(order_id, order) => (None, Some((order_id, order)), None),
            Change::Merge(merged) => (None, None, Some(merged)),
        };
        let identities = [Some(customer), merged].into_iter().flatten();
        let known: Vec<&Customer> = identities.filter_map(|id| state.customers.get(&id)).collect();
        let firsts = known.iter().filter_map(|known| known.orders.first().copied());
        let firsts: BTreeSet<_> = firsts.chain(order.map(|(id, order)| (order.occurred_at, id))).collect();
        let touched: BTreeSet<(Timestamp, OrderId)> = match change {
            Change::Contact(contact) => {
                let until = (contact.occurred_at + window(), OrderId::from_bytes([0xff; 16]));
                let window = (contact.occurred_at, OrderId::default())..=until;
                known.iter().flat_map(|known| known.orders.range(window.clone())).copied().collect()
            }
            // The order itself, and the one that was the customer's first until now.
            Change::Order(..) => firsts.clone(),
            Change::Merge(_) => known.iter().flat_map(|known| &known.orders).copied().collect(),
        };
        for (at, order_id) in touched {
            let new = order.filter(|(id, _)| *id == order_id).map(|(_, order)| order);
            let Some(order) = new.or_else(|| state.orders.get(&order_id)) else { continue };
            let new_customer = firsts.first() == Some(&(at, order_id));
            let wanted = attribution(order, last_contact(&known, contact, at), new_customer);
            if wanted != order.attribution {
                self.change(order_id, order, wanted.as_ref(), customer);
            }
        }
    }

    fn change(&mut self, order_id: OrderId, order: &Order, wanted: Option<&Attribution>, customer_id: CustomerId) {
        if let Some(was) = &order.attribution {
            for credit in &order.credits {
                self.events.push(Event::CreditReversed {
                    credit_id: credit.credit_id,
                    order_id,
                    employee_id: was.employee_id,
                    amount: kernel::Money::new(credit.amount, order.amount.currency),
                    occurred_at: credit.occurred_at,
                    reason: "REATTRIBUTED".to_owned(),
                });
            }
        }
        let Some(attribution) = wanted else { return };
        let order = Order { customer_id, ..order.clone() };
        self.grant(
            order_id,
            &order,
            attribution,
            CreditKind::Sale,
            (*order_id.as_bytes(), order.amount.minor, order.occurred_at),
        );
        for refund in &order.refunds {
            self.grant_refund(order_id, &order, attribution, *refund);
        }
    }

    fn grant_refund(
        &mut self,
        order_id: OrderId,
        order: &Order,
        attribution: &Attribution,
        (refund_id, minor, occurred_at): (OutcomeId, i64, Timestamp),
    ) {
        self.grant(order_id, order, attribution, CreditKind::Refund, (*refund_id.as_bytes(), -minor, occurred_at));
    }

    fn grant(
        &mut self,
        order_id: OrderId,
        order: &Order,
        attribution: &Attribution,
        kind: CreditKind,
        (outcome_id, minor, occurred_at): ([u8; 16], i64, Timestamp),
    ) {
        let credit_id = CreditId::derive(self.stamp.tenant, self.stamp.command_id, self.credits);
        self.credits += 1;
        self.events.push(Event::CreditGranted(Granted {
            credit_id,
            kind,
            outcome_id,
            order_id,
            customer_id: order.customer_id,
            employee_id: attribution.employee_id,
            inquiry_id: attribution.inquiry_id,
            desk: attribution.desk.clone(),
            amount: kernel::Money::new(minor, order.amount.currency),
            occurred_at,
            measure_version: MEASURE_VERSION,
            new_customer: attribution.new_customer,
            history: attribution.history,
        }));
    }
}

/// The last contact with one of the identities in the window before `at`, `more` among them.
fn last_contact<'a>(known: &[&'a Customer], more: Option<&'a Contact>, at: Timestamp) -> Option<&'a Contact> {
    let of = |known: &&'a Customer| {
        let before = known.contacts.partition_point(|contact| contact.occurred_at <= at);
        known.contacts[..before].last()
    };
    let more = more.filter(|contact| contact.occurred_at <= at);
    let last =
        known.iter().filter_map(of).chain(more).max_by_key(|contact| (contact.occurred_at, contact.assignment_id));
    last.filter(|contact| at.since(contact.occurred_at) <= window())
}

/// Whom an order belongs to: who an old system says, else the last contact in the window before it.
fn attribution(order: &Order, last: Option<&Contact>, new_customer: bool) -> Option<Attribution> {
    // A conversation of the past never pays, also when an order of today follows from it.
    let (employee_id, inquiry_id, desk, past) = match (order.handler, last) {
        (Some(handler), _) => (handler, None, String::new(), false),
        (None, Some(contact)) => (contact.employee_id, Some(contact.inquiry_id), contact.desk.clone(), contact.history),
        (None, None) => return None,
    };
    Some(Attribution { employee_id, inquiry_id, desk, new_customer, history: order.history || past })
}

#[cfg(not(feature = "planted-bugs"))]
fn window() -> kernel::Duration {
    ATTRIBUTION_WINDOW
}

#[cfg(feature = "planted-bugs")]
fn window() -> kernel::Duration {
    if crate::planted::is(2) { kernel::Duration::from_secs(60) } else { ATTRIBUTION_WINDOW }
}

pub(super) fn evolve(state: &mut State, event: &Event) {
    match event {
        Event::ContactNoted { customer_id, contact } => note_contact(state, *customer_id, contact.clone()),
        Event::OrderNoted(order) => note_order(state, order),
        Event::PaymentNoted { order_id, amount, .. } => note_payment(state, *order_id, amount.minor),
        Event::RefundNoted { refund_id, order_id, amount, occurred_at, .. } => {
            let refunds = match state.orders.get_mut(order_id) {
                Some(order) => &mut order.refunds,
                None => &mut state.early.get_or_insert_with(*order_id, Early::default).refunds,
            };
            refunds.push((*refund_id, amount.minor, *occurred_at));
        }
        Event::RatingNoted { rating_id, inquiry_id, score, occurred_at } => {
            let rating = Rating { inquiry_id: *inquiry_id, score: *score, occurred_at: *occurred_at };
            state.ratings.insert(*rating_id, rating);
        }
        Event::CreditGranted(granted) => {
            let attribution = Attribution {
                employee_id: granted.employee_id,
                inquiry_id: granted.inquiry_id,
                desk: granted.desk.clone(),
                new_customer: granted.new_customer,
                history: granted.history,
            };
            let credit = Credit {
                credit_id: granted.credit_id,
                kind: granted.kind,
                outcome_id: granted.outcome_id,
                amount: granted.amount.minor,
                occurred_at: granted.occurred_at,
            };
            grant(state, granted.order_id, attribution, credit);
        }
        Event::CreditReversed { credit_id, order_id, .. } => {
            if let Some(order) = state.orders.get_mut(order_id) {
                order.credits.retain(|credit| credit.credit_id != *credit_id);
                if order.credits.is_empty() {
                    order.attribution = None;
                }
            }
        }
        Event::CustomersMerged { kept, merged } => merge(state, *kept, *merged),
        Event::EmployeeNoted { employee_id, employee, effective_from } => {
            state.employees.entry(*employee_id).or_default().push((*effective_from, employee.clone()));
        }
    }
}

// What happens often, for folds that come straight from the wire as well.

pub(crate) fn note_contact(state: &mut State, customer_id: CustomerId, contact: Contact) {
    state.inquiries.insert(contact.inquiry_id, customer_id);
    let contacts = &mut state.customers.get_or_insert_with(customer_id, Default::default).contacts;
    insert_contact(contacts, contact);
}

pub(crate) fn note_order(state: &mut State, order: &NewOrder) {
    let customer = state.customers.get_or_insert_with(order.customer_id, Default::default);
    customer.orders.insert((order.occurred_at, order.order_id));
    let early = state.early.remove(&order.order_id).unwrap_or_default();
    state.orders.insert(order.order_id, kept(order, early));
}

pub(crate) fn note_payment(state: &mut State, order_id: OrderId, minor: i64) {
    let paid = match state.orders.get_mut(&order_id) {
        Some(order) => &mut order.paid,
        None => &mut state.early.get_or_insert_with(order_id, Early::default).paid,
    };
    *paid = paid.saturating_add(minor);
}

fn insert_contact(contacts: &mut Vec<Contact>, contact: Contact) {
    if contacts.is_empty() {
        contacts.reserve_exact(1); // Most customers come once: room for four would be most of the state.
    }
    let place = contacts.partition_point(|known| {
        (known.occurred_at, known.assignment_id) <= (contact.occurred_at, contact.assignment_id)
    });
    contacts.insert(place, contact);
}

pub(crate) fn grant(state: &mut State, order_id: OrderId, attribution: Attribution, credit: Credit) {
    let Some(order) = state.orders.get_mut(&order_id) else { return };
    order.attribution = Some(attribution);
    if order.credits.is_empty() {
        order.credits.reserve_exact(1);
    }
    order.credits.push(Credit { amount: credit.amount + planted_cent(), ..credit });
}

#[cfg(not(feature = "planted-bugs"))]
fn planted_cent() -> i64 {
    0
}

#[cfg(feature = "planted-bugs")]
fn planted_cent() -> i64 {
    i64::from(crate::planted::is(1))
}

fn merge(state: &mut State, kept: CustomerId, merged: CustomerId) {
    let mut moved = state.customers.remove(&merged).unwrap_or_default();
    for (_, order) in &moved.orders {
        if let Some(order) = state.orders.get_mut(order) {
            order.customer_id = kept;
        }
    }
    let into = state.customers.get_or_insert_with(kept, Default::default);
    into.orders.append(&mut moved.orders);
    for contact in moved.contacts.drain(..) {
        insert_contact(&mut into.contacts, contact);
    }
    let gone = Customer { merged_into: Some(kept), ..Default::default() };
    state.customers.insert(merged, gone);
}
