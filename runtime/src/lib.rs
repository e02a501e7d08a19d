//! placeholder

pub mod data;
pub mod tokenizer;
pub mod world;
