//! Keeps activations as 16-bit floats, as mixed-precision training does (Micikevicius et al. 2018): matrix products and attention
//! read and leave 16 bits, and so do the normalisations and embeddings between them. Sums, statistics, losses, the gradients
//! of weights and the weights themselves stay f32; products read rounded copies of the weights.
//!
//! Runs last: each [`Op::Cast`] stands right behind the value that it rounds, and every reader reads the rounded value, so that
//! it alone has memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::graph::{Graph, Id, Target, name};
use crate::op::{AttentionInput, NormInput, Op, RandomFunction, Type};
use crate::plan::{BinaryFunction, DType};

/// States that products read rounded at random.
#[derive(Debug, Clone)]
pub struct RandomRounding {
    /// The stage's seed.
    pub seed: u64,
    /// Their names.
    pub states: BTreeSet<String>,
}

/// The graph with what is kept between kernels rounded to `dtype`: to the nearest, but for what is said.
pub fn shorten(graph: &Graph, dtype: DType, random: Option<&RandomRounding>) -> Graph {
    let order = graph.order();
    let rounded = rounded(graph, &order);
    let (read, short) = (BTreeMap::new(), BTreeMap::new());
    let mut shortener = Shortener { old: graph, new: Graph::new(), dtype, random, read, short };
    let mut results = BTreeMap::new();
    for &id in &order {
        let result = shortener.copy(id);
        results.insert(id, result);
        let read = if rounded[id.index()] { shortener.cast(id, result) } else { result };
        shortener.read.insert(id, read);
    }
    for (target, id) in graph.outputs() {
        shortener.new.output(target.clone(), results[id]);
    }
    shortener.new.remove_dead();
    shortener.new
}

/// In which types an operator of a graph reads and leaves its values; it computes in f32 or more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperatorPrecision {
    /// The operator's name in the text of a graph; `elementwise` for all that work element by element.
    pub operator: &'static str,
    /// Types of the floats that it reads.
    pub reads: Vec<DType>,
    /// Type in which its value is kept.
    pub keeps: DType,
}

/// How many operators of a graph there are of each kind and precision. Movement and sources compute nothing, and are left out.
pub fn precisions(graph: &Graph) -> BTreeMap<OperatorPrecision, usize> {
    let mut counts = BTreeMap::new();
    for id in graph.order() {
        let op = graph.op(id);
        let ty = graph.ty(id);
        if graph.inputs(id).is_empty() || moves(op) || matches!(op, Op::Cast(_)) || !ty.dtype.is_float() {
            continue;
        }
        let floats = graph.inputs(id).into_iter().map(|input| graph.ty(input).dtype).filter(|dtype| dtype.is_float());
        let mut reads: Vec<DType> = floats.collect();
        reads.sort_unstable();
        reads.dedup();
        let casts = graph.users(id).into_iter().filter(|&user| matches!(graph.op(user), Op::Cast(_)));
        let keeps = casts.map(|cast| graph.ty(cast).dtype).next().unwrap_or(ty.dtype);
        let operator = if op.is_elementwise() { "elementwise" } else { name(op) };
        *counts.entry(OperatorPrecision { operator, reads, keeps }).or_default() += 1;
    }
    counts
}

/// Which values all their readers read rounded, by index of the node.
fn rounded(graph: &Graph, order: &[Id]) -> Vec<bool> {
    let of_weights = gradients_of_weights(graph, order);
    let mut rounded = vec![false; graph.bound()];
    for &id in order {
        rounded[id.index()] |= gives_short(graph.op(id)) && !of_weights[id.index()] && !is_summed_up(graph, id);
        for (position, operand) in graph.inputs(id).into_iter().enumerate() {
            if takes_short(graph.op(id), position) {
                origins(graph, operand, &mut |origin| rounded[origin.index()] |= !is_source(graph.op(origin)));
            }
        }
    }
    for &id in order.iter().rev().filter(|&&id| is_sum(graph, id)) {
        if rounded[id.index()] {
            let terms = graph.inputs(id).into_iter().filter(|&term| is_partial_sum(graph, term));
            terms.for_each(|term| rounded[term.index()] = true);
        }
    }
    rounded
}

/// Calls `found` with what a value is made of by moving elements.
fn origins(graph: &Graph, id: Id, found: &mut dyn FnMut(Id)) {
    match moves(graph.op(id)) {
        true => graph.inputs(id).into_iter().for_each(|input| origins(graph, input, found)),
        false => found(id),
    }
}

/// A graph on its way to shorter floats.
struct Shortener<'a> {
    old: &'a Graph,
    new: Graph,
    dtype: DType,
    random: Option<&'a RandomRounding>,
    /// What the readers of each old value read.
    read: BTreeMap<Id, Id>,
    /// The rounded form of old values that only some readers read rounded.
    short: BTreeMap<Id, Id>,
}

