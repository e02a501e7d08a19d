//! What a run tells its reader: metrics, curve, tables, progress and the lock file.

pub mod curve;
pub mod metrics;
pub mod number;
