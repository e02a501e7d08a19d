//! No recipe, however damaged, makes the checker panic.

use std::fs;
use std::path::{Path, PathBuf};

use llmc_compiler::check::check;
use llmc_grammar::diagnostic::render;
use llmc_grammar::source::Source;

use super::world::Files;

/// What numbers, words and marks are replaced with.
const REPLACEMENTS: [&str; 16] = [
    "0",
    "-1",
    "18446744073709551615",
    "9223372036854775807",
    "1e308",
    "0.1",
    "none",
    "true",
    "rust",
    "pretrain",
    "\"text\"",
    "[]",
    "100%",
    "1T steps",
    "tiny",
    "adamw()",
];

#[test]
fn damaged_recipes_are_refused_without_a_panic() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut refused = 0;
    let mut checked = 0;
    for path in recipes(&tests.join("plans")) {
        let text = fs::read_to_string(&path).expect("readable");
        let words = words(&text);
        let world = Files { folder: tests.join("plans") };
        for (index, (start, end)) in words.iter().enumerate() {
            // Each word is left out, doubled, and replaced by two of the list.
            let word = &text[*start..*end];
            let first = REPLACEMENTS[index % REPLACEMENTS.len()];
            let second = REPLACEMENTS[(7 * index + 3) % REPLACEMENTS.len()];
            for with in ["", &format!("{word} {word}"), first, second] {
                let damaged = format!("{}{with}{}", &text[..*start], &text[*end..]);
                checked += 1;
                if let Err(diagnostics) = check(&Source::new("damaged.recipe", damaged), &[], &world) {
                    assert!(diagnostics.iter().any(|each| each.is_error()));
                    assert!(diagnostics.iter().all(|each| !render(each).is_empty()));
                    refused += 1;
                }
            }
        }
    }
    assert!(checked > 1000 && refused > checked / 2, "{refused} of {checked} refused");
}

fn recipes(folder: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "recipe"))
        .collect();
    paths.sort();
    paths
}

/// Runs of letters, digits and quotes, and single marks.
fn words(text: &str) -> Vec<(usize, usize)> {
    let mut words: Vec<(usize, usize)> = Vec::new();
    let mut open = false;
    for (start, letter) in text.char_indices() {
        let end = start + letter.len_utf8();
        let inside = letter.is_alphanumeric() || "_.\"%".contains(letter);
        match words.last_mut() {
            Some(last) if inside && open => last.1 = end,
            _ if letter.is_whitespace() => {}
            _ => words.push((start, end)),
        }
        open = inside;
    }
    words
}
