//! Matrix products: batches of strided matrices, cut into tiles for the threads. Where the cut could change bits, it depends on the
//! sizes alone.

use super::grid::TileLayout;
use super::layout::Layout;
use super::matrix::{is_independent_of_tiling, packed};
use super::operand::Operands;
use super::pool::Pool;
use super::window::{Bound, Window};

/// Tiles a product is cut into, if it is large enough and its bits could depend on the cut.
const TILES: usize = 16;
/// What packing an element of an operand costs, in multiply-adds.
const PACKING: usize = 32;
/// What handing out a tile costs, in multiply-adds.
const HANDING_OUT: usize = 20_000;
/// Units of a tile whose bits do not depend on the cut: rows and columns of the register tiles.
const UNITS: (usize, usize) = (12, 32);
/// Multiply-adds of a tile at least: below, packing the operands costs too much.
const SMALLEST: usize = 1 << 20;
/// Multiply-adds of a tile at most, so that many threads find work.
const LARGEST: usize = 1 << 28;

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

    /// Size of a tile for so many threads.
    fn tile(&self, threads: usize) -> (usize, usize) {
        let matrices = self.batch.iter().map(|axis| axis.size).product();
        let sizes = (self.rows.size, self.columns.size, self.depth.size);
        match is_independent_of_tiling(self.rows.out, self.columns.out) {
            true => cheapest_tile(sizes, matrices, threads),
            false => fixed_tile(sizes, matrices),
        }
    }

    /// Floats that each of so many threads packs.
    pub fn packed(&self, threads: usize) -> usize {
        let (height, width) = self.tile(threads);
        packed(height.min(self.rows.size), width.min(self.columns.size), self.depth.size)
    }

    /// Runs all tiles.
    pub fn run(&self, operands: &mut Operands<'_>, pool: &Pool) {
        let layout = |stride: fn(&Axis) -> usize| Layout::new(self.batch.iter().map(|axis| (axis.size, stride(axis))));
        let (a_batch, b_batch) = (layout(|axis| axis.a), layout(|axis| axis.b));
        let tiles = TileLayout {
            batch: layout(|axis| axis.out),
            rows: (self.rows.size, self.rows.out),
            columns: (self.columns.size, self.columns.out),
            tile: self.tile(pool.threads()),
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

/// The tile that lets `threads` threads finish first. Every tile packs its operands anew; many tiles let threads end together.
fn cheapest_tile((rows, columns, depth): (usize, usize, usize), matrices: usize, threads: usize) -> (usize, usize) {
    let most = 4 * threads;
    let parts = |size: usize, unit: usize| {
        let most = most.min(size.div_ceil(unit));
        [1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128].into_iter().take_while(move |parts| *parts <= most)
    };
    let side = |size: usize, parts: usize, unit: usize| size.div_ceil(parts).next_multiple_of(unit);
    let cost = |&(height, width): &(usize, usize)| {
        let tiles = matrices * rows.div_ceil(height) * columns.div_ceil(width);
        let tile = height * width * depth + PACKING * (height + width) * depth + HANDING_OUT;
        // Threads do not start and run quite alike: one of them ends an eighth of a tile late.
        tiles.div_ceil(threads) * tile + tile / 8
    };
    let heights = parts(rows, UNITS.0).map(|parts| side(rows, parts, UNITS.0));
    let tiles =
        heights.flat_map(|height| parts(columns, UNITS.1).map(move |parts| (height, side(columns, parts, UNITS.1))));
    tiles.min_by_key(cost).unwrap_or((rows, columns))
}

/// The same tile for any number of threads: halves of the larger side until there are enough of them.
fn fixed_tile((rows, columns, depth): (usize, usize, usize), matrices: usize) -> (usize, usize) {
    let (mut down, mut across) = (1, 1);
    let size = |parts: usize, whole: usize, unit: usize| whole.div_ceil(parts).next_multiple_of(unit);
    loop {
        let (height, width) = (size(down, rows, 48), size(across, columns, 96));
        let work = height * width * depth;
        let plenty = down * across * matrices >= TILES && work <= LARGEST;
        if plenty || work / 2 < SMALLEST {
            return (height, width);
        }
        match (height > 48, width > 192) {
            (true, true) if height >= width => down *= 2,
            (_, true) => across *= 2,
            (true, false) => down *= 2,
            (false, false) => return (height, width),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{cheapest_tile, fixed_tile};

    #[test]
    fn every_size_has_a_tile() {
        let sizes = [1, 7, 48, 49, 256, 2048, 50_304, 1 << 20];
        for (rows, columns) in sizes.iter().flat_map(|rows| sizes.map(|columns| (*rows, columns))) {
            for depth in sizes {
                let size = (rows, columns, depth);
                for (height, width) in [fixed_tile(size, 1), cheapest_tile(size, 3, 2), cheapest_tile(size, 1, 64)] {
                    assert!(height > 0 && width > 0, "{size:?}");
                }
            }
        }
        // Both threads get the same work.
        assert_eq!(cheapest_tile((256, 50_304, 768), 1, 2).0, 264);
        assert_eq!(cheapest_tile((256, 50_304, 768), 1, 2).1 % 32, 0);
    }
}
