//! Products of panels that a kernel packs itself and multiplies many times.
#![allow(unsafe_code)]

use std::ops::Range;

use super::register_tile::{Store, TileFunction, portable_4x16};
#[cfg(target_arch = "x86_64")]
use super::register_tile::{avx2_4x16, avx512_8x32};
use crate::device::cpu::simd::Level;

/// A left operand packed by [`Matrix::pack`](super::Matrix::pack) in panels of [`PanelProduct::rows`] lines.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// `[panels][depth][rows]`
    pub values: &'a [f32],
    /// Depth of a panel as it was packed.
    pub depth: usize,
}

/// What becomes of a product.
#[derive(Debug, Clone, Copy)]
pub enum Update {
    /// It replaces the result, times a factor.
    Replace(f32),
    /// It is added to the result.
    Add,
}

/// The machine's register tile over packed panels. Every element of a product is one chain of fused multiply-adds over the
/// depth, so the bits do not depend on the tile's sizes.
#[derive(Debug, Clone, Copy)]
pub struct PanelProduct {
    /// Lines of a left panel.
    pub rows: usize,
    /// Lines of a right panel, a multiple of 16.
    pub columns: usize,
    run: TileFunction,
}

impl PanelProduct {
    /// The tile for this machine.
    pub fn detected() -> Self {
        match Level::detected() {
            Level::Portable => PanelProduct { rows: 4, columns: 16, run: portable_4x16 },
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => PanelProduct { rows: 4, columns: 16, run: avx2_4x16 },
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => PanelProduct { rows: 8, columns: 32, run: avx512_8x32 },
        }
    }

    /// `result [panel][rows][columns] (+)= left x right` for the left panels `panels` and one right panel `[depth][columns]`,
    /// over the lines `depth` of both.
    pub fn multiply(
        &self,
        result: &mut [f32],
        left: Left<'_>,
        right: &[f32],
        panels: Range<usize>,
        depth: Range<usize>,
        update: Update,
    ) {
        let panel = left.depth * self.rows;
        assert!(depth.start <= depth.end && depth.end <= left.depth && depth.end * self.columns <= right.len());
        assert!(panels.end * panel <= left.values.len() && panels.end * self.rows * self.columns <= result.len());
        let (accumulate, factor) = match update {
            Update::Replace(factor) => (false, factor),
            Update::Add => (true, 1.0),
        };
        let store = Store { row_stride: self.columns, accumulate, factor, rows: self.rows, columns: self.columns };
        for index in panels {
            // SAFETY: the assertions hold for the last line of the last panel, so for all; `detected` chose the tile by what
            // the machine has.
            unsafe {
                (self.run)(
                    depth.len(),
                    left.values.as_ptr().add(index * panel + depth.start * self.rows),
                    right.as_ptr().add(depth.start * self.columns),
                    result.as_mut_ptr().add(index * self.rows * self.columns),
                    store,
                );
            }
        }
    }
}
