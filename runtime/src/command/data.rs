//! `llmc data`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::plan::{Plan, StagePlan};
use serde_json::json;

use super::options::{DeviceOptions, RecipeOptions, StageOption};
use crate::failure::{AtPath, Failure};
use crate::report::data::{documents_table, preview, preview_document, report, table};
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;
use llmc_data::{Cache, Loader, Prepared, documents, prepare};
use llmc_grammar::codes::UNKNOWN_NAME;
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
    /// Only reads this dataset and sends it through its steps: no stage, no tokens
    #[arg(long, value_name = "NAME", conflicts_with = "stage")]
    dataset: Option<String>,
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
        if let Some(dataset) = self.dataset(&loaded.plan)? {
            return self.without_stage(&loaded.plan, &dataset, &loaded.base, terminal);
        }
        let stage = self.stage.one(&loaded.plan)?;
        self.device.machine();
        let progress = DataProgress::new(terminal);
        let prepared = prepare(&loaded.plan, stage, &loaded.base, &|done| progress.update(done));
        progress.finish();
        let prepared = prepared?;
        terminal.diagnostics(&prepared.warnings);
        if let Some(directory) = &self.export {
            for dataset in &prepared.datasets {
                self.export(&loaded.plan, &dataset.name, &loaded.base, directory, terminal)?;
            }
        }
        let loader = Loader::new(&prepared, stage);
        if self.json {
            let all = json!({
                "stage": stage.name,
                "dataset": stage.data,
                "stats": prepared.stats,
                "hashes": prepared.hashes,
                "process": prepared.datasets.first().and_then(|dataset| dataset.process.as_ref()),
                "datasets": prepared.datasets,
                "parts": report(&prepared)["parts"],
                "rows": loader.report(),
            });
            return terminal.print(&format!("{all:#}\n"));
        }
        terminal.print(&table(&prepared, &loader.report()))?;
        match self.preview {
            Some(count) => terminal.print(&rows(stage, &loader, &prepared, count, terminal)),
            None => Ok(()),
        }
    }

    /// The data set to read without a stage: the one asked for, or the only one of a recipe without stages.
    fn dataset(&self, plan: &Plan) -> Result<Option<String>, Failure> {
        let names: Vec<&String> = plan.datasets.keys().collect();
        match (&self.dataset, names.as_slice()) {
            (Some(name), _) if plan.datasets.contains_key(name) => Ok(Some(name.clone())),
            (Some(name), _) => Err(Failure::with_help(
                UNKNOWN_NAME,
                format!("the recipe has no dataset `{name}`"),
                format!("its datasets are: {}", names.into_iter().cloned().collect::<Vec<_>>().join(", ")),
            )),
            (None, [only]) if plan.stages.is_empty() => Ok(Some((*only).clone())),
            (None, _) => Ok(None),
        }
    }

    /// What is left of a data set's documents, without tokens.
    fn without_stage(&self, plan: &Plan, name: &str, base: &Path, terminal: &Terminal) -> Result<(), Failure> {
        self.device.machine();
        let progress = DataProgress::new(terminal);
        let read = documents(&Cache::of_user()?, plan, name, base, &|done| progress.update(done));
        progress.finish();
        let (texts, dataset) = read?;
        if let Some(directory) = &self.export {
            self.export(plan, name, base, directory, terminal)?;
        }
        if self.json {
            return terminal.print(&format!("{:#}\n", json!({ "dataset": name, "datasets": [dataset] })));
        }
        terminal.print(&documents_table(&dataset))?;
        for document in texts.documents().take(self.preview.unwrap_or(0) as usize) {
            terminal.print(&preview_document(&document?, terminal.colour_output()))?;
        }
        Ok(())
    }

    fn export(
        &self,
        plan: &Plan,
        dataset: &str,
        base: &Path,
        directory: &Path,
        terminal: &Terminal,
    ) -> Result<(), Failure> {
        let (path, written) = export(plan, dataset, base, directory)?;
        terminal.note(format!("{} documents written to `{}`", grouped(written), path.display()));
        Ok(())
    }
}

/// Writes the documents of a data set after its steps, one JSON object a line. Gives the file and their number.
fn export(plan: &Plan, dataset: &str, base: &Path, directory: &Path) -> Result<(PathBuf, u64), Failure> {
    std::fs::create_dir_all(directory).at("make", directory)?;
    let path = directory.join(format!("{dataset}.jsonl"));
    let mut file = BufWriter::new(File::create(&path).at("write", &path)?);
    let mut written = 0;
    let (texts, _) = documents(&Cache::of_user()?, plan, dataset, base, &|_| {})?;
    for document in texts.documents() {
        let document = document?;
        let mut line = json!({
            "text": document.text,
            "source": document.origin.source,
            "position": document.origin.position,
            "done": document.done,
        });
        if let Some(record) = &document.record {
            line["record"] = json!(record);
        }
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
