//! Every kernel but attention at awkward sizes.

use llmc_compiler::op::{AdamConstants, RandomFunction, Reduction};
use llmc_compiler::plan::{
    BinaryFunction, Buckets, DType, LossPlan, Pattern, Rotary, RotaryLayout, RotaryScaling, ScheduleKind, SchedulePlan,
    UnaryFunction,
};
use llmc_compiler::program::{Instruction, Kernel, LoopBody};

use super::{Case, Draft};

pub(super) fn cases(types: &'static [DType]) -> Vec<Case> {
    let mut draft = Draft::of(types);
    functions(&mut draft);
    loops(&mut draft);
    reductions(&mut draft);
    products(&mut draft);
    lookups(&mut draft);
    routing(&mut draft);
    norms(&mut draft);
    parts_of_rows(&mut draft);
    losses(&mut draft);
    rotations(&mut draft);
    optimizer(&mut draft);
    draft.cases
}

/// `a * b + 0.5`
fn simple() -> LoopBody {
    let instructions = vec![
        Instruction::Load(0),
        Instruction::Load(1),
        Instruction::Binary(BinaryFunction::Multiply, 0, 1),
        Instruction::Constant(0.5),
        Instruction::Binary(BinaryFunction::Add, 2, 3),
    ];
    LoopBody { instructions, results: vec![4] }
}

fn functions(draft: &mut Draft) {
    use UnaryFunction as Unary;
    for function in [
        Unary::Negate,
        Unary::Exp,
        Unary::Log,
        Unary::Sqrt,
        Unary::Rsqrt,
        Unary::Reciprocal,
        Unary::Square,
        Unary::Abs,
        Unary::Sin,
        Unary::Cos,
        Unary::Tanh,
        Unary::Sigmoid,
        Unary::Erf,
        Unary::Relu,
        Unary::Silu,
        Unary::Gelu,
        Unary::GeluTanh,
    ] {
        let (x, y) = (draft.floats(&[129]), draft.floats(&[129]));
        let body =
            LoopBody { instructions: vec![Instruction::Load(0), Instruction::Unary(function, 0)], results: vec![1] };
        draft.add(Kernel::Loop(body), &[&x], &[&y]);
    }
    use BinaryFunction as Binary;
    for function in [Binary::Subtract, Binary::Divide, Binary::Maximum, Binary::Minimum, Binary::Power] {
        let [a, b, y] = [draft.floats(&[64]), draft.floats(&[64]), draft.floats(&[64])];
        let mut body = simple();
        body.instructions[2] = Instruction::Binary(function, 0, 1);
        draft.add(Kernel::Loop(body), &[&a, &b], &[&y]);
    }
}

fn loops(draft: &mut Draft) {
    for shape in [&[1][..], &[7, 33], &[3, 5, 8], &[2, 3, 4, 12]] {
        let [a, b, y] = [draft.floats(shape), draft.floats(shape), draft.floats(shape)];
        draft.add(Kernel::Loop(simple()), &[&a, &b], &[&y]);
        draft.add(Kernel::Loop(simple()), &[&a, &b], &[&a]);
        let line = draft.floats(&shape[shape.len() - 1..]).expand(shape);
        draft.add(Kernel::Loop(simple()), &[&a, &line], &[&y]);
        let scalar = draft.floats(&[]).expand(shape);
        draft.add(Kernel::Loop(simple()), &[&scalar, &a], &[&y]);
    }
    // Turned, sliced and shifted operands.
    let whole = draft.floats(&[6, 5, 16]);
    let turned = draft.floats(&[5, 6, 8]);
    let y = draft.floats(&[6, 5, 8]);
    draft.add(Kernel::Loop(simple()), &[&whole.slice(2, 3, 8), &turned.permute(&[1, 0, 2])], &[&y]);
    draft.add(Kernel::Loop(simple()), &[&y, &turned.permute(&[1, 0, 2])], &[&whole.slice(2, 4, 8)]);
    draft.add(Kernel::Loop(simple()), &[&whole.slice(2, 0, 8), &y], &[&whole.slice(2, 8, 8)]);
    // Whole numbers, read and copied.
    let (ids, copy, out) = (draft.integers(&[3, 20]), draft.integers(&[3, 9]), draft.floats(&[3, 9]));
    let body = LoopBody {
        instructions: vec![Instruction::Load(0), Instruction::Unary(UnaryFunction::Sqrt, 0)],
        results: vec![0, 1],
    };
    draft.add(Kernel::Loop(body), &[&ids.slice(1, 2, 9)], &[&copy, &out]);
    // Comparison and choice.
    let [a, b, y] = [draft.floats(&[50]), draft.floats(&[50]), draft.floats(&[50])];
    let instructions =
        vec![Instruction::Load(0), Instruction::Load(1), Instruction::Greater(0, 1), Instruction::Select(2, 1, 0)];
    draft.add(Kernel::Loop(LoopBody { instructions, results: vec![3] }), &[&a, &b], &[&y]);
}

