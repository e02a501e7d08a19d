//! `llmc emit`

use clap::{Args, ValueEnum};
use llmc_compiler::cuda::Module;
use llmc_compiler::graph::Graph;
use llmc_compiler::lower::lower;
use llmc_compiler::optimise::{PASSES, optimise_until};
use llmc_compiler::plan::StagePlan;
use llmc_compiler::schedule::Hardware;
use llmc_grammar::codes::{NO_CUDA_KERNEL, UNKNOWN_PASS};
use llmc_grammar::parse;

use super::options::{RecipeOptions, StageOption, read_source};
use crate::failure::Failure;
use crate::report::terminal::Terminal;
use crate::train::compile::{Compiled, graphs_mut, named_graphs, named_programs, not_lowered, plan_yaml};
use crate::train::machine::DeviceChoice;

/// Prints what a recipe has become after a part of the compiler
#[derive(Debug, Args)]
pub struct Emit {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    /// After what: tree, plan, lower, the name of a pass, schedule, or cuda (CUDA C of the program's kernels)
    #[arg(long, value_name = "PART")]
    after: String,
    /// Of which program
    #[arg(long, value_enum, default_value_t = ProgramName::Update)]
    program: ProgramName,
    /// For which device the program after `schedule` is
    #[arg(long, value_enum, default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
}

/// A program of a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgramName {
    /// Forward and backward of one micro-batch, where a step has several
    Accumulate,
    /// One optimizer step
    Update,
    /// The held-out loss
    Evaluate,
}

impl ProgramName {
    fn text(self) -> &'static str {
        match self {
            ProgramName::Accumulate => "accumulate",
            ProgramName::Update => "update",
            ProgramName::Evaluate => "evaluate",
        }
    }
}

impl Emit {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe, and a part or program that is not there.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        if self.after == "tree" {
            let tree = parse(&read_source(&self.recipe.recipe)?)?;
            return terminal.print(&tree.outline());
        }
        let loaded = self.recipe.load(terminal)?;
        let stage = self.stage.one(&loaded.plan)?;
        let text = match self.after.as_str() {
            "plan" => plan_yaml(&loaded.plan, stage),
            "lower" => self.graph(stage, None)?,
            "schedule" => self.program(stage)?,
            "cuda" => self.cuda(stage)?,
            "precision" => self.rounded(stage)?,
            pass if PASSES.iter().any(|(name, _)| *name == pass) => self.graph(stage, Some(pass))?,
            other => return Err(unknown_pass(other)),
        };
        terminal.print(&text)
    }

    /// The graph's text after lowering, or after the passes up to one.
    fn graph(&self, stage: &StagePlan, last: Option<&str>) -> Result<String, Failure> {
        let mut graphs = lower(stage).map_err(not_lowered)?;
        if last.is_some() {
            for graph in graphs_mut(&mut graphs) {
                optimise_until(graph, last);
            }
        }
        let named = named_graphs(&graphs);
        self.find(named.into_iter()).map(Graph::print)
    }

    /// The optimised graph's text with what is kept in fewer bits, as it is scheduled.
    fn rounded(&self, stage: &StagePlan) -> Result<String, Failure> {
        let compiled = Compiled::of(stage, self.device.hardware())?;
        self.find(named_graphs(&compiled.graphs).into_iter()).map(Graph::print)
    }

    fn program(&self, stage: &StagePlan) -> Result<String, Failure> {
        let compiled = Compiled::of(stage, self.device.hardware())?;
        let named = named_programs(&compiled.programs);
        self.find(named.iter().map(|program| (program.name.as_str(), *program))).map(|program| program.print())
    }

    fn cuda(&self, stage: &StagePlan) -> Result<String, Failure> {
        let compiled = Compiled::of(stage, Hardware::Card)?;
        let named = named_programs(&compiled.programs);
        let program = self.find(named.iter().map(|program| (program.name.as_str(), *program)))?;
        let module = Module::print(&[program]).map_err(|missing| Failure::new(NO_CUDA_KERNEL, missing.to_string()))?;
        Ok(module.source())
    }

    fn find<'a, T>(&self, mut named: impl Iterator<Item = (&'a str, T)>) -> Result<T, Failure> {
        let wanted = self.program.text();
        let found = named.find(|(name, _)| *name == wanted);
        found.map(|(_, item)| item).ok_or_else(|| {
            Failure::new(UNKNOWN_PASS, format!("this stage has no program `{wanted}`: a step is one micro-batch"))
        })
    }
}

fn unknown_pass(pass: &str) -> Failure {
    let passes: Vec<&str> = PASSES.iter().map(|(name, _)| *name).collect();
    Failure::with_help(
        UNKNOWN_PASS,
        format!("there is no part of the compiler called `{pass}`"),
        format!("there are: tree, plan, lower, {}, precision, schedule, cuda", passes.join(", ")),
    )
}
