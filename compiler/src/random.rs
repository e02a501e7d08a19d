//! Counter-based random numbers: a value depends on its key and its index alone, never on order or thread.
//!
//! Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").

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

    /// The stream of one dropout of the graph at one step: element `i` is kept where `uniform(i) >= rate`.
    pub fn dropout(seed: u64, site: u64, step: u64) -> Self {
        Stream::new(seed ^ stream_of("dropout"), (site << 40) ^ (step & 0xff_ffff_ffff))
    }

    /// Four random words for block `index`.
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

    /// Uniform in `[0, 1)`, 24 bits, for element `index`.
    pub fn uniform(&self, index: u64) -> f32 {
        let word = self.block(index / 4)[(index % 4) as usize];
        (word >> 8) as f32 * (1.0 / 16_777_216.0)
    }

    /// Standard normal for element `index` (Box and Muller 1958, in f64).
    pub fn normal(&self, index: u64) -> f32 {
        let words = self.block(index / 2);
        let pair = (index % 2) as usize * 2;
        let radius = (f64::from(words[pair]) + 1.0) / 4_294_967_296.0;
        let angle = f64::from(words[pair + 1]) / 4_294_967_296.0;
        ((-2.0 * radius.ln()).sqrt() * (2.0 * std::f64::consts::PI * angle).cos()) as f32
    }
}

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
    fn normals_have_mean_zero_and_variance_one() {
        let stream = Stream::new(42, stream_of("wte.weight"));
        let values: Vec<f64> = (0..100_000).map(|i| f64::from(stream.normal(i))).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!(mean.abs() < 0.01, "{mean}");
        assert!((variance - 1.0).abs() < 0.02, "{variance}");
    }
}
