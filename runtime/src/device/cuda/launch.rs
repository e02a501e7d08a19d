//! A program made ready: launches with their arguments, inputs and outputs.
#![allow(unsafe_code)]

use std::collections::BTreeSet;
use std::rc::Rc;

use llmc_compiler::cuda::{Argument, Launch, Module};
use llmc_compiler::plan::DType;
use llmc_compiler::program::{Kernel as StepKernel, Program, Region};

use super::Regions;
use super::driver::{Card, Kernel, Mark, Recorded, launch_failed};
use super::memory::Pinned;
use super::product::{Library, Plan};
use super::state::Value;
use crate::device::{DeviceError, HostTensor};

/// One launch.
#[derive(Debug)]
struct Prepared {
    step: usize,
    kernel: Kernel,
    name: String,
    grid: [u32; 2],
    threads: u32,
    shared_bytes: u32,
    words: Vec<u64>,
    plan: Option<Plan>,
    /// Another step that the plan does too.
    covers: Option<usize>,
}

/// An input's place.
#[derive(Debug)]
struct Input {
    name: String,
    region: Region,
    offset: u64,
    elements: usize,
    is_integer: bool,
}

/// How the next run goes.
#[derive(Debug)]
enum Replay {
    /// Launch by launch: drivers load kernels when they are first launched, which cannot be recorded.
    First,
    /// Recorded, then replayed.
    Second,
    /// Replayed.
    Recorded(Recorded),
    /// Launch by launch for good: the driver cannot record it.
    Never,
}

/// A program made ready.
#[derive(Debug)]
pub struct Ready {
    program: Program,
    launches: Vec<Prepared>,
    inputs: Vec<Input>,
    outputs: Vec<(String, Region, Value)>,
    replay: Replay,
    seconds: Vec<f64>,
}

impl Ready {
    /// Resolves the arguments of all launches to addresses.
    pub fn new(
        program: Program,
        launches: &[Launch],
        module: &Module,
        kernels: &[Kernel],
        regions: &Regions,
        products: Option<&Library>,
    ) -> Result<Ready, DeviceError> {
        check_bounds(&program, regions)?;
        let word = |argument: &Argument| match *argument {
            Argument::Memory(region, offset) => regions.of(region).address(offset),
            Argument::Workspace(offset) => regions.workspace.address(offset),
            Argument::Data(index) => regions.data.address(regions.data_offsets[index]),
            Argument::Fault => regions.fault.address(0),
            Argument::Int(number) => u64::from(number as u32),
            Argument::Word(number) => number,
            Argument::Null => 0,
        };
        let prepared = |launch: &Launch| {
            let words: Vec<u64> = launch.arguments.iter().map(word).collect();
            let plan = match (products, &launch.product, &words[..]) {
                (Some(products), Some(product), [a, b, out]) => {
                    let sums = launch.sums.map(|sums| (sums.of, word(&sums.to)));
                    products.plan(product, sums, [*a, *b, *out])?
                }
                _ => None,
            };
            let covers = launch.sums.filter(|_| plan.as_ref().is_some_and(Plan::has_sums)).map(|sums| sums.step);
            let (kernel, name) = (kernels[launch.function], &module.functions[launch.function].name);
            kernel.may_share(name, launch.shared_bytes)?;
            Ok(Prepared {
                step: launch.step,
                kernel,
                name: name.clone(),
                grid: launch.grid,
                threads: launch.threads,
                shared_bytes: launch.shared_bytes,
                words,
                plan,
                covers,
            })
        };
        let mut launches = launches.iter().map(prepared).collect::<Result<Vec<_>, DeviceError>>()?;
        let covered: BTreeSet<usize> = launches.iter().filter_map(|launch| launch.covers).collect();
        launches.retain(|launch| !covered.contains(&launch.step));
        let input = |(name, buffer): &(String, usize)| {
            let buffer = &program.buffers[*buffer];
            if buffer.dtype.is_half() {
                return Err(DeviceError::Program(format!("{name}: an input of 16-bit floats")));
            }
            Ok(Input {
                name: name.clone(),
                region: buffer.region,
                offset: buffer.offset,
                elements: (buffer.bytes / buffer.dtype.bytes()) as usize,
                is_integer: buffer.dtype == DType::I32,
            })
        };
        let inputs = program.inputs.iter().map(input).collect::<Result<_, _>>()?;
        let output = |(name, view): &(String, llmc_compiler::program::View)| {
            let buffer = &program.buffers[view.buffer];
            (name.clone(), buffer.region, Value::of(buffer, view))
        };
        let outputs = program.outputs.iter().map(output).collect();
        let seconds = vec![0.0; program.steps.len()];
        Ok(Ready { program, launches, inputs, outputs, replay: Replay::First, seconds })
    }

