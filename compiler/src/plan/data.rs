//! Data sets, mixtures and tokenizers in a plan.

use serde::{Deserialize, Serialize};

use super::{ContentType, OnError, ProcessPlan, SourcePlan};

/// A data set: where its documents come from and what is held out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DatasetPlan {
    /// What its documents are.
    #[serde(rename = "type", skip_serializing_if = "is_default")]
    pub content: ContentType,
    /// Its sources in order.
    pub sources: Vec<Source>,
    /// Share of the documents held out for evaluation, `0.0..1.0`, chosen by document hash.
    pub holdout: f64,
    /// Upper bound on the bytes of text read, sources in order (none: all).
    pub limit_bytes: Option<u64>,
    /// What happens to what cannot be read (none: as each source does).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_error: Option<OnError>,
    /// What is done to the documents before they are split and tokenized, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub process: Vec<ProcessPlan>,
}

impl DatasetPlan {
    /// All of these sources as they are, nothing held out: text, or token ids where a source holds them.
    pub fn of(sources: Vec<SourcePlan>) -> DatasetPlan {
        let content = match sources.iter().any(SourcePlan::is_tokens) {
            true => ContentType::Tokens,
            false => ContentType::Text,
        };
        let sources = sources.into_iter().map(Source::from).collect();
        DatasetPlan { content, sources, holdout: 0.0, limit_bytes: None, on_error: None, process: Vec::new() }
    }

    /// True for token ids rather than text or records of it.
    pub fn is_tokens(&self) -> bool {
        self.sources.iter().any(|source| source.place.is_tokens())
    }

    /// Whether its sources are read side by side, by their weights, rather than one after another.
    pub fn is_weighted(&self) -> bool {
        self.sources.iter().any(|source| source.about.weight.is_some())
    }
}

/// One source of a data set.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Source {
    /// Where its documents lie.
    #[serde(flatten)]
    pub place: SourcePlan,
    /// Which columns of its records are what, as far as the recipe says it.
    #[serde(skip_serializing_if = "is_default")]
    pub columns: Columns,
    /// What is known of it.
    #[serde(flatten)]
    pub about: About,
}

impl From<SourcePlan> for Source {
    fn from(place: SourcePlan) -> Source {
        Source { place, columns: Columns::default(), about: About::default() }
    }
}

/// What a recipe says of a source beside where it lies.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct About {
    /// What its documents were written for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<SourceKind>,
    /// Its licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Its weight among the sources of its data set (none: 1 where another source has one).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Whatever else is to be known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notes: Option<String>,
}

/// What the documents of a source were written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Pages of the web.
    Web,
    /// Books.
    Books,
    /// Scientific papers.
    Papers,
    /// Source code.
    Code,
    /// Forums, chats, social media.
    Social,
    /// One field's own texts: law, medicine, finance.
    Specialised,
}

impl SourceKind {
    /// Every kind, in the order of the reference.
    pub const ALL: [SourceKind; 6] = [
        SourceKind::Web,
        SourceKind::Books,
        SourceKind::Papers,
        SourceKind::Code,
        SourceKind::Social,
        SourceKind::Specialised,
    ];

    /// As recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            SourceKind::Web => "web",
            SourceKind::Books => "books",
            SourceKind::Papers => "papers",
            SourceKind::Code => "code",
            SourceKind::Social => "social",
            SourceKind::Specialised => "specialised",
        }
    }
}

/// Columns as a recipe names them; those that are not named are recognised (see [`Layout`](super::Layout)).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Columns {
    /// A list of messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// A question, an instruction, the start of a conversation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// What an instruction is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<String>,
    /// The better answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// The worse answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
    /// A number that says how good a text is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Several data sets read side by side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixturePlan {
    /// Its parts in order.
    pub parts: Vec<MixturePart>,
    /// A part's share of the rows is proportional to its weight to the power of `1 / temperature`.
    pub temperature: f64,
}

