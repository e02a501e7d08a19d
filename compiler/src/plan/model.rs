//! A model after elaboration: the operations that its functions have become.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{AttentionSettings, Buckets, Einsum, Rotary};
use crate::dim::Dim;

/// A model after elaboration: a list of typed operations, calls inlined and repeats unrolled.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelPlan {
    /// The `model` function's name.
    pub name: String,
    /// Constant arguments after defaults, as written in a recipe.
    pub arguments: BTreeMap<String, String>,
    /// Weights in the order they are first made.
    pub weights: Vec<WeightPlan>,
    /// Operations, inputs before uses.
    pub nodes: Vec<ModelNode>,
    /// The node whose value is the model's: logits `[B, T, vocab]`.
    pub output: usize,
    /// Size of the last dimension of `output`.
    pub vocab: u64,
    /// The directory's `config.json` (from the `huggingface` declaration), if the model has one.
    pub config: Option<serde_json::Value>,
}

impl ModelPlan {
    /// Whether the model reads an input of the batch.
    pub fn takes(&self, input: &str) -> bool {
        self.inputs().contains(&input)
    }

    /// Whether it adds something to the training loss.
    pub fn adds_loss(&self) -> bool {
        self.nodes.iter().any(|node| matches!(node.op, ModelOp::AddLoss { .. }))
    }

    /// The inputs of the batch that it reads, in the order of their use.
    pub fn inputs(&self) -> Vec<&str> {
        let names = self.nodes.iter().filter_map(|node| match &node.op {
            ModelOp::Input(name) => Some(name.as_str()),
            _ => None,
        });
        names.collect()
    }
}

/// One trained tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightPlan {
    /// Dotted path: its name in a checkpoint. With a part `*` a checkpoint holds a tensor for each place along the first axis,
    /// whose number stands for the `*`.
    pub path: String,
    /// Its shape.
    pub shape: Vec<u64>,
    /// Its first value.
    pub init: Initializer,
}

impl WeightPlan {
    /// Number of values.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }

    /// The shape of each of the tensors that a checkpoint holds of it.
    pub fn stored_shape(&self) -> &[u64] {
        &self.shape[usize::from(self.is_stacked())..]
    }

    /// The names of the tensors that a checkpoint holds of it, one after another in the order of their values.
    pub fn stored_names(&self) -> Vec<String> {
        if !self.is_stacked() {
            return vec![self.path.clone()];
        }
        let named = |place: u64| {
            let parts = self.path.split('.').map(|part| if part == "*" { place.to_string() } else { part.to_owned() });
            parts.collect::<Vec<String>>().join(".")
        };
        (0..self.shape.first().copied().unwrap_or(0)).map(named).collect()
    }

    fn is_stacked(&self) -> bool {
        self.path.split('.').any(|part| part == "*")
    }
}

/// The first value of a weight. Random values depend only on the stage's seed and the weight's path.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Initializer {
    /// All zero.
    Zeros,
    /// All one.
    Ones,
    /// Normal with mean 0 and this standard deviation.
    Normal(f64),
    /// Uniform in `-bound..bound`.
    Uniform(f64),
}

/// The inputs that a model may take, and the size of their rows: `[B, T]` or, for an encoder, `[B, S]`.
///
/// - `tokens`: ids; with an encoder the decoder's.
/// - `positions`: of each token in its row, from 0.
/// - `documents`: the number of each token's document in its row; padding has one of its own.
/// - `order`: a token may see those whose number is not larger; the objective fills it.
/// - `segments`: the part of its row that a token belongs to (BERT's token types).
/// - `source`, `source_documents`: the encoder's ids and document numbers.
pub const INPUTS: [(&str, &str); 7] = [
    ("tokens", "T"),
    ("positions", "T"),
    ("documents", "T"),
    ("order", "T"),
    ("segments", "T"),
    ("source", "S"),
    ("source_documents", "S"),
];

