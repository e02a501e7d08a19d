//! Options that several commands share.

use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::check::Override;
use llmc_compiler::plan::{Plan, StagePlan};
use llmc_grammar::codes::{FILE_NOT_READ, SET_WITHOUT_VALUE, UNKNOWN_STAGE};
use llmc_grammar::source::Source;

use crate::checkpoint::model::TrainedModel;
use crate::checkpoint::recipe::RecordedRecipe;
use crate::failure::{Failure, plain};
use crate::report::terminal::Terminal;
use crate::train::machine::{DeviceChoice, Machine};
use crate::world::Files;

/// A recipe and what is set in it.
#[derive(Debug, Args)]
pub struct RecipeOptions {
    /// The recipe
    pub recipe: PathBuf,
    /// Sets a `param`, or a field by its path (pretrain.budget); may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub set: Vec<String>,
}

/// A checked recipe.
pub struct LoadedRecipe {
    /// Its plan.
    pub plan: Plan,
    /// The recipe with what the checker asked of the world.
    pub record: RecordedRecipe,
    /// Its directory, where relative paths start.
    pub base: PathBuf,
}

impl RecipeOptions {
    /// Reads and checks the recipe; warnings are shown.
    ///
    /// # Errors
    /// If the file cannot be read, and every mistake in it.
    pub fn load(&self, terminal: &Terminal) -> Result<LoadedRecipe, Failure> {
        let (source, overrides, world) = self.read()?;
        let (checked, record) = RecordedRecipe::check(&source, &overrides, &world)?;
        terminal.diagnostics(&checked.warnings);
        Ok(LoadedRecipe { plan: checked.plan, record, base: world.base })
    }

    /// The recipe's text, what is set in it, and the files around it.
    ///
    /// # Errors
    /// If the file cannot be read, or a `--set` has no value.
    pub fn read(&self) -> Result<(Source, Vec<Override>, Files), Failure> {
        let overrides = self.overrides()?;
        let source = read_source(&self.recipe)?;
        let base = self.recipe.parent().unwrap_or(Path::new("")).to_owned();
        Ok((source, overrides, Files { base }))
    }

    fn overrides(&self) -> Result<Vec<Override>, Failure> {
        let split = |text: &String| match text.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() && !value.trim().is_empty() => {
                Ok(Override { name: name.trim().to_owned(), value: value.trim().to_owned() })
            }
            _ => Err(Failure::with_help(
                SET_WITHOUT_VALUE,
                format!("`--set {text}` is not NAME=VALUE"),
                "for example `--set width=384`",
            )),
        };
        self.set.iter().map(split).collect()
    }
}

/// Reads a recipe's text.
///
/// # Errors
/// If the file cannot be read or is not UTF-8.
pub fn read_source(path: &Path) -> Result<Source, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::new(FILE_NOT_READ, format!("cannot read `{}`: {}", path.display(), plain(&error))))?;
    Ok(Source::new(path.display().to_string(), text))
}

/// Which stages of the recipe are meant.
#[derive(Debug, Args)]
pub struct StageOption {
    /// Only this stage
    #[arg(long, value_name = "NAME")]
    pub stage: Option<String>,
}

impl StageOption {
    /// The stage asked for, or all.
    ///
    /// # Errors
    /// If there is no such stage, or none at all.
    pub fn choose<'p>(&self, plan: &'p Plan) -> Result<Vec<&'p StagePlan>, Failure> {
        let chosen: Vec<&StagePlan> = match &self.stage {
            None => plan.stages.iter().collect(),
            Some(name) => plan.stages.iter().filter(|stage| stage.name == *name).collect(),
        };
        if !chosen.is_empty() {
            return Ok(chosen);
        }
        let names: Vec<&str> = plan.stages.iter().map(|stage| stage.name.as_str()).collect();
        Err(match &self.stage {
            Some(name) => Failure::with_help(
                UNKNOWN_STAGE,
                format!("the recipe has no stage `{name}`"),
                format!("its stages are: {}", names.join(", ")),
            ),
            None => Failure::new(UNKNOWN_STAGE, format!("the recipe `{}` has no stage", plan.recipe)),
        })
    }

    /// The stage asked for, or the first.
    ///
    /// # Errors
    /// As [`StageOption::choose`].
    pub fn one<'p>(&self, plan: &'p Plan) -> Result<&'p StagePlan, Failure> {
        Ok(self.choose(plan)?[0])
    }
}

/// A trained model.
#[derive(Debug, Args)]
pub struct ModelOptions {
    /// A checkpoint, a run's directory (its newest checkpoint), a Hugging Face directory, or a GGUF file
    directory: PathBuf,
    /// A tokenizer.json in place of the model's own
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
}

impl ModelOptions {
    /// Opens it.
    ///
    /// # Errors
    /// If there is no model, or no tokenizer where one is named.
    pub fn open(&self) -> Result<TrainedModel, Failure> {
        TrainedModel::open(&self.directory)?.with_tokenizer(self.tokenizer.as_deref())
    }
}

/// What to run on.
#[derive(Debug, Args)]
pub struct DeviceOptions {
    /// What to run on
    #[arg(long, value_enum, default_value_t = DeviceChoice::Auto)]
    pub device: DeviceChoice,
    /// Threads of the processor [default: OMP_NUM_THREADS, else all cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
}

impl DeviceOptions {
    /// The machine to be opened. Also bounds the threads of everything else.
    pub fn machine(&self) -> Machine {
        let from_environment = || {
            let text = std::env::var("OMP_NUM_THREADS").ok()?;
            text.trim().parse().ok().filter(|threads| (1..=1024).contains(threads))
        };
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let threads = self.threads.map(usize::from).or_else(from_environment).unwrap_or_else(cores);
        // Fails only if the pool is there already, and then it has been given its threads.
        let _ = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
        Machine { choice: self.device, threads }
    }
}

/// Where a recipe's stages lie: as asked for, or `runs/RECIPE`.
pub fn out_directory(out: Option<&Path>, plan: &Plan) -> PathBuf {
    match out {
        Some(path) => path.to_owned(),
        None => Path::new("runs").join(&plan.recipe),
    }
}
