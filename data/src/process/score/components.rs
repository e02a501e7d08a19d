//! The components of a score that need no model, each from 0 to 1; `Component` says what they measure.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::LazyLock;

use llmc_compiler::plan::Component;

use super::super::bias::Phrases;
use super::super::words::{Word, runs, words};

/// English function words.
const STOP_WORDS: &[&str] = &[
    "a", "about", "after", "all", "also", "an", "and", "any", "are", "as", "at", "be", "because", "been", "before",
    "but", "by", "can", "could", "did", "do", "does", "for", "from", "had", "has", "have", "he", "her", "him", "his",
    "how", "i", "if", "in", "into", "is", "it", "its", "may", "me", "more", "most", "my", "no", "not", "of", "on",
    "one", "only", "or", "other", "our", "out", "over", "she", "should", "so", "some", "such", "than", "that", "the",
    "their", "them", "then", "there", "these", "they", "this", "those", "to", "up", "was", "we", "were", "what",
    "when", "where", "which", "while", "who", "will", "with", "would", "you", "your",
];

/// Phrases of advertising.
const SALES: &[&str] = &[
    "100% free",
    "act now",
    "add to cart",
    "as seen on",
    "best deals",
    "best price",
    "best prices",
    "buy now",
    "buy online",
    "call now",
    "cheap",
    "click here",
    "click below",
    "coupon code",
    "discount code",
    "double your",
    "earn money",
    "exclusive deal",
    "extra income",
    "free shipping",
    "free trial",
    "get it now",
    "great deals",
    "incredible deal",
    "limited offer",
    "limited time",
    "lowest price",
    "lowest prices",
    "make money",
    "money back",
    "no obligation",
    "on sale",
    "online casino",
    "order now",
    "order today",
    "promo code",
    "risk free",
    "risk-free",
    "satisfaction guaranteed",
    "save big",
    "shop now",
    "sign up now",
    "special offer",
    "special promotion",
    "subscribe now",
    "visit our website",
    "while supplies last",
    "work from home",
    "you have won",
    "you won",
];

/// Punctuation of prose.
const PROSE: &[char] = &[
    '.', ',', ';', ':', '!', '?', '\'', '"', '-', '(', ')', '’', '‘', '“', '”', '–', '—', '…', '«', '»', '。', '，',
    '、',
];

/// Words of a stretch within which different ones are counted.
const STRETCH: usize = 50;

/// Words of a run that is sought again.
const RUN: usize = 5;

/// Words of the shortest and longest sentence that is well-formed.
const SENTENCE: RangeInclusive<usize> = 3..=60;

/// Hashes of the stop words.
static STOP_HASHES: LazyLock<HashSet<u64>> =
    LazyLock::new(|| STOP_WORDS.iter().flat_map(|word| words(word)).map(|word| word.hash).collect());

static SALES_PHRASES: LazyLock<Phrases> = LazyLock::new(|| Phrases::of(SALES.iter().copied()));

/// A text taken apart.
pub struct Prose<'a> {
    text: &'a str,
    /// What white space parts.
    words: Vec<&'a str>,
    /// Runs of letters and digits.
    hashed: Vec<Word>,
}

