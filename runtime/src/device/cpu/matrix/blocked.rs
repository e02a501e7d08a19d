//! Matrix products in cache-sized blocks: panels of both operands are packed, register tiles multiply them.
//!
//! The blocking is that of Goto and van de Geijn 2008 ("Anatomy of high-performance matrix multiplication"). Every element of
//! the result is one chain of fused multiply-adds over `k` for each block of the depth, whatever its place in the result:
//! cutting the result into parts for threads never changes a bit.
#![allow(unsafe_code)]

use std::cell::RefCell;

use super::few;
use super::pack::{Ahead, Lines, pack};
use super::register_tile::{Store, TileFunction, avx2_6x16, avx512_12x32};
use crate::device::cpu::simd::Level;

/// Longest depth of a panel where the depth is cut: a right panel of 32 columns then takes 32 KiB of the first-level cache.
const DEPTH: usize = 256;
/// A depth up to this is not cut: adding to the result once more would cost more.
const WHOLE_DEPTH: usize = 384;
/// Rows of the left operand packed at once, at most (a multiple of both tiles' rows): 384 to 576 KiB, for the second-level
/// cache.
const ROWS: usize = 384;
/// Columns of the right operand packed at once, at most.
const COLUMNS: usize = 2048;
/// The same where the whole left operand is one block: packed columns are then used once, and should not leave the
/// second-level cache before.
const FEW_COLUMNS: usize = 128;

/// A matrix by its address, sizes elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct Strided {
    /// First element.
    pub pointer: *const f32,
    /// Distance between rows.
    pub row: usize,
    /// Distance between columns.
    pub column: usize,
}

/// Sizes of a product: the result is `[m, n]`, the operands `[m, k]` and `[k, n]`.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub struct Sizes {
    pub m: usize,
    pub n: usize,
    pub k: usize,
}

#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    columns: usize,
    run: TileFunction,
}

fn tile(level: Level) -> Option<Tile> {
    match level {
        Level::Portable => None,
        Level::Avx2 => Some(Tile { rows: 6, columns: 16, run: avx2_6x16 }),
        Level::Avx512 => Some(Tile { rows: 12, columns: 32, run: avx512_12x32 }),
    }
}

thread_local! {
    /// Packed panels of this thread, grown once to the largest need.
    static PANELS: RefCell<(Vec<f32>, Vec<f32>)> = const { RefCell::new((Vec::new(), Vec::new())) };
}

/// Where a product goes: its columns side by side, its rows `row_stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// First element.
    pub pointer: *mut f32,
    /// Distance between rows.
    pub row_stride: usize,
    /// Add to what is there.
    pub accumulate: bool,
    /// Factor on the product.
    pub factor: f32,
}

/// Whether this machine has the instructions that [`multiply`] needs.
pub fn is_available() -> bool {
    tile(Level::detected()).is_some()
}

/// Sizes of the blocks that a product is cut into: rows, columns, depth.
fn blocks(tile: Tile, Sizes { m, n, k }: Sizes) -> (usize, usize, usize) {
    let columns = if m <= ROWS { FEW_COLUMNS } else { COLUMNS };
    let depth = if k <= WHOLE_DEPTH { k } else { block(k, DEPTH, 1) };
    (block(m, ROWS, tile.rows), block(n, columns, tile.columns), depth)
}

/// Floats that [`multiply`] packs for such a product.
pub fn packed(sizes: Sizes) -> usize {
    let Some(tile) = tile(Level::detected()).filter(|_| sizes.k > 0 && sizes.m > few::ROWS) else { return 0 };
    let (rows, columns, depth) = blocks(tile, sizes);
    (rows + columns) * depth
}

