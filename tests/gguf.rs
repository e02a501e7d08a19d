//! GGUF files through the command line.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::Workplace;

/// A trained checkpoint of the workplace's recipe.
fn trained(place: &Workplace) -> PathBuf {
    place.succeed(&["run", "tiny.recipe", "--out", "run", "-q"]);
    place.path("run/pretrain/checkpoints/step-00000012")
}

/// The log-probabilities of a text.
fn scores(place: &Workplace, model: &str, more: &[&str]) -> Vec<f64> {
    place.write("text.jsonl", "{\"text\": \"the cat sees bread.\"}\n");
    let printed = place.succeed(&[&["score", model, "--input", "text.jsonl"], more].concat());
    let score: Value = serde_json::from_str(&printed).expect("a line of JSON");
    score["logprobs"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
}

fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn a_checkpoint_goes_out_and_comes_back() {
    let place = Workplace::new();
    let checkpoint = trained(&place);
    let before = scores(&place, "run", &[]);
    assert!(before.len() > 10);
    for (kind, bound) in [("f32", 0.0), ("f16", 2e-3), ("bf16", 2e-2), ("q8_0", 2e-2)] {
        let file = format!("{kind}.gguf");
        place.succeed(&["export", "run", "--gguf", &file, "--type", kind]);
        let found = distance(&before, &scores(&place, &file, &[]));
        assert!(found <= bound, "{kind}: {found}");
    }
    let text = |model: &str| place.succeed(&["generate", model, "--prompt", "the ", "--tokens", "20", "--seed", "3"]);
    assert_eq!(text("run"), text("f32.gguf"));
    // What is read from one file is written to the next as it was.
    place.succeed(&["export", "f32.gguf", "--gguf", "again.gguf", "--type", "f32"]);
    assert_eq!(
        fs::read(place.path("f32.gguf")).expect("written"),
        fs::read(place.path("again.gguf")).expect("written")
    );
    let told = place.fail(&["export", "run", "--gguf", "f32.gguf"]);
    assert!(told.contains("is there already"), "{told}");

    // A stage that starts from the file is the stage that starts from the checkpoint, to the bit.
    let recipe = |init: &str| {
        let recipe = crate::support::RECIPE.replace("  data = words\n", &format!("  data = words\n  init = {init}\n"));
        recipe.replace("context: 48, width: 16, depth: depth, heads: 2, ", "").replace("param depth: int = 2\n", "")
    };
    place.write("a.recipe", &recipe(&format!("hf(\"{}\")", checkpoint.display())));
    place.write("b.recipe", &recipe("gguf(\"f32.gguf\")"));
    let weights = ["a", "b"].map(|name| {
        place.succeed(&["run", &format!("{name}.recipe"), "--out", name, "-q"]);
        fs::read(place.path(&format!("{name}/pretrain/checkpoints/step-00000012/model.safetensors"))).expect("weights")
    });
    assert_eq!(weights[0], weights[1]);
}

#[test]
fn a_damaged_or_missing_file_is_told() {
    let place = Workplace::new();
    trained(&place);
    place.succeed(&["export", "run", "--gguf", "whole.gguf"]);
    let bytes = fs::read(place.path("whole.gguf")).expect("written");
    fs::write(place.path("cut.gguf"), &bytes[..bytes.len() - 100]).expect("written");
    let told = place.fail(&["generate", "cut.gguf", "--prompt", "the"]);
    assert!(told.contains("E0802") && told.contains("GGUF"), "{told}");
    let told = place.fail(&["generate", "words.txt", "--prompt", "the"]);
    assert!(told.contains("E0802"), "{told}");
    let recipe = crate::support::RECIPE.replace("  data = words\n", "  data = words\n  init = gguf(\"cut.gguf\")\n");
    place.write("cut.recipe", &recipe);
    let told = place.fail(&["check", "cut.recipe"]);
    assert!(told.contains("E0703"), "{told}");
}
