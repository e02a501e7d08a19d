//! `llmc run`

use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::plan::{Plan, SamplePlan, StagePlan};

use super::options::{DeviceOptions, RecipeOptions, StageOption, out_directory};
use crate::checkpoint::model::TrainedModel;
use crate::failure::Failure;
use crate::generate::sample::Sampling;
use crate::generate::{Generator, Request};
use crate::report::terminal::Terminal;
use crate::train::machine::Machine;
use crate::train::resume::Start;
use crate::train::{StageEnd, StageRun, interrupt, space};
use llmc_grammar::number::{bytes, count, duration};

/// Compiles a recipe and trains its stages in order
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
    /// Directory of the run, one folder for each stage [default: runs/RECIPE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Goes on from the newest checkpoint of the run, or from this checkpoint
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with = "fresh")]
    resume: Option<Option<PathBuf>>,
    /// Removes what an earlier run left in the directory and starts anew
    #[arg(long)]
    fresh: bool,
}

impl Run {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe, and everything that the machine can refuse.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let machine = self.device.machine();
        let out = out_directory(self.out.as_deref(), &loaded.plan);
        let start = match (&self.resume, self.fresh) {
            (Some(Some(path)), _) => Start::From(path.clone()),
            (Some(None), _) => Start::Newest,
            (None, true) => Start::Fresh,
            (None, false) => Start::New,
        };
        interrupt::install();
        for stage in self.stage.choose(&loaded.plan)? {
            let run = StageRun {
                plan: &loaded.plan,
                stage,
                recipe: &loaded.record,
                base: &loaded.base,
                out: &out,
                start: &start,
                machine,
                terminal,
            };
            let end = run.run()?;
            terminal.print(&summary(&loaded.plan, stage, &end, &run.directory()))?;
            if let Some(sample) = &stage.sample {
                show_sample(terminal, sample, stage.seed, &end.checkpoint, &machine)?;
            }
        }
        Ok(())
    }
}

/// What a stage came to, in a few lines.
fn summary(plan: &Plan, stage: &StagePlan, end: &StageEnd, directory: &Path) -> String {
    let mut lines = vec![format!(
        "{} / {}: {} steps, {} tokens in {} ({} tokens/s)",
        plan.recipe,
        stage.name,
        end.steps,
        count(end.tokens),
        duration(end.seconds),
        count((end.tokens as f64 / end.seconds.max(1e-9)) as u64)
    )];
    if let Some(heldout) = &end.heldout {
        let per_byte = heldout.bits_per_byte.map(|bits| format!(" ({bits:.4} bits per byte)"));
        lines.push(format!("  held-out loss    {:.4} nats per token{}", heldout.loss, per_byte.unwrap_or_default()));
    }
    lines.push(format!("  unigram entropy  {:.4} nats per token, of the same data", end.unigram_entropy));
    let card = end.card_bytes.map(|card| format!(" of the card, {} taken", bytes(card)));
    let peak = space::peak_resident().map(|peak| format!(", process peak {}", bytes(peak)));
    let mapped = Some(end.mapped_bytes).filter(|mapped| *mapped > 0);
    let mapped = mapped.map(|mapped| format!(" (with up to {} of mapped tokens)", bytes(mapped)));
    let [card, peak, mapped] = [card, peak, mapped].map(Option::unwrap_or_default);
    lines.push(format!("  memory           {} predicted{card}{peak}{mapped}", bytes(end.predicted_bytes)));
    if let Some((begun, done)) = end.first_step_s {
        lines.push(format!("  first step       begun {begun:.2} s after the start, done after {done:.2} s"));
    }
    lines.push(format!("  loss curve       {}", directory.join("loss.svg").display()));
    lines.push(format!("  metrics          {}", directory.join("metrics.jsonl").display()));
    lines.push(format!("  checkpoint       {}", end.checkpoint.display()));
    lines.join("\n") + "\n"
}

/// Draws the sample that the plan asks for, from the checkpoint as anybody would.
fn show_sample(
    terminal: &Terminal,
    sample: &SamplePlan,
    seed: u64,
    checkpoint: &Path,
    machine: &Machine,
) -> Result<(), Failure> {
    let model = TrainedModel::open(checkpoint)?;
    if model.tokenizer.is_none() {
        return Ok(());
    }
    let sampling = Sampling { temperature: sample.temperature, top_k: sample.top_k, top_p: None, seed };
    terminal.print("\nsample:\n\n")?;
    let request = Request { prompt: sample.prompt.clone(), sampling };
    let mut generator = Generator::new(&model, vec![request], sample.tokens, 1, machine)?;
    generator.next_batch(&mut |_, text| terminal.print(text))?;
    terminal.print("\n")
}
