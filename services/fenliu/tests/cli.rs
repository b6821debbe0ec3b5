//! The command line, typed: every command against a Fenliu that runs on a folder of its own.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::collections::BTreeSet;

use serde_json::Value;
use support::{Folder, Running, fenliu};

/// Every command, and what its help must name.
const COMMANDS: &[(&[&str], &[&str])] = &[
    (&["up"], &["--grpc", "--http", "--no-reflection", "--partitions"]),
    (&["demo"], &["--sample", "--exit", "--grpc", "--http"]),
    (&["init"], &["--company", "--plan", "--labels", "--tenant", "--dry-run"]),
    (&["ingest"], &["<FILE>", "--history", "--mapping", "--tenant", "\"fact\":\"inquiry\""]),
    (&["submit"], &["--desk", "--customer", "PLATFORM:ID", "<TEXT>", "--tenant"]),
    (&["accept"], &["<INQUIRY>", "--tenant"]),
    (&["reject"], &["<INQUIRY>", "--reason", "--tenant"]),
    (&["complete"], &["<INQUIRY>", "--disposition", "--tenant"]),
    (&["transfer"], &["<INQUIRY>", "--to", "--intent", "--reason", "--tenant"]),
    (&["presence"], &["<EMPLOYEE>", "available", "paused", "offline"]),
    (&["desk"], &["<DESK>", "--tenant"]),
    (&["inquiry"], &["<INQUIRY>", "--tenant"]),
    (&["watch"], &["offers", "assignments"]),
    (&["watch", "offers"], &["<EMPLOYEE>", "--from"]),
    (&["watch", "assignments"], &["--from"]),
    (&["classify"], &["<TEXT>", "--tenant"]),
    (&["teach"], &["<LABEL>", "<TEXT>", "--tenant"]),
    (&["kpi"], &["--from", "--to", "--employee", "--desk"]),
    (&["statement"], &["<EMPLOYEE>", "<PERIOD>"]),
    (&["payouts"], &["[PERIOD]"]),
    (&["close-period"], &["<PERIOD>"]),
    (&["approve"], &["<PERIOD>"]),
    (&["company"], &["--at"]),
    (&["import"], &["<FILE>", "--dry-run"]),
    (&["explain"], &["<INQUIRY|PAYOUT>", "--tenant"]),
    (&["verify"], &["--data", "--json"]),
    (&["log"], &["stat", "dump", "verify"]),
    (&["log", "stat"], &["--data"]),
    (&["log", "dump"], &["--topic", "--tenant", "--from", "--limit"]),
    (&["log", "verify"], &["--data"]),
    (&["parked"], &["list", "release"]),
    (&["parked", "list"], &["--address"]),
    (&["parked", "release"], &["--service", "--tenant-id", "--entity"]),
    (&["bench"], &["<NAME>"]),
];

#[test]
fn the_help_of_every_command_names_its_arguments() {
    let top = fenliu(&["--help"]).ok();
    let listed: BTreeSet<&str> = top
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let tested: BTreeSet<&str> = COMMANDS.iter().map(|(path, _)| path[0]).collect();
    assert_eq!(listed, tested, "a command is not in this test, or is gone");
    for (path, names) in COMMANDS {
        let help = fenliu(&[path, &["--help"][..]].concat()).ok();
        for name in names.iter().chain(&["--json"]) {
            assert!(help.contains(name), "{path:?} does not name {name}:\n{help}");
        }
    }
}

#[test]
fn wrong_usage_exits_with_2_and_says_what_is_wrong() {
    let wrong: [(&[&str], &str); 8] = [
        (&[], "Usage"),
        (&["fly"], "fly"),
        (&["ingest"], "<FILE>"),
        (&["presence", "E01", "asleep"], "asleep"),
        (&["submit", "--desk", "d", "--customer", "shop", "hello"], "PLATFORM:ID"),
        (&["kpi", "--from", "yesterday"], "2026-09-15"),
        (&["log", "dump", "--topic", "nothing"], "fenliu.intake.v1"),
        (&["explain", "what"], "shop:A001"),
    ];
    for (arguments, expected) in wrong {
        let run = fenliu(arguments);
        assert_eq!(run.code, 2, "{arguments:?}: {run:?}");
        assert!(run.stderr.contains(expected), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, "", "{arguments:?}");
    }
}

