//! Elementary functions without branches, so that loops over them become vector instructions.
//!
//! Bounds are units in the last place against the exact value, over all finite arguments (see the tests).
//! All work in f32 with fused multiply-adds; NaN in, NaN out.

// The published coefficients have more digits than an f32 holds.
#![allow(clippy::excessive_precision)]

use std::f32::consts::{FRAC_1_SQRT_2, LOG2_E};

use llmc_compiler::plan::{BinaryFunction, UnaryFunction};

/// 1.5 * 2^23: adding it rounds a small float to an integer, which then stands in the low bits.
const ROUNDER: f32 = 12_582_912.0;

/// 2^n for `-126 <= n <= 127`.
#[inline(always)]
fn power_of_two(n: i32) -> f32 {
    f32::from_bits((n.wrapping_add(127) << 23) as u32)
}

/// `e^x`, 1.5 ulp where the result is normal; infinity above 88.73, gradual underflow below -87.3.
///
/// Range reduction by ln 2 in two parts and the polynomial of Cephes' `expf` (Moshier).
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons, not `min` and `max`, which would lose a NaN.
    let x = if x > 89.0 { 89.0 } else { x };
    let x = if x < -105.0 { -105.0 } else { x };
    let shifted = x.mul_add(LOG2_E, ROUNDER);
    let n = shifted - ROUNDER;
    let r = n.mul_add(-0.693_359_375, x);
    let r = n.mul_add(2.121_944_40e-4, r);
    let p = 1.987_569_15e-4_f32;
    let p = p.mul_add(r, 1.398_199_95e-3);
    let p = p.mul_add(r, 8.333_451_91e-3);
    let p = p.mul_add(r, 4.166_579_59e-2);
    let p = p.mul_add(r, 1.666_666_55e-1);
    let p = p.mul_add(r, 5.000_000_12e-1);
    let p = (p * r).mul_add(r, r) + 1.0;
    // Two factors, because 2^128 and 2^-150 are no floats.
    let n = (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32);
    let half = n >> 1;
    p * power_of_two(half) * power_of_two(n.wrapping_sub(half))
}

/// Natural logarithm, 1.5 ulp; negative infinity at 0, NaN below.
///
/// Cephes' `logf` (Moshier), with subnormal arguments scaled up first.
#[inline(always)]
pub fn log(x: f32) -> f32 {
    let tiny = x < f32::MIN_POSITIVE;
    let scaled = if tiny { x * 8_388_608.0 } else { x };
    let bits = scaled.to_bits();
    // Exponent and mantissa in [sqrt(1/2), sqrt(2)).
    let offset = bits.wrapping_sub(0x3f35_04f3);
    let exponent = (offset as i32) >> 23;
    let mantissa = f32::from_bits((offset & 0x007f_ffff).wrapping_add(0x3f35_04f3));
    let e = exponent as f32 - if tiny { 23.0 } else { 0.0 };
    let m = mantissa - 1.0;
    let square = m * m;
    let p = 7.037_683_63e-2_f32;
    let p = p.mul_add(m, -1.151_461_03e-1);
    let p = p.mul_add(m, 1.167_699_87e-1);
    let p = p.mul_add(m, -1.242_014_08e-1);
    let p = p.mul_add(m, 1.424_932_28e-1);
    let p = p.mul_add(m, -1.666_805_77e-1);
    let p = p.mul_add(m, 2.000_071_48e-1);
    let p = p.mul_add(m, -2.499_999_40e-1);
    let p = p.mul_add(m, 3.333_333_12e-1);
    let y = e.mul_add(-2.121_944_40e-4, p * m * square);
    let y = square.mul_add(-0.5, y);
    let result = e.mul_add(0.693_359_375, m + y);
    let result = if x == f32::INFINITY { x } else { result };
    let result = if x == 0.0 { f32::NEG_INFINITY } else { result };
    if x < 0.0 || x.is_nan() { f32::NAN } else { result }
}

/// `1 / (1 + e^-x)`, 3 ulp where the result is normal.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    let e = exp(-x.abs());
    let above = 1.0 / (1.0 + e);
    if x < 0.0 { e * above } else { above }
}

/// Hyperbolic tangent, 3 ulp.
///
/// Cephes' `tanhf` (Moshier): an odd polynomial near 0, else through the exponential.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    let magnitude = x.abs();
    let square = x * x;
    let p = -5.704_988_73e-3_f32;
    let p = p.mul_add(square, 2.063_908_88e-2);
    let p = p.mul_add(square, -5.373_971_55e-2);
    let p = p.mul_add(square, 1.333_144_18e-1);
    let p = p.mul_add(square, -3.333_328_22e-1);
    let near = (p * square).mul_add(x, x);
    let far = 1.0 - 2.0 / (exp(2.0 * magnitude) + 1.0);
    if magnitude < 0.625 { near } else { far.copysign(x) }
}

