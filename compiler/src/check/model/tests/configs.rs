//! `config.json` from and to models.

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostics;
use llmc_grammar::source::{Source, Span};
use llmc_grammar::tree::Name;
use serde_json::{Value as Json, json};

use super::super::super::value::Value;
use super::super::{arguments_from_config, elaborate_values, model_for_config};
use super::{Recipes, plan, rendered};
use crate::plan::{ModelOp, ModelPlan, Rotary, RotaryScaling};

fn read(config: &Json) -> Result<BTreeMap<String, Value>, String> {
    let recipes = Recipes::new("");
    let library = recipes.library(&mut Diagnostics::new());
    let model = model_for_config(&library, config).ok_or("no model")?;
    arguments_from_config(&library, &model, config)
}

fn plan_from(config: &Json) -> ModelPlan {
    let recipes = Recipes::new("");
    let mut diagnostics = Diagnostics::new();
    let library = recipes.library(&mut diagnostics);
    let model = model_for_config(&library, config).expect("a known family");
    let values = arguments_from_config(&library, &model, config).expect("a config that fits");
    let source = Source::new("config.json", "");
    let name = Name { text: model, span: Span::new(&source, 0, 0) };
    let plan = elaborate_values(&library, &name, &values, &mut diagnostics);
    plan.unwrap_or_else(|| panic!("{}", rendered(&diagnostics)))
}

fn llama3_config() -> Json {
    json!({
        "architectures": ["LlamaForCausalLM"], "attention_bias": false, "attention_dropout": 0.0,
        "bos_token_id": 128000, "eos_token_id": 128001, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 14336, "max_position_embeddings": 8192,
        "model_type": "llama", "num_attention_heads": 32, "num_hidden_layers": 32,
        "num_key_value_heads": 8, "pretraining_tp": 1, "rms_norm_eps": 1e-05, "rope_scaling": null,
        "rope_theta": 500000.0, "tie_word_embeddings": false, "torch_dtype": "bfloat16",
        "transformers_version": "4.40.0.dev0", "use_cache": true, "vocab_size": 128256
    })
}

#[test]
fn what_is_written_reads_back_to_the_same_plan() {
    for text in [
        "stage s { model = gpt2(vocab: 50, width: 8, depth: 1, heads: 2, hidden: 24, eps: 1e-6) }",
        "stage s { model = llama(vocab: 50, width: 8, depth: 2, heads: 4, kv_heads: 2, head_dim: 6, theta: 5e5, tied: true) }",
        "stage s { model = llama(vocab: 50, width: 8, depth: 1, heads: 2, scaling: interpolation(factor: 4)) }",
        "stage s { model = llama(vocab: 50, width: 8, depth: 1, heads: 2, context: 64, scaling: dynamic_ntk(factor: 2, original: 64)) }",
        "stage s { model = llama(vocab: 50, width: 8, depth: 1, heads: 2, scaling: llama3(factor: 8, low: 1, high: 4, original: 64)) }",
        "stage s { model = llama(vocab: 50, width: 8, depth: 1, heads: 2,
           scaling: yarn(factor: 16, original: 64, beta_fast: 30, beta_slow: 2, attention_factor: 1.5, truncate: false)) }",
    ] {
        let plan = plan(text);
        let config = plan.config.clone().expect("both have a declaration");
        let read = plan_from(&config);
        assert_eq!((&read.nodes, &read.weights, &read.config), (&plan.nodes, &plan.weights, &plan.config), "{text}");
    }
}

/// The rule that a config's model turns queries and keys by.
fn rotary(config: &Json) -> Rotary {
    let rotations = plan_from(config).nodes.into_iter().filter_map(|node| match node.op {
        ModelOp::Rotate(rotary) => Some(rotary),
        _ => None,
    });
    let found: Vec<Rotary> = rotations.collect();
    assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
    found[0]
}

#[test]
fn rules_of_rotary_scaling_are_read_in_both_spellings() {
    let keys = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192
    });
    let llama3 = RotaryScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192 };
    // transformers 4, then 5, then both.
    let older = changed(llama3_config(), json!({ "rope_scaling": keys }));
    let mut newer =
        changed(llama3_config(), json!({ "rope_parameters": changed(keys.clone(), json!({ "rope_theta": 5e5 })) }));
    newer.as_object_mut().expect("an object").remove("rope_theta");
    let both = changed(older.clone(), json!({ "rope_parameters": newer["rope_parameters"] }));
    for config in [older, newer, both] {
        assert_eq!(rotary(&config), Rotary { scaling: llama3, ..Rotary::plain(5e5) }, "{config}");
    }
    // The spelling of old directories, a length that is the model's own, and DeepSeek's two scales.
    let yarn = |attention_factor| RotaryScaling::Yarn {
        factor: 4.0,
        original: 8192,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor,
        truncate: true,
    };
    for (keys, scaling) in [
        (json!({ "type": "linear", "factor": 2 }), RotaryScaling::Interpolation { factor: 2.0 }),
        (json!({ "type": "dynamic", "factor": 2.0 }), RotaryScaling::DynamicNtk { factor: 2.0, original: 8192 }),
        (json!({ "rope_type": "yarn", "factor": 4.0, "partial_rotary_factor": 1.0 }), yarn(None)),
        (json!({ "rope_type": "yarn", "factor": 4.0, "mscale": 0.5, "mscale_all_dim": 0.5 }), yarn(Some(1.0))),
        (json!({ "rope_type": "default" }), RotaryScaling::None),
    ] {
        let config = changed(llama3_config(), json!({ "rope_scaling": keys }));
        assert_eq!(rotary(&config).scaling, scaling, "{config}");
    }
}

