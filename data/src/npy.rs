//! The header of NumPy's `.npy` files (versions 1 and 2).
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use super::token_file::{IdType, Layout};

/// Where the ids of an `.npy` file lie, or why it holds none. The size of the data is not checked here.
pub fn layout(bytes: &[u8]) -> Result<Layout, String> {
    let short = || "its header is cut off".to_owned();
    if bytes.get(..6) != Some(b"\x93NUMPY".as_slice()) {
        return Err("it does not start as an .npy file does".to_owned());
    }
    let (start, length) = match bytes.get(6).ok_or_else(short)? {
        1 => {
            let field = bytes.get(8..10).ok_or_else(short)?;
            (10, u64::from(u16::from_le_bytes([field[0], field[1]])))
        }
        2 => {
            let field = bytes.get(8..12).ok_or_else(short)?;
            (12, u64::from(u32::from_le_bytes([field[0], field[1], field[2], field[3]])))
        }
        version => {
            return Err(format!("it is of .npy version {version}; versions 1 and 2 are known"));
        }
    };
    let offset = start + length as usize;
    let header = std::str::from_utf8(bytes.get(start..offset).ok_or_else(short)?)
        .map_err(|_| "its header is not text".to_owned())?;
    let kind = match text_field(header, "descr") {
        Some("<u2") => IdType::U16,
        Some("<u4") => IdType::U32,
        Some("<i4") => IdType::I32,
        Some("<i8") => IdType::I64,
        Some(other) => {
            return Err(format!("its type is `{other}`; ids are `<u2`, `<u4`, `<i4` or `<i8`, little-endian integers"));
        }
        None => return Err("its header names no type".to_owned()),
    };
    let shape = shape_field(header).ok_or_else(|| "its header names no shape".to_owned())?;
    let fortran = value_of(header, "fortran_order").is_some_and(|value| value.starts_with("True"));
    if fortran && shape.len() > 1 {
        return Err("it is in Fortran order; save it with `numpy.ascontiguousarray(ids)`".to_owned());
    }
    Ok(Layout { kind, offset, shape })
}

/// What follows `'key':` in the header's Python dictionary.
fn value_of<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let after = header.split_once(&format!("'{key}'"))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn text_field<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    value_of(header, key)?.strip_prefix('\'')?.split('\'').next()
}

fn shape_field(header: &str) -> Option<Vec<u64>> {
    let inside = value_of(header, "shape")?.strip_prefix('(')?.split_once(')')?.0;
    inside.split(',').map(str::trim).filter(|size| !size.is_empty()).map(|size| size.parse().ok()).collect()
}
