//! Architectures, gradients and the optimizer against PyTorch in float64, through recipes and the command line.
//!
//! The small core in `tests/reference` (made by its `make.py`) is always there; the larger set in `../shared/refs` is
//! used where it exists.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// One set of reference files.
struct Reference {
    architecture: &'static str,
    folder: PathBuf,
    row_length: u64,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn references() -> Vec<Reference> {
    let mut found = Vec::new();
    let families =
        ["gpt2", "llama", "bloom", "mistral_swa", "qwen3", "gemma2", "mixtral", "deepseek_v2", "deepseek_v3"];
    for architecture in families {
        let own = root().join("tests/reference").join(architecture);
        found.push(Reference { architecture, folder: own, row_length: 24 });
        let folder = root().join("../shared/refs/arch").join(architecture);
        if folder.is_dir() {
            found.push(Reference { architecture, folder, row_length: 32 });
        } else if architecture != "gemma2" {
            eprintln!("skipped: {architecture} of ../shared/refs, which is not here");
        }
    }
    found
}

impl Reference {
    fn info(&self) -> Value {
        serde_json::from_slice(&fs::read(self.folder.join("info.json")).expect("info.json")).expect("info.json is JSON")
    }

    /// `llmc` on this reference's recipe with token rows from `batches`.
    fn command(&self, verb: &str, batches: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmc"));
        command.arg(verb).arg(root().join(format!("tests/reference/{}.recipe", self.architecture)));
        for (name, value) in [
            ("weights", format!("{:?}", self.folder.to_string_lossy())),
            ("batches", format!("{:?}", self.folder.join(batches).to_string_lossy())),
            ("length", self.row_length.to_string()),
        ] {
            command.arg("--set").arg(format!("{name}={value}"));
        }
        command
    }
}

fn succeed(command: &mut Command) -> String {
    let output = command.output().expect("llmc starts");
    assert!(
        output.status.success(),
        "{command:?} failed\n{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("llmc prints UTF-8")
}

/// The float32 tensors of a file as f64.
fn floats(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    tensors
        .iter()
        .filter(|(_, view)| view.dtype() == Dtype::F32)
        .map(|(name, view)| {
            let values =
                view.data().chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes"))));
            (name.to_owned(), values.collect())
        })
        .collect()
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |largest, value| value.abs().max(largest))
}

/// Largest difference; the lengths must agree.
fn difference(left: &[f64], right: &[f64]) -> f64 {
    assert_eq!(left.len(), right.len());
    left.iter().zip(right).fold(0.0, |largest, (l, r)| {
        assert!(l.is_finite() && r.is_finite());
        (l - r).abs().max(largest)
    })
}

/// Logits, loss and every gradient within 1e-5 of the largest value of their tensor, on `device`.
fn probe_agrees(device: &str) {
    for reference in references() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let out = folder.path().join("probe.safetensors");
        succeed(reference.command("probe", "io.safetensors").arg("--out").arg(&out).args(["--device", device]));
        let found = floats(&out);
        let name = reference.folder.display();

        let logits = &floats(&reference.folder.join("io.safetensors"))["logits"];
        let error = difference(&found["logits"], logits) / largest(logits);
        assert!(error < 1e-5, "{name}: logits differ by {error:e}");

        let loss = reference.info()["loss"].as_f64().expect("a loss");
        let error = (found["loss"][0] - loss).abs() / loss;
        assert!(error < 1e-5, "{name}: loss {} against {loss}", found["loss"][0]);
        let info = reference.info();
        // `../shared` has it without the factor of the loss.
        let added = info["auxiliary_loss"].as_f64().or(info["aux_loss"].as_f64().map(|loss| 0.02 * loss));
        let (added, ours) = (added.unwrap_or(0.0), found.get("auxiliary_loss").map_or(0.0, |ours| ours[0]));
        assert!((ours - added).abs() < 1e-5 * loss, "{name}: adds {ours} against {added}");

        for (path, gradient) in floats(&reference.folder.join("grads.safetensors")) {
            let ours = found.get(&path).unwrap_or_else(|| panic!("{name}: no gradient of {path}"));
            let error = difference(ours, &gradient) / largest(&gradient);
            assert!(error < 1e-5, "{name}: gradient of {path} differs by {error:e}");
        }
    }
}

