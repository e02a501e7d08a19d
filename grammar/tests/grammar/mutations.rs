//! Recipes with random damage: every text is parsed or rejected with a drawable error, never a panic.

use llmc_grammar::diagnostic::render;
use llmc_grammar::{format, parse};

use crate::corpus;

/// SplitMix64 (Steele, Lea and Flood, 2014): small, seeded, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("64 bits");
        usize::try_from(self.next() % bound).expect("less than a usize")
    }
}

const TOKENS: [&str; 58] = [
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "=",
    "==",
    ":",
    ",",
    ".",
    "...",
    ";",
    "+",
    "-",
    "*",
    "/",
    "^",
    "<",
    "<=",
    "%",
    "\"",
    "\\",
    "//",
    "/*",
    "'",
    "#",
    "&&",
    "!",
    "\n",
    "\r\n",
    "\t",
    " ",
    "\u{FEFF}",
    "\u{A0}",
    "é",
    "“",
    "😀",
    "\0",
    "0",
    "1_",
    "2M",
    "6e-4",
    "1e999",
    "9.",
    "tokens",
    "as",
    "of",
    "not",
    "if",
    "else",
    "repeat",
    "from",
    "none",
    "\nlet x = ",
    "\nstage s {\n",
    "\nmodel m(x: [B]) {\n",
    "else if a {",
];

fn damage(random: &mut Random, bytes: &mut Vec<u8>, other: &[u8]) {
    let at = random.below(bytes.len());
    let length = 1 + random.below(12);
    let end = (at + length).min(bytes.len());
    match random.below(6) {
        0 => drop(bytes.drain(at..end)),
        1 if !bytes.is_empty() => {
            let second = random.below(bytes.len());
            bytes.swap(at, second);
        }
        2 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy);
        }
        3 => {
            let from = random.below(other.len());
            let to = (from + random.below(60)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
        4 => bytes.truncate(at),
        _ => drop(bytes.splice(at..at, TOKENS[random.below(TOKENS.len())].bytes())),
    }
}

/// Checks a text and says whether it is right.
fn check(text: &str) -> bool {
    let source = corpus::source(text);
    let parsed = parse(&source);
    let right = parsed.is_ok();
    match parsed {
        Ok(tree) => {
            let layout = format(&source).expect("what parses can be formatted");
            let again = corpus::source(&layout);
            let reparsed = parse(&again).unwrap_or_else(|_| panic!("the layout is wrong:\n{text}\n=====\n{layout}"));
            assert!(reparsed.same_shape(&tree), "the layout means something else:\n{text}\n=====\n{layout}");
            let twice = format(&again).expect("what parses can be formatted");
            assert_eq!(layout, twice, "formatting again changes:\n{text}");
            assert_eq!(comments(&layout), comments(text), "comments change:\n{text}");
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                let (span, _) = error.labels.first().expect("a place");
                assert!(span.end <= text.len() && text.get(span.start..span.end).is_some());
                assert!(render(&error).contains(&error.message[..1]));
            }
        }
    }
    right
}

/// The comments of a right recipe, in order, as they are written.
fn comments(text: &str) -> Vec<String> {
    let mut comments = Vec::new();
    for line in text.split(['\n', '\r']) {
        let (mut quoted, mut escaped) = (false, false);
        for (index, byte) in line.bytes().enumerate() {
            match byte {
                b'"' if !escaped => quoted = !quoted,
                b'/' if !quoted && line[index..].starts_with("//") => {
                    comments.push(line[index..].trim_end().to_owned());
                    break;
                }
                _ => {}
            }
            escaped = quoted && byte == b'\\' && !escaped;
        }
    }
    comments
}

#[test]
fn never_panic() {
    let corpus = corpus::all();
    let rounds: u64 = std::env::var("LLMC_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000);
    let work = move || {
        for text in &corpus {
            check(text);
        }
        for seed in 0..rounds {
            let mut random = Random(seed);
            let mut bytes = corpus[random.below(corpus.len())].clone().into_bytes();
            let other = corpus[random.below(corpus.len())].as_bytes();
            for _ in 0..1 + random.below(4) {
                damage(&mut random, &mut bytes, other);
            }
            check(&String::from_utf8_lossy(&bytes));
        }
    };
    on_small_stack(work);
}

/// Comments, blanks and line breaks at random places: where the recipe stays right, its layout keeps them.
#[test]
fn comments_survive_formatting() {
    const INSERTED: [&str; 9] = [" // c\n", "\n// own\n", "// d\n\n// e\n", "\n", " ", "\n\n\n", "\t", ";", ","];
    let corpus = corpus::right();
    on_small_stack(move || {
        let mut right = 0;
        for seed in 0..20_000 {
            let mut random = Random(seed);
            let mut text = corpus[random.below(corpus.len())].clone();
            for _ in 0..1 + random.below(4) {
                let mut at = random.below(text.len());
                while !text.is_char_boundary(at) {
                    at -= 1;
                }
                text.insert_str(at, INSERTED[random.below(INSERTED.len())]);
            }
            right += usize::from(check(&text));
        }
        assert!(right > 1_000, "only {right} of the texts were right recipes");
    });
}

/// Runs on the stack that Rust gives every thread but the first.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    std::thread::Builder::new().stack_size(2 << 20).spawn(work).expect("a thread").join().expect("no panic");
}
