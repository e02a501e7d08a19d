//! Every derivative against finite differences of the reference meaning.

use super::samples::{Operand, operands, operators};
use super::{Named, input, origin, single, total};
use crate::graph::{Builder, Graph, Id, Tensor, gradients, name};
use crate::op::{Op, RandomFunction, Type};
use crate::plan::UnaryFunction;
use crate::plan::{AttentionSettings, LossPlan};
use crate::random::{Stream, stream_of};

/// Whether the operator has a derivative. A new operator does not compile until somebody has decided.
fn differentiable(op: &Op) -> bool {
    match op {
        Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Greater
        | Op::Random { function: RandomFunction::Dropout(_), .. }
        | Op::Reduce { .. }
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::Expand(_)
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::MatMul { .. }
        | Op::Gather
        | Op::ScatterAdd { .. }
        | Op::Pick
        | Op::Place { .. }
        | Op::RoutedMatMul { .. }
        | Op::Softmax
        | Op::LayerNorm { .. }
        | Op::RmsNorm { .. }
        | Op::Rotate { .. }
        | Op::Attention(_)
        | Op::CrossEntropy(_)
        | Op::SumSquares
        | Op::AddScalars => true,
        // There are no casts yet when gradients are taken.
        Op::Cast(_)
        | Op::Input { .. }
        | Op::State { .. }
        | Op::Constant(_)
        | Op::Pattern { .. }
        | Op::TopK { .. }
        | Op::RoutedOuter { .. }
        | Op::LayerNormGrad { .. }
        | Op::RmsNormGrad { .. }
        | Op::AttentionStats(_)
        | Op::AttentionGrad { .. }
        | Op::CachedAttention(_)
        | Op::CacheWrite
        | Op::CrossEntropyGrad(_)
        | Op::LearningRate { .. }
        | Op::Random { function: RandomFunction::Round, .. }
        | Op::AdamW { .. } => false,
    }
}

#[test]
fn every_derivative_agrees_with_finite_differences() {
    let mut tested = 0;
    for op in operators().into_iter().filter(differentiable) {
        let operands = operands(&op).expect("only sources have no operands");
        check(&op, &operands);
        tested += 1;
    }
    assert!(tested > 45, "only {tested} operators were tested");
}

/// The loss is a random combination of the operator's values, so that no element's gradient can hide.
fn check(op: &Op, operands: &[Operand]) {
    let tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, operand)| operand.tensor(i)).collect();
    let (mut graph, inputs, value, mut bound) = single(op, &tensors);
    let weights = mixture(graph.ty(value));
    let wrt: Vec<Id> = (0..inputs.len()).filter(|&i| operands[i].varies()).map(|i| inputs[i]).collect();
    let loss = {
        let mut build = Builder::new(&mut graph, origin());
        let weights = build.add_op(Op::Input { name: "mixture".to_owned(), ty: weights.ty() }, &[]);
        let product = build.multiply(value, weights);
        total(&mut build, product)
    };
    bound.insert("mixture".to_owned(), weights.clone());
    let gradients = gradients(&mut graph, loss, &wrt, &[]);
    graph.verify().unwrap_or_else(|reason| panic!("{op:?}: {reason}"));
    let varying = (0..inputs.len()).filter(|&i| operands[i].varies());
    for (operand, gradient) in varying.zip(gradients) {
        let measured = differences(&mut graph, value, &mut bound, operand, &weights.to_f32());
        let computed = match gradient {
            Some(gradient) => {
                assert_eq!(graph.ty(gradient), graph.ty(inputs[operand]), "{op:?}");
                graph.evaluate(&bound, &Named::new(), &[gradient]).expect("the sample is valid")[0].to_f32()
            }
            None => vec![0.0; measured.len()],
        };
        let size = measured.iter().fold(0.1f64, |size, value| size.max(value.abs()));
        for (i, (measured, computed)) in measured.iter().zip(&computed).enumerate() {
            let distance = (measured - f64::from(*computed)).abs();
            assert!(
                distance <= 5e-5 * size,
                "{} ({op:?}), operand {operand}, element {i}: {computed} computed, {measured} measured",
                name(op)
            );
        }
    }
}

