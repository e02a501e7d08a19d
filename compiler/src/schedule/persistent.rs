//! The layout of the persistent region.

use std::collections::BTreeMap;

use super::arena::ALIGNMENT;
use super::draft::kind_of_state;
use super::flow::Hardware;
use crate::graph::{Graph, Id, Target};
use crate::op::{Op, Type};
use crate::plan::{DType, Initializer, WeightPlan};
use crate::program::PersistentBuffer;

/// Every state that one of the graphs reads or writes, with its place, and the bytes of the whole region.
///
/// Weights come first, in the order of the model; then all other states by name. What nobody changes and all read rounded, as
/// frozen weights are in mixed precision, a card keeps rounded.
pub fn persistent(graphs: &[&Graph], weights: &[WeightPlan], hardware: Hardware) -> (Vec<PersistentBuffer>, u64) {
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
    if hardware == Hardware::Card {
        for (name, dtype) in read_rounded(graphs) {
            if let (Some(ty), Some(dtype)) = (states.get_mut(name), dtype) {
                ty.dtype = dtype;
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

/// The 16-bit type in which every reader in every graph reads a state; none where they differ or the state is changed.
fn read_rounded<'a>(graphs: &[&'a Graph]) -> BTreeMap<&'a str, Option<DType>> {
    let mut found: BTreeMap<&str, Option<DType>> = BTreeMap::new();
    for graph in graphs {
        for id in graph.order() {
            if let Op::State { name, .. } = graph.op(id) {
                let dtype = rounded_by_all(graph, id);
                let known = found.entry(name).or_insert(dtype);
                *known = known.filter(|known| Some(*known) == dtype);
            }
        }
        for (target, _) in graph.outputs() {
            if let Target::State(name) = target {
                found.insert(name, None);
            }
        }
    }
    found
}

/// The type to which all readers of a value round it. Rows that are gathered may be rounded before as well as after.
fn rounded_by_all(graph: &Graph, id: Id) -> Option<DType> {
    let mut types = graph.users(id).into_iter().map(|user| match graph.op(user) {
        Op::Cast(dtype) => Some(*dtype),
        Op::Gather => rounded_by_all(graph, user),
        _ => None,
    });
    let is_result = graph.outputs().iter().any(|(_, result)| *result == id);
    let first = types.next().flatten().filter(|_| !is_result)?;
    types.all(|dtype| dtype == Some(first)).then_some(first)
}
