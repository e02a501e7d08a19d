//! `llmc data`: steps on real files, their report, export and preview.

use std::fs;

use serde_json::Value;

use crate::support::Workplace;

/// A data set with something for every step.
fn workplace() -> Workplace {
    let place = Workplace::new();
    let story = |subject: &str| -> String {
        (0..30)
            .map(|day| format!("On day {day} of the trip the {subject}{day} and I walked to mile {}.\n", day * 7))
            .collect()
    };
    let record = |text: &str| serde_json::json!({ "text": text }).to_string();
    let lines = [
        record(&story("dog")),
        record(&story("cat")),
        record(&story("dog").to_uppercase()),
        record(&story("cat").replace("On day 4 ", "On the day 4 ")),
        record("too short"),
        record(&format!("{}Write to jane.doe@example.org, or call +1 212 555 0147.\n", story("horse"))),
    ];
    place.write("docs.jsonl", &lines.join("\n"));
    let recipe = crate::support::RECIPE
        .replace("source = text(\"words.txt\")", "source = jsonl(\"docs.jsonl\")")
        .replace("holdout = 10%", "holdout = 10%\n  process = [dedup_exact, dedup_near, filter(min_words: 20), pii]");
    place.write("tiny.recipe", &recipe);
    place
}

#[test]
fn the_table_says_what_every_step_did() {
    let place = workplace();
    let table = place.succeed(&["data", "tiny.recipe"]);
    for part in
        ["dedup_exact", "dropped: near_duplicate 1", "like docs.jsonl:2", "min_words 1", "email 1, phone 1", "held out"]
    {
        assert!(table.contains(part), "{part}:\n{table}");
    }
    assert_eq!(table, place.succeed(&["data", "tiny.recipe", "--threads", "1"]), "from the cache");
    let json = place.succeed(&["data", "tiny.recipe", "--json"]);
    let all: Value = serde_json::from_str(&json).expect("one JSON object");
    let kept: Vec<u64> = all["process"]["steps"]
        .as_array()
        .expect("steps")
        .iter()
        .filter_map(|step| step["documents_kept"].as_u64())
        .collect();
    assert_eq!(kept, [5, 4, 3, 3]);
    assert_eq!(all["stats"]["documents"], 3);
    for text in [&table, &json] {
        assert!(!text.contains("jane") && !text.contains("555 0147"), "{text}");
    }
}

#[test]
fn export_writes_what_is_left_and_what_was_done() {
    let place = workplace();
    place.succeed(&["data", "tiny.recipe", "--export", "out"]);
    let text = fs::read_to_string(place.path("out/words.jsonl")).expect("the export is there");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let positions: Vec<u64> = rows.iter().filter_map(|row| row["position"].as_u64()).collect();
    assert_eq!(positions, [1, 2, 6]);
    assert!(rows[2]["text"].as_str().expect("text").ends_with("Write to [EMAIL], or call [PHONE].\n"));
    assert_eq!(rows[2]["done"], serde_json::json!(["pii: 1 email, 1 phone"]));
    assert!(rows[0]["source"].as_str().expect("source").ends_with("docs.jsonl"));
}

#[test]
fn preview_shows_rows_as_the_model_sees_them() {
    let place = workplace();
    let text = place.succeed(&["data", "tiny.recipe", "--preview", "2"]);
    assert!(text.contains("step 0, row 1: 24 tokens, 24 learned from"), "{text}");
    assert!(!text.contains("row 2") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_run_keeps_the_report_and_other_steps_make_other_tokens() {
    let place = workplace();
    place.succeed(&["run", "tiny.recipe", "--set", "steps=4"]);
    let report: Value =
        serde_json::from_slice(&fs::read(place.path("runs/tiny/pretrain/data.json")).expect("a report")).expect("JSON");
    let process = &report["datasets"][0]["process"];
    assert_eq!((&process["documents_read"], &process["documents_kept"]), (&6.into(), &3.into()));
    let lock = |arguments: &[&str]| {
        let json: Value =
            serde_json::from_str(&place.succeed(&[&["data", "tiny.recipe", "--json"], arguments].concat()))
                .expect("JSON");
        json["hashes"]["tokens"].clone()
    };
    assert_eq!(lock(&[]), lock(&[]));
    assert_ne!(lock(&[]), lock(&["--set", "words.process=dedup_exact"]));
}

#[test]
fn nothing_left_is_a_mistake_that_says_which_step() {
    let place = workplace();
    let text = place.fail(&["data", "tiny.recipe", "--set", "words.process=filter(min_words: 100_000)"]);
    assert!(text.contains("E0720") && text.contains("filter -6"), "{text}");
}
