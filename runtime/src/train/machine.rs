//! The device that a command runs on.

use llmc_compiler::graph::Graph;
use llmc_compiler::plan::Precision;
use llmc_compiler::program::{PersistentBuffer, Program};
use llmc_compiler::schedule::Hardware;

use crate::device::{Cpu, Cuda, Device, Reference};
use crate::failure::Failure;

/// Which device is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DeviceChoice {
    /// The processor.
    Auto,
    /// All cores of the processor.
    Cpu,
    /// The first NVIDIA card.
    Cuda,
    /// Plain meaning of every operator: slow, for comparison.
    Reference,
}

impl DeviceChoice {
    /// The kind of device that programs are made for.
    pub fn hardware(self) -> Hardware {
        match self {
            DeviceChoice::Cuda => Hardware::Card,
            DeviceChoice::Auto | DeviceChoice::Cpu | DeviceChoice::Reference => Hardware::Processor,
        }
    }
}

/// A device to be opened.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Which.
    pub choice: DeviceChoice,
    /// Threads of the processor.
    pub threads: usize,
}

impl Machine {
    /// Opens the device with the states `persistent`, all zero. Program `i` is `programs[i]`, made from `graphs[i]`.
    ///
    /// # Errors
    /// If the machine has not the memory or the threads.
    pub fn open(
        &self,
        persistent: &[PersistentBuffer],
        persistent_bytes: u64,
        programs: Vec<Program>,
        graphs: Vec<Graph>,
    ) -> Result<Box<dyn Device>, Failure> {
        self.open_for(Precision::F32, persistent, persistent_bytes, programs, graphs)
    }

    /// The same, where less than f32 is allowed.
    ///
    /// # Errors
    /// As [`Machine::open`].
    pub fn open_for(
        &self,
        precision: Precision,
        persistent: &[PersistentBuffer],
        persistent_bytes: u64,
        programs: Vec<Program>,
        graphs: Vec<Graph>,
    ) -> Result<Box<dyn Device>, Failure> {
        Ok(match self.choice {
            DeviceChoice::Auto | DeviceChoice::Cpu => {
                drop(graphs);
                Box::new(Cpu::new(persistent, persistent_bytes, programs, self.threads)?)
            }
            DeviceChoice::Cuda => {
                drop(graphs);
                Box::new(Cuda::new(persistent, persistent_bytes, programs, precision)?)
            }
            DeviceChoice::Reference => Box::new(Reference::new(persistent, graphs)),
        })
    }
}
