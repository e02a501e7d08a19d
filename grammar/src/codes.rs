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
}
