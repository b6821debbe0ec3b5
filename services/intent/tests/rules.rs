//! The rules of intent, one sentence each.

mod common;

use common::{EXAMPLES, Ear, TENANT, Tenant, example, inquiry};
use intent::Intent;
use intent::domain::{Command, Event, OUT_OF_SCOPE, Rejection};
use kernel::{Decider, Refusal, TenantId};
use log::Topic;
use proptest::prelude::*;
use proto::intake::Direction;
use runtime::CodecError;

fn features(heard: &Command) -> String {
    let Command::Hear { features, .. } = heard else { panic!("{heard:?}") };
    format!("{features:?}")
}

#[test]
fn teaching_twice_learns_once() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    assert_eq!(tenant.teach(&ear, &EXAMPLES).len(), EXAMPLES.len());
    let before = tenant.state.clone();
    assert_eq!(tenant.teach(&ear, &EXAMPLES), []);
    assert_eq!(tenant.state, before);
    let twice = [("新的一句", "price"), ("新的一句", "price"), ("液压泵多少钱", "price")];
    assert_eq!(tenant.teach(&ear, &twice).len(), 1, "once also within one request");
    assert_eq!(tenant.teach(&ear, &[("新的一句", "after_sales")]).len(), 1, "another label is another lesson");
    assert_eq!((tenant.state.model.examples, tenant.state.counts["price"]), (20, 7));
}

#[test]
fn who_was_taught_nothing_believes_nothing() {
    let ear = Ear::open();
    let scores = Tenant::default().classify(&ear, "液压泵多少钱");
    let scores: Vec<_> = scores.iter().map(|score| (score.label.as_str(), score.ppm)).collect();
    assert_eq!(scores, [(OUT_OF_SCOPE, 1_000_000)], "nothing is surer");
}

#[test]
fn one_label_alone_tells_nothing_apart() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    tenant.teach(&ear, &EXAMPLES[..6]);
    for text in ["液压泵多少钱", "今天天气真好"] {
        let scores = tenant.classify(&ear, text);
        assert_eq!((scores[0].label.as_str(), scores[0].ppm), (OUT_OF_SCOPE, 1_000_000), "{text}");
    }
}

#[test]
fn among_few_labels_what_fits_none_of_them_is_out_of_scope() {
    let ear = Ear::open();
    for (examples, text) in [(12, "zzz"), (18, "qqqq")] {
        let mut tenant = Tenant::default();
        tenant.teach(&ear, &EXAMPLES[..examples]);
        let scores = tenant.classify(&ear, text);
        assert_eq!(scores[0].label, OUT_OF_SCOPE, "{text} among {} labels: {scores:?}", examples / 6);
        let sum: u32 = scores.iter().map(|score| score.ppm).sum();
        assert!(scores.is_sorted_by(|a, b| a.ppm >= b.ppm) && sum <= 1_000_000, "{scores:?}");
        let known = tenant.classify(&ear, "how much is the hydraulic pump");
        assert_eq!(known[0].label, "price", "{known:?}");
    }
}

#[test]
fn one_lesson_is_only_so_large() {
    let ear = Ear::open();
    let long: String = (0..1_000).map(|n| char::from_u32(0x4e00 + n * 7).unwrap()).collect();
    let heard = ear.hear(0, &long);
    let Command::Hear { features, .. } = &heard else { unreachable!() };
    let fitting = (1 << 20) / (features.words.len() + features.characters.len());
    let lesson = |count: usize| Command::Teach((0..count).map(|n| example(&n.to_string(), "price", &heard)).collect());
    let decide = |lesson: &Command| Intent::decide(&Tenant::default().state, lesson, &common::stamp(1));
    assert_eq!(decide(&lesson(fitting)).map(|events| events.len()), Ok(fitting));
    let refused = decide(&lesson(fitting + 1)).unwrap_err();
    assert_eq!((refused.reason(), refused.field()), ("EXAMPLES_TOO_LARGE", Some("examples")));
    // A thousand messages as people write them are no large lesson.
    let heard = ear.hear(0, &"请问这个液压泵多少钱一个".repeat(8));
    let many = Command::Teach((0..1_000).map(|n| example(&n.to_string(), "price", &heard)).collect());
    assert_eq!(decide(&many).map(|events| events.len()), Ok(1_000));
}

#[test]
fn what_was_taught_is_recognised_and_what_was_not_is_out_of_scope() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    tenant.teach(&ear, &EXAMPLES);
    for (text, label) in
        [("滤芯多少钱", "price"), ("where is my parcel", "order_lookup"), ("漏油要退货", "after_sales")]
    {
        let scores = tenant.classify(&ear, text);
        assert_eq!(scores[0].label, label, "{text}: {scores:?}");
        assert!(scores.len() <= 3 && scores.is_sorted_by(|a, b| a.ppm >= b.ppm), "{scores:?}");
    }
    for nothing in ["", "  \n"] {
        assert_eq!(tenant.classify(&ear, nothing)[0].label, OUT_OF_SCOPE, "{nothing:?}");
    }
}

