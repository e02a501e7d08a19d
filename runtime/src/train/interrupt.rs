//! Ctrl-C and SIGTERM: the first asks the run to save and stop, the second stops at once.

use std::sync::atomic::{AtomicBool, Ordering};

static ASKED: AtomicBool = AtomicBool::new(false);

/// Exit code after Ctrl-C, as shells have it.
pub const EXIT_CODE: u8 = 130;

/// Takes the signals over for the rest of the process.
pub fn install() {
    let handler = || {
        if ASKED.swap(true, Ordering::SeqCst) {
            std::process::exit(EXIT_CODE.into());
        }
    };
    // Failing means that somebody else handles the signals: then they do what they did before.
    let _ = ctrlc::set_handler(handler);
}

/// Whether the user asked to stop.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}
