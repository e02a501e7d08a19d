//! Runs: the same bits whatever interrupts them, and files that are what was predicted.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::Value;

use crate::support::{RECIPE, Workplace, checkpoint_file};

/// Every metric that does not measure time, line by line.
fn curve(run: &Path) -> Vec<String> {
    let text = fs::read_to_string(run.join("pretrain/metrics.jsonl")).expect("metrics");
    text.lines()
        .map(|line| {
            let mut json: Value = serde_json::from_str(line).expect("a JSON line");
            let object = json.as_object_mut().expect("an object");
            object.remove("seconds");
            object.remove("tokens_per_s");
            json.to_string()
        })
        .collect()
}

fn assert_same_run(one: &Path, other: &Path, step: u64) {
    for name in ["model.safetensors", "optimizer.safetensors"] {
        assert!(checkpoint_file(one, step, name) == checkpoint_file(other, step, name), "{name} differs");
    }
    assert_eq!(curve(one), curve(other));
}

#[test]
fn a_resumed_run_equals_the_uninterrupted_one_bit_for_bit() {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "whole", "--threads", "2"]);
    for step in [4, 8] {
        let out = format!("resumed-{step}");
        place.succeed(&["run", "tiny.recipe", "--out", &out, "--threads", "1"]);
        // As if the machine had died after this checkpoint, with the metrics already further.
        let checkpoints = place.path(&out).join("pretrain/checkpoints");
        for later in (step + 1)..=12 {
            let _ = fs::remove_dir_all(checkpoints.join(format!("step-{later:08}")));
        }
        place.succeed(&["run", "tiny.recipe", "--out", &out, "--resume", "--threads", "3"]);
        assert_same_run(&place.path("whole"), &place.path(&out), 12);
    }
}

#[test]
fn a_run_killed_at_any_moment_goes_on_to_the_same_bits() {
    let place = Workplace::new();
    let set = ["--set", "steps=40"];
    place.succeed(&[&["run", "tiny.recipe", "--out", "whole"], &set[..]].concat());
    let killed = place.path("killed");
    let mut delay = 20;
    loop {
        let arguments = [&["run", "tiny.recipe", "--out", "killed", "--resume"], &set[..]].concat();
        let mut child = place.llmc(&arguments).spawn().expect("llmc starts");
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(delay) {
            if child.try_wait().expect("the child is ours").is_some() {
                break;
            }
            sleep(Duration::from_millis(1));
        }
        // SIGKILL; an error means that it has ended by itself.
        let _ = child.kill();
        if child.wait().expect("the child is ours").success() {
            break;
        }
        // A moment later each time, so that every part of the run is hit and the run ends at last.
        delay += 37;
    }
    assert_same_run(&place.path("whole"), &killed, 40);
    let leftovers: Vec<String> = fs::read_dir(killed.join("pretrain/checkpoints"))
        .expect("checkpoints")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.starts_with('.') || name.ends_with(".new"))
        .collect();
    assert_eq!(leftovers, Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_signal_saves_and_says_how_to_go_on() {
    let place = Workplace::new();
    let arguments = [
        "run",
        "tiny.recipe",
        "--out",
        "stopped",
        "--set",
        "steps=100000",
        "--set",
        "pretrain.checkpoint=every(100000 steps)",
    ];
    let child = place.llmc(&arguments).stderr(std::process::Stdio::piped()).spawn().expect("llmc starts");
    let metrics = place.path("stopped/pretrain/metrics.jsonl");
    let began = Instant::now();
    while fs::metadata(&metrics).map_or(0, |file| file.len()) < 500 {
        assert!(began.elapsed() < Duration::from_secs(120), "the run never began");
        sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &id]).status().expect("kill").success());
    let output = child.wait_with_output().expect("the child is ours");
    assert_eq!(output.status.code(), Some(130));
    assert!(crate::support::stderr(&output).contains("--resume"), "{}", crate::support::stderr(&output));
    let latest = fs::read_to_string(place.path("stopped/pretrain/checkpoints/latest")).expect("a checkpoint");
    let lines = fs::read_to_string(&metrics).expect("metrics").lines().count();
    assert_eq!(latest.trim(), format!("step-{lines:08}"));
}

