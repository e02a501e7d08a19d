//! The one integration-test binary: the product from outside, through recipes and the command line.

mod architecture;
mod fidelity;
mod mutation;
mod real_model;
