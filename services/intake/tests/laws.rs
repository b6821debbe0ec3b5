//! The laws of intake over any history of facts, valid and invalid, new and repeated.

mod common;

use std::collections::BTreeSet;

use common::{NOON, stamp};
use intake::Intake;
use intake::domain::{Command, Event, State};
use kernel::laws::{History, codec_law, run};
use kernel::{Decider, Duration, Money, Stamp, Timestamp, digest_of};
use proptest::prelude::*;
use runtime::Service;

/// A fact told by somebody, printed by what it was made of. Few names and bodies, so that facts repeat, contradict and
/// refer to each other.
#[derive(Clone)]
struct Told(String, Command);

impl std::fmt::Debug for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn told<A: std::fmt::Debug + Clone + 'static>(
    what: &'static str,
    parts: impl Strategy<Value = A> + 'static,
    make: impl Fn(A) -> Command + 'static,
) -> BoxedStrategy<Told> {
    parts.prop_map(move |parts| Told(format!("{what} {parts:?}"), make(parts))).boxed()
}

fn amount() -> impl Strategy<Value = Money> {
    let minor = prop::sample::select(vec![-1, 0, 1, 3_000, 7_000, 10_000, i64::MAX]);
    let yuan = prop::bool::weighted(0.9);
    (minor, yuan).prop_map(|(minor, yuan)| if yuan { common::yuan(minor) } else { common::dollars(minor) })
}

fn command() -> impl Strategy<Value = Told> {
    let who = || 0..4_u8;
    let inquiry = || prop::sample::select(vec!["q0", "q1", "q2", "q3"]);
    let order = || prop::sample::select(vec!["o0", "o1", "o2"]);
    let outcome = || prop::sample::select(vec!["x0", "x1", "x2", "x3"]);
    let name = || prop::sample::select(vec!["王师傅", "Wang"]);
    let message = || prop::sample::select(vec![("m0", "泵漏油"), ("m1", "多少钱"), ("m1", "how much"), ("m2", "ok")]);
    let minutes = || prop::sample::select(vec![-600, 0, 4, 6, 90]);
    let texts = || prop::collection::vec(message(), 1..3);
    prop_oneof![
        told("upsert", (who(), name()), |(who, name)| common::upsert(who, name)),
        told("link", (who(), who()), |(kept, merged)| common::link(kept, merged)),
        told("submit", (who(), inquiry(), minutes(), texts()), |(who, id, at, texts)| {
            common::submit(who, id, at, &texts)
        }),
        told("append", (inquiry(), message()), |(inquiry, (id, text))| common::append(inquiry, id, text)),
        told("close", inquiry(), common::close),
        told("order", (who(), order(), amount(), any::<bool>()), |(who, id, amount, history)| {
            common::order(who, id, amount, history)
        }),
        told("payment", (order(), outcome(), amount()), |(of, id, amount)| common::payment(of, id, amount)),
        // Twice as often: their sum is what must be watched.
        told("refund", (order(), outcome(), amount()), |(of, id, amount)| common::refund(of, id, amount)),
        told("refund", (order(), outcome(), amount()), |(of, id, amount)| common::refund(of, id, amount)),
        told("rating", (inquiry(), outcome(), 1..6_u32), |(of, id, score)| common::rating(of, id, score)),
        told("cost", (outcome(), amount()), |(id, amount)| common::cost(id, amount)),
        told("history", (who(), inquiry()), |(who, id)| common::history(who, id)),
    ]
}

/// Facts with the milliseconds that pass before each: some come at once, some minutes later.
fn story() -> impl Strategy<Value = Vec<(Told, i64)>> {
    let wait = prop_oneof![Just(0), 0..60_000_i64, 0..1_800_000_i64];
    prop::collection::vec((command(), wait), 1..60)
}

/// The story's commands with their stamps, from an hour before noon on.
fn commands(story: Vec<(Told, i64)>) -> Vec<(Command, Stamp)> {
    let mut at = NOON - Duration::from_hours(1);
    let stamped = |(n, (Told(_, command), wait)): (usize, (Told, i64))| {
        at = at + Duration::from_millis(wait);
        (command, stamp(n, at))
    };
    story.into_iter().enumerate().map(stamped).collect()
}

