//! Checkpoints: what they hold, how they are written so that a kill at any moment leaves a readable run, and how
//! anything trained, here or elsewhere, is read back.

mod arrangement;
pub mod compare;
pub mod contents;
pub mod directory;
pub mod encoding;
pub mod family;
pub mod fit;
pub mod gguf;
pub mod model;
pub mod reader;
pub mod recipe;
pub mod tensors;
