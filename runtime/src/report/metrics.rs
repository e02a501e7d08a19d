//! `metrics.jsonl`: one object per optimizer step.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::checkpoint::directory::replace_file;
use crate::failure::{AtPath, Failure};

/// What one optimizer step showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMetrics {
    /// Steps done, this one included.
    pub step: u64,
    /// Tokens seen, this step included.
    pub tokens: u64,
    /// Training loss of the step in nats per target token; `null` where it overflowed in a step that was left out.
    #[serde(with = "finite_or_null")]
    pub loss: f64,
    /// What the model adds to it (`add_loss`), where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auxiliary_loss: Option<f64>,
    /// Learning rate of the step.
    pub lr: f64,
    /// Global gradient norm before clipping; `null` where gradients overflowed and the step was left out.
    #[serde(with = "finite_or_null")]
    pub grad_norm: f64,
    /// What the loss was multiplied with before gradients were taken, where it is scaled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f64>,
    /// Whether the step was left out because gradients overflowed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub skipped: bool,
    /// Tokens per second of the step.
    pub tokens_per_s: f64,
    /// Seconds of training so far, earlier sessions included.
    pub seconds: f64,
    /// Held-out loss in nats per target token, where evaluated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heldout_loss: Option<f64>,
    /// Held-out bits per byte of text, where evaluated and the data is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits_per_byte: Option<f64>,
    /// Held-out loss of each part of a mixture, where evaluated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heldout_parts: BTreeMap<String, f64>,
}

/// The file, open for appending.
#[derive(Debug)]
pub struct MetricsFile {
    path: PathBuf,
    file: File,
}

impl MetricsFile {
    /// Opens the file of a run that has done `step` steps: lines of later steps are dropped, and so is a last line that a
    /// kill cut off. Gives the lines that stay.
    ///
    /// # Errors
    /// Of the file system.
    pub fn open(path: &Path, step: u64) -> Result<(MetricsFile, Vec<StepMetrics>), Failure> {
        let kept: Vec<StepMetrics> = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text).into_iter().filter(|line| line.step <= step).collect(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error).at("read", path),
        };
        let text: String = kept.iter().map(json_line).collect();
        replace_file(path, text.as_bytes())?;
        let file = OpenOptions::new().append(true).open(path).at("open", path)?;
        Ok((MetricsFile { path: path.to_owned(), file }, kept))
    }

    /// Appends one line.
    ///
    /// # Errors
    /// Of the file system.
    pub fn append(&mut self, line: &StepMetrics) -> Result<(), Failure> {
        self.file.write_all(json_line(line).as_bytes()).at("write", &self.path)
    }
}

/// JSON has finite numbers only: all others are `null`, and come back as not a number.
mod finite_or_null {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
        value.is_finite().then_some(*value).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
        Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
    }
}

fn json_line(line: &StepMetrics) -> String {
    let mut text = serde_json::to_string(line).expect("a struct of numbers is valid JSON");
    text.push('\n');
    text
}

/// Whole lines, up to the first that is not one.
fn parse(text: &str) -> Vec<StepMetrics> {
    text.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(step: u64) -> StepMetrics {
        StepMetrics {
            step,
            tokens: step * 64,
            loss: 1.0 / step as f64,
            auxiliary_loss: step.is_multiple_of(3).then_some(0.02),
            lr: 0.001,
            grad_norm: 0.5,
            loss_scale: None,
            skipped: false,
            tokens_per_s: 1e4,
            seconds: step as f64 * 0.1,
            heldout_loss: step.is_multiple_of(2).then_some(0.7),
            bits_per_byte: None,
            heldout_parts: BTreeMap::new(),
        }
    }

    #[test]
    fn a_resumed_run_drops_later_lines_and_cut_ones() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("metrics.jsonl");
        let (mut file, kept) = MetricsFile::open(&path, 0).unwrap();
        assert!(kept.is_empty());
        for step in 1..=5 {
            file.append(&line(step)).unwrap();
        }
        let mut text = std::fs::read_to_string(&path).unwrap();
        text.push_str("{\"step\": 6, \"tok");
        std::fs::write(&path, &text).unwrap();
        let (mut file, kept) = MetricsFile::open(&path, 3).unwrap();
        assert_eq!(kept, [line(1), line(2), line(3)]);
        file.append(&line(4)).unwrap();
        let again = std::fs::read_to_string(&path).unwrap();
        assert_eq!(parse(&again), [line(1), line(2), line(3), line(4)]);
        assert_eq!(again.lines().count(), 4);
    }
}
