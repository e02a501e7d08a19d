//! The CUDA device without a card: every kernel runs on the processor behind stand-ins for NVIDIA's libraries
//! (`tests/cuda_shim`), and compiles by NVIDIA's own compiler where that is at hand (`tests/nvrtc.sh`).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::{Workplace, stderr};

/// A small Llama: grouped queries, rotary positions, RMSNorm, SiLU.
fn llama() -> String {
    llama_in("f32")
}

fn llama_in(precision: &str) -> String {
    recipe(
        "llama",
        "llama(vocab: letters.vocab, context: 40, width: 32, depth: 2, heads: 4, kv_heads: 2, hidden: 48)",
        &format!("precision = {precision}\n  "),
    )
}

/// The same of which only the last layer is trained.
fn frozen() -> String {
    llama_in("bf16\n  freeze = [\"model.embed_tokens.*\", \"model.layers.0.*\", \"lm_head.*\"]")
}

/// Routed experts, with groups that have no row, and a loss of their balance.
fn mixtral() -> String {
    let sizes = "context: 40, width: 24, depth: 2, heads: 4, kv_heads: 2, hidden: 40, experts: 5, balance: 0.01";
    recipe("mixtral", &format!("mixtral(vocab: letters.vocab, {sizes})"), "micro_batch = 2 sequences\n  ")
}

/// Six steps of a model of the library.
fn recipe(library: &str, model: &str, more: &str) -> String {
    format!(
        r#"
import "std/{library}"

dataset words {{
  source = text("words.txt")
  holdout = 10%
}}

tokenizer letters {{ load = bytes }}

stage pretrain {{
  model = {model}
  data = words
  tokenizer = letters
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-2, weight_decay: 0.1, clip_norm: 1.0)
  schedule = cosine(warmup: 2 steps, floor: 10%)
  sequence_length = 33 tokens
  global_batch = 4 sequences
  {more}budget = 6 steps
  evaluate = every(3 steps)
  evaluate_on = 4 sequences
  seed = 7
}}
"#
    )
}

/// A hundred experts, of which each token names one itself.
const NAMED: &str = r#"
import "std/nn"

model named(tokens: [B, T], vocab: int) {
  table = embedding(vocab, 8) as table
  x = routed_matmul(lookup(table, tokens), tokens, weight([100, 8, 8]) as experts)
  matmul(x, table, transpose_right: true)
}

dataset words {
  source = text("words.txt")
  holdout = 10%
}

tokenizer letters { load = bytes }

stage pretrain {
  model = named(vocab: letters.vocab)
  data = words
  tokenizer = letters
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-2)
  schedule = cosine(warmup: 2 steps, floor: 10%)
  sequence_length = 4 tokens
  global_batch = 2 sequences
  budget = 2 steps
  seed = 7
}
"#;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The stand-ins, built once; none where there is no C++ compiler. `own` leaves out the library of matrix products.
fn shim(own: bool) -> Option<&'static Path> {
    static BUILT: [OnceLock<Option<tempfile::TempDir>>; 2] = [OnceLock::new(), OnceLock::new()];
    let built = BUILT[usize::from(own)].get_or_init(|| {
        if Command::new("c++").arg("--version").output().is_err() {
            println!("skipped: there is no C++ compiler");
            return None;
        }
        let folder = tempfile::tempdir().expect("a temporary directory");
        let mut build = Command::new("bash");
        build.arg(repository().join("tests/cuda_shim/build.sh")).arg(folder.path());
        if own {
            build.arg("without-cublaslt");
        }
        let output = build.output().expect("bash starts");
        assert!(output.status.success(), "the shim does not build\n{}", stderr(&output));
        Some(folder)
    });
    built.as_ref().map(tempfile::TempDir::path)
}

/// `llmc` with the stand-ins.
fn with_shim(workplace: &Workplace, libraries: &Path, arguments: &[&str]) -> Command {
    let mut command = workplace.llmc(arguments);
    command.env("LLMC_CUDA_LIBS", libraries).env_remove("CUDA_LAUNCH_BLOCKING");
    command
}

fn succeed(mut command: Command) -> String {
    let output = command.output().expect("llmc starts");
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    String::from_utf8(output.stdout).expect("llmc prints UTF-8")
}

