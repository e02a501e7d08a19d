//! One micro-batch.

/// The target of a position that is not trained on.
pub const IGNORED: i32 = -100;

/// Rows of tokens with what is to be predicted. Every vector holds `rows * row_length` values, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Number of rows, `B`.
    pub rows: usize,
    /// Tokens in a row, `T`.
    pub row_length: usize,
    /// Token ids.
    pub tokens: Vec<i32>,
    /// The id that follows each token, or [`IGNORED`].
    pub targets: Vec<i32>,
    /// How much the loss of each target counts; 1 where the data says nothing.
    pub weights: Vec<f32>,
    /// Position of each token, from 0: in its document where the model is told documents apart, else in its row.
    pub positions: Vec<i32>,
    /// The number of each token's document within its row, from 0. A document ends after its end-of-text.
    pub documents: Vec<i32>,
    /// Place of each token in the order that its objective gives the row: see [`INPUTS`](llmc_compiler::plan::INPUTS).
    pub order: Vec<i32>,
    /// Part of the row that each token belongs to.
    pub segments: Vec<i32>,
    /// Tokens in a row of the encoder's input, `S`; 0 without an encoder.
    pub source_length: usize,
    /// Token ids of the encoder's input, `rows * source_length`.
    pub source: Vec<i32>,
    /// Their document numbers: 0, and -1 for padding.
    pub source_documents: Vec<i32>,
}

impl Batch {
    /// A batch of no rows yet.
    pub(super) fn with_capacity(rows: usize, row_length: usize) -> Batch {
        let values = || Vec::with_capacity(rows * row_length);
        Batch {
            rows: 0,
            row_length,
            tokens: values(),
            targets: values(),
            weights: Vec::with_capacity(rows * row_length),
            positions: values(),
            documents: values(),
            order: values(),
            segments: values(),
            source_length: 0,
            source: Vec::new(),
            source_documents: Vec::new(),
        }
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
        self.finish_row();
    }

    /// Counts the last row, which has its tokens and targets: where nothing else is said, positions and order are those of the
    /// row, and all is one segment.
    pub(super) fn finish_row(&mut self) {
        self.rows += 1;
        let end = self.rows * self.row_length;
        for numbers in [&mut self.positions, &mut self.order] {
            if numbers.len() < end {
                numbers.extend(0..self.row_length as i32);
            }
        }
        self.documents.resize(end, 0);
        self.segments.resize(end, 0);
        self.weights.resize(end, 1.0);
    }

    /// The inputs of a model by their names, with the tokens of a row each.
    pub fn inputs(&self) -> [(&'static str, usize, &[i32]); 8] {
        let (row, source) = (self.row_length, self.source_length);
        [
            ("tokens", row, &self.tokens),
            ("targets", row, &self.targets),
            ("positions", row, &self.positions),
            ("documents", row, &self.documents),
            ("order", row, &self.order),
            ("segments", row, &self.segments),
            ("source", source, &self.source),
            ("source_documents", source, &self.source_documents),
        ]
    }

    /// What the losses of all targets count together: the divisor of the loss.
    pub fn target_weight(&self) -> f64 {
        let predicted = self.targets.iter().zip(&self.weights).filter(|(target, _)| **target != IGNORED);
        predicted.map(|(_, weight)| f64::from(*weight)).sum()
    }

    /// UTF-8 bytes of the tokens that are to be predicted, by each id's
    /// [byte length](crate::tokenizer::Tokenizer::byte_lengths): the divisor of bits per byte.
    pub fn target_bytes(&self, byte_lengths: &[u32]) -> u64 {
        let length = |&target: &i32| usize::try_from(target).ok().and_then(|id| byte_lengths.get(id));
        self.targets.iter().filter_map(length).map(|&bytes| u64::from(bytes)).sum()
    }
}
