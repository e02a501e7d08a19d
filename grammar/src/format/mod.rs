//! The canonical layout of a recipe.
//!
//! Two spaces of indentation, one field or statement a line, single spaces around `=` and infix operators,
//! at most one blank line in a row; lists and calls longer than 100 columns are broken one element a line.
//! Comments stay where they are, literals stay as they are written, and a line break after an infix
//! operator is kept. The result parses to the same tree, and formatting it again changes nothing.

mod layout;
mod lines;
mod marks;
mod pieces;

use crate::diagnostic::Diagnostics;
use crate::parse::{lex, parse};
use crate::source::Source;
use marks::Marks;

/// The text of a recipe in its canonical layout.
///
/// # Errors
/// The syntax mistakes of [`parse`]: a wrong recipe is left alone.
pub fn format(source: &Source) -> Result<String, Diagnostics> {
    let tree = parse(source)?;
    let marks = Marks::of(&tree);
    let tokens = lex::lex(source).tokens;
    let mut text = String::new();
    for line in lines::split(source, &marks, tokens) {
        if line.blank_before {
            text.push('\n');
        }
        layout::write(&mut text, source, &marks, &line);
    }
    Ok(text)
}
