//! Weights from files, one tensor at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use llmc_grammar::codes::{DAMAGED_FILE, NOT_A_CHECKPOINT, WEIGHTS_DO_NOT_FIT};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use super::arrangement::Arrangement;
use super::encoding::Encoding;
use super::gguf::Listed;
use crate::failure::{AtPath, Failure};

/// The largest header a reader accepts, as in the safetensors crate.
const HEADER_LIMIT: u64 = 100_000_000;

/// The tensors of one `.safetensors` file, of a set of them, or of a GGUF file. Reads convert to float32.
#[derive(Debug)]
pub struct TensorFiles {
    files: Vec<OpenFile>,
    index: BTreeMap<String, Place>,
}

#[derive(Debug)]
struct OpenFile {
    path: PathBuf,
    file: Mutex<File>,
}

#[derive(Debug, Clone)]
struct Place {
    file: usize,
    /// None for a type that weights cannot have.
    encoding: Option<Encoding>,
    /// As the model has it.
    shape: Vec<u64>,
    arrangement: Arrangement,
    start: u64,
    bytes: usize,
}

impl TensorFiles {
    /// The weights of a directory: `model.safetensors`, or the files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// If there is neither, or a file is damaged.
    pub fn of_directory(directory: &Path) -> Result<TensorFiles, Failure> {
        let single = directory.join("model.safetensors");
        if single.exists() {
            return TensorFiles::open(&[single]);
        }
        let index = directory.join("model.safetensors.index.json");
        if !index.exists() {
            return Err(Failure::new(
                NOT_A_CHECKPOINT,
                format!("`{}` holds no `model.safetensors`", directory.display()),
            ));
        }
        let text = std::fs::read_to_string(&index).at("read", &index)?;
        let damaged = || Failure::new(DAMAGED_FILE, format!("`{}` is not an index of weights", index.display()));
        let json: serde_json::Value = serde_json::from_str(&text).map_err(|_| damaged())?;
        let map = json.get("weight_map").and_then(|map| map.as_object()).ok_or_else(damaged)?;
        let mut names: Vec<&str> = map.values().filter_map(|name| name.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        // Names are file names beside the index, never paths out of the directory.
        let paths: Vec<PathBuf> =
            names.iter().filter_map(|name| Path::new(name).file_name()).map(|name| directory.join(name)).collect();
        TensorFiles::open(&paths)
    }

    /// The tensors of these files together.
    ///
    /// # Errors
    /// If one cannot be read or its header is damaged.
    pub fn open(paths: &[PathBuf]) -> Result<TensorFiles, Failure> {
        let mut files = TensorFiles { files: Vec::new(), index: BTreeMap::new() };
        for path in paths {
            files.add(path)?;
        }
        Ok(files)
    }

    fn add(&mut self, path: &Path) -> Result<(), Failure> {
        let damaged = |reason: &str| Failure::new(DAMAGED_FILE, format!("`{}` is damaged: {reason}", path.display()));
        let mut file = File::open(path).at("open", path)?;
        let length = file.metadata().at("read", path)?.len();
        let mut prefix = [0u8; 8];
        file.read_exact(&mut prefix).map_err(|_| damaged("it is shorter than a header"))?;
        let header_bytes = u64::from_le_bytes(prefix);
        if header_bytes > HEADER_LIMIT || header_bytes + 8 > length {
            return Err(damaged("its header is longer than the file"));
        }
        let mut header = vec![0u8; header_bytes as usize];
        file.read_exact(&mut header).at("read", path)?;
        let metadata: Metadata =
            serde_json::from_slice(&header).map_err(|error| damaged(&format!("its header is not valid ({error})")))?;
        let promised = 8 + header_bytes + metadata.data_len() as u64;
        if promised != length {
            return Err(damaged(&format!("it should have {promised} bytes and has {length}")));
        }
        for name in metadata.offset_keys() {
            let Some(info) = metadata.info(&name) else {
                continue;
            };
            let (start, end) = info.data_offsets;
            self.index.insert(
                name,
                Place {
                    file: self.files.len(),
                    encoding: encoding(info.dtype),
                    shape: info.shape.iter().map(|&size| size as u64).collect(),
                    arrangement: Arrangement::AsStored,
                    start: 8 + header_bytes + start as u64,
                    bytes: end - start,
                },
            );
        }
        self.files.push(OpenFile { path: path.to_owned(), file: Mutex::new(file) });
        Ok(())
    }

    /// Tensors of a file of another format, each with its name in the model.
    ///
    /// # Errors
    /// If the file cannot be opened, or a tensor cannot be arranged as it must be.
    pub(super) fn of_listed(
        path: &Path,
        tensors: impl IntoIterator<Item = (String, Arrangement, Listed)>,
    ) -> Result<TensorFiles, Failure> {
        let mut index = BTreeMap::new();
        for (name, arrangement, listed) in tensors {
            let Some(shape) = arrangement.shape(&listed.shape) else {
                return Err(Failure::new(
                    WEIGHTS_DO_NOT_FIT,
                    format!("`{}` in `{}` has shape {:?}", listed.name, path.display(), listed.shape),
                ));
            };
            let (start, bytes) = (listed.start, listed.bytes as usize);
            index.insert(name, Place { file: 0, encoding: Some(listed.encoding), shape, arrangement, start, bytes });
        }
        let file = Mutex::new(File::open(path).at("open", path)?);
        Ok(TensorFiles { files: vec![OpenFile { path: path.to_owned(), file }], index })
    }

    /// Names in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// The shape of a tensor, if it is there.
    pub fn shape(&self, name: &str) -> Option<&[u64]> {
        self.index.get(name).map(|place| place.shape.as_slice())
    }

    /// The values of a tensor as float32, in row-major order.
    ///
    /// # Errors
    /// If there is no such tensor, its type is not a floating-point one, or reading fails.
    pub fn read(&self, name: &str) -> Result<Vec<f32>, Failure> {
        let Some(place) = self.index.get(name) else {
            return Err(Failure::new(DAMAGED_FILE, format!("there is no tensor `{name}`")));
        };
        let open = &self.files[place.file];
        let mut bytes = vec![0u8; place.bytes];
        {
            let mut file = open.file.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            file.seek(SeekFrom::Start(place.start)).at("read", &open.path)?;
            file.read_exact(&mut bytes).at("read", &open.path)?;
        }
        let Some(encoding) = place.encoding else {
            return Err(Failure::new(
                DAMAGED_FILE,
                format!("tensor `{name}` in `{}` does not hold F32, F64, F16 or BF16", open.path.display()),
            ));
        };
        // The shape in the file: what is arranged twice is as before.
        let stored = place.arrangement.shape(&place.shape).unwrap_or_default();
        Ok(place.arrangement.to_model(encoding.decode(&bytes), &stored))
    }
}

/// The encoding of a safetensors type; none if it is no floating-point type.
fn encoding(dtype: Dtype) -> Option<Encoding> {
    match dtype {
        Dtype::F64 => Some(Encoding::F64),
        Dtype::F32 => Some(Encoding::F32),
        Dtype::F16 => Some(Encoding::F16),
        Dtype::BF16 => Some(Encoding::BF16),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::tensors::Layout;

    fn sample(directory: &Path) -> PathBuf {
        let path = directory.join("model.safetensors");
        let layout = Layout::new([("a".to_owned(), &[2, 2][..]), ("b".to_owned(), &[3][..])]);
        layout
            .write(&path, |name, _, _| Ok(if name == "a" { vec![1.0, 2.0, 3.0, 4.0] } else { vec![-1.0; 3] }))
            .unwrap();
        path
    }

    #[test]
    fn reads_back_what_was_written() {
        let directory = tempfile::tempdir().unwrap();
        sample(directory.path());
        let files = TensorFiles::of_directory(directory.path()).unwrap();
        assert_eq!(files.names().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(files.shape("a"), Some(&[2, 2][..]));
        assert_eq!(files.read("a").unwrap(), [1.0, 2.0, 3.0, 4.0]);
        assert!(files.read("c").is_err());
    }

    #[test]
    fn every_truncation_is_a_diagnostic() {
        let directory = tempfile::tempdir().unwrap();
        let path = sample(directory.path());
        let whole = std::fs::read(&path).unwrap();
        for length in 0..whole.len() {
            std::fs::write(&path, &whole[..length]).unwrap();
            let failure = TensorFiles::of_directory(directory.path()).unwrap_err();
            assert!(failure.to_string().contains("is damaged"), "{length}: {failure}");
        }
    }
}
