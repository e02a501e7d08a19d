//! Geometry of strided views: what costs nothing because it only changes offset, sizes and strides.

use smallvec::SmallVec;

use crate::op::Shape;
use crate::program::{BufferId, View};

impl View {
    /// A whole row-major tensor from the start of a buffer.
    pub fn contiguous(buffer: BufferId, shape: &[u64]) -> View {
        let mut view = View { buffer, offset: 0, shape: shape.into(), strides: SmallVec::from_elem(0, shape.len()) };
        let mut step = 1;
        for axis in (0..shape.len()).rev() {
            view.strides[axis] = step;
            step *= shape[axis];
        }
        view
    }

    /// Number of elements.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The last element's index in the buffer (the first is at `offset`); none without elements.
    pub fn last(&self) -> Option<u64> {
        if self.elements() == 0 {
            return None;
        }
        let reach: u64 = self.shape.iter().zip(&self.strides).map(|(size, stride)| (size - 1) * stride).sum();
        Some(self.offset + reach)
    }

    /// True if the elements lie one after another in row-major order.
    pub fn is_contiguous(&self) -> bool {
        let mut step = 1;
        for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
            if size != 1 && stride != step {
                return false;
            }
            step *= size;
        }
        true
    }

    /// True if the last axis has stride 1 (or a single element).
    pub fn has_rows(&self) -> bool {
        match (self.shape.last(), self.strides.last()) {
            (Some(&size), Some(&stride)) => size == 1 || stride == 1,
            _ => true,
        }
    }

    /// True if no two indices name the same element.
    pub fn is_injective(&self) -> bool {
        let mut axes: Vec<(u64, u64)> = self.axes();
        axes.sort_unstable();
        let mut reach = 0;
        for (stride, size) in axes {
            if stride <= reach {
                return false;
            }
            reach += (size - 1) * stride;
        }
        true
    }

    /// Axis `i` of the result is axis `axes[i]` of this view.
    pub fn permute(&self, axes: &[usize]) -> View {
        View {
            shape: axes.iter().map(|&axis| self.shape[axis]).collect(),
            strides: axes.iter().map(|&axis| self.strides[axis]).collect(),
            ..*self
        }
        .canonical()
    }

    /// The view whose [`View::permute`] by `axes` is this one.
    pub fn unpermute(&self, axes: &[usize]) -> View {
        let mut inverse = vec![0; axes.len()];
        for (position, &axis) in axes.iter().enumerate() {
            inverse[axis] = position;
        }
        self.permute(&inverse)
    }

    /// `start..start + length` of one axis.
    pub fn slice(&self, axis: usize, start: u64, length: u64) -> View {
        let mut view = self.clone();
        view.offset += start * view.strides[axis];
        view.shape[axis] = length;
        view.canonical()
    }

    /// Right-aligned broadcast: new and single axes repeat.
    pub fn expand(&self, shape: &[u64]) -> View {
        let mut view = View {
            buffer: self.buffer,
            offset: self.offset,
            shape: shape.into(),
            strides: SmallVec::from_elem(0, shape.len()),
        };
        let missing = shape.len() - self.shape.len();
        for axis in 0..self.shape.len() {
            if self.shape[axis] == shape[missing + axis] {
                view.strides[missing + axis] = self.strides[axis];
            }
        }
        view.canonical()
    }

    /// Same elements in the same row-major order under another shape; none if no strides do that.
    pub fn reshape(&self, shape: &[u64]) -> Option<View> {
        if self.elements() == 0 {
            let empty = View::contiguous(self.buffer, shape);
            return Some(View { offset: self.offset, ..empty });
        }
        let old: Vec<(u64, u64)> = (0..self.shape.len())
            .filter(|&axis| self.shape[axis] != 1)
            .map(|axis| (self.shape[axis], self.strides[axis]))
            .collect();
        let mut strides: Shape = SmallVec::from_elem(0, shape.len());
        let mut first = 0;
        let mut axis = 0;
        while axis < shape.len() {
            if shape[axis] == 1 {
                axis += 1;
                continue;
            }
            // The shortest runs of old and new axes that hold equally many elements.
            let (mut old_size, mut new_size) = (old[first].0, shape[axis]);
            let (mut last, mut end) = (first + 1, axis + 1);
            while old_size != new_size {
                if old_size < new_size {
                    if old[last - 1].1 != old[last].0 * old[last].1 {
                        return None;
                    }
                    old_size *= old[last].0;
                    last += 1;
                } else {
                    new_size *= shape[end];
                    end += 1;
                }
            }
            let mut step = old[last - 1].1;
            for index in (axis..end).rev() {
                strides[index] = step;
                step *= shape[index];
            }
            (first, axis) = (last, end);
        }
        let view = View { buffer: self.buffer, offset: self.offset, shape: shape.into(), strides };
        Some(view.canonical())
    }

    /// Whether an element belongs to both views. Exact for views cut from one row-major tensor; else it may say yes
    /// where the truth is no.
    pub fn overlaps(&self, other: &View) -> bool {
        let (Some(last), Some(other_last)) = (self.last(), other.last()) else {
            return false;
        };
        if self.buffer != other.buffer || last < other.offset || other_last < self.offset {
            return false;
        }
        // Read addresses as numbers in mixed radix, one digit per stride: views with disjoint ranges in one digit are disjoint.
        let mut radix: Vec<u64> =
            self.axes().iter().chain(&other.axes()).map(|&(stride, _)| stride).filter(|&stride| stride > 0).collect();
        radix.push(1);
        radix.sort_unstable();
        radix.dedup();
        if radix.windows(2).any(|pair| pair[1] % pair[0] != 0) {
            return true;
        }
        match (self.digits(&radix), other.digits(&radix)) {
            (Some(mine), Some(theirs)) => {
                mine.iter().zip(&theirs).all(|(mine, theirs)| mine.0 <= theirs.1 && theirs.0 <= mine.1)
            }
            _ => true,
        }
    }

    /// Least and greatest digit of the addresses in every position of `radix` (ascending); none if digits carry.
    fn digits(&self, radix: &[u64]) -> Option<Vec<(u64, u64)>> {
        let mut rest = self.offset;
        let mut digits: Vec<(u64, u64)> = radix
            .iter()
            .rev()
            .map(|&unit| {
                let digit = rest / unit;
                rest %= unit;
                (digit, digit)
            })
            .collect();
        digits.reverse();
        for (stride, size) in self.axes().into_iter().filter(|&(stride, _)| stride > 0) {
            let position = radix.binary_search(&stride).ok()?;
            digits[position].1 += size - 1;
        }
        for (position, digit) in digits.iter().enumerate() {
            if radix.get(position + 1).is_some_and(|&next| (digit.1 + 1) * radix[position] > next) {
                return None;
            }
        }
        Some(digits)
    }

    /// (stride, size) of the axes that have more than one element.
    fn axes(&self) -> Vec<(u64, u64)> {
        (0..self.shape.len())
            .filter(|&axis| self.shape[axis] > 1)
            .map(|axis| (self.strides[axis], self.shape[axis]))
            .collect()
    }

    /// The same view with the strides of single axes as row-major order has them, so that equal views compare equal.
    fn canonical(mut self) -> View {
        let mut step = 1;
        for axis in (0..self.shape.len()).rev() {
            if self.shape[axis] == 1 {
                self.strides[axis] = step;
            }
            step = self.strides[axis] * self.shape[axis];
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Buffer indices of all elements in row-major order.
    fn addresses(view: &View) -> Vec<u64> {
        let mut addresses = vec![view.offset];
        for (&size, &stride) in view.shape.iter().zip(&view.strides) {
            addresses = addresses.iter().flat_map(|base| (0..size).map(move |i| base + i * stride)).collect();
        }
        addresses
    }

    fn some_view() -> impl Strategy<Value = View> {
        let sizes = prop::collection::vec(1u64..5, 1..4);
        (sizes, any::<[prop::sample::Index; 3]>(), any::<bool>()).prop_map(|(sizes, choice, swap)| {
            let mut view = View::contiguous(0, &sizes);
            let axis = choice[0].index(sizes.len());
            let start = choice[1].index(sizes[axis] as usize) as u64;
            let length = 1 + choice[2].index((sizes[axis] - start) as usize) as u64;
            view = view.slice(axis, start, length);
            if swap {
                let axes: Vec<usize> = (0..sizes.len()).rev().collect();
                view = view.permute(&axes);
            }
            view
        })
    }

    #[test]
    fn splitting_and_merging_axes_changes_only_the_view() {
        let rows = View::contiguous(0, &[4, 6]).slice(1, 2, 4);
        let split = rows.reshape(&[2, 2, 2, 2]).unwrap();
        assert_eq!(addresses(&split), addresses(&rows));
        assert_eq!(rows.reshape(&[16]), None);
        let bias = View::contiguous(0, &[6]).expand(&[2, 3, 6]);
        assert_eq!(addresses(&bias.reshape(&[6, 6]).unwrap()), addresses(&bias));
    }

    proptest! {
        #[test]
        fn reshape_keeps_every_address(view in some_view(), cut in any::<prop::sample::Index>()) {
            let elements = view.elements();
            let divisors: Vec<u64> = (1..=elements).filter(|d| elements % d == 0).collect();
            let first = divisors[cut.index(divisors.len())];
            if let Some(other) = view.reshape(&[first, 1, elements / first]) {
                prop_assert_eq!(addresses(&other), addresses(&view));
            } else {
                prop_assert!(!view.is_contiguous());
            }
        }

        #[test]
        fn overlap_is_never_missed(a in some_view(), b in some_view()) {
            let mine = addresses(&a);
            let shared = addresses(&b).iter().any(|address| mine.contains(address));
            prop_assert!(!shared || a.overlaps(&b));
            prop_assert!(a.is_injective());
        }

        #[test]
        fn slices_of_one_tensor_are_told_apart(sizes in prop::collection::vec(2u64..5, 1..4), axis in any::<prop::sample::Index>()) {
            let whole = View::contiguous(0, &sizes);
            let axis = axis.index(sizes.len());
            let (left, right) = (whole.slice(axis, 0, 1), whole.slice(axis, 1, sizes[axis] - 1));
            prop_assert!(!left.overlaps(&right));
            prop_assert!(left.overlaps(&whole) && right.overlaps(&whole));
        }
    }
}
