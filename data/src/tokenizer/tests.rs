use std::path::PathBuf;

use llmc_compiler::plan::{TokenizerModel, TrainedTokenizer};
use serde::Deserialize;

use super::*;

/// The reference files beside the repository; tests that need them say so and pass where they are absent.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not there", path.display());
    None
}

#[derive(Deserialize)]
pub struct Case {
    pub text: String,
    pub ids: Vec<u32>,
    #[serde(default)]
    decoded: String,
}

pub fn cases(name: &str) -> Option<Vec<Case>> {
    let truth = std::fs::read(shared("tokenizers/truth.json")?).unwrap();
    let truth: Value = serde_json::from_slice(&truth).unwrap();
    let cases: Vec<Case> = serde_json::from_value(truth[name]["cases"].clone()).unwrap();
    assert!(cases.len() >= 20);
    Some(cases)
}

/// Byte-level BPE of these texts.
pub fn trained(texts: &[String], vocab: u64) -> Tokenizer {
    train(documents(texts), &byte_bpe(u64::MAX), vocab, Some(END_OF_TEXT)).unwrap()
}

pub fn byte_bpe(limit_bytes: u64) -> TrainedTokenizer {
    let model = TokenizerModel::ByteBpe;
    TrainedTokenizer { model, dataset: String::new(), limit_bytes, special: Vec::new() }
}

pub fn documents(texts: &[String]) -> impl Iterator<Item = Result<String, Diagnostic>> + Send {
    texts.iter().cloned().map(Ok).collect::<Vec<_>>().into_iter()
}

pub fn corpus() -> Vec<String> {
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
fn documents_encode_as_the_reference_has_them() {
    let (Some(cases), Some(gpt2)) = (cases("gpt2"), shared("tokenizers/gpt2")) else {
        return;
    };
    let tokenizer = Tokenizer::load(&gpt2).unwrap();
    assert!(ByteBpe::of(&tokenizer.facts()).is_some());
    for case in cases {
        assert_eq!(tokenizer.encode_document(&case.text).unwrap(), case.ids, "{:?}", case.text);
    }
}

#[test]
fn files_of_ranks_encode_as_tiktoken_does() {
    let (Some(cases), Some(path)) = (cases("cl100k_base"), shared("tokenizers/cl100k_base.tiktoken")) else {
        return;
    };
    let tokenizer = Tokenizer::from_ranks(&path, TiktokenEncoding::Cl100kBase, None).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.end_of_text(END_OF_TEXT).unwrap()), (100_277, 100_257));
    assert!(ByteBpe::of(&tokenizer.facts()).is_some());
    for Case { text, ids, decoded } in cases {
        assert_eq!(tokenizer.encode_document(&text).unwrap(), ids, "{text:?}");
        assert_eq!(tokenizer.encode_literally(&text).unwrap(), ids, "{text:?}");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), decoded);
    }
    let named = ["<|x|>".to_owned(), "<|y|>".to_owned()];
    let tokenizer = Tokenizer::from_ranks(&path, TiktokenEncoding::Cl100kBase, Some(&named)).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.id("<|y|>")), (100_258, Some(100_257)));
    let error = Tokenizer::from_ranks(&path, TiktokenEncoding::Cl100kBase, Some(&["a".to_owned()])).unwrap_err();
    assert_eq!(error.code, codes::TOKENIZER_FILE);
}

#[test]
fn real_text_encodes_as_by_the_library() {
    let (Some(gpt2), Some(smollm2), Some(ranks)) =
        (shared("tokenizers/gpt2"), shared("tokenizers/smollm2"), shared("tokenizers/cl100k_base.tiktoken"))
    else {
        return;
    };
    let files =
        ["text/tinyshakespeare.txt", "text/wikitext2_head.txt", "text/c4_docs.jsonl", "filter/neardup_docs.jsonl"];
    let texts: Vec<String> =
        files.iter().filter_map(|file| std::fs::read_to_string(shared(&format!("data/{file}"))?).ok()).collect();
    for tokenizer in [
        Tokenizer::load(&gpt2).unwrap(),
        Tokenizer::load(&smollm2).unwrap(),
        Tokenizer::from_ranks(&ranks, TiktokenEncoding::Cl100kBase, None).unwrap(),
    ] {
        for text in &texts {
            assert!(tokenizer.encode_document(text).unwrap() == tokenizer.encode_literally(text).unwrap());
        }
    }
}

#[test]
fn documents_cannot_hold_special_tokens() {
    for tokenizer in [Tokenizer::bytes().unwrap(), trained(&corpus(), 300)] {
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
