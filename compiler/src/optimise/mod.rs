//! Rewrites of the graph that keep its meaning, up to rounding.

mod accumulate;
mod common;
mod movement;
mod narrow;
mod precision;
mod recompute;
mod reshape;
mod scalar;
mod transpose;

use crate::graph::{Graph, Id};

pub use precision::{OperatorPrecision, RandomRounding, precisions, shorten};

/// A rewrite of a whole graph.
pub type Pass = fn(&mut Graph);

/// The passes by name, in the order they run. Each leaves a graph that means the same.
pub const PASSES: &[(&str, Pass)] = &[
    ("scalar", scalar::simplify),
    ("movement", movement::simplify),
    ("transpose", transpose::absorb),
    ("narrow", narrow::narrow),
    ("reshape", reshape::sink),
    ("movement again", movement::simplify),
    ("common", common::merge),
    ("accumulate", accumulate::separate),
    // After `common`, which would merge the copies again.
    ("recompute", recompute::recompute),
    ("dead", Graph::remove_dead),
];

/// Runs every pass.
pub fn optimise(graph: &mut Graph) {
    optimise_until(graph, None);
}

/// Runs the passes up to and including the one of this name, or all.
pub fn optimise_until(graph: &mut Graph, last: Option<&str>) {
    graph.remove_dead();
    for (name, pass) in PASSES {
        pass(graph);
        if cfg!(debug_assertions)
            && let Err(reason) = graph.verify()
        {
            panic!("after the pass {name}: {reason}");
        }
        if last == Some(name) {
            break;
        }
    }
}

/// Applies a rule to every node, operands first, and to what it gives until it gives nothing.
fn rewrite(graph: &mut Graph, rule: fn(&mut Graph, Id) -> Option<Id>) {
    for id in graph.order() {
        let mut current = id;
        while let Some(next) = rule(graph, current) {
            graph.replace(current, next);
            current = next;
        }
    }
    graph.remove_dead();
}

#[cfg(test)]
mod tests;
