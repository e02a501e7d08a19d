//! The graph as dense arrays in topological order: what the schedule reads again and again.

use std::collections::BTreeMap;

use crate::graph::{Graph, Target};
use crate::op::{Op, RandomFunction, Type};
use crate::plan::{BinaryFunction, DType, Origin};
use crate::program::PersistentBuffer;

/// Index of a value: its place in topological order.
pub(super) type ValueId = usize;

/// One operator and its value.
pub(super) struct Value {
    pub(super) op: Op,
    pub(super) ty: Type,
    pub(super) inputs: Vec<ValueId>,
    pub(super) origin: Origin,
}

/// A graph in topological order.
pub(super) struct Flow {
    pub(super) values: Vec<Value>,
    /// How often each value is read, outputs included.
    pub(super) uses: Vec<usize>,
    pub(super) outputs: Vec<(Target, ValueId)>,
}

/// The kind of device that a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hardware {
    /// Every kernel reads and writes 16-bit floats as such. Launches should be few and large.
    Card,
    /// No accesses of 16-bit floats: they are kept as 32-bit floats that hold rounded values. What a kernel leaves for the
    /// next should stay in the cache.
    Processor,
}

impl Flow {
    /// The live part of a graph whose states are kept so.
    pub(super) fn new(graph: &Graph, states: &[PersistentBuffer], hardware: Hardware) -> Flow {
        let short = states.iter().filter(|state| state.dtype.is_half());
        let short: BTreeMap<&str, DType> = short.map(|state| (state.name.as_str(), state.dtype)).collect();
        let order = graph.order();
        let mut position = vec![usize::MAX; graph.bound()];
        let mut values = Vec::with_capacity(order.len());
        for (index, &id) in order.iter().enumerate() {
            position[id.index()] = index;
            let node = graph.node(id);
            let mut value = Value {
                op: node.op.clone(),
                ty: node.ty.clone(),
                inputs: graph.inputs(id).iter().map(|input| position[input.index()]).collect(),
                origin: node.origin.clone(),
            };
            if let Op::State { name, ty } = &mut value.op
                && let Some(&dtype) = short.get(name.as_str())
            {
                (ty.dtype, value.ty.dtype) = (dtype, dtype);
            }
            values.push(value);
        }
        let outputs = graph.outputs().iter().map(|(target, id)| (target.clone(), position[id.index()])).collect();
        let mut flow = Flow { values, uses: Vec::new(), outputs };
        flow.drop_dead();
        flow.round_in_kernels(hardware);
        flow
    }

    /// Lets kernels round what they write, where only a cast reads their result: the cast is then no value of its own. Nor is
    /// that of a state which is kept rounded.
    fn round_in_kernels(&mut self, hardware: Hardware) {
        let mut stands_for: Vec<ValueId> = (0..self.values.len()).collect();
        for id in 0..self.values.len() {
            for input in &mut self.values[id].inputs {
                *input = stands_for[*input];
            }
            let Op::Cast(dtype) = self.values[id].op else { continue };
            let kernel = self.values[id].inputs[0];
            let op = &self.values[kernel].op;
            if self.values[kernel].ty.dtype == dtype {
                stands_for[id] = kernel;
                continue;
            }
            // The logits of a loss computed in chunks stay as they are rather than all in memory.
            let absorbed = match hardware {
                Hardware::Card => op.has_kernel() || self.sums_products(kernel, dtype),
                Hardware::Processor => matches!(op, Op::CrossEntropyGrad(_)) || gives_bf16(op) || self.are_logits(id),
            };
            if absorbed && self.uses[kernel] == 1 {
                self.values[kernel].ty.dtype = dtype;
                stands_for[id] = kernel;
            }
        }
        for (_, value) in &mut self.outputs {
            *value = stands_for[*value];
        }
        if hardware == Hardware::Processor {
            for value in self.values.iter_mut().filter(|value| value.ty.dtype.is_half()) {
                value.ty.dtype = DType::F32;
            }
        }
        self.drop_dead();
    }

    /// Whether a value is a sum of two 16-bit values of which one is a product, whose kernel can add to the other in place.
    fn sums_products(&self, id: ValueId, dtype: DType) -> bool {
        let Value { op, ty, inputs, .. } = &self.values[id];
        let is_term = |term: &ValueId| {
            let term = &self.values[*term].ty;
            term.shape == ty.shape && term.dtype == dtype
        };
        let is_product = |term: &ValueId| matches!(self.values[*term].op, Op::MatMul { .. }) && self.uses[*term] == 1;
        *op == Op::Binary(BinaryFunction::Add) && inputs.iter().all(is_term) && inputs.iter().any(is_product)
    }

    /// Whether a value is a rounded product that only a loss reads.
    fn are_logits(&self, id: ValueId) -> bool {
        let is_loss = |value: &Value| matches!(value.op, Op::CrossEntropy(_) | Op::CrossEntropyGrad(_));
        let mut readers = self.values[id + 1..].iter().filter(|value| value.inputs.contains(&id)).peekable();
        matches!(self.values[self.values[id].inputs[0]].op, Op::MatMul { .. })
            && readers.peek().is_some()
            && readers.all(is_loss)
    }

    /// Removes values that no output needs and counts the uses of the rest.
    fn drop_dead(&mut self) {
        let mut live = vec![false; self.values.len()];
        for (_, value) in &self.outputs {
            live[*value] = true;
        }
        for id in (0..self.values.len()).rev() {
            if live[id] {
                for &input in &self.values[id].inputs {
                    live[input] = true;
                }
            }
        }
        let mut renamed = vec![0; self.values.len()];
        let mut kept = 0;
        for (id, live) in live.iter().enumerate() {
            renamed[id] = kept;
            kept += usize::from(*live);
        }
        let mut live = live.into_iter();
        self.values.retain(|_| live.next() == Some(true));
        self.uses = vec![0; kept];
        for value in &mut self.values {
            for input in &mut value.inputs {
                *input = renamed[*input];
                self.uses[*input] += 1;
            }
        }
        for (_, value) in &mut self.outputs {
            *value = renamed[*value];
            self.uses[*value] += 1;
        }
    }

    /// The operator of a value.
    pub(super) fn op(&self, id: ValueId) -> &Op {
        &self.values[id].op
    }

    /// What a value is computed from.
    pub(super) fn inputs(&self, id: ValueId) -> &[ValueId] {
        &self.values[id].inputs
    }

    /// The shape of a value.
    pub(super) fn shape(&self, id: ValueId) -> &[u64] {
        &self.values[id].ty.shape
    }

    /// Number of elements of a value.
    pub(super) fn elements(&self, id: ValueId) -> u64 {
        self.shape(id).iter().product()
    }

    /// Which value each state is overwritten with.
    pub(super) fn state_targets(&self) -> BTreeMap<&str, ValueId> {
        self.outputs
            .iter()
            .filter_map(|(target, value)| match target {
                Target::State(name) => Some((name.as_str(), *value)),
                Target::Result(_) => None,
            })
            .collect()
    }
}

/// Whether a kernel's results are bf16 numbers already.
fn gives_bf16(op: &Op) -> bool {
    matches!(op, Op::Random { function: RandomFunction::Round, .. })
}
