use llmc_compiler::op::AttentionInput;
use llmc_compiler::plan::{AttentionSettings, OrderRule, alibi_slope};
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

/// What an attention is told beside queries, keys and values.
#[derive(Debug, Clone)]
struct Told {
    settings: AttentionSettings,
    /// Numbers of queries and keys.
    documents: [Vec<i32>; 2],
    order: [Vec<i32>; 2],
    /// Sizes `[B or 1, H or 1, T or 1]`.
    bias: [usize; 3],
}

impl Told {
    fn new(settings: AttentionSettings) -> Told {
        let none = || [Vec::new(), Vec::new()];
        Told { settings, documents: none(), order: none(), bias: [1; 3] }
    }

    fn causal(causal: bool) -> Told {
        Told::new(AttentionSettings { causal, ..AttentionSettings::full(0.0) })
    }

    /// Queries and keys have these document numbers.
    fn documents(self, numbers: Vec<i32>) -> Told {
        let settings = AttentionSettings { documents: true, ..self.settings };
        Told { settings, documents: [numbers.clone(), numbers], ..self }
    }
}

/// Plain attention in f64: output, statistics and gradients of query, key, value and bias.
struct Exact {
    out: Vec<f64>,
    stats: Vec<f64>,
    gradients: [Vec<f64>; 4],
}

fn exact(sizes: Sizes, told: &Told, inputs: [&[f64]; 4], dout: &[f64], before: impl Fn(usize) -> usize) -> Exact {
    let Sizes { batch, queries, keys, heads, groups, width, value_width } = sizes;
    let [q, k, v, bias] = inputs;
    let settings = &told.settings;
    let mut gradients = [q, k, v].map(|input| vec![0.0; input.len()]).to_vec();
    gradients.push(vec![0.0; batch * heads * queries * keys]);
    let mut exact = Exact {
        out: vec![0.0; dout.len()],
        stats: vec![f64::NEG_INFINITY; batch * heads * queries],
        gradients: gradients.try_into().unwrap(),
    };
    for (b, h, t) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..queries).map(move |t| (b, h, t)))) {
        let q_row = ((b * queries + t) * heads + h) * width;
        let out_row = ((b * queries + t) * heads + h) * value_width;
        let key = |s: usize| (b * keys + s) * groups + h / (heads / groups);
        let place = before(b) + t;
        let sees = |s: usize| {
            let near = settings.window.is_none_or(|window| place.abs_diff(s) < window as usize);
            let numbers = |numbers: &[Vec<i32>; 2]| (numbers[0][b * queries + t], numbers[1][b * keys + s]);
            let document = || numbers(&told.documents).0 == numbers(&told.documents).1;
            let order = || match settings.order {
                None => true,
                Some(OrderRule::NotLater) => numbers(&told.order).1 <= numbers(&told.order).0,
                Some(OrderRule::Earlier) => numbers(&told.order).1 < numbers(&told.order).0,
            };
            near && (!settings.causal || s <= place) && (!settings.documents || document()) && order()
        };
        let seen: Vec<usize> = (0..keys).filter(|&s| sees(s)).collect();
        // The score and the slope of the cap there.
        let score = |s: usize| {
            let product: f64 = (0..width).map(|i| q[q_row + i] * k[key(s) * width + i]).sum();
            let mut score = product * settings.scale;
            if settings.bias {
                let [b, h, t] = [(b, 0), (h, 1), (t, 2)].map(|(index, axis)| index.min(told.bias[axis] - 1));
                score += bias[((b * told.bias[1] + h) * told.bias[2] + t) * keys + s];
            }
            if settings.alibi {
                score -= alibi_slope(h, heads) * place.abs_diff(s) as f64;
            }
            let cap = |cap: f64| (cap * (score / cap).tanh(), 1.0 - (score / cap).tanh().powi(2));
            settings.soft_cap.map_or((score, 1.0), cap)
        };
        let sum: f64 = seen.iter().map(|&s| score(s).0.exp()).sum();
        exact.stats[(b * heads + h) * queries + t] = sum.ln();
        let dout = &dout[out_row..][..value_width];
        let along = |s: usize| (0..value_width).map(|i| dout[i] * v[key(s) * value_width + i]).sum::<f64>();
        let mean: f64 = seen.iter().map(|&s| score(s).0.exp() / sum * along(s)).sum();
        for &s in &seen {
            let (score, slope) = score(s);
            let p = score.exp() / sum;
            for i in 0..value_width {
                exact.out[out_row + i] += p * v[key(s) * value_width + i];
                exact.gradients[2][key(s) * value_width + i] += p * dout[i];
            }
            let ds = p * (along(s) - mean) * slope;
            exact.gradients[3][((b * heads + h) * queries + t) * keys + s] = ds;
            for i in 0..width {
                exact.gradients[0][q_row + i] += ds * settings.scale * k[key(s) * width + i];
                exact.gradients[1][key(s) * width + i] += ds * settings.scale * q[q_row + i];
            }
        }
    }
    exact
}

