//! Selection, routed products and sums of products in operators of the graph.

use super::Lowering;
use crate::graph::{Builder, Id};
use crate::op::{Op, Reduction, Shape};
use crate::plan::{Einsum, Origin};

impl Lowering<'_> {
    /// The places of the largest elements, or the elements there.
    pub(super) fn top_k(&mut self, count: u64, places: bool, x: Id, origin: &Origin) -> Id {
        let ids = self.graph.add(Op::TopK { count }, &[x], origin);
        if places { ids } else { self.graph.add(Op::Pick, &[x, ids], origin) }
    }

    /// All leading axes of rows and ids joined to one.
    pub(super) fn routed_matmul(&mut self, inputs: &[Id], transpose: bool, origin: &Origin) -> Id {
        let mut build = self.build(origin);
        let (x, ids) = (inputs[0], inputs[1]);
        let (width, mut shape) = (*build.shape(x).last().unwrap_or(&1), build.shape(ids));
        let (rows, count) = (build.graph.ty(x).elements() / width, build.graph.ty(ids).elements());
        let (x, ids) = (build.reshape(x, &[rows, width]), build.reshape(ids, &[count]));
        let product = build.add_op(Op::RoutedMatMul { transpose }, &[x, ids, inputs[2]]);
        shape.push(build.shape(product)[1]);
        build.reshape(product, &shape)
    }

    /// A matrix product of joined dimensions where there is one, else products element by element and their sums.
    pub(super) fn einsum(&mut self, einsum: &Einsum, inputs: [Id; 2], origin: &Origin) -> Id {
        let mut build = self.build(origin);
        let [batch, rows, columns, inner] = einsum.parts();
        let needed = |dim: &usize, other: &[usize]| other.contains(dim) || einsum.result.contains(dim);
        let a = Named::new(&mut build, inputs[0], &einsum.left, |dim| needed(dim, &einsum.right));
        let b = Named::new(&mut build, inputs[1], &einsum.right, |dim| needed(dim, &einsum.left));
        let size = |dim: &usize| a.size(dim).or(b.size(dim)).unwrap_or(1);
        let joined = |dims: &[usize]| dims.iter().map(size).product::<u64>();
        let sizes = |dims: &[usize]| dims.iter().map(size).collect::<Shape>();
        let [batches, height, width, depth] = [&batch, &rows, &columns, &inner].map(|dims| joined(dims));
        // Of many tiny products the elements are multiplied and added up in one loop.
        if depth == 1 || (batches > 1 && (height == 1 || width == 1)) {
            // In the order of the larger operand, whose elements are then read side by side.
            let (larger, smaller) = if height >= width { (&a, &b) } else { (&b, &a) };
            let others = smaller.dims.iter().filter(|dim| !larger.dims.contains(dim));
            let order: Vec<usize> = larger.dims.iter().chain(others).copied().collect();
            let [x, y] = [larger.spread(&mut build, &order), smaller.spread(&mut build, &order)];
            let product = build.multiply(x, y);
            return Named { value: product, shape: sizes(&order), dims: order }
                .summed(&mut build, |dim| einsum.result.contains(dim))
                .ordered(&mut build, &einsum.result);
        }
        let leading: &[u64] = if batches > 1 { &[batches] } else { &[] };
        let shaped = |last: [u64; 2]| [leading, &last].concat();
        let a = a.ordered(&mut build, &[&batch[..], &rows, &inner].concat());
        let a = build.reshape(a, &shaped([height, depth]));
        let b = b.ordered(&mut build, &[&batch[..], &inner, &columns].concat());
        let b = build.reshape(b, &shaped([depth, width]));
        let product = build.matmul(a, false, b, false);
        let order = [batch, rows, columns].concat();
        let value = build.reshape(product, &sizes(&order));
        Named { value, shape: sizes(&order), dims: order }.ordered(&mut build, &einsum.result)
    }
}

/// A value whose dimensions have names.
struct Named {
    value: Id,
    shape: Shape,
    dims: Vec<usize>,
}

impl Named {
    /// An operand, summed over what nothing else needs.
    fn new(build: &mut Builder<'_>, value: Id, dims: &[usize], needed: impl Fn(&usize) -> bool) -> Named {
        Named { value, shape: build.shape(value), dims: dims.to_vec() }.summed(build, needed)
    }

    /// Summed over what is not needed.
    fn summed(self, build: &mut Builder<'_>, needed: impl Fn(&usize) -> bool) -> Named {
        let (kept, summed): (Vec<usize>, Vec<usize>) = (0..self.dims.len()).partition(|&axis| needed(&self.dims[axis]));
        if summed.is_empty() {
            return self;
        }
        let shape: Shape = kept.iter().map(|&axis| self.shape[axis]).collect();
        let sum = build.reduce(Reduction::Sum, summed, self.value);
        let value = build.reshape(sum, &shape);
        Named { value, shape, dims: kept.iter().map(|&axis| self.dims[axis]).collect() }
    }

    fn size(&self, dim: &usize) -> Option<u64> {
        let axis = self.dims.iter().position(|known| known == dim)?;
        Some(self.shape[axis])
    }

    /// The dimensions in this order, which has all of them.
    fn ordered(&self, build: &mut Builder<'_>, order: &[usize]) -> Id {
        let axes: Vec<usize> = order.iter().filter_map(|dim| self.dims.iter().position(|known| known == dim)).collect();
        if axes.is_sorted() { self.value } else { build.add_op(Op::Permute(axes), &[self.value]) }
    }

    /// As [`Named::ordered`], with a 1 for each dimension of the order that it has not.
    fn spread(&self, build: &mut Builder<'_>, order: &[usize]) -> Id {
        let own: Vec<usize> = order.iter().copied().filter(|dim| self.dims.contains(dim)).collect();
        let value = self.ordered(build, &own);
        let shape: Vec<u64> = order.iter().map(|dim| self.size(dim).unwrap_or(1)).collect();
        build.reshape(value, &shape)
    }
}
