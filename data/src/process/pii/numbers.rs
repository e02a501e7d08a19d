//! Numbers with check digits or a fixed form: bank accounts, payment cards, US social security numbers.

use std::ops::Range;

use super::cue_before;

/// IBAN lengths by country (SWIFT IBAN registry, release 99).
const IBAN_LENGTHS: [(&str, usize); 80] = [
    ("AD", 24),
    ("AE", 23),
    ("AL", 28),
    ("AT", 20),
    ("AZ", 28),
    ("BA", 20),
    ("BE", 16),
    ("BG", 22),
    ("BH", 22),
    ("BR", 29),
    ("BY", 28),
    ("CH", 21),
    ("CR", 22),
    ("CY", 28),
    ("CZ", 24),
    ("DE", 22),
    ("DJ", 27),
    ("DK", 18),
    ("DO", 28),
    ("EE", 20),
    ("EG", 29),
    ("ES", 24),
    ("FI", 18),
    ("FK", 18),
    ("FO", 18),
    ("FR", 27),
    ("GB", 22),
    ("GE", 22),
    ("GI", 23),
    ("GL", 18),
    ("GR", 27),
    ("GT", 28),
    ("HR", 21),
    ("HU", 28),
    ("IE", 22),
    ("IL", 23),
    ("IQ", 23),
    ("IS", 26),
    ("IT", 27),
    ("JO", 30),
    ("KW", 30),
    ("KZ", 20),
    ("LB", 28),
    ("LC", 32),
    ("LI", 21),
    ("LT", 20),
    ("LU", 20),
    ("LV", 21),
    ("LY", 25),
    ("MC", 27),
    ("MD", 24),
    ("ME", 22),
    ("MK", 19),
    ("MN", 20),
    ("MR", 27),
    ("MT", 31),
    ("MU", 30),
    ("NI", 28),
    ("NL", 18),
    ("NO", 15),
    ("OM", 23),
    ("PK", 24),
    ("PL", 28),
    ("PS", 29),
    ("PT", 25),
    ("QA", 29),
    ("RO", 24),
    ("RS", 22),
    ("RU", 33),
    ("SA", 24),
    ("SC", 31),
    ("SD", 18),
    ("SE", 24),
    ("SI", 19),
    ("SK", 24),
    ("SM", 27),
    ("TR", 26),
    ("UA", 29),
    ("VA", 22),
    ("XK", 20),
];

/// Bank account numbers, together or in groups of four, of a known country, length and check digits.
pub fn ibans(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at + 15 <= bytes.len() {
        let begins = bytes[at].is_ascii_alphabetic()
            && bytes[at + 1].is_ascii_alphabetic()
            && bytes[at + 2].is_ascii_digit()
            && bytes[at + 3].is_ascii_digit()
            && (at == 0 || !bytes[at - 1].is_ascii_alphanumeric());
        match begins.then(|| iban_end(bytes, at)).flatten() {
            Some(end) => {
                found.push(at..end);
                at = end;
            }
            None => at += 1,
        }
    }
    found
}

fn iban_end(bytes: &[u8], start: usize) -> Option<usize> {
    let country = [bytes[start].to_ascii_uppercase(), bytes[start + 1].to_ascii_uppercase()];
    let (_, length) = IBAN_LENGTHS.iter().find(|(code, _)| code.as_bytes() == country)?;
    let mut characters = Vec::with_capacity(*length);
    let mut at = start;
    while characters.len() < *length {
        match *bytes.get(at)? {
            byte if byte.is_ascii_alphanumeric() => characters.push(byte.to_ascii_uppercase()),
            b' ' if characters.len() % 4 == 0 && !characters.is_empty() => {}
            _ => return None,
        }
        at += 1;
    }
    let ends = bytes.get(at).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    (ends && iban_remainder(&characters) == 1).then_some(at)
}

/// The number that the characters stand for, the first four moved to the end, modulo 97 (ISO 7064): 1 if right.
pub fn iban_remainder(characters: &[u8]) -> u32 {
    let moved = characters[4..].iter().chain(&characters[..4]);
    moved.fold(0, |remainder, &byte| match byte {
        b'0'..=b'9' => (remainder * 10 + u32::from(byte - b'0')) % 97,
        _ => (remainder * 100 + u32::from(byte.to_ascii_uppercase().saturating_sub(b'A')) + 10) % 97,
    })
}

/// Runs of digits, parted by single spaces or hyphens, as lengths of their groups; never next to a letter or digit.
struct Run {
    range: Range<usize>,
    digits: Vec<u8>,
    groups: Vec<usize>,
}

