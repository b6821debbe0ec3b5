use proto::intake::stream_inquiries_request::Request;

use super::*;

const ORDER: &str = r#"{"fact":"order","id":"O1","customer":{"platform":"shop","id":"c1"},"amount":"1234.50","currency":"CNY","at":"2026-09-15T09:00:00+08:00"}"#;
const INQUIRY: &str = r#"{"fact":"inquiry","platform":"shop","id":"A1","desk":"domestic","customer":{"platform":"shop","id":"c1"},"messages":[{"text":"在吗"},{"text":"hello","direction":"agent","id":"m"}],"at":"2026-09-15T09:00:00+08:00"}"#;

fn request(line: &str, history: bool) -> Result<Request, String> {
    let request = parse(line)?.request("acme", "c".to_owned(), Timestamp::from_micros(7), history)?;
    Ok(request.request.expect("a request"))
}

fn with(line: &str, field: &str, value: &str) -> String {
    let mut fact: Value = serde_json::from_str(line).unwrap();
    fact[field] = serde_json::from_str(value).unwrap();
    fact.to_string()
}

#[test]
fn what_is_wrong_with_a_line_is_said_with_its_field() {
    let refused = [
        ("nonsense".to_owned(), "not a JSON object"),
        ("[1]".to_owned(), "not a JSON object"),
        ("{}".to_owned(), "fact: is missing"),
        (with(ORDER, "fact", "\"oder\""), "fact: \"oder\" is not one of customer, link"),
        (with(ORDER, "amont", "\"1\""), "amont: unknown field"),
        (with(ORDER, "amount", "12.5"), "amount: invalid type"),
        (with(ORDER, "amount", "\"12,5\""), "amount: \"12,5\" is not a decimal"),
        (with(ORDER, "amount", "\"12.505\""), "amount: 12.505 has more decimals than CNY has (2)"),
        (with(ORDER, "amount", "\"99999999999999999999\""), "amount: 99999999999999999999 is out of range"),
        (with(ORDER, "currency", "\"cny\""), "currency: "),
        (with(ORDER, "at", "\"yesterday\""), "at: \"yesterday\" is not an instant"),
        (with(ORDER, "customer", r#"{"platform":"shop","id":"c1","tel":"1"}"#), "customer.tel: unknown field"),
        (with(ORDER, "customer", r#"{"platform":"shop","id":3}"#), "customer.id: invalid type"),
        (with(ORDER, "customer", r#"{"platform":"shop"}"#), "missing field `id`"),
        (with(ORDER, "platform", "\"other\""), "platform: is \"other\""),
        (with(INQUIRY, "messages", "[]"), "messages: is empty"),
        (
            with(INQUIRY, "messages", r#"[{"text":"a"},{"text":"b","direction":"boss"}]"#),
            "messages[1].direction: unknown",
        ),
    ];
    for (line, expected) in refused {
        let error = request(&line, false).expect_err(&line);
        assert!(error.contains(expected), "{line}: {error}");
    }
}

#[test]
fn a_handler_is_for_history_only() {
    let order = with(ORDER, "handler", "\"E01\"");
    assert!(request(&order, false).unwrap_err().starts_with("handler: "));
    let Request::RecordOrder(recorded) = request(&order, true).unwrap() else { panic!("an order") };
    assert!(recorded.history && recorded.handler == "E01");

    let inquiry = with(INQUIRY, "handler", "\"E01\"");
    assert!(request(&inquiry, false).unwrap_err().starts_with("handler: "));
    assert!(request(INQUIRY, true).unwrap_err().starts_with("handler: is missing"));
    let Request::RecordHistoryInquiry(past) = request(&inquiry, true).unwrap() else { panic!("history") };
    assert_eq!((past.external_id.as_str(), past.handler.as_str()), ("A1", "E01"));
}

#[test]
fn an_inquiry_becomes_a_request_with_its_defaults_and_without_its_gold() {
    let Request::SubmitInquiry(sent) = request(&with(INQUIRY, "gold", "\"greeting\""), false).unwrap() else {
        panic!("an inquiry");
    };
    assert_eq!((sent.tenant.as_str(), sent.command_id.as_str()), ("acme", "c"));
    assert_eq!(sent.messages[0].external_id, "1");
    assert_eq!(sent.messages[1].external_id, "m");
    assert_eq!(sent.messages[0].occurred_at, sent.occurred_at);
    let directions: Vec<i32> = sent.messages.iter().map(|message| message.direction).collect();
    assert_eq!(directions, [1, 2]);
    assert!(!format!("{sent:?}").contains("greeting"));
}

#[test]
fn amounts_are_whole_minor_units_of_their_currency() {
    for (amount, currency, minor) in
        [("1234.50", "CNY", 123_450), ("7", "JPY", 7), ("1.500", "USD", 150), ("0", "USD", 0)]
    {
        let line = with(&with(ORDER, "amount", &format!("{amount:?}")), "currency", &format!("{currency:?}"));
        let Request::RecordOrder(order) = request(&line, false).unwrap() else { panic!("an order") };
        let sent = order.amount.unwrap();
        assert_eq!((sent.minor, sent.currency.as_str()), (minor, currency));
    }
}

#[test]
fn every_line_of_the_reference_is_read_and_written_again() {
    let lines: Vec<&str> = REFERENCE.lines().collect();
    let kind = |line: &&str| serde_json::from_str::<Value>(line).unwrap()["fact"].as_str().unwrap().to_owned();
    assert_eq!(lines.iter().map(kind).collect::<Vec<_>>(), KINDS, "the reference shows every kind once");
    for line in lines {
        let fact = parse(line).unwrap();
        assert_eq!(parse(&fact.to_string()).unwrap(), fact);
        assert_eq!(fact.at().as_micros() % 60_000_000, 0);
        assert!(request(line, false).is_ok(), "{line}");
    }
}
