//! Sets of word n-grams, and their MinHash bands.

/// Of pairs whose similarity is just the threshold, the share that must become candidates.
const RECALL: f64 = 0.99;

/// MinHash values computed at a time: they stay in registers.
const LANES: usize = 16;

/// Hashes of all runs of `length` words, sorted, each once. Words are maximal runs of characters without white space,
/// of which letters and digits count, in lower case; a Chinese, Japanese or Korean character is a word of its own.
/// A text of fewer words has one run: all of them. A text without words has none.
pub fn shingles(text: &str, length: usize) -> Vec<u64> {
    let mut hashes = runs(text, length);
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// As [`shingles`], in order of the text, repetitions included.
pub fn runs(text: &str, length: usize) -> Vec<u64> {
    let words = word_hashes(text);
    if words.is_empty() {
        return Vec::new();
    }
    // A polynomial over the words' hashes, moved on by one word at a time.
    const BASE: u64 = 0x9e37_79b9_7f4a_7c15;
    let length = length.min(words.len());
    let leading = (1..length).fold(1u64, |power, _| power.wrapping_mul(BASE));
    let mut rolling = words[..length].iter().fold(0u64, |sum, &word| sum.wrapping_mul(BASE).wrapping_add(word));
    let mut hashes = Vec::with_capacity(words.len() - length + 1);
    hashes.push(mixed(rolling));
    for next in length..words.len() {
        rolling = rolling.wrapping_sub(words[next - length].wrapping_mul(leading));
        rolling = rolling.wrapping_mul(BASE).wrapping_add(words[next]);
        hashes.push(mixed(rolling));
    }
    hashes
}

/// A word's hash while it is read: eight bytes at a time are mixed in.
#[derive(Default)]
struct Word {
    hash: u64,
    waiting: u64,
}

impl Word {
    fn push(&mut self, byte: u8) {
        self.waiting = self.waiting << 8 | u64::from(byte);
        if self.waiting >> 56 != 0 {
            self.fold();
        }
    }

    fn push_wide(&mut self, character: char) {
        self.fold();
        self.waiting = u64::from(u32::from(character));
        self.fold();
    }

    fn fold(&mut self) {
        self.hash = mixed(self.hash ^ self.waiting);
        self.waiting = 0;
    }

    /// Ends the word, if there is one.
    fn end(&mut self, words: &mut Vec<u64>) {
        if self.hash != 0 || self.waiting != 0 {
            self.fold();
            words.push(self.hash);
            self.hash = 0;
        }
    }
}

/// What an ASCII character does to a word: `SPACE` ends it, 0 does nothing, all else is its lower case.
const fn ascii() -> [u8; 128] {
    let mut table = [0; 128];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() {
            table[byte as usize] = byte.to_ascii_lowercase();
        } else if byte.is_ascii_whitespace() {
            table[byte as usize] = SPACE;
        }
        byte += 1;
    }
    table
}

const SPACE: u8 = b' ';
static ASCII: [u8; 128] = ascii();

fn word_hashes(text: &str) -> Vec<u64> {
    let mut words = Vec::with_capacity(text.len() / 6 + 1);
    let mut word = Word::default();
    for character in text.chars() {
        if character.is_ascii() {
            match ASCII[character as usize] {
                0 => {}
                SPACE => word.end(&mut words),
                lower => word.push(lower),
            }
        } else if is_ideograph(character) {
            word.end(&mut words);
            word.push_wide(character);
            word.end(&mut words);
        } else if character.is_alphanumeric() {
            character.to_lowercase().for_each(|lower| word.push_wide(lower));
        } else if character.is_whitespace() {
            word.end(&mut words);
        }
    }
    word.end(&mut words);
    words
}

fn is_ideograph(character: char) -> bool {
    matches!(u32::from(character), 0x3040..=0x30ff | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xac00..=0xd7a3 | 0x20000..=0x3ffff)
}

