//! Mistakes that people often make, each with the way out.

use super::lex::{KEYWORDS, TokenKind};
use super::unexpected::{Expected, Scene};

/// A recognised mistake.
pub(crate) struct Slip {
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: String,
}

fn slip(message: impl Into<String>, label: impl Into<String>, help: impl Into<String>) -> Option<Slip> {
    Some(Slip { message: message.into(), label: label.into(), help: help.into() })
}

/// Names the mistake if it is a common one. The more special cases come first.
pub(crate) fn recognise(scene: &Scene) -> Option<Slip> {
    foreign_word(scene)
        .or_else(|| foreign_operator(scene))
        .or_else(|| line_break(scene))
        .or_else(|| heading(scene))
        .or_else(|| assignment(scene))
        .or_else(|| suffix(scene))
        .or_else(|| separator(scene))
        .or_else(|| name(scene))
}

/// Statements of other languages.
fn foreign_word(scene: &Scene) -> Option<Slip> {
    if !scene.in_function() || scene.inside().is_none_or(|(open, _)| open != "{") {
        return None;
    }
    if matches!(scene.found_text(), "elif" | "elseif" | "elsif") {
        return slip(
            format!("there is no `{}`", scene.found_text()),
            "another condition",
            "write `} else if condition {`",
        );
    }
    match scene.before_text() {
        "return" => slip(
            "there is no `return`",
            "this value needs no `return`",
            "the last expression is the function's value: write it alone on the last line",
        ),
        "let" | "var" | "const" => slip(
            format!("names in a function are bound without `{}`", scene.before_text()),
            "bound here",
            format!("write `{} = ...`", scene.found_text()),
        ),
        word @ ("for" | "while" | "loop") => slip(
            format!("there is no `{word}`"),
            "a loop's head",
            "write `repeat 12 as layers { ... }`; the number of rounds is a constant",
        ),
        _ => None,
    }
}

/// Operators of other languages that are made of two symbols of this one.
fn foreign_operator(scene: &Scene) -> Option<Slip> {
    let adjacent = scene.found > 0
        && scene.tokens.get(scene.found).is_some_and(|token| token.start == scene.tokens[scene.found - 1].end);
    match (scene.before_text(), scene.found_text()) {
        ("*", "*") => slip("`**` is no operator", "a second `*`", "a power is written `a ^ b`"),
        (operator @ ("+" | "-" | "*" | "/" | "^"), "=") => slip(
            format!("`{operator}=` is no operator"),
            "this `=`",
            format!("write the name again: `x = x {operator} ...`"),
        ),
        (_, "-") if scene.text(scene.found + 1) == ">" => slip(
            "functions do not state a return type",
            "this arrow",
            "delete it: the shape of the final expression is known",
        ),
        ("=", ">") if adjacent => {
            slip("`=>` means nothing here", "this arrow", "write `name = value` or `name: value`")
        }
        (_, "%") => slip(
            "`%` must follow a number directly",
            "this `%`",
            "write a share as `5%`; there is no remainder operator",
        ),
        (_, ".") if scene.kind(scene.found + 1) == Some(TokenKind::Number) => slip(
            "a digit must stand before the decimal point",
            "nothing stands before this point",
            format!("write `0.{}`", scene.text(scene.found + 1)),
        ),
        _ => None,
    }
}

/// Expressions broken at the wrong place.
fn line_break(scene: &Scene) -> Option<Slip> {
    let text = scene.found_text();
    let token = scene.tokens.get(scene.found);
    if token.is_some_and(|token| token.line_breaks > 0) && is_infix(text) {
        return slip(
            format!("a line cannot start with `{text}`"),
            "the expression ends here",
            format!(
                "write `{text}` at the end of the line before: an expression goes on only after an operator, \
                 a comma or an opening bracket"
            ),
        );
    }
    let before = scene.before_text();
    let ended = scene.line_ended || token.is_none();
    if ended && matches!(before, "=" | ":") && scene.expects(Expected::Expression) {
        return slip(
            format!("expected a value after `{before}`, found {}", scene.found_words()),
            "a value is missing here",
            format!("the value starts on the same line as `{before}`"),
        );
    }
    None
}

