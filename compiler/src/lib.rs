//! placeholder

pub mod dim;
pub mod plan;
pub mod world;
