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
    ALL.iter()
        .copied()
        .find(|code| code.name.eq_ignore_ascii_case(name))
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

    UNKNOWN_NAME = "E0201", "unknown name", "\
Nothing in the recipe or its imports has this name. Names are bound by `let`, `param`, `dataset`, `tokenizer`, \
`stage`, `block` and `model`, in any order and in any imported file.

Wrong:  stage a { data = rsut ... }      with  dataset rust { ... }
Right:  stage a { data = rust ... }";
    DUPLICATE_NAME = "E0202", "name used twice", "\
A recipe and everything it imports share one set of names, so that a name means one thing wherever it stands. \
The message shows both places. Rename one.

Wrong:  let width = 256
        param width: int = 256
Right:  param width: int = 256";
    IMPORT_NOT_FOUND = "E0203", "import not found", "\
The imported recipe cannot be read. `std/...` names the library inside llmc; any other path is a file, relative to \
the recipe that imports it.

Wrong:  import \"std/gtp2\"
Right:  import \"std/gpt2\"";
    IMPORT_CYCLE = "E0204", "imports in a circle", "\
Two recipes import each other, directly or over others. Move what both need into a third recipe that both import.

Wrong:  a.recipe: import \"b.recipe\"    b.recipe: import \"a.recipe\"
Right:  a.recipe: import \"common.recipe\"    b.recipe: import \"common.recipe\"";
    DEFINED_BY_ITSELF = "E0205", "defined by itself", "\
The value of a `let` or `param` needs itself, directly or over others, so it has no value.

Wrong:  let width  = 4 * hidden
        let hidden = width / 4
Right:  let hidden = 64
        let width  = 4 * hidden";
    PARAM_WITHOUT_VALUE = "E0206", "param without a value", "\
A `param` without a default must be set on the command line.

        param corpus: string

Right:  llmc run my.recipe --set corpus=shakespeare.txt
Or:     param corpus: string = \"shakespeare.txt\"";
    UNKNOWN_OVERRIDE = "E0207", "nothing to set", "\
`--set NAME=VALUE` sets a `param`; `--set NAME.FIELD=VALUE` sets a field of a dataset, tokenizer or stage, and \
`--set NAME.FIELD.ARGUMENT=VALUE` an argument of a call in it. No such place exists.

Wrong:  llmc run my.recipe --set widht=512
Right:  llmc run my.recipe --set width=512
        llmc run my.recipe --set pretrain.budget='100 steps'
        llmc run my.recipe --set pretrain.optimizer.learning_rate=1e-3";
    WRONG_USE_OF_NAME = "E0208", "name of another kind", "\
The name exists, but it is of another kind than what may stand here.

Wrong:  stage a { data = bpe ... }       with  tokenizer bpe { ... }
Right:  stage a { data = rust ... }      with  dataset rust { ... }";

    UNKNOWN_KIND = "E0401", "unknown kind of declaration", "\
A declaration starts with its kind. The message lists the kinds there are.

