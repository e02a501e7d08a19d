//! Every composite against its decomposition.

use super::samples::{operands, operators};
use super::{Named, result, single};
use crate::graph::{Tensor, decompose, name};
use crate::op::Op;

/// True for what a decomposition may be made of.
pub fn primitive(op: &Op) -> bool {
    match op {
        Op::Input { .. }
        | Op::State { .. }
        | Op::Constant(_)
        | Op::Pattern { .. }
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Greater
        | Op::Cast(_)
        | Op::Random { .. }
        | Op::TopK { .. }
        | Op::Reduce { .. }
        | Op::Reshape(_)
        | Op::Permute(_)
        | Op::Expand(_)
        | Op::Slice { .. }
        | Op::Pad { .. }
        | Op::Concat { .. }
        | Op::MatMul { .. } => true,
        Op::Gather
        | Op::ScatterAdd { .. }
        | Op::Pick
        | Op::Place { .. }
        | Op::RoutedMatMul { .. }
        | Op::RoutedOuter { .. }
        | Op::Softmax
        | Op::LayerNorm { .. }
        | Op::LayerNormGrad { .. }
        | Op::RmsNorm { .. }
        | Op::RmsNormGrad { .. }
        | Op::Rotate { .. }
        | Op::Attention(_)
        | Op::AttentionStats(_)
        | Op::AttentionGrad { .. }
        | Op::CachedAttention(_)
        | Op::CacheWrite
        | Op::CrossEntropy(_)
        | Op::CrossEntropyGrad(_)
        | Op::SumSquares
        | Op::AddScalars
        | Op::LearningRate { .. }
        | Op::AdamW { .. } => false,
    }
}

/// The greatest distance between two tensors of one shape, in parts of the greatest value.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    assert_eq!(a.shape, b.shape);
    let (a, b) = (a.to_f32(), b.to_f32());
    let size = a.iter().fold(1e-3f32, |size, value| size.max(value.abs()));
    let distances = a.iter().zip(&b).map(|(a, b)| f64::from((a - b).abs() / size));
    // A value that is not a number is infinitely far from any other.
    distances.fold(0.0, |most, d| if d.is_nan() { f64::INFINITY } else { most.max(d) })
}

#[test]
fn every_composite_agrees_with_its_decomposition() {
    let mut tested = 0;
    for op in operators().iter().filter(|op| !primitive(op)) {
        let operands = operands(op).expect("only sources have no operands");
        let tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, operand)| operand.tensor(i)).collect();
        let (mut graph, _, value, bound) = single(op, &tensors);
        result(&mut graph, "y", value);
        let whole = graph.execute(&bound, &mut Named::new()).expect("the sample is valid");
        decompose(&mut graph);
        graph.verify().unwrap_or_else(|reason| panic!("{op:?}: {reason}"));
        assert!(graph.order().iter().all(|&id| primitive(graph.op(id))), "{}", graph.print());
        let parts = graph.execute(&bound, &mut Named::new()).expect("the sample is valid");
        let distance = distance(&whole["y"], &parts["y"]);
        assert!(distance < 2e-5, "{} ({op:?}): {distance}", name(op));
        tested += 1;
    }
    assert!(tested > 35, "only {tested} composites were tested");
}