impl<'a> Prose<'a> {
    /// Takes a text apart.
    pub fn new(text: &'a str) -> Prose<'a> {
        Prose { text, words: text.split_whitespace().collect(), hashed: words(text) }
    }

    /// The value of a component; 0 of those that need a model.
    pub fn value(&self, component: Component) -> f64 {
        let mean = |parts: &[Component]| parts.iter().map(|part| self.value(*part)).sum::<f64>() / parts.len() as f64;
        match component {
            Component::Grammar => mean(&[Component::StopWords, Component::Sentences]),
            Component::Content => mean(&[Component::Alphabetic, Component::Diversity, Component::Length]),
            Component::Spam => {
                let signs = [
                    Component::Symbols,
                    Component::Repetition,
                    Component::Links,
                    Component::Sales,
                    Component::Capitals,
                ];
                1.0 - signs.iter().map(|sign| 1.0 - self.value(*sign)).product::<f64>()
            }
            Component::StopWords => (self.stop_words() / 0.3).min(1.0),
            Component::Sentences => self.sentences(),
            Component::Alphabetic => self.share_of_words(is_alphabetic),
            Component::Diversity => self.diversity(),
            Component::Length => (self.words.len() as f64 / 200.0).min(1.0),
            Component::Symbols => (self.symbols() / 0.1).min(1.0),
            Component::Repetition => self.repetition(),
            Component::Links => self.per_words(self.text.matches("://").count() + self.bare_links(), 20.0),
            Component::Sales => {
                let hashes: Vec<u64> = self.hashed.iter().map(|word| word.hash).collect();
                self.per_words(SALES_PHRASES.count(&hashes) as usize, 50.0)
            }
            Component::Capitals => (self.capitals() / 0.5).min(1.0),
            Component::Quality | Component::Fluency | Component::Language => 0.0,
        }
    }

    fn share_of_words(&self, test: impl Fn(&str) -> bool) -> f64 {
        share(self.words.iter().filter(|word| test(word)).count(), self.words.len())
    }

    /// Occurrences for every so many words, at most 1.
    fn per_words(&self, count: usize, words: f64) -> f64 {
        (share(count, self.words.len()) * words).min(1.0)
    }

    /// Addresses without `http://`.
    fn bare_links(&self) -> usize {
        self.words.iter().filter(|word| word.starts_with("www.") || word.starts_with("WWW.")).count()
    }

    fn capitals(&self) -> f64 {
        let long = |word: &&&str| word.chars().filter(|each| each.is_alphabetic()).count() >= 2;
        let shouted = |word: &&&str| word.chars().all(|each| !each.is_lowercase());
        let words: Vec<&&str> = self.words.iter().filter(long).collect();
        share(words.iter().copied().filter(|word| shouted(word)).count(), words.len())
    }

    fn symbols(&self) -> f64 {
        let mut all = 0;
        let mut symbols = 0;
        for character in self.text.chars().filter(|each| !each.is_whitespace()) {
            all += 1;
            symbols += usize::from(!character.is_alphanumeric() && !PROSE.contains(&character));
        }
        share(symbols, all)
    }

    fn stop_words(&self) -> f64 {
        share(self.hashed.iter().filter(|word| STOP_HASHES.contains(&word.hash)).count(), self.hashed.len())
    }

    fn diversity(&self) -> f64 {
        let hashes: Vec<u64> = self.hashed.iter().map(|word| word.hash).collect();
        // A last stretch of less than half the length belongs to the one before.
        let stretches = ((hashes.len() + STRETCH / 2) / STRETCH).max(1);
        let ratio = |part: usize| {
            let end = if part + 1 == stretches { hashes.len() } else { (part + 1) * STRETCH };
            let mut different = hashes[part * STRETCH..end].to_vec();
            let all = different.len();
            different.sort_unstable();
            different.dedup();
            share(different.len(), all)
        };
        (0..stretches).map(ratio).sum::<f64>() / stretches as f64
    }

    /// The share of words in runs that occurred before, words in several of them counted once.
    fn repetition(&self) -> f64 {
        let mut seen = HashSet::with_capacity(self.hashed.len());
        let (mut repeated, mut covered) = (0, 0);
        for (start, (hash, _)) in runs(&self.hashed, RUN).enumerate() {
            if !seen.insert(hash) {
                repeated += start + RUN - covered.max(start);
                covered = start + RUN;
            }
        }
        share(repeated, self.hashed.len())
    }

    /// The share of words in well-formed sentences.
    fn sentences(&self) -> f64 {
        let mut well = 0;
        for paragraph in self.text.split("\n\n") {
            let mut length = 0;
            let mut begins_well = false;
            for word in paragraph.split_whitespace() {
                if length == 0 {
                    let first = word.chars().find(|each| each.is_alphanumeric());
                    begins_well = first.is_some_and(|each| !each.is_lowercase());
                }
                length += 1;
                let end = word.trim_end_matches(['"', '\'', ')', '”', '’', '»']);
                if end.ends_with(['.', '!', '?', '…', '。']) {
                    well += if begins_well && SENTENCE.contains(&length) { length } else { 0 };
                    length = 0;
                }
            }
        }
        share(well, self.words.len())
    }
}

fn is_alphabetic(word: &str) -> bool {
    let inner = word.trim_matches(PROSE);
    !inner.is_empty() && inner.chars().all(|each| each.is_alphabetic() || matches!(each, '\'' | '’' | '-'))
}

/// A part of a whole; 0 of nothing.
fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROSE_TEXT: &str = "The river was high that spring. We walked along its bank until evening, and nobody said \
        a word about the bridge.\n\nIn the morning there were boats in the meadow, which made the children laugh!";
    const SPAM_TEXT: &str = "BUY NOW!!! *** CHEAP WATCHES *** http://a.example http://b.example CLICK HERE $$$ \
        BUY NOW!!! *** CHEAP WATCHES *** FREE SHIPPING $$$ LIMITED TIME >>> www.c.example";

    #[test]
    fn components_tell_prose_from_spam() {
        let (prose, spam) = (Prose::new(PROSE_TEXT), Prose::new(SPAM_TEXT));
        for component in [Component::Grammar, Component::Content, Component::StopWords, Component::Sentences] {
            let (good, bad) = (prose.value(component), spam.value(component));
            assert!(good > bad + 0.15, "{}: {good} {bad}", component.name());
        }
        for component in [Component::Spam, Component::Symbols, Component::Links, Component::Sales, Component::Capitals]
        {
            assert!(prose.value(component) < 0.1 && spam.value(component) > 0.5, "{}", component.name());
        }
    }

    #[test]
    fn values_are_as_defined_and_never_outside_0_to_1() {
        let exact = |text: &str, component: Component| Prose::new(text).value(component);
        assert_eq!(exact("The cat sat. no capital here. X.", Component::Sentences), 3.0 / 7.0);
        assert_eq!(exact("one 2 three's (four)", Component::Alphabetic), 0.75);
        assert_eq!(exact("a b a b", Component::Diversity), 0.5);
        assert_eq!(exact("a b a b", Component::Length), 0.02);
        assert_eq!(exact("OK so I go", Component::Capitals), 2.0 / 3.0);
        assert_eq!(exact(&"x ".repeat(20).replacen("x", "http://x", 1), Component::Links), 1.0);
        let long = "word ".repeat(1000);
        for text in ["", " \n", "!", "🖕", "é", PROSE_TEXT, SPAM_TEXT, &long] {
            for &component in Component::ALL {
                let value = exact(text, component);
                assert!((0.0..=1.0).contains(&value), "{}: {value}", component.name());
            }
        }
    }

    #[test]
    fn words_and_phrases_are_counted_whatever_their_case() {
        let exact = |text: &str, component: Component| Prose::new(text).value(component);
        assert_eq!(exact("The river (with) boats, WHICH were theirs now then up x", Component::StopWords), 1.0);
        assert_eq!(exact("river boats", Component::StopWords), 0.0);
        assert_eq!(exact(&format!("Buy NOW, {}", "x ".repeat(98)), Component::Sales), 0.5);
        assert_eq!(exact("a b c d e f a b c d e g", Component::Repetition), 5.0 / 12.0);
        assert_eq!(exact("a b c d e a b c d e a b c d e", Component::Repetition), 10.0 / 15.0);
    }
}
