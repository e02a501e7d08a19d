//! Sources, types of data and mixtures, through the binary.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{RECIPE, Workplace, stderr};

/// A data set of conversations, one of which holds an address, and one record that is none.
fn conversations() -> Workplace {
    let place = Workplace::new();
    let lines = [
        r#"{"instruction": "Who are you?", "input": "", "output": "A model. Write to jane.doe@example.org."}"#,
        r#"{"instruction": "Who are you?", "input": "", "output": "A model. Write to jane.doe@example.org."}"#,
        r#"{"instruction": "Add.", "input": "1 2", "output": "3"}"#,
        r#"{"instruction": "Nothing follows."}"#,
    ];
    place.write("chats.jsonl", &lines.join("\n"));
    let recipe = "dataset chats {\n  type = dialogue\n  source = jsonl(\"chats.jsonl\", kind: social, license: \"MIT\")\n  \
                  on_error = skip\n  process = [dedup_exact, pii]\n}\n";
    place.write("chats.recipe", recipe);
    place
}

#[test]
fn conversations_are_processed_shown_and_exported() {
    let place = conversations();
    let text = place.succeed(&["data", "chats.recipe", "--preview", "5", "--export", "out"]);
    for part in [
        "social",
        "MIT",
        "1 malformed",
        "duplicate 1",
        "email 1",
        "  user\n    Add.\n    \n    1 2\n",
        "  assistant\n    3\n",
    ] {
        assert!(text.contains(part), "{part}:\n{text}");
    }
    let exported = fs::read_to_string(place.path("out/chats.jsonl")).expect("the export is there");
    let rows: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 2);
    let answer = &rows[0]["record"]["dialogue"]["messages"][1];
    assert_eq!((&answer["role"], &answer["content"]), (&"assistant".into(), &"A model. Write to [EMAIL].".into()));
    assert!(!exported.contains("jane") && !text.contains("jane"));
    let json: Value = serde_json::from_str(&place.succeed(&["data", "chats.recipe", "--json"])).expect("JSON");
    assert_eq!(json["datasets"][0]["sources"][0]["read"]["faults"]["malformed"], 1);
    let unknown = place.fail(&["data", "chats.recipe", "--dataset", "chat"]);
    assert!(unknown.contains("its datasets are: chats"), "{unknown}");
}

#[test]
fn columns_are_checked_before_anything_is_read() {
    let place = conversations();
    let text = place.fail(&["check", "chats.recipe", "--set", "chats.type=preference"]);
    assert!(text.contains("there are `instruction`, `input` and `output`"), "{text}");
    place.write("table.csv", "Text,id\nx,1\n");
    place.write("table.recipe", "dataset table { source = csv(\"table.csv\") }\n");
    let text = place.fail(&["check", "table.recipe"]);
    assert!(text.contains("did you mean `Text`? there are `Text` and `id`"), "{text}");
}

#[test]
fn what_the_build_cannot_read_names_its_feature() {
    if cfg!(feature = "parquet") {
        return;
    }
    let place = Workplace::new();
    place.write("x.parquet", "PAR1");
    place.write("x.recipe", "dataset x { source = parquet(\"x.parquet\") }\n");
    let text = place.fail(&["check", "x.recipe"]);
    assert!(text.contains("E0706") && text.contains("--features parquet"), "{text}");
}

/// The recipe of the tests on two data sets.
fn mixture() -> Workplace {
    let place = Workplace::new();
    let lines: String =
        (0..60).map(|number| format!("{{\"text\": \"{number} green bottles hanging on the wall\"}}\n")).collect();
    place.write("songs.jsonl", &lines);
    let recipe = RECIPE.replace("  data = words", "  data = blend")
        + "\ndataset songs {\n  source = jsonl(\"songs.jsonl\", kind: social, license: \"CC0-1.0\")\n  holdout = 20%\n}\n\
         mixture blend { parts = [part(words, weight: 0.75), part(songs, weight: 0.25)] }\n";
    place.write("blend.recipe", &recipe);
    place
}

