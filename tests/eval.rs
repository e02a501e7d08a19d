//! What models make of their context: the numbers must be those that `llmc score` gives token by token.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{RECIPE, Workplace, stories260k};

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).expect("JSON")
}

/// A model of 24 positions, and the same extended to 96.
fn trained() -> Workplace {
    let place = Workplace::new();
    let llama = RECIPE.replace("std/gpt2", "std/llama").replace(
        "gpt2(vocab: letters.vocab, context: 48, width: 16, depth: depth, heads: 2, dropout: 0.1)",
        "llama(vocab: letters.vocab, context: 24, width: 16, depth: depth, heads: 2, hidden: 24)",
    );
    let longer =
        "\nstage long from pretrain {\n  extend = interpolate(to: 96 tokens)\n  sequence_length = 96 tokens\n}\n";
    place.write("tiny.recipe", &format!("{llama}{longer}"));
    place.succeed(&["run", "tiny.recipe", "--out", "run", "--set", "steps=24"]);
    place
}

/// Log-probabilities of rows of bytes.
fn score(place: &Workplace, model: &str, rows: &[&[u8]]) -> Vec<Vec<f64>> {
    let lines: String = rows.iter().map(|row| format!("{}\n", json!({ "tokens": row }))).collect();
    place.write("rows.jsonl", &lines);
    let printed = place.succeed(&["score", model, "--input", "rows.jsonl"]);
    let numbers = |line: &str| -> Vec<f64> {
        let score: Value = serde_json::from_str(line).expect("JSON");
        score["logprobs"].as_array().expect("a list").iter().filter_map(Value::as_f64).collect()
    };
    printed.lines().map(numbers).collect()
}

#[test]
fn loss_by_position_is_the_mean_over_rows() {
    let place = trained();
    let text = fs::read_to_string(place.path("words.txt")).expect("words")[..96 * 5 + 7].to_owned();
    place.write("held.txt", &text);
    let arguments = ["eval", "by-position", "run/pretrain", "run/long", "--input", "held.txt", "--out", "eval"];
    let table = place.succeed(&arguments);
    assert!(table.contains("before 24") && table.contains("from 24"), "{table}");
    let found = read(&place.path("eval/by_position.json"));
    assert_eq!(found["length"], 96);
    let rows: Vec<&[u8]> = text.as_bytes().chunks_exact(96).collect();
    let logprobs = score(&place, "run/long", &rows);
    let long = &found["models"][1];
    assert_eq!((long["rows"].as_u64(), long["within_documents"].as_bool()), (Some(5), Some(true)));
    let mut covered = 1;
    for bucket in long["buckets"].as_array().expect("buckets") {
        let [from, to] = ["from", "to"].map(|end| bucket[end].as_u64().expect("a position") as usize);
        assert_eq!(from, covered);
        covered = to;
        let all: Vec<f64> = logprobs.iter().flat_map(|row| &row[from - 1..to - 1]).map(|logprob| -logprob).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        assert!((bucket["loss"].as_f64().expect("a loss") - mean).abs() < 1e-5, "{bucket}: {mean}");
    }
    assert_eq!(covered, 96);
    // Rotary positions have no table: the short model is read behind its context, too.
    assert!(found["models"][0]["buckets"][31]["loss"].is_f64());
    let drawing = fs::read_to_string(place.path("eval/by_position.svg")).expect("a drawing");
    assert_eq!(drawing.matches("<polyline").count(), 2);
    // The data that a recipe holds out, and the same numbers for any number of threads.
    let held = |threads: &str| {
        place.succeed(&[
            "eval",
            "by-position",
            "run/long",
            "--recipe",
            "tiny.recipe",
            "--length",
            "32",
            "--json",
            "--threads",
            threads,
        ])
    };
    assert_eq!(held("1"), held("2"));
}