fn reductions(draft: &mut Draft) {
    let shapes: [(&[u64], &[usize]); 8] = [
        (&[129], &[0]),
        (&[7, 33], &[1]),
        (&[300, 33], &[0]),
        (&[5, 700], &[1]),
        (&[3, 40, 6], &[1]),
        (&[3, 40, 6], &[0, 2]),
        (&[20_000], &[0]),
        (&[600, 80], &[1]),
    ];
    for (shape, axes) in shapes {
        let kept: Vec<u64> =
            shape.iter().enumerate().map(|(axis, size)| if axes.contains(&axis) { 1 } else { *size }).collect();
        for kind in [Reduction::Sum, Reduction::Max] {
            let [a, b, y] = [draft.floats(shape), draft.floats(shape), draft.floats(&kept)];
            draft.add(Kernel::Reduce { kind, axes: axes.to_vec(), body: simple() }, &[&a, &b], &[&y]);
        }
    }
}

fn products(draft: &mut Draft) {
    for (m, n, k) in [(1, 1, 1), (7, 129, 65), (64, 64, 64), (130, 1, 257), (1, 200, 40), (70, 70, 17)] {
        for accumulate in [false, true] {
            let kernel = || Kernel::MatMul { accumulate };
            let (a, b, out) = (draft.floats(&[m, k]), draft.floats(&[k, n]), draft.floats(&[m, n]));
            draft.add(kernel(), &[&a, &b], &[&out]);
            let turned = draft.floats(&[k, m]).permute(&[1, 0]);
            draft.add(kernel(), &[&turned, &b], &[&out]);
            let other = draft.floats(&[n, k]).permute(&[1, 0]);
            draft.add(kernel(), &[&a, &other], &[&out]);
            let result = draft.floats(&[n, m]).permute(&[1, 0]);
            draft.add(kernel(), &[&turned, &other], &[&result]);
        }
    }
    // The gradients of a weight, either way round, and of the bias beside it.
    for (rows, inputs, outputs) in [(1, 1, 1), (65, 7, 129), (300, 24, 40)] {
        let (x, dy) = (draft.floats(&[rows, inputs]), draft.floats(&[rows, outputs]));
        let (bias, weight, turned) =
            (draft.singles(&[1, outputs]), draft.singles(&[inputs, outputs]), draft.singles(&[outputs, inputs]));
        let body = LoopBody { instructions: vec![Instruction::Load(0)], results: vec![0] };
        let sum = || Kernel::Reduce { kind: Reduction::Sum, axes: vec![0], body: body.clone() };
        let (product, [xt, dyt]) =
            (|| Kernel::MatMul { accumulate: false }, [&x, &dy].map(|view| view.permute(&[1, 0])));
        draft.add_all([(sum(), &[&dy], &[&bias]), (product(), &[&xt, &dy], &[&weight])]);
        draft.add_all([(sum(), &[&dy], &[&bias]), (product(), &[&dyt, &x], &[&turned])]);
    }
    // Batches: rows of one matrix, matrices of their own, matrices between heads.
    let (a, b, out) = (draft.floats(&[3, 5, 8]), draft.floats(&[8, 6]), draft.floats(&[3, 5, 6]));
    draft.add(Kernel::MatMul { accumulate: false }, &[&a, &b.expand(&[3, 8, 6])], &[&out]);
    let b = draft.floats(&[3, 8, 6]);
    draft.add(Kernel::MatMul { accumulate: true }, &[&a, &b], &[&out]);
    let (a, b) = (draft.floats(&[2, 7, 3, 8]), draft.floats(&[2, 9, 3, 8]));
    let out = draft.floats(&[2, 3, 7, 9]);
    let (a, b) = (a.permute(&[0, 2, 1, 3]), b.permute(&[0, 2, 3, 1]));
    draft.add(Kernel::MatMul { accumulate: false }, &[&a, &b], &[&out]);
}

