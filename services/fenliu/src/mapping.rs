//! Files of other systems as facts: a mapping says which column goes where. See `deploy/mappings/`.
//!
//! A mapping is YAML: how the file is cut into columns, which fact a line becomes, and a template for each field of
//! that fact. In a template `{name}` or `{3}` is a column by its header or its number from 1, `{row}` the line's number
//! in the file. `{2|date:%Y%m%d}` reads a date by the given format and writes it as an instant (midnight UTC where the
//! file has no time), `{seller|employee}` turns a name into a roster code.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::facts::{self, Fact};
use crate::instant;

mod template;

use template::{Filter, Template};

/// Different names that one file may bring for `|employee` (L9).
const EMPLOYEES_MAX: usize = 100_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    /// Comma-separated, values with commas in double quotes.
    Csv,
    /// Columns apart by any number of spaces or tabs.
    Whitespace,
}

/// Only lines whose column has this value become facts.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct When {
    column: String,
    equals: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    format: Format,
    /// The first line names the columns.
    #[serde(default)]
    header: bool,
    /// Lines before the header, or before the first fact.
    #[serde(default)]
    skip: u64,
    fact: String,
    /// Templates by field; `customer.id` is the field `id` of `customer`.
    fields: BTreeMap<String, Value>,
    when: Option<When>,
    /// Roster code of each name; when absent, names get S01, S02, … in the order in which they first appear.
    employees: Option<BTreeMap<String, String>>,
}

/// A mapping that was read and checked.
#[derive(Debug, Clone)]
pub struct Mapping {
    format: Format,
    header: bool,
    skip: u64,
    fact: String,
    /// Path of each field, and its template; what is no text is taken as it is.
    fields: Vec<(Vec<String>, Cell)>,
    when: Option<When>,
    employees: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone)]
enum Cell {
    Template(Template),
    Fixed(Value),
}

/// A mapping on its way through one file.
#[derive(Debug, Clone)]
pub struct Mapper {
    mapping: Mapping,
    columns: Vec<String>,
    /// Lines read so far.
    row: u64,
    header_read: bool,
    codes: BTreeMap<String, String>,
}

impl Mapping {
    /// Reads a mapping. The error says what is wrong in it.
    pub fn parse(yaml: &str) -> Result<Self, String> {
        let file: MappingFile = serde_norway::from_str(yaml).map_err(|error| error.to_string())?;
        if !facts::KINDS.contains(&file.fact.as_str()) {
            return Err(format!("fact: {:?} is not one of {}", file.fact, facts::KINDS.join(", ")));
        }
        let mut fields = Vec::new();
        for (path, cell) in file.fields {
            let cell = match cell {
                Value::String(text) => {
                    Cell::Template(Template::parse(&text).map_err(|error| format!("fields.{path}: {error}"))?)
                }
                fixed => Cell::Fixed(fixed),
            };
            fields.push((path.split('.').map(ToOwned::to_owned).collect(), cell));
        }
        let MappingFile { format, header, skip, fact, when, employees, .. } = file;
        Ok(Self { format, header, skip, fact, fields, when, employees })
    }

    /// Begins a file.
    pub fn begin(self) -> Mapper {
        let codes = self.employees.clone().unwrap_or_default();
        Mapper { mapping: self, columns: Vec::new(), row: 0, header_read: false, codes }
    }
}

impl Mapper {
    /// The fact of the file's next line; `None` where the mapping passes the line over.
    pub fn line(&mut self, line: &str) -> Option<Result<Fact, String>> {
        self.row += 1;
        if self.row <= self.mapping.skip || line.trim().is_empty() {
            return None;
        }
        let cells = match self.mapping.format {
            Format::Whitespace => line.split_whitespace().map(ToOwned::to_owned).collect(),
            Format::Csv => match split_csv(line) {
                Ok(cells) => cells,
                Err(error) => return Some(Err(error)),
            },
        };
        if self.mapping.header && !self.header_read {
            self.header_read = true;
            self.columns = cells;
            return None;
        }
        self.fact(&cells).transpose()
    }

