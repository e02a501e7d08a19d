//! What rules measure. Characters are Unicode scalar values; words are parted by white space; lines are those with
//! something on them.

use std::collections::HashSet;

use llmc_compiler::plan::Rule;

use super::clean::ends_a_sentence;
use super::grams::{duplicate_share, top_share};

/// The words of which Gopher asks for two.
const STOP_WORDS: [&str; 8] = ["the", "be", "to", "of", "and", "that", "have", "with"];

/// What a line that is an item of a list begins with.
const BULLETS: [char; 12] = ['-', '*', '•', '‣', '⁃', '◦', '▪', '▫', '●', '○', '■', '□'];

/// Punctuation that ends a line well, as FineWeb counts it.
const LINE_ENDS: [char; 14] = ['.', '!', '?', '"', '\'', '”', '’', '。', '！', '？', '…', ';', ':', ')'];

/// A text, taken apart as far as the rules need.
pub struct Measures<'a> {
    text: &'a str,
    short_line: usize,
    words: Vec<&'a str>,
    lines: Vec<&'a str>,
}

impl<'a> Measures<'a> {
    /// Lines of fewer than `short_line` characters are short.
    pub fn new(text: &'a str, short_line: usize) -> Measures<'a> {
        let lines = text.lines().map(str::trim_end).filter(|line| !line.trim_start().is_empty()).collect();
        Measures { text, short_line, words: text.split_whitespace().collect(), lines }
    }

    /// The measured value that a rule bounds. Shares of nothing are 0.
    pub fn value(&self, rule: Rule) -> f64 {
        match rule {
            Rule::MinBytes | Rule::MaxBytes => self.text.len() as f64,
            Rule::MinWords | Rule::MaxWords => self.words.len() as f64,
            Rule::MinMeanWordLength | Rule::MaxMeanWordLength => self.mean_length(&self.words),
            Rule::MaxHashesPerWord => share(self.text.matches('#').count(), self.words.len()),
            Rule::MaxEllipsesPerWord => {
                share(self.text.matches("...").count() + self.text.matches('…').count(), self.words.len())
            }
            Rule::MaxBulletLines => self.lines_share(|line| line.trim_start().starts_with(BULLETS)),
            Rule::MaxEllipsisLines => self.lines_share(|line| line.ends_with("...") || line.ends_with('…')),
            Rule::MinAlphabeticWords => {
                let alphabetic = self.words.iter().filter(|word| word.chars().any(char::is_alphabetic));
                share(alphabetic.count(), self.words.len())
            }
            Rule::MinStopWords => self.stop_words(),
            Rule::MinSentences => self.sentences(),
            Rule::MaxLoremIpsum => self.text.to_lowercase().matches("lorem ipsum").count() as f64,
            Rule::MaxCurlyBrackets => self.text.matches('{').count() as f64,
            Rule::MinPunctuatedLines => self.lines_share(|line| line.ends_with(LINE_ENDS)),
            Rule::MaxShortLines => self.lines_share(|line| line.chars().count() < self.short_line),
            Rule::MaxLineLength => self.lines.iter().map(|line| length(line)).max().unwrap_or(0) as f64,
            Rule::MaxMeanLineLength => self.mean_length(&self.lines),
            Rule::MinAlphanumeric => {
                share(self.text.chars().filter(|each| each.is_alphanumeric()).count(), length(self.text))
            }
            Rule::MaxDuplicateLines => repeated(&self.lines).0,
            Rule::MaxDuplicateLineCharacters => repeated(&self.lines).1,
            Rule::MaxDuplicateParagraphs => repeated(&self.paragraphs()).0,
            Rule::MaxDuplicateParagraphCharacters => repeated(&self.paragraphs()).1,
            Rule::MaxTop2Gram => top_share(&self.words, 2),
            Rule::MaxTop3Gram => top_share(&self.words, 3),
            Rule::MaxTop4Gram => top_share(&self.words, 4),
            Rule::MaxDuplicate5Grams => duplicate_share(&self.words, 5),
            Rule::MaxDuplicate6Grams => duplicate_share(&self.words, 6),
            Rule::MaxDuplicate7Grams => duplicate_share(&self.words, 7),
            Rule::MaxDuplicate8Grams => duplicate_share(&self.words, 8),
            Rule::MaxDuplicate9Grams => duplicate_share(&self.words, 9),
            Rule::MaxDuplicate10Grams => duplicate_share(&self.words, 10),
        }
    }

    fn mean_length(&self, parts: &[&str]) -> f64 {
        share(parts.iter().map(|part| length(part)).sum(), parts.len())
    }

    fn lines_share(&self, test: impl Fn(&str) -> bool) -> f64 {
        share(self.lines.iter().filter(|line| test(line)).count(), self.lines.len())
    }

    fn stop_words(&self) -> f64 {
        let bare = |word: &&str| word.trim_matches(|each: char| !each.is_alphanumeric()).to_lowercase();
        let mut found = [false; STOP_WORDS.len()];
        for word in self.words.iter().filter(|word| word.len() <= 12) {
            let word = bare(word);
            if let Some(index) = STOP_WORDS.iter().position(|stop| *stop == word) {
                found[index] = true;
            }
        }
        found.iter().filter(|&&found| found).count() as f64
    }

    /// Words that end a sentence.
    fn sentences(&self) -> f64 {
        self.words.iter().filter(|word| ends_a_sentence(word)).count() as f64
    }

    fn paragraphs(&self) -> Vec<&'a str> {
        self.text.split("\n\n").map(str::trim).filter(|part| !part.is_empty()).collect()
    }
}

/// The share of parts that equal an earlier one, and the share of characters in them.
fn repeated(parts: &[&str]) -> (f64, f64) {
    let mut seen = HashSet::with_capacity(parts.len());
    let (mut count, mut characters, mut all) = (0, 0, 0);
    for part in parts {
        let length = length(part);
        all += length;
        if !seen.insert(part.trim()) {
            count += 1;
            characters += length;
        }
    }
    (share(count, parts.len()), share(characters, all))
}

/// Characters of a text.
pub fn length(text: &str) -> usize {
    text.chars().count()
}

/// A part of a whole; 0 of nothing.
pub fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
