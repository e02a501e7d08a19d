//! Whether the disk has room for what a run will write, and how much memory the process used.

use std::path::Path;

use llmc_compiler::plan::StagePlan;
use llmc_grammar::codes::NO_SPACE;

use crate::failure::Failure;
use llmc_grammar::number::bytes;

/// Bytes beside the tensors of a checkpoint: configuration, tokenizer, plan. An upper bound for every model so far.
const SMALL_FILES: u64 = 16 << 20;

/// Compares the checkpoints that will lie side by side with the free space below `directory`, which must exist.
///
/// # Errors
/// If they do not fit; the message says how much is missing.
pub fn check(directory: &Path, stage: &StagePlan, checkpoint_bytes: u64, existing: u64) -> Result<(), Failure> {
    let written = match stage.checkpoint_every {
        Some(every) => stage.steps / every.max(1) + 1,
        None => 1,
    };
    // The last one and those kept before it; one more is there until the oldest goes.
    let side_by_side = written.min(stage.keep.saturating_add(2)).saturating_sub(existing);
    let needed = side_by_side.saturating_mul(checkpoint_bytes.saturating_add(SMALL_FILES));
    // A file system that cannot tell is no reason not to train.
    let Ok(statistics) = rustix::fs::statvfs(directory) else {
        return Ok(());
    };
    let free = statistics.f_bavail.saturating_mul(statistics.f_frsize);
    if needed <= free {
        return Ok(());
    }
    Err(Failure::with_help(
        NO_SPACE,
        format!(
            "{side_by_side} checkpoints of {} do not fit on the disk of `{}`: {} are missing",
            bytes(checkpoint_bytes),
            directory.display(),
            bytes(needed - free)
        ),
        "keep fewer (`keep`), free some space, or write elsewhere with `--out`",
    ))
}

/// The largest resident set that this process had so far, in bytes, where the system tells.
pub fn peak_resident() -> Option<u64> {
    status("VmHWM:")
}

/// The resident set of this process now, in bytes, where the system tells.
pub fn resident() -> Option<u64> {
    status("VmRSS:")
}

/// The memory of this machine in bytes, where the system tells.
pub fn memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// A line of what Linux says of this process, in bytes.
fn status(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
