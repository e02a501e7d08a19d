//! Matrix products: batches of strided matrices, cut into tiles for the threads. Where the cut could change bits, it depends on the
//! sizes alone.

use super::grid::TileLayout;
use super::layout::Layout;
use super::matrix::is_independent_of_tiling;
use super::operand::Operands;
use super::pool::Pool;
use super::window::{Bound, Window};

/// Tiles a product is cut into, if it is large enough and its bits could depend on the cut.
const TILES: usize = 16;
/// Tiles for each thread otherwise: few, since every tile packs its operands, and more than one, so that threads end together.
const TILES_PER_THREAD: usize = 2;
/// Multiply-adds of a tile at least: below, packing the operands costs too much.
const SMALLEST: usize = 1 << 20;
/// Multiply-adds of a tile at most if the cut is not to follow the number of threads, so that many find work.
const LARGEST: usize = 1 << 28;
/// Rows and columns of the smallest tile.
const SMALLEST_SIDES: (usize, usize) = (48, 192);

/// Size and strides of one axis of the three operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Axis {
    size: usize,
    a: usize,
    b: usize,
    out: usize,
}

/// A batched matrix product made ready to run.
#[derive(Debug)]
pub struct MatMul {
    accumulate: bool,
    rows: Axis,
    columns: Axis,
    depth: Axis,
    batch: Vec<Axis>,
}

impl MatMul {
    /// Checks the sizes and finds the tiling.
    pub fn new(accumulate: bool, bound: &Bound) -> Result<Self, String> {
        let ([a, b], [out]) = (bound.reads.as_slice(), bound.writes.as_slice()) else {
            return Err("a matrix product has two reads and one write".to_owned());
        };
        let rank = out.shape.len();
        if rank < 2 || a.shape.len() != rank || b.shape.len() != rank {
            return Err("a matrix product's operands must have one rank".to_owned());
        }
        let stride = |window: &Window, axis: usize| window.strides[axis];
        let (m, n) = (rank - 2, rank - 1);
        let mut rows = Axis { size: out.shape[m], a: stride(a, m), b: 0, out: stride(out, m) };
        let mut columns = Axis { size: out.shape[n], a: 0, b: stride(b, n), out: stride(out, n) };
        let depth = Axis { size: a.shape[n], a: stride(a, n), b: stride(b, m), out: 0 };
        let fits = a.shape[m] == rows.size && b.shape[m] == depth.size && b.shape[n] == columns.size;
        if !fits || a.shape[..m] != out.shape[..m] || b.shape[..m] != out.shape[..m] {
            return Err("a matrix product's sizes disagree".to_owned());
        }
        let mut batch = Vec::new();
        for axis in (0..m).rev() {
            let axis = Axis { size: out.shape[axis], a: stride(a, axis), b: stride(b, axis), out: stride(out, axis) };
            // A batch axis that one operand does not have is more rows or columns of the other.
            let more_rows = axis.b == 0 && axis.a == rows.size * rows.a && axis.out == rows.size * rows.out;
            let more_columns =
                axis.a == 0 && axis.b == columns.size * columns.b && axis.out == columns.size * columns.out;
            if axis.size == 1 {
                continue;
            } else if batch.is_empty() && more_rows {
                rows.size *= axis.size;
            } else if batch.is_empty() && more_columns {
                columns.size *= axis.size;
            } else {
                batch.insert(0, axis);
            }
        }
        Ok(MatMul { accumulate, rows, columns, depth, batch })
    }

    /// Runs all tiles.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool) {
        let layout = |stride: fn(&Axis) -> usize| Layout::new(self.batch.iter().map(|axis| (axis.size, stride(axis))));
        let (a_batch, b_batch) = (layout(|axis| axis.a), layout(|axis| axis.b));
        let matrices = self.batch.iter().map(|axis| axis.size).product();
        let independent = is_independent_of_tiling(self.rows.out, self.columns.out);
        let cut = if independent { (TILES_PER_THREAD * pool.threads(), usize::MAX) } else { (TILES, LARGEST) };
        let tiles = TileLayout {
            batch: layout(|axis| axis.out),
            rows: (self.rows.size, self.rows.out),
            columns: (self.columns.size, self.columns.out),
            tile: tile(self.rows.size, self.columns.size, self.depth.size, matrices, cut),
        };
        let count = tiles.count();
        let places = tiles.clone();
        let out = operands.tiles(0, tiles);
        let operands = &*operands;
        let reads = (operands.matrices(0), operands.matrices(1));
        pool.run(count, out, |task, mut out, _| {
            let place = places.place(task);
            let depth = self.depth.size;
            let a = reads.0.at(a_batch.offset(place.matrix), (self.rows.size, self.rows.a), (depth, self.depth.a));
            let b =
                reads.1.at(b_batch.offset(place.matrix), (depth, self.depth.b), (self.columns.size, self.columns.b));
            let (a, b) = (a.rows_from(place.rows.0, place.rows.1), b.columns_from(place.columns.0, place.columns.1));
            out.multiply(self.accumulate, 1.0, a, b);
        });
    }
}

/// Size of a tile: halves of the larger side until there are `enough` of them, none with more than `largest` multiply-adds.
fn tile(
    rows: usize,
    columns: usize,
    depth: usize,
    matrices: usize,
    (enough, largest): (usize, usize),
) -> (usize, usize) {
    let (mut down, mut across) = (1, 1);
    let size = |parts: usize, whole: usize, unit: usize| whole.div_ceil(parts).div_ceil(unit) * unit;
    loop {
        let (height, width) = (size(down, rows, 48), size(across, columns, 96));
        let work = height * width * depth;
        let plenty = down * across * matrices >= enough && work <= largest;
        if plenty || work / 2 < SMALLEST {
            return (height, width);
        }
        match (height > SMALLEST_SIDES.0, width > SMALLEST_SIDES.1) {
            (true, true) if height >= width => down *= 2,
            (_, true) => across *= 2,
            (true, false) => down *= 2,
            (false, false) => return (height, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_product_has_a_cut() {
        // Deep products, whose smallest tile has more multiply-adds than asked for, among them.
        for (rows, columns, depth) in [(1, 1, 1), (7, 50_257, 768), (256, 768, 50_304), (1, 1 << 20, 1 << 20)] {
            for cut in [(TILES, LARGEST), (2, usize::MAX), (64, usize::MAX)] {
                let (height, width) = tile(rows, columns, depth, 1, cut);
                assert!(height >= 1 && width >= 1, "[{rows}, {depth}] x [{depth}, {columns}]");
                assert!(height >= rows.min(SMALLEST_SIDES.0) && width >= columns.min(SMALLEST_SIDES.1) / 2);
            }
        }
    }
}
