//! The stable codes of every diagnostic, with the text that `llmc explain` prints.
//!
//! A code never changes its meaning and is never reused. Ranges: `E01xx` syntax, `E02xx` names and imports,
//! `E03xx` values, types and units, `E04xx` declarations and fields, `E05xx` tensors and shapes,
//! `E06xx` stages (model, objective, data and tokenizer together), `E07xx` data and tokenizer files,
//! `E08xx` checkpoints and runs, `E09xx` command line and machine. `W....` are warnings.

/// One row of the table: a stable code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    name: &'static str,
    title: &'static str,
    explanation: &'static str,
}

impl Code {
    /// `E0201`
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A few words.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// A paragraph or more: what it means, an example, the way out.
    pub fn explanation(&self) -> &'static str {
        self.explanation
    }
}

/// Looks a code up by its name, in any case.
pub fn find(name: &str) -> Option<Code> {
    ALL.iter()
        .copied()
        .find(|code| code.name.eq_ignore_ascii_case(name))
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $title)]
        pub const $constant: Code = Code { name: $name, title: $title, explanation: $explanation };)*
        /// Every code, in order.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    UNEXPECTED_TOKEN = "E0101", "unexpected text", "\
The text at the caret does not fit the grammar. The message names what may stand there.";
    NESTED_TOO_DEEPLY = "E0102", "nested too deeply", "\
Brackets, braces or operators are nested deeper than the language allows (64 levels). \
Give the inner part a name with `let` or move it into a `block`.";
    WRONG_KIND = "E0301", "wrong kind of value", "\
A value of another kind is needed here: a number where a text stands, a text where a list stands, and so on. \
Whole numbers are taken where a fraction is needed, never the other way round.";
    NOT_EXACT = "E0302", "division is not exact", "\
`/` between whole numbers and dimensions must be exact, since sizes are whole: `768 / 7` is an error. \
Change one of the two, or make it a fraction on purpose: `768.0 / 7`, `floor(768.0 / 7)`.";
    OUT_OF_RANGE = "E0303", "number out of range", "\
The result is too large for a 64-bit number, or lies outside the range that is allowed here.";
    DIVISION_BY_ZERO = "E0304", "division by zero", "\
The divisor is zero. If it comes from a `param`, look at what `--set` gave it.";
    NOT_A_NUMBER = "E0305", "not a number", "\
The result is not a finite number, as in `sqrt(-1.0)` or `1e300 * 1e300`.";
    UNKNOWN_UNIT = "E0306", "unknown unit", "\
Units are `tokens`, `sequences`, `steps`, `epochs`, `%`, bytes (`KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB`), \
times (`s`, `min`, `h`, `days`), `USD` and `USD/h`.";
    WRONG_UNIT = "E0307", "wrong unit", "\
The number has a unit of another dimension than is needed here, or none where one is needed. \
`global_batch = 512` could mean tokens or sequences, so the unit must be said.";
    UNIT_MISMATCH = "E0308", "units do not go together", "\
Quantities are added, subtracted and compared only with equal units, and multiplied or divided only by plain numbers.";
    UNKNOWN_VALUE = "E0309", "unknown name in a value", "\
The name is not a `let`, a `param`, a parameter, a dimension or a binding that is known at this place.";
    UNKNOWN_MEMBER = "E0310", "unknown member", "\
What stands left of the dot has no such member. A tokenizer has `vocab`.";
    NOT_CONSTANT = "E0311", "not a constant", "\
Only numbers, texts, lists and arithmetic on them may stand here: the value must be known before anything runs.";
    WRONG_ARGUMENTS = "E0312", "wrong arguments of a constant function", "\
`min` and `max` take one or more numbers; `floor`, `ceil`, `round` and `sqrt` take one.";
}
