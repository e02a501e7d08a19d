//! Models, tensors and shapes: `E05xx`.

use super::Code;

codes! {
    SHAPE_MISMATCH = "E0501", "shapes do not fit", "\
Two tensors meet whose shapes do not go together. Elementwise operations need equal sizes from the right (or a size \
of 1); `matmul` needs the last size of the left operand to equal the last but one of the right.

Wrong: a layer that changes the width is added to its input.
    x + linear(x, 512)          // x: [B, T, 768]
Right:
    x + linear(x, 768)";
    WRONG_DTYPE = "E0502", "wrong element type", "\
`tokens`, `positions` and `documents` hold whole numbers; everything else holds 32-bit floats. `lookup` takes ids, \
arithmetic takes floats: look the ids up in a table first.";
    HEADS_DO_NOT_DIVIDE = "E0503", "heads do not divide", "\
In grouped-query attention every key and value head serves the same number of query heads, so the number of query \
heads must be a multiple of the number of key and value heads: 32 and 8 fit, 32 and 5 do not.";
    WRONG_RESULT = "E0504", "wrong result of a model", "\
A model's value is the logits: floats of shape `[B, T, vocab]`, where `B` and `T` are those of its inputs. \
Usually the last line is `unembed(x)` or a `matmul` with the token table.";
    UNREACHED_WEIGHT = "E0505", "weight without effect", "\
The weight never reaches the model's output, so it would never be trained. Use it, or remove it.";
    UNUSED_PARAMETER = "E0506", "parameter without effect", "\
The function never uses this parameter, so setting it would change nothing. Use it, or remove it.";
    DUPLICATE_WEIGHT = "E0507", "two weights with the same path", "\
A weight's path is its name in a checkpoint, so it must be unique. A call without `as` adds no part of its own.

Wrong:
    linear(linear(x, 64), 64)
Right:
    linear(linear(x, 64) as up, 64) as down";
    UNNAMED_WEIGHT = "E0508", "weight without a name", "\
Every weight needs a name in the checkpoint: `weight([D]) as scale`, or a named call around it.";
    WRONG_AXIS = "E0509", "no such axis", "\
A tensor with three dimensions has the axes 0, 1, 2, or -3, -2, -1 counted from the end.";
    WRONG_RANK = "E0510", "wrong number of dimensions", "\
The function needs a tensor with another number of dimensions, for example `[B, T, H, K]` for attention. \
`reshape(x, [B, T, heads, D / heads])` splits a dimension into two.";
    RECURSION = "E0511", "a function calls itself", "\
Calls are written out when the model is made, so a function cannot call itself, directly or through others. \
Use `repeat N as name { ... }` for layers.";
    UNKNOWN_FUNCTION = "E0512", "unknown function", "\
There is no function, `block` or `model` of this name. Blocks of the standard library must be imported: \
`import \"std/nn\"`.";
    UNKNOWN_ARGUMENT = "E0513", "unknown argument", "\
The function has no parameter of this name.";
    MISSING_ARGUMENT = "E0514", "missing argument", "\
The parameter has no default, so the call must give it a value.";
    DUPLICATE_ARGUMENT = "E0515", "argument given twice", "\
The parameter has a value already: by position, or by the same name earlier in the call.";
    TOO_MANY_ARGUMENTS = "E0516", "too many arguments", "\
The call gives more values than the function has parameters.";
    WRONG_COUNT = "E0517", "wrong number of names", "\
`a, b = f(x)` needs as many names as the function gives values. Only `split` and `top_k` give \
several: `q, k, v = split(x, 3)`.";
    ROUNDS_DIFFER = "E0518", "a repeated name changes its shape", "\
A name that is assigned inside `repeat` and existed before carries its value on to the next round, so its shape and \
element type must stay the same from round to round.";
    UNKNOWN_SIZE = "E0519", "size is not known", "\
The size must be known when the model is made, but it depends on the batch (`B`, `T`), which differs from batch to \
batch. Give the model a constant parameter, such as `context: int`, and use that.";
    WRONG_ARGUMENT = "E0520", "wrong kind of argument", "\
The parameter takes something else: a tensor where a constant stands, or a constant where a tensor stands.";
    NO_RESULT = "E0521", "function without a result", "\
The last line of a function is an expression, its value. A function that ends with an assignment has none.";
    WRONG_PARAMETER = "E0522", "wrong parameter", "\
A parameter is a tensor (`x: [B, T, D]`, `x: [..., D]`) or a constant (`int`, `float`, `bool`, `string`, \
`function`). A model's tensors are `tokens`, `positions` and `documents`, each `[B, T]`.";
    MODEL_TOO_LARGE = "E0523", "model too large", "\
Written out, the model has more operations than the compiler takes (200,000). Look at the counts of `repeat`.";
    RESERVED_NAME = "E0524", "name is taken by the language", "\
A `block` or `model` cannot have the name of a built-in function such as `matmul` or `softmax`.";
    NOTHING_TO_NAME = "E0525", "nothing to name", "\
`as` names the weights that a call makes. What stands before it makes none: only `weight` and calls of blocks can.";
    OUTSIDE_RANGE = "E0526", "argument outside its range", "\
The value lies outside what the function can take: a rate outside 0 to 1, a slice that ends after the dimension, \
a size of 0.";
    CONFIG_FIELD = "E0527", "wrong field of a `huggingface` declaration", "\
Its fields become the keys of `config.json`: texts, numbers, lists, `object(...)`, parameters of the model, \
`ignored(value)` for keys that are written but not read, `checked(value)` for keys that are read but not written.";
    WRONG_EQUATION = "E0528", "wrong equation", "\
`einsum` takes an equation of names with spaces between them, a name for every dimension: those of the first tensor, a \
comma, those of the second, `->`, those of the result. A name stands once in each part; what stands in the result stands in \
one of the tensors.

Wrong:
    einsum(\"btd,dhk->bthk\", x, w)
Right:
    einsum(\"b t d, d h k -> b t h k\", x, w)";
    UNUSED_BINDING = "W0501", "unused name", "\
The name is assigned but never used. Remove the assignment, or start the name with `_` if that is meant.";
}
