//! Exchanges the terms of two groups in a text, all at once.

use super::super::words::{Word, words};
use super::pairs::{Counterpart, Pairs};

/// Words that what is possessed does not begin with: after them `her` is `him` and `his` is `hers`.
const NOT_POSSESSED: &[&str] = &[
    "a",
    "about",
    "after",
    "again",
    "against",
    "all",
    "alone",
    "along",
    "also",
    "although",
    "am",
    "among",
    "an",
    "and",
    "any",
    "anything",
    "are",
    "around",
    "as",
    "at",
    "away",
    "be",
    "because",
    "been",
    "before",
    "being",
    "between",
    "but",
    "by",
    "can",
    "could",
    "did",
    "do",
    "does",
    "down",
    "during",
    "enough",
    "even",
    "every",
    "everything",
    "for",
    "from",
    "had",
    "has",
    "have",
    "he",
    "her",
    "here",
    "herself",
    "him",
    "himself",
    "his",
    "how",
    "i",
    "if",
    "in",
    "instead",
    "into",
    "is",
    "it",
    "just",
    "later",
    "may",
    "me",
    "might",
    "more",
    "most",
    "much",
    "must",
    "my",
    "never",
    "no",
    "nor",
    "not",
    "nothing",
    "now",
    "of",
    "off",
    "on",
    "once",
    "onto",
    "or",
    "our",
    "out",
    "over",
    "she",
    "should",
    "since",
    "so",
    "some",
    "something",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "though",
    "through",
    "to",
    "today",
    "together",
    "tomorrow",
    "tonight",
    "too",
    "toward",
    "towards",
    "under",
    "unless",
    "until",
    "up",
    "upon",
    "us",
    "very",
    "was",
    "we",
    "well",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whom",
    "why",
    "will",
    "with",
    "without",
    "would",
    "yesterday",
    "yet",
    "you",
    "your",
];

/// The text with the terms of either group in place of those of the other, and how many there were.
pub fn swapped(text: &str, pairs: &Pairs) -> (String, u64) {
    let words = words(text);
    let mut result = String::with_capacity(text.len() + text.len() / 16);
    let (mut end, mut count) = (0, 0);
    for (at, word) in words.iter().enumerate() {
        let Some((_, counterpart)) = pairs.terms.get(&word.hash) else {
            continue;
        };
        let other = match counterpart {
            Counterpart::Word(other) => other,
            Counterpart::Pronoun { before_noun, .. } if possesses(text, &words, at) => before_noun,
            Counterpart::Pronoun { alone, .. } => alone,
        };
        result.push_str(&text[end..word.start]);
        push_in_case(&mut result, other, &text[word.start..word.end]);
        end = word.end;
        count += 1;
    }
    result.push_str(&text[end..]);
    (result, count)
}

/// Whether a word follows that may be what is possessed.
fn possesses(text: &str, words: &[Word], at: usize) -> bool {
    let Some(next) = words.get(at + 1) else {
        return false;
    };
    let between = &text[words[at].end..next.start];
    // Opening quotation marks and brackets part nothing: her "friend".
    let joined = between.chars().all(|each| each.is_whitespace() || matches!(each, '"' | '“' | '\'' | '‘' | '*' | '_'));
    let next = text[next.start..next.end].to_lowercase();
    joined && !between.is_empty() && !NOT_POSSESSED.contains(&next.as_str())
}

/// Appends a word in the capitals of another one.
fn push_in_case(result: &mut String, word: &str, like: &str) {
    let mut letters = like.chars();
    let first = letters.next().is_some_and(char::is_uppercase);
    if first && like.chars().count() > 1 && letters.all(|letter| !letter.is_lowercase()) {
        result.extend(word.chars().flat_map(char::to_uppercase));
    } else if first {
        let mut letters = word.chars();
        result.extend(letters.next().into_iter().flat_map(char::to_uppercase));
        result.push_str(letters.as_str());
    } else {
        result.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gender(text: &str) -> String {
        swapped(text, &Pairs::gender()).0
    }

    #[test]
    fn pronouns_agree_there_and_back() {
        for (male, female) in [
            ("He said that his sister saw him himself.", "She said that her brother saw her herself."),
            ("MR. Smith gave the boy his book; it is his.", "MS. Smith gave the girl her book; it is hers."),
            ("I told him that he's late, and him only.", "I told her that she's late, and her only."),
            ("A friend of his and his own King!", "A friend of hers and her own Queen!"),
            ("THE FATHER of the Prince", "THE MOTHER of the Princess"),
        ] {
            assert_eq!(gender(male), female);
            // "him only" is not told from "her only child".
            if !male.contains("only") {
                assert_eq!(gender(female), male);
            }
        }
    }

    #[test]
    fn other_words_stay() {
        for text in ["The theme of herring; Sheila's history", "", "It was them.", "ｈéros"] {
            assert_eq!(swapped(text, &Pairs::gender()), (text.to_owned(), 0));
        }
    }

    #[test]
    fn lists_of_ones_own_are_exchanged_at_once() {
        let pairs = Pairs::parse("young,old\nold,new").unwrap();
        assert_eq!(swapped("Young and OLD, new", &pairs), ("Old and YOUNG, old".to_owned(), 3));
    }

    /// Every male sentence of Winogender (Rudinger et al. 2018) becomes its female twin, and back.
    #[test]
    fn winogender_twins() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/filter/winogender.tsv");
        let Ok(text) = std::fs::read_to_string(&path) else {
            println!("skipped: no {}", path.display());
            return;
        };
        let sentence =
            |line: &str| line.split_once('\t').map(|(name, sentence)| (name.to_owned(), sentence.to_owned()));
        let sentences: std::collections::BTreeMap<String, String> = text.lines().filter_map(sentence).collect();
        let mut twins = 0;
        for (name, male) in sentences.iter().filter(|(name, _)| name.contains(".male.")) {
            let female = &sentences[&name.replace(".male.", ".female.")];
            assert_eq!(gender(male), *female);
            assert_eq!(gender(female), *male);
            twins += 1;
        }
        assert_eq!(twins, 240);
    }
}
