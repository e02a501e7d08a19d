//! Steps that learn from other data sets, weigh documents, balance groups and keep evaluations out.

use serde::Serialize;

use super::Component;

/// A linear classifier of documents, to be trained on two data sets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassifierPlan {
    /// The data set of good documents.
    pub good: String,
    /// The data set of bad documents.
    pub bad: String,
    /// Bytes of text of each to train on at most.
    pub sample_bytes: u64,
}

/// An n-gram language model, to be trained on a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NgramPlan {
    /// The data set.
    pub on: String,
    /// Tokens of the longest n-gram.
    pub order: u64,
    /// Bytes of text to train on at most.
    pub sample_bytes: u64,
}

/// Documents that a classifier finds bad are dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityPlan {
    /// The classifier.
    pub model: ClassifierPlan,
    /// The smallest probability of being good that is let through.
    pub min: f64,
}

/// Documents that a language model finds unlikely, or too likely, are dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PerplexityPlan {
    /// The language model.
    pub model: NgramPlan,
    /// The smallest perplexity that is let through.
    pub min: Option<f64>,
    /// The largest perplexity that is let through.
    pub max: Option<f64>,
}

/// Documents in other languages are dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LanguagePlan {
    /// Languages that stay (ISO 639-1).
    pub keep: Vec<&'static str>,
    /// The smallest confidence that is let through.
    pub min: f64,
}

/// Documents are dropped by a weighted sum of what is measured of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScorePlan {
    /// The weighted sum and its limit.
    pub formula: Formula,
    /// What [`Component::Quality`] is measured by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<ClassifierPlan>,
    /// What [`Component::Fluency`] is measured by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fluency: Option<NgramPlan>,
    /// The languages of [`Component::Language`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub language: Vec<&'static str>,
}

/// `weights . components > threshold`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Formula {
    /// Each component once, with a weight other than 0.
    pub weights: Vec<(Component, f64)>,
    /// What the sum must exceed.
    pub threshold: f64,
    /// Whether the threshold itself is let through.
    pub inclusive: bool,
}

impl Formula {
    /// The smallest and the largest sum that components from 0 to 1 can give.
    pub fn range(&self) -> (f64, f64) {
        let sum = |pick: fn(f64, f64) -> f64| self.weights.iter().map(|(_, weight)| pick(*weight, 0.0)).sum();
        (sum(f64::min), sum(f64::max))
    }

    /// Whether a document of this sum is let through.
    pub fn lets_through(&self, sum: f64) -> bool {
        if self.inclusive { sum >= self.threshold } else { sum > self.threshold }
    }
}

/// Documents that hold listed terms are dropped.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TermsPlan {
    /// File of terms, one a line.
    pub file: String,
    /// Occurrences that are let through.
    pub max: u64,
    /// Whether digits and signs are read as the letters that they resemble, too.
    pub leetspeak: bool,
}

/// Terms of a pair of groups are exchanged.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CounterfactualPlan {
    /// File of pairs; none for the built-in English pairs of gender.
    pub pairs: Option<String>,
    /// Share of the documents, chosen by a hash.
    pub share: f64,
    /// Whether the exchanged copy follows the document, rather than stands in its place.
    pub keep_original: bool,
    /// File of terms whose company is measured; none for the built-in occupations.
    pub attributes: Option<String>,
    /// Key of the choice.
    pub seed: u64,
}

/// Documents about one of two groups are left out or repeated until both have their share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReweightPlan {
    /// File of pairs; none for the built-in English pairs of gender.
    pub pairs: Option<String>,
    /// Documents about the first group for each about the second.
    pub ratio: f64,
    /// What is done to reach it.
    pub by: Balancing,
    /// Times that a document may stand in the result at most.
    pub max_repeat: u64,
    /// File of terms whose company is measured; none for the built-in occupations.
    pub attributes: Option<String>,
    /// Key of the choice.
    pub seed: u64,
}

/// How groups are balanced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Balancing {
    /// Documents of the larger group are left out.
    Drop,
    /// Documents of the smaller group are repeated.
    Copy,
}

/// Documents that share n-grams with evaluations are found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecontaminationPlan {
    /// The evaluations.
    pub against: Vec<EvaluationText>,
    /// Words of an n-gram.
    pub ngram: u64,
    /// Texts of fewer words than an n-gram are sought whole, if they have at least this many.
    pub min_words: u64,
    /// Whether the documents are dropped.
    pub drop: bool,
}

/// Texts that training must not hold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EvaluationText {
    /// The documents of a data set.
    Dataset(String),
    /// Every text in a file: of JSON lines each string, of anything else the whole.
    File(String),
}
