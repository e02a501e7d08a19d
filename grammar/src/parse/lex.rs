//! A light scan before the grammar runs: tokens with their line breaks, for splitting the text into
//! items, matching brackets, bounding depth, naming mistakes and formatting. Mistakes inside a token
//! (strings, numbers, foreign characters) are found here, where they can be named best.

use super::MAX_DIAGNOSTICS;
use super::foreign;
use super::literal;
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Word,
    Number,
    String,
    Symbol,
    Comment,
}

/// A token's kind and place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
    /// Line breaks between the token before and this one.
    pub(crate) line_breaks: usize,
}

impl Token {
    /// The token as written.
    pub(crate) fn text<'a>(&self, source: &'a Source) -> &'a str {
        &source.text()[self.start..self.end]
    }

    /// The token's place.
    pub(crate) fn span(&self, source: &Source) -> Span {
        Span::new(source, self.start, self.end)
    }

    /// True if the token is this symbol or word.
    pub(crate) fn is(&self, source: &Source, text: &str) -> bool {
        matches!(self.kind, TokenKind::Symbol | TokenKind::Word) && self.text(source) == text
    }
}

/// All tokens, comments included, and the mistakes inside them in order of place.
pub(crate) struct Lexed {
    pub(crate) tokens: Vec<Token>,
    pub(crate) mistakes: Vec<Mistake>,
}

/// A mistake inside a token, and where it starts.
pub(crate) struct Mistake {
    pub(crate) start: usize,
    pub(crate) diagnostic: Diagnostic,
}

/// Words with a meaning of their own inside expressions and statements.
pub(crate) const KEYWORDS: [&str; 12] =
    ["as", "of", "and", "or", "not", "if", "else", "repeat", "from", "true", "false", "none"];

const SYMBOLS: [&str; 24] = [
    "...", "==", "!=", "<=", ">=", "{", "}", "[", "]", "(", ")", "=", ":", ",", ".", ";", "+", "-", "*", "/", "^", "<",
    ">", "%",
];

/// Scans the whole text, or up to the mistake that is one too many to be read.
pub(crate) fn lex(source: &Source) -> Lexed {
    let mut lexer = Lexer { source, position: 0, line_breaks: 0, tokens: Vec::new(), mistakes: Vec::new() };
    if source.text().starts_with('\u{FEFF}') {
        lexer.position = '\u{FEFF}'.len_utf8();
    }
    while lexer.position < source.text().len() && lexer.mistakes.len() < MAX_DIAGNOSTICS {
        lexer.step();
    }
    Lexed { tokens: lexer.tokens, mistakes: lexer.mistakes }
}

