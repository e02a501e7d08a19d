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
            let groups = sets.groups(Vec::new());
            let firsts: Vec<usize> = (0..6).map(|number| groups.first_of(number)).collect();
            assert_eq!(firsts, [0, 1, 2, 1, 2, 1]);
            assert_eq!(groups.examples(), [1, 2]);
        }
    }
}