fn fail(mut command: Command) -> String {
    let output = command.output().expect("llmc starts");
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{command:?}\n{text}");
    assert!(!text.contains("bug of llmc"), "{text}");
    text
}

/// What a run tells of every step: a number each, none where a line does not have it.
#[derive(Debug, PartialEq)]
struct Curve {
    /// Losses, learning rates, and losses on held-out data.
    losses: Vec<Option<f64>>,
    /// Norms of the gradients.
    norms: Vec<Option<f64>>,
}

fn curve(workplace: &Workplace, out: &str) -> Curve {
    let path = workplace.path(&format!("{out}/pretrain/metrics.jsonl"));
    let text = std::fs::read_to_string(path).expect("metrics");
    let mut curve = Curve { losses: Vec::new(), norms: Vec::new() };
    for line in text.lines() {
        let entry: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        curve.losses.extend(["loss", "lr", "heldout_loss"].map(|field| entry.get(field)?.as_f64()));
        curve.norms.push(entry.get("grad_norm").and_then(serde_json::Value::as_f64));
    }
    let known = curve.losses.iter().chain(&curve.norms).flatten().count();
    assert!(known > 10, "{text}");
    curve
}

fn assert_close(found: &[Option<f64>], expected: &[Option<f64>], tolerance: f64) {
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(expected).enumerate() {
        let is_close = match (found, expected) {
            (Some(found), Some(expected)) => (found - expected).abs() <= tolerance * expected.abs(),
            _ => found == expected,
        };
        assert!(is_close, "number {index}: {found:?} instead of {expected:?}");
    }
}

#[test]
fn every_kernel_agrees_with_the_processor_at_awkward_sizes() {
    // Both orders of threads within a block, own matrix products and cuBLASLt's.
    for (own, order) in [(true, "forward"), (true, "reverse"), (false, "forward")] {
        let Some(libraries) = shim(own) else { return };
        let workplace = Workplace::new();
        let mut command = with_shim(&workplace, libraries, &["check-device", "--device", "cuda"]);
        command.env("LLMC_SHIM_ORDER", order);
        let text = succeed(command);
        assert!(text.contains(" cases, 0 wrong"), "{text}");
        assert!(text.contains(if own { "own matrix products" } else { "cuBLASLt" }), "{text}");
    }
}

#[test]
fn whole_runs_follow_the_processor() {
    for (name, recipe, of_losses, of_norms) in [
        ("tiny", crate::support::RECIPE.to_owned(), 2e-5, 2e-5),
        ("llama", llama(), 2e-5, 2e-5),
        ("mixtral", mixtral(), 2e-5, 2e-5),
        ("bf16", llama_in("bf16"), 1e-3, 5e-2),
        ("fp16", llama_in("fp16(scale: 1024)"), 5e-4, 5e-3),
        ("frozen", frozen(), 1e-3, 5e-2),
        ("stochastic", llama_in("bf16(stochastic: true)"), 1e-3, 5e-2),
        // Every step but the last ones overflows and is left out.
        ("overflow", llama_in("fp16(scale: 1e8)"), 5e-4, 5e-3),
    ] {
        let workplace = Workplace::new();
        let file = format!("{name}.recipe");
        workplace.write(&file, &recipe);
        let run = |out: &'static str| vec!["run".to_owned(), file.clone(), "--out".to_owned(), out.to_owned()];
        fn list(words: &[String]) -> Vec<&str> {
            words.iter().map(String::as_str).collect()
        }
        succeed(workplace.llmc(&list(&run("cpu"))));
        let expected = curve(&workplace, "cpu");
        for (out, own, order) in
            [("forward", true, "forward"), ("reverse", true, "reverse"), ("library", false, "forward")]
        {
            let Some(libraries) = shim(own) else { return };
            let mut words = run(out);
            words.extend(["--device".to_owned(), "cuda".to_owned()]);
            let mut command = with_shim(&workplace, libraries, &list(&words));
            command.env("LLMC_SHIM_ORDER", order);
            succeed(command);
            let found = curve(&workplace, out);
            assert_close(&found.losses, &expected.losses, of_losses);
            assert_close(&found.norms, &expected.norms, of_norms);
        }
        // The order of threads moves no bit.
        assert_eq!(curve(&workplace, "forward"), curve(&workplace, "reverse"));
    }
}