#[test]
fn without_a_fenliu_a_command_fails_with_1_and_says_what_to_do() {
    let folder = Folder::new();
    for command in [&["desk", "domestic", "--tenant", "acme"][..], &["parked", "list"], &["watch", "assignments"]] {
        let run = folder.fenliu(command);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{command:?}: {run:?}");
        assert!(run.stderr.contains("fenliu up --data"), "{command:?}: {run:?}");
    }
    for command in [&["verify"][..], &["log", "verify"], &["log", "stat"], &["explain", "shop:A1"]] {
        let run = folder.fenliu(command);
        assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{command:?}: {run:?}");
        assert!(run.stderr.contains("there is no log in"), "{command:?}: {run:?}");
    }
    let started = Running::start().stop();
    let run = started.fenliu(&["verify"]);
    assert_eq!(run.code, 1, "a log without events proves nothing: {run:?}");
    // An address that a killed one left behind is no Fenliu.
    std::fs::write(folder.path().join("address.json"), r#"{"grpc":"127.0.0.1:1","http":"127.0.0.1:1","pid":1}"#)
        .unwrap();
    let run = folder.fenliu(&["parked"]);
    assert_eq!(run.code, 1);
    assert!(run.stderr.contains("no Fenliu runs on"), "{run:?}");
}

#[test]
fn a_company_is_made_once() {
    let running = Running::start();
    let first = running.init();
    assert_eq!(first["tenant"], "acme");
    assert!(first["changes"].as_array().unwrap().len() >= 4, "{first}");
    assert_eq!((&first["taught"], &first["plans"][0]), (&Value::from(6), &Value::from("sales v1")));
    let again = running.init();
    assert_eq!(again["changes"], Value::Array(Vec::new()));
    assert_eq!((&again["examples"], &again["taught"]), (&Value::from(6), &Value::from(0)));

    let dry = running.json(&["import", &running.file("company.yaml", &support::company(36)), "--dry-run"]);
    assert_eq!(dry["changes"].as_array().unwrap().len(), 1, "{dry}");
    let company = running.json(&["company"]);
    assert_eq!(company["employees"][0]["experience_months"], 24);
    let refused = running.fenliu(&["import", &running.file("bad.yaml", "company: {code: acme}")]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("INVALID_FIELD") && refused.stderr.contains("missing field"), "{refused:?}");
    running.stop();
}

#[test]
fn refused_lines_are_named_with_their_field_and_the_rest_is_admitted() {
    let running = Running::start();
    running.init();
    let file = running.file(
        "facts.jsonl",
        &[
            r#"{"fact":"inquiry","platform":"shop","id":"A1","desk":"domestic","customer":{"platform":"shop","id":"c1"},"messages":[{"text":"hello"}],"at":"2026-09-15T00:30:00Z"}"#,
            "",
            r#"{"fact":"inquiry","platform":"shop","id":"A2","desk":"nowhere","customer":{"platform":"shop","id":"c1"},"messages":[{"text":"hello"}],"at":"2026-09-15T00:30:00Z"}"#,
            "nonsense",
            r#"{"fact":"order","id":"O1","customer":{"platform":"shop","id":"c1"},"amount":"1","currency":"CNY","at":"2026-09-15T00:30:00Z","seller":"E01"}"#,
            r#"{"fact":"order","id":"O1","customer":{"platform":"shop","id":"c1"},"amount":"1","currency":"CNY","at":"2026-09-15T00:30:00Z","handler":"E01"}"#,
            r#"{"fact":"rating","platform":"shop","inquiry":"A1","id":"S1","score":9,"at":"2026-09-15T00:30:00Z"}"#,
        ]
        .join("\n"),
    );
    let run = running.fenliu(&["ingest", &file, "--json"]);
    assert_eq!(run.code, 1, "{run:?}");
    let summary: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&summary["sent"], &summary["admitted"]), (&Value::from(3), &Value::from(1)), "{summary}");
    assert_eq!((&summary["refused"], &summary["invalid"]), (&Value::from(5), &Value::from(3)), "{summary}");
    let mut refusals: Vec<(u64, &str, &str)> = summary["refusals"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| (r["line"].as_u64().unwrap(), r["reason"].as_str().unwrap(), r["field"].as_str().unwrap()))
        .collect();
    refusals.sort_unstable();
    let expected = [
        (3, "DESK_UNKNOWN", ""),
        (4, "INVALID_LINE", ""),
        (5, "INVALID_LINE", "seller"),
        (6, "INVALID_LINE", "handler"),
        (7, "INVALID_FIELD", "score"),
    ];
    assert_eq!(refusals, expected);
    running.stop();
}

