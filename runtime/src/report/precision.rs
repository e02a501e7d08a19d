//! Which operators read and keep which types.

use std::collections::BTreeMap;

use llmc_compiler::lower::StageGraphs;
use llmc_compiler::optimise::{OperatorPrecision, precisions};
use llmc_compiler::plan::DType;

/// The operators of a step by the types that they read and keep, a line each, with how often; none where all is f32.
pub fn precision_table(graphs: &StageGraphs) -> Option<String> {
    let mut counts: BTreeMap<OperatorPrecision, usize> = BTreeMap::new();
    for graph in graphs.accumulate.iter().chain([&graphs.update]) {
        for (kind, count) in precisions(graph) {
            *counts.entry(kind).or_default() += count;
        }
    }
    let is_short = |kind: &OperatorPrecision| kind.keeps.is_half() || kind.reads.iter().any(|dtype| dtype.is_half());
    if !counts.keys().any(is_short) {
        return None;
    }
    let mut text = format!("  {:18} {:10} {:10} {:>6}\n", "operator", "reads", "keeps", "times");
    for (OperatorPrecision { operator, reads, keeps }, count) in counts {
        let reads: Vec<&str> = reads.into_iter().map(DType::name).collect();
        text += &format!("  {operator:18} {:10} {:10} {count:>6}\n", reads.join(", "), keeps.name());
    }
    Some(text)
}
