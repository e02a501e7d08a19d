//! `llmc import`

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use llmc_compiler::check::value::Value as Constant;
use llmc_compiler::lower::Reading;
use llmc_grammar::codes::{NOT_A_CHECKPOINT, RUN_FILE};
use llmc_grammar::format;
use llmc_grammar::source::Source;
use serde_json::Value;

use crate::checkpoint::directory::replace_file;
use crate::checkpoint::family::{KnownModel, StandardLibrary};
use crate::checkpoint::model::{read_json, token_ids};
use crate::checkpoint::recipe::RecordedRecipe;
use crate::failure::{AtPath, Failure};
use crate::report::terminal::Terminal;
use crate::world::Files;

/// Rows of an imported recipe, unless the model has fewer positions.
const ROW_TOKENS: u64 = 1024;

/// Writes a recipe that goes on training a model from elsewhere
#[derive(Debug, Args)]
pub struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, Subcommand)]
enum From {
    Hf(HuggingFace),
}

/// Reads the config.json of a Hugging Face directory
#[derive(Debug, Args)]
struct HuggingFace {
    /// The directory, with config.json, the weights, and tokenizer.json if there is one
    directory: PathBuf,
    /// Where the recipe goes [default: standard output]
    #[arg(long, value_name = "FILE.recipe")]
    out: Option<PathBuf>,
    /// The texts to train on, relative to the recipe
    #[arg(long, value_name = "PATTERN", default_value = "$CARGO_HOME/registry/src/**/*.rs")]
    files: String,
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// If the directory holds no config, or one of a family that the library does not have.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let From::Hf(import) = &self.from;
        import.run(terminal)
    }
}

impl HuggingFace {
    fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let config_path = self.directory.join("config.json");
        if !config_path.exists() {
            return Err(Failure::with_help(
                NOT_A_CHECKPOINT,
                format!("`{}` holds no `config.json`", self.directory.display()),
                "name a directory as `save_pretrained` of Hugging Face's transformers leaves it",
            ));
        }
        let config: Value = read_json(&config_path)?;
        let model = StandardLibrary::new()?.model(&config, &self.directory.display().to_string())?;
        if let Some(out) = self.out.as_ref().filter(|out| out.exists()) {
            return Err(Failure::with_help(
                RUN_FILE,
                format!("`{}` is there already", out.display()),
                "nothing is overwritten: name another file, or remove this one",
            ));
        }
        let base = self.out.as_deref().and_then(Path::parent).unwrap_or(Path::new("")).to_owned();
        let text = self.recipe(&model, &config, &self.path_from(&base)?)?;
        let name = self.out.as_deref().unwrap_or(Path::new("import.recipe")).display().to_string();
        let text = format(&Source::new(name.clone(), text))?;
        // What is written has passed the check.
        let (checked, _) = RecordedRecipe::check(&Source::new(name, text.clone()), &[], &Files { base })?;
        terminal.diagnostics(&checked.warnings);
        match &self.out {
            Some(out) => replace_file(out, text.as_bytes()),
            None => terminal.print(&text),
        }
    }

    /// The directory as the recipe names it: as it was given where the recipe lies beside it, else from the root.
    fn path_from(&self, base: &Path) -> Result<String, Failure> {
        let path = match base == Path::new("") {
            true => self.directory.clone(),
            false => self.directory.canonicalize().at("read", &self.directory)?,
        };
        Ok(path.to_string_lossy().trim_end_matches('/').to_owned())
    }

    fn recipe(&self, model: &KnownModel, config: &Value, path: &str) -> Result<String, Failure> {
        let tokenizer = self.directory.join("tokenizer.json");
        let tokenizer: Option<Value> = tokenizer.exists().then(|| read_json(&tokenizer)).transpose()?;
        let weights: u64 = model.plan.weights.iter().map(|weight| weight.elements()).sum();
        let context = ["max_position_embeddings", "n_positions"].iter().find_map(|key| config.get(*key)?.as_u64());
        let length = context.map_or(ROW_TOKENS, |context| context.min(ROW_TOKENS));
        let quoted = |text: &str| Constant::Text(text.to_owned()).to_string();
        let mut text = format!(
            "// The model of {} ({weights} weights), ready to be trained further.\n// Data, learning rate and budget \
             are a beginning: change them to what you want to teach it.\n\nimport {}\n\n",
            quoted(path),
            quoted(&model.import)
        );
        let data = match &tokenizer {
            Some(tokenizer) => {
                let load = quoted(&format!("{path}/tokenizer.json"));
                let end = end_of_text(tokenizer, &self.directory, config)?;
                let end = end.map_or("none".to_owned(), |end| quoted(&end));
                format!(
                    "dataset texts {{\n  source = files({})\n  holdout = 1%\n}}\n\ntokenizer own {{\n  load = {load}\n  \
                     end_of_text = {end}\n}}\n\n",
                    quoted(&self.files)
                )
            }
            None => format!(
                "// The directory has no tokenizer.json, so the data is token ids: name a file of yours,\n// such as \
                 `tokens(\"ids.safetensors\")`, in place of these random ones.\ndataset texts {{\n  source = \
                 random_tokens(vocab: {}, count: {} tokens)\n}}\n\n",
                model.plan.vocab,
                1000 * length
            ),
        };
        text.push_str(&data);
        let objective = objective(model, tokenizer.as_ref());
        let arguments: Vec<String> = model.arguments.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let _ = write!(
            text,
            "stage tune {{\n  // As config.json has it; what it does not say has the model's default.\n  model = {}({})\n  \
             init = hf({})\n  data = texts\n{}  objective = {objective}\n  optimizer = adamw(learning_rate: 2e-5, betas: \
             [0.9, 0.95], weight_decay: 0.1, clip_norm: 1.0)\n  schedule = cosine(warmup: 3%, floor: 10%)\n  \
             sequence_length = {length} tokens\n  global_batch = 16 sequences\n  // Larger micro-batches are faster and take \
             more memory: `llmc compile` says how much.\n  micro_batch = 1 sequences\n  budget = 1000 steps\n  evaluate = \
             every(100 steps)\n  checkpoint = every(100 steps)\n}}\n",
            model.name,
            arguments.join(", "),
            quoted(path),
            if tokenizer.is_some() { "  tokenizer = own\n" } else { "" },
        );
        Ok(text)
    }
}