/// The finaliser of MurmurHash3: every bit of the input changes every bit of the output.
fn mixed(mut hash: u64) -> u64 {
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xff51_afd7_ed55_8ccd);
    hash ^= hash >> 33;
    hash = hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// |A and B| / |A or B| of two sorted sets; 0 if both are empty.
pub fn jaccard(a: &[u64], b: &[u64]) -> f64 {
    let (mut i, mut j, mut common) = (0, 0, 0);
    while i < a.len() && j < b.len() {
        common += usize::from(a[i] == b[j]);
        let (left, right) = (a[i], b[j]);
        i += usize::from(left <= right);
        j += usize::from(right <= left);
    }
    let union = a.len() + b.len() - common;
    if union == 0 { 0.0 } else { common as f64 / union as f64 }
}

/// Computes the bands of a document.
#[derive(Debug)]
pub struct Signer {
    rows: usize,
    bands: usize,
    /// A mask and an odd factor for each MinHash value, in whole groups of [`LANES`].
    keys: Vec<([u32; LANES], [u32; LANES])>,
}

impl Signer {
    /// As many rows a band as `hashes` values allow while a pair at `threshold` becomes a candidate with
    /// probability 0.99: more rows mean fewer candidates to compare.
    pub fn new(threshold: f64, hashes: usize) -> Signer {
        let bands_for = |rows: usize| -> usize {
            let missed = 1.0 - threshold.powi(rows as i32);
            if missed <= 0.0 { 1 } else { ((1.0 - RECALL).ln() / missed.ln()).ceil().max(1.0) as usize }
        };
        let rows = (1..=16).rev().find(|&rows| rows * bands_for(rows) <= hashes).unwrap_or(1);
        let bands = bands_for(rows).min(hashes / rows);
        let mut state = 0x5eed_u64;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed(state) as u32
        };
        let mut group = || (std::array::from_fn(|_| next()), std::array::from_fn(|_| 0));
        let mut keys: Vec<([u32; LANES], [u32; LANES])> =
            (0..(rows * bands).div_ceil(LANES)).map(|_| group()).collect();
        for (_, factors) in &mut keys {
            factors.iter_mut().for_each(|factor| *factor = next() | 1);
        }
        Signer { rows, bands, keys }
    }

    /// Values of a document.
    pub fn bands(&self) -> usize {
        self.bands
    }

    /// MinHash values that one band stands for.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The probability that a pair of this similarity becomes a candidate: `1 - (1 - s^rows)^bands`.
    pub fn recall(&self, similarity: f64) -> f64 {
        1.0 - (1.0 - similarity.powi(self.rows as i32)).powi(self.bands as i32)
    }

    /// One hash for each band of the set's MinHash values; all `u32::MAX` for the empty set. Order and repetitions
    /// change nothing.
    pub fn bands_of(&self, shingles: &[u64]) -> Vec<u32> {
        if shingles.is_empty() {
            return vec![u32::MAX; self.bands];
        }
        let values: Vec<u32> = self.keys.iter().flat_map(|(masks, factors)| minima(shingles, masks, factors)).collect();
        let hash = |band: &[u32]| {
            let folded = band.iter().fold(0u64, |sum, &value| mixed(sum ^ u64::from(value)));
            // The largest value is that of the empty set.
            (folded as u32).min(u32::MAX - 1)
        };
        values.chunks_exact(self.rows).take(self.bands).map(hash).collect()
    }
}

/// The smallest value of each of the hash functions `x -> (x ^ mask) * factor mod 2^32` over the set.
fn minima(shingles: &[u64], masks: &[u32; LANES], factors: &[u32; LANES]) -> [u32; LANES] {
    let mut smallest = [u32::MAX; LANES];
    for &shingle in shingles {
        let shingle = shingle as u32;
        for lane in 0..LANES {
            smallest[lane] = smallest[lane].min((shingle ^ masks[lane]).wrapping_mul(factors[lane]));
        }
    }
    smallest
}
