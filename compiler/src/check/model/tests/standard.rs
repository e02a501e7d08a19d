//! The standard library's models: plans, parameter counts, the names and shapes of Hugging Face.

use std::collections::BTreeMap;
use std::time::Instant;

use super::super::{reference, rows_looked_up};
use super::plan;
use crate::plan::{ModelPlan, WeightPlan};

const TINY_GPT2: &str = "stage s { model = gpt2(vocab: 256, width: 64, depth: 2, heads: 4, context: 64) }";
const TINY_LLAMA: &str = "stage s {
  model = llama(vocab: 256, width: 64, depth: 2, heads: 4, kv_heads: 2, hidden: 172, context: 64, eps: 1e-5)
}";

fn parameters(plan: &ModelPlan) -> u64 {
    plan.weights.iter().map(WeightPlan::elements).sum()
}

fn snapshot(name: &str, text: &str) {
    let yaml = serde_yaml::to_string(&plan(text)).expect("plans are plain data");
    insta::with_settings!({ omit_expression => true }, {
        insta::assert_snapshot!(name, format!("{text}\n\n{yaml}"));
    });
}

#[test]
fn gpt2_plan() {
    snapshot("gpt2", "stage s { model = gpt2(vocab: 50, width: 8, depth: 1, heads: 2, context: 16) }");
}

#[test]
fn llama_plan() {
    snapshot(
        "llama",
        "stage s { model = llama(vocab: 50, width: 8, depth: 1, heads: 2, kv_heads: 1, hidden: 12, theta: 500000.0) }",
    );
}

#[test]
fn own_model_plan() {
    snapshot("own_model", include_str!("own.recipe"));
}

#[test]
fn parameter_counts_are_those_of_the_published_models() {
    let gpt2 = plan("stage s { model = gpt2 }");
    assert_eq!(parameters(&gpt2), 124_439_808);
    assert_eq!(rows_looked_up(&gpt2, "positions"), Some(1024));
    assert_eq!(rows_looked_up(&gpt2, "tokens"), Some(50257));
    let llama =
        plan("stage s { model = llama(vocab: 128256, width: 4096, depth: 32, heads: 32, kv_heads: 8, hidden: 14336) }");
    assert_eq!(parameters(&llama), 8_030_261_248);
    assert_eq!(rows_looked_up(&llama, "positions"), None);
}

#[test]
fn dropout_and_tying_reach_the_plan() {
    let dropped = plan("stage s { model = gpt2(dropout: 0.1, depth: 1) }");
    let text = serde_yaml::to_string(&dropped).expect("plans are plain data");
    assert_eq!(text.matches("rate: 0.1").count(), 3);
    let tied = plan("stage s { model = llama(width: 64, heads: 4, depth: 1, tied: true) }");
    assert!(tied.weights.iter().all(|weight| weight.path != "lm_head.weight"));
}

/// Names and shapes in a safetensors header.
fn header(path: &std::path::Path) -> Option<BTreeMap<String, Vec<u64>>> {
    let bytes = std::fs::read(path).ok()?;
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let json: serde_json::Value = serde_json::from_slice(bytes.get(8..8 + usize::try_from(length).ok()?)?).ok()?;
    let tensors = json.as_object()?.iter().filter(|(name, _)| *name != "__metadata__");
    tensors
        .map(|(name, facts)| {
            let shape = facts["shape"].as_array()?.iter().map(|size| size.as_u64());
            Some((name.clone(), shape.collect::<Option<_>>()?))
        })
        .collect()
}

fn same_weights(architecture: &str, text: &str) {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/refs/arch");
    let Some(expected) = header(&root.join(architecture).join("model.safetensors")) else {
        println!("skipped: no reference values of {architecture}");
        return;
    };
    let ours: BTreeMap<String, Vec<u64>> =
        plan(text).weights.into_iter().map(|weight| (weight.path, weight.shape)).collect();
    assert_eq!(ours, expected);
}

#[test]
fn gpt2_weights_have_their_hugging_face_names() {
    same_weights("gpt2", TINY_GPT2);
}

#[test]
fn llama_weights_have_their_hugging_face_names() {
    same_weights("llama", TINY_LLAMA);
}

#[test]
fn a_very_large_model_is_written_out_at_once() {
    let start = Instant::now();
    let plan = plan(
        "stage s { model = llama(vocab: 128256, width: 16384, depth: 126, heads: 128, kv_heads: 8, hidden: 53248) }",
    );
    let seconds = start.elapsed().as_secs_f64();
    assert_eq!(parameters(&plan), 405_853_388_800);
    assert!(seconds < 1.0, "{seconds} s");
    println!("{} nodes in {seconds} s", plan.nodes.len());
}

#[test]
fn reference_page() {
    insta::assert_snapshot!(reference());
}