#[test]
fn logits_loss_and_gradients_agree_with_pytorch_on_the_cpu() {
    probe_agrees("cpu");
}

#[test]
fn logits_loss_and_gradients_agree_with_pytorch_on_the_reference_device() {
    probe_agrees("reference");
}

#[test]
fn twenty_adamw_steps_agree_with_pytorch() {
    for reference in references() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        succeed(reference.command("run", "batches.safetensors").arg("--out").arg(folder.path()));
        let name = reference.folder.display();
        let info = reference.info();
        let train = info.get("train").unwrap_or(&info);

        let metrics = fs::read_to_string(folder.path().join("train/metrics.jsonl")).expect("metrics");
        let log = train.get("steps_log").or(train.get("log")).and_then(Value::as_array).expect("a log");
        let steps: Vec<Value> = metrics.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        assert_eq!(steps.len(), log.len(), "{name}");
        for (ours, theirs) in steps.iter().zip(log) {
            let rate = theirs.get("learning_rate").or(theirs.get("lr"));
            for (key, expected) in [("loss", theirs.get("loss")), ("grad_norm", theirs.get("grad_norm")), ("lr", rate)]
            {
                let (mut found, expected) =
                    (ours[key].as_f64().expect(key), expected.and_then(Value::as_f64).expect(key));
                if key == "loss" {
                    // The reference's loss is the whole one; ours is told apart from what the model adds.
                    found += ours["auxiliary_loss"].as_f64().unwrap_or(0.0);
                }
                assert!(
                    (found - expected).abs() <= 1e-4 * expected,
                    "{name}: {key} {found} against {expected} at {ours}"
                );
            }
        }

        let found = floats(&folder.path().join("train/checkpoints/step-00000020/model.safetensors"));
        let expected = floats(&reference.folder.join("final.safetensors"));
        assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{name}");
        for (path, weights) in &expected {
            let drift = train["final_max_abs_diff_float32"][path].as_f64().expect("the drift of a float32 run");
            let bound = f64::max(1e-4 * largest(weights), drift);
            for keys in [false, true] {
                let chosen = |values: &[f64]| -> Vec<f64> {
                    let indices = (0..values.len()).filter(|&index| is_key_bias(path, index, values.len()) == keys);
                    indices.map(|index| values[index]).collect()
                };
                let error = difference(&chosen(&found[path]), &chosen(weights));
                let bound = if keys { 2.0 * bound } else { bound };
                assert!(error <= bound, "{name}: {path} (keys: {keys}) differs by {error:e}, bound {bound:e}");
            }
        }
    }
}

#[test]
fn mixed_precision_trains_as_autocast_does() {
    // PyTorch keeps other values in 16 bits than llmc: bounds of a few units of the type, of losses and of norms.
    let bounds = [("bf16", "bf16", 1e-3, 2e-2), ("fp16", "fp16(scale: 1024, interval: 8)", 2e-4, 2e-3)];
    for reference in references() {
        let Ok(text) = fs::read(reference.folder.join("precision.json")) else { continue };
        let logs: Value = serde_json::from_slice(&text).expect("precision.json is JSON");
        for (name, precision, loss_bound, norm_bound) in bounds {
            short_run_follows(&reference, precision, &logs[name], [loss_bound, norm_bound]);
        }
    }
}

#[test]
fn every_family_trains_in_sixteen_bits() {
    for reference in references().into_iter().filter(|reference| reference.row_length == 24) {
        for (precision, bounds) in [("bf16", [2e-3, 5e-2]), ("fp16", [1e-3, 2e-2])] {
            short_run_follows(&reference, precision, &reference.info()["log"], bounds);
        }
    }
}

