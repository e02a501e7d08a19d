//! One optimizer step and one evaluation, on whatever device.

use std::collections::BTreeMap;

use llmc_compiler::lower::{AUXILIARY_LOSS, LOSS_SCALE};
use llmc_compiler::plan::StagePlan;
use smallvec::SmallVec;

use super::compile::Runnable;
use super::machine::Machine;
use crate::device::{Device, HostTensor, ProgramId};
use crate::failure::Failure;
use llmc_data::{Batch, Evaluation, Loader};

/// A stage's programs on a device.
pub struct Engine {
    device: Box<dyn Device>,
    accumulate: Option<ProgramId>,
    update: ProgramId,
    evaluate: ProgramId,
    accumulation: u64,
    adds_loss: bool,
    scales_loss: bool,
}

/// What one optimizer step gave.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepResult {
    /// Mean loss of the step's target tokens, in nats.
    pub loss: f64,
    /// What the model added to it, where it does.
    pub auxiliary_loss: Option<f64>,
    /// Global gradient norm before clipping.
    pub grad_norm: f64,
    /// Learning rate of the step.
    pub learning_rate: f64,
    /// Where the loss is scaled: by how much, and whether the step was left out because its gradients overflowed.
    pub scaling: Option<StepScaling>,
}

/// What loss scaling did in one step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepScaling {
    /// The scale of the step's loss.
    pub scale: f64,
    /// Whether the step was left out.
    pub skipped: bool,
}

/// What one evaluation gave.
#[derive(Debug, Clone, PartialEq)]
pub struct Heldout {
    /// Mean loss of the held-out target tokens, in nats.
    pub loss: f64,
    /// Loss in bits per byte of text; none where the data came as token ids.
    pub bits_per_byte: Option<f64>,
    /// The mean loss of each part, where there are several.
    pub parts: BTreeMap<String, f64>,
}

impl Engine {
    /// Opens the device and puts the programs on it. All states are zero, but for the scale of the loss.
    ///
    /// # Errors
    /// If the machine has not the memory or the threads.
    pub fn new(runnable: Runnable, stage: &StagePlan, machine: &Machine) -> Result<Engine, Failure> {
        let Runnable { graphs, programs, .. } = runnable;
        let first = usize::from(programs.accumulate.is_some());
        let all = programs.accumulate.into_iter().chain([programs.update, programs.evaluate]);
        let graphs =
            graphs.into_iter().flat_map(|graphs| graphs.accumulate.into_iter().chain([graphs.update, graphs.evaluate]));
        let (persistent, bytes) = (&programs.persistent, programs.persistent_bytes);
        let mut device = machine.open_for(stage.precision, persistent, bytes, all.collect(), graphs.collect())?;
        if let Some(scaling) = stage.precision.scaling() {
            device.write_state(LOSS_SCALE, &[scaling.initial as f32])?;
        }
        Ok(Engine {
            device,
            accumulate: (first == 1).then_some(0),
            update: first,
            evaluate: first + 1,
            accumulation: stage.accumulation,
            adds_loss: stage.model.adds_loss(),
            scales_loss: stage.precision.scaling().is_some(),
        })
    }

    /// The device with all states.
    pub fn device(&self) -> &dyn Device {
        self.device.as_ref()
    }

    /// The device, to fill its states.
    pub fn device_mut(&mut self) -> &mut dyn Device {
        self.device.as_mut()
    }

    /// The programs that an optimizer step runs, and how often.
    pub fn programs_of_a_step(&self) -> Vec<(ProgramId, u64)> {
        let accumulate = self.accumulate.map(|program| (program, self.accumulation));
        accumulate.into_iter().chain([(self.update, 1)]).collect()
    }

    /// Optimizer step `step`, from 0.
    ///
    /// # Errors
    /// Of the device.
    pub fn step(&mut self, loader: &Loader, step: u64) -> Result<StepResult, Failure> {
        let batches: Vec<Batch> = (0..self.accumulation).map(|micro| loader.batch(step, micro)).collect();
        self.step_on(&batches, step)
    }