fn lookups(draft: &mut Draft) {
    for (vocab, width, tokens) in [(1, 1, 1), (50, 33, 7), (11, 300, 600)] {
        let (table, ids) = (draft.floats(&[vocab, width]), draft.integers(&[tokens]));
        let out = draft.floats(&[tokens, width]);
        draft.add(Kernel::Gather, &[&table, &ids], &[&out]);
        for accumulate in [false, true] {
            draft.add(Kernel::ScatterAdd { accumulate }, &[&ids, &out], &[&table]);
        }
    }
    let count = draft.floats(&[37]);
    draft.add(Kernel::Pattern(Pattern::Count { start: 1.5, step: 0.25 }), &[], &[&count]);
    let buckets = draft.integers(&[9, 300]);
    let pattern = Buckets { count: 32, max_distance: 128, bidirectional: true };
    draft.add(Kernel::Pattern(Pattern::RelativeBuckets(pattern)), &[], &[&buckets]);
}

fn routing(draft: &mut Draft) {
    for (rows, width, count) in [(1, 1, 1), (7, 33, 4), (300, 8, 2), (5, 1031, 5)] {
        // Rows of a wider tensor.
        let (x, ids) = (draft.floats(&[rows, width + 3]).slice(1, 2, width), draft.integers(&[rows, count]));
        let picked = draft.floats(&[rows, count]);
        draft.add(Kernel::TopK { count }, &[&x], &[&ids]);
        draft.add(Kernel::Pick, &[&x, &ids], &[&picked]);
        draft.add(Kernel::Place, &[&ids, &picked], &[&x]);
    }
    // More matrices than rows, so that some have none; groups of several tiles; one matrix for all.
    for (rows, each, experts, depth, columns) in
        [(1, 1, 1, 1, 1), (3, 2, 17, 65, 33), (230, 2, 3, 40, 129), (90, 1, 1, 17, 70)]
    {
        let (x, ids) = (draft.floats(&[rows, depth]), draft.integers(&[rows * each]));
        let (matrices, out) = (draft.floats(&[experts, depth, columns]), draft.floats(&[rows * each, columns]));
        let turned = draft.floats(&[experts, columns, depth]).permute(&[0, 2, 1]);
        draft.add(Kernel::RoutedMatMul, &[&x, &ids, &matrices], &[&out]);
        draft.add(Kernel::RoutedMatMul, &[&x, &ids, &turned], &[&out]);
        for accumulate in [false, true] {
            draft.add(Kernel::RoutedOuter { accumulate }, &[&x, &ids, &out], &[&matrices]);
            draft.add(Kernel::RoutedOuter { accumulate }, &[&out, &ids, &x], &[&turned.permute(&[0, 2, 1])]);
        }
    }
}

fn norms(draft: &mut Draft) {
    let eps = 1e-5;
    for (rows, width) in [(1, 1), (33, 7), (40, 129), (5, 100), (3, 1000), (3, 4104), (2, 9001), (2, 16_392)] {
        let shape = [1, rows, width];
        let [x, dy, out] = [draft.floats(&shape), draft.floats(&shape), draft.floats(&shape)];
        let [scale, shift] = [draft.floats(&[width]), draft.floats(&[width])];
        draft.add(Kernel::Softmax, &[&x], &[&out]);
        draft.add(Kernel::LayerNorm { eps }, &[&x, &scale, &shift], &[&out]);
        draft.add(Kernel::RmsNorm { eps }, &[&x, &scale], &[&out]);
        let sum = draft.floats(&shape);
        draft.add(Kernel::LoopNorm { body: simple(), centred: true, eps }, &[&x, &dy, &scale, &shift], &[&out, &sum]);
        draft.add(Kernel::LoopNorm { body: simple(), centred: false, eps }, &[&x, &dy, &scale], &[&out, &x]);
        let [dscale, dshift] = [draft.floats(&[width]), draft.floats(&[width])];
        for accumulate in [false, true] {
            let kernel = Kernel::LayerNormGrad { accumulate, eps, writes: [true; 3] };
            draft.add(kernel, &[&x, &scale, &dy], &[&out, &dscale, &dshift]);
            let kernel = Kernel::RmsNormGrad { accumulate, eps, writes: [true; 2] };
            draft.add(kernel, &[&x, &scale, &dy], &[&out, &dscale]);
        }
        let kernel = Kernel::LayerNormGrad { accumulate: false, eps, writes: [false, false, true] };
        draft.add(kernel, &[&x, &scale, &dy], &[&dshift]);
        let kernel = Kernel::RmsNormGrad { accumulate: false, eps, writes: [true, false] };
        draft.add(kernel, &[&x, &scale, &dy], &[&out]);
    }
}

