//! What several tests need: tiny models, values for their inputs, a plain interpreter of programs.

pub(crate) mod interpreter;
pub(crate) mod plans;
pub(crate) mod values;
