//! A data set of token ids: files of rows, or of streams.

use std::path::Path;

use llmc_compiler::plan::{DatasetPlan, SourcePlan};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::cache::WriteError;
use super::documents::{SourceCount, file_facts};
use super::paths;
use super::shard::{ShardWriter, Split};
use super::split::{Holdout, Survey, SurveyBuilder, document_key};
use super::token_file::TokenFile;

/// Ids that are decoded and written at a time.
const BLOCK_IDS: usize = 1 << 20;

/// The open files of a data set of token ids.
#[derive(Debug)]
pub struct TokenRows {
    files: Vec<TokenFile>,
    /// The tensors of ids and weights of each.
    names: Vec<(Option<String>, Option<String>)>,
    weighted: bool,
    limit_bytes: u64,
}

impl TokenRows {
    /// Opens the files of `dataset`: all of rows of one length, or all of streams.
    pub fn open(dataset: &DatasetPlan, base: &Path) -> Result<TokenRows, Diagnostic> {
        let mut files: Vec<TokenFile> = Vec::new();
        let mut names = Vec::new();
        let mut weighted = false;
        for source in &dataset.sources {
            let SourcePlan::Tokens { path, tensor, weights } = &source.place else {
                return Err(Diagnostic::error(codes::MIXED_SOURCES, "text stands beside token ids in one data set")
                    .help("make two data sets: one of text, one of token ids"));
            };
            let mut file = TokenFile::open(&paths::resolve(path, base)?, tensor.as_deref())?;
            if let Some(weights) = weights {
                file = file.with_weights(weights)?;
            }
            weighted |= weights.is_some();
            if let Some(first) = files.first().filter(|first| first.row_length() != file.row_length()) {
                return Err(unequal(first, &file));
            }
            files.push(file);
            names.push((tensor.clone(), weights.clone()));
        }
        Ok(TokenRows { files, names, weighted, limit_bytes: dataset.limit_bytes.unwrap_or(u64::MAX) })
    }

    /// Whether a file says how much the loss of each token counts.
    pub fn is_weighted(&self) -> bool {
        self.weighted
    }

    /// The length of a row; none for streams.
    pub fn row_length(&self) -> Option<u64> {
        self.files.first().and_then(TokenFile::row_length)
    }

    /// A hash that changes when a file is renamed, resized or written to.
    pub fn listing_hash(&self) -> Result<blake3::Hash, Diagnostic> {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.limit_bytes.to_le_bytes());
        for (file, (tensor, weights)) in self.files.iter().zip(&self.names) {
            hasher.update(format!("{}\0{tensor:?}\n", file_facts(file.path())?).as_bytes());
            if let Some(weights) = weights {
                hasher.update(format!("weights {weights:?}\n").as_bytes());
            }
        }
        Ok(hasher.finalize())
    }

    /// Each row or stream is a document.
    pub fn survey(&self) -> Survey {
        let mut survey = SurveyBuilder::default();
        let mut bytes = 0;
        let mut read = vec![SourceCount::default(); self.files.len()];
        for (index, _, document) in self.documents() {
            survey.add(document, index, None);
            bytes += document.len() as u64;
            read[index].documents += 1;
            read[index].bytes += document.len() as u64;
        }
        let held: u64 = self.files.iter().map(|file| file.len() * file.id_bytes() as u64).sum();
        survey.finish(read, bytes < held)
    }

    /// Writes every document to its split. Ids are checked against `0..vocab`.
    pub fn write(&self, writer: &mut ShardWriter<'_>, holdout: Holdout, vocab: u64) -> Result<(), WriteError> {
        for (_, file, document) in self.documents() {
            let heldout_from = match holdout {
                Holdout::Tail { share } => {
                    let ids = document.len() / file.id_bytes();
                    (ids as f64 * (1.0 - share)).ceil() as usize * file.id_bytes()
                }
                _ if holdout.holds_out(document_key(document)) => 0,
                _ => document.len(),
            };
            let (train, heldout) = document.split_at(heldout_from.min(document.len()));
            for (split, bytes) in [(Split::Train, train), (Split::Heldout, heldout)] {
                if bytes.is_empty() {
                    continue;
                }
                for block in bytes.chunks(BLOCK_IDS * file.id_bytes()) {
                    writer.append_weighted(split, &file.decode(block, vocab)?, &file.weights(block), 0)?;
                }
                writer.end_document(split);
            }
        }
        Ok(())
    }

    /// Each with its file and the file's number.
    fn documents(&self) -> impl Iterator<Item = (usize, &TokenFile, &[u8])> {
        let mut remaining = self.limit_bytes;
        self.files.iter().enumerate().flat_map(move |(index, file)| {
            let limit = remaining;
            remaining = remaining.saturating_sub(file.len() * file.id_bytes() as u64);
            file.documents(limit).map(move |document| (index, file, document))
        })
    }
}

fn unequal(first: &TokenFile, other: &TokenFile) -> Diagnostic {
    let describe = |file: &TokenFile| match file.row_length() {
        Some(length) => format!("`{}` holds rows of {length}", file.path().display()),
        None => format!("`{}` holds one stream", file.path().display()),
    };
    let message = format!("{}, but {}", describe(first), describe(other));
    Diagnostic::error(codes::ROW_LENGTH, message).help("make two data sets, or store all ids in one form")
}
