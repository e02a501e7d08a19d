//! Ids that `top_k` gives, against what they name.

use super::elaborator::Elaborator;
use super::inputs::{Inputs, Made, Stop};
use crate::dim::Dim;
use crate::plan::ModelOp;

/// Where the functions that take ids take them.
const IDS: usize = 1;

impl Elaborator<'_, '_> {
    /// `E0526` where places among many elements name rows, elements or matrices of which there are fewer.
    pub fn ids_must_fit(&self, made: &Made, inputs: &Inputs) -> Result<(), Stop> {
        let size =
            |operand: usize, axis: fn(&[Dim]) -> Option<&Dim>| axis(&self.nodes[made.inputs[operand]].shape).cloned();
        let (ids, named, what) = match &made.op {
            ModelOp::Lookup => (made.inputs[1], size(0, <[Dim]>::first), "rows"),
            ModelOp::Pick => (made.inputs[1], size(0, <[Dim]>::last), "elements"),
            ModelOp::Place { size } => (made.inputs[1], Some(size.clone()), "elements"),
            ModelOp::RoutedMatMul { .. } => (made.inputs[1], size(2, <[Dim]>::first), "matrices"),
            _ => return Ok(()),
        };
        let sizes = self.chosen_among(ids).and_then(|among| Some((among, named?.as_constant()?)));
        match sizes {
            Some((among, named)) if among > named => Err(inputs.outside(
                IDS,
                format!("places among {among} elements do not name {named} {what}"),
                &format!("from 0 to {}", among - 1),
                "as many must be chosen from as can be named",
            )),
            _ => Ok(()),
        }
    }

    /// Among how many elements ids were chosen, where `top_k` chose them.
    fn chosen_among(&self, ids: usize) -> Option<u64> {
        let mut node = &self.nodes[ids];
        while let ModelOp::Reshape(_) | ModelOp::Permute(_) | ModelOp::Slice { .. } = node.op {
            node = &self.nodes[node.inputs[0]];
        }
        match node.op {
            ModelOp::TopK { places: true, .. } => self.nodes[node.inputs[0]].shape.last()?.as_constant(),
            _ => None,
        }
    }
}
