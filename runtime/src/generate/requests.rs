//! Prompts from a file.

use std::path::Path;

use llmc_grammar::codes::GENERATE_INPUT;
use serde_json::{Map, Value};

use crate::failure::{AtPath, Failure};

/// A line of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The text to continue.
    pub prompt: String,
    /// Key of the draws, where the line has its own.
    pub seed: Option<u64>,
    /// The whole line.
    pub fields: Map<String, Value>,
}

/// Reads a file of lines `{"prompt": ..., "seed": ...?, ...}`; empty lines are left out.
///
/// # Errors
/// If the file cannot be read, or a line is malformed; the line is named.
pub fn read_records(path: &Path) -> Result<Vec<Record>, Failure> {
    let text = std::fs::read_to_string(path).at("read", path)?;
    let numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    numbered
        .map(|(index, line)| {
            record(line).map_err(|reason| {
                Failure::new(GENERATE_INPUT, format!("line {} of `{}` {reason}", index + 1, path.display()))
            })
        })
        .collect()
}

fn record(line: &str) -> Result<Record, String> {
    let fields = match serde_json::from_str(line) {
        Ok(Value::Object(fields)) => fields,
        Ok(_) => return Err("is not an object".to_owned()),
        Err(error) => return Err(format!("is not JSON ({error})")),
    };
    let Some(Value::String(prompt)) = fields.get("prompt") else {
        return Err("has no `prompt` that is a string".to_owned());
    };
    let prompt = prompt.clone();
    let seed = match fields.get("seed") {
        None => None,
        Some(seed) => Some(seed.as_u64().ok_or_else(|| format!("has the seed {seed}, which is no whole number"))?),
    };
    Ok(Record { prompt, seed, fields })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_object_with_a_prompt() {
        let read = record(r#"{"id": 7, "prompt": "a", "seed": 3}"#).unwrap();
        assert_eq!((read.prompt.as_str(), read.seed, read.fields.len()), ("a", Some(3), 3));
        assert_eq!(record(r#"{"prompt": ""}"#).unwrap().seed, None);
        for wrong in
            ["[]", "{", "{}", r#"{"prompt": 1}"#, r#"{"prompt": "a", "seed": -1}"#, r#"{"prompt": "a", "seed": null}"#]
        {
            assert!(record(wrong).is_err(), "{wrong}");
        }
    }
}
