//! `llmc data`: steps on real files, their report, export and preview.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

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

/// Data sets that others learn from, a score, groups and an evaluation, from the recipe to the table and `data.json`.
#[test]
fn steps_that_need_other_data_are_told_in_table_and_json() {
    let place = Workplace::new();
    let record = |text: String| serde_json::json!({ "text": text }).to_string() + "\n";
    let prose = |number: u64| {
        let who = ["nurse", "pilot", "judge"][number as usize % 3];
        format!("On day {number} the {who} said that she had lost her way, and that she would come home alone.")
    };
    let spam =
        |number: u64| format!("BUY NOW!!! {number} *** CLICK HERE *** http://a.example/{number} FREE SHIPPING $$$");
    let write = |name: &str, make: &dyn Fn(u64) -> String, range: std::ops::Range<u64>| {
        place.write(name, &range.map(|number| record(make(number))).collect::<String>());
    };
    write("good.jsonl", &prose, 0..100);
    write("bad.jsonl", &spam, 0..100);
    write("docs.jsonl", &|number| if number % 4 == 0 { spam(number) } else { prose(number) }, 200..240);
    place.write("eval.jsonl", &record(prose(201)));
    let steps = "[
    quality(model: train(good: good, bad: bad)),
    perplexity(model: train(on: good), max: 1000),
    language(keep: en, min: 0.2),
    score(0.5 * grammar - spam + 0.1 * quality > 0.1, quality: train(good: good, bad: bad)),
    counterfactual(action: add, share: 100%),
    decontaminate(against: \"eval.jsonl\", ngram: 20, action: report),
  ]";
    let recipe = crate::support::RECIPE
        .replace("source = text(\"words.txt\")", "source = jsonl(\"docs.jsonl\")")
        .replace("holdout = 10%", &format!("holdout = 10%\n  process = {steps}"));
    let others = "dataset good { source = jsonl(\"good.jsonl\") }\ndataset bad { source = jsonl(\"bad.jsonl\") }\n";
    place.write("tiny.recipe", &format!("{recipe}{others}"));
    let table = place.succeed(&["data", "tiny.recipe"]);
    for part in [
        "dropped: quality 10",
        "area under the curve 1.0000",
        "languages: en 30",
        "means: grammar",
        "added: 30 copies",
        "before: 0 documents male, 30 female",
        "after: 30 documents male, 30 female",
        "nurse: with male 0, female 10; after: 10, 10",
        "eval.jsonl: 1 documents hold parts of 1 records",
        "docs.jsonl:2 shares \"On day 201 the nurse said that she had lost her way",
    ] {
        assert!(table.contains(part), "{part}:\n{table}");
    }
    let all: Value = serde_json::from_str(&place.succeed(&["data", "tiny.recipe", "--json"])).expect("one JSON object");
    let steps = &all["process"]["steps"];
    assert_eq!(steps[0]["measures"]["classifier.auc"], 1.0);
    assert_eq!((&steps[4]["added"], &steps[4]["documents_kept"]), (&Value::from(30), &Value::from(60)));
    assert_eq!(steps[4]["measures"]["after.nurse.male"], 10.0);
    assert_eq!(steps[5]["measures"]["eval.jsonl.documents"], 1.0);
    place.succeed(&["data", "tiny.recipe", "--export", "out"]);
    let exported = fs::read_to_string(place.path("out/words.jsonl")).expect("an export");
    assert!(exported.contains("he had lost his way, and that he would come home alone"), "{exported}");
}

/// A small model that takes `documents` or not, evaluated as it is born on documents of many lengths.
fn packed_recipe(packing: &str, documents: bool) -> String {
    let (input, operand) = if documents { ("documents: [B, T],", ", documents: documents") } else { ("", "") };
    let model = format!(
        "import \"std/gpt\"\nmodel told(tokens: [B, T], positions: [B, T], {input} vocab: int) {{\n  \
         table = embedding(vocab, 16, std: 1.0)\n  \
         x = embed(tokens, table) + learned_positions(positions, 24, 16) as positions\n  \
         x = x + attention(x, 2{operand}) as attention\n  unembed(x, table)\n}}\n"
    );
    let (_, rest) = crate::support::RECIPE.split_once("import \"std/gpt2\"").expect("the import");
    let at = rest.find("  model =").expect("the model");
    let end = at + rest[at..].find('\n').expect("a line");
    let recipe = format!("{model}{}  model = told(vocab: letters.vocab){}", &rest[..at], &rest[end..]);
    recipe
        .replace("param depth: int = 2\n", "")
        .replace("source = text(\"words.txt\")", "source = files(\"texts/*.txt\")")
        .replace("holdout = 10%", "holdout = 50%")
        .replace("learning_rate: 1e-2", "learning_rate: 1e-30")
        .replace("evaluate_on = 8 sequences", &format!("evaluate_on = 1000 sequences\n  packing = {packing}"))
}

