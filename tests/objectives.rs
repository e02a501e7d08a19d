//! Objectives against PyTorch in float64, through `llmc probe --batch`, and each trained for real.
//!
//! The values lie in `../shared/refs`, which a stranger's clone has not: then the comparison is skipped.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Whole numbers with their shape.
type Numbers = (Vec<usize>, Vec<i64>);

/// The tensors of a file: whole numbers, and floats.
struct Tensors {
    whole: BTreeMap<String, Numbers>,
    floats: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

fn tensors(path: &Path) -> Tensors {
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut found = Tensors { whole: BTreeMap::new(), floats: BTreeMap::new() };
    for (name, view) in file.iter() {
        let shape = view.shape().to_vec();
        let data = view.data();
        match view.dtype() {
            Dtype::I64 => {
                let values = data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().expect("eight bytes")));
                found.whole.insert(name.to_owned(), (shape, values.collect()));
            }
            Dtype::F32 => {
                let values =
                    data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().expect("four bytes"))));
                found.floats.insert(name.to_owned(), (shape, values.collect()));
            }
            _ => {}
        }
    }
    found
}

fn write(path: &Path, batch: &[(&str, Numbers)]) {
    let bytes: Vec<Vec<u8>> =
        batch.iter().map(|(_, (_, values))| values.iter().flat_map(|value| value.to_le_bytes()).collect()).collect();
    let views = batch.iter().zip(&bytes).map(|((name, (shape, _)), bytes)| {
        (*name, TensorView::new(Dtype::I64, shape.clone(), bytes).expect("a tensor"))
    });
    safetensors::serialize_to_file(views, None, path).expect("a file");
}

/// What is compared: the values' folder, the weights' folder, the model, the objective, and the batch made of the values' inputs.
struct Case {
    values: &'static str,
    weights: &'static str,
    model: &'static str,
    objective: &'static str,
    batch: Maker,
}