#[test]
fn kernels_of_recipes_agree_at_their_own_sizes() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    workplace.write("llama.recipe", &llama());
    workplace.write("mixtral.recipe", &mixtral());
    workplace.write("bf16.recipe", &llama_in("bf16"));
    workplace.write("fp16.recipe", &llama_in("fp16(scale: 1024)"));
    workplace.write("frozen.recipe", &frozen());
    let recipes = ["tiny.recipe", "llama.recipe", "mixtral.recipe", "bf16.recipe", "fp16.recipe", "frozen.recipe"];
    let arguments = [&["check-device"][..], &recipes, &["--device", "cuda"]].concat();
    let text = succeed(with_shim(&workplace, libraries, &arguments));
    assert!(text.contains(" cases, 0 wrong"), "{text}");
}

#[test]
fn a_resumed_run_continues_to_the_same_bits() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = ["run", "tiny.recipe", "--device", "cuda"].iter().chain(arguments).copied().collect();
        succeed(with_shim(&workplace, libraries, &all))
    };
    run(&["--out", "whole"]);
    let from = workplace.path("whole/pretrain/checkpoints/step-00000008");
    run(&["--out", "parts", "--resume", from.to_str().expect("a path of UTF-8")]);
    let weights = |out: &str| crate::support::checkpoint_file(&workplace.path(out), 12, "model.safetensors");
    assert!(weights("whole") == weights("parts"));
}

#[test]
fn frozen_weights_are_kept_as_they_are_read() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    workplace.write("frozen.recipe", &frozen());
    let run = ["run", "frozen.recipe", "--out"];
    succeed(workplace.llmc(&[&run[..], &["cpu"]].concat()));
    succeed(with_shim(&workplace, libraries, &[&run[..], &["card", "--device", "cuda"]].concat()));
    let [cpu, card] = ["cpu", "card"]
        .map(|out| crate::support::checkpoint_file(&workplace.path(out), 6, "model.safetensors"))
        .map(|bytes| weights(&bytes));
    assert!(cpu.keys().eq(card.keys()));
    let mut rounded = 0;
    for (name, exact) in cpu.iter().filter(|(name, _)| !name.contains("layers.1.") && *name != "model.norm.weight") {
        let is_read_rounded = !name.contains("layernorm");
        let kept = |value: &f32| if is_read_rounded { half::bf16::from_f32(*value).to_f32() } else { *value };
        assert!(exact.iter().map(kept).eq(card[name].iter().copied()), "{name}");
        rounded += usize::from(is_read_rounded);
    }
    assert_eq!(rounded, 9, "{:?}", cpu.keys());
}

/// The tensors of a file of f32.
fn weights(file: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let tensors = safetensors::SafeTensors::deserialize(file).expect("a file of tensors");
    let floats = |data: &[u8]| data.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    tensors.tensors().into_iter().map(|(name, tensor)| (name, floats(tensor.data()))).collect()
}

#[test]
fn algorithms_of_products_are_chosen_by_time_once() {
    let Some(libraries) = shim(false) else { return };
    let workplace = Workplace::new();
    let run = |fastest: &str, cache: &str, arguments: &[&str]| {
        let all: Vec<&str> = ["run", "tiny.recipe", "--device", "cuda"].iter().chain(arguments).copied().collect();
        let mut command = with_shim(&workplace, libraries, &all);
        command.env("LLMC_SHIM_FASTEST", fastest).env("LLMC_CACHE", workplace.path(cache));
        succeed(command);
    };
    run("2", "cache", &["--out", "whole"]);
    let from = workplace.path("whole/pretrain/checkpoints/step-00000008");
    let resume = ["--resume", from.to_str().expect("a path of UTF-8"), "--out"];
    run("0", "cache", &[&resume[..], &["remembered"]].concat());
    run("0", "other", &[&resume[..], &["forgotten"]].concat());
    let weights = |out: &str| crate::support::checkpoint_file(&workplace.path(out), 12, "model.safetensors");
    assert!(weights("remembered") == weights("whole"));
    assert!(weights("forgotten") != weights("whole"));
}

#[test]
fn a_step_that_is_left_out_changes_nothing() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    let weights = |out: &'static str, steps: u64| {
        let budget = format!("steps={steps}");
        // Gradients of a loss scaled like this always overflow.
        let set = ["--set", "pretrain.precision=fp16(scale: 1e30)", "--set", &budget];
        let arguments = [&["run", "tiny.recipe", "--device", "cuda", "--out", out][..], &set].concat();
        succeed(with_shim(&workplace, libraries, &arguments));
        crate::support::checkpoint_file(&workplace.path(out), steps, "model.safetensors")
    };
    assert!(weights("one", 4) == weights("two", 8));
}

