//! Sums over slices in a fixed number of lanes: fast, and the same bits on every machine.

/// Floats in one step of a sum.
const LANES: usize = 16;
/// Elements summed in f32 before they go to the f64 total.
const BLOCK: usize = 256;

/// Sum of `f(x)` with f64 totals over short f32 lane sums.
#[inline(always)]
pub fn sum_of(values: &[f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks(BLOCK) {
        let mut lanes = [0.0f32; LANES];
        let (steps, rest) = block.as_chunks::<LANES>();
        for step in steps {
            for (lane, &x) in lanes.iter_mut().zip(step) {
                *lane += f(x);
            }
        }
        for (lane, &x) in lanes.iter_mut().zip(rest) {
            *lane += f(x);
        }
        total += fold(lanes);
    }
    total
}

/// `x = f(x)`, and the sum of the results, as [`sum_of`].
#[inline(always)]
pub fn replace_and_sum(values: &mut [f32], f: impl Fn(f32) -> f32) -> f64 {
    let mut total = 0.0;
    for block in values.chunks_mut(BLOCK) {
        let mut lanes = [0.0f32; LANES];
        let (steps, rest) = block.as_chunks_mut::<LANES>();
        for step in steps {
            for (lane, x) in lanes.iter_mut().zip(step) {
                *x = f(*x);
                *lane += *x;
            }
        }
        for (lane, x) in lanes.iter_mut().zip(rest) {
            *x = f(*x);
            *lane += *x;
        }
        total += fold(lanes);
    }
    total
}

/// Sum of `f(x, y)` over two slices of one length, as [`sum_of`].
#[inline(always)]
pub fn sum_of_two(left: &[f32], right: &[f32], f: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    for (left, right) in left.chunks(BLOCK).zip(right.chunks(BLOCK)) {
        let mut lanes = [0.0f32; LANES];
        let ((a, a_rest), (b, b_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
        for (a, b) in a.iter().zip(b) {
            for (lane, (&x, &y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                *lane += f(x, y);
            }
        }
        for (lane, (&x, &y)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
            *lane += f(x, y);
        }
        total += fold(lanes);
    }
    total
}

/// Sum of the products of two slices of one length, in f32: for short rows.
#[inline(always)]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let ((a, a_rest), (b, b_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (a, b) in a.iter().zip(b) {
        for (lane, (&x, &y)) in lanes.iter_mut().zip(a.iter().zip(b)) {
            *lane = x.mul_add(y, *lane);
        }
    }
    for (lane, (&x, &y)) in lanes.iter_mut().zip(a_rest.iter().zip(b_rest)) {
        *lane = x.mul_add(y, *lane);
    }
    tree(lanes)
}

/// Sum of the lanes, as a tree in f64.
#[inline(always)]
fn fold(lanes: [f32; LANES]) -> f64 {
    tree(lanes.map(f64::from))
}

/// Sum of the lanes, halves added to halves.
#[inline(always)]
fn tree<T: Copy + std::ops::AddAssign>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        let (low, high) = lanes.split_at_mut(width);
        for (sum, other) in low.iter_mut().zip(high) {
            *sum += *other;
        }
        width /= 2;
    }
    lanes[0]
}

/// Largest value, NaN if there is one, negative infinity for no values.
#[inline(always)]
pub fn maximum(values: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (steps, rest) = values.as_chunks::<LANES>();
    for step in steps {
        for (lane, &x) in lanes.iter_mut().zip(step) {
            *lane = super::math::maximum(*lane, x);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = super::math::maximum(*lane, x);
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] = super::math::maximum(lanes[lane], lanes[lane + width]);
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_maxima_match_plain_loops() {
        for count in [0, 1, 7, 16, 17, 255, 256, 257, 5000] {
            let values: Vec<f32> = (0..count).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.37).collect();
            let expected: f64 = values.iter().map(|&x| f64::from(x)).sum();
            assert!((sum_of(&values, |x| x) - expected).abs() <= 1e-3, "{count}");
            let squares: f64 = values.iter().map(|&x| f64::from(x) * f64::from(x)).sum();
            let mut halves = values.clone();
            assert_eq!(replace_and_sum(&mut halves, |x| 0.5 * x), sum_of(&values, |x| 0.5 * x));
            assert!(halves.iter().zip(&values).all(|(half, x)| *half == 0.5 * x));
            assert!((sum_of_two(&values, &values, |x, y| x * y) - squares).abs() <= 1e-6 * squares);
            let largest = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(maximum(&values), largest);
        }
        assert!(maximum(&[1.0, f32::NAN, 3.0]).is_nan());
    }
}
