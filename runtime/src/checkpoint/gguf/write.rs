//! Writing a model as a GGUF file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use clap::ValueEnum;
use llmc_grammar::codes::UNKNOWN_FAMILY;
use serde_json::Value as Json;

use super::super::arrangement::Arrangement;
use super::super::encoding::Encoding;
use super::super::family::StandardLibrary;
use super::super::fit::{match_names, read_joined};
use super::super::model::TrainedModel;
use super::config::{DIVISORS, Written, metadata};
use super::header::{ALIGNMENT, MAGIC, Value, number_of};
use super::names::{Family, Heads};
use super::tokenizer;
use crate::failure::{AtPath, Failure};

/// How matrices are stored. Vectors and learned positions are always F32, as llama.cpp wants them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileType {
    /// 32 bits
    F32,
    /// 16 bits, IEEE
    F16,
    /// 16 bits, the upper half of 32
    Bf16,
    /// 8.5 bits: 32 signed bytes and a scale
    #[value(name = "q8_0")]
    Q8_0,
}

impl FileType {
    fn encoding(self) -> Encoding {
        match self {
            FileType::F32 => Encoding::F32,
            FileType::F16 => Encoding::F16,
            FileType::Bf16 => Encoding::BF16,
            FileType::Q8_0 => Encoding::Q8_0,
        }
    }

    /// llama.cpp's number of a file that is mostly so (`general.file_type`).
    fn number(self) -> u32 {
        match self {
            FileType::F32 => 0,
            FileType::F16 => 1,
            FileType::Bf16 => 32,
            FileType::Q8_0 => 7,
        }
    }
}

/// A tensor to be written.
struct Planned {
    /// llama.cpp's name.
    name: String,
    /// In the file.
    shape: Vec<u64>,
    encoding: Encoding,
    /// The name it is read by, the model's shape, and how the two differ; none for the divisors of frequencies.
    source: Option<(String, Vec<u64>, Arrangement)>,
}

impl Planned {
    fn bytes(&self) -> u64 {
        let (values, bytes) = self.encoding.block();
        self.shape.iter().product::<u64>() / values * bytes
    }
}

/// Writes a model to `path`, which appears when it is complete. The result says what a reader should know, if anything.
///
/// # Errors
/// If the model is of a family that GGUF is not written for, or of the file system.
pub fn export(model: &TrainedModel, path: &Path, file_type: FileType) -> Result<Option<String>, Failure> {
    let place = model.directory.display().to_string();
    let unknown =
        |reason: String| Failure::new(UNKNOWN_FAMILY, format!("`{place}` cannot be written as GGUF: {reason}"));
    let config = model.stage.model.config.as_ref().ok_or_else(|| {
        unknown("its model has no `huggingface` declaration, so nothing says of which family it is".to_owned())
    })?;
    // As the library writes it: with every key.
    let config = StandardLibrary::new()?.model(config, &place)?.canonical;
    let Written { mut rows, divisors } = metadata(&config).map_err(unknown)?;
    let tensors = plan(model, &config, file_type, divisors.as_deref()).map_err(unknown)?;
    let names = match_names(&model.stage.model, None, &model.weights, &place)?;
    let architecture = config["model_type"].as_str().unwrap_or_default();
    let mut all = vec![
        ("general.architecture".to_owned(), Value::Text(architecture.to_owned())),
        ("general.name".to_owned(), Value::Text(model.stage.model.name.clone())),
        ("general.file_type".to_owned(), Value::Integer(file_type.number().into())),
        ("general.quantization_version".to_owned(), Value::Integer(2)),
    ];
    all.append(&mut rows);
    let tokenizer = model.tokenizer.as_ref().map(|tokenizer| tokenizer::metadata(tokenizer.json(), model));
    let (rows, note) = tokenizer.unwrap_or_default();
    all.extend(rows);

    let mut temporary = path.file_name().unwrap_or_default().to_owned();
    temporary.push(".new");
    let temporary = path.with_file_name(temporary);
    let mut file = BufWriter::with_capacity(1 << 18, File::create(&temporary).at("create", &temporary)?);
    file.write_all(&header(&all, &tensors)).at("write", &temporary)?;
    for tensor in &tensors {
        let values = match &tensor.source {
            None => divisors.clone().unwrap_or_default(),
            Some((weight, shape, arrangement)) => {
                let index = model.stage.model.weights.iter().position(|each| each.path == *weight);
                let values = read_joined(&model.weights, &names[index.expect("planned from these weights")])?;
                arrangement.to_file(values, shape)
            }
        };
        let mut bytes = tensor.encoding.encode(&values).expect("only encodings that are written are planned");
        bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
        file.write_all(&bytes).at("write", &temporary)?;
    }
    let file = file.into_inner().map_err(io::IntoInnerError::into_error).at("write", &temporary)?;
    file.sync_all().at("write", &temporary)?;
    std::fs::rename(&temporary, path).at("write", path)?;
    Ok(note)
}

