use llmc_compiler::plan::{BinaryFunction, DType, UnaryFunction};
use llmc_compiler::program::{Instruction, Kernel, LoopBody};
use proptest::prelude::*;

use super::super::math;
use super::{Bench, assert_close, integers, normal, wide, window};

/// One element of a body, instruction by instruction.
fn interpret(body: &LoopBody, reads: &[f32]) -> Vec<f32> {
    let mut registers: Vec<f32> = Vec::new();
    for instruction in &body.instructions {
        let at = |register: usize| registers[register];
        registers.push(match *instruction {
            Instruction::Load(read) => reads[read],
            Instruction::Constant(value) => value,
            Instruction::Unary(function, x) => math::unary(function, at(x)),
            Instruction::Binary(function, a, b) => math::binary(function, at(a), at(b)),
            Instruction::Greater(a, b) => math::greater(at(a), at(b)),
            Instruction::Select(condition, a, b) => math::select(at(condition), at(a), at(b)),
            Instruction::Round(dtype, x) => dtype.round(at(x)),
        });
    }
    body.results.iter().map(|&register| registers[register]).collect()
}

const UNARY: [UnaryFunction; 17] = [
    UnaryFunction::Negate,
    UnaryFunction::Exp,
    UnaryFunction::Log,
    UnaryFunction::Sqrt,
    UnaryFunction::Rsqrt,
    UnaryFunction::Reciprocal,
    UnaryFunction::Square,
    UnaryFunction::Abs,
    UnaryFunction::Sin,
    UnaryFunction::Cos,
    UnaryFunction::Tanh,
    UnaryFunction::Sigmoid,
    UnaryFunction::Erf,
    UnaryFunction::Relu,
    UnaryFunction::Silu,
    UnaryFunction::Gelu,
    UnaryFunction::GeluTanh,
];
const BINARY: [BinaryFunction; 7] = [
    BinaryFunction::Add,
    BinaryFunction::Subtract,
    BinaryFunction::Multiply,
    BinaryFunction::Divide,
    BinaryFunction::Maximum,
    BinaryFunction::Minimum,
    BinaryFunction::Power,
];

/// A body from random numbers; instruction `i` reads registers below `i`.
fn body(genes: &[(u8, u8, u8, u8)], results: &[u8], reads: usize) -> LoopBody {
    let mut instructions = vec![Instruction::Load(0)];
    for &(kind, a, b, c) in genes {
        let register = |gene: u8| gene as usize % instructions.len();
        let next = match kind % 9 {
            0 | 1 => Instruction::Load(a as usize % reads),
            2 => Instruction::Constant(f32::from(a) / 16.0 - 8.0),
            3 | 4 => Instruction::Unary(UNARY[a as usize % UNARY.len()], register(b)),
            5 => Instruction::Greater(register(a), register(b)),
            8 => Instruction::Round([DType::Bf16, DType::F16][a as usize % 2], register(b)),
            6 => Instruction::Select(register(a), register(b), register(c)),
            _ => Instruction::Binary(BINARY[a as usize % BINARY.len()], register(b), register(c)),
        };
        instructions.push(next);
    }
    let results = results.iter().map(|&gene| gene as usize % instructions.len()).collect();
    LoopBody { instructions, results }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn random_bodies_match_scalar_interpretation(
        genes in proptest::collection::vec(any::<(u8, u8, u8, u8)>(), 0..24),
        results in proptest::collection::vec(any::<u8>(), 1..4),
        sizes in (1usize..5, 1usize..20, 1usize..40),
        seed in any::<u64>(),
    ) {
        let (outer, rows, columns) = sizes;
        let count = outer * rows * columns;
        let body = body(&genes, &results, 5);
        let mut bench = Bench::default();
        let shape = [outer, rows, columns];
        let full = bench.floats(normal(seed, count), &shape);
        let row = bench.floats(normal(seed ^ 1, columns), &[columns]);
        let column = bench.floats(normal(seed ^ 2, rows), &[rows]);
        let turned = bench.floats(normal(seed ^ 3, count), &[count]);
        let ids = bench.integers(integers(seed ^ 4, count, 50), &shape);
        let [o, r, c] = shape.map(|size| size as u64);
        let reads = [
            full.clone(),
            window(&row, 0, &[o, r, c], &[0, 0, 1]),
            window(&column, 0, &[o, r, c], &[0, 1, 0]),
            window(&turned, 0, &[o, r, c], &[1, o, o * r]),
            ids,
        ];
        let values = |bench: &Bench, index: usize| match &bench.buffers[index] {
            super::Values::F32(values) => values.clone(),
            super::Values::I32(values) => values.iter().map(|&x| x as f32).collect(),
        };
        let sources: Vec<Vec<f32>> = (0..5).map(|index| values(&bench, index)).collect();
        let writes: Vec<_> = (0..results.len()).map(|_| bench.output(&shape)).collect();
        bench.step(Kernel::Loop(body.clone()), &reads.iter().collect::<Vec<_>>(), &writes.iter().collect::<Vec<_>>());
        let found = bench.run(&writes.iter().collect::<Vec<_>>());
        for index in 0..count {
            let at = [index / rows / columns, index / columns % rows, index % columns];
            let elements: Vec<f32> = reads
                .iter()
                .zip(&sources)
                .map(|(view, values)| {
                    values[at.iter().zip(&view.strides).map(|(i, stride)| i * *stride as usize).sum::<usize>()]
                })
                .collect();
            for (write, expected) in interpret(&body, &elements).into_iter().enumerate() {
                let found = found[write][index];
                prop_assert!(
                    found.to_bits() == expected.to_bits() || (found.is_nan() && expected.is_nan()),
                    "write {} element {}: {} for {} in {:?}", write, index, found, expected, body
                );
            }
        }
    }
}