Wrong:  data rust { source = text(\"a.txt\") }
Right:  dataset rust { source = text(\"a.txt\") }";
    UNKNOWN_FIELD = "E0402", "unknown field or argument", "\
The declaration or call has no such field. Nothing is ever ignored silently, so this is an error. The message \
gives the nearest name, or the list.

Wrong:  dataset rust { sorce = text(\"a.txt\") }
Right:  dataset rust { source = text(\"a.txt\") }";
    DUPLICATE_FIELD = "E0403", "field or argument written twice", "\
A field may be written once, otherwise one of the two values would be ignored.

Wrong:  stage a { seed = 1  seed = 2 ... }
Right:  stage a { seed = 2 ... }";
    MISSING_FIELD = "E0404", "required field or argument missing", "\
Fields without a default must be written. A stage that continues another (`stage b from a`) takes over the fields of \
`a` that it does not write.

Wrong:  stage a { model = gpt2 }
Right:  stage a { model = gpt2  data = rust  tokenizer = bpe  ... }";
    OTHER_SPELLING = "E0405", "another tool's name", "\
Other trainers have a field of this name; llmc has it under another one, which the message gives.

Wrong:  optimizer = adamw(lr: 6e-4)
Right:  optimizer = adamw(learning_rate: 6e-4)";
    UNKNOWN_CHOICE = "E0406", "not one of the choices", "\
The field takes one of a few calls or words. The message lists them.

Wrong:  schedule = cosin(warmup: 5%)
Right:  schedule = cosine(warmup: 5%)";
    EXCLUSIVE_FIELDS = "E0407", "exactly one of these fields", "\
The fields exclude each other and one of them is needed.

Wrong:  tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust)  load = \"tokenizer.json\" }
Right:  tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust) }
Or:     tokenizer bpe { load = \"tokenizer.json\" }";
    ARGUMENT_WITHOUT_NAME = "E0408", "argument without its name", "\
Most arguments are written with their names, so that a recipe can be read without a manual. Only the leading ones of a \
few calls (`files(\"...\")`, `every(50 steps)`) may be written without.

Wrong:  optimizer = adamw(6e-4)
Right:  optimizer = adamw(learning_rate: 6e-4)";
    FROM_NOT_ALLOWED = "E0409", "only stages continue others", "\
`from` starts a stage from the weights of another. Other kinds cannot continue anything.

Wrong:  dataset b from a { ... }
Right:  stage b from a { ... }";

    BATCH_DOES_NOT_DIVIDE = "E0601", "batch sizes do not divide", "\
An optimizer step consists of whole micro-batches of whole rows: `global_batch` must be a multiple of \
`sequence_length` (if it is given in tokens) and of `micro_batch` rows. The message gives the nearest sizes that fit.

Wrong:  sequence_length = 256 tokens   global_batch = 1000 tokens
Right:  sequence_length = 256 tokens   global_batch = 1024 tokens";
    VOCABULARY_MISMATCH = "E0602", "tokenizer and model disagree on the vocabulary", "\
The model gives one logit for each token id of its vocabulary, and the tokenizer makes ids of its own. Both must be \
of the same size. Write the size once:

        tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust) }
Wrong:  stage a { model = gpt2(vocab: 50257)  tokenizer = bpe ... }
Right:  stage a { model = gpt2(vocab: bpe.vocab)  tokenizer = bpe ... }";
    SEQUENCE_TOO_LONG = "E0603", "rows longer than the model's context", "\
The model has learned positions for `context` tokens; a longer row has positions without a weight.

Wrong:  model = gpt2(context: 512)   sequence_length = 1024 tokens
Right:  model = gpt2(context: 1024)  sequence_length = 1024 tokens";
    ROW_LENGTH = "E0604", "rows of token data have another length", "\
A token tensor of two dimensions holds finished rows; they are trained on as they are, so `sequence_length` must be \
their length.

        source = tokens(\"batches.safetensors\")   of shape [80, 32]
Wrong:  sequence_length = 64 tokens
Right:  sequence_length = 32 tokens";
    DATA_KIND = "E0605", "data of the wrong kind", "\
Data has a type: text, or token ids that are already made. A dataset holds one of the two, a tokenizer is trained on \
text, and each objective says what it takes.

Wrong:  source = [text(\"a.txt\"), tokens(\"b.bin\")]
Right:  source = [text(\"a.txt\"), text(\"b.txt\")]";
    NO_EFFECT = "E0606", "field without effect", "\
What is written here would change nothing, because of something else in the same recipe. Remove it, or change the \
other thing; the message names it.

Wrong:  stage a { data = ids  tokenizer = bpe ... }   with  dataset ids { source = tokens(\"a.bin\") }
Right:  stage a { data = ids ... }";
    STAGE_CYCLE = "E0607", "stages continue each other in a circle", "\
A stage starts from the end of the one after `from`, so following `from` must end at a stage without it.

Wrong:  stage a from b { ... }    stage b from a { ... }
Right:  stage a { ... }           stage b from a { ... }";
    SCHEDULE_TOO_LONG = "E0608", "schedule longer than the stage", "\
Warm-up and decay are parts of the stage, so together they cannot have more steps than it.

Wrong:  budget = 100 steps   schedule = cosine(warmup: 200 steps)
Right:  budget = 100 steps   schedule = cosine(warmup: 10 steps)";
    EPOCHS_UNKNOWN = "E0609", "length of an epoch unknown", "\
How many steps an epoch has must be known before anything runs. That is so for token ids with nothing held out; how \
many tokens a text makes is known only after it is tokenized. Give the budget in tokens or steps.

Wrong:  data = rust   budget = 3 epochs       with  dataset rust { source = files(\"...\") }
Right:  data = rust   budget = 2M tokens";
    TOKENIZER_MISSING = "E0610", "text without a tokenizer", "\
The model reads token ids; text needs a tokenizer that makes them.

Right:  tokenizer bpe { train = byte_bpe(vocab: 8192, on: rust) }
        stage a { data = rust  tokenizer = bpe ... }";
    WEIGHTS_DIFFER = "E0611", "weights of two stages differ", "\
`stage b from a` starts from the weights of `a`, so both models must have the same weights with the same shapes.

Wrong:  stage a { model = gpt2(layers: 6) ... }    stage b from a { model = gpt2(layers: 12) }
Right:  stage a { model = gpt2(layers: 6) ... }    stage b from a { budget = 1M tokens }";
    INIT_CONTRADICTS = "E0612", "arguments contradict the weights", "\
With `init = hf(\"...\")` the directory's `config.json` says how large the model is. Arguments written in the recipe must \
say the same; those not written are taken from there.

Wrong:  init = hf(\"models/gpt2\")   model = gpt2(layers: 6)
Right:  init = hf(\"models/gpt2\")   model = gpt2";
    TOO_LARGE = "E0613", "number too large", "\
The sizes of this stage multiply to a number of tokens that does not fit 64 bits. One of `budget`, `global_batch` and \
`sequence_length` must be a slip.";
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

    UNUSED = "W0601", "declared but not used", "\
No stage needs this dataset or tokenizer, so it changes nothing. Remove it, or name it in a stage.";
    BUDGET_ROUNDED = "W0602", "budget rounded up to whole steps", "\
Training ends after a whole number of optimizer steps. The budget is not a multiple of the global batch, so it is \
rounded up, here by more than one per cent.";
    NEVER_IN_TIME = "W0603", "interval longer than the stage", "\
`every(...)` is longer than the whole stage, so it happens only once, at the end.";
    SOURCE_NOT_FOUND = "W0701", "source not found", "\
Nothing was found at this path, seen from this machine. The recipe still compiles; it cannot run before the \
data is there. Paths are relative to the recipe; `~` and `$VAR` are filled in.";
}
