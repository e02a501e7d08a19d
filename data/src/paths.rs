//! Paths as recipes write them: variables, home directories, globs.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};
use llmc_grammar::codes;
use llmc_grammar::diagnostic::Diagnostic;

const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// `path` with a leading `~`, `$VAR` and `${VAR}` expanded, relative to `base`.
pub fn resolve(path: &str, base: &Path) -> Result<PathBuf, Diagnostic> {
    Ok(base.join(expand(path, &|name| std::env::var(name).ok())?))
}

/// Every file that `pattern` matches, or that lies in the directory that it names, sorted by path.
///
/// Links to files are followed. Links to directories are followed only where the pattern holds no `**`,
/// which bounds the depth.
pub fn matching_files(pattern: &str, base: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    let mut files = Vec::new();
    each_match(pattern, base, &mut |file| {
        files.push(file);
        ControlFlow::Continue(())
    })?;
    files.sort();
    Ok(files)
}

/// Fails where no file matches `pattern`; looks no further than the first that does.
pub fn require_match(pattern: &str, base: &Path) -> Result<(), Diagnostic> {
    each_match(pattern, base, &mut |_| ControlFlow::Break(()))
}

/// Calls `take` for every file that `pattern` matches, in no order, until it breaks off.
fn each_match(pattern: &str, base: &Path, take: &mut dyn FnMut(PathBuf) -> ControlFlow<()>) -> Result<(), Diagnostic> {
    let resolved = resolve(pattern, base)?;
    let malformed = |reason: String| {
        Diagnostic::error(codes::PATH_PATTERN, format!("the pattern `{pattern}` is malformed: {reason}"))
            .help("`*` stands for any part of a name, `**` for any number of directories, `?` for one character, `[ab]` for one of some")
    };
    let text = resolved.to_str().ok_or_else(|| malformed("it is not UTF-8".to_owned()))?;
    let matcher = Pattern::new(text).map_err(|error| malformed(error.msg.to_owned()))?;
    let recursive = resolved.components().any(|part| part.as_os_str() == "**");
    let root: PathBuf = resolved.components().take_while(|part| !is_pattern(*part)).collect();
    let mut found = false;
    let mut take = |file| {
        found = true;
        take(file)
    };
    // That somebody broke off is no failure.
    let _ = if root == resolved {
        match root.is_dir() {
            true => walk(&root, usize::MAX, true, None, &mut take),
            false if root.is_file() => take(root),
            false => ControlFlow::Continue(()),
        }
    } else {
        let depth = resolved.components().count() - root.components().count();
        walk(&root, if recursive { usize::MAX } else { depth }, recursive, Some(&matcher), &mut take)
    };
    if found { Ok(()) } else { Err(no_match(pattern, &resolved)) }
}

/// Every file under `root`, sorted by path. Links to directories are not followed.
pub fn files_under(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let _ = walk(root, usize::MAX, true, None, &mut |file| {
        files.push(file);
        ControlFlow::Continue(())
    });
    files.sort();
    files
}

/// The file that a path names, or the files that match where it is a pattern, sorted.
pub fn named_files(path: &str, base: &Path) -> Result<Vec<PathBuf>, Diagnostic> {
    match resolve(path, base)?.components().any(is_pattern) {
        true => matching_files(path, base),
        false => Ok(vec![resolve(path, base)?]),
    }
}

fn no_match(pattern: &str, resolved: &Path) -> Diagnostic {
    let help = if pattern.contains("CARGO_HOME") {
        "cargo keeps the sources it downloads there; this machine has none. Point the recipe at other text: \
         `source = files(\"my/text/**/*.txt\")`, or `--set` the parameter that holds the pattern"
    } else {
        "point the recipe at other text: `source = files(\"my/text/**/*.txt\")` or `source = text(\"book.txt\")`, \
         or `--set` the parameter that holds the pattern"
    };
    let shown = resolved.display().to_string();
    let place = if shown == pattern { String::new() } else { format!(" (`{shown}`)") };
    Diagnostic::error(codes::NO_FILE_MATCHES, format!("no file matches `{pattern}`{place}")).help(help)
}

fn is_pattern(part: Component<'_>) -> bool {
    part.as_os_str().to_string_lossy().contains(['*', '?', '['])
}

/// Passes on the files under `directory` that match (none: all). Directories that may not be read hold nothing.
fn walk(
    directory: &Path,
    depth: usize,
    recursive: bool,
    matcher: Option<&Pattern>,
    take: &mut dyn FnMut(PathBuf) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let Ok(entries) = fs::read_dir(directory) else {
        return ControlFlow::Continue(());
    };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else {
            continue;
        };
        let path = entry.path();
        let is_directory = if kind.is_symlink() { !recursive && path.is_dir() } else { kind.is_dir() };
        if is_directory {
            if depth > 1 {
                walk(&path, depth - 1, recursive, matcher, take)?;
            }
        } else if matcher.is_none_or(|matcher| matcher.matches_path_with(&path, MATCHING))
            && (kind.is_file() || path.is_file())
        {
            take(path)?;
        }
    }
    ControlFlow::Continue(())
}

