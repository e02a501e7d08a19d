//! The lines to be scored.

use std::path::Path;

use llmc_compiler::lower::Reading;
use llmc_compiler::plan::{Objective, SpecialToken};
use llmc_grammar::codes::{NOT_A_CHECKPOINT, SCORE_INPUT};
use serde_json::Value;

use crate::checkpoint::model::TrainedModel;
use crate::failure::{AtPath, Failure};

/// One line's tokens, at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Ids of the text that an encoder reads; empty where there is none.
    pub source: Vec<u32>,
    /// Ids of the text that is scored.
    pub tokens: Vec<u32>,
    /// Places of the tokens that are hidden in turn: all but special ones of a text. Only of models that see both sides.
    pub predicted: Vec<usize>,
}

/// Reads a file of lines `{"text": ...}` or `{"tokens": [...]}`, for models with an encoder `{"input": ..., "target": ...}`, each a
/// text or a list of ids; empty lines are left out.
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
            read_line(&json, model, &wrong)
        })
        .collect()
}

fn read_line(json: &Value, model: &TrainedModel, wrong: &dyn Fn(String) -> Failure) -> Result<Line, Failure> {
    let ids = |field: &str, value: &Value| match value.as_str() {
        Some(text) => match &model.tokenizer {
            Some(tokenizer) => Ok(tokenizer.encode(text)?),
            None => Err(wrong(format!("is text, and {} (`--tokenizer` names one)", model.no_tokenizer))),
        },
        None => token_ids(field, value, model.stage.model.vocab).map_err(wrong),
    };
    let line = if model.stage.model.takes("source") {
        let (Some(source), Some(target)) = (json.get("input"), json.get("target")) else {
            let model = &model.stage.model.name;
            return Err(wrong(format!("has not both `input` and `target`: `{model}` has an encoder")));
        };
        Line { source: ids("input", source)?, tokens: ids("target", target)?, predicted: Vec::new() }
    } else {
        let (value, field) = match (json.get("text"), json.get("tokens")) {
            (Some(text @ Value::String(_)), None) => (text, "text"),
            (None, Some(tokens)) if !tokens.is_string() => (tokens, "tokens"),
            _ => return Err(wrong("has not exactly one of `text` (a string) and `tokens` (a list)".to_owned())),
        };
        let tokens = ids(field, value)?;
        Line { source: Vec::new(), predicted: predicted(&tokens, field == "text", model), tokens }
    };
    let context = if model.stage.model.takes("source") { u64::MAX } else { model.context() };
    let count = line.tokens.len() as u64;
    if count > context {
        return Err(wrong(format!("has {count} tokens, and the model's context is {context}")));
    }
    if count == 0 || (line.source.is_empty() && model.stage.model.takes("source")) {
        return Err(wrong("has no tokens".to_owned()));
    }
    Ok(line)
}

/// Places that a model that sees both sides predicts: what a tokenizer puts around a text is no part of it.
fn predicted(tokens: &[u32], is_text: bool, model: &TrainedModel) -> Vec<usize> {
    let around: Vec<u32> = match &model.tokenizer {
        Some(tokenizer) if is_text => {
            tokenizer.special_tokens().iter().filter_map(|token| tokenizer.id(token)).collect()
        }
        _ => Vec::new(),
    };
    (0..tokens.len()).filter(|&place| !around.contains(&tokens[place])).collect()
}

/// The id that hides a token from `model`: given, or as its training or its tokenizer has it. 0 for a model that needs none.
///
/// # Errors
/// If none of them says it.
pub fn mask_id(model: &TrainedModel, given: Option<u32>) -> Result<u32, Failure> {
    if Reading::of(&model.stage) != Reading::BothSides {
        return Ok(0);
    }
    let id = |text: &str| model.tokenizer.as_ref()?.id(text);
    let trained = model.stage.objective.kind.parts().into_iter().find_map(|part| match part {
        Objective::MaskedLm(masking) => match &masking.mask {
            SpecialToken::Id(id) => u32::try_from(*id).ok(),
            SpecialToken::Text(text) => id(text),
        },
        _ => None,
    });
    let found = given.or(trained).or_else(|| id("[MASK]")).or_else(|| id("<mask>"));
    found.filter(|id| u64::from(*id) < model.stage.model.vocab).ok_or_else(|| {
        Failure::with_help(
            NOT_A_CHECKPOINT,
            format!("`{}` hides each token in turn, and nothing says by which one", model.stage.model.name),
            format!("`--mask-id N` gives its id, below {}", model.stage.model.vocab),
        )
    })
}

fn token_ids(field: &str, ids: &Value, vocab: u64) -> Result<Vec<u32>, String> {
    let list = ids.as_array().ok_or_else(|| format!("has `{field}` that are no list"))?;
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
        assert_eq!(token_ids("tokens", &json!([0, 9]), 10), Ok(vec![0, 9]));
        for wrong in [json!([10]), json!([-1]), json!([1.5]), json!(["a"]), json!(3)] {
            assert!(token_ids("tokens", &wrong, 10).is_err(), "{wrong}");
        }
    }
}
