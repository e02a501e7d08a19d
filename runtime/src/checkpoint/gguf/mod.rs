//! GGUF files, as llama.cpp reads and writes them: header, metadata as a `config.json`, weights, tokenizer.

mod config;
mod header;
mod names;
mod tokenizer;
mod write;

use std::path::Path;

use llmc_data::tokenizer::Tokenizer;
use llmc_grammar::codes::{DAMAGED_FILE, UNKNOWN_FAMILY};
use serde_json::Value as Json;

pub use self::header::{Header, Listed};
pub use self::write::{FileType, export};

use self::names::{Family, Heads};
use super::arrangement::Arrangement;
use super::reader::TensorFiles;
use crate::failure::Failure;

/// A GGUF file of a family that the library has.
#[derive(Debug)]
pub struct GgufFile {
    header: Header,
    /// The `config.json` of the same model.
    pub config: Json,
    /// Its weights under our names.
    pub weights: TensorFiles,
}

impl GgufFile {
    /// Reads header, metadata and list of tensors.
    ///
    /// # Errors
    /// If the file is damaged, or of a family or with settings that the library does not have.
    pub fn open(path: &Path) -> Result<GgufFile, Failure> {
        let header = Header::read(path)?;
        let unknown = |reason: String| {
            Failure::new(UNKNOWN_FAMILY, format!("the model in `{}` is not known: {reason}", path.display()))
        };
        let divisors = divisors(&header, path)?;
        let config = config::config(&header, divisors.as_deref()).map_err(unknown)?;
        let heads = config::heads(&header).map_err(unknown)?;
        let weights = weights(&header, heads, path)?;
        Ok(GgufFile { header, config, weights })
    }

    /// The tokenizer in the file.
    ///
    /// # Errors
    /// A sentence, if there is none or it is of a kind that is not known.
    pub fn tokenizer(&self) -> Result<Tokenizer, String> {
        let json = tokenizer::json(&self.header)?;
        Tokenizer::from_json(json, "the tokenizer of the GGUF file").map_err(|mistake| mistake.message)
    }
}

/// Whether a path names a GGUF file rather than a directory.
pub fn is_gguf(path: &Path) -> bool {
    path.is_file()
}

/// The divisors of rotary frequencies, if the file has them.
fn divisors(header: &Header, path: &Path) -> Result<Option<Vec<f32>>, Failure> {
    let Some(listed) = header.tensors.iter().find(|listed| listed.name == config::DIVISORS) else {
        return Ok(None);
    };
    let file = TensorFiles::of_listed(path, [(listed.name.clone(), Arrangement::AsStored, listed.clone())])?;
    file.read(config::DIVISORS).map(Some)
}

/// Every tensor under our name, or under its own where we have none: then it fits no model.
fn weights(header: &Header, heads: Heads, path: &Path) -> Result<TensorFiles, Failure> {
    let architecture = header.text("general.architecture").unwrap_or_default();
    let Some(family) = Family::find(architecture) else {
        return Err(Failure::new(DAMAGED_FILE, format!("`{}` has no known architecture", path.display())));
    };
    let tensors = header.tensors.iter().filter(|listed| listed.name != config::DIVISORS).map(|listed| {
        let ours = family.ours(&listed.name, heads);
        let (name, arrangement) = ours.unwrap_or((listed.name.clone(), Arrangement::AsStored));
        (name, arrangement, listed.clone())
    });
    TensorFiles::of_listed(path, tensors)
}

#[cfg(test)]
mod tests;
