//! `llmc probe`

use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::lower::{AUXILIARY_LOSS, lower_probe};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::{StagePlan, WeightPlan};
use llmc_compiler::schedule::{persistent, schedule_single};
use llmc_grammar::codes::{RUN_FILE, TOKEN_FILE};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::options::{DeviceOptions, LoadedRecipe, RecipeOptions, StageOption, out_directory};
use crate::device::{Device, ProgramId};
use crate::failure::Failure;
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;
use crate::train::compile::{Compiled, not_lowered};
use crate::train::engine::{Engine, loss_scale, run};
use crate::train::initial_weights;
use llmc_data::{Batch, Loader, prepare};

/// Writes one batch's inputs, logits, loss and every gradient at the first weights
#[derive(Debug, Args)]
pub struct Probe {
    #[command(flatten)]
    recipe: RecipeOptions,
    #[command(flatten)]
    stage: StageOption,
    #[command(flatten)]
    device: DeviceOptions,
    /// The safetensors file: the model's inputs, targets, logits, loss (what the model adds to it as `auxiliary_loss`, too), and gradients under the weights' names
    #[arg(long, value_name = "FILE.safetensors")]
    out: PathBuf,
    /// The optimizer step whose first micro-batch is taken, from 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    step: u64,
    /// Takes the batch from a file instead: tensors of whole numbers under the names of the model's inputs, and `targets`
    #[arg(long, value_name = "FILE.safetensors", conflicts_with = "step")]
    batch: Vec<PathBuf>,
    /// Takes optimizer steps with the batches, one micro-batch a file, and writes the weights after them, and `loss`, `grad_norm`
    /// and `learning_rate` of every step
    #[arg(long, requires = "batch")]
    train: bool,
}

/// The only program on the device.
const PROBE: ProgramId = 0;

impl Probe {
    /// Runs the command.
    ///
    /// # Errors
    /// Every mistake in the recipe, and everything that the machine can refuse.
    pub fn run(&self, terminal: &Terminal) -> Result<(), Failure> {
        let loaded = self.recipe.load(terminal)?;
        let mut stage = self.stage.one(&loaded.plan)?.clone();
        let batches = self.batches(&mut stage)?;
        let batch = match batches.first() {
            Some(_) if self.train => return self.train(&loaded, &stage, &batches),
            Some(batch) => batch.clone(),
            None => {
                let progress = DataProgress::new(terminal);
                let prepared = prepare(&loaded.plan, &stage, &loaded.base, &|done| progress.update(done));
                progress.finish();
                Loader::new(&prepared?, &stage).batch(self.step, 0)
            }
        };
        let mut graph = lower_probe(&stage).map_err(not_lowered)?;
        optimise(&mut graph);
        let machine = self.device.machine();
        let hardware = machine.choice.hardware();
        let (states, bytes) = persistent(&[&graph], &stage.model.weights, hardware);
        let program = schedule_single(&graph, "probe", &states, hardware);
        let mut device = machine.open(&states, bytes, vec![program], vec![graph])?;
        let out = out_directory(None, &loaded.plan);
        initial_weights(device.as_mut(), &stage, &loaded.base, &out)?;
        let loss_scale = loss_scale(std::slice::from_ref(&batch));
        run(device.as_mut(), PROBE, &batch, loss_scale, 0.0)?;
        write(&self.out, &stage, &batch, device.as_ref())
    }

    /// The batches of the files, to whose sizes the stage is fitted.
    fn batches(&self, stage: &mut StagePlan) -> Result<Vec<Batch>, Failure> {
        let mut batches: Vec<Batch> = Vec::new();
        for file in &self.batch {
            let batch = Batch::read(file)?;
            let sizes = |batch: &Batch| (batch.rows, batch.row_length, batch.source_length);
            if let Some(first) = batches.first().filter(|first| sizes(first) != sizes(&batch)) {
                let message = format!(
                    "`{}` has {} rows of {} tokens, the first batch {} of {}",
                    file.display(),
                    batch.rows,
                    batch.row_length,
                    first.rows,
                    first.row_length
                );
                return Err(Failure::with_help(TOKEN_FILE, message, "all batches have one size".to_owned()));
            }
            batches.push(batch);
        }
        match (batches.len() as u64, self.train) {
            (2.., false) => {
                let message = "one batch is probed, but several are given".to_owned();
                return Err(Failure::with_help(TOKEN_FILE, message, "with `--train` they are trained on".to_owned()));
            }
            (count, true) if !count.is_multiple_of(stage.accumulation) => {
                let message = format!("{count} batches are no whole steps of {} micro-batches", stage.accumulation);
                return Err(Failure::with_help(
                    TOKEN_FILE,
                    message,
                    "leave `micro_batch` out of the recipe".to_owned(),
                ));
            }
            _ => {}
        }
        if let Some(batch) = batches.first() {
            let lengths = (batch.row_length as u64, batch.source_length as u64);
            stage.micro_batch = batch.rows as u64;
            (stage.sequence_length, stage.target_length) = match lengths {
                (tokens, 0) => (tokens, None),
                (tokens, source) => (source, Some(tokens)),
            };
        }
        Ok(batches)
    }

