//! Turns a failure of the grammar into plain words: what was expected, what stands there, what to do.

use pest::error::{Error, ErrorVariant, InputLocation};

use super::Rule;
use super::lex::{Token, TokenKind};
use super::slips;
use super::split::Chunk;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

/// The place where the grammar failed, seen as tokens.
pub(crate) struct Scene<'a> {
    pub(crate) source: &'a Source,
    pub(crate) tokens: &'a [Token],
    /// Index of the token that does not fit; `tokens.len()` at the end of the item.
    pub(crate) found: usize,
    /// True if the line ended too early: the found token stands on a later line.
    pub(crate) line_ended: bool,
    /// What the grammar would have taken, without duplicates.
    pub(crate) expected: Vec<Expected>,
}

/// What may stand at a place, in the order in which it is listed to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Expected {
    Item,
    Name,
    Expression,
    String,
    Equals,
    Colon,
    Comma,
    Ellipsis,
    OpenParen,
    OpenBrace,
    OpenBracket,
    As,
    CloseParen,
    CloseBracket,
    NewLine,
    CloseBrace,
    End,
    /// Operators and suffixes, which may follow every expression: said only where nothing else fits.
    Operator,
}

impl Expected {
    fn of(rule: Rule) -> Option<Self> {
        Some(match rule {
            Rule::item | Rule::import | Rule::let_item | Rule::param | Rule::declaration | Rule::function => {
                Expected::Item
            }
            Rule::declared_kind | Rule::function_kind | Rule::kw_import | Rule::kw_let | Rule::kw_param => {
                Expected::Item
            }
            Rule::name | Rule::label | Rule::path | Rule::field | Rule::parameter | Rule::assign => Expected::Name,
            Rule::expression | Rule::count | Rule::number | Rule::literal | Rule::bool | Rule::none => {
                Expected::Expression
            }
            Rule::reference | Rule::call | Rule::argument | Rule::list | Rule::group => Expected::Expression,
            Rule::negate | Rule::not | Rule::statement | Rule::bare => Expected::Expression,
            Rule::string => Expected::String,
            Rule::equals => Expected::Equals,
            Rule::colon => Expected::Colon,
            Rule::comma => Expected::Comma,
            Rule::leading => Expected::Ellipsis,
            Rule::parameters | Rule::open_paren => Expected::OpenParen,
            Rule::body | Rule::open_brace => Expected::OpenBrace,
            Rule::tensor | Rule::open_bracket => Expected::OpenBracket,
            Rule::kw_as => Expected::As,
            Rule::close_paren => Expected::CloseParen,
            Rule::close_bracket => Expected::CloseBracket,
            Rule::separator => Expected::NewLine,
            Rule::close_brace => Expected::CloseBrace,
            Rule::end | Rule::EOI => Expected::End,
            Rule::or | Rule::and | Rule::equal | Rule::not_equal | Rule::less | Rule::less_equal => Expected::Operator,
            Rule::greater | Rule::greater_equal | Rule::add | Rule::subtract | Rule::multiply => Expected::Operator,
            Rule::divide | Rule::power | Rule::of | Rule::kw_of | Rule::naming | Rule::naming_as => Expected::Operator,
            Rule::member | Rule::dot | Rule::arguments | Rule::open_call | Rule::percent | Rule::unit => {
                Expected::Operator
            }
            _ => return None,
        })
    }

    fn words(self) -> &'static str {
        match self {
            Expected::Item => "an item such as `let`, `model` or `stage`",
            Expected::Name => "a name",
            Expected::Expression => "a value",
            Expected::String => "a string in double quotes",
            Expected::Equals => "`=`",
            Expected::Colon => "`:`",
            Expected::Comma => "`,`",
            Expected::Ellipsis => "`...`",
            Expected::OpenParen => "`(`",
            Expected::OpenBrace => "`{`",
            Expected::OpenBracket => "`[`",
            Expected::As => "`as`",
            Expected::CloseParen => "`)`",
            Expected::CloseBracket => "`]`",
            Expected::NewLine => "a new line",
            Expected::CloseBrace => "`}`",
            Expected::End => "a new line",
            Expected::Operator => "an operator",
        }
    }
}