/// One operation of an elaborated model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelNode {
    /// What it computes.
    pub op: ModelOp,
    /// Indices of the nodes it reads.
    pub inputs: Vec<usize>,
    /// Shape of its value; `B` and `T` stay symbols.
    pub shape: Vec<Dim>,
    /// Element type of its value.
    pub dtype: DType,
    /// Where in the recipe it comes from.
    pub origin: Origin,
}

/// Where something comes from: shown in printed graphs and in errors at run time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, PartialOrd, Ord, Serialize)]
pub struct Origin {
    /// Dotted weight path of the enclosing calls, `transformer.h.0.attn`.
    pub path: String,
    /// `std/gpt2:12`
    pub place: String,
}

/// Element types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DType {
    /// 32-bit float.
    F32,
    /// 32-bit signed integer: token ids, positions, document numbers.
    I32,
    /// 16-bit float with the exponents of f32 and 8 bits of precision (Google's bfloat16).
    Bf16,
    /// IEEE 754 half precision: 11 bits of precision, 65504 at most.
    F16,
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        match self {
            DType::F32 | DType::I32 => 4,
            DType::Bf16 | DType::F16 => 2,
        }
    }

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            DType::F32 => "f32",
            DType::I32 => "i32",
            DType::Bf16 => "bf16",
            DType::F16 => "f16",
        }
    }

    /// Whether its elements are floats.
    pub fn is_float(self) -> bool {
        self != DType::I32
    }

    /// Whether its elements are 16-bit floats.
    pub fn is_half(self) -> bool {
        matches!(self, DType::Bf16 | DType::F16)
    }

    /// The number of this type nearest to a float, of two equally near ones that whose last bit is 0.
    pub fn round(self, value: f32) -> f32 {
        match self {
            DType::F32 | DType::I32 => value,
            DType::Bf16 => half::bf16::from_f32(value).to_f32(),
            DType::F16 => half::f16::from_f32(value).to_f32(),
        }
    }
}

