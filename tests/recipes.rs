//! What each recipe becomes: tree, plan, lowered and optimised graph, as snapshots beside the recipe's own text.
//!
//! The models are cut to one layer, so that a person can read the result; their other sizes are those of the recipe.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Recipe, and the program that holds its forward and backward pass.
const RECIPES: [(&str, &str); 4] =
    [("quickstart", "update"), ("gpt2-124m", "accumulate"), ("llama3-8b", "accumulate"), ("tinyshakespeare", "update")];

fn emit(recipe: &Path, program: &str, after: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_llmc"));
    command.arg("emit").arg(recipe).args(["--after", after, "--program", program, "--set", "pretrain.model.depth=1"]);
    let output = command.output().expect("llmc starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("llmc prints UTF-8")
}

#[test]
fn every_recipe_compiles_to_what_it_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    for (name, program) in RECIPES {
        let recipe = folder.join(format!("{name}.recipe"));
        let source = fs::read_to_string(&recipe).expect("the recipe is there");
        for (stage, after) in [("tree", "tree"), ("plan", "plan"), ("lowered", "lower"), ("optimised", "dead")] {
            let text = format!("{source}\n==== {stage}, one layer\n{}", emit(&recipe, program, after));
            // Places are printed relative to the folder, whatever it is called here.
            let text = text.replace(&format!("{}/", folder.display()), "");
            insta::assert_snapshot!(format!("{name}_{stage}"), text);
        }
    }
}

#[test]
fn every_objective_compiles_to_the_graph_that_it_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes/objectives");
    for name in ["masked", "prefix", "spans", "permutation", "mixture"] {
        let recipe = folder.join(format!("{name}.recipe"));
        let source = fs::read_to_string(&recipe).expect("the recipe is there");
        let text = format!("{source}\n==== optimised, one layer\n{}", emit(&recipe, "update", "dead"));
        insta::assert_snapshot!(format!("objective_{name}"), text.replace(&format!("{}/", folder.display()), ""));
    }
}

#[test]
fn every_recipe_is_sound_and_laid_out_canonically() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes");
    let mut paths = Vec::new();
    for part in [".", "std", "bench", "objectives", "architectures"] {
        let folder = folder.join(part);
        let entries = fs::read_dir(folder).expect("a folder of recipes").map(|entry| entry.expect("an entry").path());
        paths.extend(entries.filter(|path| path.extension().is_some_and(|extension| extension == "recipe")));
    }
    assert!(paths.len() >= 25);
    let llmc = |arguments: &[&str], paths: &[PathBuf]| {
        let output = Command::new(env!("CARGO_BIN_EXE_llmc")).args(arguments).args(paths).output();
        let output = output.expect("llmc starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    llmc(&["fmt", "--check"], &paths);
    for path in paths.into_iter().filter(|path| !path.parent().is_some_and(|folder| folder.ends_with("std"))) {
        llmc(&["check"], &[path]);
    }
}
