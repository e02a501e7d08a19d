//! `llmc score` on checkpoints and Hugging Face directories.

use serde_json::{Value, json};
use std::path::Path;

use crate::support::Workplace;

fn parse(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn reference() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/reference/llama");
    folder.display().to_string()
}

#[test]
fn every_line_is_scored_alone_and_in_its_place() {
    let place = Workplace::new();
    // Lengths that fall into different batches, in no order.
    let lines: Vec<Vec<u64>> = [5usize, 24, 1, 17, 5, 2, 24, 16]
        .iter()
        .enumerate()
        .map(|(line, &length)| (0..length).map(|at| ((line * 31 + at * 7) % 60) as u64).collect())
        .collect();
    let input: String = lines.iter().map(|tokens| format!("{}\n", json!({ "tokens": tokens }))).collect();
    place.write("all.jsonl", &input);
    let together = parse(&place.succeed(&["score", &reference(), "--input", "all.jsonl"]));
    assert_eq!(together.len(), lines.len());
    for (tokens, score) in lines.iter().zip(&together) {
        let logprobs: Vec<f64> = score["logprobs"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|value| value.as_f64().expect("a number"))
            .collect();
        assert_eq!(logprobs.len(), tokens.len() - 1);
        match score["loss"].as_f64() {
            Some(loss) => {
                let mean = -logprobs.iter().sum::<f64>() / logprobs.len() as f64;
                assert!((loss - mean).abs() < 1e-5, "{loss} and {mean}");
            }
            None => assert_eq!(tokens.len(), 1),
        }
        place.write("one.jsonl", &json!({ "tokens": tokens }).to_string());
        let alone = parse(&place.succeed(&["score", &reference(), "--input", "one.jsonl"]));
        for (value, together) in alone[0]["logprobs"].as_array().expect("a list").iter().zip(&logprobs) {
            let difference = (value.as_f64().expect("a number") - together).abs();
            assert!(difference < 1e-5, "{difference}");
        }
    }
}

#[test]
fn a_line_that_cannot_be_scored_is_named() {
    let place = Workplace::new();
    let good = json!({ "tokens": [1, 2, 3] }).to_string();
    let long = json!({ "tokens": vec![1; 5000] }).to_string();
    for (bad, reason) in [
        ("{", "not JSON"),
        ("{}", "exactly one of"),
        ("{\"tokens\": [1, 99999]}", "token 99999"),
        ("{\"tokens\": []}", "no tokens"),
        ("{\"text\": \"hello\"}", "no tokenizer.json"),
        (long.as_str(), "context"),
    ] {
        place.write("bad.jsonl", &format!("{good}\n{bad}\n"));
        let text = place.fail(&["score", &reference(), "--input", "bad.jsonl"]);
        assert!(text.contains("E0811") && text.contains("line 2") && text.contains(reason), "{bad}: {text}");
    }
}
