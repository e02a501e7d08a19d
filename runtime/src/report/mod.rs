//! What a run tells its reader: metrics, curve, tables, progress and the lock file.

pub mod clock;
pub mod curve;
pub mod data;
pub mod growth;
pub mod lock;
pub mod metrics;
pub mod plot;
pub mod precision;
pub mod predict;
pub mod progress;
pub mod terminal;
