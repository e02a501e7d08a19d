//! A stage compiled: graphs, programs and their texts.

use std::path::Path;

use llmc_compiler::graph::Graph;
use llmc_compiler::lower::{StageGraphs, lower};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::{Plan, StagePlan};
use llmc_compiler::program::{Program, StagePrograms};
use llmc_compiler::schedule::schedule;
use llmc_grammar::codes::DEVICE;

use crate::checkpoint::directory::replace_file;
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

/// A sentence of the compiler about a model that cannot be lowered.
pub fn not_lowered(reason: String) -> Failure {
    Failure::new(DEVICE, reason)
}

impl Compiled {
    /// Lowers, optimises and schedules a stage.
    ///
    /// # Errors
    /// What lowering says of a model that does not fit the stage's sequence length.
    pub fn of(stage: &StagePlan) -> Result<Compiled, Failure> {
        let mut graphs = lower(stage).map_err(not_lowered)?;
        let lowered_text = graphs_text(&graphs);
        for graph in graphs_mut(&mut graphs) {
            optimise(graph);
        }
        let programs = schedule(&graphs, stage);
        Ok(Compiled { graphs, programs, lowered_text })
    }

    /// blake3 of the lowered graphs' text.
    pub fn hash(&self) -> String {
        blake3::hash(self.lowered_text.as_bytes()).to_hex().to_string()
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
