//! Lists of terms, and the step that drops documents which hold them.

use std::collections::{BTreeMap, HashMap};

use llmc_compiler::plan::TermsPlan;
use rayon::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use super::super::models::Resources;
use super::super::words::words;
use super::super::{Document, Outcome, Step};
use super::WrongLine;

/// The terms of a list: its lines, without those that are empty.
///
/// # Errors
/// An empty list, and the first line without a word.
pub fn terms_of(text: &str) -> Result<Vec<String>, WrongLine> {
    list(text, |words| if words == 0 { Some("a term has letters or digits") } else { None })
}

/// As [`terms_of`], where each term is a single word.
///
/// # Errors
/// An empty list, and the first line of no words or several.
pub fn words_of(text: &str) -> Result<Vec<String>, WrongLine> {
    list(text, |words| if words == 1 { None } else { Some("not a single word of letters and digits") })
}

fn list(text: &str, wrong: fn(usize) -> Option<&'static str>) -> Result<Vec<String>, WrongLine> {
    let mut terms = Vec::new();
    for (term, line) in text.lines().map(str::trim).zip(1..).filter(|(term, _)| !term.is_empty()) {
        match wrong(hashes(&folded(term)).len()) {
            Some(reason) => return Err(WrongLine { line, reason }),
            None => terms.push(term.to_owned()),
        }
    }
    if terms.is_empty() { Err(WrongLine { line: 0, reason: "the list is empty" }) } else { Ok(terms) }
}

/// Terms of one or more words, by the hashes of the words.
#[derive(Debug, Default)]
pub struct Phrases {
    /// By the first word of a term, the others; longer ones first.
    by_first: HashMap<u64, Vec<Vec<u64>>>,
}

impl Phrases {
    /// The words of these texts.
    pub fn of<'a>(terms: impl IntoIterator<Item = &'a str>) -> Phrases {
        let mut phrases = Phrases::default();
        for term in terms {
            if let Some((first, rest)) = hashes(term).split_first() {
                phrases.by_first.entry(*first).or_default().push(rest.to_vec());
            }
        }
        phrases.by_first.values_mut().for_each(|rests| rests.sort_by_key(|rest| std::cmp::Reverse(rest.len())));
        phrases
    }

    /// Occurrences among these words; where they overlap, the first and longest counts.
    pub fn count(&self, words: &[u64]) -> u64 {
        let (mut at, mut count) = (0, 0);
        while at < words.len() {
            let rests = self.by_first.get(&words[at]);
            let found = rests.and_then(|rests| rests.iter().find(|rest| words[at + 1..].starts_with(rest)));
            count += u64::from(found.is_some());
            at += 1 + found.map_or(0, Vec::len);
        }
        count
    }
}

/// The step `drop_terms`.
#[derive(Debug)]
pub struct Terms {
    phrases: Phrases,
    max: u64,
    leetspeak: bool,
}

impl Terms {
    /// Lets documents with few enough of the listed terms through.
    pub fn new(plan: &TermsPlan, resources: &Resources) -> Terms {
        Terms::of(resources.terms(&plan.file), plan.max, plan.leetspeak)
    }

    fn of(terms: &[String], max: u64, leetspeak: bool) -> Terms {
        let folded: Vec<String> = terms.iter().map(|term| folded(term)).collect();
        Terms { phrases: Phrases::of(folded.iter().map(String::as_str)), max, leetspeak }
    }

    /// Occurrences of terms in a text.
    fn count(&self, text: &str) -> u64 {
        let folded = folded(text);
        let plain = self.phrases.count(&hashes(&folded));
        if self.leetspeak { plain.max(self.phrases.count(&hashes(&unleeted(&folded)))) } else { plain }
    }
}

impl Step for Terms {
    fn decide(&mut self, batch: &[Document]) -> Vec<Outcome> {
        let outcome = |document: &Document| match self.count(&document.text) {
            count if count > self.max => {
                Outcome::Dropped { reason: "terms", found: BTreeMap::from([("terms", count)]) }
            }
            _ => Outcome::Kept,
        };
        batch.par_iter().map(outcome).collect()
    }
}

fn hashes(text: &str) -> Vec<u64> {
    words(text).into_iter().map(|word| word.hash).collect()
}

/// Compatibility forms (NFKC) without accents and invisible characters; case is folded where words are hashed.
fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let visible = |each: &char| !is_combining_mark(*each) && !is_invisible(*each);
    text.nfkd().filter(visible).nfc().collect()
}

/// Characters that part no words and show nothing: soft hyphen, zero-width and directional marks.
fn is_invisible(character: char) -> bool {
    matches!(u32::from(character), 0xad | 0x200b..=0x200f | 0x202a..=0x202e | 0x2060..=0x2064 | 0xfeff)
}

/// Digits and signs as the letters they resemble, in runs that hold a letter; `!` only before something else.
fn unleeted(text: &str) -> String {
    let inside = |each: char| each.is_alphanumeric() || matches!(each, '@' | '$' | '!');
    let mut read = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(inside) {
        let (before, from) = rest.split_at(start);
        let (run, after) = from.split_at(from.find(|each| !inside(each)).unwrap_or(from.len()));
        read.push_str(before);
        let word = run.trim_end_matches('!');
        match word.contains(char::is_alphabetic) {
            true => read.extend(word.chars().map(resembled)),
            false => read.push_str(word),
        }
        read.push_str(&run[word.len()..]);
        rest = after;
    }
    read.push_str(rest);
    read
}

fn resembled(character: char) -> char {
    match character {
        '0' => 'o',
        '1' | '!' => 'i',
        '3' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' => 't',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(leetspeak: bool, text: &str) -> u64 {
        let terms = ["vile", "bad apple", "bad", "läster", "🖕", "坏蛋"].map(str::to_owned);
        Terms::of(&terms, 0, leetspeak).count(text)
    }

    #[test]
    fn terms_are_whole_words_in_any_form() {
        for (text, expected) in [
            ("Vile! BAD-apple, a bad  apple and bad pears", 4),
            ("reviled badly, vileness", 0),
            ("ｖｉｌｅ and vi\u{200b}le, vi\u{301}le", 3),
            ("LASTER Läster La\u{308}ster", 3),
            ("nice 🖕🖕 day", 2),
            ("他是坏蛋吗", 1),
            ("", 0),
        ] {
            assert_eq!(count(false, text), expected, "{text}");
            assert_eq!(count(true, text), expected, "{text}");
        }
    }

    #[test]
    fn leetspeak_is_read_when_asked() {
        for (text, expected) in [("v1l3 b4d @pple", 2), ("V!le!", 1), ("b@d", 1), ("covid19 costs $5 at 10:30!", 0)] {
            assert_eq!(count(true, text), expected, "{text}");
        }
        assert_eq!(count(false, "v1l3 b4d"), 0);
    }

    #[test]
    fn lists_are_lines() {
        assert_eq!(terms_of("\n a b \n\nc\n").unwrap(), ["a b", "c"]);
        assert_eq!(terms_of(" \n").unwrap_err().line, 0);
        assert_eq!(terms_of("a\n\n***\n").unwrap_err().line, 3);
        assert_eq!(words_of("pilot\njudge").unwrap(), ["pilot", "judge"]);
        assert_eq!(words_of("pilot\ntruck driver").unwrap_err().line, 2);
    }
}
