//! Declarations and their fields: `E04xx`.

use super::Code;

codes! {
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
}
