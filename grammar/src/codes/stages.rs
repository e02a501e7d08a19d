//! Stages, where model, objective, data and tokenizer meet: `E06xx` and `W06xx`.

use super::Code;

codes! {
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
Right:  stage a { model = gpt2(vocab: bpe.vocab)  tokenizer = bpe ... }

Ids from `random_tokens(vocab: ...)` may be fewer than the model's, never more.";
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
    EXTEND_UNFIT = "E0614", "the model cannot be extended so", "\
`extend` gives a trained model more positions: rows of a table of learned positions by interpolation, rotary ones by a rule \
of scaling. The model must have a parameter `context` with fewer positions than asked for, and for rotary positions a \
parameter `scaling`.

Wrong:  stage long from pretrain { extend = rescale_yarn(to: 512 tokens) }   with  model = gpt2(context: 128)
Right:  stage long from pretrain { extend = interpolate(to: 512 tokens) }";
    LABEL_LEAKS = "E0623", "the model sees what it is to predict", "\
The compiler follows how far ahead in the row the logits of a token look. Under `causal_lm` and `prefix_lm` they must not look past \
the token itself, because the next one is the label; under `permutation_lm` not even at the token. A model that sees its \
labels reaches a loss near zero and has learned nothing.

Wrong:  y = attend(q, k, v, causal: false)   with  objective = causal_lm
Right:  y = attend(q, k, v)                  with  objective = causal_lm";
    OBJECTIVE_UNFIT = "E0624", "objective and model do not fit", "\
Each objective fills certain inputs of the model and asks something of its attention: `span_corruption` needs a model with \
`source` and `tokens`, `prefix_lm` one that takes `order`, `masked_lm` one whose tokens see both sides.

Wrong:  model = gpt2(...)   objective = span_corruption
Right:  model = t5(...)     objective = span_corruption";
    NO_GRADIENT = "E0625", "a weight that nothing trains", "\
Every weight must have a gradient, or be declared frozen. Here something between the weight and the loss lets no gradient \
through: `stop_gradient`, or a factor of 0. The optimizer would only let the weight decay.

Wrong:  x = x + stop_gradient(mlp(h))
Right:  x = x + mlp(h)
Right:  freeze = [\"layers.*.mlp.*\"]
Right:  bias = stop_gradient(weight([experts]) as bias)     // a weight that the model itself never trains";
    FREEZE_UNFIT = "E0626", "nothing to freeze, or nothing left to train", "\
`freeze` names weights by their paths in the checkpoint; `*` stands for any characters. A pattern that matches no weight \
is a slip, and so is one that leaves nothing to train. `llmc check` tells near names; `llmc compile` writes all paths to \
`plan.yaml`.

Wrong:  freeze = \"transformer.h.0\"
Right:  freeze = \"transformer.h.0.*\"";
    NUMBERS_BREAK = "E0627", "a number that is none", "\
The compiler follows the least and the largest value of every operation. Here the result is never a finite number, \
whatever the weights are: a division by 0, the logarithm of what is never positive, the root of what is negative.

Wrong:  x / (relu(x) * 0.0)
Right:  x / (relu(x) + 1e-6)";
    FROZEN_AT_RANDOM = "W0625", "frozen at its first random value", "\
The weight is frozen, but the stage starts from random weights: it will never have learned anything. Continue another stage \
(`stage b from a`), start from a directory (`init = hf(...)`), or train it.";
    NUMBERS_MAY_BREAK = "W0627", "a number that can become infinite", "\
The compiler follows the least and the largest value of every operation. Here a value that can be exactly 0, such as a \
sum of squares or the result of `relu`, is divided by, or its logarithm is taken, or its square root, whose slope is \
infinite at 0. One such element makes the loss, or all gradients, not a number. Add a small constant first.

Wrong:  x * rsqrt(mean(square(x)))
Right:  x * rsqrt(mean(square(x)) + 1e-6)";
    PART_WEIGHTS = "E0621", "weights for some parts of a mixture only", "\
A mixture's rows are divided by the weights of its parts, or, where none has a weight, by their sizes. The two cannot be \
compared.

Wrong:  parts = [part(web, weight: 0.7), part(books)]
Right:  parts = [part(web, weight: 0.7), part(books, weight: 0.3)]
Right:  parts = [part(web), part(books)]";
    LICENSE_NOT_ALLOWED = "E0622", "source without an allowed licence", "\
The dataset names the licences that it may hold, and a source has another one or says none. Licences are compared letter \
by letter; SPDX names (`MIT`, `CC-BY-4.0`) are a good habit.

Wrong:  source = text(\"a.txt\")                    require_license = \"MIT\"
Right:  source = text(\"a.txt\", license: \"MIT\")    require_license = \"MIT\"";
    REPEATED_DATA = "W0621", "data repeated more than four times", "\
The budget needs more rows than the data has, so it is read again and again. Up to four epochs are worth nearly as much \
as new data; after about sixteen, more repetition adds almost nothing (Muennighoff et al. 2023, arXiv:2305.16264). \
Add data, lower the budget or the source's weight, or bound it: `part(books, weight: 0.3, epochs: 4)`.";
    UNUSED = "W0601", "declared but not used", "\
No stage reads this dataset or tokenizer, or nothing mentions this `let` or `param`, so it changes nothing; setting \
such a `param` on the command line changes nothing either. Remove it, or use it.";
    BUDGET_ROUNDED = "W0602", "budget rounded up to whole steps", "\
Training ends after a whole number of optimizer steps. The budget is not a multiple of the global batch, so it is \
rounded up, here by more than one per cent.";
    NEVER_IN_TIME = "W0603", "interval longer than the stage", "\
`every(...)` is longer than the whole stage, so it happens only once, at the end.";
    LEAK_UNPROVED = "W0623", "not shown that labels stay hidden", "\
The model mixes places of a row by an operation that the compiler cannot follow, such as a matrix product over the time axis. It may \
still be right; compare the logits of a row with those of a row whose end is changed.";
    DOCUMENTS_MIXED = "W0604", "documents packed together see one another", "\
`packing = best_fit` puts several documents into one row. A model that takes no `documents` lets every token attend \
to all tokens before it in the row, those of other documents too, and counts positions on from one document to the \
next. Give the model the input `documents: [B, T]` and hand it to `attend(..., documents: documents)`, or give every \
document rows of its own with `packing = pad`.";
}
