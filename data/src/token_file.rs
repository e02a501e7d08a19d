//! Files of token ids: `.safetensors`, `.npy` and `.bin`.

use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use safetensors::{Dtype, SafeTensors};

use super::mapped::Mapped;
use super::npy;
use super::sources::expand::diagnostic as unreadable;

/// Integer types that ids come in, little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdType {
    /// 16-bit unsigned.
    U16,
    /// 32-bit unsigned.
    U32,
    /// 32-bit signed.
    I32,
    /// 64-bit signed.
    I64,
}

impl IdType {
    /// Bytes of one id.
    pub fn bytes(self) -> usize {
        match self {
            IdType::U16 => 2,
            IdType::U32 | IdType::I32 => 4,
            IdType::I64 => 8,
        }
    }

    fn decode(self, bytes: &[u8]) -> i64 {
        let mut wide = [0u8; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        let value = i64::from_le_bytes(wide);
        match self {
            IdType::I32 => i64::from(value as i32),
            IdType::U16 | IdType::U32 | IdType::I64 => value,
        }
    }
}

/// Where ids lie in a file: type, first byte and shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// Type of the ids.
    pub kind: IdType,
    /// First byte of the ids.
    pub offset: usize,
    /// Dimensions, the last one fastest.
    pub shape: Vec<u64>,
}

/// A file of token ids, mapped and checked against its header.
#[derive(Debug)]
pub struct TokenFile {
    path: PathBuf,
    bytes: Mapped,
    layout: Layout,
    tensors: Vec<String>,
    /// First byte of the weights, 32-bit floats, one for each id.
    weights: Option<usize>,
}

impl TokenFile {
    /// Opens the file at `path`; `tensor` names the tensor of a safetensors file (none: its only one).
    pub fn open(path: &Path, tensor: Option<&str>) -> Result<TokenFile, Diagnostic> {
        let bytes = Mapped::open(path).map_err(|error| unreadable(path, &error))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut tensors = Vec::new();
        let layout = if name.ends_with(".safetensors") {
            safetensors_layout(&bytes, path, tensor, &mut tensors)?
        } else if name.ends_with(".npy") {
            npy::layout(&bytes).map_err(|reason| unusable(path, &reason))?
        } else if name.ends_with(".bin") {
            let kind = if name.ends_with(".u32.bin") { IdType::U32 } else { IdType::U16 };
            bin_layout(&bytes, kind).map_err(|reason| unusable(path, &reason))?
        } else {
            return Err(unusable(path, "its name ends in none of `.safetensors`, `.npy`, `.bin`"));
        };
        let ids = layout.shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let end = ids
            .and_then(|ids| ids.checked_mul(layout.kind.bytes() as u64))
            .and_then(|size| size.checked_add(layout.offset as u64));
        match end {
            Some(end) if end <= bytes.len() as u64 => {}
            _ => {
                let reason = format!(
                    "its header promises ids of shape {:?}, but the file ends after {} bytes: is it cut off?",
                    layout.shape,
                    bytes.len()
                );
                return Err(unusable(path, &reason));
            }
        }
        Ok(TokenFile { path: path.to_owned(), bytes, layout, tensors, weights: None })
    }