/// The objective that a model was made for, its special tokens by their usual texts or, where the tokenizer lacks them, by an id.
fn objective(model: &KnownModel, tokenizer: Option<&Value>) -> String {
    let last = model.plan.vocab - 1;
    let added = tokenizer.and_then(|tokenizer| tokenizer["added_tokens"].as_array());
    let knows = |text: &str| added.is_some_and(|added| added.iter().any(|token| token["content"] == text));
    match Reading::of_model(&model.plan) {
        Reading::Forward => "causal_lm".to_owned(),
        Reading::Ordered => "permutation_lm".to_owned(),
        Reading::BothSides => match ["[MASK]", "<mask>"].into_iter().find(|mask| knows(mask)) {
            Some(mask) => format!("masked_lm(mask: {mask:?})"),
            None => format!("masked_lm(mask: none, mask_id: {last})"),
        },
        Reading::Translation => match knows("<extra_id_0>") {
            true => "span_corruption(sentinel: \"<extra_id_{}>\")".to_owned(),
            false => format!("span_corruption(sentinel: none, first_sentinel: {last})"),
        },
    }
}

/// The special token that ends a text: by the ids that the directory's configs give, else by its usual name.
fn end_of_text(tokenizer: &Value, directory: &Path, config: &Value) -> Result<Option<String>, Failure> {
    let generation = directory.join("generation_config.json");
    let generation: Option<Value> = generation.exists().then(|| read_json(&generation)).transpose()?;
    let added = tokenizer["added_tokens"].as_array().map_or(&[][..], Vec::as_slice);
    let special = || added.iter().filter(|token| token["special"] == true);
    let text = |token: &Value| token["content"].as_str().map(str::to_owned);
    for config in [generation.as_ref(), Some(config)].into_iter().flatten() {
        let ids = token_ids(&config["eos_token_id"]);
        if let Some(found) = special().find(|token| ids.iter().any(|id| token["id"] == *id)) {
            return Ok(text(found));
        }
    }
    Ok(special().find(|token| token["content"] == llmc_data::tokenizer::END_OF_TEXT).and_then(text))
}
