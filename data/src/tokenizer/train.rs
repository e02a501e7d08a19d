//! Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019) trained on text.
//!
//! The result depends on the text alone: counts are sums, and of pairs with equal counts the one with
//! the smallest ids is merged first. (Every occurrence of a pair is merged at once, so no token is ever
//! made from two different pairs, and each pair stands in the trainer's queue only once.)

use std::sync::Mutex;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{
    AddedToken, Model, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Tokenizer as Inner, Trainer,
};

use super::{Tokenizer, byte_level, unusable};

/// Longer documents are split between two lines before their words are counted.
const PIECE_BYTES: usize = 1 << 20;

/// A pair of tokens must occur this often to become a token.
const LEAST_OCCURRENCES: u64 = 2;

/// The trainer counts pairs in 32 signed bits, and a text of `n` bytes holds fewer than `n` pairs.
const MOST_BYTES: u64 = i32::MAX as u64;

/// Trains on the first `limit_bytes` of `documents`: bytes get the ids 0 to 255 in GPT-2's order,
/// merges follow, and `end_of_text` is the last id, `vocab - 1`.
///
/// Fails where the text has too few repeated pairs for the vocabulary, and with the first mistake of `documents`.
pub fn train_byte_bpe(
    documents: impl Iterator<Item = Result<String, Diagnostic>> + Send,
    vocab: u64,
    end_of_text: Option<&str>,
    limit_bytes: u64,
) -> Result<Tokenizer, Diagnostic> {
    let special: Vec<AddedToken> = end_of_text.map(|token| AddedToken::from(token, true)).into_iter().collect();
    let learned = vocab.saturating_sub(special.len() as u64).max(256) as usize;
    let mut trainer = BpeTrainer::builder()
        .vocab_size(learned)
        .min_frequency(LEAST_OCCURRENCES)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .build();
    let failed = |error: tokenizers::Error| unusable("the trained tokenizer", &error.to_string());
    feed(&mut trainer, documents, limit_bytes.min(MOST_BYTES))?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(failed)?;
    let held = Model::get_vocab_size(&model) + special.len();
    if held as u64 != vocab {
        return Err(too_small(vocab, held));
    }
    let mut inner = Inner::new(model);
    inner.with_pre_tokenizer(Some(splitter()));
    inner.with_decoder(Some(splitter()));
    inner.add_special_tokens(special).map_err(failed)?;
    let json = inner.to_string(false).map_err(failed)?;
    Tokenizer::from_json(json, "the trained tokenizer")
}

/// Splits by GPT-2's pattern and writes bytes in GPT-2's alphabet.
fn splitter() -> ByteLevel {
    ByteLevel::new(false, true, true)
}

/// Counts the words of the first `limit` bytes on all cores.
fn feed(
    trainer: &mut BpeTrainer,
    documents: impl Iterator<Item = Result<String, Diagnostic>> + Send,
    limit: u64,
) -> Result<(), Diagnostic> {
    let mistake: Mutex<Option<Diagnostic>> = Mutex::new(None);
    let note = |diagnostic: Diagnostic| {
        // A poisoned lock only means that another thread panicked while it noted its own mistake.
        mistake.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).get_or_insert(diagnostic);
    };
    let mut remaining = limit as usize;
    let texts = documents
        .map_while(|document| match document {
            _ if remaining == 0 => None,
            Ok(mut text) => {
                if text.len() > remaining {
                    text.truncate(crate::cut_point(&text, remaining));
                    remaining = 0;
                }
                remaining -= text.len().min(remaining);
                Some(text)
            }
            Err(diagnostic) => {
                note(diagnostic);
                None
            }
        })
        .flat_map(|text| byte_level::pieces(&text, PIECE_BYTES).into_iter().map(str::to_owned).collect::<Vec<_>>());
    let splitter = splitter();
    let counted = trainer.feed(texts, |text| {
        let mut words = PreTokenizedString::from(text);
        splitter.pre_tokenize(&mut words)?;
        let splits = words.get_splits(OffsetReferential::Original, OffsetType::Byte);
        Ok(splits.into_iter().map(|(word, ..)| word.to_owned()).collect())
    });
    if let Some(diagnostic) = mistake.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner()) {
        return Err(diagnostic);
    }
    counted.map_err(|error| unusable("the trained tokenizer", &error.to_string()))
}

fn too_small(vocab: u64, held: usize) -> Diagnostic {
    let message = format!(
        "the text is too small for a vocabulary of {vocab}: after {held} tokens no pair of tokens occurs twice"
    );
    Diagnostic::error(codes::TOO_FEW_PAIRS, message)
        .help(format!("train on more text, or ask for at most `vocab: {held}`"))
}