#[test]
fn a_file_that_is_ingested_twice_changes_nothing() {
    let running = Running::start();
    running.init();
    let facts: Vec<String> = (0..600)
        .map(|n| {
            format!(
                r#"{{"fact":"order","id":"O{n}","customer":{{"platform":"shop","id":"c{}"}},"amount":"{n}.50","currency":"CNY","at":"2026-09-01T00:00:00Z","handler":"E01"}}"#,
                n % 7
            )
        })
        .collect();
    let file = running.file("facts.jsonl", &facts.join("\n"));
    let events = |what: &str| {
        running.settle();
        let report = running.json(&["verify"]);
        assert_eq!((&report["ok"], &report["live"]), (&Value::Bool(true), &Value::Bool(true)), "{what}: {report}");
        ["intake", "assignment", "kpi", "payroll"]
            .map(|service| report["services"][service]["events"].as_u64().unwrap())
    };
    let empty = events("before");
    let first = running.json(&["ingest", &file, "--history"]);
    assert_eq!((&first["admitted"], &first["refused"]), (&Value::from(600), &Value::from(0)));
    let once = events("once");
    assert_eq!(once[0], empty[0] + 607, "an order each, and seven customers");
    let again = running.json(&["ingest", &file, "--history"]);
    assert_eq!(again["admitted"], 600);
    assert_eq!(events("twice"), once);

    // A file of another system, by its mapping.
    let lines =
        " customer_id date number_of_cds dollar_value\r\n 00001 19970101 1 11.77\r\n 00001 19970102 2 12.00\r\n";
    let mapping = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/mappings/cdnow.yaml");
    let mapped = running.json(&["ingest", &running.file("cdnow.txt", lines), "--history", "--mapping", mapping]);
    assert_eq!(mapped["admitted"], 2, "{mapped}");
    assert_eq!(events("mapped")[0], once[0] + 3, "two orders of one customer");
    running.stop();
}

#[test]
fn an_inquiry_is_explained_from_its_submission_to_its_payout() {
    let running = Running::start();
    running.init();
    running.json(&["presence", "E01", "available"]);
    let submitted =
        running.json(&["submit", "--desk", "domestic", "--customer", "shop:c1", "--id", "A1", "多少钱一个?"]);
    let inquiry_id = submitted["inquiry_id"].as_str().unwrap();
    assert_eq!(submitted["reception"]["state"], "reserved", "{submitted}");
    assert_eq!(submitted["reception"]["employee"], "E01");
    running.json(&["accept", "shop:A1"]);
    let desk = running.json(&["desk", "domestic"]);
    assert_eq!((&desk["assigned"], &desk["agents"][0]["held_units"]), (&Value::from(1), &Value::from(100)), "{desk}");
    running.advance_minutes(5);
    running.json(&["complete", inquiry_id, "--disposition", "price_quote"]);
    assert_eq!(running.fenliu(&["complete", inquiry_id]).code, 1, "a completed inquiry is refused");
    running.advance_minutes(1);
    let order = r#"{"fact":"order","id":"O1","customer":{"platform":"shop","id":"c1"},"amount":"1000.00","currency":"CNY","at":"2026-09-15T01:05:00Z"}"#;
    running.json(&["ingest", &running.file("order.jsonl", order)]);
    running.advance_minutes(31 * 24 * 60);
    let kpi = running.json(&["kpi", "--from", "2026-09-01", "--to", "2026-10-01", "--employee", "E01"]);
    assert_eq!(kpi["employees"][0]["orders"], 1, "{kpi}");
    let closed = running.json(&["close-period", "2026-09"]);
    assert_eq!(closed["payouts"], 1, "{closed}");
    running.json(&["approve", "2026-09"]);
    let payouts = running.json(&["payouts", "2026-09"]);
    let payout = &payouts["payouts"][0];
    assert_eq!(
        (&payout["amount"]["minor"], &payout["state"]),
        (&Value::from(1000), &Value::from("PAYOUT_STATE_ISSUED"))
    );

    let explained = running.json(&["explain", "shop:A1"]);
    let events: Vec<&str> =
        explained["steps"].as_array().unwrap().iter().map(|step| step["event"].as_str().unwrap()).collect();
    let chain = [
        "InquirySubmitted",
        "IntentClassified",
        "ReservationMade",
        "ReservationAccepted",
        "ContactNoted",
        "InquiryCompleted",
        "OrderRecorded",
        "CreditGranted",
        "CreditNoted",
        "EarningAccrued",
        "PayoutChanged",
    ];
    let mut rest = events.iter();
    for event in chain {
        assert!(rest.any(|found| *found == event), "{event} is missing, or not in its place: {events:?}");
    }
    let made = explained["steps"].as_array().unwrap().iter().find(|step| step["event"] == "ReservationMade").unwrap();
    assert_eq!(made["decision"]["equal"], true);
    assert_eq!(made["decision"]["candidates"][0]["employee"], "E01");
    assert_eq!(made["decision"]["candidates"][0]["chosen"], true);
    assert_eq!(running.json(&["explain", inquiry_id])["steps"], explained["steps"], "by id as by the platform's own");

    let payout_id = payout["payout_id"].as_str().unwrap();
    let explained = running.json(&["explain", payout_id]);
    assert_eq!(explained["kind"], "payout");
    let checks = explained["checks"].as_array().unwrap();
    assert!(checks.len() >= 3 && checks.iter().all(|check| check["holds"] == true), "{checks:?}");
    let credit = explained["steps"].as_array().unwrap().iter().find(|step| step["event"] == "CreditNoted").unwrap();
    let behind: Vec<&str> = credit["because"][0]["because"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| step["event"].as_str().unwrap())
        .collect();
    assert_eq!(behind, ["OrderRecorded", "InquirySubmitted", "ReservationAccepted"]);
    let text = running.fenliu(&["explain", payout_id]).ok();
    assert!(text.contains("issued: 10.00 CNY to E01 for 2026-09"), "{text}");

    let live = running.json(&["verify"]);
    assert_eq!((&live["ok"], &live["live"]), (&Value::Bool(true), &Value::Bool(true)), "{live}");
    let folder = running.stop();
    let report = folder.json(&["verify"]);
    assert_eq!((&report["ok"], &report["live"]), (&Value::Bool(true), &Value::Bool(false)), "{report}");
    for service in ["intake", "roster", "intent", "assignment", "kpi", "payroll"] {
        let found = &report["services"][service];
        assert!(found["events"].as_u64() > Some(0) && found["redecided"].as_u64() > Some(0), "{service}: {found}");
        assert_eq!((&found["equal"], &found["differences"]), (&Value::Bool(true), &Value::from(0)), "{service}");
        assert_eq!(found["digest"], live["services"][service]["digest"], "{service}");
    }
    let explained = folder.json(&["explain", "shop:A1"]);
    assert_eq!(explained["id"].as_str().unwrap().len(), 32, "explain works without a running Fenliu");
    log_commands(&folder);
}

