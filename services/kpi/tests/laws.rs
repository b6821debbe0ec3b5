//! The laws of kpi over any facts in any order, and that the order of arrival changes nothing.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{START, Tenant, hour, stamp};
use kernel::laws::{History, codec_law, run};
use kernel::{CreditId, Currency, CustomerId, Duration, EmployeeId, Money, OrderId, Timestamp};
use kpi::Kpi;
use kpi::domain::measures::{Period, Scope, table};
use kpi::domain::{ATTRIBUTION_WINDOW, Command, Contact, CreditKind, Event, NewOrder, State};
use proptest::prelude::*;
use runtime::Service;

/// Facts of one company as they happened, before anybody told them. Everything is small, so that it meets.
#[derive(Debug, Clone)]
struct Facts {
    /// Agent, customer, hour, whether of the past.
    contacts: Vec<(u8, u8, i64, bool)>,
    orders: Vec<Bought>,
    /// Order, tenths of it, hour. Never more than the order in all.
    refunds: Vec<(usize, i64, i64)>,
    payments: Vec<usize>,
    /// Inquiry, score, hour.
    ratings: Vec<(u8, u32, i64)>,
    /// Kept and merged.
    merges: Vec<(u8, u8)>,
}

#[derive(Debug, Clone)]
struct Bought {
    customer: u8,
    minor: i64,
    yuan: bool,
    hour: i64,
    past: bool,
    /// Of the past only: who sold it, if an old system knows.
    handler: Option<u8>,
}

fn bought() -> impl Strategy<Value = Bought> {
    let past =
        prop_oneof![4 => Just((false, None)), 1 => prop::option::of(0..3_u8).prop_map(|handler| (true, handler))];
    (0..5_u8, 1..50_000_i64, prop::bool::weighted(0.8), hours(), past).prop_map(
        |(customer, minor, yuan, hour, (past, handler))| Bought { customer, minor, yuan, hour, past, handler },
    )
}

/// Around the window's edges as well as within and outside.
fn hours() -> impl Strategy<Value = i64> {
    prop_oneof![0..240_i64, prop::sample::select(vec![10, 82, 83])]
}

fn a_company() -> impl Strategy<Value = Facts> {
    let contact = (0..3_u8, 0..5_u8, hours(), prop::bool::weighted(0.2));
    let contacts = prop::collection::vec(contact, 0..8);
    let orders = prop::collection::vec(bought(), 1..6);
    let refunds = prop::collection::vec((0..6_usize, 1..4_i64, hours()), 0..3);
    let payments = prop::collection::vec(0..6_usize, 0..3);
    let ratings = prop::collection::vec((0..8_u8, 1..6_u32, hours()), 0..4);
    let merges = prop::collection::vec((0..5_u8, 0..5_u8), 0..4);
    (contacts, orders, refunds, payments, ratings, merges).prop_map(
        |(contacts, orders, refunds, payments, ratings, merges)| Facts {
            contacts,
            orders,
            refunds,
            payments,
            ratings,
            merges: as_intake_links(merges),
        },
    )
}

/// Links as intake records them: always between those that two identities count as, never twice.
fn as_intake_links(wanted: Vec<(u8, u8)>) -> Vec<(u8, u8)> {
    let mut into: BTreeMap<u8, u8> = BTreeMap::new();
    let mut links = Vec::new();
    for (kept, merged) in wanted {
        let (kept, merged) = (root(&into, kept), root(&into, merged));
        if kept != merged {
            into.insert(merged, kept);
            links.push((kept, merged));
        }
    }
    links
}

fn root(into: &BTreeMap<u8, u8>, mut one: u8) -> u8 {
    while let Some(kept) = into.get(&one) {
        one = *kept;
    }
    one
}

fn minute(hour: i64, n: usize) -> Timestamp {
    // Each at its own minute, so that the last contact is one contact.
    common::hour(hour) + Duration::from_secs(60 * i64::try_from(n).expect("few"))
}

impl Facts {
    fn contact(&self, n: usize) -> Command {
        let (who, of, hour, past) = self.contacts[n];
        let number = u8::try_from(n).expect("few");
        let desk = ["east", "west"][usize::from(who % 2)].to_owned();
        common::changed_contact(common::contact(number, who, of, minute(hour, n)), |contact| {
            contact.history = past;
            contact.desk = desk;
        })
    }

    fn order(&self, n: usize) -> NewOrder {
        let Bought { customer, minor, yuan, hour, past, handler } = self.orders[n];
        NewOrder {
            order_id: common::order_id(u8::try_from(n).expect("few")),
            customer_id: common::customer(customer),
            amount: Money::new(minor, if yuan { Currency::CNY } else { Currency::USD }),
            occurred_at: common::hour(hour),
            history: past,
            handler: handler.map(common::employee),
        }
    }

    /// Refunds of orders that exist, as (number, order, minor, hour).
    fn refunds(&self) -> Vec<(u8, usize, i64, i64)> {
        let of_order = |(n, (of, tenths, hour)): (usize, &(usize, i64, i64))| {
            let minor = self.orders.get(*of)?.minor;
            Some((100 + u8::try_from(n).expect("few"), *of, minor * tenths / 10, *hour))
        };
        self.refunds.iter().enumerate().filter_map(of_order).collect()
    }

