//! From graph to program: which kernels run in which order, and where in memory every value lies.
//!
//! ```text
//! graph -> flow     dense arrays
//!       -> chunk    losses over a vocabulary, some rows at a time
//!       -> fuse     which values get memory, which exist only inside a loop
//!       -> place    where results should be written: states in place, parts of concatenations
//!       -> emit     kernels over strided views
//!       -> order    little memory alive, states overwritten after their last reader
//!       -> merge    neighbouring loops over the same operands
//!       -> rowwise  loops into the normalisations after or before them
//!       -> beside   on a card, sums of an operand beside their product
//!       -> reuse    results over operands that die
//!       -> layout   offsets, exact peak
//! ```

mod arena;
mod beside;
mod body;
mod chunk;
pub mod cost;
mod draft;
mod emit;
mod expression;
mod flow;
mod fuse;
mod join;
mod kernels;
mod layout;
mod merge;
mod order;
mod parts;
mod persistent;
mod place;
mod print;
mod reuse;
mod rowwise;
mod sums;
mod updates;
pub mod verify;
mod view;

use crate::graph::Graph;
use crate::lower::StageGraphs;
use crate::plan::StagePlan;
use crate::program::{PersistentBuffer, Program, StagePrograms};

pub use beside::{Operand, summed_operand};
pub use flow::Hardware;
pub use persistent::persistent;

/// The programs of a stage; all share the persistent region.
pub fn schedule(graphs: &StageGraphs, stage: &StagePlan, hardware: Hardware) -> StagePrograms {
    let all: Vec<&Graph> = graphs.accumulate.iter().chain([&graphs.update, &graphs.evaluate]).collect();
    let (persistent, persistent_bytes) = persistent(&all, &stage.model.weights, hardware);
    StagePrograms {
        accumulate: graphs.accumulate.as_ref().map(|graph| schedule_single(graph, "accumulate", &persistent, hardware)),
        update: schedule_single(&graphs.update, "update", &persistent, hardware),
        evaluate: schedule_single(&graphs.evaluate, "evaluate", &persistent, hardware),
        persistent,
        persistent_bytes,
    }
}

/// The program of one graph over states that lie where `persistent` says.
///
/// # Panics
/// If the graph uses a state that `persistent` does not list.
pub fn schedule_single(graph: &Graph, name: &str, persistent: &[PersistentBuffer], hardware: Hardware) -> Program {
    let mut draft = emit::emit(graph, persistent, hardware);
    order::order(&mut draft);
    merge::merge(&mut draft);
    rowwise::fuse(&mut draft);
    if hardware == Hardware::Card {
        beside::beside(&mut draft);
    }
    reuse::reuse(&mut draft);
    let program = layout::layout(draft, name, persistent);
    if cfg!(debug_assertions)
        && let Err(reason) = verify::verify(&program)
    {
        panic!("{reason}\n{}", program.print());
    }
    program
}

#[cfg(test)]
pub(crate) mod tests;
