//! Tokenizers: trained byte-level BPE, Hugging Face files and plain bytes, all through the
//! `tokenizers` crate, so that each can be saved as a `tokenizer.json`.
//!
//! Documents of byte-level BPE go through an encoder of our own (`encode`), which gives the same ids faster.

mod byte_level;
mod encode;
mod file;
mod stream;
mod tiktoken;
mod train;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use llmc_compiler::plan::{TiktokenEncoding, TokenizerSource};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use serde_json::Value;
use tokenizers::{AddedToken, Tokenizer as Inner};

use crate::paths::resolve;
use encode::ByteBpe;
pub use stream::StreamingDecoder;
pub use tiktoken::Ranks;
pub use train::train;

/// The token that ends a document in tokenizers made here.
pub const END_OF_TEXT: &str = "<|endoftext|>";

/// A tokenizer and what training must know of it.
#[derive(Debug)]
pub struct Tokenizer {
    /// Recognises special tokens in text, as Hugging Face does by default.
    inner: Inner,
    /// Takes the text of special tokens as any other text. Made when first needed.
    literal: OnceLock<Inner>,
    /// Encodes documents where the tokenizer is of the kind it knows. Made when first needed.
    fast: OnceLock<Option<ByteBpe>>,
    json: String,
    is_bytes: bool,
}

impl Tokenizer {
    /// Loads a tokenizer that is there already. Relative paths start at `base`.
    pub fn of_source(source: &TokenizerSource, base: &Path) -> Result<Tokenizer, Diagnostic> {
        match source {
            TokenizerSource::File { path } => Tokenizer::load(&resolve(path, base)?),
            TokenizerSource::Tiktoken { path, encoding, special } => {
                Tokenizer::from_ranks(&resolve(path, base)?, *encoding, special.as_deref())
            }
            TokenizerSource::Bytes => Tokenizer::bytes(),
            TokenizerSource::Trained(_) => Err(unusable("the tokenizer of the plan", "it is yet to be trained")),
        }
    }

    /// Reads a `tokenizer.json`, or the one in a directory.
    pub fn load(path: &Path) -> Result<Tokenizer, Diagnostic> {
        let path = file_in(path);
        let json = std::fs::read_to_string(&path)
            .map_err(|error| unusable(&path.display().to_string(), &error.to_string()))?;
        Tokenizer::from_json(json, &path.display().to_string())
    }

    /// Reads the text of a `tokenizer.json`; `name` stands in diagnostics.
    ///
    /// Truncation and padding that the file may ask for are left out: they are the business of batches.
    pub fn from_json(json: String, name: &str) -> Result<Tokenizer, Diagnostic> {
        let wrong = |reason: &dyn std::fmt::Display| unusable(name, &reason.to_string());
        // On JSON of a wrong shape the library fails in two ways: with an error, and with a panic.
        let built = std::panic::catch_unwind(|| Inner::from_bytes(json.as_bytes()))
            .map_err(|_| wrong(&"a part of it is of a kind that the `tokenizers` library does not know"))?;
        let mut inner = built.map_err(|error| wrong(&error))?;
        inner.with_padding(None);
        inner.with_truncation(None).map_err(|error| wrong(&error))?;
        Ok(Tokenizer { inner, literal: OnceLock::new(), fast: OnceLock::new(), json, is_bytes: false })
    }

    /// The 256 bytes as ids 0 to 255, and [`END_OF_TEXT`] as id 256.
    pub fn bytes() -> Result<Tokenizer, Diagnostic> {
        let tokenizer = Tokenizer::from_json(byte_level::bytes_json(), "bytes")?;
        Ok(Tokenizer { is_bytes: true, ..tokenizer })
    }

    /// The `tokenizer.json` as text. It is the file's own text where the tokenizer was loaded.
    pub fn json(&self) -> &str {
        &self.json
    }

    /// A hash of the `tokenizer.json`.
    pub fn hash(&self) -> blake3::Hash {
        blake3::hash(self.json.as_bytes())
    }

    /// One more than the largest id.
    pub fn vocab_size(&self) -> u64 {
        let largest = self.inner.get_vocab(true).into_values().max();
        largest.map_or(0, |id| u64::from(id) + 1)
    }

    /// The id of a token.
    pub fn id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The id of the token that is to follow each document.
    pub fn end_of_text(&self, token: &str) -> Result<u32, Diagnostic> {
        self.id(token).ok_or_else(|| {
            let special = self.special_tokens();
            let shown: Vec<String> = special.iter().take(20).map(|token| format!("`{token}`")).collect();
            let help = if shown.is_empty() {
                "it has no special tokens; leave `end_of_text` out or name a token of its vocabulary".to_owned()
            } else {
                format!("its special tokens are {}", shown.join(", "))
            };
            Diagnostic::error(codes::NO_END_OF_TEXT, format!("the tokenizer has no token `{token}`")).help(help)
        })
    }

    /// The texts of all special tokens, by id.
    pub fn special_tokens(&self) -> Vec<String> {
        self.added_tokens().into_iter().filter(|(_, token)| token.special).map(|(_, token)| token.content).collect()
    }

