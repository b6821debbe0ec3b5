//! The company file: whatever people write is read or refused with its place, and never ends the process.

mod common;

use common::TODAY;
use proptest::prelude::*;
use roster::domain::Shift;
use roster::file::{Definitions, parse};

fn refused(yaml: &str) -> String {
    parse(yaml, TODAY).map(|_| ()).expect_err(yaml).to_string()
}

fn position(kpis: &str) -> String {
    format!("positions: [{{code: p, name_zh: 甲, name_en: P, duties: [], capacity_units: 1, kpis: {{{kpis}}}}}]")
}

fn shift(from: &str, to: &str) -> String {
    format!(
        "employees: [{{code: E1, name: 李雷, desk: east, position: p, shifts: [{{days: [7], from: '{from}', to: '{to}'}}]}}]"
    )
}

fn shifts(definitions: &Definitions) -> Vec<(u32, u32, u32)> {
    let all = definitions.employees.iter().flat_map(|(_, shifts)| shifts);
    all.map(|Shift { weekday, start_minute, end_minute }| (*weekday, *start_minute, *end_minute)).collect()
}

#[test]
fn weights_sum_to_one_exactly() {
    assert!(parse(&position("a: '0.30', b: '0.70'"), TODAY).is_ok());
    assert!(refused(&position("a: '0.30', b: '0.7000000001'")).contains("not to 1"));
}

#[test]
fn no_weight_is_negative() {
    let error = refused(&position("a: '1.50', b: '-0.50'"));
    assert!(error.contains("position p: kpis.b: -0.50 is negative"), "{error}");
    assert!(parse(&position("a: '1', b: '0'"), TODAY).is_ok());
}

#[test]
fn a_code_fits_into_the_envelope_of_a_record() {
    let file = |list: &str, code: &str| match list {
        "desks" => format!("desks: [{{code: '{code}', name_zh: 甲, name_en: d, zone: UTC}}]"),
        "positions" => {
            format!("positions: [{{code: '{code}', name_zh: 甲, name_en: P, duties: [], capacity_units: 1}}]")
        }
        _ => format!("employees: [{{code: '{code}', name: 李雷, desk: d, position: p}}]"),
    };
    for list in ["desks", "positions", "employees"] {
        for fitting in ["a".repeat(64), "岗".repeat(21)] {
            assert!(parse(&file(list, &fitting), TODAY).is_ok(), "{list}: {fitting}");
        }
        for long in ["a".repeat(65), "岗".repeat(22), "岗".repeat(64)] {
            let error = refused(&file(list, &long));
            assert!(error.starts_with(list) && error.contains("64 bytes"), "{list}: {error}");
        }
    }
}

#[test]
fn weights_too_large_to_add_are_refused() {
    let most = "79228162514264337593543950335";
    let error = refused(&position(&format!("a: '{most}', b: '{most}'")));
    assert!(error.starts_with("position p"), "{error}");
}

#[test]
fn a_shift_past_midnight_is_two_entries() {
    assert_eq!(shifts(&parse(&shift("22:00", "06:30"), TODAY).unwrap()), [(1, 0, 390), (7, 1_320, 1_440)]);
    assert_eq!(shifts(&parse(&shift("08:00", "24:00"), TODAY).unwrap()), [(7, 480, 1_440)]);
    assert_eq!(shifts(&parse(&shift("00:00", "00:00"), TODAY).unwrap()), [(7, 0, 1_440)]);
}

#[test]
fn a_time_of_day_ends_with_the_day() {
    for wrong in ["24:01", "8", "08:60", "-1:00", "71582789:00", "4294967295:59", "99999999999:00", ":", "08:00:00"] {
        let error = refused(&shift(wrong, "12:00"));
        assert!(error.contains("employee E1"), "{wrong}: {error}");
    }
}

proptest! {
    #![proptest_config(common::cases(400))]

    #[test]
    fn no_value_of_a_field_ends_the_process(
        field in 0..9_usize,
        text in prop_oneof![".{0,20}", "[0-9]{0,31}", "-?[0-9]{1,12}[:.][0-9]{1,30}", "[0-9]{4}-[0-9]{2}-[0-9]{2}T00:00:00Z"],
    ) {
        let quoted = format!("'{}'", text.replace('\'', "''"));
        let yaml = [
            format!("effective_from: {quoted}"),
            format!("company: {{name: n, currency: {quoted}, zone: UTC, legal_entity: l}}"),
            format!("company: {{name: n, currency: CNY, zone: {quoted}, legal_entity: l}}"),
            format!("effective_from: {quoted}\ndesks: [{{code: d, name_zh: 甲, name_en: d, zone: Europe/Berlin}}]"),
            position(&format!("a: {quoted}")),
            position(&format!("a: {quoted}, b: '-1', c: {quoted}")),
            shift(&text.replace('\'', ""), "12:00"),
            format!("desks: [{{code: {quoted}, name_zh: 甲, name_en: d, zone: UTC}}]"),
            text,
        ];
        // Read or refused; a panic is the failure that is looked for.
        if let Err(error) = parse(&yaml[field], TODAY) {
            prop_assert!(!error.place.is_empty() && !error.what.is_empty());
        }
    }
}
