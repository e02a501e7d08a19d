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
    /// True for letters: the word before them belongs to the mistake.
    pub(crate) is_letters: bool,
}

impl Foreign {
    fn new(length: usize, message: impl Into<String>, help: impl Into<String>) -> Self {
        let (message, help) = (message.into(), help.into());
        Foreign { message, help, marked: length, skipped: length, is_letters: false }
    }
}

/// Names the foreign text at the start of `rest`, if there is any.
pub(crate) fn recognise(rest: &str) -> Option<Foreign> {
    let first = rest.chars().next()?;
    let line = || rest.split(['\n', '\r']).next().unwrap_or(rest);
    Some(match first {
        '#' => comment(line().len(), 1, "`#` does not start a comment", "a comment starts with `//`"),
        '/' if rest.starts_with("/*") => {
            let length = rest.find("*/").map_or(rest.len(), |end| end + 2);
            let help = "start every line of the comment with `//`";
            comment(length, 2, "there are no block comments", help)
        }
        '&' | '|' => {
            let length = if rest[1..].starts_with(first) { 2 } else { 1 };
            let word = if first == '&' { "and" } else { "or" };
            let message = format!("`{}` is no operator", &rest[..length]);
            Foreign::new(length, message, format!("write `{word}`"))
        }
        '!' if !rest.starts_with("!=") => Foreign::new(1, "`!` is no operator", "write `not`"),
        '\'' | '`' => quoted(line(), first, first),
        '\u{2018}' | '\u{2019}' => quoted(line(), first, '\u{2019}'),
        '\u{201C}' | '\u{201D}' | '\u{201E}' => quoted(line(), first, '\u{201D}'),
        '\u{AB}' => quoted(line(), first, '\u{BB}'),
        _ => return None,
    })
}

/// A comment of another language: only its mark is underlined.
fn comment(length: usize, marked: usize, message: &str, help: &str) -> Foreign {
    Foreign { marked, ..Foreign::new(length, message, help) }
}

/// Text in quotes that are not `"`, up to `close` (or a `"`) on the same line.
fn quoted(line: &str, open: char, close: char) -> Foreign {
    let inner = &line[open.len_utf8()..];
    let (inner, length) = match inner.char_indices().find(|&(_, found)| found == close || found == '"') {
        Some((end, found)) => (&inner[..end], open.len_utf8() + end + found.len_utf8()),
        None => (inner, line.len()),
    };
    let help = if inner.len() <= 40 {
        format!("write `\"{}\"`", inner.trim_end())
    } else {
        "a string starts and ends with `\"`".to_owned()
    };
    Foreign::new(length, format!("`{open}` does not start a string"), help)
}

/// Names a first character that no token starts with.
pub(crate) fn unknown(rest: &str, first: char) -> Foreign {
    if first.is_alphabetic() {
        let length = rest.find(|other: char| !other.is_alphanumeric() && other != '_').unwrap_or(rest.len());
        let help = "names are written with the letters a to z, A to Z, digits and `_`; \
                    any other letter may stand in strings and comments";
        let foreign = Foreign::new(length, format!("a name cannot contain `{first}`"), help);
        return Foreign { is_letters: true, ..foreign };
    }
    let length = first.len_utf8();
    if let Some((look, instead)) = look_alike(first) {
        let message = format!("`{first}` is {look} that the language does not know");
        return Foreign::new(length, message, format!("write `{instead}`"));
    }
    if first.is_control() || first.is_whitespace() || is_invisible(first) {
        let message = format!("the invisible character U+{:04X} has no meaning here", u32::from(first));
        return Foreign::new(length, message, "replace it with a plain space or delete it");
    }
    let help = "delete it, or put it into a string or a comment";
    Foreign::new(length, format!("`{first}` has no meaning here"), help)
}

/// What a character looks like, and what to write for it.
fn look_alike(character: char) -> Option<(&'static str, &'static str)> {
    Some(match character {
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
        _ => return None,
    })
}

fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200B}'..='\u{200F}' | '\u{2060}' | '\u{FEFF}' | '\u{AD}')
}
