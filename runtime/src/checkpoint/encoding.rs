//! How the numbers of a stored tensor are encoded: floating-point types, and the block formats of GGUF files.

use std::fmt;

/// Values of one block of the simple formats.
const BLOCK: usize = 32;
/// Values of one block of the `K` formats.
const SUPER_BLOCK: usize = 256;

/// An encoding that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Encoding {
    F64,
    F32,
    /// IEEE 754 binary16.
    F16,
    /// The upper half of a binary32.
    BF16,
    /// 32 values `d q`: a scale `d` (F16), 32 signed bytes.
    Q8_0,
    /// 32 values `d (q - 8)`: a scale `d` (F16), 16 bytes with element `i` in the low and `i + 16` in the high half of byte `i`.
    Q4_0,
    /// 256 values in 8 groups, `d s q - e m`: scales `d` and `e` (F16), 6-bit `s` and `m` of each group in 12 bytes, 4-bit `q`.
    Q4K,
    /// 256 values in 16 groups, `d s (q - 32)`: 6-bit `q` in 128 + 64 bytes, signed bytes `s`, a scale `d` (F16).
    Q6K,
}

impl Encoding {
    /// Values and bytes of a block: what a tensor's rows are made of.
    pub fn block(self) -> (u64, u64) {
        match self {
            Encoding::F64 => (1, 8),
            Encoding::F32 => (1, 4),
            Encoding::F16 | Encoding::BF16 => (1, 2),
            Encoding::Q8_0 => (32, 34),
            Encoding::Q4_0 => (32, 18),
            Encoding::Q4K => (256, 144),
            Encoding::Q6K => (256, 210),
        }
    }

    /// Values of whole blocks as float32, in order.
    pub fn decode(self, bytes: &[u8]) -> Vec<f32> {
        let halves = || bytes.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair));
        match self {
            Encoding::F32 => bytes.as_chunks::<4>().0.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Encoding::F64 => bytes.as_chunks::<8>().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect(),
            Encoding::BF16 => halves().map(|half| f32::from_bits(u32::from(half) << 16)).collect(),
            Encoding::F16 => halves().map(half_to_f32).collect(),
            Encoding::Q8_0 => blocks(bytes, decode_q8_0),
            Encoding::Q4_0 => blocks(bytes, decode_q4_0),
            Encoding::Q4K => blocks(bytes, decode_q4_k),
            Encoding::Q6K => blocks(bytes, decode_q6_k),
        }
    }

    /// Values as bytes; none for encodings that are only read. A block format takes whole blocks.
    pub fn encode(self, values: &[f32]) -> Option<Vec<u8>> {
        let half = |encode: fn(f32) -> u16| values.iter().flat_map(|&value| encode(value).to_le_bytes()).collect();
        Some(match self {
            Encoding::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Encoding::F16 => half(f32_to_half),
            Encoding::BF16 => half(f32_to_brain),
            Encoding::Q8_0 => values.as_chunks::<BLOCK>().0.iter().flat_map(encode_q8_0).collect(),
            Encoding::F64 | Encoding::Q4_0 | Encoding::Q4K | Encoding::Q6K => return None,
        })
    }
}

impl fmt::Display for Encoding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Encoding::F64 => "F64",
            Encoding::F32 => "F32",
            Encoding::F16 => "F16",
            Encoding::BF16 => "BF16",
            Encoding::Q8_0 => "Q8_0",
            Encoding::Q4_0 => "Q4_0",
            Encoding::Q4K => "Q4_K",
            Encoding::Q6K => "Q6_K",
        })
    }
}

/// Each block of `N` bytes decoded to `V` values.
fn blocks<const N: usize, const V: usize>(bytes: &[u8], decode: fn(&[u8; N]) -> [f32; V]) -> Vec<f32> {
    bytes.as_chunks::<N>().0.iter().flat_map(decode).collect()
}

fn half_at(bytes: &[u8], place: usize) -> f32 {
    half_to_f32(u16::from_le_bytes([bytes[place], bytes[place + 1]]))
}

fn decode_q8_0(block: &[u8; 34]) -> [f32; BLOCK] {
    let scale = half_at(block, 0);
    std::array::from_fn(|index| scale * f32::from(block[2 + index] as i8))
}

fn encode_q8_0(values: &[f32; BLOCK]) -> [u8; 34] {
    let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    let scale = largest / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut block = [0; 34];
    block[..2].copy_from_slice(&f32_to_half(scale).to_le_bytes());
    for (byte, value) in block[2..].iter_mut().zip(values) {
        *byte = (value * inverse).round() as i8 as u8;
    }
    block
}

