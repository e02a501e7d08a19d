//! Values, types and units: `E03xx`.

use super::Code;

codes! {
    WRONG_KIND = "E0301", "wrong kind of value", "\
A value of another kind is needed here: a number where a text stands, a text where a list stands, and so on. \
Whole numbers are taken where a fraction is needed, never the other way round.

Wrong:  seed = \"42\"
Right:  seed = 42";
    NOT_EXACT = "E0302", "division is not exact", "\
`/` between whole numbers and dimensions must be exact, since sizes are whole: `768 / 7` is an error. \
Change one of the two, or make it a fraction on purpose: `768.0 / 7`, `floor(768.0 / 7)`.

Wrong:  let width = 768 / 7
Right:  let width = 768 / 8";
    OUT_OF_RANGE = "E0303", "number out of range", "\
The result is too large for a 64-bit number, or lies outside the range that is allowed here.

Wrong:  optimizer = adamw(learning_rate: 6e-4, betas: [0.9, 1.0])
Right:  optimizer = adamw(learning_rate: 6e-4, betas: [0.9, 0.95])";
    DIVISION_BY_ZERO = "E0304", "division by zero", "\
The divisor is zero. If it comes from a `param`, look at what `--set` gave it.

Wrong:  let width = 768 / 0
Right:  let width = 768 / 12";
    NOT_A_NUMBER = "E0305", "not a number", "\
The result is not a finite number, as in `sqrt(-1.0)` or `1e300 * 1e300`.

Wrong:  let scale = 1.0 / sqrt(-4.0)
Right:  let scale = 1.0 / sqrt(4.0)";
    UNKNOWN_UNIT = "E0306", "unknown unit", "\
Units are `tokens`, `sequences`, `steps`, `epochs`, `%`, bytes (`KB`, `MB`, `GB`, `TB`, `KiB`, `MiB`, `GiB`, `TiB`), \
times (`s`, `min`, `h`, `days`), `USD` and `USD/h`.

Wrong:  budget = 2M tokes
Right:  budget = 2M tokens";
    WRONG_UNIT = "E0307", "wrong unit", "\
The number has a unit of another dimension than is needed here, or none where one is needed. \
`global_batch = 512` could mean tokens or sequences, so the unit must be said.

Wrong:  global_batch = 32
Right:  global_batch = 32 sequences
Or:     global_batch = 8192 tokens";
    UNIT_MISMATCH = "E0308", "units do not go together", "\
Quantities are added, subtracted and compared only with equal units, and multiplied or divided only by plain numbers.

Wrong:  let budget = 2M tokens + 100 steps
Right:  let budget = 2M tokens + 100K tokens";
    UNKNOWN_VALUE = "E0309", "unknown name in a value", "\
The name is not a `let`, a `param`, a parameter, a dimension or a binding that is known at this place.

Wrong:  let width = 64   let hidden = 4 * widht
Right:  let width = 64   let hidden = 4 * width";
    UNKNOWN_MEMBER = "E0310", "unknown member", "\
What stands left of the dot has no such member. A tokenizer has `vocab`.

Wrong:  model = gpt2(vocab: bpe.size)
Right:  model = gpt2(vocab: bpe.vocab)";
    NOT_CONSTANT = "E0311", "not a constant", "\
Only numbers, texts, lists and arithmetic on them may stand here: the value must be known before anything runs.

Wrong:  let table = embedding(512, 64) as wte
Right:  let width = 64";
    WRONG_ARGUMENTS = "E0312", "wrong arguments of a constant function", "\
`min` and `max` take one or more numbers; `floor`, `ceil`, `round` and `sqrt` take one.

Wrong:  let width = floor(7.5, 2)
Right:  let width = floor(7.5)";
}