#[test]
fn both_devices_compute_the_same_run() {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "cpu", "--device", "cpu"]);
    place.succeed(&["run", "tiny.recipe", "--out", "reference", "--device", "reference"]);
    let losses = |run: &str| -> Vec<f64> {
        let lines = curve(&place.path(run));
        lines
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["loss"].as_f64().expect("a loss"))
            .collect()
    };
    for (cpu, reference) in losses("cpu").into_iter().zip(losses("reference")) {
        assert!((cpu - reference).abs() < 1e-4 * reference.abs(), "{cpu} and {reference}");
    }
}

#[test]
fn what_is_predicted_is_what_happens() {
    let place = Workplace::new();
    let table = place.succeed(&["compile", "tiny.recipe", "--out", "predicted"]);
    place.succeed(&["run", "tiny.recipe", "--out", "done"]);
    let predicted = |row: &str| -> u64 {
        let line = table.lines().find(|line| line.trim_start().starts_with(row)).expect("the row is there");
        let number: String = line.split_whitespace().nth(row.split(' ').count()).expect("a number").replace(',', "");
        number.parse().expect("a whole number")
    };
    let model = checkpoint_file(&place.path("done"), 12, "model.safetensors");
    let optimizer = checkpoint_file(&place.path("done"), 12, "optimizer.safetensors");
    assert_eq!(predicted("checkpoint"), (model.len() + optimizer.len()) as u64);
    for name in ["plan.yaml", "graph.txt", "graph.opt.txt", "program.txt"] {
        let read = |run: &str| fs::read(place.path(run).join("pretrain").join(name)).expect("the file is there");
        assert!(read("predicted") == read("done"), "{name}");
    }
    let tensors = safetensors::SafeTensors::deserialize(&model).expect("a safetensors file");
    let elements: usize = tensors.iter().map(|(_, view)| view.shape().iter().product::<usize>()).sum();
    assert_eq!(predicted("parameters"), elements as u64);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_checkpoint() {
    let place = Workplace::new();
    let text = place.fail(&[
        "run",
        "tiny.recipe",
        "--out",
        "wild",
        "--set",
        "pretrain.optimizer.learning_rate=1e30",
        "--set",
        "pretrain.optimizer.clip_norm=none",
        "--set",
        "pretrain.schedule.warmup=0 steps",
        "--set",
        "pretrain.checkpoint=every(1 steps)",
    ]);
    assert!(text.contains("E0807"), "{text}");
    let latest = fs::read_to_string(place.path("wild/pretrain/checkpoints/latest")).expect("a checkpoint");
    assert!(text.contains(latest.trim()), "{text}");
}

/// A second stage whose first layer and table stay as they are, with and without accumulation.
#[test]
fn frozen_weights_stay_as_they_are() {
    let place = Workplace::new();
    let frozen = |path: &str| path == "transformer.wte.weight" || path.starts_with("transformer.h.0.");
    let more = "\nstage tune from pretrain {\n  freeze = [\"transformer.wte.weight\", \"transformer.h.0.*\"]\n}\n";
    for (name, recipe) in
        [("accumulated", RECIPE.to_owned()), ("whole", RECIPE.replace("micro_batch = 4", "micro_batch = 8"))]
    {
        place.write("frozen.recipe", &(recipe + more));
        place.succeed(&["run", "frozen.recipe", "--out", name]);
        let file = |stage: &str, file: &str| {
            let path = place.path(name).join(format!("{stage}/checkpoints/step-00000012/{file}.safetensors"));
            fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        };
        let (before, after) = (file("pretrain", "model"), file("tune", "model"));
        let (before, after) =
            (SafeTensors::deserialize(&before).expect("weights"), SafeTensors::deserialize(&after).expect("weights"));
        for (path, weight) in before.iter() {
            let same = weight.data() == after.tensor(path).expect("the same weights").data();
            assert_eq!(same, frozen(path), "{path}");
        }
        let moments = file("tune", "optimizer");
        let moments = SafeTensors::deserialize(&moments).expect("moments");
        let names = moments.names();
        assert_eq!(names.len(), 2 * before.names().into_iter().filter(|path| !frozen(path)).count());
        assert!(names.iter().all(|name| !frozen(name.split_once('/').expect("MOMENT/PATH").1)));
        // It goes on from its own checkpoint to the same bits.
        let last = place.path(name).join("tune/checkpoints/step-00000012");
        let whole = fs::read(last.join("optimizer.safetensors")).expect("moments");
        fs::remove_dir_all(&last).expect("a checkpoint");
        place.succeed(&["run", "frozen.recipe", "--out", name, "--resume"]);
        assert!(whole == fs::read(last.join("optimizer.safetensors")).expect("moments"));
    }
}

#[test]
fn a_run_is_never_mistaken_for_another() {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "run"]);
    assert!(place.fail(&["run", "tiny.recipe", "--out", "run"]).contains("E0805"));
    let other =
        place.fail(&["run", "tiny.recipe", "--out", "run", "--resume", "--set", "depth=3", "--set", "pretrain.seed=8"]);
    assert!(
        other.contains("E0804") && other.contains("stage.model.arguments.depth") && other.contains("stage.seed"),
        "{other}"
    );
    place.write(
        "words.txt",
        "Another text altogether, and long enough for a row or two of training. Twice over.\n".repeat(40).as_str(),
    );
    let changed = place.fail(&["run", "tiny.recipe", "--out", "run", "--resume"]);
    assert!(changed.contains("E0804") && changed.contains("documents have changed"), "{changed}");
    place.succeed(&["run", "tiny.recipe", "--out", "run", "--fresh"]);
}

