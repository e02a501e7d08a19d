//! `llmc compile`

use std::path::PathBuf;

use clap::Args;

use super::options::{DeviceOptions, RecipeOptions, StageOption, out_directory};
use crate::failure::Failure;
use crate::report::predict::Prediction;
use crate::report::terminal::Terminal;
use crate::train::compile::{Compiled, plan_yaml};

/// Predicts parameters, operations, memory and disk, and writes plan, graphs and program
#[derive(Debug, Args)]
pub struct Compile {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
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
        for (index, stage) in self.stage.choose(&loaded.plan)?.into_iter().enumerate() {
            let compiled = Compiled::of(stage)?;
            let directory = out.join(&stage.name);
            compiled.write(&directory, &plan_yaml(&loaded.plan, stage))?;
            let runnable = compiled.into_runnable(&machine);
            let prediction = Prediction::of(stage, &runnable.programs, machine.threads);
            let table = prediction.table(&loaded.plan.recipe, stage);
            let gap = if index == 0 { "" } else { "\n" };
            terminal.print(&format!("{gap}{table}"))?;
            terminal
                .note(format!("written to {}: plan.yaml, graph.txt, graph.opt.txt, program.txt", directory.display()));
        }
        Ok(())
    }
}
