//! Operators that one kernel computes together: same operands, different results.

use std::collections::BTreeMap;

use super::flow::{Flow, ValueId};
use crate::op::{AdamOutput, AttentionInput, NormInput, Op};

/// For each value that belongs to a family, the family's members in order.
pub(super) type Families = BTreeMap<ValueId, Vec<ValueId>>;

/// Groups values whose operators differ only in which result they give.
pub(super) fn families(flow: &Flow) -> Families {
    let mut by_operands: BTreeMap<&[ValueId], Vec<(Op, Vec<ValueId>)>> = BTreeMap::new();
    for id in 0..flow.values.len() {
        let Some(family) = family(flow.op(id)) else {
            continue;
        };
        let families = by_operands.entry(flow.inputs(id)).or_default();
        match families.iter_mut().find(|(known, _)| *known == family) {
            Some((_, members)) => members.push(id),
            None => families.push((family, vec![id])),
        }
    }
    let mut families = Families::new();
    for (_, members) in by_operands.into_values().flatten() {
        for &member in &members {
            families.insert(member, members.clone());
        }
    }
    families
}

/// The operator with its choice of result set to the first, which is what members of a family have in common.
fn family(op: &Op) -> Option<Op> {
    Some(match *op {
        Op::Attention(settings) | Op::AttentionStats(settings) => Op::Attention(settings),
        Op::AttentionGrad { settings, .. } => Op::AttentionGrad { settings, wrt: AttentionInput::Query },
        Op::LayerNormGrad { eps, .. } => Op::LayerNormGrad { eps, wrt: NormInput::Value },
        Op::RmsNormGrad { eps, .. } => Op::RmsNormGrad { eps, wrt: NormInput::Value },
        Op::AdamW { constants, .. } => Op::AdamW { constants, output: AdamOutput::Weight },
        _ => return None,
    })
}
