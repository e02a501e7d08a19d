//! Hashes of runs of words.

/// Bytes of ASCII text that are looked at together.
const BLOCK: usize = 64;

/// In the table of ASCII characters: it ends a word.
const SPACE: u8 = 0x80;

/// What an ASCII character does to a word: [`SPACE`] ends it, 0 does nothing, all else is its lower case.
static ASCII: [u8; 128] = ascii();

const fn ascii() -> [u8; 128] {
    let mut table = [0; 128];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        } else if byte.is_ascii_whitespace() {
            table[byte as usize] = SPACE;
        }
        byte += 1;
    }
    table
}

/// Odd numbers without a pattern: digits of the golden ratio and of pi.
const KEYS: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

/// Hashes the runs of words of one text after another, in memory that is used again.
#[derive(Debug, Default)]
pub struct Words {
    /// What counts of every word, in lower case, without what lies between.
    letters: Vec<u8>,
    /// Where words end in `letters`; one that ends where it begins is none.
    ends: Vec<usize>,
    words: Vec<u64>,
    runs: Vec<u64>,
}

impl Words {
    /// Hashes of all runs of `length` words, in order, repetitions included. Words are maximal runs of characters
    /// without white space, of which letters and digits count, in lower case; a Chinese, Japanese or Korean character
    /// is a word of its own. A text of fewer words has one run: all of them. A text without words has none.
    pub fn runs(&mut self, text: &str, length: usize) -> &[u64] {
        self.find(text);
        self.hash_words();
        self.hash_runs(length);
        &self.runs
    }

    fn find(&mut self, text: &str) {
        self.letters.clear();
        self.ends.clear();
        let mut rest = text;
        while !rest.is_empty() {
            let length = match rest.as_bytes().first_chunk().filter(|block| block.is_ascii()) {
                Some(block) => self.push_ascii(block),
                None => self.push_characters(rest),
            };
            rest = &rest[length..];
        }
        self.end_word();
    }

    /// Without a branch that depends on the text: what a processor cannot guess costs it more than to store in vain.
    fn push_ascii(&mut self, block: &[u8; BLOCK]) -> usize {
        let (mut letters, mut ends) = ([0; BLOCK], [0; BLOCK]);
        let (mut letter, mut end) = (0, 0);
        for &byte in block {
            let meaning = ASCII[usize::from(byte & 0x7f)];
            letters[letter % BLOCK] = meaning;
            letter += usize::from(meaning.wrapping_sub(1) < SPACE - 1);
            ends[end % BLOCK] = letter as u8;
            end += usize::from(meaning == SPACE);
        }
        let before = self.letters.len();
        self.letters.extend_from_slice(&letters[..letter]);
        self.ends.extend(ends[..end].iter().map(|&end| before + usize::from(end)));
        BLOCK
    }

    /// One block or what is left, to the end of a character.
    fn push_characters(&mut self, text: &str) -> usize {
        let mut done = 0;
        for character in text.chars() {
            if done >= BLOCK {
                break;
            }
            done += character.len_utf8();
            if is_ideograph(character) {
                self.end_word();
                self.push_character(character);
                self.end_word();
            } else if character.is_alphanumeric() {
                character.to_lowercase().for_each(|lower| self.push_character(lower));
            } else if character.is_whitespace() {
                self.end_word();
            }
        }
        done
    }

    fn push_character(&mut self, character: char) {
        self.letters.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    fn end_word(&mut self) {
        self.ends.push(self.letters.len());
    }

    fn hash_words(&mut self) {
        // Every word can be read in pieces of 16 bytes.
        self.letters.extend_from_slice(&[0; 16]);
        self.words.clear();
        let mut start = 0;
        for &end in &self.ends {
            if end > start {
                self.words.push(hash_of(&self.letters[start..], end - start));
            }
            start = end;
        }
    }

    /// A polynomial over the words' hashes, moved on by one word at a time.
    fn hash_runs(&mut self, length: usize) {
        self.runs.clear();
        let words = &self.words;
        if words.is_empty() {
            return;
        }
        const BASE: u64 = KEYS[0];
        let length = length.min(words.len());
        let leading = (1..length).fold(1u64, |power, _| power.wrapping_mul(BASE));
        let mut rolling = words[..length].iter().fold(0u64, |sum, &word| sum.wrapping_mul(BASE).wrapping_add(word));
        self.runs.push(mixed(rolling));
        self.runs.extend(words.iter().zip(&words[length..]).map(|(first, next)| {
            rolling = rolling.wrapping_sub(first.wrapping_mul(leading)).wrapping_mul(BASE).wrapping_add(*next);
            mixed(rolling)
        }));
    }
}

/// Of the first `length` of these bytes, which zeros follow up to the next multiple of 16: 128 bits of product at a
/// time, folded into 64 (as wyhash does, <https://github.com/wangyi-fudan/wyhash>).
fn hash_of(bytes: &[u8], length: usize) -> u64 {
    let mut hash = KEYS[2];
    let mut at = 0;
    while at < length {
        let left = length - at;
        let piece: &[u8; 16] = bytes[at..].first_chunk().expect("16 zeros follow the last word");
        let piece = u128::from_le_bytes(*piece) & (u128::MAX >> (8 * (16 - left.min(16))));
        hash = folded(hash ^ piece as u64 ^ KEYS[0], (piece >> 64) as u64 ^ KEYS[1]);
        at += 16;
    }
    hash
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    product as u64 ^ (product >> 64) as u64
}

fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0x20000..=0x3ffff)
}

/// The finaliser of MurmurHash3: every bit of the input changes every bit of the output.
pub fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As [`Words::runs`] says it, character by character.
    fn plain_words(text: &str) -> Vec<String> {
        let mut words = vec![String::new()];
        for character in text.chars() {
            let ideograph = is_ideograph(character);
            if character.is_whitespace() || ideograph {
                words.push(String::new());
            }
            let last = words.last_mut().unwrap();
            last.extend(character.to_lowercase().filter(|_| ideograph || character.is_alphanumeric()));
            if ideograph {
                words.push(String::new());
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }

    fn words_of(text: &str) -> Vec<String> {
        let mut words = Words::default();
        words.find(text);
        let starts = [0].into_iter().chain(words.ends.iter().copied());
        let found = starts.zip(&words.ends).filter(|(start, end)| end > &start);
        found.map(|(start, &end)| String::from_utf8(words.letters[start..end].to_vec()).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn words_are_found_in_any_text(text in "[a-cA-C0.,\\x00 \n\t\u{b}é京\u{3000}]{0,200}") {
            prop_assert_eq!(words_of(&text), plain_words(&text));
        }

        #[test]
        fn words_of_any_characters(text in ".{0,300}") {
            prop_assert_eq!(words_of(&text), plain_words(&text));
        }

        #[test]
        fn equal_runs_have_equal_hashes_wherever_they_stand(
            words in prop::collection::vec("[ab]{1,2}|[ab]{15,18}", 0..30), length in 1..6usize
        ) {
            let text = words.join(" ");
            let mut hasher = Words::default();
            let runs = hasher.runs(&text, length).to_vec();
            let windows: Vec<String> = match words.len() {
                0 => Vec::new(),
                count => words.windows(length.min(count)).map(|window| window.join(" ")).collect(),
            };
            prop_assert_eq!(runs.len(), windows.len());
            for (one, hash) in windows.iter().zip(&runs) {
                for (other, another) in windows.iter().zip(&runs) {
                    prop_assert_eq!(one == other, hash == another);
                }
            }
        }
    }
}
