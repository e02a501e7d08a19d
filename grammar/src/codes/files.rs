//! Data, tokenizer and model files: `E07xx` and `W07xx`.

use super::Code;

codes! {
    SOURCE_UNFIT = "E0701", "source does not hold what is asked for", "\
The file is there, but it has no such field or tensor. The message lists those that it has.

Wrong:  jsonl(\"docs.jsonl\", field: \"txt\")
Right:  jsonl(\"docs.jsonl\", field: \"text\")";
    TOKENIZER_UNFIT = "E0702", "tokenizer file does not fit", "\
The `tokenizer.json` cannot be read, or has no such special token. `end_of_text` names the token put after each \
document; write one that the file has, or `none`.

Right:  tokenizer llama { load = \"llama/tokenizer.json\"  end_of_text = \"</s>\" }";
    DIRECTORY_UNFIT = "E0703", "model directory does not fit", "\
`init = hf(\"DIR\")` reads `DIR/config.json`. It cannot be read, or describes another model than the stage's.

Right:  stage a { model = gpt2  init = hf(\"models/gpt2\") ... }";
    FEATURE_MISSING = "E0706", "built without a reader", "\
The reader of this file format is left out of the default build, which it would make much slower. Build llmc with the \
feature that the message names, or turn the file into `.jsonl` or `.csv`.";
    SOURCE_NOT_FOUND = "W0701", "source not found", "\
Nothing was found at this path, seen from this machine. The recipe still compiles; it cannot run before the \
data is there. Paths are relative to the recipe; `~` and `$VAR` are filled in.";
}
