//! A unigram language model of pieces (Kudo 2018), as SentencePiece trains it: of all ways to cut a text the most
//! probable is taken.

mod lattice;
mod model;

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Value, json};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::words::{self, Splitter};
use super::{NAME, too_small_text, too_small_vocabulary};
use crate::tokenizer::file::{Steps, tokenizer_json};
use crate::tokenizer::unusable;
use model::Text;

/// What T5 and Llama have besides `<unk>`, which is a piece of the model.
pub const SPECIAL: [&str; 3] = ["<pad>", "<s>", "</s>"];

/// The piece for a character that the training text does not have.
const UNKNOWN: &str = "<unk>";

/// Stands for a space.
const SPACE: char = '\u{2581}';

/// Longer words are cut: nothing is learned from how far apart two pieces are.
const LONGEST_WORD: usize = 256;

struct Spaces(Metaspace);

impl Splitter for Spaces {
    fn split(&self, text: &str, found: &mut dyn FnMut(&str)) -> Result<(), Diagnostic> {
        let mut words = PreTokenizedString::from(text);
        self.0.pre_tokenize(&mut words).map_err(|error| unusable(NAME, &error.to_string()))?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            let mut rest = word;
            while let Some((cut, _)) = rest.char_indices().nth(LONGEST_WORD) {
                found(&rest[..cut]);
                rest = &rest[cut..];
            }
            if !rest.is_empty() {
                found(rest);
            }
        }
        Ok(())
    }
}

/// The `tokenizer.json` of `learned` tokens, `<unk>` and pieces with their log-probabilities, and special tokens.
pub fn learn(
    documents: impl Iterator<Item = Result<String, Diagnostic>>,
    limit: u64,
    learned: u64,
    special: &[(u64, String)],
) -> Result<String, Diagnostic> {
    let splitter = Spaces(Metaspace::new(SPACE, PrependScheme::Always, true));
    let counted = words::count(documents, limit, &splitter)?;
    let mut characters: Vec<char> = counted.iter().flat_map(|(word, _)| word.chars()).collect();
    characters.sort_unstable();
    characters.dedup();
    let least = characters.len() as u64 + 1;
    if learned < least {
        return Err(too_small_vocabulary(learned, least, special));
    }
    let ids: BTreeMap<char, u32> = characters.iter().copied().zip(0..).collect();
    let words: Vec<(Vec<u32>, u64)> =
        counted.iter().map(|(word, count)| (word.chars().map(|each| ids[&each]).collect(), *count)).collect();
    let pieces = Text { words: &words, symbols: characters.len() }.learn(learned as usize - 1);
    if pieces.len() as u64 + 1 != learned {
        return Err(too_small_text(learned, pieces.len() as u64 + 1, special));
    }
    let text = |piece: &[u32]| piece.iter().map(|&symbol| characters[symbol as usize]).collect::<String>();
    let mut pieces: Vec<(String, f64)> = pieces.iter().map(|(piece, score)| (text(piece), *score)).collect();
    pieces.sort_by(|one, other| other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    let vocab = [json!([UNKNOWN, 0.0])].into_iter().chain(pieces.into_iter().map(|piece| json!(piece)));
    let mut special = special.to_vec();
    special.push((0, UNKNOWN.to_owned()));
    special.sort();
    let metaspace = json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true});
    let steps = Steps { normalizer: Value::Null, pre_tokenizer: metaspace.clone(), decoder: metaspace };
    let model = json!({"type": "Unigram", "unk_id": 0, "vocab": vocab.collect::<Vec<_>>(), "byte_fallback": false});
    Ok(tokenizer_json(&special, steps, model))
}
