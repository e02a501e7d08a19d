//! How much the loss of each token counts: from a file to the loss.

use std::collections::BTreeMap;
use std::fs;

use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::Value;

use crate::support::Workplace;

const ROWS: usize = 32;
const LENGTH: usize = 12;
const RECIPE: &str = r#"
import "std/gpt2"

param micro: int = 8

dataset ids {
  source = tokens("rows.safetensors", tensor: "ids", weights: "weights")
  holdout = 0%
}

stage pretrain {
  model = gpt2(vocab: 50, context: 12, width: 16, depth: 1, heads: 2)
  data = ids
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-2)
  sequence_length = 12 tokens
  global_batch = 8 sequences
  micro_batch = micro * 1 sequences
  budget = 4 steps
}
"#;

/// Rows of ids, and their weights by number.
fn rows(place: &Workplace, weight: impl Fn(usize) -> f32) {
    let ids: Vec<u8> = (0..ROWS * LENGTH).flat_map(|at| ((at * at / 3 % 50) as i32).to_le_bytes()).collect();
    let weights: Vec<u8> = (0..ROWS * LENGTH).flat_map(|at| weight(at).to_le_bytes()).collect();
    let view = |dtype, bytes| TensorView::new(dtype, vec![ROWS, LENGTH], bytes).expect("a tensor");
    let tensors = [("ids", view(Dtype::I32, &ids)), ("weights", view(Dtype::F32, &weights))];
    safetensors::serialize_to_file(tensors, None, &place.path("rows.safetensors")).expect("a file");
}

fn curve(place: &Workplace, run: &str) -> Vec<(f64, f64)> {
    let text = fs::read_to_string(place.path(run).join("pretrain/metrics.jsonl")).expect("metrics");
    let line = |line: &str| {
        let line: Value = serde_json::from_str(line).expect("a JSON line");
        (line["loss"].as_f64().expect("a loss"), line["grad_norm"].as_f64().expect("a norm"))
    };
    text.lines().map(line).collect()
}

fn assert_close(one: &[(f64, f64)], other: &[(f64, f64)]) {
    for (one, other) in one.iter().zip(other) {
        assert!((one.0 - other.0).abs() < 1e-5 * one.0 && (one.1 - other.1).abs() < 1e-4 * one.1, "{one:?} {other:?}");
    }
}

#[test]
fn the_loss_is_the_weighted_mean_of_the_targets() {
    let place = Workplace::new();
    place.write("weighted.recipe", RECIPE);
    rows(&place, |at| [0.0, 1.0, 0.25, 3.5][at % 4]);
    place.succeed(&["probe", "weighted.recipe", "--out", "probe.safetensors"]);
    let bytes = fs::read(place.path("probe.safetensors")).expect("a probe");
    let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
    let numbers: BTreeMap<&str, Vec<f64>> = ["logits", "loss", "loss_weights", "targets"]
        .map(|name| {
            let tensor = tensors.tensor(name).expect(name);
            let values = tensor.data().as_chunks().0.iter().map(|value| match tensor.dtype() {
                Dtype::I32 => f64::from(i32::from_le_bytes(*value)),
                _ => f64::from(f32::from_le_bytes(*value)),
            });
            (name, values.collect())
        })
        .into();
    let (mut sum, mut weight) = (0.0, 0.0);
    for (place, &target) in numbers["targets"].iter().enumerate().filter(|(_, target)| **target >= 0.0) {
        let logits = &numbers["logits"][place * 50..][..50];
        let total: f64 = logits.iter().map(|logit| logit.exp()).sum();
        sum += numbers["loss_weights"][place] * (total.ln() - logits[target as usize]);
        weight += numbers["loss_weights"][place];
    }
    assert!((numbers["loss"][0] - sum / weight).abs() < 1e-5, "{} against {}", numbers["loss"][0], sum / weight);
    // The weight of a target is that of the token which is predicted; rows are shuffled whole.
    let of_target: Vec<f64> = numbers["loss_weights"][..LENGTH - 1].to_vec();
    assert_eq!(of_target[..4], [1.0, 0.25, 3.5, 0.0]);
}

#[test]
fn accumulation_leaves_a_weighted_loss_as_it_is_and_equal_weights_count_nothing() {
    let place = Workplace::new();
    place.write("weighted.recipe", RECIPE);
    place.write("plain.recipe", &RECIPE.replace(", weights: \"weights\"", ""));
    rows(&place, |at| (at % 7) as f32 * if at < 100 { 4.0 } else { 0.5 });
    place.succeed(&["run", "weighted.recipe", "--out", "whole"]);
    place.succeed(&["run", "weighted.recipe", "--out", "parts", "--set", "micro=2"]);
    assert_close(&curve(&place, "whole"), &curve(&place, "parts"));
    place.succeed(&["run", "plain.recipe", "--out", "plain"]);
    assert!((curve(&place, "whole")[0].0 - curve(&place, "plain")[0].0).abs() > 1e-4);
    // The file has changed: nothing old is taken from the cache.
    rows(&place, |_| 2.5);
    place.succeed(&["run", "weighted.recipe", "--out", "equal"]);
    assert_close(&curve(&place, "equal"), &curve(&place, "plain"));
}

#[test]
fn weights_that_do_not_fit_are_diagnosed() {
    let place = Workplace::new();
    place.write("weighted.recipe", RECIPE);
    rows(&place, |at| if at == 17 { f32::NAN } else { 1.0 });
    let told = place.fail(&["run", "weighted.recipe", "--out", "run"]);
    assert!(told.contains("number 17 is NaN"), "{told}");
}
