//! The one integration-test binary: the product from outside, through recipes and the command line.

mod architecture;
mod bench;
mod cli;
mod cuda;
mod data;
mod eval;
mod experts;
mod extend;
mod families;
mod fidelity;
mod generation;
mod gguf;
mod growth;
mod import;
mod mutation;
mod objectives;
mod precision;
mod real_model;
mod recipes;
mod scoring;
mod sources;
mod support;
mod training;
mod weights;
