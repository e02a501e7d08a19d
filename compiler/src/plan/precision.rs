//! How exactly a stage computes.

use serde::Serialize;

use super::DType;

/// Precision of a stage's arithmetic. Weights, their gradients, moments, statistics and losses are 32-bit floats in all of them, and
/// so is every sum.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// 32-bit floats throughout.
    #[default]
    F32,
    /// A device may round the operands of matrix products to 10 bits of mantissa (NVIDIA's TF32).
    Tf32,
    /// Activations and the operands of matrix products are kept as bf16.
    Bf16 {
        /// Whether trained weights are rounded at random, up or down so that the mean is right, and not to the nearest.
        stochastic: bool,
    },
    /// Activations and the operands of matrix products are kept as f16, and gradients are computed from a scaled loss.
    Fp16(LossScaling),
}

/// Dynamic loss scaling (Micikevicius et al. 2018), with the rules of PyTorch's `GradScaler`: a step whose gradients are not all
/// finite is left out and the scale multiplied by `backoff`; after `interval` steps in a row without such, by `growth`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LossScaling {
    /// The first scale.
    pub initial: f64,
    /// Factor of growth.
    pub growth: f64,
    /// Factor of backing off.
    pub backoff: f64,
    /// Steps without overflow before the scale grows.
    pub interval: u64,
}

impl Precision {
    /// Whether it is what a stage does that says nothing.
    pub fn is_default(&self) -> bool {
        *self == Precision::default()
    }

    /// The 16-bit type of what is kept between kernels, if any.
    pub fn short(&self) -> Option<DType> {
        match self {
            Precision::F32 | Precision::Tf32 => None,
            Precision::Bf16 { .. } => Some(DType::Bf16),
            Precision::Fp16(_) => Some(DType::F16),
        }
    }

    /// How the loss is scaled, if it is.
    pub fn scaling(&self) -> Option<LossScaling> {
        match self {
            Precision::Fp16(scaling) => Some(*scaling),
            Precision::F32 | Precision::Tf32 | Precision::Bf16 { .. } => None,
        }
    }
}
