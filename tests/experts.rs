//! Routed experts and an architecture of its own, from outside: they train, save, go on, and tell what is added to the loss.

use std::fs;
use std::path::Path;
use std::process::Command;

use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::{Workplace, checkpoint_file};

const EXPERTS: &str = r#"
import "std/deepseek"
import "std/mixtral"

param micro: int = 8

dataset words {
  source = text("words.txt")
  holdout = 10%
}

tokenizer letters { load = bytes }

stage pretrain {
  model = mixtral(vocab: letters.vocab, width: 16, depth: 2, heads: 2, kv_heads: 1, hidden: 12, experts: 4, balance: 0.05)
  data = words
  tokenizer = letters
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-2, clip_norm: 1.0)
  schedule = cosine(warmup: 2 steps, floor: 10%)
  sequence_length = 24 tokens
  global_batch = 8 sequences
  micro_batch = micro * 1 sequences
  budget = 12 steps
  evaluate = every(4 steps)
  evaluate_on = 8 sequences
  checkpoint = every(4 steps)
  seed = 7
}
"#;

fn metrics(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("pretrain/metrics.jsonl")).expect("metrics");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect()
}

fn number(line: &Value, key: &str) -> f64 {
    line[key].as_f64().unwrap_or_else(|| panic!("{key} of {line}"))
}

#[test]
fn what_experts_add_to_the_loss_is_told_apart() {
    let place = Workplace::new();
    place.write("experts.recipe", EXPERTS);
    place.succeed(&["run", "experts.recipe", "--out", "run"]);
    place.succeed(&["run", "experts.recipe", "--out", "parts", "--set", "micro=2"]);
    let (whole, parts) = (metrics(&place.path("run")), metrics(&place.path("parts")));
    assert_eq!(whole.len(), 12);
    // Two of four experts: the balance is 2 where all are alike, a little more otherwise.
    for line in &whole {
        let added = number(line, "auxiliary_loss") / 0.05;
        assert!((1.9..4.0).contains(&added), "{line}");
    }
    // The loss over the tokens does not depend on how the first batch is cut; the balance is the mean of that of its parts,
    // each of which is less even.
    let first = |lines: &[Value], key: &str| number(&lines[0], key);
    assert!((first(&whole, "loss") - first(&parts, "loss")).abs() < 1e-5);
    let (of_whole, of_parts) = (first(&whole, "auxiliary_loss"), first(&parts, "auxiliary_loss"));
    assert!((of_whole - of_parts).abs() < 0.05 * of_whole, "{of_whole} and {of_parts}");
    // A held-out loss is that of the tokens alone.
    let last = &whole[11];
    assert!((number(last, "heldout_loss") - number(last, "loss")).abs() < 0.5, "{last}");
}

#[test]
fn experts_are_saved_apart_and_go_on_to_the_same_bits() {
    let place = Workplace::new();
    place.write("experts.recipe", EXPERTS);
    place.succeed(&["run", "experts.recipe", "--out", "run"]);
    let whole = checkpoint_file(&place.path("run"), 12, "model.safetensors");
    let tensors = SafeTensors::deserialize(&whole).expect("a safetensors file");
    for expert in 0..4 {
        let name = format!("model.layers.1.block_sparse_moe.experts.{expert}.w2.weight");
        assert_eq!(tensors.tensor(&name).expect("an expert of its own").shape(), [16, 12]);
    }
    assert_eq!(tensors.len(), 2 * (2 + 4 + 1 + 3 * 4) + 3);
    let stopped = fs::read_dir(place.path("run/pretrain/checkpoints")).expect("checkpoints").count();
    assert!(stopped > 2);
    fs::remove_dir_all(place.path("run/pretrain/checkpoints/step-00000012")).expect("a checkpoint");
    place.succeed(&["run", "experts.recipe", "--out", "run", "--resume", "--threads", "1"]);
    assert!(checkpoint_file(&place.path("run"), 12, "model.safetensors") == whole, "a resumed run ends elsewhere");
    let text = place.succeed(&["generate", "run", "--prompt", "the cat", "--tokens", "8", "--temperature", "0"]);
    assert!(text.contains("the cat"), "{text}");
}

