//! The one typed table of everything that a recipe may declare: kinds, fields and the calls that fields take.
//!
//! From it come the checks, the "did you mean", the language reference and `llmc explain FIELD`.
//! A new field is one row here and one line where the plan is built.

mod curation;
mod data;
mod extend;
mod mixture;
mod objective;
mod precision;
mod process;
mod range;
mod scaling;
mod source;
mod spellings;
mod stage;
mod tokenizer;

pub use data::DATASET;
pub use mixture::MIXTURE;
use process::STEPS;
pub use range::Range;
pub use scaling::SCALINGS;
pub use spellings::meaning;
pub use stage::STAGE;
pub use tokenizer::TOKENIZER;

use llmc_grammar::source::Source;
use llmc_grammar::tree::{Expr, Item};

use super::units::Dimension;

/// A kind of declaration (`stage`) or a call that a field takes (`adamw(...)`).
#[derive(Debug)]
pub struct Form {
    /// As written in a recipe.
    pub name: &'static str,
    /// One line of what it is.
    pub doc: &'static str,
    /// One use of it in recipe text.
    pub example: &'static str,
    /// What may stand inside, in the order of the reference.
    pub fields: &'static [Field],
    /// How many leading fields a call may give without their names.
    pub positional: usize,
}

impl Form {
    /// The field called `name`.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One field of a declaration, or one argument of a call.
#[derive(Debug)]
pub struct Field {
    /// As written in a recipe.
    pub name: &'static str,
    /// What it takes.
    pub ty: Type,
    /// What holds when it is not written.
    pub presence: Presence,
    /// One line of what it does.
    pub doc: &'static str,
    /// A value that it takes, in recipe text.
    pub example: &'static str,
}

impl Field {
    /// True if `none` may be written.
    pub fn takes_none(&self) -> bool {
        matches!(self.presence, Presence::Optional(_) | Presence::DefaultOrNone(_))
    }

    /// The default in recipe text.
    pub fn default(&self) -> Option<&'static str> {
        match self.presence {
            Presence::Default(text) | Presence::DefaultOrNone(text) => Some(text),
            Presence::Required | Presence::Optional(_) => None,
        }
    }
}

/// What holds when a field is not written.
#[derive(Debug, Clone, Copy)]
pub enum Presence {
    /// It must be written.
    Required,
    /// This recipe text holds.
    Default(&'static str),
    /// This recipe text holds; `none` may be written instead.
    DefaultOrNone(&'static str),
    /// `none` holds, which means the given words.
    Optional(&'static str),
}

/// What a field takes.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// A string.
    Text,
    /// `true` or `false`.
    Bool,
    /// A whole number without a unit.
    Integer(Range),
    /// A number without a unit.
    Number(Range),
    /// Two numbers without a unit, as a list.
    Pair(Range),
    /// A number with a unit of one of these dimensions; the range is in base units (one token, one byte, the whole).
    Quantity(&'static [Dimension], Range),
    /// The name of a declaration of one of these kinds.
    Declaration(&'static [&'static str]),
    /// A model, by name or called with its constant arguments.
    Model,
    /// One of these calls; a call whose arguments may all be left out may also be written as a bare name.
    Call(&'static [&'static Form]),
    /// One such value, or a list of one or more.
    OneOrMore(&'static Type),
    /// A string, or one of these calls.
    TextOrCall(&'static [&'static Form]),
    /// A string, or the name of a declaration of this kind.
    TextOrDeclaration(&'static str),
    /// A language's code.
    Language,
    /// A weighted sum of these components and what it is compared with.
    Formula(&'static [&'static Form]),
}

/// Every kind of declaration whose fields are fixed. (`huggingface` takes the keys of a `config.json`.)
pub static KINDS: [&Form; 4] = [&DATASET, &MIXTURE, &TOKENIZER, &STAGE];

/// Kinds whose fields are free.
pub static OPEN_KINDS: [&str; 1] = ["huggingface"];

/// The kind called `name`.
pub fn kind(name: &str) -> Option<&'static Form> {
    KINDS.iter().copied().find(|form| form.name == name)
}