#[test]
fn a_needle_is_scored_as_the_text_that_it_makes() {
    let place = trained();
    place.write(
        "held.jsonl",
        &format!("{}\n", json!({ "text": fs::read_to_string(place.path("words.txt")).expect("words") })),
    );
    let asked = [
        "eval",
        "needle",
        "run/long",
        "--input",
        "held.jsonl",
        "--lengths",
        "80,96",
        "--depths",
        "0,50",
        "--trials",
        "2",
    ];
    let found: Value = serde_json::from_str(
        &place.succeed(&[&asked[..], &["--json", "--fact", "It is {}.", "--question", "It is"]].concat()),
    )
    .expect("JSON");
    let cells = found["models"][0]["cells"].as_array().expect("cells");
    assert_eq!(cells.len(), 4);
    let text = fs::read_to_string(place.path("words.txt")).expect("words");
    for cell in cells {
        let length = cell["length"].as_u64().expect("a length") as usize;
        let (mut with, mut without) = (0.0, 0.0);
        for (trial, answer) in found["answers"].as_array().expect("answers").iter().enumerate() {
            let answer = answer.as_str().expect("an answer");
            let end = format!("\nIt is {answer}");
            let hay = &text[trial * length..][..length - end.len()];
            let fact = format!(" It is {answer}. ");
            let place_of_it =
                ((length - end.len() - fact.len()) as f64 * cell["depth"].as_f64().expect("a depth")).round() as usize;
            let needle = format!("{}{fact}{}{end}", &hay[..place_of_it], &hay[place_of_it..hay.len() - fact.len()]);
            let plain = format!("{hay}{end}");
            assert_eq!((needle.len(), plain.len()), (length, length));
            let logprobs = score(&place, "run/long", &[needle.as_bytes(), plain.as_bytes()]);
            // The answer has a space and four digits.
            let mean = |row: &[f64]| row[row.len() - 5..].iter().sum::<f64>() / 5.0;
            with += mean(&logprobs[0]) / 2.0;
            without += mean(&logprobs[1]) / 2.0;
        }
        assert!((cell["logprob"].as_f64().expect("a number") - with).abs() < 1e-5, "{cell}: {with}");
        assert!((cell["without"].as_f64().expect("a number") - without).abs() < 1e-5, "{cell}: {without}");
    }
    assert!(place.path("eval/needle.svg").exists());
    let short = place.fail(&["eval", "needle", "run/long", "--input", "held.jsonl", "--lengths", "20"]);
    assert!(short.contains("E0810") && short.contains("--lengths"), "{short}");
    let wrong = place.fail(&["eval", "by-position", "run/long", "--input", "held.jsonl", "--length", "100000"]);
    assert!(wrong.contains("E0810") && wrong.contains("held-out"), "{wrong}");
}

/// A published model reads its own kind of text better with more of it.
#[test]
fn a_real_model_gains_from_context() {
    let Some(model) = stories260k() else { return };
    let place = Workplace::new();
    let model = model.to_string_lossy();
    let story = place.succeed(&["generate", &model, "--prompt", "Once upon a time", "--tokens", "400", "--seed", "5"]);
    place.write("story.txt", &story.repeat(3));
    place.succeed(&["eval", "by-position", &model, "--input", "story.txt", "--length", "256"]);
    let found = read(&place.path("eval/by_position.json"));
    let loss = |bucket: usize| found["models"][0]["buckets"][bucket]["loss"].as_f64().expect("a loss");
    let (first, last) = (loss(0), (24..32).map(loss).sum::<f64>() / 8.0);
    assert!(last + 0.1 < first, "{first} and {last}");
}

/// A published model makes something of a fact, and less of it where it stands in more text: attention is diluted.
#[test]
fn a_real_model_finds_less_in_more_text() {
    let Some(model) = stories260k() else { return };
    let place = Workplace::new();
    let model = model.to_string_lossy();
    let story = |seed: &str| {
        place.succeed(&["generate", &model, "--prompt", "Once upon a time", "--tokens", "400", "--seed", seed])
    };
    place.write("stories.txt", &["1", "2", "3", "4"].map(story).concat());
    let asked = [
        "eval",
        "needle",
        &*model,
        "--input",
        "stories.txt",
        "--lengths",
        "64,256",
        "--trials",
        "6",
        "--fact",
        "There was a girl named {}. {} was happy. {} liked to play.",
        "--question",
        "The girl's name was",
        "--answers",
        "Lily,Sue,Mia,Lucy,Amy,Anna",
        "--json",
    ];
    let found: Value = serde_json::from_str(&place.succeed(&asked)).expect("JSON");
    let gain = |length: u64| {
        let cells = found["models"][0]["cells"].as_array().expect("cells").iter();
        let gains: Vec<f64> = cells
            .filter(|cell| cell["length"] == length)
            .map(|cell| cell["logprob"].as_f64().expect("a number") - cell["without"].as_f64().expect("a number"))
            .collect();
        gains.iter().sum::<f64>() / gains.len() as f64
    };
    assert!(gain(64) > 0.3 && gain(256) > 0.05 && gain(256) < gain(64) - 0.1, "{} and {}", gain(64), gain(256));
}