    /// All facts in the order in which a careful company would tell them.
    fn told(&self) -> Vec<Command> {
        let mut told: Vec<Command> = (0..3).map(|n| common::hired(n, "east")).collect();
        told.extend((0..self.contacts.len()).map(|n| self.contact(n)));
        told.extend((0..self.orders.len()).map(|n| Command::NoteOrder(self.order(n))));
        for (number, of, minor, at) in self.refunds() {
            let order = self.order(of);
            let (order_id, history) = (order.order_id, order.history);
            let amount = Money::new(minor, order.amount.currency);
            let (refund_id, occurred_at) = (common::outcome(number), hour(at));
            told.push(Command::NoteRefund { refund_id, order_id, amount, occurred_at, history });
        }
        for (n, of) in self.payments.iter().enumerate().filter(|(_, of)| **of < self.orders.len()) {
            let order = self.order(*of);
            let payment_id = common::outcome(150 + u8::try_from(n).expect("few"));
            let (order_id, amount, occurred_at) = (order.order_id, order.amount, order.occurred_at);
            told.push(Command::NotePayment { payment_id, order_id, amount, occurred_at });
        }
        for (n, (of, score, at)) in self.ratings.iter().enumerate() {
            told.push(common::rating(200 + u8::try_from(n).expect("few"), *of, *score, hour(*at)));
        }
        told.extend(self.merges.iter().map(|(kept, merged)| common::merge(*kept, *merged)));
        told
    }

    fn person(&self, customer: CustomerId) -> u8 {
        let into: BTreeMap<u8, u8> = self.merges.iter().map(|(kept, merged)| (*merged, *kept)).collect();
        root(&into, customer.as_bytes()[0])
    }

    /// The last contact of the order's person in the window before it.
    fn last_contact(&self, order: &NewOrder) -> Option<Contact> {
        let contacts = (0..self.contacts.len()).filter_map(|n| match self.contact(n) {
            Command::NoteContact { customer_id, contact } => Some((customer_id, contact)),
            _ => None,
        });
        let touches = contacts.filter(|(customer, contact)| {
            let age = order.occurred_at.since(contact.occurred_at);
            self.person(*customer) == self.person(order.customer_id)
                && (Duration::ZERO..=ATTRIBUTION_WINDOW).contains(&age)
        });
        touches.map(|(_, contact)| contact).max_by_key(|contact| contact.occurred_at)
    }

    fn is_first_order(&self, order: &NewOrder) -> bool {
        let orders = (0..self.orders.len()).map(|n| self.order(n));
        let of_person = orders.filter(|other| self.person(other.customer_id) == self.person(order.customer_id));
        of_person.map(|other| (other.occurred_at, other.order_id)).min() == Some((order.occurred_at, order.order_id))
    }

    /// What must stand credited, worked out from the facts alone.
    fn credits(&self) -> BTreeSet<Line> {
        let mut lines = BTreeSet::new();
        for n in 0..self.orders.len() {
            let order = self.order(n);
            let contact = self.last_contact(&order);
            let (employee, unpaid) = match (order.handler, &contact) {
                (Some(handler), _) => (handler, true),
                (None, Some(contact)) => (contact.employee_id, order.history || contact.history),
                (None, None) => continue,
            };
            let first = self.is_first_order(&order);
            let line = |outcome: [u8; 16], minor: i64, at: Timestamp| {
                (employee, order.order_id, outcome, minor, at, first, unpaid)
            };
            lines.insert(line(*order.order_id.as_bytes(), order.amount.minor, order.occurred_at));
            for (number, _, minor, at) in self.refunds().into_iter().filter(|(_, of, ..)| *of == n) {
                lines.insert(line(*common::outcome(number).as_bytes(), -minor, hour(at)));
            }
        }
        lines
    }
}

/// Employee, order, outcome, amount, when, first order, of the past.
type Line = (EmployeeId, OrderId, [u8; 16], i64, Timestamp, bool, bool);

/// What stands credited by the events alone: what was granted and not reversed. This is what pays.
fn standing(events: &[Event]) -> BTreeSet<Line> {
    let mut standing: BTreeMap<CreditId, Line> = BTreeMap::new();
    for event in events {
        match event {
            Event::CreditGranted(granted) => {
                let g = granted;
                let line =
                    (g.employee_id, g.order_id, g.outcome_id, g.amount.minor, g.occurred_at, g.new_customer, g.history);
                assert_eq!(standing.insert(g.credit_id, line), None, "a credit's id was given twice");
                assert_eq!(g.kind == CreditKind::Refund, g.outcome_id != *g.order_id.as_bytes());
            }
            Event::CreditReversed { credit_id, employee_id, amount, occurred_at, .. } => {
                let line = standing.remove(credit_id).expect("only what stands is reversed");
                assert_eq!((line.0, line.3, line.4), (*employee_id, amount.minor, *occurred_at));
            }
            _ => {}
        }
    }
    let lines: BTreeSet<Line> = standing.values().copied().collect();
    assert_eq!(lines.len(), standing.len(), "an outcome stands credited twice");
    lines
}

