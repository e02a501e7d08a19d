//! Tree to plan: every mistake of the user ends here.

pub mod arithmetic;
pub mod constant_functions;
pub mod evaluate;
#[cfg(test)]
mod evaluate_tests;
pub mod model;
pub mod nearest;
mod quantities;
pub mod units;
pub mod value;
