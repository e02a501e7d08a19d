//! The values of string and number literals.

use crate::tree::Number;

/// Why an escape sequence is wrong, and where (byte range in the literal's text).
pub(crate) struct BadEscape {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) reason: &'static str,
}

/// Resolves the escapes of the text between two quotes.
pub(crate) fn unescape(text: &str) -> Result<String, BadEscape> {
    let mut value = String::with_capacity(text.len());
    let mut characters = text.char_indices();
    while let Some((start, character)) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        let Some((at, escaped)) = characters.next() else {
            return Err(BadEscape { start, end: text.len(), reason: "nothing follows the backslash" });
        };
        match escaped {
            'n' => value.push('\n'),
            't' => value.push('\t'),
            'r' => value.push('\r'),
            '"' => value.push('"'),
            '\\' => value.push('\\'),
            'u' => {
                let (decoded, length) = unicode_escape(&text[at + 1..]).map_err(|(reason, length)| BadEscape {
                    start,
                    end: at + 1 + length,
                    reason,
                })?;
                value.push(decoded);
                let after = at + 1 + length;
                while characters.offset() < after {
                    characters.next();
                }
            }
            other => {
                let end = at + other.len_utf8();
                return Err(BadEscape { start, end, reason: "there is no such escape" });
            }
        }
    }
    Ok(value)
}

/// Reads `{1F600}`: the character and the length of the braces with their digits.
/// The error carries a reason and how much of the text belongs to the mistake.
fn unicode_escape(text: &str) -> Result<(char, usize), (&'static str, usize)> {
    let Some(inner) = text.strip_prefix('{') else {
        return Err(("`\\u` needs its hexadecimal digits in braces", 0));
    };
    let digits = inner.bytes().take_while(u8::is_ascii_hexdigit).count();
    if !inner[digits..].starts_with('}') {
        return Err(("the digits of `\\u{...}` must end with `}`", 1 + digits));
    }
    let length = digits + 2;
    if !(1..=6).contains(&digits) {
        return Err(("`\\u{...}` takes one to six hexadecimal digits", length));
    }
    u32::from_str_radix(&inner[..digits], 16)
        .ok()
        .and_then(char::from_u32)
        .map(|character| (character, length))
        .ok_or(("this number is no Unicode character", length))
}

/// The value of a number literal without its unit (`1_000`, `6e-4`, `1.5B`), or nothing if it is too
/// large for a double or not a number at all.
///
/// Whole numbers are exact in [`Number::integer`], also where a multiplier or an exponent makes them
/// whole (`1.5B`, `1e9`); a bare decimal point (`1.0`) says that a real number is meant.
pub(crate) fn number(text: &str) -> Option<Number> {
    let (body, thousands) = match text.chars().last()? {
        'K' => (&text[..text.len() - 1], 1),
        'M' => (&text[..text.len() - 1], 2),
        'B' => (&text[..text.len() - 1], 3),
        'T' => (&text[..text.len() - 1], 4),
        _ => (text, 0),
    };
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.replace('_', "").parse::<i32>().ok()?),
        None => (body, 0),
    };
    let scaled = thousands > 0 || body.len() > mantissa.len();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.replace('_', "");
    let digits = format!("{}{fraction}", whole.replace('_', ""));
    let power = i64::from(exponent) + 3 * thousands - i64::try_from(fraction.len()).ok()?;

    let value: f64 = format!("{digits}e{power}").parse().ok()?;
    let decimal_point = mantissa.contains('.');
    let integer = if decimal_point && !scaled { None } else { exact_integer(&digits, power) };
    value.is_finite().then_some(Number { value, integer, unit: None })
}

/// `digits * 10^power` where that is a whole number of 64 bits.
fn exact_integer(digits: &str, power: i64) -> Option<u64> {
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() {
        return Some(0);
    }
    let zeros = i64::try_from(digits.len() - significant.len()).ok()? + power;
    let scale = 10u64.checked_pow(u32::try_from(zeros).ok()?)?;
    significant.parse::<u64>().ok()?.checked_mul(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(text: &str) -> Option<u64> {
        number(text).and_then(|number| number.integer)
    }

    #[test]
    fn whole_numbers_are_exact() {
        assert_eq!(integer("1_000"), Some(1000));
        assert_eq!(integer("2M"), Some(2_000_000));
        assert_eq!(integer("1.5B"), Some(1_500_000_000));
        assert_eq!(integer("1e9"), Some(1_000_000_000));
        assert_eq!(integer("9007199254740993"), Some(9_007_199_254_740_993));
        assert_eq!(integer("18446744073709551615"), Some(u64::MAX));
        assert_eq!(integer("18446744073709551616"), None);
        assert_eq!(integer("1.0"), None);
        assert_eq!(integer("1.5"), None);
        assert_eq!(integer("6e-4"), None);
        assert_eq!(integer("0"), Some(0));
    }

    #[test]
    fn values_are_correctly_rounded() {
        let value = |text| number(text).map(|number| number.value);
        assert_eq!(value("6e-4"), Some(6e-4));
        assert_eq!(value("0.1"), Some(0.1));
        assert_eq!(value("2.3K"), Some(2300.0));
        assert_eq!(value("1e999"), None);
        assert_eq!(value("1e99999999999"), None);
        assert_eq!(value("1e-999"), Some(0.0));
    }

    #[test]
    fn escapes_are_resolved_or_named() {
        assert_eq!(unescape(r#"a\n\t\r\"\\\u{1F600}é"#).ok().as_deref(), Some("a\n\t\r\"\\😀é"));
        for bad in [r"\q", r"\u{}", r"\u{D800}", r"\u{1234567}", r"\u12", r"\u{12", "\\"] {
            assert!(unescape(bad).is_err(), "{bad}");
        }
    }
}
