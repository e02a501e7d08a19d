//! The graph: llmc's operators on a luminal graph.
//!
//! The luminal graph is the storage. Each of its nodes is a [`Node`]: one [`Op`] with the type of its one output and
//! its origin. A data edge says which operand it is; the shape tracker on it stays empty, because luminal's own shape
//! arithmetic is 32-bit and limited to six dimensions. Every edit and every look goes through [`Graph`], so that
//! passes read well and luminal's limits are met in one place.

mod build;
mod decompose;
mod derivative;
mod execute;
mod infer;
mod print;
mod reference;
mod verify;

use std::rc::Rc;

use luminal::graph::Dependency;
use luminal::prelude::petgraph::Direction;
use luminal::prelude::petgraph::visit::{EdgeRef, NodeIndexable};
use luminal::shape::tracker::ShapeTracker;
use smallvec::SmallVec;

use crate::op::{Op, Type};
use crate::plan::Origin;

pub use build::Builder;
pub use decompose::decompose;
pub use derivative::gradients;
pub use execute::{Data, Tensor};
pub use infer::infer;
pub use print::name;
pub use reference::{binary, unary};

/// Names a node of one graph. An id is free for another node once its node is removed.
pub type Id = luminal::prelude::petgraph::stable_graph::NodeIndex;

/// Operands of a node, in order.
pub type Operands = SmallVec<[Id; 6]>;

/// luminal numbers the inputs of a node with a byte.
pub const MOST_OPERANDS: usize = 255;

/// One operator of the graph.
#[derive(Debug)]
pub struct Node {
    /// What it computes.
    pub op: Op,
    /// Type of its value.
    pub ty: Type,
    /// Where in the recipe it comes from.
    pub origin: Origin,
    /// How many nodes were made before it in this graph.
    created: u64,
    /// Where a failing operator leaves its reason; one for the whole graph.
    failure: execute::Failure,
}

/// Where a result goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Handed to the caller under this name.
    Result(String),
    /// Written into the state of this name after the run.
    State(String),
}

/// A graph of operators with its outputs. It stays on the thread that made it.
#[derive(Debug)]
pub struct Graph {
    /// Boxed: luminal hands out raw pointers to its graph.
    storage: Box<luminal::graph::Graph>,
    outputs: Vec<(Target, Id)>,
    created: u64,
    failure: execute::Failure,
}

impl Default for Graph {
    fn default() -> Self {
        Graph::new()
    }
}

impl Graph {
    /// An empty graph.
    pub fn new() -> Graph {
        Graph {
            storage: Box::new(luminal::graph::Graph::new()),
            outputs: Vec::new(),
            created: 0,
            failure: execute::Failure::default(),
        }
    }

    /// Adds a node and gives it the type that [`infer`] finds.
    ///
    /// # Panics
    /// If the operands do not fit the operator: recipes are checked before they are lowered, so that is a bug of ours.
    pub fn add(&mut self, op: Op, inputs: &[Id], origin: &Origin) -> Id {
        let ty =
            self.infer(&op, inputs).unwrap_or_else(|reason| panic!("{reason} (at {} {})", origin.path, origin.place));
        let id = self.storage.graph.add_node(Box::new(Node {
            op,
            ty,
            origin: origin.clone(),
            created: self.created,
            failure: Rc::clone(&self.failure),
        }));
        self.created += 1;
        for (position, &input) in inputs.iter().enumerate() {
            self.connect(input, id, position as u8);
        }
        id
    }

    /// The node `id`.
    ///
    /// # Panics
    /// If there is no such node.
    pub fn node(&self, id: Id) -> &Node {
        let operator =
            self.storage.graph.node_weight(id).unwrap_or_else(|| panic!("the graph has no node {}", id.index()));
        (**operator).as_any().downcast_ref().expect("every operator of the storage is a Node: `add` is the only way in")
    }

    /// The operator of `id`.
    pub fn op(&self, id: Id) -> &Op {
        &self.node(id).op
    }

    /// Type of the value of `id`.
    pub fn ty(&self, id: Id) -> &Type {
        &self.node(id).ty
    }

    /// Where in the recipe `id` comes from.
    pub fn origin(&self, id: Id) -> &Origin {
        &self.node(id).origin
    }

    /// What `id` reads, in operand order.
    pub fn inputs(&self, id: Id) -> Operands {
        let mut operands: SmallVec<[(u8, Id); 6]> = self
            .storage
            .graph
            .edges_directed(id, Direction::Incoming)
            .map(|edge| (operand(edge.weight()), edge.source()))
            .collect();
        operands.sort_unstable_by_key(|(position, _)| *position);
        operands.into_iter().map(|(_, source)| source).collect()
    }

    /// The nodes that read `id`, each once, oldest first.
    pub fn users(&self, id: Id) -> Vec<Id> {
        let mut users: Vec<Id> = self.storage.graph.neighbors_directed(id, Direction::Outgoing).collect();
        users.sort_unstable_by_key(|&user| self.node(user).created);
        users.dedup();
        users
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.storage.graph.node_count()
    }