/// Trains in 16 bits; every loss and gradient norm must be within these shares of those of a log.
fn short_run_follows(reference: &Reference, precision: &str, log: &Value, bounds: [f64; 2]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut command = reference.command("run", "batches.safetensors");
    command.arg("--out").arg(folder.path()).arg("--set").arg(format!("train.precision={precision}"));
    succeed(&mut command);
    let metrics = fs::read_to_string(folder.path().join("train/metrics.jsonl")).expect("metrics");
    let log = log.as_array().expect("a log");
    assert_eq!(metrics.lines().count(), log.len());
    for (ours, theirs) in metrics.lines().zip(log) {
        let ours: Value = serde_json::from_str(ours).expect("JSON lines");
        if let Some(scale) = theirs.get("loss_scale") {
            assert_eq!(ours.get("loss_scale"), Some(scale), "{ours}");
        }
        for (key, bound) in ["loss", "grad_norm"].into_iter().zip(bounds) {
            let [mut found, expected] = [&ours, theirs].map(|line| line[key].as_f64().expect(key));
            if key == "loss" {
                found += ours["auxiliary_loss"].as_f64().unwrap_or(0.0);
            }
            let what = format!("{} in {precision}: {key} {found}", reference.architecture);
            assert!((found - expected).abs() <= bound * expected, "{what} against {expected}");
        }
    }
}

/// Whether an element is a key's part of a joint bias: GPT-2's hold queries, keys and values one after another, BLOOM's those of
/// each of its 4 heads. Adding to every key shifts all scores of a row alike, so the true gradient is zero and
/// Adam turns the rounding noise that is left into steps. `info.json` has how far one float32 run of torch goes that way; another
/// may go as far the other way.
fn is_key_bias(path: &str, index: usize, length: usize) -> bool {
    let third = |count: usize| index * 3 * count / length % 3 == 1;
    path.ends_with("attn.c_attn.bias") && third(1) || path.ends_with("query_key_value.bias") && third(4)
}

#[test]
fn score_agrees_with_pytorch_on_a_hugging_face_directory() {
    for reference in references() {
        let path = reference.folder.join("io.safetensors");
        let logits = &floats(&path)["logits"];
        let bytes = fs::read(&path).expect("io.safetensors");
        let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let ids = tensors.tensor("input_ids").expect("input_ids");
        let ids: Vec<usize> = ids
            .data()
            .chunks_exact(8)
            .map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")) as usize)
            .collect();
        let row_length = reference.row_length as usize;
        let vocab = logits.len() / ids.len();

        let folder = tempfile::tempdir().expect("a temporary folder");
        let input = folder.path().join("rows.jsonl");
        let rows: Vec<&[usize]> = ids.chunks(row_length).collect();
        // Rows of different lengths: padding must not matter.
        let rows: Vec<&[usize]> = rows.iter().enumerate().map(|(index, row)| &row[..row_length - 5 * index]).collect();
        let lines: Vec<String> = rows.iter().map(|row| serde_json::json!({ "tokens": row }).to_string()).collect();
        fs::write(&input, lines.join("\n")).expect("rows are written");
        let printed = succeed(
            Command::new(env!("CARGO_BIN_EXE_llmc")).arg("score").arg(&reference.folder).arg("--input").arg(&input),
        );
        let scores: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON lines")).collect();
        assert_eq!(scores.len(), rows.len());

        for (index, (row, score)) in rows.iter().zip(&scores).enumerate() {
            let expected: Vec<f64> = (1..row.len())
                .map(|place| {
                    let start = (index * row_length + place - 1) * vocab;
                    let scores = &logits[start..start + vocab];
                    let top = scores.iter().copied().fold(f64::MIN, f64::max);
                    scores[row[place]] - top - scores.iter().map(|s| (s - top).exp()).sum::<f64>().ln()
                })
                .collect();
            let found: Vec<f64> =
                score["logprobs"].as_array().expect("logprobs").iter().map(|v| v.as_f64().expect("a number")).collect();
            let error = difference(&found, &expected) / largest(&expected);
            assert!(error < 1e-5, "{}: log-probabilities differ by {error:e}", reference.folder.display());
            let loss = -expected.iter().sum::<f64>() / expected.len() as f64;
            assert!((score["loss"].as_f64().expect("a loss") - loss).abs() < 1e-5 * loss);
        }
    }
}
