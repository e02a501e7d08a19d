//! Decompositions against luminal itself: each of our simple operators is said once more in luminal's own primitives,
//! with luminal's own shape trackers, and run by luminal.

mod functions;

use luminal::op::{Contiguous, Function, InputTensor, MaxReduce, Operator, SumReduce};
use luminal::prelude::symbolic::Expression;
use luminal::shape::tracker::ShapeTracker;

use super::decompositions::distance;
use super::samples::{operands, operators};
use super::{Named, result, single};
use crate::graph::{Graph, Id, Tensor, decompose, name};
use crate::op::{Op, Reduction};

#[test]
fn every_operator_agrees_with_luminals_primitives() {
    let mut tested = 0;
    for op in operators() {
        // luminal draws no random numbers, and its operators make floats alone.
        if matches!(op, Op::Random { .. } | Op::TopK { .. }) {
            continue;
        }
        let operands = operands(&op).expect("only sources have no operands");
        let tensors: Vec<Tensor> = operands.iter().enumerate().map(|(i, operand)| operand.tensor(i)).collect();
        let (mut graph, _, value, bound) = single(&op, &tensors);
        result(&mut graph, "y", value);
        let ours = graph.execute(&bound, &mut Named::new()).expect("the sample is valid");
        decompose(&mut graph);
        let luminals = Primitives::run(&graph, &bound);
        let distance = distance(&ours["y"], &luminals);
        assert!(distance < 5e-5, "{} ({op:?}): {distance}", name(&op));
        tested += 1;
    }
    assert!(tested > 80, "only {tested} operators were tested");
}

/// A value in luminal: contiguous, of these sizes.
#[derive(Clone)]
struct Value {
    id: Id,
    sizes: Vec<usize>,
}

/// A graph of luminal's own operators.
struct Primitives {
    graph: luminal::graph::Graph,
}

impl Primitives {
    /// The first output of a decomposed graph, computed by luminal.
    fn run(graph: &Graph, bound: &Named) -> Tensor {
        let mut primitives = Primitives { graph: luminal::graph::Graph::new() };
        let mut values: Vec<Option<Value>> = vec![None; graph.bound()];
        for id in graph.order() {
            let inputs: Vec<Value> = graph
                .inputs(id)
                .iter()
                .map(|input| values[input.index()].clone().expect("operands come first"))
                .collect();
            values[id.index()] = Some(primitives.translate(graph, id, &inputs, bound));
        }
        let (_, output) = graph.outputs()[0];
        let value = values[output.index()].clone().expect("the output is in the order");
        primitives.graph.keep_tensors(vec![value.id]);
        primitives.graph.compile((), ());
        primitives.graph.execute();
        let tensor = primitives.graph.get_tensor_ref(value.id, 0).expect("it was kept");
        let floats: &Vec<f32> = tensor.data.as_any().downcast_ref().expect("luminal's own operators give floats");
        Tensor::f32(&graph.ty(output).shape, floats.clone())
    }

    fn translate(&mut self, graph: &Graph, id: Id, inputs: &[Value], bound: &Named) -> Value {
        let sizes: Vec<usize> = graph.ty(id).shape.iter().map(|&size| size as usize).collect();
        match graph.op(id) {
            Op::Input { name, .. } => self.source(bound[name].to_f32(), sizes),
            Op::Constant(value) => self.source(vec![*value], sizes),
            Op::Pattern { pattern, shape } => {
                let count = shape.iter().product::<u64>() as usize;
                let last = shape[shape.len() - 1] as usize;
                let value = |index: usize| match pattern.is_float() {
                    true => pattern.float(index),
                    false => pattern.whole(index / last, index % last) as f32,
                };
                self.source((0..count).map(value).collect(), sizes)
            }
            Op::Unary(function) => self.function(*function, &inputs[0]),
            Op::Binary(function) => {
                let (a, b) = (self.expand(&inputs[0], &sizes), self.expand(&inputs[1], &sizes));
                self.binary(*function, &a, &b)
            }
            Op::Cast(_) => unreachable!("luminal has no 16-bit floats"),
            Op::Greater => {
                let (a, b) = (self.expand(&inputs[0], &sizes), self.expand(&inputs[1], &sizes));
                self.less(&b, &a)
            }
            Op::Select => {
                let [condition, a, b] = [0, 1, 2].map(|i| self.expand(&inputs[i], &sizes));
                let zero = self.filled(0.0, &sizes);
                let (below, above) = (self.less(&condition, &zero), self.less(&zero, &condition));
                let chosen = self.add(&below, &above);
                self.choose(&chosen, &a, &b)
            }
            Op::Reduce { kind, axes } => self.reduce(*kind, axes, &inputs[0], sizes),
            Op::Reshape(_) => Value { id: inputs[0].id, sizes },
            Op::Expand(_) => self.expand(&inputs[0], &sizes),
            Op::Permute(axes) => self.moved(&inputs[0], sizes, |tracker| tracker.permute(axes)),
            Op::Slice { axis, start, length } => {
                let mut slices = ends(&inputs[0].sizes);
                slices[*axis] = (Expression::from(*start as usize), Expression::from((start + length) as usize));
                self.moved(&inputs[0], sizes, |tracker| tracker.slice(&slices))
            }
            Op::Pad { axis, before, after } => self.padded(&inputs[0], *axis, *before as usize, *after as usize),
            Op::Concat { axis } => self.concat(inputs, *axis, sizes[*axis]),
            Op::MatMul { transpose_left, transpose_right } => {
                self.matmul(&inputs[0], *transpose_left, &inputs[1], *transpose_right, sizes)
            }
            op => panic!("{op:?} is not simple"),
        }
    }

