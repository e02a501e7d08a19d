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
    NOT_A_CHECKPOINT = "E0801", "no model in this directory", "\
`generate` and `score` take a checkpoint of llmc (`runs/RECIPE/STAGE/checkpoints/step-...`, or the run's own directory, \
which stands for its newest checkpoint) or a Hugging Face directory with `config.json` and `model.safetensors`.";
    DAMAGED_FILE = "E0802", "damaged file", "\
The file does not hold what its header promises: it was cut off, or it is not of this format. llmc writes checkpoints \
under a temporary name and renames them when they are complete, so a kill cannot cause this; an interrupted copy or a \
full disk can. An older checkpoint in the same directory is likely whole.";
    WEIGHTS_DO_NOT_FIT = "E0803", "weights do not fit the model", "\
Every weight of the model must be in the file under its path and with its shape, and the file may hold nothing that \
the model does not know. Three kinds of surplus are left out knowingly: the output projection of a model that ties it \
to the embedding, attention masks, and rotary frequencies, all of which old checkpoints carry. Usually the recipe's \
model has another width, depth or vocabulary than the one in the directory.";
    OTHER_RECIPE = "E0804", "checkpoint of another run", "\
A resumed run must be the run that was interrupted: the same model, data, tokenizer, objective, optimizer, batch and \
seed. Only how long it lasts and how often it reports may change (steps and what follows from them in the schedule, \
evaluation and checkpoint intervals, the sample). To go on from the weights with other settings, start a new stage: \
`init = hf(\"runs/.../checkpoints/step-...\")`.";
    RUN_EXISTS = "E0805", "the directory already holds a run", "\
A run never overwrites another. `--resume` continues the one that is there, `--out DIR` writes elsewhere, and `--fresh` \
removes what is there and starts anew.";
    NO_SPACE = "E0806", "not enough disk space", "\
The checkpoints that the run will hold at the same time do not fit into the free space of the disk. `llmc compile` \
prints the bytes of one. Keep fewer (`keep`), free some space, or write elsewhere with `--out`.";
    LOSS_NOT_FINITE = "E0807", "the loss is not a number", "\
The loss or the gradient norm became infinite or not-a-number. Training stops at once, so that the last checkpoint holds \
good weights. The usual reason is a learning rate that is too high for the model or a warm-up that is too short; \
gradient clipping (`clip_norm: 1.0`) helps.";
    RUN_FILE = "E0808", "a file of the run cannot be read or written", "\
The operating system refused. The message names the file and the reason.";
    UNKNOWN_FAMILY = "E0809", "model of an unknown family", "\
`config.json` names a `model_type` for which the standard library has no `huggingface` declaration, or the settings do \
not fit the model that it names. The message lists the known ones.";
    TOO_LONG = "E0810", "more tokens than the model's context", "\
The model has positions for a limited number of tokens, and prompt and continuation together need more. Shorten the \
prompt or ask for fewer tokens.";
    SCORE_INPUT = "E0811", "a line that cannot be scored", "\
Each line of the input is an object with either `text` (a string) or `tokens` (a list of token ids), of at most as many \
tokens as the model's context. `text` needs a tokenizer in the model's directory.";
    FILE_NOT_READ = "E0901", "a file cannot be read", "\
The operating system refused to give the file, or it is not UTF-8 text. The message names the reason.";
    SET_WITHOUT_VALUE = "E0902", "`--set` without name or value", "\
`--set` takes `name=value`: a `param` of the recipe, or the dotted path of a field such as `pretrain.sequence_length`. \
The value is written as in the recipe; quote it for the shell where needed: `--set pretrain.budget='2M tokens'`.";
    UNKNOWN_STAGE = "E0903", "no such stage", "\
`--stage` names a stage of the recipe.";
    UNKNOWN_TOPIC = "E0904", "nothing to explain", "\
`llmc explain` takes the code of a diagnostic (`E0201`) or the name of a field, alone or with the kind of its \
declaration (`stage.global_batch`).";
    DEVICE = "E0905", "the device failed", "\
A kernel or an allocation failed on the device. The message names the operation and its place in the recipe.";
    NO_MEMORY = "E0906", "not enough memory", "\
The run needs more memory than the machine has free. `llmc compile` prints where it goes: a smaller `micro_batch` \
shrinks activations, a smaller model shrinks the rest.";
    UNKNOWN_PASS = "E0907", "nothing to emit after this", "\
`llmc emit --after` takes `tree`, `plan`, `lower`, the name of a pass, or `schedule`; `--program` takes a program that \
the stage has (`accumulate` only exists where a step has several micro-batches).";
}
