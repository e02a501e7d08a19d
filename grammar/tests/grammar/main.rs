//! The recipe language from outside: trees, diagnostics, layout, and what no input may break.

mod corpus;
mod edges;
mod generate;
mod mutations;
mod print;
mod properties;
mod snapshots;
mod spans;
