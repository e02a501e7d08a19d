//! Copies blocks of a matrix into the panels that register tiles read.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;

use crate::device::cpu::simd::Level;

/// How far ahead of its use an element is fetched where lines lie side by side.
#[cfg(target_arch = "x86_64")]
const STEPS_AHEAD: usize = 8;

/// Panels copied at once where lines lie side by side.
#[cfg(target_arch = "x86_64")]
const PANELS: usize = 4;

/// Floats that memory hands over at once.
const FLOATS_OF_A_CACHE_LINE: usize = 16;

/// A block of a matrix seen as lines of equal depth: rows of the left operand, columns of the right one.
#[derive(Debug, Clone, Copy)]
pub struct Lines {
    /// First element.
    pub pointer: *const f32,
    /// How many lines.
    pub count: usize,
    /// Distance between lines.
    pub stride: usize,
    /// Elements of a line.
    pub depth: usize,
    /// Distance between a line's elements.
    pub step: usize,
}

/// Fetches a block into the second-level cache bit by bit, while something else is computed.
#[derive(Debug)]
pub struct Ahead {
    lines: Lines,
    /// Runs of elements that lie side by side: how many, how long, and how far apart.
    runs: (usize, usize, usize),
    /// The next run and the next element of it.
    next: (usize, usize),
}

impl Ahead {
    /// Fetches what [`pack`] will read; without lines, nothing.
    pub fn of(lines: Option<Lines>) -> Self {
        let lines = lines.unwrap_or(Lines { pointer: std::ptr::null(), count: 0, stride: 1, depth: 0, step: 1 });
        let runs = match (lines.stride, lines.step) {
            (_, 1) => (lines.count, lines.depth, lines.stride),
            (1, _) => (lines.depth, lines.count, lines.step),
            _ => (0, 0, 0),
        };
        Ahead { lines, runs, next: (0, 0) }
    }

    /// Cache lines in all.
    pub fn count(&self) -> usize {
        self.runs.0 * self.runs.1.div_ceil(FLOATS_OF_A_CACHE_LINE)
    }

    /// Fetches the next `count` cache lines.
    #[inline]
    pub fn fetch(&mut self, count: usize) {
        let (runs, length, distance) = self.runs;
        for _ in 0..count {
            if self.next.0 >= runs {
                return;
            }
            // A prefetch reads nothing, so its address need not be valid.
            let place = self.lines.pointer.wrapping_add(self.next.0 * distance + self.next.1);
            #[cfg(target_arch = "x86_64")]
            // SAFETY: every x86-64 has the instruction.
            unsafe {
                _mm_prefetch::<_MM_HINT_T1>(place as *const i8);
            }
            #[cfg(not(target_arch = "x86_64"))]
            let _ = place;
            self.next.1 += FLOATS_OF_A_CACHE_LINE;
            if self.next.1 >= length {
                self.next = (self.next.0 + 1, 0);
            }
        }
    }
}

/// Packs lines into panels of `width` lines: place `k` of line `l` of a panel goes to `k * width + l`; lines that are missing
/// in the last panel become 0.
///
/// # Safety
/// The lines may be read, and `target` has room for `count.next_multiple_of(width) * depth` floats.
pub unsafe fn pack(target: *mut f32, width: usize, lines: Lines) {
    // SAFETY: the caller's promise, and the level was detected on this machine.
    unsafe {
        match Level::detected() {
            Level::Portable => pack_portable(target, width, lines),
            #[cfg(target_arch = "x86_64")]
            _ => pack_avx2(target, width, lines),
        }
    }
}

/// As [`pack`], element by element.
unsafe fn pack_portable(target: *mut f32, width: usize, lines: Lines) {
    for first in (0..lines.count).step_by(width) {
        let count = width.min(lines.count - first);
        // SAFETY: inside the lines and the target by the caller's promise.
        unsafe {
            let panel = Lines { pointer: lines.pointer.add(first * lines.stride), count, ..lines };
            pack_elements(target.add(first * lines.depth), width, panel, 0);
        }
    }
}

