use std::sync::Arc;

use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::*;

/// 50 rows of a number, a text that may be missing, a list of messages and a double.
fn written(path: &Path) {
    let schema = "message rows {
        required int64 id;
        optional binary text (UTF8);
        required group messages (LIST) { repeated group list { required group element {
            required binary role (UTF8);
            required binary content (UTF8);
        } } }
        required double score;
    }";
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder().set_compression(parquet::basic::Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(File::create(path).unwrap(), schema, Arc::new(properties)).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let texts = |word: &str, count: usize| -> Vec<ByteArray> {
        (0..count).map(|number| ByteArray::from(format!("{word} {number}").into_bytes())).collect()
    };
    let mut column = 0;
    while let Some(mut next) = group.next_column().unwrap() {
        match column {
            0 => next.typed::<Int64Type>().write_batch(&(0..50).collect::<Vec<i64>>(), None, None).unwrap(),
            1 => {
                let there: Vec<i16> = (0..50).map(|row| i16::from(row % 5 > 0)).collect();
                next.typed::<ByteArrayType>().write_batch(&texts("text", 40), Some(&there), None).unwrap()
            }
            2 | 3 => {
                let word = if column == 2 { "user" } else { "content" };
                let values = match column {
                    2 => vec![ByteArray::from(word.as_bytes().to_vec()); 100],
                    _ => texts(word, 100),
                };
                let repeated: Vec<i16> = (0..100).map(|value| value % 2).collect();
                next.typed::<ByteArrayType>().write_batch(&values, Some(&[1; 100]), Some(&repeated)).unwrap()
            }
            _ => next.typed::<DoubleType>().write_batch(&[0.5; 50], None, None).unwrap(),
        };
        next.close().unwrap();
        column += 1;
    }
    group.close().unwrap();
    writer.close().unwrap();
}

/// Rows until the end or the first trouble.
fn rows(path: &Path) -> (usize, Option<Fault>) {
    let mut table = match Table::open(path.to_owned()) {
        Ok(table) => table,
        Err(trouble) => return (0, Some(trouble.fault)),
    };
    let mut count = 0;
    loop {
        match table.next_row() {
            Ok(None) => return (count, None),
            Ok(Some(_)) => count += 1,
            Err(trouble) => return (count, Some(trouble.fault)),
        }
    }
}

#[test]
fn rows_come_as_json_would_hold_them() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.parquet");
    written(&path);
    let mut table = Table::open(path.clone()).unwrap();
    let row = table.next_row().unwrap().unwrap();
    let expected = serde_json::json!({
        "id": 0,
        "text": null,
        "messages": [{"role": "user", "content": "content 0"}, {"role": "user", "content": "content 1"}],
        "score": 0.5,
    });
    assert_eq!((row.position, Value::Object(row.fields)), (1, expected));
    assert_eq!(table.next_row().unwrap().unwrap().fields["text"], "text 0");
    assert_eq!(rows(&path), (50, None));
}

#[test]
fn damage_of_every_kind_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("x.parquet");
    written(&path);
    let whole = std::fs::read(&path).unwrap();
    for end in (0..whole.len()).step_by(7) {
        std::fs::write(&path, &whole[..end]).unwrap();
        assert_eq!(rows(&path), (0, Some(Fault::Damaged)), "cut at {end}");
    }
    let mut refused = 0;
    for at in 0..whole.len() {
        for bits in [0xff, 0x80, 0x01, 0x10] {
            let mut bytes = whole.clone();
            bytes[at] ^= bits;
            std::fs::write(&path, &bytes).unwrap();
            // Whatever comes of it, the process lives on. Some bytes are names or values.
            refused += usize::from(rows(&path).1.is_some());
        }
    }
    assert!(refused > whole.len(), "{refused} of {}", 4 * whole.len());
    std::fs::write(&path, b"PAR1 nothing PAR1").unwrap();
    assert_eq!(rows(&path), (0, Some(Fault::Damaged)));
}
