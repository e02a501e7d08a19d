//! The header of a GGUF file: metadata and the list of tensors.
//!
//! Little-endian, versions 2 and 3 (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Every count is held against
//! what is left of the file before anything is allocated for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use llmc_grammar::codes::DAMAGED_FILE;

use super::super::encoding::Encoding;
use crate::failure::{AtPath, Failure};

/// `GGUF`, little-endian.
pub const MAGIC: [u8; 4] = *b"GGUF";
/// Where tensors start unless `general.alignment` says otherwise.
pub const ALIGNMENT: u64 = 32;
/// The longest header that is read: a vocabulary of a million tokens takes a tenth of it.
const LONGEST_HEADER: u64 = 1 << 28;
/// Most elements of one array.
const MOST_ELEMENTS: u64 = 1 << 24;
/// Deepest nesting of arrays.
const DEEPEST: u32 = 4;

/// A value of the metadata.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Integer(i128),
    Float(f64),
    Bool(bool),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
    /// Arrays of other kinds, which nothing reads.
    Other,
}

/// One tensor as the header lists it.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// Sizes in row-major order: the last one runs fastest.
    pub shape: Vec<u64>,
    /// How its numbers are stored.
    pub encoding: Encoding,
    /// First byte in the file.
    pub start: u64,
    /// Bytes in the file.
    pub bytes: u64,
}

