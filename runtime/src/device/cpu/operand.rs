//! A step's operands: checked windows on the arenas, and the safe shapes in which kernels see them.
//!
//! [`Bound`] is made once per step by `bind.rs`, which proves that every element lies inside its arena, that a write
//! never covers an element twice, and that it shares memory with no other operand, unless it is the very same window
//! as a read and the kernel may work in place. All access below rests on that proof.
#![allow(unsafe_code)]

use super::elements::{Elements, ElementsMut};
use super::grid::{Matrices, TileLayout, Tiles};
use super::groups::{Block, GroupedRows, Groups};
use super::rows::{Rows, RowsMut};
use super::stream::{Stream, StreamsMut};
use super::window::{Bound, Window};

/// The windows of a step while it runs.
pub struct Operands<'a> {
    bound: &'a Bound,
    taken: u64,
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
        assert!(window.has_rows(order), "read {index} has no such rows");
        // SAFETY: rows along the window's own axes, shared with no write.
        unsafe { Rows::new(window, window.layout_in(order), window.last()) }
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
        assert!(window.has_rows(order), "write {index} has no such rows");
        // SAFETY: rows along the window's own axes, taken once.
        unsafe { RowsMut::new(window, window.layout_in(order), window.last()) }
    }

    /// A write `[M, N]` by blocks of its rows, `run` columns a task.
    pub fn grouped_rows<'g>(
        &mut self,
        index: usize,
        groups: &'g Groups,
        blocks: &'g [Block],
        run: usize,
    ) -> GroupedRows<'g>
    where
        'a: 'g,
    {
        let window = self.take(index);
        assert!(window.has_rows(&[0]), "write {index} has no such rows");
        // SAFETY: the window's own rows, taken once.
        unsafe { GroupedRows::new(window, groups, blocks, run) }
    }

    /// A write as rows of one element each.
    pub fn points_mut(&mut self, index: usize) -> RowsMut<'a> {
        let window = self.take(index);
        // SAFETY: the window's own elements, taken once.
        unsafe { RowsMut::new(window, window.layout(), 1) }
    }

    /// A read of floats, element by element.
    pub fn floats(&self, index: usize) -> Elements<'a, f32> {
        let window = self.shared(index);
        assert!(!window.integer, "read {index} holds integers");
        // SAFETY: floats, shared with no write.
        unsafe { Elements::new(window) }
    }

    /// A read of integers, element by element.
    pub fn integers(&self, index: usize) -> Elements<'a, i32> {
        let window = self.shared(index);
        assert!(window.integer, "read {index} holds floats");
        // SAFETY: integers, shared with no write.
        unsafe { Elements::new(window) }
    }

    /// A read of integers as one contiguous slice.
    pub fn integer_slice(&self, index: usize) -> &'a [i32] {
        let window = self.shared(index);
        assert!(window.integer && window.layout().is_contiguous(), "read {index} is no row of integers");
        // SAFETY: integers, contiguous, inside their arena, and shared with no write.
        unsafe { std::slice::from_raw_parts(window.pointer.cast(), window.count()) }
    }

    /// A write, element by element.
    pub fn elements_mut(&mut self, index: usize) -> ElementsMut<'a> {
        // SAFETY: taken once.
        unsafe { ElementsMut::new(self.take(index)) }
    }

    /// A write as one contiguous slice.
    pub fn slice_mut(&mut self, index: usize) -> &'a mut [f32] {
        let window = self.take(index);
        assert!(window.layout().is_contiguous(), "write {index} is not contiguous");
        // SAFETY: contiguous, inside its arena, and taken once.
        unsafe { std::slice::from_raw_parts_mut(window.pointer, window.count()) }
    }

    /// A write of integers as one contiguous slice.
    pub fn integer_slice_mut(&mut self, index: usize) -> &'a mut [i32] {
        let window = self.take(index);
        assert!(window.integer && window.layout().is_contiguous(), "write {index} is no row of integers");
        // SAFETY: integers, contiguous, inside their arena, and taken once.
        unsafe { std::slice::from_raw_parts_mut(window.pointer.cast(), window.count()) }
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

    /// Every write from `first` on as a stream of elements, `per_task` a task.
    pub fn streams_mut(&mut self, first: usize, per_task: usize) -> StreamsMut<'a> {
        let windows = (first..self.writes()).map(|index| self.take(index));
        // SAFETY: each window was taken once.
        unsafe { StreamsMut::new(windows, per_task) }
    }

    /// A read as matrices with any strides.
    pub fn matrices(&self, index: usize) -> Matrices<'a> {
        let window = self.shared(index);
        // SAFETY: shared with no write.
        unsafe { Matrices::new(window) }
    }

    /// A write as a grid of matrices made of its own axes; see [`Tiles`].
    pub fn tiles(&mut self, index: usize, layout: TileLayout) -> Tiles<'a> {
        let window = self.take(index);
        assert!(layout.reach() == (window.count(), window.last_offset()), "tiles beyond write {index}");
        // SAFETY: the tiles hold as many elements as the window and end where it ends; taken once.
        unsafe { Tiles::new(window, layout) }
    }
}