#[test]
fn biases_of_routers_balance_their_experts() {
    let place = Workplace::new();
    let model = "deepseek_v3(vocab: letters.vocab, width: 16, depth: 2, dense: 1, heads: 2, q_rank: 8, kv_rank: 8, still: 4, \
                 turned: 4, value: 6, hidden: 24, expert_hidden: 8, experts: 8, chosen: 2, groups: 4, chosen_groups: 2)";
    let (before, rest) = EXPERTS.split_once("mixtral(").expect("a model");
    let after = rest.split_once(")\n").expect("its end").1;
    place.write("experts.recipe", &format!("{before}{model}\n{after}"));
    place.succeed(&["run", "experts.recipe", "--out", "run"]);
    let saved = checkpoint_file(&place.path("run"), 12, "model.safetensors");
    let tensors = SafeTensors::deserialize(&saved).expect("a safetensors file");
    let bias = tensors.tensor("model.layers.1.mlp.gate.e_score_correction_bias").expect("a bias");
    let values: Vec<f32> =
        bias.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four bytes"))).collect();
    // Some are taken more often than others, so some go up and some down.
    assert!(values.iter().any(|value| *value > 1e-3) && values.iter().any(|value| *value < -1e-3), "{values:?}");
}

/// `recipes/architectures/memory.recipe` on this repository's own sources.
fn memory(verb: &str, rest: &[&str]) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = root.join("compiler/src/**/*.rs");
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmc"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    command.env("LLMC_CACHE", folder.path()).arg(verb).arg(root.join("recipes/architectures/memory.recipe"));
    command.args(["--set", &format!("files={:?}", files.to_string_lossy())]).args(rest);
    let output = command.output().expect("llmc starts");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    assert!(!told.contains("W0") && !told.contains("E0"), "{told}");
    String::from_utf8(output.stdout).expect("llmc prints UTF-8")
}

#[test]
fn an_architecture_of_no_library_trains() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let run = folder.path().join("run");
    memory("run", &["--set", "steps=200", "--out", &run.to_string_lossy()]);
    let heldout = number(metrics(&run).last().expect("a last step"), "heldout_loss");
    // Of this text the entropy of single tokens is about 5.2 nats.
    assert!(heldout < 4.4, "{heldout}");
}

#[test]
fn an_architecture_of_no_library_is_differentiated_right() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let probed = |device: &str| {
        let file = folder.path().join(device);
        memory(
            "probe",
            &["--device", device, "--out", &file.to_string_lossy(), "--set", "pretrain.global_batch=2 sequences"],
        );
        fs::read(file).expect("what was probed")
    };
    let bytes = ["cpu", "reference"].map(probed);
    let [cpu, reference] = bytes.each_ref().map(|bytes| SafeTensors::deserialize(bytes).expect("a safetensors file"));
    let floats = |tensors: &SafeTensors<'_>, name: &str| -> Vec<f64> {
        let data = tensors.tensor(name).expect("a tensor").data().to_vec();
        data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes")))).collect()
    };
    let mut compared = 0;
    for (name, view) in reference.iter().filter(|(_, view)| view.dtype() == safetensors::Dtype::F32) {
        let (found, expected) = (floats(&cpu, name), floats(&reference, name));
        let largest = expected.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() <= 1e-5 * largest, "{name} {:?}: {found}, {expected}", view.shape());
        }
        compared += 1;
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn an_architecture_of_no_library_becomes_the_graph_it_did() {
    let text = memory("emit", &["--after", "lower", "--program", "update", "--set", "pretrain.model.depth=2"]);
    let root = format!("{}/", Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/architectures").display());
    insta::assert_snapshot!("memory_lowered", text.replace(&root, ""));
}
