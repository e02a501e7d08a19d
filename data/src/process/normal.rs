//! Texts that differ only in what does not matter.

use unicode_normalization::UnicodeNormalization;

/// Unicode composition (NFC), lower case, runs of white space folded into one space, none at the ends.
pub fn normalised(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    if text.is_ascii() {
        for word in text.split_ascii_whitespace() {
            push_word(&mut folded, word);
        }
        folded.make_ascii_lowercase();
        return folded;
    }
    for word in text.split_whitespace() {
        push_word(&mut folded, word);
    }
    folded.to_lowercase().nfc().collect()
}

fn push_word(folded: &mut String, word: &str) {
    if !folded.is_empty() {
        folded.push(' ');
    }
    folded.push_str(word);
}

/// The first 16 bytes of the blake3 hash of the [`normalised`] text.
pub fn fingerprint(text: &str) -> u128 {
    let hash = blake3::hash(normalised(text).as_bytes());
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_le_bytes(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_matter_is_folded() {
        assert_eq!(normalised("  A\tb\r\n c\n"), "a b c");
        assert_eq!(normalised("É\u{a0}e\u{301}"), "é é");
        assert_eq!(normalised(" \n"), "");
        assert_eq!(fingerprint("One  TWO"), fingerprint("one two\n"));
        assert_ne!(fingerprint("one two"), fingerprint("onetwo"));
    }
}