/// As [`pack`], on a machine with AVX2.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn pack_avx2(target: *mut f32, width: usize, lines: Lines) {
    let mut first = 0;
    // SAFETY: inside the lines and the target by the caller's promise.
    unsafe {
        if lines.stride == 1 {
            // Several panels at once: the elements of one place lie side by side in all of them.
            while first + PANELS * width <= lines.count {
                copy_panels::<PANELS>(target.add(first * lines.depth), width, lines.pointer.add(first), lines);
                first += PANELS * width;
            }
            while first + width <= lines.count {
                copy_panels::<1>(target.add(first * lines.depth), width, lines.pointer.add(first), lines);
                first += width;
            }
        }
        while first < lines.count {
            let count = width.min(lines.count - first);
            let panel = Lines { pointer: lines.pointer.add(first * lines.stride), count, ..lines };
            let target = target.add(first * lines.depth);
            if panel.step == 1 {
                pack_transposed(target, width, panel);
            } else {
                pack_elements(target, width, panel, 0);
            }
            first += width;
        }
    }
}

/// `N` whole panels from lines that lie side by side, the first at `from`.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn copy_panels<const N: usize>(target: *mut f32, width: usize, from: *const f32, lines: Lines) {
    for k in 0..lines.depth {
        // SAFETY: inside the panels and the target by the caller's promise; prefetches may go anywhere.
        unsafe {
            let from = from.add(k * lines.step);
            // Far steps are not foreseen by the machine.
            let ahead = from.wrapping_add(STEPS_AHEAD * lines.step);
            for line in (0..N * width).step_by(16) {
                _mm_prefetch::<_MM_HINT_T0>(ahead.wrapping_add(line) as *const i8);
            }
            for panel in 0..N {
                let (from, to) = (from.add(panel * width), target.add((panel * lines.depth + k) * width));
                // A call for so few floats would cost more than the copy.
                for group in (0..width / 8 * 8).step_by(8) {
                    _mm256_storeu_ps(to.add(group), _mm256_loadu_ps(from.add(group)));
                }
                if width % 8 >= 4 {
                    _mm_storeu_ps(to.add(width / 8 * 8), _mm_loadu_ps(from.add(width / 8 * 8)));
                }
                for line in width / 4 * 4..width {
                    *to.add(line) = *from.add(line);
                }
            }
        }
    }
}

/// The first `count` lanes of less than eight; a store through a mask takes many times as long on some machines.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
unsafe fn store_first(target: *mut f32, lanes: __m256, count: usize) {
    let (mut rest, mut stored) = (_mm256_castps256_ps128(lanes), 0);
    // SAFETY: the caller's promise: so many floats may be written.
    unsafe {
        if count >= 4 {
            _mm_storeu_ps(target, rest);
            (rest, stored) = (_mm256_extractf128_ps::<1>(lanes), 4);
        }
        if count - stored >= 2 {
            _mm_storel_pd(target.add(stored).cast(), _mm_castps_pd(rest));
            (rest, stored) = (_mm_movehl_ps(rest, rest), stored + 2);
        }
        if count > stored {
            _mm_store_ss(target.add(stored), rest);
        }
    }
}

/// One panel from lines whose elements lie side by side, eight by eight.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn pack_transposed(target: *mut f32, width: usize, panel: Lines) {
    let whole = panel.depth / 8 * 8;
    // SAFETY: inside the panel and the target by the caller's promise; a last group that is narrower than eight
    // writes only its part.
    unsafe {
        for k in (0..whole).step_by(8) {
            for group in (0..width).step_by(8) {
                let mut rows = [_mm256_setzero_ps(); 8];
                for (index, row) in rows.iter_mut().enumerate() {
                    if group + index < panel.count {
                        *row = _mm256_loadu_ps(panel.pointer.add((group + index) * panel.stride + k));
                    }
                }
                let columns = transpose(rows);
                if group + 8 <= width {
                    for (index, column) in columns.into_iter().enumerate() {
                        _mm256_storeu_ps(target.add((k + index) * width + group), column);
                    }
                } else {
                    for (index, column) in columns.into_iter().enumerate() {
                        store_first(target.add((k + index) * width + group), column, width - group);
                    }
                }
            }
        }
        pack_elements(target, width, panel, whole);
    }
}

