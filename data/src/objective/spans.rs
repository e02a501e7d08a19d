//! Span corruption (Raffel et al. 2020, section 3.1.4; `random_spans_noise_mask` of T5's code).

use llmc_compiler::plan::Corruption;

use super::special::Special;
use super::{Draws, Row};
use crate::batch::{Batch, IGNORED};

/// What a decoder reads before its first token, and what fills rows: T5's padding token.
const START: i32 = 0;

/// Appends a row: the encoder's input with a sentinel for each span, and the spans for the decoder.
pub fn add(
    corruption: &Corruption,
    special: &Special,
    (source, target): (usize, usize),
    row: &Row<'_>,
    draws: &mut Draws,
    batch: &mut Batch,
) {
    let count = row.filled.min(corruption.tokens_for(source as u64) as usize);
    let (kept, noise) = corrupt(&row.tokens[..count], corruption, &special.sentinels, draws);
    add_source(&kept, special.end, source, batch);
    add_target(&noise, special.end, target, batch);
}

/// What stays of some tokens, and what is cut out of them.
fn corrupt(tokens: &[i32], corruption: &Corruption, sentinels: &[i32], draws: &mut Draws) -> (Vec<i32>, Vec<i32>) {
    if tokens.len() < 2 {
        return (tokens.to_vec(), Vec::new());
    }
    let (noise, spans) = corruption.noise(tokens.len() as u64);
    let (noise, spans) = (noise as usize, (spans as usize).min(sentinels.len()));
    let cut = segments(noise, spans, draws);
    let between = segments(tokens.len() - noise, spans, draws);
    let (mut kept, mut removed, mut place) = (Vec::new(), Vec::new(), 0);
    for ((between, cut), &sentinel) in between.into_iter().zip(cut).zip(sentinels) {
        kept.extend_from_slice(&tokens[place..place + between]);
        kept.push(sentinel);
        removed.push(sentinel);
        removed.extend_from_slice(&tokens[place + between..place + between + cut]);
        place += between + cut;
    }
    kept.extend_from_slice(&tokens[place..]);
    (kept, removed)
}

/// `items` in so many runs of at least one, every division equally likely.
fn segments(items: usize, runs: usize, draws: &mut Draws) -> Vec<usize> {
    let mut cuts: Vec<usize> = draws.order(items - 1).into_iter().take(runs - 1).map(|cut| cut + 1).collect();
    cuts.sort_unstable();
    cuts.push(items);
    let mut last = 0;
    cuts.into_iter().map(|cut| cut - std::mem::replace(&mut last, cut)).collect()
}

/// Appends the encoder's row: tokens, an end of text, and padding, which is a document of its own.
pub fn add_source(tokens: &[i32], end: Option<i32>, length: usize, batch: &mut Batch) {
    let first = batch.source.len();
    batch.source.extend_from_slice(tokens);
    batch.source.extend(end);
    batch.source.truncate(first + length);
    let filled = batch.source.len() - first;
    batch.source_documents.extend(std::iter::repeat_n(0, filled));
    batch.source_documents.extend(std::iter::repeat_n(-1, length - filled));
    batch.source.resize(first + length, START);
}

/// Appends the decoder's row: it predicts the tokens and an end of text, each from those before it.
pub fn add_target(tokens: &[i32], end: Option<i32>, length: usize, batch: &mut Batch) {
    let mut targets: Vec<i32> = tokens.iter().copied().chain(end).take(length).collect();
    let filled = targets.len();
    batch.tokens.push(START);
    batch.tokens.extend_from_slice(&targets[..filled.saturating_sub(1).min(length - 1)]);
    targets.resize(length, IGNORED);
    batch.targets.extend(targets);
    let rows = batch.targets.len();
    batch.tokens.resize(rows, START);
}
