//! Tokenizers trained on text.
//!
//! The result depends on the text alone: words are counted on all cores, but what is learned from them goes over them
//! in their alphabetical order.

mod byte_bpe;
mod pairs;
#[cfg(test)]
mod tests;
mod unigram;
mod wordpiece;
mod words;

use llmc_compiler::plan::{TokenizerModel, TrainedTokenizer};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::Tokenizer;

/// What stands for the trained tokenizer in diagnostics.
const NAME: &str = "the trained tokenizer";

/// Trains as `plan` says on the first bytes of `documents`: what is learned gets the first ids, special tokens the
/// last, and `end_of_text`, if it is not among them, the very last, `vocab - 1`.
///
/// Fails where the text is too small for the vocabulary, or the vocabulary for the text, and with the first mistake of
/// `documents`.
pub fn train(
    documents: impl Iterator<Item = Result<String, Diagnostic>>,
    plan: &TrainedTokenizer,
    vocab: u64,
    end_of_text: Option<&str>,
) -> Result<Tokenizer, Diagnostic> {
    let own: &[&str] = match plan.model {
        TokenizerModel::ByteBpe => &[],
        TokenizerModel::WordPiece { .. } => &wordpiece::SPECIAL,
        TokenizerModel::Unigram => &unigram::SPECIAL,
    };
    let mut special: Vec<String> = Vec::new();
    for token in own.iter().copied().chain(plan.special.iter().map(String::as_str)).chain(end_of_text) {
        if !special.iter().any(|known| known == token) {
            special.push(token.to_owned());
        }
    }
    let learned = vocab.saturating_sub(special.len() as u64);
    let special = special.into_iter().zip(learned..).map(|(token, id)| (id, token)).collect::<Vec<_>>();
    let json = match plan.model {
        TokenizerModel::ByteBpe => byte_bpe::learn(documents, plan.limit_bytes, learned, &special)?,
        TokenizerModel::WordPiece { lowercase } => {
            wordpiece::learn(documents, plan.limit_bytes, lowercase, learned, &special)?
        }
        TokenizerModel::Unigram => unigram::learn(documents, plan.limit_bytes, learned, &special)?,
    };
    let tokenizer = Tokenizer::from_json(json, NAME)?;
    tokenizer.require_special(&special)?;
    Ok(tokenizer)
}

/// The text holds only `learned` tokens, and `special` are added.
fn too_small_text(wanted: u64, learned: u64, special: &[(u64, String)]) -> Diagnostic {
    let special = special.len() as u64;
    let (wanted, held) = (wanted + special, learned + special);
    let message = format!("the text is too small for a vocabulary of {wanted}: it gives no more than {held} tokens");
    Diagnostic::error(codes::TOO_FEW_PAIRS, message)
        .help(format!("train on more text, or ask for at most `vocab: {held}`"))
}

/// What must be in the vocabulary are `least` tokens, and `special` are added.
fn too_small_vocabulary(wanted: u64, least: u64, special: &[(u64, String)]) -> Diagnostic {
    let special = special.len() as u64;
    let (wanted, least) = (wanted + special, least + special);
    let message = format!("a vocabulary of {wanted} is too small: characters and special tokens alone are {least}");
    Diagnostic::error(codes::VOCABULARY_TOO_SMALL, message).help(format!("ask for `vocab: {least}` or more"))
}