/// `target [m, n] (+)= factor * a [m, k] x b [k, n]` on this thread.
/// False if there is no depth or the machine lacks the instructions: then nothing was done.
///
/// # Safety
/// All elements of the operands may be read, those of the result written, and they share no memory.
pub unsafe fn multiply(sizes: Sizes, a: Strided, b: Strided, target: Target) -> bool {
    let Some(tile) = tile(Level::detected()) else { return false };
    let Sizes { m, n, k } = sizes;
    if k == 0 {
        return false;
    }
    let whole = m <= ROWS;
    let (row_block, column_block, depth) = blocks(tile, sizes);
    if m <= few::ROWS {
        // SAFETY: the caller's promise; there is a tile, so the level is not portable.
        unsafe { few::multiply(Level::detected(), sizes, depth, a, b, target) };
        return true;
    }
    PANELS.with_borrow_mut(|(left, right)| {
        grow(left, row_block * depth);
        grow(right, column_block * depth);
        let (left, right) = (left.as_mut_ptr(), right.as_mut_ptr());
        // SAFETY: all offsets stay inside the matrices by their sizes.
        let left_lines = |row: usize, start: usize| unsafe {
            let pointer = a.pointer.add(row * a.row + start * a.column);
            let (count, depth) = (row_block.min(m - row), depth.min(k - start));
            Lines { pointer, count, stride: a.row, depth, step: a.column }
        };
        // SAFETY: as above.
        let right_lines = |column: usize, start: usize| unsafe {
            let pointer = b.pointer.add(start * b.row + column * b.column);
            let (count, depth) = (column_block.min(n - column), depth.min(k - start));
            Lines { pointer, count, stride: b.column, depth, step: b.row }
        };
        // SAFETY: as above, and the panels were grown to hold a block, which `pack` has filled.
        let multiply = |row: usize, column: usize, start: usize, ahead: Option<Lines>| unsafe {
            let Target { row_stride, factor, .. } = target;
            let (rows, columns) = (row_block.min(m - row), column_block.min(n - column));
            let result = target.pointer.add(row * row_stride + column);
            let store = Store { row_stride, accumulate: target.accumulate || start > 0, factor, rows, columns };
            multiply_panels(tile, depth.min(k - start), left, right, result, store, Ahead::of(ahead));
        };
        if whole {
            for start in (0..k).step_by(depth) {
                // SAFETY: the panel was grown to hold a block.
                unsafe { pack(left, tile.rows, left_lines(0, start)) };
                for column in (0..n).step_by(column_block) {
                    // SAFETY: as above.
                    unsafe { pack(right, tile.columns, right_lines(column, start)) };
                    let next = match (column + column_block < n, start + depth < k) {
                        (true, _) => Some(right_lines(column + column_block, start)),
                        (false, true) => Some(right_lines(0, start + depth)),
                        (false, false) => None,
                    };
                    multiply(0, column, start, next);
                }
            }
            return;
        }
        for column in (0..n).step_by(column_block) {
            for start in (0..k).step_by(depth) {
                // SAFETY: as above.
                unsafe { pack(right, tile.columns, right_lines(column, start)) };
                for row in (0..m).step_by(row_block) {
                    // SAFETY: as above.
                    unsafe { pack(left, tile.rows, left_lines(row, start)) };
                    let next = (row + row_block < m).then(|| left_lines(row + row_block, start));
                    multiply(row, column, start, next);
                }
            }
        }
    });
    true
}

/// All register tiles of a packed block; `store` gives the whole block's sizes. What is needed next is fetched meanwhile.
///
/// # Safety
/// As for [`TileFunction`], for the whole block.
unsafe fn multiply_panels(
    tile: Tile,
    depth: usize,
    left: *const f32,
    right: *const f32,
    result: *mut f32,
    store: Store,
    mut ahead: Ahead,
) {
    let tiles = store.columns.div_ceil(tile.columns) * store.rows.div_ceil(tile.rows);
    let fetched = ahead.count().div_ceil(tiles);
    for column in (0..store.columns).step_by(tile.columns) {
        for row in (0..store.rows).step_by(tile.rows) {
            let rows = tile.rows.min(store.rows - row);
            let columns = tile.columns.min(store.columns - column);
            ahead.fetch(fetched);
            // SAFETY: the panels of this tile lie inside the packed block, its elements inside the result.
            unsafe {
                let place = result.add(row * store.row_stride + column);
                (tile.run)(
                    depth,
                    left.add(row * depth),
                    right.add(column * depth),
                    place,
                    Store { rows, columns, ..store },
                );
            }
        }
    }
}

/// Size of a block: equal blocks in whole tiles, since a size a little over the limit would else leave a sliver.
fn block(size: usize, limit: usize, tile: usize) -> usize {
    size.div_ceil(size.div_ceil(limit)).next_multiple_of(tile)
}

fn grow(panel: &mut Vec<f32>, length: usize) {
    if panel.len() < length {
        panel.resize(length, 0.0);
    }
}
