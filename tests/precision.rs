//! 16-bit training: near f32, the same bits whatever interrupts it, steps left out where gradients overflow.

use std::fs;

use serde_json::Value;

use crate::support::{Workplace, checkpoint_file};

fn metrics(place: &Workplace, out: &str) -> Vec<Value> {
    let text = fs::read_to_string(place.path(out).join("pretrain/metrics.jsonl")).expect("metrics");
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn losses(place: &Workplace, out: &str) -> Vec<f64> {
    metrics(place, out).iter().map(|line| line["loss"].as_f64().expect("a loss")).collect()
}

fn train(place: &Workplace, out: &str, precision: &str, more: &[&str]) {
    let set = format!("pretrain.precision={precision}");
    place.succeed(&[&["run", "tiny.recipe", "--out", out, "--set", &set], more].concat());
}

#[test]
fn shorter_floats_train_as_f32_does_within_their_precision() {
    let place = Workplace::new();
    train(&place, "f32", "f32", &[]);
    let exact = losses(&place, "f32");
    for (precision, tolerance) in [("bf16", 1e-2), ("fp16(scale: 1024)", 2e-3)] {
        let [out, plain] = [&precision[..4], "reference"];
        train(&place, out, precision, &["--threads", "3"]);
        let short = losses(&place, out);
        assert_ne!(exact, short, "{precision}");
        train(&place, plain, precision, &["--device", "reference", "--fresh"]);
        let reference = losses(&place, plain);
        for ((exact, short), reference) in exact.iter().zip(&short).zip(&reference) {
            assert!((exact - short).abs() < tolerance * exact, "{precision}: {short} instead of {exact}");
            assert!((reference - short).abs() < tolerance * exact, "{precision}: {short}, plainly {reference}");
        }
        assert!(short[0] - short[short.len() - 1] > 0.2, "{precision}: {short:?}");
    }
}

#[test]
fn weights_rounded_at_random_are_so_again_after_a_restart() {
    let place = Workplace::new();
    let precision = "bf16(stochastic: true)";
    train(&place, "nearest", "bf16", &[]);
    train(&place, "whole", precision, &["--threads", "2"]);
    let whole = losses(&place, "whole");
    assert_ne!(losses(&place, "nearest"), whole);
    assert!(whole[0] - whole[whole.len() - 1] > 0.2, "{whole:?}");
    train(&place, "reference", precision, &["--device", "reference"]);
    for (found, expected) in whole.iter().zip(losses(&place, "reference")) {
        assert!((found - expected).abs() < 1e-3 * expected, "{found}, plainly {expected}");
    }
    let from = place.path("whole/pretrain/checkpoints/step-00000008");
    train(&place, "parts", precision, &["--resume", from.to_str().expect("a path of UTF-8")]);
    let weights = |out: &str| checkpoint_file(&place.path(out), 12, "model.safetensors");
    assert!(weights("whole") == weights("parts"));
    let set = format!("pretrain.precision={precision}");
    let table = place.succeed(&["compile", "tiny.recipe", "--set", &set]);
    assert!(table.lines().any(|line| line.split_whitespace().take(3).eq(["round", "f32", "bf16"])), "{table}");
}

#[test]
fn a_resumed_run_of_scaled_losses_equals_the_uninterrupted_one_bit_for_bit() {
    let place = Workplace::new();
    // So large that steps are left out on both sides of the interruption, and growing soon.
    let precision = "fp16(scale: 1e8, interval: 2)";
    train(&place, "whole", precision, &["--threads", "2"]);
    let lines = metrics(&place, "whole");
    let skipped = |line: &Value| line["skipped"].as_bool().unwrap_or(false);
    for line in lines.iter().filter(|line| skipped(line)) {
        assert!(line["grad_norm"].is_null(), "{line}");
    }
    // The rules of PyTorch's GradScaler.
    let (mut scale, mut good) = (1e8, 0);
    for line in &lines {
        assert_eq!(line["loss_scale"].as_f64(), Some(f64::from(scale as f32)), "{line}");
        if skipped(line) {
            (scale, good) = (scale / 2.0, 0);
        } else {
            good += 1;
            if good == 2 {
                (scale, good) = (scale * 2.0, 0);
            }
        }
    }
    assert!(skipped(&lines[0]) && !lines.iter().all(skipped));

    train(&place, "resumed", precision, &["--threads", "1"]);
    let checkpoints = place.path("resumed").join("pretrain/checkpoints");
    for later in 9..=12 {
        let _ = fs::remove_dir_all(checkpoints.join(format!("step-{later:08}")));
    }
    train(&place, "resumed", precision, &["--resume", "--threads", "3"]);
    for name in ["model.safetensors", "optimizer.safetensors"] {
        let [whole, resumed] = ["whole", "resumed"].map(|out| checkpoint_file(&place.path(out), 12, name));
        assert!(whole == resumed, "{name} differs");
    }
    assert_eq!(losses(&place, "whole"), losses(&place, "resumed"));
}

#[test]
fn a_step_that_is_left_out_changes_nothing() {
    for device in ["cpu", "reference"] {
        let place = Workplace::new();
        // Gradients of a loss scaled like this always overflow.
        for (out, steps) in [("one", "steps=4"), ("two", "steps=8")] {
            train(&place, out, "fp16(scale: 1e30)", &["--set", steps, "--device", device]);
        }
        assert!(metrics(&place, "two").iter().all(|line| line["skipped"] == true), "{device}");
        let name = "model.safetensors";
        assert!(
            checkpoint_file(&place.path("one"), 4, name) == checkpoint_file(&place.path("two"), 8, name),
            "{device}"
        );
    }
}

#[test]
fn what_no_scale_helps_ends_the_run() {
    let place = Workplace::new();
    let error = place.fail(&[
        "run",
        "tiny.recipe",
        "--set",
        "pretrain.precision=fp16(scale: 0.001)",
        "--set",
        "pretrain.optimizer=adamw(learning_rate: 1e30, clip_norm: none)",
    ]);
    assert!(error.contains("gave loss NaN"), "{error}");
}

#[test]
fn emit_shows_where_values_are_rounded() {
    let place = Workplace::new();
    let after = |pass: &str, precision: &str| {
        let set = format!("pretrain.precision={precision}");
        place.succeed(&["emit", "tiny.recipe", "--set", &set, "--program", "accumulate", "--after", pass])
    };
    let [exact, short] = ["f32", "bf16"].map(|precision| after("precision", precision));
    let last = llmc_compiler::optimise::PASSES.last().expect("passes").0;
    assert_eq!(exact, after(last, "bf16"));
    assert!(!exact.contains(" = bf16(") && short.contains(" = bf16("), "{short}");
}

#[test]
fn compile_tells_what_is_kept_in_which_precision() {
    let place = Workplace::new();
    let table = |precision: &str, device: &str| {
        let set = format!("pretrain.precision={precision}");
        place.succeed(&["compile", "tiny.recipe", "--set", &set, "--device", device])
    };
    assert!(!table("f32", "cpu").contains("operator"));
    let line = |text: &str, words: &[&str]| {
        text.lines().any(|line| line.split_whitespace().take(words.len()).eq(words.iter().copied()))
    };
    let text = table("bf16", "cpu");
    for words in [
        // Products read 16 bits on both sides; those that give gradients of weights leave f32.
        ["matmul", "bf16", "bf16"].as_slice(),
        &["matmul", "bf16", "f32"],
        &["attention", "bf16", "bf16"],
        &["cross_entropy", "bf16", "f32"],
        &["adamw", "f32", "f32"],
    ] {
        assert!(line(&text, words), "{words:?}\n{text}");
    }
    assert!(!line(&text, &["matmul", "f32"]), "{text}");
    let activations = |text: &str| -> u64 {
        let line = text.lines().find(|line| line.trim_start().starts_with("activations")).expect("activations");
        line.split_whitespace().nth(1).expect("bytes").replace(',', "").parse().expect("a number")
    };
    // A card keeps 16 bits; a processor rounds, in 32.
    let [f32, bf16, rounded] = [table("f32", "cuda"), table("bf16", "cuda"), text].map(|text| activations(&text));
    assert!(bf16 < rounded && f32 <= rounded, "{f32} {bf16} {rounded}");
}
