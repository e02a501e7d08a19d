//! Constant values: what a recipe's fields, parameters and constant arguments hold.

use std::fmt;

use llmc_grammar::codes::WRONG_KIND;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, Name};

use super::scaling::scaling;
use super::units::{Dimension, Unit, wrong_unit};
use crate::dim::Dim;

/// A result with one mistake of the user.
pub type Outcome<T> = Result<T, Box<Diagnostic>>;

/// A constant.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// A fraction; always finite.
    Float(f64),
    /// `true` or `false`.
    Bool(bool),
    /// A text.
    Text(String),
    /// `none`.
    None,
    /// A whole number that still has symbols in it: `T`, `D / heads`.
    Dim(Dim),
    /// A fraction, truth value or text whose value is not known yet (a parameter of a block that is checked alone).
    Open(Kind),
    /// `[a, b]`
    List(Vec<Spanned>),
    /// A number with a unit.
    Quantity(Quantity),
    /// A call that only the place it stands in can interpret: `adamw(...)`, `every(50 steps)`.
    Call(Call),
    /// An expression over names that only the place it stands in knows: `0.5 * content - 0.2 * spam > 0.7`.
    Formula(Box<Expr>),
    /// A name that is no constant: a choice (`exact`), a declaration (`rust`), a function (`gelu`).
    Name(String),
    /// A mistake that is reported already; computing with it says nothing more.
    Unknown,
}

/// A constant and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Spanned {
    /// The constant.
    pub value: Value,
    /// Its place.
    pub span: Span,
}

/// A number with a unit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quantity {
    /// The number before the unit.
    pub value: f64,
    /// The same number where it is exactly whole.
    pub integer: Option<u64>,
    /// The unit.
    pub unit: Unit,
}

impl Quantity {
    /// In base units: bytes, seconds, dollars, a share of 1.
    pub fn in_base(&self) -> f64 {
        self.value * self.unit.factor
    }

    /// In base units where that is exactly whole and fits: `2M tokens` is 2,000,000; `1.5 KiB` is 1,536.
    pub fn whole_in_base(&self) -> Option<u64> {
        match self.integer {
            Some(count) if self.unit.factor >= 1.0 => {
                // Factors of one or more are whole numbers below 2^41.
                count.checked_mul(self.unit.factor as u64)
            }
            _ => {
                let base = self.in_base();
                (base >= 0.0 && base.fract() == 0.0 && base < 9e15).then_some(base as u64)
            }
        }
    }
}

/// A call whose arguments are evaluated, and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// What is called.
    pub function: Name,
    /// Its arguments in order.
    pub arguments: Vec<CallArgument>,
}

/// An argument of a [`Call`].
#[derive(Debug, Clone, PartialEq)]
pub struct CallArgument {
    /// `name:` if given by name.
    pub name: Option<Name>,
    /// Its value.
    pub value: Spanned,
}

/// Kinds of constants a parameter can take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `int`
    Int,
    /// `float`; whole numbers fit.
    Float,
    /// `bool`
    Bool,
    /// `string`
    Text,
    /// `function`: the name of a function of one tensor, such as `gelu`.
    Function,
    /// `rope_scaling`: a rule of rotary scaling, such as `ntk(factor: 8.0)`, or `none`.
    RopeScaling,
}

impl Kind {
    /// Every kind, by its name in recipes.
    pub const ALL: [(&'static str, Kind); 6] = [
        ("int", Kind::Int),
        ("float", Kind::Float),
        ("bool", Kind::Bool),
        ("string", Kind::Text),
        ("function", Kind::Function),
        ("rope_scaling", Kind::RopeScaling),
    ];

    /// The kind written `name` in a recipe.
    pub fn find(name: &str) -> Option<Kind> {
        let found = Kind::ALL.iter().find(|(known, _)| *known == name);
        found.map(|(_, kind)| *kind)
    }

    /// `a whole number`, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Kind::Int => "a whole number",
            Kind::Float => "a number",
            Kind::Bool => "`true` or `false`",
            Kind::Text => "a text",
            Kind::Function => "a function",
            Kind::RopeScaling => "a rule of rotary scaling",
        }
    }

    /// `value` as this kind (a whole number becomes a float where a float is needed), or `E0301`.
    pub fn accept(self, value: &Spanned) -> Outcome<Value> {
        let fits = match (self, &value.value) {
            (Kind::Float, Value::Int(whole)) => return Ok(Value::Float(*whole as f64)),
            (Kind::Float, Value::Dim(_)) => return Ok(Value::Open(Kind::Float)),
            (_, Value::Open(kind)) => *kind == self,
            (_, Value::Unknown) => true,
            (Kind::Int, Value::Int(_) | Value::Dim(_)) => true,
            (Kind::Float, Value::Float(_)) => true,
            (Kind::Bool, Value::Bool(_)) => true,
            (Kind::Text, Value::Text(_)) => true,
            (Kind::Function, Value::Name(_)) => true,
            (Kind::RopeScaling, _) => return scaling(value).map(|_| value.value.clone()),
            _ => false,
        };
        if fits { Ok(value.value.clone()) } else { Err(value.wrong_kind(self.describe())) }
    }
}

