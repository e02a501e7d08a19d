use llmc_compiler::op::{AttentionInput, AttentionSettings};
use llmc_compiler::program::{Kernel, View};

use super::{Bench, assert_close, assert_within, normal, wide, window};

/// Sizes of an attention.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    batch: usize,
    queries: usize,
    keys: usize,
    heads: usize,
    groups: usize,
    width: usize,
    value_width: usize,
}

/// Plain attention in f64: output, statistics and gradients.
struct Exact {
    out: Vec<f64>,
    stats: Vec<f64>,
    gradients: [Vec<f64>; 3],
}

fn exact(
    sizes: Sizes,
    inputs: [&[f64]; 3],
    dout: &[f64],
    scale: f64,
    sees: impl Fn(usize, usize, usize) -> bool,
) -> Exact {
    let Sizes { batch, queries, keys, heads, groups, width, value_width } = sizes;
    let [q, k, v] = inputs;
    let mut exact = Exact {
        out: vec![0.0; dout.len()],
        stats: vec![f64::NEG_INFINITY; batch * heads * queries],
        gradients: inputs.map(|input| vec![0.0; input.len()]),
    };
    for (b, h, t) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..queries).map(move |t| (b, h, t)))) {
        let q_row = ((b * queries + t) * heads + h) * width;
        let out_row = ((b * queries + t) * heads + h) * value_width;
        let key = |s: usize| (b * keys + s) * groups + h / (heads / groups);
        let seen: Vec<usize> = (0..keys).filter(|&s| sees(b, t, s)).collect();
        let score = |s: usize| (0..width).map(|i| q[q_row + i] * k[key(s) * width + i]).sum::<f64>() * scale;
        let sum: f64 = seen.iter().map(|&s| score(s).exp()).sum();
        exact.stats[(b * heads + h) * queries + t] = sum.ln();
        let dout = &dout[out_row..][..value_width];
        let along = |s: usize| (0..value_width).map(|i| dout[i] * v[key(s) * value_width + i]).sum::<f64>();
        let mean: f64 = seen.iter().map(|&s| score(s).exp() / sum * along(s)).sum();
        for &s in &seen {
            let p = score(s).exp() / sum;
            for i in 0..value_width {
                exact.out[out_row + i] += p * v[key(s) * value_width + i];
                exact.gradients[2][key(s) * value_width + i] += p * dout[i];
            }
            let ds = p * (along(s) - mean) * scale;
            for i in 0..width {
                exact.gradients[0][q_row + i] += ds * k[key(s) * width + i];
                exact.gradients[1][key(s) * width + i] += ds * q[q_row + i];
            }
        }
    }
    exact
}

/// Forward and backward against plain loops; queries, keys and values are slices of one packed buffer where sizes allow.
fn check(sizes: Sizes, causal: bool, documents: Option<Vec<i32>>) {
    let Sizes { batch, queries, keys, heads, groups, width, value_width } = sizes;
    let scale = 1.0 / (width as f64).sqrt();
    let q = normal(1, batch * queries * heads * width);
    let k = normal(2, batch * keys * groups * width);
    let v = normal(3, batch * keys * groups * value_width);
    let dout = normal(4, batch * queries * heads * value_width);
    let settings = AttentionSettings { causal, scale, documents: documents.is_some() };
    let numbers = documents.clone().unwrap_or_default();
    let sees = |b: usize, t: usize, s: usize| {
        let together = documents.is_none() || numbers[b * queries + t] == numbers[b * queries + s];
        together && (!causal || s <= t)
    };
    let expected = exact(sizes, [&wide(&q), &wide(&k), &wide(&v)], &wide(&dout), scale, sees);

    let mut bench = Bench::default();
    let mut packed = |values: Vec<f32>, shape: [usize; 4]| -> View {
        // Every row lies in the middle of a wider one.
        let (last, row) = (shape[3], shape[3] + 5);
        let spread = values.chunks(last).flat_map(|row| {
            let mut wider = vec![f32::NAN; 3];
            wider.extend_from_slice(row);
            wider.extend([f32::NAN; 2]);
            wider
        });
        let buffer = bench.floats(spread.collect(), &[values.len() / last * row]);
        let [b, t, h, l] = shape.map(|size| size as u64);
        window(&buffer, 3, &[b, t, h, l], &[t * h * (l + 5), h * (l + 5), l + 5, 1])
    };
    let q_view = packed(q, [batch, queries, heads, width]);
    let k_view = packed(k, [batch, keys, groups, width]);
    let v_view = packed(v, [batch, keys, groups, value_width]);
    let dout_view = packed(dout, [batch, queries, heads, value_width]);
    let numbers_view = documents.as_ref().map(|numbers| bench.integers(numbers.clone(), &[batch, queries]));
    let out = bench.output(&[batch, queries, heads, value_width]);
    let stats = bench.output(&[batch, heads, queries]);
    let mut reads = vec![&q_view, &k_view, &v_view];
    reads.extend(&numbers_view);
    bench.step(Kernel::Attention { settings, stats: true }, &reads, &[&out, &stats]);
    let inputs = [AttentionInput::Query, AttentionInput::Key, AttentionInput::Value];
    let shapes = [[batch, queries, heads, width], [batch, keys, groups, width], [batch, keys, groups, value_width]];
    let gradients = shapes.map(|shape| bench.output(&shape));
    let alone = shapes.map(|shape| bench.output(&shape));
    let scratch = bench.output(&[batch, heads, queries]);
    let mut reads = vec![&q_view, &k_view, &v_view, &out, &stats, &dout_view];
    reads.extend(&numbers_view);
    let [dq, dk, dv] = &gradients;
    let all = Kernel::AttentionGrad { settings, writes: inputs.to_vec() };
    bench.step(all, &reads, &[dq, dk, dv, &scratch]);
    for (input, write) in inputs.into_iter().zip(&alone) {
        bench.step(Kernel::AttentionGrad { settings, writes: vec![input] }, &reads, &[write, &scratch]);
    }
    let mut results = vec![&out, &stats];
    results.extend(gradients.iter().chain(&alone));
    let found = bench.run(&results);
    assert_close(&found[0], &expected.out, 2e-6);
    for (found, expected) in found[1].iter().zip(&expected.stats) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 || f64::from(*found) == *expected);
    }
    for (index, exact) in expected.gradients.iter().enumerate() {
        // A single key leaves no slope: then only rounding is left, of terms about one.
        let largest = exact.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
        assert_within(&found[2 + index], exact, 3e-6 * largest);
        assert_eq!(found[2 + index], found[5 + index]);
    }
}