#[test]
fn text_is_generated_from_a_cache_on_the_card() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    succeed(workplace.llmc(&["run", "tiny.recipe", "--out", "run"]));
    let arguments = ["generate", "run/pretrain", "--prompt", "the cat", "--tokens", "20", "--temperature", "0"];
    let on_cpu = succeed(workplace.llmc(&arguments));
    let all: Vec<&str> = arguments.iter().copied().chain(["--device", "cuda"]).collect();
    assert_eq!(succeed(with_shim(&workplace, libraries, &all)), on_cpu);
}

#[test]
fn what_is_missing_is_told_with_the_way_out() {
    let workplace = Workplace::new();
    let run = ["run", "tiny.recipe", "--device", "cuda"];
    let hidden = workplace.path("nothing");
    std::fs::create_dir(&hidden).expect("a folder");
    if Path::new("/dev/nvidiactl").exists() {
        println!("skipped: this machine has a card");
    } else {
        let text = fail(with_shim(&workplace, &hidden, &run));
        assert!(text.contains("E0910") && text.contains("--device cpu"), "{text}");
    }
    let Some(libraries) = shim(true) else { return };
    let mut command = with_shim(&workplace, libraries, &run);
    command.env("LLMC_SHIM_CARDS", "0");
    let text = fail(command);
    assert!(text.contains("the driver shows no card"), "{text}");
    let mut command = with_shim(&workplace, libraries, &run);
    command.env("LLMC_SHIM_MEMORY", "100000");
    let text = fail(command);
    assert!(text.contains("E0906") && text.contains("the card has no room"), "{text}");
}

#[test]
fn a_token_outside_the_table_is_told_with_its_place() {
    let Some(text) = outside("tiny.recipe", 999) else { return };
    assert!(text.contains("999") && text.contains("std/gpt2:"), "{text}");
}

#[test]
fn an_id_outside_the_experts_is_told_with_its_place() {
    let Some(text) = outside("named.recipe", 200) else { return };
    assert!(text.contains("200") && text.contains("named.recipe:6"), "{text}");
}

/// What is told of a batch with this token: the same as on the processor.
fn outside(recipe: &str, token: i32) -> Option<String> {
    let libraries = shim(true)?;
    let workplace = Workplace::new();
    workplace.write("named.recipe", NAMED);
    let words = |numbers: [i32; 4]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>();
    let (tokens, targets) = (words([1, 2, token, 4]), words([2, 3, 4, 5]));
    let view = |bytes| safetensors::tensor::TensorView::new(safetensors::Dtype::I32, vec![1, 4], bytes);
    let tensors = [("tokens", view(&tokens)), ("targets", view(&targets)), ("positions", view(&targets))];
    let tensors = tensors.map(|(name, view)| (name, view.expect("a tensor of this size")));
    safetensors::serialize_to_file(tensors, None, &workplace.path("batch.safetensors")).expect("the batch is written");
    let probe = ["probe", recipe, "--batch", "batch.safetensors", "--out", "out.safetensors"];
    let all: Vec<&str> = probe.iter().copied().chain(["--device", "cuda"]).collect();
    let text = fail(with_shim(&workplace, libraries, &all));
    assert_eq!(text, fail(workplace.llmc(&probe)), "as the processor tells it");
    Some(text)
}

#[test]
fn tf32_rounds_matrix_products_alone() {
    let Some(libraries) = shim(false) else { return };
    let workplace = Workplace::new();
    let run = |out: &'static str, precision: &'static str| {
        let arguments = ["run", "tiny.recipe", "--device", "cuda", "--out", out, "--set", precision];
        let output = with_shim(&workplace, libraries, &arguments).output().expect("llmc starts");
        assert!(output.status.success(), "{}", stderr(&output));
        (curve(&workplace, out), stderr(&output))
    };
    let (exact, _) = run("f32", "pretrain.precision=f32");
    let (rounded, told) = run("tf32", "pretrain.precision=tf32");
    assert!(told.contains("cuBLASLt in tf32"), "{told}");
    assert_ne!(exact, rounded);
    assert_close(&rounded.losses, &exact.losses, 5e-3);
    assert_close(&rounded.norms, &exact.norms, 5e-3);
}