fn plan(
    model: &TrainedModel,
    config: &Json,
    file_type: FileType,
    divisors: Option<&[f32]>,
) -> Result<Vec<Planned>, String> {
    let family = Family::find(config["model_type"].as_str().unwrap_or_default()).ok_or("an unknown family")?;
    let count = |keys: [&str; 2]| keys.iter().find_map(|key| config[*key].as_u64()).unwrap_or_default();
    let heads =
        Heads { queries: count(["num_attention_heads", "n_head"]), keys: count(["num_key_value_heads", "n_head"]) };
    let mut tensors = Vec::new();
    for weight in &model.stage.model.weights {
        let (name, arrangement) =
            family.theirs(&weight.path, heads).ok_or_else(|| format!("`{}` has no name in it", weight.path))?;
        let shape = arrangement.shape(&weight.shape).ok_or_else(|| {
            format!("`{}` of shape {:?} cannot be turned as llama.cpp has it", weight.path, weight.shape)
        })?;
        let encoding = file_type.encoding();
        let rows_fit = shape.last().is_some_and(|row| row.is_multiple_of(encoding.block().0));
        let encoding = match (shape.len(), rows_fit, name.as_str()) {
            (_, _, "position_embd.weight") | (0 | 1, _, _) => Encoding::F32,
            (_, true, _) => encoding,
            // Rows that are no whole blocks.
            (_, false, _) => Encoding::F16,
        };
        let source = Some((weight.path.clone(), weight.shape.clone(), arrangement));
        tensors.push(Planned { name, shape, encoding, source });
    }
    if let Some(divisors) = divisors {
        let shape = vec![divisors.len() as u64];
        tensors.push(Planned { name: DIVISORS.to_owned(), shape, encoding: Encoding::F32, source: None });
    }
    Ok(tensors)
}

/// Everything before the first tensor's numbers.
fn header(metadata: &[(String, Value)], tensors: &[Planned]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(MAGIC);
    bytes.extend(3u32.to_le_bytes());
    bytes.extend((tensors.len() as u64).to_le_bytes());
    bytes.extend((metadata.len() as u64).to_le_bytes());
    for (key, value) in metadata {
        text(&mut bytes, key);
        entry(&mut bytes, value);
    }
    let mut offset = 0;
    for tensor in tensors {
        text(&mut bytes, &tensor.name);
        bytes.extend((tensor.shape.len() as u32).to_le_bytes());
        tensor.shape.iter().rev().for_each(|size| bytes.extend(size.to_le_bytes()));
        bytes.extend(number_of(tensor.encoding).to_le_bytes());
        bytes.extend(u64::to_le_bytes(offset));
        offset += tensor.bytes().next_multiple_of(ALIGNMENT);
    }
    bytes.resize(bytes.len().next_multiple_of(ALIGNMENT as usize), 0);
    bytes
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    bytes.extend((text.len() as u64).to_le_bytes());
    bytes.extend(text.as_bytes());
}

/// A value with its kind: numbers as `u32` and `f32`, as llama.cpp asks for them.
fn entry(bytes: &mut Vec<u8>, value: &Value) {
    let mut list = |kind: u32, count: usize| {
        bytes.extend(9u32.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend((count as u64).to_le_bytes());
    };
    match value {
        Value::Integer(value) => {
            bytes.extend(4u32.to_le_bytes());
            bytes.extend((*value as u32).to_le_bytes());
        }
        Value::Float(value) => {
            bytes.extend(6u32.to_le_bytes());
            bytes.extend((*value as f32).to_le_bytes());
        }
        Value::Bool(value) => {
            bytes.extend(7u32.to_le_bytes());
            bytes.push(u8::from(*value));
        }
        Value::Text(value) => {
            bytes.extend(8u32.to_le_bytes());
            text(bytes, value);
        }
        Value::Integers(values) => {
            list(5, values.len());
            values.iter().for_each(|value| bytes.extend((*value as i32).to_le_bytes()));
        }
        Value::Floats(values) => {
            list(6, values.len());
            values.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
        }
        Value::Texts(values) => {
            list(8, values.len());
            values.iter().for_each(|value| text(bytes, value));
        }
        Value::Other => list(0, 0),
    }
}
