//! The design's rules about the source itself.

use std::fs;
use std::path::{Path, PathBuf};

const CRATES: [&str; 4] = ["grammar", "compiler", "data", "runtime"];

/// Source files that may hold `unsafe`: the arenas and kernels of devices, and memory maps.
const UNSAFE_FOLDERS: [&str; 2] = ["runtime/src/device/", "data/src/mapped.rs"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file under `folder` of the repository with its text, by relative path.
fn rust_files(folder: &str) -> Vec<(String, String)> {
    fn visit(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                visit(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let base = root();
    let mut found = Vec::new();
    visit(&base.join(folder), &mut found);
    found.sort();
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(&base).unwrap_or(&path).to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("a source file is readable"))
        })
        .collect()
}

/// The code of a file without its comments.
fn code(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn dependencies(name: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("a crate's manifest");
    let section = text.split("[dependencies]").nth(1).unwrap_or("");
    section
        .lines()
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

#[test]
fn crates_depend_in_one_direction() {
    assert!(!dependencies("grammar").iter().any(|name| name.starts_with("llmc")));
    let compiler = dependencies("compiler");
    assert!(compiler.contains(&"llmc-grammar".to_owned()));
    assert!(!compiler.contains(&"llmc".to_owned()));
    let data = dependencies("data");
    assert!(data.contains(&"llmc-compiler".to_owned()));
    assert!(!data.contains(&"llmc".to_owned()));
    assert!(dependencies("runtime").contains(&"llmc-data".to_owned()));
}

#[test]
fn pest_stays_in_grammar_and_luminal_in_compiler() {
    for name in CRATES {
        let names = dependencies(name);
        assert_eq!(names.iter().any(|n| n.starts_with("pest")), name == "grammar", "{name}");
        assert_eq!(names.iter().any(|n| n == "luminal"), name == "compiler", "{name}");
    }
}

#[test]
fn unsafe_stays_in_named_files() {
    for name in CRATES {
        for (path, text) in rust_files(&format!("{name}/src")) {
            let allowed = UNSAFE_FOLDERS.iter().any(|folder| path.starts_with(folder));
            let uses = code(&text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
            assert!(allowed || !uses, "`unsafe` in {path}");
        }
    }
}

#[test]
fn cudarc_stays_in_the_cuda_device() {
    for name in CRATES {
        assert_eq!(dependencies(name).iter().any(|n| n == "cudarc"), name == "runtime", "{name}");
        for (path, text) in rust_files(&format!("{name}/src")) {
            let allowed = path.starts_with("runtime/src/device/cuda/");
            assert!(allowed || !code(&text).contains("cudarc"), "`cudarc` in {path}");
        }
    }
}

#[test]
fn the_compiler_is_pure() {
    // `compiler/clippy.toml` forbids the calls; this also forbids the modules by name.
    let product = rust_files("compiler/src").into_iter().filter(|(path, _)| !path.contains("/tests"));
    for (path, text) in product {
        for forbidden in [
            "std::fs",
            "std::env",
            "std::net",
            "std::process",
            "std::time",
            "println!",
            "eprintln!",
            "HashMap",
            "HashSet",
        ] {
            assert!(!code(&text).contains(forbidden), "`{forbidden}` in {path}");
        }
    }
}

#[test]
fn source_files_stay_readable() {
    let mut lengths = Vec::new();
    for folder in ["grammar", "compiler", "data", "runtime", "tests"] {
        for (path, text) in rust_files(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{path} has {lines} lines: where is the seam?");
            assert!(!path.contains("utils") && !path.contains("_v2"), "{path}: name what it does");
            lengths.push(lines);
        }
    }
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(median <= 250, "the median source file has {median} lines");
}
