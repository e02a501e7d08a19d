//! What the machine can do at most: a loop of multiply-adds in registers, and a copy that no cache holds.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::*;
use std::hint::black_box;
use std::time::Instant;

use super::pool::{Pool, Runs};
use super::simd::Level;
use crate::device::Peaks;

/// Measurements of which the best counts: the machine may be shared.
const TRIALS: usize = 25;
/// Rounds of a task, about half a millisecond.
const ROUNDS: usize = 50_000;
/// Tasks of a trial for each thread: several, so that one that wakes late costs little.
const TASKS: usize = 8;
/// Floats that are copied.
const COPIED: usize = 16 << 20;
/// Floats that a task copies.
const COPIED_PER_TASK: usize = 1 << 18;

/// Independent chains of multiply-adds, enough to hide the latency of one.
const CHAINS: usize = 12;
/// Floats of a chain that a round works on.
const LANES: usize = 16;

/// Runs both loops on all threads of the pool, about half a second.
pub fn measure(pool: &Pool) -> Peaks {
    let rate = |tasks: usize, seconds: f64| (2 * CHAINS * LANES * ROUNDS * tasks) as f64 / seconds;
    let all = TASKS * pool.threads();
    Peaks {
        flops_of_one: rate(TASKS, best(|| (0..TASKS).for_each(|_| work()))),
        flops: rate(all, best(|| pool.run(all, (), |_, (), _| work()))),
        copy_bytes: copy(pool),
    }
}

/// Seconds of the fastest trial.
fn best(mut trial: impl FnMut()) -> f64 {
    let seconds = |()| {
        let began = Instant::now();
        trial();
        began.elapsed().as_secs_f64()
    };
    std::iter::repeat_n((), TRIALS).map(seconds).fold(f64::INFINITY, f64::min)
}

/// The multiply-adds of one task.
fn work() {
    let (factor, term) = (black_box(0.999), black_box(0.001));
    let sum = match Level::detected() {
        Level::Portable => portable(factor, term),
        // SAFETY: the level was detected on this machine, so the instructions exist.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { avx2(factor, term) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { avx512(factor, term) },
    };
    black_box(sum);
}

/// Whatever the target always has. Without instructions for it a fused multiply-add is a slow call: then two operations it is.
fn portable(factor: f32, term: f32) -> f32 {
    let mut chains = [[0.0f32; LANES]; CHAINS];
    for _ in 0..ROUNDS {
        for x in chains.iter_mut().flatten() {
            *x = if cfg!(target_arch = "aarch64") { x.mul_add(factor, term) } else { *x * factor + term };
        }
    }
    chains.iter().flatten().sum()
}

macro_rules! multiply_adds {
    ($name:ident, $feature:literal, $vector:ty, $lanes:literal, $set:ident, $fma:ident, $store:ident) => {
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = $feature)]
        fn $name(factor: f32, term: f32) -> f32 {
            let (factor, term) = ($set(factor), $set(term));
            let mut chains: [$vector; CHAINS] = [$set(0.0); CHAINS];
            for _ in 0..ROUNDS * (LANES / $lanes) {
                for chain in &mut chains {
                    *chain = $fma(*chain, factor, term);
                }
            }
            let mut sum = 0.0;
            for chain in chains {
                let mut lanes = [0.0f32; $lanes];
                // SAFETY: the array holds exactly one vector.
                unsafe { $store(lanes.as_mut_ptr(), chain) };
                sum += lanes.iter().sum::<f32>();
            }
            sum
        }
    };
}
multiply_adds!(avx2, "avx2,fma", __m256, 8, _mm256_set1_ps, _mm256_fmadd_ps, _mm256_storeu_ps);
multiply_adds!(avx512, "avx512f", __m512, 16, _mm512_set1_ps, _mm512_fmadd_ps, _mm512_storeu_ps);

/// Bytes per second.
fn copy(pool: &Pool) -> f64 {
    let (from, mut to) = (vec![1.0f32; COPIED], vec![0.0f32; COPIED]);
    let seconds = best(|| {
        pool.run(COPIED.div_ceil(COPIED_PER_TASK), Runs::new(&mut to, COPIED_PER_TASK), |task, piece, _| {
            piece.copy_from_slice(&from[task * COPIED_PER_TASK..][..piece.len()]);
        });
    });
    black_box(&to);
    (2 * COPIED * size_of::<f32>()) as f64 / seconds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_version_computes_the_same_chains() {
        let expected = portable(0.5, 1.0);
        // Each of the chains comes to term / (1 - factor) = 2.
        assert_eq!(expected, (CHAINS * LANES) as f32 * 2.0);
        #[cfg(target_arch = "x86_64")]
        {
            // SAFETY: only where the level says that the instructions exist.
            if Level::detected() != Level::Portable {
                assert_eq!(unsafe { avx2(0.5, 1.0) }, (CHAINS * 8) as f32 * 2.0);
            }
            // SAFETY: as above.
            if Level::detected() == Level::Avx512 {
                assert_eq!(unsafe { avx512(0.5, 1.0) }, expected);
            }
        }
    }

    #[test]
    fn every_peak_is_measured() {
        let peaks = measure(&Pool::new(2).unwrap());
        assert!(peaks.flops > 1e6 && peaks.flops_of_one > 1e6 && peaks.copy_bytes > 1e6, "{peaks:?}");
    }
}
