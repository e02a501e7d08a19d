//! The functions of the language that models are made of: one typed table.
//!
//! From it come the checks of every call, "did you mean", and the reference page.

use super::functions::{Default, Function, Rule, Taken, Takes};
use super::rules::{attention, einsum, elementwise, linear, movement, normalise, pattern, routing};
use crate::plan::{BinaryFunction, DType, ReduceFunction, UnaryFunction};

const fn required(name: &'static str, takes: Takes) -> Taken {
    Taken { name, takes, default: Default::Required }
}

const fn with(name: &'static str, takes: Takes, default: Default) -> Taken {
    Taken { name, takes, default }
}

const ANY: Takes = Takes::Tensor(None);
const FLOATS: Takes = Takes::Tensor(Some(DType::F32));
const IDS: Takes = Takes::Tensor(Some(DType::I32));

const ONE: &[Taken] = &[required("x", FLOATS)];
const TWO: &[Taken] = &[required("a", Takes::TensorOrNumber), required("b", Takes::TensorOrNumber)];
const OVER: &[Taken] = &[required("x", FLOATS), with("axis", Takes::Axis, Default::Int(-1))];

const fn unary(name: &'static str, doc: &'static str, example: &'static str, function: UnaryFunction) -> Function {
    Function { name, parameters: ONE, result: "the shape of `x`", doc, example, rule: Rule::Unary(function) }
}

const fn binary(name: &'static str, doc: &'static str, example: &'static str, function: BinaryFunction) -> Function {
    Function {
        name,
        parameters: TWO,
        result: "the shapes of `a` and `b`, broadcast",
        doc,
        example,
        rule: Rule::Binary(function),
    }
}

const fn reduction(name: &'static str, doc: &'static str, example: &'static str, function: ReduceFunction) -> Function {
    Function {
        name,
        parameters: OVER,
        result: "the shape of `x` with a 1 at `axis`",
        doc,
        example,
        rule: Rule::Reduce(function),
    }
}

