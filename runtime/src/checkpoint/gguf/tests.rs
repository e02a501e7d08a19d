//! Files written here, read back whole, cut off and damaged; tokenizers that come back from a vocabulary alone.

use std::fs;
use std::path::{Path, PathBuf};

use llmc_data::tokenizer::Tokenizer;
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use tempfile::TempDir;

use super::super::family::StandardLibrary;
use super::super::model::TrainedModel;
use super::super::tensors::Layout;
use super::header::{Header, Value};
use super::{FileType, GgufFile, config, export, tokenizer};

/// A Hugging Face directory of a small model with this config, its weights counted up.
fn directory(config: &Json) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("config.json", &config.to_string());
    write("tokenizer.json", Tokenizer::bytes().unwrap().json());
    let known = StandardLibrary::new().unwrap().model(config, "here").unwrap();
    let weights = known.plan.weights.iter().map(|weight| (weight.path.clone(), weight.shape.as_slice()));
    let value = |name: &str, index: u64| ((name.len() as u64 * 31 + index * 7) % 101) as f32 / 64.0 - 0.75;
    Layout::new(weights)
        .write(&folder.path().join("model.safetensors"), |name, start, count| {
            Ok((start..start + count).map(|index| value(name, index)).collect())
        })
        .unwrap();
    folder
}

fn llama(rope: Json) -> Json {
    json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 257, "hidden_size": 64,
        "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "head_dim": 16, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "hidden_act": "silu",
        "tie_word_embeddings": false, "rope_parameters": rope, "eos_token_id": 256
    })
}

fn gpt2() -> Json {
    json!({
        "model_type": "gpt2", "architectures": ["GPT2LMHeadModel"], "vocab_size": 257, "n_positions": 16,
        "n_embd": 32, "n_layer": 2, "n_head": 2, "n_inner": 64, "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5, "eos_token_id": 256, "bos_token_id": 256
    })
}

/// The model of `directory` as a file beside it.
fn exported(directory: &Path, file_type: FileType) -> PathBuf {
    let path = directory.join(format!("{file_type:?}.gguf"));
    export(&TrainedModel::open(directory).unwrap(), &path, file_type).unwrap();
    path
}

#[test]
fn a_file_holds_the_weights_of_its_directory() {
    for model in [llama(json!({ "rope_type": "default", "rope_theta": 5e5 })), gpt2()] {
        let folder = directory(&model);
        let before = TrainedModel::open(folder.path()).unwrap();
        for (file_type, bound) in
            [(FileType::F32, 0.0), (FileType::F16, 4e-4), (FileType::Bf16, 4e-3), (FileType::Q8_0, 4e-3)]
        {
            let after = TrainedModel::open(&exported(folder.path(), file_type)).unwrap();
            assert_eq!(after.stage.model.nodes, before.stage.model.nodes);
            assert_eq!(after.weights.names().collect::<Vec<_>>(), before.weights.names().collect::<Vec<_>>());
            assert_eq!((&after.end_of_text, after.begin_of_text), (&before.end_of_text, before.begin_of_text));
            for name in before.weights.names() {
                assert_eq!(after.weights.shape(name), before.weights.shape(name), "{name}");
                let pairs = before.weights.read(name).unwrap().into_iter().zip(after.weights.read(name).unwrap());
                let worst = pairs.fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
                assert!(worst <= bound, "{name} as {file_type:?}: {worst}");
            }
        }
    }
}

