//! How exactly a stage computes.

use serde::Serialize;

/// Precision of a stage's arithmetic. Weights, activations and sums are 32-bit floats in all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// A device may round the operands of matrix products to 10 bits of mantissa (NVIDIA's TF32).
    Tf32,
}

impl Precision {
    /// Whether it is what a stage does that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Precision::default()
    }
}
