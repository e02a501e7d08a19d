//! The order of training rows: a keyed bijection, so that any step's rows are known without memory.

/// A permutation of `0..rows` for every epoch, a pure function of seed and epoch.
///
/// A Feistel network of four rounds permutes the smallest even power of two that holds all rows;
/// values outside are sent through it again until they fall inside (Black and Rogaway 2002).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowOrder {
    rows: u64,
    /// The key; none keeps the order as it is.
    seed: Option<u64>,
    half_bits: u32,
}

const ROUNDS: u64 = 4;

impl RowOrder {
    /// A shuffled order of `rows` rows.
    pub fn shuffled(rows: u64, seed: u64) -> RowOrder {
        let bits = u64::BITS - rows.saturating_sub(1).leading_zeros();
        RowOrder { rows, seed: Some(seed), half_bits: bits.div_ceil(2) }
    }

    /// The rows as they lie.
    pub fn unshuffled(rows: u64) -> RowOrder {
        RowOrder { rows, seed: None, half_bits: 0 }
    }

    /// Rows of an epoch.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The row that stands at `index` of `epoch`. `index` must be less than the number of rows.
    pub fn row(&self, epoch: u64, index: u64) -> u64 {
        assert!(index < self.rows, "row {index} of {}", self.rows);
        let Some(seed) = self.seed else { return index };
        let key = mix(seed ^ mix(epoch));
        let mut value = self.permute(index, key);
        while value >= self.rows {
            value = self.permute(value, key);
        }
        value
    }

    fn permute(&self, value: u64, key: u64) -> u64 {
        let mask = (1u64 << self.half_bits) - 1;
        let (mut left, mut right) = (value >> self.half_bits, value & mask);
        for round in 0..ROUNDS {
            let scrambled = mix(right ^ key.wrapping_add(round.wrapping_mul(0xD1B5_4A32_D192_ED03)));
            (left, right) = (right, left ^ (scrambled >> 32 & mask));
        }
        left << self.half_bits | right
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood 2014).
fn mix(value: u64) -> u64 {
    let mut mixed = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_epoch_is_a_permutation() {
        for rows in [1, 2, 3, 4, 5, 15, 16, 17, 63, 64, 65, 1000, 4097] {
            let order = RowOrder::shuffled(rows, 7);
            for epoch in 0..3 {
                let mut seen: Vec<u64> = (0..rows).map(|index| order.row(epoch, index)).collect();
                seen.sort_unstable();
                assert!(seen.into_iter().eq(0..rows), "{rows} rows, epoch {epoch}");
            }
        }
    }

    #[test]
    fn seeds_and_epochs_give_different_orders() {
        let order = |seed, epoch| -> Vec<u64> {
            (0..100).map(|index| RowOrder::shuffled(100, seed).row(epoch, index)).collect()
        };
        assert_ne!(order(1, 0), order(2, 0));
        assert_ne!(order(1, 0), order(1, 1));
        assert_eq!(order(1, 1), order(1, 1));
        assert_ne!(order(1, 0), (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn rows_land_everywhere() {
        // Over many seeds each row should stand first about equally often: chi-squared, 9 degrees of freedom.
        let mut counts = [0f64; 10];
        for seed in 0..10_000 {
            counts[RowOrder::shuffled(10, seed).row(0, 0) as usize] += 1.0;
        }
        let chi_squared: f64 = counts.iter().map(|count| (count - 1000.0).powi(2) / 1000.0).sum();
        assert!(chi_squared < 33.7, "{chi_squared} (p = 0.0001)");
    }

    #[test]
    fn unshuffled_rows_stay() {
        let order = RowOrder::unshuffled(5);
        assert!((0..5).all(|index| order.row(3, index) == index));
    }

    #[test]
    fn huge_orders_need_no_memory() {
        let order = RowOrder::shuffled(1 << 62, 3);
        assert!(order.row(0, (1 << 62) - 1) < 1 << 62);
        assert!(RowOrder::shuffled(u64::MAX, 3).row(9, 12345) < u64::MAX);
    }
}
