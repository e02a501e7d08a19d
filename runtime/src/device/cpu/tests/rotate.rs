use llmc_compiler::plan::{Rotary, RotaryLayout, RotaryScaling};
use llmc_compiler::program::Kernel;

use super::{Bench, assert_close, integers, normal, wide};

/// Rotations with every kind of frequencies, in both layouts.
fn rotations() -> Vec<Rotary> {
    let yarn = RotaryScaling::Yarn {
        factor: 4.0,
        original: 512,
        beta_fast: 32.0,
        beta_slow: 1.0,
        attention_factor: None,
        truncate: true,
    };
    let llama3 = RotaryScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 512 };
    let scalings = [
        RotaryScaling::None,
        RotaryScaling::Interpolation { factor: 4.0 },
        RotaryScaling::Ntk { factor: 8.0 },
        yarn,
        llama3,
    ];
    let layouts = [RotaryLayout::Halves, RotaryLayout::Interleaved];
    let all = scalings.into_iter().flat_map(|scaling| layouts.map(|layout| (scaling, layout)));
    all.map(|(scaling, layout)| Rotary { theta: 10_000.0, scaling, layout }).collect()
}

#[test]
fn rotation_and_its_inverse() {
    for (tokens, heads, width) in [(1, 1, 8), (7, 3, 2), (129, 2, 66)] {
        for rotary in rotations() {
            let shape = [2, tokens, heads, width];
            let count = shape.iter().product();
            let positions = integers(1, 2 * tokens, 3000);
            let x = normal(2, count);
            let mut bench = Bench::default();
            let input = bench.floats(x.clone(), &shape);
            let places = bench.integers(positions.clone(), &[2, tokens]);
            let out = bench.output(&shape);
            bench.step(Kernel::Rotate { rotary, inverse: false }, &[&input, &places], &[&out]);
            let back = bench.output(&shape);
            bench.step(Kernel::Rotate { rotary, inverse: true }, &[&out, &places], &[&back]);
            bench.step(Kernel::Rotate { rotary, inverse: false }, &[&input, &places], &[&input]);
            let found = bench.run(&[&out, &back, &input]);
            let frequencies = rotary.frequencies(width as u64);
            let amplitude = rotary.amplitude();
            let mut expected = wide(&x);
            for (row, values) in expected.chunks_mut(width).enumerate() {
                for (pair, frequency) in frequencies.iter().enumerate() {
                    let [first, second] = match rotary.layout {
                        RotaryLayout::Halves => [pair, pair + width / 2],
                        RotaryLayout::Interleaved => [2 * pair, 2 * pair + 1],
                    };
                    let (sine, cosine) = (f64::from(positions[row / heads]) * frequency).sin_cos();
                    let (a, b) = (values[first], values[second]);
                    values[first] = amplitude * (a * cosine - b * sine);
                    values[second] = amplitude * (b * cosine + a * sine);
                }
            }
            assert_close(&found[0], &expected, 1e-6);
            // The way back is the derivative: the amplitude acts again.
            let twice: Vec<f64> = wide(&x).into_iter().map(|value| value * amplitude * amplitude).collect();
            assert_close(&found[1], &twice, 1e-6);
            assert_eq!(found[0], found[2]);
        }
    }
}
