//! Directories in Hugging Face layout become recipes.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::support::Workplace;

/// A directory of the shared reference values, or a note that it is not here.
fn shared(path: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path);
    if !folder.exists() {
        eprintln!("skipped: {path} of ../shared, which is not here");
        return None;
    }
    Some(folder)
}

/// Trains the workplace's recipe and gives its last checkpoint.
fn trained(place: &Workplace, set: &[&str]) -> PathBuf {
    let sets = set.iter().flat_map(|set| ["--set", set]);
    let arguments: Vec<&str> = ["run", "tiny.recipe", "--out", "run", "-q"].into_iter().chain(sets).collect();
    place.succeed(&arguments);
    place.path("run/pretrain/checkpoints/step-00000012")
}

#[test]
fn a_checkpoint_becomes_a_recipe_that_goes_on_from_it() {
    let place = Workplace::new();
    let checkpoint = trained(&place, &["pretrain.model.dropout=0.0"]);
    let directory = checkpoint.to_string_lossy();
    let recipe = place.succeed(&["import", "hf", &directory, "--files", "words.txt"]);
    let shown = recipe.replace(&*directory, "DIR");
    insta::assert_snapshot!("imported_gpt2", shown);
    place.write("on.recipe", &recipe);
    place.succeed(&["check", "on.recipe"]);
    let few = ["--set", "tune.budget=2 steps", "--set", "tune.global_batch=2 sequences"];
    place.succeed(&[&["run", "on.recipe", "--out", "on"], few.as_slice()].concat());
    let config = |path: PathBuf| -> Value { serde_json::from_slice(&fs::read(path).expect("a config")).expect("JSON") };
    let went_on = place.path("on/tune/checkpoints/step-00000002/config.json");
    assert_eq!(config(went_on), config(checkpoint.join("config.json")));
}

#[test]
fn a_stretched_llama_is_read_in_both_spellings() {
    let place = Workplace::new();
    let rule = json!({
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32
    });
    let base = json!({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 64, "hidden_size": 16,
        "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
        "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "hidden_act": "silu", "tie_word_embeddings": true
    });
    let mut older = base.clone();
    older["rope_theta"] = json!(5e5);
    older["rope_scaling"] = rule.clone();
    let mut newer = base;
    newer["rope_parameters"] = rule;
    newer["rope_parameters"]["rope_theta"] = json!(5e5);
    let imported = [older, newer].map(|config| {
        fs::create_dir_all(place.path("dir")).expect("a directory");
        place.write("dir/config.json", &config.to_string());
        place.succeed(&["import", "hf", "dir/"])
    });
    assert_eq!(imported[0], imported[1]);
    insta::assert_snapshot!("imported_llama3", imported[0]);
}

#[test]
fn directories_of_the_reference_become_recipes() {
    let place = Workplace::new();
    for path in ["models/stories260k", "refs/arch/gpt2", "refs/arch/llama"] {
        let Some(directory) = shared(path) else { return };
        let out = format!("{}.recipe", path.replace('/', "-"));
        let directory = directory.to_string_lossy();
        place.succeed(&["import", "hf", &directory, "--out", &out, "--files", "words.txt"]);
        place.succeed(&["check", &out]);
        place.succeed(&["fmt", "--check", &out]);
        let again = place.fail(&["import", "hf", &directory, "--out", &out]);
        assert!(again.contains("is there already"), "{again}");
    }
    // The weights and the tokenizer are taken over, and a step goes well.
    let few = ["--set", "tune.budget=1 steps", "--set", "tune.sequence_length=32 tokens"];
    place.succeed(&[&["run", "models-stories260k.recipe", "--out", "stories"], few.as_slice()].concat());
}

#[test]
fn what_the_library_lacks_is_told() {
    let place = Workplace::new();
    for (name, config, reasons) in [
        ("family", json!({ "model_type": "mamba" }), vec!["E0809", "\"mamba\"", "known families: ", "gpt2, llama"]),
        ("setting", json!({ "model_type": "llama", "hidden_act": "relu" }), vec!["E0809", "hidden_act", "silu"]),
        ("nothing", json!({}), vec!["E0809", "`model_type`: null"]),
        ("size", json!({ "model_type": "llama", "hidden_size": -4 }), vec!["E0809", "is not a whole number"]),
    ] {
        fs::create_dir_all(place.path(name)).expect("a directory");
        place.write(&format!("{name}/config.json"), &config.to_string());
        let told = place.fail(&["import", "hf", name]);
        for reason in reasons {
            assert!(told.contains(reason), "{name}: {told}");
        }
    }
    place.write("family/config.json", "{");
    assert!(place.fail(&["import", "hf", "family"]).contains("damaged"));
    assert!(place.fail(&["import", "hf", "words.txt"]).contains("holds no `config.json`"));
}