    fn fact(&mut self, cells: &[String]) -> Result<Option<Fact>, String> {
        self.meet_employees(cells)?;
        if let Some(when) = &self.mapping.when
            && self.column(cells, &when.column)? != when.equals
        {
            return Ok(None);
        }
        let mut fact = Map::new();
        fact.insert("fact".to_owned(), Value::from(self.mapping.fact.as_str()));
        for (path, cell) in &self.mapping.fields {
            let value = match cell {
                Cell::Fixed(value) => value.clone(),
                Cell::Template(template) => {
                    let filled = template.fill(|column, filter| self.value(cells, column, filter));
                    Value::from(filled.map_err(|error| format!("{}: {error}", path.join(".")))?)
                }
            };
            put(&mut fact, path, value)?;
        }
        facts::from_value(Value::Object(fact)).map(Some)
    }

    /// Gives every name of the line its code, also on a line that `when` passes over: then the order of first
    /// appearance is the file's own.
    fn meet_employees(&mut self, cells: &[String]) -> Result<(), String> {
        if self.mapping.employees.is_some() {
            return Ok(());
        }
        let mut names = Vec::new();
        for (_, cell) in &self.mapping.fields {
            if let Cell::Template(template) = cell {
                for column in template.columns_with(&Filter::Employee) {
                    names.push(self.column(cells, column)?.to_owned());
                }
            }
        }
        for name in names {
            if name.is_empty() || self.codes.contains_key(&name) {
                continue;
            }
            if self.codes.len() >= EMPLOYEES_MAX {
                return Err(format!("more than {EMPLOYEES_MAX} different names of employees"));
            }
            let code = format!("S{:02}", self.codes.len() + 1);
            self.codes.insert(name, code);
        }
        Ok(())
    }

    fn value(&self, cells: &[String], column: &str, filter: &Filter) -> Result<String, String> {
        if column == "row" {
            return Ok(self.row.to_string());
        }
        let cell = self.column(cells, column)?;
        match filter {
            Filter::None => Ok(cell.to_owned()),
            Filter::Date(format) => date(cell, format),
            Filter::Employee => {
                self.codes.get(cell).cloned().ok_or_else(|| format!("{cell:?} is not among the mapping's `employees`"))
            }
        }
    }

    fn column<'c>(&self, cells: &'c [String], column: &str) -> Result<&'c str, String> {
        let named = self.columns.iter().position(|name| name == column);
        let numbered = || column.parse::<usize>().ok()?.checked_sub(1);
        let at = named.or_else(numbered).ok_or_else(|| format!("the file has no column {column:?}"))?;
        let cell =
            cells.get(at).ok_or_else(|| format!("the line has {} columns, {column:?} is not there", cells.len()))?;
        Ok(cell)
    }
}

/// A date, or a date with a time, as an instant; without an offset it is in UTC.
fn date(text: &str, format: &str) -> Result<String, String> {
    let wrong = |error: jiff::Error| format!("{text:?} is not a date of the format {format}: {error}");
    let parsed = jiff::fmt::strtime::parse(format, text).map_err(wrong)?;
    let at = match parsed.to_timestamp() {
        Ok(instant) => kernel::Timestamp::from_micros(instant.as_microsecond()),
        Err(_) => match parsed.to_datetime() {
            Ok(local) => {
                let instant = jiff::tz::TimeZone::UTC.to_timestamp(local).map_err(wrong)?;
                kernel::Timestamp::from_micros(instant.as_microsecond())
            }
            Err(_) => instant::midnight(parsed.to_date().map_err(wrong)?)?,
        },
    };
    Ok(instant::text(at))
}

fn put(object: &mut Map<String, Value>, path: &[String], value: Value) -> Result<(), String> {
    match path {
        [] => Err("fields: a field without a name".to_owned()),
        [last] => {
            object.insert(last.clone(), value);
            Ok(())
        }
        [first, rest @ ..] => {
            let inner = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
            let inner =
                inner.as_object_mut().ok_or_else(|| format!("fields: {first} is a value and an object at once"))?;
            put(inner, rest, value)
        }
    }
}

/// Cuts a line of RFC 4180. A value that spans lines is refused: then a line would be no fact.
fn split_csv(line: &str) -> Result<Vec<String>, String> {
    let mut cells = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                cell.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if cell.is_empty() => quoted = true,
            ',' if !quoted => cells.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    if quoted {
        return Err("a quoted value does not end on its line".to_owned());
    }
    cells.push(cell);
    Ok(cells)
}

#[cfg(test)]
mod tests;
