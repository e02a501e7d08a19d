//! `llmc data`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::plan::{Plan, StagePlan};
use serde_json::json;

use super::options::{DeviceOptions, RecipeOptions, StageOption};
use crate::failure::{AtPath, Failure};
use crate::report::data::{preview, table};
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;
use llmc_data::{Cache, Loader, Prepared, documents, prepare};
use llmc_grammar::number::grouped;

/// Prepares the data of a stage and shows what each step kept, changed and dropped
#[derive(Debug, Args)]
pub struct Data {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
    /// Writes the documents that are left to DIR/DATASET.jsonl: text, source, position, what was done
    #[arg(long, value_name = "DIR")]
    export: Option<PathBuf>,
    /// Shows the first N rows of the first batches as the model will see them
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "3", value_parser = clap::value_parser!(u64).range(1..=1000))]
    preview: Option<u64>,
    /// Prints one JSON object
    #[arg(long, conflicts_with = "preview")]
    json: bool,
}

impl Data {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe and in its data, and a disk that is full.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let stage = self.stage.one(&loaded.plan)?;
        self.device.machine();
        let progress = DataProgress::new(terminal);
        let prepared = prepare(&loaded.plan, stage, &loaded.base, &|done| progress.update(done));
        progress.finish();
        let prepared = prepared?;
        terminal.diagnostics(&prepared.warnings);
        if let Some(directory) = &self.export {
            let (path, written) = export(&loaded.plan, stage, &loaded.base, directory)?;
            terminal.note(format!("{} documents written to `{}`", grouped(written), path.display()));
        }
        let loader = Loader::new(prepared.train.clone(), stage).shaped(prepared.shaper.clone());
        if self.json {
            let all = json!({
                "stage": stage.name,
                "dataset": stage.data,
                "stats": prepared.stats,
                "hashes": prepared.hashes,
                "process": prepared.process,
                "rows": loader.report(),
            });
            return terminal.print(&format!("{all:#}\n"));
        }
        terminal.print(&table(&stage.data, &prepared, &loader.report()))?;
        match self.preview {
            Some(count) => terminal.print(&rows(stage, &loader, &prepared, count, terminal)),
            None => Ok(()),
        }
    }
}

/// Writes the documents of a stage's data set after its steps, one JSON object a line. Gives the file and their number.
fn export(plan: &Plan, stage: &StagePlan, base: &Path, directory: &Path) -> Result<(PathBuf, u64), Failure> {
    std::fs::create_dir_all(directory).at("make", directory)?;
    let path = directory.join(format!("{}.jsonl", stage.data));
    let mut file = BufWriter::new(File::create(&path).at("write", &path)?);
    let mut written = 0;
    let texts = documents(&Cache::of_user()?, plan, &stage.data, base)?;
    for document in texts.documents() {
        let document = document?;
        let line = json!({
            "text": document.text,
            "source": document.origin.source,
            "position": document.origin.position,
            "done": document.done,
        });
        writeln!(file, "{line}").at("write", &path)?;
        written += 1;
    }
    file.flush().at("write", &path)?;
    Ok((path, written))
}

/// Rows of the stage's batches from the first step on.
fn rows(stage: &StagePlan, loader: &Loader, prepared: &Prepared, rows: u64, terminal: &Terminal) -> String {
    let mut text = String::new();
    let batches = (0..).flat_map(|step| (0..stage.accumulation).map(move |micro| (step, micro)));
    let mut left = rows as usize;
    for (step, micro) in batches {
        let batch = loader.batch(step, micro);
        let shown = left.min(batch.rows);
        text.push_str(&preview(&batch, shown, step, prepared.tokenizer.as_ref(), terminal.colour_output()));
        left -= shown;
        if left == 0 {
            break;
        }
    }
    text
}
