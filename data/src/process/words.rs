//! Words by their hashes, for models and comparisons that need no text.

use std::ops::Range;

/// A word and where it stands in its text (bytes).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Word {
    /// Hash of the word in lower case.
    pub hash: u64,
    /// Where it begins.
    pub start: usize,
    /// Where what follows it begins.
    pub end: usize,
}

/// Runs of letters and digits in lower case; a Chinese, Japanese or Korean character and a pictogram are
/// words of their own.
pub fn words(text: &str) -> Vec<Word> {
    cut(text, false)
}

/// As [`words`], and every other character but white space is a token of its own.
pub fn tokens(text: &str) -> Vec<u64> {
    cut(text, true).into_iter().map(|word| word.hash).collect()
}

const START: u64 = 0xcbf2_9ce4_8422_2325;

fn cut(text: &str, signs: bool) -> Vec<Word> {
    let mut words = Vec::with_capacity(text.len() / 5);
    let mut begun: Option<usize> = None;
    let mut hash = START;
    for (at, character) in text.char_indices() {
        let inside = character.is_alphanumeric() && !stands_alone(character);
        if inside {
            begun.get_or_insert(at);
            if character.is_ascii() {
                hash = step(hash, u32::from(character.to_ascii_lowercase()));
            } else {
                character.to_lowercase().for_each(|lower| hash = step(hash, u32::from(lower)));
            }
            continue;
        }
        if let Some(start) = begun.take() {
            words.push(Word { hash: mixed(hash), start, end: at });
            hash = START;
        }
        if stands_alone(character) || (signs && !character.is_whitespace()) {
            let hash = mixed(step(START, u32::from(character)));
            words.push(Word { hash, start: at, end: at + character.len_utf8() });
        }
    }
    if let Some(start) = begun {
        words.push(Word { hash: mixed(hash), start, end: text.len() });
    }
    words
}

/// Hashes of all runs of `length` words and where they stand: a polynomial, moved on by one word at a time.
pub fn runs(words: &[Word], length: usize) -> impl Iterator<Item = (u64, Range<usize>)> {
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let leading = (1..length).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let mut rolling = 0u64;
    words.iter().enumerate().filter_map(move |(at, word)| {
        let start = (at + 1).checked_sub(length);
        if let Some(gone) = start.filter(|start| *start > 0) {
            rolling = rolling.wrapping_sub(words[gone - 1].hash.wrapping_mul(leading));
        }
        rolling = rolling.wrapping_mul(BASE).wrapping_add(word.hash);
        // Runs of different lengths are told apart.
        Some((mixed(rolling ^ length as u64), words[start?].start..word.end))
    })
}

/// One step of FNV-1a, over characters.
fn step(hash: u64, character: u32) -> u64 {
    (hash ^ u64::from(character)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// A character that is a word without spaces around it.
fn stands_alone(character: char) -> bool {
    matches!(u32::from(character), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0x2_0000..=0x3_ffff
        | 0x2600..=0x27bf | 0x1_f000..=0x1_faff)
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014): every bit of the input changes every bit of the output.
pub fn mixed(mut hash: u64) -> u64 {
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}

/// The hash of a sequence that `next` is appended to.
pub fn appended(sequence: u64, next: u64) -> u64 {
    mixed(sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(next))
}

/// True with this probability, over all hashes.
pub fn chosen(hash: u64, share: f64) -> bool {
    // 53 bits: what a float holds exactly.
    ((hash >> 11) as f64) < share * (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_runs_of_letters_and_digits() {
        let text = "It's 5 o'clock, ÉTÉ!";
        let found: Vec<&str> = words(text).iter().map(|word| &text[word.start..word.end]).collect();
        assert_eq!(found, ["It", "s", "5", "o", "clock", "ÉTÉ"]);
        assert_eq!(words("été")[0].hash, words("ÉTÉ")[0].hash);
        assert_eq!(words("漢字x").len(), 3);
        assert_eq!(tokens("a, b.").len(), 4);
        assert_ne!(tokens("a b"), tokens("b a"));
        assert!(words(" ,;").is_empty());
    }

    #[test]
    fn shares_are_met() {
        let count = (0..10_000u64).filter(|number| chosen(mixed(*number), 0.3)).count();
        assert!((2_800..3_200).contains(&count), "{count}");
        assert!(chosen(u64::MAX, 1.0) && !chosen(0, 0.0));
    }
}
