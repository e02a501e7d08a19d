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

#[cfg(test)]
mod tests {
    use super::super::{Pass, forward};
    use crate::graph::{Graph, Target, Tensor};
    use crate::plan::{Einsum, ModelOp};
    use crate::random::Stream;
    use crate::testing::plans::{Writer, stage};

    /// Sizes of the dimensions `a` to `f`.
    const SIZES: [u64; 6] = [2, 3, 4, 1, 5, 2];

    fn dims(letters: &str) -> Vec<usize> {
        letters.bytes().map(|letter| usize::from(letter - b'a')).collect()
    }

    fn sizes(dims: &[usize]) -> Vec<u64> {
        dims.iter().map(|&dim| SIZES[dim]).collect()
    }

    /// Every combination of places along all dimensions.
    fn places() -> Vec<[u64; 6]> {
        let count: u64 = SIZES.iter().product();
        let place = |mut rest: u64| {
            SIZES.map(|size| {
                let place = rest % size;
                rest /= size;
                place
            })
        };
        (0..count).map(place).collect()
    }

    fn index(dims: &[usize], place: &[u64; 6]) -> usize {
        dims.iter().fold(0, |index, &dim| index * SIZES[dim] as usize + place[dim] as usize)
    }

    #[test]
    fn sums_of_products_over_named_dimensions() {
        for (left, right, result) in [
            ("ab", "bc", "ac"),
            ("abc", "ecb", "ea"),
            ("abc", "ace", "eab"),
            ("abc", "abc", "ca"),
            ("abe", "ab", "ab"),
            ("ab", "eab", "be"),
            ("ab", "ce", "ebca"),
            ("abc", "e", "ea"),
            ("bd", "dc", "cb"),
            ("fab", "fbc", "cfa"),
            ("abcef", "fbe", "fca"),
            ("a", "a", ""),
        ] {
            let einsum = Einsum { left: dims(left), right: dims(right), result: dims(result) };
            let mut writer = Writer::new("sums");
            let a = writer.weight("a", &sizes(&einsum.left));
            let b = writer.weight("b", &sizes(&einsum.right));
            let shape = sizes(&einsum.result).into_iter().map(crate::dim::Dim::constant).collect();
            let y = writer.add(ModelOp::Einsum(einsum.clone()), &[a, b], shape);
            let stage = stage(writer.finish(y, 1), 1, 1, 1);
            let mut graph = Graph::new();
            let value = forward(&mut graph, &stage, &Pass::plain(1, 1)).unwrap().logits;
            graph.output(Target::Result("y".to_owned()), value);
            graph.verify().unwrap();
            let values = |dims: &[usize], stream: u64| -> Vec<f32> {
                (0..sizes(dims).iter().product()).map(|index| Stream::new(3, stream).normal(index)).collect()
            };
            let (a, b) = (values(&einsum.left, 0), values(&einsum.right, 1));
            let mut states = [("weight/a", &einsum.left, &a), ("weight/b", &einsum.right, &b)]
                .map(|(name, dims, values)| (name.to_owned(), Tensor::f32(&sizes(dims), values.clone())))
                .into();
            let found = graph.execute(&Default::default(), &mut states).unwrap()["y"].to_f32();
            let mut expected = vec![0.0f64; found.len()];
            // Dimensions that nobody names would be counted as often as they are long.
            let named = |dim: usize| einsum.left.contains(&dim) || einsum.right.contains(&dim);
            for place in places().into_iter().filter(|place| (0..6).all(|dim| named(dim) || place[dim] == 0)) {
                let product = f64::from(a[index(&einsum.left, &place)]) * f64::from(b[index(&einsum.right, &place)]);
                expected[index(&einsum.result, &place)] += product;
            }
            for (found, expected) in found.iter().zip(&expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-5, "{left},{right}->{result}: {found}, {expected}");
            }
        }
    }
}
