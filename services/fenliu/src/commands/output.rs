//! What a person or a script reads: one JSON object with `--json`, aligned text without. Nothing else goes to standard
//! output.

use std::fmt::{Display, Write as _};
use std::io::{ErrorKind, Write};

use serde_json::Value;

/// Writes one line to standard output. When its reader has gone away (`fenliu log dump | head`) there is nothing left
/// to do, and the process ends quietly.
pub fn line(text: impl Display) {
    let written = writeln!(std::io::stdout().lock(), "{text}");
    if let Err(error) = written {
        if error.kind() != ErrorKind::BrokenPipe {
            eprintln!("fenliu: write to standard output: {error}");
        }
        std::process::exit(i32::from(error.kind() != ErrorKind::BrokenPipe));
    }
}

/// Shows a result: as JSON on one line, or as the text that `text` makes of it.
pub fn show(json: bool, value: &Value, text: impl FnOnce(&Value) -> String) {
    if json {
        line(value);
    } else {
        line(text(value).trim_end());
    }
}

/// Columns a text takes on a terminal: Chinese characters and full-width signs take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c as u32, 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe4f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x20000..=0x3fffd);
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

/// An aligned table. Columns of numbers are aligned to the right.
pub fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let cells = |n: usize| rows.iter().filter_map(move |row| row.get(n));
    let widths: Vec<usize> = head
        .iter()
        .enumerate()
        .map(|(n, title)| cells(n).map(|cell| width(cell)).chain([width(title)]).max().unwrap_or(0))
        .collect();
    let numeric = |cell: &String| cell.chars().next().is_none_or(|c| c.is_ascii_digit() || c == '-');
    let right: Vec<bool> = (0..head.len()).map(|n| !rows.is_empty() && cells(n).all(numeric)).collect();
    let mut text = String::new();
    let mut push = |row: &[&str]| {
        let mut line = String::new();
        for (n, cell) in row.iter().enumerate() {
            let pad = " ".repeat(widths[n].saturating_sub(width(cell)));
            let (before, after) = if right[n] { (pad.as_str(), "") } else { ("", pad.as_str()) };
            let gap = if n == 0 { "" } else { "  " };
            line.push_str(&format!("{gap}{before}{cell}{after}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    };
    push(head);
    for row in rows {
        push(&row.iter().map(String::as_str).collect::<Vec<_>>());
    }
    text
}

/// `name  value` lines, aligned.
pub fn pairs(pairs: &[(&str, String)]) -> String {
    let widest = pairs.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let mut text = String::new();
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        let pad = " ".repeat(widest - width(name));
        writeln!(text, "{name}{pad}  {value}").unwrap_or_default();
    }
    text
}

/// A field of a JSON object as people read it: no quotes, nothing for what is absent.
pub fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(parts) if parts.contains_key("minor") && parts.contains_key("currency") => money(value),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// `{minor, currency, exponent}` as `1234.50 CNY`.
fn money(value: &Value) -> String {
    let minor = value["minor"].as_i64().unwrap_or_default();
    let exponent = value["exponent"].as_u64().and_then(|n| u32::try_from(n).ok()).unwrap_or_default();
    format!("{} {}", kernel::Decimal::new(minor, exponent), text(&value["currency"]))
}

/// `{numerator, denominator, ppm}` as `3/4 75.00%`; nothing divided by nothing has no value.
pub fn ratio(value: &Value) -> String {
    let Some(ppm) = value["ppm"].as_u64() else { return "-".to_owned() };
    format!("{}.{:02}% ({}/{})", ppm / 10_000, ppm % 10_000 / 100, value["numerator"], value["denominator"])
}

/// The part of an enum's value that names it: `STEP_OFFERED` of the enum `STEP` is `offered`.
pub fn name(value: &Value, prefix: &str) -> String {
    let full = text(value);
    full.strip_prefix(prefix).unwrap_or(&full).to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_align_chinese_and_numbers() {
        let rows = vec![vec!["国内".to_owned(), "7".to_owned()], vec!["export".to_owned(), "-12".to_owned()]];
        assert_eq!(table(&["desk", "n"], &rows), "desk      n\n国内      7\nexport  -12\n");
    }

    #[test]
    fn values_read_as_people_write_them() {
        assert_eq!(text(&json!({"minor": -1250, "currency": "CNY", "exponent": 2})), "-12.50 CNY");
        assert_eq!(ratio(&json!({"numerator": 1, "denominator": 3, "ppm": 333_333})), "33.33% (1/3)");
        assert_eq!(ratio(&json!({"numerator": 0, "denominator": 0, "ppm": null})), "-");
        assert_eq!(name(&json!("STEP_TIMED_OUT"), "STEP_"), "timed_out");
        assert_eq!(
            pairs(&[("a", "1".to_owned()), ("long", "2".to_owned()), ("none", String::new())]),
            "a     1\nlong  2\n"
        );
    }
}
