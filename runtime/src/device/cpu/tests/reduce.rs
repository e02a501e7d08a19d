use llmc_compiler::op::Reduction;
use llmc_compiler::plan::BinaryFunction;
use llmc_compiler::program::{Instruction, Kernel, LoopBody};

use super::{Bench, assert_close, normal, window};

/// `x * y`
fn product() -> LoopBody {
    LoopBody {
        instructions: vec![
            Instruction::Load(0),
            Instruction::Load(1),
            Instruction::Binary(BinaryFunction::Multiply, 0, 1),
        ],
        results: vec![2],
    }
}

#[test]
fn all_sets_of_axes() {
    for (seed, shape) in [[3, 5, 7], [2, 33, 70], [1, 129, 600], [40, 1, 9], [7, 3000, 2]].into_iter().enumerate() {
        let count: usize = shape.iter().product();
        let (x, y) = (normal(seed as u64, count), normal(100 + seed as u64, shape[0]));
        for set in 0..8u32 {
            let axes: Vec<usize> = (0..3).filter(|axis| set >> axis & 1 == 1).collect();
            for kind in [Reduction::Sum, Reduction::Max] {
                let mut bench = Bench::default();
                let first = bench.floats(x.clone(), &shape);
                let second = bench.floats(y.clone(), &[shape[0]]);
                let wide_shape = shape.map(|size| size as u64);
                let second = window(&second, 0, &wide_shape, &[1, 0, 0]);
                let mut kept = shape;
                axes.iter().for_each(|&axis| kept[axis] = 1);
                let out = bench.output(&kept);
                let kernel = Kernel::Reduce { kind, axes: axes.clone(), body: product() };
                bench.step(kernel, &[&first, &second], &[&out]);
                let start = if kind == Reduction::Sum { 0.0 } else { f64::NEG_INFINITY };
                let mut expected = vec![start; kept.iter().product()];
                for (index, &element) in x.iter().enumerate() {
                    let at = [index / shape[2] / shape[1], index / shape[2] % shape[1], index % shape[2]];
                    let to = at.iter().zip(&kept).fold(0, |to, (&i, &size)| to * size + i % size);
                    let value = f64::from(element) * f64::from(y[at[0]]);
                    expected[to] = if kind == Reduction::Sum { expected[to] + value } else { expected[to].max(value) };
                }
                assert_close(&bench.run(&[&out])[0], &expected, 1e-6);
            }
        }
    }
}

#[test]
fn transposed_reads_and_nan() {
    let (rows, columns) = (37, 530);
    let mut values = normal(1, rows * columns);
    values[5 * columns + 3] = f32::NAN;
    let mut bench = Bench::default();
    let x = bench.floats(values, &[rows, columns]);
    let turned = window(&x, 0, &[columns as u64, rows as u64], &[1, columns as u64]);
    let out = bench.output(&[columns, 1]);
    let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
    bench.step(Kernel::Reduce { kind: Reduction::Max, axes: vec![1], body }, &[&turned], &[&out]);
    let found = &bench.run(&[&out])[0];
    let values = normal(1, rows * columns);
    for (column, found) in found.iter().enumerate() {
        let largest = (0..rows).map(|row| values[row * columns + column]).fold(f32::NEG_INFINITY, f32::max);
        assert!(if column == 3 { found.is_nan() } else { *found == largest }, "{column}");
    }
}
