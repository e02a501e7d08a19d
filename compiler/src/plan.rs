//! The checked recipe: every name resolved, every default filled, every shape known.
//!
//! A [`Plan`] is plain data and serialises to YAML (`llmc compile` writes it as `plan.yaml`).

mod data;
mod layout;
mod mixing;
mod process;
mod quality;
mod source;

use std::collections::BTreeMap;

use serde::Serialize;

use crate::dim::Dim;

pub use data::{
    About, Columns, DatasetPlan, MixturePart, MixturePlan, Source, SourceKind, TokenizerPlan, TokenizerSource,
};
pub use layout::{Layout, MissingColumn};
pub use mixing::{Blend, PartPlan, REPEATS_WORTH_IT, Shares, repeats};
pub use process::{LineCleaning, PiiKind, ProcessPlan, Replacement, Scope, TextUnit};
pub use quality::{Rule, RuleLimit, RuleUnit};
pub use source::{ContentType, OnError, SourcePlan};

/// A whole checked recipe.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The recipe's name: file name without its extension.
    pub recipe: String,
    /// Every `param` with its final value, as written in a recipe.
    pub params: BTreeMap<String, String>,
    /// Data sets by name.
    pub datasets: BTreeMap<String, DatasetPlan>,
    /// Mixtures of data sets by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub mixtures: BTreeMap<String, MixturePlan>,
    /// Tokenizers by name.
    pub tokenizers: BTreeMap<String, TokenizerPlan>,
    /// Stages, each after the one it continues.
    pub stages: Vec<StagePlan>,
}

/// One training stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePlan {
    /// The stage's name.
    pub name: String,
    /// Where its weights start.
    pub init: InitPlan,
    /// The elaborated model.
    pub model: ModelPlan,
    /// The name of the data set or mixture.
    pub data: String,
    /// The tokenizer's name; none when the data is token ids.
    pub tokenizer: Option<String>,
    /// What is minimised.
    pub objective: Objective,
    /// The update rule.
    pub optimizer: OptimizerPlan,
    /// Learning rate over the steps.
    pub schedule: SchedulePlan,
    /// Tokens in a row (the model's `T`).
    pub sequence_length: u64,
    /// Rows of one forward and backward pass (the model's `B`).
    pub micro_batch: u64,
    /// Micro-batches of one optimizer step.
    pub accumulation: u64,
    /// Optimizer steps.
    pub steps: u64,
    /// Steps between held-out evaluations (none: only at the end).
    pub evaluate_every: Option<u64>,
    /// Rows of one evaluation, at most.
    pub evaluate_rows: u64,
    /// Steps between checkpoints (none: only at the end).
    pub checkpoint_every: Option<u64>,
    /// Checkpoints kept besides the last.
    pub keep: u64,
    /// Whether rows are shuffled every epoch.
    pub shuffle: bool,
    /// Key of every random number of the stage.
    pub seed: u64,
    /// Text to sample from at the end, if any.
    pub sample: Option<SamplePlan>,
}

impl StagePlan {
    /// Rows of one optimizer step.
    pub fn global_batch(&self) -> u64 {
        self.micro_batch * self.accumulation
    }

    /// Tokens of the whole stage.
    pub fn tokens(&self) -> u64 {
        self.steps * self.global_batch() * self.sequence_length
    }
}

/// A sample drawn when a stage ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SamplePlan {
    /// The text it continues.
    pub prompt: String,
    /// Tokens to draw.
    pub tokens: u64,
    /// Softmax temperature; 0 is greedy.
    pub temperature: f64,
    /// Candidates kept (none: all).
    pub top_k: Option<u64>,
}

/// Where a stage's weights start.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InitPlan {
    /// Each weight's own initialiser.
    Random,
    /// The end of another stage of this recipe.
    Stage(String),
    /// A Hugging Face directory.
    HuggingFace(String),
}

/// What a stage minimises.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Cross-entropy of the next token, averaged over the target tokens of the global batch.
    CausalLm,
}

