//! Tensors that are known before anything runs.

use serde::Serialize;

/// A tensor that follows from a formula.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pattern {
    /// `start, start + step, ..`: floats.
    Count {
        /// The first.
        start: f64,
        /// From one to the next.
        step: f64,
    },
    /// For each query (row) and key (column) the bucket of their distance: whole numbers.
    RelativeBuckets(Buckets),
}

/// Buckets of distances (Raffel et al. 2020, section 2.1, and T5's released code): half of them hold one distance each, the
/// other half grow with the logarithm of the distance up to `max_distance`. Keys behind the query have buckets of their own if
/// `bidirectional`, or all share the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Buckets {
    /// How many there are.
    pub count: u64,
    /// Distances from here on share the last.
    pub max_distance: u64,
    /// Whether keys behind the query are told apart.
    pub bidirectional: bool,
}

impl Buckets {
    /// The bucket of a key's place less a query's.
    pub fn of(&self, distance: i64) -> i32 {
        let (count, side) = match self.bidirectional {
            true => (self.count / 2, if distance > 0 { self.count / 2 } else { 0 }),
            false => (self.count, 0),
        };
        let apart = if self.bidirectional { distance.unsigned_abs() } else { distance.min(0).unsigned_abs() };
        let exact = count / 2;
        let within = if apart < exact {
            apart
        } else {
            // In single precision, as the published code rounds.
            let share = (apart as f32 / exact as f32).ln() / (self.max_distance as f32 / exact as f32).ln();
            (exact + (share * (count - exact) as f32) as u64).min(count - 1)
        };
        (side + within) as i32
    }
}

impl Pattern {
    /// Whether it holds floats; else whole numbers.
    pub fn is_float(&self) -> bool {
        matches!(self, Pattern::Count { .. })
    }

    /// Element `index` of a pattern of floats.
    pub fn float(&self, index: usize) -> f32 {
        match self {
            Pattern::Count { start, step } => (start + step * index as f64) as f32,
            Pattern::RelativeBuckets(_) => 0.0,
        }
    }

    /// The element of a query and a key of a pattern of whole numbers.
    pub fn whole(&self, query: usize, key: usize) -> i32 {
        match self {
            Pattern::Count { .. } => 0,
            Pattern::RelativeBuckets(buckets) => buckets.of(key as i64 - query as i64),
        }
    }
}
