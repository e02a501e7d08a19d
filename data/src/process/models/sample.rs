//! The part of a data set that a model is trained on, and the part that measures it.

use llmc_grammar::diagnostic::Diagnostic;

use super::super::Document;
use super::super::words::{chosen, mixed};
use crate::documents::cut_point;
use crate::split::{Survey, document_key};

/// Bytes of one piece of text, at most: long documents count as many.
const PIECE: usize = 4 << 10;

/// Share of the documents that measures and does not train.
const HELD_OUT: f64 = 0.1;

/// Documents from which on whole documents are held out; of fewer, single pieces are.
const DOCUMENTS: u64 = 20;

/// Pieces of text, those that train and those that measure, in the order of the documents.
#[derive(Debug, Default)]
pub struct Sample {
    /// What a model is trained on.
    pub train: Vec<String>,
    /// What it is measured on.
    pub heldout: Vec<String>,
}

impl Sample {
    /// At most `limit` bytes of the documents that `survey` saw, chosen by hash where there are more.
    ///
    /// # Errors
    /// The first of the documents that cannot be read.
    pub fn take(
        documents: impl Iterator<Item = Result<Document, Diagnostic>>,
        survey: &Survey,
        limit: u64,
    ) -> Result<Sample, Diagnostic> {
        let share = limit as f64 / survey.all.bytes.max(1) as f64;
        let mut sample = Sample::default();
        let mut left = limit as usize;
        for document in documents {
            let text = document?.text;
            if left == 0 {
                break;
            }
            let key = document_key(text.as_bytes());
            let mut rest = text.as_str();
            let mut number = 0;
            while !rest.is_empty() && left > 0 {
                let (piece, after) = rest.split_at(cut_point(rest, PIECE).max(first_character(rest)));
                rest = after;
                number += 1;
                let piece_key = mixed(key.wrapping_add(number));
                if piece.trim().is_empty() || !(share >= 1.0 || chosen(piece_key, share)) {
                    continue;
                }
                left = left.saturating_sub(piece.len());
                let side = if survey.all.documents >= DOCUMENTS { mixed(key) } else { mixed(piece_key) };
                let side = if chosen(side, HELD_OUT) { &mut sample.heldout } else { &mut sample.train };
                side.push(piece.to_owned());
            }
        }
        Ok(sample)
    }
}

fn first_character(text: &str) -> usize {
    text.chars().next().map_or(0, char::len_utf8)
}
