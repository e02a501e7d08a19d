//! What a declaration or call holds after it was read against its row of the table.

use std::collections::BTreeMap;

use llmc_grammar::source::Span;
use llmc_grammar::tree::Expr;

use super::table::Form;
use super::value::Quantity;
use crate::plan::Formula;

/// A declaration or call whose fields are all of the table's types.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its row of the table.
    pub form: &'static Form,
    /// The name that stands for it in messages: the declaration's or the called one.
    pub span: Span,
    pub(super) entries: BTreeMap<&'static str, Entry>,
}

/// One field's value.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The value; [`Read::Unknown`] after a mistake that is reported.
    pub read: Read,
    /// Where it is written; for a default, the record's own place.
    pub span: Span,
    /// False for defaults.
    pub written: bool,
}

/// A value of one of the table's types.
#[derive(Debug, Clone)]
pub enum Read {
    /// There was a mistake, which is reported.
    Unknown,
    /// `none`, or nothing where nothing is needed.
    None,
    /// `true` or `false`.
    Bool(bool),
    /// A string.
    Text(String),
    /// A whole number.
    Integer(u64),
    /// A number.
    Number(f64),
    /// Two numbers.
    Pair([f64; 2]),
    /// A number with a unit.
    Quantity(Quantity),
    /// The name of a declaration of the right kind.
    Declaration(String),
    /// A model's name or call.
    Model(Expr),
    /// A call.
    Call(Record),
    /// A weighted sum and its limit.
    Formula(Formula),
    /// One or more values.
    List(Vec<(Read, Span)>),
}

impl Record {
    /// The field's value and place. Every field of the form has an entry.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        debug_assert!(self.form.field(name).is_some(), "`{name}` is not in the table");
        self.entries.get(name)
    }

    /// Where the field is written, or the record's own place.
    pub fn place(&self, name: &str) -> &Span {
        self.entry(name).map_or(&self.span, |entry| &entry.span)
    }

    /// True if the field is written (not a default), rightly or not, and not as `none`.
    pub fn is_written(&self, name: &str) -> bool {
        self.entry(name).is_some_and(|entry| entry.written && !matches!(entry.read, Read::None))
    }

    /// The value if it is known: `Some(None)` for `none`, nothing after a mistake.
    pub fn optional<'a, T>(&'a self, name: &str, take: impl Fn(&'a Read) -> Option<T>) -> Option<Option<T>> {
        match &self.entry(name)?.read {
            Read::Unknown => None,
            Read::None => Some(None),
            read => take(read).map(Some),
        }
    }

    /// The text of a field that always has one; nothing after a mistake.
    pub fn text(&self, name: &str) -> Option<String> {
        self.optional(name, Read::text)?
    }

    /// The truth value of a field that always has one; nothing after a mistake.
    pub fn bool(&self, name: &str) -> Option<bool> {
        self.optional(name, Read::bool)?
    }

    /// The whole number of a field that always has one; nothing after a mistake.
    pub fn integer(&self, name: &str) -> Option<u64> {
        self.optional(name, Read::integer)?
    }

    /// The number of a field that always has one; nothing after a mistake.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.optional(name, Read::number)?
    }

    /// The two numbers of a field that always has them; nothing after a mistake.
    pub fn pair(&self, name: &str) -> Option<[f64; 2]> {
        self.optional(name, Read::pair)?
    }

    /// The quantity of a field that always has one; nothing after a mistake.
    pub fn quantity(&self, name: &str) -> Option<Quantity> {
        self.optional(name, Read::quantity)?
    }

    /// The call of a field that always has one; nothing after a mistake.
    pub fn call(&self, name: &str) -> Option<&Record> {
        self.optional(name, Read::call)?
    }

    /// The declaration that a field names; nothing after a mistake or where none is named.
    pub fn declaration(&self, name: &str) -> Option<&str> {
        self.optional(name, Read::declaration)?
    }
}

impl Read {
    /// A text's content.
    pub fn text(&self) -> Option<String> {
        match self {
            Read::Text(value) => Some(value.clone()),
            _ => None,
        }
    }

    /// A truth value.
    pub fn bool(&self) -> Option<bool> {
        match self {
            Read::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number.
    pub fn integer(&self) -> Option<u64> {
        match self {
            Read::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Read::Number(value) => Some(*value),
            _ => None,
        }
    }

    /// Two numbers.
    pub fn pair(&self) -> Option<[f64; 2]> {
        match self {
            Read::Pair(value) => Some(*value),
            _ => None,
        }
    }

    /// A number with a unit.
    pub fn quantity(&self) -> Option<Quantity> {
        match self {
            Read::Quantity(value) => Some(*value),
            _ => None,
        }
    }

    /// A call.
    pub fn list(&self) -> Option<&[(Read, Span)]> {
        match self {
            Read::List(items) => Some(items),
            _ => None,
        }
    }

    /// The call, if it is one.
    pub fn call(&self) -> Option<&Record> {
        match self {
            Read::Call(value) => Some(value),
            _ => None,
        }
    }

    /// The declaration that is named.
    pub fn declaration(&self) -> Option<&str> {
        match self {
            Read::Declaration(value) => Some(value),
            _ => None,
        }
    }
}