/// The update rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerPlan {
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    Adamw {
        /// Peak learning rate.
        learning_rate: f64,
        /// Decay rates of the two moments.
        betas: [f64; 2],
        /// Added to the denominator.
        epsilon: f64,
        /// Decoupled decay, on tensors of two or more dimensions.
        weight_decay: f64,
        /// Whether tensors of fewer than two dimensions decay too.
        decay_all: bool,
        /// Bound on the global gradient norm (none: no clipping).
        clip_norm: Option<f64>,
    },
}

/// Learning rate over the steps, as a factor of the peak. Step `t` counts from 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SchedulePlan {
    /// Shape after the warm-up.
    pub kind: ScheduleKind,
    /// Steps of linear warm-up: factor `(t + 1) / warmup`.
    pub warmup: u64,
    /// Factor at the end of the decay.
    pub floor: f64,
    /// Steps of the final decay (`warmup_stable_decay` only, else 0).
    pub decay: u64,
    /// All steps of the stage.
    pub steps: u64,
}

impl SchedulePlan {
    /// The factor on the peak learning rate at step `step`, counted from 0.
    pub fn factor(&self, step: u64) -> f64 {
        if step < self.warmup {
            return (step + 1) as f64 / self.warmup as f64;
        }
        // Share of the way from the end of the warm-up, or from the start of the final decay, to the last step.
        let progress = |start: u64| {
            let length = self.steps.saturating_sub(start).max(1);
            (step.saturating_sub(start) as f64 / length as f64).min(1.0)
        };
        let line = |share: f64| 1.0 + (self.floor - 1.0) * share;
        match self.kind {
            ScheduleKind::Constant => 1.0,
            ScheduleKind::Linear => line(progress(self.warmup)),
            ScheduleKind::Cosine => {
                let half_cosine = (1.0 + (std::f64::consts::PI * progress(self.warmup)).cos()) / 2.0;
                self.floor + (1.0 - self.floor) * half_cosine
            }
            ScheduleKind::WarmupStableDecay => line(progress(self.steps.saturating_sub(self.decay).max(self.warmup))),
        }
    }
}

/// Shape of the learning rate after the warm-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// 1.
    Constant,
    /// From 1 to `floor` in a straight line.
    Linear,
    /// From 1 to `floor` along half a cosine (Loshchilov and Hutter 2017).
    Cosine,
    /// 1, then to `floor` in a straight line over the last `decay` steps (Hu et al. 2024, MiniCPM).
    WarmupStableDecay,
}

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

/// One trained tensor.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WeightPlan {
    /// Dotted path: its name in a checkpoint.
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
}

impl DType {
    /// Bytes of one element.
    pub fn bytes(self) -> u64 {
        4
    }
}

/// The operations a model can be made of. Every one is a typed function of the language
/// (see the function table); elementwise ones broadcast as NumPy does.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelOp {
    /// An input of the batch: `tokens`, `positions` or `documents`, each `[B, T]` of [`DType::I32`].
    Input(String),
    /// A weight, by its index in [`ModelPlan::weights`].
    Weight(usize),
    /// A scalar.
    Constant(f64),
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
    /// Sum, mean or maximum over one axis, which stays with size 1.
    Reduce {
        /// Which.
        kind: ReduceFunction,
        /// Over which axis.
        axis: usize,
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
    /// `(x [B, T, H, K], positions [B, T])`: rotary embedding, half-split layout (Su et al. 2021).
    Rotate {
        /// Base of the frequencies.
        theta: f64,
    },
    /// `(q [B, T, H, K], k [B, S, G, K], v [B, S, G, V], documents [B, T]?) -> [B, T, H, V]`:
    /// scaled dot-product attention; query head `h` reads key/value head `h / (H / G)`.
    /// With `documents`, a token sees only tokens of its own document.
    Attend {
        /// A token sees itself and what is before it.
        causal: bool,
        /// Factor on the scores.
        scale: f64,
    },
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
