//! Products of a few rows, as in decoding. Reading the right operand is most of the work, so it is read once and multiplied
//! where it lies if its columns lie side by side, else through a panel that stays in the first-level cache.
//!
//! Every element is the same chain of multiply-adds as in [`blocked`](super::blocked): its bits do not depend on the number of rows.
#![allow(unsafe_code)]
// Loops over constant ranges are unrolled whole; iterators over the rows of an array are not.
#![allow(clippy::needless_range_loop)]

use std::arch::x86_64::*;

use super::blocked::{Sizes, Strided, Target};
use super::pack::{Ahead, Lines, pack};
use crate::device::cpu::simd::Level;

/// More rows than this are worth packing for.
pub const ROWS: usize = 8;
/// Columns whose sums stay in registers.
const GROUP: usize = 32;
/// Sums of all rows kept in the first-level cache: long stretches of columns that lie side by side are read fastest.
const SUMS: usize = 4096;
/// Lines of the right operand read side by side: each is a stream of memory of its own.
const LINES: usize = 16;
/// Cache lines fetched ahead while so many lines of a group are multiplied: as many as those are.
const FETCHED: usize = GROUP * LINES / 16;
/// Depth of a panel, where the columns do not lie side by side.
const DEPTH: usize = 64;

/// `target [m, n] (+)= factor * a [m, k] x b [k, n]` with 1 to [`ROWS`] rows, the depth in blocks of `depth`.
///
/// # Safety
/// As for [`multiply`](super::blocked::multiply), and the level is this machine's and not portable.
pub unsafe fn multiply(level: Level, sizes: Sizes, depth: usize, a: Strided, b: Strided, target: Target) {
    let Sizes { m, n, k } = sizes;
    let mut sums = [0.0f32; SUMS];
    let side_by_side = b.column == 1;
    let width = if side_by_side { SUMS / m.next_power_of_two() } else { GROUP };
    // SAFETY: all offsets stay inside the matrices by their sizes.
    unsafe {
        for (start, column) in (0..k).step_by(depth).flat_map(|start| (0..n).step_by(width).map(move |c| (start, c))) {
            let (depth, columns) = (depth.min(k - start), width.min(n - column));
            let sums = &mut sums[..m * width];
            sums.fill(0.0);
            let left = Strided { pointer: a.pointer.add(start * a.column), ..a };
            let right = Strided { pointer: b.pointer.add(start * b.row + column * b.column), ..b };
            if side_by_side {
                let right = Right { first: right.pointer, stride: b.row, depth, columns };
                add(level, m, sums, width, left, right, &mut Ahead::of(None));
            } else {
                let next = GROUP.min(n - column - columns);
                let ahead = (next > 0).then(|| right.pointer.add(columns * b.column));
                through_panels(level, m, sums, left, right, (depth, columns), ahead.map(|first| (first, next)));
            }
            let accumulate = target.accumulate || start > 0;
            for (row, sums) in sums.chunks_exact(width).enumerate() {
                let place = target.pointer.add(row * target.row_stride + column);
                for (index, sum) in sums[..columns].iter().map(|sum| sum * target.factor).enumerate() {
                    *place.add(index) = if accumulate { *place.add(index) + sum } else { sum };
                }
            }
        }
    }
}

/// Adds the products with up to [`GROUP`] columns whose elements lie anyhow. Fetches the `next` columns meanwhile.
///
/// # Safety
/// As for [`multiply`].
unsafe fn through_panels(
    level: Level,
    m: usize,
    sums: &mut [f32],
    left: Strided,
    right: Strided,
    (depth, columns): (usize, usize),
    next: Option<(*const f32, usize)>,
) {
    let mut panel = [0.0f32; GROUP * DEPTH];
    let lines = |pointer, count, depth| Lines { pointer, count, stride: right.column, depth, step: right.row };
    let mut ahead = Ahead::of(next.map(|(first, count)| lines(first, count, depth)));
    for start in (0..depth).step_by(DEPTH) {
        let depth = DEPTH.min(depth - start);
        // SAFETY: the panel holds a group; the lines are inside the operands.
        unsafe {
            pack(panel.as_mut_ptr(), GROUP, lines(right.pointer.add(start * right.row), columns, depth));
            let left = Strided { pointer: left.pointer.add(start * left.column), ..left };
            let right = Right { first: panel.as_ptr(), stride: GROUP, depth, columns: GROUP };
            add(level, m, sums, GROUP, left, right, &mut ahead);
        }
    }
}

