//! The sample company: enough of everything, nothing copied, nobody's data, and its gold labels mean something.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use fenliu::commands::init::labels;
use fenliu::facts::{self, Fact};
use intent::evaluate;
use kernel::Timestamp;

/// Two texts that share more of their 3-grams than this are one text with swapped words.
const ALIKE_MAX: (u64, u64) = (6, 10);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/sample")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).unwrap()
}

fn lines(file: &str) -> Vec<Fact> {
    let text = read(file);
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(n, line)| facts::parse(line).unwrap_or_else(|error| panic!("{file}:{}: {error}", n + 1))).collect()
}

fn company() -> roster::file::Definitions {
    roster::file::parse(&read("company.yaml"), Timestamp::default()).unwrap()
}

fn examples() -> Vec<(String, String)> {
    labels(&read("labelled.tsv")).unwrap()
}

/// One conversation of the day: its gold intent and all that the customer said, in order.
struct Conversation {
    name: String,
    gold: String,
    text: String,
}

fn conversations() -> Vec<Conversation> {
    let mut all: BTreeMap<String, Conversation> = BTreeMap::new();
    for fact in lines("day.jsonl") {
        match fact {
            Fact::Inquiry(inquiry) => {
                let name = format!("{}:{}", inquiry.platform, inquiry.id);
                let texts: Vec<String> = inquiry.messages.into_iter().map(|message| message.text).collect();
                let conversation = Conversation { name: name.clone(), gold: inquiry.gold, text: texts.join("\n") };
                assert!(all.insert(name.clone(), conversation).is_none(), "{name} is there twice");
            }
            Fact::Message(message) => {
                let conversation = all.get_mut(&format!("{}:{}", message.platform, message.inquiry));
                let conversation = conversation.unwrap_or_else(|| panic!("a message before its inquiry: {message:?}"));
                conversation.text.push('\n');
                conversation.text.push_str(&message.text);
            }
            Fact::Customer(_) | Fact::Link(_) | Fact::Close(_) | Fact::Order(_) | Fact::Payment(_) => {}
            Fact::Refund(_) | Fact::Rating(_) | Fact::Cost(_) => {}
        }
    }
    all.into_values().collect()
}

#[test]
fn there_is_enough_of_everything() {
    let company = company();
    let conversations = conversations();
    let day = lines("day.jsonl");
    let count = |is: fn(&Fact) -> bool| day.iter().filter(|fact| is(fact)).count();
    let (orders, refunds, ratings) = (
        count(|fact| matches!(fact, Fact::Order(_))),
        count(|fact| matches!(fact, Fact::Refund(_))),
        count(|fact| matches!(fact, Fact::Rating(_))),
    );
    println!(
        "{} inquiries, {} examples, {} employees, {orders} orders, {refunds} refunds, {ratings} ratings",
        conversations.len(),
        examples().len(),
        company.employees.len()
    );
    assert!(conversations.len() >= 600);
    assert!(examples().len() >= 800);
    assert!(company.employees.len() >= 14);
    assert_eq!(company.desks.len(), 2);
    assert!(orders > 0 && refunds > 0 && ratings > 0);
    let several = conversations.iter().filter(|conversation| conversation.text.contains('\n')).count();
    assert!(several * 5 > conversations.len(), "people write several messages; here {several} do");
    let english = conversations.iter().filter(|conversation| conversation.text.is_ascii()).count();
    assert!(english * 5 > conversations.len() && english * 5 < conversations.len() * 4, "{english} are in English");
    for (name, part) in [
        ("shifts", company.employees.iter().filter(|(_, shifts)| !shifts.is_empty()).count()),
        ("skills", company.employees.iter().filter(|(employee, _)| !employee.skills.is_empty()).count()),
    ] {
        assert!(part >= 14, "only {part} employees have {name}");
    }
}

