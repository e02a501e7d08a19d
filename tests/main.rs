//! The integration tests: the real binary, the real files, the source's own rules.

mod architecture;
mod cli;
mod fidelity;
mod generation;
mod mutation;
mod scoring;
mod support;
mod training;
