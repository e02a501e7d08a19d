//! The language reference and `llmc explain FIELD`, both written from the table.

use super::model;
use super::table::{Field, Form, KINDS, Presence, Range, Type, calls};
use super::units::Dimension;

/// The reference of every declaration and call, as Markdown.
pub fn reference() -> String {
    let mut text = String::from(
        "# Language reference\n\n\
         Every declaration, every field and every call that a recipe may hold. This page is written from the table that \
         the checker reads; `llmc explain FIELD` prints the same for one field.\n\n## Declarations\n",
    );
    for form in KINDS {
        text.push_str(&section(form));
    }
    text.push_str("\n## Calls\n");
    for form in calls() {
        text.push_str(&section(form));
    }
    text.push('\n');
    text.push_str(&model::reference());
    text
}

/// What the table says of a field, argument, declaration or call of this name; none if there is none.
/// `stage.budget` asks for one of several fields of a name.
pub fn explain(name: &str) -> Option<String> {
    let (owner, field) = match name.split_once('.') {
        Some((owner, field)) => (Some(owner), field),
        None => (None, name),
    };
    let mut parts = Vec::new();
    for form in KINDS.into_iter().chain(calls()) {
        if owner.is_none() && form.name == field {
            parts.push(section(form).trim().to_owned());
        }
        let row = form.fields.iter().find(|row| row.name == field);
        if let Some(row) = row.filter(|_| owner.is_none_or(|owner| owner == form.name)) {
            parts.push(entry(form, row));
        }
    }
    (!parts.is_empty()).then(|| parts.join("\n\n") + "\n")
}

fn section(form: &Form) -> String {
    let mut text = format!("\n### `{}`\n\n{}\n\n```\n{}\n```\n", form.name, form.doc, form.example);
    if !form.fields.is_empty() {
        text.push_str("\n| name | takes | if not written | meaning |\n| --- | --- | --- | --- |\n");
    }
    for row in form.fields {
        text.push_str(&format!(
            "| `{}` | {} | {} | {} |\n",
            row.name,
            cell(&takes(row)),
            cell(&presence(row)),
            cell(row.doc)
        ));
    }
    text
}

fn entry(form: &Form, row: &Field) -> String {
    let declaration = KINDS.iter().any(|kind| std::ptr::eq(*kind, form));
    let (example, owner) = match declaration {
        true => (format!("{} = {}", row.name, row.example), format!("field of a `{}`", form.name)),
        false => (format!("{}: {}", row.name, row.example), format!("argument of `{}`", form.name)),
    };
    format!(
        "`{}`: {owner}\n\n{}\n\n  takes           {}\n  if not written  {}\n  example         {example}",
        row.name,
        row.doc,
        takes(row),
        presence(row)
    )
}

/// Text in a Markdown table, where a bar would end the cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

fn takes(row: &Field) -> String {
    let (range, unit) = match row.ty {
        Type::Integer(range) | Type::Number(range) | Type::Pair(range) => (range, ""),
        Type::Quantity([Dimension::Share], range) => (scaled(range), "%"),
        Type::Quantity(_, range) => (range, ""),
        _ => (Range::ANY, ""),
    };
    let mut text = row.ty.describe();
    let range = range.describe(1.0, unit);
    if !range.is_empty() {
        text = format!("{text}, {range}");
    }
    if row.takes_none() {
        text.push_str(", or `none`");
    }
    text
}

fn scaled(range: Range) -> Range {
    Range { low: range.low * 100.0, high: range.high * 100.0, ..range }
}

fn presence(row: &Field) -> String {
    match row.presence {
        Presence::Required => "must be written".to_owned(),
        Presence::Default(text) | Presence::DefaultOrNone(text) => format!("`{text}`"),
        Presence::Optional(meaning) => meaning.to_owned(),
    }
}
