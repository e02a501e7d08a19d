//! Attention at awkward sizes, with everything that it can be told.

use llmc_compiler::op::AttentionInput;
use llmc_compiler::plan::{AttentionSettings, DType, OrderRule};
use llmc_compiler::program::{Kernel, View};

use super::{Case, Draft};

/// Rows of a batch.
const BATCH: u64 = 2;

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    queries: u64,
    keys: u64,
    heads: u64,
    groups: u64,
    depth: u64,
    width: u64,
}

/// As many queries as keys, and values as wide as keys.
fn even(tokens: u64, heads: u64, groups: u64, depth: u64) -> Sizes {
    Sizes { queries: tokens, keys: tokens, heads, groups, depth, width: depth }
}

pub(super) fn cases(types: &'static [DType]) -> Vec<Case> {
    let mut draft = Draft::of(types);
    let causal = AttentionSettings::causal(0.3);
    let sizes = [even(1, 1, 1, 8), even(7, 2, 1, 16), even(129, 2, 2, 64), even(33, 4, 2, 80), even(65, 2, 1, 128)];
    for sizes in sizes {
        both(&mut draft, sizes, causal);
    }
    both(&mut draft, even(9, 1, 1, 256), causal);
    both(&mut draft, even(200, 2, 1, 64), AttentionSettings { window: Some(70), ..causal });
    both(&mut draft, Sizes { width: 24, ..even(40, 3, 3, 20) }, causal);
    let full = AttentionSettings::full(0.5);
    both(&mut draft, Sizes { queries: 5, keys: 70, ..even(0, 2, 1, 16) }, full);
    for settings in [
        AttentionSettings { window: Some(5), ..causal },
        AttentionSettings { window: Some(3), ..full },
        AttentionSettings { soft_cap: Some(2.0), ..causal },
        AttentionSettings { alibi: true, ..causal },
        AttentionSettings { documents: true, ..causal },
        AttentionSettings { order: Some(OrderRule::NotLater), ..full },
        AttentionSettings { order: Some(OrderRule::Earlier), ..full },
        AttentionSettings { bias: true, ..full },
        AttentionSettings {
            window: Some(20),
            soft_cap: Some(5.0),
            alibi: true,
            documents: true,
            order: Some(OrderRule::NotLater),
            bias: true,
            ..causal
        },
    ] {
        both(&mut draft, even(45, 4, 2, 16), settings);
    }
    // Rows of many tiles and documents, of which most do not meet; then such of which some meet nothing.
    let packed = even(180, 1, 1, 16);
    let apart = [(180, 70), (70, 180)].map(|(queries, keys)| Sizes { queries, keys, ..packed });
    for (sizes, settings) in [
        (even(180, 2, 1, 16), causal),
        (even(300, 1, 1, 128), causal),
        (packed, AttentionSettings { window: Some(50), ..causal }),
        (packed, full),
        (packed, AttentionSettings { window: Some(40), ..full }),
        (apart[0], full),
        (apart[1], full),
    ] {
        both(&mut draft, sizes, AttentionSettings { documents: true, ..settings });
    }
    cached(&mut draft);
    draft.cases
}

/// Forward, and every gradient that can be asked for.
fn both(draft: &mut Draft, sizes: Sizes, settings: AttentionSettings) {
    let Sizes { queries, keys, heads, groups, depth, width } = sizes;
    // Queries, keys and values as parts of one tensor where they have equal lengths, as a fused projection leaves them.
    let (q, k, v) = if queries == keys {
        let all = heads * depth + groups * (depth + width);
        let whole = draft.floats(&[BATCH, queries, all]);
        let part = |start: u64, heads: u64, width: u64| {
            let slice = whole.slice(2, start, heads * width);
            slice.reshape(&[BATCH, queries, heads, width]).unwrap_or(slice)
        };
        (part(0, heads, depth), part(heads * depth, groups, depth), part((heads + groups) * depth, groups, width))
    } else {
        let shape = |tokens, heads, width| [BATCH, tokens, heads, width];
        let (q, k) = (draft.floats(&shape(queries, heads, depth)), draft.floats(&shape(keys, groups, depth)));
        (q, k, draft.floats(&shape(keys, groups, width)))
    };
    let mut further: Vec<View> = Vec::new();
    for present in [settings.documents, settings.order.is_some()] {
        if present {
            further.extend([draft.integers(&[BATCH, queries]), draft.integers(&[BATCH, keys])]);
        }
    }
    if settings.bias {
        further.push(draft.floats(&[1, heads, queries, keys]).expand(&[BATCH, heads, queries, keys]).slice(0, 0, 1));
    }
    let result = [BATCH, queries, heads, width];
    let (out, stats) = (draft.floats(&result), draft.singles(&[BATCH, heads, queries]));
    let reads = |first: &[&View]| first.iter().copied().chain(&further).cloned().collect::<Vec<View>>();
    let list = reads(&[&q, &k, &v]);
    // What is left out changes the kernels of f32 and of 16 bits; the latter do not depend on which 16 bits.
    let leaves_out = draft.types != [DType::F16];
    let stats_asked: &[bool] = if leaves_out { &[false, true] } else { &[true] };
    for &has_stats in stats_asked {
        let writes: &[&View] = if has_stats { &[&out, &stats] } else { &[&out] };
        draft.add(Kernel::Attention { settings, stats: has_stats }, &list.iter().collect::<Vec<_>>(), writes);
    }
    let dout = draft.floats(&result);
    let list = reads(&[&q, &k, &v, &out, &stats, &dout]);
    use AttentionInput::{Bias, Key, Query, Value};
    let mut asked = vec![vec![Query, Key, Value]];
    if leaves_out {
        asked.extend([vec![Value], vec![Query]]);
    }
    if settings.bias {
        asked.push(vec![Query, Key, Value, Bias]);
    }
    for writes in asked {
        let mut results: Vec<View> = Vec::new();
        for input in &writes {
            results.push(match input {
                Query => draft.floats(&q.shape),
                Key => draft.floats(&k.shape),
                Value => draft.floats(&v.shape),
                Bias => draft.floats(&[BATCH, heads, queries, keys]),
            });
        }
        results.push(draft.singles(&[BATCH, heads, queries]));
        let kernel = Kernel::AttentionGrad { settings, writes };
        draft.add(kernel, &list.iter().collect::<Vec<_>>(), &results.iter().collect::<Vec<_>>());
    }
}

/// Decoding from caches of rows of different lengths.
fn cached(draft: &mut Draft) {
    for (added, capacity) in [(1, 40), (5, 64)] {
        let q = draft.floats(&[3, added, 4, 32]);
        let [k, v] = [draft.floats(&[3, capacity, 2, 32]), draft.floats(&[3, capacity, 2, 32])];
        let length = draft.singles(&[3]);
        let out = draft.floats(&q.shape);
        draft.add(Kernel::CachedAttention(AttentionSettings::causal(0.2)), &[&q, &k, &v, &length], &[&out]);
        let fresh = draft.floats(&[3, added, 2, 32]);
        draft.add(Kernel::CacheWrite, &[&fresh, &length], &[&k]);
    }
}