/// Random weights of a value's type.
fn mixture(ty: &Type) -> Tensor {
    let stream = Stream::new(1, stream_of("mixture"));
    let values = (0..ty.elements()).map(|i| stream.uniform(i) * 2.0 - 0.7).collect();
    Tensor::f32(&ty.shape, values)
}

/// Five-point differences of the weighted sum of `value` for every element of one input.
fn differences(graph: &mut Graph, value: Id, bound: &mut Named, operand: usize, weights: &[f32]) -> Vec<f64> {
    const STEP: f32 = 1.0 / 64.0;
    let key = operand.to_string();
    let original = bound[&key].clone();
    let values = original.to_f32();
    let mut slopes = Vec::new();
    for element in 0..values.len() {
        let mut at = |steps: f32| {
            let mut moved = values.clone();
            moved[element] += steps * STEP;
            bound.insert(key.clone(), Tensor::f32(&original.shape, moved));
            let value = graph.evaluate(bound, &Named::new(), &[value]).expect("the sample is valid")[0].to_f32();
            value.iter().zip(weights).map(|(&v, &w)| f64::from(v) * f64::from(w)).sum::<f64>()
        };
        slopes.push((8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * f64::from(STEP)));
    }
    bound.insert(key, original);
    slopes
}

/// A small transformer: tied embedding, one projection split in three, two residual branches.
#[test]
fn a_whole_model_agrees_with_finite_differences() {
    let shapes: [&[u64]; 6] = [&[7, 6], &[6], &[6], &[6, 18], &[6, 9], &[9, 6]];
    let mut graph = Graph::new();
    let mut bound = Named::new();
    let mut weights = Vec::new();
    for (position, shape) in shapes.into_iter().enumerate() {
        weights.push(input(&mut graph, &position.to_string(), shape));
        bound.insert(position.to_string(), mixture(&Type::f32(shape)));
    }
    let [table, scale, shift, projection, up, down] = weights[..] else { unreachable!("six weights were made") };
    let ids = super::source(&mut graph, "ids", Type::i32(&[2, 3]));
    let targets = super::source(&mut graph, "targets", Type::i32(&[6]));
    bound.insert("ids".to_owned(), Tensor::i32(&[2, 3], vec![0, 5, 5, 6, 2, 0]));
    bound.insert("targets".to_owned(), Tensor::i32(&[6], vec![5, 5, -100, 2, 0, 1]));
    let mut build = Builder::new(&mut graph, origin());
    let embedded = build.add_op(Op::Gather, &[table, ids]);
    let normal = build.add_op(Op::LayerNorm { eps: 1e-3 }, &[embedded, scale, shift]);
    let rows = build.reshape(normal, &[6, 6]);
    let joined = build.matmul(rows, false, projection, false);
    let joined = build.reshape(joined, &[2, 3, 18]);
    let heads: Vec<Id> = [0, 6, 12]
        .into_iter()
        .map(|start| {
            let part = build.add_op(Op::Slice { axis: 2, start, length: 6 }, &[joined]);
            build.reshape(part, &[2, 3, 3, 2])
        })
        .collect();
    let settings = AttentionSettings::causal(0.7);
    let mixed = build.add_op(Op::Attention(settings), &heads);
    let mixed = build.reshape(mixed, &[2, 3, 6]);
    let first = build.add(embedded, mixed);
    let rows = build.reshape(first, &[6, 6]);
    let hidden = build.matmul(rows, false, up, false);
    let hidden = build.unary(UnaryFunction::GeluTanh, hidden);
    let branch = build.matmul(hidden, false, down, false);
    let second = build.add(rows, branch);
    let logits = build.matmul(second, false, table, true);
    let losses = build.add_op(Op::CrossEntropy(LossPlan::default()), &[logits, targets]);
    let loss = total(&mut build, losses);
    let gradients = gradients(&mut graph, loss, &weights, &[]);
    graph.verify().expect("well-formed");
    for (operand, gradient) in gradients.into_iter().enumerate() {
        let gradient = gradient.expect("the loss depends on every weight");
        let measured = differences(&mut graph, losses, &mut bound, operand, &[1.0; 6]);
        let computed = graph.evaluate(&bound, &Named::new(), &[gradient]).expect("valid")[0].to_f32();
        let size = measured.iter().fold(0.1f64, |size, value| size.max(value.abs()));
        for (measured, computed) in measured.iter().zip(computed) {
            let distance = (measured - f64::from(computed)).abs();
            assert!(distance <= 1e-4 * size, "weight {operand}: {computed} computed, {measured} measured");
        }
    }
}