    /// The program's name.
    pub fn name(&self) -> &str {
        &self.program.name
    }

    /// A result's place.
    pub fn output(&self, name: &str) -> Result<(Region, &Value), DeviceError> {
        let found = self.outputs.iter().find(|(known, ..)| known == name);
        found.map(|(_, region, value)| (*region, value)).ok_or_else(|| DeviceError::UnknownName(name.to_owned()))
    }

    /// Puts the inputs into pinned memory and asks for their copies.
    pub fn copy_inputs(
        &self,
        batch: &mut Pinned,
        regions: &Regions,
        inputs: &[(&str, HostTensor<'_>)],
    ) -> Result<(), DeviceError> {
        let words = batch.words_mut()?;
        let mut first = 0;
        for input in &self.inputs {
            let given = inputs.iter().find(|(given, _)| *given == input.name);
            let (_, values) = given.ok_or_else(|| DeviceError::MissingInput(input.name.clone()))?;
            let to = &mut words[first..first + input.elements];
            let count = match values {
                HostTensor::F32(values) if !input.is_integer => values.len(),
                HostTensor::I32(values) if input.is_integer => values.len(),
                _ => 0,
            };
            if count != input.elements {
                let (expected, given) = (input.elements as u64, count as u64);
                return Err(DeviceError::Size { name: input.name.clone(), expected, given });
            }
            match values {
                HostTensor::F32(values) => to.iter_mut().zip(*values).for_each(|(to, value)| *to = value.to_bits()),
                HostTensor::I32(values) => to.iter_mut().zip(*values).for_each(|(to, value)| *to = *value as u32),
            }
            first += input.elements;
        }
        let mut first = 0;
        for input in &self.inputs {
            regions.of(input.region).write_pinned(input.offset, batch, first, input.elements)?;
            first += input.elements;
        }
        batch.is_used()
    }

    /// Launches all kernels, or what was recorded of them.
    pub fn launch(&mut self, card: &Rc<Card>, products: Option<&Library>) -> Result<(), DeviceError> {
        if let Replay::Second = self.replay {
            // If it fails, nothing of it ran.
            let recorded = card.record(|| self.launch_each(card, products, false));
            self.replay = recorded.map_or(Replay::Never, Replay::Recorded);
        }
        match &self.replay {
            Replay::Recorded(recorded) => recorded.launch(&format!("run the program `{}`", self.program.name)),
            Replay::First if !self.launches.is_empty() => {
                self.replay = Replay::Second;
                self.launch_each(card, products, false)
            }
            _ => self.launch_each(card, products, false),
        }
    }

    /// Launches one kernel after another; waits for each where a failure is to be told of it.
    pub fn launch_each(&self, card: &Card, products: Option<&Library>, is_blocking: bool) -> Result<(), DeviceError> {
        for launch in &self.launches {
            self.launch_one(launch, card, products)?;
            if is_blocking {
                card.synchronize(&format!("run the kernel {} of {}", launch.name, self.place(launch.step)))?;
            }
        }
        Ok(())
    }

    /// Launches one kernel after another and takes the time of each step.
    pub fn launch_timed(
        &mut self,
        card: &Card,
        products: Option<&Library>,
        [begin, end]: &[Mark; 2],
    ) -> Result<(), DeviceError> {
        for launch in &self.launches {
            begin.set()?;
            self.launch_one(launch, card, products)?;
            end.set()?;
            end.wait(&format!("run the kernel {} of {}", launch.name, self.place(launch.step)))?;
            self.seconds[launch.step] += end.seconds_since(begin)?;
        }
        Ok(())
    }

    fn launch_one(&self, launch: &Prepared, card: &Card, products: Option<&Library>) -> Result<(), DeviceError> {
        if let (Some(plan), Some(products), [a, b, out]) = (&launch.plan, products, &launch.words[..]) {
            // SAFETY: the plan was made for the product of these operands, whose bounds were checked.
            return unsafe { products.launch(plan, [*a, *b, *out]) };
        }
        let mut words = launch.words.clone();
        // SAFETY: the words are the arguments that the kernel was printed with, and its operands' bounds were checked.
        let done =
            unsafe { launch.kernel.launch(card, launch.grid, [launch.threads, launch.shared_bytes], &mut words) };
        done.map_err(|error| launch_failed(&launch.name, &self.place(launch.step), error))
    }

    /// A step's kernel and origin.
    fn place(&self, step: usize) -> String {
        let step = &self.program.steps[step];
        format!("{} at `{}` ({})", step.kernel.name(), step.origin.path, step.origin.place)
    }

    /// What a kernel reported, if it did.
    pub fn fault(&self, [step, number]: [u32; 2]) -> Option<DeviceError> {
        let step = self.program.steps.get(usize::try_from(step).ok()?.checked_sub(1)?)?;
        let size = |view: Option<&llmc_compiler::program::View>, axis: usize| {
            view.and_then(|view| view.shape.get(axis)).copied().unwrap_or(0)
        };
        let last =
            |view: Option<&llmc_compiler::program::View>| view.and_then(|view| view.shape.last()).copied().unwrap_or(0);
        let id = i64::from(number as i32);
        let vocab = match &step.kernel {
            StepKernel::Gather => size(step.reads.first(), 0),
            StepKernel::ScatterAdd { .. } | StepKernel::RoutedOuter { .. } => size(step.writes.first(), 0),
            StepKernel::RoutedMatMul => size(step.reads.get(2), 0),
            StepKernel::CrossEntropy(_) | StepKernel::CrossEntropyGrad { .. } | StepKernel::Pick => {
                last(step.reads.first())
            }
            StepKernel::Place => last(step.writes.first()),
            StepKernel::CacheWrite | StepKernel::CachedAttention(_) => {
                let cache =
                    if matches!(step.kernel, StepKernel::CacheWrite) { step.writes.first() } else { step.reads.get(1) };
                let (length, added, capacity) = (id.max(0) as u64, size(step.reads.first(), 1), size(cache, 1));
                return Some(DeviceError::CacheFull { length, added, capacity });
            }
            _ => 0,
        };
        Some(DeviceError::IdOutOfRange { id, vocab, origin: step.origin.clone() })
    }

    /// How to learn which kernel failed.
    pub fn hint(&self, error: DeviceError) -> DeviceError {
        match error {
            DeviceError::Cuda(reason) => {
                DeviceError::Cuda(format!("{reason}; with CUDA_LAUNCH_BLOCKING=1 the message names the kernel"))
            }
            other => other,
        }
    }

    /// Seconds of each step while they are taken.
    pub fn seconds(&self) -> &[f64] {
        &self.seconds
    }

    /// Begins from zero.
    pub fn clear_seconds(&mut self) {
        self.seconds.fill(0.0);
    }
}

/// Every operand lies inside its buffer, and every buffer inside its region.
fn check_bounds(program: &Program, regions: &Regions) -> Result<(), DeviceError> {
    for buffer in &program.buffers {
        regions.of(buffer.region).check(buffer.offset, buffer.bytes)?;
    }
    for step in &program.steps {
        for view in step.reads.iter().chain(&step.writes) {
            let (bytes, each) =
                program.buffers.get(view.buffer).map_or((0, 1), |buffer| (buffer.bytes, buffer.dtype.bytes()));
            if view.last().is_none_or(|last| (last + 1).checked_mul(each).is_none_or(|end| end > bytes)) {
                let place = format!("{} at {} ({})", program.name, step.origin.path, step.origin.place);
                return Err(DeviceError::Program(format!("{place}: a view outside its buffer: {view:?}")));
            }
        }
    }
    Ok(())
}
