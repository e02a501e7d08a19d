//! Prefix language modelling (Raffel et al. 2020, section 3.2.1), and as the S-denoiser of UL2 (Tay et al. 2022).

use llmc_compiler::plan::PrefixLengths;

use super::spans::add_source;
use super::special::Special;
use super::{Draws, Row};
use crate::batch::{Batch, IGNORED};

/// Appends a row each of whose documents has a prefix that sees itself and is not predicted.
pub fn add(lengths: PrefixLengths, row: &Row<'_>, draws: &mut Draws, batch: &mut Batch) {
    batch.tokens.extend_from_slice(row.tokens);
    batch.documents.extend_from_slice(row.documents);
    let mut start = 0;
    for document in row.documents[..row.filled].chunk_by(|a, b| a == b) {
        let end = start + document.len();
        // The last token's next one counts: it can be predicted.
        let prefix = drawn(lengths, document.len() + 1, draws);
        for place in start..end {
            batch.order.push(place.max((start + prefix).saturating_sub(1)) as i32);
            let predicted = place + 1 >= start + prefix;
            batch.targets.push(if predicted { row.next[place] } else { IGNORED });
        }
        start = end;
    }
    for place in row.filled..row.tokens.len() {
        batch.order.push(place as i32);
        batch.targets.push(IGNORED);
    }
}

/// Appends a row whose first tokens are the encoder's and whose others are the decoder's.
pub fn add_pair(
    lengths: PrefixLengths,
    special: &Special,
    (source, target): (usize, usize),
    row: &Row<'_>,
    draws: &mut Draws,
    batch: &mut Batch,
) {
    let mut tokens = row.tokens[..row.filled].to_vec();
    tokens.extend(row.next[..row.filled].last().filter(|&&last| last != IGNORED));
    let prefix = drawn(lengths, tokens.len(), draws);
    let (before, behind) = tokens.split_at(prefix.min(tokens.len()));
    // An end of text stands behind both.
    let kept = before.len().min(source.saturating_sub(1));
    add_source(&before[before.len() - kept..], special.end, source, batch);
    super::spans::add_target(&behind[..behind.len().min(target.saturating_sub(1))], special.end, target, batch);
}

/// A length of at most `tokens - 1`, so that something is left to predict.
fn drawn(lengths: PrefixLengths, tokens: usize, draws: &mut Draws) -> usize {
    let share = |share: f64| (share * tokens as f64).round_ties_even() as usize;
    let most = share(lengths.longest).min(tokens.saturating_sub(1));
    let least = share(lengths.shortest).min(most);
    least + draws.below(most - least + 1)
}