/// Every function of the language.
pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        name: "weight",
        parameters: &[
            required("shape", Takes::Sizes),
            with("init", Takes::Initializer, Default::Computed("normal(0.02)")),
        ],
        result: "`shape`",
        doc: "A trained tensor. `as` gives it its name in the checkpoint.",
        example: "scale = weight([D], init: ones) as weight",
        rule: Rule::Weight,
    },
    Function {
        name: "lookup",
        parameters: &[required("table", FLOATS), required("ids", IDS)],
        result: "`table [V, D]`, `ids [..]` -> `[.., D]`",
        doc: "The rows of a table that `ids` name.",
        example: "x = lookup(table, tokens)",
        rule: Rule::Shape(linear::lookup),
    },
    Function {
        name: "matmul",
        parameters: &[
            required("a", FLOATS),
            required("b", FLOATS),
            with("transpose_right", Takes::Bool, Default::Bool(false)),
        ],
        result: "`a [.., M, K]`, `b [.., K, N]` -> `[.., M, N]`",
        doc: "Matrix product over the last two dimensions. `b` has the leading dimensions of `a`, or just two dimensions; \
              with `transpose_right` it is `[.., N, K]`.",
        example: "logits = matmul(x, table, transpose_right: true)",
        rule: Rule::Shape(linear::matmul),
    },
    Function {
        name: "reshape",
        parameters: &[required("x", ANY), required("shape", Takes::Sizes)],
        result: "`shape`",
        doc: "The same elements in the same order under another shape.",
        example: "q = reshape(q, [B, T, heads, D / heads])",
        rule: Rule::Shape(movement::reshape),
    },
    Function {
        name: "permute",
        parameters: &[required("x", ANY), required("axes", Takes::Axes)],
        result: "dimension `i` is dimension `axes[i]` of `x`",
        doc: "Reorders the dimensions.",
        example: "y = permute(x, [0, 2, 1, 3])",
        rule: Rule::Shape(movement::permute),
    },
    Function {
        name: "transpose",
        parameters: &[required("x", ANY)],
        result: "`[.., M, N]` -> `[.., N, M]`",
        doc: "Swaps the last two dimensions.",
        example: "y = transpose(x)",
        rule: Rule::Shape(movement::transpose),
    },
    Function {
        name: "slice",
        parameters: &[
            required("x", ANY),
            required("axis", Takes::Axis),
            required("start", Takes::Size),
            required("length", Takes::Size),
        ],
        result: "the shape of `x` with `length` at `axis`",
        doc: "A range of one dimension: `start .. start + length`.",
        example: "first = slice(x, axis: 1, start: 0, length: 1)",
        rule: Rule::Shape(movement::slice),
    },
    Function {
        name: "split",
        parameters: &[required("x", ANY), required("parts", Takes::Parts), with("axis", Takes::Axis, Default::Int(-1))],
        result: "several tensors, the size at `axis` divided among them",
        doc: "Cuts one dimension into equal parts, or into parts of given sizes.",
        example: "q, k, v = split(x, 3)",
        rule: Rule::Shape(movement::split),
    },
    Function {
        name: "concat",
        parameters: &[required("parts", Takes::Tensors), with("axis", Takes::Axis, Default::Int(-1))],
        result: "the shape of the parts, their sizes at `axis` added up",
        doc: "Joins tensors one after another along one dimension.",
        example: "both = concat([forward, backward])",
        rule: Rule::Shape(movement::concat),
    },
    reduction(
        "sum",
        "Sum over one dimension, which stays with size 1.",
        "total = sum(x, axis: 1)",
        ReduceFunction::Sum,
    ),
    reduction(
        "mean",
        "Mean over one dimension, which stays with size 1.",
        "centred = x - mean(x)",
        ReduceFunction::Mean,
    ),
    reduction(
        "max",
        "Maximum over one dimension, which stays with size 1. Of constants: the largest.",
        "peak = max(x)",
        ReduceFunction::Max,
    ),
    Function {
        name: "einsum",
        parameters: &[required("equation", Takes::Equation), required("a", FLOATS), required("b", FLOATS)],
        result: "the dimensions right of `->`",
        doc: "Products of the elements of two tensors, summed over the dimensions that the result lacks (Einstein's summation \
              convention). The equation names the dimensions of both, in order and with spaces between: equal names have equal \
              sizes. It becomes one matrix product.",
        example: "q = einsum(\"b t d, d h k -> b t h k\", x, w)",
        rule: Rule::Shape(einsum::einsum),
    },
    Function {
        name: "top_k",
        parameters: &[required("x", FLOATS), required("k", Takes::Size)],
        result: "`[.., N]` -> `[.., k]` floats and `[.., k]` whole numbers",
        doc: "The `k` largest elements of the last dimension, the largest first, and their places; of equal ones the first comes \
              first. Gradients flow to the values.",
        example: "values, ids = top_k(softmax(scores), 2)",
        rule: Rule::Shape(routing::top_k),
    },
    Function {
        name: "gather",
        parameters: &[required("x", FLOATS), required("ids", IDS)],
        result: "`x [.., N]`, `ids [.., K]` -> `[.., K]`",
        doc: "The elements of the last dimension that `ids` name, of each row its own (`torch.gather` along the last dimension).",
        example: "chosen = gather(scores, ids)",
        rule: Rule::Shape(routing::gather),
    },
    Function {
        name: "scatter",
        parameters: &[required("updates", FLOATS), required("ids", IDS), required("size", Takes::Size)],
        result: "`updates [.., K]`, `ids [.., K]` -> `[.., size]`",
        doc: "The reverse of `gather`: element `n` of a row is the sum of the updates whose id is `n`, 0 without any. Of ones it \
              counts how often each id stands in a row.",
        example: "chosen = scatter(fill([B, T, 2], 1.0), ids, experts)",
        rule: Rule::Shape(routing::scatter),
    },
    Function {
        name: "routed_matmul",
        parameters: &[
            required("x", FLOATS),
            required("ids", IDS),
            required("w", FLOATS),
            with("transpose_right", Takes::Bool, Default::Bool(false)),
        ],
        result: "`x [.., D]` or `[.., K, D]`, `ids [.., K]`, `w [E, D, N]` -> `[.., K, N]`",
        doc: "Each row of `x` times those of the `E` matrices that its ids name, or each of its `K` rows times one (routed experts, \
              Shazeer et al. 2017). No row is dropped, and the work is that of the chosen matrices alone. With `transpose_right` \
              the matrices are `[E, N, D]`.",
        example: "hidden = routed_matmul(x, ids, up, transpose_right: true)",
        rule: Rule::Shape(routing::routed_matmul),
    },
    Function {
        name: "add_loss",
        parameters: &[required("x", ANY), required("value", FLOATS), required("weight", Takes::Number)],
        result: "the shape of `x`",
        doc: "`x` as it is; in training, `weight * value` is added to the loss. `value` is one number for a micro-batch; with \
              accumulation its mean over the micro-batches counts, so what is no mean over tokens, such as a product of two, may \
              depend on how the batch is cut. Reported as `auxiliary_loss`, apart from the loss over the tokens; \
              held-out losses are without it.",
        example: "logits = add_loss(logits, mean(balance), weight: 0.01)",
        rule: Rule::Shape(routing::add_loss),
    },
    Function {
        name: "softmax",
        parameters: ONE,
        result: "the shape of `x`",
        doc: "Exponentials over the last dimension, scaled to a sum of 1.",
        example: "p = softmax(scores)",
        rule: Rule::Shape(normalise::softmax),
    },
    Function {
        name: "layer_normalize",
        parameters: &[
            required("x", FLOATS),
            required("scale", FLOATS),
            required("shift", FLOATS),
            with("eps", Takes::Number, Default::Float(1e-5)),
        ],
        result: "`x [.., D]`, `scale [D]`, `shift [D]` -> `[.., D]`",
        doc: "`(x - mean) / sqrt(variance + eps) * scale + shift` over the last dimension (Ba et al. 2016).",
        example: "y = layer_normalize(x, scale, shift)",
        rule: Rule::Shape(normalise::layer_normalize),
    },
    Function {
        name: "rms_normalize",
        parameters: &[
            required("x", FLOATS),
            required("scale", FLOATS),
            with("eps", Takes::Number, Default::Float(1e-6)),
        ],
        result: "`x [.., D]`, `scale [D]` -> `[.., D]`",
        doc: "`x / sqrt(mean(x^2) + eps) * scale` over the last dimension (Zhang and Sennrich 2019).",
        example: "y = rms_normalize(x, scale)",
        rule: Rule::Shape(normalise::rms_normalize),
    },
    Function {
        name: "rotate",
        parameters: &[
            required("x", FLOATS),
            required("positions", IDS),
            with("theta", Takes::Number, Default::Float(10000.0)),
            with("scaling", Takes::Scaling, Default::Absent),
            with("layout", Takes::Layout, Default::Computed("halves")),
        ],
        result: "`x [B, T, H, K]`, `positions [B, T]` -> `[B, T, H, K]`",
        doc: "Rotary position embedding (Su et al. 2021): elements `i` and `i + K / 2` of each head are turned together by \
              `position * theta^(-2i / K)`; elements `2i` and `2i + 1` under `layout: interleaved`. `scaling` stretches a \
              trained model to longer texts: `interpolation`, `ntk`, `dynamic_ntk`, `yarn` or `llama3`.",
        example: "q = rotate(q, positions, theta: 500000.0, scaling: llama3(factor: 8.0, original: 8192))",
        rule: Rule::Shape(attention::rotate),
    },
    Function {
        name: "attend",
        parameters: &[
            required("q", FLOATS),
            required("k", FLOATS),
            required("v", FLOATS),
            with("causal", Takes::Bool, Default::Computed("true without `order`")),
            with("scale", Takes::Number, Default::Computed("K^-0.5")),
            with("documents", IDS, Default::Absent),
            with("key_documents", IDS, Default::Absent),
            with("order", IDS, Default::Absent),
            with("key_order", IDS, Default::Absent),
            with("earlier", Takes::Bool, Default::Bool(false)),
            with("bias", FLOATS, Default::Absent),
            with("alibi", Takes::Bool, Default::Bool(false)),
            with("window", Takes::Size, Default::Absent),
            with("soft_cap", Takes::Number, Default::Absent),
        ],
        result: "`q [B, T, H, K]`, `k [B, S, G, K]`, `v [B, S, G, V]` -> `[B, T, H, V]`",
        doc: "Scaled dot-product attention (Vaswani et al. 2017). Groups of `H / G` query heads share a key and value head. \
              `causal`: a token sees itself and what is before it. `documents [B, T]`: a token sees tokens of the same number alone \
              (`key_documents [B, S]` where keys have their own). `order [B, T]`: a token sees tokens whose number is not larger, with \
              `earlier` those whose number is smaller; the objective fills the model's input `order`. `window`: a token sees what is \
              less than so many positions away. `bias [B, H, T, S]` (sizes 1 repeat) is added to the scores, `alibi` lowers them with \
              the distance (Press et al. 2022), `soft_cap` bounds them by `cap * tanh(score / cap)`.",
        example: "y = attend(q, k, v)",
        rule: Rule::Shape(attention::attend),
    },
    Function {
        name: "fill",
        parameters: &[required("shape", Takes::Sizes), required("value", Takes::Number)],
        result: "`shape`",
        doc: "One number everywhere. Added to a tensor of fewer or smaller dimensions it repeats that one.",
        example: "start = fill([B, T, 64], 0.0) + first",
        rule: Rule::Shape(pattern::fill),
    },
    Function {
        name: "count",
        parameters: &[
            required("length", Takes::Size),
            with("start", Takes::Size, Default::Int(0)),
            with("step", Takes::Number, Default::Float(1.0)),
        ],
        result: "`[length]`",
        doc: "The numbers `start`, `start + step`, and so on.",
        example: "places = count(T)",
        rule: Rule::Shape(pattern::count),
    },
    Function {
        name: "sinusoids",
        parameters: &[
            required("places", FLOATS),
            required("width", Takes::Size),
            with("theta", Takes::Number, Default::Float(10000.0)),
        ],
        result: "`places [L]` -> `[L, width]`",
        doc: "Position vectors (Vaswani et al. 2017, section 3.5): the sines, then the cosines, of each place times \
              `theta ^ (-2 i / width)`.",
        example: "table = sinusoids(count(T), D)",
        rule: Rule::Shape(pattern::sinusoids),
    },
    Function {
        name: "relative_buckets",
        parameters: &[
            required("length", Takes::Size),
            with("buckets", Takes::Size, Default::Int(32)),
            with("max_distance", Takes::Size, Default::Int(128)),
            with("bidirectional", Takes::Bool, Default::Bool(true)),
        ],
        result: "`[length, length]` of whole numbers",
        doc: "For each query (row) and key (column) the bucket of their distance, for relative position biases (Raffel et al. 2020, \
              section 2.1): half of the buckets hold one distance each, the others grow up to `max_distance`.",
        example: "bias = lookup(table, relative_buckets(T))",
        rule: Rule::Shape(pattern::relative_buckets),
    },
    Function {
        name: "relative_shift",
        parameters: ONE,
        result: "`[.., T, 2T]` -> `[.., T, T]`",
        doc: "Element `(i, j)` is element `(i, T + j - i)`: scores by distance, from `T` down to `1 - T`, become scores by key \
              (Dai et al. 2019, appendix B).",
        example: "by_key = relative_shift(by_distance)",
        rule: Rule::Shape(pattern::relative_shift),
    },
    Function {
        name: "dropout",
        parameters: &[required("x", FLOATS), required("rate", Takes::Number)],
        result: "the shape of `x`",
        doc: "In training, each element becomes 0 with probability `rate` and is scaled by `1 / (1 - rate)` otherwise.",
        example: "x = dropout(x, 0.1)",
        rule: Rule::Shape(elementwise::dropout),
    },
    Function {
        name: "stop_gradient",
        parameters: ONE,
        result: "the shape of `x`",
        doc: "`x` as it is, which no gradient passes: what it is made of is not trained through it. A weight that is read so \
              alone is declared frozen.",
        example: "target = stop_gradient(x)",
        rule: Rule::Shape(elementwise::stop_gradient),
    },
    unary("exp", "Exponential.", "y = exp(x)", UnaryFunction::Exp),
    unary("log", "Natural logarithm.", "y = log(x)", UnaryFunction::Log),
    unary("sqrt", "Square root.", "y = sqrt(x)", UnaryFunction::Sqrt),
    unary("rsqrt", "`1 / sqrt(x)`", "y = rsqrt(x)", UnaryFunction::Rsqrt),
    unary("reciprocal", "`1 / x`", "y = reciprocal(x)", UnaryFunction::Reciprocal),
    unary("square", "`x * x`", "y = square(x)", UnaryFunction::Square),
    unary("abs", "Absolute value.", "y = abs(x)", UnaryFunction::Abs),
    unary("sin", "Sine.", "y = sin(x)", UnaryFunction::Sin),
    unary("cos", "Cosine.", "y = cos(x)", UnaryFunction::Cos),
    unary("tanh", "Hyperbolic tangent.", "y = tanh(x)", UnaryFunction::Tanh),
    unary("sigmoid", "`1 / (1 + exp(-x))`", "y = sigmoid(x)", UnaryFunction::Sigmoid),
    unary("erf", "Error function.", "y = erf(x)", UnaryFunction::Erf),
    unary("relu", "`maximum(x, 0)`", "y = relu(x)", UnaryFunction::Relu),
    unary("silu", "`x * sigmoid(x)`", "y = silu(x)", UnaryFunction::Silu),
    unary("gelu", "`x * (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016).", "y = gelu(x)", UnaryFunction::Gelu),
    unary(
        "gelu_tanh",
        "`x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`; `gelu_new` in Hugging Face.",
        "y = gelu_tanh(x)",
        UnaryFunction::GeluTanh,
    ),
    binary("maximum", "The larger of two.", "y = maximum(x, 0)", BinaryFunction::Maximum),
    binary("minimum", "The smaller of two.", "y = minimum(x, 6)", BinaryFunction::Minimum),
    binary("pow", "`a` to the power `b`; `a ^ b` is the same.", "y = pow(x, 3)", BinaryFunction::Power),
];
