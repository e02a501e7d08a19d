//! `config.json` from and to models.

use std::collections::BTreeMap;

use llmc_grammar::diagnostic::Diagnostics;
use llmc_grammar::source::{Source, Span};
use llmc_grammar::tree::Name;
use serde_json::{Value as Json, json};

use super::super::super::value::Value;
use super::super::{arguments_from_config, elaborate_values, model_for_config};
use super::{Recipes, plan, rendered};
use crate::plan::ModelPlan;

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

fn llama3() -> Json {
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
    ] {
        let plan = plan(text);
        let config = plan.config.clone().expect("both have a declaration");
        assert_eq!(plan_from(&config), plan);
    }
}

#[test]
fn published_configs_are_read() {
    let plan = plan_from(&llama3());
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
        json!({ "hidden_size": "4096" }),
        json!({ "num_attention_heads": 33 }),
        json!({ "model_type": "mamba" }),
    ]
    .into_iter()
    .map(|keys| {
        let outcome = read(&changed(llama3(), keys.clone()));
        format!("{keys}\n  {}", outcome.expect_err("refused"))
    })
    .collect();
    insta::assert_snapshot!(refused.join("\n"));
}

#[test]
fn the_base_of_the_rotation_is_found_inside() {
    let mut config = llama3();
    config.as_object_mut().expect("an object").remove("rope_theta");
    config["rope_parameters"] = json!({ "rope_type": "default", "rope_theta": 123.0 });
    let values = read(&config).expect("a config that fits");
    assert_eq!(values["theta"], Value::Float(123.0));
}
