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
/// Multiply-adds of a tile at most, so that many threads find work.
const LARGEST: usize = 1 << 28;

/// A tile's rows and columns are multiples of these, so that few register tiles are cut.
const ROWS: usize = 48;
const COLUMNS: usize = 96;

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
        let enough = if independent { TILES_PER_THREAD * pool.threads() } else { TILES };
        let tiles = TileLayout {
            batch: layout(|axis| axis.out),
            rows: (self.rows.size, self.rows.out),
            columns: (self.columns.size, self.columns.out),
            tile: tile(self.rows.size, self.columns.size, self.depth.size, matrices, enough),
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

/// Size of a tile: halves of the larger side until there are `enough` of them, or they can be no smaller.
fn tile(rows: usize, columns: usize, depth: usize, matrices: usize, enough: usize) -> (usize, usize) {
    let (mut down, mut across) = (1, 1);
    let size = |parts: usize, whole: usize, unit: usize| whole.div_ceil(parts).div_ceil(unit) * unit;
    loop {
        let (height, width) = (size(down, rows, ROWS), size(across, columns, COLUMNS));
        let work = height * width * depth;
        let plenty = down * across * matrices >= enough && work <= LARGEST;
        if plenty || work / 2 < SMALLEST {
            return (height, width);
        }
        match (height > ROWS, width > 2 * COLUMNS) {
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
    fn tiles_of_any_product_are_whole_multiples() {
        for rows in [1, 47, 48, 256, 2048] {
            for columns in [1, 96, 192, 768, 50304] {
                for depth in [1, 64, 50304, 1 << 24] {
                    let (height, width) = tile(rows, columns, depth, 1, TILES);
                    assert!(height % ROWS == 0 && width % COLUMNS == 0, "{rows} x {columns} x {depth}");
                    assert!(height > 0 && width > 0, "{rows} x {columns} x {depth}");
                }
            }
        }
    }
}
