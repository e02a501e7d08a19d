//! Operands as rows along their last axis.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::layout::Layout;
use super::matrix::Matrix;
use super::pool::Partition;
use super::window::Window;

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
    /// The rows of `length` elements that start at the offsets of `layout`.
    ///
    /// # Safety
    /// All lie inside the window, whose memory nobody writes for `'a`.
    pub unsafe fn new(window: &'a Window, layout: Layout, length: usize) -> Self {
        Rows { pointer: window.pointer, layout, length, owner: PhantomData }
    }

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
    /// The rows of `length` elements that start at the offsets of `layout`.
    ///
    /// # Safety
    /// All lie inside the window, apart from each other, and its memory belongs to the caller alone for `'a`.
    pub unsafe fn new(window: &'a Window, layout: Layout, length: usize) -> Self {
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
