//! A fast encoder for byte-level BPE: gives the ids that the `tokenizers` library gives, many times as fast.
//!
//! Words are found by one automaton ([`pattern`]), words seen before are looked up ([`cache`]), and others are merged
//! pair by pair ([`merges`]).

mod cache;
mod merges;
mod pattern;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::sync::Mutex;

use rayon::prelude::*;
use serde_json::Value;

use super::byte_level::byte_character;
use cache::WordCache;
use merges::Merges;
pub use words::WordSplitter;

/// Longer texts are encoded on all cores, this many words at a time.
const LONG_TEXT: usize = 1 << 20;
const WORDS_AT_A_TIME: usize = 1 << 20;
const WORDS_PER_TASK: usize = 1 << 14;

/// Encodes text that holds no tokens written out.
#[derive(Debug)]
pub struct ByteBpe {
    splitter: WordSplitter,
    /// The id of each byte.
    bytes: Vec<u32>,
    merges: Merges,
    /// Where words that are tokens are not merged: all tokens.
    whole_words: Option<BTreeMap<Vec<u8>, u32>>,
    /// Tokens that are recognised in any text. They are left to the library.
    recognised: Vec<String>,
    /// The text must be ASCII: others might be changed before they are split.
    ascii_only: bool,
    /// As many as have been in use at the same time.
    memories: Mutex<Vec<Memory>>,
}

/// What one thread keeps from word to word.
#[derive(Debug)]
struct Memory {
    cache: WordCache,
    scratch: merges::Scratch,
}

impl ByteBpe {
    /// The encoder of a `tokenizer.json`. None where the file asks for anything that is not known here.
    pub fn of(facts: &Value) -> Option<ByteBpe> {
        let model = &facts["model"];
        let absent = |field: &str| model[field].is_null() || model[field] == "";
        let off = |field: &str| model[field].is_null() || model[field] == false;
        if model["type"] != "BPE"
            || !model["dropout"].is_null()
            || !absent("continuing_subword_prefix")
            || !absent("end_of_word_suffix")
            || !off("byte_fallback")
        {
            return None;
        }
        let ascii_only = match facts["normalizer"]["type"].as_str() {
            None if facts["normalizer"].is_null() => false,
            Some("NFC") => true,
            _ => return None,
        };
        let vocab = model["vocab"].as_object()?;
        let id = |token: &str| u32::try_from(vocab.get(token)?.as_u64()?).ok();
        let bytes = (0..=255).map(|byte| id(byte_character(byte).encode_utf8(&mut [0; 4]))).collect::<Option<_>>()?;
        let merge = |written: &Value| {
            let (left, right) = match written {
                Value::String(pair) => pair.split_once(' ')?,
                pair => (pair[0].as_str()?, pair[1].as_str()?),
            };
            Some(((id(left)?, id(right)?), id(&format!("{left}{right}"))?))
        };
        let merges = model["merges"].as_array()?.iter().map(merge).collect::<Option<Vec<_>>>()?;
        let added = facts["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
        let recognised = added.iter().filter(|token| token["special"] != true);
        let recognised = recognised.map(|token| Some(token["content"].as_str()?.to_owned())).collect::<Option<_>>()?;
        let whole_words = if off("ignore_merges") { None } else { Some(tokens_as_bytes(vocab)) };
        Some(ByteBpe {
            splitter: WordSplitter::of(&facts["pre_tokenizer"])?,
            bytes,
            merges: Merges::new(&merges),
            whole_words,
            recognised,
            ascii_only,
            memories: Mutex::default(),
        })
    }

    /// Whether this encoder may be used for `text`.
    pub fn fits(&self, text: &str) -> bool {
        (!self.ascii_only || text.is_ascii()) && !self.recognised.iter().any(|token| text.contains(token))
    }

    /// The ids of `text`, which must [fit](Self::fits).
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::with_capacity(text.len() / 3);
        if text.len() <= LONG_TEXT {
            self.with_memory(|memory| self.splitter.split(text, &mut |word| self.word(word, memory, &mut ids)));
            return ids;
        }
        let mut words = Vec::with_capacity(WORDS_AT_A_TIME);
        self.splitter.split(text, &mut |word| {
            words.push(word);
            if words.len() == WORDS_AT_A_TIME {
                self.append_all(&words, &mut ids);
                words.clear();
            }
        });
        self.append_all(&words, &mut ids);
        ids
    }

    fn append_all(&self, words: &[&str], ids: &mut Vec<u32>) {
        let tasks = words.par_chunks(WORDS_PER_TASK).map(|words| {
            let mut ids = Vec::with_capacity(words.len() * 2);
            self.with_memory(|memory| words.iter().for_each(|word| self.word(word, memory, &mut ids)));
            ids
        });
        for part in tasks.collect::<Vec<_>>() {
            ids.extend(part);
        }
    }

    fn word(&self, word: &str, memory: &mut Memory, ids: &mut Vec<u32>) {
        let word = word.as_bytes();
        let Memory { cache, scratch } = memory;
        cache.append(word, ids, |ids| match self.whole_words.as_ref().and_then(|tokens| tokens.get(word)) {
            Some(&id) => ids.push(id),
            None => self.merges.apply(word.iter().map(|&byte| self.bytes[usize::from(byte)]), scratch, ids),
        });
    }

    fn with_memory(&self, work: impl FnOnce(&mut Memory)) {
        // A poisoned lock only means that another thread panicked while it took or gave back a memory.
        let kept = self.memories.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).pop();
        let mut memory =
            kept.unwrap_or_else(|| Memory { cache: WordCache::new(), scratch: merges::Scratch::default() });
        work(&mut memory);
        self.memories.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(memory);
    }
}

/// Every token that is written in GPT-2's alphabet, as bytes.
fn tokens_as_bytes(vocab: &serde_json::Map<String, Value>) -> BTreeMap<Vec<u8>, u32> {
    let alphabet: BTreeMap<char, u8> = (0..=255).map(|byte| (byte_character(byte), byte)).collect();
    let bytes =
        |token: &str| token.chars().map(|character| alphabet.get(&character).copied()).collect::<Option<Vec<u8>>>();
    vocab.iter().filter_map(|(token, id)| Some((bytes(token)?, u32::try_from(id.as_u64()?).ok()?))).collect()
}
