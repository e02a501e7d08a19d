//! The layout of the persistent region.

use std::collections::BTreeMap;

use super::arena::ALIGNMENT;
use super::draft::kind_of_state;
use crate::graph::{Graph, Target};
use crate::op::{Op, Type};
use crate::plan::{Initializer, WeightPlan};
use crate::program::PersistentBuffer;

/// Every state that one of the graphs reads or writes, with its place, and the bytes of the whole region.
///
/// Weights come first, in the order of the model; then all other states by name.
pub fn persistent(graphs: &[&Graph], weights: &[WeightPlan]) -> (Vec<PersistentBuffer>, u64) {
    let mut states: BTreeMap<String, Type> = BTreeMap::new();
    for graph in graphs {
        for id in graph.order() {
            if let Op::State { name, ty } = graph.op(id) {
                states.entry(name.clone()).or_insert_with(|| ty.clone());
            }
        }
        for (target, id) in graph.outputs() {
            if let Target::State(name) = target {
                states.entry(name.clone()).or_insert_with(|| graph.ty(*id).clone());
            }
        }
    }
    let mut buffers = Vec::with_capacity(states.len());
    let mut end = 0;
    let mut add = |name: String, ty: Type, init: Initializer| {
        let bytes = ty.shape.iter().product::<u64>() * ty.dtype.bytes();
        let kind = kind_of_state(&name);
        let shape = ty.shape.to_vec();
        buffers.push(PersistentBuffer { name, shape, dtype: ty.dtype, offset: end, bytes, init, kind });
        end = (end + bytes).next_multiple_of(ALIGNMENT);
    };
    for weight in weights {
        if let Some((name, ty)) = states.remove_entry(&format!("weight/{}", weight.path)) {
            add(name, ty, weight.init);
        }
    }
    for (name, ty) in states {
        add(name, ty, Initializer::Zeros);
    }
    (buffers, end)
}