/// Makes a batch of llmc of a file's tensors.
type Maker = fn(&Tensors) -> Vec<(&'static str, Numbers)>;

/// The batch is llmc's already.
fn own(io: &Tensors) -> Vec<(&'static str, Numbers)> {
    let names = ["tokens", "targets", "order", "documents", "segments", "source", "source_documents"];
    names.into_iter().filter_map(|name| Some((name, io.whole.get(name)?.clone()))).collect()
}

fn visible(mask: &Numbers) -> Numbers {
    // Padding is a document of its own.
    (mask.0.clone(), mask.1.iter().map(|one| one - 1).collect())
}

fn masked(io: &Tensors) -> Vec<(&'static str, Numbers)> {
    vec![
        ("tokens", io.whole["input_ids"].clone()),
        ("targets", io.whole["labels"].clone()),
        ("segments", io.whole["token_type_ids"].clone()),
        ("documents", visible(&io.whole["attention_mask"])),
    ]
}

fn pairs(io: &Tensors) -> Vec<(&'static str, Numbers)> {
    vec![
        ("tokens", io.whole["decoder_input_ids"].clone()),
        ("targets", io.whole["labels"].clone()),
        ("source", io.whole["input_ids"].clone()),
        ("source_documents", visible(&io.whole["attention_mask"])),
    ]
}

fn prefixed(io: &Tensors) -> Vec<(&'static str, Numbers)> {
    let (shape, labels) = &io.whole["labels"];
    let length = shape[1];
    // The label of a place is the token there; a target is the token behind.
    let target = |index: usize| if index % length + 1 < length { labels[index + 1] } else { -100 };
    let order = |index: usize| {
        let prefix = io.whole["prefix_len"].1[index / length];
        (index as i64 % length as i64).max(prefix - 1)
    };
    vec![
        ("tokens", io.whole["input_ids"].clone()),
        ("targets", (shape.clone(), (0..labels.len()).map(target).collect())),
        ("order", (shape.clone(), (0..labels.len()).map(order).collect())),
    ]
}

fn permuted(io: &Tensors) -> Vec<(&'static str, Numbers)> {
    let (shape, tokens) = &io.whole["input_ids"];
    let (length, predicted) = (shape[1], io.whole["target_positions"].0[1]);
    let (mut order, mut targets) = (vec![0; tokens.len()], vec![-100; tokens.len()]);
    for row in 0..shape[0] {
        // The last places of the order are predicted.
        let places = &io.whole["order"].1[(row + 1) * length - predicted..(row + 1) * length];
        for (number, &place) in places.iter().enumerate() {
            order[row * length + place as usize] = number as i64 + 1;
            targets[row * length + place as usize] = tokens[row * length + place as usize];
        }
    }
    vec![
        ("tokens", (shape.clone(), tokens.clone())),
        ("targets", (shape.clone(), targets)),
        ("order", (shape.clone(), order)),
    ]
}

const SPANS: &str = "span_corruption(sentinel: none, first_sentinel: 255)";

/// The small core that lies in the repository.
const OWN: [Case; 4] = [
    Case { values: "bert", weights: "bert", model: "bert", objective: "masked_lm(mask: none, mask_id: 3)", batch: own },
    Case {
        values: "t5",
        weights: "t5",
        model: "t5",
        objective: "span_corruption(sentinel: none, first_sentinel: 130)",
        batch: own,
    },
    Case { values: "xlnet", weights: "xlnet", model: "xlnet", objective: "permutation_lm", batch: own },
    Case { values: "prefix_llama", weights: "prefix_llama", model: "llama", objective: "prefix_lm", batch: own },
];

/// The larger set.
const SHARED: [Case; 6] = [
    Case {
        values: "arch/bert",
        weights: "arch/bert",
        model: "bert",
        objective: "masked_lm(mask: none, mask_id: 3)",
        batch: masked,
    },
    Case { values: "arch/t5", weights: "arch/t5", model: "t5", objective: SPANS, batch: pairs },
    Case { values: "objectives/span_corruption", weights: "arch/t5", model: "t5", objective: SPANS, batch: pairs },
    Case {
        values: "objectives/prefix_lm_gpt2",
        weights: "arch/gpt2",
        model: "gpt2",
        objective: "prefix_lm",
        batch: prefixed,
    },
    Case {
        values: "objectives/prefix_lm_llama",
        weights: "arch/llama",
        model: "llama",
        objective: "prefix_lm",
        batch: prefixed,
    },
    Case {
        values: "objectives/permutation_xlnet",
        weights: "objectives/permutation_xlnet",
        model: "xlnet",
        objective: "permutation_lm",
        batch: permuted,
    },
];

/// The folders of values with their cases; a stranger's clone has the own ones alone.
fn cases() -> Vec<(PathBuf, &'static Case)> {
    let mut found: Vec<_> = OWN.iter().map(|case| (root().join("tests/reference"), case)).collect();
    let refs = root().join("../shared/refs");
    if refs.is_dir() {
        found.extend(SHARED.iter().map(|case| (refs.clone(), case)));
    } else {
        eprintln!("skipped: objectives against ../shared/refs, which is not here");
    }
    found
}

impl Case {
    /// `llmc probe` of this case in `place`, with these batches.
    fn probe(&self, folder: &Path, place: &Path, batches: &[Vec<(&str, Numbers)>], more: &[&str]) -> Tensors {
        let weights = folder.join(self.weights);
        let recipe = format!(
            "import \"std/{model}\"\n\
             dataset none_read {{ source = random_tokens(vocab: 128, count: 10K tokens) }}\n\
             stage train {{\n  model = {model}()\n  init = hf({weights:?})\n  data = none_read\n  objective = {}\n  \
             optimizer = adamw(learning_rate: 3e-3, betas: [0.9, 0.95], weight_decay: 0.1, clip_norm: 1.0)\n  \
             schedule = cosine(warmup: 4 steps, floor: 10%)\n  \
             sequence_length = 16 tokens\n  global_batch = 4 sequences\n  budget = 20 steps\n}}\n",
            self.objective,
            model = self.model,
            weights = weights.to_string_lossy(),
        );
        fs::write(place.join("case.recipe"), recipe).expect("a recipe");
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmc"));
        command.current_dir(place).args(["probe", "case.recipe", "--out", "probe.safetensors"]).args(more);
        for (number, batch) in batches.iter().enumerate() {
            let name = format!("batch-{number}.safetensors");
            write(&place.join(&name), batch);
            command.args(["--batch", &name]);
        }
        let output = command.output().expect("llmc starts");
        assert!(output.status.success(), "{}: {}", self.values, String::from_utf8_lossy(&output.stderr));
        tensors(&place.join("probe.safetensors"))
    }
}

/// Logits of the places that predict, loss and every gradient within 1e-5 of the largest value of their tensor.
fn agree_on(device: &str) {
    for (refs, case) in cases() {
        let name = case.values;
        let place = tempfile::tempdir().expect("a temporary folder");
        let io = tensors(&refs.join(name).join("io.safetensors"));
        let batch = (case.batch)(&io);
        let found = case.probe(&refs, place.path(), std::slice::from_ref(&batch), &["--device", device]).floats;

        let info: Value =
            serde_json::from_slice(&fs::read(refs.join(name).join("info.json")).expect("info.json")).expect("JSON");
        let loss = info["loss"].as_f64().or(info["results"]["plain"]["loss"].as_f64()).expect("a loss");
        assert!((found["loss"].1[0] - loss).abs() < 1e-5 * loss, "{name}: loss {} against {loss}", found["loss"].1[0]);

        let targets = &batch.iter().find(|(name, _)| *name == "targets").expect("targets").1.1;
        let vocab = *found["logits"].0.last().expect("a vocabulary");
        let predicting = (0..targets.len()).filter(|&place| targets[place] != -100);
        let theirs = &io.floats["logits"];
        let largest = theirs.1.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
        let places = io.whole.get("target_positions");
        for row in predicting {
            // XLNet's values hold the predicted places alone, in the order of their prediction.
            let theirs_at = match places {
                None => row,
                Some((shape, places)) => {
                    let length = targets.len() / shape[0];
                    let of_row = &places[row / length * shape[1]..][..shape[1]];
                    let number = of_row.iter().position(|&place| place as usize == row % length).expect("a target");
                    row / length * shape[1] + number
                }
            };
            for class in 0..vocab {
                let (ours, theirs) = (found["logits"].1[row * vocab + class], theirs.1[theirs_at * vocab + class]);
                assert!((ours - theirs).abs() < 1e-5 * largest, "{name}: logit {row} {class}: {ours} against {theirs}");
            }
        }
        let gradients = tensors(&refs.join(name).join("grads.safetensors")).floats;
        let all = gradients.values().flat_map(|(_, values)| values);
        let overall = all.fold(0.0f64, |largest, value| largest.max(value.abs()));
        for (path, (_, theirs)) in &gradients {
            let (_, ours) = found.get(path).unwrap_or_else(|| panic!("{name}: no gradient of {path}"));
            let largest = theirs.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            // A true gradient of zero leaves rounding alone: keys' biases, and segments that are all the same.
            let bound = if largest < 1e-12 { 1e-7 * overall } else { 1e-5 * largest };
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() < bound, "{name}: gradient of {path}: {ours} against {theirs}");
            }
        }
    }
}

