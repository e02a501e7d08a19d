//! Timing the compiler, part by part.

use std::cell::Cell;
use std::fmt::Write;
use std::time::{Duration, Instant};

use llmc_compiler::check::{Override, check_trees, parse};
use llmc_compiler::lower::lower;
use llmc_compiler::optimise::PASSES;
use llmc_compiler::plan::{Plan, SourcePlan, StagePlan};
use llmc_compiler::schedule::{Hardware, schedule, verify::verify};
use llmc_compiler::world::{SourceFacts, TokenizerFacts, World};
use llmc_grammar::codes::DEVICE;
use llmc_grammar::source::Source;
use serde::Serialize;

use super::{MEBIBYTE, rounded};
use crate::failure::Failure;
use crate::train::compile::{graphs_mut, named_programs, not_lowered, round};
use crate::train::space;
use llmc_grammar::number::{count, grouped};

/// What the compiler took for one stage of a recipe.
#[derive(Debug, Clone, Serialize)]
pub struct CompileTimes {
    /// The recipe's name.
    pub recipe: String,
    /// The stage's name.
    pub stage: String,
    /// Trained values.
    pub params: u64,
    /// Launches of all programs.
    pub launches: usize,
    /// The parts in the order they run.
    pub parts: Vec<Part>,
    /// All parts together, in milliseconds.
    pub total_ms: f64,
    /// Largest resident set of the process so far, in MiB; 0 where the system does not tell.
    pub peak_rss_mb: f64,
}

/// One part of the compiler.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// Its name; passes of the optimiser are `optimise: PASS`.
    pub part: String,
    /// Milliseconds.
    pub ms: f64,
}

/// Takes the time of one part after another.
#[derive(Default)]
struct Stopwatch {
    parts: Vec<Part>,
}

impl Stopwatch {
    fn time<T>(&mut self, part: &str, work: impl FnOnce() -> T) -> T {
        let began = Instant::now();
        let result = work();
        self.add(part, began.elapsed());
        result
    }

    fn add(&mut self, part: &str, time: Duration) {
        self.parts.push(Part { part: part.to_owned(), ms: rounded(time.as_secs_f64() * 1e3, 3) });
    }
}

/// Compiles a recipe's stage as `llmc compile` does, and times it. `choose` finds the stage in the plan.
///
/// # Errors
/// Every mistake of the recipe.
pub fn compile_times(
    source: &Source,
    overrides: &[Override],
    world: &dyn World,
    choose: impl for<'p> Fn(&'p Plan) -> Result<&'p StagePlan, Failure>,
) -> Result<CompileTimes, Failure> {
    let mut watch = Stopwatch::default();
    let world = TimedWorld { world, asked: Cell::default() };
    let trees = watch.time("parse", || parse(source, &world))?;
    // Imports are read while parsing; what is asked from here on is data and tokenizers.
    world.asked.set(Duration::ZERO);
    let began = Instant::now();
    let plan = check_trees(source, trees, overrides, &world)?.plan;
    let asked = world.asked.get();
    watch.add("check", began.elapsed().saturating_sub(asked));
    watch.add("check: looking at files", asked);
    let stage = choose(&plan)?;
    let mut graphs = watch.time("lower", || lower(stage)).map_err(not_lowered)?;
    for (name, pass) in PASSES {
        watch.time(&format!("optimise: {name}"), || graphs_mut(&mut graphs).into_iter().for_each(pass));
    }
    watch.time("optimise: precision", || round(&mut graphs, stage));
    let programs = watch.time("schedule", || schedule(&graphs, stage, Hardware::Processor));
    watch
        .time("schedule: verify", || named_programs(&programs).into_iter().try_for_each(verify))
        .map_err(|reason| Failure::new(DEVICE, reason))?;
    let total: f64 = watch.parts.iter().map(|part| part.ms).sum();
    Ok(CompileTimes {
        recipe: plan.recipe.clone(),
        stage: stage.name.clone(),
        params: stage.model.weights.iter().map(|weight| weight.elements()).sum(),
        launches: named_programs(&programs).iter().map(|program| program.steps.len()).sum(),
        parts: watch.parts,
        total_ms: rounded(total, 3),
        peak_rss_mb: rounded(space::peak_resident().unwrap_or(0) as f64 / MEBIBYTE, 1),
    })
}

impl CompileTimes {
    /// The parts, a line each.
    pub fn table(&self) -> String {
        let CompileTimes { recipe, stage, .. } = self;
        let (params, launches) = (count(self.params), grouped(self.launches as u64));
        let mut text = format!("{recipe} / {stage}: {params} parameters, {launches} launches\n\n");
        let total = Part { part: "total".to_owned(), ms: self.total_ms };
        for Part { part, ms } in self.parts.iter().chain([&total]) {
            let _ = writeln!(text, "  {part:25} {ms:>10.3} ms");
        }
        let _ = writeln!(text, "  {:25} {:>10.1} MiB", "peak memory", self.peak_rss_mb);
        text
    }
}

/// A world that knows how long it was asked.
struct TimedWorld<'a> {
    world: &'a dyn World,
    asked: Cell<Duration>,
}

impl TimedWorld<'_> {
    fn time<T>(&self, ask: impl FnOnce(&dyn World) -> T) -> T {
        let began = Instant::now();
        let answer = ask(self.world);
        self.asked.set(self.asked.get() + began.elapsed());
        answer
    }
}

impl World for TimedWorld<'_> {
    fn import(&self, path: &str, from: &Source) -> Result<Source, String> {
        self.time(|world| world.import(path, from))
    }

    fn huggingface_config(&self, directory: &str) -> Result<serde_json::Value, String> {
        self.time(|world| world.huggingface_config(directory))
    }

    fn tokenizer(&self, path: &str) -> Result<TokenizerFacts, String> {
        self.time(|world| world.tokenizer(path))
    }

    fn tiktoken(&self, path: &str) -> Result<u64, String> {
        self.time(|world| world.tiktoken(path))
    }

    fn source(&self, source: &SourcePlan) -> Result<SourceFacts, String> {
        self.time(|world| world.source(source))
    }
}
