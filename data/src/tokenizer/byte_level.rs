//! Byte-level tokenizers: every byte is a character of the alphabet of GPT-2 (Radford et al. 2019).

use serde_json::Value;

use super::END_OF_TEXT;
use super::file::{Splitting, byte_bpe_json};

/// The character that stands for a byte: itself where it is visible, else one from U+0100 on.
pub fn byte_character(byte: u8) -> char {
    let hidden = match byte {
        0..=0x20 => byte,
        0x7F..=0xA0 => byte - 0x7F + 33,
        0xAD => 67,
        visible => return char::from(visible),
    };
    char::from_u32(0x100 + u32::from(hidden)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// All bytes in the order of their characters, in which trained tokenizers number them.
pub fn alphabet() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.sort_by_key(|&byte| byte_character(byte));
    bytes
}

/// A `tokenizer.json` whose ids are bytes, with end-of-text as 256.
pub fn bytes_json() -> String {
    let bytes = (0..=255u8).map(|byte| (u64::from(byte), vec![byte]));
    byte_bpe_json(bytes, std::iter::empty(), &[(256, END_OF_TEXT.to_owned())], Splitting::Nothing)
}

/// Whether the decoder of a `tokenizer.json` turns alphabet characters back into bytes.
pub fn is_byte_level(facts: &Value) -> bool {
    let is = |decoder: &Value| decoder["type"] == "ByteLevel";
    let decoder = &facts["decoder"];
    is(decoder) || decoder["decoders"].as_array().is_some_and(|decoders| decoders.iter().any(is))
}

/// Cuts `text` into pieces of about `size` bytes, each cut after a line feed between two visible characters.
pub fn pieces(text: &str, size: usize) -> Vec<&str> {
    let bytes = text.as_bytes();
    let visible = |byte: u8| byte.is_ascii_graphic();
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut end = size;
    while end + 1 < bytes.len() {
        if bytes[end] == b'\n' && visible(bytes[end - 1]) && visible(bytes[end + 1]) {
            pieces.push(&text[start..=end]);
            start = end + 1;
            end += size;
        } else {
            end += 1;
        }
    }
    pieces.push(&text[start..]);
    pieces
}

/// The number of UTF-8 bytes that a token of the vocabulary stands for.
pub fn text_bytes(token: &str, is_byte_level: bool) -> u32 {
    if is_byte_level {
        return token.chars().count() as u32;
    }
    let is_byte = token.len() == 6 && token.starts_with("<0x") && token.ends_with('>');
    if is_byte {
        return 1;
    }
    // SentencePiece writes a space as U+2581; WordPiece marks the inside of a word with `##`.
    let token = token.strip_prefix("##").unwrap_or(token);
    token.chars().map(|character| if character == '\u{2581}' { 1 } else { character.len_utf8() as u32 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_has_256_distinct_characters() {
        let alphabet: std::collections::BTreeSet<char> = (0..=255).map(byte_character).collect();
        assert_eq!(alphabet.len(), 256);
        assert_eq!([b' ', b'\n', b'a', 0xAD].map(byte_character), ['Ġ', 'Ċ', 'a', 'Ń']);
    }

    #[test]
    fn pieces_are_cut_between_lines_only() {
        assert_eq!(pieces("ab\ncd\nef", 2), ["ab\n", "cd\n", "ef"]);
        assert_eq!(pieces("ab\n\ncd\n ef\ng", 2), ["ab\n\ncd\n ef\n", "g"]);
        assert_eq!(pieces("ab\n", 1), ["ab\n"]);
        assert_eq!(pieces("", 4), [""]);
    }
}
