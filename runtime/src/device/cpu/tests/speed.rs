//! Timings on this machine, for people: `cargo test --release -p llmc speed -- --ignored --nocapture`.

use std::time::Instant;

use llmc_compiler::op::{AdamConstants, AttentionInput};
use llmc_compiler::plan::AttentionSettings;
use llmc_compiler::plan::{BinaryFunction, LossPlan, UnaryFunction};
use llmc_compiler::program::{Instruction, Kernel, LoopBody, Program, View};

use super::super::Cpu;
use super::{Bench, normal, window};
use crate::device::{Device, HostTensor};

/// Seconds of one run of the bench's only step: of the processor for one thread, by the clock for several.
fn seconds(bench: &Bench, threads: usize) -> f64 {
    let whole = bench.program();
    let fill = Program { steps: Vec::new(), ..whole.clone() };
    let timed = Program { inputs: Vec::new(), ..whole };
    let mut cpu = Cpu::new(&[], 0, vec![fill, timed], threads).unwrap();
    let names: Vec<String> = (0..bench.buffers.len()).map(|index| index.to_string()).collect();
    let inputs: Vec<(&str, HostTensor<'_>)> =
        names.iter().zip(&bench.buffers).map(|(name, values)| (name.as_str(), values.tensor())).collect();
    cpu.run(0, &inputs).unwrap();
    cpu.run(1, &[]).unwrap();
    let (wall, busy) = (Instant::now(), processor_seconds());
    let mut runs = 0;
    while runs < 5 || wall.elapsed().as_secs_f64() < 0.3 {
        cpu.run(1, &[]).unwrap();
        runs += 1;
    }
    let busy = match (threads, busy, processor_seconds()) {
        (1, Some(before), Some(after)) => after - before,
        _ => wall.elapsed().as_secs_f64(),
    };
    busy / f64::from(runs)
}

/// Seconds that this thread has really run, where the system tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

fn report(name: &str, bench: &Bench, flops: f64, bytes: f64) {
    let (one, two) = (seconds(bench, 1), seconds(bench, 2));
    println!(
        "{name:<44} {:>8.3} ms {:>7.1} GFLOP/s {:>6.1} GB/s | 2 threads {:>8.3} ms {:>7.1} GFLOP/s",
        one * 1e3,
        flops / one / 1e9,
        bytes / one / 1e9,
        two * 1e3,
        flops / two / 1e9
    );
}

fn matmul(name: &str, m: u64, n: u64, k: u64, transposed: [bool; 2], accumulate: bool) {
    let mut bench = Bench::default();
    let a = bench.floats(normal(1, (m * k) as usize), &[(m * k) as usize]);
    let b = bench.floats(normal(2, (n * k) as usize), &[(n * k) as usize]);
    let out = bench.floats(vec![0.0; (m * n) as usize], &[m as usize, n as usize]);
    let a = window(&a, 0, &[m, k], &if transposed[0] { [1, m] } else { [k, 1] });
    let b = window(&b, 0, &[k, n], &if transposed[1] { [1, k] } else { [n, 1] });
    bench.step(Kernel::MatMul { accumulate }, &[&a, &b], &[&out]);
    report(
        &format!("{name} [{m}x{k}]x[{k}x{n}]"),
        &bench,
        2.0 * (m * n * k) as f64,
        4.0 * (m * k + k * n + m * n) as f64,
    );
}

#[test]
#[ignore = "prints timings"]
fn speed_of_matrix_products() {
    matmul("forward", 2048, 1536, 384, [false, false], false);
    matmul("input gradient", 2048, 384, 1536, [false, true], false);
    matmul("weight gradient", 384, 1536, 2048, [true, false], true);
    matmul("weight transposed", 2048, 1536, 384, [false, true], false);
    matmul("small forward", 2048, 256, 256, [false, false], false);
    matmul("small weight gradient", 256, 256, 2048, [true, false], false);
    matmul("logits", 2048, 8192, 256, [false, true], false);
    matmul("logits, input gradient", 2048, 256, 8192, [false, false], false);
    matmul("logits, weight gradient", 8192, 256, 2048, [true, false], false);
    matmul("decode", 1, 8192, 256, [false, true], false);
}

/// Projection, cross-entropy and gradients of `rows` tokens, `chunk` at a time.
fn chunked_loss([rows, vocab, width]: [u64; 3], chunk: u64) {
    let mut bench = Bench::default();
    let mut matrix = |a: u64, b: u64| bench.floats(normal(a, (a * b) as usize), &[a as usize, b as usize]);
    let (x, w, logits) = (matrix(rows, width), matrix(vocab, width), matrix(chunk, vocab));
    let (dx, dw) = (matrix(rows, width), matrix(vocab, width));
    let targets = bench.integers(vec![3; rows as usize], &[rows as usize]);
    let slopes = bench.floats(vec![1e-3; rows as usize], &[rows as usize]);
    let loss = bench.output(&[rows as usize]);
    for start in (0..rows).step_by(chunk as usize) {
        let count = chunk.min(rows - start);
        let part = |view: &View| view.slice(0, start, count);
        let logits = logits.slice(0, 0, count);
        let product = |accumulate| Kernel::MatMul { accumulate };
        bench.step(product(false), &[&part(&x), &w.permute(&[1, 0])], &[&logits]);
        let reads = [&logits, &part(&targets), &part(&slopes)];
        bench.step(
            Kernel::CrossEntropyGrad { plan: LossPlan::default(), loss: true },
            &reads,
            &[&logits, &part(&loss)],
        );
        bench.step(product(false), &[&logits, &w], &[&part(&dx)]);
        bench.step(product(start > 0), &[&logits.permute(&[1, 0]), &part(&x)], &[&dw]);
    }
    let flops = 6.0 * (rows * vocab * width) as f64;
    report(&format!("loss [{rows}, {vocab}, {width}], {chunk} rows"), &bench, flops, 4.0 * (chunk * vocab) as f64);
}

#[test]
#[ignore = "prints timings"]
fn speed_of_chunked_losses() {
    for shape in [[2048, 8192, 384], [256, 50304, 768], [2048, 50257, 768]] {
        for chunk in [128, 256, 512, 1024, 2048] {
            if chunk <= shape[0] {
                chunked_loss(shape, chunk);
            }
        }
    }
}

#[test]
#[ignore = "prints timings"]
fn speed_of_attention() {
    for (batch, tokens, heads, width) in [(8usize, 256usize, 8usize, 32usize), (4, 512, 6, 64), (1, 2048, 8, 64)] {
        let mut bench = Bench::default();
        let count = batch * tokens * heads * width;
        let shape = [batch, tokens, heads, width];
        let packed = bench.floats(normal(1, 3 * count), &[3 * count]);
        let [b, t, h, k] = shape.map(|size| size as u64);
        let part = |index: u64| window(&packed, index * h * k, &[b, t, h, k], &[t * 3 * h * k, 3 * h * k, k, 1]);
        let settings = AttentionSettings::causal(0.125);
        let out = bench.floats(normal(2, count), &shape);
        let stats = bench.floats(vec![0.0; batch * heads * tokens], &[batch, heads, tokens]);
        let views: [View; 3] = [part(0), part(1), part(2)];
        bench.step(Kernel::Attention { settings, stats: true }, &[&views[0], &views[1], &views[2]], &[&out, &stats]);
        let flops = 2.0 * (batch * heads * tokens * tokens * width) as f64;
        report(&format!("attention {shape:?}"), &bench, flops, 16.0 * count as f64);

        let dout = bench.floats(normal(3, count), &shape);
        let writes: Vec<View> = (0..3).map(|_| bench.floats(vec![0.0; count], &shape)).collect();
        let scratch = bench.floats(vec![0.0; batch * heads * tokens], &[batch, heads, tokens]);
        bench.steps.clear();
        let kernel = Kernel::AttentionGrad {
            settings,
            writes: vec![AttentionInput::Query, AttentionInput::Key, AttentionInput::Value],
        };
        bench.step(
            kernel,
            &[&views[0], &views[1], &views[2], &out, &stats, &dout],
            &[&writes[0], &writes[1], &writes[2], &scratch],
        );
        report(&format!("attention gradient {shape:?}"), &bench, 2.5 * flops, 32.0 * count as f64);
    }
}

/// `dy * d gelu_tanh(x) / dx`, as the derivative table writes it.
fn gelu_derivative() -> LoopBody {
    use BinaryFunction::{Add, Multiply, Subtract};
    use Instruction::{Binary, Constant, Load, Unary};
    let instructions = vec![
        Load(0),
        Load(1),
        Unary(UnaryFunction::Square, 1),
        Constant(0.035_677_407),
        Binary(Multiply, 2, 3),
        Constant(0.797_884_6),
        Binary(Add, 4, 5),
        Binary(Multiply, 1, 6),
        Unary(UnaryFunction::Tanh, 7),
        Constant(1.0),
        Unary(UnaryFunction::Square, 8),
        Binary(Subtract, 9, 10),
        Binary(Multiply, 1, 11),
        Constant(0.107_032_225),
        Binary(Multiply, 2, 13),
        Binary(Add, 14, 5),
        Binary(Multiply, 12, 15),
        Binary(Add, 8, 16),
        Constant(0.5),
        Binary(Multiply, 17, 18),
        Binary(Add, 19, 18),
        Binary(Multiply, 0, 20),
    ];
    let results = vec![instructions.len() - 1];
    LoopBody { instructions, results }
}

#[test]
#[ignore = "prints timings"]
fn speed_of_the_rest() {
    let (rows, width, vocab) = (2048usize, 384usize, 8192usize);
    let count = rows * 4 * width;
    let load = |functions: &[UnaryFunction]| {
        let mut instructions = vec![Instruction::Load(0)];
        for &function in functions {
            instructions.push(Instruction::Unary(function, instructions.len() - 1));
        }
        let results = vec![instructions.len() - 1];
        LoopBody { instructions, results }
    };
    for function in [
        UnaryFunction::Negate,
        UnaryFunction::Exp,
        UnaryFunction::Log,
        UnaryFunction::Tanh,
        UnaryFunction::Erf,
        UnaryFunction::Gelu,
        UnaryFunction::GeluTanh,
        UnaryFunction::Silu,
    ] {
        let mut bench = Bench::default();
        let x = bench.floats(normal(1, count), &[count]);
        let out = bench.floats(vec![0.0; count], &[count]);
        bench.step(Kernel::Loop(load(&[function])), &[&x], &[&out]);
        report(&format!("loop {function:?} {count}"), &bench, count as f64, 8.0 * count as f64);
    }
    let add = LoopBody {
        instructions: vec![Instruction::Load(0), Instruction::Load(1), Instruction::Binary(BinaryFunction::Add, 0, 1)],
        results: vec![2],
    };
    let mut bench = Bench::default();
    let x = bench.floats(normal(1, count), &[count]);
    let dy = bench.floats(normal(2, count), &[count]);
    bench.step(Kernel::Loop(gelu_derivative()), &[&dy, &x], &[&dy]);
    report("loop GELU derivative in place", &bench, 18.0 * count as f64, 12.0 * count as f64);

    let mut bench = Bench::default();
    let x = bench.floats(normal(1, count), &[rows, 4 * width]);
    let bias = bench.floats(normal(1, 4 * width), &[4 * width]);
    let bias = window(&bias, 0, &[rows as u64, 4 * width as u64], &[0, 1]);
    bench.step(Kernel::Loop(add), &[&x, &bias], &[&x]);
    report("loop bias in place", &bench, count as f64, 8.0 * count as f64);

    let mut bench = Bench::default();
    let x = bench.floats(normal(1, count), &[rows, 4 * width]);
    let out = bench.floats(vec![0.0; 4 * width], &[1, 4 * width]);
    let kind = llmc_compiler::op::Reduction::Sum;
    bench.step(Kernel::Reduce { kind, axes: vec![0], body: load(&[]) }, &[&x], &[&out]);
    report("bias gradient", &bench, count as f64, 4.0 * count as f64);

    let mut bench = Bench::default();
    let count = rows * width;
    let x = bench.floats(normal(1, count), &[rows, width]);
    let scale = bench.floats(normal(2, width), &[width]);
    let shift = bench.floats(normal(3, width), &[width]);
    let out = bench.floats(vec![0.0; count], &[rows, width]);
    bench.step(Kernel::LayerNorm { eps: 1e-5 }, &[&x, &scale, &shift], &[&out]);
    report("layer norm", &bench, 8.0 * count as f64, 8.0 * count as f64);
    bench.steps.clear();
    let dy = bench.floats(normal(4, count), &[rows, width]);
    let (dscale, dshift) = (bench.output(&[width]), bench.output(&[width]));
    let kernel = Kernel::LayerNormGrad { accumulate: false, eps: 1e-5, writes: [true; 3] };
    bench.step(kernel, &[&x, &scale, &dy], &[&out, &dscale, &dshift]);
    report("layer norm gradient", &bench, 16.0 * count as f64, 12.0 * count as f64);

    let mut bench = Bench::default();
    let logits = bench.floats(normal(1, rows * vocab), &[rows, vocab]);
    let targets = bench.integers(vec![3; rows], &[rows]);
    let loss = bench.output(&[rows]);
    let dloss = bench.floats(vec![1.0; rows], &[rows]);
    bench.step(Kernel::CrossEntropy(LossPlan::default()), &[&logits, &targets], &[&loss]);
    report("cross-entropy", &bench, (rows * vocab) as f64, 4.0 * (rows * vocab) as f64);
    bench.steps.clear();
    bench.step(
        Kernel::CrossEntropyGrad { plan: LossPlan::default(), loss: true },
        &[&logits, &targets, &dloss],
        &[&logits, &loss],
    );
    report("cross-entropy and its gradient", &bench, (rows * vocab) as f64, 8.0 * (rows * vocab) as f64);

    let mut bench = Bench::default();
    let count = 4_000_000;
    let [gradient, weight, first, second] = [1, 2, 3, 4].map(|seed| bench.floats(normal(seed, count), &[count]));
    let [rate, factor, step] = [1e-3, 1.0, 3.0].map(|value| bench.floats(vec![value], &[]));
    let constants = AdamConstants { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    bench.step(Kernel::AdamW(constants), &[&gradient, &rate, &factor, &step], &[&weight, &first, &second]);
    report("AdamW, 4M weights", &bench, 12.0 * count as f64, 28.0 * count as f64);
}
#[test]
#[ignore = "prints timings"]
fn speed_of_bench_shapes() {
    matmul("A fc", 256, 3072, 768, [false, false], false);
    matmul("A proj", 256, 768, 3072, [false, false], false);
    matmul("A fc dx", 256, 768, 3072, [false, true], false);
    matmul("A fc dw", 768, 3072, 256, [true, false], false);
    matmul("A logits", 256, 50304, 768, [false, true], false);
    matmul("A logits dx", 256, 768, 50304, [false, false], false);
    matmul("A logits dw", 50304, 768, 256, [true, false], false);
    matmul("B qkv", 2048, 1152, 384, [false, false], false);
    matmul("B attn proj", 2048, 384, 384, [false, false], false);
    matmul("B attn proj dw", 384, 384, 2048, [true, false], false);
    matmul("B fc", 2048, 1536, 384, [false, false], false);
    matmul("B proj", 2048, 384, 1536, [false, false], false);
    matmul("B fc dw", 384, 1536, 2048, [true, false], false);
    matmul("C gate", 2048, 1376, 512, [false, true], false);
    matmul("C gate dw", 1376, 512, 2048, [true, false], false);
    matmul("C kv", 2048, 256, 512, [false, true], false);
    matmul("D fc", 256, 512, 128, [false, false], false);
    matmul("D proj", 256, 128, 512, [false, false], false);
    matmul("D fc dw", 128, 512, 256, [true, false], false);
}
