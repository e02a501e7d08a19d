//! A step's operands: checked windows on the arenas, and the safe shapes in which kernels see them.
//!
//! [`Bound`] is made once per step by `bind.rs`, which proves that every element lies inside its arena, that a write
//! never covers an element twice, and that it shares memory with no other operand, unless it is the very same window
//! as a read and the kernel may work in place. All access below rests on that proof.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use smallvec::SmallVec;

use super::layout::Layout;
use super::matrix::{Matrix, MatrixMut};
use super::pool::Partition;
use super::stream::{Stream, StreamsMut};

/// A view with its address.
#[derive(Debug, Clone)]
pub struct Window {
    pub(super) pointer: *mut f32,
    /// Sizes.
    pub shape: SmallVec<[usize; 4]>,
    /// Steps in elements.
    pub strides: SmallVec<[usize; 4]>,
    /// Elements are i32.
    pub integer: bool,
}

/// The windows of a step.
#[derive(Debug)]
pub struct Bound {
    /// Read windows.
    pub reads: Vec<Window>,
    /// For each read, whether a write is the very same window.
    pub in_place: Vec<bool>,
    /// Written windows.
    pub writes: Vec<Window>,
}

/// The windows of a step while it runs.
pub struct Operands<'a> {
    bound: &'a Bound,
    taken: u64,
}

impl Window {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether both are the very same elements.
    pub fn is_same(&self, other: &Window) -> bool {
        self.pointer == other.pointer && self.shape == other.shape && self.strides == other.strides
    }

    /// Size of the last axis; 1 for a scalar.
    pub fn last(&self) -> usize {
        self.shape.last().copied().unwrap_or(1)
    }

    fn axes(&self) -> impl DoubleEndedIterator<Item = (usize, usize)> + '_ {
        self.shape.iter().copied().zip(self.strides.iter().copied())
    }

    /// All elements in row-major order.
    pub fn layout(&self) -> Layout {
        Layout::new(self.axes())
    }

    /// Whether the elements are floats that lie side by side in row-major order.
    pub fn is_contiguous(&self) -> bool {
        !self.integer && self.layout().is_contiguous()
    }

    /// Some axes, in the order given.
    pub fn layout_in(&self, order: &[usize]) -> Layout {
        Layout::new(order.iter().map(|&axis| (self.shape[axis], self.strides[axis])))
    }

    fn outer(&self) -> SmallVec<[usize; 4]> {
        (0..self.shape.len().saturating_sub(1)).collect()
    }
}

impl<'a> Operands<'a> {
    /// Opens the operands of a step.
    ///
    /// # Safety
    /// The arenas are alive and nothing else touches them for `'a`.
    pub unsafe fn open(bound: &'a Bound) -> Self {
        Operands { bound, taken: 0 }
    }

