//! The CPU: all cores, vector instructions, two arenas, and results that do not depend on the number of threads.

mod arena;
mod attention;
mod bind;
mod cache;
mod check;
mod elements;
mod grid;
mod groups;
mod lanes;
mod launch;
mod layout;
mod lookup;
mod loop_norm;
mod loops;
mod loss;
mod math;
mod matmul;
mod matrix;
mod norm;
mod operand;
mod optimizer;
mod pattern;
mod peaks;
mod pool;
mod random;
mod reduce;
mod rotate;
mod routed;
mod rows;
mod scratch;
mod select;
mod simd;
mod stream;
mod tile;
mod transfer;
mod window;
mod working;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Instant;

use llmc_compiler::execute::Execution;
use llmc_compiler::program::{BufferId, PersistentBuffer, Program};

pub use self::arena::release_freed_memory;
pub use self::random::normals;
pub use self::working::working_bytes;

use self::arena::Arena;
use self::bind::Memory;
use self::launch::Launch;
use self::pool::{Pool, Runs};
use self::simd::Level;
use self::window::Window;
use super::{Device, DeviceError, HostTensor, Peaks, ProgramId};

/// Elements that a task of [`Device::fill_state`] fills.
const FILLED: usize = 1 << 14;

/// The CPU device.
pub struct Cpu {
    core: Rc<Core>,
    programs: Vec<Ready>,
    states: Vec<(String, Window)>,
}

/// A program made ready to run: a luminal graph whose nodes launch the steps.
struct Ready {
    execution: Execution,
    inputs: Vec<(String, Window)>,
    outputs: Vec<(String, Window)>,
}

/// What the nodes of all programs share.
struct Core {
    // Windows of the launches point into the memory, whose blocks never move.
    launches: Vec<Vec<Launch>>,
    pool: Pool,
    working: RefCell<Working>,
}

/// What a step changes.
struct Working {
    memory: Memory,
    /// Partial sums of reductions.
    partial: Vec<f64>,
    /// Why the present run failed.
    failure: Option<DeviceError>,
    /// Seconds of each step of each program, while they are taken.
    seconds: Option<Vec<Vec<f64>>>,
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
        let state = |state: &PersistentBuffer| Ok((state.name.clone(), memory.state(state)?));
        let states = persistent.iter().map(state).collect::<Result<_, DeviceError>>()?;
        let launches = |program: &Program| -> Result<Vec<Launch>, DeviceError> {
            program.steps.iter().map(|step| Launch::new(&memory, program, step)).collect()
        };
        let launches = programs.iter().map(launches).collect::<Result<_, _>>()?;
        let windows = programs.iter().map(|program| named_windows(&memory, program)).collect::<Result<Vec<_>, _>>()?;
        let working = RefCell::new(Working { memory, partial: Vec::new(), failure: None, seconds: None });
        let core = Rc::new(Core { launches, pool: Pool::new(threads)?, working });
        let ready = |(program, (inputs, outputs))| {
            let shared = Rc::clone(&core);
            let launch = move |step| shared.launch(program, step);
            let execution = Execution::new(core.launches[program].len(), Rc::new(launch));
            Ready { execution, inputs, outputs }
        };
        let programs = windows.into_iter().enumerate().map(ready).collect();
        Ok(Cpu { core, programs, states })
    }
}

impl Core {
    /// Runs one step of a program.
    fn launch(&self, program: ProgramId, step: usize) -> Result<(), String> {
        let Working { memory, partial, failure, seconds } = &mut *self.working.borrow_mut();
        let launch = &self.launches[program][step];
        let began = seconds.is_some().then(Instant::now);
        let mut operands = memory.open(launch.bound());
        let result = launch.run(&mut operands, &self.pool, partial);
        if let (Some(began), Some(seconds)) = (began, seconds) {
            seconds[program][step] += began.elapsed().as_secs_f64();
        }
        result.map_err(|error| {
            let reason = error.to_string();
            *failure = Some(error);
            reason
        })
    }
}

type Windows = Vec<(String, Window)>;

