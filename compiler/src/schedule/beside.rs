//! For a card: the gradient of a bias is the sum of an operand of the product that gives the gradient of the weight. A library
//! adds it up while it multiplies, if the two steps stand side by side.

use super::draft::Draft;
use super::merge::{conflicts, memories};
use crate::op::Reduction;
use crate::program::{Instruction, Kernel, Step, View};

/// How many steps apart a sum and its product may stand: what lies between them is searched for what has to move too.
const WINDOW: usize = 16;

/// An operand of a matrix product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operand {
    /// `a [M, K]`
    Left,
    /// `b [K, N]`
    Right,
}

/// The operand of the product `[M, K] x [K, N]` whose sum over `K` the other step is.
pub fn summed_operand(sum: &Step, product: &Step) -> Option<Operand> {
    let (Kernel::Reduce { kind: Reduction::Sum, axes, body }, Kernel::MatMul { .. }) = (&sum.kernel, &product.kernel)
    else {
        return None;
    };
    let ([x], [out], [a, b]) = (&sum.reads[..], &sum.writes[..], &product.reads[..]) else { return None };
    let columns = *x.shape.last()?;
    let rows = x.elements() / columns.max(1);
    let is_plain = body.instructions == [Instruction::Load(0)]
        && axes.iter().copied().eq(0..x.shape.len() - 1)
        && x.is_contiguous()
        && out.is_contiguous();
    let is_it = |rows_first: &View| {
        rows_first.buffer == x.buffer
            && rows_first.offset == x.offset
            && rows_first.shape[..] == [rows, columns]
            && rows_first.is_contiguous()
    };
    match is_plain && a.shape.len() == 2 {
        true if is_it(b) => Some(Operand::Right),
        true if is_it(&a.permute(&[1, 0])) => Some(Operand::Left),
        _ => None,
    }
}

/// Moves sums down to the products that read the same operand; what needs the sums goes behind the product.
pub(super) fn beside(draft: &mut Draft) {
    let memory = memories(draft);
    let steps = &mut draft.steps;
    for sum in (0..steps.len()).rev() {
        let last = steps.len().min(sum + WINDOW);
        let Some(product) = (sum + 1..last).find(|&step| summed_operand(&steps[sum], &steps[step]).is_some()) else {
            continue;
        };
        let mut moved = vec![sum];
        for step in sum + 1..product {
            if moved.iter().any(|&earlier| conflicts(&memory, &steps[earlier], &steps[step])) {
                moved.push(step);
            }
        }
        if moved[1..].iter().any(|&step| conflicts(&memory, &steps[step], &steps[product])) {
            continue;
        }
        let stays = (sum..product).filter(|step| !moved.contains(step));
        let order: Vec<usize> = stays.chain([sum, product]).chain(moved[1..].iter().copied()).collect();
        let reordered: Vec<Step> = order.into_iter().map(|step| steps[step].clone()).collect();
        steps[sum..=product].clone_from_slice(&reordered);
    }
}