#[test]
fn everything_that_is_named_exists() {
    let company = company();
    let desks: BTreeSet<&str> = company.desks.iter().map(|desk| desk.code.as_str()).collect();
    let people: BTreeSet<&str> = company.employees.iter().map(|(employee, _)| employee.code.as_str()).collect();
    let skills = company.employees.iter().flat_map(|(employee, _)| employee.skills.keys());
    let skills: BTreeSet<&str> = skills.map(String::as_str).chain([""]).collect();
    let mut intents: BTreeSet<&str> =
        company.positions.iter().flat_map(|position| position.duties.iter().map(String::as_str)).collect();
    intents.insert("out_of_scope");
    for (label, text) in &examples() {
        assert!(intents.contains(label.as_str()), "{label} of {text:?} is nobody's duty");
    }
    let (mut inquiries, mut orders) = (BTreeSet::new(), BTreeSet::new());
    let mut check = |fact: &Fact, history: bool| match fact {
        Fact::Inquiry(inquiry) => {
            assert!(desks.contains(inquiry.desk.as_str()), "{fact}");
            assert!(skills.contains(inquiry.category.as_str()), "nobody has the skill of {fact}");
            assert_eq!(history, people.contains(inquiry.handler.as_str()), "handler of {fact}");
            assert!(history || intents.contains(inquiry.gold.as_str()), "gold of {fact}");
            assert!(inquiries.insert((inquiry.platform.clone(), inquiry.id.clone())), "twice: {fact}");
        }
        Fact::Order(order) => {
            assert!(order.handler.is_empty() || people.contains(order.handler.as_str()), "handler of {fact}");
            let platform = order.customer.platform.clone();
            assert!(orders.insert((platform, order.id.clone())), "twice: {fact}");
        }
        Fact::Message(message) => {
            assert!(inquiries.contains(&(message.platform.clone(), message.inquiry.clone())), "{fact}")
        }
        Fact::Close(close) => assert!(inquiries.contains(&(close.platform.clone(), close.inquiry.clone())), "{fact}"),
        Fact::Rating(rating) => {
            assert!(inquiries.contains(&(rating.platform.clone(), rating.inquiry.clone())), "{fact}")
        }
        Fact::Payment(money) | Fact::Refund(money) => {
            assert!(orders.contains(&(money.platform.clone(), money.order.clone())), "{fact}");
        }
        Fact::Cost(cost) => assert!(cost.desk.is_empty() || desks.contains(cost.desk.as_str()), "{fact}"),
        Fact::Customer(_) | Fact::Link(_) => {}
    };
    lines("history.jsonl").iter().for_each(|fact| check(fact, true));
    let mut day = lines("day.jsonl");
    day.sort_by_key(Fact::at);
    day.iter().for_each(|fact| check(fact, false));
}

/// The 3-grams of characters of a text in lower case.
fn grams(text: &str) -> BTreeSet<[char; 3]> {
    let characters: Vec<char> = text.to_lowercase().chars().collect();
    characters.windows(3).map(|three| [three[0], three[1], three[2]]).collect()
}

/// Every pair of texts, the first of them among the first `day`, that are more alike than is allowed.
fn alike<'t>(texts: &[(&'t str, &str)], day: usize) -> Vec<(&'t str, &'t str, u64)> {
    let grams: Vec<BTreeSet<[char; 3]>> = texts.iter().map(|(_, text)| grams(text)).collect();
    let mut index: BTreeMap<[char; 3], Vec<usize>> = BTreeMap::new();
    let mut found = Vec::new();
    for (n, mine) in grams.iter().enumerate() {
        let mut shared: BTreeMap<usize, u64> = BTreeMap::new();
        for gram in mine {
            let with = index.entry(*gram).or_default();
            for other in with.iter() {
                *shared.entry(*other).or_default() += 1;
            }
            // Examples are compared with the day only, not among each other.
            if n < day {
                with.push(n);
            }
        }
        for (other, both) in shared {
            let either = (mine.len() + grams[other].len()) as u64 - both;
            if both * ALIKE_MAX.1 > either * ALIKE_MAX.0 {
                found.push((texts[n].0, texts[other].0, both * 100 / either));
            }
        }
    }
    found
}

#[test]
fn no_two_texts_are_one_with_swapped_words() {
    let (conversations, examples) = (conversations(), examples());
    let day = conversations.iter().map(|conversation| (conversation.name.as_str(), conversation.text.as_str()));
    let labelled = examples.iter().map(|(_, text)| (text.as_str(), text.as_str()));
    let texts: Vec<(&str, &str)> = day.chain(labelled).collect();
    let found = alike(&texts, conversations.len());
    assert!(found.is_empty(), "{} pairs are too much alike: {found:#?}", found.len());
    // The measure sees what it is for.
    let swapped = [("a", "我想买三个PC200的主泵 多少钱一个"), ("b", "我想买五个PC200的主泵 多少钱一个")];
    assert_eq!(alike(&swapped, 2).len(), 1);
    assert_eq!(alike(&swapped, 1).len(), 1, "an example is compared with the day");
}

#[test]
fn nobody_can_be_called_or_found() {
    let mut found = Vec::new();
    for file in ["day.jsonl", "history.jsonl", "labelled.tsv", "company.yaml"] {
        for (n, line) in read(file).lines().enumerate() {
            let mut digits = 0;
            for character in line.chars().chain([' ']) {
                if character.is_ascii_digit() {
                    digits += 1;
                    continue;
                }
                if digits == 11 || digits == 15 || digits == 18 {
                    found.push(format!("{file}:{}: a number of {digits} digits", n + 1));
                }
                digits = 0;
            }
            if line.contains('@') && line.contains(".com") {
                found.push(format!("{file}:{}: an address of mail", n + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_gold_labels_can_be_found() {
    let test: Vec<(String, String)> =
        conversations().into_iter().map(|conversation| (conversation.gold, conversation.text)).collect();
    let found = evaluate::evaluate(&examples(), &test);
    println!("accuracy on whole conversations: {} of {} ({} ppm)", found.right, found.test, found.accuracy_ppm);
    for (label, (all, right)) in &found.labels {
        println!("  {label}: {right} of {all}");
    }
    // A floor far below what it reaches: a broken classifier, or labels at random, do not.
    assert!(found.accuracy_ppm >= 600_000);
}
