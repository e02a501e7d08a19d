//! Going on from a checkpoint: it must be of the same run, and every state comes back bit for bit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use llmc_compiler::plan::{Plan, StagePlan};
use llmc_grammar::codes::{DAMAGED_FILE, NOT_A_CHECKPOINT, OTHER_RECIPE, RUN_EXISTS};
use serde_json::{Value, json};

use crate::checkpoint::compare::differences;
use crate::checkpoint::contents::{RECIPE, RunState, STATE, scaler_states};
use crate::checkpoint::directory::Checkpoints;
use crate::checkpoint::fit::read_joined;
use crate::checkpoint::model::read_json;
use crate::checkpoint::reader::TensorFiles;
use crate::checkpoint::recipe::RecordedRecipe;
use crate::device::Device;
use crate::failure::{AtPath, Failure};
use llmc_data::DataHashes;

/// How a run begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// From nothing; a run that is there already is refused.
    New,
    /// From nothing; a run that is there already is removed.
    Fresh,
    /// From the newest checkpoint of the run's directory, if it has one.
    Newest,
    /// From this checkpoint, or the newest of this run's directory.
    From(PathBuf),
}

/// The checkpoint that `stage` goes on from, if any. `run` is its directory.
///
/// # Errors
/// If there is a run where none is expected, or none where one is.
pub fn choose(start: &Start, run: &Path, stage: &str) -> Result<Option<PathBuf>, Failure> {
    let checkpoints = Checkpoints::of_run(run);
    match start {
        Start::New => match checkpoints.newest() {
            None => Ok(None),
            Some(newest) => Err(Failure::with_help(
                RUN_EXISTS,
                format!("`{}` already holds a run", run.display()),
                format!(
                    "its newest checkpoint is {}; `--resume` goes on from there, `--fresh` starts anew, `--out DIR` writes elsewhere",
                    newest.file_name().unwrap_or_default().to_string_lossy()
                ),
            )),
        },
        Start::Fresh => {
            if run.exists() {
                std::fs::remove_dir_all(run).at("remove", run)?;
            }
            Ok(None)
        }
        Start::Newest => Ok(checkpoints.newest()),
        Start::From(path) if path.join(STATE).exists() => {
            let state: RunState = read_json(&path.join(STATE))?;
            // The stages before the one of that checkpoint are complete, those after it have not begun.
            Ok(if state.stage == stage { Some(path.clone()) } else { checkpoints.newest() })
        }
        Start::From(path) => match Checkpoints::of_run(path).newest() {
            Some(newest) => Ok(Some(newest)),
            None => Err(Failure::new(
                NOT_A_CHECKPOINT,
                format!("`{}` is no checkpoint of llmc and holds none", path.display()),
            )),
        },
    }
}

/// The state of a checkpoint, if it is one of this run.
///
/// # Errors
/// With what differs, if it is not.
pub fn open(checkpoint: &Path, plan: &Plan, stage: &StagePlan, data: &DataHashes) -> Result<RunState, Failure> {
    let state: RunState = read_json(&checkpoint.join(STATE))?;
    let recipe: RecordedRecipe = read_json(&checkpoint.join(RECIPE))?;
    let theirs = recipe.check_again()?.plan;
    let Some(their_stage) = theirs.stages.iter().find(|other| other.name == state.stage) else {
        return Err(Failure::new(
            DAMAGED_FILE,
            format!("`{}` has a recipe without its own stage", checkpoint.display()),
        ));
    };
    let mut lines = differences(&comparable(&theirs, their_stage), &comparable(plan, stage));
    if state.data != data.tokens {
        lines.push("data: the documents have changed since the checkpoint was written".to_owned());
    } else if state.tokenizer != data.tokenizer {
        lines.push("tokenizer: it has changed since the checkpoint was written".to_owned());
    }
    if state.step > stage.steps {
        lines.push(format!("steps: {} done in the checkpoint, {} in the recipe", state.step, stage.steps));
    }
    if lines.is_empty() {
        return Ok(state);
    }
    Err(Failure::with_help(
        OTHER_RECIPE,
        format!("`{}` was written by another run than this recipe's", checkpoint.display()),
        lines.join("\n"),
    ))
}

/// What must be equal: the stage, and the data set and tokenizer that it uses.
fn comparable(plan: &Plan, stage: &StagePlan) -> Value {
    let tokenizer = stage.tokenizer.as_ref().and_then(|name| plan.tokenizers.get(name));
    let parts = plan.shares(&stage.data).parts;
    let datasets: BTreeMap<&String, _> =
        parts.iter().map(|part| (&part.dataset, plan.datasets.get(&part.dataset))).collect();
    json!({
        "stage": stage,
        "datasets": datasets,
        "mixture": plan.mixtures.get(&stage.data),
        "tokenizer": tokenizer,
    })
}

/// Puts weights, moments and the scale of the loss back.
///
/// # Errors
/// If a file is damaged or does not fit.
pub fn restore(device: &mut dyn Device, stage: &StagePlan, checkpoint: &Path) -> Result<(), Failure> {
    let weights = TensorFiles::of_directory(checkpoint)?;
    let moments = TensorFiles::open(&[checkpoint.join("optimizer.safetensors")])?;
    for weight in &stage.model.weights {
        let path = &weight.path;
        device.write_state(&format!("weight/{path}"), &read_joined(&weights, &weight.stored_names())?)?;
        for moment in ["first", "second"].into_iter().filter(|_| stage.trains(weight)) {
            let name = format!("{moment}/{path}");
            device.write_state(&name, &moments.read(&name)?)?;
        }
    }
    for name in scaler_states(stage) {
        device.write_state(name, &moments.read(name)?)?;
    }
    Ok(())
}
