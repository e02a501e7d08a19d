//! Byte-level tokenizers: every byte is a character of the alphabet of GPT-2 (Radford et al. 2019).

use serde_json::{Value, json};

use super::END_OF_TEXT;

/// The character that stands for a byte: itself where it is visible, else one from U+0100 on.
pub fn byte_character(byte: u8) -> char {
    let visible = |byte: u8| matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if visible(byte) {
        return char::from(byte);
    }
    let hidden_before = (0..byte).filter(|&before| !visible(before)).count() as u32;
    char::from_u32(0x100 + hidden_before).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A `tokenizer.json` whose ids are bytes, with end-of-text as 256.
pub fn bytes_json() -> String {
    let vocab: serde_json::Map<String, Value> =
        (0..=255u8).map(|byte| (byte_character(byte).to_string(), json!(byte))).collect();
    let byte_level = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [{
            "id": 256, "content": END_OF_TEXT, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        }],
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": {
            "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
            "vocab": vocab, "merges": []
        }
    })
    .to_string()
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