#[test]
fn a_mixture_is_trained_on_and_evaluated_part_by_part() {
    let place = mixture();
    let table = place.succeed(&["data", "blend.recipe"]);
    assert!(table.contains("words: 75.0% of the rows") && table.contains("songs: 25.0% of the rows"), "{table}");
    place.succeed(&["run", "blend.recipe"]);
    let run = place.path("runs/blend/pretrain");
    let metrics = fs::read_to_string(run.join("metrics.jsonl")).expect("metrics");
    let last: Value = serde_json::from_str(metrics.lines().last().expect("a line")).expect("JSON");
    let parts = last["heldout_parts"].as_object().expect("held-out losses of the parts");
    assert!(parts["words"].as_f64().unwrap() > 0.0 && parts["songs"].as_f64().unwrap() > 0.0, "{parts:?}");
    let lock = fs::read_to_string(run.join("recipe.lock")).expect("a lock");
    assert!(lock.contains("kind: social") && lock.contains("license: CC0-1.0"), "{lock}");
    let report: Value = serde_json::from_slice(&fs::read(run.join("data.json")).expect("a report")).expect("JSON");
    assert_eq!(report["parts"][1]["share"], 0.25);
    // Resumed from the checkpoint before the last, the same rows and the same weights follow.
    let whole = fs::read(run.join("checkpoints/step-00000012/model.safetensors")).expect("weights");
    let halves = ["run", "blend.recipe", "--out", "halves"];
    place.succeed(&halves);
    fs::remove_dir_all(place.path("halves/pretrain/checkpoints/step-00000012")).expect("the last checkpoint");
    place.succeed(&[&halves[..], &["--resume"]].concat());
    let again = place.path("halves/pretrain/checkpoints/step-00000012/model.safetensors");
    assert_eq!(fs::read(again).expect("weights"), whole);
}

#[test]
fn a_bounded_mixture_says_when_it_runs_out() {
    let place = mixture();
    let recipe = fs::read_to_string(place.path("blend.recipe")).expect("the recipe");
    place.write(
        "blend.recipe",
        &recipe
            .replace("weight: 0.75", "weight: 0.75, epochs: 0.1")
            .replace("weight: 0.25", "weight: 0.25, epochs: 0.1"),
    );
    let text = place.fail(&["data", "blend.recipe"]);
    assert!(text.contains("E0743") && text.contains("budget = "), "{text}");
}

/// Real data sets, where they are there: every record is read.
#[test]
fn real_records_are_read() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    if !shared.is_dir() {
        eprintln!("skipped: ../shared/data is not here");
        return;
    }
    let shared = shared.canonicalize().expect("a directory");
    for (content, source, documents) in [
        ("dialogue", "jsonl(\"instruct/dolly_hhrlhf.jsonl\")", 500),
        ("dialogue", "jsonl(\"instruct/self_instruct_seed.jsonl\")", 175),
        ("dialogue", "jsonl(\"eval/gsm8k_test.jsonl\")", 300),
        ("prompts", "jsonl(\"eval/ifeval.jsonl\")", 200),
        ("preference", "jsonl(\"preference/hh_harmless.jsonl\")", 800),
        ("preference", "jsonl(\"preference/dpo_pairs.jsonl\")", 150),
        ("text", "csv(\"filter/winogender.tsv\", field: \"sentence\")", 720),
        ("text", "csv(\"filter/crows_pairs.csv\", field: \"sent_more\")", 500),
    ] {
        let source = source.replacen("(\"", &format!("(\"{}/", shared.display()), 1);
        let place = Workplace::new();
        place.write("x.recipe", &format!("dataset x {{ type = {content}  source = {source}  on_error = skip }}\n"));
        let output = place.llmc(&["data", "x.recipe", "--json"]).output().expect("llmc starts");
        let Ok(json) = serde_json::from_slice::<Value>(&output.stdout) else {
            assert_eq!(documents, 0, "{source}: {}", stderr(&output));
            continue;
        };
        let read = &json["datasets"][0]["sources"][0]["read"];
        let found = (read["documents"].as_u64().unwrap(), read["faults"]["malformed"].as_u64().unwrap());
        eprintln!("{source}: {found:?}");
        assert!(documents == 0 || found.0 + found.1 == documents, "{source}: {read}");
        assert!(documents == 0 || found.1 * 20 <= documents, "{source}: {read}");
    }
}
