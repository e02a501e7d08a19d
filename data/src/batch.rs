//! One micro-batch.

/// The target of a position that is not trained on.
pub const IGNORED: i32 = -100;

/// Rows of tokens with what is to be predicted. Every vector holds `rows * row_length` values, row by row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Number of rows, `B`.
    pub rows: usize,
    /// Tokens in a row, `T`.
    pub row_length: usize,
    /// Token ids.
    pub tokens: Vec<i32>,
    /// The id that follows each token, or [`IGNORED`].
    pub targets: Vec<i32>,
    /// Position of each token, from 0: in its document where the model is told documents apart, else in its row.
    pub positions: Vec<i32>,
    /// The number of each token's document within its row, from 0. A document ends after its end-of-text.
    pub documents: Vec<i32>,
}

impl Batch {
    /// A batch of no rows yet.
    pub(super) fn with_capacity(rows: usize, row_length: usize) -> Batch {
        let values = || Vec::with_capacity(rows * row_length);
        Batch { rows: 0, row_length, tokens: values(), targets: values(), positions: values(), documents: values() }
    }

    /// Positions of the last row that are there, of a row that is not counted yet.
    pub(super) fn filled(&self) -> usize {
        self.tokens.len() - self.rows * self.row_length
    }

    /// Fills the last row with token 0 that predicts nothing, as a document of its own, and counts it.
    pub(super) fn pad_row(&mut self) {
        let filled = self.filled();
        let document = if filled == 0 { 0 } else { self.documents.last().map_or(0, |last| last + 1) };
        for position in filled..self.row_length {
            self.tokens.push(0);
            self.targets.push(IGNORED);
            self.positions.push(position as i32);
            self.documents.push(document);
        }
        self.rows += 1;
    }

    /// Number of tokens that are to be predicted.
    pub fn target_tokens(&self) -> u64 {
        self.targets.iter().filter(|&&target| target != IGNORED).count() as u64
    }

    /// UTF-8 bytes of the tokens that are to be predicted, by each id's
    /// [byte length](crate::tokenizer::Tokenizer::byte_lengths): the divisor of bits per byte.
    pub fn target_bytes(&self, byte_lengths: &[u32]) -> u64 {
        let length = |&target: &i32| usize::try_from(target).ok().and_then(|id| byte_lengths.get(id));
        self.targets.iter().filter_map(length).map(|&bytes| u64::from(bytes)).sum()
    }
}
