//! WordPiece (Schuster and Nakajima 2012; Devlin et al. 2019): pieces inside a word are marked by `##`, and the longest
//! piece that fits is taken. The pieces are learned as those of byte-pair encoding, as Hugging Face does.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Map, Value, json};
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::words::{self, Splitter};
use super::{NAME, pairs, too_small_text, too_small_vocabulary};
use crate::tokenizer::file::{Steps, tokenizer_json};
use crate::tokenizer::unusable;

/// What BERT has besides `[UNK]`, which is a piece of the model.
pub const SPECIAL: [&str; 4] = ["[PAD]", "[CLS]", "[SEP]", "[MASK]"];

/// The piece for a word that cannot be put together.
const UNKNOWN: &str = "[UNK]";

/// Most characters that may be pieces, the most frequent; words with others are unknown.
const MOST_CHARACTERS: usize = 1000;

/// A pair of pieces must occur this often to become a piece.
const LEAST_OCCURRENCES: u64 = 2;

/// Longer words are unknown, as in BERT's own tokenizer.
const LONGEST_WORD: usize = 100;

struct Bert {
    normalizer: BertNormalizer,
}

impl Splitter for Bert {
    fn split(&self, text: &str, found: &mut dyn FnMut(&str)) -> Result<(), Diagnostic> {
        let failed = |error: tokenizers::Error| unusable(NAME, &error.to_string());
        let mut text = NormalizedString::from(text);
        self.normalizer.normalize(&mut text).map_err(failed)?;
        let mut words = PreTokenizedString::from(text);
        BertPreTokenizer.pre_tokenize(&mut words).map_err(failed)?;
        let splits = words.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
        splits.into_iter().for_each(|(word, ..)| found(word));
        Ok(())
    }
}

/// The `tokenizer.json` of `learned` tokens, `[UNK]`, characters and merges, and special tokens.
pub fn learn(
    documents: impl Iterator<Item = Result<String, Diagnostic>>,
    limit: u64,
    lowercase: bool,
    learned: u64,
    special: &[(u64, String)],
) -> Result<String, Diagnostic> {
    let splitter = Bert { normalizer: BertNormalizer::new(true, true, None, lowercase) };
    let mut counted = words::count(documents, limit, &splitter)?;
    counted.retain(|(word, _)| word.chars().count() <= LONGEST_WORD);
    let kept = frequent_characters(&counted);
    counted.retain(|(word, _)| word.chars().all(|character| kept.contains(&character)));
    // Every character is a piece at the start of a word, and inside it where it is found there.
    let mut pieces = vec![UNKNOWN.to_owned()];
    pieces.extend(kept.iter().map(char::to_string));
    let mut inside: Vec<char> = counted.iter().flat_map(|(word, _)| word.chars().skip(1)).collect();
    inside.sort_unstable();
    inside.dedup();
    pieces.extend(inside.iter().map(|character| format!("##{character}")));
    let characters = pieces.len() as u64;
    let most = learned.checked_sub(characters).ok_or_else(|| too_small_vocabulary(learned, characters, special))?;
    let ids: BTreeMap<&str, u32> = pieces.iter().map(String::as_str).zip(0..).collect();
    let id = |(place, character): (usize, char)| {
        let piece = if place == 0 { character.to_string() } else { format!("##{character}") };
        ids[piece.as_str()]
    };
    let words: Vec<(Vec<u32>, u64)> =
        counted.iter().map(|(word, count)| (word.chars().enumerate().map(id).collect(), *count)).collect();
    let merges = pairs::learn(&words, characters as u32, most as usize, LEAST_OCCURRENCES);
    if merges.len() as u64 != most {
        return Err(too_small_text(learned, characters + merges.len() as u64, special));
    }
    for (left, right) in merges {
        let (left, right) = (&pieces[left as usize], &pieces[right as usize]);
        pieces.push([left, right.strip_prefix("##").unwrap_or(right)].concat());
    }
    let vocab: Map<String, Value> = pieces.into_iter().zip(0..).map(|(piece, id)| (piece, json!(id))).collect();
    let mut special = special.to_vec();
    special.push((0, UNKNOWN.to_owned()));
    special.sort();
    let steps = Steps {
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null,
            "lowercase": lowercase
        }),
        pre_tokenizer: json!({"type": "BertPreTokenizer"}),
        decoder: json!({"type": "WordPiece", "prefix": "##", "cleanup": true}),
    };
    let model = json!({
        "type": "WordPiece", "unk_token": UNKNOWN, "continuing_subword_prefix": "##",
        "max_input_chars_per_word": LONGEST_WORD, "vocab": vocab
    });
    Ok(tokenizer_json(&special, steps, model))
}

/// In ascending order.
fn frequent_characters(words: &[(String, u64)]) -> Vec<char> {
    let mut counts: BTreeMap<char, u64> = BTreeMap::new();
    for (word, count) in words {
        word.chars().for_each(|character| *counts.entry(character).or_default() += count);
    }
    let mut counts: Vec<(char, u64)> = counts.into_iter().collect();
    counts.sort_by_key(|&(character, count)| (Reverse(count), character));
    let mut kept: Vec<char> = counts.into_iter().take(MOST_CHARACTERS).map(|(character, _)| character).collect();
    kept.sort_unstable();
    kept
}
