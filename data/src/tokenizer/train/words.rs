//! The words of a text and how often each occurs.

use std::collections::HashMap;

use llmc_grammar::diagnostic::Diagnostic;
use rayon::prelude::*;

/// Text that is counted at a time, on all cores.
const BATCH_BYTES: usize = 16 << 20;

/// How a tokenizer finds words, before it knows any tokens.
pub trait Splitter: Sync {
    /// Cuts a text into parts whose words may be counted one by one.
    fn parts<'t>(&self, text: &'t str) -> Vec<&'t str> {
        vec![text]
    }

    /// Hands each word to `found`.
    fn split(&self, text: &str, found: &mut dyn FnMut(&str)) -> Result<(), Diagnostic>;
}

/// Counts the words of the first `limit` bytes of `documents`. The words come in ascending order.
pub fn count(
    documents: impl Iterator<Item = Result<String, Diagnostic>>,
    limit: u64,
    splitter: &dyn Splitter,
) -> Result<Vec<(String, u64)>, Diagnostic> {
    let mut counts = Counts::new();
    let mut remaining = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut documents = documents;
    while remaining > 0 {
        let mut batch = Vec::new();
        let mut bytes = 0;
        while bytes < BATCH_BYTES.min(remaining) {
            let Some(mut text) = documents.next().transpose()? else { break };
            if text.len() > remaining - bytes {
                text.truncate(crate::cut_point(&text, remaining - bytes));
                remaining = bytes + text.len();
            }
            bytes += text.len();
            batch.push(text);
        }
        if batch.is_empty() {
            break;
        }
        remaining -= bytes;
        let parts: Vec<&str> = batch.iter().flat_map(|text| splitter.parts(text)).collect();
        let counted: Vec<Counts> = parts
            .par_iter()
            .try_fold(Counts::new, |mut counts, part| {
                splitter.split(part, &mut |word| add(&mut counts, word, 1))?;
                Ok::<Counts, Diagnostic>(counts)
            })
            .collect::<Result<_, _>>()?;
        for (word, count) in counted.into_iter().flatten() {
            *counts.entry(word).or_default() += count;
        }
    }
    let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
    counts.sort_unstable();
    Ok(counts)
}

type Counts = HashMap<String, u64>;

fn add(counts: &mut Counts, word: &str, more: u64) {
    match counts.get_mut(word) {
        Some(count) => *count += more,
        None => {
            counts.insert(word.to_owned(), more);
        }
    }
}