/// Error function, 2 ulp.
///
/// Minimax polynomials of Juffa: of the function itself near 0, else of `log(1 - erf)`.
#[inline(always)]
pub fn erf(x: f32) -> f32 {
    let magnitude = x.abs();
    let square = x * x;
    let r = (-1.728_534_70e-5_f32).mul_add(magnitude, 3.831_971_26e-4);
    let u = (-3.883_964_38e-3_f32).mul_add(magnitude, 2.425_462_19e-2);
    let r = r.mul_add(square, u);
    let r = r.mul_add(magnitude, -1.067_778_77e-1);
    let r = r.mul_add(magnitude, -6.348_468_67e-1);
    let r = r.mul_add(magnitude, -1.287_175_12e-1);
    let r = r.mul_add(magnitude, -magnitude);
    // Beyond 4 the result is 1, and the polynomial no longer falls.
    let r = if magnitude > 4.0 { -20.0 } else { r };
    let far = (1.0 - exp(r)).copysign(x);
    let p = -5.967_617_03e-4_f32;
    let p = p.mul_add(square, 4.991_194_23e-3);
    let p = p.mul_add(square, -2.676_813_49e-2);
    let p = p.mul_add(square, 1.128_199_25e-1);
    let p = p.mul_add(square, -3.761_253_36e-1);
    let p = p.mul_add(square, 1.283_791_66e-1);
    let near = p.mul_add(x, x);
    let far = if x.is_nan() { x } else { far };
    if magnitude > 0.927_734_375 { far } else { near }
}

/// A function of one argument.
#[inline(always)]
pub fn unary(function: UnaryFunction, x: f32) -> f32 {
    match function {
        UnaryFunction::Negate => -x,
        UnaryFunction::Exp => exp(x),
        UnaryFunction::Log => log(x),
        UnaryFunction::Sqrt => x.sqrt(),
        UnaryFunction::Rsqrt => 1.0 / x.sqrt(),
        UnaryFunction::Reciprocal => 1.0 / x,
        UnaryFunction::Square => x * x,
        UnaryFunction::Abs => x.abs(),
        UnaryFunction::Sin => x.sin(),
        UnaryFunction::Cos => x.cos(),
        UnaryFunction::Tanh => tanh(x),
        UnaryFunction::Sigmoid => sigmoid(x),
        UnaryFunction::Erf => erf(x),
        UnaryFunction::Relu => relu(x),
        UnaryFunction::Silu => x * sigmoid(x),
        UnaryFunction::Gelu => 0.5 * x * (1.0 + erf(x * FRAC_1_SQRT_2)),
        UnaryFunction::GeluTanh => {
            // (1 + tanh(v)) / 2 = sigmoid(2 v), which loses nothing where tanh is near -1.
            const TWICE_SQRT_2_OVER_PI: f32 = 1.595_769_1;
            x * sigmoid(TWICE_SQRT_2_OVER_PI * (0.044_715 * x * x).mul_add(x, x))
        }
    }
}

/// `max(x, 0)` that keeps NaN.
#[inline(always)]
fn relu(x: f32) -> f32 {
    if x < 0.0 { 0.0 } else { x }
}

/// The larger, NaN if one is NaN.
#[inline(always)]
pub fn maximum(a: f32, b: f32) -> f32 {
    let larger = if a > b { a } else { b };
    if a.is_nan() { a } else { larger }
}

/// The smaller, NaN if one is NaN.
#[inline(always)]
pub fn minimum(a: f32, b: f32) -> f32 {
    let smaller = if a < b { a } else { b };
    if a.is_nan() { a } else { smaller }
}

/// A function of two arguments.
#[inline(always)]
pub fn binary(function: BinaryFunction, a: f32, b: f32) -> f32 {
    match function {
        BinaryFunction::Add => a + b,
        BinaryFunction::Subtract => a - b,
        BinaryFunction::Multiply => a * b,
        BinaryFunction::Divide => a / b,
        BinaryFunction::Maximum => maximum(a, b),
        BinaryFunction::Minimum => minimum(a, b),
        BinaryFunction::Power => a.powf(b),
    }
}

/// The nearest bf16, of two equally near ones the even one.
#[inline(always)]
pub fn round_bf16(x: f32) -> f32 {
    let bits = x.to_bits();
    let rounded = f32::from_bits(bits.wrapping_add(0x7fff + ((bits >> 16) & 1)) & 0xffff_0000);
    if x.is_nan() { x } else { rounded }
}

/// The nearest IEEE half precision number, of two equally near ones the even one; from 65520 on infinity.
#[inline(always)]
pub fn round_f16(x: f32) -> f32 {
    let (sign, size) = (x.to_bits() & 0x8000_0000, x.to_bits() & 0x7fff_ffff);
    let normal = f32::from_bits(size.wrapping_add(0xfff + ((size >> 13) & 1)) & 0xffff_e000);
    // Below the normal numbers there are units of 2^-24, the weight of the last place of 0.5.
    let tiny = (f32::from_bits(size) + 0.5) - 0.5;
    let rounded = if size < 0x3880_0000 { tiny } else { normal };
    let rounded = if size >= 0x477f_f000 { f32::INFINITY } else { rounded };
    let rounded = f32::from_bits(rounded.to_bits() | sign);
    if x.is_nan() { x } else { rounded }
}

/// 1 if `a > b`, else 0.
#[inline(always)]
pub fn greater(a: f32, b: f32) -> f32 {
    if a > b { 1.0 } else { 0.0 }
}

/// `a` where the condition is not 0, else `b`.
#[inline(always)]
pub fn select(condition: f32, a: f32, b: f32) -> f32 {
    if condition != 0.0 { a } else { b }
}