/// The places from `start` on of one panel, element by element.
unsafe fn pack_elements(target: *mut f32, width: usize, panel: Lines, start: usize) {
    for k in start..panel.depth {
        for line in 0..width {
            // SAFETY: inside the panel and the target by the caller's promise.
            unsafe {
                *target.add(k * width + line) =
                    if line < panel.count { *panel.pointer.add(line * panel.stride + k * panel.step) } else { 0.0 };
            }
        }
    }
}

/// Rows and columns of an 8 x 8 block exchanged.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(rows: [__m256; 8]) -> [__m256; 8] {
    let [r0, r1, r2, r3, r4, r5, r6, r7] = rows;
    let (a0, a1) = (_mm256_unpacklo_ps(r0, r1), _mm256_unpackhi_ps(r0, r1));
    let (a2, a3) = (_mm256_unpacklo_ps(r2, r3), _mm256_unpackhi_ps(r2, r3));
    let (a4, a5) = (_mm256_unpacklo_ps(r4, r5), _mm256_unpackhi_ps(r4, r5));
    let (a6, a7) = (_mm256_unpacklo_ps(r6, r7), _mm256_unpackhi_ps(r6, r7));
    let (b0, b1) = (_mm256_shuffle_ps::<0x44>(a0, a2), _mm256_shuffle_ps::<0xee>(a0, a2));
    let (b2, b3) = (_mm256_shuffle_ps::<0x44>(a1, a3), _mm256_shuffle_ps::<0xee>(a1, a3));
    let (b4, b5) = (_mm256_shuffle_ps::<0x44>(a4, a6), _mm256_shuffle_ps::<0xee>(a4, a6));
    let (b6, b7) = (_mm256_shuffle_ps::<0x44>(a5, a7), _mm256_shuffle_ps::<0xee>(a5, a7));
    [
        _mm256_permute2f128_ps::<0x20>(b0, b4),
        _mm256_permute2f128_ps::<0x20>(b1, b5),
        _mm256_permute2f128_ps::<0x20>(b2, b6),
        _mm256_permute2f128_ps::<0x20>(b3, b7),
        _mm256_permute2f128_ps::<0x31>(b0, b4),
        _mm256_permute2f128_ps::<0x31>(b1, b5),
        _mm256_permute2f128_ps::<0x31>(b2, b6),
        _mm256_permute2f128_ps::<0x31>(b3, b7),
    ]
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;

    #[test]
    fn both_versions_pack_alike() {
        if Level::detected() == Level::Portable {
            return;
        }
        let values: Vec<f32> = (0..70 * 70).map(|number| number as f32).collect();
        for width in (4..17).chain([32]) {
            for (count, depth) in [(1, 1), (7, 9), (33, 16), (70, 19)] {
                for (stride, step) in [(1, 70), (70, 1), (2, 35)] {
                    let lines = Lines { pointer: values.as_ptr(), count, stride, depth: depth.min(35), step };
                    let length = count.next_multiple_of(width) * lines.depth;
                    let mut packed = [vec![f32::NAN; length + 1], vec![f32::NAN; length + 1]];
                    // SAFETY: all lines lie in the values, the panels have room, and the level has AVX2.
                    unsafe {
                        pack_portable(packed[0].as_mut_ptr(), width, lines);
                        pack_avx2(packed[1].as_mut_ptr(), width, lines);
                    }
                    let [expected, found] = packed;
                    assert_eq!(expected[..length], found[..length], "{width} {lines:?}");
                    assert!(found[length].is_nan(), "{width} {lines:?}");
                }
            }
        }
    }
}
