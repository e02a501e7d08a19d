//! The text of a `tokenizer.json`, the format of Hugging Face's `tokenizers`.

use serde_json::{Map, Value, json};

use super::byte_level::byte_character;

/// What happens to text before the model and after it; `null` for nothing.
#[derive(Debug, Default)]
pub struct Steps {
    /// Changes text.
    pub normalizer: Value,
    /// Finds words.
    pub pre_tokenizer: Value,
    /// Makes text of tokens.
    pub decoder: Value,
}

/// A whole file: its special tokens with their ids, its steps and its model.
pub fn tokenizer_json(special: &[(u64, String)], steps: Steps, model: Value) -> String {
    let added = special.iter().map(|(id, content)| {
        json!({
            "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true
        })
    });
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<Value>>(),
        "normalizer": steps.normalizer,
        "pre_tokenizer": steps.pre_tokenizer,
        "post_processor": null,
        "decoder": steps.decoder,
        "model": model,
    })
    .to_string()
}

/// Byte-level BPE: the tokens as bytes, in the order of their ids but for gaps, and the pairs that are merged, in the
/// order of their ranks. Words are found by a pattern, or by GPT-2's where there is none.
pub fn byte_bpe_json(
    tokens: impl Iterator<Item = (u64, Vec<u8>)>,
    merges: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    special: &[(u64, String)],
    splitting: Splitting,
) -> String {
    let vocab: Map<String, Value> = tokens.map(|(id, token)| (written(&token), json!(id))).collect();
    let merges: Vec<Value> = merges.map(|(left, right)| json!([written(&left), written(&right)])).collect();
    let pre_tokenizer = match splitting {
        Splitting::Nothing => byte_level(false),
        Splitting::Gpt2 => byte_level(true),
        Splitting::Pattern(pattern) => {
            let split =
                json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
            json!({"type": "Sequence", "pretokenizers": [split, byte_level(false)]})
        }
    };
    let model = json!({
        "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
        "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
        // Where words are tokens as they stand, tiktoken does not merge them.
        "ignore_merges": matches!(splitting, Splitting::Pattern(_)),
        "vocab": vocab, "merges": merges
    });
    tokenizer_json(special, Steps { normalizer: Value::Null, pre_tokenizer, decoder: byte_level(true) }, model)
}

/// How byte-level BPE finds words.
#[derive(Debug, Clone, Copy)]
pub enum Splitting {
    /// The whole text is one.
    Nothing,
    /// By GPT-2's pattern.
    Gpt2,
    /// By this one.
    Pattern(&'static str),
}

fn byte_level(use_regex: bool) -> Value {
    json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": use_regex})
}

/// Bytes in GPT-2's alphabet.
fn written(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| byte_character(byte)).collect()
}