    /// The window of a read.
    pub fn read(&self, index: usize) -> &'a Window {
        &self.bound.reads[index]
    }

    /// Number of reads.
    pub fn reads(&self) -> usize {
        self.bound.reads.len()
    }

    /// The window of a write.
    pub fn written(&self, index: usize) -> &'a Window {
        &self.bound.writes[index]
    }

    /// Number of writes.
    pub fn writes(&self) -> usize {
        self.bound.writes.len()
    }

    /// A read that is also written: its values are found in the write.
    pub fn in_place(&self, index: usize) -> bool {
        self.bound.in_place[index]
    }

    fn shared(&self, index: usize) -> &'a Window {
        assert!(!self.in_place(index), "read {index} is written in place");
        self.read(index)
    }

    fn take(&mut self, index: usize) -> &'a Window {
        assert!(self.taken & (1 << index) == 0, "write {index} is taken twice");
        self.taken |= 1 << index;
        self.written(index)
    }

    /// A read as rows along its last axis.
    pub fn rows(&self, index: usize) -> Rows<'a> {
        self.rows_in_order(index, &self.read(index).outer())
    }

    /// A read as rows, enumerated over the leading axes in this order.
    pub fn rows_in_order(&self, index: usize, order: &[usize]) -> Rows<'a> {
        let window = self.shared(index);
        Rows { pointer: window.pointer, layout: window.layout_in(order), length: window.last(), owner: PhantomData }
    }

    /// The rows of a read unless it is written in place.
    pub fn source(&self, index: usize) -> Option<Rows<'a>> {
        (!self.in_place(index)).then(|| self.rows(index))
    }

    /// A write as rows along its last axis.
    pub fn rows_mut(&mut self, index: usize) -> RowsMut<'a> {
        self.rows_mut_in_order(index, &self.written(index).outer())
    }

    /// A write as rows, enumerated over the leading axes in this order.
    pub fn rows_mut_in_order(&mut self, index: usize, order: &[usize]) -> RowsMut<'a> {
        let window = self.take(index);
        RowsMut::new(window, window.layout_in(order), window.last())
    }

    /// A write as rows of one element each.
    pub fn points_mut(&mut self, index: usize) -> RowsMut<'a> {
        let window = self.take(index);
        RowsMut::new(window, window.layout(), 1)
    }

    /// A read of floats, element by element.
    pub fn floats(&self, index: usize) -> Elements<'a, f32> {
        let window = self.shared(index);
        Elements { pointer: window.pointer, layout: window.layout(), owner: PhantomData }
    }

    /// A read of integers, element by element.
    pub fn integers(&self, index: usize) -> Elements<'a, i32> {
        let window = self.shared(index);
        assert!(window.integer, "read {index} holds floats");
        Elements { pointer: window.pointer.cast(), layout: window.layout(), owner: PhantomData }
    }

    /// A write, element by element.
    pub fn elements_mut(&mut self, index: usize) -> ElementsMut<'a> {
        let window = self.take(index);
        ElementsMut { pointer: window.pointer, layout: window.layout(), owner: PhantomData }
    }

    /// A write as one contiguous slice.
    pub fn slice_mut(&mut self, index: usize) -> &'a mut [f32] {
        let window = self.take(index);
        assert!(window.layout().is_contiguous(), "write {index} is not contiguous");
        // SAFETY: contiguous, inside its arena, and taken once.
        unsafe { std::slice::from_raw_parts_mut(window.pointer, window.count()) }
    }

    /// A read as one contiguous slice.
    pub fn slice(&self, index: usize) -> &'a [f32] {
        let window = self.shared(index);
        assert!(window.layout().is_contiguous(), "read {index} is not contiguous");
        // SAFETY: contiguous, inside its arena, and shared with no write.
        unsafe { std::slice::from_raw_parts(window.pointer, window.count()) }
    }

    /// The single value of a read.
    pub fn scalar(&self, index: usize) -> f32 {
        self.floats(index).get(0)
    }

    /// A read as a stream of elements over its axes in this order.
    pub fn stream(&self, index: usize, order: &[usize]) -> Stream<'a> {
        let window = self.shared(index);
        // SAFETY: a reordering of the window itself, shared with no write.
        unsafe { Stream::new(window, window.layout_in(order)) }
    }

    /// Every write as a stream of elements, `per_task` a task.
    pub fn streams_mut(&mut self, per_task: usize) -> StreamsMut<'a> {
        let windows = (0..self.writes()).map(|index| self.take(index));
        // SAFETY: each window was taken once.
        unsafe { StreamsMut::new(windows, per_task) }
    }

    /// A read as matrices with any strides.
    pub fn matrices(&self, index: usize) -> Matrices<'a> {
        let window = self.shared(index);
        let last = window.axes().map(|(size, stride)| (size - 1) * stride).sum();
        Matrices { pointer: window.pointer, last, owner: PhantomData }
    }

    /// A write as a grid of matrices; see [`Tiles`].
    pub fn tiles(&mut self, index: usize, layout: TileLayout) -> Tiles<'a> {
        Tiles { pointer: self.take(index).pointer, layout, owner: PhantomData }
    }
}

/// Rows of a read.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    pointer: *const f32,
    layout: Layout,
    length: usize,
    owner: PhantomData<&'a [f32]>,
}
// SAFETY: shared, read-only memory.
unsafe impl Send for Rows<'_> {}
// SAFETY: as above.
unsafe impl Sync for Rows<'_> {}

impl<'a> Rows<'a> {
    /// Number of rows.
    pub fn count(&self) -> usize {
        self.layout.count()
    }

    /// Elements of a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Row `index`.
    #[inline]
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.count());
        // SAFETY: the row lies inside the window, and no write shares its memory.
        unsafe { std::slice::from_raw_parts(self.pointer.add(self.layout.offset(index)), self.length) }
    }

    /// `count` rows from `first` on, which must follow each other at one distance (they lie on the innermost axis).
    pub fn block(&self, first: usize, count: usize) -> Matrix<'a> {
        let (size, stride) = self.layout.axes().last().copied().unwrap_or((1, 0));
        assert!(first + count <= self.count() && (count <= 1 || first % size + count <= size));
        // SAFETY: inside the window, shared with no write.
        unsafe { Matrix::from_raw(self.pointer.add(self.layout.offset(first)), (count, stride), (self.length, 1)) }
    }
}

/// Rows of a write.
pub struct RowsMut<'a> {
    all: AllRows<'a>,
    group: usize,
    per_task: usize,
}

#[derive(Clone)]
struct AllRows<'a> {
    pointer: *mut f32,
    layout: Layout,
    length: usize,
    owner: PhantomData<&'a mut [f32]>,
}

/// The rows of a write that belong to one task, numbered from 0.
pub struct Piece<'a> {
    rows: AllRows<'a>,
    first: usize,
    count: usize,
}