impl Shortener<'_> {
    /// The same operator of what its operands have become.
    fn copy(&mut self, id: Id) -> Id {
        let old = self.old;
        let operands = old.inputs(id);
        // The parts of a concatenation are of one type.
        let all_short = matches!(old.op(id), Op::Concat { .. }) && operands.iter().any(|&part| self.is_short(part));
        let operands: Vec<Id> = operands
            .into_iter()
            .enumerate()
            .map(|(position, operand)| match all_short || takes_short(old.op(id), position) {
                true => self.short(operand),
                false => self.read[&operand],
            })
            .collect();
        self.new.add(old.op(id).clone(), &operands, old.origin(id))
    }

    fn is_short(&self, old: Id) -> bool {
        self.new.ty(self.read[&old]).dtype.is_half()
    }

    fn cast(&mut self, old: Id, value: Id) -> Id {
        self.new.add(Op::Cast(self.dtype), &[value], self.old.origin(old))
    }

    /// The rounded form of an old value; what moves rounded elements is done once more.
    fn short(&mut self, id: Id) -> Id {
        if self.is_short(id) {
            return self.read[&id];
        }
        if let Some(&known) = self.short.get(&id) {
            return known;
        }
        let short = if moves(self.old.op(id)) {
            let operands: Vec<Id> = self.old.inputs(id).into_iter().map(|operand| self.short(operand)).collect();
            self.new.add(self.old.op(id).clone(), &operands, self.old.origin(id))
        } else {
            let value = self.rounded_at_random(id).unwrap_or(self.read[&id]);
            self.cast(id, value)
        };
        self.short.insert(id, short);
        short
    }

    /// A state of those that are rounded so, ready to be cast.
    fn rounded_at_random(&mut self, id: Id) -> Option<Id> {
        let (Op::State { name, .. }, Some(random)) = (self.old.op(id), self.random) else { return None };
        let site = random.states.iter().position(|state| state == name)? as u64;
        let origin = self.old.origin(id);
        let step = self.new.add(Op::Input { name: "step".to_owned(), ty: Type::f32(&[]) }, &[], origin);
        let op = Op::Random { function: RandomFunction::Round, seed: random.seed, site };
        Some(self.new.add(op, &[self.read[&id], step], origin))
    }
}

/// Moves elements, and computes nothing.
fn moves(op: &Op) -> bool {
    op.is_movement() || matches!(op, Op::Pad { .. } | Op::Concat { .. })
}

/// Made by nobody, or by nothing that could round it: the optimizer and what adds to a state need all its digits.
fn is_source(op: &Op) -> bool {
    matches!(op, Op::State { .. } | Op::Input { .. } | Op::Constant(_) | Op::Pattern { .. } | Op::AdamW { .. })
}

/// Kernels whose results are kept as 16-bit floats.
fn gives_short(op: &Op) -> bool {
    matches!(
        op,
        Op::MatMul { .. }
            | Op::RoutedMatMul { .. }
            | Op::Attention(_)
            | Op::AttentionGrad { wrt: AttentionInput::Query | AttentionInput::Key | AttentionInput::Value, .. }
            | Op::LayerNorm { .. }
            | Op::RmsNorm { .. }
            | Op::LayerNormGrad { wrt: NormInput::Value, .. }
            | Op::RmsNormGrad { wrt: NormInput::Value, .. }
            | Op::Rotate { .. }
            | Op::Gather
            | Op::Random { .. }
            | Op::CrossEntropyGrad(_)
    )
}

/// Operands that a kernel reads as 16-bit floats.
fn takes_short(op: &Op, operand: usize) -> bool {
    match op {
        Op::MatMul { .. } => true,
        Op::RoutedMatMul { .. } | Op::RoutedOuter { .. } => operand != 1,
        Op::Attention(_) | Op::AttentionStats(_) => operand < 3,
        // All but the statistics.
        Op::AttentionGrad { .. } => operand < 6 && operand != 4,
        Op::LayerNorm { .. } | Op::RmsNorm { .. } | Op::Rotate { .. } | Op::Random { .. } => operand == 0,
        Op::LayerNormGrad { .. } | Op::RmsNormGrad { .. } => operand != 1,
        Op::ScatterAdd { .. } => operand == 1,
        Op::CrossEntropy(_) | Op::CrossEntropyGrad(_) => operand == 0,
        _ => false,
    }
}

/// Whether a value is the gradient of a normalisation that its kernel adds to what comes past it: only the sum is kept.
fn is_summed_up(graph: &Graph, id: Id) -> bool {
    let users = graph.users(id);
    let [sum] = users.as_slice() else { return false };
    let is_output = graph.outputs().iter().any(|(_, value)| *value == id);
    matches!(graph.op(id), Op::LayerNormGrad { .. } | Op::RmsNormGrad { .. })
        && !is_output
        && is_sum(graph, *sum)
        && graph.ty(*sum).shape == graph.ty(id).shape
}

fn is_sum(graph: &Graph, id: Id) -> bool {
    *graph.op(id) == Op::Binary(BinaryFunction::Add)
}

/// Whether a sum is one of products and nothing but a term of a larger sum: it grows in the memory of that sum.
fn is_partial_sum(graph: &Graph, id: Id) -> bool {
    let of_product = |term: Id| matches!(graph.op(term), Op::MatMul { .. });
    is_sum(graph, id) && graph.users(id).len() == 1 && graph.inputs(id).into_iter().any(of_product)
}

/// Which values become gradients of weights, or parts of such, by index of the node.
fn gradients_of_weights(graph: &Graph, order: &[Id]) -> Vec<bool> {
    let mut marked = vec![false; graph.bound()];
    for (target, id) in graph.outputs() {
        let (Target::Result(name) | Target::State(name)) = target;
        marked[id.index()] |= name.starts_with("gradient/");
    }
    for &id in order.iter().rev() {
        let inputs = graph.inputs(id);
        match graph.op(id) {
            Op::AdamW { .. } => marked[inputs[3].index()] = true,
            Op::SumSquares => marked[inputs[0].index()] = true,
            op if marked[id.index()] && (moves(op) || is_sum(graph, id)) => {
                inputs.iter().for_each(|input| marked[input.index()] = true);
            }
            _ => {}
        }
    }
    marked
}
