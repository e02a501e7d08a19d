//! Groups of documents by union-find.

use std::cell::RefCell;

/// Disjoint sets of document numbers; each is named by its smallest number.
#[derive(Debug)]
pub struct UnionFind {
    /// A number's parent, which is never larger than it.
    parents: RefCell<Vec<u32>>,
}

impl UnionFind {
    /// `count` sets of one.
    pub fn new(count: usize) -> UnionFind {
        UnionFind { parents: RefCell::new((0..count as u32).collect()) }
    }

    /// The smallest number of the set that `number` is in.
    pub fn find(&self, number: u32) -> u32 {
        let mut parents = self.parents.borrow_mut();
        let mut at = number;
        while parents[at as usize] != at {
            // Path halving.
            let next = parents[parents[at as usize] as usize];
            parents[at as usize] = next;
            at = next;
        }
        at
    }

    /// Makes one set of two.
    pub fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.find(one), self.find(other));
        let parents = self.parents.get_mut();
        parents[one.max(other) as usize] = one.min(other);
    }

    /// The finished sets.
    pub fn groups(self, notes: Vec<String>) -> Groups {
        let count = self.parents.borrow().len() as u32;
        Groups { first: (0..count).map(|number| self.find(number)).collect(), notes }
    }
}

/// Which document stands for each.
#[derive(Debug)]
pub struct Groups {
    first: Vec<u32>,
    /// How they were found.
    pub notes: Vec<String>,
}

impl Groups {
    /// For the cache: 4 bytes for each document, the notes as JSON and their length (8 bytes).
    pub fn to_bytes(&self) -> Vec<u8> {
        let notes = serde_json::to_vec(&self.notes).expect("notes are texts");
        let mut bytes: Vec<u8> = self.first.iter().flat_map(|first| first.to_le_bytes()).collect();
        bytes.extend_from_slice(&notes);
        bytes.extend_from_slice(&(notes.len() as u64).to_le_bytes());
        bytes
    }

    /// What [`Groups::to_bytes`] made.
    pub fn from_bytes(bytes: &[u8]) -> Option<Groups> {
        let (rest, length) = bytes.split_last_chunk()?;
        let (first, notes) = rest.split_at_checked(rest.len().checked_sub(u64::from_le_bytes(*length) as usize)?)?;
        let first = first.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]));
        Some(Groups { first: first.collect(), notes: serde_json::from_slice(notes).ok()? })
    }

    /// The first document of the group that `number` is in.
    pub fn first_of(&self, number: usize) -> usize {
        self.first[number] as usize
    }

    /// The first documents of the first few groups of several, in ascending order: those that examples name.
    pub fn examples(&self) -> Vec<usize> {
        let dropped = self.first.iter().enumerate().filter(|(number, first)| *number != **first as usize);
        let mut firsts: Vec<usize> = dropped.take(8).map(|(_, &first)| first as usize).collect();
        firsts.sort_unstable();
        firsts.dedup();
        firsts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_number_names_its_group_whatever_the_order() {
        for edges in [[(5, 3), (3, 1), (4, 2)], [(4, 2), (1, 3), (5, 3)]] {
            let mut sets = UnionFind::new(6);
            edges.iter().for_each(|&(one, other)| sets.join(one, other));
            let groups = sets.groups(vec!["a note".to_owned()]);
            let firsts: Vec<usize> = (0..6).map(|number| groups.first_of(number)).collect();
            assert_eq!(firsts, [0, 1, 2, 1, 2, 1]);
            assert_eq!(groups.examples(), [1, 2]);
            let again = Groups::from_bytes(&groups.to_bytes()).unwrap();
            assert_eq!((again.first, again.notes), (groups.first, groups.notes));
        }
    }
}