impl<'a> RowsMut<'a> {
    fn new(window: &'a Window, layout: Layout, length: usize) -> Self {
        let all = AllRows { pointer: window.pointer, layout, length, owner: PhantomData };
        RowsMut { all, group: usize::MAX, per_task: usize::MAX }
    }

    /// Number of rows.
    pub fn count(&self) -> usize {
        self.all.layout.count()
    }

    /// Elements of a row.
    pub fn length(&self) -> usize {
        self.all.length
    }

    /// Task `i` gets the rows `i * rows ..` up to `rows` many.
    pub fn per_task(self, rows: usize) -> Self {
        let count = self.count();
        self.blocks(count, rows)
    }

    /// Rows come in groups, and each group is cut into blocks of `rows`, the last perhaps smaller: task `i` gets block `i`.
    pub fn blocks(self, group: usize, rows: usize) -> Self {
        RowsMut { group: group.max(1), per_task: rows.clamp(1, group.max(1)), ..self }
    }
}

// SAFETY: it stands for a `&mut [f32]` of which only disjoint pieces are handed out.
unsafe impl Sync for RowsMut<'_> {}
// SAFETY: tasks get different rows, and rows of a write do not overlap.
unsafe impl<'a> Partition for RowsMut<'a> {
    type Piece = Piece<'a>;
    unsafe fn piece(&self, task: usize) -> Piece<'a> {
        let per_group = self.group.div_ceil(self.per_task);
        let start = task % per_group * self.per_task;
        let first = (task / per_group).saturating_mul(self.group).saturating_add(start).min(self.count());
        let count = self.per_task.min(self.group - start).min(self.count() - first);
        Piece { rows: self.all.clone(), first, count }
    }
}

impl Piece<'_> {
    /// Number of rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Number of the first row in the whole.
    pub fn first(&self) -> usize {
        self.first
    }

    /// Row `index` of the piece.
    #[inline]
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        assert!(index < self.count);
        let offset = self.rows.layout.offset(self.first + index);
        // SAFETY: inside the window, a row of this task alone, borrowed from `self`.
        unsafe { std::slice::from_raw_parts_mut(self.rows.pointer.add(offset), self.rows.length) }
    }

    /// `count` rows from `first` on as a matrix; they must follow each other at one distance.
    pub fn block(&mut self, first: usize, count: usize) -> MatrixMut<'_> {
        assert!(first + count <= self.count);
        let first = self.first + first;
        let (size, stride) = self.rows.layout.axes().last().copied().unwrap_or((1, 0));
        assert!(count <= 1 || first % size + count <= size);
        let pointer = self.rows.pointer.wrapping_add(self.rows.layout.offset(first));
        // SAFETY: rows of this task alone, borrowed from `self`.
        unsafe { MatrixMut::from_raw(pointer, (count, stride), (self.rows.length, 1)) }
    }

    /// Row `index` of the piece with the values of the same row of `source`, or its own where it is in place.
    #[inline]
    pub fn row_from(&mut self, index: usize, source: &Option<Rows<'_>>) -> &mut [f32] {
        let first = self.first;
        let row = self.row(index);
        if let Some(source) = source {
            row.copy_from_slice(source.row(first + index));
        }
        row
    }
}

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
    /// The matrix at `offset` with these `(size, stride)` rows and columns.
    pub fn at(&self, offset: usize, rows: (usize, usize), columns: (usize, usize)) -> Matrix<'a> {
        let reach = |(size, stride): (usize, usize)| (size - 1) * stride;
        assert!(offset + reach(rows) + reach(columns) <= self.last);
        // SAFETY: the matrix ends no further than the window, which lies in one arena and is shared with no write.
        unsafe { Matrix::from_raw(self.pointer.add(offset), rows, columns) }
    }
}

/// Elements of a read.
#[derive(Debug, Clone)]
pub struct Elements<'a, T> {
    pointer: *const T,
    layout: Layout,
    owner: PhantomData<&'a [T]>,
}
// SAFETY: shared, read-only memory.
unsafe impl<T: Sync> Send for Elements<'_, T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Elements<'_, T> {}

impl<T: Copy> Elements<'_, T> {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.layout.count()
    }

    /// Element `index` in row-major order.
    #[inline]
    pub fn get(&self, index: usize) -> T {
        assert!(index < self.count());
        // SAFETY: inside the window.
        unsafe { *self.pointer.add(self.layout.offset(index)) }
    }
}

/// Elements of a write, for one thread.
#[derive(Debug)]
pub struct ElementsMut<'a> {
    pointer: *mut f32,
    layout: Layout,
    owner: PhantomData<&'a mut [f32]>,
}

impl ElementsMut<'_> {
    /// Sets element `index` in row-major order.
    #[inline]
    pub fn set(&mut self, index: usize, value: f32) {
        assert!(index < self.layout.count());
        // SAFETY: inside the window, which is this object's alone.
        unsafe { *self.pointer.add(self.layout.offset(index)) = value }
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
