use std::fs;

use super::*;

fn open(name: &str, content: &[u8], tensor: Option<&str>) -> Result<(Vec<u32>, Option<u64>), Diagnostic> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    fs::write(&path, content).unwrap();
    let file = TokenFile::open(&path, tensor)?;
    let mut ids = Vec::new();
    for document in file.documents(u64::MAX) {
        ids.extend(file.decode(document, 1000)?);
    }
    Ok((ids, file.row_length()))
}

fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = b"\x93NUMPY".to_vec();
    file.extend([version, 0]);
    let length = (header.len() as u32).to_le_bytes();
    file.extend(if version == 1 { &length[..2] } else { &length[..] });
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

fn safetensors(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    file
}

const ONE_TENSOR: &str = r#"{"ids":{"dtype":"I64","shape":[1,2],"data_offsets":[0,16]}}"#;

fn words(values: &[i64], bytes: usize) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()[..bytes].to_vec()).collect()
}

#[test]
fn npy_files_of_every_type_are_read() {
    for (descr, bytes) in [("<u2", 2), ("<u4", 4), ("<i4", 4), ("<i8", 8)] {
        for version in [1, 2] {
            let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': (2, 3), }}  \n");
            let file = npy(version, &header, &words(&[1, 2, 3, 4, 5, 999], bytes));
            assert_eq!(open("x.npy", &file, None).unwrap(), (vec![1, 2, 3, 4, 5, 999], Some(3)), "{descr}");
        }
    }
    let flat = npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }", &words(&[7, 8, 9], 2));
    assert_eq!(open("x.npy", &flat, None).unwrap(), (vec![7, 8, 9], None));
}

#[test]
fn malformed_npy_files_are_diagnosed() {
    let good = npy(1, "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }", &words(&[7, 8, 9], 2));
    for length in 0..good.len() {
        assert_eq!(open("x.npy", &good[..length], None).unwrap_err().code, codes::TOKEN_FILE, "{length} bytes");
    }
    let reason = |header: &str| open("x.npy", &npy(1, header, &[0; 64]), None).unwrap_err().message;
    assert!(reason("{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}").contains("`<f4`"));
    assert!(reason("{'descr': '>u2', 'fortran_order': False, 'shape': (3,)}").contains("little-endian"));
    assert!(reason("{'descr': '<u2', 'fortran_order': True, 'shape': (3, 2)}").contains("Fortran"));
    assert!(reason("{'descr': '<u2', 'fortran_order': False}").contains("no shape"));
    assert!(reason("{'descr': '<u2', 'fortran_order': False, 'shape': (nan,)}").contains("no shape"));
    assert!(reason("{'descr': '<u2', 'shape': (18446744073709551615, 2)}").contains("cut off"));
    assert!(reason("").contains("no type"));
    assert!(open("x.npy", &npy(3, "", &[]), None).unwrap_err().message.contains("version 3"));
}

#[test]
fn bin_files_are_read_with_and_without_header() {
    assert_eq!(open("x.bin", &words(&[1, 2], 2), None).unwrap(), (vec![1, 2], None));
    assert_eq!(open("x.u32.bin", &words(&[1, 2], 4), None).unwrap(), (vec![1, 2], None));
    assert_eq!(open("x.bin", &[], None).unwrap(), (vec![], None));
    let llm_c = |magic: i64, version: i64, count: i64, bytes: usize| {
        let mut file = words(&[magic, version, count], 4);
        file.resize(LLM_C_HEADER_BYTES, 0);
        file.extend(words(&[5, 6, 7], bytes));
        file
    };
    assert_eq!(open("x.bin", &llm_c(20240520, 1, 3, 2), None).unwrap(), (vec![5, 6, 7], None));
    assert_eq!(open("x.bin", &llm_c(20240801, 7, 3, 4), None).unwrap(), (vec![5, 6, 7], None));
    let reason = |file: Vec<u8>| open("x.bin", &file, None).unwrap_err().message;
    assert!(reason(llm_c(20240520, 1, 4, 2)).contains("promises 4 ids, but 3"));
    assert!(reason(llm_c(20240520, 9, 3, 2)).contains("version 9"));
    assert!(reason(vec![0; 3]).contains("cut off"));
}

