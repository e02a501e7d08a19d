//! No inert fields: whatever the table lists changes the plan.

use std::path::Path;

use llmc_compiler::check::check;
use llmc_compiler::check::table::{DATASET, Field, Form, KINDS, calls};
use llmc_grammar::source::Source;

use super::world::{Files, rendered};

const TEXT: &str = include_str!("../plans/every_field.recipe");
const TOKENS: &str = include_str!("../plans/token_ids.recipe");
const RANDOM: &str = include_str!("../plans/random_tokens.recipe");
const MIXTURE: &str = include_str!("../plans/mixture.recipe");
const DIRECTORY: &str = include_str!("../plans/from_directory.recipe");

/// The steps that documents of the recipe `TEXT` go through.
const STEPS: &str =
    "process = [dedup_exact, dedup_near(threshold: 0.9), gopher(min_words: 20), pii(kinds: [email, ip])]";

/// A field of the table, a recipe that writes it, and the same with another value.
const EDITS: &[(&str, &str, &str, &str)] = &[
    ("dataset.source", TEXT, "text(\"corpus.txt\"), ", ""),
    ("dataset.holdout", TEXT, "holdout = 5%", ""),
    ("dataset.process", TEXT, STEPS, ""),
    ("dataset.limit", TEXT, "limit   = 24 MB", ""),
    ("dataset.type", MIXTURE, "type    = dialogue", ""),
    ("dataset.on_error", MIXTURE, "on_error = skip", "on_error = replace"),
    ("mixture.parts", MIXTURE, "epochs: 3.5)]", "epochs: 3.5), part(others, weight: 1)]"),
    ("mixture.temperature", MIXTURE, "temperature = 2.0", ""),
    ("part.dataset", MIXTURE, "part(books, ", "part(others, "),
    ("part.weight", MIXTURE, "weight: 0.25", "weight: 0.5"),
    ("part.epochs", MIXTURE, ", epochs: 3.5", ""),
    ("files.pattern", TEXT, "notes/*.md", "src/**/*.rs"),
    ("text.path", TEXT, "corpus.txt", "more.txt"),
    ("jsonl.path", TEXT, "docs.jsonl", "nowhere.jsonl"),
    ("parquet.path", MIXTURE, "parquet(\"chats\"", "parquet(\"chats2\""),
    ("folder.path", MIXTURE, "folder(\"chats\"", "folder(\"chats2\""),
    ("tokens.path", TOKENS, "tokens(\"ids.safetensors\"", "tokens(\"more.safetensors\""),
    ("tokens.tensor", TOKENS, ", tensor: \"input_ids\"", ""),
    ("random_tokens.vocab", RANDOM, "vocab: 100", "vocab: 101"),
    ("random_tokens.count", RANDOM, "count: 4_000 tokens", "count: 8_000 tokens"),
    ("random_tokens.seed", RANDOM, ", seed: 3", ""),
    (
        "tokenizer.train",
        TEXT,
        "train       = byte_bpe(vocab: 1024, on: words, sample: 2 MiB)",
        "load = \"llama/tokenizer.json\"",
    ),
    ("tokenizer.load", DIRECTORY, "load = bytes()", "load = \"gpt2/tokenizer.json\""),
    ("tokenizer.end_of_text", TEXT, "end_of_text = \"</s>\"", ""),
    ("byte_bpe.vocab", TEXT, "vocab: 1024", "vocab: 2048"),
    ("byte_bpe.on", TEXT, "on: words", "on: others"),
    ("byte_bpe.sample", TEXT, ", sample: 2 MiB", ""),
    ("stage.model", TEXT, "2 * width", "width"),
    ("stage.data", TEXT, "= words\n", "= others\n"),
    ("stage.tokenizer", DIRECTORY, "tokenizer       = gpt", "tokenizer       = other"),
    ("adamw.learning_rate", TEXT, "learning_rate: rate", "learning_rate: 2e-3"),
    ("adamw.betas", TEXT, "betas: [0.9, 0.999], ", ""),
    ("adamw.epsilon", TEXT, "epsilon: 1e-6, ", ""),
    ("adamw.weight_decay", TEXT, "weight_decay: 0.01, ", ""),
    ("adamw.decay_all", TEXT, "decay_all: true, ", ""),
    ("adamw.clip_norm", TEXT, ", clip_norm: none", ""),
    ("stage.schedule", TEXT, "warmup_stable_decay(warmup: 10%, decay: 20 steps, floor: 5%)", "constant"),
    ("constant.warmup", TEXT, "warmup_stable_decay(warmup: 10%, decay: 20 steps, floor: 5%)", "constant(warmup: 1%)"),
    ("linear.warmup", TEXT, "warmup_stable_decay(warmup: 10%, decay: 20 steps, floor: 5%)", "linear(warmup: 1%)"),
    ("linear.floor", TEXT, "warmup_stable_decay(warmup: 10%, decay: 20 steps, floor: 5%)", "linear(floor: 5%)"),
    ("cosine.warmup", TOKENS, "warmup: 4 steps", "warmup: 5 steps"),
    ("cosine.floor", TOKENS, ", floor: 10%", ""),
    ("warmup_stable_decay.warmup", TEXT, "warmup: 10%, ", ""),
    ("warmup_stable_decay.decay", TEXT, "decay: 20 steps, ", ""),
    ("warmup_stable_decay.floor", TEXT, ", floor: 5%", ""),
    ("stage.sequence_length", TEXT, "= 32 tokens", "= 64 tokens"),
    ("stage.global_batch", TEXT, "= 1024 tokens", "= 2048 tokens"),
    ("stage.micro_batch", TEXT, "micro_batch     = 8 sequences", ""),
    ("stage.budget", TEXT, "102_400 tokens", "204_800 tokens"),
    ("stage.evaluate", TEXT, "evaluate        = every(25 steps)", ""),
    ("every.interval", TEXT, "every(25 steps)", "every(20 steps)"),
    ("stage.evaluate_on", TEXT, "evaluate_on     = 128 sequences", ""),
    ("stage.checkpoint", TEXT, "checkpoint      = every(50%)\n  keep            = 2", ""),
    ("stage.keep", TEXT, "keep            = 2", ""),
    ("stage.shuffle", TEXT, "shuffle         = none", ""),
    ("stage.seed", TEXT, "seed            = 42", ""),
    ("stage.init", DIRECTORY, "init            = hf(\"models/tiny\")", ""),
    ("hf.directory", DIRECTORY, "models/tiny", "models/tiny/"),
    (
        "stage.sample",
        TEXT,
        "sample          = sample(prompt: \"To be\", tokens: 50, temperature: 0.0, top_k: none)",
        "",
    ),
    ("sample.prompt", TEXT, "To be", "To do"),
    ("sample.tokens", TEXT, "tokens: 50, ", ""),
    ("sample.temperature", TEXT, "temperature: 0.0, ", ""),
    ("sample.top_k", TEXT, ", top_k: none", ""),
];

