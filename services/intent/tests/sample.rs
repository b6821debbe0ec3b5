//! The sample company's day, heard as its customers say it: how many conversations are understood.

mod common;

use std::collections::BTreeMap;

use common::{Ear, Tenant, example};
use intent::domain::{Command, Event};
use serde_json::Value;

/// What the recipe and its bar reach; a change that costs accuracy is seen here.
const RIGHT_PERCENT_MIN: usize = 78;

fn read(file: &str) -> String {
    let path = format!("{}/../../deploy/sample/{file}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn taught(ear: &Ear) -> Tenant {
    let file = read("labelled.tsv");
    let lines = file.lines().filter(|line| !line.starts_with('#'));
    let mut examples: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once('\t')).collect();
    // As `fenliu init` teaches a file: in the order of a hash, for files are sorted by label.
    examples.sort_by_cached_key(|(_, text)| *blake3::hash(text.as_bytes()).as_bytes());
    let lesson = examples.iter().map(|(label, text)| example(text, label, &ear.hear(0, text)));
    let mut tenant = Tenant::default();
    tenant.told(&Command::Teach(lesson.collect()));
    tenant
}

/// Conversations of the day by platform and id: what the customer says, in order, and the intent that it is.
fn conversations() -> Vec<(Vec<String>, String)> {
    let mut found: BTreeMap<(String, String), (Vec<String>, String)> = BTreeMap::new();
    let text = |value: &Value| value["text"].as_str().expect("a text").to_owned();
    let customers = |value: &&Value| value["direction"].as_str().is_none_or(|direction| direction == "customer");
    for line in read("day.jsonl").lines() {
        let fact: Value = serde_json::from_str(line).expect("JSON");
        let key = |id: &str| (fact["platform"].to_string(), fact[id].to_string());
        match fact["fact"].as_str() {
            Some("inquiry") => {
                let said = fact["messages"].as_array().expect("messages").iter().filter(customers).map(text);
                found.insert(key("id"), (said.collect(), fact["gold"].as_str().expect("gold").to_owned()));
            }
            Some("message") if customers(&&fact) => found.get_mut(&key("inquiry")).expect("known").0.push(text(&fact)),
            _ => {}
        }
    }
    found.into_values().collect()
}

#[test]
fn most_of_the_samples_conversations_are_understood() {
    let ear = Ear::open();
    let mut tenant = taught(&ear);
    let conversations = conversations();
    let mut right = 0;
    for (n, (said, gold)) in (1..).zip(&conversations) {
        let mut label = None;
        for text in said {
            for event in tenant.told(&ear.hear(n, text)) {
                if let Event::IntentClassified { scores, .. } = event {
                    label = Some(scores[0].label.clone());
                }
            }
        }
        right += usize::from(label.as_ref() == Some(gold));
    }
    let all = conversations.len();
    println!("{right} of {all} conversations are understood: {} %", 100 * right / all);
    assert!(all >= 600, "{all}");
    assert!(100 * right >= RIGHT_PERCENT_MIN * all, "{right} of {all}");
}
