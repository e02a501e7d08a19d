//! `llmc check-device`

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use llmc_compiler::cuda::Module;
use llmc_compiler::program::Program;
use llmc_compiler::schedule::{Hardware, summed_operand};
use llmc_grammar::codes::{DEVICES_DIFFER, NO_CUDA_KERNEL};
use rayon::prelude::*;
use serde_json::json;

use super::options::{DeviceOptions, RecipeOptions, StageOption};
use crate::device::cuda;
use crate::failure::Failure;
use crate::report::terminal::Terminal;
use crate::train::compile::{Compiled, named_programs};
use crate::train::machine::{DeviceChoice, Machine};
use crate::verify::{Case, Difference, awkward, compare};

/// Runs every kernel of a device with random operands and holds the results against the processor's
///
/// Without recipes: all kernels at awkward sizes. With recipes: every kernel of theirs at its own sizes.
#[derive(Debug, Args)]
pub struct CheckDevice {
    /// Recipes whose kernels are checked
    recipes: Vec<PathBuf>,
    #[command(flatten)]
    device: DeviceOptions,
    /// Where random operands begin
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Leaves out kernels whose operands take more than so many MiB
    #[arg(long, value_name = "MIB", default_value_t = 2048)]
    most: u64,
    /// Compiles the kernels by NVRTC for these architectures (sm_80,sm_90) instead of running them; needs no card
    #[arg(long, value_name = "ARCHITECTURES", value_delimiter = ',')]
    compile: Vec<String>,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl CheckDevice {
    /// Runs the command.
    ///
    /// # Errors
    /// Kernels that differ or do not compile, and everything that the machine can refuse.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let programs = self.programs(terminal)?;
        if !self.compile.is_empty() {
            return self.compile_only(&programs, terminal);
        }
        let mut cases = if self.recipes.is_empty() { awkward() } else { Vec::new() };
        let mut known = BTreeSet::new();
        for (_, program) in &programs {
            // What a library may do in one pass is tried in one, too.
            let joined = program.steps.windows(2).filter(|pair| summed_operand(&pair[0], &pair[1]).is_some());
            let steps = program.steps.chunks(1).chain(joined).map(|steps| Case::of(program, steps));
            cases.extend(steps.filter(|case| known.insert(case.key())));
        }
        let all = cases.len();
        cases.retain(|case| case.bytes() <= self.most << 20);
        let machine = self.device.machine();
        let cpu = Machine { choice: DeviceChoice::Cpu, ..machine };
        let list = |hardware: Hardware| match hardware {
            Hardware::Card => cases.iter().map(|case| case.program.clone()).collect(),
            Hardware::Processor => cases.iter().map(Case::widened).collect(),
        };
        let mut tested = machine.open(&[], 0, list(machine.choice.hardware()), Vec::new())?;
        let mut trusted = cpu.open(&[], 0, list(cpu.choice.hardware()), Vec::new())?;
        let differences = compare(&cases, self.seed, tested.as_mut(), trusted.as_mut())?;
        let description = tested.describe();
        match self.json {
            true => terminal.print(&as_json(&description, &differences))?,
            false => terminal.print(&as_table(&description, &differences, all - cases.len()))?,
        }
        match differences.iter().find_map(|difference| Some((difference, difference.wrong.as_ref()?))) {
            None => Ok(()),
            Some((difference, wrong)) => {
                Err(Failure::new(DEVICES_DIFFER, format!("{}\n{wrong} (the processor's)", difference.case)))
            }
        }
    }

    /// The programs of all recipes with their names.
    fn programs(&self, terminal: &Terminal) -> Result<Vec<(String, Program)>, Failure> {
        let mut programs = Vec::new();
        for recipe in &self.recipes {
            let loaded = RecipeOptions { recipe: recipe.clone(), set: Vec::new() }.load(terminal)?;
            for stage in (StageOption { stage: None }).choose(&loaded.plan)? {
                let compiled = Compiled::of(stage, Hardware::Card)?;
                for program in named_programs(&compiled.programs) {
                    programs.push((format!("{} / {}", loaded.plan.recipe, stage.name), program.clone()));
                }
            }
        }
        Ok(programs)
    }

    fn compile_only(&self, programs: &[(String, Program)], terminal: &Terminal) -> Result<(), Failure> {
        let cases = if self.recipes.is_empty() { awkward() } else { Vec::new() };
        let part = |number: usize| format!("awkward sizes, part {}", number / CASES_OF_A_MODULE + 1);
        let cases = cases.into_iter().enumerate().map(|(number, case)| (part(number), case.program));
        let mut modules: BTreeMap<String, Vec<Program>> = BTreeMap::new();
        for (name, program) in programs.iter().cloned().chain(cases) {
            modules.entry(name).or_default().push(program);
        }
        let print = |(name, programs): (String, Vec<Program>)| {
            let list: Vec<&Program> = programs.iter().collect();
            let module = Module::print(&list).map_err(|missing| Failure::new(NO_CUDA_KERNEL, missing.to_string()))?;
            Ok((name, module.functions.len(), module.source()))
        };
        let modules = modules.into_iter().map(print).collect::<Result<Vec<_>, Failure>>()?;
        let wanted: Vec<_> =
            modules.iter().flat_map(|module| self.compile.iter().map(move |on| (module, on))).collect();
        let compile = |((name, kernels, source), architecture): &(&(String, usize, String), &String)| {
            let kibibytes = cuda::compile(source, architecture)?.len() / 1024;
            Ok(format!("{name}: {kernels} kernels for {architecture}, {kibibytes} KiB, no spills\n"))
        };
        let lines = wanted.par_iter().map(compile).collect::<Result<Vec<_>, Failure>>()?;
        lines.iter().try_for_each(|line| terminal.print(line))
    }
}

/// Cases that are compiled as one: few enough that the compiler's threads share the work.
const CASES_OF_A_MODULE: usize = 150;

/// The largest error of each kernel.
fn by_kernel(differences: &[Difference]) -> BTreeMap<&str, (usize, f64)> {
    let mut kernels: BTreeMap<&str, (usize, f64)> = BTreeMap::new();
    for difference in differences {
        let kernel = kernels.entry(difference.kernel).or_default();
        *kernel = (kernel.0 + 1, kernel.1.max(difference.error));
    }
    kernels
}

fn as_table(description: &str, differences: &[Difference], left_out: usize) -> String {
    let mut text = format!("{description}\n\n| kernel | cases | largest error |\n| --- | ---: | ---: |\n");
    for (kernel, (cases, error)) in by_kernel(differences) {
        text.push_str(&format!("| {kernel} | {cases} | {error:.1e} |\n"));
    }
    let wrong = differences.iter().filter(|difference| difference.wrong.is_some()).count();
    text.push_str(&format!("\n{} cases, {wrong} wrong", differences.len()));
    if left_out > 0 {
        text.push_str(&format!(", {left_out} left out as too large (`--most`)"));
    }
    text.push('\n');
    for difference in differences.iter().filter(|difference| difference.wrong.is_some()) {
        text.push_str(&format!("wrong: {}: {}\n", difference.case, difference.wrong.as_deref().unwrap_or_default()));
    }
    text
}

fn as_json(description: &str, differences: &[Difference]) -> String {
    let cases: Vec<_> = differences
        .iter()
        .map(|difference| {
            json!({ "kernel": difference.kernel, "case": difference.case, "error": difference.error, "wrong": difference.wrong })
        })
        .collect();
    format!("{:#}\n", json!({ "device": description, "cases": cases }))
}