fn round_trip(event: &Event, at: Timestamp) -> Event {
    let mut payload = Vec::new();
    let schema = Intake::encode(event, &mut payload);
    Intake::decode(schema, &payload, at).expect("an own event decodes")
}

fn events(history: &History<Intake>) -> impl Iterator<Item = &Event> {
    history.decisions.iter().flat_map(|(_, _, events)| events)
}

/// The natural key of an event's fact, and the id that it got.
fn natural_key(event: &Event) -> Option<(String, [u8; 16])> {
    let cost_fact;
    let (kind, fact, id) = match event {
        Event::InquirySubmitted { inquiry_id, inquiry, .. } => ("inquiry", &inquiry.fact, *inquiry_id.as_bytes()),
        Event::HistoryInquiryRecorded { inquiry_id, fact, .. } => ("inquiry", fact, *inquiry_id.as_bytes()),
        Event::OrderRecorded { order_id, order, .. } => ("order", &order.fact, *order_id.as_bytes()),
        Event::PaymentRecorded { payment_id, fact, .. } => ("payment", fact, *payment_id.as_bytes()),
        Event::RefundRecorded { refund_id, fact, .. } => ("refund", fact, *refund_id.as_bytes()),
        Event::RatingRecorded { rating_id, fact, .. } => ("rating", fact, *rating_id.as_bytes()),
        Event::CostRecorded { cost_id, cost } => {
            cost_fact = cost.fact();
            ("cost", &cost_fact, *cost_id.as_bytes())
        }
        Event::CustomerUpserted(_)
        | Event::CustomersLinked { .. }
        | Event::MessageAppended { .. }
        | Event::InquiryClosed { .. } => return None,
    };
    Some((format!("{kind} {} {}", fact.platform, fact.external_id), id))
}

/// Minor units refunded of each order, by the events alone.
fn refunds_fit(history: &History<Intake>) -> Result<(), TestCaseError> {
    for event in events(history) {
        let Event::OrderRecorded { order_id, order, .. } = event else { continue };
        let of_order = |event: &Event| match event {
            Event::RefundRecorded { order_id: of, amount, .. } if of == order_id => Some(*amount),
            _ => None,
        };
        let refunds: Vec<Money> = events(history).filter_map(of_order).collect();
        let sum: i128 = refunds.iter().map(|money| i128::from(money.minor)).sum();
        prop_assert!(sum <= i128::from(order.amount.minor), "{:?} of {}", refunds, order.amount);
        prop_assert!(refunds.iter().all(|money| money.minor >= 0 && money.currency == order.amount.currency));
    }
    Ok(())
}

/// Messages of every inquiry, by the events alone: each natural key once, and no more than the limit.
fn messages_are_unique(history: &History<Intake>) -> Result<(), TestCaseError> {
    let mut seen = BTreeSet::new();
    for event in events(history) {
        let (inquiry, keys) = match event {
            Event::InquirySubmitted { inquiry_id, inquiry, .. } => {
                (inquiry_id, inquiry.messages.iter().map(|message| message.key).collect())
            }
            Event::MessageAppended { inquiry_id, message, .. } => (inquiry_id, vec![message.key]),
            _ => continue,
        };
        for key in keys {
            prop_assert!(seen.insert((*inquiry, key)), "message {key} was admitted twice");
        }
    }
    Ok(())
}

/// Every event names the customer as who they count as when it happens.
fn customers_are_roots(history: &History<Intake>) -> Result<(), TestCaseError> {
    let mut state = State::default();
    for event in events(history) {
        Intake::evolve(&mut state, event);
        let named = match event {
            Event::InquirySubmitted { customer_id, .. }
            | Event::MessageAppended { customer_id, .. }
            | Event::OrderRecorded { customer_id, .. }
            | Event::PaymentRecorded { customer_id, .. }
            | Event::RefundRecorded { customer_id, .. }
            | Event::RatingRecorded { customer_id, .. }
            | Event::HistoryInquiryRecorded { customer_id, .. } => customer_id,
            Event::CustomersLinked { kept, .. } => kept,
            Event::CustomerUpserted(_) | Event::CostRecorded { .. } | Event::InquiryClosed { .. } => continue,
        };
        let customer = state.customers.get(named);
        prop_assert!(customer.is_some_and(|customer| customer.merged_into.is_none()), "{:?}", event);
    }
    Ok(())
}

