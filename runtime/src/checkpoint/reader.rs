//! Weights from safetensors files, one tensor at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use llmc_grammar::codes::{DAMAGED_FILE, NOT_A_CHECKPOINT};
use safetensors::Dtype;
use safetensors::tensor::Metadata;

use crate::failure::{AtPath, Failure};

/// The largest header a reader accepts, as in the safetensors crate.
const HEADER_LIMIT: u64 = 100_000_000;

/// The tensors of one `.safetensors` file or of a set of them. Reads convert to float32.
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
    dtype: Dtype,
    shape: Vec<u64>,
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
                    dtype: info.dtype,
                    shape: info.shape.iter().map(|&size| size as u64).collect(),
                    start: 8 + header_bytes + start as u64,
                    bytes: end - start,
                },
            );
        }
        self.files.push(OpenFile { path: path.to_owned(), file: Mutex::new(file) });
        Ok(())
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
        to_f32(place.dtype, &bytes).ok_or_else(|| {
            Failure::new(
                DAMAGED_FILE,
                format!(
                    "tensor `{name}` in `{}` has type {:?}; weights are F32, F64, F16 or BF16",
                    open.path.display(),
                    place.dtype
                ),
            )
        })
    }
}

/// Values of a floating-point type as float32; none for other types.
fn to_f32(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair));
    Some(match dtype {
        Dtype::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
        Dtype::F64 => bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
        Dtype::BF16 => halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect(),
        Dtype::F16 => halves().map(half_to_f32).collect(),
        _ => return None,
    })
}

/// IEEE 754 binary16 to binary32, exact.
fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((half >> 10) & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if half & 0x3ff == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    sign * magnitude
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

    #[test]
    fn halves_convert_exactly() {
        for (half, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half_to_f32(half), value);
        }
        assert!(half_to_f32(0x7c00).is_infinite() && half_to_f32(0x7e00).is_nan());
    }
}