#[test]
fn slices_that_cover_an_axis_give_one_concatenation() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "0", &[2, 6]);
    let mut build = Builder::new(&mut graph, origin());
    let parts: Vec<Id> = [(4, 2), (0, 3), (3, 1)]
        .map(|(start, length)| build.add_op(Op::Slice { axis: 1, start, length }, &[x]))
        .to_vec();
    let squares: Vec<Id> = parts.iter().map(|&part| build.add_op(Op::SumSquares, &[part])).collect();
    let loss = build.add_op(Op::AddScalars, &squares);
    let gradient = gradients(&mut graph, loss, &[x], &[])[0].expect("the loss depends on x");
    assert_eq!(*graph.op(gradient), Op::Concat { axis: 1 });
    assert!(!graph.summary().contains("pad"), "{}", graph.summary());
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let bound = Named::from([("0".to_owned(), Tensor::f32(&[2, 6], values.clone()))]);
    let computed = graph.evaluate(&bound, &Named::new(), &[gradient]).expect("valid")[0].to_f32();
    assert_eq!(computed, values.iter().map(|x| 2.0 * x).collect::<Vec<_>>());
}

#[test]
fn slices_that_overlap_repeat_and_leave_gaps_are_added_up() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "0", &[7]);
    let mut build = Builder::new(&mut graph, origin());
    // Elements 0 and 1 three times, 2 once, 3 twice, 4 not at all, 5 once, 6 once by another reader.
    let slices = [(0, 2), (0, 2), (0, 4), (3, 1), (5, 1)];
    let mut terms: Vec<Id> =
        slices.map(|(start, length)| build.add_op(Op::Slice { axis: 0, start, length }, &[x])).to_vec();
    let last = build.add_op(Op::Slice { axis: 0, start: 6, length: 1 }, &[x]);
    terms.push(build.reshape(last, &[]));
    let totals: Vec<Id> = terms.iter().map(|&term| total(&mut build, term)).collect();
    let loss = build.add_op(Op::AddScalars, &totals);
    let gradient = gradients(&mut graph, loss, &[x], &[])[0].expect("the loss depends on x");
    let bound = Named::from([("0".to_owned(), Tensor::f32(&[7], vec![0.5; 7]))]);
    let computed = graph.evaluate(&bound, &Named::new(), &[gradient]).expect("valid")[0].to_f32();
    assert_eq!(computed, [3.0, 3.0, 1.0, 2.0, 0.0, 1.0, 1.0]);
}

#[test]
fn gradients_that_nobody_asked_for_are_not_built() {
    let mut graph = Graph::new();
    let x = input(&mut graph, "x", &[3, 4]);
    let w = input(&mut graph, "w", &[4, 5]);
    let unrelated = input(&mut graph, "u", &[2]);
    let mut build = Builder::new(&mut graph, origin());
    let hidden = build.matmul(x, false, w, false);
    let loss = total(&mut build, hidden);
    let found = gradients(&mut graph, loss, &[w, unrelated], &[]);
    assert!(found[0].is_some());
    assert_eq!(found[1], None);
    // The product itself and the one for `w`, none for `x`.
    assert!(graph.summary().contains("matmul 2\n"), "{}", graph.summary());
}
