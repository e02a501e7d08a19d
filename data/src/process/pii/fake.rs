//! Invented values of the same form. The same value gets the same fake everywhere, whatever its case and separators.

use llmc_compiler::plan::PiiKind;

use super::numbers::{iban_remainder, luhn_sum};

/// Makes fakes from a keyed hash.
#[derive(Debug)]
pub struct Fakes {
    key: [u8; 32],
}

impl Fakes {
    /// Another seed, other fakes.
    pub fn new(seed: u64) -> Fakes {
        Fakes { key: *blake3::hash(format!("llmc pii {seed}").as_bytes()).as_bytes() }
    }

    /// What stands for this value. Addresses and numbers are of ranges kept for examples or never issued: RFC 2606,
    /// RFC 5737, RFC 3849, areas above 899, issuer digit 0, country code XX.
    pub fn of(&self, kind: PiiKind, value: &str) -> String {
        let letters_and_digits: String = value.chars().filter(|each| each.is_alphanumeric()).collect();
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(kind.name().as_bytes());
        hasher.update(letters_and_digits.to_lowercase().as_bytes());
        let mut stream = hasher.finalize_xof();
        let mut next = move || {
            let mut byte = [0];
            stream.fill(&mut byte);
            byte[0]
        };
        match kind {
            PiiKind::PrivateKey => "[PRIVATE_KEY]".to_owned(),
            PiiKind::ApiKey | PiiKind::Credentials => scrambled(value, &mut next),
            PiiKind::Email => {
                let name: String = (0..10).map(|_| letter(b'a', next())).collect();
                format!("{name}@example.com")
            }
            PiiKind::Ip if value.contains(':') => {
                let groups: Vec<String> =
                    (0..4).map(|_| format!("{:x}", u16::from_le_bytes([next(), next()]))).collect();
                format!("2001:db8::{}", groups.join(":"))
            }
            PiiKind::Ip => {
                let network = ["192.0.2", "198.51.100", "203.0.113"][usize::from(next() % 3)];
                format!("{network}.{}", next() % 254 + 1)
            }
            PiiKind::Iban => iban(value, &mut next),
            PiiKind::Card => card(value, &mut next),
            PiiKind::Ssn => {
                let mut digits = digits_like(value, &mut next);
                digits.replace_range(..1, "9");
                digits
            }
            PiiKind::Phone => phone(value, &mut next),
        }
    }
}

fn letter(first: u8, random: u8) -> char {
    char::from(first + random % 26)
}

fn digit(random: u8) -> char {
    char::from(b'0' + random % 10)
}

/// Other letters and digits in the same places.
fn scrambled(value: &str, next: &mut impl FnMut() -> u8) -> String {
    let other = |each: char| match each {
        'a'..='z' => letter(b'a', next()),
        'A'..='Z' => letter(b'A', next()),
        '0'..='9' => digit(next()),
        _ if each.is_alphanumeric() => letter(b'a', next()),
        _ => each,
    };
    value.chars().map(other).collect()
}

/// Other digits in the same places.
fn digits_like(value: &str, next: &mut impl FnMut() -> u8) -> String {
    value.chars().map(|each| if each.is_ascii_digit() { digit(next()) } else { each }).collect()
}

/// The country code and a leading 0 stay; the rest are other digits.
fn phone(value: &str, next: &mut impl FnMut() -> u8) -> String {
    let country = if value.starts_with('+') { value.find([' ', '-', '(']).unwrap_or(3).min(4) } else { 0 };
    let country = if country == 0 && value.starts_with('0') { 1 } else { country };
    format!("{}{}", &value[..country], digits_like(&value[country..], next))
}

/// Begins with 0, ends with the right check digit.
fn card(value: &str, next: &mut impl FnMut() -> u8) -> String {
    let mut characters: Vec<char> = digits_like(value, next).chars().collect();
    let places: Vec<usize> = (0..characters.len()).filter(|&at| characters[at].is_ascii_digit()).collect();
    let (Some(&first), Some(&last)) = (places.first(), places.last()) else {
        return value.to_owned();
    };
    characters[first] = '0';
    characters[last] = '0';
    let digits: Vec<u8> = places.iter().map(|&at| characters[at] as u8 - b'0').collect();
    let check = (10 - luhn_sum(&digits) % 10) % 10;
    characters[last] = char::from(b'0' + check as u8);
    characters.into_iter().collect()
}

/// Country XX with the right check digits.
fn iban(value: &str, next: &mut impl FnMut() -> u8) -> String {
    let mut characters: Vec<char> = scrambled(value, next).chars().collect();
    for (at, each) in ['X', 'X', '0', '0'].into_iter().enumerate() {
        characters[at] = each;
    }
    let compact: Vec<u8> = characters.iter().filter(|each| **each != ' ').map(|each| *each as u8).collect();
    let check = 98 - iban_remainder(&compact);
    let check = format!("{check:02}");
    characters[2] = char::from(check.as_bytes()[0]);
    characters[3] = char::from(check.as_bytes()[1]);
    characters.into_iter().collect()
}
