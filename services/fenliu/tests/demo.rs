//! The sample day, as a process: killed on the way, played to its end, and proved.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod support;

use std::io::Read;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::Folder;

const DEADLINE: Duration = Duration::from_secs(600);

const DEMO: [&str; 6] = ["demo", "--exit", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0"];

/// Records in the log so far; 0 while there is no log yet.
fn records(folder: &Folder) -> u64 {
    let run = folder.fenliu(&["log", "stat", "--json"]);
    let value: Value = serde_json::from_str(&run.stdout).unwrap_or_default();
    value["topics"].as_array().into_iter().flatten().map(|topic| topic["records"].as_u64().unwrap_or(0)).sum()
}

/// Starts the day and kills it with SIGKILL once the log has `enough` records.
fn killed_at(folder: &Folder, enough: u64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fenliu"));
    command.arg("--data").arg(folder.path()).args(DEMO).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let begun = runtime::monotonic();
    while records(folder) < enough {
        if let Some(status) = child.try_wait().unwrap() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("the day ended before the kill: {status}: {said}");
        }
        assert!(runtime::monotonic() - begun < DEADLINE, "the day does not go on");
        std::thread::sleep(Duration::from_millis(100));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The rows of a table in EXPECTED.md under a heading: cells of each line.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let from = text.find(heading).unwrap_or_else(|| panic!("no heading {heading:?} in EXPECTED.md"));
    let lines = text[from..].lines().skip(1).skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn money(value: &Value) -> String {
    let (minor, exponent) = (value["minor"].as_i64().unwrap(), value["exponent"].as_u64().unwrap());
    kernel::Decimal::new(minor, u32::try_from(exponent).unwrap()).to_string()
}

#[test]
fn a_sample_day_that_is_killed_goes_on_and_ends_as_expected() {
    let folder = Folder::new();
    killed_at(&folder, 6_000);
    killed_at(&folder, 15_000);
    let summary = folder.json(&DEMO);
    let count = |name: &str| summary[name].as_u64().unwrap_or_else(|| panic!("no {name} in {summary}"));
    assert_eq!(count("inquiries"), 644);
    assert_eq!(count("assigned"), 644);
    assert_eq!(count("open"), 0);
    assert_eq!(count("completed") + count("cancelled"), 644);
    assert_eq!(count("orders"), 131);
    assert!(count("payouts") > 0);
    assert!(summary["intent_accuracy"].as_f64().unwrap() > 0.7, "{summary}");

    // Played again it is the same day: nothing is loaded twice.
    let before = records(&folder);
    let mut again = folder.json(&DEMO);
    let mut first = summary.clone();
    for value in [&mut again, &mut first] {
        value.as_object_mut().unwrap().remove("milliseconds");
    }
    assert_eq!(again, first);
    assert_eq!(records(&folder), before, "a day that was played writes nothing more");

    let verified = folder.json(&["verify"]);
    assert_eq!(verified["ok"], true, "{verified}");
    for service in ["intake", "roster", "intent", "assignment", "kpi", "payroll"] {
        let found = &verified["services"][service];
        assert!(
            found["events"].as_u64().unwrap() > 0 && found["redecided"].as_u64().unwrap() > 0,
            "{service}: {found}"
        );
        assert_eq!((&found["equal"], &found["differences"]), (&true.into(), &0.into()), "{service}: {found}");
    }
    folder.fenliu(&["log", "verify"]).ok();
    as_worked_by_hand(&folder);
}

/// The statement of one employee, against deploy/sample/EXPECTED.md.
fn as_worked_by_hand(folder: &Folder) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sample/EXPECTED.md");
    let expected = std::fs::read_to_string(path).unwrap();
    let employee = expected.lines().find_map(|line| line.strip_prefix("Employee: ")).unwrap().trim().to_owned();
    let period = expected.lines().find_map(|line| line.strip_prefix("Period: ")).unwrap().trim().to_owned();
    let up = folder.up();
    let statement = folder.json(&["statement", &employee, &period]);
    drop(up);

    let lines = statement["lines"].as_array().unwrap();
    let found: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            vec![text("component"), text("basis_value"), text("exact"), money(&line["amount"])]
        })
        .collect();
    assert_eq!(found, table(&expected, "## Earnings"), "component, basis, exact, amount");
    let segments: Vec<Vec<String>> = lines
        .iter()
        .flat_map(|line| {
            let component = line["component"].as_str().unwrap();
            line["segments"].as_array().unwrap().iter().map(move |segment| {
                let text = |name: &str| segment[name].as_str().unwrap().to_owned();
                vec![component.to_owned(), text("lo"), text("hi"), text("amount"), text("rate"), text("earned")]
            })
        })
        .collect();
    assert_eq!(segments, table(&expected, "## Segments"), "component, lo, hi, amount, rate, earned");
    let total = expected.lines().find_map(|line| line.strip_prefix("Total: ")).unwrap().trim();
    assert_eq!(format!("{} {}", money(&statement["total"]), statement["total"]["currency"].as_str().unwrap()), total);
    // The credits behind the first line are the orders and refunds that were worked by hand.
    let credits = table(&expected, "## Credits");
    let net_sales = lines.iter().find(|line| line["component"] == "net-sales").unwrap();
    assert_eq!(net_sales["credit_ids"].as_array().unwrap().len(), credits.len());
}

#[test]
fn virtual_time_never_touches_a_company_of_ones_own() {
    let folder = Folder::new();
    let files = tempfile::tempdir().unwrap();
    let company = files.path().join("mine.yaml");
    let yaml = "company: {code: mine, name: Mine, currency: CNY, zone: Asia/Shanghai, legal_entity: mine}\n";
    std::fs::write(&company, yaml).unwrap();
    let up = folder.up();
    folder.fenliu(&["init", "--company", company.to_str().unwrap()]).ok();
    assert_eq!(up.terminate(), Some(0));
    let before = records(&folder);
    let run = folder.fenliu(&DEMO);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(run.stderr.contains("holds mine") && run.stderr.contains("--data"), "{run:?}");
    assert_eq!(records(&folder), before);
}