fn is_infix(text: &str) -> bool {
    matches!(
        text,
        "+" | "-" | "*" | "/" | "^" | "==" | "!=" | "<" | "<=" | ">" | ">=" | "and" | "or" | "as" | "of" | "."
    )
}

/// The heads of items and statements.
fn heading(scene: &Scene) -> Option<Slip> {
    let found = scene.found_text();
    let head = scene.text(0);
    if scene.found == 1 && scene.expects(Expected::String) {
        return slip(
            "expected a path in double quotes",
            "expected a string",
            "an import is written `import \"std/gpt2\"`",
        );
    }
    let declares = !matches!(head, "let" | "param" | "block" | "model");
    if scene.found == 1 && found == "=" && scene.expects(Expected::Name) && declares {
        return slip(
            "a value stands outside of every item",
            "expected a name",
            format!("bind a constant with `let {head} = ...`"),
        );
    }
    if scene.found == 1 && found == "{" && scene.expects(Expected::Name) {
        return slip(
            format!("expected a name after `{head}`, found `{{`"),
            "a name is missing here",
            format!("every `{head}` has a name: `{head} my_{head} {{ ... }}`"),
        );
    }
    if scene.found == 2 && scene.in_function() && scene.expects(Expected::OpenParen) {
        return slip(
            format!("expected `(` with the inputs of the `{head}`"),
            "expected `(`",
            format!("a `{head}` lists its inputs: `{head} {}(x: [B, T, D]) {{ ... }}`", scene.text(1)),
        );
    }
    if scene.expects(Expected::OpenBrace) && found == "=" {
        return slip(
            "expected `{`, found `=`",
            "expected `{`",
            format!("write `{head} {} {{ ... }}` without `=`", scene.text(1)),
        );
    }
    if scene.found == 2 && scene.expects(Expected::OpenBrace) {
        return slip(
            format!("expected `{{`, found {}", scene.found_words()),
            "expected `{`",
            format!("the fields of a `{head}` stand in braces: `{head} {} {{ ... }}`", scene.text(1)),
        );
    }
    if scene.expects(Expected::As) && found == "{" {
        return slip(
            "expected `as` and a name for the repeated weights",
            "expected `as`",
            "write `repeat 12 as layers { ... }`: round `i` keeps its weights under `layers.i`",
        );
    }
    None
}

/// `=`, `:` and `==` for one another.
fn assignment(scene: &Scene) -> Option<Slip> {
    let found = scene.found_text();
    let before = scene.before_text();
    let inside = scene.inside().map(|(open, _)| open);
    if found == "==" && scene.expects(Expected::Equals) {
        return slip("expected `=`, found `==`", "expected `=`", "`=` gives a name its value, `==` compares");
    }
    if found == ":" && scene.expects(Expected::Equals) {
        let help = match scene.text(0) {
            "let" => "only a `param` states its type: `param width: int = 256`".to_owned(),
            _ if scene.in_function() => format!("write `{before} = ...`"),
            _ => format!("a field is written `{before} = value`; `:` is for arguments in parentheses"),
        };
        return slip("expected `=`, found `:`", "expected `=`", help);
    }
    if found == "=" && inside == Some("(") {
        let message = "expected `:`, found `=`";
        if scene.expects(Expected::Operator) {
            return slip(message, "expected `:`", format!("an argument is given by name as `{before}: value`"));
        }
        return slip(
            message,
            "expected `:`",
            format!("a parameter is written `{before}: [B, T, D]` or `{before}: int`"),
        );
    }
    if matches!(found, "," | ")") && scene.in_function() && scene.expected == [Expected::Colon] {
        return slip(
            format!("expected `:` and what `{before}` takes, found `{found}`"),
            "expected `:`",
            format!("a parameter is written `{before}: [B, T, D]` or `{before}: int`"),
        );
    }
    if found == "=" && scene.text(0) == "param" && scene.expects(Expected::Colon) {
        return slip(
            "expected `:` and a type, found `=`",
            "expected `:`",
            format!("a `param` states its type: `param {before}: int = ...`"),
        );
    }
    if found == "{" && scene.expects(Expected::Expression) {
        return slip(
            "a value cannot be a `{ ... }`",
            "expected a value",
            "lists are written `[a, b]`, settings of a call `adamw(learning_rate: 6e-4)`",
        );
    }
    let nested = found == "{" || scene.text(scene.found + 1) == "{";
    if nested && scene.expects(Expected::Equals) && !scene.in_function() {
        return slip(
            "declarations do not stand inside one another",
            "expected `=`",
            "declare it outside and give its name to a field, or write a call: `optimizer = adamw(...)`",
        );
    }
    None
}

