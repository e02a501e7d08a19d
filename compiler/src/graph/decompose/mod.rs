//! Composites in terms of elementwise operators, reductions, movement and matrix products.
//!
//! A second statement of what each composite means, held against its reference meaning and, operator by operator,
//! against luminal's own primitives. It is exact mathematics in 32-bit floats, meant for small shapes: ids become one-hot
//! matrices, masks become comparisons of counted-up positions. What the reference refuses (an id out of range) is not
//! noticed here.

mod attention;
mod lookup;
mod normalize;
mod optimizer;
mod routing;

use super::{Builder, Graph, Id, Operands};
use crate::op::{Op, Reduction};
use crate::plan::UnaryFunction;

/// Replaces every composite by operators that move, combine elementwise, reduce or multiply matrices. Dropout stays,
/// for nothing else draws random numbers, and so does the choice of the largest elements, for nothing else makes whole numbers.
pub fn decompose(graph: &mut Graph) {
    for id in graph.order() {
        let node = graph.node(id);
        let (op, origin) = (node.op.clone(), node.origin.clone());
        let inputs = graph.inputs(id);
        let mut parts = Parts { build: Builder::new(graph, origin), inputs };
        if let Some(value) = parts.value(&op) {
            graph.replace(id, value);
        }
    }
    graph.remove_dead();
}

/// A composite about to be taken apart.
struct Parts<'a> {
    build: Builder<'a>,
    inputs: Operands,
}

impl Parts<'_> {
    /// The value of a composite in simpler operators, none if it is simple already.
    fn value(&mut self, op: &Op) -> Option<Id> {
        Some(match op {
            Op::Softmax => self.softmax(),
            Op::LayerNorm { eps } => self.layer_norm(*eps),
            Op::LayerNormGrad { eps, wrt } => self.norm_grad(*eps, *wrt, true),
            Op::RmsNorm { eps } => self.rms_norm(*eps),
            Op::RmsNormGrad { eps, wrt } => self.norm_grad(*eps, *wrt, false),
            Op::Gather => self.gather(),
            Op::ScatterAdd { rows } => self.scatter_add(*rows),
            Op::Pick => self.pick(),
            Op::Place { size } => self.place(*size),
            Op::RoutedMatMul { transpose } => self.routed_matmul(*transpose),
            Op::RoutedOuter { experts } => self.routed_outer(*experts),
            Op::CrossEntropy(plan) => self.cross_entropy(plan),
            Op::CrossEntropyGrad(plan) => self.cross_entropy_grad(plan),
            Op::Rotate { rotary, inverse } => self.rotate(rotary, *inverse),
            Op::Attention(settings) => self.attention(settings),
            Op::AttentionStats(settings) => self.attention_stats(settings),
            Op::AttentionGrad { settings, wrt } => self.attention_grad(settings, *wrt),
            Op::CachedAttention(settings) => self.cached_attention(settings),
            Op::CacheWrite => self.cache_write(),
            Op::SumSquares => self.sum_squares(),
            Op::AddScalars => self.add_scalars(),
            Op::LearningRate { peak, schedule } => self.learning_rate(*peak, schedule),
            Op::AdamW { constants, output } => self.adamw(constants, *output),
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
            | Op::MatMul { .. } => return None,
        })
    }

    /// `0, 1, .., count - 1` as floats, `[count]`: a list doubled until it is long enough.
    fn count_up(&mut self, count: u64) -> Id {
        let build = &mut self.build;
        let zero = build.constant(0.0);
        let mut list = build.reshape(zero, &[1]);
        let mut length = 1;
        while length < count {
            let behind = build.shift(list, length as f64);
            list = build.add_op(Op::Concat { axis: 0 }, &[list, behind]);
            length *= 2;
        }
        if length == count {
            return list;
        }
        let slice = Op::Slice { axis: 0, start: 0, length: count };
        build.add_op(slice, &[list])
    }

    /// 1 where two values are equal, else 0.
    fn equal(&mut self, a: Id, b: Id) -> Id {
        let above = self.build.greater(a, b);
        let below = self.build.greater(b, a);
        let unequal = self.build.add(above, below);
        self.build.one_minus(unequal)
    }

    /// The logarithm of the sum of the exponentials over the last axis, which stays with size 1.
    fn log_sum_exp(&mut self, x: Id) -> Id {
        let build = &mut self.build;
        let maximum = build.reduce_last(Reduction::Max, x);
        let distance = build.subtract(x, maximum);
        let exponential = build.unary(UnaryFunction::Exp, distance);
        let sum = build.sum_last(exponential);
        let logarithm = build.unary(UnaryFunction::Log, sum);
        build.add(maximum, logarithm)
    }
}
