//! `E0711` to `E0799` and `W0711`: data and tokenizer files, found when they are prepared.

use super::Code;

codes! {
    DATA_UNREADABLE = "E0711", "data cannot be read", "\
A file that the recipe names as data is missing or may not be read. Relative paths start at the recipe's directory; \
`~`, `$VAR` and `${VAR}` are expanded. Correct the path in `source`, or set it from the command line with `--set`.";
    NO_FILE_MATCHES = "E0712", "no file matches", "\
The pattern of `files(...)` matches no file. `*` stands for any part of a name, `**` for any number of directories, `?` for one \
character. Point the recipe at other text: `source = files(\"src/**/*.txt\")` or `source = text(\"book.txt\")`.";
    PATH_PATTERN = "E0713", "path cannot be expanded", "\
The path holds an environment variable that is not set, an unclosed `${`, or a malformed pattern. Set the variable, or write the path out. \
`CARGO_HOME` alone has a default: `~/.cargo`.";
    RECORD = "E0714", "line is not a record", "\
Every line of a `jsonl(...)` source is one JSON object: `{\"text\": \"...\"}`. The message says which line is not, and why. \
A bad last line often means that the file was cut off while it was copied.";
    RECORD_FIELD = "E0715", "record lacks the field", "\
A line of a `jsonl(...)` source does not hold the named field, or the field is not a string. The message names the fields that are there: \
write one of them, `jsonl(\"answers.jsonl\", field: \"text\")`.";
    TOKEN_FILE = "E0716", "token file is not readable as tokens", "\
A `tokens(...)` source is `.safetensors` (I64, I32, U32 or U16), `.npy` (versions 1 and 2; the same types, little-endian, C order) or `.bin` \
(16-bit unsigned ids; `.u32.bin` 32-bit ones; the 1024-byte header of llm.c is recognised). \
The message says what the file holds instead: an unknown type, a broken header, or fewer bytes than its header promises.";
    NO_SUCH_TENSOR = "E0717", "no such tensor", "\
The safetensors file does not hold the named tensor, or no name is given and the file holds several. The message lists them: \
`tokens(\"batches.safetensors\", tensor: \"input_ids\")`.";
    TOKEN_OUT_OF_RANGE = "E0718", "token id out of the vocabulary", "\
The data holds a token id that the model has no row for. The model's vocabulary must be larger than the largest id: make `vocab` larger, \
or prepare the data with the tokenizer that belongs to the model.";
    TOO_LITTLE_DATA = "E0720", "too little data", "\
After the held-out share is taken, the data must still fill one row of `sequence_length` tokens and one more token. \
Add text, or lower `sequence_length`, `holdout` or `limit`.";
    NOT_TEXT = "E0721", "file is not UTF-8 text", "\
`text(...)` and `jsonl(...)` read UTF-8. The message says at which byte the file stops being it. Convert the file \
(`iconv -f latin1 -t utf-8 old > new`), or name another one. `files(...)` skips such files and counts them.";
    TOKENIZER_FILE = "E0722", "tokenizer file is not usable", "\
The file is not a Hugging Face `tokenizer.json` of a kind that the `tokenizers` library can load. \
Name the `tokenizer.json` itself or its directory.";
    TOO_FEW_PAIRS = "E0723", "text too small for the vocabulary", "\
Byte-level BPE and WordPiece make one new token of the most frequent pair of tokens at a time; a pair must occur twice. A unigram tokenizer \
keeps pieces that are likely to occur. The text has fewer of them than the vocabulary asks for. Train on more text (`limit`) or ask for a smaller `vocab`; the message says how large it can be.";
    NO_END_OF_TEXT = "E0724", "tokenizer lacks the end-of-text token", "\
The token that is to follow each document is not in the tokenizer. The message names its special tokens: set `end_of_text` to one of them.";
    TERM_LIST = "E0740", "list of terms is malformed", "\
A list of terms is a text file of one term a line; a list of pairs has two words a line, parted by a tab or a comma. \
The message says which line is not.";
    CACHE_UNWRITABLE = "E0725", "cache cannot be written", "\
Prepared tokens and trained tokenizers are kept in `$LLMC_CACHE`, else `$XDG_CACHE_HOME/llmc`, else `~/.cache/llmc`. \
The directory cannot be made or written, or the disk is full. Set `LLMC_CACHE` to another directory.";
    MIXED_SOURCES = "E0726", "text and token ids in one data set", "\
A data set is either text or token ids. Make two data sets, or turn the text into ids first.";
    VOCABULARY_TOO_SMALL = "E0727", "vocabulary too small for the text", "\
WordPiece and unigram tokenizers have a token for every character of their text (WordPiece for the 1000 most frequent ones), and special \
tokens. The vocabulary has no room for them. Ask for a larger `vocab`; the message says how large it must be.";
    LINE_TOO_LONG = "E0741", "line or record too long", "\
A line of text, or a record, is longer than 64 MiB; whatever has no end within that is hardly text. `on_error = skip` leaves it out, \
`on_error = replace` cuts lines of text into pieces; both count it.";
    DAMAGED_SOURCE = "E0742", "file is damaged", "\
The file is not what its format says, or ends too early. Copy it again; `on_error = skip` leaves the rest of such a file out, \
`on_error = replace` also keeps what lies before the damage within a document; both count it.";
    BLEND_EXHAUSTED = "E0743", "mixture runs out before the budget", "\
Every part of the mixture has a bound of `epochs`, and together they allow fewer rows than the stage's budget needs. \
Raise a bound, leave one out, add data, or lower the budget.";
    CACHE_REBUILT = "W0711", "damaged cache entry rebuilt", "\
A file in the cache did not match its own checksum (an interrupted disk, an edited file). It was made anew from the data; nothing is lost.";
}
