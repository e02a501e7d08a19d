//! The one table of units: what may stand after a number.

use llmc_grammar::codes::{UNKNOWN_UNIT, WRONG_UNIT};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::nearest::suggestion;

/// What a quantity counts or measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// Token ids.
    Tokens,
    /// Rows of a batch.
    Sequences,
    /// Optimizer steps.
    Steps,
    /// Passes over the training data.
    Epochs,
    /// A part of a whole; base 1 (`1%` is 0.01).
    Share,
    /// Memory or file size; base one byte.
    Bytes,
    /// Base one second.
    Time,
    /// Base one US dollar.
    Money,
    /// Base one US dollar a second.
    MoneyPerTime,
}

impl Dimension {
    /// `a number of tokens`, for messages.
    pub fn describe(self) -> &'static str {
        match self {
            Dimension::Tokens => "a number of tokens",
            Dimension::Sequences => "a number of sequences",
            Dimension::Steps => "a number of steps",
            Dimension::Epochs => "a number of epochs",
            Dimension::Share => "a share",
            Dimension::Bytes => "a size in bytes",
            Dimension::Time => "a time",
            Dimension::Money => "an amount of money",
            Dimension::MoneyPerTime => "a price per time",
        }
    }

    /// The usual spellings of its units.
    pub fn units(self) -> Vec<&'static str> {
        UNITS.iter().filter(|unit| unit.dimension == self && unit.listed).map(|unit| unit.name).collect()
    }
}

/// A unit: a spelling, what it measures, and its size in base units.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// As written in a recipe.
    pub name: &'static str,
    /// What it measures.
    pub dimension: Dimension,
    /// Base units in one of it.
    pub factor: f64,
    /// Whether messages list this spelling.
    listed: bool,
}

/// Two spellings of one unit are equal.
impl PartialEq for Unit {
    fn eq(&self, other: &Self) -> bool {
        self.dimension == other.dimension && self.factor == other.factor
    }
}

const fn unit(name: &'static str, dimension: Dimension, factor: f64) -> Unit {
    Unit { name, dimension, factor, listed: true }
}

const fn alias(name: &'static str, dimension: Dimension, factor: f64) -> Unit {
    Unit { name, dimension, factor, listed: false }
}

/// Every unit.
pub const UNITS: &[Unit] = &[
    unit("tokens", Dimension::Tokens, 1.0),
    alias("token", Dimension::Tokens, 1.0),
    unit("sequences", Dimension::Sequences, 1.0),
    alias("sequence", Dimension::Sequences, 1.0),
    unit("steps", Dimension::Steps, 1.0),
    alias("step", Dimension::Steps, 1.0),
    unit("epochs", Dimension::Epochs, 1.0),
    alias("epoch", Dimension::Epochs, 1.0),
    unit("%", Dimension::Share, 0.01),
    unit("B", Dimension::Bytes, 1.0),
    alias("bytes", Dimension::Bytes, 1.0),
    unit("KB", Dimension::Bytes, 1e3),
    alias("kB", Dimension::Bytes, 1e3),
    unit("MB", Dimension::Bytes, 1e6),
    unit("GB", Dimension::Bytes, 1e9),
    unit("TB", Dimension::Bytes, 1e12),
    unit("KiB", Dimension::Bytes, 1024.0),
    unit("MiB", Dimension::Bytes, 1024.0 * 1024.0),
    unit("GiB", Dimension::Bytes, 1024.0 * 1024.0 * 1024.0),
    unit("TiB", Dimension::Bytes, 1024.0 * 1024.0 * 1024.0 * 1024.0),
    unit("s", Dimension::Time, 1.0),
    alias("seconds", Dimension::Time, 1.0),
    unit("min", Dimension::Time, 60.0),
    alias("minutes", Dimension::Time, 60.0),
    unit("h", Dimension::Time, 3600.0),
    alias("hours", Dimension::Time, 3600.0),
    unit("days", Dimension::Time, 86400.0),
    alias("day", Dimension::Time, 86400.0),
    unit("USD", Dimension::Money, 1.0),
    unit("USD/h", Dimension::MoneyPerTime, 1.0 / 3600.0),
];

/// The unit written `text`; an unknown one is `E0306` with the nearest known one.
pub fn find(text: &str, span: &Span) -> Result<Unit, Box<Diagnostic>> {
    if let Some(unit) = UNITS.iter().find(|unit| unit.name == text) {
        return Ok(*unit);
    }
    let known: Vec<&str> = UNITS.iter().map(|unit| unit.name).collect();
    let diagnostic = Diagnostic::error(UNKNOWN_UNIT, format!("unknown unit `{text}`")).label(span, "not a unit");
    Err(Box::new(match suggestion(text, &known) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    }))
}

/// `E0307`: what stands at `span` (`found`, e.g. "a number of steps") should be one of `wanted`.
pub fn wrong_unit(found: &str, span: &Span, wanted: &[Dimension]) -> Box<Diagnostic> {
    let expected: Vec<&str> = wanted.iter().map(|each| each.describe()).collect();
    let units: Vec<String> = wanted.iter().flat_map(|each| each.units()).map(|unit| format!("`{unit}`")).collect();
    Box::new(
        Diagnostic::error(WRONG_UNIT, format!("expected {}, found {found}", expected.join(" or ")))
            .label(span, format!("this is {found}"))
            .help(format!("units that fit: {}", units.join(", "))),
    )
}
