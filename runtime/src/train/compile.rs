//! A stage compiled: graphs, programs and their texts.

use std::path::Path;

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::{StageGraphs, lower};
use llmc_compiler::optimise::{RandomRounding, optimise, shorten};
use llmc_compiler::plan::{Plan, Precision, StagePlan};
use llmc_compiler::program::{Program, StagePrograms};
use llmc_compiler::schedule::{Hardware, schedule};
use llmc_grammar::codes::DEVICE;

use super::machine::{DeviceChoice, Machine};
use crate::checkpoint::directory::replace_file;
use crate::device::release_freed_memory;
use crate::failure::{AtPath, Failure};

/// What a stage compiles to.
pub struct Compiled {
    /// The optimised graphs.
    pub graphs: StageGraphs,
    /// The programs of the optimised graphs.
    pub programs: StagePrograms,
    /// The lowered graphs as text, before any pass.
    pub lowered_text: String,
}

/// A compiled stage as a device takes it.
pub struct Runnable {
    /// The programs.
    pub programs: StagePrograms,
    /// The optimised graphs, for the device that runs graphs.
    pub graphs: Option<StageGraphs>,
    /// blake3 of the lowered graphs' text.
    pub hash: String,
}

/// A sentence of the compiler about a model that cannot be lowered.
pub fn not_lowered(reason: String) -> Failure {
    Failure::new(DEVICE, reason)
}

impl Compiled {
    /// Lowers, optimises and schedules a stage.
    ///
    /// # Errors
    /// What lowering says of a model that does not fit the stage's sequence length.
    pub fn of(stage: &StagePlan, hardware: Hardware) -> Result<Compiled, Failure> {
        let mut graphs = lower(stage).map_err(not_lowered)?;
        let lowered_text = graphs_text(&graphs);
        graphs_mut(&mut graphs).into_iter().for_each(optimise);
        round(&mut graphs, stage);
        let programs = schedule(&graphs, stage, hardware);
        Ok(Compiled { graphs, programs, lowered_text })
    }

    /// What is needed to run on `machine`; all else goes back to the system.
    pub fn into_runnable(self, machine: &Machine) -> Runnable {
        let Compiled { graphs, programs, lowered_text } = self;
        let hash = blake3::hash(lowered_text.as_bytes()).to_hex().to_string();
        let graphs = Some(graphs).filter(|_| machine.choice == DeviceChoice::Reference);
        drop(lowered_text);
        release_freed_memory();
        Runnable { programs, graphs, hash }
    }

    /// Writes `plan.yaml`, `graph.txt`, `graph.opt.txt` and `program.txt`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn write(&self, directory: &Path, plan_yaml: &str) -> Result<(), Failure> {
        std::fs::create_dir_all(directory).at("create", directory)?;
        let optimised = graphs_text(&self.graphs);
        let programs = programs_text(&self.programs);
        for (name, text) in [
            ("plan.yaml", plan_yaml),
            ("graph.txt", &self.lowered_text),
            ("graph.opt.txt", &optimised),
            ("program.txt", &programs),
        ] {
            replace_file(&directory.join(name), text.as_bytes())?;
        }
        Ok(())
    }
}

/// Keeps what lies between kernels in the precision of a stage: the last step of optimisation.
pub fn round(graphs: &mut StageGraphs, stage: &StagePlan) {
    let Some(dtype) = stage.precision.short() else { return };
    let random = matches!(stage.precision, Precision::Bf16 { stochastic: true }).then(|| RandomRounding {
        seed: stage.seed,
        states: stage.trained().map(|weight| format!("weight/{}", weight.path)).collect(),
    });
    graphs.evaluate = shorten(&graphs.evaluate, dtype, None);
    for graph in graphs.accumulate.iter_mut().chain([&mut graphs.update]) {
        *graph = shorten(graph, dtype, random.as_ref());
    }
}

/// The plan of one stage with what it uses, as YAML.
pub fn plan_yaml(plan: &Plan, stage: &StagePlan) -> String {
    let alone = Plan { stages: vec![stage.clone()], ..plan.clone() };
    serde_yaml::to_string(&alone).expect("a plan is plain data")
}

/// The graphs that a stage has, by program name.
pub fn named_graphs(graphs: &StageGraphs) -> Vec<(&'static str, &Graph)> {
    let accumulate = graphs.accumulate.iter().map(|graph| ("accumulate", graph));
    accumulate.chain([("update", &graphs.update), ("evaluate", &graphs.evaluate)]).collect()
}

/// The same graphs, to be changed.
pub fn graphs_mut(graphs: &mut StageGraphs) -> Vec<&mut Graph> {
    let accumulate = graphs.accumulate.iter_mut();
    accumulate.chain([&mut graphs.update, &mut graphs.evaluate]).collect()
}

/// The programs that a stage has.
pub fn named_programs(programs: &StagePrograms) -> Vec<&Program> {
    let accumulate = programs.accumulate.iter();
    accumulate.chain([&programs.update, &programs.evaluate]).collect()
}

fn graphs_text(graphs: &StageGraphs) -> String {
    let sections = named_graphs(graphs).into_iter();
    let texts: Vec<String> = sections.map(|(name, graph)| format!("# {name}\n{}", graph.print())).collect();
    texts.join("\n")
}

fn programs_text(programs: &StagePrograms) -> String {
    let texts: Vec<String> = named_programs(programs).into_iter().map(Program::print).collect();
    texts.join("\n")
}
