//! Symbolic dimensions: sums of monomials over named dimensions with exact arithmetic.

use serde::{Deserialize, Serialize};

/// A dimension.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dim(pub u64);