impl<'a> Scene<'a> {
    /// The text of the token that does not fit; empty at the end of the item.
    pub(crate) fn found_text(&self) -> &'a str {
        self.text(self.found)
    }

    /// The text of the token before it.
    pub(crate) fn before_text(&self) -> &'a str {
        self.found.checked_sub(1).map_or("", |index| self.text(index))
    }

    /// The text of a token, empty if there is none.
    pub(crate) fn text(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |token| token.text(self.source))
    }

    /// The kind of a token.
    pub(crate) fn kind(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// True if the grammar would have taken this.
    pub(crate) fn expects(&self, expected: Expected) -> bool {
        self.expected.contains(&expected)
    }

    /// The innermost bracket that is open before the found token, and its token's index.
    pub(crate) fn inside(&self) -> Option<(&'a str, usize)> {
        let mut open = Vec::new();
        for index in 0..self.found {
            match self.text(index) {
                "{" | "[" | "(" => open.push(index),
                "}" | "]" | ")" => {
                    open.pop();
                }
                _ => {}
            }
        }
        open.last().map(|&index| (self.text(index), index))
    }

    /// True inside a `block` or `model`.
    pub(crate) fn in_function(&self) -> bool {
        matches!(self.text(0), "block" | "model")
    }

    /// Where the caret goes: the token, or the end of the line that ended too early.
    fn place(&self) -> Span {
        match self.tokens.get(self.found) {
            Some(token) if !self.line_ended => token.span(self.source),
            _ => {
                let end = self.found.checked_sub(1).map_or(0, |index| self.tokens[index].end);
                Span::new(self.source, end, end)
            }
        }
    }

    /// Plain words for the token that does not fit.
    pub(crate) fn found_words(&self) -> String {
        match self.tokens.get(self.found) {
            None if self.place().end == self.source.text().trim_end().len() => "the end of the file".into(),
            None => "the end of the line".into(),
            Some(_) if self.line_ended => "the end of the line".into(),
            Some(token) => describe(token, self.source),
        }
    }
}

fn describe(token: &Token, source: &Source) -> String {
    let text = token.text(source);
    if text.chars().count() <= 40 { format!("`{text}`") } else { "this text".into() }
}

/// The diagnostic for a failed parse of `chunk`.
pub(crate) fn explain(source: &Source, chunk: Chunk, error: &Error<Rule>) -> Diagnostic {
    let failed_at = chunk.start()
        + match error.location {
            InputLocation::Pos(position) | InputLocation::Span((position, _)) => position,
        };
    let rules: &[Rule] = match &error.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let mut expected: Vec<Expected> = rules.iter().filter_map(|&rule| Expected::of(rule)).collect();
    expected.sort();
    expected.dedup();
    let found = chunk.tokens.partition_point(|token| token.end <= failed_at);
    let mut line_ended = chunk.tokens.get(found).is_some_and(|token| token.line_breaks > 0 && token.start > failed_at);
    if line_ended && expected.contains(&Expected::End) {
        // The item was complete: what follows it on the next line is none.
        line_ended = false;
        expected = vec![Expected::Item];
    }
    let scene = Scene { source, tokens: chunk.tokens, found, line_ended, expected };
    let place = scene.place();
    if let Some(slip) = slips::recognise(&scene) {
        return Diagnostic::error(codes::UNEXPECTED_TOKEN, slip.message).label(&place, slip.label).help(slip.help);
    }
    let expected = list(&scene.expected);
    let found = scene.found_words();
    Diagnostic::error(codes::UNEXPECTED_TOKEN, format!("expected {expected}, found {found}"))
        .label(&place, format!("expected {expected}"))
}

/// `a name, `=` or a new line`
fn list(expected: &[Expected]) -> String {
    let closes_line = expected.contains(&Expected::NewLine);
    let any_value = expected.contains(&Expected::Expression);
    let words: Vec<&str> = expected
        .iter()
        .filter(|&&one| one != Expected::Operator || expected.len() == 1)
        .filter(|&&one| !(closes_line && one == Expected::CloseBrace))
        .filter(|&&one| !(any_value && matches!(one, Expected::String | Expected::OpenParen | Expected::OpenBracket)))
        .map(|one| one.words())
        .collect();
    match words.as_slice() {
        [] => "something else".into(),
        [one] => (*one).into(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
