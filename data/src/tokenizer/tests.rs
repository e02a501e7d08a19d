use std::path::PathBuf;

use serde::Deserialize;

use super::*;

/// The reference files beside the repository; tests that need them say so and pass where they are absent.
fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[derive(Deserialize)]
struct Case {
    text: String,
    ids: Vec<u32>,
    #[serde(default)]
    decoded: String,
}

fn cases(name: &str) -> Option<Vec<Case>> {
    let truth = std::fs::read(shared("tokenizers/truth.json")?).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let cases: Vec<Case> = serde_json::from_value(truth[name]["cases"].clone()).unwrap();
    assert!(cases.len() >= 20);
    Some(cases)
}

fn documents(texts: &[String]) -> impl Iterator<Item = Result<String, Diagnostic>> + Send {
    texts.iter().cloned().map(Ok).collect::<Vec<_>>().into_iter()
}

fn corpus() -> Vec<String> {
    let word =
        |number: u64| ["red", "stone", "winter", "cloud", "paper", "glass", "seven", "river"][(number % 8) as usize];
    let line = |number: u64| {
        let scattered = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
        format!(
            "fn {}_{}() {{\n    let {} = {scattered};\n}}\n",
            word(scattered),
            word(scattered >> 3),
            word(scattered >> 6)
        )
    };
    (0..600).map(line).collect()
}

fn assert_streams(tokenizer: &Tokenizer, ids: &[u32], decoded: &str) {
    let mut decoder = StreamingDecoder::new(tokenizer, false);
    let mut streamed = String::new();
    for &id in ids {
        streamed += &decoder.push(id).unwrap();
    }
    streamed += &decoder.finish().unwrap();
    assert_eq!(streamed, decoded);
}

#[test]
fn hugging_face_files_encode_as_they_should() {
    let files = [
        ("gpt2", "tokenizers/gpt2"),
        ("smollm2", "tokenizers/smollm2"),
        ("bert_wordpiece", "tokenizers/bert_wordpiece"),
        ("stories260k", "models/stories260k"),
    ];
    for (name, path) in files {
        let (Some(cases), Some(path)) = (cases(name), shared(path)) else {
            return;
        };
        let tokenizer = Tokenizer::load(&path).unwrap();
        for case in cases {
            let ids = tokenizer.encode(&case.text).unwrap();
            assert_eq!(ids, case.ids, "{name}: {:?}", case.text);
            let decoded = [true, false].map(|skip| tokenizer.decode(&ids, skip).unwrap());
            assert!(decoded.contains(&case.decoded), "{name}: {:?} gave {decoded:?}", case.decoded);
            assert_streams(&tokenizer, &ids, &decoded[1]);
        }
    }
}

#[test]
fn training_finds_the_reference_merges() {
    let (Some(reference), Some(text)) =
        (shared("tokenizers/bpe_training.json"), shared("data/text/tinyshakespeare.txt"))
    else {
        return;
    };
    let reference: Value = serde_json::from_slice(&std::fs::read(reference).unwrap()).unwrap();
    let text: String = std::fs::read_to_string(text).unwrap().chars().take(200_000).collect();
    let tokenizer = train_byte_bpe(documents(&[text]), 512, None, u64::MAX).unwrap();
    let vocab = reference["vocab"].as_object().unwrap();
    assert_eq!(vocab.len(), 512);
    for (token, id) in vocab {
        assert_eq!(tokenizer.id(token).map(u64::from), id.as_u64(), "{token}");
    }
    let cases: Vec<Case> = serde_json::from_value(reference["cases"].clone()).unwrap();
    for case in cases {
        assert_eq!(tokenizer.encode_document(&case.text).unwrap(), case.ids);
    }
}

#[test]
fn training_does_not_depend_on_threads() {
    let texts = corpus();
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| train_byte_bpe(documents(&texts), 400, Some(END_OF_TEXT), u64::MAX).unwrap())
    };
    let one = train(1);
    for threads in [2, 3, 8] {
        assert_eq!(train(threads).json(), one.json(), "{threads} threads");
    }
}

#[test]
fn a_trained_vocabulary_is_exact_and_ends_with_end_of_text() {
    let tokenizer = train_byte_bpe(documents(&corpus()), 300, Some(END_OF_TEXT), u64::MAX).unwrap();
    assert_eq!(tokenizer.vocab_size(), 300);
    assert_eq!(tokenizer.end_of_text(END_OF_TEXT).unwrap(), 299);
    assert_eq!(tokenizer.special_tokens(), [END_OF_TEXT]);
    let lengths = tokenizer.byte_lengths();
    let text = "fn red_stone() { ä }\0";
    let ids = tokenizer.encode_document(text).unwrap();
    assert_eq!(ids.iter().map(|&id| lengths[id as usize] as usize).sum::<usize>(), text.len());
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    assert_eq!(lengths[299], 0);
}

