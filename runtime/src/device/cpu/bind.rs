//! Turns a step's views into windows and proves that they may be used as `operand.rs` uses them.
#![allow(unsafe_code)]

use llmc_compiler::plan::DType;
use llmc_compiler::program::{Kernel, Program, Region, Step, View};
use smallvec::SmallVec;

use super::arena::Arena;
use super::window::{Bound, Window};
use crate::device::DeviceError;

/// A view as a set of element numbers of a region.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Extent {
    region: Region,
    /// First element of the buffer, at which the digits of [`Extent::digits`] count from zero.
    base: u64,
    first: u64,
    axes: SmallVec<[(u64, u64); 4]>,
}

impl Extent {
    /// Number of the last element.
    fn last(&self) -> u64 {
        self.first + self.axes.iter().map(|(size, stride)| (size - 1) * stride).sum::<u64>()
    }

    /// True if both are the same elements in the same order.
    fn is_same(&self, other: &Extent) -> bool {
        self.region == other.region && self.first == other.first && self.axes == other.axes
    }

    /// True if no element is met twice, as far as this can be told from nested axes.
    fn is_injective(&self) -> bool {
        let mut axes: SmallVec<[(u64, u64); 4]> = self.axes.iter().copied().filter(|axis| axis.0 > 1).collect();
        axes.sort_by_key(|axis| axis.1);
        let mut reach = 0;
        for (size, stride) in axes {
            if stride <= reach {
                return false;
            }
            reach += (size - 1) * stride;
        }
        true
    }

    /// True if the two certainly share no element: they lie apart, or their digits in the mixed radix of all strides differ.
    fn is_apart(&self, other: &Extent) -> bool {
        if self.region != other.region || self.last() < other.first || other.last() < self.first {
            return true;
        }
        let mut radix: SmallVec<[u64; 8]> =
            self.axes.iter().chain(&other.axes).filter(|axis| axis.0 > 1 && axis.1 > 0).map(|axis| axis.1).collect();
        radix.sort_unstable_by(|a, b| b.cmp(a));
        radix.dedup();
        let base = self.base.min(other.base);
        let (Some(mine), Some(theirs)) = (self.digits(base, &radix), other.digits(base, &radix)) else {
            return false;
        };
        mine.iter().zip(&theirs).any(|(a, b)| a.1 < b.0 || b.1 < a.0)
    }

    /// First and last value of every digit of the distances from `base` in a mixed radix (descending), the units last; none if digits would carry.
    fn digits(&self, base: u64, radix: &[u64]) -> Option<SmallVec<[(u64, u64); 8]>> {
        let mut rest = self.first - base;
        let mut digits: SmallVec<[(u64, u64); 8]> = SmallVec::new();
        for &unit in radix {
            let grow: u64 = self.axes.iter().filter(|axis| axis.1 == unit).map(|axis| axis.0 - 1).sum();
            digits.push((rest / unit, rest / unit + grow));
            rest %= unit;
        }
        digits.push((rest, rest));
        let mut below = rest;
        for (index, &unit) in radix.iter().enumerate().rev() {
            if below >= unit {
                return None;
            }
            below += digits[index].1 * unit;
        }
        Some(digits)
    }
}

/// Address space of a device: the two arenas.
#[derive(Debug)]
pub struct Memory {
    /// Persistent region.
    pub persistent: Arena,
    /// Scratch region.
    pub scratch: Arena,
}

impl Memory {
    fn arena(&self, region: Region) -> &Arena {
        match region {
            Region::Persistent => &self.persistent,
            Region::Scratch => &self.scratch,
        }
    }

    /// The window of a view, proved to lie inside its buffer and the buffer inside its arena.
    pub fn window(&self, program: &Program, view: &View) -> Result<Window, DeviceError> {
        Ok(self.window_and_extent(program, view)?.0)
    }

