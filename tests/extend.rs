//! A trained model comes to a longer context: its weights, its config, and what it says.

use std::fs;
use std::path::Path;

use llmc_compiler::plan::Align;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::Workplace;

/// The floats of a tensor in a file.
fn floats(path: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let view = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes")));
    (view.shape().to_vec(), values.collect())
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

/// What PyTorch gives for tables of normal random numbers, where its values are.
#[test]
fn tables_are_interpolated_as_in_pytorch() {
    let numbers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/refs/numbers");
    if !numbers.is_dir() {
        return eprintln!("skipped: position interpolation of ../shared, which is not here");
    }
    let cases = json(&numbers.join("position_interpolation.json"))["cases"].clone();
    let file = numbers.join("position_interpolation.safetensors");
    for case in cases.as_array().expect("cases").iter().filter_map(Value::as_str) {
        let (shape, table) = floats(&file, &format!("{case}.in"));
        for (align, name) in [(Align::Corners, "corners"), (Align::Centres, "centres")] {
            let (longer, expected) = floats(&file, &format!("{case}.{name}"));
            let found = align.interpolate(&table, shape[1], longer[0]);
            assert_eq!(found.len(), expected.len());
            // PyTorch's places are of single precision.
            let furthest = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(furthest < 2e-5, "{case} {name}: {furthest}");
        }
    }
}

/// A second stage with four times the positions, which learns nothing: its rate is too small to move a weight.
const LONGER: &str = "\nstage long from pretrain {\n  extend = EXTEND\n  sequence_length = 192 tokens\n  \
    optimizer = adamw(learning_rate: 1e-30)\n  schedule = constant\n  micro_batch = 2 sequences\n  budget = 1 steps\n}\n";

#[test]
fn learned_positions_become_more() {
    let place = Workplace::new();
    let recipe = format!("{}{LONGER}", crate::support::RECIPE);
    place.write("long.recipe", &recipe.replace("EXTEND", "interpolate(to: 192 tokens)"));
    place.succeed(&["run", "long.recipe", "--out", "run"]);
    let short = place.path("run/pretrain/checkpoints/step-00000012");
    let long = place.path("run/long/checkpoints/step-00000001");
    let table = |checkpoint: &Path| floats(&checkpoint.join("model.safetensors"), "transformer.wpe.weight");
    let ((before, old), (after, new)) = (table(&short), table(&long));
    assert_eq!((before, after), (vec![48, 16], vec![192, 16]));
    assert_eq!(new, Align::Corners.interpolate(&old, 16, 192));
    let other = |checkpoint: &Path| floats(&checkpoint.join("model.safetensors"), "transformer.wte.weight");
    assert_eq!(other(&short), other(&long));
    assert_eq!(json(&long.join("config.json"))["n_positions"], 192);
    assert_eq!(json(&long.join("tokenizer_config.json"))["model_max_length"], 192);
    // Text longer than the first context, and the same from the directory alone, extended again.
    let long_text = "the cat sees bread. ".repeat(6);
    let arguments = ["generate", "run/long", "--prompt", &long_text, "--tokens", "20", "--temperature", "0"];
    assert!(place.succeed(&arguments).len() > 120);
    let directory = short.to_string_lossy().into_owned();
    let again = recipe
        .replace(
            "model = gpt2(vocab: letters.vocab, context: 48, width: 16, depth: depth, heads: 2, dropout: 0.1)",
            "model = gpt2",
        )
        .replace(
            "  seed = 7\n",
            &format!("  init = hf({directory:?})\n  extend = interpolate(to: 96 tokens, align: centres)\n"),
        )
        .replace("learning_rate: 1e-2", "learning_rate: 1e-30")
        .replace("param depth: int = 2\n", "")
        .replace(LONGER, "");
    place.write("again.recipe", &again);
    place.succeed(&["run", "again.recipe", "--out", "again"]);
    let (shape, found) = table(&place.path("again/pretrain/checkpoints/step-00000012"));
    assert_eq!(shape, [96, 16]);
    assert_eq!(found, Align::Centres.interpolate(&old, 16, 96));
}

#[test]
fn rotary_positions_are_rescaled() {
    let place = Workplace::new();
    let llama = crate::support::RECIPE.replace("std/gpt2", "std/llama").replace(
        "gpt2(vocab: letters.vocab, context: 48, width: 16, depth: depth, heads: 2, dropout: 0.1)",
        "llama(vocab: letters.vocab, context: 48, width: 16, depth: depth, heads: 2, hidden: 24)",
    );
    for (extend, kind, context) in [
        ("interpolate", "linear", 192),
        ("rescale_yarn", "yarn", 192),
        ("rescale_llama3", "llama3", 192),
        // Hugging Face's dynamic rule stretches from `max_position_embeddings`.
        ("rescale_dynamic_ntk", "dynamic", 48),
    ] {
        let longer = LONGER.replace("EXTEND", &format!("{extend}(to: 192 tokens)"));
        place.write("long.recipe", &format!("{llama}{longer}"));
        place.succeed(&["run", "long.recipe", "--out", extend]);
        let long = place.path(&format!("{extend}/long/checkpoints/step-00000001"));
        let config = json(&long.join("config.json"));
        let rope = &config["rope_parameters"];
        assert_eq!((&config["max_position_embeddings"], &rope["factor"]), (&context.into(), &4.0.into()), "{config}");
        assert_eq!(rope["rope_type"], kind);
        // Its weights are those of the first stage, and 192 tokens are read.
        let short = place.path(&format!("{extend}/pretrain/checkpoints/step-00000012"));
        let name = "model.layers.1.self_attn.q_proj.weight";
        let weights = |checkpoint: &Path| floats(&checkpoint.join("model.safetensors"), name);
        assert_eq!(weights(&short), weights(&long));
        place.write("line.jsonl", &format!("{{\"text\": \"{}\"}}\n", "a dog eats ".repeat(17)));
        let scored: Value =
            serde_json::from_str(&place.succeed(&["score", &long.to_string_lossy(), "--input", "line.jsonl"]))
                .expect("JSON");
        assert_eq!(scored["logprobs"].as_array().map(Vec::len), Some(186));
    }
}

#[test]
fn a_stage_that_was_extended_goes_on_to_the_same_bits() {
    let place = Workplace::new();
    let longer = LONGER.replace("EXTEND", "interpolate(to: 192 tokens)").replace("1e-30", "1e-3");
    let recipe = format!("{}{longer}", crate::support::RECIPE)
        .replace("budget = 1 steps", "budget = 4 steps\n  checkpoint = every(2 steps)");
    place.write("long.recipe", &recipe);
    place.succeed(&["run", "long.recipe", "--out", "whole"]);
    place.succeed(&["run", "long.recipe", "--out", "parts"]);
    let last = |run: &str| place.path(&format!("{run}/long/checkpoints/step-00000004"));
    fs::remove_dir_all(last("parts")).expect("removed");
    place.succeed(&["run", "long.recipe", "--out", "parts", "--resume"]);
    let bytes = |run: &str| fs::read(last(run).join("model.safetensors")).expect("weights");
    assert!(bytes("whole") == bytes("parts"));
}
