//! Cuts the tokens into logical lines: a field, a statement, a head up to its `{`, a `}`, a comment.

use super::marks::Marks;
use crate::parse::lex::{Token, TokenKind};
use crate::source::Source;

/// The tokens of one logical line, which may be laid out on several.
pub(crate) struct Line {
    pub(crate) tokens: Vec<Token>,
    /// Levels of braces around it.
    pub(crate) depth: usize,
    /// True if a blank line stands before it.
    pub(crate) blank_before: bool,
}

/// All logical lines in order.
pub(crate) fn split(source: &Source, marks: &Marks, mut tokens: Vec<Token>) -> Vec<Line> {
    turn_semicolons_into_breaks(source, &mut tokens);
    move_comments_behind_braces(source, &mut tokens);
    break_after_comments(&mut tokens);
    let mut lines: Vec<Line> = Vec::new();
    let mut depth = 0usize;
    for (index, &token) in tokens.iter().enumerate() {
        if index == 0 || begins(source, marks, &tokens, index) {
            let closes = token.is(source, "}");
            let after_opening = index.checked_sub(1).is_some_and(|before| tokens[before].is(source, "{"));
            lines.push(Line {
                tokens: Vec::new(),
                depth: if closes { depth.saturating_sub(1) } else { depth },
                blank_before: token.line_breaks > 1 && index > 0 && !closes && !after_opening,
            });
        }
        if token.is(source, "{") {
            depth += 1;
        } else if token.is(source, "}") {
            depth = depth.saturating_sub(1);
        }
        if let Some(line) = lines.last_mut() {
            line.tokens.push(token);
        }
    }
    lines
}

/// A `;` only separates: what follows it stands on a line of its own.
fn turn_semicolons_into_breaks(source: &Source, tokens: &mut Vec<Token>) {
    let mut separated = false;
    tokens.retain_mut(|token| {
        if token.is(source, ";") {
            separated = true;
            return false;
        }
        if separated && token.kind != TokenKind::Comment {
            token.line_breaks = token.line_breaks.max(1);
        }
        separated = false;
        true
    });
}

/// `stage x // note` and `{` on the next line become `stage x { // note`.
fn move_comments_behind_braces(source: &Source, tokens: &mut [Token]) {
    for index in 0..tokens.len() {
        if !tokens[index].is(source, "{") {
            continue;
        }
        let comments = tokens[..index].iter().rev().take_while(|token| token.kind == TokenKind::Comment).count();
        tokens[index - comments..=index].rotate_right(1);
        tokens[index - comments].line_breaks = 0;
        // A comment that stood behind the brace now stands behind another comment.
        if comments > 0
            && let Some(next) = tokens.get_mut(index + 1)
        {
            next.line_breaks = next.line_breaks.max(1);
        }
    }
}

/// Whatever now follows a comment, because a `;` or `{` between them is gone, stands on the next line.
fn break_after_comments(tokens: &mut [Token]) {
    let mut after_comment = false;
    for token in tokens {
        if after_comment {
            token.line_breaks = token.line_breaks.max(1);
        }
        after_comment = token.kind == TokenKind::Comment;
    }
}

/// True if the token starts a logical line.
fn begins(source: &Source, marks: &Marks, tokens: &[Token], index: usize) -> bool {
    let token = &tokens[index];
    let before = &tokens[index - 1];
    if token.kind == TokenKind::Comment {
        // A comment on a line of its own belongs to the expression around it only if that goes on.
        let next = (index + 1..tokens.len()).find(|&next| tokens[next].kind != TokenKind::Comment);
        return token.line_breaks > 0 && next.is_none_or(|next| begins(source, marks, tokens, next));
    }
    if token.is(source, "}") {
        return !before.is(source, "{");
    }
    if token.is(source, "else") && !marks.line_starts.contains(&token.start) {
        return before.kind == TokenKind::Comment && is_after_block(source, tokens, index);
    }
    let else_if = token.is(source, "if") && token.line_breaks == 0 && before.is(source, "else");
    marks.line_starts.contains(&token.start) && !else_if
}

/// True if the token before, comments aside, is a `}`.
fn is_after_block(source: &Source, tokens: &[Token], index: usize) -> bool {
    tokens[..index]
        .iter()
        .rev()
        .find(|token| token.kind != TokenKind::Comment)
        .is_some_and(|token| token.is(source, "}"))
}