#[test]
fn out_of_scope_can_be_taught_like_any_other_label() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    tenant.teach(&ear, &EXAMPLES);
    tenant.teach(
        &ear,
        &[("今天天气真好", OUT_OF_SCOPE), ("天气怎么样", OUT_OF_SCOPE), ("nice weather today", OUT_OF_SCOPE)],
    );
    let scores = tenant.classify(&ear, "今天天气怎么样");
    assert_eq!(scores[0].label, OUT_OF_SCOPE, "{scores:?}");
    let named = scores.iter().filter(|score| score.label == OUT_OF_SCOPE).count();
    assert_eq!(named, 1, "it stands there once: {scores:?}");
}

#[test]
fn a_company_has_only_so_many_labels() {
    let ear = Ear::open();
    let heard = ear.hear(0, "液压泵");
    let lesson = |count: usize| {
        Command::Teach((0..count).map(|n| example(&n.to_string(), &format!("label {n}"), &heard)).collect())
    };
    let state = Tenant::default().state;
    let stamp = common::stamp(1);
    assert_eq!(Intent::decide(&state, &lesson(512), &stamp).map(|events| events.len()), Ok(512));
    let refused = Intent::decide(&state, &lesson(513), &stamp).unwrap_err();
    assert_eq!((refused.clone(), refused.reason()), (Rejection::TooManyLabels, "TOO_MANY_LABELS"));
}

#[test]
fn a_conversation_is_all_that_its_customer_said() {
    let ear = Ear::open();
    let mut apart = Tenant::default();
    let first = apart.told(&ear.hear(7, "你好"));
    assert!(matches!(&first[..], [Event::IntentClassified { revision: 1, .. }]), "{first:?}");
    apart.told(&ear.hear(7, "泵漏油了"));
    let mut together = Tenant::default();
    together.told(&ear.submitted(TENANT, 7, &[(Direction::Customer, "你好"), (Direction::Customer, "泵漏油了")]));
    let of = |tenant: &Tenant| tenant.state.conversations.get(&inquiry(7)).unwrap().features.clone();
    assert_eq!(of(&apart), of(&together));
}

#[test]
fn a_classification_is_repeated_only_when_it_changes() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    tenant.teach(&ear, &EXAMPLES);
    let top = |events: &[Event]| match events {
        [Event::IntentClassified { scores, revision, .. }] => Some((scores[0].label.clone(), *revision)),
        [Event::TextNoted { .. }] => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(top(&tenant.told(&ear.hear(1, "我的订单到哪里了"))), Some(("order_lookup".to_owned(), 1)));
    let noted = tenant.told(&ear.hear(1, ""));
    assert_eq!(top(&noted), None, "nothing was added");
    let changed = tenant.told(&ear.hear(1, "液压泵多少钱 报个价 便宜一点可以吗 什么价格"));
    assert_eq!(top(&changed), Some(("price".to_owned(), 2)));
    assert_eq!(tenant.state.conversations.get(&inquiry(1)).unwrap().revision, 2);
}

#[test]
fn only_customers_are_heard() {
    let ear = Ear::open();
    for direction in [Direction::Agent, Direction::System] {
        assert_eq!(ear.appended(1, direction, "液压泵多少钱"), None);
    }
    let mixed = [
        (Direction::Customer, "漏油"),
        (Direction::Agent, "您好"),
        (Direction::System, "已接入"),
        (Direction::Customer, "退货"),
    ];
    let heard = ear.submitted(TENANT, 1, &mixed);
    let said = ear.submitted(TENANT, 1, &[(Direction::Customer, "漏油"), (Direction::Customer, "退货")]);
    assert_eq!(heard, said, "each text is opened at its own place in the request");
}

#[test]
fn an_erased_person_is_heard_without_words() {
    let ear = Ear::open();
    let event = ear.submitted(TENANT, 1, &[(Direction::Customer, "漏油")]);
    let message = ear.message(TENANT, 0, Direction::Customer, "漏油");
    ear.erase();
    let payload = prost::Message::encode_to_vec(&proto::intake::InquirySubmitted {
        inquiry_id: inquiry(1).to_vec(),
        messages: vec![message],
        ..Default::default()
    });
    let heard = ear.react(TENANT, Topic::Intake, 3, &payload).unwrap().unwrap().command;
    assert_ne!(heard, event);
    let events = Tenant::default().told(&heard);
    assert!(matches!(&events[..], [Event::IntentClassified { scores, .. }] if scores[0].label == OUT_OF_SCOPE));
}

#[test]
fn two_tenants_cannot_compare_what_they_heard() {
    let ear = Ear::open();
    let hashes = |tenant: u8| {
        let heard =
            ear.submitted(TenantId::from_bytes([tenant; 16]), 1, &[(Direction::Customer, "液压泵多少钱 how much")]);
        let Command::Hear { features, .. } = heard else { unreachable!() };
        features
            .words
            .iter()
            .chain(&features.characters)
            .map(|(hash, _)| *hash)
            .collect::<std::collections::BTreeSet<u32>>()
    };
    assert_eq!(hashes(1), hashes(1));
    assert!(hashes(1).is_disjoint(&hashes(2)));
}

