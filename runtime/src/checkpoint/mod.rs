//! Checkpoints: what they hold, how they are written so that a kill at any moment leaves a readable run, and how
//! anything trained, here or elsewhere, is read back.

pub mod compare;
pub mod directory;
pub mod reader;
pub mod tensors;
