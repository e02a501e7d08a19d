//! The innermost piece of a matrix product: one tile of the result held in vector registers over packed panels.
#![allow(unsafe_code)]
// Loops over constant ranges are unrolled whole; iterators over the rows of an array are not.
#![allow(clippy::needless_range_loop)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

/// What is done with a tile of the result.
#[derive(Debug, Clone, Copy)]
pub struct Store {
    /// Distance between rows of the result.
    pub row_stride: usize,
    /// Add to what is there.
    pub accumulate: bool,
    /// Factor on the product.
    pub factor: f32,
    /// Rows that exist.
    pub rows: usize,
    /// Columns that exist.
    pub columns: usize,
}

/// A register tile: `result [ROWS, COLUMNS] (+)= factor * a x b` for `a` packed as `[depth][ROWS]` and `b` as `[depth][COLUMNS]`.
///
/// # Safety
/// `(depth, a, b, result, store)`: the panels hold `depth` lines, `store.rows x store.columns` elements of the result
/// may be read and written, and the machine has the instructions.
pub type TileFunction = unsafe fn(usize, *const f32, *const f32, *mut f32, Store);

/// How far ahead of its use a line of the right panel is fetched.
#[cfg(target_arch = "x86_64")]
const LINES_AHEAD: usize = 6;

#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
macro_rules! register_tile {
    ($(#[$meta:meta])* $name:ident, $feature:literal, $vector:ty, $lanes:literal, $rows:literal x $vectors:literal,
     $zero:ident, $load:ident, $broadcast:expr, $fma:ident, $add:ident, $multiply:ident, $store:ident) => {
        $(#[$meta])*
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $feature)]
        pub unsafe fn $name(depth: usize, a: *const f32, b: *const f32, result: *mut f32, store: Store) {
            const ROWS: usize = $rows;
            const COLUMNS: usize = $lanes * $vectors;

            /// The whole tile. All loops have constant bounds, so that the sums never leave the registers.
            #[inline]
            #[target_feature(enable = $feature)]
            unsafe fn whole(depth: usize, mut a: *const f32, mut b: *const f32, result: *mut f32, store: Store) {
                // SAFETY: the caller's promise; prefetches may go anywhere, so they use wrapping addresses.
                unsafe {
                    let mut sums: [[$vector; $vectors]; ROWS] = [[$zero(); $vectors]; ROWS];
                    for row in 0..ROWS {
                        let line = result.wrapping_add(row * store.row_stride);
                        _mm_prefetch::<_MM_HINT_T0>(line as *const i8);
                        _mm_prefetch::<_MM_HINT_T0>(line.wrapping_add(COLUMNS - 1) as *const i8);
                    }
                    for _ in 0..depth {
                        let mut right: [$vector; $vectors] = [$zero(); $vectors];
                        for index in 0..$vectors {
                            right[index] = $load(b.add(index * $lanes));
                            _mm_prefetch::<_MM_HINT_T0>(b.wrapping_add(COLUMNS * LINES_AHEAD + index * $lanes) as *const i8);
                        }
                        for row in 0..ROWS {
                            let left = $broadcast(a.add(row));
                            for index in 0..$vectors {
                                sums[row][index] = $fma(left, right[index], sums[row][index]);
                            }
                        }
                        a = a.add(ROWS);
                        b = b.add(COLUMNS);
                    }
                    let factor = $broadcast(&raw const store.factor);
                    if store.accumulate {
                        for row in 0..ROWS {
                            for index in 0..$vectors {
                                let place = result.add(row * store.row_stride + index * $lanes);
                                $store(place, $add($load(place), $multiply(sums[row][index], factor)));
                            }
                        }
                    } else {
                        for row in 0..ROWS {
                            for index in 0..$vectors {
                                let place = result.add(row * store.row_stride + index * $lanes);
                                $store(place, $multiply(sums[row][index], factor));
                            }
                        }
                    }
                }
            }

            // SAFETY: the caller's promise; a tile that is not all there is computed beside the result.
            unsafe {
                if store.rows == ROWS && store.columns == COLUMNS {
                    whole(depth, a, b, result, store);
                } else {
                    let mut tile = [0f32; ROWS * COLUMNS];
                    let beside = Store { row_stride: COLUMNS, accumulate: false, ..store };
                    whole(depth, a, b, tile.as_mut_ptr(), beside);
                    store_part(&tile, COLUMNS, result, store);
                }
            }
        }
    };
}

