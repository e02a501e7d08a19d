//! Symbolic dimensions: sums of monomials over named dimensions with exact arithmetic.
