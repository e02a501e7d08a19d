//! One function, three machine codes: AVX-512, AVX2 with FMA, and whatever the target always has.
//!
//! Kernels are plain Rust over fixed numbers of lanes that the compiler turns into vector instructions.
//! All versions compute the same operations in the same order, so they give the same bits.
#![allow(unsafe_code)]

use std::fmt;
use std::sync::OnceLock;

#[cfg(test)]
thread_local! {
    /// Makes what a test runs on its own thread use less than the machine has.
    pub static LOWERED: std::cell::Cell<Option<Level>> = const { std::cell::Cell::new(None) };
}

/// The widest instructions that both this crate and the machine know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// No more than the compilation target promises.
    Portable,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL, and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What this machine has.
    #[inline]
    pub fn detected() -> Level {
        #[cfg(test)]
        if let Some(level) = LOWERED.get() {
            return level;
        }
        static LEVEL: OnceLock<Level> = OnceLock::new();
        *LEVEL.get_or_init(detect)
    }
}

impl fmt::Display for Level {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Level::Portable => "no wide vectors",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "AVX2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "AVX-512",
        })
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let fma = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let wide = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (fma, wide) {
        (true, true) => Level::Avx512,
        (true, false) => Level::Avx2,
        _ => Level::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Compiles a function once for every [`Level`] and calls the version that fits the machine.
macro_rules! vectorised {
    ($(#[$meta:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$meta])*
        #[allow(unsafe_code, clippy::too_many_arguments)]
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn portable($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx2($($argument: $type),*) $(-> $result)? { portable($($argument),*) }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            #[allow(clippy::too_many_arguments)]
            fn avx512($($argument: $type),*) $(-> $result)? { portable($($argument),*) }

            match $crate::device::cpu::simd::Level::detected() {
                $crate::device::cpu::simd::Level::Portable => portable($($argument),*),
                // SAFETY: the level was detected on this machine, so the instructions exist.
                #[cfg(target_arch = "x86_64")]
                $crate::device::cpu::simd::Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::device::cpu::simd::Level::Avx512 => unsafe { avx512($($argument),*) },
            }
        }
    };
}

pub(crate) use vectorised;
