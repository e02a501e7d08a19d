//! Telephone numbers.

use std::ops::Range;

use super::cue_before;

/// Words before a number that make it a telephone's.
const CUES: [&str; 31] = [
    "phone",
    "phones",
    "telephone",
    "tel",
    "mobile",
    "cell",
    "cellphone",
    "handy",
    "fax",
    "call",
    "calling",
    "called",
    "dial",
    "desk",
    "hotline",
    "landline",
    "voicemail",
    "text",
    "texting",
    "sms",
    "whatsapp",
    "ring",
    "reach",
    "contact",
    "answering",
    "messages",
    "registered",
    "ph",
    "mob",
    "telefon",
    "tlf",
];

/// Words right after a number that make it a telephone's.
const LABELS: [&str; 8] = ["office", "mobile", "cell", "fax", "phone", "tel", "landline", "desk"];

/// A number as it is written: groups of digits and what stands between them.
#[derive(Debug)]
struct Written {
    range: Range<usize>,
    plus: bool,
    groups: Vec<String>,
    /// Between the groups, brackets included.
    separators: Vec<String>,
    extension: bool,
}

impl Written {
    fn digits(&self) -> usize {
        self.groups.iter().map(String::len).sum()
    }

    fn lengths(&self) -> Vec<usize> {
        self.groups.iter().map(String::len).collect()
    }
}

/// Telephone numbers: international with `+` or `00`; of the North American form 3-3-4; national with a leading 0 and
/// groups; any other form only after words such as `call` or `phone`.
pub fn phones(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let begins = match bytes[at] {
            b'0'..=b'9' => true,
            b'+' | b'(' => bytes.get(at + 1).is_some_and(|next| next.is_ascii_digit() || *next == b'('),
            _ => false,
        };
        if !begins {
            at += 1;
            continue;
        }
        let number = written(text, at);
        at = number.range.end.max(at + 1);
        let joined = |each: char| each.is_alphanumeric() || matches!(each, '_' | '@');
        let alone = !text[..number.range.start]
            .ends_with(|each: char| joined(each) || matches!(each, '.' | '-' | '/' | '$' | '#'))
            && !text[number.range.end..].starts_with(joined);
        if alone && is_phone(text, &number) {
            found.push(number.range);
        }
    }
    found
}

/// The longest run of groups that one number may be written in, from `start` on.
fn written(text: &str, start: usize) -> Written {
    let bytes = text.as_bytes();
    let mut number = Written {
        range: start..start,
        plus: bytes[start] == b'+',
        groups: Vec::new(),
        separators: Vec::new(),
        extension: false,
    };
    let mut at = start + usize::from(number.plus);
    let mut between = String::new();
    let mut open = false;
    loop {
        match bytes.get(at) {
            Some(byte) if byte.is_ascii_digit() => {
                let end = at + bytes[at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                if !number.groups.is_empty() {
                    number.separators.push(std::mem::take(&mut between));
                }
                between.clear();
                number.groups.push(text[at..end].to_owned());
                at = end;
                number.range.end = at;
                if open && bytes.get(at) == Some(&b')') {
                    open = false;
                    between.push(')');
                    at += 1;
                    number.range.end = at;
                } else if open {
                    break;
                }
            }
            Some(b'(') if !open && between.len() < 2 => {
                open = true;
                between.push('(');
                at += 1;
            }
            Some(byte @ (b' ' | b'-' | b'.' | b'/'))
                if !between.ends_with([' ', '-', '.', '/', '(']) && between.len() < 2 =>
            {
                between.push(char::from(*byte));
                at += 1;
            }
            _ => break,
        }
    }
    let rest = &text[number.range.end..];
    for mark in ["x", " x", " ext. ", " ext ", " ext."] {
        let Some(after) = rest.strip_prefix(mark) else {
            continue;
        };
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        if (1..=5).contains(&digits) && number.digits() >= 7 {
            number.range.end += mark.len() + digits;
            number.extension = true;
            break;
        }
    }
    number
}

fn is_phone(text: &str, number: &Written) -> bool {
    let digits = number.digits();
    let lengths = number.lengths();
    let several = number.groups.len() > 1;
    let Some(first) = number.groups.first() else {
        return false;
    };
    // E.164: at most 15 digits with the country code, which never begins with 0.
    if number.plus {
        return (7..=16).contains(&digits) && !first.starts_with('0');
    }
    if first.starts_with("00") && several && first.len() <= 5 {
        return (10..=17).contains(&digits)
            && !first.starts_with("000")
            && lengths[1..].iter().any(|&length| length > 2);
    }
    if is_date(&number.groups) || !(7..=13).contains(&digits) {
        return false;
    }
    let plain = number.separators.iter().all(|each| each == " ");
    let american = match lengths.as_slice() {
        [3, 3, 4] => Some(first),
        [1, 3, 3, 4] if first == "1" => number.groups.get(1),
        _ => None,
    };
    if american.is_some_and(|area| area.starts_with(|each| ('2'..='9').contains(&each)))
        && number.separators.iter().all(|each| each != "/")
        && (!plain || number.extension || cue(text, number))
    {
        return true;
    }
    let same = number.separators.windows(2).all(|pair| pair[0] == pair[1]);
    let national = first.starts_with('0')
        && several
        && (2..=5).contains(&first.len())
        && (9..=11).contains(&digits)
        && lengths.iter().all(|&length| (2..=8).contains(&length))
        && same
        && (lengths.iter().any(|&length| length > 2) || lengths.len() == 5);
    national || cue(text, number)
}

/// A word that makes it a telephone's stands before it, or right after it as in `416 60 039 office`.
fn cue(text: &str, number: &Written) -> bool {
    let after = text[number.range.end..].strip_prefix(' ').unwrap_or("");
    let next = after.split(|each: char| !each.is_alphanumeric()).next().unwrap_or("");
    cue_before(text, number.range.start, 40, &CUES) || LABELS.contains(&next.to_lowercase().as_str())
}

/// `1992-02-08`, `08.02.1992`, `2010-2015`.
fn is_date(groups: &[String]) -> bool {
    let is_year = |group: &String| group.len() == 4 && (group.starts_with("19") || group.starts_with("20"));
    let at_most = |group: &String, most: u32| group.len() <= 2 && group.parse().is_ok_and(|value: u32| value <= most);
    match groups {
        [year, month, day, ..] if is_year(year) => at_most(month, 31) && at_most(day, 31),
        [day, month, year, ..] if is_year(year) => at_most(month, 31) && at_most(day, 31),
        [from, to] => is_year(from) && is_year(to),
        _ => false,
    }
}
