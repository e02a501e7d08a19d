//! What the command line says, and with which exit code.

use std::fs;
use std::process::Stdio;

use crate::support::{RECIPE, Workplace};

#[test]
fn exit_codes_tell_success_mistake_and_misuse() {
    let place = Workplace::new();
    let code = |arguments: &[&str]| place.llmc(arguments).output().expect("llmc starts").status.code();
    assert_eq!(code(&["--help"]), Some(0));
    assert_eq!(code(&["--version"]), Some(0));
    assert_eq!(code(&["check", "tiny.recipe"]), Some(0));
    assert_eq!(code(&["check", "nowhere.recipe"]), Some(1));
    assert_eq!(code(&["check"]), Some(2));
    assert_eq!(code(&["train", "tiny.recipe"]), Some(2));
    assert_eq!(code(&["generate", "x", "--temperature", "-1"]), Some(2));
    assert_eq!(code(&["run", "tiny.recipe", "--resume", "x", "--fresh"]), Some(2));
}

#[test]
fn mistakes_carry_their_code_and_the_way_out() {
    let place = Workplace::new();
    for (arguments, expected) in [
        (&["check", "nowhere.recipe"][..], &["E0901", "nowhere.recipe"][..]),
        (&["check", "tiny.recipe", "--set", "steps"], &["E0902", "NAME=VALUE"]),
        (&["check", "tiny.recipe", "--set", "stepz=3"], &["steps"]),
        (&["run", "tiny.recipe", "--stage", "sft"], &["E0903", "pretrain"]),
        (&["explain", "E9999"], &["E0904"]),
        (&["emit", "tiny.recipe", "--after", "nothing"], &["E0907", "schedule"]),
        (&["generate", "nowhere"], &["E0801", "nowhere"]),
        (&["generate", "."], &["E0801"]),
        (&["score", "nowhere", "--input", "x.jsonl"], &["E0801"]),
        (&["run", "tiny.recipe", "--resume", "nowhere"], &["E0801"]),
    ] {
        let text = place.fail(arguments);
        for part in expected {
            assert!(text.contains(part), "{arguments:?} does not say {part}:\n{text}");
        }
    }
}

#[test]
fn damaged_checkpoints_are_told_not_crashed_on() {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "run", "--set", "steps=4"]);
    let checkpoint = place.path("run/pretrain/checkpoints/step-00000004");
    for name in ["model.safetensors", "config.json", "tokenizer.json", "recipe.json", "state.json"] {
        let path = checkpoint.join(name);
        let whole = fs::read(&path).expect("the file is there");
        for damaged in [&whole[..whole.len() / 2], b"", b"\0\0\0\0\0\0\0\x80{}"] {
            fs::write(&path, damaged).expect("written");
            let text = place.fail(&["generate", "run", "--tokens", "1", "--prompt", "a"]);
            assert!(text.contains(name), "{name}: {text}");
        }
        fs::write(&path, &whole).expect("written");
    }
    let optimizer = checkpoint.join("optimizer.safetensors");
    fs::write(&optimizer, b"short").expect("written");
    let text = place.fail(&["run", "tiny.recipe", "--out", "run", "--resume", "--set", "steps=8"]);
    assert!(text.contains("E0802") && text.contains("optimizer.safetensors"), "{text}");
}

#[test]
fn every_part_of_the_compiler_can_be_looked_at() {
    let place = Workplace::new();
    for part in ["tree", "plan", "lower", "dead", "schedule"] {
        let emit = || place.succeed(&["emit", "tiny.recipe", "--after", part]);
        let text = emit();
        assert!(text.lines().count() > 5, "{part}: {text}");
        assert_eq!(text, emit(), "{part} is not the same twice");
    }
    let evaluate = place.succeed(&["emit", "tiny.recipe", "--after", "schedule", "--program", "evaluate"]);
    assert!(evaluate.contains("loss_sum"), "{evaluate}");
}

#[test]
fn layout_is_checked_and_mended() {
    let place = Workplace::new();
    place.write("ugly.recipe", "dataset   a{source=text(\"words.txt\")}\n");
    assert!(place.fail(&["fmt", "--check", "ugly.recipe"]).contains("E0908"));
    place.succeed(&["fmt", "ugly.recipe"]);
    place.succeed(&["fmt", "--check", "ugly.recipe"]);
    assert!(place.succeed(&["explain", "E0908"]).contains("E0908"));
    assert!(place.succeed(&["explain", "global_batch"]).contains("global_batch"));
}

#[test]
fn no_colours_outside_a_terminal_and_none_where_refused() {
    let place = Workplace::new();
    place.write("wrong.recipe", "stage a { data = nothing }\n");
    let text = place.fail(&["check", "wrong.recipe"]);
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let place = Workplace::new();
    let arguments = ["emit", "tiny.recipe", "--after", "lower"];
    let mut child = place.llmc(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("llmc starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("the child is ours");
    assert!(output.status.success());
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn any_number_of_parts_can_be_joined() {
    let place = Workplace::new();
    let parts = vec!["x"; 300].join(", ");
    let model = format!(
        "model joined(tokens: [B, T], vocab: int) {{
  table = weight([vocab, 4]) as table
  x = lookup(table, tokens)
  y = concat([{parts}], axis: -1)
  matmul(slice(y, axis: -1, start: 8, length: 4), table, transpose_right: true)
}}
"
    );
    let (start, end) = (RECIPE.find("model = gpt2").expect("a model"), RECIPE.find("  data = words").expect("data"));
    let recipe = RECIPE.replace(&RECIPE[start..end], "model = joined(vocab: letters.vocab)\n");
    let recipe = recipe.replace("import \"std/gpt2\"", &model).replace("param depth: int = 2\n", "");
    place.write("joined.recipe", &recipe);
    place.succeed(&["run", "joined.recipe", "--set", "steps=3"]);
}
