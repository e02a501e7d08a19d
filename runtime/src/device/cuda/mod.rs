//! NVIDIA cards: programs printed as CUDA C, compiled for the card that is there, and replayed as recorded graphs.
//!
//! One piece of memory for each region, at the compiler's offsets; one stream; nothing is allocated in a step. Runs are
//! asked for and not waited for: whoever reads a result waits.

mod algorithm;
mod compile;
mod driver;
mod launch;
mod library;
mod memory;
mod peaks;
mod product;
mod state;

use std::rc::Rc;

use llmc_compiler::cuda::{Module, Unsupported};
use llmc_compiler::plan::Precision;
use llmc_compiler::program::{PersistentBuffer, Program};
use llmc_data::Cache;

use self::driver::{Card, Code, Mark};
use self::launch::Ready;
use self::memory::{Memory, Pinned};
use self::product::Library;
use self::state::{State, Value};
use super::{Device, DeviceError, HostTensor, Peaks, ProgramId};

pub use self::compile::compile;

/// Bytes of [`llmc_compiler::cuda::Argument::Fault`].
const FAULT_BYTES: u64 = 8;

/// Bytes that a card holds beside the regions of these programs: what goes from launch to launch, words that were known
/// before, and the workspace of matrix products. The driver takes some more for itself and for the kernels' code.
///
/// # Errors
/// A step that has no kernel on a card.
pub fn working_bytes(programs: &[&Program]) -> Result<u64, Unsupported> {
    let module = Module::print(programs)?;
    Ok(module.workspace_bytes + data_offsets(&module).1 + FAULT_BYTES + product::WORKSPACE)
}

/// Where the words of [`Module::data`] lie, and where they end.
fn data_offsets(module: &Module) -> (Vec<u64>, u64) {
    let mut end = 0;
    let offset = |words: &Vec<u32>| {
        let start = end;
        end += (4 * words.len() as u64).next_multiple_of(256);
        start
    };
    let offsets = module.data.iter().map(offset).collect();
    (offsets, end)
}

/// Whether every launch is to be waited for, so that a failure names its kernel: NVIDIA's own variable.
fn is_blocking() -> bool {
    std::env::var_os("CUDA_LAUNCH_BLOCKING").is_some_and(|value| value == "1")
}

/// A card with programs on it.
pub struct Cuda {
    // In the order in which they have to go.
    programs: Vec<Ready>,
    states: Vec<(String, State)>,
    /// Batches on their way: one is filled while the other is copied.
    batches: [Pinned; 2],
    turn: usize,
    marks: [Mark; 2],
    is_timed: bool,
    /// Why no run can succeed any more.
    failure: std::cell::RefCell<Option<DeviceError>>,
    regions: Regions,
    precision: Precision,
    products: Option<Library>,
    _code: Option<Code>,
    card: Rc<Card>,
}

/// All memory of a device.
#[derive(Debug)]
struct Regions {
    persistent: Memory,
    scratch: Memory,
    workspace: Memory,
    /// What was known before anything ran, each at its offset.
    data: Memory,
    data_offsets: Vec<u64>,
    /// See [`llmc_compiler::cuda::Argument::Fault`].
    fault: Memory,
}

impl Cuda {
    /// Compiles the programs, allocates both regions, and makes every launch ready.
    ///
    /// # Errors
    /// No card, no compiler, no memory, or a step that has no kernel.
    pub fn new(
        persistent: &[PersistentBuffer],
        persistent_bytes: u64,
        programs: Vec<Program>,
        precision: Precision,
    ) -> Result<Cuda, DeviceError> {
        let card = Rc::new(Card::open()?);
        let all: Vec<&Program> = programs.iter().collect();
        let module = Module::print(&all).map_err(|missing| DeviceError::NoCudaKernel(missing.to_string()))?;
        let cache = Cache::of_user().ok();
        let architecture = format!("sm_{}{}", card.capability.0, card.capability.1);
        let code = match module.functions.is_empty() {
            true => None,
            false => {
                let cubin = compile::cubin(&module.source(), &architecture, cache.as_ref())?;
                Some(card.load(&cubin)?)
            }
        };
        let regions = Regions::new(&card, persistent_bytes, &programs, &module)?;
        let products = Library::open(&card, precision, cache)?;
        let states = persistent.iter().map(|buffer| (buffer.name.clone(), State::of(buffer))).collect();
        let words = |program: &Program| {
            let bytes = program.inputs.iter().map(|(_, buffer)| program.buffers[*buffer].bytes.next_multiple_of(4));
            bytes.sum::<u64>() as usize / 4
        };
        let most = programs.iter().map(words).max().unwrap_or(0);
        let batches = [Pinned::new(&card, most)?, Pinned::new(&card, most)?];
        let marks = [Mark::new(&card)?, Mark::new(&card)?];
        let kernels = module.functions.iter().map(|function| match &code {
            Some(code) => code.kernel(&function.name),
            None => Err(DeviceError::UnknownName(function.name.clone())),
        });
        let kernels = kernels.collect::<Result<Vec<_>, _>>()?;
        let ready = programs.into_iter().zip(&module.programs);
        let ready = ready
            .map(|(program, launches)| Ready::new(program, launches, &module, &kernels, &regions, products.as_ref()));
        let programs = ready.collect::<Result<_, _>>()?;
        if products.as_ref().is_some_and(Library::has_timed) {
            // States are zero until they are written, and products that add to them ran.
            regions.persistent.clear_all()?;
        }
        Ok(Cuda {
            programs,
            states,
            batches,
            turn: 0,
            marks,
            is_timed: false,
            failure: Default::default(),
            regions,
            precision,
            products,
            _code: code,
            card,
        })
    }