fn decode_q4_0(block: &[u8; 18]) -> [f32; BLOCK] {
    let scale = half_at(block, 0);
    std::array::from_fn(|index| {
        let byte = block[2 + index % 16];
        let four = if index < 16 { byte & 0x0f } else { byte >> 4 };
        scale * (f32::from(four) - 8.0)
    })
}

fn decode_q4_k(block: &[u8; 144]) -> [f32; SUPER_BLOCK] {
    let (scale, least) = (half_at(block, 0), half_at(block, 2));
    let packed = &block[4..16];
    // Six bits each: the first four groups in the low bits of their own bytes, the others in the last four bytes, with
    // their upper two bits on top of the first ones.
    let six_bits = |group: usize, minimum: usize| match group {
        0..4 => packed[group + 4 * minimum] & 0x3f,
        _ => {
            let low = packed[group + 4];
            let low = if minimum == 1 { low >> 4 } else { low & 0x0f };
            low | packed[group - 4 + 4 * minimum] >> 6 << 4
        }
    };
    std::array::from_fn(|index| {
        let group = index / 32;
        let byte = block[16 + index / 64 * 32 + index % 32];
        let four = if group.is_multiple_of(2) { byte & 0x0f } else { byte >> 4 };
        scale * f32::from(six_bits(group, 0)) * f32::from(four) - least * f32::from(six_bits(group, 1))
    })
}

fn decode_q6_k(block: &[u8; 210]) -> [f32; SUPER_BLOCK] {
    let scale = half_at(block, 208);
    std::array::from_fn(|index| {
        // Two halves of 128 values: 64 bytes hold the lower four bits of each, 32 bytes the upper two.
        let (half, inside) = (index / 128, index % 128);
        let low = block[64 * half + inside % 64];
        let low = if inside < 64 { low & 0x0f } else { low >> 4 };
        let high = block[128 + 32 * half + inside % 32] >> (2 * (inside / 32)) & 0x03;
        let group = f32::from(block[192 + index / 16] as i8);
        scale * group * (f32::from(low | high << 4) - 32.0)
    })
}

/// IEEE 754 binary16 to binary32, exact.
pub fn half_to_f32(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from((half >> 10) & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    let magnitude = match exponent {
        0 => fraction * 2f32.powi(-24),
        31 if half & 0x3ff == 0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1024.0 + fraction) * 2f32.powi(exponent - 25),
    };
    sign * magnitude
}

/// The nearest binary16, ties to even; beyond the largest, infinity.
pub fn f32_to_half(value: f32) -> u16 {
    let sign = (value.to_bits() >> 16 & 0x8000) as u16;
    let magnitude = value.abs();
    if magnitude.is_nan() {
        return sign | 0x7e00;
    }
    // Halfway between the largest number and the next power of two, and above.
    if magnitude >= 65520.0 {
        return sign | 0x7c00;
    }
    // In units of the last place of a binary16 of this size; a carry runs into the exponent as it should.
    let exponent = (magnitude.to_bits() >> 23).max(113) as i32 - 127;
    let units = (f64::from(magnitude) * 2f64.powi(10 - exponent)).round_ties_even() as u16;
    let biased = (exponent + 14) as u16;
    sign | ((biased << 10) + units)
}