#[test]
fn a_small_text_cannot_fill_a_large_vocabulary() {
    let error = train_byte_bpe(documents(&["abab".to_owned()]), 1000, Some(END_OF_TEXT), u64::MAX).unwrap_err();
    assert_eq!(error.code, codes::TOO_FEW_PAIRS);
    assert!(error.help.unwrap().contains("`vocab: 258`"));
    let error = train_byte_bpe(documents(&["abab".to_owned()]), 100, Some(END_OF_TEXT), u64::MAX).unwrap_err();
    assert_eq!(error.code, codes::TOO_FEW_PAIRS);
}

#[test]
fn training_reads_no_more_than_its_limit() {
    let mistake = || Err(Diagnostic::error(codes::DATA_UNREADABLE, "gone"));
    let first = "ab ab ab ab\n".repeat(20);
    let limit = first.len() as u64;
    let within = vec![Ok(first), mistake()];
    assert!(train_byte_bpe(within.clone().into_iter(), 257, None, limit).is_ok());
    let error = train_byte_bpe(within.into_iter(), 257, None, limit + 1).unwrap_err();
    assert_eq!(error.code, codes::DATA_UNREADABLE);
}

#[test]
fn documents_cannot_hold_special_tokens() {
    for tokenizer in
        [Tokenizer::bytes().unwrap(), train_byte_bpe(documents(&corpus()), 300, Some(END_OF_TEXT), u64::MAX).unwrap()]
    {
        let end = tokenizer.end_of_text(END_OF_TEXT).unwrap();
        let text = format!("a{END_OF_TEXT}b");
        assert!(tokenizer.encode(&text).unwrap().contains(&end));
        let ids = tokenizer.encode_document(&text).unwrap();
        assert!(!ids.contains(&end));
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), text);
    }
}

#[test]
fn bytes_encode_the_same_from_their_file() {
    let tokenizer = Tokenizer::bytes().unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text(END_OF_TEXT).unwrap()), (257, 256));
    let loaded = Tokenizer::from_json(tokenizer.json().to_owned(), "bytes").unwrap();
    for text in ["", "a b\r\n\0", "aä€𝄞", "  x\u{ad}"] {
        let bytes: Vec<u32> = text.bytes().map(u32::from).collect();
        assert_eq!(tokenizer.encode_document(text).unwrap(), bytes);
        assert_eq!(loaded.encode_document(text).unwrap(), bytes);
        assert_eq!(loaded.encode(text).unwrap(), bytes);
        assert_eq!(loaded.decode(&bytes, true).unwrap(), text);
        assert_streams(&tokenizer, &bytes, text);
    }
    assert_eq!(tokenizer.byte_lengths(), [vec![1; 256], vec![0]].concat());
}

#[test]
fn streams_never_print_half_a_character() {
    let tokenizer = Tokenizer::bytes().unwrap();
    let pieces = |bytes: &[u8]| -> Vec<String> {
        let mut decoder = StreamingDecoder::new(&tokenizer, true);
        let mut pieces: Vec<String> = bytes.iter().map(|&byte| decoder.push(u32::from(byte)).unwrap()).collect();
        pieces.push(decoder.finish().unwrap());
        pieces
    };
    assert_eq!(pieces("a€b".as_bytes()), ["a", "", "", "€", "b", ""]);
    assert_eq!(pieces(b"a\xe2\x82"), ["a", "", "", "\u{fffd}"]);
    assert_eq!(pieces(b"\xffa"), ["", "\u{fffd}a", ""]);
    // Broken bytes for ever are printed at last, and a whole character after them still comes whole.
    let broken = [vec![0xff; 20], "€.".as_bytes().to_vec()].concat();
    let streamed = pieces(&broken);
    assert_eq!(streamed.concat(), String::from_utf8_lossy(&broken));
    assert!(streamed[10..20].iter().all(|piece| piece == "\u{fffd}"));
}

#[test]
fn malformed_tokenizer_files_are_diagnosed() {
    let good = Tokenizer::bytes().unwrap().json().to_owned();
    for end in (0..good.len()).step_by(97).filter(|&end| good.is_char_boundary(end)) {
        let error = Tokenizer::from_json(good[..end].to_owned(), "cut").unwrap_err();
        assert_eq!(error.code, codes::TOKENIZER_FILE);
    }
    let mut other: Value = serde_json::from_str(&good).unwrap();
    for part in ["decoder", "pre_tokenizer", "normalizer", "model", "added_tokens"] {
        for wrong in [serde_json::json!({"type": "Unheard"}), serde_json::json!({"type": 3}), serde_json::json!([1])] {
            let right = std::mem::replace(&mut other[part], wrong);
            let error = Tokenizer::from_json(other.to_string(), "wrong").unwrap_err();
            assert_eq!(error.code, codes::TOKENIZER_FILE, "{part}");
            other[part] = right;
        }
    }
    assert_eq!(Tokenizer::load(Path::new("/nowhere")).unwrap_err().code, codes::TOKENIZER_FILE);
    let error = Tokenizer::bytes().unwrap().end_of_text("</s>").unwrap_err();
    assert_eq!(error.code, codes::NO_END_OF_TEXT);
    assert!(error.help.unwrap().contains(END_OF_TEXT));
}
