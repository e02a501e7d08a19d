//! Directories as Hugging Face `datasets` reads them.

use std::path::{Path, PathBuf};

use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

use super::Format;
use super::expand::diagnostic;
use crate::paths;

/// What a file's name says of its use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// It is trained on.
    Train,
    /// It is held out.
    Validation,
    /// It is for the end of all things: not read.
    Test,
}

/// Keywords of the `datasets` library (`data_files.py`), which stand between characters that are no letters.
const KEYWORDS: [(&str, Use); 9] = [
    ("train", Use::Train),
    ("training", Use::Train),
    ("validation", Use::Validation),
    ("valid", Use::Validation),
    ("val", Use::Validation),
    ("dev", Use::Validation),
    ("test", Use::Test),
    ("testing", Use::Test),
    ("eval", Use::Test),
];

/// The files of records and text under a directory, sorted by path, with their use.
///
/// Names that begin with a dot or an underscore and other kinds of files are left alone. The file's own name is asked
/// first, then those of its directories from the innermost out; without a keyword it is trained on.
///
/// # Errors
/// Where there is no such directory or no such file in it.
pub fn files(path: &str, base: &Path) -> Result<Vec<(PathBuf, Format, Use)>, Diagnostic> {
    let root = paths::resolve(path, base)?;
    if !root.is_dir() {
        let error = match root.exists() {
            true => std::io::Error::new(std::io::ErrorKind::NotADirectory, "it is a file, not a directory"),
            false => std::io::ErrorKind::NotFound.into(),
        };
        return Err(diagnostic(&root, &error));
    }
    let hidden = |part: &std::ffi::OsStr| part.to_string_lossy().starts_with(['.', '_']);
    let mut files = Vec::new();
    for file in paths::files_under(&root) {
        let Ok(inner) = file.strip_prefix(&root) else { continue };
        if inner.iter().any(hidden) {
            continue;
        }
        if let Some(format) = Format::of(&file) {
            let used = use_of(inner);
            files.push((file, format, used));
        }
    }
    if files.iter().all(|(_, _, used)| *used == Use::Test) {
        let message = format!("`{}` holds no file of records to train on", root.display());
        return Err(Diagnostic::error(codes::NO_FILE_MATCHES, message)
            .help("`folder(...)` reads `.jsonl`, `.csv`, `.tsv`, `.parquet` and `.txt`, also `.gz` and `.zst`; other files: `files(\"dir/**/*.md\")`"));
    }
    Ok(files)
}

fn use_of(path: &Path) -> Use {
    let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().to_ascii_lowercase()).collect();
    let keyword = |part: &String| {
        let words = part.split(|letter: char| !letter.is_ascii_alphabetic());
        words.filter_map(|word| KEYWORDS.iter().find(|(keyword, _)| *keyword == word)).map(|(_, used)| *used).next()
    };
    parts.iter().rev().find_map(keyword).unwrap_or(Use::Train)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_divide_the_files() {
        let directory = tempfile::tempdir().unwrap();
        for name in [
            "data/train-00000-of-00002.jsonl",
            "data/train-00001-of-00002.jsonl.gz",
            "data/validation.csv",
            "test/part.txt",
            "dev/other.tsv",
            "plain.txt",
            "retrain.jsonl",
            "README.md",
            ".cache/x.jsonl",
        ] {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
        }
        let found = files("", directory.path()).unwrap();
        let found: Vec<(String, Use)> = found
            .into_iter()
            .map(|(path, _, used)| (path.strip_prefix(directory.path()).unwrap().display().to_string(), used))
            .collect();
        let expected = [
            ("data/train-00000-of-00002.jsonl", Use::Train),
            ("data/train-00001-of-00002.jsonl.gz", Use::Train),
            ("data/validation.csv", Use::Validation),
            ("dev/other.tsv", Use::Validation),
            ("plain.txt", Use::Train),
            ("retrain.jsonl", Use::Train),
            ("test/part.txt", Use::Test),
        ];
        assert_eq!(found, expected.map(|(path, used)| (path.to_owned(), used)));
        assert_eq!(files("test", directory.path()).unwrap().len(), 1, "names outside the folder do not count");
        assert_eq!(files("plain.txt", directory.path()).unwrap_err().code, codes::DATA_UNREADABLE);
        assert_eq!(files(".cache", directory.path()).unwrap().len(), 1);
    }
}
