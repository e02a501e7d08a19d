//! Proves that a graph is well-formed: run between passes.

use std::collections::{BTreeMap, BTreeSet};

use luminal::prelude::petgraph::Direction;

use super::{Graph, Id, Target, operand};
use crate::op::{Op, Type};

impl Graph {
    /// Checks that the graph has no cycle, that every node has the operands and the type its operator asks for, that
    /// a name of an input or a state has one type, and that every output exists, has a name of its own and, for a
    /// state, the state's type.
    ///
    /// # Errors
    /// A sentence that names the node and its origin.
    pub fn verify(&self) -> Result<(), String> {
        let order = self.order();
        let mut position = vec![usize::MAX; self.bound()];
        for (place, id) in order.iter().enumerate() {
            position[id.index()] = place;
        }
        let mut sources: BTreeMap<(&str, &str), &Type> = BTreeMap::new();
        for &id in &order {
            self.verify_node(id, &position).map_err(|reason| self.complaint(id, &reason))?;
            let node = self.node(id);
            let source = match &node.op {
                Op::Input { name, .. } => ("input", name.as_str()),
                Op::State { name, .. } => ("state", name.as_str()),
                _ => continue,
            };
            let known = sources.entry(source).or_insert(&node.ty);
            if **known != node.ty {
                let reason = format!("{} `{}` is also there as {known}", source.0, source.1);
                return Err(self.complaint(id, &reason));
            }
        }
        self.verify_outputs(&sources)
    }

    fn verify_node(&self, id: Id, position: &[usize]) -> Result<(), String> {
        let mut operands: Vec<u8> =
            self.storage.graph.edges_directed(id, Direction::Incoming).map(|edge| operand(edge.weight())).collect();
        operands.sort_unstable();
        if !operands.iter().map(|&n| usize::from(n)).eq(0..operands.len()) {
            return Err(format!("has operands numbered {operands:?}"));
        }
        let inputs = self.inputs(id);
        if let Some(input) = inputs.iter().find(|input| position[input.index()] >= position[id.index()]) {
            return Err(format!("lies on a cycle, through {:?}", self.op(*input)));
        }
        let inferred = self.infer(self.op(id), &inputs)?;
        if inferred != *self.ty(id) {
            return Err(format!("has type {} where its operands give {inferred}", self.ty(id)));
        }
        Ok(())
    }

    fn verify_outputs(&self, sources: &BTreeMap<(&str, &str), &Type>) -> Result<(), String> {
        let mut targets = BTreeSet::new();
        for (target, value) in &self.outputs {
            if self.storage.graph.node_weight(*value).is_none() {
                return Err(format!("output {target:?} is a node that was removed"));
            }
            if !targets.insert(target) {
                return Err(format!("output {target:?} is there twice"));
            }
            if let Target::State(name) = target
                && let Some(state) = sources.get(&("state", name.as_str()))
                && *state != self.ty(*value)
            {
                let reason = format!("is written to state `{name}` of type {state}");
                return Err(self.complaint(*value, &reason));
            }
        }
        Ok(())
    }

    /// A sentence about a node.
    fn complaint(&self, id: Id, reason: &str) -> String {
        let node = self.node(id);
        format!(
            "node {} ({:?}) : {} at {} {}: {reason}",
            id.index(),
            node.op,
            node.ty,
            node.origin.path,
            node.origin.place
        )
    }
}
