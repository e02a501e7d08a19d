//! Devices: what runs a [`Program`](llmc_compiler::program::Program) on real memory.

pub mod cpu;
pub mod cuda;
mod error;
mod reference;

#[cfg(test)]
mod tests;

pub use cpu::{Cpu, release_freed_memory};
pub use cuda::Cuda;
pub use error::DeviceError;
pub use reference::Reference;

/// Index of a program in the list a device was made with.
pub type ProgramId = usize;

/// Values on the host, in row-major order.
#[derive(Debug, Clone, Copy)]
pub enum HostTensor<'a> {
    /// 32-bit floats.
    F32(&'a [f32]),
    /// 32-bit signed integers.
    I32(&'a [i32]),
}

/// The limits that a kernel can come near to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peaks {
    /// Operations per second, all threads together: a multiply-add is two.
    pub flops: f64,
    /// The same for one thread alone.
    pub flops_of_one: f64,
    /// Bytes read and written per second by a copy that is larger than the caches, all threads together.
    pub copy_bytes: f64,
}

impl Peaks {
    /// The higher of each.
    pub fn best(self, other: Peaks) -> Peaks {
        Peaks {
            flops: self.flops.max(other.flops),
            flops_of_one: self.flops_of_one.max(other.flops_of_one),
            copy_bytes: self.copy_bytes.max(other.copy_bytes),
        }
    }
}

/// A place where programs run: it owns the persistent state and the scratch memory.
pub trait Device {
    /// One line for people: what it is and how much of it is used.
    fn describe(&self) -> String;

    /// Replaces a state (`weight/PATH`, ...). `values` has as many elements as the state.
    fn write_state(&mut self, name: &str, values: &[f32]) -> Result<(), DeviceError>;

    /// Replaces a state by what `fill` gives: called once for each of several parts that make up the state, with the part's
    /// first element in row-major order, perhaps on several threads at once.
    ///
    /// # Errors
    /// If there is no such state of floats.
    fn fill_state(&mut self, name: &str, fill: &(dyn Fn(u64, &mut [f32]) + Sync)) -> Result<(), DeviceError>;

    /// A copy of a state, in row-major order.
    fn read_state(&self, name: &str) -> Result<Vec<f32>, DeviceError>;

    /// A copy of the elements `start..start + count` of a state, in row-major order.
    ///
    /// # Errors
    /// If there is no such state, or it has fewer elements.
    fn read_state_part(&self, name: &str, start: u64, count: u64) -> Result<Vec<f32>, DeviceError>;

    /// Sets every state whose name starts with `prefix` to zero.
    fn zero_states(&mut self, prefix: &str);

    /// Runs a program. Every input it declares must be given.
    ///
    /// # Errors
    /// A missing or wrongly sized input, or a token id outside its table. Values that are not finite are no error.
    fn run(&mut self, program: ProgramId, inputs: &[(&str, HostTensor<'_>)]) -> Result<(), DeviceError>;

    /// Begins to take the time of every step of every program, from zero, or stops. Costs nothing while it is off.
    fn time_steps(&mut self, _on: bool) {}

    /// Bytes of the device's own memory that are taken, by whomever; none for a device that has none.
    fn memory_in_use(&self) -> Option<u64> {
        None
    }

    /// Seconds of each step of `program` since timing began, all runs together; empty where the device takes no time.
    fn step_seconds(&self, _program: ProgramId) -> Vec<f64> {
        Vec::new()
    }

    /// What the machine can do at most, measured now with loops that do nothing else; none where the device cannot tell.
    fn measure_peaks(&self) -> Option<Peaks> {
        None
    }

    /// A copy of a result of the last run of `program`, in row-major order.
    fn read_output(&self, program: ProgramId, name: &str) -> Result<Vec<f32>, DeviceError>;

    /// As [`Device::read_output`], into memory that is there already.
    fn read_output_into(&self, program: ProgramId, name: &str, values: &mut Vec<f32>) -> Result<(), DeviceError> {
        *values = self.read_output(program, name)?;
        Ok(())
    }
}