fn runs(text: &str) -> Vec<Run> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let mut run = Run { range: at..at, digits: Vec::new(), groups: vec![0] };
        let mut end = at;
        let mut separator = None;
        loop {
            match bytes.get(end) {
                Some(byte) if byte.is_ascii_digit() => {
                    run.digits.push(byte - b'0');
                    *run.groups.last_mut().expect("never empty") += 1;
                    end += 1;
                }
                Some(byte @ (b' ' | b'-'))
                    if bytes.get(end + 1).is_some_and(u8::is_ascii_digit)
                        && separator.is_none_or(|each| each == *byte) =>
                {
                    separator = Some(*byte);
                    run.groups.push(0);
                    end += 1;
                }
                _ => break,
            }
        }
        run.range = at..end;
        let joined = |each: char| each.is_alphanumeric() || each == '_';
        let decimal = text[..at].ends_with(['.', ',']) && text[..at - 1].ends_with(|each: char| each.is_ascii_digit());
        if !text[..at].ends_with(joined) && !decimal && !text[end..].starts_with(joined) {
            found.push(run);
        }
        at = end;
    }
    found
}

/// Words before a number that make it a payment card's whatever its first digits.
const CARD_CUES: [&str; 8] = ["card", "cc", "credit", "debit", "visa", "mastercard", "amex", "maestro"];

/// Payment card numbers: 12 to 19 digits, the Luhn check digit right, together or in the groups that cards show,
/// with the first digits of a known issuer or after a word such as `card`.
pub fn cards(text: &str) -> Vec<Range<usize>> {
    runs(text).into_iter().filter(|run| is_card(text, run)).map(|run| run.range).collect()
}

fn is_card(text: &str, run: &Run) -> bool {
    let shown = match run.groups.as_slice() {
        [_] | [4, 6, 4 | 5] => true,
        [first @ .., last] => first.iter().all(|group| *group == 4) && *last <= 4,
        [] => false,
    };
    let distinct = run.digits.iter().any(|digit| *digit != run.digits[0]);
    let known = || issued(&run.digits) || cue_before(text, run.range.start, 40, &CARD_CUES);
    shown && distinct && (12..=19).contains(&run.digits.len()) && luhn_sum(&run.digits).is_multiple_of(10) && known()
}

/// First digits and lengths of the large networks (ISO/IEC 7812).
fn issued(digits: &[u8]) -> bool {
    let first = |count: usize| digits[..count].iter().fold(0u32, |number, digit| number * 10 + u32::from(*digit));
    let (two, three, four) = (first(2), first(3), first(4));
    match digits.len() {
        13 => digits[0] == 4,
        14 => matches!(three, 300..=305 | 309) || matches!(two, 36 | 38 | 39),
        15 => matches!(two, 34 | 37) || matches!(four, 1800 | 2131),
        16 => {
            digits[0] == 4
                || matches!(two, 35 | 51..=55 | 62 | 65)
                || matches!(three, 644..=649)
                || matches!(four, 2221..=2720 | 6011)
        }
        19 => digits[0] == 4 || matches!(two, 62 | 65) || four == 6011,
        12 => matches!(four, 5018 | 5020 | 5038 | 5893 | 6304 | 6759 | 6761 | 6762 | 6763),
        _ => false,
    }
}

/// The sum whose last digit is 0 if the check digit is right (ISO/IEC 7812-1, annex B).
pub fn luhn_sum(digits: &[u8]) -> u32 {
    let weighted = |(index, &digit): (usize, &u8)| match (index % 2, u32::from(digit) * 2) {
        (0, _) => u32::from(digit),
        (_, twice) if twice > 9 => twice - 9,
        (_, twice) => twice,
    };
    digits.iter().rev().enumerate().map(weighted).sum()
}

/// US social security numbers: `123-45-6789` with parts that are issued; with spaces or together only after
/// words such as `SSN`.
pub fn ssns(text: &str) -> Vec<Range<usize>> {
    let is_ssn = |run: &Run| {
        let digits: u32 = match run.digits.len() {
            9 => run.digits.iter().fold(0, |number, digit| number * 10 + u32::from(*digit)),
            _ => return false,
        };
        let (area, group, serial) = (digits / 1_000_000, digits / 10_000 % 100, digits % 10_000);
        let issued = !matches!(area, 0 | 666 | 900..) && group != 0 && serial != 0;
        let hyphens = text.as_bytes().get(run.range.start + 3) == Some(&b'-');
        let cue = || cue_before(text, run.range.start, 32, &["ssn", "ssns", "social"]);
        issued
            && match run.groups.as_slice() {
                [3, 2, 4] => hyphens || cue(),
                [9] => cue(),
                _ => false,
            }
    };
    runs(text).into_iter().filter(is_ssn).map(|run| run.range).collect()
}
