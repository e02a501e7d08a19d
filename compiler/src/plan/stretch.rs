//! The same stage with rows of another length, to ask what they would cost.

use super::{ModelOp, StagePlan};
use crate::dim::Dim;

impl StagePlan {
    /// The stage with rows of `tokens` tokens, `micro_batch` at a time and `accumulation` times a step. Tables that are looked up
    /// by position have that many rows if they had fewer.
    pub fn with_rows(&self, tokens: u64, micro_batch: u64, accumulation: u64) -> StagePlan {
        let mut stage = StagePlan { sequence_length: tokens, micro_batch, accumulation, ..self.clone() };
        stage.target_length = self.target_length.map(|_| self.objective.kind.decoder_lengths(tokens).1);
        let rows = stage.target_tokens();
        let nodes = &self.model.nodes;
        for node in nodes.iter().filter(|node| node.op == ModelOp::Lookup) {
            let [table, ids] = node.inputs[..] else { continue };
            let by_position = matches!(&nodes[ids].op, ModelOp::Input(name) if name == "positions");
            let ModelOp::Weight(weight) = nodes[table].op else { continue };
            if let Some(size) =
                stage.model.weights[weight].shape.first_mut().filter(|size| by_position && **size < rows)
            {
                *size = rows;
                // A weight may stand in several nodes.
                let same = stage.model.nodes.iter_mut().filter(|node| node.op == ModelOp::Weight(weight));
                same.for_each(|node| node.shape[0] = Dim::constant(rows));
            }
        }
        stage
    }
}

#[cfg(test)]
mod tests {
    use crate::lower::lower;
    use crate::testing::plans::tiny_stages;

    #[test]
    fn longer_rows_are_lowered() {
        for (name, stage) in tiny_stages(1) {
            let longer = stage.with_rows(100, 1, 2);
            assert_eq!((longer.sequence_length, longer.global_batch()), (100, 2), "{name}");
            assert!(lower(&longer).is_ok(), "{name}");
            assert_eq!(stage.with_rows(stage.sequence_length, stage.micro_batch, stage.accumulation), stage);
        }
    }
}