/// The operations a model can be made of. Every one is a typed function of the language
/// (see the function table); elementwise ones broadcast as NumPy does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelOp {
    /// An input of the batch, of [`DType::I32`]: see [`INPUTS`].
    Input(String),
    /// A weight, by its index in [`ModelPlan::weights`].
    Weight(usize),
    /// A scalar.
    Constant(f64),
    /// One number everywhere.
    Fill(f64),
    /// `start, start + step, ..`: floats `[length]`.
    Count {
        /// The first.
        start: Dim,
        /// From one to the next.
        step: f64,
    },
    /// `places [L] -> [L, width]`: sines, then cosines, of each place times `theta^(-2i / width)` (Vaswani et al. 2017, section 3.5).
    Sinusoids {
        /// Base of the rates.
        theta: f64,
    },
    /// For each query and key the bucket of their distance, `[length, length]`.
    RelativeBuckets(Buckets),
    /// Elementwise, one input.
    Unary(UnaryFunction),
    /// Elementwise, two inputs, broadcast.
    Binary(BinaryFunction),
    /// `[.., M, K] x [.., K, N]`; leading dimensions equal, or the right operand has just two.
    MatMul {
        /// The right operand is `[.., N, K]`.
        transpose_right: bool,
    },
    /// Rows of a table: `(table [V, D], ids [..]) -> [.., D]`.
    Lookup,
    /// Same elements, another shape.
    Reshape(Vec<Dim>),
    /// Output axis `i` is input axis `axes[i]`.
    Permute(Vec<usize>),
    /// `start..start+length` of one axis.
    Slice {
        /// Which axis.
        axis: usize,
        /// First index.
        start: Dim,
        /// How many.
        length: Dim,
    },
    /// Inputs one after another along an axis.
    Concat {
        /// Which axis.
        axis: usize,
    },
    /// `x [.., T, 2T] -> [.., T, T]`: element `(i, j)` is element `(i, T + j - i)` (Dai et al. 2019, Transformer-XL, appendix B).
    RelativeShift,
    /// Sum, mean or maximum over one axis, which stays with size 1.
    Reduce {
        /// Which.
        kind: ReduceFunction,
        /// Over which axis.
        axis: usize,
    },
    /// `(x [.., N]) -> [.., count]`: the largest elements of the last axis, the largest first; of equal ones the first comes first.
    TopK {
        /// How many.
        count: u64,
        /// Their places, of [`DType::I32`], instead of their values.
        places: bool,
    },
    /// `(x [.., N], ids [.., K]) -> [.., K]`: elements of the last axis.
    Pick,
    /// `(updates [.., K], ids [.., K]) -> [.., size]`: elements added up by id along the last axis.
    Place {
        /// Size of the result's last axis.
        size: Dim,
    },
    /// Products of two tensors, summed over dimensions.
    Einsum(Einsum),
    /// `(x [.., D] or [.., K, D], ids [.., K], w [E, D, N]) -> [.., K, N]`: each row times the matrix that its id names.
    RoutedMatMul {
        /// The matrices are `[E, N, D]`.
        transpose_right: bool,
    },
    /// `(x, value) -> x`: `weight * value` is added to the training loss.
    AddLoss {
        /// The factor.
        weight: f64,
    },
    /// Softmax over the last axis.
    Softmax,
    /// `(x [.., D], scale [D], shift [D])`: `(x - mean) / sqrt(var + eps) * scale + shift` (Ba et al. 2016).
    LayerNormalize {
        /// Added to the variance.
        eps: f64,
    },
    /// `(x [.., D], scale [D])`: `x / sqrt(mean(x^2) + eps) * scale` (Zhang and Sennrich 2019).
    RmsNormalize {
        /// Added to the mean square.
        eps: f64,
    },
    /// `(x [B, T, H, K], positions [B, T])`: rotary embedding (Su et al. 2021).
    Rotate(Rotary),
    /// `(q [B, T, H, K], k [B, S, G, K], v [B, S, G, V], ..) -> [B, T, H, V]`: scaled dot-product attention; query head
    /// `h` reads key/value head `h / (H / G)`. What else is given follows from the settings.
    Attend(AttentionSettings),
    /// The same value, whose gradient is zero.
    StopGradient,
    /// Zeroes each element with probability `rate` in training and scales the rest by `1 / (1 - rate)`.
    Dropout {
        /// The probability.
        rate: f64,
    },
}

/// Elementwise functions of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum UnaryFunction {
    Negate,
    Exp,
    Log,
    Sqrt,
    Rsqrt,
    Reciprocal,
    Square,
    Abs,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Erf,
    Relu,
    /// `x * sigmoid(x)`
    Silu,
    /// `x * (1 + erf(x / sqrt(2))) / 2` (Hendrycks and Gimpel 2016)
    Gelu,
    /// `x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2`, `gelu_new` in Hugging Face
    GeluTanh,
}

/// Elementwise functions of two arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum BinaryFunction {
    Add,
    Subtract,
    Multiply,
    Divide,
    Maximum,
    Minimum,
    Power,
}

/// Reductions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum ReduceFunction {
    Sum,
    Mean,
    Max,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(path: &str, shape: &[u64]) -> (Vec<String>, Vec<u64>) {
        let weight = WeightPlan { path: path.to_owned(), shape: shape.to_vec(), init: Initializer::Zeros };
        (weight.stored_names(), weight.stored_shape().to_vec())
    }

    #[test]
    fn a_stacked_weight_is_stored_place_by_place() {
        assert_eq!(stored("h.0.w", &[2, 3]), (vec!["h.0.w".to_owned()], vec![2, 3]));
        let names = ["e.0.w1.weight", "e.1.w1.weight"].map(str::to_owned).to_vec();
        assert_eq!(stored("e.*.w1.weight", &[2, 3, 4]), (names, vec![3, 4]));
        // A part of a name is no place.
        assert_eq!(stored("e.*x.w", &[2, 3]).0, ["e.*x.w"]);
    }
}
