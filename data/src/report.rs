//! What was found in a stage's data.

use llmc_compiler::plan::{About, ContentType, DatasetPlan};
use serde::{Deserialize, Serialize};

use super::documents::SourceCount;
use super::process::ProcessReport;
use super::rows::Rows;
use super::sources::Faults;
use super::split::Survey;
use super::stream::TokenStream;

/// One stream of rows.
#[derive(Debug)]
pub struct Part {
    /// The data set's name, and the source's where it is one of several with weights.
    pub name: String,
    /// What is trained on.
    pub train: TokenStream,
    /// The rows of it.
    pub rows: Rows,
    /// What is held out, if anything.
    pub heldout: Option<TokenStream>,
    /// Its share of the rows at the start.
    pub share: f64,
    /// How often its rows are read in the whole stage.
    pub epochs: f64,
    /// What is trained on, in numbers.
    pub stats: SplitStats,
    /// What is held out, in numbers.
    pub heldout_stats: Option<SplitStats>,
}

/// What a stage's data holds, after its steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataStats {
    /// Documents: files, records, or rows of ids.
    pub documents: u64,
    /// Bytes: of UTF-8 text, or of ids as they lie in their file.
    pub bytes: u64,
    /// Files and records left out: not text, empty, damaged.
    pub skipped: u64,
    /// Whether a data set's limit left something out.
    pub limited: bool,
    /// What is trained on.
    pub train: SplitStats,
    /// What is held out.
    pub heldout: Option<SplitStats>,
}

impl DataStats {
    /// Sums over data sets and parts.
    pub(super) fn of(datasets: &[DatasetReport], parts: &[Part]) -> DataStats {
        let heldout: Vec<&SplitStats> = parts.iter().filter_map(|part| part.heldout_stats.as_ref()).collect();
        DataStats {
            documents: datasets.iter().map(|dataset| dataset.documents).sum(),
            bytes: datasets.iter().map(|dataset| dataset.bytes).sum(),
            skipped: datasets.iter().map(|dataset| dataset.faults().left_out()).sum(),
            limited: datasets.iter().any(|dataset| dataset.limited),
            train: SplitStats::sum(&parts.iter().map(|part| &part.stats).collect::<Vec<_>>()),
            heldout: (!heldout.is_empty()).then(|| SplitStats::sum(&heldout)),
        }
    }
}

/// What one split holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitStats {
    /// Tokens, ends of text included.
    pub tokens: u64,
    /// Documents.
    pub documents: u64,
    /// UTF-8 bytes of text; 0 where the data came as ids.
    pub text_bytes: u64,
    /// Entropy of single tokens in nats per token; over several streams the mean of theirs, by tokens.
    pub unigram_entropy: f64,
}

impl SplitStats {
    pub(super) fn of(stream: &TokenStream) -> SplitStats {
        SplitStats {
            tokens: stream.len(),
            documents: stream.documents(),
            text_bytes: stream.text_bytes(),
            unigram_entropy: stream.unigram_entropy(),
        }
    }

    fn sum(all: &[&SplitStats]) -> SplitStats {
        let tokens: u64 = all.iter().map(|split| split.tokens).sum();
        let share = |split: &SplitStats| split.tokens as f64 / tokens.max(1) as f64;
        SplitStats {
            tokens,
            documents: all.iter().map(|split| split.documents).sum(),
            text_bytes: all.iter().map(|split| split.text_bytes).sum(),
            unigram_entropy: all.iter().map(|split| share(split) * split.unigram_entropy).sum(),
        }
    }
}

/// What became of a data set's documents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DatasetReport {
    /// Its name.
    pub name: String,
    /// What its documents are.
    #[serde(rename = "type")]
    pub content: ContentType,
    /// Documents after its steps.
    pub documents: u64,
    /// Their bytes: of UTF-8 text, or of ids.
    pub bytes: u64,
    /// Whether its limit left something out.
    pub limited: bool,
    /// Its sources.
    pub sources: Vec<SourceReport>,
    /// What its steps did, where it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessReport>,
}

/// What was read of a source, and what is left of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SourceReport {
    /// As the recipe names it.
    pub source: String,
    /// What the recipe says of it.
    #[serde(flatten)]
    pub about: About,
    /// What was read.
    pub read: SourceCount,
    /// Documents that are left after the steps.
    pub documents: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl DatasetReport {
    pub(super) fn new(
        name: &str,
        plan: &DatasetPlan,
        survey: &Survey,
        process: Option<ProcessReport>,
    ) -> DatasetReport {
        let source = |(index, source): (usize, &llmc_compiler::plan::Source)| {
            let left = survey.sources.get(index).copied().unwrap_or_default();
            SourceReport {
                source: source.place.describe(),
                about: source.about.clone(),
                read: survey.read.get(index).copied().unwrap_or_default(),
                documents: left.documents,
                bytes: left.bytes,
            }
        };
        DatasetReport {
            name: name.to_owned(),
            content: plan.content,
            documents: survey.all.documents,
            bytes: survey.all.bytes,
            limited: survey.cut,
            sources: plan.sources.iter().enumerate().map(source).collect(),
            process,
        }
    }

    /// What could not be read, over all sources.
    pub fn faults(&self) -> Faults {
        self.sources.iter().fold(Faults::default(), |sum, source| sum + source.read.faults)
    }
}

/// blake3 hashes in hexadecimal, for the lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataHashes {
    /// Of the documents.
    pub documents: String,
    /// Of the `tokenizer.json`.
    pub tokenizer: Option<String>,
    /// Of all that the prepared tokens depend on.
    pub tokens: String,
}