#[test]
fn an_unknown_record_stops_and_an_unreadable_one_is_malformed() {
    let ear = Ear::open();
    assert_eq!(ear.react(TENANT, Topic::Intake, 12, b""), Err(CodecError::UnknownSchema(12)));
    assert_eq!(ear.react(TENANT, Topic::Roster, 1, b""), Err(CodecError::UnknownSchema(1)));
    assert_eq!(ear.react(TENANT, Topic::Intake, 6, b"whatever an order is"), Ok(None), "not of interest");
    for payload in [&b""[..], b"\xff\xff\xff", b"\x0a\x01x"] {
        assert!(matches!(ear.react(TENANT, Topic::Intake, 4, payload), Err(CodecError::Malformed(_))), "{payload:?}");
    }
}

#[test]
fn a_conversation_keeps_only_so_many_features() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    // Every message is new in every character: the most that a hostile customer can add.
    let han = |n: u32| char::from_u32(0x4e00 + n % 20_000).unwrap();
    for n in 0..40 {
        let text: String = (0..1_000).map(|c| han(n * 1_000 + c * 7)).collect();
        tenant.told(&ear.hear(1, &text));
    }
    let features = &tenant.state.conversations.get(&inquiry(1)).unwrap().features;
    let kept = features.words.len() + features.characters.len();
    assert!(kept < 13_000, "{kept} features");
}

#[test]
fn only_so_many_conversations_are_open() {
    let ear = Ear::open();
    let mut tenant = Tenant::default();
    let Command::Hear { features, .. } = ear.hear(0, "在") else { unreachable!() };
    for n in 0..20_100 {
        tenant.told(&Command::Hear { inquiry_id: inquiry(n), features: features.clone() });
    }
    assert_eq!(tenant.state.conversations.len(), 20_000);
    assert!(tenant.state.conversations.get(&inquiry(99)).is_none(), "the oldest went first");
    assert!(tenant.state.conversations.get(&inquiry(100)).is_some());
    Intent::invariants(&tenant.state).unwrap();
}

#[test]
fn a_contact_or_link_leaves_no_trace_and_takes_no_words_with_it() {
    let ear = Ear::open();
    let same = [
        ("邮箱wang.wei@qq.com谢谢", "邮箱li_lei88@163.com谢谢"),
        ("看https://item.taobao.com/a?id=1&uid=wangwei这个多少钱", "看http://detail.1688.com/offer/22.html这个多少钱"),
        ("加我www.wangwei-parts.com吧", "加我www.x.cn吧"),
        ("mail wang@a.cn please", "mail someone.else@b.org please"),
        ("HTTPS://A.CN/wang 好", "https://b.cn/li 好"),
        ("(wang@a.cn)", "(li@b.org)"),
        ("王@例子.公司", "李@另一个.公司"),
    ];
    for (one, other) in same {
        assert_eq!(features(&ear.hear(1, one)), features(&ear.hear(1, other)), "{one} / {other}");
    }
    let apart = [
        ("邮箱wang.wei@qq.com谢谢", "邮箱wang.wei@qq.com退货"),
        ("看https://a.cn/b这个多少钱", "看https://a.cn/b漏油"),
    ];
    for (one, other) in apart {
        assert_ne!(features(&ear.hear(1, one)), features(&ear.hear(1, other)), "{one} / {other}");
    }
}

proptest! {
    #![proptest_config(common::cases(60))]

    #[test]
    fn digits_do_not_survive(
        parts in prop::collection::vec(("[a-z 泵订单，。-]{0,4}", "[0-9]{1,18}"), 1..6), end in "[a-z 泵订单号]{0,4}", seed: u64,
    ) {
        let ear = Ear::open();
        let text = |digit: &dyn Fn(usize, char) -> char| {
            let mut text = String::new();
            for (words, digits) in &parts {
                text.push_str(words);
                text.extend(digits.chars().enumerate().map(|(n, c)| digit(n, c)));
            }
            text + &end
        };
        let given = text(&|_, c| c);
        let other = text(&|n, _| char::from(b'0' + u8::try_from((seed >> (n % 60)) % 10).unwrap()));
        prop_assert_eq!(features(&ear.hear(1, &given)), features(&ear.hear(1, &other)), "{} / {}", given, other);
        // Full-width digits are digits.
        let wide = text(&|_, c| char::from_u32(u32::from(c) + 0xfee0).unwrap());
        prop_assert_eq!(features(&ear.hear(1, &given)), features(&ear.hear(1, &wide)), "{} / {}", given, wide);
    }

    #[test]
    fn no_text_ends_the_process(text in "\\PC{0,60}|.{0,60}", again in ".{0,30}") {
        let ear = Ear::open();
        let mut tenant = Tenant::default();
        tenant.teach(&ear, &EXAMPLES[..4]);
        tenant.told(&ear.hear(1, &text));
        tenant.told(&ear.hear(1, &again));
        tenant.teach(&ear, &[(&text, "price"), (&again, "order_lookup")]);
        prop_assert!(tenant.classify(&ear, &text).len() <= 3);
    }
}
