//! The runtime of llmc: commands, data, training, checkpoints and devices. All input and output lives here.

pub mod checkpoint;
pub mod failure;
pub mod generate;
pub mod report;
