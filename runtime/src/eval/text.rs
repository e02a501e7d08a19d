//! Text that models have not been trained on, as rows of tokens.

use std::path::Path;

use llmc_data::TokenStream;
use llmc_grammar::codes::{SCORE_INPUT, TOO_LONG, WEIGHTS_DO_NOT_FIT};
use serde_json::Value;

use crate::checkpoint::model::TrainedModel;
use crate::failure::{AtPath, Failure};

/// Tokens of held-out text that are looked at, at most.
const MOST: usize = 32 << 20;

/// Where the text comes from.
pub enum HeldOut {
    /// What a recipe holds out, as ids of its tokenizer.
    Tokens(Vec<TokenStream>),
    /// Texts, which each model's own tokenizer makes ids of.
    Texts(Vec<String>),
}

/// Rows of equal length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows {
    /// The rows.
    pub rows: Vec<Vec<u32>>,
    /// Whether each lies within one document; else documents follow one another in a row.
    pub within_documents: bool,
}

impl HeldOut {
    /// Reads lines of `{"text": ...}`, or a file of plain text as one document.
    ///
    /// # Errors
    /// If the file cannot be read, or a line of a `.jsonl` file holds no text.
    pub fn read(path: &Path) -> Result<HeldOut, Failure> {
        let text = std::fs::read_to_string(path).at("read", path)?;
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            return Ok(HeldOut::Texts(vec![text]));
        }
        let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let texts = numbered.map(|(index, line)| {
            let json: Option<Value> = serde_json::from_str(line).ok();
            let text = json.as_ref().and_then(|json| json["text"].as_str()).map(str::to_owned);
            text.ok_or_else(|| {
                Failure::new(SCORE_INPUT, format!("line {} of `{}` holds no `text`", index + 1, path.display()))
            })
        });
        Ok(HeldOut::Texts(texts.collect::<Result<_, _>>()?))
    }

    /// The documents as ids of a model.
    ///
    /// # Errors
    /// If the model has no tokenizer for the texts, or fewer ids than the tokens.
    pub fn documents(&self, model: &TrainedModel) -> Result<Documents, Failure> {
        match self {
            HeldOut::Tokens(streams) => {
                let vocab = model.stage.model.vocab;
                if let Some(bound) = streams.iter().map(TokenStream::id_bound).find(|bound| *bound > vocab) {
                    return Err(Failure::new(
                        WEIGHTS_DO_NOT_FIT,
                        format!("`{}` has {vocab} ids, the recipe's tokenizer {bound}", model.directory.display()),
                    ));
                }
                let mut documents = Vec::new();
                let mut left = MOST;
                for stream in streams {
                    let mut begin = 0;
                    for end in (0..stream.documents()).map(|document| stream.document_end(document)) {
                        let mut ids = Vec::new();
                        stream.read(begin..end.min(begin + left as u64), &mut ids);
                        left -= ids.len();
                        documents.push(ids.into_iter().map(|id| id as u32).collect());
                        begin = end;
                        if left == 0 {
                            return Ok(Documents(documents));
                        }
                    }
                }
                Ok(Documents(documents))
            }
            HeldOut::Texts(texts) => {
                let tokenizer = model.text_tokenizer()?;
                let ids = texts.iter().map(|text| tokenizer.encode_document(text));
                Ok(Documents(ids.collect::<Result<_, _>>()?))
            }
        }
    }
}

/// Held-out documents as ids.
pub struct Documents(Vec<Vec<u32>>);

impl Documents {
    /// At most `most` rows of `length` tokens: stretches of documents that are as long, or, if there is none, of the documents
    /// one after another.
    ///
    /// # Errors
    /// If there is less text than a row.
    pub fn rows(&self, length: usize, most: usize) -> Result<Rows, Failure> {
        let length = length.max(1);
        let within: Vec<Vec<u32>> =
            self.0.iter().flat_map(|ids| ids.chunks_exact(length)).take(most).map(<[u32]>::to_vec).collect();
        if !within.is_empty() {
            return Ok(Rows { rows: within, within_documents: true });
        }
        let all = self.0.concat();
        let rows: Vec<Vec<u32>> = all.chunks_exact(length).take(most).map(<[u32]>::to_vec).collect();
        match rows.is_empty() {
            false => Ok(Rows { rows, within_documents: false }),
            true => Err(Failure::with_help(
                TOO_LONG,
                format!("there are {} tokens of held-out text, and a row has {length}", all.len()),
                "hold more out, give more text, or take shorter rows with `--length`",
            )),
        }
    }
}
