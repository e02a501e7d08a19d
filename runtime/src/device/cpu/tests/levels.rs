use llmc_compiler::op::{AttentionInput, Reduction};
use llmc_compiler::plan::UnaryFunction;
use llmc_compiler::plan::{AttentionSettings, LossPlan};
use llmc_compiler::program::{Instruction, Kernel, LoopBody};

use super::super::simd::{LOWERED, Level};
use super::{Bench, integers, normal};

/// A bit of everything that is vectorised. Matrix products are not here: without wide vectors they go through the `gemm` crate,
/// which sums in blocks of its own.
fn results() -> Vec<Vec<u32>> {
    let (rows, width) = (67, 130);
    let mut bench = Bench::default();
    let x = bench.floats(normal(1, rows * width), &[rows, width]);
    let scale = bench.floats(normal(2, width), &[width]);
    let targets = bench.integers(integers(3, rows, width), &[rows]);
    let mut views = Vec::new();
    let functions =
        [UnaryFunction::Exp, UnaryFunction::Log, UnaryFunction::Tanh, UnaryFunction::Erf, UnaryFunction::Silu];
    for function in functions {
        let out = bench.output(&[rows, width]);
        let body =
            LoopBody { instructions: vec![Instruction::Load(0), Instruction::Unary(function, 0)], results: vec![1] };
        bench.step(Kernel::Loop(body), &[&x], &[&out]);
        views.push(out);
    }
    let load = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
    for axes in [vec![0], vec![1]] {
        let out = bench.output(if axes == [0] { &[1, 130] } else { &[67, 1] });
        let kind = Reduction::Sum;
        let body = load.clone();
        bench.step(Kernel::Reduce { kind, axes, body }, &[&x], &[&out]);
        views.push(out);
    }
    let [norm, dx, softmax, heads] = [0; 4].map(|_| bench.output(&[rows, width]));
    let (dscale, loss) = (bench.output(&[width]), bench.output(&[rows]));
    bench.step(Kernel::RmsNorm { eps: 1e-6 }, &[&x, &scale], &[&norm]);
    let gradient = Kernel::RmsNormGrad { accumulate: false, eps: 1e-6, writes: [true; 2] };
    bench.step(gradient, &[&x, &scale, &norm], &[&dx, &dscale]);
    bench.step(Kernel::Softmax, &[&x], &[&softmax]);
    bench.step(Kernel::CrossEntropy(LossPlan::default()), &[&x, &targets], &[&loss]);
    let settings = AttentionSettings::causal(0.3);
    let split = |view| super::window(view, 0, &[1, 67, 5, 26], &[0, 130, 26, 1]);
    let [q, k, v] = [&x, &norm, &dx].map(split);
    let attention = Kernel::Attention { settings, stats: true };
    let stats = bench.output(&[1, 5, 67]);
    bench.step(attention, &[&q, &k, &v], &[&split(&heads), &stats]);
    let [dq, dk, dv] = [0; 3].map(|_| bench.output(&[1, 67, 5, 26]));
    let scratch = bench.output(&[1, 5, 67]);
    let gradient = Kernel::AttentionGrad {
        settings,
        writes: vec![AttentionInput::Query, AttentionInput::Key, AttentionInput::Value],
    };
    bench.step(gradient, &[&q, &k, &v, &split(&heads), &stats, &q], &[&dq, &dk, &dv, &scratch]);
    views.extend([norm, dx, softmax, dscale, loss, heads, dq, dk, dv]);
    let found = bench.run_on(1, &views.iter().collect::<Vec<_>>()).unwrap();
    let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect();
    found.into_iter().map(bits).collect()
}

#[test]
fn every_instruction_set_gives_the_same_bits() {
    let full = results();
    let mut lower = vec![Level::Portable];
    #[cfg(target_arch = "x86_64")]
    if Level::detected() == Level::Avx512 {
        lower.push(Level::Avx2);
    }
    for level in lower {
        LOWERED.set(Some(level));
        let found = results();
        LOWERED.set(None);
        assert!(found == full, "{level}");
    }
}
