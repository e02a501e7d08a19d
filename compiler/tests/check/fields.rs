//! No inert fields: whatever the table lists changes the plan.

use std::path::Path;

use llmc_compiler::check::check;
use llmc_compiler::check::table::{DATASET, Field, Form, KINDS, calls};
use llmc_grammar::source::Source;

use super::world::{Files, rendered};

const TEXT: &str = include_str!("../plans/every_field.recipe");
const TOKENS: &str = include_str!("../plans/token_ids.recipe");
const RANDOM: &str = include_str!("../plans/random_tokens.recipe");
const PRECISION: &str = include_str!("../plans/precision.recipe");
const OBJECTIVES: &str = include_str!("../plans/objectives.recipe");
const CURATION: &str = include_str!("../plans/curation.recipe");
const TOKENIZERS: &str = include_str!("../plans/tokenizers.recipe");
const ROTARY: &str = include_str!("../plans/rotary.recipe");
const MIXTURE: &str = include_str!("../plans/mixture.recipe");
const WEIGHTED: &str = include_str!("../plans/token_weights.recipe");
const FROZEN: &str = include_str!("../plans/frozen.recipe");
const EXTEND: &str = include_str!("../plans/extend.recipe");
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
    ("tokens.weights", WEIGHTED, ", weights: \"loss_weights\"", ""),
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
    ("byte_bpe.special", TOKENIZERS, ", special: \"<|merged|>\"", ""),
    ("wordpiece.vocab", TOKENIZERS, "vocab: 600", "vocab: 601"),
    ("wordpiece.on", TOKENIZERS, "600, on: words", "600, on: others"),
    ("wordpiece.sample", TOKENIZERS, ", sample: 2 MB", ""),
    ("wordpiece.lowercase", TOKENIZERS, ", lowercase: false", ""),
    ("wordpiece.special", TOKENIZERS, "\"[USER]\", ", ""),
    ("unigram.vocab", TOKENIZERS, "vocab: 700", "vocab: 701"),
    ("unigram.on", TOKENIZERS, "700, on: words", "700, on: others"),
    ("unigram.sample", TOKENIZERS, ", sample: 3 MB", ""),
    ("unigram.special", TOKENIZERS, ", special: \"<|likely|>\"", ""),
    ("tiktoken.path", TOKENIZERS, "ranks/mine.tiktoken", "cl100k_base.tiktoken"),
    ("tiktoken.encoding", TOKENIZERS, "encoding: cl100k_base", "encoding: o200k_base"),
    ("tiktoken.special", TOKENIZERS, ", \"<|user|>\"", ""),
    ("stage.model", TEXT, "2 * width", "width"),
    ("stage.data", TEXT, "= words\n", "= others\n"),
    ("stage.tokenizer", DIRECTORY, "tokenizer       = gpt", "tokenizer       = other"),
    ("stage.objective", OBJECTIVES, "causal_lm(label_smoothing: 0.1, z_loss: 1e-4)", "prefix_lm"),
    ("causal_lm.label_smoothing", OBJECTIVES, "label_smoothing: 0.1, ", ""),
    ("causal_lm.z_loss", OBJECTIVES, ", z_loss: 1e-4", ""),
    ("masked_lm.rate", OBJECTIVES, "rate: 20%, ", ""),
    ("masked_lm.random", OBJECTIVES, "random: 5%, ", ""),
    ("masked_lm.unchanged", OBJECTIVES, "unchanged: 5%, ", ""),
    ("masked_lm.whole_words", OBJECTIVES, "whole_words: true, ", ""),
    ("masked_lm.mask", OBJECTIVES, "mask: \"<mask>\", ", ""),
    ("masked_lm.mask_id", OBJECTIVES, "mask_id: 256, mask: none", "mask_id: 255, mask: none"),
    ("masked_lm.label_smoothing", OBJECTIVES, "label_smoothing: 0.2, ", ""),
    ("masked_lm.z_loss", OBJECTIVES, "z_loss: 1e-3,", ""),
    ("prefix_lm.shortest", OBJECTIVES, "shortest: 10%, ", ""),
    ("prefix_lm.longest", OBJECTIVES, "longest: 90%, ", ""),
    ("prefix_lm.label_smoothing", OBJECTIVES, "label_smoothing: 0.3, ", ""),
    ("prefix_lm.z_loss", OBJECTIVES, ", z_loss: 1e-2", ""),
    ("permutation_lm.predict", OBJECTIVES, "predict: 20%, ", ""),
    ("permutation_lm.label_smoothing", OBJECTIVES, "label_smoothing: 0.4, ", ""),
    ("permutation_lm.z_loss", OBJECTIVES, ", z_loss: 1e-5", ""),
    ("span_corruption.density", OBJECTIVES, "density: 20%, mean", "mean"),
    ("span_corruption.mean_span", OBJECTIVES, "mean_span: 4.0, ", ""),
    ("span_corruption.sentinel", OBJECTIVES, "sentinel: \"<span_{}>\", ", ""),
    ("span_corruption.first_sentinel", OBJECTIVES, "first_sentinel: 256,", "first_sentinel: 255,"),
    ("span_corruption.label_smoothing", OBJECTIVES, "label_smoothing: 0.5, ", ""),
    ("span_corruption.z_loss", OBJECTIVES, "z_loss: 1e-6,", ""),
    ("mixture_of.objectives", OBJECTIVES, ", prefix_lm]", ", span_corruption]"),
    ("mixture_of.weights", OBJECTIVES, "weights: [3.0, 1.0], ", ""),
    ("mixture_of.label_smoothing", OBJECTIVES, "label_smoothing: 0.6, ", ""),
    ("mixture_of.z_loss", OBJECTIVES, "z_loss: 1e-7,", ""),
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
    ("stage.packing", TEXT, "packing         = pad", ""),
    ("stage.precision", TEXT, "seed            = 42", "seed            = 42\n  precision       = tf32"),
    ("bf16.stochastic", PRECISION, "fp16(interval: 500)", "bf16(stochastic: true)"),
    ("fp16.scale", PRECISION, "interval: 500", "interval: 500, scale: 1024"),
    ("fp16.growth", PRECISION, "interval: 500", "interval: 500, growth: 1.5"),
    ("fp16.backoff", PRECISION, "interval: 500", "interval: 500, backoff: 0.25"),
    ("fp16.interval", PRECISION, "interval: 500", "interval: 100"),
    ("stage.seed", TEXT, "seed            = 42", ""),
    ("stage.freeze", FROZEN, "freeze = [\"transformer.wte.weight\", \"transformer.h.0.*\"]", ""),
    ("stage.init", DIRECTORY, "init            = hf(\"models/tiny\")", ""),
    ("gguf.file", DIRECTORY, "hf(\"models/tiny\")", "gguf(\"models/tiny\")"),
    ("hf.directory", DIRECTORY, "models/tiny", "models/tiny/"),
    ("stage.extend", EXTEND, "{ extend = interpolate(to: 48 tokens, align: centres) }", "{ seed = 1 }"),
    ("interpolate.to", EXTEND, "to: 48 tokens", "to: 50 tokens"),
    ("interpolate.align", EXTEND, ", align: centres", ""),
    ("rescale_ntk.to", EXTEND, "rescale_ntk(to: 64 tokens)", "rescale_ntk(to: 65 tokens)"),
    ("rescale_dynamic_ntk.to", EXTEND, "dynamic_ntk(to: 64 tokens)", "dynamic_ntk(to: 65 tokens)"),
    ("rescale_yarn.to", EXTEND, "to: 256 tokens", "to: 512 tokens"),
    ("rescale_llama3.to", EXTEND, "to: 2048 tokens", "to: 4096 tokens"),
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
    ("train.good", CURATION, "train(good: reviewed,", "train(good: questions,"),
    ("train.bad", CURATION, "bad: crawled, sample", "bad: questions, sample"),
    ("train.sample", CURATION, ", sample: 4 MB", ""),
    ("train.sample", CURATION, ", sample: 2 MB", ""),
    ("train.on", CURATION, "train(on: reviewed, order", "train(on: crawled, order"),
    ("train.order", CURATION, "order: 4, ", ""),
    (
        "quality.model",
        CURATION,
        "train(good: reviewed, bad: crawled, sample: 4 MB)",
        "train(good: crawled, bad: reviewed)",
    ),
    ("quality.min", CURATION, ", min: 0.7", ""),
    ("perplexity.model", CURATION, "train(on: reviewed, order: 4, sample: 2 MB)", "train(on: crawled)"),
    ("perplexity.min", CURATION, "min: 10, ", ""),
    ("perplexity.max", CURATION, ", max: 2000", ""),
    ("language.keep", CURATION, "[en, de]", "en"),
    ("language.min", CURATION, ", min: 0.9", ""),
    ("score.formula", CURATION, "> 0.4 + 0.1", "> 0.4"),
    (
        "score.quality",
        CURATION,
        "quality: train(good: reviewed, bad: crawled)",
        "quality: train(good: crawled, bad: reviewed)",
    ),
    ("score.fluency", CURATION, "fluency: train(on: reviewed)", "fluency: train(on: crawled)"),
    ("score.language", CURATION, "language: en", "language: fr"),
    ("drop_terms.file", CURATION, "file: \"corpus.txt\"", "file: \"more.txt\""),
    ("drop_terms.max", CURATION, ", max: 2", ""),
    ("drop_terms.leetspeak", CURATION, ", leetspeak: true", ""),
    ("counterfactual.pairs", CURATION, "counterfactual(pairs: \"corpus.txt\", ", "counterfactual("),
    ("counterfactual.share", CURATION, "share: 25%, ", ""),
    ("counterfactual.action", CURATION, "action: add, ", ""),
    ("counterfactual.attributes", CURATION, "add, attributes: \"more.txt\", ", "add, "),
    ("counterfactual.seed", CURATION, ", seed: 7", ""),
    ("reweight.pairs", CURATION, "reweight(pairs: \"corpus.txt\", ", "reweight("),
    ("reweight.ratio", CURATION, "ratio: 1.5, ", ""),
    ("reweight.by", CURATION, "by: copy, max_repeat: 2, ", "by: drop, "),
    ("reweight.max_repeat", CURATION, ", max_repeat: 2", ""),
    ("reweight.attributes", CURATION, "max_repeat: 2, attributes: \"more.txt\", ", "max_repeat: 2, "),
    (
        "reweight.seed",
        CURATION,
        "attributes: \"more.txt\", seed: 7),\n    decon",
        "attributes: \"more.txt\"),\n    decon",
    ),
    ("decontaminate.against", CURATION, "[questions, \"docs.jsonl\"]", "questions"),
    ("decontaminate.ngram", CURATION, "ngram: 10, ", ""),
    ("decontaminate.min_words", CURATION, ", min_words: 5", ""),
    ("decontaminate.action", CURATION, ", action: report", ""),
    ("interpolation.factor", ROTARY, "factor: 2.0", "factor: 9.0"),
    ("ntk.factor", ROTARY, "factor: 3.0", "factor: 9.0"),
    ("dynamic_ntk.factor", ROTARY, "factor: 4.0", "factor: 9.0"),
    ("dynamic_ntk.original", ROTARY, "original: 8)", "original: 9)"),
    ("yarn.factor", ROTARY, "factor: 5.0", "factor: 9.0"),
    ("yarn.original", ROTARY, "original: 16", "original: 9"),
    ("yarn.beta_fast", ROTARY, ", beta_fast: 6.0", ""),
    ("yarn.beta_slow", ROTARY, ", beta_slow: 0.5", ""),
    ("yarn.attention_factor", ROTARY, ", attention_factor: 1.5", ""),
    ("yarn.truncate", ROTARY, ", truncate: false", ""),
    ("llama3.factor", ROTARY, "factor: 7.0", "factor: 9.0"),
    ("llama3.low", ROTARY, ", low: 1.5", ""),
    ("llama3.high", ROTARY, ", high: 5.0", ""),
    ("llama3.original", ROTARY, "original: 32", "original: 9"),
];

/// Fields that only forbid something: `tests/wrong` shows what.
const FORBIDDING: &[&str] = &["dataset.require_license"];

/// Fields with a single choice today: there is nothing to change them to.
const ONE_CHOICE: &[&str] = &["stage.optimizer"];

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
            let edits = EDITS.iter().filter(|(field, ..)| *field == name);
            if let (0, Some((with, without))) = (edits.clone().count(), process_edit(form, row)) {
                assert_ne!(plan(&with), plan(&without), "{name} changes nothing in the plan:\n{with}");
                continue;
            }
            if let Some((with, without)) = source_edit(form, row) {
                assert_ne!(plan(&with), plan(&without), "{name} changes nothing in the plan:\n{with}");
                continue;
            }
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
    let own = ["pattern", "path", "tensor", "weights", "vocab", "count", "seed"];
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
