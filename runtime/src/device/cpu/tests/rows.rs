use llmc_compiler::plan::LossPlan;
use llmc_compiler::program::Kernel;

use super::{Bench, assert_close, assert_within, integers, normal, wide, window};

/// Odd numbers of rows and widths.
const SIZES: [(usize, usize); 5] = [(1, 1), (7, 3), (129, 65), (5, 1000), (300, 64)];

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len() as f64;
    values.sum::<f64>() / count
}

#[test]
fn softmax() {
    for (rows, width) in SIZES {
        let mut values = normal(1, rows * width);
        values[0] = 80.0;
        let mut bench = Bench::default();
        let x = bench.floats(values.clone(), &[rows, width]);
        let out = bench.output(&[rows, width]);
        bench.step(Kernel::Softmax, &[&x], &[&out]);
        let expected: Vec<f64> = wide(&values)
            .chunks(width)
            .flat_map(|row| {
                let largest = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = row.iter().map(|x| (x - largest).exp()).sum();
                row.iter().map(|x| (x - largest).exp() / sum).collect::<Vec<_>>()
            })
            .collect();
        assert_close(&bench.run(&[&out])[0], &expected, 1e-6);
    }
}

/// Normalised row and reciprocal deviation.
fn normalised(row: &[f64], centred: bool, eps: f64) -> (Vec<f64>, f64) {
    let level = if centred { mean(row.iter().copied()) } else { 0.0 };
    let rstd = 1.0 / (mean(row.iter().map(|x| (x - level).powi(2))) + eps).sqrt();
    (row.iter().map(|x| (x - level) * rstd).collect(), rstd)
}

#[test]
fn normalisations() {
    for (rows, width) in SIZES {
        // A large common offset, as residual streams have.
        let x: Vec<f32> = normal(1, rows * width).iter().map(|x| x + 5.0).collect();
        let (scale, shift) = (normal(2, width), normal(3, width));
        for centred in [true, false] {
            let mut bench = Bench::default();
            let input = bench.floats(x.clone(), &[1, rows, width]);
            let factors = bench.floats(scale.clone(), &[width]);
            let terms = bench.floats(shift.clone(), &[width]);
            let out = bench.output(&[1, rows, width]);
            match centred {
                true => bench.step(Kernel::LayerNorm { eps: 1e-5 }, &[&input, &factors, &terms], &[&out]),
                false => bench.step(Kernel::RmsNorm { eps: 1e-5 }, &[&input, &factors], &[&out]),
            }
            let mut expected = Vec::new();
            for row in wide(&x).chunks(width) {
                for (column, x) in normalised(row, centred, 1e-5).0.into_iter().enumerate() {
                    let shift = if centred { f64::from(shift[column]) } else { 0.0 };
                    expected.push(x * f64::from(scale[column]) + shift);
                }
            }
            assert_close(&bench.run(&[&out])[0], &expected, 2e-6);
        }
    }
}

#[test]
fn a_normalised_sum_is_the_normalisation_of_the_sum() {
    use llmc_compiler::plan::BinaryFunction;
    use llmc_compiler::program::{Instruction, LoopBody};
    for (rows, width) in SIZES {
        let (x, y, bias) = (normal(1, rows * width), normal(2, rows * width), normal(3, width));
        let (scale, shift) = (normal(4, width), normal(5, width));
        let add = Instruction::Binary(BinaryFunction::Add, 1, 2);
        let sum = Instruction::Binary(BinaryFunction::Add, 0, 3);
        let body = LoopBody {
            instructions: vec![Instruction::Load(0), Instruction::Load(1), Instruction::Load(2), add, sum],
            results: vec![4],
        };
        for centred in [true, false] {
            let mut bench = Bench::default();
            let residual = bench.floats(x.clone(), &[rows, width]);
            let branch = bench.floats(y.clone(), &[rows, width]);
            let bias_view = bench.floats(bias.clone(), &[width]);
            let repeated = window(&bias_view, 0, &[rows as u64, width as u64], &[0, 1]);
            let factors = bench.floats(scale.clone(), &[width]);
            let terms = bench.floats(shift.clone(), &[width]);
            let out = bench.output(&[rows, width]);
            let mut reads = vec![&residual, &branch, &repeated, &factors];
            reads.extend(centred.then_some(&terms));
            // The sum is written over the branch.
            bench.step(Kernel::LoopNorm { body: body.clone(), centred, eps: 1e-5 }, &reads, &[&out, &branch]);
            let found = bench.run(&[&out, &branch]);
            let mut sums: Vec<f64> = Vec::new();
            for (index, (x, y)) in x.iter().zip(&y).enumerate() {
                sums.push(f64::from(*x) + f64::from(*y) + f64::from(bias[index % width]));
            }
            let mut expected = Vec::new();
            for row in sums.chunks(width) {
                for (column, x) in normalised(row, centred, 1e-5).0.into_iter().enumerate() {
                    let shift = if centred { f64::from(shift[column]) } else { 0.0 };
                    expected.push(x * f64::from(scale[column]) + shift);
                }
            }
            assert_close(&found[1], &sums, 1e-6);
            assert_close(&found[0], &expected, 4e-6);
        }
    }
}

