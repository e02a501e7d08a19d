//! What lies in a checkpoint directory besides the tensors themselves, so that `transformers` loads it as it is and llmc
//! needs nothing but the directory.

use std::collections::BTreeMap;
use std::path::Path;

use llmc_compiler::lower::SCALER_STATES;
use llmc_compiler::plan::{ModelPlan, StagePlan};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::directory::write_file;
use super::recipe::RecordedRecipe;
use super::tensors::Layout;
use crate::device::Device;
use crate::failure::Failure;
use llmc_data::tokenizer::Tokenizer;

/// The file that tells how far a run has come.
pub const STATE: &str = "state.json";
/// The file that holds the recipe with what the checker asked of the world.
pub const RECIPE: &str = "recipe.json";

/// How far a run has come, and what it must be to go on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunState {
    /// The version of llmc that wrote it.
    pub llmc: String,
    /// The stage's name.
    pub stage: String,
    /// Optimizer steps done.
    pub step: u64,
    /// Tokens seen.
    pub tokens: u64,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The stage's seed.
    pub seed: u64,
    /// blake3 of the recipe with its imports and overrides.
    pub recipe: String,
    /// blake3 of the prepared tokens and all that they depend on.
    pub data: String,
    /// blake3 of the tokenizer.
    pub tokenizer: Option<String>,
    /// blake3 of the lowered graphs' text.
    pub graph: String,
}

/// `model.safetensors`: every weight under its path, a stacked one as a tensor for each place along its first axis.
pub fn model_layout(model: &ModelPlan) -> Layout {
    Layout::new(
        model
            .weights
            .iter()
            .flat_map(|weight| weight.stored_names().into_iter().map(|name| (name, weight.stored_shape()))),
    )
}

/// Where each tensor of [`model_layout`] lies on a device: its weight's path and the first of its values.
fn stored_places(model: &ModelPlan) -> BTreeMap<String, (&str, u64)> {
    let places = model.weights.iter().flat_map(|weight| {
        let size: u64 = weight.stored_shape().iter().product();
        let names = weight.stored_names().into_iter().zip(0..);
        names.map(move |(name, number)| (name, (weight.path.as_str(), number * size)))
    });
    places.collect()
}

/// `optimizer.safetensors`: both moments of every trained weight, and what loss scaling counts.
pub fn optimizer_layout(stage: &StagePlan) -> Layout {
    let moments = ["first", "second"].into_iter().flat_map(|moment| {
        stage.trained().map(move |weight| (format!("{moment}/{}", weight.path), weight.shape.as_slice()))
    });
    Layout::new(moments.chain(scaler_states(stage).map(|name| (name.to_owned(), [].as_slice()))))
}

/// The states of loss scaling, where the stage has it.
pub fn scaler_states(stage: &StagePlan) -> impl Iterator<Item = &'static str> {
    SCALER_STATES.into_iter().filter(|_| stage.precision.scaling().is_some())
}

/// Everything a checkpoint is made of.
pub struct Contents<'a> {
    /// The stage.
    pub stage: &'a StagePlan,
    /// Its recipe.
    pub recipe: &'a RecordedRecipe,
    /// The resolved plan as YAML, for people.
    pub plan_yaml: &'a str,
    /// Its tokenizer, where the data is text.
    pub tokenizer: Option<&'a Tokenizer>,
    /// The token that ends a document.
    pub end_of_text: Option<(String, u32)>,
    /// How far the run has come.
    pub state: RunState,
}

impl Contents<'_> {
    /// Writes all files into a directory and waits until they are on the disk.
    ///
    /// # Errors
    /// Of the file system or the device.
    pub fn write(&self, directory: &Path, device: &dyn Device) -> Result<(), Failure> {
        let model = &self.stage.model;
        let places = stored_places(model);
        model_layout(model).write(&directory.join("model.safetensors"), |name, start, count| {
            let (path, first) = places[name];
            Ok(device.read_state_part(&format!("weight/{path}"), first + start, count)?)
        })?;
        optimizer_layout(self.stage).write(&directory.join("optimizer.safetensors"), |name, start, count| {
            Ok(device.read_state_part(name, start, count)?)
        })?;
        for (name, content) in self.small_files() {
            write_file(&directory.join(name), content.as_bytes())?;
        }
        Ok(())
    }

    /// Names and contents of all but the tensors.
    fn small_files(&self) -> Vec<(&'static str, String)> {
        let mut files = vec![
            (STATE, pretty(&self.state)),
            (RECIPE, pretty(self.recipe)),
            ("recipe.recipe", self.recipe.text().to_owned()),
            ("plan.yaml", self.plan_yaml.to_owned()),
        ];
        let end = self.end_of_text.as_ref().map(|(_, id)| *id);
        if let Some(Value::Object(config)) = &self.stage.model.config {
            let mut config = config.clone();
            config.insert("bos_token_id".to_owned(), json!(end));
            config.insert("eos_token_id".to_owned(), json!(end));
            config.insert("pad_token_id".to_owned(), Value::Null);
            config.insert("dtype".to_owned(), json!("float32"));
            files.push(("config.json", pretty(&config)));
            let generation = json!({ "bos_token_id": end, "eos_token_id": end });
            files.push(("generation_config.json", pretty(&generation)));
        }
        if let Some(tokenizer) = self.tokenizer {
            files.push(("tokenizer.json", tokenizer.json().to_owned()));
            files.push(("tokenizer_config.json", pretty(&self.tokenizer_config())));
        }
        files
    }

    /// What `AutoTokenizer` must know beyond `tokenizer.json`.
    fn tokenizer_config(&self) -> Value {
        let end = self.end_of_text.as_ref().map(|(text, _)| text);
        json!({
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": end,
            "eos_token": end,
            "model_max_length": super::model::context(self.stage),
            "clean_up_tokenization_spaces": false,
        })
    }
}

fn pretty(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("plain data is valid JSON");
    text.push('\n');
    text
}
