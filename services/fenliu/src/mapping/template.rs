//! The template of one field: text with columns in braces.

/// What is done with a column's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Filter {
    None,
    /// Read by a format of `strftime`.
    Date(String),
    /// A name becomes a roster code.
    Employee,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column(String, Filter),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (inside, behind) =
                after.split_once('}').ok_or_else(|| format!("{text:?} has a brace that is not closed"))?;
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(column(inside)?);
            rest = behind;
        }
        if rest.contains('}') {
            return Err(format!("{text:?} closes a brace that is not open"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self(parts))
    }

    /// The text with every column filled in.
    pub(super) fn fill(&self, value: impl Fn(&str, &Filter) -> Result<String, String>) -> Result<String, String> {
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Column(column, filter) => filled.push_str(&value(column, filter)?),
            }
        }
        Ok(filled)
    }

    pub(super) fn columns_with<'t>(&'t self, wanted: &'t Filter) -> impl Iterator<Item = &'t str> {
        self.0.iter().filter_map(move |part| match part {
            Part::Column(column, filter) if filter == wanted => Some(column.as_str()),
            Part::Column(..) | Part::Text(_) => None,
        })
    }
}

fn column(inside: &str) -> Result<Part, String> {
    let (name, filter) = match inside.split_once('|') {
        None => (inside, Filter::None),
        Some((name, "employee")) => (name, Filter::Employee),
        Some((name, filter)) => match filter.strip_prefix("date:") {
            Some(format) => (name, Filter::Date(format.to_owned())),
            None => return Err(format!("{filter:?} is not a filter; there are employee and date:FORMAT")),
        },
    };
    if name.trim().is_empty() {
        return Err("braces without a column".to_owned());
    }
    Ok(Part::Column(name.trim().to_owned(), filter))
}
