//! What each person achieved: contacts, outcomes, and the credits that follow from both.
//!
//! Orders come from one topic and contacts from another, so either may be first. Credits are therefore recomputed for
//! a customer whenever anything about the customer becomes known, and end the same whatever the order of arrival.

mod attribute;
pub mod measures;
mod types;

use kernel::{Decider, Stamp, Violation};

pub(crate) use attribute::{grant, note_contact, note_order, note_payment};

pub use types::{
    ATTRIBUTION_WINDOW, Attribution, Command, Contact, Credit, CreditKind, Customer, Early, Employee, Event, Granted,
    MEASURE_VERSION, NewOrder, Order, Rating, Rejection, State,
};

/// The service.
#[derive(Debug, Clone, Copy)]
pub struct Kpi;

impl Decider for Kpi {
    const NAME: &'static str = "kpi";
    const LOGIC_VERSION: u32 = 1;

    type State = State;
    type Command = Command;
    type Event = Event;
    type Rejection = Rejection;

    fn decide(state: &State, command: &Command, stamp: &Stamp) -> Result<Vec<Event>, Rejection> {
        Ok(attribute::decide(state, command, stamp))
    }

    fn evolve(state: &mut State, event: &Event) {
        attribute::evolve(state, event);
    }

    fn command_of(events: &[Event]) -> Option<Command> {
        match events.first()?.clone() {
            Event::ContactNoted { customer_id, contact } => Some(Command::NoteContact { customer_id, contact }),
            Event::OrderNoted(order) => Some(Command::NoteOrder(order)),
            Event::PaymentNoted { payment_id, order_id, amount, occurred_at } => {
                Some(Command::NotePayment { payment_id, order_id, amount, occurred_at })
            }
            Event::RefundNoted { refund_id, order_id, amount, occurred_at, history } => {
                Some(Command::NoteRefund { refund_id, order_id, amount, occurred_at, history })
            }
            Event::RatingNoted { rating_id, inquiry_id, score, occurred_at } => {
                Some(Command::NoteRating { rating_id, inquiry_id, score, occurred_at })
            }
            Event::CustomersMerged { kept, merged } => Some(Command::MergeCustomers { kept, merged }),
            Event::EmployeeNoted { employee_id, employee, effective_from } => {
                Some(Command::NoteEmployee { employee_id, employee, effective_from })
            }
            // Credits follow from one of the above; they are never the first of a decision.
            Event::CreditGranted(_) | Event::CreditReversed { .. } => None,
        }
    }

    fn invariants(state: &State) -> Result<(), Violation> {
        for (id, order) in state.orders.sorted() {
            let of = |kind| order.credits.iter().filter(move |credit| credit.kind == kind);
            let sum = |kind| -> i128 { of(kind).map(|credit| i128::from(credit.amount)).sum() };
            let refunded: i128 = order.refunds.iter().map(|(_, minor, _)| i128::from(*minor)).sum();
            let expected = match order.attribution {
                Some(_) => (i128::from(order.amount.minor), -refunded),
                None => (0, 0),
            };
            if (sum(CreditKind::Sale), sum(CreditKind::Refund)) != expected {
                let what = format!("order {id}: credits {:?}, expected {expected:?}", order.credits);
                return Err(Violation { law: "direct credits of an outcome sum to it", what });
            }
        }
        Ok(())
    }
}