/// The held-out loss in nats per token, and what is said of the rows.
fn packed_loss(packing: &str, documents: bool) -> (f64, String) {
    let place = Workplace::new();
    fs::create_dir(place.path("texts")).expect("a folder");
    for number in 0..60usize {
        let text: String =
            (0..3 + number * 7 % 40).map(|at| char::from(b'a' + ((at * number + at) % 26) as u8)).collect();
        place.write(&format!("texts/{number:02}.txt"), &text);
    }
    place.write("tiny.recipe", &packed_recipe(packing, documents));
    let table = place.succeed(&["data", "tiny.recipe"]);
    let rows = table.lines().find(|line| line.starts_with("rows:")).expect("a line about rows").to_owned();
    place.succeed(&["run", "tiny.recipe"]);
    let metrics = fs::read_to_string(place.path("runs/tiny/pretrain/metrics.jsonl")).expect("metrics");
    let mut losses = metrics
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).expect("a JSON line")["heldout_loss"].as_f64());
    (losses.next_back().expect("an evaluation"), rows)
}

#[test]
fn packed_documents_do_not_see_one_another() {
    let (alone, padded) = packed_loss("pad", true);
    let (packed, best_fit) = packed_loss("best_fit", true);
    assert!((alone - packed).abs() < 2e-6, "{alone} alone, {packed} beside others");
    assert!(padded.contains("each document by itself") && best_fit.contains("by best fit"), "{padded}\n{best_fit}");
    // A model that is not told documents apart sees what stands before.
    let (alone, _) = packed_loss("pad", false);
    let (packed, _) = packed_loss("best_fit", false);
    assert!((alone - packed).abs() > 1e-3, "{alone} alone, {packed} beside others");
}

/// The finished entries of a cache: when each was written, and its content.
fn entries(cache: &Path) -> BTreeMap<String, (SystemTime, Vec<u8>)> {
    let mut entries = BTreeMap::new();
    for entry in fs::read_dir(cache).into_iter().flatten() {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name");
        // What a killed process had not finished stays behind under such a name.
        if !name.starts_with('.') {
            let written = entry.metadata().expect("facts").modified().expect("a time");
            entries.insert(name, (written, fs::read(entry.path()).expect("a file")));
        }
    }
    entries
}

#[test]
fn a_killed_run_goes_on_and_leaves_the_same_bytes() {
    let place = workplace();
    let lines: String = (0..4000u64)
        .map(|number| {
            let words: String = (0..200).map(|at| format!("w{} ", (number * 7919 + at * 31) % 9973)).collect();
            format!("{}\n", serde_json::json!({ "text": words }))
        })
        .collect();
    place.write("docs.jsonl", &lines);
    let start = |cache: &Path| {
        let mut command = place.llmc(&["data", "tiny.recipe"]);
        command.env("LLMC_CACHE", cache).stdout(Stdio::null()).stderr(Stdio::null());
        command.spawn().expect("llmc starts")
    };
    let (whole, killed) = (place.path("whole"), place.path("killed"));
    assert!(start(&whole).wait().expect("an end").success());
    let mut before: BTreeMap<String, (SystemTime, Vec<u8>)> = BTreeMap::new();
    let mut delay = Duration::from_millis(10);
    let mut kills = 0;
    loop {
        let mut child = start(&killed);
        let begun = Instant::now();
        while child.try_wait().expect("a status").is_none() && begun.elapsed() < delay {
            std::thread::sleep(Duration::from_millis(1));
        }
        // SIGKILL on Unix: nothing is tidied up. One that has ended by itself keeps its status.
        child.kill().expect("a process of ours");
        let status = child.wait().expect("an end");
        let after = entries(&killed);
        for (name, entry) in &before {
            // Only what lies between the passes is removed, when all are done.
            let between = name.contains(".0-");
            assert!(after.get(name).map_or(between, |now| now == entry), "{name} was made again");
        }
        before = after;
        if status.success() {
            break;
        }
        kills += 1;
        delay = delay.mul_f64(1.3);
        assert!(delay < Duration::from_secs(300), "it never ends");
    }
    assert!(kills > 0, "nothing was interrupted");
    let contents = |cache: &Path| -> BTreeMap<String, Vec<u8>> {
        entries(cache).into_iter().map(|(name, (_, content))| (name, content)).collect()
    };
    assert_eq!(contents(&killed).keys().collect::<Vec<_>>(), contents(&whole).keys().collect::<Vec<_>>());
    assert!(contents(&killed) == contents(&whole), "the bytes differ");
}

#[test]
fn tokens_depend_neither_on_threads_nor_on_the_order_of_a_directory() {
    let tokens = |reversed: bool, threads: &str| -> Vec<(String, Vec<u8>)> {
        let place = Workplace::new();
        fs::create_dir(place.path("texts")).expect("a folder");
        let mut numbers: Vec<usize> = (0..80).collect();
        if reversed {
            numbers.reverse();
        }
        for number in numbers {
            let text: String = (0..60).map(|at| format!("w{} ", (number / 2 * 31 + at * 7) % 997)).collect();
            place.write(&format!("texts/{number:02}.txt"), &format!("{text}{}\n", number % 2));
        }
        let recipe = crate::support::RECIPE.replace(
            "source = text(\"words.txt\")",
            "source = files(\"texts/*.txt\")\n  process = [dedup_exact, dedup_near, filter(min_words: 20), pii]",
        );
        place.write("tiny.recipe", &recipe);
        place.succeed(&["data", "tiny.recipe", "--threads", threads]);
        let made = entries(&place.path("cache")).into_iter().filter(|(name, _)| name.starts_with("tokens-"));
        made.map(|(name, (_, content))| (name, content)).collect()
    };
    let wanted = tokens(false, "1");
    assert_eq!(wanted.len(), 2);
    assert!(wanted == tokens(true, "2") && wanted == tokens(false, "3"), "the bytes differ");
}
