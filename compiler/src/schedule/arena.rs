//! Puts buffers with known lifetimes at fixed offsets in one region.
//!
//! An instance of dynamic storage allocation (Buchsbaum et al. 2003): buffers alive at the same time must not overlap. Two
//! heuristics are tried and the smaller region wins: best fit in order of birth, which is usually already as small as
//! the sum of what is alive, and lowest fit in order of size, largest first.

use std::collections::BTreeSet;

/// Every offset is a multiple of this many bytes: a cache line, and the widest vector.
pub(super) const ALIGNMENT: u64 = 64;

/// A buffer to be placed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    /// Bytes.
    pub(super) bytes: u64,
    /// First step at which it is alive.
    pub(super) birth: usize,
    /// Last step at which it is alive.
    pub(super) death: usize,
}

/// Offsets of all buffers and the bytes of the region.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Placement {
    pub(super) offsets: Vec<u64>,
    pub(super) bytes: u64,
}

/// Places buffers; every size counts rounded up to [`ALIGNMENT`].
pub(super) fn place(spans: &[Span]) -> Placement {
    let rounded: Vec<Span> =
        spans.iter().map(|span| Span { bytes: span.bytes.next_multiple_of(ALIGNMENT), ..*span }).collect();
    let by_birth = best_fit_by_birth(&rounded);
    if by_birth.bytes == most_alive(&rounded).1 {
        return by_birth;
    }
    let by_size = lowest_fit_by_size(&rounded);
    if by_size.bytes < by_birth.bytes { by_size } else { by_birth }
}

/// The step at which most bytes are alive, and how many: no placement is smaller.
pub(super) fn most_alive(spans: &[Span]) -> (usize, u64) {
    let mut changes: Vec<(usize, bool, u64)> = Vec::with_capacity(2 * spans.len());
    for span in spans {
        changes.push((span.birth, true, span.bytes));
        changes.push((span.death + 1, false, span.bytes));
    }
    // Deaths before births of the same step.
    changes.sort_unstable();
    let (mut alive, mut most) = (0, (0, 0));
    for (step, born, bytes) in changes {
        if born {
            alive += bytes;
            if alive > most.1 {
                most = (step, alive);
            }
        } else {
            alive -= bytes;
        }
    }
    most
}

/// In order of birth: the smallest free gap that fits, else the end of the region.
fn best_fit_by_birth(spans: &[Span]) -> Placement {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&index| (spans[index].birth, std::cmp::Reverse(spans[index].bytes), index));
    let mut gaps = Gaps::default();
    let mut alive: BTreeSet<(usize, usize)> = BTreeSet::new();
    let mut offsets = vec![0; spans.len()];
    for index in order {
        let span = spans[index];
        while let Some(&(death, dead)) = alive.first() {
            if death >= span.birth {
                break;
            }
            alive.pop_first();
            gaps.free(offsets[dead], spans[dead].bytes);
        }
        offsets[index] = gaps.take(span.bytes);
        alive.insert((span.death, index));
    }
    Placement { offsets, bytes: gaps.end }
}

/// The free gaps of a region that grows at its end.
#[derive(Default)]
struct Gaps {
    by_size: BTreeSet<(u64, u64)>,
    by_offset: BTreeSet<(u64, u64)>,
    end: u64,
}

impl Gaps {
    /// Offset of `bytes` bytes, which are no longer free.
    fn take(&mut self, bytes: u64) -> u64 {
        if bytes == 0 {
            return 0;
        }
        if let Some(&(size, offset)) = self.by_size.range((bytes, 0)..).next() {
            self.remove(offset, size);
            if size > bytes {
                self.insert(offset + bytes, size - bytes);
            }
            return offset;
        }
        // A gap at the end of the region can grow.
        let offset = match self.by_offset.last() {
            Some(&(offset, size)) if offset + size == self.end => {
                self.remove(offset, size);
                offset
            }
            _ => self.end,
        };
        self.end = offset + bytes;
        offset
    }

