//! Where a field stands, and the messages that depend on it.

use llmc_grammar::codes::{ARGUMENT_WITHOUT_NAME, MISSING_FIELD, OTHER_SPELLING, UNKNOWN_CHOICE, UNKNOWN_FIELD};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::Name;

use super::mismatch::there_are;
use super::nearest::nearest;
use super::table::{Field, Form, all};
use super::value::CallArgument;

/// Where a field stands.
#[derive(Clone, Copy, PartialEq)]
pub enum Place {
    /// `kind name { field = value }`
    Declaration,
    /// `call(field: value)`
    Call,
}

impl Place {
    /// The field as it would be written here, with the table's example.
    pub fn example(self, row: &Field) -> String {
        match self {
            Place::Declaration => format!("{} = {}", row.name, row.example),
            Place::Call => format!("{}: {}", row.name, row.example),
        }
    }

    /// A name that is no field of `form`. It is like the field `near`, or another tool's name (`other` says for what).
    pub fn unknown(self, form: &Form, name: &Name, near: Option<&str>, other: Option<&str>) -> Diagnostic {
        let (word, owner) = match self {
            Place::Declaration => ("field", format!("a {}", form.name)),
            Place::Call => ("argument", format!("`{}`", form.name)),
        };
        let code = if other.is_some() { OTHER_SPELLING } else { UNKNOWN_FIELD };
        let known: Vec<&str> = form.fields.iter().map(|row| row.name).collect();
        let help = match (other, near) {
            (Some(meaning), _) if meaning.starts_with('`') => format!("llmc calls this {meaning}"),
            (Some(meaning), _) => meaning.to_owned(),
            (None, Some(near)) => format!("did you mean `{near}`?"),
            (None, None) if known.is_empty() => format!("{owner} takes no arguments"),
            (None, None) => there_are(&known),
        };
        Diagnostic::error(code, format!("{owner} has no {word} `{}`", name.text))
            .label(&name.span, format!("unknown {word}"))
            .help(help)
    }

    /// Required fields that are not written. `subject` lacks them, `span` is its name.
    pub fn lacking(self, subject: &str, span: &Span, missing: &[&Field]) -> Diagnostic {
        let names: Vec<String> = missing.iter().map(|row| format!("`{}`", row.name)).collect();
        let examples: Vec<String> = missing.iter().map(|row| self.example(row)).collect();
        let help = match (self, examples.as_slice()) {
            (_, [one]) => format!("for example `{one}`"),
            (Place::Call, _) => format!("for example `{}`", examples.join(", ")),
            (Place::Declaration, _) => format!("for example:\n  {}", examples.join("\n  ")),
        };
        Diagnostic::error(MISSING_FIELD, format!("{subject} needs {}", all(&names)))
            .label(span, if names.len() == 1 { "is missing one" } else { "is missing these" })
            .help(help)
    }
}

/// An argument that needs its name.
pub fn unnamed(form: &Form, argument: &CallArgument) -> Diagnostic {
    let mistake = Diagnostic::error(ARGUMENT_WITHOUT_NAME, format!("which argument of `{}` is this?", form.name))
        .label(&argument.value.span, "needs a name");
    match form.fields.get(form.positional) {
        Some(next) if form.positional == 0 => {
            mistake.help(format!("write `{}: {}`; for example `{}`", next.name, argument.value.value, form.example))
        }
        Some(_) => mistake.help(format!("for example `{}`", form.example)),
        None if form.fields.is_empty() => mistake.help(format!("`{}` takes no arguments", form.name)),
        None => mistake.help(format!("`{}` takes no more arguments: `{}`", form.name, form.example)),
    }
}

/// A call or word that the field does not take.
pub fn unknown_choice(row: &Field, forms: &[&Form], name: &str, span: &Span) -> Diagnostic {
    let known: Vec<&str> = forms.iter().map(|form| form.name).collect();
    let mistake =
        Diagnostic::error(UNKNOWN_CHOICE, format!("`{}` cannot be `{name}`", row.name)).label(span, "unknown here");
    match nearest(name, known.iter().copied()) {
        Some(near) => mistake.help(format!("did you mean `{near}`?")),
        None => mistake.help(there_are(&known)),
    }
}
