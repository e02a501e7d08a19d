//! Which of its algorithms cuBLASLt multiplies with: the fastest on this card, timed once and then remembered.
//!
//! Algorithms add in different orders. A run has to continue to the same bits after a restart, so time decides only where the
//! decision can be remembered.
#![allow(unsafe_code)]

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::ffi::c_int;
use std::io::Write;
use std::rc::Rc;

use cudarc::cublaslt::sys;
use llmc_data::{Cache, Lookup};

use super::driver::{Card, Mark};
use crate::device::DeviceError;

/// Algorithms that the library is asked for.
const PROPOSED: usize = 8;
/// Timed runs of an algorithm behind one that warms up; the fastest counts.
const RUNS: usize = 4;

/// An algorithm with all its settings. The same bytes mean the same algorithm in the same version of the library.
pub type Algorithm = sys::cublasLtMatmulAlgo_t;

/// The algorithms that the library proposes for a product, the one that it thinks best first; none for a product that it
/// does not take.
///
/// # Safety
/// All were made by the library and still live; the layouts are those of both operands and of the result.
pub unsafe fn proposed(
    handle: sys::cublasLtHandle_t,
    description: sys::cublasLtMatmulDesc_t,
    [a, b, out]: [sys::cublasLtMatrixLayout_t; 3],
    preference: sys::cublasLtMatmulPreference_t,
    workspace: u64,
) -> Vec<Algorithm> {
    let empty = sys::cublasLtMatmulHeuristicResult_t {
        algo: Algorithm { data: [0; 8] },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_NOT_SUPPORTED,
        wavesCount: 0.0,
        reserved: [0; 4],
    };
    let mut results = [empty; PROPOSED];
    let mut count: c_int = 0;
    // SAFETY: the caller's promise; there is room for as many results as are asked for.
    let asked = unsafe {
        let (to, most) = (results.as_mut_ptr(), PROPOSED as c_int);
        sys::cublasLtMatmulAlgoGetHeuristic(handle, description, a, b, out, out, preference, most, to, &mut count)
    };
    if asked.result().is_err() {
        return Vec::new();
    }
    let results = results.iter().take(count.max(0) as usize);
    let usable = results.filter(|found| found.state.result().is_ok() && found.workspaceSize as u64 <= workspace);
    usable.map(|found| found.algo).collect()
}

/// What was chosen for the products of a card.
#[derive(Debug)]
pub struct Choices {
    card: Rc<Card>,
    cache: Option<Cache>,
    /// Card, driver and library: what is fastest, and what an algorithm's bytes mean, holds for these alone.
    machine: String,
    chosen: RefCell<HashMap<String, Algorithm>>,
    has_timed: Cell<bool>,
}

impl Choices {
    /// For a version of the library; remembered in the cache.
    ///
    /// # Errors
    /// Of the driver.
    pub fn new(card: &Rc<Card>, version: usize, cache: Option<Cache>) -> Result<Choices, DeviceError> {
        let Card { name, capability, .. } = &**card;
        let machine = format!("{name}\n{capability:?}\n{}\n{version}", card.driver_version()?);
        Ok(Choices { card: Rc::clone(card), cache, machine, chosen: Default::default(), has_timed: Cell::new(false) })
    }

    /// The algorithm for a product, none if none is proposed. `product` tells all that proposals and times depend on; `run`
    /// launches it.
    pub fn choose(
        &self,
        product: String,
        proposed: &[Algorithm],
        mut run: impl FnMut(&Algorithm) -> Result<(), DeviceError>,
    ) -> Option<Algorithm> {
        if let Some(known) = self.chosen.borrow().get(&product) {
            return Some(*known);
        }
        let key = format!("{}\n{product}", self.machine);
        let name = format!("product-{}", blake3::hash(key.as_bytes()).to_hex());
        let chosen = choose(self.cache.as_ref(), &name, proposed, |algorithm| {
            self.has_timed.set(true);
            self.seconds(|| run(algorithm)).unwrap_or(f64::INFINITY)
        })?;
        self.chosen.borrow_mut().insert(product, chosen);
        Some(chosen)
    }

