//! Reverse-mode differentiation: one table, operator to its derivative, in operators of the graph.
//!
//! [`gradients`] walks the graph against its order and keeps for each value what its readers contribute to its
//! gradient. Only values on a path from the inputs asked for are given one.

mod composite;
mod elementwise;
mod slices;
mod structure;

use super::{Builder, Graph, Id, Operands};
use crate::op::{Op, RandomFunction};
use slices::Part;

/// The gradients of the scalar `loss` with respect to each of `wrt`; none where the loss does not depend on it. No gradient
/// passes the values of `detached`.
///
/// # Panics
/// If the loss depends on one of `wrt` through an operator that has no derivative (a gradient, an optimizer step, a
/// cache): the lowering never asks for that.
pub fn gradients(graph: &mut Graph, loss: Id, wrt: &[Id], detached: &[Id]) -> Vec<Option<Id>> {
    let order = graph.order();
    let mut needed = vec![false; graph.bound()];
    for id in wrt {
        needed[id.index()] = true;
    }
    for &id in &order {
        let inputs = graph.inputs(id);
        if !stops(graph.op(id)) && !detached.contains(&id) && inputs.iter().any(|input| needed[input.index()]) {
            needed[id.index()] = true;
        }
    }
    let mut parts: Vec<Vec<Part>> = vec![Vec::new(); needed.len()];
    let mut gradients = vec![None; needed.len()];
    if needed[loss.index()] {
        let origin = graph.origin(loss).clone();
        let mut build = Builder::new(graph, origin);
        let one = build.constant(1.0);
        let shape = build.shape(loss);
        parts[loss.index()].push(Part::Whole(build.reshape(one, &shape)));
    }
    for &id in order.iter().rev() {
        let Some(gradient) = slices::join(graph, id, std::mem::take(&mut parts[id.index()])) else {
            continue;
        };
        gradients[id.index()] = Some(gradient);
        let node = graph.node(id);
        let (op, origin) = (node.op.clone(), node.origin.clone());
        let inputs = graph.inputs(id);
        let mut step =
            Step { build: Builder::new(graph, origin), value: id, inputs: &inputs, gradient, attention_stats: None };
        for (operand, input) in inputs.iter().enumerate() {
            if needed[input.index()]
                && let Some(part) = step.part(&op, operand)
            {
                parts[input.index()].push(part);
            }
        }
    }
    wrt.iter().map(|id| gradients[id.index()]).collect()
}

/// True where the derivative is zero wherever it exists: nothing behind such an operator needs a gradient.
fn stops(op: &Op) -> bool {
    matches!(op, Op::Greater | Op::TopK { .. })
}

/// One operator on the way back.
struct Step<'a> {
    /// Adds operators of the same origin.
    build: Builder<'a>,
    /// The operator's value.
    value: Id,
    /// Its operands.
    inputs: &'a Operands,
    /// The gradient of the loss with respect to its value.
    gradient: Id,
    /// The statistics that the gradients of one attention share, once one of them has asked.
    attention_stats: Option<Id>,
}

impl Step<'_> {
    /// The table: what the operator contributes to the gradient of one operand, none where that is zero.
    fn part(&mut self, op: &Op, operand: usize) -> Option<Part> {
        let whole = match op {
            Op::Unary(function) => self.unary(*function),
            Op::Binary(function) => self.binary(*function, operand),
            Op::Select => return self.select(operand).map(Part::Whole),
            Op::Greater | Op::TopK { .. } => return None,
            Op::Random { function: RandomFunction::Dropout(_), .. } if operand == 0 => {
                self.build.add_op(op.clone(), &[self.gradient, self.inputs[1]])
            }
            Op::Reduce { kind, .. } => self.reduce(*kind),
            Op::Slice { axis, start, .. } => {
                return Some(Part::Slice { axis: *axis, start: *start, gradient: self.gradient });
            }
            Op::Reshape(_) | Op::Permute(_) | Op::Expand(_) | Op::Pad { .. } | Op::Concat { .. } => {
                self.movement(op, operand)
            }
            Op::MatMul { transpose_left, transpose_right } => self.matmul(*transpose_left, *transpose_right, operand),
            Op::Gather if operand == 0 => self.gather(),
            Op::ScatterAdd { .. } if operand == 1 => self.build.add_op(Op::Gather, &[self.gradient, self.inputs[0]]),
            Op::Pick if operand == 0 => self.pick(),
            Op::Place { .. } if operand == 1 => self.build.add_op(Op::Pick, &[self.gradient, self.inputs[0]]),
            Op::RoutedMatMul { transpose } if operand != 1 => self.routed_matmul(*transpose, operand),
            Op::Softmax => self.softmax(),
            Op::LayerNorm { eps } => self.layer_norm(*eps, operand),
            Op::RmsNorm { eps } => self.rms_norm(*eps, operand),
            Op::Rotate { rotary, inverse } if operand == 0 => {
                let back = Op::Rotate { rotary: *rotary, inverse: !inverse };
                self.build.add_op(back, &[self.gradient, self.inputs[1]])
            }
            Op::Attention(settings) if operand < 3 || settings.operands(3).bias == Some(operand) => {
                self.attention(*settings, operand)
            }
            Op::CrossEntropy(plan) if operand == 0 => {
                let inputs = [self.inputs[0], self.inputs[1], self.gradient];
                self.build.add_op(Op::CrossEntropyGrad(*plan), &inputs)
            }
            Op::SumSquares => {
                let twice = self.build.scale(self.inputs[0], 2.0);
                self.build.multiply(twice, self.gradient)
            }
            // Rounding counts as exact, as in every framework.
            Op::AddScalars | Op::Cast(_) => self.gradient,
            Op::Input { .. }
            | Op::State { .. }
            | Op::Constant(_)
            | Op::Pattern { .. }
            | Op::Random { .. }
            | Op::Gather
            | Op::ScatterAdd { .. }
            | Op::Pick
            | Op::Place { .. }
            | Op::RoutedMatMul { .. }
            | Op::RoutedOuter { .. }
            | Op::LayerNormGrad { .. }
            | Op::RmsNormGrad { .. }
            | Op::Rotate { .. }
            | Op::Attention(_)
            | Op::AttentionStats(_)
            | Op::AttentionGrad { .. }
            | Op::CachedAttention(_)
            | Op::CacheWrite
            | Op::CrossEntropy(_)
            | Op::CrossEntropyGrad(_)
            | Op::LearningRate { .. }
            | Op::AdamW { .. } => {
                let place = format!("{} {}", self.build.origin.path, self.build.origin.place);
                panic!("{op:?} has no derivative for operand {operand} (at {place})")
            }
        };
        Some(Part::Whole(whole))
    }
}
