//! The rules of intake, one sentence each.

mod common;

use common::{
    NOON, append, close, cost, customer, dollars, given, history, link, order, payment, rating, refund, submit, upsert,
    yuan,
};
use intake::domain::{AMOUNT_MAX, Command, CustomerRef, Event, FactRef, MESSAGES_MAX, OCCURRED_SKEW_MAX, Rejection};
use kernel::{CustomerId, Decider, Duration, Refusal, RefusalKind};

fn differs(kind: &'static str, external_id: &str) -> Rejection {
    Rejection::FactDiffers { kind, external_id: external_id.to_owned() }
}

#[test]
fn an_unknown_customer_is_admitted_with_their_first_fact_and_not_again() {
    let mut tenant = given(&[]);
    let events = tenant.tell(&submit(1, "q1", 0, &[("m1", "泵漏油")])).unwrap();
    let [Event::CustomerUpserted(facts), Event::InquirySubmitted { customer_id, inquiry, .. }] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((facts.customer_key, facts.customer_id), ([1; 16], *customer_id));
    assert_eq!(inquiry.messages.len(), 1);
    let second = tenant.tell(&order(1, "o1", yuan(100), false)).unwrap();
    assert!(
        matches!(&second[..], [Event::OrderRecorded { customer_id: same, .. }] if same == customer_id),
        "{second:?}"
    );
}

#[test]
fn a_fact_told_again_changes_nothing_and_the_same_key_with_another_body_is_refused() {
    let told = [
        submit(1, "q1", 0, &[("m1", "泵漏油")]),
        order(1, "o1", yuan(10_000), false),
        payment("o1", "p1", yuan(10_000)),
        refund("o1", "r1", yuan(2_500)),
        rating("q1", "s1", 5),
        cost("c1", yuan(700)),
    ];
    let otherwise = [
        (submit(1, "q1", 0, &[("m1", "泵不漏油")]), "inquiry"),
        (order(1, "o1", yuan(10_001), false), "order"),
        (payment("o1", "p1", yuan(1)), "payment"),
        (refund("o1", "r1", yuan(1)), "refund"),
        (rating("q1", "s1", 1), "rating"),
        (cost("c1", yuan(701)), "cost"),
    ];
    let mut tenant = given(&told);
    for (again, (other, kind)) in told.iter().zip(otherwise) {
        assert_eq!(tenant.tell(again), Ok(Vec::new()), "{kind}");
        let refused = tenant.tell(&other).unwrap_err();
        assert!(matches!(&refused, Rejection::FactDiffers { kind: of, .. } if *of == kind), "{kind}: {refused:?}");
        assert_eq!((refused.kind(), refused.reason()), (RefusalKind::AlreadyExists, "FACT_DIFFERS"));
    }
}

#[test]
fn natural_keys_are_apart_by_kind_and_by_platform() {
    let mut tenant = given(&[order(1, "7", yuan(100), false), submit(1, "7", 0, &[("m", "x")])]);
    for (command, expected) in
        [(payment("7", "7", yuan(1)), 1), (refund("7", "7", yuan(1)), 1), (rating("7", "7", 4), 1)]
    {
        assert_eq!(tenant.tell(&command).map(|events| events.len()), Ok(expected), "{command:?}");
    }
    let Command::RecordOrder { customer, mut order } = order(1, "7", yuan(555), false) else { unreachable!() };
    order.fact.platform = "jd".to_owned();
    assert_eq!(tenant.tell(&Command::RecordOrder { customer, order }).map(|events| events.len()), Ok(1));
}

#[test]
fn a_past_conversation_and_a_live_one_share_their_natural_key() {
    let mut tenant = given(&[history(1, "q1")]);
    assert_eq!(tenant.tell(&history(1, "q1")), Ok(Vec::new()));
    assert_eq!(tenant.tell(&submit(1, "q1", 0, &[("m1", "x")])), Err(differs("inquiry", "q1")));
}

#[test]
fn a_past_conversation_was_never_open() {
    let mut tenant = given(&[history(1, "q1")]);
    assert_eq!(tenant.tell(&append("q1", "m1", "x")), Err(Rejection::InquiryClosed));
    assert_eq!(tenant.tell(&close("q1")), Ok(Vec::new()));
    assert_eq!(tenant.tell(&rating("q1", "s1", 5)).map(|events| events.len()), Ok(1), "it may still be rated");
}

