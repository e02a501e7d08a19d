//! Timing the preparation of data.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use llmc_compiler::plan::{Plan, StagePlan};
use llmc_data::{Cache, DataTimes, TimedPart, time_preparation};
use llmc_grammar::number::{bytes, grouped};
use serde::Serialize;

use super::{MEBIBYTE, rounded};
use crate::failure::Failure;
use crate::train::space;

/// What preparing a stage's data took.
#[derive(Debug, Clone, Serialize)]
pub struct DataSummary {
    /// The recipe's name.
    recipe: String,
    /// The stage's name.
    stage: String,
    /// Threads that did it.
    threads: usize,
    #[serde(flatten)]
    times: DataTimes,
    /// Largest resident set of the process, in MiB; 0 where the system does not tell.
    peak_rss_mb: f64,
}

/// Prepares a stage's data in a directory of its own beside the cache, so that it is on the same disk, and takes the
/// time.
///
/// # Errors
/// Everything that the data or the disk can refuse.
pub fn data_times(plan: &Plan, stage: &StagePlan, base: &Path) -> Result<DataSummary, Failure> {
    let scratch = Scratch { path: Cache::of_user()?.path(&format!("bench-{}", std::process::id())) };
    let times = time_preparation(&scratch.path, plan, stage, base)?;
    Ok(DataSummary {
        recipe: plan.recipe.clone(),
        stage: stage.name.clone(),
        threads: rayon::current_num_threads(),
        times,
        peak_rss_mb: rounded(space::peak_resident().unwrap_or(0) as f64 / MEBIBYTE, 1),
    })
}

impl DataSummary {
    /// The parts, a line each.
    pub fn table(&self) -> String {
        let DataSummary { recipe, stage, threads, times, .. } = self;
        let plural = if *threads == 1 { "" } else { "s" };
        let mut text = format!(
            "{recipe} / {stage}: data set {}, {} documents, {} tokens, {threads} thread{plural}\n\n",
            times.dataset,
            grouped(times.documents),
            grouped(times.tokens)
        );
        for part in times.parts.iter().chain([&times.whole]) {
            let TimedPart { part: name, seconds, bytes: size, mb_per_s } = part;
            let _ = writeln!(text, "  {name:25} {seconds:>9.3} s {:>12} {mb_per_s:>10.1} MB/s", bytes(*size));
        }
        let _ = writeln!(text, "  {:25} {:>9.1} MiB", "peak memory", self.peak_rss_mb);
        text
    }
}

/// A directory that is removed when it is of no use any more.
struct Scratch {
    path: PathBuf,
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed does no harm but to the disk's space.
        let _ = fs::remove_dir_all(&self.path);
    }
}