    fn window_and_extent(&self, program: &Program, view: &View) -> Result<(Window, Extent), DeviceError> {
        let fault = |reason: &str| DeviceError::Program(format!("{}: {reason}: {view:?}", program.name));
        let buffer = program.buffers.get(view.buffer).ok_or_else(|| fault("unknown buffer"))?;
        let arena = self.arena(buffer.region);
        if view.shape.len() != view.strides.len() || !buffer.offset.is_multiple_of(4) {
            return Err(fault("malformed view"));
        }
        if view.shape.contains(&0) {
            return Err(fault("empty view"));
        }
        let axes: SmallVec<[(u64, u64); 4]> = view.shape.iter().copied().zip(view.strides.iter().copied()).collect();
        let last = axes.iter().try_fold(view.offset, |sum, (size, stride)| {
            (size - 1).checked_mul(*stride).and_then(|reach| sum.checked_add(reach))
        });
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(4)).ok_or_else(|| fault("overflow"))?;
        let inside = buffer.offset.checked_add(buffer.bytes).is_some_and(|end| end <= arena.bytes());
        if end > buffer.bytes || !inside {
            return Err(fault("view outside its buffer"));
        }
        let base = buffer.offset / 4;
        let first = base + view.offset;
        let window = Window {
            // SAFETY: the first element lies inside the arena, as was just checked.
            pointer: unsafe { arena.pointer().add(first as usize) },
            shape: view.shape.iter().map(|&size| size as usize).collect(),
            strides: view.strides.iter().map(|&stride| stride as usize).collect(),
            integer: buffer.dtype == DType::I32,
        };
        Ok((window, Extent { region: buffer.region, base, first, axes }))
    }

    /// Binds the operands of a step.
    pub fn bind(&self, program: &Program, step: &Step) -> Result<Bound, DeviceError> {
        let fault = |reason: String| {
            DeviceError::Program(format!("{} at {} ({}): {reason}", program.name, step.origin.path, step.origin.place))
        };
        let resolve = |view: &View| self.window_and_extent(program, view);
        let reads = step.reads.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        let writes = step.writes.iter().map(resolve).collect::<Result<Vec<_>, _>>()?;
        if writes.len() > 64 {
            return Err(fault("more than 64 writes".to_owned()));
        }
        let mut in_place = vec![false; reads.len()];
        for (index, (window, extent)) in writes.iter().enumerate() {
            let may_be_integer = matches!(step.kernel, Kernel::Loop(_) | Kernel::Pattern(_) | Kernel::TopK { .. });
            if (window.integer && !may_be_integer) || !extent.is_injective() {
                return Err(fault(format!("write {index} meets an element twice or is not of floats")));
            }
            for (other, (_, second)) in writes.iter().enumerate().take(index) {
                if !extent.is_apart(second) {
                    return Err(fault(format!("writes {other} and {index} overlap")));
                }
            }
            for (other, (_, read)) in reads.iter().enumerate() {
                if extent.is_apart(read) {
                    continue;
                }
                if !extent.is_same(read) || !may_be_in_place(step, other, index) {
                    return Err(fault(format!("read {other} and write {index} overlap")));
                }
                in_place[other] = true;
            }
        }
        let windows = |list: Vec<(Window, Extent)>| list.into_iter().map(|(window, _)| window).collect();
        Ok(Bound { reads: windows(reads), in_place, writes: windows(writes) })
    }
}

/// Whether a kernel may find a read in the place of a write.
fn may_be_in_place(step: &Step, read: usize, write: usize) -> bool {
    match &step.kernel {
        Kernel::Loop(_) => true,
        Kernel::LoopNorm { centred, .. } => write > 0 && read + 1 + usize::from(*centred) < step.reads.len(),
        Kernel::Rotate { .. } | Kernel::CrossEntropyGrad { .. } | Kernel::Random { .. } => read == 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(first: u64, axes: &[(u64, u64)]) -> Extent {
        Extent { region: Region::Scratch, base: 0, first, axes: axes.iter().copied().collect() }
    }

    fn elements(extent: &Extent) -> Vec<u64> {
        extent.axes.iter().fold(vec![extent.first], |found, &(size, stride)| {
            found.iter().flat_map(|&at| (0..size).map(move |step| at + step * stride)).collect()
        })
    }

    #[test]
    fn slices_of_one_buffer_are_apart() {
        // Query, key and value parts of `[6, 3, 4]`.
        let part = |index: u64| extent(index * 4, &[(6, 12), (4, 1)]);
        assert!(part(0).is_apart(&part(1)) && part(2).is_apart(&part(1)));
        assert!(!part(1).is_apart(&part(1)));
        assert!(!extent(0, &[(6, 12), (5, 1)]).is_apart(&part(1)));
        assert!(!extent(0, &[(3, 0)]).is_injective());
    }

    proptest::proptest! {
        #[test]
        fn verdicts_are_never_wrongly_favourable(
            first in (0u64..20, proptest::collection::vec((1u64..5, 0u64..20), 0..3)),
            second in (0u64..20, proptest::collection::vec((1u64..5, 0u64..20), 0..3)),
        ) {
            let (a, b) = (extent(first.0, &first.1), extent(second.0, &second.1));
            let (mut left, right) = (elements(&a), elements(&b));
            if a.is_apart(&b) {
                assert!(left.iter().all(|element| !right.contains(element)));
            }
            if a.is_injective() {
                left.sort_unstable();
                assert!(left.windows(2).all(|pair| pair[0] != pair[1]));
            }
        }
    }
}