/// All measures of everybody, for a few periods.
fn all_figures(state: &State) -> Vec<String> {
    let scopes = [
        Scope::All,
        Scope::Desk("east"),
        Scope::Desk("west"),
        Scope::Employee(common::employee(0)),
        Scope::Employee(common::employee(1)),
    ];
    let periods =
        [(0, 240), (0, 80), (80, 160), (-1_000, 1_000)].map(|(from, to)| Period { from: hour(from), to: hour(to) });
    let mut rows = Vec::new();
    for scope in scopes {
        rows.extend(periods.map(|period| format!("{scope:?} {period:?} {:?}", table(state, period).row(scope))));
    }
    rows
}

fn round_trip(event: &Event, at: Timestamp) -> Event {
    let mut payload = Vec::new();
    let schema = Kpi::encode(event, &mut payload);
    Kpi::decode(schema, &payload, at).expect("an own event decodes")
}

/// The fold from the wire, which reads only what it needs, ends where the events lead.
fn fold_law(history: &History<Kpi>) {
    let mut state = State::default();
    for (_, stamp, events) in &history.decisions {
        for event in events {
            let mut payload = Vec::new();
            let schema = Kpi::encode(event, &mut payload);
            Kpi::fold(&mut state, schema, &payload, stamp.at).expect("an own event folds");
        }
    }
    assert_eq!(state, history.state, "L5: the fold from the wire differs from that of the events");
}

fn tell(facts: Vec<Command>) -> Tenant {
    let mut tenant = Tenant::default();
    for fact in &facts {
        tenant.tell(fact);
    }
    tenant
}

/// A company's facts and one order in which they may arrive.
fn shuffled() -> impl Strategy<Value = (Facts, Vec<Command>)> {
    a_company().prop_flat_map(|facts| {
        let told = facts.told();
        (Just(facts), Just(told).prop_shuffle())
    })
}

proptest! {
    #![proptest_config(common::cases(400))]

    #[test]
    fn whatever_the_order_of_arrival_the_credits_are_those_of_the_facts((facts, arriving) in shuffled()) {
        let tenant = tell(arriving);
        prop_assert_eq!(standing(&tenant.log), facts.credits());
    }

    #[test]
    fn whatever_the_order_of_arrival_the_measures_are_the_same((facts, arriving) in shuffled()) {
        let (careful, other) = (tell(facts.told()), tell(arriving));
        prop_assert_eq!(all_figures(&careful.state), all_figures(&other.state));
    }

    #[test]
    fn the_laws_hold_over_any_history((_, arriving) in shuffled(), strange in prop::collection::vec(strange(), 0..10), at: prop::sample::Index) {
        let mut facts = arriving;
        let mut strange = strange;
        // Intake admits an order once, so kpi hears of it once.
        let mut known = BTreeSet::new();
        strange.retain(|fact| !matches!(fact, Command::NoteOrder(order) if !known.insert(order.order_id)));
        let at = at.index(facts.len());
        facts.splice(at..at, strange);
        let stamped = facts.into_iter().enumerate().map(|(n, fact)| (fact, stamp(n)));
        let history = run::<Kpi>(stamped);
        codec_law(&history, round_trip);
        fold_law(&history);
        all_figures(&history.state);
    }

    #[test]
    fn a_payload_that_was_cut_or_changed_is_refused_or_read_but_never_a_panic(
        (_, arriving) in shuffled(), at: prop::sample::Index, byte: u8, cut: bool
    ) {
        for event in tell(arriving).log {
            let mut payload = Vec::new();
            let schema = Kpi::encode(&event, &mut payload);
            let place = at.index(payload.len());
            if cut { payload.truncate(place) } else { payload[place] ^= byte };
            if let Ok(read) = Kpi::decode(schema, &payload, START) {
                prop_assert_eq!(round_trip(&read, START), read);
            }
        }
    }
}

/// Facts about what nobody knows, circles of merges, and the largest amounts.
fn strange() -> impl Strategy<Value = Command> {
    let large = prop::sample::select(vec![0, 1, i64::MAX - 1, i64::MAX]);
    prop_oneof![
        (0..6_u8, 0..6_u8).prop_map(|(kept, merged)| common::merge(kept, merged)),
        (50..60_u8, 0..5_u8, large.clone()).prop_map(|(n, of, minor)| common::order(
            n,
            of,
            common::yuan(minor),
            hour(60)
        )),
        (60..90_u8, 0..70_u8, large.clone()).prop_map(|(n, of, minor)| common::refund(
            n,
            of,
            common::yuan(minor),
            hour(61)
        )),
        (90..99_u8, 0..70_u8, large).prop_map(|(n, of, minor)| common::payment(n, of, common::yuan(minor), hour(61))),
        (240..250_u8, 0..90_u8).prop_map(|(n, of)| common::rating(n, of, 5, hour(62))),
        (0..3_u8, prop::sample::select(vec!["east", "west"])).prop_map(|(n, desk)| common::hired(n, desk)),
    ]
}
