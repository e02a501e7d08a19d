//! Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019).

use llmc_grammar::diagnostic::Diagnostic;

use super::pairs;
use super::too_small_text;
use super::words::{self, Splitter};
use crate::tokenizer::byte_level::{alphabet, pieces};
use crate::tokenizer::encode::WordSplitter;
use crate::tokenizer::file::{Splitting, byte_bpe_json};

/// A pair of tokens must occur this often to become a token.
const LEAST_OCCURRENCES: u64 = 2;

/// Longer documents are split between two lines before their words are counted.
const PART_BYTES: usize = 1 << 20;

struct Gpt2(WordSplitter);

impl Splitter for Gpt2 {
    fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        pieces(text, PART_BYTES)
    }

    fn split(&self, text: &str, found: &mut dyn FnMut(&str)) -> Result<(), Diagnostic> {
        self.0.split(text, &mut |word| found(word));
        Ok(())
    }
}

/// The `tokenizer.json` of `learned` tokens, the 256 bytes in GPT-2's order and merges, and special tokens.
pub fn learn(
    documents: impl Iterator<Item = Result<String, Diagnostic>>,
    limit: u64,
    learned: u64,
    special: &[(u64, String)],
) -> Result<String, Diagnostic> {
    let splitter = Gpt2(WordSplitter::gpt2().expect("GPT-2's pattern is one that the splitter knows"));
    let counted = words::count(documents, limit, &splitter)?;
    let alphabet = alphabet();
    let mut ids = [0u32; 256];
    alphabet.iter().zip(0..).for_each(|(&byte, id)| ids[usize::from(byte)] = id);
    let words: Vec<(Vec<u32>, u64)> = counted
        .iter()
        .map(|(word, count)| (word.bytes().map(|byte| ids[usize::from(byte)]).collect(), *count))
        .collect();
    let most = learned.saturating_sub(256);
    let merges = pairs::learn(&words, 256, most as usize, LEAST_OCCURRENCES);
    if merges.len() as u64 != most || learned < 256 {
        return Err(too_small_text(learned, 256 + merges.len() as u64, special));
    }
    let mut tokens: Vec<Vec<u8>> = alphabet.into_iter().map(|byte| vec![byte]).collect();
    for &(left, right) in &merges {
        tokens.push([&tokens[left as usize][..], &tokens[right as usize]].concat());
    }
    let pairs = merges.iter().map(|&(left, right)| (tokens[left as usize].clone(), tokens[right as usize].clone()));
    Ok(byte_bpe_json((0..).zip(tokens.iter().cloned()), pairs, special, Splitting::Gpt2))
}
