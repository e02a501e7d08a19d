//! One split of a data set as a stream of token ids in documents, wherever the ids come from.

use std::ops::Range;
use std::sync::Arc;

use super::random_tokens::RandomTokens;
use super::shard::Split;
use super::store::Store;

/// A stream of token ids in documents. Cheap to clone.
#[derive(Debug, Clone)]
pub struct TokenStream(Ids);

#[derive(Debug, Clone)]
enum Ids {
    Stored {
        store: Arc<Store>,
        split: Split,
    },
    /// The ids `first..end` as one document.
    Random {
        tokens: RandomTokens,
        first: u64,
        end: u64,
    },
}

impl TokenStream {
    /// The `split` of `store`.
    pub fn stored(store: Arc<Store>, split: Split) -> TokenStream {
        TokenStream(Ids::Stored { store, split })
    }

    /// The ids of `range`, which must lie in `0..tokens.count()`.
    pub fn random(tokens: RandomTokens, range: Range<u64>) -> TokenStream {
        TokenStream(Ids::Random { tokens, first: range.start, end: range.end })
    }

    /// Number of tokens.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Ids::Stored { store, split } => store.tokens(*split),
            Ids::Random { first, end, .. } => end - first,
        }
    }

    /// Whether there is no token.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of documents.
    pub fn documents(&self) -> u64 {
        match &self.0 {
            Ids::Stored { store, split } => store.documents(*split),
            Ids::Random { .. } => u64::from(!self.is_empty()),
        }
    }

    /// UTF-8 bytes of the text that the tokens stand for; 0 where the data came as token ids.
    pub fn text_bytes(&self) -> u64 {
        match &self.0 {
            Ids::Stored { store, split } => store.text_bytes(*split),
            Ids::Random { .. } => 0,
        }
    }

    /// Bytes of the file that the ids of both splits are read from: the system maps it, and may give its memory away.
    pub fn mapped_bytes(&self) -> u64 {
        match &self.0 {
            Ids::Stored { store, .. } => store.bytes(),
            Ids::Random { .. } => 0,
        }
    }

    /// Every id is less than this.
    pub fn id_bound(&self) -> u64 {
        match &self.0 {
            Ids::Stored { store, split } => store.counts(*split).len() as u64,
            Ids::Random { tokens, .. } => tokens.vocab(),
        }
    }

    /// The length of a row, where the data came as rows rather than as a stream.
    pub fn row_length(&self) -> Option<u64> {
        match &self.0 {
            Ids::Stored { store, .. } => store.row_length(),
            Ids::Random { .. } => None,
        }
    }

    /// Appends the ids of `range` to `ids`. The range must lie in `0..len`.
    pub fn read(&self, range: Range<u64>, ids: &mut Vec<i32>) {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        match &self.0 {
            Ids::Stored { store, split } => store.read(*split, range, ids),
            Ids::Random { tokens, first, .. } => tokens.read(first + range.start..first + range.end, ids),
        }
    }

    /// Appends how much the losses of these tokens count. The range must lie in `0..len`.
    pub fn read_weights(&self, range: Range<u64>, weights: &mut Vec<f32>) {
        assert!(range.start <= range.end && range.end <= self.len(), "{range:?} of {}", self.len());
        match &self.0 {
            Ids::Stored { store, split } => store.read_weights(*split, range, weights),
            Ids::Random { .. } => weights.extend(range.map(|_| 1.0)),
        }
    }

    /// One past the last token of a document.
    pub fn document_end(&self, document: u64) -> u64 {
        assert!(document < self.documents(), "document {document} of {}", self.documents());
        match &self.0 {
            Ids::Stored { store, split } => store.document_end(*split, document),
            Ids::Random { .. } => self.len(),
        }
    }

    /// The document that a token belongs to.
    pub fn document_of(&self, token: u64) -> u64 {
        let (mut low, mut high) = (0, self.documents());
        while low < high {
            let middle = low + (high - low) / 2;
            if self.document_end(middle) <= token { low = middle + 1 } else { high = middle }
        }
        low
    }

    /// Entropy of the distribution of single tokens, in nats per token: the loss of the best model that
    /// looks at no context. 0 for an empty stream.
    pub fn unigram_entropy(&self) -> f64 {
        match &self.0 {
            Ids::Stored { store, split } => entropy(store.counts(*split)),
            Ids::Random { .. } if self.is_empty() => 0.0,
            Ids::Random { tokens, .. } => tokens.entropy(),
        }
    }
}

/// Of the distribution that these counts are proportional to, in nats.
fn entropy(counts: &[u64]) -> f64 {
    let total = counts.iter().sum::<u64>() as f64;
    let term = |&count: &u64| {
        let share = count as f64 / total;
        -share * share.ln()
    };
    counts.iter().filter(|&&count| count > 0).map(term).sum()
}
