//! The lines to be scored.

use std::path::Path;

use llmc_grammar::codes::SCORE_INPUT;
use serde_json::Value;

use crate::checkpoint::model::TrainedModel;
use crate::failure::{AtPath, Failure};

/// One line's tokens, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Their ids.
    pub tokens: Vec<u32>,
}

/// Reads a file of lines `{"text": ...}` or `{"tokens": [...]}`; empty lines are left out.
///
/// # Errors
/// If the file cannot be read, or a line is malformed or too long; the line is named.
pub fn read_lines(path: &Path, model: &TrainedModel) -> Result<Vec<Line>, Failure> {
    let text = std::fs::read_to_string(path).at("read", path)?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(index, line)| {
            let wrong = |reason: String| {
                Failure::new(SCORE_INPUT, format!("line {} of `{}` {reason}", index + 1, path.display()))
            };
            let json = serde_json::from_str(line).map_err(|error| wrong(format!("is not JSON ({error})")))?;
            let tokens = match (json_text(&json), json.get("tokens")) {
                (Some(text), None) => match &model.tokenizer {
                    Some(tokenizer) => tokenizer.encode(text)?,
                    None => {
                        return Err(wrong(format!("is text, and {} (`--tokenizer` names one)", model.no_tokenizer)));
                    }
                },
                (None, Some(ids)) => token_ids(ids, model.stage.model.vocab).map_err(wrong)?,
                _ => return Err(wrong("has not exactly one of `text` (a string) and `tokens` (a list)".to_owned())),
            };
            let (count, context) = (tokens.len() as u64, model.context());
            if count > context {
                return Err(wrong(format!("has {count} tokens, and the model's context is {context}")));
            }
            if count == 0 {
                return Err(wrong("has no tokens".to_owned()));
            }
            Ok(Line { tokens })
        })
        .collect()
}

fn json_text(json: &Value) -> Option<&str> {
    json.get("text")?.as_str()
}

fn token_ids(ids: &Value, vocab: u64) -> Result<Vec<u32>, String> {
    let list = ids.as_array().ok_or("has `tokens` that are no list")?;
    list.iter()
        .map(|id| match id.as_u64() {
            Some(id) if id < vocab => Ok(id as u32),
            _ => Err(format!("has the token {id}; ids are whole numbers from 0 to {}", vocab - 1)),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ids_must_be_of_the_vocabulary() {
        assert_eq!(token_ids(&json!([0, 9]), 10), Ok(vec![0, 9]));
        for wrong in [json!([10]), json!([-1]), json!([1.5]), json!(["a"]), json!(3)] {
            assert!(token_ids(&wrong, 10).is_err(), "{wrong}");
        }
    }
}
