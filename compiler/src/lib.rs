//! The compiler of llmc: `Tree -> Plan -> Graph -> Program`. Pure and deterministic: no file, clock, environment or print.

// Tests read reference files and print measurements; the compiler itself never does.
#![cfg_attr(test, allow(clippy::disallowed_methods, clippy::disallowed_types, clippy::disallowed_macros))]

pub mod check;
pub mod cuda;
pub mod dim;
pub mod execute;
pub mod graph;
pub mod library;
pub mod lower;
pub mod op;
pub mod optimise;
pub mod plan;
pub mod program;
pub mod random;
pub mod schedule;
#[cfg(test)]
mod testing;
pub mod world;