    /// The same file with a tensor that says how much the loss of each token counts.
    ///
    /// # Errors
    /// If it is no safetensors file, or the tensor is missing, of another type or of another shape than the ids.
    pub fn with_weights(mut self, tensor: &str) -> Result<TokenFile, Diagnostic> {
        let wrong = |reason: String| {
            let message = format!("`{}` holds no weights `{tensor}`: {reason}", self.path.display());
            Diagnostic::error(codes::TOKEN_FILE, message)
                .help("weights are a safetensors tensor of 32-bit floats, of the shape of the ids")
        };
        if self.path.extension().is_none_or(|extension| extension != "safetensors") {
            return Err(wrong("it is no safetensors file".to_owned()));
        }
        let file = SafeTensors::deserialize(&self.bytes).map_err(|error| wrong(error.to_string()))?;
        let view = file.tensor(tensor).map_err(|error| wrong(error.to_string()))?;
        let shape: Vec<u64> = view.shape().iter().map(|&size| size as u64).collect();
        if view.dtype() != Dtype::F32 || shape != self.layout.shape {
            let (dtype, ids) = (view.dtype(), &self.layout.shape);
            return Err(wrong(format!("it is of type {dtype:?} and shape {shape:?}, the ids of shape {ids:?}")));
        }
        let offset = view.data().as_ptr() as usize - self.bytes.as_ptr() as usize;
        let values = view.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value));
        if let Some((place, value)) = values.enumerate().find(|(_, value)| !(value.is_finite() && *value >= 0.0)) {
            return Err(wrong(format!("number {place} is {value}, but a weight is at least 0 and finite")));
        }
        self.weights = Some(offset);
        Ok(self)
    }

    /// How much the losses of the ids of a part of a document count; nothing where nothing is said. `bytes` is as for
    /// [`TokenFile::decode`].
    pub fn weights(&self, bytes: &[u8]) -> Vec<f32> {
        let Some(weights) = self.weights else { return Vec::new() };
        let width = self.id_bytes();
        let first = (bytes.as_ptr() as usize - self.bytes.as_ptr() as usize - self.layout.offset) / width;
        let values = &self.bytes[weights + 4 * first..][..4 * (bytes.len() / width)];
        values.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
    }

    /// Number of ids.
    pub fn len(&self) -> u64 {
        self.layout.shape.iter().product()
    }

    /// Whether there is no id.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Length of a row, for two or more dimensions.
    pub fn row_length(&self) -> Option<u64> {
        if self.layout.shape.len() < 2 { None } else { self.layout.shape.last().copied() }
    }

    /// Names of the tensors in the file, sorted (safetensors only).
    pub fn tensors(&self) -> &[String] {
        &self.tensors
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes of one id in the file.
    pub fn id_bytes(&self) -> usize {
        self.layout.kind.bytes()
    }

    /// The bytes of each document of the file in order: its rows, or all ids of a stream.
    /// At most `limit` bytes: a stream is cut there, rows are left out whole.
    pub fn documents(&self, limit: u64) -> impl Iterator<Item = &[u8]> {
        let width = self.id_bytes();
        // `open` has proved that the ids lie in the file.
        let held = self.len() as usize * width;
        let bytes = held.min(usize::try_from(limit).unwrap_or(usize::MAX)) / width * width;
        let ids = &self.bytes[self.layout.offset..self.layout.offset + bytes];
        let size = self.row_length().map_or(bytes, |length| length as usize * width);
        ids.chunks_exact(size.max(1))
    }

    /// The ids of a part of a document, each checked to lie in `0..vocab`. `bytes` must come from
    /// [`TokenFile::documents`] and hold whole ids.
    pub fn decode(&self, bytes: &[u8], vocab: u64) -> Result<Vec<u32>, Diagnostic> {
        let vocab = vocab.min(i32::MAX as u64) as i64;
        let kind = self.layout.kind;
        let ids = bytes.chunks_exact(kind.bytes()).map(|id| (id, kind.decode(id)));
        ids.map(|(place, id)| {
            if (0..vocab).contains(&id) {
                return Ok(id as u32);
            }
            let offset = place.as_ptr() as usize - self.bytes.as_ptr() as usize - self.layout.offset;
            Err(self.out_of_range(id, offset / kind.bytes(), vocab))
        })
        .collect()
    }

    fn out_of_range(&self, id: i64, index: usize, vocab: i64) -> Diagnostic {
        let place = match self.row_length() {
            Some(length) if length > 0 => {
                format!("row {}, column {}", index as u64 / length, index as u64 % length)
            }
            _ => format!("position {index}"),
        };
        let message =
            format!("`{}` holds the id {id} at {place}, but the vocabulary is 0..{vocab}", self.path.display());
        Diagnostic::error(codes::TOKEN_OUT_OF_RANGE, message)
            .help("make the model's vocabulary larger than the largest id, or tokenize with the model's own tokenizer")
    }
}