/// Forward and backward against plain loops; queries, keys and values are slices of one packed buffer where sizes allow.
fn check(sizes: Sizes, mut told: Told) {
    let Sizes { batch, queries, keys, heads, groups, width, value_width } = sizes;
    let settings = AttentionSettings { scale: 1.0 / (width as f64).sqrt(), ..told.settings };
    told.settings = settings;
    let q = normal(1, batch * queries * heads * width);
    let k = normal(2, batch * keys * groups * width);
    let v = normal(3, batch * keys * groups * value_width);
    let dout = normal(4, batch * queries * heads * value_width);
    let bias = normal(5, told.bias.iter().product::<usize>() * keys);
    let expected = exact(sizes, &told, [&wide(&q), &wide(&k), &wide(&v), &wide(&bias)], &wide(&dout), |_| 0);

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
    let [b, h, t] = told.bias;
    let bias_view = packed(bias, [b, h, t, keys]);
    let mut further = Vec::new();
    for (given, [of_queries, of_keys]) in
        [(settings.documents, &told.documents), (settings.order.is_some(), &told.order)]
    {
        if given {
            further.push(bench.integers(of_queries.clone(), &[batch, queries]));
            further.push(bench.integers(of_keys.clone(), &[batch, keys]));
        }
    }
    further.extend(settings.bias.then_some(bias_view));
    let out = bench.output(&[batch, queries, heads, value_width]);
    let stats = bench.output(&[batch, heads, queries]);
    let mut reads = vec![&q_view, &k_view, &v_view];
    reads.extend(&further);
    bench.step(Kernel::Attention { settings, stats: true }, &reads, &[&out, &stats]);
    let mut inputs = vec![AttentionInput::Query, AttentionInput::Key, AttentionInput::Value];
    let mut shapes =
        vec![[batch, queries, heads, width], [batch, keys, groups, width], [batch, keys, groups, value_width]];
    if settings.bias {
        inputs.push(AttentionInput::Bias);
        shapes.push([batch, heads, queries, keys]);
    }
    let outputs = |bench: &mut Bench| shapes.iter().map(|shape| bench.output(shape)).collect::<Vec<View>>();
    let (gradients, alone) = (outputs(&mut bench), outputs(&mut bench));
    let scratch = bench.output(&[batch, heads, queries]);
    let mut reads = vec![&q_view, &k_view, &v_view, &out, &stats, &dout_view];
    reads.extend(&further);
    let mut writes: Vec<&View> = gradients.iter().collect();
    writes.push(&scratch);
    bench.step(Kernel::AttentionGrad { settings, writes: inputs.clone() }, &reads, &writes);
    for (&input, write) in inputs.iter().zip(&alone) {
        bench.step(Kernel::AttentionGrad { settings, writes: vec![input] }, &reads, &[write, &scratch]);
    }
    let mut results = vec![&out, &stats];
    results.extend(gradients.iter().chain(&alone));
    let found = bench.run(&results);
    assert_close(&found[0], &expected.out, 2e-6);
    for (found, expected) in found[1].iter().zip(&expected.stats) {
        assert!((f64::from(*found) - expected).abs() < 1e-5 || f64::from(*found) == *expected);
    }
    for (index, exact) in expected.gradients.iter().take(inputs.len()).enumerate() {
        // A single key leaves no slope: then only rounding is left, of terms about one.
        let largest = exact.iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
        assert_within(&found[2 + index], exact, 3e-6 * largest);
        // The products with keys and queries take gradients scaled before or after the bias's: the last bit may differ.
        let tolerance = if settings.bias { 1e-6 * largest } else { 0.0 };
        assert_within(&found[2 + inputs.len() + index], &wide(&found[2 + index]), tolerance);
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
            check(square(2, tokens, heads, width), Told::causal(causal));
        }
    }
    check(square(1, 10, [1, 1], 256), Told::causal(true));
    // Several blocks of queries and of keys, widths that fill no panel, and the widest heads.
    for (tokens, heads, width) in [(300, [2, 1], 20), (129, [1, 1], 128), (270, [1, 1], 256), (8, [4, 1], 9)] {
        check(square(1, tokens, heads, width), Told::causal(true));
    }
}

#[test]
fn other_numbers_of_keys_and_widths_of_values() {
    let sizes = Sizes { batch: 2, queries: 9, keys: 70, heads: 4, groups: 2, width: 10, value_width: 12 };
    check(sizes, Told::causal(false));
}