    /// Optimizer step `step` with these micro-batches, as many as the stage accumulates.
    ///
    /// # Errors
    /// Of the device.
    pub fn step_on(&mut self, batches: &[Batch], step: u64) -> Result<StepResult, Failure> {
        let loss_scale = loss_scale(batches);
        let mut losses = [0.0; 2];
        if let Some(accumulate) = self.accumulate {
            self.device.zero_states("gradient/");
            for (micro, batch) in batches.iter().enumerate() {
                let number = (step * self.accumulation + micro as u64) as f32;
                run(self.device.as_mut(), accumulate, batch, loss_scale, number)?;
                self.add_losses(accumulate, &mut losses)?;
            }
        }
        // Without accumulation the update is the whole step; with it, the batch is not among its inputs.
        run(self.device.as_mut(), self.update, &batches[0], loss_scale, step as f32)?;
        if self.accumulate.is_none() {
            self.add_losses(self.update, &mut losses)?;
        }
        let of_update = |name: &str| scalar(self.device.as_ref(), self.update, name);
        let scaling = match self.scales_loss {
            true => Some(StepScaling { scale: of_update("loss_scale")?, skipped: of_update("skipped")? != 0.0 }),
            false => None,
        };
        Ok(StepResult {
            loss: losses[0],
            auxiliary_loss: self.adds_loss.then_some(losses[1]),
            grad_norm: of_update("grad_norm")?,
            learning_rate: of_update("learning_rate")?,
            scaling,
        })
    }

    /// Adds what a program gave: the loss of its tokens, and what the model adds to it.
    fn add_losses(&self, program: ProgramId, losses: &mut [f64; 2]) -> Result<(), Failure> {
        losses[0] += scalar(self.device.as_ref(), program, "loss")?;
        if self.adds_loss {
            losses[1] += scalar(self.device.as_ref(), program, AUXILIARY_LOSS)?;
        }
        Ok(())
    }

    /// The loss of the held-out rows of every part, and over all of them.
    ///
    /// # Errors
    /// Of the device.
    pub fn evaluate(
        &mut self,
        heldout: &[(String, Evaluation)],
        byte_lengths: Option<&[u32]>,
    ) -> Result<Heldout, Failure> {
        let (mut loss, mut targets, mut bytes) = (0.0, 0.0, 0);
        let mut parts = BTreeMap::new();
        for (name, rows) in heldout {
            let (loss_before, targets_before) = (loss, targets);
            for index in 0..rows.batches() {
                let batch = rows.batch(index);
                run(self.device.as_mut(), self.evaluate, &batch, 1.0, 0.0)?;
                loss += scalar(self.device.as_ref(), self.evaluate, "loss_sum")?;
                targets += batch.target_weight();
                bytes += byte_lengths.map_or(0, |lengths| batch.target_bytes(lengths));
            }
            if heldout.len() > 1 {
                parts.insert(name.clone(), mean(loss - loss_before, targets - targets_before));
            }
        }
        Ok(Heldout {
            loss: mean(loss, targets),
            bits_per_byte: (bytes > 0).then(|| loss / std::f64::consts::LN_2 / bytes as f64),
            parts,
        })
    }
}

/// One over what all targets of these batches count together.
pub fn loss_scale(batches: &[Batch]) -> f32 {
    mean(1.0, batches.iter().map(Batch::target_weight).sum()) as f32
}

/// A sum over its weight; the sum itself where nothing counts.
fn mean(sum: f64, weight: f64) -> f64 {
    if weight > 0.0 { sum / weight } else { sum }
}

/// Runs a program on a batch; the device takes of the inputs what the program has.
pub fn run(
    device: &mut dyn Device,
    program: ProgramId,
    batch: &Batch,
    loss_scale: f32,
    step: f32,
) -> Result<(), Failure> {
    let mut inputs: SmallVec<[(&str, HostTensor<'_>); 11]> =
        batch.inputs().into_iter().map(|(name, _, values)| (name, HostTensor::I32(values))).collect();
    inputs.push(("loss_weights", HostTensor::F32(&batch.weights)));
    inputs.push(("loss_scale", HostTensor::F32(std::slice::from_ref(&loss_scale))));
    inputs.push(("step", HostTensor::F32(std::slice::from_ref(&step))));
    Ok(device.run(program, &inputs)?)
}

fn scalar(device: &dyn Device, program: ProgramId, name: &str) -> Result<f64, Failure> {
    let values = device.read_output(program, name)?;
    Ok(values.first().copied().map_or(f64::NAN, f64::from))
}