/// Fields that only forbid something: `tests/wrong` shows what.
const FORBIDDING: &[&str] = &["dataset.require_license"];

/// Fields with a single choice today: there is nothing to change them to.
const ONE_CHOICE: &[&str] = &["stage.objective", "stage.optimizer"];

#[test]
fn every_field_of_the_table_reaches_the_plan() {
    for form in KINDS.into_iter().chain(calls()) {
        for row in form.fields {
            let name = format!("{}.{}", form.name, row.name);
            if FORBIDDING.contains(&name.as_str()) {
                continue;
            }
            if ONE_CHOICE.contains(&name.as_str()) {
                assert_eq!(row.ty.calls().len(), 1, "{name} has several choices: try another");
                continue;
            }
            if let Some((with, without)) = process_edit(form, row) {
                assert_ne!(plan(&with), plan(&without), "{name} changes nothing in the plan:\n{with}");
                continue;
            }
            if let Some((with, without)) = source_edit(form, row) {
                assert_ne!(plan(&with), plan(&without), "{name} changes nothing in the plan:\n{with}");
                continue;
            }
            let edits = EDITS.iter().filter(|(field, ..)| *field == name);
            assert!(edits.clone().count() > 0, "no edit shows what {name} does");
            for (_, recipe, before, after) in edits {
                assert!(recipe.contains(before), "{name}: `{before}` is not in the recipe");
                let changed = recipe.replacen(before, after, 1);
                assert_ne!(plan(recipe), plan(&changed), "{name} changes nothing in the plan");
            }
        }
    }
}

