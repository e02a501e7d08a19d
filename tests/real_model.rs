//! A real trained model in Hugging Face layout (stories260K): what it says is what PyTorch says in float64.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The model's directory and the cases, where the shared reference values are.
fn model() -> Option<(PathBuf, Vec<Value>)> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let text = fs::read(shared.join("refs/models/stories260k.json")).ok();
    let Some(text) = text else {
        eprintln!("skipped: stories260k of ../shared, which is not here");
        return None;
    };
    let cases: Value = serde_json::from_slice(&text).expect("the cases are JSON");
    Some((shared.join("models/stories260k"), cases["cases"].as_array().expect("cases").clone()))
}

fn llmc(arguments: &[&str], model: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_llmc")).arg(arguments[0]).arg(model).args(&arguments[1..]).output();
    let output = output.expect("llmc starts");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("llmc prints UTF-8")
}

#[test]
fn greedy_texts_are_those_of_pytorch() {
    let Some((model, cases)) = model() else { return };
    // The case without a text starts from SentencePiece's dummy space, which `tokenizer.json` does not make of nothing.
    for case in cases.into_iter().filter(|case| case["text"] != "") {
        let (prompt, expected) =
            (case["text"].as_str().expect("a text"), case["greedy_text"].as_str().expect("a text"));
        let drawn = case["greedy_60"].as_array().expect("ids").len() - case["ids"].as_array().expect("ids").len();
        let found =
            llmc(&["generate", "--prompt", prompt, "--tokens", &drawn.to_string(), "--temperature", "0"], &model);
        assert_eq!(found.trim_end(), expected.trim_end());
    }
}

#[test]
fn likelihoods_are_those_of_pytorch() {
    let Some((model, cases)) = model() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let input = folder.path().join("texts.jsonl");
    let lines: Vec<String> =
        cases.iter().map(|case| serde_json::json!({ "tokens": case["ids"] }).to_string()).collect();
    fs::write(&input, lines.join("\n")).expect("the texts are written");
    let printed = llmc(&["score", "--input", &input.to_string_lossy()], &model);
    assert_eq!(printed.lines().count(), cases.len());
    for (case, line) in cases.iter().zip(printed.lines()) {
        let score: Value = serde_json::from_str(line).expect("JSON lines");
        let found: f64 = score["logprobs"].as_array().expect("logprobs").iter().filter_map(Value::as_f64).sum();
        let expected = case["nll_sum"].as_f64().expect("a sum");
        assert!((found + expected).abs() < 1e-5 * expected.max(1.0), "{found} against {expected}");
    }
}