    /// What broke the device, or a fault that a kernel reported since; whoever waits for a result asks.
    fn check(&self, program: ProgramId) -> Result<(), DeviceError> {
        let mut failure = self.failure.borrow_mut();
        if let Some(failure) = &*failure {
            return Err(failure.clone());
        }
        let ready = self.programs.get(program).ok_or_else(|| unknown_program(program))?;
        let mut words = [0; 2];
        let read = self.regions.fault.read(0, &mut words, &format!("run the program `{}`", ready.name()));
        let fault = match read {
            Ok(()) => ready.fault(words),
            Err(error) => Some(ready.hint(error)),
        };
        *failure = fault;
        failure.as_ref().map_or(Ok(()), |failure| Err(failure.clone()))
    }

    fn state(&self, name: &str) -> Result<&State, DeviceError> {
        let found = self.states.iter().find(|(known, _)| known == name);
        found.map(|(_, state)| state).ok_or_else(|| DeviceError::UnknownName(name.to_owned()))
    }

    fn output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.check(program)?;
        let ready = self.programs.get(program).ok_or_else(|| unknown_program(program))?;
        let (region, value): (_, &Value) = ready.output(name)?;
        value.read(self.regions.of(region), &format!("read `{name}`"))
    }

    /// Launches all steps of a program, or what was recorded of them.
    fn launch(&mut self, program: ProgramId) -> Result<(), DeviceError> {
        let Cuda { programs, card, products, marks, is_timed, .. } = self;
        let ready = &mut programs[program];
        if *is_timed {
            return ready.launch_timed(card, products.as_ref(), marks);
        }
        if is_blocking() {
            return ready.launch_each(card, products.as_ref(), true);
        }
        ready.launch(card, products.as_ref())
    }
}

impl Regions {
    fn new(card: &Rc<Card>, persistent: u64, programs: &[Program], module: &Module) -> Result<Regions, DeviceError> {
        let scratch = programs.iter().map(|program| program.scratch_bytes).max().unwrap_or(0);
        let (data_offsets, data_bytes) = data_offsets(module);
        let regions = Regions {
            persistent: Memory::new(card, persistent)?,
            scratch: Memory::new(card, scratch)?,
            workspace: Memory::new(card, module.workspace_bytes)?,
            data: Memory::new(card, data_bytes)?,
            data_offsets,
            fault: Memory::new(card, FAULT_BYTES)?,
        };
        for (words, offset) in module.data.iter().zip(&regions.data_offsets) {
            regions.data.write(*offset, words)?;
        }
        Ok(regions)
    }

    fn of(&self, region: llmc_compiler::program::Region) -> &Memory {
        match region {
            llmc_compiler::program::Region::Persistent => &self.persistent,
            llmc_compiler::program::Region::Scratch => &self.scratch,
        }
    }
}

fn unknown_program(program: ProgramId) -> DeviceError {
    DeviceError::UnknownName(format!("program {program}"))
}

impl Device for Cuda {
    fn describe(&self) -> String {
        let (major, minor) = self.card.capability;
        let products = match (&self.products, self.precision) {
            (Some(_), Precision::F32) => "cuBLASLt",
            (Some(_), Precision::Tf32) => "cuBLASLt in tf32",
            (Some(_), Precision::Bf16 { .. }) => "cuBLASLt in bf16",
            (Some(_), Precision::Fp16(_)) => "cuBLASLt in fp16",
            (None, _) => "own matrix products",
        };
        format!("cuda, {} (sm_{major}{minor}), {products}", self.card.name)
    }

    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        self.state(name)?.write(&self.regions.persistent, name, values)
    }

    fn fill_state(&mut self, name: &str, fill: &(dyn Fn(u64, &mut [f32]) + Sync)) -> Result<(), DeviceError> {
        self.state(name)?.fill(&self.regions.persistent, name, fill)
    }

    fn read_state(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        let state = self.state(name)?;
        state.read(&self.regions.persistent, name, 0, state.elements)
    }

    fn read_state_part(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        self.state(name)?.read(&self.regions.persistent, name, start, count)
    }

    fn zero_states(&mut self, prefix: &str) {
        for (_, state) in self.states.iter().filter(|(name, _)| name.starts_with(prefix)) {
            if let Err(error) = state.clear(&self.regions.persistent) {
                // There is no result to say it in; the next run says it.
                self.failure.borrow_mut().get_or_insert(error);
            }
        }
    }

    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError> {
        if let Some(failure) = &*self.failure.borrow() {
            return Err(failure.clone());
        }
        let ready = self.programs.get(program).ok_or_else(|| unknown_program(program))?;
        let batch = &mut self.batches[self.turn];
        self.turn = 1 - self.turn;
        ready.copy_inputs(batch, &self.regions, inputs)?;
        let launched = self.launch(program);
        if let Err(error) = &launched {
            self.failure.borrow_mut().get_or_insert(error.clone());
        }
        launched
    }

    fn time_steps(&mut self, on: bool) {
        self.is_timed = on;
        self.programs.iter_mut().for_each(Ready::clear_seconds);
    }

    fn step_seconds(&self, program: ProgramId) -> Vec<f64> {
        let ready = self.programs.get(program).filter(|_| self.is_timed);
        ready.map(|ready| ready.seconds().to_vec()).unwrap_or_default()
    }

    fn memory_in_use(&self) -> Option<u64> {
        self.card.memory().ok().map(|(free, all)| all - free)
    }

    fn measure_peaks(&self) -> Option<Peaks> {
        peaks::measure(self.precision)
    }

    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        self.output(program, name)
    }
}

impl Drop for Cuda {
    fn drop(&mut self) {
        // Nothing may go that still runs. An error was told already, or nobody asked for the result.
        let _ = self.card.synchronize("finish");
    }
}