    /// True if there is no node.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An upper bound on the index of every id: the length of a table indexed by node.
    pub fn bound(&self) -> usize {
        self.storage.graph.node_bound()
    }

    /// Every node after its operands: in the order of creation, except that an operand made later comes just before
    /// its first reader. The order depends on which nodes there are and on the sequence of their making, not on what
    /// was removed in between.
    pub fn order(&self) -> Vec<Id> {
        let mut oldest_first: Vec<(u64, Id)> =
            self.storage.graph.node_indices().map(|id| (self.node(id).created, id)).collect();
        oldest_first.sort_unstable();
        let mut met = vec![false; self.bound()];
        let mut order = Vec::with_capacity(oldest_first.len());
        let mut path: Vec<(Id, Operands, usize)> = Vec::new();
        for (_, root) in oldest_first {
            if !std::mem::replace(&mut met[root.index()], true) {
                path.push((root, self.inputs(root), 0));
            }
            while let Some((id, inputs, next)) = path.last_mut() {
                if let Some(&input) = inputs.get(*next) {
                    *next += 1;
                    if !std::mem::replace(&mut met[input.index()], true) {
                        path.push((input, self.inputs(input), 0));
                    }
                } else {
                    order.push(*id);
                    path.pop();
                }
            }
        }
        order
    }

    /// The outputs, in the order they were added.
    pub fn outputs(&self) -> &[(Target, Id)] {
        &self.outputs
    }

    /// Makes a value an output.
    pub fn output(&mut self, target: Target, value: Id) {
        self.outputs.push((target, value));
    }

    /// Makes every reader of `old` read `new` instead, outputs included. A use by `new` itself stays, so that a value
    /// can be wrapped: `replace(x, f(x))`.
    ///
    /// # Panics
    /// If the types differ.
    pub fn replace(&mut self, old: Id, new: Id) {
        assert_eq!(
            self.ty(old),
            self.ty(new),
            "a value is replaced by one of another type ({:?} by {:?})",
            self.op(old),
            self.op(new)
        );
        let uses: Vec<_> = self
            .storage
            .graph
            .edges_directed(old, Direction::Outgoing)
            .filter(|edge| edge.target() != new)
            .map(|edge| (edge.id(), edge.target(), operand(edge.weight())))
            .collect();
        for (edge, user, position) in uses {
            self.storage.graph.remove_edge(edge);
            self.connect(new, user, position);
        }
        for (_, value) in &mut self.outputs {
            if *value == old {
                *value = new;
            }
        }
    }

    /// Makes some readers of `old` read `new` instead.
    ///
    /// # Panics
    /// If the types differ.
    pub fn redirect(&mut self, old: Id, new: Id, readers: &[Id]) {
        assert_eq!(self.ty(old), self.ty(new), "a reader is given a value of another type");
        let uses: Vec<_> = self
            .storage
            .graph
            .edges_directed(old, Direction::Outgoing)
            .filter(|edge| readers.contains(&edge.target()))
            .map(|edge| (edge.id(), edge.target(), operand(edge.weight())))
            .collect();
        for (edge, user, position) in uses {
            self.storage.graph.remove_edge(edge);
            self.connect(new, user, position);
        }
    }

    /// Removes every node that no output needs.
    pub fn remove_dead(&mut self) {
        let mut live = vec![false; self.bound()];
        let mut open: Vec<Id> = self.outputs.iter().map(|(_, id)| *id).collect();
        while let Some(id) = open.pop() {
            if !std::mem::replace(&mut live[id.index()], true) {
                open.extend(self.storage.graph.neighbors_directed(id, Direction::Incoming));
            }
        }
        self.storage.graph.retain_nodes(|_, id| live[id.index()]);
    }

    /// Every node, in no particular order.
    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.storage.graph.node_indices().map(|id| self.node(id))
    }

    /// The type of an operator over nodes of this graph.
    fn infer(&self, op: &Op, inputs: &[Id]) -> Result<Type, String> {
        let types: SmallVec<[&Type; 6]> = inputs.iter().map(|&id| self.ty(id)).collect();
        infer(op, &types)
    }

    /// Adds the edge of one operand.
    fn connect(&mut self, input: Id, user: Id, position: u8) {
        let dependency = Dependency::Data { input_order: position, output_order: 0, shape: ShapeTracker::new(&[]) };
        self.storage.graph.add_edge(input, user, dependency);
    }
}

/// Which operand an edge is.
fn operand(dependency: &Dependency) -> u8 {
    match dependency {
        Dependency::Data { input_order, .. } => *input_order,
        Dependency::Schedule => {
            unreachable!("a Graph has data edges only: `connect` is the only way in")
        }
    }
}

#[cfg(test)]
mod tests;
