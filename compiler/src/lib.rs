//! The compiler of llmc: `Tree -> Plan -> Graph -> Program`. Pure and deterministic: no file, clock, environment or print.

pub mod dim;
pub mod execute;
pub mod graph;
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
