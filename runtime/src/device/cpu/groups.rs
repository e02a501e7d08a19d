//! Rows grouped by the id that each has, and a write whose rows are handed out so.
#![allow(unsafe_code)]

use std::marker::PhantomData;

use super::elements::Elements;
use super::pool::Partition;
use super::window::Window;

/// The numbers of all rows, grouped by id, ascending within a group.
pub struct Groups {
    rows: Vec<u32>,
    /// Where each group starts, and the end of the last one.
    starts: Vec<usize>,
}

impl Groups {
    /// The rows with these ids, each below `groups`.
    pub fn new(ids: &Elements<'_, i32>, groups: usize) -> Groups {
        let mut starts = vec![0; groups + 1];
        for row in 0..ids.count() {
            starts[ids.get(row) as usize + 1] += 1;
        }
        for group in 0..groups {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; ids.count()];
        for row in 0..ids.count() {
            let place = &mut next[ids.get(row) as usize];
            rows[*place] = row as u32;
            *place += 1;
        }
        Groups { rows, starts }
    }

    /// The rows of a group.
    pub fn of(&self, group: usize) -> &[u32] {
        &self.rows[self.starts[group]..self.starts[group + 1]]
    }

    /// Every group cut into equal blocks of at most `most` rows.
    pub fn blocks(&self, most: usize) -> Vec<Block> {
        let mut blocks = Vec::new();
        for group in 0..self.starts.len() - 1 {
            let (start, end) = (self.starts[group], self.starts[group + 1]);
            let parts = (end - start).div_ceil(most).max(1);
            let size = (end - start).div_ceil(parts).max(1);
            for first in (start..end).step_by(size) {
                blocks.push(Block { group, first, count: size.min(end - first) });
            }
        }
        blocks
    }

    /// The rows of a block.
    pub fn rows(&self, block: Block) -> &[u32] {
        &self.rows[block.first..block.first + block.count]
    }
}

/// Some rows of a group.
#[derive(Debug, Clone, Copy)]
pub struct Block {
    /// The id of all of them.
    pub group: usize,
    first: usize,
    count: usize,
}

/// The rows of a write by blocks of groups, and each block by runs of columns: runs are numbered fastest.
pub struct GroupedRows<'a> {
    pointer: *mut f32,
    row_stride: usize,
    columns: usize,
    run: usize,
    groups: &'a Groups,
    blocks: &'a [Block],
    owner: PhantomData<&'a mut [f32]>,
}

// SAFETY: it stands for a `&mut [f32]` of which only disjoint pieces are handed out.
unsafe impl Sync for GroupedRows<'_> {}
// SAFETY: every row stands once among all blocks of its groups (they were cut from one numbering of the rows), and the runs of
// a block hold different columns.
unsafe impl<'a> Partition for GroupedRows<'a> {
    type Piece = GroupedPiece<'a>;
    unsafe fn piece(&self, task: usize) -> GroupedPiece<'a> {
        let (block, run) = (task / self.runs(), task % self.runs());
        let first = run * self.run;
        GroupedPiece {
            pointer: self.pointer,
            row_stride: self.row_stride,
            columns: (first, self.run.min(self.columns - first)),
            group: self.blocks[block].group,
            rows: self.groups.rows(self.blocks[block]),
            owner: PhantomData,
        }
    }
}

impl<'a> GroupedRows<'a> {
    /// The rows of a window `[M, N]` whose columns lie side by side, `run` columns a task.
    ///
    /// # Safety
    /// The window's memory belongs to the caller alone for `'a`, and no two of its elements share memory.
    pub unsafe fn new(window: &'a Window, groups: &'a Groups, blocks: &'a [Block], run: usize) -> Self {
        assert!(window.shape.len() == 2 && window.shape[0] == groups.rows.len() && run > 0);
        GroupedRows {
            pointer: window.pointer,
            row_stride: window.strides[0],
            columns: window.shape[1],
            run,
            groups,
            blocks,
            owner: PhantomData,
        }
    }

    /// Runs of columns.
    fn runs(&self) -> usize {
        self.columns.div_ceil(self.run)
    }

    /// Number of tasks.
    pub fn tasks(&self) -> usize {
        self.blocks.len() * self.runs()
    }
}

/// Some columns of the rows of a block.
pub struct GroupedPiece<'a> {
    pointer: *mut f32,
    row_stride: usize,
    columns: (usize, usize),
    group: usize,
    rows: &'a [u32],
    owner: PhantomData<&'a mut [f32]>,
}

impl GroupedPiece<'_> {
    /// The id of the rows.
    pub fn group(&self) -> usize {
        self.group
    }

    /// The numbers of the rows.
    pub fn rows(&self) -> &[u32] {
        self.rows
    }

    /// First column and number of columns.
    pub fn columns(&self) -> (usize, usize) {
        self.columns
    }

    /// The columns of the row that stands at `index` among [`GroupedPiece::rows`].
    pub fn row(&mut self, index: usize) -> &mut [f32] {
        let offset = self.rows[index] as usize * self.row_stride + self.columns.0;
        // SAFETY: a row of the window (their numbers are below its rows) and columns inside it, of this task alone.
        unsafe { std::slice::from_raw_parts_mut(self.pointer.add(offset), self.columns.1) }
    }
}