/// A part of the right operand whose columns lie side by side.
#[derive(Clone, Copy)]
struct Right {
    first: *const f32,
    /// Distance between its rows.
    stride: usize,
    depth: usize,
    columns: usize,
}

/// `sums [m][width] += left x right`; fetches some of what is `ahead` now and then.
///
/// # Safety
/// `m` rows of the left operand as deep as the right one, `m * width` sums with `width` no less than the columns, and the level
/// is this machine's and not portable.
unsafe fn add(level: Level, m: usize, sums: &mut [f32], width: usize, left: Strided, right: Right, ahead: &mut Ahead) {
    assert!(sums.len() >= m * width && width >= right.columns);
    let sums = sums.as_mut_ptr();
    macro_rules! rows {
        ($($m:literal)*) => {
            match (level, m) {
                $(
                    (Level::Avx512, $m) => avx512::<$m>(sums, width, left, right, ahead),
                    (Level::Avx2, $m) => avx2::<$m>(sums, width, left, right, ahead),
                )*
                _ => unreachable!("1 to {ROWS} rows, on a machine with vectors"),
            }
        };
    }
    // SAFETY: the caller's promise.
    unsafe { rows!(1 2 3 4 5 6 7 8) }
}

macro_rules! add_rows {
    ($name:ident, $feature:literal, $lanes:literal, $load:ident, $broadcast:expr, $fma:ident, $store:ident) => {
        /// As [`add`], for `M` rows.
        ///
        /// # Safety
        /// As for [`add`], on a machine with the instructions.
        #[target_feature(enable = $feature)]
        unsafe fn $name<const M: usize>(sums: *mut f32, width: usize, left: Strided, right: Right, ahead: &mut Ahead) {
            const VECTORS: usize = GROUP / $lanes;
            let whole = right.columns / GROUP * GROUP;
            for first in (0..right.depth).step_by(LINES) {
                let lines = first..right.depth.min(first + LINES);
                ahead.fetch(FETCHED);
                // SAFETY: inside the sums and the operands by the caller's promise; prefetches may go anywhere.
                unsafe {
                    for column in (0..whole).step_by(GROUP) {
                        let place = sums.add(column);
                        let mut held = [[$load(place); VECTORS]; M];
                        for row in 0..M {
                            for vector in 0..VECTORS {
                                held[row][vector] = $load(place.add(row * width + vector * $lanes));
                            }
                        }
                        for line in lines.clone() {
                            let from = right.first.add(line * right.stride + column);
                            let mut values = [held[0][0]; VECTORS];
                            for vector in 0..VECTORS {
                                values[vector] = $load(from.add(vector * $lanes));
                                let ahead = from.wrapping_add(LINES * right.stride + vector * $lanes);
                                _mm_prefetch::<_MM_HINT_T0>(ahead as *const i8);
                            }
                            for row in 0..M {
                                let factor = $broadcast(left.pointer.add(row * left.row + line * left.column));
                                for vector in 0..VECTORS {
                                    held[row][vector] = $fma(factor, values[vector], held[row][vector]);
                                }
                            }
                        }
                        for row in 0..M {
                            for vector in 0..VECTORS {
                                $store(place.add(row * width + vector * $lanes), held[row][vector]);
                            }
                        }
                    }
                    for column in whole..right.columns {
                        for row in 0..M {
                            let mut sum = *sums.add(row * width + column);
                            for line in lines.clone() {
                                let factor = *left.pointer.add(row * left.row + line * left.column);
                                sum = factor.mul_add(*right.first.add(line * right.stride + column), sum);
                            }
                            *sums.add(row * width + column) = sum;
                        }
                    }
                }
            }
        }
    };
}
add_rows!(
    avx512,
    "avx512f,fma",
    16,
    _mm512_loadu_ps,
    |p: *const f32| _mm512_set1_ps(*p),
    _mm512_fmadd_ps,
    _mm512_storeu_ps
);
add_rows!(
    avx2,
    "avx2,fma",
    8,
    _mm256_loadu_ps,
    |p: *const f32| _mm256_broadcast_ss(&*p),
    _mm256_fmadd_ps,
    _mm256_storeu_ps
);
