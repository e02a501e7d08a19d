//! The compiler of llmc: `Tree -> Plan -> Graph -> Program`. Pure and deterministic: no file, clock, environment or print.

pub mod check;
pub mod dim;
pub mod library;
pub mod op;
pub mod plan;
pub mod program;
pub mod random;
pub mod world;
