//! Views with their addresses.

use smallvec::SmallVec;

use super::layout::Layout;

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

    /// Whether the last axis lies side by side and `order` names each of the others once.
    pub fn has_rows(&self, order: &[usize]) -> bool {
        let last = self.shape.len().saturating_sub(1);
        let unit = self.last() == 1 || self.strides[last] == 1;
        unit && order.len() == last && (0..last).all(|axis| order.contains(&axis))
    }

    /// Offset of the last element.
    pub fn last_offset(&self) -> usize {
        let reach = |(size, stride)| (size - 1) * stride;
        self.axes().map(reach).sum()
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

    /// The axes before the last one.
    pub fn outer(&self) -> SmallVec<[usize; 4]> {
        (0..self.shape.len().saturating_sub(1)).collect()
    }
}
