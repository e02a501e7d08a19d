//! Bounds how deep a tree can become, before anything recursive sees it: neither the parser nor any
//! later stage can then run out of stack, whatever the text is.

use super::lex::{Token, TokenKind};
use super::split::Chunk;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::Source;

/// Brackets, braces and `else` branches inside one another.
pub(crate) const MAX_NESTING: usize = 64;
/// Operators (prefix, infix, `.`, `as`, `of`) whose operands are still open, over all levels.
pub(crate) const MAX_OPERATORS: usize = 256;

/// One open bracket, or the item itself.
#[derive(Default)]
struct Level {
    /// Operators of the expression under way.
    operators: usize,
    /// `else` branches of the `if` under way: each is a level in the tree.
    branches: usize,
}

/// An error at the first token that goes too deep.
pub(crate) fn check(source: &Source, chunk: Chunk) -> Option<Diagnostic> {
    let mut levels = vec![Level::default()];
    // Sums over `levels`, kept up to date.
    let (mut operators, mut branches) = (0, 0);
    let mut before: Option<&Token> = None;
    for token in chunk.tokens {
        let text = if token.kind == TokenKind::String { "" } else { token.text(source) };
        let after_block = before.is_some_and(|before| before.is(source, "}"));
        let goes_on = before.is_some_and(|before| is_operator(before.text(source)));
        let nested = levels.len() > 1;
        let Some(level) = levels.last_mut() else {
            break;
        };
        let separates = matches!(text, "," | ";" | "=" | ":") || (token.line_breaks > 0 && !goes_on);
        if separates && text != "else" {
            operators -= std::mem::take(&mut level.operators);
        }
        if after_block && text != "else" {
            branches -= std::mem::take(&mut level.branches);
        }
        match text {
            "{" | "[" | "(" => levels.push(Level::default()),
            "}" | "]" | ")" if nested => {
                if let Some(closed) = levels.pop() {
                    operators -= closed.operators;
                    branches -= closed.branches;
                }
            }
            "else" => {
                level.branches += 1;
                branches += 1;
            }
            _ if is_operator(text) => {
                level.operators += 1;
                operators += 1;
            }
            _ => {}
        }
        if levels.len() - 1 + branches > MAX_NESTING || operators > MAX_OPERATORS {
            return Some(too_deep(source, token, operators > MAX_OPERATORS));
        }
        before = Some(token);
    }
    None
}

fn is_operator(text: &str) -> bool {
    matches!(
        text,
        "+" | "-" | "*" | "/" | "^" | "." | "<" | ">" | "==" | "!=" | "<=" | ">=" | "not" | "and" | "or" | "as" | "of"
    )
}

fn too_deep(source: &Source, token: &Token, operators: bool) -> Diagnostic {
    let (message, label) = if operators {
        (format!("more than {MAX_OPERATORS} operators in one expression"), "the expression is too long here")
    } else {
        (format!("nested deeper than {MAX_NESTING} levels"), "this is too deep")
    };
    Diagnostic::error(codes::NESTED_TOO_DEEPLY, message)
        .label(&token.span(source), label)
        .help("give an inner part a name with `let`, or move it into a `block`")
}