/// Rows of wider tensors: what begins at such places can be read one by one, four by four, or eight by eight.
fn parts_of_rows(draft: &mut Draft) {
    let (eps, rows, width) = (1e-5, 5, 1000);
    for start in [1, 4, 8] {
        let mut part = || draft.floats(&[1, rows, width + 16]).slice(2, start, width);
        let [x, dy, out] = [part(), part(), part()];
        let mut line = || draft.floats(&[width + 16]).slice(0, start, width);
        let [scale, shift, dscale, dshift] = [line(), line(), line(), line()];
        draft.add(Kernel::Softmax, &[&x], &[&out]);
        draft.add(Kernel::LayerNorm { eps }, &[&x, &scale, &shift], &[&out]);
        draft.add(Kernel::LoopNorm { body: simple(), centred: false, eps }, &[&x, &dy, &scale], &[&out, &x]);
        let kernel = Kernel::LayerNormGrad { accumulate: true, eps, writes: [true; 3] };
        draft.add(kernel, &[&x, &scale, &dy], &[&out, &dscale, &dshift]);
        let logits = draft.floats(&[rows, width + 16]).slice(1, start, width);
        let (targets, loss, dloss) = (draft.integers(&[rows]), draft.floats(&[rows]), draft.floats(&[rows]));
        let plan = LossPlan::default();
        draft.add(Kernel::CrossEntropyGrad { plan, loss: true }, &[&logits, &targets, &dloss], &[&logits, &loss]);
    }
}

fn losses(draft: &mut Draft) {
    let plain = LossPlan::default();
    let changed = LossPlan { label_smoothing: 0.1, z_loss: 1e-3 };
    for (rows, vocab, plan) in
        [(1, 1, plain), (7, 50, plain), (9, 1031, changed), (2, 50_257, plain), (2, 32_000, changed), (5, 300, changed)]
    {
        let (logits, targets) = (draft.floats(&[rows, vocab]), draft.integers(&[rows]));
        let [loss, dloss, out] = [draft.floats(&[rows]), draft.floats(&[rows]), draft.floats(&[rows, vocab])];
        draft.add(Kernel::CrossEntropy(plan), &[&logits, &targets], &[&loss]);
        draft.add(Kernel::CrossEntropyGrad { plan, loss: false }, &[&logits, &targets, &dloss], &[&out]);
        draft.add(Kernel::CrossEntropyGrad { plan, loss: true }, &[&logits, &targets, &dloss], &[&logits, &loss]);
    }
}

fn rotations(draft: &mut Draft) {
    let scaling = RotaryScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 512 };
    let plain = Rotary::plain(10_000.0);
    for (rotary, width) in [
        (plain, 8),
        (plain, 128),
        (Rotary { layout: RotaryLayout::Interleaved, ..plain }, 34),
        (Rotary { scaling, ..plain }, 64),
    ] {
        for inverse in [false, true] {
            let (x, positions) = (draft.floats(&[2, 7, 3, width]), draft.integers(&[2, 7]));
            let out = draft.floats(&x.shape);
            draft.add(Kernel::Rotate { rotary, inverse }, &[&x, &positions], &[&out]);
            draft.add(Kernel::Rotate { rotary, inverse }, &[&x, &positions], &[&x]);
        }
    }
}

fn optimizer(draft: &mut Draft) {
    let constants = AdamConstants { beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weight_decay: 0.1 };
    for count in [1, 7, 4096, 70_001] {
        let x = draft.floats(&[count]);
        let (sum, step) = (draft.singles(&[]), draft.singles(&[]));
        draft.add(Kernel::SumSquares, &[&x], &[&sum]);
        let [weight, first, second] = [draft.singles(&[count]), draft.singles(&[count]), draft.singles(&[count])];
        let [rate, scale] = [draft.singles(&[]), draft.singles(&[])];
        draft.add(Kernel::AdamW(constants), &[&x, &rate, &scale, &step], &[&weight, &first, &second]);
        use RandomFunction::{Dropout, Round};
        for (function, site) in [(Dropout(0.1), 3), (Dropout(0.5), 1 << 20), (Round, 7)] {
            let out = draft.floats(&[count]);
            draft.add(Kernel::Random { function, seed: 42, site }, &[&x, &step], &[&out]);
            draft.add(Kernel::Random { function, seed: 42, site }, &[&x, &step], &[&x]);
        }
    }
    for kind in [ScheduleKind::Constant, ScheduleKind::Linear, ScheduleKind::Cosine, ScheduleKind::WarmupStableDecay] {
        for warmup in [0, 20] {
            let decay = if kind == ScheduleKind::WarmupStableDecay { 50 } else { 0 };
            let schedule = SchedulePlan { kind, warmup, floor: 0.1, decay, steps: 100 };
            let (step, rate) = (draft.singles(&[]), draft.singles(&[]));
            draft.add(Kernel::LearningRate { peak: 0.3, schedule }, &[&step], &[&rate]);
        }
    }
}
