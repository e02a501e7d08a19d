//! Names, imports and overrides: `E02xx`.

use super::Code;

codes! {
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
}