#[test]
fn documents_limit_what_is_seen() {
    let rising: Vec<i32> = (0..2 * 150).map(|index| index / 37).collect();
    check(square(2, 150, [2, 2], 16), Told::causal(true).documents(rising.clone()));
    check(square(2, 150, [2, 1], 16), Told::causal(false).documents(rising));
    // Documents that come back, and whole tiles that see nothing of each other.
    let mixed: Vec<i32> = (0..200).map(|index| (index / 70 % 2) * 3 + index % 2).collect();
    check(square(1, 200, [1, 1], 8), Told::causal(true).documents(mixed));
}

#[test]
fn windows_narrow_what_is_seen() {
    for (tokens, window) in [(9, 1), (70, 8), (300, 100), (300, 129), (20, 64)] {
        for causal in [true, false] {
            let settings = AttentionSettings { window: Some(window), causal, ..AttentionSettings::full(0.0) };
            check(square(1, tokens, [2, 1], 16), Told::new(settings));
        }
    }
}

#[test]
fn orders_decide_what_is_seen() {
    for (tokens, rule) in [(150, OrderRule::NotLater), (150, OrderRule::Earlier), (5, OrderRule::Earlier)] {
        // A prefix that sees all of itself, and an order that is all mixed up.
        let prefix = |row: usize, prefix: usize| (0..tokens).map(move |t| (t.max(prefix) + row) as i32);
        let mixed = |row: usize| (0..tokens).map(move |t| ((t * 67 + row) % tokens) as i32);
        for order in [prefix(0, 70).chain(prefix(1, 3)).collect::<Vec<_>>(), mixed(0).chain(mixed(5)).collect()] {
            let settings = AttentionSettings { order: Some(rule), ..AttentionSettings::full(0.0) };
            check(square(2, tokens, [2, 1], 16), Told { order: [order.clone(), order], ..Told::new(settings) });
        }
    }
}

#[test]
fn keys_have_numbers_of_their_own() {
    let sizes = Sizes { batch: 2, queries: 9, keys: 70, heads: 4, groups: 2, width: 10, value_width: 12 };
    let numbers = |count: i32, every: i32| (0..2 * count).map(|index| index / every % 3).collect::<Vec<i32>>();
    let settings = AttentionSettings { documents: true, ..AttentionSettings::full(0.0) };
    check(sizes, Told { documents: [numbers(9, 4), numbers(70, 31)], ..Told::new(settings) });
}

#[test]
fn scores_are_biased_sloped_and_capped() {
    let full = AttentionSettings::full(0.0);
    for tokens in [6, 150] {
        for bias in [[1, 1, 1], [1, 4, 1], [2, 1, tokens], [1, 4, tokens], [2, 4, tokens]] {
            let settings = AttentionSettings { bias: true, ..full };
            check(square(2, tokens, [4, 2], 16), Told { bias, ..Told::new(settings) });
        }
        for causal in [false, true] {
            let sloped = AttentionSettings { alibi: true, causal, ..full };
            let capped = AttentionSettings { soft_cap: Some(1.5), causal, ..full };
            let all = AttentionSettings { alibi: true, bias: true, window: Some(40), ..capped };
            for settings in [sloped, capped, all] {
                check(square(2, tokens, [6, 2], 16), Told { bias: [1, 6, tokens], ..Told::new(settings) });
            }
        }
    }
}

#[test]
fn decoding_matches_the_whole_sequence() {
    let (batch, heads, groups, width, capacity) = (2, 4, 2, 16, 90);
    let (k, v) = (normal(2, batch * capacity * groups * width), normal(3, batch * capacity * groups * width));
    // Each row of the batch has read as much as it has.
    let lengths = [([0, 0], 1), ([0, 5], 7), ([70, 89], 1), ([13, 24], 66), ([24, 0], 8)];
    let kinds = [(None, None, false), (Some(20), Some(2.0), true)];
    let cases = lengths.into_iter().flat_map(|case| kinds.map(|kind| (case, kind)));
    for ((lengths, added), (window, soft_cap, alibi)) in cases {
        let q = normal(1, batch * added * heads * width);
        let mut bench = Bench::default();
        let q_view = bench.floats(q.clone(), &[batch, added, heads, width]);
        let k_view = bench.floats(k.clone(), &[batch, capacity, groups, width]);
        let v_view = bench.floats(v.clone(), &[batch, capacity, groups, width]);
        let held = bench.floats(lengths.map(|length| length as f32).to_vec(), &[batch]);
        let out = bench.output(&[batch, added, heads, width]);
        let settings = AttentionSettings { window, soft_cap, alibi, ..AttentionSettings::causal(0.25) };
        bench.step(Kernel::CachedAttention(settings), &[&q_view, &k_view, &v_view, &held], &[&out]);
        let sizes = Sizes { batch, queries: added, keys: capacity, heads, groups, width, value_width: width };
        let dout = vec![0.0; q.len()];
        let inputs = [&*wide(&q), &*wide(&k), &*wide(&v), &[]];
        let expected = exact(sizes, &Told::new(settings), inputs, &dout, |b| lengths[b]);
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