#[test]
fn memory_of_a_card_is_what_was_predicted() {
    let Some(libraries) = shim(false) else { return };
    let workplace = Workplace::new();
    let arguments = ["tiny.recipe", "--device", "cuda"];
    let bench = [&["bench"], &arguments[..], &["--steps", "1", "--json"]].concat();
    let text = succeed(with_shim(&workplace, libraries, &bench));
    let summary: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(summary["card_mb"], summary["predicted_peak_mb"], "{text}");
    let summary = succeed(with_shim(&workplace, libraries, &[&["run"], &arguments[..]].concat()));
    assert!(summary.contains(" predicted of the card, ") && summary.contains(" taken, process peak "), "{summary}");
    let table = workplace.succeed(&[&["compile"], &arguments[..]].concat());
    assert!(table.contains("of the card") && table.contains("workspace") && table.contains("host memory"), "{table}");
}

#[test]
fn launches_can_be_waited_for_one_by_one() {
    let Some(libraries) = shim(true) else { return };
    let workplace = Workplace::new();
    let arguments = ["run", "tiny.recipe", "--device", "cuda", "--out"];
    let run = |out: &'static str| arguments.iter().copied().chain([out]).collect::<Vec<_>>();
    succeed(with_shim(&workplace, libraries, &run("recorded")));
    let mut command = with_shim(&workplace, libraries, &run("blocking"));
    command.env("CUDA_LAUNCH_BLOCKING", "1");
    succeed(command);
    assert_eq!(curve(&workplace, "recorded"), curve(&workplace, "blocking"));
}

#[test]
fn cuda_c_of_recipes() {
    let workplace = Workplace::new();
    workplace.write("llama.recipe", &llama());
    workplace.write("llama_bf16.recipe", &llama_in("bf16"));
    for name in ["tiny", "llama", "llama_bf16"] {
        let text = workplace.succeed(&["emit", &format!("{name}.recipe"), "--after", "cuda"]);
        // The library is there as a file of its own.
        let (_, functions) = text.split_once("// ---- kernels\n").expect("the library, then the kernels");
        insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "snapshots" }, {
            insta::assert_snapshot!(format!("cuda_{name}"), functions.trim());
        });
    }
}

#[test]
fn nvidias_compiler_takes_every_kernel_without_spills() {
    let Some(libraries) = std::env::var_os("LLMC_NVRTC_LIBS") else {
        println!("skipped: LLMC_NVRTC_LIBS names no folder with NVRTC (tests/nvrtc.sh)");
        return;
    };
    let workplace = Workplace::new();
    let libraries = PathBuf::from(libraries);
    // Spills depend on sizes, of which the awkward ones are many: one architecture has to do for them.
    let text = succeed(with_shim(&workplace, &libraries, &["check-device", "--compile", "sm_90"]));
    assert!(!text.is_empty() && text.lines().all(|line| line.ends_with("no spills")), "{text}");
    let mut recipes: Vec<PathBuf> = Vec::new();
    for folder in ["recipes", "recipes/architectures", "recipes/bench", "recipes/bench/card", "recipes/objectives"] {
        let files = std::fs::read_dir(repository().join(folder)).expect("the recipes").flatten();
        let paths = files.map(|entry| entry.path());
        recipes.extend(paths.filter(|path| path.extension().is_some_and(|extension| extension == "recipe")));
    }
    recipes.sort();
    // In one command, so that no core waits for the last kernels of a recipe.
    let paths = recipes.iter().map(|path| path.to_str().expect("a path of UTF-8"));
    let architectures = ["--compile", "sm_80,sm_90,sm_100"];
    let arguments: Vec<&str> = ["check-device"].into_iter().chain(paths).chain(architectures).collect();
    let text = succeed(with_shim(&workplace, &libraries, &arguments));
    assert!(text.lines().all(|line| line.ends_with("no spills")), "{text}");
    for recipe in &recipes {
        let name = recipe.file_stem().and_then(|stem| stem.to_str()).expect("a name");
        let compiled = text.lines().filter(|line| line.starts_with(&format!("{name} / "))).count();
        assert!(compiled >= 3, "{name}: {text}");
    }
}
