//! What a stage minimises, and how rows of tokens become inputs and targets.

use serde::Serialize;

/// What a stage minimises: the cross-entropy of targets that are made from the tokens of a row, averaged over the target
/// tokens of the global batch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectivePlan {
    /// How targets are made, and who sees whom.
    pub kind: Objective,
    /// What is added to the cross-entropy.
    #[serde(skip_serializing_if = "LossPlan::is_plain")]
    pub loss: LossPlan,
}

impl ObjectivePlan {
    /// The next token, plain cross-entropy.
    pub fn causal_lm() -> ObjectivePlan {
        ObjectivePlan { kind: Objective::CausalLm, loss: LossPlan::default() }
    }
}

/// Changes to the cross-entropy of a token.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct LossPlan {
    /// Share of the target that goes to all tokens alike (Szegedy et al. 2016, section 7).
    pub label_smoothing: f64,
    /// Factor on the square of the logarithm of the softmax's sum (Chowdhery et al. 2022, section 5).
    pub z_loss: f64,
}

impl LossPlan {
    /// Whether it is the cross-entropy alone.
    pub fn is_plain(&self) -> bool {
        *self == LossPlan::default()
    }
}

/// How targets are made, and who sees whom.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Each token predicts the next one, from itself and what is before it.
    CausalLm,
    /// Some tokens are hidden and predicted from all others (Devlin et al. 2019, section 3.1).
    MaskedLm(Masking),
    /// The tokens behind a prefix are predicted as in [`Objective::CausalLm`]; those of the prefix see each other
    /// (Raffel et al. 2020, section 3.2.1). With an encoder the prefix is its input.
    PrefixLm(PrefixLengths),
    /// Spans are cut out of an encoder's input and predicted by the decoder (Raffel et al. 2020, section 3.1.4).
    SpanCorruption(Corruption),
    /// The last tokens of a random order are predicted from those before them in it (Yang et al. 2019, section 2).
    PermutationLm(Permutation),
    /// Each row follows one of these, drawn with these weights (Tay et al. 2022, UL2).
    Mixture(Vec<(f64, Objective)>),
}

/// Which tokens `masked_lm` hides, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Masking {
    /// Share of the tokens that are predicted.
    pub rate: f64,
    /// Share of those that become a random token.
    pub random: f64,
    /// Share of those that stay as they are.
    pub keep: f64,
    /// All tokens of a word are hidden together.
    pub whole_words: bool,
    /// What stands in place of the others.
    pub mask: SpecialToken,
}

/// Prefixes of `prefix_lm`, as shares of a document in a row; drawn evenly between them.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PrefixLengths {
    /// Shortest.
    pub shortest: f64,
    /// Longest.
    pub longest: f64,
}

/// Spans of `span_corruption`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Corruption {
    /// Share of the tokens that are cut out.
    pub density: f64,
    /// Mean length of a span, in tokens.
    pub mean_span: f64,
    /// What stands where a span was, numbered from 0.
    pub sentinels: Sentinels,
}

/// Orders of `permutation_lm`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Permutation {
    /// Share of the tokens that are predicted, the last ones of the order.
    pub predict: f64,
}

/// A token of the vocabulary that stands for no text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SpecialToken {
    /// As the tokenizer writes it.
    Text(String),
    /// By its id.
    Id(u64),
}

/// Numbered special tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sentinels {
    /// As the tokenizer writes them, `{}` standing for the number.
    Pattern(String),
    /// The id of number 0; those of the others lie below it, one by one.
    From(u64),
}

impl Corruption {
    /// What a row of `tokens` becomes: tokens cut out, and spans. As in T5's code (`random_spans_noise_mask`), halves are
    /// rounded to the even neighbour, and at least one token is cut out and one stays.
    pub fn noise(&self, tokens: u64) -> (u64, u64) {
        let noise = even(tokens as f64 * self.density).clamp(1, tokens.saturating_sub(1).max(1));
        let spans = even(noise as f64 / self.mean_span).max(1);
        // Each span needs a token that stays before it.
        (noise, spans.min(noise).min(tokens.saturating_sub(noise).max(1)))
    }

