//! A logical line as text pieces and bracketed groups.

use crate::parse::lex::{KEYWORDS, Token, TokenKind};
use crate::source::Source;

/// A part of a line.
pub(crate) enum Piece {
    Token(Token),
    /// A comment in the middle of an expression: the line must break after it.
    Comment(Token),
    Group(Group),
}

/// `[ ... ]` or `( ... )`.
pub(crate) struct Group {
    pub(crate) open: Token,
    /// A comment on the line of the opening bracket.
    pub(crate) after_open: Option<Token>,
    pub(crate) elements: Vec<Element>,
    /// Comments between the last element and the closing bracket.
    pub(crate) before_close: Vec<Token>,
    pub(crate) close: Token,
    /// True for lists and calls, whose last element may be followed by a comma.
    pub(crate) takes_commas: bool,
}

/// One element of a group with its comments.
#[derive(Default)]
pub(crate) struct Element {
    pub(crate) before: Vec<Token>,
    pub(crate) pieces: Vec<Piece>,
    pub(crate) after: Option<Token>,
}

/// Groups the tokens of a line.
pub(crate) fn group(source: &Source, tokens: &[Token]) -> Vec<Piece> {
    let mut reader = Reader { source, tokens, position: 0 };
    let mut pieces = Vec::new();
    while let Some(token) = reader.next() {
        pieces.push(reader.piece(token));
    }
    pieces
}

struct Reader<'a> {
    source: &'a Source,
    tokens: &'a [Token],
    position: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.position).copied();
        self.position += 1;
        token
    }

    /// The piece that starts with a token that has just been taken.
    fn piece(&mut self, token: Token) -> Piece {
        if token.kind == TokenKind::Comment {
            return Piece::Comment(token);
        }
        match token.text(self.source) {
            "(" => {
                let called = self.position.checked_sub(2).is_some_and(|before| {
                    let before = &self.tokens[before];
                    before.kind == TokenKind::Word && !KEYWORDS.contains(&before.text(self.source))
                });
                Piece::Group(self.rest_of_group(token, called))
            }
            "[" => Piece::Group(self.rest_of_group(token, true)),
            _ => Piece::Token(token),
        }
    }

    /// Everything up to the bracket that closes `open`.
    fn rest_of_group(&mut self, open: Token, takes_commas: bool) -> Group {
        let mut group =
            Group { open, after_open: None, elements: Vec::new(), before_close: Vec::new(), close: open, takes_commas };
        let mut element = Element::default();
        while let Some(token) = self.next() {
            let text = token.text(self.source);
            if token.kind == TokenKind::Comment {
                self.comment(token, &mut group, &mut element);
            } else if matches!(text, ")" | "]") {
                group.close = token;
                break;
            } else if text == "," {
                group.elements.push(std::mem::take(&mut element));
            } else {
                element.pieces.push(self.piece(token));
            }
        }
        if element.pieces.is_empty() {
            group.before_close = element.before;
        } else {
            group.elements.push(element);
        }
        group
    }

    fn comment(&self, comment: Token, group: &mut Group, element: &mut Element) {
        let same_line = comment.line_breaks == 0;
        if !element.pieces.is_empty() {
            if !self.closes_next() {
                element.pieces.push(Piece::Comment(comment));
            } else if same_line {
                // The element is over: only comments stand before the closing bracket.
                element.after = Some(comment);
                group.elements.push(std::mem::take(element));
            } else {
                group.elements.push(std::mem::take(element));
                element.before.push(comment);
            }
            return;
        }
        match group.elements.last_mut() {
            Some(last) if same_line && element.before.is_empty() && last.after.is_none() => {
                last.after = Some(comment);
            }
            None if same_line && group.after_open.is_none() && element.before.is_empty() => {
                group.after_open = Some(comment);
            }
            _ => element.before.push(comment),
        }
    }

    /// True if the next token, comments aside, closes the group.
    fn closes_next(&self) -> bool {
        self.tokens[self.position..]
            .iter()
            .find(|token| token.kind != TokenKind::Comment)
            .is_some_and(|token| matches!(token.text(self.source), ")" | "]"))
    }
}
