//! Byte-pair encoding learned from words and their counts (Sennrich et al. 2016).
//!
//! Of all neighbours the pair that occurs most often becomes a token, of pairs with equal counts the one with the
//! smallest ids. Counts of pairs are kept up to date word by word, and each pair knows the words that held it.
//!
//! A pair's count never grows after its tokens are there: what adds to it holds the newest token. So the queue may hold
//! counts that are too high, and a pair whose count has fallen is put back when it comes out.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Two ids, as one number in their order.
type Pair = u64;

/// Learns at most `most` merges that occur `least` times or more, from words of at least one id each. The first merge
/// gets the id `next_id`, and each after it the next.
pub fn learn(words: &[(Vec<u32>, u64)], next_id: u32, most: usize, least: u64) -> Vec<(u32, u32)> {
    let mut corpus = Words::new(words);
    let mut pairs = Pairs::default();
    for word in 0..corpus.counts.len() {
        let count = corpus.counts[word] as i64;
        corpus.symbols(word).windows(2).for_each(|two| pairs.add(joined(two[0], two[1]), count, word));
    }
    let mut queue: BinaryHeap<(u64, Reverse<Pair>)> = BinaryHeap::new();
    pairs.announce(&mut queue);
    let mut merges = Vec::new();
    while merges.len() < most {
        let Some((count, Reverse(pair))) = queue.pop() else { break };
        let now = pairs.count(pair);
        if now != count {
            if now > 0 {
                queue.push((now, Reverse(pair)));
            }
            continue;
        }
        if count < least {
            break;
        }
        let id = next_id + merges.len() as u32;
        let (left, right) = ((pair >> 32) as u32, pair as u32);
        for word in pairs.take(pair) {
            let count = corpus.counts[word] as i64;
            corpus.merge(word, left, right, id, |pair, change| pairs.add(pair, change * count, word));
        }
        pairs.announce(&mut queue);
        merges.push((left, right));
    }
    merges
}

fn joined(left: u32, right: u32) -> Pair {
    u64::from(left) << 32 | u64::from(right)
}

/// Words one after another, each in the place that it had at first.
struct Words {
    symbols: Vec<u32>,
    starts: Vec<usize>,
    lengths: Vec<usize>,
    counts: Vec<u64>,
}

impl Words {
    fn new(words: &[(Vec<u32>, u64)]) -> Words {
        let mut starts = Vec::with_capacity(words.len());
        let mut symbols = Vec::with_capacity(words.iter().map(|(word, _)| word.len()).sum());
        for (word, _) in words {
            starts.push(symbols.len());
            symbols.extend_from_slice(word);
        }
        let lengths = words.iter().map(|(word, _)| word.len()).collect();
        Words { symbols, starts, lengths, counts: words.iter().map(|(_, count)| *count).collect() }
    }

    fn symbols(&self, word: usize) -> &[u32] {
        &self.symbols[self.starts[word]..][..self.lengths[word]]
    }

    /// Makes `left` and `right` to `id` wherever they are neighbours, and tells how often which pairs came and went.
    fn merge(&mut self, word: usize, left: u32, right: u32, id: u32, mut changed: impl FnMut(Pair, i64)) {
        let symbols = &mut self.symbols[self.starts[word]..][..self.lengths[word]];
        let (mut read, mut written) = (0, 0);
        while read < symbols.len() {
            let here = symbols[read];
            if here != left || symbols.get(read + 1) != Some(&right) {
                symbols[written] = here;
                (read, written) = (read + 1, written + 1);
                continue;
            }
            if let Some(&before) = written.checked_sub(1).and_then(|before| symbols.get(before)) {
                changed(joined(before, left), -1);
                changed(joined(before, id), 1);
            }
            if let Some(&after) = symbols.get(read + 2) {
                changed(joined(right, after), -1);
                changed(joined(id, after), 1);
            }
            symbols[written] = id;
            (read, written) = (read + 2, written + 1);
        }
        self.lengths[word] = written;
    }
}

/// Every pair's count, and where it may be found.
#[derive(Default)]
struct Pairs {
    known: HashMap<Pair, Found, BuildHasherDefault<PairHasher>>,
    /// Pairs that are not yet in the queue.
    new: Vec<Pair>,
}

#[derive(Default)]
struct Found {
    count: i64,
    /// Ascending.
    words: Vec<usize>,
}

impl Pairs {
    fn add(&mut self, pair: Pair, change: i64, word: usize) {
        let new = &mut self.new;
        let found = self.known.entry(pair).or_insert_with(|| {
            new.push(pair);
            Found::default()
        });
        found.count += change;
        if change > 0 && found.words.last() != Some(&word) {
            found.words.push(word);
        }
    }

    fn count(&self, pair: Pair) -> u64 {
        self.known.get(&pair).map_or(0, |found| found.count.max(0) as u64)
    }

    /// The words of a pair, which is not asked for again.
    fn take(&mut self, pair: Pair) -> Vec<usize> {
        self.known.get_mut(&pair).map(|found| std::mem::take(&mut found.words)).unwrap_or_default()
    }

    /// Puts new pairs into the queue.
    fn announce(&mut self, queue: &mut BinaryHeap<(u64, Reverse<Pair>)>) {
        for pair in std::mem::take(&mut self.new) {
            let count = self.count(pair);
            if count > 0 {
                queue.push((count, Reverse(pair)));
            }
        }
    }
}

/// Multiplicative hashing (Knuth, The Art of Computer Programming 3, 6.4) of one number.
#[derive(Default)]
pub struct PairHasher(u64);

impl Hasher for PairHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.write_u64(u64::from(byte)));
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = (self.0 ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        self.0 = mixed ^ (mixed >> 32);
    }
}
