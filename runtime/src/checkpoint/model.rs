//! A trained model from a directory: a checkpoint of ours, a run's directory, or a Hugging Face directory.

use std::path::{Path, PathBuf};

use llmc_compiler::check::model::rows_looked_up;
use llmc_compiler::plan::{
    InitPlan, ModelOp, ModelPlan, ObjectivePlan, OptimizerPlan, Packing, Rotary, RotaryScaling, ScheduleKind,
    SchedulePlan, StagePlan,
};
use llmc_grammar::codes::{DAMAGED_FILE, NOT_A_CHECKPOINT};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::contents::{RECIPE, RunState, STATE};
use super::directory::Checkpoints;
use super::family::StandardLibrary;
use super::gguf::{GgufFile, is_gguf};
use super::reader::TensorFiles;
use super::recipe::RecordedRecipe;
use crate::failure::{AtPath, Failure};
use llmc_data::tokenizer::Tokenizer;

/// A model that can be run.
#[derive(Debug)]
pub struct TrainedModel {
    /// Where it lies: a directory, or a GGUF file.
    pub directory: PathBuf,
    /// The stage that it comes from; for other directories only its model matters.
    pub stage: StagePlan,
    /// Its weights.
    pub weights: TensorFiles,
    /// Its tokenizer, if there is one.
    pub tokenizer: Option<Tokenizer>,
    /// Why there is none.
    pub no_tokenizer: String,
    /// The ids that end a text.
    pub end_of_text: Vec<u32>,
    /// The id that begins a text.
    pub begin_of_text: Option<u32>,
}

impl TrainedModel {
    /// Opens a directory or a GGUF file.
    ///
    /// # Errors
    /// If it holds no model, or a damaged one, or one of an unknown family.
    pub fn open(directory: &Path) -> Result<TrainedModel, Failure> {
        if is_gguf(directory) {
            return TrainedModel::of_gguf(directory);
        }
        let directory = locate(directory)?;
        let weights = TensorFiles::of_directory(&directory)?;
        let config_path = directory.join("config.json");
        let config: Option<Value> = config_path.exists().then(|| read_json(&config_path)).transpose()?;
        let stage = if directory.join(RECIPE).exists() {
            recorded_stage(&directory)?
        } else if let Some(config) = &config {
            stage_of(StandardLibrary::new()?.model(config, &directory.display().to_string())?.plan, config)
        } else {
            return Err(Failure::new(
                NOT_A_CHECKPOINT,
                format!("`{}` holds neither `{RECIPE}` nor `config.json`", directory.display()),
            ));
        };
        let tokenizer_path = directory.join("tokenizer.json");
        let tokenizer = tokenizer_path.exists().then(|| Tokenizer::load(&tokenizer_path)).transpose()?;
        let generation = directory.join("generation_config.json");
        let generation: Option<Value> = generation.exists().then(|| read_json(&generation)).transpose()?;
        let ids = |key: &str| -> Vec<u32> {
            let found = [&generation, &config]
                .into_iter()
                .flatten()
                .find_map(|json| json.get(key).filter(|value| !value.is_null()));
            found.map(token_ids).unwrap_or_default()
        };
        let mut end_of_text = ids("eos_token_id");
        if let (true, Some(tokenizer)) = (end_of_text.is_empty(), &tokenizer) {
            end_of_text.extend(tokenizer.id(llmc_data::tokenizer::END_OF_TEXT));
        }
        Ok(TrainedModel {
            begin_of_text: ids("bos_token_id").first().copied(),
            directory,
            stage,
            weights,
            tokenizer,
            no_tokenizer: "the directory has no tokenizer.json".to_owned(),
            end_of_text,
        })
    }

    fn of_gguf(path: &Path) -> Result<TrainedModel, Failure> {
        let file = GgufFile::open(path)?;
        let known = StandardLibrary::new()?.model(&file.config, &path.display().to_string())?;
        let (tokenizer, no_tokenizer) = match file.tokenizer() {
            Ok(tokenizer) => (Some(tokenizer), String::new()),
            Err(reason) => (None, reason),
        };
        Ok(TrainedModel {
            directory: path.to_owned(),
            begin_of_text: token_ids(&file.config["bos_token_id"]).first().copied(),
            end_of_text: token_ids(&file.config["eos_token_id"]),
            stage: stage_of(known.plan, &file.config),
            weights: file.weights,
            tokenizer,
            no_tokenizer,
        })
    }

    /// Takes another tokenizer.
    ///
    /// # Errors
    /// If the file is no tokenizer.
    pub fn with_tokenizer(mut self, path: Option<&Path>) -> Result<TrainedModel, Failure> {
        if let Some(path) = path {
            self.tokenizer = Some(Tokenizer::load(path)?);
        }
        Ok(self)
    }

