//! Floating-point operations and memory traffic of a kernel.
//!
//! Operations: the convention of the field (Chowdhery et al. 2022, PaLM, appendix B): matrix products and attention count, a multiply-add
//! being two operations; elementwise work, reductions and normalisations do not. Causal attention counts half, because
//! half of the scores are never needed, attention with a window its band. The backward pass of attention has five products of the forward's two.

use crate::plan::AttentionSettings;
use crate::program::{Kernel, Program, Step, View};

/// Floating-point operations of one run of a step.
pub fn flops(step: &Step) -> u64 {
    match &step.kernel {
        Kernel::MatMul { .. } => {
            let inner = step.reads[0].shape.last().copied().unwrap_or(1);
            2 * step.writes[0].elements() * inner
        }
        // The matrices that were chosen, whatever their number.
        Kernel::RoutedMatMul => 2 * step.writes[0].elements() * step.reads[0].shape[1],
        Kernel::RoutedOuter { .. } => 2 * step.reads[1].elements() * step.reads[0].shape[1] * step.reads[2].shape[1],
        Kernel::Attention { settings, .. } => {
            let [q, k, v] = [&step.reads[0], &step.reads[1], &step.reads[2]];
            seen(product(q, k, q.shape[3]) + product(q, k, v.shape[3]), settings, k.shape[1])
        }
        Kernel::AttentionGrad { settings, .. } => {
            let [q, k, v] = [&step.reads[0], &step.reads[1], &step.reads[2]];
            seen(3 * product(q, k, q.shape[3]) + 2 * product(q, k, v.shape[3]), settings, k.shape[1])
        }
        Kernel::CachedAttention(_) => {
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

/// What is left of the operations over all pairs where only some see each other: half where attention is causal, of `w` columns
/// the band where it has a window.
fn seen(flops: u64, settings: &AttentionSettings, keys: u64) -> u64 {
    let all = if settings.causal { flops / 2 } else { flops };
    let Some(window) = settings.window.filter(|&window| window < keys) else { return all };
    let (window, keys) = (u128::from(window), u128::from(keys));
    // Of a causal row the last `w` keys, fewer in the first rows; else as many on the other side.
    let pairs = (2 * keys * window - window * window) * if settings.causal { 1 } else { 2 };
    u64::try_from(u128::from(flops) * pairs / (2 * keys * keys)).unwrap_or(all).min(all)
}

/// Bytes that a step of `program` must at least move: what it reads, each element once however often it is used, and what it writes.
pub fn bytes(program: &Program, step: &Step) -> u64 {
    let used = |operands: &[View]| -> u64 {
        let distinct = operands.iter().enumerate().filter(|(index, view)| !operands[..*index].contains(view));
        distinct.map(|(_, view)| elements(view) * program.buffers[view.buffer].dtype.bytes()).sum()
    };
    match (&step.kernel, step.reads.as_slice(), step.writes.as_slice()) {
        // Of the table only the rows named by the ids.
        (Kernel::Gather, [_, ids], [rows]) => used(std::slice::from_ref(ids)) + 2 * used(std::slice::from_ref(rows)),
        (Kernel::ScatterAdd { accumulate: true }, [ids, rows], _) => {
            used(std::slice::from_ref(ids)) + 3 * used(std::slice::from_ref(rows))
        }
        // Of the matrices no more than there are ids.
        (Kernel::RoutedMatMul, [x, ids, matrices], _) => {
            let (all, named) = (matrices.shape[0], matrices.shape[0].min(ids.elements()));
            used(&[x.clone(), ids.clone()]) + used(std::slice::from_ref(matrices)) / all * named + used(&step.writes)
        }
        (Kernel::MatMul { accumulate: true } | Kernel::RoutedOuter { accumulate: true } | Kernel::AdamW(_), ..) => {
            used(&step.reads) + 2 * used(&step.writes)
        }
        _ => used(&step.reads) + used(&step.writes),
    }
}

/// Elements of a view that lie at different places.
fn elements(view: &View) -> u64 {
    let axes = view.shape.iter().zip(&view.strides);
    axes.map(|(size, stride)| if *stride == 0 && *size > 0 { 1 } else { *size }).product()
}