#[test]
fn refunds_never_exceed_their_order() {
    let mut tenant = given(&[order(1, "o1", yuan(10_000), false), refund("o1", "r1", yuan(6_000))]);
    assert_eq!(tenant.tell(&refund("o1", "r2", yuan(4_001))), Err(Rejection::RefundExceedsOrder));
    assert_eq!(tenant.tell(&refund("o1", "r1", yuan(6_000))), Ok(Vec::new()), "told again, it is no second refund");
    assert_eq!(tenant.tell(&refund("o1", "r4", yuan(4_000))).map(|events| events.len()), Ok(1));
    assert_eq!(tenant.tell(&refund("o1", "r5", yuan(1))), Err(Rejection::RefundExceedsOrder));
    assert_eq!(tenant.tell(&refund("o1", "r6", yuan(0))).map(|events| events.len()), Ok(1), "nothing is not too much");
}

#[test]
fn amounts_are_not_negative_and_in_the_orders_currency() {
    let mut tenant = given(&[order(1, "o1", yuan(100), false)]);
    let refused = [
        (order(1, "o2", yuan(-1), false), Rejection::NegativeAmount),
        (payment("o1", "p1", yuan(-1)), Rejection::NegativeAmount),
        (refund("o1", "r1", yuan(-1)), Rejection::NegativeAmount),
        (refund("o1", "r1", yuan(i64::MIN)), Rejection::NegativeAmount),
        (cost("c1", yuan(-1)), Rejection::NegativeAmount),
        (order(1, "o2", yuan(AMOUNT_MAX + 1), false), Rejection::AmountTooLarge),
        (payment("o1", "p1", yuan(i64::MAX)), Rejection::AmountTooLarge),
        (refund("o1", "r1", yuan(i64::MAX)), Rejection::AmountTooLarge),
        (cost("c1", dollars(AMOUNT_MAX + 1)), Rejection::AmountTooLarge),
        (payment("o1", "p1", dollars(1)), Rejection::OtherCurrency),
        (refund("o1", "r1", dollars(1)), Rejection::OtherCurrency),
    ];
    for (command, refusal) in refused {
        assert_eq!(tenant.tell(&command), Err(refusal.clone()), "{command:?}");
        assert_eq!((refusal.kind(), refusal.field()), (RefusalKind::Invalid, Some("amount")));
    }
    assert_eq!(tenant.tell(&order(1, "o3", yuan(AMOUNT_MAX), false)).map(|events| events.len()), Ok(1));
}

#[test]
fn outcomes_of_what_is_unknown_are_refused() {
    let mut tenant = given(&[submit(1, "q1", 0, &[("m1", "x")]), order(1, "o1", yuan(5), false)]);
    let refused = [
        (payment("nowhere", "p1", yuan(1)), Rejection::OrderUnknown),
        (refund("nowhere", "r1", yuan(1)), Rejection::OrderUnknown),
        // An inquiry's key does not lead to an order, nor the other way round.
        (payment("q1", "p1", yuan(1)), Rejection::OrderUnknown),
        (rating("o1", "s1", 5), Rejection::InquiryUnknown),
        (rating("nowhere", "s1", 5), Rejection::InquiryUnknown),
        (append("nowhere", "m1", "x"), Rejection::InquiryUnknown),
        (close("nowhere"), Rejection::InquiryUnknown),
        (link(1, 9), Rejection::CustomerUnknown),
        (link(9, 1), Rejection::CustomerUnknown),
    ];
    for (command, refusal) in refused {
        assert_eq!(tenant.tell(&command), Err(refusal.clone()), "{command:?}");
        assert_eq!(refusal.kind(), RefusalKind::NotFound);
    }
}

#[test]
fn a_closed_inquiry_takes_no_message_but_knows_the_ones_it_took() {
    let mut tenant = given(&[submit(1, "q1", 0, &[("m1", "first")]), append("q1", "m2", "second"), close("q1")]);
    assert_eq!(tenant.tell(&append("q1", "m3", "third")), Err(Rejection::InquiryClosed));
    assert_eq!(tenant.tell(&append("q1", "m1", "first")), Ok(Vec::new()));
    assert_eq!(tenant.tell(&append("q1", "m2", "second")), Ok(Vec::new()));
    assert_eq!(tenant.tell(&append("q1", "m2", "other")), Err(Rejection::MessageDiffers));
    assert_eq!(tenant.tell(&close("q1")), Ok(Vec::new()), "closing a closed inquiry changes nothing");
}

#[test]
fn an_inquiry_takes_only_so_many_messages() {
    let mut tenant = given(&[submit(1, "q1", 0, &[("m0", "x")])]);
    for n in 1..MESSAGES_MAX {
        assert_eq!(tenant.tell(&append("q1", &format!("m{n}"), "x")).map(|events| events.len()), Ok(1));
    }
    assert_eq!(tenant.tell(&append("q1", "one more", "x")), Err(Rejection::TooManyMessages));
    assert_eq!(tenant.tell(&append("q1", "m7", "x")), Ok(Vec::new()), "a repeat is still a repeat");
}

