//! What the kernels ask of their operands' shapes, types and strides.

use llmc_compiler::op::AttentionInput;
use llmc_compiler::plan::AttentionSettings;
use llmc_compiler::program::Kernel;

use super::window::{Bound, Window};

/// Shape rules of the kernels that need no preparation.
pub fn check(kernel: &Kernel, bound: &Bound) -> Result<(), String> {
    let (reads, writes) = (bound.reads.as_slice(), bound.writes.as_slice());
    let arity = |wanted: (usize, usize)| match (reads.len(), writes.len()) == wanted {
        true => Ok(()),
        false => Err(format!("wants {wanted:?} operands, has {:?}", (reads.len(), writes.len()))),
    };
    let require = |holds: bool, rule: &str| {
        if holds { Ok(()) } else { Err(format!("{rule}: {bound:?}")) }
    };
    let rows = |window: &Window| !window.integer && !window.shape.is_empty() && is_unit(window, window.shape.len() - 1);
    let ids = |window: &Window| window.integer;
    let vector = |window: &Window, size: usize| rows(window) && window.shape.as_slice() == [size];
    let scalar = |window: &Window| window.count() == 1 && !window.integer;
    let flat = |window: &Window| window.is_contiguous();
    match kernel {
        Kernel::Loop(_) | Kernel::LoopNorm { .. } | Kernel::Reduce { .. } | Kernel::MatMul { .. } => Ok(()),
        Kernel::Gather => {
            arity((2, 1))?;
            let (table, ids_, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = table.shape.len() == 2 && out.count() == ids_.count() * table.last();
            require(rows(table) && rows(out) && ids(ids_) && shapes && out.last() == table.last(), "gather")
        }
        Kernel::ScatterAdd { .. } => {
            arity((2, 1))?;
            let (ids_, updates, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = out.shape.len() == 2 && updates.count() == ids_.count() * out.last();
            require(rows(updates) && rows(out) && ids(ids_) && shapes && out.last() == updates.last(), "scatter")
        }
        Kernel::TopK { count } => {
            arity((1, 1))?;
            let (x, out) = (&reads[0], &writes[0]);
            let size = out.layout().is_contiguous() && out.integer && out.shape.len() == x.shape.len();
            require(
                rows(x) && size && out.last() as u64 == *count && out.last() <= x.last() && same_leading(x, out),
                "top k",
            )
        }
        Kernel::Pick => {
            arity((2, 1))?;
            let (x, ids_, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = out.shape == ids_.shape && same_leading(x, ids_) && ids_.layout().is_contiguous();
            require(rows(x) && ids(ids_) && flat(out) && shapes, "pick")
        }
        Kernel::Place => {
            arity((2, 1))?;
            let (ids_, updates, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = updates.shape == ids_.shape && same_leading(ids_, out) && ids_.layout().is_contiguous();
            require(rows(updates) && ids(ids_) && rows(out) && shapes, "place")
        }
        Kernel::RoutedMatMul => {
            arity((3, 1))?;
            let (x, matrices, out) = (&reads[0], &reads[2], &writes[0]);
            let shapes = matrices.shape.len() == 3 && !matrices.integer && rows(out);
            let shapes = shapes && are_routed(x, &reads[1]) && out.shape[..] == [reads[1].count(), matrices.shape[2]];
            require(shapes && rows(x) && x.last() == matrices.shape[1], "routed product")
        }
        Kernel::RoutedOuter { .. } => {
            arity((3, 1))?;
            let (a, b, out) = (&reads[0], &reads[2], &writes[0]);
            let shapes = out.shape.len() == 3 && !out.integer && out.shape[1..] == [a.last(), b.last()];
            require(
                shapes && rows(a) && rows(b) && [a, b].iter().all(|x| are_routed(x, &reads[1])),
                "routed outer products",
            )
        }
        Kernel::Softmax => {
            arity((1, 1))?;
            require(rows(&reads[0]) && rows(&writes[0]) && reads[0].shape == writes[0].shape, "softmax")
        }
        Kernel::LayerNorm { .. } | Kernel::RmsNorm { .. } => {
            arity((if matches!(kernel, Kernel::RmsNorm { .. }) { 2 } else { 3 }, 1))?;
            let parameters = reads[1..].iter().all(|parameter| vector(parameter, reads[0].last()));
            require(
                rows(&reads[0]) && rows(&writes[0]) && parameters && reads[0].shape == writes[0].shape,
                "normalisation",
            )
        }
        Kernel::LayerNormGrad { accumulate, writes: asked, .. } => check_norm_grad(*accumulate, asked, bound),
        Kernel::RmsNormGrad { accumulate, writes: asked, .. } => check_norm_grad(*accumulate, asked, bound),
        Kernel::Rotate { .. } => {
            arity((2, 1))?;
            let (x, positions, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = x.shape.len() == 4 && x.shape == out.shape && positions.shape[..] == x.shape[..2];
            require(rows(x) && rows(out) && ids(positions) && shapes && x.last() % 2 == 0, "rotation")
        }
        Kernel::Attention { settings, stats } => {
            arity((settings.operands(3).count, 1 + usize::from(*stats)))?;
            require(check_heads(bound) && check_further(bound, settings, 3), "attention")?;
            let (q, v, out) = (&reads[0], &reads[2], &writes[0]);
            require(rows(out) && out.shape[..] == [q.shape[0], q.shape[1], q.shape[2], v.last()], "attention")?;
            require(!*stats || (flat(&writes[1]) && is_stats(&writes[1], q)), "attention's statistics")
        }
        Kernel::AttentionGrad { settings, writes: asked } => {
            arity((settings.operands(6).count, asked.len() + 1))?;
            require(check_heads(bound) && check_further(bound, settings, 6), "attention")?;
            let (q, v) = (&reads[0], &reads[2]);
            let like_out = [q.shape[0], q.shape[1], q.shape[2], v.last()];
            let outs = [3, 5].iter().all(|&read| rows(&reads[read]) && reads[read].shape[..] == like_out);
            let scores = [q.shape[0], q.shape[2], q.shape[1], reads[1].shape[1]];
            let gradients = asked.iter().zip(writes).all(|(input, write)| {
                rows(write)
                    && match input {
                        AttentionInput::Query => write.shape == q.shape,
                        AttentionInput::Key => write.shape == reads[1].shape,
                        AttentionInput::Value => write.shape == v.shape,
                        AttentionInput::Bias => write.shape[..] == scores,
                    }
            });
            let flat = flat(&reads[4]) && is_stats(&reads[4], q);
            let scratch = writes.last().is_some_and(|last| last.is_contiguous() && is_stats(last, q));
            require(outs && gradients && flat && scratch, "attention's gradient")
        }
        Kernel::CachedAttention(_) => {
            arity((4, 1))?;
            let (q, v, out) = (&reads[0], &reads[2], &writes[0]);
            require(check_heads(bound) && vector(&reads[3], q.shape[0]), "attention")?;
            require(rows(out) && out.shape[..] == [q.shape[0], q.shape[1], q.shape[2], v.last()], "attention")
        }
        Kernel::CacheWrite => {
            arity((2, 1))?;
            let (new, cache) = (&reads[0], &writes[0]);
            let shapes = new.shape.len() == 4 && cache.shape.len() == 4 && new.shape[0] == cache.shape[0];
            let shapes = shapes && new.shape[2..] == cache.shape[2..];
            require(rows(new) && rows(cache) && vector(&reads[1], cache.shape[0]) && shapes, "cache write")
        }
        Kernel::CrossEntropy(_) => {
            arity((2, 1))?;
            let (logits, targets, out) = (&reads[0], &reads[1], &writes[0]);
            let shapes = targets.count() * logits.last() == logits.count() && out.count() == targets.count();
            require(rows(logits) && ids(targets) && shapes, "cross-entropy")
        }
        Kernel::CrossEntropyGrad { loss, .. } => {
            arity((3, 1 + usize::from(*loss)))?;
            let (logits, targets, dloss, out) = (&reads[0], &reads[1], &reads[2], &writes[0]);
            let shapes = logits.shape == out.shape && targets.count() * logits.last() == logits.count();
            let per_row = |window: &Window| window.count() == targets.count() && !window.integer;
            let shapes = shapes && per_row(dloss) && writes[1..].iter().all(per_row);
            require(rows(logits) && rows(out) && ids(targets) && shapes, "cross-entropy's gradient")
        }
        Kernel::Pattern(pattern) => {
            arity((0, 1))?;
            let (out, rank) = (&writes[0], if pattern.is_float() { 1 } else { 2 });
            let whole = out.layout().is_contiguous() && out.shape.len() == rank;
            require(whole && out.integer != pattern.is_float(), "pattern")
        }
        Kernel::SumSquares => {
            arity((1, 1))?;
            require(flat(&reads[0]) && scalar(&writes[0]), "sum of squares")
        }
        Kernel::LearningRate { .. } => {
            arity((1, 1))?;
            require(scalar(&reads[0]) && scalar(&writes[0]), "learning rate")
        }
        Kernel::AdamW(_) => {
            arity((4, 3))?;
            let same = writes.iter().chain(&reads[..1]).all(|x| flat(x) && x.count() == writes[0].count());
            require(same && reads[1..].iter().all(scalar), "AdamW")
        }
        Kernel::Random { .. } => {
            arity((2, 1))?;
            let same = reads[0].count() == writes[0].count();
            require(flat(&reads[0]) && flat(&writes[0]) && same && scalar(&reads[1]), "a random function")
        }
    }
}

/// Whether two windows differ in their last axis alone.
fn same_leading(a: &Window, b: &Window) -> bool {
    a.shape.len() == b.shape.len() && a.shape[..a.shape.len() - 1] == b.shape[..b.shape.len() - 1]
}

/// Whether the rows `[R, D]` have equally many of the ids each.
fn are_routed(rows: &Window, ids: &Window) -> bool {
    let whole = rows.shape.len() == 2 && ids.shape.len() == 1 && ids.integer && ids.layout().is_contiguous();
    whole && ids.count().is_multiple_of(rows.shape[0])
}

fn check_norm_grad(accumulate: bool, asked: &[bool], bound: &Bound) -> Result<(), String> {
    let (reads, writes) = (bound.reads.as_slice(), bound.writes.as_slice());
    let rows = |window: &Window| !window.integer && !window.shape.is_empty() && is_unit(window, window.shape.len() - 1);
    let present = asked.iter().filter(|asked| **asked).count();
    let holds = (asked[0] || !accumulate) && reads.len() == 3 && writes.len() == present && reads.iter().all(rows) && {
        let (x, scale, dy) = (&reads[0], &reads[1], &reads[2]);
        let (whole, parameters) = writes.split_at(usize::from(asked[0]));
        x.shape == dy.shape
            && scale.shape[..] == [x.last()]
            && whole.iter().all(|write| rows(write) && write.shape == x.shape)
            && parameters.iter().all(|write| write.shape == scale.shape)
    };
    if holds { Ok(()) } else { Err(format!("normalisation's gradient: {bound:?}")) }
}

/// Whether the elements of an axis lie side by side.
fn is_unit(window: &Window, axis: usize) -> bool {
    window.strides[axis] == 1 || window.shape[axis] == 1
}

/// Whether queries, keys and values fit each other.
fn check_heads(bound: &Bound) -> bool {
    let (q, k, v) = (&bound.reads[0], &bound.reads[1], &bound.reads[2]);
    let whole = |window: &Window| window.shape.len() == 4 && !window.integer && is_unit(window, 3);
    [q, k, v].into_iter().all(whole)
        && q.shape[0] == k.shape[0]
        && k.shape[..3] == v.shape[..3]
        && q.shape[2] % k.shape[2] == 0
        && q.shape[3] == k.shape[3]
}

/// Whether what the settings ask for behind the first `fixed` reads fits queries and keys.
fn check_further(bound: &Bound, settings: &AttentionSettings, fixed: usize) -> bool {
    let (q, k) = (&bound.reads[0], &bound.reads[1]);
    let further = settings.operands(fixed);
    let numbers = |read: usize, of: &Window| {
        let window = &bound.reads[read];
        window.integer && window.shape[..] == of.shape[..2] && window.layout().is_contiguous()
    };
    let pairs = [further.documents, further.order].into_iter().flatten();
    let bias = further.bias.is_none_or(|bias| {
        let window = &bound.reads[bias];
        let full = [q.shape[0], q.shape[2], q.shape[1], k.shape[1]];
        let fits = window.shape.len() == 4 && window.shape[3] == full[3] && is_unit(window, 3) && !window.integer;
        fits && window.shape.iter().zip(full).all(|(&size, full)| size == 1 || size == full)
    });
    { pairs }.all(|first| numbers(first, q) && numbers(first + 1, k))
        && bias
        && (!settings.is_positional() || q.shape[1] == k.shape[1])
}

/// Whether a window is the `[B, H, T]` of queries `[B, T, H, K]`.
fn is_stats(window: &Window, q: &Window) -> bool {
    window.shape[..] == [q.shape[0], q.shape[2], q.shape[1]]
}