    /// Makes sure that special tokens have the ids that they were given: the text of a token that is learned has one already.
    fn require_special(&self, special: &[(u64, String)]) -> Result<(), Diagnostic> {
        match special.iter().find(|(id, token)| self.id(token).map(u64::from) != Some(*id)) {
            None => Ok(()),
            Some((_, token)) => {
                let message = format!("the special token `{token}` is also a token for text");
                Err(Diagnostic::error(codes::TOKENIZER_FILE, message)
                    .help("give it a text that does not occur, such as `<|user|>`"))
            }
        }
    }

    /// A tokenizer that gives the ids that tiktoken gives. `special` tokens take the place of the encoding's own.
    pub fn from_ranks(
        path: &Path,
        encoding: TiktokenEncoding,
        special: Option<&[String]>,
    ) -> Result<Tokenizer, Diagnostic> {
        let ranks = Ranks::read(path)?;
        let special = ranks.special(encoding, special);
        let tokenizer = Tokenizer::from_json(ranks.tokenizer_json(encoding, &special), &path.display().to_string())?;
        tokenizer.require_special(&special)?;
        Ok(tokenizer)
    }

    fn added_tokens(&self) -> Vec<(u32, AddedToken)> {
        let mut added: Vec<(u32, AddedToken)> = self.inner.get_added_tokens_decoder().into_iter().collect();
        added.sort_by_key(|(id, _)| *id);
        added
    }

    /// The ids of a prompt as Hugging Face makes them by default: special tokens in the text are
    /// recognised, and those that the tokenizer puts around every text (such as `<s>`) are added.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, Diagnostic> {
        encode_with(&self.inner, text, true)
    }

    /// The ids of a document's text: nothing is added, and the text of special tokens is text as any other.
    /// So a document cannot pose as two.
    pub fn encode_document(&self, text: &str) -> Result<Vec<u32>, Diagnostic> {
        if self.is_bytes {
            return Ok(text.bytes().map(u32::from).collect());
        }
        let fast = self.fast.get_or_init(|| ByteBpe::of(&self.facts()));
        if let Some(fast) = fast.as_ref().filter(|fast| fast.fits(text)) {
            return Ok(fast.encode(text));
        }
        self.encode_literally(text)
    }

    /// As [`Self::encode_document`], by the library.
    fn encode_literally(&self, text: &str) -> Result<Vec<u32>, Diagnostic> {
        let literal = self.literal.get_or_init(|| {
            let mut literal = self.inner.clone();
            literal.set_encode_special_tokens(true);
            literal
        });
        encode_with(literal, text, false)
    }

    /// The `tokenizer.json` as data.
    fn facts(&self) -> Value {
        serde_json::from_str(&self.json).unwrap_or_default()
    }

    /// The text of `ids`; bytes that are no UTF-8 become U+FFFD. Special tokens are left out on request.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, Diagnostic> {
        self.inner.decode(ids, skip_special).map_err(|error| {
            Diagnostic::error(codes::TOKENIZER_FILE, format!("the tokenizer cannot decode its ids: {error}"))
        })
    }

    /// For each id the number of UTF-8 bytes of text it stands for; 0 for special tokens.
    /// Exact for byte-level tokenizers; others may change text before they split it.
    pub fn byte_lengths(&self) -> Vec<u32> {
        let mut lengths = vec![0; self.vocab_size() as usize];
        let is_byte_level = byte_level::is_byte_level(&self.facts());
        for (token, id) in self.inner.get_vocab(false) {
            lengths[id as usize] = byte_level::text_bytes(&token, is_byte_level);
        }
        for (id, token) in self.added_tokens() {
            lengths[id as usize] = if token.special { 0 } else { token.content.len() as u32 };
        }
        lengths
    }

    /// For each id whether a word begins with it: in WordPiece what is not marked as going on with `##`, else what begins with a
    /// space or with no letter.
    pub fn word_begins(&self) -> Vec<bool> {
        let vocab = self.inner.get_vocab(true);
        let marks = vocab.keys().filter(|token| token.starts_with("##")).count() > 1;
        let mut begins = vec![true; self.vocab_size() as usize];
        for (token, id) in vocab {
            // Byte-level vocabularies write a space as U+0120, SentencePiece's as U+2581.
            let space = token.starts_with(['\u{120}', '\u{2581}']);
            begins[id as usize] = match marks {
                true => !token.starts_with("##"),
                false => space || !token.starts_with(char::is_alphanumeric),
            };
        }
        begins
    }
}

/// `path`, or the `tokenizer.json` in it.
pub fn file_in(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("tokenizer.json") } else { path.to_owned() }
}

fn encode_with(inner: &Inner, text: &str, add_special: bool) -> Result<Vec<u32>, Diagnostic> {
    match inner.encode_fast(text, add_special) {
        Ok(encoding) => Ok(encoding.get_ids().to_vec()),
        Err(error) => Err(Diagnostic::error(
            codes::TOKENIZER_FILE,
            format!("the tokenizer cannot encode a text of {} bytes: {error}", text.len()),
        )),
    }
}

fn unusable(name: &str, reason: &str) -> Diagnostic {
    Diagnostic::error(codes::TOKENIZER_FILE, format!("`{name}` is no usable tokenizer: {reason}"))
        .help("name a Hugging Face `tokenizer.json`, or the directory that holds it")
}

#[cfg(test)]
mod tests;
