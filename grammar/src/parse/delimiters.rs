//! Matches the brackets of one item, so that a missing one is reported where it was opened.

use super::lex::{Token, TokenKind};
use super::split::Chunk;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

/// The first bracket that is missing, left over or of the wrong kind.
pub(crate) fn check(source: &Source, chunk: Chunk) -> Option<Diagnostic> {
    let tokens = chunk.tokens;
    let mut open: Vec<usize> = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if token.kind != TokenKind::Symbol {
            continue;
        }
        let text = token.text(source);
        match text {
            "{" | "[" | "(" => open.push(index),
            "}" | "]" | ")" => {
                let matches = |&opener: &usize| closing(tokens[opener].text(source)) == text;
                match open.last() {
                    Some(opener) if matches(opener) => {
                        open.pop();
                    }
                    Some(&opener) if open.iter().any(matches) => {
                        return Some(unclosed(source, tokens, opener, index));
                    }
                    Some(&opener) => return Some(mismatched(source, tokens, opener, token)),
                    None => return Some(stray(source, token)),
                }
            }
            _ => {}
        }
    }
    let &opener = open.last()?;
    Some(badly_indented(source, tokens, opener).unwrap_or_else(|| unclosed(source, tokens, opener, tokens.len())))
}

/// Among the blocks inside `opener`, the last whose `}` stands left of the line that opened it: more likely than
/// `opener`, that is the one whose own `}` is missing.
fn badly_indented(source: &Source, tokens: &[Token], opener: usize) -> Option<Diagnostic> {
    let mut open = Vec::new();
    let mut suspect = None;
    for (index, token) in tokens.iter().enumerate().skip(opener + 1) {
        match token.text(source) {
            "{" => open.push(index),
            "}" => {
                let inner = open.pop()?;
                let starts_line = token.line_breaks > 0;
                if starts_line && column(source, token) < column(source, line_head(tokens, inner)) {
                    suspect = Some(inner);
                }
            }
            _ => {}
        }
    }
    let inner = suspect?;
    let indent = column(source, line_head(tokens, inner));
    let end = (inner + 1..tokens.len())
        .find(|&index| tokens[index].line_breaks > 0 && column(source, &tokens[index]) <= indent)?;
    Some(unclosed(source, tokens, inner, end))
}

/// The first token of the line that a token stands on.
fn line_head(tokens: &[Token], index: usize) -> &Token {
    let head = (0..=index).rev().find(|&index| tokens[index].line_breaks > 0);
    &tokens[head.unwrap_or(0)]
}

/// Bytes between the start of the line and a token.
fn column(source: &Source, token: &Token) -> usize {
    let before = &source.text()[..token.start];
    token.start - before.rfind(['\n', '\r']).map_or(0, |line_break| line_break + 1)
}

fn closing(open: &str) -> &'static str {
    match open {
        "{" => "}",
        "[" => "]",
        _ => ")",
    }
}

/// `opener` is still open at token `end`, where something else closes or the item ends.
fn unclosed(source: &Source, tokens: &[Token], opener: usize, end: usize) -> Diagnostic {
    let expected = closing(tokens[opener].text(source));
    let what = opened_thing(source, tokens, opener);
    // A field or statement (`name =` at the start of a line) cannot stand in parentheses or brackets:
    // there the bracket was forgotten.
    let place = if expected == "}" {
        None
    } else {
        tokens[opener..end]
            .windows(2)
            .position(|pair| pair[0].line_breaks > 0 && pair[0].kind == TokenKind::Word && pair[1].is(source, "="))
    };
    let index = place.map_or(end, |offset| opener + offset);
    let span = match tokens.get(index) {
        Some(token) if token.line_breaks == 0 => token.span(source),
        _ => {
            let after = tokens[index - 1].end;
            Span::new(source, after, after)
        }
    };
    Diagnostic::error(codes::UNCLOSED_DELIMITER, format!("expected `{expected}` to close {what} opened here"))
        .label(&span, format!("expected `{expected}`"))
        .label(&tokens[opener].span(source), "opened here")
}

fn mismatched(source: &Source, tokens: &[Token], opener: usize, found: &Token) -> Diagnostic {
    let expected = closing(tokens[opener].text(source));
    let text = found.text(source);
    let what = opened_thing(source, tokens, opener);
    Diagnostic::error(
        codes::UNCLOSED_DELIMITER,
        format!("expected `{expected}` to close {what} opened here, found `{text}`"),
    )
    .label(&found.span(source), format!("expected `{expected}`"))
    .label(&tokens[opener].span(source), "opened here")
    .help(format!("write `{expected}` instead of `{text}`"))
}

fn stray(source: &Source, token: &Token) -> Diagnostic {
    let text = token.text(source);
    Diagnostic::error(codes::UNCLOSED_DELIMITER, format!("this `{text}` closes nothing"))
        .label(&token.span(source), "nothing is open here")
        .help(format!("delete it, or add the `{}` that it should close", opening(text)))
}

fn opening(close: &str) -> &'static str {
    match close {
        "}" => "{",
        "]" => "[",
        _ => "(",
    }
}

/// Plain words for what a bracket opens: ``the `stage` ``, ``the arguments of `adamw` ``, `the list`.
fn opened_thing(source: &Source, tokens: &[Token], opener: usize) -> String {
    let before = opener.checked_sub(1).map(|index| &tokens[index]);
    match tokens[opener].text(source) {
        "(" => match before {
            Some(word) if word.kind == TokenKind::Word => {
                format!("the parenthesis of `{}`", word.text(source))
            }
            _ => "the parenthesis".into(),
        },
        "[" => "the list".into(),
        _ => {
            // The head of a block is the first word of its line or statement.
            let head = tokens[..opener]
                .iter()
                .enumerate()
                .rev()
                .find(|(index, token)| {
                    let starts = *index == 0
                        || token.line_breaks > 0
                        || matches!(tokens[index - 1].text(source), "{" | "}" | ";");
                    token.kind == TokenKind::Word && starts
                })
                .map(|(_, token)| token.text(source));
            head.map_or_else(|| "the brace".into(), |head| format!("the `{head}`"))
        }
    }
}