proptest! {
    #![proptest_config(common::cases(300))]

    #[test]
    fn the_laws_hold_over_any_history(story in story()) {
        let history = run::<Intake>(commands(story));
        codec_law(&history, round_trip);
        let facts: Vec<_> = events(&history).filter_map(natural_key).collect();
        let (keys, ids): (BTreeSet<_>, BTreeSet<_>) = facts.iter().cloned().unzip();
        prop_assert_eq!((keys.len(), ids.len()), (facts.len(), facts.len()), "a fact was admitted twice");
        refunds_fit(&history)?;
        messages_are_unique(&history)?;
        customers_are_roots(&history)?;
    }

    #[test]
    fn telling_everything_again_changes_nothing(story in story()) {
        let history = run::<Intake>(commands(story));
        let late = NOON + Duration::from_days(400);
        let before = digest_of(&history.state);
        let told = history.decisions.iter().filter(|(_, _, events)| !events.is_empty());
        for (n, (command, _, _)) in told.enumerate() {
            // Details that were told later stand; all else is said once and for ever.
            if matches!(command, Command::UpsertCustomer { .. }) {
                continue;
            }
            let again = Intake::decide(&history.state, command, &stamp(1_000 + n, late));
            prop_assert_eq!(again, Ok(Vec::new()), "{:?}", command);
        }
        prop_assert_eq!(digest_of(&history.state), before);
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused_or_read_but_never_a_panic(
        story in story(), at: prop::sample::Index, byte: u8, cut: bool
    ) {
        for event in events(&run::<Intake>(commands(story))) {
            let mut payload = Vec::new();
            let schema = Intake::encode(event, &mut payload);
            let place = at.index(payload.len());
            if cut { payload.truncate(place) } else { payload[place] ^= byte };
            if let Ok(read) = Intake::decode(schema, &payload, NOON) {
                prop_assert_eq!(round_trip(&read, NOON), read);
            }
        }
    }
}

#[test]
fn a_thousand_identities_of_one_person_are_found_from_the_last_to_the_first() {
    // Each link goes on top of the ones before: the longest chain that hostile linking can make.
    let mut state = State::default();
    let mut tell = |n: usize, command: &Command| {
        for event in Intake::decide(&state, command, &stamp(n, NOON)).expect("carried out") {
            Intake::evolve(&mut state, &event);
        }
    };
    let identity = |n: usize| {
        let mut customer = common::customer(0);
        let mut key = [0; 16];
        key[..8].copy_from_slice(&n.to_le_bytes());
        customer.reference = intake::domain::CustomerRef::Key(key);
        customer
    };
    for n in 0..1_000 {
        tell(n, &Command::UpsertCustomer { customer: identity(n), occurred_at: NOON });
    }
    for n in 1..1_000 {
        let (kept, merged) = (identity(n).reference, identity(n - 1).reference);
        tell(n + 1_000, &Command::LinkCustomers { kept, merged, occurred_at: NOON });
        // And back: they are one person already, so nothing happens and no circle closes.
        let circle = Command::LinkCustomers { kept: merged, merged: kept, occurred_at: NOON };
        tell(n + 2_000, &circle);
    }
    tell(9_999, &common::order(0, "o0", common::yuan(1), false));
    let roots = state.customers.sorted().iter().filter(|(_, customer)| customer.merged_into.is_none()).count();
    assert_eq!((state.customers.len(), roots), (1_000, 1));
    let order = state.orders.sorted()[0].1;
    assert_eq!(
        state.customers.get(&order.customer_id).expect("known").merged_into,
        None,
        "an order of the first is the last's"
    );
}
