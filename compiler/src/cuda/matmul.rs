//! Matrix products.

use super::settings::Settings;
use super::writer::{At, Parameters};
use crate::plan::DType;
use crate::program::View;

/// Rows and columns of a block.
const SIDE: u64 = 64;
/// Threads of a block.
const THREADS: u64 = 256;

/// Size and strides of one axis of the three operands; 0 where an operand does not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Elements.
    pub size: u64,
    /// Stride in the left operand.
    pub a: u64,
    /// Stride in the right operand.
    pub b: u64,
    /// Stride in the result.
    pub out: u64,
}

/// A batch of matrix products `out [M, N] (+)= a [M, K] x b [K, N]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// Add to the result instead of replacing it.
    pub accumulate: bool,
    /// `M`
    pub rows: Axis,
    /// `N`
    pub columns: Axis,
    /// `K`
    pub depth: Axis,
    /// What stands before the matrices, outermost first.
    pub batch: Vec<Axis>,
    /// Element types of `a`, `b` and `out`.
    pub types: [DType; 3],
}

impl Product {
    /// The product of three views of one rank. A batch axis that one operand lacks becomes rows or columns of the other.
    ///
    /// # Errors
    /// If their sizes disagree.
    pub fn of(accumulate: bool, [a, b, out]: [&View; 3], types: [DType; 3]) -> Result<Product, String> {
        let rank = out.shape.len();
        if rank < 2 || a.shape.len() != rank || b.shape.len() != rank {
            return Err("a matrix product's operands must have one rank".to_owned());
        }
        let (m, n) = (rank - 2, rank - 1);
        let mut rows = Axis { size: out.shape[m], a: a.strides[m], b: 0, out: out.strides[m] };
        let mut columns = Axis { size: out.shape[n], a: 0, b: b.strides[n], out: out.strides[n] };
        let depth = Axis { size: a.shape[n], a: a.strides[n], b: b.strides[m], out: 0 };
        let mut batch: Vec<Axis> = Vec::new();
        for index in (0..m).rev() {
            let size = out.shape[index];
            let stride = |view: &View| if view.shape[index] == 1 { 0 } else { view.strides[index] };
            let axis = Axis { size, a: stride(a), b: stride(b), out: stride(out) };
            let more_rows = axis.b == 0 && axis.a == rows.size * rows.a && axis.out == rows.size * rows.out;
            let more_columns =
                axis.a == 0 && axis.b == columns.size * columns.b && axis.out == columns.size * columns.out;
            match batch.first_mut() {
                _ if size == 1 => {}
                None if more_rows => rows.size *= size,
                None if more_columns => columns.size *= size,
                Some(inner) if inner.continues(&axis) => inner.size *= size,
                _ => batch.insert(0, axis),
            }
        }
        Ok(Product { accumulate, rows, columns, depth, batch, types })
    }

    /// Number of matrices.
    pub fn matrices(&self) -> u64 {
        self.batch.iter().map(|axis| axis.size).product()
    }
}

impl Axis {
    /// Whether an outer axis only goes on where this one ends, in all operands.
    fn continues(&self, outer: &Axis) -> bool {
        [(self.a, outer.a), (self.b, outer.b), (self.out, outer.out)]
            .iter()
            .all(|(inner, outer)| inner * self.size == *outer)
    }
}

/// `write [.., M, N] (+)= a [.., M, K] x b [.., K, N]`
pub(super) fn print(at: &mut At<'_>, accumulate: bool) -> Result<(), String> {
    let (a, b, out) = (at.read(0)?, at.read(1)?, at.write(0)?);
    let product = Product::of(accumulate, [&a, &b, &out], [&a, &b, &out].map(|view| at.dtype(view)))?;
    let Product { rows, columns, depth, ref batch, .. } = product;
    let offsets = |stride: fn(&Axis) -> u64| batch.iter().map(|axis| (axis.size, stride(axis))).collect::<Vec<_>>();
    let mut settings = Settings::default();
    settings.flag("accumulate", accumulate);
    settings.whole("rows", rows.size).whole("columns", columns.size).whole("depth", depth.size);
    settings.whole("a_row", rows.a).whole("a_depth", depth.a).flag("a_along_depth", depth.a == 1);
    settings
        .whole("b_depth", depth.b)
        .whole("b_column", columns.b)
        .flag("b_along_depth", depth.b == 1 && columns.b != 1);
    settings.whole("out_row", rows.out).whole("out_column", columns.out);
    settings.offsets("a", &offsets(|axis| axis.a));
    settings.offsets("b", &offsets(|axis| axis.b));
    settings.offsets("out", &offsets(|axis| axis.out));
    let mut parameters = Parameters::default();
    at.operand(&mut parameters, "a", &a);
    at.operand(&mut parameters, "b", &b);
    at.result(&mut parameters, "out", &out);
    let tiles = rows.size.div_ceil(SIDE) * columns.size.div_ceil(SIDE);
    at.template("matmul", "matmul", &settings, THREADS, [tiles, product.matrices()], parameters)?;
    at.is_product(product);
    Ok(())
}