fn unusable(path: &Path, reason: &str) -> Diagnostic {
    Diagnostic::error(codes::TOKEN_FILE, format!("`{}` does not hold token ids: {reason}", path.display()))
        .help(format!("`llmc explain {}` lists the file kinds and types", codes::TOKEN_FILE.name()))
}

fn safetensors_layout(
    bytes: &[u8],
    path: &Path,
    tensor: Option<&str>,
    tensors: &mut Vec<String>,
) -> Result<Layout, Diagnostic> {
    let file = SafeTensors::deserialize(bytes)
        .map_err(|error| unusable(path, &format!("its safetensors header is broken ({error})")))?;
    tensors.extend(file.names().into_iter().map(str::to_owned));
    tensors.sort();
    let list = || tensors.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let name = match (tensor, tensors.as_slice()) {
        (Some(name), _) => name,
        (None, [only]) => only,
        (None, _) => {
            let message = format!("`{}` holds {} tensors and none is named", path.display(), tensors.len());
            return Err(
                Diagnostic::error(codes::NO_SUCH_TENSOR, message).help(format!("say `tensor:` and one of {}", list()))
            );
        }
    };
    let Ok(view) = file.tensor(name) else {
        let message = format!("`{}` holds no tensor `{name}`", path.display());
        return Err(Diagnostic::error(codes::NO_SUCH_TENSOR, message).help(format!("it holds {}", list())));
    };
    let kind = match view.dtype() {
        Dtype::U16 => IdType::U16,
        Dtype::U32 => IdType::U32,
        Dtype::I32 => IdType::I32,
        Dtype::I64 => IdType::I64,
        other => {
            let reason = format!("the tensor `{name}` is of type {other:?}; ids are I64, I32, U32 or U16");
            return Err(unusable(path, &reason));
        }
    };
    // The view borrows from `bytes`, so its first byte lies at this distance.
    let offset = view.data().as_ptr() as usize - bytes.as_ptr() as usize;
    Ok(Layout { kind, offset, shape: view.shape().iter().map(|&size| size as u64).collect() })
}

/// Headers of llm.c's data files: 256 32-bit numbers that start with magic, version and number of ids.
/// <https://github.com/karpathy/llm.c/blob/master/dev/data/data_common.py>
const LLM_C_HEADERS: [(u32, u32, IdType); 2] = [(20240520, 1, IdType::U16), (20240801, 7, IdType::U32)];
const LLM_C_HEADER_BYTES: usize = 1024;

fn bin_layout(bytes: &[u8], kind: IdType) -> Result<Layout, String> {
    let word = |index: usize| -> Option<u32> {
        let word = bytes.get(index * 4..index * 4 + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    };
    if let (Some(magic), Some(version)) = (word(0), word(1)) {
        let header = LLM_C_HEADERS.iter().find(|(known, ..)| *known == magic);
        if let (Some(&(_, known, kind)), true) = (header, bytes.len() >= LLM_C_HEADER_BYTES) {
            if version != known {
                return Err(format!("its llm.c header is of version {version}; version {known} is known"));
            }
            let ids = u64::from(word(2).unwrap_or(0));
            let held = ((bytes.len() - LLM_C_HEADER_BYTES) / kind.bytes()) as u64;
            if held != ids {
                return Err(format!("its llm.c header promises {ids} ids, but {held} follow: is it cut off?"));
            }
            return Ok(Layout { kind, offset: LLM_C_HEADER_BYTES, shape: vec![ids] });
        }
    }
    if !bytes.len().is_multiple_of(kind.bytes()) {
        let width = kind.bytes();
        return Err(format!("{} bytes are no whole number of {width}-byte ids: is it cut off?", bytes.len()));
    }
    Ok(Layout { kind, offset: 0, shape: vec![(bytes.len() / kind.bytes()) as u64] })
}

#[cfg(test)]
mod tests;