    /// Gives bytes back, joined with the gaps beside them.
    fn free(&mut self, mut offset: u64, mut bytes: u64) {
        if bytes == 0 {
            return;
        }
        if let Some(&(before, size)) = self.by_offset.range(..(offset, 0)).next_back()
            && before + size == offset
        {
            self.remove(before, size);
            offset = before;
            bytes += size;
        }
        if let Some(&(after, size)) = self.by_offset.range((offset, 0)..).next()
            && after == offset + bytes
        {
            self.remove(after, size);
            bytes += size;
        }
        self.insert(offset, bytes);
    }

    fn insert(&mut self, offset: u64, bytes: u64) {
        self.by_size.insert((bytes, offset));
        self.by_offset.insert((offset, bytes));
    }

    fn remove(&mut self, offset: u64, bytes: u64) {
        self.by_size.remove(&(bytes, offset));
        self.by_offset.remove(&(offset, bytes));
    }
}

/// Largest first: the lowest offset where nothing alive at the same time lies.
fn lowest_fit_by_size(spans: &[Span]) -> Placement {
    let mut order: Vec<usize> = (0..spans.len()).collect();
    order.sort_by_key(|&index| (std::cmp::Reverse(spans[index].bytes), spans[index].birth, index));
    // (offset, index) of what is placed, ascending.
    let mut placed: Vec<(u64, usize)> = Vec::with_capacity(spans.len());
    let mut offsets = vec![0; spans.len()];
    let mut end = 0;
    for index in order {
        let span = spans[index];
        let mut offset = 0;
        for &(start, other) in &placed {
            let other = spans[other];
            if other.death < span.birth || span.death < other.birth {
                continue;
            }
            if start >= offset + span.bytes {
                break;
            }
            offset = offset.max(start + other.bytes);
        }
        offsets[index] = offset;
        end = end.max(offset + span.bytes);
        let position = placed.partition_point(|&entry| entry < (offset, index));
        placed.insert(position, (offset, index));
    }
    Placement { offsets, bytes: end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (0u64..1000, 0usize..40, 0usize..20);
        let span = span.prop_map(|(bytes, birth, length)| Span { bytes, birth, death: birth + length });
        prop::collection::vec(span, 0..60)
    }

    fn check(spans: &[Span], placement: &Placement) -> Result<(), TestCaseError> {
        for (i, a) in spans.iter().enumerate() {
            prop_assert_eq!(placement.offsets[i] % ALIGNMENT, 0);
            prop_assert!(placement.offsets[i] + a.bytes <= placement.bytes);
            for (j, b) in spans.iter().enumerate().skip(i + 1) {
                let together = a.birth <= b.death && b.birth <= a.death;
                let apart = placement.offsets[i] + a.bytes <= placement.offsets[j]
                    || placement.offsets[j] + b.bytes <= placement.offsets[i];
                prop_assert!(!together || apart, "{a:?} and {b:?} overlap");
            }
        }
        Ok(())
    }

    proptest! {
        #[test]
        fn what_lives_together_lies_apart(spans in spans()) {
            let rounded: Vec<Span> =
                spans.iter().map(|s| Span { bytes: s.bytes.next_multiple_of(ALIGNMENT), ..*s }).collect();
            for placement in [best_fit_by_birth(&rounded), lowest_fit_by_size(&rounded)] {
                check(&rounded, &placement)?;
            }
            let placement = place(&spans);
            check(&spans, &placement)?;
            let lower_bound = most_alive(&rounded).1;
            prop_assert!(placement.bytes >= lower_bound);
            prop_assert!(placement.bytes <= 2 * lower_bound.max(ALIGNMENT), "{} of {lower_bound}", placement.bytes);
        }
    }

    #[test]
    fn a_freed_place_is_used_again() {
        let span = |bytes, birth, death| Span { bytes, birth, death };
        let placement = place(&[span(100, 0, 1), span(100, 1, 2), span(100, 2, 3), span(64, 3, 3)]);
        assert_eq!(placement, Placement { offsets: vec![0, 128, 0, 128], bytes: 256 });
    }
}