fn square(batch: usize, tokens: usize, heads: [usize; 2], width: usize) -> Sizes {
    let [heads, groups] = heads;
    Sizes { batch, queries: tokens, keys: tokens, heads, groups, width, value_width: width }
}

#[test]
fn causal_and_full_attention() {
    for (tokens, heads, width) in [(1, [1, 1], 8), (7, [4, 2], 16), (129, [2, 1], 33), (65, [3, 3], 64)] {
        for causal in [true, false] {
            check(square(2, tokens, heads, width), causal, None);
        }
    }
    check(square(1, 10, [1, 1], 256), true, None);
    // Several blocks of queries and of keys, widths that fill no panel, and the widest heads.
    for (tokens, heads, width) in [(300, [2, 1], 20), (129, [1, 1], 128), (270, [1, 1], 256), (8, [4, 1], 9)] {
        check(square(1, tokens, heads, width), true, None);
    }
}

#[test]
fn other_numbers_of_keys_and_widths_of_values() {
    let sizes = Sizes { batch: 2, queries: 9, keys: 70, heads: 4, groups: 2, width: 10, value_width: 12 };
    check(sizes, false, None);
}

#[test]
fn documents_limit_what_is_seen() {
    let rising: Vec<i32> = (0..2 * 150).map(|index| index / 37).collect();
    check(square(2, 150, [2, 2], 16), true, Some(rising.clone()));
    check(square(2, 150, [2, 1], 16), false, Some(rising));
    // Documents that come back, and whole tiles that see nothing of each other.
    let mixed: Vec<i32> = (0..200).map(|index| (index / 70 % 2) * 3 + index % 2).collect();
    check(square(1, 200, [1, 1], 8), true, Some(mixed));
}

#[test]
fn decoding_matches_the_whole_sequence() {
    let (batch, heads, groups, width, capacity) = (2, 4, 2, 16, 90);
    let (k, v) = (normal(2, batch * capacity * groups * width), normal(3, batch * capacity * groups * width));
    // Each row of the batch has read as much as it has.
    for (lengths, added) in [([0, 0], 1), ([0, 5], 7), ([70, 89], 1), ([13, 24], 66), ([24, 0], 8)] {
        let q = normal(1, batch * added * heads * width);
        let mut bench = Bench::default();
        let q_view = bench.floats(q.clone(), &[batch, added, heads, width]);
        let k_view = bench.floats(k.clone(), &[batch, capacity, groups, width]);
        let v_view = bench.floats(v.clone(), &[batch, capacity, groups, width]);
        let held = bench.floats(lengths.map(|length| length as f32).to_vec(), &[batch]);
        let out = bench.output(&[batch, added, heads, width]);
        bench.step(Kernel::CachedAttention { scale: 0.25 }, &[&q_view, &k_view, &v_view, &held], &[&out]);
        let sizes = Sizes { batch, queries: added, keys: capacity, heads, groups, width, value_width: width };
        let dout = vec![0.0; q.len()];
        let expected = exact(sizes, [&wide(&q), &wide(&k), &wide(&v)], &dout, 0.25, |b, t, s| s <= lengths[b] + t);
        assert_close(&bench.run(&[&out])[0], &expected.out, 2e-6);
    }
}

#[test]
fn cache_writes_keep_the_rest() {
    let (batch, capacity, groups, width, added, lengths) = (2, 11, 3, 5, 4, [6, 2]);
    let mut bench = Bench::default();
    let cache = bench.floats(normal(1, batch * capacity * groups * width), &[batch, capacity, groups, width]);
    let new = bench.floats(normal(2, batch * added * groups * width), &[batch, added, groups, width]);
    let held = bench.floats(lengths.map(|length| length as f32).to_vec(), &[batch]);
    bench.step(Kernel::CacheWrite, &[&new, &held], &[&cache]);
    let found = &bench.run(&[&cache])[0];
    let (before, new) = (normal(1, found.len()), normal(2, batch * added * groups * width));
    for (index, &value) in found.iter().enumerate() {
        let (position, batch) = (index / (groups * width) % capacity, index / (groups * width * capacity));
        let length = lengths[batch];
        let inside = (length..length + added).contains(&position);
        let at = (batch * added + position.saturating_sub(length)) * groups * width + index % (groups * width);
        assert_eq!(value, if inside { new[at] } else { before[index] });
    }
}
