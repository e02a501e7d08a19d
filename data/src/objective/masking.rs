//! Masked language modelling (Devlin et al. 2019, section 3.1).

use llmc_compiler::plan::Masking;

use super::special::Special;
use super::{Draws, Row};
use crate::batch::{Batch, IGNORED};

/// Appends a row some of whose tokens are hidden.
pub fn add(masking: &Masking, special: &Special, vocab: u64, row: &Row<'_>, draws: &mut Draws, batch: &mut Batch) {
    let text = |&index: &usize| {
        let id = row.tokens[index] as usize;
        !special.is_special.get(id).copied().unwrap_or(false)
    };
    let open: Vec<usize> = (0..row.filled).filter(text).collect();
    let groups = groups(&open, row, special);
    let wanted = ((open.len() as f64 * masking.rate).round_ties_even() as usize).max(1);
    let mut chosen: Vec<usize> = Vec::with_capacity(wanted);
    for group in draws.order(groups.len()) {
        // A word that would hide too much is left for shorter ones, unless nothing is hidden yet.
        if chosen.is_empty() || chosen.len() + groups[group].len() <= wanted {
            chosen.extend(&groups[group]);
        }
        if chosen.len() >= wanted {
            break;
        }
    }
    chosen.sort_unstable();
    let first = batch.tokens.len();
    batch.tokens.extend_from_slice(row.tokens);
    batch.targets.extend(std::iter::repeat_n(IGNORED, row.tokens.len()));
    batch.documents.extend_from_slice(row.documents);
    batch.order.extend(std::iter::repeat_n(0, row.tokens.len()));
    for index in chosen {
        batch.targets[first + index] = row.tokens[index];
        let fate = f64::from(draws.uniform());
        let other = draws.below(vocab as usize) as i32;
        if fate < masking.random {
            batch.tokens[first + index] = other;
        } else if fate >= masking.random + masking.keep {
            batch.tokens[first + index] = special.mask;
        }
    }
}

/// What is hidden together: single tokens, or those of a word.
fn groups(open: &[usize], row: &Row<'_>, special: &Special) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for &index in open {
        let begins = special.begins_word.get(row.tokens[index] as usize).copied().unwrap_or(true);
        let behind = groups.last().and_then(|group| group.last()).is_some_and(|&last| last + 1 == index);
        match groups.last_mut() {
            Some(group) if behind && !begins && row.documents[index] == row.documents[index - 1] => group.push(index),
            _ => groups.push(vec![index]),
        }
    }
    groups
}