/// Expands a leading `~`, `$VAR` and `${VAR}` with the values that `variable` knows.
fn expand(path: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Diagnostic> {
    let value = |name: &str| -> Result<String, Diagnostic> {
        let found = variable(name).filter(|value| !value.is_empty());
        match (found, name) {
            (Some(value), _) => Ok(value),
            (None, "CARGO_HOME") => Ok(format!("{}/.cargo", home(path, variable)?)),
            (None, _) => Err(failure(path, &format!("the environment variable `{name}` is not set"))),
        }
    };
    let mut expanded = String::new();
    let mut rest = path;
    if path == "~" || path.starts_with("~/") {
        expanded.push_str(&home(path, variable)?);
        rest = &path[1..];
    }
    while let Some(dollar) = rest.find('$') {
        expanded.push_str(&rest[..dollar]);
        let after = &rest[dollar + 1..];
        if let Some(inside) = after.strip_prefix('{') {
            let end = inside.find('}').ok_or_else(|| failure(path, "`${` is not closed by `}`"))?;
            expanded.push_str(&value(&inside[..end])?);
            rest = &inside[end + 1..];
        } else {
            let is_name = |character: char| character.is_ascii_alphanumeric() || character == '_';
            let end = after.find(|character| !is_name(character)).unwrap_or(after.len());
            if end == 0 {
                return Err(failure(path, "`$` stands before no name"));
            }
            expanded.push_str(&value(&after[..end])?);
            rest = &after[end..];
        }
    }
    expanded.push_str(rest);
    Ok(expanded)
}

fn home(path: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String, Diagnostic> {
    variable("HOME")
        .filter(|value| !value.is_empty())
        .ok_or_else(|| failure(path, "the home directory is not known: `HOME` is not set"))
}

fn failure(path: &str, reason: &str) -> Diagnostic {
    Diagnostic::error(codes::PATH_PATTERN, format!("`{path}` cannot be expanded: {reason}"))
        .help("set the variable, or write the path out")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(path: &str) -> Result<String, String> {
        let variable = |name: &str| match name {
            "HOME" => Some("/home/ada".to_owned()),
            "DATA" => Some("/data".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        expand(path, &variable).map_err(|diagnostic| diagnostic.message)
    }

    #[test]
    fn variables_and_home_expand() {
        assert_eq!(expanded("~/x").unwrap(), "/home/ada/x");
        assert_eq!(expanded("a~/x").unwrap(), "a~/x");
        assert_eq!(expanded("$DATA/$DATA_x".replace("_x", "").as_str()).unwrap(), "/data//data");
        assert_eq!(expanded("${DATA}s/*.txt").unwrap(), "/datas/*.txt");
        assert_eq!(expanded("$CARGO_HOME/registry").unwrap(), "/home/ada/.cargo/registry");
    }

    #[test]
    fn what_cannot_expand_says_why() {
        assert!(expanded("$NOWHERE/x").unwrap_err().contains("`NOWHERE` is not set"));
        assert!(expanded("$EMPTY/x").unwrap_err().contains("`EMPTY` is not set"));
        assert!(expanded("${DATA/x").unwrap_err().contains("not closed"));
        assert!(expanded("a/$/x").unwrap_err().contains("before no name"));
        assert!(expand("~/x", &|_| None).unwrap_err().message.contains("HOME"));
    }

    #[test]
    fn globs_match_sorted_and_across_directories() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.rs", "a/deep/z.rs", "a/y.rs", "a/y.txt", ".hidden/h.rs"] {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        let names = |pattern: &str| -> Vec<String> {
            matching_files(pattern, directory.path())
                .map(|files| {
                    let relative = |file: &PathBuf| file.strip_prefix(directory.path()).unwrap().display().to_string();
                    files.iter().map(relative).collect()
                })
                .unwrap_or_default()
        };
        assert_eq!(names("**/*.rs"), [".hidden/h.rs", "a/deep/z.rs", "a/y.rs", "b.rs"]);
        assert_eq!(names("*/*.rs"), [".hidden/h.rs", "a/y.rs"]);
        assert_eq!(names("a/y.txt"), ["a/y.txt"]);
        assert_eq!(names("*.txt"), [""; 0]);
        let missing = matching_files("$CARGO_HOME/none/**/*.zz", directory.path()).unwrap_err();
        assert!(missing.help.unwrap().contains("--set"));
        assert_eq!(matching_files("a[/**", directory.path()).unwrap_err().code, codes::PATH_PATTERN);
    }
}
