//! A hundred thousand damaged recipes: each is accepted or refused with diagnostics, none panics or overflows a stack.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;

use llmc_compiler::check::check;
use llmc_compiler::random::Stream;
use llmc_compiler::world::Nowhere;
use llmc_grammar::diagnostic::render;
use llmc_grammar::source::Source;

const MUTANTS: u64 = 100_000;
const WORKERS: u64 = 2;

/// Pieces of the language that a slip of the hand or of a paste could leave anywhere.
const PIECES: [&str; 36] = [
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "=",
    "\"",
    "as ",
    "repeat ",
    "if ",
    "else ",
    "from ",
    "import ",
    "let ",
    "model ",
    "block ",
    "stage ",
    "0",
    "-1",
    "18446744073709551616",
    "1e999",
    "/",
    "^",
    "tokens",
    "%",
    " of ",
    "...",
    "\u{feff}",
    "\0",
    "é",
    "\r\n",
    "//",
    "not ",
];

/// Small recipes that use every part of the language.
fn corpus() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut texts = Vec::new();
    for folder in ["recipes", "recipes/architectures", "recipes/std", "tests/reference", "tests/wrong"] {
        let mut paths: Vec<_> =
            fs::read_dir(root.join(folder)).into_iter().flatten().flatten().map(|e| e.path()).collect();
        paths.sort();
        for path in paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "recipe")) {
            texts.push(fs::read_to_string(path).expect("a recipe is readable"));
        }
    }
    // Thirty-two layers a mutant would only cost time: two show the same.
    texts.iter().map(|text| text.replace("depth: 32", "depth: 2").replace("budget = 1T", "budget = 1M")).collect()
}

/// One to four edits of a text, a function of `index` alone.
fn mutate(corpus: &[String], index: u64) -> String {
    let stream = Stream::new(7, index);
    let mut draws = (0..).flat_map(|block| stream.block(block)).map(|word| word as usize);
    let mut draw = |bound: usize| draws.next().map_or(0, |word| word % bound.max(1));
    let mut text: Vec<char> = corpus[draw(corpus.len())].chars().collect();
    for _ in 0..1 + draw(4) {
        let place = draw(text.len());
        let length = draw(12).min(text.len() - place);
        match draw(5) {
            0 => drop(text.drain(place..place + length)),
            1 => drop(text.splice(place..place, PIECES[draw(PIECES.len())].chars())),
            2 => drop(text.splice(place..place + length, PIECES[draw(PIECES.len())].chars())),
            3 => {
                let copy: Vec<char> = text[place..place + length].to_vec();
                let to = draw(text.len());
                drop(text.splice(to..to, copy));
            }
            _ => {
                let other = draw(text.len());
                if !text.is_empty() {
                    text.swap(place, other);
                }
            }
        }
    }
    text.into_iter().collect()
}

#[test]
fn no_damaged_recipe_panics() {
    let corpus = corpus();
    assert!(corpus.len() > 5);
    let accepted: u64 = thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                let corpus = &corpus;
                let work = move || {
                    let mut accepted = 0;
                    for index in (worker..MUTANTS).step_by(WORKERS as usize) {
                        let text = mutate(corpus, index);
                        let outcome = catch_unwind(AssertUnwindSafe(|| {
                            let source = Source::new("mutant.recipe", text.as_str());
                            match check(&source, &[], &Nowhere) {
                                Ok(_) => true,
                                Err(diagnostics) => {
                                    assert!(!diagnostics.is_empty(), "refused without a reason");
                                    assert!(!render(&diagnostics[0]).is_empty());
                                    false
                                }
                            }
                        }));
                        match outcome {
                            Ok(fine) => accepted += u64::from(fine),
                            Err(_) => panic!("mutant {index} panics:\n{text}"),
                        }
                    }
                    accepted
                };
                thread::Builder::new().stack_size(2 << 20).spawn_scoped(scope, work).expect("a thread starts")
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("no mutant panics")).sum()
    });
    // Both sides must be there, or the test shows nothing.
    assert!(accepted > MUTANTS / 1000, "only {accepted} mutants were accepted");
    assert!(accepted < MUTANTS * 9 / 10, "{accepted} mutants were accepted");
}