/// One data set of a mixture.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixturePart {
    /// The data set's name.
    pub dataset: String,
    /// Its weight (none: its rows; all parts have one, or none has).
    pub weight: Option<f64>,
    /// How often its rows are read at most; then the others share its place (none: as often as needed).
    pub epochs: Option<f64>,
}

/// A tokenizer to be trained or loaded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenizerPlan {
    /// How it comes to be.
    pub source: TokenizerSource,
    /// Number of token ids, special tokens included.
    pub vocab: u64,
    /// The token put after each document, if any.
    pub end_of_text: Option<String>,
}

/// How a tokenizer comes to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerSource {
    /// Trained on a data set.
    Trained(TrainedTokenizer),
    /// A Hugging Face `tokenizer.json`.
    File {
        /// Its path.
        path: String,
    },
    /// A file of ranks as tiktoken reads it.
    Tiktoken {
        /// Its path.
        path: String,
        /// The encoding that its ranks are of, which has a pattern and special tokens of its own.
        encoding: TiktokenEncoding,
        /// Special tokens in place of the encoding's own; their ids follow the ranks.
        #[serde(skip_serializing_if = "Option::is_none")]
        special: Option<Vec<String>>,
    },
    /// The 256 bytes as they are, and end-of-text as id 256.
    Bytes,
}

/// A tokenizer that is made from text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrainedTokenizer {
    /// What is learned.
    pub model: TokenizerModel,
    /// The data set's name.
    pub dataset: String,
    /// Bytes of text to train on at most.
    pub limit_bytes: u64,
    /// Special tokens besides those that the model has and end-of-text.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub special: Vec<String>,
}

/// What a trained tokenizer learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenizerModel {
    /// Byte-level BPE.
    ByteBpe,
    /// WordPiece as BERT uses it.
    WordPiece {
        /// Whether text is made lower-case and loses its accents.
        lowercase: bool,
    },
    /// A unigram language model of pieces, as SentencePiece trains it.
    Unigram,
}

/// An encoding that tiktoken publishes: how text is cut before its bytes are merged, and special tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TiktokenEncoding {
    /// GPT-2's.
    R50kBase,
    /// Codex's: GPT-2's with runs of spaces.
    P50kBase,
    /// GPT-3.5's and GPT-4's.
    Cl100kBase,
    /// GPT-4o's.
    O200kBase,
}

impl TiktokenEncoding {
    /// All of them.
    pub const ALL: [TiktokenEncoding; 4] = [
        TiktokenEncoding::R50kBase,
        TiktokenEncoding::P50kBase,
        TiktokenEncoding::Cl100kBase,
        TiktokenEncoding::O200kBase,
    ];

    /// Its name, which is also that of its file.
    pub fn name(self) -> &'static str {
        match self {
            TiktokenEncoding::R50kBase => "r50k_base",
            TiktokenEncoding::P50kBase => "p50k_base",
            TiktokenEncoding::Cl100kBase => "cl100k_base",
            TiktokenEncoding::O200kBase => "o200k_base",
        }
    }

    /// Its special tokens with their ids (`tiktoken_ext/openai_public.py` of tiktoken).
    pub fn special(self) -> &'static [(&'static str, u64)] {
        match self {
            TiktokenEncoding::R50kBase | TiktokenEncoding::P50kBase => &[("<|endoftext|>", 50256)],
            TiktokenEncoding::Cl100kBase => &[
                ("<|endoftext|>", 100_257),
                ("<|fim_prefix|>", 100_258),
                ("<|fim_middle|>", 100_259),
                ("<|fim_suffix|>", 100_260),
                ("<|endofprompt|>", 100_276),
            ],
            TiktokenEncoding::O200kBase => &[("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)],
        }
    }
}

/// How documents are put into rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// One after another, cut wherever a row is full.
    #[default]
    Concatenate,
    /// Whole documents together, as they fit best; only those longer than a row are cut.
    BestFit,
    /// Each in rows of its own.
    Pad,
}

impl Packing {
    /// Whether it is what a stage does that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Packing::default()
    }
}
