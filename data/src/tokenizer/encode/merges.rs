//! Byte-pair merging (Sennrich et al. 2016): of all neighbours the pair with the lowest rank is merged, the leftmost
//! first, until no pair has a rank.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Up to this many parts the lowest rank is looked for by going over all; above, a heap holds them.
const SHORT: usize = 64;

/// The rank of a pair that is never merged.
const NEVER: u32 = u32::MAX;

/// No part.
const NONE: usize = usize::MAX;

/// Pairs of ids, their ranks and what they become: a hash table with open addressing.
#[derive(Debug)]
pub struct Merges {
    slots: Vec<Merge>,
    shift: u32,
}

#[derive(Debug, Clone, Copy)]
struct Merge {
    pair: u64,
    rank: u32,
    id: u32,
}

const EMPTY: Merge = Merge { pair: 0, rank: NEVER, id: 0 };

impl Merges {
    /// The pairs in the order of their ranks, each with the id it becomes. Of equal pairs the last counts.
    pub fn new(pairs: &[((u32, u32), u32)]) -> Merges {
        let size = (pairs.len() * 2).next_power_of_two().max(2);
        let mut merges = Merges { slots: vec![EMPTY; size], shift: 64 - size.trailing_zeros() };
        for (rank, &((left, right), id)) in pairs.iter().enumerate() {
            let pair = joined(left, right);
            let place = merges.place(pair);
            merges.slots[place] = Merge { pair, rank: rank as u32, id };
        }
        merges
    }

    /// Where a pair is, or would be.
    fn place(&self, pair: u64) -> usize {
        // Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4): the high bits are the mixed ones.
        let mut place = (pair.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> self.shift) as usize;
        while self.slots[place].rank != NEVER && self.slots[place].pair != pair {
            place = (place + 1) & (self.slots.len() - 1);
        }
        place
    }

    fn get(&self, left: u32, right: u32) -> Merge {
        self.slots[self.place(joined(left, right))]
    }

    /// Merges `parts` as far as it goes and appends what is left to `ids`.
    pub fn apply(&self, parts: impl Iterator<Item = u32>, scratch: &mut Scratch, ids: &mut Vec<u32>) {
        scratch.parts.clear();
        scratch.parts.extend(parts.map(|id| Part { id, rank: NEVER, merged: 0, before: NONE, after: NONE }));
        let parts = &mut scratch.parts;
        for place in 1..parts.len() {
            let merge = self.get(parts[place - 1].id, parts[place].id);
            (parts[place - 1].rank, parts[place - 1].merged) = (merge.rank, merge.id);
        }
        if parts.len() <= SHORT {
            self.apply_short(parts);
            ids.extend(parts.iter().map(|part| part.id));
        } else {
            self.apply_long(parts, &mut scratch.heap);
            let mut place = 0;
            while let Some(part) = parts.get(place) {
                ids.push(part.id);
                place = part.after;
            }
        }
    }

    fn apply_short(&self, parts: &mut Vec<Part>) {
        loop {
            let mut lowest = (NEVER, 0);
            for (place, part) in parts.iter().enumerate() {
                if part.rank < lowest.0 {
                    lowest = (part.rank, place);
                }
            }
            let (rank, place) = lowest;
            if rank == NEVER {
                return;
            }
            parts[place].id = parts[place].merged;
            parts.remove(place + 1);
            self.rank(parts, place, place + 1);
            if let Some(before) = place.checked_sub(1) {
                self.rank(parts, before, place);
            }
        }
    }

    fn apply_long(&self, parts: &mut [Part], heap: &mut BinaryHeap<Reverse<(u32, usize)>>) {
        let length = parts.len();
        for (place, part) in parts.iter_mut().enumerate() {
            part.before = place.checked_sub(1).unwrap_or(NONE);
            part.after = if place + 1 < length { place + 1 } else { NONE };
        }
        heap.clear();
        heap.extend(parts.iter().enumerate().map(|(place, part)| Reverse((part.rank, place))));
        while let Some(Reverse((rank, place))) = heap.pop() {
            if rank == NEVER {
                return;
            }
            // An entry of a pair that is there no more.
            if parts[place].rank != rank {
                continue;
            }
            let eaten = parts[place].after;
            let after = parts[eaten].after;
            parts[eaten].rank = NEVER;
            (parts[place].id, parts[place].after) = (parts[place].merged, after);
            if after != NONE {
                parts[after].before = place;
            }
            self.rank(parts, place, after);
            heap.push(Reverse((parts[place].rank, place)));
            let before = parts[place].before;
            if before != NONE {
                self.rank(parts, before, place);
                heap.push(Reverse((parts[before].rank, before)));
            }
        }
    }

    /// Ranks the pair of a part and the one after it, which may not be there.
    fn rank(&self, parts: &mut [Part], place: usize, after: usize) {
        let merge = parts.get(after).map_or(EMPTY, |after| self.get(parts[place].id, after.id));
        (parts[place].rank, parts[place].merged) = (merge.rank, merge.id);
    }
}

fn joined(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

/// A token on the way.
#[derive(Debug, Clone, Copy)]
struct Part {
    id: u32,
    /// Of the pair of it and the part after it, and what that becomes.
    rank: u32,
    merged: u32,
    before: usize,
    after: usize,
}

/// Memory that merging uses again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    parts: Vec<Part>,
    heap: BinaryHeap<Reverse<(u32, usize)>>,
}
