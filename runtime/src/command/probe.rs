//! `llmc probe`

use std::path::{Path, PathBuf};

use clap::Args;
use llmc_compiler::lower::{AUXILIARY_LOSS, lower_probe};
use llmc_compiler::optimise::optimise;
use llmc_compiler::plan::StagePlan;
use llmc_compiler::schedule::{persistent, schedule_single};
use llmc_grammar::codes::RUN_FILE;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::options::{DeviceOptions, RecipeOptions, StageOption, out_directory};
use crate::device::{Device, ProgramId};
use crate::failure::Failure;
use crate::report::progress::DataProgress;
use crate::report::terminal::Terminal;
use crate::train::compile::not_lowered;
use crate::train::engine::run;
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
    batch: Option<PathBuf>,
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
        let stage = self.stage.one(&loaded.plan)?;
        let machine = self.device.machine();
        let mut stage = stage.clone();
        let batch = match &self.batch {
            Some(file) => {
                let batch = Batch::read(file)?;
                let lengths = (batch.row_length as u64, batch.source_length as u64);
                stage.micro_batch = batch.rows as u64;
                (stage.sequence_length, stage.target_length) = match lengths {
                    (tokens, 0) => (tokens, None),
                    (tokens, source) => (source, Some(tokens)),
                };
                batch
            }
            None => {
                let progress = DataProgress::new(terminal);
                let prepared = prepare(&loaded.plan, &stage, &loaded.base, &|done| progress.update(done));
                progress.finish();
                Loader::new(&prepared?, &stage).batch(self.step, 0)
            }
        };
        let stage = &stage;
        let mut graph = lower_probe(stage).map_err(not_lowered)?;
        optimise(&mut graph);
        let (states, bytes) = persistent(&[&graph], &stage.model.weights);
        let program = schedule_single(&graph, "probe", &states);
        let mut device = machine.open(&states, bytes, vec![program], vec![graph])?;
        let out = out_directory(None, &loaded.plan);
        initial_weights(device.as_mut(), stage, &loaded.base, &out)?;
        let loss_scale = 1.0 / batch.target_tokens().max(1) as f32;
        run(device.as_mut(), PROBE, &batch, loss_scale, 0.0)?;
        write(&self.out, stage, &batch, device.as_ref())
    }
}

/// Little-endian bytes.
fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn write(path: &Path, stage: &StagePlan, batch: &Batch, device: &dyn Device) -> Result<(), Failure> {
    let rows = [batch.rows, batch.row_length];
    let mut tensors: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, length, values) in batch.inputs() {
        if name == "targets" || stage.model.takes(name) {
            let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensors.push((name.to_owned(), Dtype::I32, vec![batch.rows, length], bytes));
        }
    }
    let mut add = |name: &str, output: &str, shape: Vec<usize>| -> Result<(), Failure> {
        tensors.push((name.to_owned(), Dtype::F32, shape, bytes(&device.read_output(PROBE, output)?)));
        Ok(())
    };
    add("logits", "logits", vec![rows[0], rows[1], stage.model.vocab as usize])?;
    add("loss", "loss", Vec::new())?;
    if stage.model.adds_loss() {
        add(AUXILIARY_LOSS, AUXILIARY_LOSS, Vec::new())?;
    }
    for weight in &stage.model.weights {
        let shape: Vec<usize> = weight.stored_shape().iter().map(|&size| size as usize).collect();
        let size = 4 * shape.iter().product::<usize>();
        let bytes = bytes(&device.read_output(PROBE, &format!("gradient/{}", weight.path))?);
        for (name, part) in weight.stored_names().into_iter().zip(bytes.chunks_exact(size)) {
            tensors.push((name, Dtype::F32, shape.clone(), part.to_vec()));
        }
    }
    let views: Result<Vec<(&str, TensorView<'_>)>, _> = tensors
        .iter()
        .map(|(name, dtype, shape, bytes)| Ok((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes)?)))
        .collect();
    let written = views.and_then(|views| safetensors::serialize_to_file(views, None, path));
    written.map_err(|error| Failure::new(RUN_FILE, format!("cannot write `{}`: {error}", path.display())))
}
