//! Floating-point operations of a kernel.
//!
//! The convention of the field (Chowdhery et al. 2022, PaLM, appendix B): matrix products and attention count, a multiply-add
//! being two operations; elementwise work, reductions and normalisations do not. Causal attention counts half, because
//! half of the scores are never needed. The backward pass of attention has five products of the forward's two.

use crate::op::AttentionSettings;
use crate::program::{Kernel, Step, View};

/// Floating-point operations of one run of a step.
pub(super) fn flops(step: &Step) -> u64 {
    match &step.kernel {
        Kernel::MatMul { .. } => {
            let inner = step.reads[0].shape.last().copied().unwrap_or(1);
            2 * step.writes[0].elements() * inner
        }
        Kernel::Attention { settings, .. } => {
            let [q, k, v] = [&step.reads[0], &step.reads[1], &step.reads[2]];
            halved(product(q, k, q.shape[3]) + product(q, k, v.shape[3]), settings)
        }
        Kernel::AttentionGrad { settings, .. } => {
            let [q, k, v] = [&step.reads[0], &step.reads[1], &step.reads[2]];
            halved(3 * product(q, k, q.shape[3]) + 2 * product(q, k, v.shape[3]), settings)
        }
        Kernel::CachedAttention { .. } => {
            let [q, k, v] = [&step.reads[0], &step.reads[1], &step.reads[2]];
            product(q, k, q.shape[3]) + product(q, k, v.shape[3])
        }
        _ => 0,
    }
}

/// A product over all pairs of queries and keys, `inner` multiply-adds each.
fn product(queries: &View, keys: &View, inner: u64) -> u64 {
    2 * queries.shape[0] * queries.shape[1] * queries.shape[2] * keys.shape[1] * inner
}

fn halved(flops: u64, settings: &AttentionSettings) -> u64 {
    if settings.causal { flops / 2 } else { flops }
}
