//! Keys that were seen, and which of them are new.

use std::collections::HashSet;

/// A set that can tell what has come to it.
#[derive(Debug, Default)]
pub struct Keys {
    seen: HashSet<u64>,
    new: Vec<u64>,
}

impl Keys {
    /// Whether the key is new.
    pub fn insert(&mut self, key: u64) -> bool {
        let new = self.seen.insert(key);
        if new {
            self.new.push(key);
        }
        new
    }

    /// The new keys since the last time, 8 bytes each.
    pub fn learned(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.new).into_iter().flat_map(u64::to_le_bytes).collect()
    }

    /// Takes what was learned.
    pub fn remember(&mut self, learned: &[u8]) {
        let (keys, _) = learned.as_chunks::<8>();
        self.seen.extend(keys.iter().map(|key| u64::from_le_bytes(*key)));
    }
}