struct Lexer<'a> {
    source: &'a Source,
    position: usize,
    line_breaks: usize,
    tokens: Vec<Token>,
    mistakes: Vec<Mistake>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        &self.source.text()[self.position..]
    }

    /// Bytes at the start of the rest that satisfy `accept`.
    fn run(&self, offset: usize, accept: impl Fn(u8) -> bool) -> usize {
        self.rest().bytes().skip(offset).take_while(|&byte| accept(byte)).count()
    }

    fn token(&mut self, kind: TokenKind, length: usize) {
        let start = self.position;
        self.position += length;
        self.tokens.push(Token { kind, start, end: self.position, line_breaks: self.line_breaks });
        self.line_breaks = 0;
    }

    fn mistake(&mut self, start: usize, end: usize, diagnostic: Diagnostic, label: &str) {
        let diagnostic = diagnostic.label(&Span::new(self.source, start, end), label);
        self.mistakes.push(Mistake { start, diagnostic });
    }

    /// Takes one token, blank, line break or mistake.
    fn step(&mut self) {
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return;
        };
        match first {
            ' ' | '\t' => self.position += 1,
            '\n' | '\r' => {
                self.position += if rest.starts_with("\r\n") { 2 } else { 1 };
                self.line_breaks += 1;
            }
            '"' => self.string(),
            '0'..='9' => self.number(),
            'a'..='z' | 'A'..='Z' | '_' => {
                self.token(TokenKind::Word, self.run(0, is_word_byte));
            }
            '/' if rest.starts_with("//") => {
                self.token(TokenKind::Comment, self.run(0, |byte| byte != b'\n' && byte != b'\r'));
            }
            _ => self.symbol(rest, first),
        }
    }

    fn symbol(&mut self, rest: &str, first: char) {
        let foreign = foreign::recognise(rest);
        match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) if foreign.is_none() => self.token(TokenKind::Symbol, symbol.len()),
            _ => {
                let foreign = foreign.unwrap_or_else(|| foreign::unknown(rest, first));
                // A foreign letter belongs to the word before it: `größe`.
                let word = self
                    .tokens
                    .last()
                    .filter(|last| last.kind == TokenKind::Word && last.end == self.position && foreign.is_letters);
                let start = word.map_or(self.position, |word| word.start);
                let end = self.position + foreign.marked;
                let diagnostic = Diagnostic::error(codes::FOREIGN_TEXT, foreign.message).help(foreign.help);
                self.mistake(start, end, diagnostic, "here");
                self.position += foreign.skipped;
            }
        }
    }

    /// A string up to its closing quote, or to the end of its line if that is missing.
    fn string(&mut self) {
        let rest = self.rest();
        let mut escaped = false;
        let mut length = rest.len();
        let mut closed = false;
        for (index, byte) in rest.bytes().enumerate().skip(1) {
            if byte == b'\n' || byte == b'\r' {
                length = index;
                break;
            }
            if byte == b'"' && !escaped {
                length = index + 1;
                closed = true;
                break;
            }
            escaped = byte == b'\\' && !escaped;
        }
        let start = self.position;
        if !closed {
            length = self.unclosed_string(start, length);
        } else if let Err(bad) = literal::unescape(&rest[1..length - 1]) {
            let from = start + 1;
            let diagnostic = Diagnostic::error(codes::INVALID_ESCAPE, bad.reason)
                .help("a string knows `\\n`, `\\t`, `\\r`, `\\\"`, `\\\\` and `\\u{1F600}`");
            self.mistake(from + bad.start, from + bad.end, diagnostic, "this escape");
        }
        self.token(TokenKind::String, length);
    }

    /// Reports a string whose first line, `length` bytes, has no closing quote; returns the length to skip.
    fn unclosed_string(&mut self, start: usize, length: usize) -> usize {
        let rest = &self.rest()[length..];
        let end = start + length;
        // An odd quote on the next line is most likely the end of this string.
        let next = rest.trim_start_matches(['\r', '\n']);
        let next_line = next.split(['\r', '\n']).next().unwrap_or("");
        if next_line.bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
            let diagnostic = Diagnostic::error(codes::UNCLOSED_STRING, "a string ends on the line it starts on")
                .help("write the line break as `\\n`, or close the string with `\"` on this line");
            self.mistake(start, end, diagnostic, "the line breaks inside this string");
            let closing = next_line.find('"').map_or(0, |quote| quote + 1);
            return length + (rest.len() - next.len()) + closing;
        }
        let diagnostic = Diagnostic::error(codes::UNCLOSED_STRING, "expected `\"` to close the string opened here")
            .help("a string starts and ends with `\"` on one line; a quote inside it is written `\\\"`");
        self.mistake(start, end, diagnostic, "this string is not closed");
        length
    }

    /// Whether a dot stands just before here, and a name before it.
    fn follows_name_and_dot(&self) -> bool {
        let before = &self.source.text().as_bytes()[..self.position];
        matches!(before, [.., last, b'.'] if is_word_byte(*last))
    }

    /// A number literal with everything that is attached to it.
    fn number(&mut self) {
        let digit = |byte: u8| byte.is_ascii_digit() || byte == b'_';
        let bytes = self.rest().as_bytes();
        let is_digit_at = |index: usize| bytes.get(index).is_some_and(u8::is_ascii_digit);
        let mut length = self.run(0, digit);
        if self.follows_name_and_dot() {
            // A part of a path, as in `layer.0.attention`: the dot behind it begins the next part.
            return self.token(TokenKind::Number, length);
        }
        let point = bytes.get(length) == Some(&b'.') && bytes.get(length + 1) != Some(&b'.');
        if point {
            length += 1 + self.run(length + 1, digit);
        }
        if matches!(bytes.get(length), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
            if is_digit_at(length + 1 + sign) {
                length += 1 + sign + self.run(length + 1 + sign, digit);
            }
        }
        let plain = length;
        length += self.run(length, is_word_byte);
        let rest = self.rest();
        if let Some((message, help)) = wrong_number(&rest[..plain], &rest[plain..length]) {
            let diagnostic = Diagnostic::error(codes::INVALID_NUMBER, message).help(help);
            self.mistake(self.position, self.position + length, diagnostic, "this number");
        }
        self.token(TokenKind::Number, length);
    }
}

/// Whether a byte can stand in a name or a number.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Message and help if `plain` followed by `suffix` is no number.
fn wrong_number(plain: &str, suffix: &str) -> Option<(String, String)> {
    if plain.ends_with('.') {
        let whole = plain.trim_end_matches('.');
        return Some(("a digit must follow the decimal point".into(), format!("write `{whole}.0` or `{whole}`")));
    }
    let misplaced_underscore = plain
        .split(['.', 'e', 'E', '+', '-'])
        .any(|digits| digits.starts_with('_') || digits.ends_with('_') || digits.contains("__"));
    if misplaced_underscore {
        return Some((
            "an underscore in a number stands between two digits".into(),
            "write `1_000`, for example".into(),
        ));
    }
    match suffix {
        "" | "K" | "M" | "B" | "T" => literal::number(&format!("{plain}{suffix}"))
            .is_none()
            .then(|| ("this number is too large".into(), "numbers go up to about 1.8e308".into())),
        "k" | "m" | "b" | "t" => Some((
            format!("`{suffix}` is no multiplier"),
            format!("write `{plain}{}`: multipliers are capital letters (K, M, B, T)", suffix.to_uppercase()),
        )),
        _ if plain == "0" && suffix.starts_with(['x', 'b', 'o', 'X']) => {
            Some(("numbers are written in decimal digits".into(), "write `255`, not `0xff`".into()))
        }
        "G" => Some((
            "`G` is no multiplier".into(),
            format!("a thousand million is written `{plain}B`; gibibytes are written `{plain} GiB`"),
        )),
        _ => Some((
            format!("`{suffix}` is attached to the number"),
            format!("put a space before a unit: `{plain} {suffix}`"),
        )),
    }
}