/// A header that was read.
#[derive(Debug)]
pub struct Header {
    /// Metadata by key.
    pub metadata: BTreeMap<String, Value>,
    /// Tensors in the order of the file.
    pub tensors: Vec<Listed>,
}

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// If the file cannot be read, is no GGUF file, is damaged, or stores a tensor in a way that is not known.
    pub fn read(path: &Path) -> Result<Header, Failure> {
        let file = File::open(path).at("open", path)?;
        let length = file.metadata().at("read", path)?.len();
        let mut cursor = Cursor { reader: BufReader::new(file), at: 0, length };
        cursor.header().map_err(|reason| {
            Failure::new(DAMAGED_FILE, format!("`{}` cannot be read as a GGUF file: {reason}", path.display()))
        })
    }

    /// A whole number that is not negative.
    pub fn whole(&self, key: &str) -> Option<u64> {
        match self.metadata.get(key)? {
            Value::Integer(value) => u64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// A number.
    pub fn number(&self, key: &str) -> Option<f64> {
        match self.metadata.get(key)? {
            Value::Integer(value) => Some(*value as f64),
            Value::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// A truth value.
    pub fn truth(&self, key: &str) -> Option<bool> {
        match self.metadata.get(key)? {
            Value::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A text.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.metadata.get(key)? {
            Value::Text(value) => Some(value),
            _ => None,
        }
    }

    /// A list of texts.
    pub fn texts(&self, key: &str) -> Option<&[String]> {
        match self.metadata.get(key)? {
            Value::Texts(values) => Some(values),
            _ => None,
        }
    }
}

/// A place in the header.
struct Cursor<R> {
    reader: R,
    at: u64,
    length: u64,
}

/// A header's part, or why there is none.
type Parsed<T> = Result<T, String>;

impl<R: Read> Cursor<R> {
    fn header(&mut self) -> Parsed<Header> {
        if self.array::<4>().ok() != Some(MAGIC) {
            return Err("it does not begin with `GGUF`".to_owned());
        }
        match self.u32()? {
            2 | 3 => {}
            version if version & 0xffff == 0 => return Err("it is big-endian".to_owned()),
            version => return Err(format!("its version is {version}, known are 2 and 3")),
        }
        let tensors = self.u64()?;
        let entries = self.u64()?;
        // A key of no letters, a kind and a byte; a name of no letters, no sizes, a type and an offset.
        self.fits(entries, 13, "entries of metadata")?;
        self.fits(tensors, 24, "tensors")?;
        let mut metadata = BTreeMap::new();
        for _ in 0..entries {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            metadata.insert(key, value);
        }
        let header = Header { metadata, tensors: Vec::new() };
        let alignment = header.whole("general.alignment").unwrap_or(ALIGNMENT);
        if alignment == 0 || alignment > 1 << 20 {
            return Err(format!("its alignment is {alignment}"));
        }
        let mut listed = Vec::new();
        for _ in 0..tensors {
            listed.push(self.tensor()?);
        }
        let data = self.at.next_multiple_of(alignment);
        for tensor in &mut listed {
            let place = data.checked_add(tensor.start).filter(|start| {
                tensor.start.is_multiple_of(alignment)
                    && start.checked_add(tensor.bytes).is_some_and(|end| end <= self.length)
            });
            let Some(start) = place else {
                return Err(format!("tensor `{}` lies outside of the file", tensor.name));
            };
            tensor.start = start;
        }
        let mut names: Vec<&str> = listed.iter().map(|tensor| tensor.name.as_str()).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("tensor `{}` is listed twice", pair[0]));
        }
        Ok(Header { tensors: listed, ..header })
    }

    fn tensor(&mut self) -> Parsed<Listed> {
        let name = self.text()?;
        let rank = self.u32()?;
        if rank > 4 {
            return Err(format!("tensor `{name}` has {rank} dimensions"));
        }
        // The size that runs fastest stands first.
        let mut shape = (0..rank).map(|_| self.u64()).collect::<Parsed<Vec<u64>>>()?;
        let kind = self.u32()?;
        let Some(encoding) = encoding(kind) else {
            return Err(format!(
                "tensor `{name}` is stored as type {kind} ({}); known are F32, F16, BF16, Q8_0, Q4_0, Q4_K and Q6_K",
                name_of(kind)
            ));
        };
        let start = self.u64()?;
        let (values, block_bytes) = encoding.block();
        let elements = shape.iter().try_fold(1u64, |product, &size| product.checked_mul(size));
        let whole = shape.first().is_none_or(|row| row.is_multiple_of(values));
        let bytes = elements.filter(|_| whole).and_then(|count| (count / values).checked_mul(block_bytes));
        let Some(bytes) = bytes.filter(|_| shape.iter().all(|&size| size > 0)) else {
            return Err(format!("tensor `{name}` has sizes {shape:?}, which its type {encoding} does not allow"));
        };
        shape.reverse();
        Ok(Listed { name, shape, encoding, start, bytes })
    }

    fn value(&mut self, kind: u32, depth: u32) -> Parsed<Value> {
        Ok(match kind {
            4 => Value::Integer(self.u32()?.into()),
            0 | 1 | 2 | 3 | 5 | 10 | 11 => Value::Integer(self.integer(kind)?),
            6 => Value::Float(decimal(f32::from_le_bytes(self.array()?))),
            12 => Value::Float(self.float(kind)?),
            7 => Value::Bool(self.array::<1>()? != [0]),
            8 => Value::Text(self.text()?),
            9 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                self.list(kind, count, depth)?
            }
            other => return Err(format!("its metadata holds a value of the unknown kind {other}")),
        })
    }

    fn list(&mut self, kind: u32, count: u64, depth: u32) -> Parsed<Value> {
        if depth >= DEEPEST {
            return Err("its metadata is nested too deeply".to_owned());
        }
        let least = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            9 => 12,
            other => return Err(format!("its metadata holds a list of the unknown kind {other}")),
        };
        self.fits(count, least, "elements of a list")?;
        if count > MOST_ELEMENTS {
            return Err(format!("a list of its metadata has {count} elements"));
        }
        Ok(match kind {
            0..=5 | 10 | 11 => Value::Integers(self.times(count, |cursor| {
                let value = cursor.integer(kind)?;
                i64::try_from(value).map_err(|_| format!("{value} in its metadata is too large"))
            })?),
            6 | 12 => Value::Floats(self.times(count, |cursor| Ok(cursor.float(kind)? as f32))?),
            8 => Value::Texts(self.times(count, Self::text)?),
            _ => {
                self.times(count, |cursor| cursor.value(kind, depth + 1).map(|_| ()))?;
                Value::Other
            }
        })
    }

    /// So many of the same.
    fn times<T>(&mut self, count: u64, each: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        (0..count).map(|_| each(self)).collect()
    }

    /// An error unless `count` things of at least `least` bytes can follow.
    fn fits(&self, count: u64, least: u64, what: &str) -> Parsed<()> {
        let needed = count.checked_mul(least);
        match needed.is_some_and(|needed| needed <= self.length - self.at) {
            true => Ok(()),
            false => Err(format!("it says that {count} {what} follow, and ends before")),
        }
    }

    fn array<const N: usize>(&mut self) -> Parsed<[u8; N]> {
        let mut bytes = [0; N];
        self.take(&mut bytes)?;
        Ok(bytes)
    }

    fn take(&mut self, bytes: &mut [u8]) -> Parsed<()> {
        let end = self.at + bytes.len() as u64;
        if end > self.length {
            return Err("it is cut off".to_owned());
        }
        if end > LONGEST_HEADER {
            return Err(format!("its header is longer than {LONGEST_HEADER} bytes"));
        }
        self.at = end;
        self.reader.read_exact(bytes).map_err(|error| error.to_string())
    }

    fn u32(&mut self) -> Parsed<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Parsed<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn integer(&mut self, kind: u32) -> Parsed<i128> {
        Ok(match kind {
            0 => u8::from_le_bytes(self.array()?).into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => u32::from_le_bytes(self.array()?).into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            10 => u64::from_le_bytes(self.array()?).into(),
            _ => i64::from_le_bytes(self.array()?).into(),
        })
    }

    fn float(&mut self, kind: u32) -> Parsed<f64> {
        match kind {
            6 => Ok(f32::from_le_bytes(self.array()?).into()),
            _ => self.array().map(f64::from_le_bytes),
        }
    }

    fn text(&mut self) -> Parsed<String> {
        let length = self.u64()?;
        self.fits(length, 1, "bytes of a text")?;
        if length > LONGEST_HEADER {
            return Err(format!("a text of its metadata has {length} bytes"));
        }
        let mut bytes = vec![0; length as usize];
        self.take(&mut bytes)?;
        // Tokens may be cut in the middle of a letter; what is replaced then stands for no text.
        Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
    }
}

