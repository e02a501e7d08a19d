//! Selection and routed matrix products as products with one-hot vectors.

use super::Parts;
use crate::graph::Id;
use crate::op::{Op, Reduction};

impl Parts<'_> {
    /// `[R, K, N]` with a 1 where the id `[.., K]` is the place along the last axis.
    fn one_hot_rows(&mut self, ids: Id, size: u64) -> Id {
        let shape = self.build.shape(ids);
        let picked = shape[shape.len() - 1];
        let rows = self.build.graph.ty(ids).elements() / picked;
        let one_hot = self.one_hot(ids, size);
        self.build.reshape(one_hot, &[rows, picked, size])
    }

    pub(super) fn pick(&mut self) -> Id {
        let (x, ids) = (self.inputs[0], self.inputs[1]);
        let (shape, size) = (self.build.shape(ids), *self.build.shape(x).last().unwrap_or(&1));
        let one_hot = self.one_hot_rows(ids, size);
        let build = &mut self.build;
        let rows = build.shape(one_hot)[0];
        let x = build.reshape(x, &[rows, 1, size]);
        let chosen = build.multiply(one_hot, x);
        let chosen = build.sum_last(chosen);
        build.reshape(chosen, &shape)
    }

    pub(super) fn place(&mut self, size: u64) -> Id {
        let (ids, updates) = (self.inputs[0], self.inputs[1]);
        let mut shape = self.build.shape(ids);
        let one_hot = self.one_hot_rows(ids, size);
        let build = &mut self.build;
        let full = build.shape(one_hot);
        let updates = build.reshape(updates, &[full[0], full[1], 1]);
        let placed = build.multiply(one_hot, updates);
        let sum = build.reduce(Reduction::Sum, vec![1], placed);
        if let Some(last) = shape.last_mut() {
            *last = size;
        }
        build.reshape(sum, &shape)
    }

    /// `[R, D] -> [M, D]`: each row as often as it has ids.
    fn rows_repeated(&mut self, x: Id, count: u64) -> Id {
        let build = &mut self.build;
        let (rows, width) = (build.shape(x)[0], build.shape(x)[1]);
        let x = build.reshape(x, &[rows, 1, width]);
        let x = build.expand(x, &[rows, count / rows, width]);
        build.reshape(x, &[count, width])
    }

    /// Every row times every matrix, of which the one that the id names is kept.
    pub(super) fn routed_matmul(&mut self, transpose: bool) -> Id {
        let (x, ids, matrices) = (self.inputs[0], self.inputs[1], self.inputs[2]);
        let count = self.build.shape(ids)[0];
        let size = self.build.shape(matrices);
        let (experts, columns) = (size[0], if transpose { size[1] } else { size[2] });
        let one_hot = self.one_hot(ids, experts);
        let x = self.rows_repeated(x, count);
        let build = &mut self.build;
        let width = build.shape(x)[1];
        let x = build.reshape(x, &[1, count, width]);
        let x = build.expand(x, &[experts, count, width]);
        let products = build.matmul(x, false, matrices, transpose);
        let chosen = build.add_op(Op::Permute(vec![1, 0]), &[one_hot]);
        let chosen = build.reshape(chosen, &[experts, count, 1]);
        let kept = build.multiply(products, chosen);
        let sum = build.reduce(Reduction::Sum, vec![0], kept);
        build.reshape(sum, &[count, columns])
    }

    /// `sum over m` of `onehot[m, e] a[m, d] b[m, n]`
    pub(super) fn routed_outer(&mut self, experts: u64) -> Id {
        let (a, ids, b) = (self.inputs[0], self.inputs[1], self.inputs[2]);
        let count = self.build.shape(ids)[0];
        let one_hot = self.one_hot(ids, experts);
        let (a, b) = (self.rows_repeated(a, count), self.rows_repeated(b, count));
        let build = &mut self.build;
        let (depth, columns) = (build.shape(a)[1], build.shape(b)[1]);
        let one_hot = build.reshape(one_hot, &[count, experts, 1]);
        let a = build.reshape(a, &[count, 1, depth]);
        let kept = build.multiply(one_hot, a);
        let kept = build.reshape(kept, &[count, experts * depth]);
        let product = build.matmul(kept, true, b, false);
        build.reshape(product, &[experts, depth, columns])
    }
}
