//! Every family reads and writes: models with an encoder, of both sides, of an order; and directories come back byte for byte.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;
use serde_json::{Value, json};

use crate::support::Workplace;

/// A trained model of a family, on bytes.
fn trained(import: &str, model: &str, objective: &str) -> Workplace {
    let place = Workplace::new();
    let recipe = format!(
        "import \"std/{import}\"\n\
         dataset words {{ source = text(\"words.txt\") }}\n\
         tokenizer letters {{ load = bytes }}\n\
         stage train {{\n  model = {model}\n  data = words\n  tokenizer = letters\n  objective = {objective}\n  \
         optimizer = adamw(learning_rate: 1e-2)\n  sequence_length = 48 tokens\n  global_batch = 8 sequences\n  \
         budget = 40 steps\n}}\n"
    );
    place.write("family.recipe", &recipe);
    place.succeed(&["run", "family.recipe", "--out", "run"]);
    place
}

fn t5() -> Workplace {
    let model = "t5(vocab: 257, width: 32, depth: 2, heads: 4, head_dim: 8, hidden: 40, buckets: 8, max_distance: 20)";
    trained("t5", model, "span_corruption(sentinel: none, first_sentinel: 255)")
}

/// Log-probabilities of lines.
fn score(place: &Workplace, more: &[&str], lines: &[Value]) -> Vec<Vec<f64>> {
    let text: Vec<String> = lines.iter().map(Value::to_string).collect();
    place.write("lines.jsonl", &text.join("\n"));
    let printed = place.succeed(&[&["score", "run", "--input", "lines.jsonl"], more].concat());
    let numbers = |line: &str| -> Vec<f64> {
        let score: Value = serde_json::from_str(line).expect("JSON");
        score["logprobs"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
    };
    printed.lines().map(numbers).collect()
}

/// Greedy tokens must be what one forward pass over both texts finds most likely at every place.
#[test]
fn an_encoder_is_read_once_and_changes_nothing() {
    let place = t5();
    let prompts = ["the cat sees", "a dog eats milk. my bird hides a stone.", "my"];
    let lines: String = prompts.iter().map(|prompt| format!("{}\n", json!({ "prompt": prompt }))).collect();
    place.write("prompts.jsonl", &lines);
    let generate = |more: &[&str]| -> Vec<Value> {
        let text = place.succeed(&[&["generate", "run", "--tokens", "20", "--json"], more].concat());
        text.lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .filter(|line: &Value| line.get("stats").is_none())
            .collect()
    };
    let together = generate(&["--input", "prompts.jsonl", "--temperature", "0"]);
    assert_eq!(
        together,
        generate(&["--input", "prompts.jsonl", "--temperature", "0", "--batch", "1", "--threads", "1"])
    );
    let drawn = generate(&["--input", "prompts.jsonl", "--seed", "3"]);
    assert_eq!(drawn, generate(&["--input", "prompts.jsonl", "--seed", "3", "--batch", "2"]));
    assert!(drawn.iter().any(|answer| answer["tokens"].as_array().expect("tokens").len() > 8), "{drawn:?}");
    for (prompt, answer) in prompts.iter().zip(&together) {
        let tokens: Vec<u64> = answer["tokens"].as_array().expect("tokens").iter().filter_map(Value::as_u64).collect();
        let source: Vec<u8> = prompt.bytes().collect();
        let ended = answer["ending"] == "end_of_text";
        for (place_of_it, &token) in tokens.iter().chain(ended.then_some(&256)).enumerate() {
            let lines: Vec<Value> = (0..257)
                .map(|last| json!({ "input": source, "target": ([&tokens[..place_of_it], &[last]].concat()) }))
                .collect();
            let logprobs: Vec<f64> = score(&place, &[], &lines).into_iter().map(|line| line[place_of_it]).collect();
            let total: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
            assert!((total - 1.0).abs() < 1e-4, "probabilities sum to {total}");
            let best = (0..logprobs.len()).max_by(|&a, &b| logprobs[a].total_cmp(&logprobs[b])).expect("some");
            assert_eq!(best as u64, token, "{prompt:?} {place_of_it}");
        }
    }
    let text = place.succeed(&["generate", "run", "--prompt", "the cat", "--tokens", "8", "--temperature", "0"]);
    assert!(!text.starts_with("the cat"), "an answer, not the prompt: {text:?}");
    place.write("bad.jsonl", "{\"text\": \"a\"}");
    let told = place.fail(&["score", "run", "--input", "bad.jsonl"]);
    assert!(told.contains("`input` and `target`"), "{told}");
}

#[test]
fn a_model_of_both_sides_is_asked_for_each_token_in_turn() {
    let bert = "bert(vocab: 257, width: 32, depth: 2, heads: 4, context: 48)";
    let place = trained("bert", bert, "masked_lm(mask: none, mask_id: 255)");
    let tokens: Vec<u8> = b"the cat sees bread.".to_vec();
    let scores =
        score(&place, &[], &[json!({ "tokens": tokens }), json!({ "tokens": tokens[..5] }), json!({ "tokens": [5] })]);
    assert_eq!(scores.iter().map(Vec::len).collect::<Vec<_>>(), [tokens.len(), 5, 1]);
    // A token does not say what it is itself: where it is replaced, the others hide it as before.
    let mut other = tokens.clone();
    other[7] = b'#';
    let changed = score(&place, &[], &[json!({ "tokens": other })]);
    assert!(changed[0][7] < scores[0][7] - 1.0, "{} and {}", changed[0][7], scores[0][7]);
    assert_ne!(changed[0][6], scores[0][6]);
    let wide: Vec<u64> = tokens.iter().map(|&byte| u64::from(byte)).collect();
    let all: f64 = (0..=256u64)
        .map(|last| json!({ "tokens": ([&wide[..7], &[last]].concat()) }))
        .map(|line| score(&place, &[], &[line])[0][7].exp())
        .sum();
    assert!((all - 1.0).abs() < 1e-4, "probabilities sum to {all}");
    let told = place.fail(&["generate", "run", "--prompt", "the", "--tokens", "3"]);
    assert!(told.contains("both sides") && told.contains("llmc score"), "{told}");
    // Of a directory that does not say it, the mask must be told.
    let checkpoint = place.path("run/train/checkpoints/step-00000040");
    fs::remove_file(checkpoint.join("recipe.json")).expect("removed");
    place.write("lines.jsonl", &json!({ "tokens": tokens }).to_string());
    let told = place.fail(&["score", "run", "--input", "lines.jsonl"]);
    assert!(told.contains("--mask-id"), "{told}");
    assert_eq!(score(&place, &["--mask-id", "255"], &[json!({ "tokens": tokens })])[0], scores[0]);
}

#[test]
fn a_model_of_an_order_scores_from_left_to_right() {
    let xlnet = "xlnet(vocab: 257, width: 32, depth: 2, heads: 4, hidden: 40)";
    let place = trained("xlnet", xlnet, "permutation_lm");
    let tokens: Vec<u8> = b"the cat sees bread.".to_vec();
    let scores = score(&place, &[], &[json!({ "tokens": tokens }), json!({ "tokens": tokens[..9] })]);
    assert_eq!(scores[0].len(), tokens.len() - 1);
    // What follows changes nothing, padding neither.
    for (whole, part) in scores[0].iter().zip(&scores[1]) {
        assert!((whole - part).abs() < 1e-5, "{whole} and {part}");
    }
    let told = place.fail(&["generate", "run", "--prompt", "the", "--tokens", "3"]);
    assert!(told.contains("llmc score"), "{told}");
}

/// Directories of the reference: imported, trained with a rate that moves nothing, written again.
#[test]
fn imported_directories_come_back_byte_for_byte() {
    let refs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/refs/arch");
    let Ok(folders) = fs::read_dir(&refs) else {
        return eprintln!("skipped: the families of ../shared, which is not here");
    };
    let mut names: Vec<String> =
        folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    let mut returned = 0;
    for name in names {
        let place = Workplace::new();
        let directory = refs.join(&name);
        let given = directory.to_string_lossy().into_owned();
        let import = place.llmc(&["import", "hf", &given, "--out", "tune.recipe"]).output().expect("llmc starts");
        if !import.status.success() {
            // A family that the library does not have yet is told, never taken for another.
            let told = String::from_utf8_lossy(&import.stderr).into_owned();
            assert!(told.contains("E0809"), "{name}: {told}");
            continue;
        }
        let few = [
            "tune.budget=1 steps",
            "tune.sequence_length=16 tokens",
            "tune.global_batch=2 sequences",
            "tune.schedule=constant",
            "tune.optimizer=adamw(learning_rate: 1e-30)",
        ];
        let sets: Vec<&str> = few.iter().flat_map(|set| ["--set", set]).collect();
        place.succeed(&[&["run", "tune.recipe", "--out", "out"], sets.as_slice()].concat());
        let before = fs::read(directory.join("model.safetensors")).expect("weights");
        let after = fs::read(place.path("out/tune/checkpoints/step-00000001/model.safetensors")).expect("weights");
        let [before, after] =
            [&before, &after].map(|bytes| SafeTensors::deserialize(bytes).expect("a safetensors file"));
        let sorted = |file: &SafeTensors<'_>| {
            let mut names: Vec<String> = file.names().into_iter().map(|name| name.to_string()).collect();
            names.sort();
            names
        };
        assert_eq!(sorted(&before), sorted(&after), "{name}");
        for tensor in sorted(&before) {
            let [theirs, ours] = [&before, &after].map(|file| file.tensor(&tensor).expect("a tensor"));
            assert!(theirs.shape() == ours.shape() && theirs.data() == ours.data(), "{name}: {tensor}");
        }
        returned += 1;
    }
    assert!(returned >= 7, "{returned} families came back");
}
