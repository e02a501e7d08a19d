//! A unigram language model of pieces (Kudo 2018), as SentencePiece trains it: of all ways to cut a text the most
//! probable is taken.

use std::panic::{AssertUnwindSafe, catch_unwind};

use llmc_grammar::diagnostic::Diagnostic;
use serde_json::{Value, json};
use tokenizers::models::unigram::{Unigram, UnigramTrainer};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

use super::words::{self, Splitter};
use super::{NAME, too_small_text, too_small_vocabulary};
use crate::tokenizer::file::{Steps, tokenizer_json};
use crate::tokenizer::unusable;

/// What T5 and Llama have besides `<unk>`, which is a piece of the model.
pub const SPECIAL: [&str; 3] = ["<pad>", "<s>", "</s>"];

/// The piece for a character that the training text does not have.
const UNKNOWN: &str = "<unk>";

/// Stands for a space.
const SPACE: char = '\u{2581}';

/// Longer words are cut: their probability would be less than numbers can be. Pieces are at most 16 characters long.
const LONGEST_WORD: usize = 256;

/// The trainer counts words in 32 bits, and a text of `n` bytes holds at most `n` words.
const MOST_BYTES: u64 = u32::MAX as u64;

/// The trainer raises the score of each character that it has to put back by so much more than the one before.
const STEP: f64 = 0.0001;

struct Spaces(Metaspace);

impl Splitter for Spaces {
    fn split(&self, text: &str, found: &mut dyn FnMut(&str)) -> Result<(), Diagnostic> {
        let mut words = PreTokenizedString::from(text);
        self.0.pre_tokenize(&mut words).map_err(|error| unusable(NAME, &error.to_string()))?;
        for (word, ..) in words.get_splits(OffsetReferential::Normalized, OffsetType::Byte) {
            // The trainer separates words by NUL.
            for mut word in word.split('\0') {
                while let Some((cut, _)) = word.char_indices().nth(LONGEST_WORD) {
                    found(&word[..cut]);
                    word = &word[cut..];
                }
                if !word.is_empty() {
                    found(word);
                }
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
    let counted = words::count(documents, limit.min(MOST_BYTES), &splitter)?;
    let mut characters: Vec<char> = counted.iter().flat_map(|(word, _)| word.chars()).collect();
    characters.sort_unstable();
    characters.dedup();
    let least = characters.len() as u64 + 1;
    if learned < least {
        return Err(too_small_vocabulary(learned, least, special));
    }
    if counted.is_empty() {
        return Err(too_small_text(learned, 1, special));
    }
    let pieces = trained(counted, learned - 1)?;
    if pieces.len() as u64 + 1 != learned {
        return Err(too_small_text(learned, pieces.len() as u64 + 1, special));
    }
    let vocab = [json!([UNKNOWN, 0.0])].into_iter().chain(pieces.into_iter().map(|piece| json!(piece)));
    let mut special = special.to_vec();
    special.push((0, UNKNOWN.to_owned()));
    special.sort();
    let metaspace = json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true});
    let steps = Steps { normalizer: Value::Null, pre_tokenizer: metaspace.clone(), decoder: metaspace };
    let model = json!({"type": "Unigram", "unk_id": 0, "vocab": vocab.collect::<Vec<_>>(), "byte_fallback": false});
    Ok(tokenizer_json(&special, steps, model))
}

/// Pieces and their log-probabilities, the most probable first.
fn trained(counted: Vec<(String, u64)>, count: u64) -> Result<Vec<(String, f64)>, Diagnostic> {
    let failed = |reason: &str| unusable(NAME, reason);
    let trainer = UnigramTrainer::builder().show_progress(false).vocab_size(count as u32).build();
    let trainer = trainer.map_err(|error| failed(&error.to_string()))?;
    let sentences = counted.into_iter().map(|(word, count)| (word, count as u32)).collect();
    // The trainer's sums depend on how many threads there are: it gets one.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().map_err(|error| failed(&error.to_string()))?;
    let mut model = Unigram::default();
    let result = catch_unwind(AssertUnwindSafe(|| pool.install(|| trainer.do_train(sentences, &mut model))));
    result
        .map_err(|_| failed("the numbers of this text are too large for its trainer"))?
        .map_err(|error| failed(&error.to_string()))?;
    let mut pieces: Vec<(String, f64)> = model.iter().cloned().collect();
    settle_characters(&mut pieces);
    pieces.sort_by(|(one, one_score), (other, other_score)| other_score.total_cmp(one_score).then(one.cmp(other)));
    Ok(pieces)
}

/// Characters that were lost in training are put back with scores from the smallest of all upwards, in the order of a
/// hash table: here they get them in their own order.
fn settle_characters(pieces: &mut [(String, f64)]) {
    let smallest = pieces.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
    let mut scores = Vec::with_capacity(pieces.len());
    let mut penalty = 0.0;
    for _ in 0..pieces.len() {
        scores.push(smallest + penalty);
        penalty += STEP;
    }
    let put_back = |(piece, score): &(String, f64)| {
        piece.chars().nth(1).is_none() && scores.binary_search_by(|known| known.total_cmp(score)).is_ok()
    };
    let mut characters: Vec<&mut (String, f64)> = pieces.iter_mut().filter(|piece| put_back(piece)).collect();
    characters.sort_by(|one, other| one.0.cmp(&other.0));
    let mut scores: Vec<f64> = characters.iter().map(|piece| piece.1).collect();
    scores.sort_by(f64::total_cmp);
    characters.into_iter().zip(scores).for_each(|(piece, score)| piece.1 = score);
}
