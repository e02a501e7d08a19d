//! The stable codes of every diagnostic, with the text that `llmc explain` prints.
//!
//! A code never changes its meaning and is never reused. Ranges: `E01xx` syntax, `E02xx` names and imports,
//! `E03xx` values, types and units, `E04xx` declarations and fields, `E05xx` tensors and shapes,
//! `E06xx` stages (model, objective, data and tokenizer together), `E07xx` data and tokenizer files,
//! `E08xx` checkpoints and runs, `E09xx` command line and machine. `W....` are warnings.

/// One row of the table: a stable code and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    name: &'static str,
    title: &'static str,
    explanation: &'static str,
}

impl Code {
    /// `E0201`
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// A few words.
    pub fn title(&self) -> &'static str {
        self.title
    }

    /// A paragraph or more: what it means, an example, the way out.
    pub fn explanation(&self) -> &'static str {
        self.explanation
    }
}

/// Looks a code up by its name, in any case.
pub fn find(name: &str) -> Option<Code> {
    ALL.iter().copied().find(|code| code.name.eq_ignore_ascii_case(name))
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $title:literal, $explanation:literal;)*) => {
        $(#[doc = concat!("`", $name, "`: ", $title)]
        pub const $constant: Code = Code { name: $name, title: $title, explanation: $explanation };)*
        /// Every code, in order.
        pub const ALL: &[Code] = &[$($constant),*];
    };
}

codes! {
    UNEXPECTED_TOKEN = "E0101", "unexpected text", "\
The text at the caret does not fit the grammar. The message names what may stand there.";
    NESTED_TOO_DEEPLY = "E0102", "nested too deeply", "\
Brackets, braces or operators are nested deeper than the language allows (64 levels). \
Give the inner part a name with `let` or move it into a `block`.";
    DATA_UNREADABLE = "E0701", "data cannot be read", "\
A file that the recipe names as data is missing or may not be read. Relative paths start at the recipe's directory; \
`~`, `$VAR` and `${VAR}` are expanded. Correct the path in `source`, or set it from the command line with `--set`.";
    NO_FILE_MATCHES = "E0702", "no file matches", "\
The pattern of `files(...)` matches no file. `*` stands for any part of a name, `**` for any number of directories, `?` for one \
character. Point the recipe at other text: `source = files(\"src/**/*.txt\")` or `source = text(\"book.txt\")`.";
    PATH_PATTERN = "E0703", "path cannot be expanded", "\
The path holds an environment variable that is not set, an unclosed `${`, or a malformed pattern. Set the variable, or write the path out. \
`CARGO_HOME` alone has a default: `~/.cargo`.";
    RECORD = "E0704", "line is not a record", "\
Every line of a `jsonl(...)` source is one JSON object: `{\"text\": \"...\"}`. The message says which line is not, and why. \
A bad last line often means that the file was cut off while it was copied.";
    RECORD_FIELD = "E0705", "record lacks the field", "\
A line of a `jsonl(...)` source does not hold the named field, or the field is not a string. The message names the fields that are there: \
write one of them, `jsonl(\"answers.jsonl\", field: \"text\")`.";
    TOKEN_FILE = "E0706", "token file is not readable as tokens", "\
A `tokens(...)` source is `.safetensors` (I64, I32, U32 or U16), `.npy` (versions 1 and 2; the same types, little-endian, C order) or `.bin` \
(16-bit unsigned ids; `.u32.bin` 32-bit ones; the 1024-byte header of llm.c is recognised). \
The message says what the file holds instead: an unknown type, a broken header, or fewer bytes than its header promises.";
    NO_SUCH_TENSOR = "E0707", "no such tensor", "\
The safetensors file does not hold the named tensor, or no name is given and the file holds several. The message lists them: \
`tokens(\"batches.safetensors\", tensor: \"input_ids\")`.";
    TOKEN_OUT_OF_RANGE = "E0708", "token id out of the vocabulary", "\
The data holds a token id that the model has no row for. The model's vocabulary must be larger than the largest id: make `vocab` larger, \
or prepare the data with the tokenizer that belongs to the model.";
    ROW_LENGTH = "E0709", "rows do not fit the sequence length", "\
The rows of a two-dimensional token file are training rows as they are, so their length must equal the stage's `sequence_length`. \
Set `sequence_length` to the row length, or store the ids as one dimension to have them cut into rows.";
    TOO_LITTLE_DATA = "E0710", "too little data", "\
After the held-out share is taken, the data must still fill one row of `sequence_length` tokens and one more token. \
Add text, or lower `sequence_length`, `holdout` or `limit`.";
    NOT_TEXT = "E0711", "file is not UTF-8 text", "\
`text(...)` and `jsonl(...)` read UTF-8. The message says at which byte the file stops being it. Convert the file \
(`iconv -f latin1 -t utf-8 old > new`), or name another one. `files(...)` skips such files and counts them.";
    TOKENIZER_FILE = "E0712", "tokenizer file is not usable", "\
The file is not a Hugging Face `tokenizer.json` of a kind that the `tokenizers` library can load. \
Name the `tokenizer.json` itself or its directory.";
    TOO_FEW_PAIRS = "E0713", "text too small for the vocabulary", "\
Byte-level BPE makes one new token of the most frequent pair of tokens at a time; a pair must occur twice. The text has fewer such pairs than the \
vocabulary asks for. Train on more text (`limit`) or ask for a smaller `vocab`; the message says how large it can be.";
    NO_END_OF_TEXT = "E0714", "tokenizer lacks the end-of-text token", "\
The token that is to follow each document is not in the tokenizer. The message names its special tokens: set `end_of_text` to one of them.";
    CACHE_UNWRITABLE = "E0715", "cache cannot be written", "\
Prepared tokens and trained tokenizers are kept in `$LLMC_CACHE`, else `$XDG_CACHE_HOME/llmc`, else `~/.cache/llmc`. \
The directory cannot be made or written, or the disk is full. Set `LLMC_CACHE` to another directory.";
    MIXED_SOURCES = "E0716", "text and token ids in one data set", "\
A data set is either text or token ids. Make two data sets, or turn the text into ids first.";
    CACHE_REBUILT = "W0701", "damaged cache entry rebuilt", "\
A file in the cache did not match its own checksum (an interrupted disk, an edited file). It was made anew from the data; nothing is lost.";
}
