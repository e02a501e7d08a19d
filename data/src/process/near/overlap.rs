//! True Jaccard similarity of sets of hashes.

/// A set of hashes by open addressing. Its memory is used again.
#[derive(Debug, Default)]
pub struct HashedSet {
    /// A power of two, at least twice the elements; 0 is a free slot.
    slots: Vec<u64>,
    len: usize,
}

impl HashedSet {
    /// Makes it the set of these hashes, which may repeat.
    pub fn fill(&mut self, hashes: &[u64]) {
        self.slots.clear();
        self.slots.resize((2 * hashes.len()).next_power_of_two(), 0);
        self.len = 0;
        for &hash in hashes {
            self.insert(hash);
        }
    }

    /// |A and B| / |A or B| of this set and that of these hashes, which may repeat; 0 if both are empty.
    /// `other` is memory that is used again.
    pub fn jaccard(&self, hashes: &[u64], other: &mut HashedSet) -> f64 {
        other.slots.clear();
        other.slots.resize((2 * hashes.len()).next_power_of_two(), 0);
        other.len = 0;
        let common = hashes.iter().filter(|&&hash| other.insert(hash) && self.holds(hash)).count();
        let union = self.len + other.len - common;
        if union == 0 { 0.0 } else { common as f64 / union as f64 }
    }

    /// Whether it was not there.
    fn insert(&mut self, hash: u64) -> bool {
        let slot = self.slot(hash);
        let new = self.slots[slot] == 0;
        self.slots[slot] = hash.max(1);
        self.len += usize::from(new);
        new
    }

    fn holds(&self, hash: u64) -> bool {
        self.slots[self.slot(hash)] != 0
    }

    /// The slot of the hash, or a free one. 0 and 1 are taken for equal: one pair of 2^128.
    fn slot(&self, hash: u64) -> usize {
        let hash = hash.max(1);
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot] != 0 && self.slots[slot] != hash {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn similarity_is_that_of_the_sets(
            one in prop::collection::vec(1..40u64, 0..60), other in prop::collection::vec(1..40u64, 0..60)
        ) {
            let (a, b) = (BTreeSet::from_iter(&one), BTreeSet::from_iter(&other));
            let union = a.union(&b).count();
            let wanted = if union == 0 { 0.0 } else { a.intersection(&b).count() as f64 / union as f64 };
            let mut set = HashedSet::default();
            set.fill(&[1, 2, 3]);
            set.fill(&one);
            prop_assert_eq!(set.jaccard(&other, &mut HashedSet::default()), wanted);
        }
    }
}
