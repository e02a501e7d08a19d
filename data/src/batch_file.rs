//! A batch from a file, for comparisons with other implementations.

use std::path::Path;

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;
use safetensors::{Dtype, SafeTensors};

use super::batch::Batch;

/// Whole numbers and their shape.
type Numbers = ([usize; 2], Vec<i32>);

impl Batch {
    /// The batch of a safetensors file: `tokens` and `targets` `[B, T]`, and whatever else models read, as whole numbers.
    ///
    /// # Errors
    /// A file that is not there or damaged, a tensor that is missing, of another type or of another shape.
    pub fn read(path: &Path) -> Result<Batch, Diagnostic> {
        let wrong = |reason: String| {
            Diagnostic::error(codes::TOKEN_FILE, format!("`{}` is no batch: {reason}", path.display()))
                .help("a batch has the tensors `tokens` and `targets` of whole numbers, `[B, T]`, and the model's other inputs")
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let tensors = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let read = |name: &str| -> Result<Option<Numbers>, Diagnostic> {
            let Ok(view) = tensors.tensor(name) else { return Ok(None) };
            let &[rows, length] = view.shape() else {
                return Err(wrong(format!("`{name}` has the shape {:?}", view.shape())));
            };
            let values: Option<Vec<i32>> = match view.dtype() {
                Dtype::I32 => Some(view.data().as_chunks().0.iter().map(|value| i32::from_le_bytes(*value)).collect()),
                Dtype::I64 => {
                    let values = view.data().as_chunks().0.iter();
                    values.map(|value| i32::try_from(i64::from_le_bytes(*value)).ok()).collect()
                }
                _ => None,
            };
            let values = values.ok_or_else(|| wrong(format!("`{name}` holds no 32-bit whole numbers")))?;
            Ok(Some(([rows, length], values)))
        };
        let needed = |name: &str| read(name)?.ok_or_else(|| wrong(format!("`{name}` is missing")));
        let ([rows, row_length], tokens) = needed("tokens")?;
        let source_length = read("source")?.map_or(0, |(shape, _)| shape[1]);
        let mut batch = Batch::with_capacity(rows, row_length);
        batch.source_length = source_length;
        for _ in 0..rows {
            batch.finish_row();
        }
        if let Ok(view) = tensors.tensor("loss_weights") {
            if view.dtype() != Dtype::F32 || *view.shape() != [rows, row_length] {
                return Err(wrong(format!("`loss_weights` is no tensor of 32-bit floats {:?}", [rows, row_length])));
            }
            batch.weights = view.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        }
        batch.source_documents = vec![0; rows * source_length];
        batch.tokens = tokens;
        batch.targets = needed("targets")?.1;
        for (name, length, place) in [
            ("positions", row_length, &mut batch.positions),
            ("documents", row_length, &mut batch.documents),
            ("order", row_length, &mut batch.order),
            ("segments", row_length, &mut batch.segments),
            ("source", source_length, &mut batch.source),
            ("source_documents", source_length, &mut batch.source_documents),
        ] {
            if let Some((shape, values)) = read(name)? {
                if shape != [rows, length] {
                    return Err(wrong(format!("`{name}` is {shape:?} where {:?} is needed", [rows, length])));
                }
                *place = values;
            }
        }
        if batch.targets.len() != batch.tokens.len() {
            return Err(wrong("`targets` has another shape than `tokens`".to_owned()));
        }
        Ok(batch)
    }
}