#[test]
fn two_messages_of_one_request_do_not_share_their_key() {
    for texts in [[("m1", "泵漏油"), ("m1", "多少钱")], [("m1", "泵漏油"), ("m1", "泵漏油")]] {
        let refused = given(&[]).tell(&submit(1, "q1", 0, &texts)).unwrap_err();
        assert_eq!((refused.kind(), refused.reason()), (RefusalKind::Invalid, "MESSAGE_REPEATED"));
        assert_eq!(refused.field(), Some("messages"));
    }
}

#[test]
fn a_fact_happens_at_most_five_minutes_ahead_of_the_servers_clock() {
    let edge = OCCURRED_SKEW_MAX.as_micros() / 60_000_000;
    // The first request comes a second after noon.
    assert!(given(&[]).tell(&submit(1, "q1", edge, &[("m1", "x")])).is_ok());
    assert_eq!(given(&[]).tell(&submit(1, "q1", edge + 1, &[("m1", "x")])), Err(Rejection::OccurredInFuture));
    let later = NOON + OCCURRED_SKEW_MAX + Duration::from_secs(2);
    let Command::AppendMessage { inquiry, mut message } = append("q1", "m2", "y") else { unreachable!() };
    message.occurred_at = later;
    let mut tenant = given(&[submit(1, "q1", 0, &[("m1", "x")])]);
    let later = NOON + OCCURRED_SKEW_MAX + Duration::from_secs(20);
    let ahead = [
        Command::AppendMessage { inquiry, message: intake::domain::Message { occurred_at: later, ..message } },
        Command::CloseInquiry { inquiry, reason: String::new(), occurred_at: later },
        Command::UpsertCustomer { customer: customer(1), occurred_at: later },
        Command::LinkCustomers { kept: customer(1).reference, merged: customer(1).reference, occurred_at: later },
    ];
    for command in ahead {
        assert_eq!(tenant.tell(&command), Err(Rejection::OccurredInFuture), "{command:?}");
    }
}

#[test]
fn customer_facts_told_again_from_the_beginning_change_nothing() {
    let at = |minutes: i64, name: &str| Command::UpsertCustomer {
        customer: common::customer_named(1, name),
        occurred_at: NOON - Duration::from_secs(600) + Duration::from_secs(minutes * 60),
    };
    let file = [at(1, "王师傅"), at(2, "王老板"), at(3, "王师傅"), at(4, "老王")];
    let mut tenant = given(&[]);
    assert!(file.iter().all(|told| tenant.tell(told).is_ok_and(|events| events.len() == 1)), "each is new");
    for told in &file {
        assert_eq!(tenant.tell(told), Ok(Vec::new()), "{told:?}");
    }
    assert_eq!(tenant.tell(&at(5, "王师傅")).map(|events| events.len()), Ok(1), "what happened later counts");
    assert_eq!(tenant.tell(&at(5, "老王")).map(|events| events.len()), Ok(1), "at one instant the last word counts");
}

#[test]
fn who_came_with_an_order_may_be_named_by_an_older_fact() {
    let Command::RecordOrder { mut customer, order } = order(1, "o1", yuan(5), false) else { unreachable!() };
    customer.details.name = None;
    let mut tenant = given(&[Command::RecordOrder { customer, order }]);
    let named = Command::UpsertCustomer {
        customer: common::customer_named(1, "王老板"),
        occurred_at: NOON - Duration::from_days(200),
    };
    assert_eq!(tenant.tell(&named).map(|events| events.len()), Ok(1), "nothing was known of them");
    assert_eq!(tenant.tell(&named), Ok(Vec::new()));
}

#[test]
fn facts_that_name_nobody_are_told_again_without_a_change_too() {
    let at = |minutes: i64, language: &str| {
        let mut customer = customer(1);
        customer.details.name = None;
        customer.details.language = language.to_owned();
        customer.body_mac = common::mac(language);
        Command::UpsertCustomer { customer, occurred_at: NOON + Duration::from_secs(minutes) }
    };
    let file = [at(-3, "zh"), at(-2, "en"), at(-1, "zh")];
    let mut tenant = given(&file);
    for told in &file {
        assert_eq!(tenant.tell(told), Ok(Vec::new()), "{told:?}");
    }
}