/// `log …` on a folder with a company, an inquiry and a payout.
fn log_commands(folder: &Folder) {
    let stat = folder.json(&["log", "stat"]);
    let records: u64 = stat["topics"].as_array().unwrap().iter().map(|topic| topic["records"].as_u64().unwrap()).sum();
    let verified = folder.json(&["log", "verify"]);
    assert_eq!((verified["records"].as_u64(), &verified["damage"]), (Some(records), &Value::Null));
    let dumped = folder.fenliu(&["log", "dump"]).ok();
    assert_eq!(dumped.lines().count() as u64, records);
    for line in dumped.lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        assert!(record["event"].is_string() && record["payload"].is_object(), "{line}");
    }
    let payouts =
        folder.fenliu(&["log", "dump", "--topic", "payout", "--tenant", "acme", "--from", "1", "--limit", "1"]).ok();
    let payout: Value = serde_json::from_str(&payouts).unwrap();
    assert_eq!((&payout["seq"], &payout["event"]), (&Value::from(1), &Value::from("PayoutChanged")));
    assert_eq!(folder.fenliu(&["log", "dump", "--tenant", "nobody"]).ok(), "");
}

#[test]
fn a_damaged_log_is_reported_and_fails() {
    let running = Running::start();
    running.init();
    let folder = running.stop();
    let segment = support::first_segment(folder.path());
    let mut bytes = std::fs::read(&segment).unwrap();
    let at = bytes.iter().position(|byte| *byte != 0).unwrap() + 200;
    bytes[at] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    for command in [&["verify", "--json"][..], &["log", "verify", "--json"]] {
        let run = folder.fenliu(command);
        assert_eq!(run.code, 1, "{command:?}: {run:?}");
        let report: Value = serde_json::from_str(&run.stdout).unwrap();
        let damage = if command[0] == "verify" { &report["log"]["damage"] } else { &report["damage"] };
        assert!(damage.as_str().is_some_and(|damage| damage.contains("at byte")), "{report}");
    }
}

#[test]
fn up_serves_until_it_is_told_to_stop() {
    let folder = Folder::new();
    let up = folder.up();
    let address = folder.path().join("address.json");
    assert!(address.exists());
    assert_eq!(folder.fenliu(&["parked"]).ok(), "nothing is parked\n");
    let second = folder.fenliu(&["up", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("in use by another Fenliu"), "{second:?}");
    let status = up.terminate();
    assert_eq!(status, Some(0));
    assert!(!address.exists(), "a clean stop takes its address with it");

    let open = folder.fenliu(&["up", "--grpc", "0.0.0.0:0", "--http", "127.0.0.1:0"]);
    assert_eq!(open.code, 1);
    assert!(open.stderr.contains("loopback"), "{open:?}");
}