/// Windows of a program's inputs and outputs.
fn named_windows(memory: &Memory, program: &Program) -> Result<(Windows, Windows), DeviceError> {
    let input = |(name, buffer): &(String, BufferId)| Ok((name.clone(), memory.buffer(program, *buffer)?));
    let inputs = program.inputs.iter().map(input).collect::<Result<_, DeviceError>>()?;
    let outputs = program.outputs.iter().map(|(name, view)| Ok((name.clone(), memory.window(program, view)?)));
    Ok((inputs, outputs.collect::<Result<_, DeviceError>>()?))
}

fn find<'w>(windows: &'w [(String, Window)], name: &str) -> Result<&'w Window, DeviceError> {
    let found = windows.iter().find(|(known, _)| known == name);
    found.map(|(_, window)| window).ok_or_else(|| DeviceError::UnknownName(name.to_owned()))
}

fn unknown_program(program: ProgramId) -> DeviceError {
    DeviceError::UnknownName(format!("program {program}"))
}

impl Device for Cpu {
    fn describe(&self) -> String {
        let threads = self.core.pool.threads();
        let plural = if threads == 1 { "" } else { "s" };
        format!("cpu, {threads} thread{plural}, {}", Level::detected())
    }

    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError> {
        let window = find(&self.states, name)?;
        self.core.working.borrow_mut().memory.write(name, window, HostTensor::F32(values))
    }

    fn fill_state(&mut self, name: &str, fill: &(dyn Fn(u64, &mut [f32]) + Sync)) -> Result<(), DeviceError> {
        let window = find(&self.states, name)?;
        let memory = &mut self.core.working.borrow_mut().memory;
        let values = memory.values_mut(name, window)?;
        self.core.pool.run(values.len().div_ceil(FILLED), Runs::new(values, FILLED), |task, part, _| {
            fill((task * FILLED) as u64, part);
        });
        Ok(())
    }

    fn read_state(&self, name: &str) -> Result<Vec<f32>, DeviceError> {
        Ok(self.core.working.borrow().memory.read(find(&self.states, name)?))
    }

    fn read_state_part(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError> {
        self.core.working.borrow().memory.read_part(name, find(&self.states, name)?, start, count)
    }

    fn zero_states(&mut self, prefix: &str) {
        let memory = &mut self.core.working.borrow_mut().memory;
        for (_, window) in self.states.iter().filter(|(name, _)| name.starts_with(prefix)) {
            memory.zero(window);
        }
    }

    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError> {
        let ready = self.programs.get_mut(program).ok_or_else(|| unknown_program(program))?;
        for (name, window) in &ready.inputs {
            let given = inputs.iter().find(|(given, _)| given == name);
            let (_, values) = given.ok_or_else(|| DeviceError::MissingInput(name.clone()))?;
            self.core.working.borrow_mut().memory.write(name, window, *values)?;
        }
        ready.execution.run().map_err(|reason| {
            let failure = self.core.working.borrow_mut().failure.take();
            failure.unwrap_or(DeviceError::Program(reason))
        })
    }

    fn time_steps(&mut self, on: bool) {
        let zeros = || self.core.launches.iter().map(|steps| vec![0.0; steps.len()]).collect();
        self.core.working.borrow_mut().seconds = on.then(zeros);
    }

    fn step_seconds(&self, program: ProgramId) -> Vec<f64> {
        let working = self.core.working.borrow();
        working.seconds.as_ref().and_then(|all| all.get(program)).cloned().unwrap_or_default()
    }

    fn measure_peaks(&self) -> Option<Peaks> {
        Some(peaks::measure(&self.core.pool))
    }

    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError> {
        let ready = self.programs.get(program).ok_or_else(|| unknown_program(program))?;
        Ok(self.core.working.borrow().memory.read(find(&ready.outputs, name)?))
    }

    fn read_output_into(&self, program: ProgramId, name: &str, values: &mut Vec<f32>) -> Result<(), DeviceError> {
        let ready = self.programs.get(program).ok_or_else(|| unknown_program(program))?;
        self.core.working.borrow().memory.read_into(find(&ready.outputs, name)?, values);
        Ok(())
    }
}