#[test]
fn gradients_of_normalisations_add_to_what_is_there() {
    for (rows, width) in SIZES {
        let (x, scale, dy) = (normal(1, rows * width), normal(2, width), normal(3, rows * width));
        let before = normal(4, rows * width);
        for centred in [true, false] {
            let mut bench = Bench::default();
            let reads = [
                bench.floats(x.clone(), &[rows, width]),
                bench.floats(scale.clone(), &[width]),
                bench.floats(dy.clone(), &[rows, width]),
            ];
            let (alone, added) = (bench.output(&[rows, width]), bench.floats(before.clone(), &[rows, width]));
            for (accumulate, out) in [(false, &alone), (true, &added)] {
                let kernel = match centred {
                    true => Kernel::LayerNormGrad { accumulate, eps: 1e-5, writes: [true, false, false] },
                    false => Kernel::RmsNormGrad { accumulate, eps: 1e-5, writes: [true, false] },
                };
                bench.step(kernel, &reads.iter().collect::<Vec<_>>(), &[out]);
            }
            let found = bench.run(&[&alone, &added]);
            let sums: Vec<f32> = found[0].iter().zip(&before).map(|(x, y)| x + y).collect();
            assert_eq!(found[1], sums);
        }
    }
}

#[test]
fn gradients_of_normalisations() {
    for (rows, width) in SIZES {
        let x: Vec<f32> = normal(1, rows * width).iter().map(|x| x + 1.0).collect();
        let (scale, dy) = (normal(2, width), normal(3, rows * width));
        for centred in [true, false] {
            let (mut dx, mut dscale, mut dshift) = (Vec::new(), vec![0.0; width], vec![0.0; width]);
            for (row, dy) in wide(&x).chunks(width).zip(wide(&dy).chunks(width)) {
                let (n, rstd) = normalised(row, centred, 1e-5);
                let g: Vec<f64> = dy.iter().zip(&scale).map(|(dy, &scale)| dy * f64::from(scale)).collect();
                let level = if centred { mean(g.iter().copied()) } else { 0.0 };
                let along = mean(g.iter().zip(&n).map(|(g, n)| g * n));
                dx.extend(g.iter().zip(&n).map(|(g, n)| rstd * (g - level - n * along)));
                for column in 0..width {
                    dscale[column] += dy[column] * n[column];
                    dshift[column] += dy[column];
                }
            }
            for asked in 1..if centred { 8 } else { 4 } {
                let asked = [0, 1, 2].map(|bit| asked >> bit & 1 == 1);
                let mut bench = Bench::default();
                let reads = [
                    bench.floats(x.clone(), &[rows, width]),
                    bench.floats(scale.clone(), &[width]),
                    bench.floats(dy.clone(), &[rows, width]),
                ];
                let shapes: [&[usize]; 3] = [&[rows, width], &[width], &[width]];
                let all = [&dx, &dscale, &dshift];
                let chosen: Vec<usize> = (0..3).filter(|&index| asked[index]).collect();
                let writes: Vec<_> = chosen.iter().map(|&index| bench.output(shapes[index])).collect();
                let writes: Vec<_> = writes.iter().collect();
                let kernel = match centred {
                    true => Kernel::LayerNormGrad { accumulate: false, eps: 1e-5, writes: asked },
                    false => Kernel::RmsNormGrad { accumulate: false, eps: 1e-5, writes: [asked[0], asked[1]] },
                };
                bench.step(kernel, &reads.iter().collect::<Vec<_>>(), &writes);
                for (found, index) in bench.run(&writes).iter().zip(chosen) {
                    // A width of one has no slope at all: only rounding is left.
                    let largest = all[index].iter().fold(1.0, |largest: f64, x| largest.max(x.abs()));
                    assert_within(found, all[index], 4e-6 * largest);
                }
            }
        }
    }
}