#[test]
fn rules_of_rotary_scaling_come_back() {
    for rope in [
        json!({ "rope_type": "linear", "rope_theta": 1e4, "factor": 4.0 }),
        json!({ "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128 }),
        json!({ "rope_type": "yarn", "rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 128,
                "beta_fast": 16.0, "beta_slow": 2.0 }),
        json!({ "rope_type": "llama3", "rope_theta": 5e5, "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 64 }),
    ] {
        let folder = directory(&llama(rope.clone()));
        let before = TrainedModel::open(folder.path()).unwrap();
        let after = TrainedModel::open(&exported(folder.path(), FileType::F32)).unwrap();
        assert_eq!(after.stage.model.nodes, before.stage.model.nodes, "{rope}");
    }
    // Divisors that no rule has.
    let folder = directory(&llama(json!({ "rope_type": "default" })));
    let header = Header::read(&exported(folder.path(), FileType::F32)).unwrap();
    assert!(config::config(&header, Some(&[1.0, 1.5, 7.0, 1.0])).unwrap_err().contains("Llama 3's rule"));
}

#[test]
fn every_truncation_is_a_diagnostic() {
    let folder = directory(&gpt2());
    let path = exported(folder.path(), FileType::Q8_0);
    let whole = fs::read(&path).unwrap();
    let steps = (0..2000).chain((2000..whole.len()).step_by(997)).chain([whole.len() - 1]);
    for length in steps.filter(|&length| length < whole.len()) {
        fs::write(&path, &whole[..length]).unwrap();
        let failure = GgufFile::open(&path).expect_err("cut off");
        assert!(failure.to_string().contains("cannot be read as a GGUF file"), "{length}: {failure}");
    }
}

/// Everything that a command would read of a file.
fn read_all(path: &Path) {
    if let Ok(file) = GgufFile::open(path) {
        let _ = file.tokenizer();
        for name in file.weights.names() {
            let _ = file.weights.read(name);
        }
        let _ = TrainedModel::open(path);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn damage_never_panics(
        places in proptest::collection::vec((0usize..9000, any::<u8>()), 1..6),
        longs in proptest::collection::vec((0usize..9000, any::<u64>()), 0..3),
    ) {
        static WHOLE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut bytes = WHOLE.get_or_init(|| {
            let folder = directory(&llama(json!({ "rope_type": "default" })));
            let bytes = fs::read(exported(folder.path(), FileType::F16)).unwrap();
            assert!(bytes.len() > 9100);
            bytes
        }).clone();
        for (place, byte) in places {
            bytes[place] = byte;
        }
        for (place, long) in longs {
            bytes[place..place + 8].copy_from_slice(&long.to_le_bytes());
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        read_all(file.path());
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let folder = directory(&llama(json!({ "rope_type": "default" })));
    let path = exported(folder.path(), FileType::F16);
    let whole = fs::read(&path).unwrap();
    let changed = |from: &[u8], to: &[u8]| {
        let place = whole.windows(from.len()).position(|window| window == from).expect("it is in the file");
        let mut bytes = whole.clone();
        bytes[place..place + to.len()].copy_from_slice(to);
        fs::write(&path, bytes).unwrap();
        GgufFile::open(&path).expect_err("changed").to_string()
    };
    let version = |number: u32| [b"GGUF".as_slice(), &number.to_le_bytes()].concat();
    assert!(changed(b"GGUF", b"GGML").contains("does not begin with `GGUF`"));
    assert!(changed(&version(3), &version(1)).contains("its version is 1"));
    assert!(changed(&version(3), &version(3 << 24)).contains("big-endian"));
    assert!(changed(b"llama", b"gemma").contains("its architecture is `gemma`; known are llama and gpt2"));
    // The type of the first matrix: after its name, two dimensions and their sizes.
    let listed = |kind: u32| {
        let sizes = [64u64.to_le_bytes(), 257u64.to_le_bytes()].concat();
        [b"token_embd.weight".as_slice(), &2u32.to_le_bytes(), &sizes, &kind.to_le_bytes()].concat()
    };
    assert!(changed(&listed(1), &listed(10)).contains("type 10 (Q2_K)"));
    assert!(changed(&listed(1), &listed(12)).contains("Q4_K does not allow"));
}

/// A header with the metadata of a tokenizer and without the whole of it.
fn header(json: &str, vocab: u64) -> Header {
    let mut config = gpt2();
    config["vocab_size"] = json!(vocab);
    let folder = directory(&config);
    let mut model = TrainedModel::open(folder.path()).unwrap();
    model.begin_of_text = Some(1);
    let (rows, _) = tokenizer::metadata(json, &model);
    let metadata = rows.into_iter().filter(|(key, _)| key != "tokenizer.huggingface.json").collect();
    Header { metadata, tensors: Vec::new() }
}

const TEXTS: [&str; 5] = [
    "Once upon a time, there was a little girl.",
    "  two spaces, 12345 digits\n\n\tand a tab",
    "naïve Ünïcödé \u{1F600} 日本",
    "don't I'LL we've",
    "",
];

#[test]
fn tokenizers_come_back_from_their_vocabulary() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    for (path, kind) in [("models/stories260k", "llama"), ("tokenizers/gpt2", "gpt2"), ("tokenizers/smollm2", "gpt2")] {
        let Ok(json) = fs::read_to_string(shared.join(path).join("tokenizer.json")) else {
            println!("skipped: no {path}");
            continue;
        };
        let before = Tokenizer::from_json(json.clone(), "before").unwrap();
        let header = header(&json, before.vocab_size());
        assert_eq!(header.text("tokenizer.ggml.model"), Some(kind));
        let after = Tokenizer::from_json(tokenizer::json(&header).unwrap(), "after").unwrap();
        for text in TEXTS {
            let ids = before.encode(text).unwrap();
            assert_eq!(after.encode(text).unwrap(), ids, "{path}: {text:?}");
            assert_eq!(after.decode(&ids, true).unwrap(), before.decode(&ids, true).unwrap(), "{path}: {text:?}");
        }
    }
}

#[test]
fn a_tokenizer_of_an_unknown_kind_is_told() {
    let bytes = Tokenizer::bytes().unwrap();
    let mut header = header(bytes.json(), 257);
    // It splits nothing, for which llama.cpp has no name.
    assert!(tokenizer::json(&header).unwrap_err().contains("unknown rule `default`"));
    for (key, value, reason) in [
        ("tokenizer.ggml.model", Value::Text("t5".to_owned()), "of the kind `t5`"),
        ("tokenizer.ggml.tokens", Value::Other, "no tokens"),
    ] {
        header.metadata.insert(key.to_owned(), value);
        assert!(tokenizer::json(&header).unwrap_err().contains(reason), "{key}");
    }
    header.metadata.clear();
    assert_eq!(tokenizer::json(&header), Err("it has no tokenizer".to_owned()));
}