/// Stores the part of a tile (`columns` wide) that exists.
///
/// # Safety
/// `store.rows x store.columns` elements of the result may be read and written.
unsafe fn store_part(tile: &[f32], columns: usize, result: *mut f32, store: Store) {
    for (row, tile) in tile.chunks_exact(columns).take(store.rows).enumerate() {
        for (column, &sum) in tile.iter().take(store.columns).enumerate() {
            // SAFETY: the caller's promise.
            unsafe {
                let place = result.add(row * store.row_stride + column);
                *place = if store.accumulate { *place + sum } else { sum };
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
register_tile!(
    /// 12 x 32 in 24 of AVX-512's 32 registers.
    avx512_12x32, "avx512f", __m512, 16, 12 x 2,
    _mm512_setzero_ps, _mm512_loadu_ps, |p: *const f32| _mm512_set1_ps(*p), _mm512_fmadd_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_storeu_ps
);

#[cfg(target_arch = "x86_64")]
register_tile!(
    /// 8 x 32: fewer rows, of which the sizes of attention heads are multiples.
    avx512_8x32, "avx512f", __m512, 16, 8 x 2,
    _mm512_setzero_ps, _mm512_loadu_ps, |p: *const f32| _mm512_set1_ps(*p), _mm512_fmadd_ps, _mm512_add_ps, _mm512_mul_ps, _mm512_storeu_ps
);

#[cfg(target_arch = "x86_64")]
register_tile!(
    /// 6 x 16 in 12 of AVX2's 16 registers.
    avx2_6x16, "avx2,fma", __m256, 8, 6 x 2,
    _mm256_setzero_ps, _mm256_loadu_ps, |p: *const f32| _mm256_broadcast_ss(&*p), _mm256_fmadd_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_storeu_ps
);

#[cfg(target_arch = "x86_64")]
register_tile!(
    /// 4 x 16: fewer rows, of which the sizes of attention heads are multiples.
    avx2_4x16, "avx2,fma", __m256, 8, 4 x 2,
    _mm256_setzero_ps, _mm256_loadu_ps, |p: *const f32| _mm256_broadcast_ss(&*p), _mm256_fmadd_ps, _mm256_add_ps, _mm256_mul_ps, _mm256_storeu_ps
);

/// 4 x 16 with whatever the target has.
///
/// # Safety
/// As for [`TileFunction`].
pub unsafe fn portable_4x16(depth: usize, a: *const f32, b: *const f32, result: *mut f32, store: Store) {
    const ROWS: usize = 4;
    const COLUMNS: usize = 16;
    // SAFETY: the panels hold `depth` lines by the caller's promise.
    let (a, b) =
        unsafe { (std::slice::from_raw_parts(a, depth * ROWS), std::slice::from_raw_parts(b, depth * COLUMNS)) };
    let mut sums = [0f32; ROWS * COLUMNS];
    for (left, right) in a.as_chunks::<ROWS>().0.iter().zip(b.as_chunks::<COLUMNS>().0) {
        for (sums, &left) in sums.as_chunks_mut::<COLUMNS>().0.iter_mut().zip(left) {
            for (sum, &right) in sums.iter_mut().zip(right) {
                *sum = left.mul_add(right, *sum);
            }
        }
    }
    sums.iter_mut().for_each(|sum| *sum *= store.factor);
    // SAFETY: the caller's promise.
    unsafe { store_part(&sums, COLUMNS, result, store) }
}
