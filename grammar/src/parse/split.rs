//! Splits a file's tokens into top-level items, so that a mistake in one does not hide the next.

use super::lex::{KEYWORDS, Token, TokenKind};
use crate::source::Source;

/// The tokens of one top-level item, without comments; never empty.
#[derive(Clone, Copy)]
pub(crate) struct Chunk<'a> {
    pub(crate) tokens: &'a [Token],
    /// True if it begins like an item (`stage x {`, `let x =`); otherwise it is only text after one.
    pub(crate) begins_like_item: bool,
}

impl Chunk<'_> {
    pub(crate) fn start(&self) -> usize {
        self.tokens.first().map_or(0, |token| token.start)
    }

    pub(crate) fn end(&self) -> usize {
        self.tokens.last().map_or(0, |token| token.end)
    }
}

/// Cuts before every token that begins an item. Inside open brackets only an item at the very start
/// of a line cuts: there the closing bracket before it is missing.
pub(crate) fn split<'a>(source: &Source, tokens: &'a [Token]) -> Vec<Chunk<'a>> {
    let mut chunks = Vec::new();
    let mut first = 0;
    let mut depth = 0usize;
    for (index, token) in tokens.iter().enumerate() {
        if index > first && token.line_breaks > 0 {
            let begins_like_item = begins_like_item(source, &tokens[index..]);
            let cut = if depth == 0 {
                begins_like_item || begins_anew(source, &tokens[index - 1], token)
            } else {
                begins_like_item && is_at_line_start(source, token)
            };
            if cut {
                chunks.push(chunk(source, &tokens[first..index]));
                first = index;
                depth = 0;
            }
        }
        match token.kind {
            TokenKind::Symbol => match token.text(source) {
                "{" | "[" | "(" => depth += 1,
                "}" | "]" | ")" => depth = depth.saturating_sub(1),
                _ => {}
            },
            TokenKind::Word | TokenKind::Number | TokenKind::String | TokenKind::Comment => {}
        }
    }
    if first < tokens.len() {
        chunks.push(chunk(source, &tokens[first..]));
    }
    chunks
}

fn chunk<'a>(source: &Source, tokens: &'a [Token]) -> Chunk<'a> {
    Chunk { tokens, begins_like_item: begins_like_item(source, tokens) }
}

fn is_at_line_start(source: &Source, token: &Token) -> bool {
    token.start == 0 || source.text()[..token.start].ends_with(['\n', '\r'])
}

/// `import "..."`, `let name =`, `param name:`, `block name(`, `stage name {`, `stage name from`.
fn begins_like_item(source: &Source, tokens: &[Token]) -> bool {
    let [first, second, ..] = tokens else {
        return false;
    };
    if first.kind != TokenKind::Word || second.line_breaks > 0 {
        return false;
    }
    let head = first.text(source);
    let third = tokens.get(2).map_or("", |token| token.text(source));
    let is_name = |token: &Token| token.kind == TokenKind::Word && !KEYWORDS.contains(&token.text(source));
    match head {
        "import" => second.kind == TokenKind::String,
        "let" | "param" => second.kind == TokenKind::Word && matches!(third, ":" | "="),
        // `model and (...)` is an expression.
        "block" | "model" => is_name(second) && matches!(third, "(" | "{"),
        _ => is_name(first) && is_name(second) && matches!(third, "{" | "from"),
    }
}

/// Outside all brackets, a word on a new line begins something unless the line before must go on.
fn begins_anew(source: &Source, before: &Token, token: &Token) -> bool {
    let goes_on = before.kind == TokenKind::Symbol && !matches!(before.text(source), "}" | "]" | ")");
    token.kind == TokenKind::Word
        && !goes_on
        && !matches!(token.text(source), "from" | "else" | "as" | "of" | "and" | "or")
}