    /// Lengths of the encoder's input and of the decoder's target of a row of `tokens`, an end of text behind each.
    pub fn lengths(&self, tokens: u64) -> (u64, u64) {
        let (noise, spans) = self.noise(tokens);
        (tokens - noise.min(tokens) + spans + 1, noise + spans + 1)
    }

    /// The longest row whose encoder's input is at most `length` tokens (T5's `compute_input_and_target_lengths`).
    pub fn tokens_for(&self, length: u64) -> u64 {
        let mut tokens = length;
        while self.lengths(tokens + 1).0 <= length {
            tokens += 1;
        }
        while tokens > 1 && self.lengths(tokens).0 > length {
            tokens -= 1;
        }
        tokens
    }
}

/// The nearest whole number, halves to the even one, as NumPy rounds.
fn even(value: f64) -> u64 {
    value.round_ties_even().max(0.0) as u64
}

impl Objective {
    /// In a recipe.
    pub fn name(&self) -> &'static str {
        match self {
            Objective::CausalLm => "causal_lm",
            Objective::MaskedLm(_) => "masked_lm",
            Objective::PrefixLm(_) => "prefix_lm",
            Objective::SpanCorruption(_) => "span_corruption",
            Objective::PermutationLm(_) => "permutation_lm",
            Objective::Mixture(_) => "mixture_of",
        }
    }

    /// The objective itself, or the parts of a mixture.
    pub fn parts(&self) -> Vec<&Objective> {
        match self {
            Objective::Mixture(parts) => parts.iter().map(|(_, part)| part).collect(),
            single => vec![single],
        }
    }

    /// With an encoder whose input has `source` tokens: the tokens of a row that it is made from, and the longest target of
    /// the decoder.
    pub fn decoder_lengths(&self, source: u64) -> (u64, u64) {
        let of = |part: &Objective| match part {
            Objective::SpanCorruption(corruption) => {
                let tokens = corruption.tokens_for(source);
                (tokens, corruption.lengths(tokens).1)
            }
            // A prefix leaves room for an end of text on both sides.
            Objective::PrefixLm(lengths) => {
                let tokens = source;
                (tokens, tokens - (lengths.shortest * tokens as f64) as u64 + 1)
            }
            _ => (source, source),
        };
        let lengths = self.parts().into_iter().map(of);
        lengths.fold((0, 1), |(tokens, target), (row, decoder)| (tokens.max(row), target.max(decoder)))
    }

    /// The length of an encoder's input that is made from rows of exactly `tokens`, if there is one.
    pub fn source_length(&self, tokens: u64) -> Option<u64> {
        // Longer inputs are made from longer rows, and a row is at least as long as its input less the end of text.
        let (mut below, mut found) = (0, tokens + 1);
        while found - below > 1 {
            let middle = below + (found - below) / 2;
            match self.decoder_lengths(middle).0 < tokens {
                true => below = middle,
                false => found = middle,
            }
        }
        (self.decoder_lengths(found).0 == tokens).then_some(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corruption(density: f64, mean_span: f64) -> Corruption {
        Corruption { density, mean_span, sentinels: Sentinels::From(99) }
    }

    #[test]
    fn lengths_of_corrupted_rows() {
        // T5's own setting: 512 tokens of input come from 568, and leave a target of 114.
        let usual = corruption(0.15, 3.0);
        assert_eq!(usual.tokens_for(512), 568);
        assert_eq!(usual.lengths(568), (512, 114));
        assert_eq!(usual.lengths(32), (30, 8));
        assert_eq!(corruption(0.5, 3.0).lengths(32), (22, 22));
        assert_eq!(corruption(0.5, 32.0).lengths(32), (18, 18));
        assert_eq!(usual.noise(2), (1, 1));
        let spans = Objective::SpanCorruption(usual);
        assert_eq!((spans.decoder_lengths(512), spans.source_length(568)), ((568, 114), Some(512)));
        let missed: Vec<u64> = (2..100).filter(|row| spans.source_length(*row).is_none()).collect();
        assert!(missed.iter().all(|row| (1..100).all(|length| spans.decoder_lengths(length).0 != *row)), "{missed:?}");
    }
}
