//! Counter-based random numbers: a value depends on its key and its index alone, never on order or thread.
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

use crate::op::RandomFunction;

/// A stream of random numbers addressed by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    key: [u32; 2],
    high: u64,
}

impl Stream {
    /// The stream `stream` of `seed`.
    pub fn new(seed: u64, stream: u64) -> Self {
        Stream { key: [seed as u32, (seed >> 32) as u32], high: stream }
    }

    /// The stream of one random function of the graph at one step: dropout keeps element `i` where `uniform(i) >= rate`, and
    /// rounding takes the upper half of `word(i)`.
    pub fn at_step(function: RandomFunction, seed: u64, site: u64, step: u64) -> Self {
        Stream::new(seed ^ stream_of(function.name()), (site << 40) ^ (step & 0xff_ffff_ffff))
    }

    /// Four random words for block `index`.
    #[inline(always)]
    pub fn block(&self, index: u64) -> [u32; 4] {
        let mut counter = [index as u32, (index >> 32) as u32, self.high as u32, (self.high >> 32) as u32];
        let mut key = self.key;
        for _ in 0..10 {
            let first = u64::from(counter[0]) * 0xD251_1F53;
            let second = u64::from(counter[2]) * 0xCD9E_8D57;
            counter = [
                (second >> 32) as u32 ^ counter[1] ^ key[0],
                second as u32,
                (first >> 32) as u32 ^ counter[3] ^ key[1],
                first as u32,
            ];
            key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
        }
        counter
    }

    /// A random word for element `index`.
    pub fn word(&self, index: u64) -> u32 {
        self.block(index / 4)[(index % 4) as usize]
    }