#[test]
fn safetensors_are_read_by_name() {
    let file = safetensors(ONE_TENSOR, &words(&[3, 4], 8));
    assert_eq!(open("x.safetensors", &file, None).unwrap(), (vec![3, 4], Some(2)));
    assert_eq!(open("x.safetensors", &file, Some("ids")).unwrap().0, [3, 4]);
    let missing = open("x.safetensors", &file, Some("tokens")).unwrap_err();
    assert_eq!((missing.code, missing.help.as_deref()), (codes::NO_SUCH_TENSOR, Some("it holds `ids`")));
    let two = r#"{"a":{"dtype":"U16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}"#;
    let two = safetensors(two, &[0; 6]);
    assert_eq!(open("x.safetensors", &two, None).unwrap_err().code, codes::NO_SUCH_TENSOR);
    assert_eq!(open("x.safetensors", &two, Some("a")).unwrap(), (vec![0], None));
    assert!(open("x.safetensors", &two, Some("b")).unwrap_err().message.contains("F32"));
}

#[test]
fn malformed_safetensors_are_diagnosed() {
    let good = safetensors(ONE_TENSOR, &words(&[3, 4], 8));
    for length in 0..good.len() {
        assert_eq!(open("x.safetensors", &good[..length], None).unwrap_err().code, codes::TOKEN_FILE, "{length} bytes");
    }
    for header in ["{", "[]", "{\"a\":1}", "\u{0}", "nan"] {
        assert_eq!(open("x.safetensors", &safetensors(header, &[]), None).unwrap_err().code, codes::TOKEN_FILE);
    }
    for length in [u64::MAX, 1 << 40, f64::NAN.to_bits()] {
        let mut file = length.to_le_bytes().to_vec();
        file.extend([0; 32]);
        assert_eq!(open("x.safetensors", &file, None).unwrap_err().code, codes::TOKEN_FILE);
    }
    assert_eq!(open("x.safetensors", &safetensors("{}", &[]), None).unwrap_err().code, codes::NO_SUCH_TENSOR);
}

#[test]
fn ids_out_of_the_vocabulary_name_their_place() {
    let file = npy(1, "{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3), }", &words(&[1, 2, 3, 4, -5, 6], 4));
    let error = open("x.npy", &file, None).unwrap_err();
    assert_eq!(error.code, codes::TOKEN_OUT_OF_RANGE);
    assert!(error.message.contains("the id -5 at row 1, column 1"), "{}", error.message);
    assert!(open("x.bin", &words(&[1, 1000], 2), None).unwrap_err().message.contains("1000 at position 1"));
}

#[test]
fn the_limit_cuts_streams_and_leaves_rows_whole() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.npy");
    let sizes = |header: &str| -> Vec<usize> {
        fs::write(&path, npy(1, header, &words(&[1, 2, 3, 4, 5, 6], 2))).unwrap();
        let file = TokenFile::open(&path, None).unwrap();
        file.documents(9).map(<[u8]>::len).collect()
    };
    assert_eq!(sizes("{'descr': '<u2', 'fortran_order': False, 'shape': (6,)}"), [8]);
    assert_eq!(sizes("{'descr': '<u2', 'fortran_order': False, 'shape': (2, 3)}"), [6]);
    assert_eq!(sizes("{'descr': '<u2', 'fortran_order': False, 'shape': (5, 0)}"), [0; 0]);
}

#[test]
fn other_names_are_refused() {
    assert!(open("x.txt", b"1 2 3", None).unwrap_err().message.contains(".npy"));
    let missing = TokenFile::open(Path::new("/nowhere/x.bin"), None).unwrap_err();
    assert_eq!(missing.code, codes::DATA_UNREADABLE);
}
