//! Cheap values of the forward pass are computed again for the backward pass instead of being kept until then
//! (selective recomputation, Korthikanti et al. 2022, but for elementwise work and normalisations only).
//!
//! A value is recomputed if everything it is computed from is there in the backward pass anyway: an activation
//! function from the value before it, a normalisation from its operand. The copy shares its loop with the derivative
//! that reads the same operand, so it costs little, and the memory of the largest activations is free between the passes.

use std::collections::BTreeMap;

use crate::graph::{Builder, Graph, Id};
use crate::lower::LOSS_SCALE;
use crate::op::Op;
use crate::plan::UnaryFunction;

/// Gives the backward pass copies of cheap values.
pub(super) fn recompute(graph: &mut Graph) {
    let order = graph.order();
    let passes = Passes::of(graph, &order);
    let mut copies: BTreeMap<Id, Id> = BTreeMap::new();
    for &id in &order {
        if passes.is_candidate(graph, id) && graph.inputs(id).iter().all(|&input| passes.is_available(graph, input)) {
            let copy = copy(graph, &passes, &mut copies, id);
            passes.redirect(graph, id, copy);
        }
    }
    graph.remove_dead();
}

/// Which values belong to which pass, by index of the node.
struct Passes {
    /// Depends on the scale of the loss, as gradients do, or is elementwise work for such values alone, as slopes are.
    backward: Vec<bool>,
    /// Read by the forward pass, seen through movement.
    read_forward: Vec<bool>,
    /// Read by the backward pass, seen through movement.
    read_backward: Vec<bool>,
    /// The same, by something that wants it in memory.
    stored: Vec<bool>,
}

impl Passes {
    fn of(graph: &Graph, order: &[Id]) -> Passes {
        let table = || vec![false; graph.bound()];
        let mut passes = Passes { backward: table(), read_forward: table(), read_backward: table(), stored: table() };
        for &id in order {
            let is_scale = match graph.op(id) {
                Op::Input { name, .. } => name == "loss_scale",
                Op::State { name, .. } => name == LOSS_SCALE,
                _ => false,
            };
            passes.backward[id.index()] =
                is_scale || graph.inputs(id).iter().any(|input| passes.backward[input.index()]);
        }
        for &id in order.iter().rev() {
            let users = graph.users(id);
            let small_work = graph.op(id).is_elementwise() || graph.op(id).is_movement();
            if small_work && !users.is_empty() && !graph.outputs().iter().any(|(_, value)| *value == id) {
                passes.backward[id.index()] |= users.iter().all(|user| passes.backward[user.index()]);
            }
            for user in users {
                let (from, to) = (user.index(), id.index());
                if passes.backward[from] {
                    passes.read_backward[to] = true;
                    passes.stored[to] |= !graph.op(user).is_elementwise() && !graph.op(user).is_movement();
                    // Movement of the backward pass reads for others.
                    passes.stored[to] |= graph.op(user).is_movement() && passes.stored[from];
                } else if graph.op(user).is_movement() {
                    passes.read_forward[to] |= passes.read_forward[from];
                    passes.read_backward[to] |= passes.read_backward[from];
                    passes.stored[to] |= passes.stored[from];
                } else if !feeds_loss(graph, user) {
                    passes.read_forward[to] = true;
                }
            }
        }
        passes
    }

    /// A cheap value that would have to be kept from its last use in the forward pass.
    fn is_candidate(&self, graph: &Graph, id: Id) -> bool {
        let cheap = graph.op(id).is_elementwise() || matches!(graph.op(id), Op::LayerNorm { .. } | Op::RmsNorm { .. });
        cheap && !self.backward[id.index()] && self.read_forward[id.index()] && self.stored[id.index()]
    }

    /// Whether the backward pass has a value anyway, or can have it for little.
    fn is_available(&self, graph: &Graph, id: Id) -> bool {
        let op = graph.op(id);
        let source = matches!(op, Op::Input { .. } | Op::State { .. } | Op::Constant(_));
        source
            || self.read_backward[id.index()]
            || ((op.is_elementwise() || op.is_movement())
                && graph.inputs(id).iter().all(|&input| self.is_available(graph, input)))
    }

    /// Makes the readers of the backward pass read the copy, through copies of the movement between.
    fn redirect(&self, graph: &mut Graph, id: Id, copy: Id) {
        let (mut readers, mut moved) = (Vec::new(), Vec::new());
        for user in graph.users(id) {
            let known = user.index() < self.backward.len();
            if known && self.backward[user.index()] {
                readers.push(user);
            } else if known && graph.op(user).is_movement() && self.read_backward[user.index()] {
                moved.push(user);
            }
        }
        graph.redirect(id, copy, &readers);
        for movement in moved {
            let (op, origin) = (graph.op(movement).clone(), graph.origin(movement).clone());
            let moved_copy = graph.add(op, &[copy], &origin);
            self.redirect(graph, movement, moved_copy);
        }
    }
}

/// The value computed anew from what the backward pass has.
fn copy(graph: &mut Graph, passes: &Passes, copies: &mut BTreeMap<Id, Id>, id: Id) -> Id {
    if let Some(&copy) = copies.get(&id) {
        return copy;
    }
    let inputs: Vec<Id> = graph
        .inputs(id)
        .into_iter()
        .map(|input| match copies.get(&input) {
            Some(&copy) => copy,
            None if passes.read_backward[input.index()] || graph.inputs(input).is_empty() => input,
            None => copy(graph, passes, copies, input),
        })
        .collect();
    let (op, origin) = (graph.op(id).clone(), graph.origin(id).clone());
    let new = match (&op, inputs.as_slice()) {
        (Op::Unary(function), &[x]) => {
            let mut build = Builder::new(graph, origin);
            activation(&mut build, *function, x).unwrap_or_else(|| build.unary(*function, x))
        }
        _ => graph.add(op, &inputs, &origin),
    };
    copies.insert(id, new);
    new
}

/// An activation function in the terms of its derivative, which then need be computed only once.
fn activation(build: &mut Builder<'_>, function: UnaryFunction, x: Id) -> Option<Id> {
    let gate = match function {
        UnaryFunction::Silu => build.unary(UnaryFunction::Sigmoid, x),
        UnaryFunction::GeluTanh => build.gelu_gate(x).1,
        _ => return None,
    };
    Some(build.multiply(x, gate))
}

/// Whether a value is a product that only the loss reads: it is computed where the backward pass begins.
fn feeds_loss(graph: &Graph, id: Id) -> bool {
    let reads_logits = |user: &Id| match graph.op(*user) {
        Op::CrossEntropy(_) | Op::CrossEntropyGrad(_) => true,
        Op::Reshape(_) => feeds_loss_alone(graph, *user),
        _ => false,
    };
    matches!(graph.op(id), Op::MatMul { .. }) && graph.users(id).iter().all(reads_logits)
}

/// Whether only the loss reads a value.
fn feeds_loss_alone(graph: &Graph, id: Id) -> bool {
    graph.users(id).iter().all(|user| matches!(graph.op(*user), Op::CrossEntropy(_) | Op::CrossEntropyGrad(_)))
}