/// Commas that are missing or too many.
fn separator(scene: &Scene) -> Option<Slip> {
    let found = scene.found_text();
    match scene.inside() {
        Some((open @ ("(" | "["), index)) if scene.expects(Expected::Comma) && starts_value(scene) => {
            let between = match open {
                "[" => "the elements of a list",
                _ if scene.in_function() && index == 2 => "parameters",
                _ => "arguments",
            };
            slip(
                format!("expected `,` between {between}"),
                "a comma is missing before this",
                format!("put a `,` before `{found}`"),
            )
        }
        Some(("{", _)) if scene.expects(Expected::NewLine) && !scene.line_ended => slip(
            format!("expected a new line, found {}", scene.found_words()),
            "expected a new line",
            "put every statement on a line of its own, or a `;` between two",
        )
        .filter(|_| scene.kind(scene.found) == Some(TokenKind::Word)),
        Some(("{", _)) if matches!(found, "," | ";") && !scene.in_function() => slip(
            format!("fields are not separated by `{found}`"),
            format!("this `{found}`"),
            "put every field on a line of its own",
        ),
        Some((open @ ("(" | "["), _)) if found == "," => slip(
            "expected a value, found `,`",
            "nothing stands before this comma",
            format!("delete it: between `{open}` and the next comma there must be a value"),
        )
        .filter(|_| matches!(scene.before_text(), "," | "(" | "[")),
        _ => None,
    }
}

fn starts_value(scene: &Scene) -> bool {
    match scene.kind(scene.found) {
        Some(TokenKind::Word) => {
            let text = scene.found_text();
            !KEYWORDS.contains(&text) || matches!(text, "true" | "false" | "none" | "not")
        }
        Some(TokenKind::Number | TokenKind::String) => true,
        _ => matches!(scene.found_text(), "[" | "("),
    }
}

/// Names that are none.
fn name(scene: &Scene) -> Option<Slip> {
    let found = scene.found_text();
    if scene.line_ended {
        return None;
    }
    match scene.kind(scene.found)? {
        TokenKind::Word if KEYWORDS.contains(&found) && scene.expects(Expected::Expression) => slip(
            format!("expected a value, found the keyword `{found}`"),
            "expected a value",
            "a value is a number, a string, a name, a list or a call",
        ),
        _ if !scene.expects(Expected::Name) => None,
        TokenKind::Word if KEYWORDS.contains(&found) => slip(
            format!("`{found}` is a keyword and no name"),
            "expected a name",
            format!("choose another name, such as `{found}_`"),
        ),
        TokenKind::String => {
            slip("expected a name, found a string", "expected a name", "names are written without quotes")
        }
        _ => None,
    }
}

/// `as` where it cannot stand.
fn suffix(scene: &Scene) -> Option<Slip> {
    match scene.found_text() {
        "as" if scene.text(0) == "import" => {
            slip("an import takes no `as`", "this `as`", "write `import \"std/gpt2\"` alone on its line")
        }
        "as" if !scene.line_ended => slip(
            "`as` can only follow a call or a name",
            "this `as`",
            "name the part that holds the weights: `linear(x, 64) as proj`",
        ),
        _ => None,
    }
}