    /// Takes the steps and writes what became of the weights.
    fn train(&self, loaded: &LoadedRecipe, stage: &StagePlan, batches: &[Batch]) -> Result<(), Failure> {
        let machine = self.device.machine();
        let runnable = Compiled::of(stage, machine.choice.hardware())?.into_runnable(&machine);
        let mut engine = Engine::new(runnable, stage, &machine)?;
        let out = out_directory(None, &loaded.plan);
        initial_weights(engine.device_mut(), stage, &loaded.base, &out)?;
        let mut results = Vec::new();
        for (step, batches) in (0..).zip(batches.chunks(stage.accumulation as usize)) {
            results.push(engine.step_on(batches, step)?);
        }
        let mut tensors = Tensors::default();
        let of_steps = [
            ("loss", results.iter().map(|step| step.loss as f32).collect::<Vec<f32>>()),
            (AUXILIARY_LOSS, results.iter().filter_map(|step| step.auxiliary_loss).map(|loss| loss as f32).collect()),
            ("grad_norm", results.iter().map(|step| step.grad_norm as f32).collect()),
            ("learning_rate", results.iter().map(|step| step.learning_rate as f32).collect()),
        ];
        for (name, values) in of_steps.into_iter().filter(|(_, values)| !values.is_empty()) {
            tensors.floats(name, &[results.len() as u64], &values);
        }
        for weight in &stage.model.weights {
            let values = engine.device().read_state(&format!("weight/{}", weight.path))?;
            tensors.weight(weight, &values);
        }
        tensors.write(&self.out)
    }
}

/// What a file will hold.
#[derive(Default)]
struct Tensors(Vec<(String, Dtype, Vec<usize>, Vec<u8>)>);

impl Tensors {
    fn floats(&mut self, name: &str, shape: &[u64], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.0.push((name.to_owned(), Dtype::F32, shape.iter().map(|&size| size as usize).collect(), bytes));
    }

    /// Values of a weight, under the names that a checkpoint has for it.
    fn weight(&mut self, weight: &WeightPlan, values: &[f32]) {
        let shape = weight.stored_shape();
        let size = shape.iter().product::<u64>() as usize;
        for (name, part) in weight.stored_names().iter().zip(values.chunks_exact(size.max(1))) {
            self.floats(name, shape, part);
        }
    }

    fn write(&self, path: &Path) -> Result<(), Failure> {
        let views: Result<Vec<(&str, TensorView<'_>)>, _> = self
            .0
            .iter()
            .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
            .collect();
        let written = views.and_then(|views| safetensors::serialize_to_file(views, None, path));
        written.map_err(|error| Failure::new(RUN_FILE, format!("cannot write `{}`: {error}", path.display())))
    }
}

fn write(path: &Path, stage: &StagePlan, batch: &Batch, device: &dyn Device) -> Result<(), Failure> {
    let mut tensors = Tensors::default();
    for (name, length, values) in batch.inputs() {
        if name == "targets" || stage.model.takes(name) {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.0.push((name.to_owned(), Dtype::I32, vec![batch.rows, length], bytes));
        }
    }
    if stage.weighted {
        tensors.floats("loss_weights", &[batch.rows as u64, batch.row_length as u64], &batch.weights);
    }
    let logits = [batch.rows as u64, batch.row_length as u64, stage.model.vocab];
    tensors.floats("logits", &logits, &device.read_output(PROBE, "logits")?);
    tensors.floats("loss", &[], &device.read_output(PROBE, "loss")?);
    if stage.model.adds_loss() {
        tensors.floats(AUXILIARY_LOSS, &[], &device.read_output(PROBE, AUXILIARY_LOSS)?);
    }
    for weight in stage.trained() {
        tensors.weight(weight, &device.read_output(PROBE, &format!("gradient/{}", weight.path))?);
    }
    tensors.write(path)
}