    /// Whether products ran to be timed, and wrote their results.
    pub fn has_timed(&self) -> bool {
        self.has_timed.get()
    }

    fn seconds(&self, mut run: impl FnMut() -> Result<(), DeviceError>) -> Result<f64, DeviceError> {
        let [begin, end] = [Mark::new(&self.card)?, Mark::new(&self.card)?];
        run()?;
        let mut fastest = f64::INFINITY;
        for _ in 0..RUNS {
            begin.set()?;
            run()?;
            end.set()?;
            end.wait("time a matrix product")?;
            fastest = fastest.min(end.seconds_since(&begin)?);
        }
        Ok(fastest)
    }
}

/// The only one proposed; else what is remembered under the name; else the fastest, if that can be remembered; else the first.
/// One that cannot be timed takes forever.
fn choose(
    cache: Option<&Cache>,
    name: &str,
    proposed: &[Algorithm],
    mut seconds: impl FnMut(&Algorithm) -> f64,
) -> Option<Algorithm> {
    let first = *proposed.first()?;
    let Some(cache) = cache.filter(|_| proposed.len() > 1) else { return Some(first) };
    if let Lookup::Found(entry) = cache.open(name)
        && let Some(known) = proposed.iter().find(|algorithm| bytes(algorithm) == entry[..])
    {
        return Some(*known);
    }
    let timed = proposed.iter().map(|algorithm| (seconds(algorithm), algorithm));
    // Of equals the first, which the library thinks best.
    let (_, fastest) = timed.min_by(|(one, _), (other, _)| one.total_cmp(other))?;
    let remembered = cache.write(name, |file| Ok(file.write_all(&bytes(fastest))?));
    Some(if remembered.is_ok() { *fastest } else { first })
}

fn bytes(algorithm: &Algorithm) -> Vec<u8> {
    algorithm.data.iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALGORITHMS: [Algorithm; 3] =
        [Algorithm { data: [1; 8] }, Algorithm { data: [2; 8] }, Algorithm { data: [3; 8] }];

    /// Seconds that make this one the fastest.
    fn favouring(number: u64) -> impl Fn(&Algorithm) -> f64 {
        move |algorithm| if algorithm.data[0] == number { 1.0 } else { 2.0 }
    }

    fn untimed(_: &Algorithm) -> f64 {
        panic!("timed")
    }

    #[test]
    fn the_fastest_is_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        assert_eq!(choose(Some(&cache), "x", &ALGORITHMS, favouring(2)), Some(ALGORITHMS[1]));
        assert_eq!(choose(Some(&cache), "x", &ALGORITHMS, untimed), Some(ALGORITHMS[1]));
        assert_eq!(choose(Some(&cache), "y", &ALGORITHMS, favouring(3)), Some(ALGORITHMS[2]));
        // One that is not proposed any more is not taken.
        let others = [ALGORITHMS[0], ALGORITHMS[2]];
        assert_eq!(choose(Some(&cache), "x", &others, favouring(3)), Some(ALGORITHMS[2]));
    }

    #[test]
    fn time_decides_nothing_that_cannot_be_remembered() {
        assert_eq!(choose(None, "x", &ALGORITHMS, untimed), Some(ALGORITHMS[0]));
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("file"), "").unwrap();
        let unwritable = Cache::new(directory.path().join("file/below"));
        assert_eq!(choose(Some(&unwritable), "x", &ALGORITHMS, favouring(3)), Some(ALGORITHMS[0]));
    }

    #[test]
    fn what_needs_no_time_takes_none() {
        let directory = tempfile::tempdir().unwrap();
        let cache = Cache::new(directory.path());
        assert_eq!(choose(Some(&cache), "x", &[], untimed), None);
        assert_eq!(choose(Some(&cache), "x", &ALGORITHMS[2..], untimed), Some(ALGORITHMS[2]));
        // None of them runs: the library's word counts.
        assert_eq!(choose(Some(&cache), "x", &ALGORITHMS, |_| f64::INFINITY), Some(ALGORITHMS[0]));
    }
}