    fn source(&mut self, values: Vec<f32>, sizes: Vec<usize>) -> Value {
        let load = move |_: Vec<(InputTensor<'_>, ShapeTracker)>| vec![luminal::tensor::Tensor::new(values.clone())];
        let id = self.graph.add_op(Function("source".to_owned(), Box::new(load))).finish();
        Value { id, sizes }
    }

    fn filled(&mut self, value: f64, sizes: &[usize]) -> Value {
        self.source(vec![value as f32; sizes.iter().product()], sizes.to_vec())
    }

    fn apply(&mut self, operator: impl Operator + 'static, inputs: &[&Value], sizes: Vec<usize>) -> Value {
        let mut node = self.graph.add_op(operator);
        for input in inputs {
            node = node.input(input.id, 0, tracker(&input.sizes));
        }
        Value { id: node.finish(), sizes }
    }

    /// A copy through a changed tracker.
    fn moved(&mut self, x: &Value, sizes: Vec<usize>, change: impl FnOnce(&mut ShapeTracker)) -> Value {
        let mut tracker = tracker(&x.sizes);
        change(&mut tracker);
        let id = self.graph.add_op(Contiguous).input(x.id, 0, tracker).finish();
        Value { id, sizes }
    }

    fn expand(&mut self, x: &Value, sizes: &[usize]) -> Value {
        if x.sizes == sizes {
            return x.clone();
        }
        let added = sizes.len() - x.sizes.len();
        let kept: Vec<usize> = x.sizes.iter().copied().filter(|&size| size != 1).collect();
        let mut view = tracker(&kept);
        if kept.is_empty() {
            view = ShapeTracker::new(&[]);
        }
        for (axis, &size) in sizes.iter().enumerate() {
            if axis < added || x.sizes[axis - added] == 1 {
                view.expand(axis, Expression::from(size));
            }
        }
        let id = self.graph.add_op(Contiguous).input(x.id, 0, view).finish();
        Value { id, sizes: sizes.to_vec() }
    }

    fn padded(&mut self, x: &Value, axis: usize, before: usize, after: usize) -> Value {
        let mut padding = vec![(Expression::from(0), Expression::from(0)); x.sizes.len()];
        padding[axis] = (Expression::from(before), Expression::from(after));
        let mut sizes = x.sizes.clone();
        sizes[axis] += before + after;
        self.moved(x, sizes, |tracker| tracker.pad(&padding))
    }

    fn concat(&mut self, inputs: &[Value], axis: usize, size: usize) -> Value {
        let mut before = 0;
        let mut whole: Option<Value> = None;
        for input in inputs {
            let length = input.sizes[axis];
            let part = self.padded(input, axis, before, size - before - length);
            before += length;
            whole = Some(whole.map_or(part.clone(), |sum| self.add(&sum, &part)));
        }
        whole.expect("a concatenation has operands")
    }

    fn reduce(&mut self, kind: Reduction, axes: &[usize], x: &Value, sizes: Vec<usize>) -> Value {
        let mut value = x.clone();
        for &axis in axes.iter().rev() {
            let mut rest = value.sizes.clone();
            rest.remove(axis);
            value = match kind {
                Reduction::Sum => self.apply(SumReduce(axis), &[&value], rest),
                Reduction::Max => self.apply(MaxReduce(axis), &[&value], rest),
            };
        }
        Value { id: value.id, sizes }
    }

    /// The sum over the last axis of the product of `[.., M, 1, K]` and `[.., 1, N, K]`.
    fn matmul(
        &mut self,
        a: &Value,
        transpose_left: bool,
        b: &Value,
        transpose_right: bool,
        sizes: Vec<usize>,
    ) -> Value {
        let rank = sizes.len();
        let inner = a.sizes[if transpose_left { rank - 2 } else { rank - 1 }];
        let a = if transpose_left { self.transposed(a) } else { a.clone() };
        let b = if transpose_right { b.clone() } else { self.transposed(b) };
        let mut all = sizes.clone();
        all.push(inner);
        let (mut a_sizes, mut b_sizes) = (all.clone(), all.clone());
        a_sizes[rank - 1] = 1;
        b_sizes[rank - 2] = 1;
        let a = self.expand(&Value { id: a.id, sizes: a_sizes }, &all);
        let b = self.expand(&Value { id: b.id, sizes: b_sizes }, &all);
        let products = self.mul(&a, &b);
        self.apply(SumReduce(rank), &[&products], sizes)
    }

    fn transposed(&mut self, x: &Value) -> Value {
        let rank = x.sizes.len();
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        let sizes = axes.iter().map(|&axis| x.sizes[axis]).collect();
        self.moved(x, sizes, |tracker| tracker.permute(&axes))
    }
}

/// luminal's view of a contiguous value; a scalar has one element.
fn tracker(sizes: &[usize]) -> ShapeTracker {
    let sizes = if sizes.is_empty() { &[1] } else { sizes };
    let sizes: Vec<Expression> = sizes.iter().map(|&size| Expression::from(size)).collect();
    ShapeTracker::new(&sizes)
}

/// The slice of everything.
fn ends(sizes: &[usize]) -> Vec<(Expression, Expression)> {
    sizes.iter().map(|&size| (Expression::from(0), Expression::from(size))).collect()
}
