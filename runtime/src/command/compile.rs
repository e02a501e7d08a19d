//! `llmc compile`

use std::path::PathBuf;

use clap::Args;

use llmc_compiler::check::units::{Dimension, UNITS};
use llmc_grammar::codes::DEVICE;

use super::options::{DeviceOptions, RecipeOptions, StageOption, out_directory};
use crate::failure::Failure;
use crate::report::growth::{Growth, Limits};
use crate::report::precision::precision_table;
use crate::report::predict::Prediction;
use crate::report::terminal::Terminal;
use crate::train::compile::{Compiled, plan_yaml};
use crate::train::space;

/// Predicts parameters, operations, memory and disk, and writes plan, graphs and program
#[derive(Debug, Args)]
pub struct Compile {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
    /// How memory and time of a step grow with the context, and the longest context that fits
    #[arg(long)]
    context: bool,
    /// Memory that a longest context is looked for in, as 80GiB [default: this machine's]
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "context")]
    memory: Option<u64>,
    /// Measures the machine for half a second, to say how long a step takes at least
    #[arg(long, requires = "context")]
    time: bool,
    /// Prints the growth with the context as an object for each stage
    #[arg(long, requires = "context")]
    json: bool,
    /// Directory of the files, one folder for each stage [default: runs/RECIPE]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Compile {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe, and of the file system.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let machine = self.device.machine();
        let out = out_directory(self.out.as_deref(), &loaded.plan);
        let peaks = match self.time {
            true => machine.open(&[], 0, Vec::new(), Vec::new())?.measure_peaks(),
            false => None,
        };
        let limits = |prediction: &Prediction| {
            let known = match self.memory {
                // Of a machine that is asked for by name, only the device counts.
                Some(memory) => Some((memory, prediction.card_bytes.unwrap_or(0))),
                None if prediction.card_bytes.is_some() => None,
                None => space::memory().map(|memory| (memory, prediction.process_bytes.unwrap_or(0))),
            };
            let (memory, process) = known.ok_or_else(|| {
                Failure::with_help(DEVICE, "it is not known how much memory there is", "`--memory 16GiB` says it")
            })?;
            Ok::<_, Failure>(Limits {
                memory,
                process,
                flops: peaks.map(|peaks| peaks.flops),
                hardware: machine.choice.hardware(),
            })
        };
        for (index, stage) in self.stage.choose(&loaded.plan)?.into_iter().enumerate() {
            let compiled = Compiled::of(stage, machine.choice.hardware())?;
            let directory = out.join(&stage.name);
            compiled.write(&directory, &plan_yaml(&loaded.plan, stage))?;
            let precisions = precision_table(&compiled.graphs);
            let runnable = compiled.into_runnable(&machine);
            let prediction = Prediction::of(stage, &runnable.programs, &machine)?;
            let gap = if index == 0 { "" } else { "\n" };
            if self.context {
                let growth = Growth::of(stage, limits(&prediction)?)?;
                terminal.print(&match self.json {
                    true => serde_json::to_string(&growth).expect("numbers are valid JSON") + "\n",
                    false => format!("{gap}{}", growth.table()),
                })?;
                continue;
            }
            let table = prediction.table(&loaded.plan.recipe, stage);
            terminal.print(&format!("{gap}{table}"))?;
            if let Some(precisions) = precisions {
                terminal.print(&format!("\n{precisions}"))?;
            }
            terminal
                .note(format!("written to {}: plan.yaml, graph.txt, graph.opt.txt, program.txt", directory.display()));
        }
        Ok(())
    }
}

/// `80GiB`, `512 MB`: the units of a recipe.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, name) = (&text[..digits], text[digits..].trim());
    let unit = UNITS.iter().find(|unit| unit.dimension == Dimension::Bytes && unit.name == name);
    match (number.parse::<f64>(), unit) {
        (Ok(number), Some(unit)) if number > 0.0 => Ok((number * unit.factor) as u64),
        _ => Err("a number and a unit, such as 80GiB or 512MB".to_owned()),
    }
}