#[test]
fn a_rule_without_a_name_is_written_as_its_base() {
    let plan = plan("stage s { model = llama(vocab: 50, width: 12, depth: 1, heads: 2, scaling: ntk(factor: 4.0)) }");
    let config = plan.config.expect("a declaration");
    // 4^(6 / (6 - 2)) = 8
    assert_eq!(config["rope_theta"], 80_000.0);
    assert_eq!(config["rope_parameters"], json!({ "rope_type": "default", "rope_theta": 80_000.0 }));
    assert_eq!(config.get("rope_scaling"), None);
}

#[test]
fn published_configs_are_read() {
    let plan = plan_from(&llama3_config());
    let count: u64 = plan.weights.iter().map(|weight| weight.elements()).sum();
    assert_eq!(count, 8_030_261_248);
    assert_eq!(plan.arguments["theta"], "500000.0");
    let gpt2 = json!({
        "activation_function": "gelu_new", "architectures": ["GPT2LMHeadModel"], "attn_pdrop": 0.1,
        "bos_token_id": 50256, "embd_pdrop": 0.1, "eos_token_id": 50256, "initializer_range": 0.02,
        "layer_norm_epsilon": 1e-05, "model_type": "gpt2", "n_ctx": 1024, "n_embd": 768, "n_head": 12,
        "n_layer": 12, "n_positions": 1024, "resid_pdrop": 0.1, "summary_type": "cls_index",
        "task_specific_params": { "text-generation": { "do_sample": true, "max_length": 50 } },
        "vocab_size": 50257
    });
    assert_eq!(plan_from(&gpt2).weights.len(), 148);
}

#[test]
fn reference_configs_are_read() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    for (path, weights) in [
        ("refs/arch/gpt2/config.json", 28),
        ("refs/arch/llama/config.json", 21),
        ("models/stories260k/config.json", 47),
    ] {
        match std::fs::read_to_string(root.join(path)) {
            Ok(text) => {
                let config = serde_json::from_str(&text).expect("a config is JSON");
                assert_eq!(plan_from(&config).weights.len(), weights, "{path}");
            }
            Err(_) => println!("skipped: no {path}"),
        }
    }
}

/// A config with some keys changed.
fn changed(mut config: Json, keys: Json) -> Json {
    for (key, value) in keys.as_object().expect("an object of changes") {
        config[key] = value.clone();
    }
    config
}

#[test]
fn configs_that_would_be_computed_wrongly_are_refused() {
    let refused: Vec<String> = [
        json!({ "hidden_act": "gelu" }),
        json!({ "attention_bias": true }),
        json!({ "mlp_bias": true }),
        json!({ "architectures": ["LlamaForSequenceClassification"] }),
        json!({ "rope_scaling": { "rope_type": "llama3", "factor": 8.0 } }),
        json!({ "rope_scaling": { "type": "linear" } }),
        json!({ "rope_parameters": { "rope_type": "default", "rope_theta": 10000.0 } }),
        json!({ "rope_parameters": 3 }),
        json!({ "rope_scaling": { "rope_type": "longrope", "factor": 8.0 } }),
        json!({ "rope_scaling": { "rope_type": "linear", "factor": "8" } }),
        json!({ "rope_scaling": { "rope_type": "linear", "factor": 8.0, "beta_fast": 32.0 } }),
        json!({ "rope_scaling": { "rope_type": "linear", "factor": 8.0, "partial_rotary_factor": 0.5 } }),
        json!({
            "rope_scaling": { "rope_type": "linear", "factor": 8.0 },
            "rope_parameters": { "rope_type": "linear", "factor": 4.0 }
        }),
        json!({ "hidden_size": "4096" }),
        json!({ "num_attention_heads": 33 }),
        json!({ "model_type": "mamba" }),
    ]
    .into_iter()
    .map(|keys| {
        let outcome = read(&changed(llama3_config(), keys.clone()));
        format!("{keys}\n  {}", outcome.expect_err("refused"))
    })
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn the_base_of_the_rotation_is_found_inside() {
    let mut config = llama3_config();
    config.as_object_mut().expect("an object").remove("rope_theta");
    config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 123.0 });
    let values = read(&config).expect("a config that fits");
    assert_eq!(values["theta"], Value::Float(123.0));
}