/// `x * 2 + y`
fn double_and_add() -> LoopBody {
    LoopBody {
        instructions: vec![
            Instruction::Load(0),
            Instruction::Constant(2.0),
            Instruction::Binary(BinaryFunction::Multiply, 0, 1),
            Instruction::Load(1),
            Instruction::Binary(BinaryFunction::Add, 2, 3),
        ],
        results: vec![4],
    }
}

#[test]
fn long_loops_and_loops_in_place() {
    for count in [1, 511, 513, 20_000, 40_961] {
        let mut bench = Bench::default();
        let x = bench.floats(normal(1, count), &[count]);
        let y = bench.floats(normal(2, count), &[count]);
        bench.step(Kernel::Loop(double_and_add()), &[&x, &y], &[&x]);
        bench.step(Kernel::Loop(double_and_add()), &[&y, &x], &[&x]);
        let found = bench.run(&[&x]);
        let (x, y) = (wide(&normal(1, count)), wide(&normal(2, count)));
        let expected: Vec<f64> = x.iter().zip(&y).map(|(x, y)| y * 2.0 + (x * 2.0 + y)).collect();
        assert_close(&found[0], &expected, 1e-6);
    }
}

#[test]
fn a_strided_write_leaves_the_rest_alone() {
    let mut bench = Bench::default();
    let x = bench.floats(normal(1, 30), &[5, 6]);
    let y = bench.floats(normal(2, 30), &[5, 6]);
    let out = bench.floats(vec![9.0; 5 * 20], &[5, 20]);
    bench.step(Kernel::Loop(double_and_add()), &[&x, &y], &[&window(&out, 7, &[5, 6], &[20, 2])]);
    let found = &bench.run(&[&out])[0];
    let (x, y) = (normal(1, 30), normal(2, 30));
    for (index, &value) in found.iter().enumerate() {
        let (row, column) = (index / 20, index % 20);
        let inside = (7..19).contains(&column) && column % 2 == 1;
        let at = row * 6 + column.saturating_sub(7) / 2;
        assert_eq!(value, if inside { x[at] * 2.0 + y[at] } else { 9.0 }, "{index}");
    }
}

#[test]
fn integers_are_copied() {
    let ids = vec![i32::MAX, -1, 0, 16_777_217, -100, 7];
    let mut bench = Bench::default();
    let read = bench.integers(ids.clone(), &[2, 3]);
    let out = bench.integers(vec![0; 6], &[3, 2]);
    let shown = bench.output(&[2, 3]);
    let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0, 0] };
    // Transposed on the way.
    let turned = window(&out, 0, &[2, 3], &[1, 2]);
    bench.step(Kernel::Loop(body), &[&read], &[&turned, &shown]);
    let found = bench.run(&[&turned, &shown]);
    let expected: Vec<f32> = ids.iter().map(|&id| id as f32).collect();
    assert_eq!(found, [expected.clone(), expected]);
}

#[test]
fn halves_are_rounded_as_the_types_say() {
    // Every half precision number, the middle of it and its neighbour, and what lies next to that.
    for bits in 0..0x7c00u32 {
        let low = DType::F16.round(half(bits));
        let middle = (low + half(bits + 1).min(65536.0)) / 2.0;
        for x in [low, middle, f32::from_bits(middle.to_bits() + 1), f32::from_bits(middle.to_bits() - 1)] {
            assert_eq!(math::round_f16(x).to_bits(), DType::F16.round(x).to_bits(), "{x:e}");
            assert_eq!(math::round_f16(-x).to_bits(), DType::F16.round(-x).to_bits(), "{x:e}");
        }
    }
    let stream = llmc_compiler::random::Stream::new(7, 1);
    for index in 0..200_000 {
        let x = f32::from_bits((stream.uniform(index) * 16_777_216.0) as u32 * 256 + 0x7f);
        for x in [x, f32::INFINITY, f32::NAN, 1e-30, 0.0] {
            let (ours, theirs) = (math::round_bf16(x), DType::Bf16.round(x));
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{x:e}");
            let (ours, theirs) = (math::round_f16(x), DType::F16.round(x));
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{x:e}");
        }
    }
}

/// The half precision number of these bits, by its definition.
fn half(bits: u32) -> f32 {
    let (exponent, fraction) = ((bits >> 10) as i32, (bits & 0x3ff) as f32);
    match exponent {
        0 => fraction * 2f32.powi(-24),
        _ => (1.0 + fraction / 1024.0) * 2f32.powi(exponent - 15),
    }
}
