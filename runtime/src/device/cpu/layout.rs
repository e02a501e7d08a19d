//! Strided index spaces.

use smallvec::SmallVec;

/// Offsets of a strided index space, enumerated in row-major order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    count: usize,
    /// `(size, stride)`, outermost first; sizes of 1 are left out and neighbours that make one run are one axis.
    axes: SmallVec<[(usize, usize); 4]>,
}

impl Layout {
    /// The space of these sizes and strides, in elements.
    pub fn new(axes: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut merged: SmallVec<[(usize, usize); 4]> = SmallVec::new();
        let mut count = 1;
        for (size, stride) in axes {
            count *= size;
            if size == 1 {
                continue;
            }
            match merged.last_mut() {
                Some(outer) if outer.1 == size * stride => *outer = (outer.0 * size, stride),
                _ => merged.push((size, stride)),
            }
        }
        Layout { count, axes: merged }
    }

    /// Number of elements.
    pub fn count(&self) -> usize {
        self.count
    }

    /// `(size, stride)` of the axes left, outermost first.
    pub fn axes(&self) -> &[(usize, usize)] {
        &self.axes
    }

    /// Whether the elements lie side by side.
    #[inline]
    pub fn is_contiguous(&self) -> bool {
        matches!(self.axes.as_slice(), [] | [(_, 1)])
    }

    /// Offset of element `index`.
    #[inline]
    pub fn offset(&self, index: usize) -> usize {
        match self.axes.as_slice() {
            [] => 0,
            [(_, stride)] => index * stride,
            axes => {
                let mut rest = index;
                let mut offset = 0;
                for &(size, stride) in axes.iter().rev() {
                    offset += rest % size * stride;
                    rest /= size;
                }
                offset
            }
        }
    }

    /// Calls `visit(position, offset, stride, length)` for the runs along the innermost axis that make up the
    /// elements `start..start + length`; `position` counts from `start`.
    #[inline(always)]
    pub fn runs(&self, start: usize, length: usize, mut visit: impl FnMut(usize, usize, usize, usize)) {
        let (size, stride) = self.axes.last().copied().unwrap_or((self.count, 0));
        let mut position = 0;
        while position < length {
            let index = start + position;
            let run = (size - index % size).min(length - position);
            visit(position, self.offset(index), stride, run);
            position += run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_axes_merge() {
        assert_eq!(Layout::new([(2, 12), (3, 4), (4, 1)]).axes(), [(24, 1)]);
        assert_eq!(Layout::new([(2, 0), (3, 0), (1, 9), (4, 1)]).axes(), [(6, 0), (4, 1)]);
        assert!(Layout::new([(1, 5), (1, 3)]).axes().is_empty());
    }

    #[test]
    fn offsets_and_runs_walk_in_row_major_order() {
        let (sizes, strides) = ([3, 2, 5], [100, 7, 1]);
        let layout = Layout::new(sizes.into_iter().zip(strides));
        let mut expected = Vec::new();
        for a in 0..3 {
            for b in 0..2 {
                for c in 0..5 {
                    expected.push(a * 100 + b * 7 + c);
                }
            }
        }
        let found: Vec<usize> = (0..layout.count()).map(|index| layout.offset(index)).collect();
        assert_eq!(found, expected);
        let mut seen = vec![0; 17];
        layout.runs(4, 17, |position, offset, stride, run| {
            for step in 0..run {
                seen[position + step] = offset + step * stride;
            }
        });
        assert_eq!(seen, expected[4..21]);
    }
}
