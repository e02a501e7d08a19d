//! Text that belongs to other languages or keyboards: what it is, and what to write instead.

/// A piece of text that the language does not have.
pub(crate) struct Foreign {
    /// One sentence.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) help: String,
    /// Bytes to underline.
    pub(crate) marked: usize,
    /// Bytes to go on after, so that one mistake is reported once.
    pub(crate) skipped: usize,
}

impl Foreign {
    fn new(length: usize, message: impl Into<String>, help: impl Into<String>) -> Option<Self> {
        Some(Foreign {
            message: message.into(),
            help: help.into(),
            marked: length,
            skipped: length,
        })
    }
}

/// Names the foreign text at the start of `rest`, if there is any.
pub(crate) fn recognise(rest: &str) -> Option<Foreign> {
    let first = rest.chars().next()?;
    // Most symbols are known: only a suspect is worth the scan to the end of its line.
    if first.is_ascii() && !matches!(first, '#' | '/' | '&' | '|' | '!' | '\'' | '`') {
        return None;
    }
    let line = rest.split(['\n', '\r']).next().unwrap_or(rest);
    match first {
        '#' => Foreign::new(
            line.len(),
            "`#` does not start a comment",
            "a comment starts with `//`",
        )
        .map(|foreign| Foreign {
            marked: 1,
            ..foreign
        }),
        '/' if rest.starts_with("/*") => {
            let length = rest.find("*/").map_or(line.len(), |end| end + 2);
            Foreign::new(
                length,
                "there are no block comments",
                "start every line of the comment with `//`",
            )
            .map(|foreign| Foreign {
                marked: 2,
                ..foreign
            })
        }
        '&' => {
            let length = if line.starts_with("&&") { 2 } else { 1 };
            Foreign::new(
                length,
                format!("`{}` is no operator", &line[..length]),
                "write `and`",
            )
        }
        '|' => {
            let length = if line.starts_with("||") { 2 } else { 1 };
            Foreign::new(
                length,
                format!("`{}` is no operator", &line[..length]),
                "write `or`",
            )
        }
        '!' if !line.starts_with("!=") => Foreign::new(1, "`!` is no operator", "write `not`"),
        '\'' => quoted(line, '\'', '\''),
        '`' => quoted(line, '`', '`'),
        '\u{2018}' | '\u{2019}' => quoted(line, first, '\u{2019}'),
        '\u{201C}' | '\u{201D}' | '\u{201E}' => quoted(line, first, '\u{201D}'),
        '\u{AB}' => quoted(line, first, '\u{BB}'),
        _ => None,
    }
}

/// Names any other character that cannot stand here.
pub(crate) fn unknown(rest: &str) -> Foreign {
    let Some(first) = rest.chars().next() else {
        return Foreign {
            message: "the text ends here".into(),
            help: String::new(),
            marked: 0,
            skipped: 0,
        };
    };
    let (look, instead) = match first {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => ("a dash", "-"),
        '\u{D7}' | '\u{22C5}' | '\u{B7}' => ("a multiplication sign", "*"),
        '\u{F7}' | '\u{2215}' => ("a division sign", "/"),
        '\u{2264}' => ("a comparison sign", "<="),
        '\u{2265}' => ("a comparison sign", ">="),
        '\u{2260}' => ("a comparison sign", "!="),
        '\u{2026}' => ("an ellipsis", "..."),
        '\u{FF08}' => ("a wide parenthesis", "("),
        '\u{FF09}' => ("a wide parenthesis", ")"),
        '\u{FF0C}' => ("a wide comma", ","),
        '\u{FF1A}' => ("a wide colon", ":"),
        '\u{FF1D}' => ("a wide equals sign", "="),
        _ => return unknown_character(rest, first),
    };
    let length = first.len_utf8();
    let message = format!("`{first}` is {look} that the language does not know");
    Foreign {
        message,
        help: format!("write `{instead}`"),
        marked: length,
        skipped: length,
    }
}

fn unknown_character(rest: &str, first: char) -> Foreign {
    if first.is_alphabetic() {
        let length = rest
            .find(|character: char| !character.is_alphanumeric() && character != '_')
            .unwrap_or(rest.len());
        return Foreign {
            message: format!("`{}` is no name", &rest[..length]),
            help: "names are written with the letters a to z, A to Z, digits and `_`; \
                   any other letter may stand in strings and comments"
                .into(),
            marked: length,
            skipped: length,
        };
    }
    let length = first.len_utf8();
    let shown = if first.is_control() || first.is_whitespace() || is_invisible(first) {
        format!("the invisible character U+{:04X}", u32::from(first))
    } else {
        format!("`{first}`")
    };
    let help = if first.is_whitespace() || is_invisible(first) {
        "replace it with a plain space or delete it"
    } else {
        "delete it, or put it into a string or a comment"
    };
    Foreign {
        message: format!("{shown} has no meaning here"),
        help: help.into(),
        marked: length,
        skipped: length,
    }
}

fn is_invisible(character: char) -> bool {
    matches!(
        character,
        '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}'
    )
}

/// Text in quotes that are not `"`, up to `close` on the same line.
fn quoted(line: &str, open: char, close: char) -> Option<Foreign> {
    let inner = &line[open.len_utf8()..];
    let (inner, skipped) = match inner.find([close, '"']) {
        Some(end) if inner[end..].starts_with(close) => {
            (&inner[..end], open.len_utf8() + end + close.len_utf8())
        }
        Some(end) => (&inner[..end], open.len_utf8() + end + 1),
        None => (inner, line.len()),
    };
    let help = if inner.len() <= 40 {
        format!("write `\"{}\"`", inner.trim_end())
    } else {
        "a string starts and ends with `\"`".to_owned()
    };
    Foreign::new(skipped, format!("`{open}` does not start a string"), help)
}
