//! A place for runs of the real binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A small run on text: 12 steps, two micro-batches a step, a checkpoint every 4 steps.
pub const RECIPE: &str = r#"
import "std/gpt2"

param steps: int = 12
param depth: int = 2

dataset words {
  source = text("words.txt")
  holdout = 10%
}

tokenizer letters { load = bytes }

stage pretrain {
  model = gpt2(vocab: letters.vocab, context: 48, width: 16, depth: depth, heads: 2, dropout: 0.1)
  data = words
  tokenizer = letters
  objective = causal_lm
  optimizer = adamw(learning_rate: 1e-2, weight_decay: 0.1, clip_norm: 1.0)
  schedule = cosine(warmup: 2 steps, floor: 10%)
  sequence_length = 24 tokens
  global_batch = 8 sequences
  micro_batch = 4 sequences
  budget = steps * 1 steps
  evaluate = every(4 steps)
  evaluate_on = 8 sequences
  checkpoint = every(4 steps)
  keep = 2
  seed = 7
}
"#;

/// A directory with the recipe above, its data, and a cache of its own.
pub struct Workplace {
    directory: TempDir,
}

impl Workplace {
    /// A fresh one.
    pub fn new() -> Workplace {
        let workplace = Workplace { directory: tempfile::tempdir().expect("a temporary directory") };
        workplace.write("tiny.recipe", RECIPE);
        workplace.write("words.txt", &words());
        workplace
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("the file is written");
    }

    /// `llmc` with these arguments, to be run in it.
    pub fn llmc(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llmc"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("LLMC_CACHE", self.path("cache"))
            .env_remove("OMP_NUM_THREADS");
        command
    }

    /// Runs it; it must succeed. Gives standard output.
    pub fn succeed(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "llmc {arguments:?} failed\n{}", stderr(&output));
        String::from_utf8(output.stdout).expect("llmc prints UTF-8")
    }

    /// Runs it; it must fail as a user's mistake. Gives standard error.
    pub fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "llmc {arguments:?}\n{text}");
        assert!(!text.contains("bug of llmc"), "{text}");
        text
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.llmc(arguments).output().expect("llmc starts")
    }
}

/// A small published model, where `../shared` is.
pub fn stories260k() -> Option<PathBuf> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/models/stories260k");
    if !model.is_dir() {
        eprintln!("skipped: stories260k of ../shared, which is not here");
        return None;
    }
    Some(model)
}

/// What a process said on standard error.
pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The bytes of a checkpoint's file.
pub fn checkpoint_file(run: &Path, step: u64, name: &str) -> Vec<u8> {
    let path = run.join(format!("pretrain/checkpoints/step-{step:08}/{name}"));
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Text that a small model can learn a little from: about six kilobytes of short sentences.
fn words() -> String {
    let (who, does, what) = (["the cat", "a dog", "my bird"], ["sees", "eats", "hides"], ["bread", "milk", "a stone"]);
    let mut text = String::new();
    for number in 0..300usize {
        let (a, b, c) = (number % 3, number / 3 % 3, (number * 7 + number / 9) % 3);
        text.push_str(&format!("{} {} {}.\n", who[a], does[b], what[c]));
    }
    text
}