impl Value {
    /// `a whole number`, `a number of tokens`: what it is, for messages.
    pub fn describe(&self) -> String {
        match self {
            Value::Int(_) | Value::Dim(_) => "a whole number".to_owned(),
            Value::Float(_) => "a fraction".to_owned(),
            Value::Bool(_) => "a truth value".to_owned(),
            Value::Text(_) => "a text".to_owned(),
            Value::None => "`none`".to_owned(),
            Value::Open(kind) => kind.describe().to_owned(),
            Value::List(_) => "a list".to_owned(),
            Value::Quantity(quantity) => quantity.unit.dimension.describe().to_owned(),
            Value::Call(call) => format!("a call of `{}`", call.function.text),
            Value::Formula(_) => "an expression".to_owned(),
            Value::Name(name) => format!("the name `{name}`"),
            Value::Unknown => "a mistake".to_owned(),
        }
    }

    /// A whole number as a dimension; none for anything else and for negative numbers.
    pub fn as_dim(&self) -> Option<Dim> {
        match self {
            Value::Int(value) => u64::try_from(*value).ok().map(Dim::constant),
            Value::Dim(dim) => Some(dim.clone()),
            _ => None,
        }
    }

    /// A number as a float; none for anything else and for symbols.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Value::Int(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }
}

/// As written in a recipe.
impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Int(value) => write!(formatter, "{value}"),
            Value::Float(value) => write!(formatter, "{value:?}"),
            Value::Bool(value) => write!(formatter, "{value}"),
            Value::Text(value) => write!(formatter, "{}", quoted(value)),
            Value::None => formatter.write_str("none"),
            Value::Dim(dim) => write!(formatter, "{dim}"),
            Value::Open(kind) => formatter.write_str(kind.describe()),
            Value::List(items) => {
                formatter.write_str("[")?;
                for (index, item) in items.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(formatter, "{comma}{}", item.value)?;
                }
                formatter.write_str("]")
            }
            Value::Quantity(quantity) => {
                match quantity.integer {
                    Some(whole) => write!(formatter, "{whole}")?,
                    None => write!(formatter, "{:?}", quantity.value)?,
                }
                let space = if quantity.unit.dimension == Dimension::Share { "" } else { " " };
                write!(formatter, "{space}{}", quantity.unit.name)
            }
            Value::Call(call) => {
                write!(formatter, "{}(", call.function.text)?;
                for (index, argument) in call.arguments.iter().enumerate() {
                    formatter.write_str(if index == 0 { "" } else { ", " })?;
                    if let Some(name) = &argument.name {
                        write!(formatter, "{}: ", name.text)?;
                    }
                    write!(formatter, "{}", argument.value.value)?;
                }
                formatter.write_str(")")
            }
            Value::Formula(expr) => formatter.write_str(expr.span.text()),
            Value::Name(name) => formatter.write_str(name),
            Value::Unknown => formatter.write_str("?"),
        }
    }
}

/// A text between quotes, with the escapes of the language.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

impl Spanned {
    /// A constant at a place.
    pub fn new(value: Value, span: &Span) -> Self {
        Spanned { value, span: span.clone() }
    }

    /// `E0301`: something else is needed here, e.g. "a whole number".
    pub fn wrong_kind(&self, expected: &str) -> Box<Diagnostic> {
        let found = self.value.describe();
        let diagnostic = Diagnostic::error(WRONG_KIND, format!("expected {expected}, found {found}"))
            .label(&self.span, format!("this is {found}"));
        Box::new(match (&self.value, expected) {
            (Value::Quantity(_), "a whole number" | "a number") => diagnostic.help("write it without the unit"),
            (Value::Name(name), "a text") => diagnostic.help(format!("a text stands in quotes: \"{name}\"")),
            (Value::Float(value), "a whole number") => diagnostic.help(format!(
                "write {} or {}, or use `floor`, `ceil` or `round`",
                value.floor(),
                value.ceil()
            )),
            _ => diagnostic,
        })
    }

    /// The whole number, or `E0301`.
    pub fn int(&self) -> Outcome<i64> {
        match self.value {
            Value::Int(value) => Ok(value),
            _ => Err(self.wrong_kind("a whole number")),
        }
    }

    /// The number (whole numbers fit), or `E0301`.
    pub fn float(&self) -> Outcome<f64> {
        match self.value.as_float() {
            Some(value) => Ok(value),
            None => Err(self.wrong_kind("a number")),
        }
    }

    /// The truth value, or `E0301`.
    pub fn bool(&self) -> Outcome<bool> {
        match self.value {
            Value::Bool(value) => Ok(value),
            _ => Err(self.wrong_kind("`true` or `false`")),
        }
    }

    /// The text, or `E0301`.
    pub fn text(&self) -> Outcome<&str> {
        match &self.value {
            Value::Text(value) => Ok(value),
            _ => Err(self.wrong_kind("a text")),
        }
    }

    /// The list's items, or `E0301`.
    pub fn list(&self) -> Outcome<&[Spanned]> {
        match &self.value {
            Value::List(items) => Ok(items),
            _ => Err(self.wrong_kind("a list")),
        }
    }

    /// The quantity if it has one of these dimensions, or `E0307` that names the units that fit.
    pub fn quantity(&self, wanted: &[Dimension]) -> Outcome<Quantity> {
        match &self.value {
            Value::Quantity(quantity) if wanted.contains(&quantity.unit.dimension) => Ok(*quantity),
            Value::Int(_) | Value::Float(_) => Err(wrong_unit("a number without unit", &self.span, wanted)),
            other => Err(wrong_unit(&other.describe(), &self.span, wanted)),
        }
    }
}