#[test]
fn linked_identities_count_as_the_one_that_was_kept() {
    let mut tenant =
        given(&[submit(1, "q1", 0, &[("m1", "x")]), order(2, "o2", yuan(100), false), upsert(3, "王师傅")]);
    let id = |n: u8| tenant.state.customer_by_key[&[n; 16]];
    let (first, second, third) = (id(1), id(2), id(3));
    let linked = tenant.tell(&link(2, 1)).unwrap();
    assert!(matches!(linked[..], [Event::CustomersLinked { kept, merged, .. }] if (kept, merged) == (second, first)));
    assert_eq!(tenant.tell(&link(2, 1)), Ok(Vec::new()), "they are one person already");
    assert_eq!(tenant.tell(&link(1, 2)), Ok(Vec::new()), "the other way round too");
    assert_eq!(tenant.tell(&link(1, 1)), Ok(Vec::new()), "and everybody is themselves");
    let linked = tenant.tell(&link(3, 1)).unwrap();
    assert!(
        matches!(linked[..], [Event::CustomersLinked { kept, merged, .. }] if (kept, merged) == (third, second)),
        "linking an identity links the person that it counts as: {linked:?}"
    );
    let named = |events: Vec<Event>| match events.last() {
        Some(Event::MessageAppended { customer_id, .. } | Event::RefundRecorded { customer_id, .. }) => *customer_id,
        Some(Event::RatingRecorded { customer_id, .. } | Event::OrderRecorded { customer_id, .. }) => *customer_id,
        other => panic!("{other:?}"),
    };
    for command in
        [append("q1", "m2", "y"), refund("o2", "r1", yuan(1)), rating("q1", "s1", 4), order(1, "o3", yuan(1), false)]
    {
        assert_eq!(named(tenant.tell(&command).unwrap()), third, "{command:?}");
    }
}

#[test]
fn an_identity_keeps_its_own_details_after_it_was_merged() {
    let mut tenant = given(&[upsert(1, "王师傅"), upsert(2, "Wang"), link(2, 1)]);
    let first = tenant.state.customer_by_key[&[1; 16]];
    let events = tenant.tell(&upsert(1, "王老板")).unwrap();
    assert!(matches!(&events[..], [Event::CustomerUpserted(facts)] if facts.customer_id == first), "{events:?}");
    let customer = tenant.state.customers.get(&first).unwrap();
    assert_eq!(customer.merged_into, Some(tenant.state.customer_by_key[&[2; 16]]), "still merged");
    assert_eq!(tenant.tell(&upsert(1, "王老板")), Ok(Vec::new()), "unchanged details change nothing");
}

#[test]
fn what_happens_to_an_order_of_the_past_is_of_the_past() {
    let mut tenant = given(&[order(1, "o1", yuan(100), true), order(1, "o2", yuan(100), false)]);
    for (of, expected) in [("o1", true), ("o2", false)] {
        let paid = tenant.tell(&payment(of, &format!("p{of}"), yuan(100))).unwrap();
        assert!(matches!(paid[..], [Event::PaymentRecorded { history, .. }] if history == expected), "{paid:?}");
        let refunded = tenant.tell(&refund(of, &format!("r{of}"), yuan(100))).unwrap();
        assert!(matches!(refunded[..], [Event::RefundRecorded { history, .. }] if history == expected), "{refunded:?}");
    }
}

#[test]
fn every_key_that_a_person_was_sealed_with_is_known_for_their_erasure() {
    let mut tenant = given(&[upsert(1, "王师傅"), submit(1, "q1", 0, &[("m1", "x")])]);
    let Command::AppendMessage { inquiry, mut message } = append("q1", "m2", "y") else { unreachable!() };
    message.text = common::sealed(77, "messages[0].text", "y");
    tenant.tell(&Command::AppendMessage { inquiry, message: message.clone() }).unwrap();
    let customer = tenant.state.customers.get(&tenant.state.customer_by_key[&[1; 16]]).unwrap();
    assert_eq!(customer.keys, [customer_key_id(1), customer_key_id(77)], "each once, in the order of use");
}

fn customer_key_id(n: u8) -> kernel::KeyId {
    kernel::KeyId::from_bytes([n; 16])
}

#[test]
fn ids_that_lead_nowhere_are_refused_and_end_no_process() {
    // Only a decision that is taken again names ids; a log that lies must still not bring the service down.
    let tenant = given(&[submit(1, "q1", 0, &[("m1", "x")])]);
    let nobody = CustomerRef::Id(CustomerId::from_bytes([42; 16]));
    let stamp = common::stamp(7, NOON);
    let stranger = intake::domain::NewCustomer { reference: nobody, ..customer(1) };
    let Command::RecordOrder { order, .. } = order(1, "o1", yuan(1), false) else { unreachable!() };
    let decided = [
        Command::RecordOrder { customer: stranger.clone(), order },
        Command::UpsertCustomer { customer: stranger, occurred_at: NOON },
        Command::LinkCustomers { kept: nobody, merged: nobody, occurred_at: NOON },
    ];
    for command in decided {
        assert_eq!(intake::Intake::decide(&tenant.state, &command, &stamp), Err(Rejection::CustomerUnknown));
    }
    let gone = Command::CloseInquiry {
        inquiry: FactRef::Id(kernel::InquiryId::from_bytes([9; 16])),
        reason: String::new(),
        occurred_at: NOON,
    };
    assert_eq!(intake::Intake::decide(&tenant.state, &gone, &stamp), Err(Rejection::InquiryUnknown));
}
