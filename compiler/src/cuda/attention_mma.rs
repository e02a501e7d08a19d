//! Where attention runs on tensor cores, and in which tiles.

use super::attention::Sizes;
use super::settings::Settings;
use super::writer::At;
use crate::plan::AttentionSettings;
use crate::program::View;

const WARPS: u64 = 4;
/// Threads of a block.
pub(super) const THREADS: u64 = 32 * WARPS;
/// Rows of a fragment.
const FRAGMENT: u64 = 16;
/// Elements of a copy: 16 bytes.
const COPY: u64 = 8;
/// The widest heads whose sums fit registers.
const WIDEST: u64 = 128;
/// Tokens are counted in 32 bits.
const LONGEST: u64 = 1 << 30;

/// Which kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Forward,
    Queries,
    Keys,
}

/// Rows of a block, and rows of the other side in a tile.
pub(super) struct Tiling {
    row_groups: u64,
    tile: u64,
    /// Whether the block's rows stay in registers.
    is_held: bool,
}

/// Whether operands are of the one form that tensor cores take: 16-bit floats of one type, in rows that begin at 16 bytes.
pub(super) fn applies(at: &At<'_>, sizes: &Sizes, operands: &[&View]) -> bool {
    let fits = |width: u64| width.is_multiple_of(FRAGMENT) && width <= WIDEST;
    let Some(first) = operands.first().map(|view| at.dtype(view)) else { return false };
    first.is_half()
        && fits(sizes.depth)
        && fits(sizes.width)
        && sizes.queries.max(sizes.keys) < LONGEST
        && operands.iter().all(|view| at.dtype(view) == first && has_aligned_rows(at, view))
}

fn has_aligned_rows(at: &At<'_>, view: &View) -> bool {
    let mut axes = view.shape.iter().zip(&view.strides).rev();
    let is_unit = axes.next().is_some_and(|(_, stride)| *stride == 1);
    is_unit && at.is_aligned(view, COPY) && axes.all(|(size, stride)| *size == 1 || stride.is_multiple_of(COPY))
}

impl Tiling {
    /// The largest tiles with which NVIDIA's compiler leaves nothing of a kernel in slow memory, on any architecture.
    pub fn of(pass: Pass, sizes: &Sizes, attention: &AttentionSettings) -> Tiling {
        let AttentionSettings { soft_cap, alibi, documents, order, bias, .. } = attention;
        // What is looked up for every score takes registers of its own.
        let is_plain = soft_cap.is_none() && !alibi && !documents && order.is_none() && !bias;
        let (row_groups, tile, is_held) = match (pass, sizes.depth.max(sizes.width)) {
            (Pass::Forward, ..=64) => (2, if is_plain { 64 } else { 32 }, false),
            (Pass::Forward, _) => (1, 64, false),
            (Pass::Queries | Pass::Keys, ..=64) => (1, 32, true),
            (Pass::Queries | Pass::Keys, ..=96) => (1, 32, false),
            (Pass::Queries, _) if is_plain => (1, 32, false),
            (Pass::Queries | Pass::Keys, _) => (1, 16, false),
        };
        Tiling { row_groups, tile, is_held }
    }

    /// Rows of a block.
    pub fn rows(&self) -> u64 {
        WARPS * self.row_groups * FRAGMENT
    }

    /// Bytes of shared memory: the block's rows, and two tiles of the other side.
    pub fn shared_bytes(&self, pass: Pass, sizes: &Sizes) -> u64 {
        let Sizes { depth, width, .. } = sizes;
        let row = match pass {
            Pass::Forward => *depth,
            Pass::Queries | Pass::Keys => depth + width,
        };
        let tiles = 2 * self.tile * (depth + width);
        // Of every query of a tile the statistic and `dout . out`.
        let numbers = if pass == Pass::Keys { 2 * self.tile * 2 } else { 0 };
        2 * (self.rows() * row + tiles) + 4 * numbers
    }

    pub fn print(&self, settings: &mut Settings) {
        settings.small("warps", WARPS).small("row_groups", self.row_groups).small("tile", self.tile);
        settings.flag("is_held", self.is_held);
    }
}
