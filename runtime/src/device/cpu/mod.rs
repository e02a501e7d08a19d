//! The CPU: all cores, vector instructions, two arenas, and results that do not depend on the number of threads.

mod arena;
mod attention;
mod attention_grad;
mod bind;
mod cache;
mod lanes;
mod launch;
mod layout;
mod lookup;
mod loops;
mod loss;
mod math;
mod matmul;
mod matrix;
mod norm;
mod operand;
mod optimizer;
mod pool;
mod reduce;
mod rotate;
mod scratch;
mod simd;
mod stream;
mod tile;
mod transfer;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;

use llmc_compiler::execute::Execution;
use llmc_compiler::program::{BufferId, PersistentBuffer, Program};

use self::arena::Arena;
use self::bind::Memory;
use self::launch::Launch;
use self::operand::Window;
use self::pool::Pool;
use self::simd::Level;
use super::{Device, DeviceError, HostTensor, ProgramId};

/// A program made ready to run: a luminal graph whose nodes are its launches.
struct Ready {
    execution: Execution,
    inputs: Vec<(String, Window)>,
    outputs: Vec<(String, Window)>,
}

/// What every launch works on.
struct Core {
    memory: Memory,
    pool: Pool,
    partial: Vec<f64>,
    /// Why a launch failed: luminal's nodes can only say that one did.
    failure: Option<DeviceError>,
}

impl Core {
    fn launch(&mut self, launch: &Launch) -> Result<(), String> {
        let mut operands = self.memory.open(launch.bound());
        launch.run(&mut operands, &self.pool, &mut self.partial).map_err(|error| {
            let reason = error.to_string();
            self.failure = Some(error);
            reason
        })
    }
}

/// The CPU device.
pub struct Cpu {
    // Windows point into the core's memory, whose blocks never move.
    programs: Vec<Ready>,
    states: Vec<(String, Window)>,
    core: Rc<RefCell<Core>>,
}

impl Cpu {
    /// Allocates both regions, exactly as large as planned, and makes every program ready.
    ///
    /// # Errors
    /// No memory, no threads, or a program that breaks the rules of its form.
    pub fn new(
        persistent: &[PersistentBuffer],
        persistent_bytes: u64,
        programs: Vec<Program>,
        threads: usize,
    ) -> Result<Cpu, DeviceError> {
        let scratch_bytes = programs.iter().map(|program| program.scratch_bytes).max().unwrap_or(0);
        let memory = Memory { persistent: Arena::new(persistent_bytes)?, scratch: Arena::new(scratch_bytes)? };
        let states = persistent
            .iter()
            .map(|state| Ok((state.name.clone(), memory.state(state)?)))
            .collect::<Result<_, DeviceError>>()?;
        let core = Core { memory, pool: Pool::new(threads)?, partial: Vec::new(), failure: None };
        let core = Rc::new(RefCell::new(core));
        let programs = programs.iter().map(|program| ready(&core, program)).collect::<Result<_, _>>()?;
        Ok(Cpu { programs, states, core })
    }

    fn state(&self, name: &str) -> Result<&Window, DeviceError> {
        find(&self.states, name)
    }

    fn program(&self, program: ProgramId) -> Result<&Ready, DeviceError> {
        self.programs.get(program).ok_or_else(|| DeviceError::UnknownName(format!("program {program}")))
    }
}

fn find<'w>(windows: &'w [(String, Window)], name: &str) -> Result<&'w Window, DeviceError> {
    let found = windows.iter().find(|(known, _)| known == name);
    found.map(|(_, window)| window).ok_or_else(|| DeviceError::UnknownName(name.to_owned()))
}

/// Binds all that a program names.
fn ready(core: &Rc<RefCell<Core>>, program: &Program) -> Result<Ready, DeviceError> {
    let bound = core.borrow();
    let memory = &bound.memory;
    let input = |(name, buffer): &(String, BufferId)| Ok((name.clone(), memory.buffer(program, *buffer)?));
    let output = |(name, view)| Ok((String::clone(name), memory.window(program, view)?));
    let launches: Vec<Launch> =
        program.steps.iter().map(|step| Launch::new(memory, program, step)).collect::<Result<_, _>>()?;
    let inputs = program.inputs.iter().map(input).collect::<Result<_, DeviceError>>()?;
    let outputs =
        program.outputs.iter().map(|(name, view)| output((name, view))).collect::<Result<_, DeviceError>>()?;
    let core = Rc::clone(core);
    let steps = launches.len();
    let execution = Execution::new(steps, Rc::new(move |step| core.borrow_mut().launch(&launches[step])));
    Ok(Ready { execution, inputs, outputs })
}

impl Device for Cpu {
    fn describe(&self) -> String {
        let threads = self.core.borrow().pool.threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("cpu, {threads} thread{plural}, {}", Level::detected())
    }

    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        let window = self.state(name)?.clone();
        self.core.borrow_mut().memory.write(name, &window, HostTensor::F32(values))
    }

    fn read_state(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        self.core.borrow().memory.read_part(name, self.state(name)?, start, count)
    }

    fn zero_states(&mut self, prefix: &str) {
        for (_, window) in self.states.iter().filter(|(name, _)| name.starts_with(prefix)) {
            self.core.borrow_mut().memory.zero(window);
        }
    }

    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError> {
        let unknown = || DeviceError::UnknownName(format!("program {program}"));
        let ready = self.programs.get_mut(program).ok_or_else(unknown)?;
        for (name, window) in &ready.inputs {
            let given = inputs.iter().find(|(given, _)| given == name);
            let (_, values) = given.ok_or_else(|| DeviceError::MissingInput(name.clone()))?;
            self.core.borrow_mut().memory.write(name, window, *values)?;
        }
        ready.execution.run().map_err(|reason| {
            let failure = self.core.borrow_mut().failure.take();
            failure.unwrap_or(DeviceError::Program(reason))
        })
    }

    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        Ok(self.core.borrow().memory.read(find(&self.program(program)?.outputs, name)?))
    }
}
