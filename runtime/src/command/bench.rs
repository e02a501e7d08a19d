//! `llmc bench`

use std::io::BufRead;
use std::time::Instant;

use clap::Args;
use llmc_grammar::codes::BENCH_INPUT;
use serde::Serialize;
use serde_json::{Value, json};

use super::options::{DeviceOptions, RecipeOptions, StageOption};
use crate::bench::{Bench as Bencher, GenerateBench, Size, compile_times, data_times};
use crate::checkpoint::model::TrainedModel;
use crate::failure::{Failure, plain};
use crate::report::terminal::Terminal;

/// Without `--steps`: steps are timed for this long, but at least [`FEWEST_STEPS`].
const SECONDS: f64 = 5.0;
const FEWEST_STEPS: u64 = 5;

/// Steps in which every kernel is timed, at most.
const MOST_ACCOUNTED: u64 = 20;

/// Times the steps of a stage as a run would do them
#[derive(Debug, Args)]
pub struct Bench {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
    /// Steps to time [default: as many as five seconds hold, at least 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    steps: Option<u64>,
    /// Prints one JSON object
    #[arg(long)]
    json: bool,
    /// Prints {"ready":true} when warm, then for each line N on standard input runs N steps and prints {"steps":[SECONDS, ...]}; at the end of input prints the JSON object
    #[arg(long, conflicts_with = "steps")]
    serve: bool,
    /// Times the parts of the compiler instead; nothing is trained
    #[arg(long, conflicts_with_all = ["steps", "serve"])]
    compile: bool,
    /// Times the preparation of the stage's data instead, part by part and as a whole, through an empty cache
    #[arg(long, conflicts_with_all = ["steps", "serve", "compile", "generate"])]
    data: bool,
    #[command(flatten)]
    generation: Generation,
}

/// What generation is timed with.
#[derive(Debug, Args)]
struct Generation {
    /// Times reading prompts and drawing tokens instead; the recipe may be a checkpoint or a Hugging Face directory
    #[arg(long, conflicts_with_all = ["steps", "serve", "compile"])]
    generate: bool,
    /// Texts side by side
    #[arg(long, value_name = "N", default_value_t = 1, requires = "generate", value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Tokens of each prompt [default: 128, or half of the model's context]
    #[arg(long, value_name = "N", requires = "generate", value_parser = clap::value_parser!(u64).range(1..))]
    prompt_tokens: Option<u64>,
    /// Tokens drawn for each text [default: 64, or what the context leaves]
    #[arg(long, value_name = "N", requires = "generate", value_parser = clap::value_parser!(u64).range(2..))]
    tokens: Option<u64>,
}

impl Bench {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe, and everything that the machine can refuse.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        if self.compile {
            return self.time_compiler(terminal);
        }
        if self.data {
            return self.time_data(terminal);
        }
        if self.generation.generate {
            return self.time_generation(terminal);
        }
        let loaded = self.recipe.load(terminal)?;
        let stage = self.stage.one(&loaded.plan)?;
        let mut bench = Bencher::open(&loaded.plan, stage, &loaded.base, &self.device.machine())?;
        if self.serve {
            serve(&mut bench, terminal)?;
        } else if let Some(steps) = self.steps {
            bench.run(steps)?;
        } else {
            let began = Instant::now();
            bench.run(FEWEST_STEPS)?;
            while began.elapsed().as_secs_f64() < SECONDS {
                bench.run(1)?;
            }
        }
        let summary = bench.summary();
        if self.serve {
            return line(terminal, &plain_data(&summary));
        }
        let account = bench.account((summary.steps as u64).min(MOST_ACCOUNTED))?;
        if !self.json {
            terminal.print(&summary.table())?;
            return account.map_or(Ok(()), |account| terminal.print(&account.table()));
        }
        line(terminal, &joined(&summary, account.as_ref()))
    }

    fn time_generation(&self, terminal: &Terminal) -> Result<(), Failure> {
        let Generation { batch, prompt_tokens, tokens, .. } = self.generation;
        let (size, machine) = (Size { batch, prompt_tokens, tokens }, self.device.machine());
        let mut bench = if self.recipe.recipe.is_dir() {
            GenerateBench::of_model(&TrainedModel::open(&self.recipe.recipe)?, size, &machine)?
        } else {
            let loaded = self.recipe.load(terminal)?;
            GenerateBench::of_stage(&loaded.plan.recipe, self.stage.one(&loaded.plan)?, size, &machine)?
        };
        let (summary, account) = bench.run()?;
        if self.json {
            return line(terminal, &joined(&summary, account.as_ref()));
        }
        terminal.print(&summary.table())?;
        account.map_or(Ok(()), |account| terminal.print(&account.table()))
    }

    fn time_data(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let stage = self.stage.one(&loaded.plan)?;
        self.device.machine();
        let times = data_times(&loaded.plan, stage, &loaded.base)?;
        if self.json { line(terminal, &plain_data(&times)) } else { terminal.print(&times.table()) }
    }

    fn time_compiler(&self, terminal: &Terminal) -> Result<(), Failure> {
        let (source, overrides, world) = self.recipe.read()?;
        let times = compile_times(&source, &overrides, &world, |plan| self.stage.one(plan))?;
        if self.json { line(terminal, &plain_data(&times)) } else { terminal.print(&times.table()) }
    }
}

/// One object of both.
fn joined(summary: &impl Serialize, account: Option<&impl Serialize>) -> Value {
    let mut all = plain_data(summary);
    if let (Value::Object(all), Some(Value::Object(account))) = (&mut all, account.map(plain_data)) {
        all.extend(account);
    }
    all
}

fn plain_data(value: &impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

/// Answers each line on standard input until it ends.
fn serve(bench: &mut Bencher, terminal: &Terminal) -> Result<(), Failure> {
    line(terminal, &json!({ "ready": true }))?;
    for text in std::io::stdin().lock().lines() {
        let text = text.map_err(|error| Failure::new(BENCH_INPUT, format!("standard input: {}", plain(&error))))?;
        let count = text.trim().parse().map_err(|_| {
            Failure::new(BENCH_INPUT, format!("`{}` on standard input is not a number of steps", text.trim()))
        })?;
        let seconds = bench.run(count)?;
        line(terminal, &json!({ "steps": seconds }))?;
    }
    Ok(())
}

fn line(terminal: &Terminal, value: &Value) -> Result<(), Failure> {
    terminal.print(&format!("{value}\n"))
}
