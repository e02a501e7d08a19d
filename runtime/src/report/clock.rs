//! How long this process has been running.

use std::sync::OnceLock;
use std::time::Instant;

static STARTED: OnceLock<Instant> = OnceLock::new();

/// Notes that the process starts now; the first thing that `main` does.
pub fn start() {
    seconds();
}

/// Seconds since [`start`].
pub fn seconds() -> f64 {
    STARTED.get_or_init(Instant::now).elapsed().as_secs_f64()
}
