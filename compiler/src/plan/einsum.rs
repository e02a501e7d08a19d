//! Sums of products over named dimensions.

use serde::Serialize;

/// What `einsum` computes: for each dimension of the operands and of the result a number, the same for the same name. Products
/// are summed over what the result lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Einsum {
    /// Of the first operand.
    pub left: Vec<usize>,
    /// Of the second operand.
    pub right: Vec<usize>,
    /// Of the result.
    pub result: Vec<usize>,
}

impl Einsum {
    /// The dimensions of the result that both operands have, those of the first alone, those of the second alone, each in the
    /// order of the result; and those that both have and the result lacks.
    pub fn parts(&self) -> [Vec<usize>; 4] {
        let kept = |in_left: bool, in_right: bool| {
            let has = |of: &[usize], dim: &usize| of.contains(dim);
            let dims = self.result.iter().copied();
            dims.filter(|dim| (has(&self.left, dim), has(&self.right, dim)) == (in_left, in_right)).collect()
        };
        let inner = self.left.iter().copied();
        let inner = inner.filter(|dim| self.right.contains(dim) && !self.result.contains(dim)).collect();
        [kept(true, true), kept(true, false), kept(false, true), inner]
    }
}