    /// Its tokenizer.
    ///
    /// # Errors
    /// If it has none, with the reason.
    pub fn text_tokenizer(&self) -> Result<&Tokenizer, Failure> {
        self.tokenizer.as_ref().ok_or_else(|| {
            Failure::with_help(
                NOT_A_CHECKPOINT,
                format!("there is no text to go in or out of `{}`: {}", self.directory.display(), self.no_tokenizer),
                "`--tokenizer FILE` names a tokenizer.json",
            )
        })
    }

    /// Tokens of the longest text that the model reads.
    pub fn context(&self) -> u64 {
        context(&self.stage)
    }

    /// Positions that the model has a weight for; none where it can read longer texts than it was made for.
    pub fn positions(&self) -> Option<u64> {
        rows_looked_up(&self.stage.model, "positions")
    }
}

/// Positions that a model has: what its `config.json` says, else the rows that it was trained on. Under dynamic NTK scaling
/// the config says those of the first training, and the model reads `factor` times as many.
pub fn context(stage: &StagePlan) -> u64 {
    let config = stage.model.config.as_ref();
    let written = ["max_position_embeddings", "n_positions", "n_ctx"]
        .iter()
        .find_map(|key| config?.get(*key)?.as_u64())
        .unwrap_or(stage.sequence_length);
    let stretched = stage.model.nodes.iter().find_map(|node| match &node.op {
        ModelOp::Rotate(Rotary { scaling: RotaryScaling::DynamicNtk { factor, original }, .. }) => {
            Some((factor * *original as f64).round() as u64)
        }
        _ => None,
    });
    written.max(stretched.unwrap_or(0))
}

/// The directory itself, or the newest checkpoint of the run or runs' directory that it is.
fn locate(directory: &Path) -> Result<PathBuf, Failure> {
    let holds_model = |path: &Path| {
        path.join("config.json").exists() || path.join(RECIPE).exists() || path.join("model.safetensors").exists()
    };
    if holds_model(directory) {
        return Ok(directory.to_owned());
    }
    if let Some(newest) = Checkpoints::of_run(directory).newest() {
        return Ok(newest);
    }
    // A recipe's directory: the stage that was trained last, by the time of its newest checkpoint.
    let stages = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let newest = stages
        .filter_map(|entry| Checkpoints::of_run(&entry.path()).newest())
        .filter_map(|path| Some((path.metadata().ok()?.modified().ok()?, path)))
        .max();
    newest.map(|(_, path)| path).ok_or_else(|| {
        let message = match directory.exists() {
            true => format!("`{}` holds no model and no checkpoint", directory.display()),
            false => format!("there is no directory `{}`", directory.display()),
        };
        Failure::with_help(
            NOT_A_CHECKPOINT,
            message,
            "name a checkpoint, a run's directory, or a Hugging Face directory with config.json and model.safetensors",
        )
    })
}

/// Reads a JSON file of a known form.
///
/// # Errors
/// If it cannot be read or is not of this form.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = std::fs::read_to_string(path).at("read", path)?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::new(DAMAGED_FILE, format!("`{}` is damaged: {error}", path.display())))
}

/// The stage that a checkpoint of ours was made by.
fn recorded_stage(directory: &Path) -> Result<StagePlan, Failure> {
    let recipe: RecordedRecipe = read_json(&directory.join(RECIPE))?;
    let state: RunState = read_json(&directory.join(STATE))?;
    let plan = recipe.check_again()?.plan;
    let stage = plan.stages.into_iter().find(|stage| stage.name == state.stage);
    stage.ok_or_else(|| {
        Failure::new(DAMAGED_FILE, format!("the recipe in `{}` has no stage `{}`", directory.display(), state.stage))
    })
}

/// One id or a list of them.
pub fn token_ids(value: &Value) -> Vec<u32> {
    let list = match value {
        Value::Array(list) => list.as_slice(),
        single => std::slice::from_ref(single),
    };
    list.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect()
}

/// A stage around a model that llmc did not train: its settings of training are never used.
fn stage_of(model: ModelPlan, config: &Value) -> StagePlan {
    let length = ["max_position_embeddings", "n_positions", "n_ctx"]
        .iter()
        .find_map(|key| config.get(*key)?.as_u64())
        .unwrap_or(1024);
    StagePlan {
        name: "model".to_owned(),
        init: InitPlan::Random,
        frozen: Vec::new(),
        weighted: false,
        extend: None,
        model,
        data: String::new(),
        tokenizer: None,
        objective: ObjectivePlan::causal_lm(),
        optimizer: OptimizerPlan::Adamw {
            learning_rate: 0.0,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.0,
            decay_all: false,
            clip_norm: None,
        },
        schedule: SchedulePlan { kind: ScheduleKind::Constant, warmup: 0, floor: 1.0, decay: 0, steps: 1 },
        sequence_length: length,
        target_length: None,
        micro_batch: 1,
        accumulation: 1,
        epochs: Vec::new(),
        steps: 1,
        evaluate_every: None,
        evaluate_rows: 0,
        checkpoint_every: None,
        keep: 0,
        shuffle: false,
        packing: Packing::Concatenate,
        precision: Default::default(),
        seed: 0,
        sample: None,
    }
}