#[test]
fn a_longer_run_goes_on_where_the_shorter_ended() {
    let place = Workplace::new();
    place.succeed(&["run", "tiny.recipe", "--out", "run"]);
    place.succeed(&["run", "tiny.recipe", "--out", "run", "--resume", "--set", "steps=16"]);
    assert_eq!(curve(&place.path("run")).len(), 16);
    let again = place.succeed(&["run", "tiny.recipe", "--out", "run", "--resume", "--set", "steps=16"]);
    assert!(again.contains("held-out loss") && again.contains("unigram entropy"), "{again}");
}

#[test]
fn resident_memory_is_within_three_percent_of_the_prediction() {
    let place = Workplace::new();
    place.write("large.recipe", &RECIPE.replace("width: 16, ", "").replace("heads: 2, ", ""));
    let large = ["large.recipe", "--set", "depth=8", "--set", "steps=1", "--set", "pretrain.schedule=constant"];
    let table = place.succeed(&[&["compile", "--out", "predicted"], &large[..]].concat());
    let line = table.lines().find(|line| line.trim_start().starts_with("peak memory")).expect("a peak");
    let predicted: f64 = line.split_whitespace().nth(2).expect("bytes").replace(',', "").parse().expect("a number");

    let mut child = place.llmc(&[&["run", "--out", "done"], &large[..]].concat()).spawn().expect("llmc starts");
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    while child.try_wait().expect("a child").is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let resident =
            text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
        peak = f64::max(peak, resident.unwrap_or(0.0) * 1024.0);
        sleep(Duration::from_millis(2));
    }
    assert!(child.wait().expect("a child").success());
    if !Path::new("/proc/self/status").exists() {
        return println!("skipped: this system does not tell the resident set of a process");
    }
    let ratio = peak / predicted;
    assert!((0.97..1.03).contains(&ratio), "{peak} bytes resident, {predicted} predicted: {ratio:.3}");
}