/// For a step of `process`: recipes with this argument and without. Every step's argument is of this kind: its
/// example differs from its default, or `none` does.
fn process_edit(form: &Form, row: &Field) -> Option<(String, String)> {
    let steps = DATASET.field("process")?.ty.calls();
    if !steps.iter().any(|step| std::ptr::eq(*step, form)) {
        return None;
    }
    let value = match row.default() {
        Some(_) if row.takes_none() => "none",
        _ => row.example,
    };
    // `filter` must ask for something.
    let more = if form.name == "filter" && row.name != "min_words" { "min_words: 3" } else { "" };
    let more = if form.name == "filter" && row.name == "min_words" { "max_words: 3" } else { more };
    let recipe = |arguments: String| TEXT.replacen(STEPS, &format!("process = {}({arguments})", form.name), 1);
    let separator = if more.is_empty() { "" } else { ", " };
    Some((recipe(format!("{}: {value}{separator}{more}", row.name)), recipe(more.to_owned())))
}

/// For a source: recipes with this argument and without, in a dataset of a type that has a use for it.
fn source_edit(form: &Form, row: &Field) -> Option<(String, String)> {
    let sources = DATASET.field("source")?.ty.calls();
    let own = ["pattern", "path", "tensor", "vocab", "count", "seed"];
    if !sources.iter().any(|source| std::ptr::eq(*source, form)) || own.contains(&row.name) && form.name != "csv" {
        return None;
    }
    let kind = match row.name {
        "messages" | "prompt" | "response" | "context" => "type = dialogue",
        "chosen" | "rejected" => "type = preference",
        "score" => "type = scored",
        _ => "",
    };
    let (path, other) = match form.name {
        "files" => ("src/**/*.rs", "text(\"corpus.txt\")"),
        "text" => ("corpus.txt", "text(\"more.txt\")"),
        "tokens" => ("ids.bin", "tokens(\"ids.bin\")"),
        _ => ("chats", "jsonl(\"chats\")"),
    };
    let recipe = |path: &str, argument: String| {
        format!("dataset d {{ {kind} source = [{}(\"{path}\"{argument}), {other}] }}\n", form.name)
    };
    let without = recipe(path, String::new());
    Some(match row.name {
        "path" => (recipe("chats.csv", String::new()), without),
        name => (recipe(path, format!(", {name}: {}", row.example)), without),
    })
}

#[test]
fn every_example_of_the_table_is_right() {
    for form in calls() {
        for row in form.fields {
            let text = format!("let value = {}\n", row.example);
            assert!(llmc_grammar::parse(&Source::new("example", text)).is_ok(), "{}.{}", form.name, row.name);
        }
    }
    for form in KINDS {
        let tree = llmc_grammar::parse(&Source::new("example", form.example));
        assert!(tree.is_ok(), "{}", form.name);
    }
}

fn plan(recipe: &str) -> String {
    // Declarations that only some of the edits name.
    let more = "\ndataset others { source = text(\"more.txt\") }\ntokenizer other {\n  load = bytes()\n  end_of_text = \"<end>\"\n}\n";
    let source = Source::new("test.recipe", format!("{recipe}{more}"));
    let world = Files { folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans") };
    match check(&source, &[], &world) {
        Ok(checked) => serde_yaml::to_string(&checked.plan).expect("plain data"),
        Err(diagnostics) => panic!("{recipe}\n{}", rendered(&diagnostics)),
    }
}
