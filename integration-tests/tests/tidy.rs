//! The shape of the source tree: crate edges, files, lints, protos. What a reader may rely on everywhere.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::Value;

const SERVICES: [&str; 6] = ["intake", "roster", "intent", "assignment", "kpi", "payroll"];
const SHELL: [&str; 4] = ["kernel", "log", "proto", "runtime"];
/// Lines of one source file.
const LINES_MAX: usize = 700;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files under `dir` with one of these extensions, but for what builds and git make.
fn files(dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", ".git", "data", "node_modules"].contains(&name.as_str()) {
                found.extend(files(&path, extensions));
            }
        } else if path.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted)) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(PathBuf, String)> {
    let all = files(&root(), &["rs"]);
    assert!(all.len() > 100, "the tree is not where it was");
    all.into_iter()
        .map(|path| (path.strip_prefix(root()).unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect()
}

fn fail_on(problems: &[String]) {
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn metadata() -> Value {
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned()));
    cargo.args(["metadata", "--format-version", "1", "--no-deps", "--offline", "--manifest-path"]);
    let output = cargo.arg(root().join("Cargo.toml")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Our crates that `package` depends on; what only its tests need is left out.
fn edges(package: &Value, ours: &BTreeSet<String>) -> BTreeSet<String> {
    let dependencies = package["dependencies"].as_array().unwrap().iter();
    let kept =
        dependencies.filter(|dependency| dependency["kind"].as_str() != Some("dev") && dependency["path"].is_string());
    let names = kept.map(|dependency| dependency["name"].as_str().unwrap().to_owned());
    names.filter(|name| ours.contains(name)).collect()
}

#[test]
fn crates_depend_only_on_whom_they_may() {
    let metadata = metadata();
    let packages = metadata["packages"].as_array().unwrap();
    let name = |package: &Value| package["name"].as_str().unwrap().to_owned();
    let ours: BTreeSet<String> = packages.iter().map(name).collect();
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<String>>();
    let all = set(&[&SERVICES[..], &SHELL[..]].concat());
    let mut allowed: BTreeMap<&str, BTreeSet<String>> = BTreeMap::from([
        ("proto", set(&[])),
        ("kernel", set(&[])),
        ("log", set(&["kernel"])),
        ("runtime", set(&["kernel", "log", "proto"])),
        ("fenliu", all.clone()),
        ("integration-tests", &all | &set(&["fenliu"])),
    ]);
    for service in SERVICES {
        allowed.insert(service, set(&SHELL));
    }
    assert_eq!(ours, allowed.keys().map(|name| (*name).to_owned()).collect(), "crates of the workspace");
    let mut problems = Vec::new();
    for package in packages {
        let (name, found) = (name(package), edges(package, &ours));
        let extra: Vec<_> = found.difference(&allowed[name.as_str()]).collect();
        if !extra.is_empty() {
            problems.push(format!("{name} must not depend on {extra:?}"));
        }
        // Tests may not either: a service is proved alone.
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            if SERVICES.contains(&name.as_str()) && SERVICES.contains(&to) {
                problems.push(format!("{name} depends on {to}, another service"));
            }
        }
        if package["publish"] != serde_json::json!([]) {
            problems.push(format!("{name} could be published"));
        }
    }
    fail_on(&problems);
}

#[test]
fn every_service_has_the_same_files() {
    let mut problems = Vec::new();
    for service in SERVICES {
        let src = root().join("services").join(service).join("src");
        let mut wanted = vec!["codec.rs", "api.rs", "lib.rs"];
        let lib = std::fs::read_to_string(src.join("lib.rs")).unwrap();
        let reads = !lib.contains("const UPSTREAMS: &'static [Topic] = &[];");
        if reads {
            wanted.push("react.rs");
        }
        for file in wanted {
            if !src.join(file).is_file() {
                problems.push(format!("{service} has no {file}"));
            }
        }
        if !src.join("domain.rs").is_file() && !src.join("domain/mod.rs").is_file() {
            problems.push(format!("{service} has neither domain.rs nor domain/mod.rs"));
        }
        if !reads && src.join("react.rs").exists() {
            problems.push(format!("{service} reads nothing and has react.rs"));
        }
        // Proto events are seen by the codec and by reactions, Status by the door.
        for path in files(&src, &["rs"]) {
            let text = std::fs::read_to_string(&path).unwrap();
            let place = path.strip_prefix(root()).unwrap().display().to_string();
            let domain = place.contains("/domain");
            if domain && (text.contains("proto::") || text.contains("use tonic") || text.contains("use tokio")) {
                problems.push(format!("{place} is domain and sees the wire"));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn source_files_are_small_and_whole() {
    // Put together here, so that this file does not find itself.
    let banned = [
        concat!("#[", "ignore"),
        concat!("todo", "!("),
        concat!("unimplemented", "!("),
        concat!("FIX", "ME"),
        concat!("X", "XX"),
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
    ];
    let mut problems = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > LINES_MAX {
            problems.push(format!("{}: {lines} lines; {LINES_MAX} are allowed", path.display()));
        }
        for word in banned {
            if let Some(line) = text.lines().position(|line| line.contains(word)) {
                problems.push(format!("{}:{}: {word}", path.display(), line + 1));
            }
        }
    }
    let others = files(&root(), &["toml", "yaml", "yml", "md", "proto", "sh", "jsonl", "tsv"]);
    for path in others {
        let text = std::fs::read_to_string(&path).unwrap();
        for word in banned.iter().filter(|word| word.starts_with('/')) {
            if let Some(line) = text.lines().position(|line| line.contains(word)) {
                problems.push(format!("{}:{}: {word}", path.display(), line + 1));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn metrics_are_named_in_one_place() {
    let mut problems = Vec::new();
    let mut names = BTreeSet::new();
    let here = Path::new("integration-tests");
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with(here)) {
        let registry = path == Path::new("services/runtime/src/metrics.rs");
        if registry {
            let quoted = text.split('"').skip(1).step_by(2).filter(|text| text.contains('_') && !text.contains(' '));
            for name in quoted {
                let fine = name.starts_with("fenliu_") && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                if !fine {
                    problems.push(format!("metric {name:?} does not begin with fenliu_"));
                }
                if !names.insert(name.to_owned()) {
                    problems.push(format!("metric {name:?} is there twice"));
                }
            }
        } else if text.contains("prometheus::") || text.contains("use prometheus") {
            problems.push(format!("{} makes metrics of its own", path.display()));
        }
    }
    assert!(names.len() >= 6, "the registry of metrics is not where it was: {names:?}");
    fail_on(&problems);
}

#[test]
fn purity_is_enforced_by_lints() {
    let clippy = std::fs::read_to_string(root().join("clippy.toml")).unwrap();
    let mut problems = Vec::new();
    for ban in [
        "std::time::SystemTime::now",
        "std::time::Instant::now",
        "tokio::time::Instant::now",
        "jiff::Timestamp::now",
        "jiff::ZonedDateTime::now",
        "std::collections::HashMap",
        "std::collections::HashSet",
    ] {
        if !clippy.contains(&format!("path = \"{ban}\"")) {
            problems.push(format!("clippy.toml does not ban {ban}"));
        }
    }
    let cargo = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for lint in [
        "unsafe_code = \"forbid\"",
        "disallowed_methods = \"deny\"",
        "disallowed_types = \"deny\"",
        "float_arithmetic = \"deny\"",
        "unwrap_used = \"deny\"",
        "todo = \"deny\"",
        "unimplemented = \"deny\"",
        "allow_attributes_without_reason = \"deny\"",
    ] {
        if !cargo.contains(lint) {
            problems.push(format!("Cargo.toml does not say {lint}"));
        }
    }
    for path in files(&root(), &["toml"])
        .into_iter()
        .filter(|path| path.ends_with("Cargo.toml") && *path != root().join("Cargo.toml"))
    {
        let text = std::fs::read_to_string(&path).unwrap();
        if !text.contains("[lints]\nworkspace = true") {
            problems.push(format!("{} does not take the workspace's lints", path.display()));
        }
    }
    // The bans may be lifted in a few places only, each of which says why.
    let mut lifted = BTreeSet::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !path.starts_with("integration-tests")) {
        if text.contains(concat!("clippy::disallowed", "_")) {
            lifted.insert(path.display().to_string());
        }
    }
    let known = ["services/kernel/src/id_map.rs", "services/runtime/src/clock.rs"];
    let extra: Vec<_> =
        lifted.iter().filter(|path| !known.contains(&path.as_str()) && !path.contains("/tests/")).collect();
    if !extra.is_empty() {
        problems.push(format!("clocks and hash order are banned, and {extra:?} lift that"));
    }
    fail_on(&problems);
}

/// Schema numbers in the comments of a file of events.
fn numbers(text: &str) -> Vec<u32> {
    let comments = text.lines().filter_map(|line| line.trim().strip_prefix("// schema "));
    comments.map(|rest| rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()).collect()
}

#[test]
fn every_schema_number_names_one_event() {
    let mut problems = Vec::new();
    for service in SERVICES {
        let path = root().join("proto/fenliu").join(service).join("v1/events.proto");
        let mut found = numbers(&std::fs::read_to_string(path).unwrap());
        let count = u32::try_from(found.len()).unwrap();
        found.sort_unstable();
        if count == 0 || found != (1..=count).collect::<Vec<_>>() {
            problems.push(format!("{service}: schema numbers {found:?} are not 1 to {count}, each once"));
        }
    }
    fail_on(&problems);
}

fn pool() -> DescriptorPool {
    DescriptorPool::decode(proto::DESCRIPTORS).unwrap()
}

/// Whatever may stand in an event, the messages inside it too.
fn event_messages() -> Vec<MessageDescriptor> {
    let in_events = |message: &MessageDescriptor| {
        let file = message.parent_file().name().to_owned();
        file.ends_with("/events.proto") || file.ends_with("common/v1/common.proto")
    };
    let found: Vec<_> = pool().all_messages().filter(in_events).collect();
    assert!(found.len() > 60, "the contract is not where it was");
    found
}

#[test]
fn no_event_has_a_map_or_a_float() {
    let mut problems = Vec::new();
    for message in event_messages() {
        for field in message.fields() {
            let name = field.full_name().to_owned();
            if field.is_map() {
                problems.push(format!("{name} is a map: its order is nobody's"));
            }
            if matches!(field.kind(), Kind::Float | Kind::Double) {
                problems.push(format!("{name} is a float"));
            }
            if let Kind::Message(inner) = field.kind()
                && inner.package_name().starts_with("google.")
            {
                problems.push(format!("{name} is {}, whose meaning is not ours", inner.full_name()));
            }
        }
    }
    fail_on(&problems);
}

#[test]
fn fields_are_named_in_snake_case_and_enums_begin_unspecified() {
    let snake = |name: &str| {
        let plain = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        plain && !name.starts_with('_') && !name.ends_with('_') && !name.contains("__")
    };
    let ours = |name: &str| name.starts_with("fenliu.");
    let mut problems = Vec::new();
    for message in pool().all_messages().filter(|message| ours(message.full_name())) {
        let wrong = |field: &FieldDescriptor| !snake(field.name());
        problems.extend(message.fields().filter(wrong).map(|field| format!("{} is not snake_case", field.full_name())));
    }
    for known in pool().all_enums().filter(|known| ours(known.full_name())) {
        let zero = known.get_value(0).map(|value| value.name().to_owned()).unwrap_or_default();
        if !zero.ends_with("_UNSPECIFIED") {
            problems.push(format!("{}: zero is {zero:?}", known.full_name()));
        }
    }
    fail_on(&problems);
}

#[test]
fn a_mutating_request_begins_with_its_command() {
    let mut problems = Vec::new();
    for message in pool().all_messages().filter(|message| message.full_name().starts_with("fenliu.")) {
        let name = |number: u32| message.get_field(number).map(|field| field.name().to_owned()).unwrap_or_default();
        if message.get_field_by_name("command_id").is_some()
            && message.name().ends_with("Request")
            && [name(1), name(2), name(3)] != ["command_id", "issued_at", "tenant"]
        {
            problems.push(format!("{} does not begin with command_id, issued_at, tenant", message.full_name()));
        }
    }
    fail_on(&problems);
}
