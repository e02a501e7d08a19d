//! Strided matrices and their product: through own kernels where the machine has AVX2 or AVX-512, else through the `gemm` crate.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
mod blocked;
#[cfg(target_arch = "x86_64")]
mod few;
mod pack;
mod panels;
mod register_tile;

use std::marker::PhantomData;

pub use panels::{Left, PanelProduct, Update};

/// A matrix to read, with any strides.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pointer: *const f32,
    rows: (usize, usize),
    columns: (usize, usize),
    owner: PhantomData<&'a [f32]>,
}

/// A matrix to write, with any strides.
#[derive(Debug)]
pub struct MatrixMut<'a> {
    pointer: *mut f32,
    rows: (usize, usize),
    columns: (usize, usize),
    owner: PhantomData<&'a mut [f32]>,
}

impl<'a> Matrix<'a> {
    /// A matrix of `(size, stride)` rows and columns.
    ///
    /// # Safety
    /// Every element may be read for `'a` and is written by nobody.
    pub unsafe fn from_raw(pointer: *const f32, rows: (usize, usize), columns: (usize, usize)) -> Self {
        Matrix { pointer, rows, columns, owner: PhantomData }
    }

    /// The first `rows x columns` values of a slice.
    pub fn from_slice(values: &'a [f32], rows: usize, columns: usize) -> Self {
        assert!(values.len() >= rows * columns);
        Matrix { pointer: values.as_ptr(), rows: (rows, columns), columns: (columns, 1), owner: PhantomData }
    }

    /// Rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Matrix { rows: self.columns, columns: self.rows, ..self }
    }

    /// `count` rows from `first` on.
    pub fn rows_from(self, first: usize, count: usize) -> Self {
        assert!(first + count <= self.rows.0);
        // SAFETY: still inside the matrix (the offset of a matrix without elements is never read).
        let pointer = self.pointer.wrapping_add(first * self.rows.1);
        Matrix { pointer, rows: (count, self.rows.1), ..self }
    }

    /// Number of rows and columns.
    pub fn size(&self) -> (usize, usize) {
        (self.rows.0, self.columns.0)
    }

    /// Row `index` of a matrix whose columns lie side by side.
    #[inline]
    pub fn row(&self, index: usize) -> &'a [f32] {
        assert!(index < self.rows.0 && self.columns.1 == 1);
        // SAFETY: a row of this matrix, all of whose elements may be read.
        unsafe { std::slice::from_raw_parts(self.pointer.add(index * self.rows.1), self.columns.0) }
    }

    /// Packs the rows into panels of `width` rows, `[panel][column][width]`; rows missing in the last panel become 0.
    pub fn pack(self, width: usize, target: &mut [f32]) {
        let (count, depth) = (self.rows.0, self.columns.0);
        assert!(width > 0 && count.next_multiple_of(width) * depth <= target.len());
        let lines = pack::Lines { pointer: self.pointer, count, stride: self.rows.1, depth, step: self.columns.1 };
        // SAFETY: the matrix may be read, and the target has the room.
        unsafe { pack::pack(target.as_mut_ptr(), width, lines) }
    }

    /// `count` columns from `first` on.
    pub fn columns_from(self, first: usize, count: usize) -> Self {
        self.transposed().rows_from(first, count).transposed()
    }
}

impl<'a> MatrixMut<'a> {
    /// A matrix of `(size, stride)` rows and columns.
    ///
    /// # Safety
    /// Every element is this matrix's alone for `'a`, and no two elements share memory.
    pub unsafe fn from_raw(pointer: *mut f32, rows: (usize, usize), columns: (usize, usize)) -> Self {
        MatrixMut { pointer, rows, columns, owner: PhantomData }
    }

    /// The first `rows x columns` values of a slice.
    pub fn from_slice(values: &'a mut [f32], rows: usize, columns: usize) -> Self {
        assert!(values.len() >= rows * columns);
        MatrixMut { pointer: values.as_mut_ptr(), rows: (rows, columns), columns: (columns, 1), owner: PhantomData }
    }

    /// One value everywhere.
    pub fn fill(&mut self, value: f32) {
        for row in 0..self.rows.0 {
            for column in 0..self.columns.0 {
                // SAFETY: an element of this matrix, which is its alone.
                unsafe { *self.pointer.add(row * self.rows.1 + column * self.columns.1) = value };
            }
        }
    }

    /// `self = [self +] factor * a b`, on this thread, each element summed over `k` in an order that depends on the shapes alone.
    pub fn multiply(&mut self, accumulate: bool, factor: f32, a: Matrix<'_>, b: Matrix<'_>) {
        assert!(a.rows.0 == self.rows.0 && b.columns.0 == self.columns.0 && a.columns.0 == b.rows.0);
        #[cfg(target_arch = "x86_64")]
        if self.multiply_in_blocks(accumulate, factor, a, b) {
            return;
        }
        // SAFETY: all three matrices lie in memory that may be read or written, and the sizes agree.
        unsafe {
            gemm::gemm(
                self.rows.0,
                self.columns.0,
                a.columns.0,
                self.pointer,
                self.columns.1 as isize,
                self.rows.1 as isize,
                accumulate,
                a.pointer,
                a.columns.1 as isize,
                a.rows.1 as isize,
                b.pointer,
                b.columns.1 as isize,
                b.rows.1 as isize,
                1.0,
                factor,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
    }

    /// The product through [`blocked`], where the result's rows or columns lie side by side; false if nothing was done.
    #[cfg(target_arch = "x86_64")]
    fn multiply_in_blocks(&mut self, accumulate: bool, factor: f32, a: Matrix<'_>, b: Matrix<'_>) -> bool {
        let (rows, columns, a, b) = match (self.rows.1, self.columns.1) {
            (_, 1) => (self.rows, self.columns, a, b),
            // The transposed product has its columns side by side.
            (1, _) => (self.columns, self.rows, b.transposed(), a.transposed()),
            _ => return false,
        };
        let strided = |m: Matrix<'_>| blocked::Strided { pointer: m.pointer, row: m.rows.1, column: m.columns.1 };
        let sizes = blocked::Sizes { m: rows.0, n: columns.0, k: a.columns.0 };
        let target = blocked::Target { pointer: self.pointer, row_stride: rows.1, accumulate, factor };
        // SAFETY: all three matrices lie in memory that may be read or written, and the sizes agree.
        unsafe { blocked::multiply(sizes, strided(a), strided(b), target) }
    }
}

/// Floats that [`MatrixMut::multiply`] packs on a thread for a product `[m, k] x [k, n]`, or the transposed one.
pub fn packed(m: usize, n: usize, k: usize) -> usize {
    #[cfg(target_arch = "x86_64")]
    return blocked::packed(blocked::Sizes { m, n, k }).max(blocked::packed(blocked::Sizes { m: n, n: m, k }));
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (m, n, k);
        0
    }
}

/// Whether an element of a result with these strides is the same however the product is cut into tiles:
/// it is where [`MatrixMut::multiply`] takes the own kernels.
pub fn is_independent_of_tiling(row_stride: usize, column_stride: usize) -> bool {
    #[cfg(target_arch = "x86_64")]
    return (row_stride == 1 || column_stride == 1) && blocked::is_available();
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (row_stride, column_stride);
        false
    }
}