/// Every call in the table, in the order of first mention.
pub fn calls() -> Vec<&'static Form> {
    let mut found: Vec<&'static Form> = Vec::new();
    for kind in KINDS {
        collect(kind, &mut found);
    }
    found.extend(SCALINGS);
    found
}

fn collect(form: &'static Form, found: &mut Vec<&'static Form>) {
    for field in form.fields {
        for call in field.ty.calls() {
            if !found.iter().any(|known| std::ptr::eq(*known, *call)) {
                found.push(call);
                collect(call, found);
            }
        }
    }
}

impl Type {
    /// The calls that a value of this type may be.
    pub fn calls(&self) -> &'static [&'static Form] {
        match self {
            Type::Call(calls) | Type::TextOrCall(calls) | Type::Formula(calls) => calls,
            Type::OneOrMore(inner) => inner.calls(),
            _ => &[],
        }
    }

    /// In words, for messages and the reference: `a number of steps or tokens`.
    pub fn describe(&self) -> String {
        match self {
            Type::Text => "a string".to_owned(),
            Type::Bool => "`true` or `false`".to_owned(),
            Type::Integer(_) => "a whole number".to_owned(),
            Type::Number(_) => "a number".to_owned(),
            Type::Pair(_) => "a list of two numbers".to_owned(),
            Type::Quantity(dimensions, _) => {
                let counted: Vec<String> = dimensions
                    .iter()
                    .filter_map(|each| each.describe().strip_prefix("a number of "))
                    .map(str::to_owned)
                    .collect();
                let mut described: Vec<String> = dimensions
                    .iter()
                    .map(|each| each.describe().to_owned())
                    .filter(|each| !each.starts_with("a number of "))
                    .collect();
                if !counted.is_empty() {
                    described.push(format!("a number of {}", alternatives(&counted)));
                }
                alternatives(&described)
            }
            Type::Declaration(kinds) => format!("the name of a {}", kinds.join(" or ")),
            Type::Model => "a model".to_owned(),
            Type::Call(calls) => alternatives(&call_names(calls)),
            Type::OneOrMore(inner) => format!("{}, or a list of them", inner.describe()),
            Type::TextOrCall(calls) => format!("a string or {}", alternatives(&call_names(calls))),
            Type::TextOrDeclaration(kind) => format!("a string or the name of a {kind}"),
            Type::Language => "the code of a language".to_owned(),
            Type::Formula(_) => "a weighted sum compared with a number".to_owned(),
        }
    }
}

/// True for an argument of a call, by its name or place, that stays an expression: its names are components, not
/// constants.
pub fn is_formula(call: &str, name: Option<&str>, place: usize) -> bool {
    let form = STEPS.iter().find(|form| form.name == call);
    let row = form.and_then(|form| match name {
        Some(name) => form.field(name),
        None => form.fields.get(place),
    });
    row.is_some_and(|row| matches!(row.ty, Type::Formula(_)))
}

fn call_names(calls: &[&Form]) -> Vec<String> {
    calls
        .iter()
        .map(|form| match form.fields.is_empty() {
            true => format!("`{}`", form.name),
            false => format!("`{}(...)`", form.name),
        })
        .collect()
}

/// The expression that this recipe text is; none if it is not one.
pub fn value_of(text: &'static str) -> Option<Expr> {
    let tree = llmc_grammar::parse(&Source::new("default", format!("let value = {text}"))).ok()?;
    match tree.items.into_iter().next()? {
        Item::Let(item) => Some(item.value),
        _ => None,
    }
}

/// `a`, `a and b`, `a, b and c`.
pub fn all(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `a`, `a or b`, `a, b or c`.
pub fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
