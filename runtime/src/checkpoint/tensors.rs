//! safetensors files of float32 tensors: written one tensor at a time, their size known beforehand.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};

use crate::failure::{AtPath, Failure};

/// Elements that are held at a time: a quarter of a megabyte.
const PART: u64 = 1 << 16;

/// What a file will hold, fixed before the first value is known.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Names and numbers of elements, in the order of the file.
    tensors: Vec<(String, u64)>,
    header: Vec<u8>,
    data_bytes: u64,
}

impl Layout {
    /// A file of these float32 tensors, in this order. Names must be distinct.
    pub fn new<'a>(tensors: impl IntoIterator<Item = (String, &'a [u64])>) -> Layout {
        let mut sizes = Vec::new();
        let mut infos = Vec::new();
        let mut offset = 0;
        for (name, shape) in tensors {
            let shape: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
            let end = offset + 4 * shape.iter().product::<usize>();
            sizes.push((name.clone(), shape.iter().product::<usize>() as u64));
            infos.push((name, TensorInfo { dtype: Dtype::F32, shape, data_offsets: (offset, end) }));
            offset = end;
        }
        let format = HashMap::from([("format".to_owned(), "pt".to_owned())]);
        let metadata = Metadata::new(Some(format), infos).expect("offsets are consecutive and match the shapes");
        let mut json = serde_json::to_vec(&metadata).expect("names and numbers are always valid JSON");
        // The data starts at a multiple of eight bytes, so that readers may map it.
        json.resize(json.len().next_multiple_of(8), b' ');
        let mut header = (json.len() as u64).to_le_bytes().to_vec();
        header.extend(json);
        Layout { tensors: sizes, header, data_bytes: offset as u64 }
    }

    /// Exact size of the file.
    pub fn bytes(&self) -> u64 {
        self.header.len() as u64 + self.data_bytes
    }

    /// Writes the file and waits until it is on the disk. `read` gives a part of a tensor by name, first element and number
    /// of elements; only one part is held at a time.
    ///
    /// # Errors
    /// Of the file system, or of `read`.
    pub fn write(
        &self,
        path: &Path,
        mut read: impl FnMut(&str, u64, u64) -> Result<Vec<f32>, Failure>,
    ) -> Result<(), Failure> {
        let mut file = BufWriter::with_capacity(1 << 18, File::create(path).at("create", path)?);
        file.write_all(&self.header).at("write", path)?;
        for (name, elements) in &self.tensors {
            for start in (0..*elements).step_by(PART as usize) {
                let count = PART.min(elements - start);
                let values = read(name, start, count)?;
                assert_eq!(values.len() as u64, count, "{name} has another size than its layout says");
                write_values(&mut file, &values).at("write", path)?;
            }
        }
        let file = file.into_inner().map_err(io::IntoInnerError::into_error).at("write", path)?;
        file.sync_all().at("write", path)
    }
}

/// Little-endian bytes of the values, through a small buffer.
fn write_values(file: &mut impl Write, values: &[f32]) -> io::Result<()> {
    let mut bytes = [0u8; 1 << 14];
    for chunk in values.chunks(bytes.len() / 4) {
        for (slot, value) in bytes.chunks_exact_mut(4).zip(chunk) {
            slot.copy_from_slice(&value.to_le_bytes());
        }
        file.write_all(&bytes[..4 * chunk.len()])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::SafeTensors;

    #[test]
    fn files_have_the_predicted_size_and_the_crate_reads_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("model.safetensors");
        let shapes: [(&str, &[u64]); 3] = [("b", &[2, 3]), ("a.weight", &[5]), ("scalar", &[])];
        let layout = Layout::new(shapes.map(|(name, shape)| (name.to_owned(), shape)));
        let values = |name: &str| match name {
            "b" => vec![1.0, 2.0, 3.0, 4.0, 5.0, -6.5],
            "a.weight" => vec![0.5; 5],
            _ => vec![f32::MIN_POSITIVE],
        };
        layout
            .write(&path, |name, start, count| Ok(values(name)[start as usize..][..count as usize].to_vec()))
            .unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len() as u64, layout.bytes());
        assert_eq!((bytes.len() as u64 - layout.data_bytes) % 8, 0);
        let file = SafeTensors::deserialize(&bytes).unwrap();
        for (name, shape) in shapes {
            let tensor = file.tensor(name).unwrap();
            let read: Vec<f32> =
                tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            assert_eq!(read, values(name), "{name}");
            assert_eq!(tensor.shape().len(), shape.len());
        }
        let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
        assert_eq!(metadata.metadata().as_ref().unwrap()["format"], "pt");
    }
}
