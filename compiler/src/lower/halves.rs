//! A model with an encoder in two halves: what depends on the source alone, computed once for a text, and what depends on the
//! tokens written so far. Values that pass from one to the other (each layer's keys and values of the source) are states.

use crate::plan::{ModelOp, ModelPlan};

/// Which half a pass computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Half {
    /// What depends on the source alone, into states.
    Source,
    /// All else, from these states.
    Tokens,
}

/// What a node's value depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    /// On weights alone.
    Neither,
    /// On the encoder's inputs.
    Source,
    /// On others, perhaps on the encoder's, too.
    Tokens,
}

/// Which nodes of a model belong to which half.
pub(super) struct Halves {
    sides: Vec<Side>,
    passes: Vec<bool>,
}

impl Halves {
    pub(super) fn of(model: &ModelPlan) -> Halves {
        let mut sides: Vec<Side> = Vec::with_capacity(model.nodes.len());
        let mut passes = vec![false; model.nodes.len()];
        for node in &model.nodes {
            let side = match &node.op {
                ModelOp::Input(name) if name.starts_with("source") => Side::Source,
                ModelOp::Input(_) => Side::Tokens,
                _ => node.inputs.iter().map(|&input| sides[input]).max().unwrap_or(Side::Neither),
            };
            for &input in node.inputs.iter().filter(|_| side == Side::Tokens) {
                // The host gives an input to both halves.
                let is_input = matches!(model.nodes[input].op, ModelOp::Input(_));
                passes[input] |= sides[input] == Side::Source && !is_input;
            }
            sides.push(side);
        }
        Halves { sides, passes }
    }

    /// Whether a node's value passes from one half to the other.
    pub(super) fn passes(&self, node: usize) -> bool {
        self.passes[node]
    }

    /// Whether a half computes a node itself.
    pub(super) fn computes(&self, half: Half, model: &ModelPlan, node: usize) -> bool {
        let is_input = matches!(model.nodes[node].op, ModelOp::Input(_));
        match self.sides[node] {
            Side::Neither => true,
            Side::Source => half == Half::Source || is_input,
            Side::Tokens => half == Half::Tokens,
        }
    }
}
