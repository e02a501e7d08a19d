//! Operands as batches of matrices, and the tiles that tasks get of them.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::layout::Layout;
use super::matrix::{Matrix, MatrixMut};
use super::pool::Partition;
use super::window::Window;

/// A read as matrices anywhere in its window.
#[derive(Debug, Clone, Copy)]
pub struct Matrices<'a> {
    pointer: *const f32,
    last: usize,
    owner: PhantomData<&'a [f32]>,
}
// SAFETY: shared, read-only memory.
unsafe impl Send for Matrices<'_> {}
// SAFETY: as above.
unsafe impl Sync for Matrices<'_> {}

impl<'a> Matrices<'a> {
    /// Matrices in a window.
    ///
    /// # Safety
    /// Nobody writes the window's memory for `'a`.
    pub unsafe fn new(window: &'a Window) -> Self {
        Matrices { pointer: window.pointer, last: window.last_offset(), owner: PhantomData }
    }

    /// The matrix at `offset` with these `(size, stride)` rows and columns.
    pub fn at(&self, offset: usize, rows: (usize, usize), columns: (usize, usize)) -> Matrix<'a> {
        let reach = |(size, stride): (usize, usize)| (size - 1) * stride;
        assert!(offset + reach(rows) + reach(columns) <= self.last);
        // SAFETY: the matrix ends no further than the window, which lies in one arena and is shared with no write.
        unsafe { Matrix::from_raw(self.pointer.add(offset), rows, columns) }
    }
}

/// How a write is cut into matrices: a batch of matrices, each cut into tiles.
#[derive(Debug, Clone)]
pub struct TileLayout {
    /// Offsets of the matrices.
    pub batch: Layout,
    /// Size and stride of the rows of a matrix.
    pub rows: (usize, usize),
    /// Size and stride of its columns.
    pub columns: (usize, usize),
    /// Size of a tile; those at the end may be smaller.
    pub tile: (usize, usize),
}

/// Where a tile lies: matrix number, first row, first column.
#[derive(Debug, Clone, Copy)]
pub struct TilePlace {
    /// Which matrix.
    pub matrix: usize,
    /// First row and number of rows.
    pub rows: (usize, usize),
    /// First column and number of columns.
    pub columns: (usize, usize),
}

impl TileLayout {
    /// Number of elements, and offset of the last one.
    pub fn reach(&self) -> (usize, usize) {
        let elements = self.batch.count() * self.rows.0 * self.columns.0;
        let last = self.batch.offset(self.batch.count() - 1)
            + (self.rows.0 - 1) * self.rows.1
            + (self.columns.0 - 1) * self.columns.1;
        (elements, last)
    }

    /// Number of tiles.
    pub fn count(&self) -> usize {
        self.batch.count() * self.rows.0.div_ceil(self.tile.0) * self.columns.0.div_ceil(self.tile.1)
    }

    /// Place of tile `index`; columns run fastest, then rows, then matrices.
    pub fn place(&self, index: usize) -> TilePlace {
        let across = self.columns.0.div_ceil(self.tile.1);
        let down = self.rows.0.div_ceil(self.tile.0);
        let (row, column) = (index / across % down * self.tile.0, index % across * self.tile.1);
        TilePlace {
            matrix: index / across / down,
            rows: (row, self.tile.0.min(self.rows.0 - row)),
            columns: (column, self.tile.1.min(self.columns.0 - column)),
        }
    }
}

/// A write as a grid of matrices, one tile a task.
pub struct Tiles<'a> {
    pointer: *mut f32,
    layout: TileLayout,
    owner: PhantomData<&'a mut [f32]>,
}
// SAFETY: it stands for a `&mut [f32]` of which only disjoint tiles are handed out.
unsafe impl Sync for Tiles<'_> {}
// SAFETY: tiles hold different elements, and elements of a write do not overlap.
unsafe impl<'a> Partition for Tiles<'a> {
    type Piece = MatrixMut<'a>;
    unsafe fn piece(&self, task: usize) -> MatrixMut<'a> {
        let place = self.layout.place(task);
        let offset = self.layout.batch.offset(place.matrix)
            + place.rows.0 * self.layout.rows.1
            + place.columns.0 * self.layout.columns.1;
        // SAFETY: a part of the window that no other task has.
        unsafe {
            MatrixMut::from_raw(
                self.pointer.add(offset),
                (place.rows.1, self.layout.rows.1),
                (place.columns.1, self.layout.columns.1),
            )
        }
    }
}

impl<'a> Tiles<'a> {
    /// The tiles of a window.
    ///
    /// # Safety
    /// All tiles lie inside the window, and its memory belongs to the caller alone for `'a`.
    pub unsafe fn new(window: &'a Window, layout: TileLayout) -> Self {
        Tiles { pointer: window.pointer, layout, owner: PhantomData }
    }
}