#[test]
fn objectives_agree_with_pytorch_on_the_cpu() {
    agree_on("cpu");
}

#[test]
fn objectives_agree_with_pytorch_on_the_reference_device() {
    agree_on("reference");
}

#[test]
fn twenty_steps_of_objectives_agree_with_pytorch_on_the_cpu() {
    // The drift is that of one float32 run: where Adam turns rounding noise into steps, another goes the other way.
    twenty_steps_agree("cpu", 2.0);
}

#[test]
fn twenty_steps_of_objectives_agree_with_pytorch_on_the_reference_device() {
    twenty_steps_agree("reference", 1.0);
}

/// Twenty AdamW steps on given batches, where the values hold them: losses and norms within 1e-4, the weights within 1e-4 of the
/// largest value of their tensor, or so often what a float32 run of torch is off.
fn twenty_steps_agree(device: &str, drifts: f64) {
    for (refs, case) in cases() {
        let folder = refs.join(case.values);
        if !folder.join("batches.safetensors").is_file() {
            continue;
        }
        let all = tensors(&folder.join("batches.safetensors"));
        let step = |step: usize| {
            let whole = all.whole.iter().map(|(name, (shape, values))| {
                let size = values.len() / shape[0];
                (name.clone(), (shape[1..].to_vec(), values[step * size..(step + 1) * size].to_vec()))
            });
            (case.batch)(&Tensors { whole: whole.collect(), floats: BTreeMap::new() })
        };
        let steps = all.whole.values().next().expect("a tensor").0[0];
        let batches: Vec<_> = (0..steps).map(step).collect();
        let place = tempfile::tempdir().expect("a temporary folder");
        let found = case.probe(&refs, place.path(), &batches, &["--train", "--device", device]).floats;

        let info: Value =
            serde_json::from_slice(&fs::read(folder.join("info.json")).expect("info.json")).expect("JSON");
        let name = folder.display();
        let log = &info["train"];
        let log = log.get("steps_log").or(log.get("log")).and_then(Value::as_array).expect("a log");
        assert_eq!((found["loss"].1.len(), log.len()), (20, 20), "{name}");
        for (step, theirs) in log.iter().enumerate() {
            for key in ["loss", "grad_norm", "learning_rate"] {
                let theirs = theirs.get(key).or(theirs.get("lr")).and_then(Value::as_f64).expect(key);
                let ours = found[key].1[step];
                assert!((ours - theirs).abs() <= 1e-4 * theirs, "{name}: {key} {ours} against {theirs} at {step}");
            }
        }
        let gradients = tensors(&folder.join("grads.safetensors")).floats;
        for (path, (_, theirs)) in &tensors(&folder.join("final.safetensors")).floats {
            // XLNet's weights of segments, where all is one: torch leaves them alone, Adam walks on rounding noise.
            if gradients[path].1.iter().all(|gradient| *gradient == 0.0) {
                continue;
            }
            let (_, ours) = &found[path];
            let largest = theirs.iter().fold(0.0f64, |largest, value| largest.max(value.abs()));
            let drift = info["train"]["final_max_abs_diff_float32"][path].as_f64().expect("a drift");
            // A key's bias has no true gradient: all of its steps are noise.
            let drifts = if path.ends_with("key.bias") { 2.0 } else { drifts };
            let bound = f64::max(1e-4 * largest, drifts * drift);
            for (ours, theirs) in ours.iter().zip(theirs) {
                assert!((ours - theirs).abs() <= bound, "{name}: {path}: {ours} against {theirs}, bound {bound:e}");
            }
        }
    }
}

