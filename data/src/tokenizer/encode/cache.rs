//! Words that have been encoded before.

/// Longer words are not kept.
pub const LONGEST_WORD: usize = 31;

/// Words of more ids are not kept.
const MOST_IDS: usize = 7;

/// A power of two. All slots together take 2 MiB.
const SLOTS: usize = 1 << 15;

/// A word, filled up with zeros, and its length in the last byte.
type Key = [u8; LONGEST_WORD + 1];

/// Each word has one slot, which it takes from the word that was there: of two words with the same slot the one that
/// came last is found, and what is found never depends on anything but the word.
#[derive(Debug)]
pub struct WordCache {
    slots: Vec<Slot>,
}

/// Fills one line of the processor's cache.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Slot {
    key: Key,
    ids: [u32; MOST_IDS],
    /// 0 where there is no word.
    count: u8,
}

impl WordCache {
    /// An empty cache.
    pub fn new() -> WordCache {
        WordCache { slots: vec![Slot { key: [0; LONGEST_WORD + 1], ids: [0; MOST_IDS], count: 0 }; SLOTS] }
    }

    /// Appends the ids of `word`, from the cache or from `encode`.
    pub fn append(&mut self, word: &[u8], ids: &mut Vec<u32>, encode: impl FnOnce(&mut Vec<u32>)) {
        if word.len() > LONGEST_WORD {
            return encode(ids);
        }
        let mut key: Key = [0; LONGEST_WORD + 1];
        key[..word.len()].copy_from_slice(word);
        key[LONGEST_WORD] = word.len() as u8;
        let slot = &mut self.slots[place(&key)];
        if slot.count > 0 && slot.key == key {
            ids.extend_from_slice(&slot.ids[..usize::from(slot.count)]);
            return;
        }
        let start = ids.len();
        encode(ids);
        let encoded = &ids[start..];
        if encoded.len() <= MOST_IDS {
            slot.key = key;
            slot.ids[..encoded.len()].copy_from_slice(encoded);
            slot.count = encoded.len() as u8;
        }
    }
}

/// The slot of a word: its eight-byte parts one after another through a multiplication.
fn place(key: &Key) -> usize {
    let mut hash = 0u64;
    for part in key.as_chunks::<8>().0 {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*part)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
    (hash >> (64 - SLOTS.trailing_zeros())) as usize
}