    /// Uniform in `[0, 1)`, 24 bits, for element `index`.
    pub fn uniform(&self, index: u64) -> f32 {
        (self.word(index) >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Standard normal for element `index` (Box and Muller 1958, in f64).
    pub fn normal(&self, index: u64) -> f32 {
        let words = self.block(index / 2);
        let pair = (index % 2) as usize * 2;
        box_muller(words[pair], words[pair + 1])
    }

    /// The normals of the elements from `first` on: the same bits as [`Stream::normal`]. To be inlined into code for wide
    /// vectors, which computes many at once.
    #[inline(always)]
    pub fn normals(&self, first: u64, values: &mut [f32]) {
        let (head, rest) = values.split_at_mut(values.len().min((first % 2) as usize));
        head.iter_mut().for_each(|value| *value = self.normal(first));
        let mut block = first.div_ceil(2);
        let (groups, tail) = rest.as_chunks_mut::<{ 2 * LANES }>();
        for group in groups {
            let mut words = [[0; LANES]; 4];
            for lane in 0..LANES {
                let four = self.block(block + lane as u64);
                for (words, word) in words.iter_mut().zip(four) {
                    words[lane] = word;
                }
            }
            let mut halves = [[0.0; LANES]; 2];
            for (half, words) in halves.iter_mut().zip(words.as_chunks::<2>().0) {
                for lane in 0..LANES {
                    half[lane] = box_muller(words[0][lane], words[1][lane]);
                }
            }
            for lane in 0..LANES {
                group[2 * lane] = halves[0][lane];
                group[2 * lane + 1] = halves[1][lane];
            }
            block += LANES as u64;
        }
        for (value, index) in tail.iter_mut().zip(2 * block..) {
            *value = self.normal(index);
        }
    }
}

/// Blocks that [`Stream::normals`] computes side by side.
const LANES: usize = 16;

/// A standard normal from two uniform words.
#[inline(always)]
fn box_muller(radius: u32, angle: u32) -> f32 {
    let radius = (-2.0 * logarithm((f64::from(radius) + 1.0) / 4_294_967_296.0)).sqrt();
    (radius * cosine_of_turn(angle)) as f32
}

/// The natural logarithm of a positive normal number, to 1e-15: no branch and no table, so that many fit side by side, and the
/// same bits everywhere.
#[inline(always)]
fn logarithm(x: f64) -> f64 {
    // x = m 2^e with m between sqrt(1/2) and sqrt(2); then ln m = 2 artanh s with s = (m - 1) / (m + 1).
    const ROOT_HALF: u64 = 0x3fe6_a09e_667f_3bcd;
    let bits = x.to_bits();
    let above = bits.wrapping_sub(ROOT_HALF);
    let exponent = (above as i64) >> 52;
    let m = f64::from_bits((above & 0x000f_ffff_ffff_ffff) + ROOT_HALF);
    let s = (m - 1.0) / (m + 1.0);
    let z = s * s;
    let series = ODD_RECIPROCALS.iter().rev().fold(0.0, |sum, term| sum * z + term);
    f64::from(exponent as i32) * std::f64::consts::LN_2 + 2.0 * s * series
}

/// 1, 1/3, 1/5, ...: the power series of artanh s over s.
const ODD_RECIPROCALS: [f64; 11] = [
    1.0,
    1.0 / 3.0,
    1.0 / 5.0,
    1.0 / 7.0,
    1.0 / 9.0,
    1.0 / 11.0,
    1.0 / 13.0,
    1.0 / 15.0,
    1.0 / 17.0,
    1.0 / 19.0,
    1.0 / 21.0,
];

/// The cosine of `2 pi turn / 2^32`, to 1e-15, in the manner of [`logarithm`].
#[inline(always)]
fn cosine_of_turn(turn: u32) -> f64 {
    // The nearest quarter, and how far it is away: at most an eighth of a turn.
    let quarter = turn.wrapping_add(1 << 29) >> 30;
    let rest = turn.wrapping_sub(quarter << 30) as i32;
    let t = f64::from(rest) * (std::f64::consts::TAU / 4_294_967_296.0);
    let z = t * t;
    let cosine = COSINE.iter().rev().fold(0.0, |sum, term| sum * z + term);
    let sine = t * SINE.iter().rev().fold(0.0, |sum, term| sum * z + term);
    // cos t, -sin t, -cos t, sin t
    let value = if quarter & 1 == 0 { cosine } else { sine };
    if quarter == 1 || quarter == 2 { -value } else { value }
}

/// Taylor series of cos t in t^2: (-1)^k / (2k)!
const COSINE: [f64; 9] = [
    1.0,
    -1.0 / 2.0,
    1.0 / 24.0,
    -1.0 / 720.0,
    1.0 / 40_320.0,
    -1.0 / 3_628_800.0,
    1.0 / 479_001_600.0,
    -1.0 / 87_178_291_200.0,
    1.0 / 20_922_789_888_000.0,
];

/// Taylor series of sin t / t in t^2: (-1)^k / (2k + 1)!
const SINE: [f64; 9] = [
    1.0,
    -1.0 / 6.0,
    1.0 / 120.0,
    -1.0 / 5_040.0,
    1.0 / 362_880.0,
    -1.0 / 39_916_800.0,
    1.0 / 6_227_020_800.0,
    -1.0 / 1_307_674_368_000.0,
    1.0 / 355_687_428_096_000.0,
];

/// A stable 64-bit stream number for a name (FNV-1a), such as a weight's path.
pub fn stream_of(name: &str) -> u64 {
    name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn philox_matches_the_published_vectors() {
        // Random123's known-answer test for philox4x32-10.
        let zero = Stream::new(0, 0).block(0);
        assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = Stream::new(u64::MAX, u64::MAX).block(u64::MAX);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

    #[test]
    fn logarithms_and_cosines_are_accurate() {
        for step in 0..200_000u32 {
            let word = step.wrapping_mul(2_654_435_761) ^ step;
            let x = (f64::from(word) + 1.0) / 4_294_967_296.0;
            let (found, expected) = (logarithm(x), x.ln());
            assert!((found - expected).abs() <= 1e-15 * expected.abs().max(1e-9), "ln {x}: {found}, {expected}");
            let expected = (std::f64::consts::TAU * (f64::from(word) / 4_294_967_296.0)).cos();
            assert!((cosine_of_turn(word) - expected).abs() <= 1e-15, "cos {word}: {expected}");
        }
        assert_eq!(logarithm(1.0), 0.0);
        let quarters = [0, 1 << 30, 2 << 30, 3 << 30].map(cosine_of_turn);
        assert_eq!(quarters, [1.0, 0.0, -1.0, 0.0]);
    }

    #[test]
    fn many_normals_are_the_same_as_one_by_one() {
        let stream = Stream::new(3, 4);
        for (first, count) in [(0, 1), (1, 1), (1, 70), (2, 64), (7, 100), (1 << 40, 33)] {
            let mut values = vec![0.0; count];
            stream.normals(first, &mut values);
            let expected: Vec<f32> = (first..).take(count).map(|index| stream.normal(index)).collect();
            assert_eq!(values, expected, "{count} from {first}");
        }
    }

    #[test]
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream::new(42, stream_of("wte.weight"));
        let values: Vec<f64> = (0..100_000).map(|i| f64::from(stream.normal(i))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }
}
