//! The runtime of llmc: commands, data, training, checkpoints and devices. All input and output lives here.

pub mod bench;
pub mod checkpoint;
pub mod command;
pub mod device;
pub mod eval;
pub mod failure;
pub mod generate;
pub mod report;
pub mod score;
pub mod train;
pub mod verify;
pub mod world;