#[test]
fn gather_and_scatter() {
    for (count, rows, width) in [(1, 1, 1), (700, 13, 9), (129, 5000, 33)] {
        let ids = integers(1, count, rows);
        let (table, updates) = (normal(2, rows * width), normal(3, count * width));
        for accumulate in [false, true] {
            let mut bench = Bench::default();
            let wide_table = bench.floats(table.clone(), &[rows, width]);
            let numbers = bench.integers(ids.clone(), &[1, count]);
            // The rows go to every second row of a larger buffer.
            let large = bench.floats(vec![f32::NAN; 2 * count * width], &[2 * count * width]);
            let (c, w) = (count as u64, width as u64);
            let out = window(&large, w, &[1, c, w], &[0, 2 * w, 1]);
            bench.step(Kernel::Gather, &[&wide_table, &numbers], &[&out]);
            let changes = bench.floats(updates.clone(), &[1, count, width]);
            let sums = bench.floats(table.clone(), &[rows, width]);
            bench.step(Kernel::ScatterAdd { accumulate }, &[&numbers, &changes], &[&sums]);
            let found = bench.run(&[&out, &sums]);
            let mut expected = if accumulate { wide(&table) } else { vec![0.0; rows * width] };
            for (index, &id) in ids.iter().enumerate() {
                let row = &table[id as usize * width..][..width];
                assert_eq!(&found[0][index * width..][..width], row);
                for column in 0..width {
                    expected[id as usize * width + column] += f64::from(updates[index * width + column]);
                }
            }
            assert_close(&found[1], &expected, 2e-6);
        }
    }
}

#[test]
fn cross_entropy_and_its_gradient() {
    let plans = [LossPlan::default(), LossPlan { label_smoothing: 0.1, z_loss: 1e-2 }];
    let sizes = [(1, 1), (7, 300), (129, 33), (3, 5001)];
    for ((rows, vocab), plan) in sizes.into_iter().flat_map(|sizes| plans.map(|plan| (sizes, plan))) {
        let logits: Vec<f32> = normal(1, rows * vocab).iter().map(|x| x * 3.0).collect();
        let mut targets = integers(2, rows, vocab);
        targets[rows / 2] = -100;
        let dloss = normal(3, rows);
        let mut bench = Bench::default();
        let scores = bench.floats(logits.clone(), &[rows, vocab]);
        let wanted = bench.integers(targets.clone(), &[rows]);
        let slopes = bench.floats(dloss.clone(), &[rows]);
        let loss = bench.output(&[rows]);
        let apart = bench.output(&[rows, vocab]);
        bench.step(Kernel::CrossEntropy(plan), &[&scores, &wanted], &[&loss]);
        let with_gradient = bench.output(&[rows]);
        let gradient = |loss| Kernel::CrossEntropyGrad { plan, loss };
        bench.step(gradient(false), &[&scores, &wanted, &slopes], &[&apart]);
        bench.step(gradient(true), &[&scores, &wanted, &slopes], &[&scores, &with_gradient]);
        let found = bench.run(&[&loss, &apart, &scores, &with_gradient]);
        let (mut losses, mut gradient) = (Vec::new(), Vec::new());
        for (row, logits) in wide(&logits).chunks(vocab).enumerate() {
            let sum: f64 = logits.iter().map(|x| x.exp()).sum();
            let target = usize::try_from(targets[row]).ok();
            let (smoothing, mean) = (plan.label_smoothing, mean(logits.iter().copied()));
            losses.push(target.map_or(0.0, |target| {
                let expected = (1.0 - smoothing) * logits[target] + smoothing * mean;
                sum.ln() - expected + plan.z_loss * sum.ln().powi(2)
            }));
            for (column, logit) in logits.iter().enumerate() {
                let hot = f64::from(u8::from(target == Some(column)));
                let expected = (1.0 - smoothing) * hot + smoothing / vocab as f64;
                let probability = logit.exp() / sum * (1.0 + 2.0 * plan.z_loss * sum.ln());
                let slope = (probability - expected) * f64::from(dloss[row]);
                gradient.push(if target.is_some() { slope } else { 0.0 });
            }
        }
        assert_close(&found[0], &losses, 1e-6);
        assert_close(&found[1], &gradient, 2e-6);
        assert_eq!(found[1], found[2]);
        assert_close(&found[3], &losses, 1e-6);
    }
}
