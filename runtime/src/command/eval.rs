//! `llmc eval`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use llmc_data::prepare;
use llmc_grammar::codes::NO_EFFECT;
use serde::Serialize;

use super::options::{DeviceOptions, RecipeOptions, StageOption, read_source};
use crate::checkpoint::directory::replace_file;
use crate::checkpoint::model::TrainedModel;
use crate::eval::HeldOut;
use crate::eval::needle::Needles;
use crate::eval::position::ByPosition;
use crate::failure::{AtPath, Failure};
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;

/// Measures what trained models make of their context
#[derive(Debug, Args)]
pub struct Eval {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    ByPosition(Position),
    Needle(Needle),
}

/// Models and text that they have not seen.
#[derive(Debug, Args)]
struct Given {
    /// Checkpoints, runs' directories, Hugging Face directories or GGUF files, compared with one another
    #[arg(required = true)]
    models: Vec<PathBuf>,
    /// Takes what the data of this recipe's stage holds out
    #[arg(long, required_unless_present = "input", conflicts_with = "input")]
    recipe: Option<PathBuf>,
    /// Sets a `param`, or a field by its path, of the recipe; may be repeated
    #[arg(long = "set", value_name = "NAME=VALUE", requires = "recipe")]
    set: Vec<String>,
    #[command(flatten)]
    stage: StageOption,
    /// Takes these texts: lines of {"text": ...} in a .jsonl file, or one text in any other
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// A tokenizer.json in place of the models' own
    #[arg(long, value_name = "FILE")]
    tokenizer: Option<PathBuf>,
    /// Where the numbers and the drawing go
    #[arg(long, value_name = "DIR", default_value = "eval")]
    out: PathBuf,
    /// Prints the numbers as an object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    device: DeviceOptions,
}

/// The held-out loss at each position of long rows: where more context helps, and where a model is lost
#[derive(Debug, Args)]
struct Position {
    #[command(flatten)]
    given: Given,
    /// Tokens of a row [default: the longest context of the models]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(2..=1_048_576))]
    length: Option<u32>,
    /// Rows for each model at most
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rows: u32,
}

/// A fact is put into held-out text at several depths, and asked for at its end
#[derive(Debug, Args)]
struct Needle {
    #[command(flatten)]
    given: Given,
    /// Tokens of whole rows [default: an eighth, a quarter, half and all of the longest context]
    #[arg(long, value_name = "N,..", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(8..=1_048_576))]
    lengths: Vec<u32>,
    /// Places of the fact in the text, in per cent
    #[arg(long, value_name = "P,..", value_delimiter = ',', default_value = "0,25,50,75,100", value_parser = clap::value_parser!(u32).range(0..=100))]
    depths: Vec<u32>,
    /// Answers and texts for each length and depth
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    trials: u32,
    /// The fact; {} stands for the answer
    #[arg(long, value_name = "TEXT", default_value = "The secret number is {}.", value_parser = fact)]
    fact: String,
    /// The question, which the answer follows after a space
    #[arg(long, value_name = "TEXT", default_value = "The secret number is")]
    question: String,
    /// Answers that are taken in turn [default: numbers of four digits]
    #[arg(long, value_name = "TEXT,..", value_delimiter = ',')]
    answers: Vec<String>,
    /// The same seed gives the same numbers
    #[arg(long, default_value_t = 0)]
    seed: u64,
}

impl Eval {
    /// Runs the command.
    ///
    /// # Errors
    /// If a model or the text cannot be read, or does not fit.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        match &self.what {
            What::ByPosition(position) => position.run(terminal),
            What::Needle(needle) => needle.run(terminal),
        }
    }
}

impl Position {
    fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let machine = self.given.device.machine();
        let models = self.given.models()?;
        let text = self.given.text(terminal)?;
        let length = self.length.map_or_else(|| longest(&models), |length| length as usize);
        let found = ByPosition::measure(&models, &text, length, self.rows as usize, &machine)?;
        self.given.show(terminal, "by_position", &found, &found.table(), &found.draw())
    }
}

impl Needle {
    fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let machine = self.given.device.machine();
        let models = self.given.models()?;
        let text = self.given.text(terminal)?;
        let lengths = match self.lengths.as_slice() {
            [] => [8, 4, 2, 1].map(|part| longest(&models) / part).into_iter().filter(|length| *length >= 64).collect(),
            given => given.iter().map(|&length| length as usize).collect(),
        };
        let needles = Needles {
            fact: self.fact.clone(),
            question: self.question.clone(),
            answers: self.answers.clone(),
            lengths,
            depths: self.depths.iter().map(|&depth| f64::from(depth) / 100.0).collect(),
            trials: self.trials as usize,
            seed: self.seed,
        };
        let found = needles.look(&models, &text, &machine)?;
        self.given.show(terminal, "needle", &found, &found.table(), &found.draw())
    }
}

impl Given {
    fn models(&self) -> Result<Vec<TrainedModel>, Failure> {
        let open = |path: &PathBuf| TrainedModel::open(path)?.with_tokenizer(self.tokenizer.as_deref());
        self.models.iter().map(open).collect()
    }

    fn text(&self, terminal: &Terminal) -> Result<HeldOut, Failure> {
        if let Some(input) = &self.input {
            return HeldOut::read(input);
        }
        // clap asks for one of the two.
        let recipe = self.recipe.clone().unwrap_or_default();
        read_source(&recipe)?;
        let loaded = RecipeOptions { recipe, set: self.set.clone() }.load(terminal)?;
        let stage = self.stage.one(&loaded.plan)?;
        let progress = DataProgress::new(terminal);
        let prepared = prepare(&loaded.plan, stage, &loaded.base, &|done| progress.update(done));
        progress.finish();
        let streams: Vec<_> = prepared?.parts.iter().filter_map(|part| part.heldout.clone()).collect();
        if streams.is_empty() {
            return Err(Failure::with_help(
                NO_EFFECT,
                format!("the data of stage `{}` holds nothing out", stage.name),
                "`holdout = 1%` in the dataset, or `--input FILE` with other text",
            ));
        }
        Ok(HeldOut::Tokens(streams))
    }

    fn show(
        &self,
        terminal: &Terminal,
        name: &str,
        found: &impl Serialize,
        table: &str,
        drawing: &str,
    ) -> Result<(), Failure> {
        std::fs::create_dir_all(&self.out).at("create", &self.out)?;
        let json = serde_json::to_string_pretty(found).expect("numbers and texts are valid JSON") + "\n";
        let file = |ending: &str| self.out.join(format!("{name}.{ending}"));
        replace_file(&file("json"), json.as_bytes())?;
        replace_file(&file("svg"), drawing.as_bytes())?;
        terminal.print(if self.json { &json } else { table })?;
        terminal.note(format!("written to {}: {name}.json, {name}.svg", self.out.display()));
        Ok(())
    }
}

/// The longest context of some models.
fn longest(models: &[TrainedModel]) -> usize {
    models.iter().map(|model| model.context() as usize).max().unwrap_or(0).max(2)
}

fn fact(text: &str) -> Result<String, String> {
    match text.contains("{}") {
        true => Ok(text.to_owned()),
        false => Err("`{}` must stand for the answer".to_owned()),
    }
}
