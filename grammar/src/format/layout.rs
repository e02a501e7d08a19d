//! Writes a logical line: flat where it fits, groups broken one element a line where it does not.

use super::lines::Line;
use super::marks::Marks;
use super::pieces::{self, Group, Piece};
use crate::parse::lex::{KEYWORDS, Token, TokenKind};
use crate::source::Source;

/// Longest line that is not broken where it could be; comments may stick out.
const WIDTH: usize = 100;
/// Spaces a level.
const INDENT: usize = 2;

/// Writes a line and its line break.
pub(crate) fn write(text: &mut String, source: &Source, marks: &Marks, line: &Line) {
    let indent = line.depth * INDENT;
    let mut writer = Writer { source, marks, text, column: 0, before: None };
    writer.start_line(indent);
    let mut pieces = pieces::group(source, &line.tokens);
    let trailing = match pieces.pop() {
        Some(Piece::Comment(comment)) if !pieces.is_empty() => Some(comment),
        Some(last) => {
            pieces.push(last);
            None
        }
        None => None,
    };
    writer.pieces(&pieces, indent, 0);
    if let Some(comment) = trailing {
        writer.comment(&comment);
    }
    writer.end_line();
}

struct Writer<'a> {
    source: &'a Source,
    marks: &'a Marks,
    text: &'a mut String,
    column: usize,
    /// The token written before on this line.
    before: Option<Token>,
}

impl Writer<'_> {
    fn start_line(&mut self, indent: usize) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.column = indent;
        self.before = None;
    }

    fn end_line(&mut self) {
        self.text.push('\n');
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.chars().count();
    }

    fn token(&mut self, token: &Token) {
        if self.before.is_some_and(|before| self.space_between(&before, token)) {
            self.push(" ");
        }
        self.push(token.text(self.source).trim_end());
        self.before = Some(*token);
    }

    /// A comment at the end of what is on the line.
    fn comment(&mut self, comment: &Token) {
        if self.before.is_some() {
            self.push("  ");
        }
        self.push(comment.text(self.source).trim_end());
        self.before = Some(*comment);
    }

    /// Writes pieces on lines indented by `indent`; `after` columns must stay free behind them.
    fn pieces(&mut self, pieces: &[Piece], indent: usize, after: usize) {
        let mut indent = indent;
        let continued = indent + INDENT;
        for (index, piece) in pieces.iter().enumerate() {
            let first = match piece {
                Piece::Token(token) | Piece::Comment(token) => token,
                Piece::Group(group) => &group.open,
            };
            let after_comment = self.before.is_some_and(|before| before.kind == TokenKind::Comment);
            if index > 0 && (after_comment || self.breaks_before(&pieces[index - 1], first)) {
                self.end_line();
                indent = continued;
                self.start_line(indent);
            }
            match piece {
                Piece::Token(token) => self.token(token),
                Piece::Comment(comment) => self.comment(comment),
                Piece::Group(group) => {
                    let rest = self.width_to_next_group(&pieces[index + 1..], after);
                    self.group(group, indent, rest);
                }
            }
        }
    }

    /// True where the user broke the line after an infix operator.
    fn breaks_before(&self, previous: &Piece, next: &Token) -> bool {
        match previous {
            Piece::Token(operator) => next.line_breaks > 0 && self.marks.infix.contains(&operator.start),
            Piece::Comment(_) => true,
            Piece::Group(_) => next.kind == TokenKind::Comment && next.line_breaks > 0,
        }
    }

    fn group(&mut self, group: &Group, indent: usize, rest: usize) {
        self.token(&group.open);
        if let Some(flat) = self.flat_group(group)
            && (self.column + flat.chars().count() + rest <= WIDTH || group.elements.is_empty())
        {
            self.push(&flat);
            self.before = Some(group.close);
            return;
        }
        if let Some(comment) = &group.after_open {
            self.comment(comment);
        }
        self.end_line();
        let inner = indent + INDENT;
        for element in &group.elements {
            self.comment_lines(&element.before, inner);
            self.start_line(inner);
            self.pieces(&element.pieces, inner, usize::from(group.takes_commas));
            if group.takes_commas {
                self.push(",");
            }
            if let Some(comment) = &element.after {
                self.comment(comment);
            }
            self.end_line();
        }
        self.comment_lines(&group.before_close, inner);
        self.start_line(indent);
        self.token(&group.close);
    }

    fn comment_lines(&mut self, comments: &[Token], indent: usize) {
        for comment in comments {
            self.start_line(indent);
            self.comment(comment);
            self.end_line();
        }
    }

    /// The inside of a group and its closing bracket on one line, unless something in it must break.
    fn flat_group(&self, group: &Group) -> Option<String> {
        if group.after_open.is_some() || !group.before_close.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (index, element) in group.elements.iter().enumerate() {
            if !element.before.is_empty() || element.after.is_some() {
                return None;
            }
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(&self.flat(&element.pieces)?);
        }
        text.push_str(group.close.text(self.source));
        Some(text)
    }

    fn flat(&self, pieces: &[Piece]) -> Option<String> {
        let mut text = String::new();
        let mut before: Option<Token> = None;
        for (index, piece) in pieces.iter().enumerate() {
            let (first, last, inside) = match piece {
                Piece::Token(token) => (token, token, String::new()),
                Piece::Comment(_) => return None,
                Piece::Group(group) => (&group.open, &group.close, self.flat_group(group)?),
            };
            if index > 0 && self.breaks_before(&pieces[index - 1], first) {
                return None;
            }
            if before.is_some_and(|before| self.space_between(&before, first)) {
                text.push(' ');
            }
            text.push_str(first.text(self.source));
            text.push_str(&inside);
            before = Some(*last);
        }
        Some(text)
    }

    /// Columns from behind a group to the next place where the line could break.
    fn width_to_next_group(&self, pieces: &[Piece], after: usize) -> usize {
        let mut width = 0;
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Comment(_) => return width,
                Piece::Group(_) => return width + 2,
                Piece::Token(token) => {
                    if index > 0 && self.breaks_before(&pieces[index - 1], token) {
                        return width;
                    }
                    width += 1 + token.text(self.source).chars().count();
                }
            }
        }
        width + after
    }

    /// Whether one space stands between two tokens on a line, or none.
    fn space_between(&self, before: &Token, token: &Token) -> bool {
        if before.kind == TokenKind::Comment || token.kind == TokenKind::Comment {
            return true;
        }
        let infix = |token: &Token| self.marks.infix.contains(&token.start);
        let left = before.text(self.source);
        let right = token.text(self.source);
        if infix(before) || infix(token) {
            return true;
        }
        let opens = matches!(left, "(" | "[" | ".");
        let sticks = matches!(right, "," | ":" | ")" | "]" | "." | "%");
        let calls = right == "(" && before.kind == TokenKind::Word && !KEYWORDS.contains(&left);
        // What is no infix operator is a sign or the stroke in a unit such as `USD/h`.
        let sign = left == "-";
        let in_unit = left == "/" || right == "/";
        let empty_block = left == "{" && right == "}";
        !(opens || sticks || calls || sign || in_unit || empty_block)
    }
}
