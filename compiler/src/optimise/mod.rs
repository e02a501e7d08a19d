//! Rewrites of the graph that keep its meaning.

use crate::graph::Graph;

/// The passes in the order they run.
pub const PASSES: &[(&str, fn(&mut Graph))] = &[("dead code", Graph::remove_dead)];

/// Runs every pass.
pub fn optimise(graph: &mut Graph) {
    for (name, pass) in PASSES {
        pass(graph);
        if cfg!(debug_assertions) {
            if let Err(reason) = graph.verify() {
                panic!("after {name}: {reason}");
            }
        }
    }
}