/// The shortest decimal number that a float32 stands for: `1e-5` is meant where its nearest float32 is stored.
pub fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The type of a tensor by its number.
fn encoding(kind: u32) -> Option<Encoding> {
    Some(match kind {
        0 => Encoding::F32,
        1 => Encoding::F16,
        2 => Encoding::Q4_0,
        8 => Encoding::Q8_0,
        12 => Encoding::Q4K,
        14 => Encoding::Q6K,
        28 => Encoding::F64,
        30 => Encoding::BF16,
        _ => return None,
    })
}

/// The number of a type that can be written.
pub fn number_of(encoding: Encoding) -> u32 {
    match encoding {
        Encoding::F32 => 0,
        Encoding::F16 => 1,
        Encoding::Q4_0 => 2,
        Encoding::Q8_0 => 8,
        Encoding::Q4K => 12,
        Encoding::Q6K => 14,
        Encoding::F64 => 28,
        Encoding::BF16 => 30,
    }
}

/// The name of a type that is not read.
fn name_of(kind: u32) -> &'static str {
    match kind {
        3 => "Q4_1",
        6 => "Q5_0",
        7 => "Q5_1",
        9 => "Q8_1",
        10 => "Q2_K",
        11 => "Q3_K",
        13 => "Q5_K",
        15 => "Q8_K",
        16..=23 | 29 => "IQ",
        39 => "MXFP4",
        _ => "unknown",
    }
}
