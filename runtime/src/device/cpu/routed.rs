//! Matrix products of rows with the matrix that each row's id names.
//!
//! Rows are grouped by id; the rows of a group are gathered into a block that stays in the second-level cache, multiplied with
//! the matrix like any other, and handed back. The cut into tasks depends on the sizes and the ids alone.

use llmc_compiler::plan::Origin;

use super::grid::TileLayout;
use super::groups::Groups;
use super::layout::Layout;
use super::lookup::check_ids;
use super::matrix::{Matrix, MatrixMut, packed};
use super::operand::Operands;
use super::pool::Pool;
use super::rows::Rows;
use super::scratch::split;
use crate::device::DeviceError;

/// Rows of a block at most.
const ROWS: usize = 384;
/// Columns of a task at most.
const COLUMNS: usize = 512;
/// Sides of a task's part of a sum of outer products.
const TILE: (usize, usize) = (256, 512);
/// Rows whose outer products are added up at a time: a depth that a product does not cut.
const DEPTH: usize = 384;

/// Size of equal parts of at most `most`, whole vectors each.
fn part(size: usize, most: usize) -> usize {
    size.div_ceil(size.div_ceil(most)).next_multiple_of(32)
}

/// Floats that a thread packs, and floats of its scratch memory, for a product of `count` rows of `depth` with matrices of
/// `columns`.
pub fn product_floats(count: usize, depth: usize, columns: usize) -> (usize, usize) {
    let (rows, columns) = (count.min(ROWS), part(columns, COLUMNS).min(columns));
    (packed(rows, columns, depth), rows * (depth + columns))
}

/// The same for sums of outer products of `count` rows.
pub fn outer_floats(count: usize, depth: usize, columns: usize) -> (usize, usize) {
    let (rows, depth, columns) = (count.min(DEPTH), depth.min(TILE.0), columns.min(TILE.1));
    (packed(depth, columns, rows), rows * (depth + columns))
}

/// Columns `from..from + count` of some rows one after another. `each` ids belong to one row of `x`.
fn gather(x: &Rows<'_>, each: usize, rows: &[u32], (from, count): (usize, usize), block: &mut [f32]) {
    for (&row, target) in rows.iter().zip(block.chunks_exact_mut(count)) {
        target.copy_from_slice(&x.row(row as usize / each)[from..from + count]);
    }
}

/// `(x [R, D], ids [M], matrices [E, D, N]) -> [M, N]`
pub fn matmul(operands: &mut Operands<'_>, pool: &Pool, origin: &Origin) -> Result<(), DeviceError> {
    let (x, ids) = (operands.rows(0), operands.integers(1));
    let (shape, strides) = (&operands.read(2).shape, &operands.read(2).strides);
    let (experts, depth, columns) = (shape[0], shape[1], shape[2]);
    check_ids(&ids, experts, origin)?;
    let each = ids.count() / x.count();
    let groups = Groups::new(&ids, experts);
    let blocks = groups.blocks(ROWS);
    let out = operands.grouped_rows(0, &groups, &blocks, part(columns, COLUMNS));
    let all = operands.matrices(2);
    pool.run(out.tasks(), out, |_, mut piece, scratch| {
        let (count, (first, width)) = (piece.rows().len(), piece.columns());
        let [block, product] = split(scratch, [count * depth, count * width]);
        gather(&x, each, piece.rows(), (0, depth), block);
        let matrix = all.at(piece.group() * strides[0] + first * strides[2], (depth, strides[1]), (width, strides[2]));
        let rows = Matrix::from_slice(block, count, depth);
        MatrixMut::from_slice(product, count, width).multiply(false, 1.0, rows, matrix);
        for (row, values) in product.chunks_exact(width).enumerate() {
            piece.row(row).copy_from_slice(values);
        }
    });
    Ok(())
}

/// `(a [R, D], ids [M], b [S, N]) -> [E, D, N]`
pub fn outer(operands: &mut Operands<'_>, pool: &Pool, accumulate: bool, origin: &Origin) -> Result<(), DeviceError> {
    let (a, ids, b, sums) = (operands.rows(0), operands.integers(1), operands.rows(2), operands.written(0));
    check_ids(&ids, sums.shape[0], origin)?;
    let (each_a, each_b) = (ids.count() / a.count(), ids.count() / b.count());
    let groups = Groups::new(&ids, sums.shape[0]);
    let layout = TileLayout {
        batch: Layout::new([(sums.shape[0], sums.strides[0])]),
        rows: (sums.shape[1], sums.strides[1]),
        columns: (sums.shape[2], sums.strides[2]),
        tile: TILE,
    };
    let places = layout.clone();
    pool.run(layout.count(), operands.tiles(0, layout), |task, mut tile, scratch| {
        let place = places.place(task);
        let (depth, width) = (place.rows.1, place.columns.1);
        let rows = groups.of(place.matrix);
        if rows.is_empty() && !accumulate {
            tile.fill(0.0);
        }
        for (number, rows) in rows.chunks(DEPTH).enumerate() {
            let [left, right] = split(scratch, [rows.len() * depth, rows.len() * width]);
            gather(&a, each_a, rows, place.rows, left);
            gather(&b, each_b, rows, place.columns, right);
            let left = Matrix::from_slice(left, rows.len(), depth).transposed();
            tile.multiply(accumulate || number > 0, 1.0, left, Matrix::from_slice(right, rows.len(), width));
        }
    });
    Ok(())
}
