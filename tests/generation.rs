//! Text from checkpoints: the same for the same seed, and the same as without the caches.

use std::fs;

use serde_json::{Value, json};

use crate::support::Workplace;

fn trained() -> Workplace {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "run", "--set", "steps=60"]);
    place
}

#[test]
fn the_same_seed_gives_the_same_text() {
    let place = trained();
    let draw = |seed: &str| {
        place.succeed(&["generate", "run", "--prompt", "the cat", "--tokens", "30", "--top-k", "20", "--seed", seed])
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    assert!(draw("1").starts_with("the cat"));
}

/// Greedy text, byte for byte, must be what one forward pass over all of it finds most likely at every position: each
/// byte's log-probability under `score` must be the largest of all 256.
#[test]
fn the_caches_change_nothing() {
    let place = trained();
    let prompt = "my bird se";
    let text = place.succeed(&["generate", "run", "--prompt", prompt, "--tokens", "20", "--temperature", "0"]);
    let bytes = text.strip_suffix('\n').expect("a line").as_bytes().to_vec();
    assert_eq!(bytes.len(), prompt.len() + 20, "{text:?}");
    for position in [prompt.len(), prompt.len() + 1, prompt.len() + 10, prompt.len() + 19] {
        let lines: String = (0..=256)
            .map(|last| {
                let mut tokens: Vec<u32> = bytes[..position].iter().map(|&byte| u32::from(byte)).collect();
                tokens.push(last);
                format!("{}\n", serde_json::json!({ "tokens": tokens }))
            })
            .collect();
        place.write("all.jsonl", &lines);
        let scores = place.succeed(&["score", "run", "--input", "all.jsonl"]);
        let logprobs: Vec<f64> = scores
            .lines()
            .map(|line| {
                let json: Value = serde_json::from_str(line).expect("JSON");
                json["logprobs"][position - 1].as_f64().expect("a number")
            })
            .collect();
        let total: f64 = logprobs.iter().map(|logprob| logprob.exp()).sum();
        assert!((total - 1.0).abs() < 1e-4, "probabilities sum to {total}");
        let best = (0..logprobs.len()).max_by(|&a, &b| logprobs[a].total_cmp(&logprobs[b])).expect("some");
        assert_eq!(best, usize::from(bytes[position]), "position {position} of {text:?}");
    }
}

#[test]
fn long_prompts_are_read_in_one_go_and_the_context_is_a_limit() {
    let place = trained();
    let prompt = "the cat sees bread. a dog eats milk. my";
    let text = place.succeed(&["generate", "run", "--prompt", prompt, "--tokens", "100", "--temperature", "0"]);
    // 48 positions: the prompt and the tokens read after it, and one more that is only drawn.
    assert_eq!(text.strip_suffix('\n').expect("a line").len(), 49, "{text:?}");
    let long = place.fail(&["generate", "run", "--prompt", &prompt.repeat(2), "--tokens", "1"]);
    assert!(long.contains("E0810") && long.contains("48"), "{long}");
}

/// Prompts of different lengths side by side, some of which end before others: each as if it were alone.
#[test]
fn a_text_does_not_depend_on_its_batch() {
    let place = trained();
    let prompts = ["t", "the cat sees bread. a dog eats milk. my", "a dog", "", "the cat sees", "my bird"];
    let records = prompts.iter().enumerate().filter(|(_, prompt)| !prompt.is_empty());
    let lines = records.map(|(id, prompt)| format!("{}\n", json!({ "id": id, "prompt": prompt, "note": [1] })));
    place.write("prompts.jsonl", &lines.collect::<String>());
    for options in [&["--temperature", "0"][..], &["--seed", "3", "--top-k", "40"], &["--top-p", "0.9"]] {
        let generate = |more: &[&str]| {
            let arguments = [&["generate", "run", "--tokens", "20", "--json"][..], options, more].concat();
            let text = place.succeed(&arguments);
            let mut objects: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let stats = objects.pop().expect("the speed");
            assert!(stats["stats"]["prefill_tokens_per_s"].as_f64().is_some_and(|rate| rate > 0.0), "{stats}");
            objects
        };
        let together = generate(&["--input", "prompts.jsonl", "--batch", "3"]);
        let other = generate(&["--input", "prompts.jsonl", "--batch", "8", "--threads", "1"]);
        assert_eq!((together.len(), &together), (5, &other));
        for object in &together {
            let alone = generate(&["--prompt", object["prompt"].as_str().expect("text")]);
            for field in ["prompt", "text", "tokens", "ending"] {
                assert_eq!(alone[0][field], object[field], "{field} of {object}");
            }
            assert_eq!(object["note"], json!([1]));
        }
        let ids: Vec<&Value> = together.iter().map(|object| &object["id"]).collect();
        assert_eq!(ids, [0, 1, 2, 4, 5].map(|id| json!(id)).iter().collect::<Vec<_>>());
        // The second prompt has 39 of 48 positions, and one token more is drawn than there are positions left.
        assert_eq!(
            (&together[1]["ending"], together[1]["tokens"].as_array().map(Vec::len)),
            (&json!("context"), Some(10))
        );
        assert_eq!(together[0]["ending"], "length");
    }
}

#[test]
fn several_prompts_and_seeds_of_their_own() {
    let place = trained();
    let draw = |arguments: &[&str]| place.succeed(&[&["generate", "run", "--tokens", "12"][..], arguments].concat());
    let (first, second) = (draw(&["--prompt", "the cat", "--seed", "5"]), draw(&["--prompt", "a dog", "--seed", "5"]));
    let both = draw(&["--prompt", "the cat", "--prompt", "a dog", "--seed", "5"]);
    assert_eq!(both, format!("{first}\n{second}\n"));
    place.write("seeds.jsonl", "{\"prompt\": \"the cat\", \"seed\": 5}\n\n{\"prompt\": \"the cat\"}\n");
    let seeds = draw(&["--input", "seeds.jsonl", "--seed", "6"]);
    let other = draw(&["--prompt", "the cat", "--seed", "6"]);
    assert_eq!(seeds, format!("{first}\n{other}\n"));
    assert_ne!(first, other);
    for (line, reason) in
        [("{\"text\": \"a\"}", "`prompt`"), ("{", "JSON"), ("{\"prompt\": \"a\", \"seed\": 0.5}", "seed")]
    {
        place.write("bad.jsonl", &format!("{{\"prompt\": \"a\"}}\n{line}\n"));
        let text = place.fail(&["generate", "run", "--input", "bad.jsonl"]);
        assert!(text.contains("E0812") && text.contains("line 2") && text.contains(reason), "{line}: {text}");
    }
    let long = place.fail(&["generate", "run", "--prompt", "a", "--prompt", &"a".repeat(48)]);
    assert!(long.contains("E0810") && long.contains("prompt 2") && long.contains("48"), "{long}");
}

#[test]
fn a_checkpoint_needs_nothing_but_itself() {
    let place = trained();
    let text = place.succeed(&["generate", "run", "--prompt", "a", "--tokens", "8", "--temperature", "0"]);
    fs::rename(place.path("run/pretrain/checkpoints/step-00000060"), place.path("moved")).expect("moved");
    for gone in ["words.txt", "tiny.recipe"] {
        fs::remove_file(place.path(gone)).expect("removed");
    }
    assert_eq!(place.succeed(&["generate", "moved", "--prompt", "a", "--tokens", "8", "--temperature", "0"]), text);
    // As a Hugging Face directory, without what llmc itself left there.
    fs::remove_file(place.path("moved/recipe.json")).expect("removed");
    assert_eq!(place.succeed(&["generate", "moved", "--prompt", "a", "--tokens", "8", "--temperature", "0"]), text);
}
