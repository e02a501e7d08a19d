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

/// Every code, in order.
pub fn all() -> impl Iterator<Item = Code> {
    GROUPS.iter().flat_map(|group| group.iter().copied())
}

/// Looks a code up by its name, in any case.
pub fn find(name: &str) -> Option<Code> {
    all().find(|code| code.name.eq_ignore_ascii_case(name))
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $title)]
        pub const $constant: Code = Code { name: $name, title: $title, explanation: $explanation };)*
        /// The codes of this group, in order.
        pub(super) const CODES: &[Code] = &[$($constant),*];
    };
}

mod data;
mod fields;
mod files;
mod machine;
mod names;
mod runs;
mod stages;
mod syntax;
mod tensors;
mod values;

pub use data::*;
pub use fields::*;
pub use files::*;
pub use machine::*;
pub use names::*;
pub use runs::*;
pub use stages::*;
pub use syntax::*;
pub use tensors::*;
pub use values::*;

const GROUPS: [&[Code]; 10] = [
    syntax::CODES,
    names::CODES,
    values::CODES,
    fields::CODES,
    tensors::CODES,
    stages::CODES,
    files::CODES,
    data::CODES,
    runs::CODES,
    machine::CODES,
];
