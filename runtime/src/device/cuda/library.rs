//! Where NVIDIA's libraries lie: opened by hand before `cudarc` asks for them by name, so that nobody has to set a search path.
#![allow(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Once;

/// Opens what is found, once. What is not found here may still lie where the system looks by itself.
pub fn open() {
    static OPENED: Once = Once::new();
    OPENED.call_once(|| {
        let own = from_variable("LLMC_CUDA_LIBS", &[""]);
        // The driver belongs to the system; only who says so gets another.
        open_first(&own, "libcuda.so");
        let folders: Vec<PathBuf> = own.into_iter().chain(usual_folders()).collect();
        if let Some(folder) = folders.iter().find(|folder| find(folder, "libnvrtc.so").is_some()) {
            // The compiler asks for its builtins by name alone: they must be there first.
            open_first(std::slice::from_ref(folder), "libnvrtc-builtins.so");
            open_first(std::slice::from_ref(folder), "libnvrtc.so");
        }
        open_first(&folders, "libcublasLt.so");
    });
}

/// Folders of toolkits and of Python environments.
fn usual_folders() -> Vec<PathBuf> {
    let mut folders = from_variable("CUDA_HOME", &["lib64", "lib"]);
    folders.extend(from_variable("CUDA_PATH", &["lib64", "lib"]));
    let mut prefixes: Vec<PathBuf> =
        ["VIRTUAL_ENV", "CONDA_PREFIX"].iter().filter_map(std::env::var_os).map(PathBuf::from).collect();
    let search = std::env::var_os("PATH").unwrap_or_default();
    if let Some(python) =
        std::env::split_paths(&search).map(|folder| folder.join("python3")).find(|path| path.is_file())
    {
        let places = [Some(python.clone()), python.canonicalize().ok()];
        prefixes.extend(places.iter().flatten().filter_map(|path| Some(path.parent()?.parent()?.to_owned())));
    }
    prefixes.push(PathBuf::from("/usr/local"));
    for prefix in prefixes {
        for python in children(&prefix.join("lib"), "python3") {
            for packages in ["site-packages", "dist-packages"] {
                let vendor = python.join(packages).join("nvidia");
                folders.extend(children(&vendor, "").into_iter().map(|package| package.join("lib")));
            }
        }
    }
    folders.push(PathBuf::from("/usr/local/cuda/lib64"));
    folders
}

/// The folders that a variable names, each with these folders below it.
fn from_variable(name: &str, below: &[&str]) -> Vec<PathBuf> {
    let value = std::env::var_os(name).filter(|value| !value.is_empty());
    let folders: Vec<PathBuf> = value.iter().flat_map(std::env::split_paths).collect();
    folders.iter().flat_map(|folder| below.iter().map(|name| folder.join(name))).collect()
}

/// What lies in a folder and begins with `prefix`, in the order of names.
fn children(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let begins = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix));
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(begins).collect();
    found.sort();
    found
}

/// The newest file of a library, by the order of names.
fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    children(folder, name).into_iter().rfind(|path| path.is_file())
}

fn open_first(folders: &[PathBuf], name: &str) {
    if let Some(file) = folders.iter().find_map(|folder| find(folder, name)) {
        open_file(&file);
    }
}

/// Opens a library for everybody and for good. What fails here fails again, with a message, where the library is needed.
#[cfg(unix)]
fn open_file(file: &Path) {
    use std::os::unix::ffi::OsStrExt;
    if let Ok(path) = std::ffi::CString::new(file.as_os_str().as_bytes()) {
        // SAFETY: a string that ends in 0; the library's own start-up code runs, which is what it is opened for.
        unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL) };
    }
}

#[cfg(not(unix))]
fn open_file(_: &Path) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_several_versions_is_found() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libnvrtc.so.12", "libnvrtc.so.13", "libnvrtc-builtins.so.13.0", "other"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(find(folder.path(), "libnvrtc.so"), Some(folder.path().join("libnvrtc.so.13")));
        assert_eq!(find(folder.path(), "libcublasLt.so"), None);
    }
}