/// Every recipe of `recipes/objectives` on this repository's own sources: what is predicted becomes far likelier than by the
/// frequencies of single tokens.
#[test]
fn objectives_learn() {
    // Of this text the entropy of single tokens is about 5.2 nats; the bounds lie a little above what was measured.
    for (objective, steps, bound) in [
        ("masked", 1200, 4.9),
        ("prefix", 200, 3.7),
        ("spans", 300, 4.3),
        ("permutation", 350, 4.4),
        ("mixture", 350, 4.4),
    ] {
        let place = tempfile::tempdir().expect("a temporary folder");
        let files = root().join("compiler/src/**/*.rs");
        let output = Command::new(env!("CARGO_BIN_EXE_llmc"))
            .env("LLMC_CACHE", place.path().join("cache"))
            .arg("run")
            .arg(root().join(format!("recipes/objectives/{objective}.recipe")))
            .args(["--set", &format!("files={:?}", files.to_string_lossy()), "--set", &format!("steps={steps}")])
            .arg("--out")
            .arg(place.path().join("run"))
            .output()
            .expect("llmc starts");
        let told = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{objective}: {told}");
        let metrics = fs::read_to_string(place.path().join("run/pretrain/metrics.jsonl")).expect("metrics");
        let heldout = metrics
            .lines()
            .rev()
            .find_map(|line| serde_json::from_str::<Value>(line).expect("a JSON line")["heldout_loss"].as_f64());
        let heldout = heldout.expect("an evaluation");
        println!("{objective}: {heldout:.3} after {steps} steps");
        assert!(heldout < bound, "{objective}: {heldout}");
    }
}