/// The nearest upper half of a binary32, ties to even.
fn f32_to_brain(value: f32) -> u16 {
    let bits = value.to_bits();
    if value.is_nan() {
        return (bits >> 16) as u16 | 0x40;
    }
    ((bits + 0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn halves_convert_exactly_both_ways() {
        for (half, value) in [
            (0x3c00, 1.0),
            (0xc000, -2.0),
            (0x0001, 2f32.powi(-24)),
            (0x03ff, 1023.0 * 2f32.powi(-24)),
            (0x7bff, 65504.0),
            (0x3555, 0.333_251_95),
        ] {
            assert_eq!(half_to_f32(half), value);
        }
        for half in (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00) {
            assert_eq!(f32_to_half(half_to_f32(half)), half);
        }
        assert!(half_to_f32(0x7c00).is_infinite() && half_to_f32(0x7e00).is_nan());
        // Ties go to even, what is too large to infinity, what is too small to zero.
        for (value, half) in [
            (1.0 + 2f32.powi(-11), 0x3c00),
            (1.0 + 3.0 * 2f32.powi(-11), 0x3c02),
            (65519.9, 0x7bff),
            (65520.0, 0x7c00),
            (f32::INFINITY, 0x7c00),
            (2f32.powi(-25), 0),
            (3.0 * 2f32.powi(-26), 1),
            (f32::MIN_POSITIVE, 0),
        ] {
            assert_eq!(f32_to_half(value), half, "{value}");
            assert_eq!(f32_to_half(-value), half | 0x8000, "{value}");
        }
        assert_eq!([1.0 + 2f32.powi(-8), 1.0 + 3.0 * 2f32.powi(-8)].map(f32_to_brain), [0x3f80, 0x3f82]);
        assert!(half_to_f32(f32_to_half(f32::NAN)).is_nan());
    }

    /// A scale of 0.5.
    const HALF: [u8; 2] = [0x00, 0x38];

    #[test]
    fn simple_blocks_made_by_hand() {
        let mut block = vec![0; 34];
        block[..2].copy_from_slice(&HALF);
        (block[2], block[3], block[33]) = (127, 0x80, 3);
        let values = Encoding::Q8_0.decode(&block);
        assert_eq!((values[0], values[1], values[2], values[31]), (63.5, -64.0, 0.0, 1.5));
        let mut block = vec![0x88; 18];
        block[..2].copy_from_slice(&HALF);
        (block[2], block[17]) = (0x2f, 0x90);
        let values = Encoding::Q4_0.decode(&block);
        assert_eq!((values[0], values[16], values[15], values[31], values[7]), (3.5, -3.0, -4.0, 0.5, 0.0));
    }

    #[test]
    fn blocks_of_4_bits_with_minima_made_by_hand() {
        let mut block = vec![0; 144];
        block[..2].copy_from_slice(&HALF);
        block[2..4].copy_from_slice(&[0x00, 0x34]); // 0.25
        // Group 1: scale 33, minimum 7. Group 6: scale 0b10_0011 = 35, minimum 0b01_1010 = 26.
        (block[4 + 1], block[4 + 5]) = (33, 7);
        block[4 + 10] = 0xa3;
        block[4 + 2] = 0b10 << 6;
        block[4 + 6] = 0b01 << 6;
        block[16] = 0x50; // element 32
        block[16 + 96 + 4] = 0x09; // element 196
        let values = Encoding::Q4K.decode(&block);
        assert_eq!(values[32], 0.5 * 33.0 * 5.0 - 0.25 * 7.0);
        assert_eq!(values[33], -0.25 * 7.0);
        assert_eq!(values[196], 0.5 * 35.0 * 9.0 - 0.25 * 26.0);
        assert_eq!(values[64], 0.0);
    }

    #[test]
    fn blocks_of_6_bits_made_by_hand() {
        let mut block = vec![0; 210];
        block[208..].copy_from_slice(&HALF);
        block[192..208].fill(1);
        // Element 70: the high half of byte 6, bits 4 and 5 of byte 6 of the upper bits, in group 4.
        (block[6], block[128 + 6], block[192 + 4]) = (0xa0, 0b11 << 4, 0xfd);
        // Element 128 + 33: the low half of byte 64 + 33, bits 2 and 3 of upper byte 32 + 1, in group 10.
        (block[64 + 33], block[128 + 33], block[192 + 10]) = (0x05, 0b01 << 2, 4);
        let values = Encoding::Q6K.decode(&block);
        assert_eq!(values[70], 0.5 * -3.0 * (58.0 - 32.0));
        assert_eq!(values[161], 0.5 * 4.0 * (21.0 - 32.0));
        assert_eq!(values[0], 0.5 * -32.0);
    }

    proptest! {
        #[test]
        fn what_is_written_comes_back_within_the_format(values in proptest::collection::vec(-8.0f32..8.0, 64)) {
            let back = |encoding: Encoding| encoding.decode(&encoding.encode(&values).unwrap());
            prop_assert_eq!(&back(Encoding::F32), &values);
            for (encoding, bound) in [(Encoding::F16, 2f32.powi(-11)), (Encoding::BF16, 2f32.powi(-8))] {
                for (found, value) in back(encoding).iter().zip(&values) {
                    prop_assert!((found - value).abs() <= bound * value.abs() + 2f32.powi(-25));
                }
            }
            for (found, values) in back(Encoding::Q8_0).chunks(32).zip(values.chunks(32)) {
                let largest = values.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                // Half a step, and 127 times half a unit in the last place of the scale.
                let bound = largest / 127.0 * (0.5 + 127.0 * 2f32.powi(-11)) + 1e-6;
                for (found, value) in found.iter().zip(values) {
                    prop_assert!((found - value).abs() <= bound, "{} for {}", found, value);
                }
            }
        }
    }
}
