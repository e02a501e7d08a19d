//! Directories that appear whole or not at all, and files likewise.
//!
//! A checkpoint is written under a hidden temporary name beside its final one, every file is flushed to the disk,
//! and one rename makes it visible. Whatever a kill leaves behind carries the temporary name and is swept by the next run.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::failure::{AtPath, Failure};

/// Prefix of directories that are not complete yet, or no longer.
const PARTIAL: &str = ".partial-";
/// The file that names the newest checkpoint.
const LATEST: &str = "latest";

/// The `checkpoints` directory of a run.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    root: PathBuf,
}

impl Checkpoints {
    /// The checkpoints below a run's directory. Nothing is created yet.
    pub fn of_run(run: &Path) -> Checkpoints {
        Checkpoints { root: run.join("checkpoints") }
    }

    /// The directory that holds them.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Complete checkpoints by step, ascending.
    pub fn steps(&self) -> Vec<(u64, PathBuf)> {
        let mut found: Vec<(u64, PathBuf)> = fs::read_dir(&self.root)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let step = name.strip_prefix("step-")?.parse().ok()?;
                entry.path().is_dir().then(|| (step, entry.path()))
            })
            .collect();
        found.sort();
        found
    }

    /// The newest complete checkpoint.
    pub fn newest(&self) -> Option<PathBuf> {
        self.steps().pop().map(|(_, path)| path)
    }

    /// Where the checkpoint after `step` steps lies.
    pub fn path(&self, step: u64) -> PathBuf {
        self.root.join(format!("step-{step:08}"))
    }

    /// Writes the checkpoint of `step`: `fill` gets an empty directory, and what it left there becomes visible at once when
    /// it returns. Files that `fill` makes must be on the disk already ([`write_file`] sees to it). A checkpoint that is
    /// there already stays: the state after a step is a pure function of the run.
    ///
    /// # Errors
    /// Of the file system, or of `fill`; then no checkpoint of this step was made.
    pub fn write(&self, step: u64, fill: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<PathBuf, Failure> {
        fs::create_dir_all(&self.root).at("create", &self.root)?;
        let target = self.path(step);
        if target.exists() {
            return Ok(target);
        }
        let name = format!("step-{step:08}");
        let partial = self.root.join(format!("{PARTIAL}{name}"));
        remove(&partial)?;
        fs::create_dir(&partial).at("create", &partial)?;
        if let Err(failure) = fill(&partial) {
            // Free the space at once; the failure itself is what the user must read.
            let _ = fs::remove_dir_all(&partial);
            return Err(failure);
        }
        sync(&partial)?;
        fs::rename(&partial, &target).at("write", &target)?;
        sync(&self.root)?;
        replace_file(&self.root.join(LATEST), format!("{name}\n").as_bytes())?;
        Ok(target)
    }

    /// Removes all but the last and the `keep` before it.
    ///
    /// # Errors
    /// Of the file system.
    pub fn prune(&self, keep: u64) -> Result<(), Failure> {
        let steps = self.steps();
        let surplus = steps.len().saturating_sub(keep as usize + 1);
        for (_, path) in &steps[..surplus] {
            self.hide_and_remove(path)?;
        }
        Ok(())
    }

    /// Removes the checkpoints after `step`, when a run goes on from there.
    ///
    /// # Errors
    /// Of the file system.
    pub fn remove_after(&self, step: u64) -> Result<(), Failure> {
        for (later, path) in self.steps() {
            if later > step {
                self.hide_and_remove(&path)?;
            }
        }
        Ok(())
    }

    /// A half-removed checkpoint must never look like a whole one: out of sight first.
    fn hide_and_remove(&self, path: &Path) -> Result<(), Failure> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let hidden = self.root.join(format!("{PARTIAL}{name}"));
        remove(&hidden)?;
        fs::rename(path, &hidden).at("remove", path)?;
        remove(&hidden)
    }

    /// Removes what kills left behind.
    ///
    /// # Errors
    /// Of the file system.
    pub fn sweep(&self) -> Result<(), Failure> {
        for entry in fs::read_dir(&self.root).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(PARTIAL) || name.ends_with(".new") {
                remove(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Removes a file or a directory with all that is in it; one that is not there is fine.
fn remove(path: &Path) -> Result<(), Failure> {
    let result = match fs::symlink_metadata(path) {
        Err(_) => Ok(()),
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
    };
    result.at("remove", path)
}

/// Waits until a directory's entries are on the disk.
fn sync(directory: &Path) -> Result<(), Failure> {
    File::open(directory).and_then(|directory| directory.sync_all()).at("write", directory)
}

/// Writes a file and waits until it is on the disk.
///
/// # Errors
/// Of the file system.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let write = || -> std::io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(content)?;
        file.sync_all()
    };
    write().at("write", path)
}

/// Replaces a file in one moment: readers see the old content or the new, never a part.
///
/// # Errors
/// Of the file system.
pub fn replace_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let temporary = path.with_file_name(name);
    write_file(&temporary, content)?;
    fs::rename(&temporary, path).at("write", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llmc_grammar::codes::RUN_FILE;

    fn steps(checkpoints: &Checkpoints) -> Vec<u64> {
        checkpoints.steps().into_iter().map(|(step, _)| step).collect()
    }

    fn one_file(directory: &Path) -> Result<(), Failure> {
        write_file(&directory.join("state.json"), b"{}")
    }

    #[test]
    fn checkpoints_appear_whole_and_old_ones_go() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of_run(run.path());
        assert_eq!(checkpoints.newest(), None);
        for step in [10, 20, 30, 40] {
            checkpoints.write(step, one_file).unwrap();
            checkpoints.prune(1).unwrap();
        }
        assert_eq!(steps(&checkpoints), [30, 40]);
        assert_eq!(fs::read_to_string(checkpoints.root().join("latest")).unwrap(), "step-00000040\n");
        checkpoints.write(40, one_file).unwrap();
        assert_eq!(steps(&checkpoints), [30, 40]);
    }

    #[test]
    fn a_failure_or_kill_while_writing_leaves_the_older_ones() {
        let run = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::of_run(run.path());
        checkpoints.write(10, one_file).unwrap();
        let failed = checkpoints.write(20, |directory| {
            one_file(directory)?;
            Err(Failure::new(RUN_FILE, "the disk is full"))
        });
        assert!(failed.is_err());
        assert_eq!(steps(&checkpoints), [10]);
        // What a kill leaves between two files, and while an old checkpoint was being removed.
        for name in [".partial-step-00000020", ".partial-step-00000005"] {
            let directory = checkpoints.root().join(name);
            fs::create_dir(&directory).unwrap();
            one_file(&directory).unwrap();
        }
        assert_eq!(steps(&checkpoints), [10]);
        checkpoints.sweep().unwrap();
        let mut left: Vec<String> = fs::read_dir(checkpoints.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, ["latest", "step-00000010"]);
    }
}
