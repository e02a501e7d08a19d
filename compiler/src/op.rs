//! The closed set of operators of the graph.
//!
//! Every operator is a pure function with one output; shapes are concrete (64-bit), element types explicit.
//! What a fast kernel computes in one pass (attention with its statistics, the three gradients of attention,
//! the two moments and the weight of AdamW) stands here as several operators, which the schedule joins again.

use std::fmt;

use smallvec::SmallVec;

use crate::plan::{AttentionSettings, BinaryFunction, DType, LossPlan, Pattern, Rotary, SchedulePlan, UnaryFunction};

/// A concrete shape.
pub type Shape = SmallVec<[u64; 4]>;

/// Shape and element type of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Type {
    /// Sizes of the dimensions; empty for a scalar.
    pub shape: Shape,
    /// Element type.
    pub dtype: DType,
}

impl Type {
    /// A 32-bit float value of this shape.
    pub fn f32(shape: &[u64]) -> Type {
        Type { shape: Shape::from_slice(shape), dtype: DType::F32 }
    }

    /// A 32-bit integer value of this shape.
    pub fn i32(shape: &[u64]) -> Type {
        Type { shape: Shape::from_slice(shape), dtype: DType::I32 }
    }

    /// Number of values.
    pub fn elements(&self) -> u64 {
        self.shape.iter().product()
    }
}

impl fmt::Display for Type {
    /// `f32[4, 256, 768]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.dtype.name(), self.shape.as_slice())
    }
}

/// Which of attention's inputs a gradient is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AttentionInput {
    Query,
    Key,
    Value,
    /// Of shape `[B, H, T, S]`, whatever is repeated in the operand.
    Bias,
}

/// Which of a normalisation's inputs a gradient is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum NormInput {
    Value,
    Scale,
    Shift,
}

/// Which result of one AdamW step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum AdamOutput {
    Weight,
    FirstMoment,
    SecondMoment,
}

/// Constants of an AdamW update (Loshchilov and Hutter 2019).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamConstants {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay of this tensor.
    pub weight_decay: f64,
}

/// Sum or maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reduction {
    Sum,
    Max,
}

/// A function of a number and of chance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum RandomFunction {
    /// Zeroed with this probability, else divided by its complement (Srivastava et al. 2014).
    Dropout(f64),
    /// One of the two bf16 numbers around it, each the likelier the nearer, so that the mean is the number itself (stochastic
    /// rounding: Gupta et al. 2015, arXiv:1502.02551).
    Round,
}

impl RandomFunction {
    /// What it is called in texts; names its random numbers, too.
    pub fn name(self) -> &'static str {
        match self {
            RandomFunction::Dropout(_) => "dropout",
            RandomFunction::Round => "round",
        }
    }
}

/// One operator. Inputs are listed as `(name [shape], ...)`.
#[derive(Debug, Clone, PartialEq)]
pub enum Op {
    // Sources: no inputs.
    /// What the host supplies each run: `tokens`, `targets`, `positions`, `documents` (`[B, T]`, i32),
    /// `loss_weights` (`[B, T]`, f32), `loss_scale` (scalar: 1 / sum of the weights of the global batch's targets), `step` (scalar, from 0), `length` (scalar, decoding).
    Input {
        /// Its name.
        name: String,
        /// Its type.
        ty: Type,
    },
    /// A value that lives from run to run: a weight (`weight/PATH`), its moments (`first/PATH`, `second/PATH`),
    /// an accumulated gradient (`gradient/PATH`), a key/value cache (`key_cache/N`, `value_cache/N`).
    State {
        /// Its name.
        name: String,
        /// Its type.
        ty: Type,
    },
    /// A scalar.
    Constant(f32),
    /// A tensor that is known before anything runs.
    Pattern {
        /// Its formula.
        pattern: Pattern,
        /// Its shape.
        shape: Shape,
    },

    // Elementwise: inputs of equal rank after right alignment, sizes equal or 1 (NumPy broadcasting).
    /// One input.
    Unary(UnaryFunction),
    /// Two inputs.
    Binary(BinaryFunction),
    /// `(condition, a, b)`: `a` where the condition is not 0, else `b`.
    Select,
    /// `(a, b)`: 1 where `a > b`, else 0.
    Greater,
    /// Rounded to the nearest number of a 16-bit type, in which it is kept. Every operator takes floats of any type, computes
    /// in 32 bits or more, and gives f32: this one alone makes shorter floats (movement passes them on).
    Cast(DType),
    /// What chance makes of each element, `(x, step [])`. It depends on (seed, site, step, element index) alone: see `random.rs`.
    Random {
        /// What is done.
        function: RandomFunction,
        /// The stage's seed.
        seed: u64,
        /// Which of this function in the graph this is.
        site: u64,
    },

    // Reductions: reduced axes stay with size 1.
    /// Sum or maximum over `axes` (ascending).
    Reduce {
        /// Which.
        kind: Reduction,
        /// Over which axes.
        axes: Vec<usize>,
    },

    // Movement.
    /// Same elements in row-major order, another shape.
    Reshape(Shape),
    /// Output axis `i` is input axis `axes[i]`.
    Permute(Vec<usize>),
    /// Broadcast: right-aligned, size-1 axes repeated.
    Expand(Shape),
    /// `start..start + length` of one axis.
    Slice {
        /// Which axis.
        axis: usize,
        /// First index.
        start: u64,
        /// How many.
        length: u64,
    },
    /// Zeros before and after along one axis (the derivative of `Slice`).
    Pad {
        /// Which axis.
        axis: usize,
        /// Zeros before.
        before: u64,
        /// Zeros after.
        after: u64,
    },
    /// Inputs one after another along an axis.
    Concat {
        /// Which axis.
        axis: usize,
    },

    // Composites.
    /// `(a [.., M, K], b [.., K, N]) -> [.., M, N]`, equal ranks (two or more) and leading sizes; a transposed operand is
    /// given as `[.., K, M]` or `[.., N, K]`.
    MatMul {
        /// The left operand is `[.., K, M]`.
        transpose_left: bool,
        /// The right operand is `[.., N, K]`.
        transpose_right: bool,
    },
    /// `(table [V, D], ids [..] i32) -> [.., D]`; an id outside `0..V` is an error at run time.
    Gather,
    /// `(ids [..] i32, updates [.., D]) -> [rows, D]`: rows added up by id, in index order.
    ScatterAdd {
        /// Rows of the result.
        rows: u64,
    },
    /// `(x [.., N]) -> [.., count] i32`: the places of the largest elements along the last axis, the largest first; of equal ones
    /// the first comes first.
    TopK {
        /// How many.
        count: u64,
    },
    /// `(x [.., N], ids [.., K] i32) -> [.., K]`: elements of the last axis; an id outside `0..N` is an error at run time.
    Pick,
    /// `(ids [.., K] i32, updates [.., K]) -> [.., size]`: elements added up by id along the last axis, in order.
    Place {
        /// Size of the result's last axis.
        size: u64,
    },
    /// `(x [R, D], ids [M] i32, w [E, D, N]) -> [M, N]` with `M` a multiple of `R`: row `m` is row `m / (M / R)` of `x` times the
    /// matrix `ids[m]`. A transposed operand is given as `[E, N, D]`. An id outside `0..E` is an error at run time.
    RoutedMatMul {
        /// The matrices are `[N, D]`.
        transpose: bool,
    },
    /// `(a [R, D], ids [M] i32, b [S, N]) -> [experts, D, N]` with `M` a multiple of `R` and of `S`: matrix `e` is the sum of the
    /// outer products of row `m / (M / R)` of `a` and row `m / (M / S)` of `b` over the `m` with `ids[m] = e`, in order: the
    /// gradient of [`Op::RoutedMatMul`] for its matrices.
    RoutedOuter {
        /// Matrices of the result.
        experts: u64,
    },
    /// Softmax over the last axis.
    Softmax,
    /// `(x [.., D], scale [D], shift [D])`
    LayerNorm {
        /// Added to the variance.
        eps: f64,
    },
    /// `(x [.., D], scale [D], dy [.., D])`: gradient of [`Op::LayerNorm`] for one input.
    LayerNormGrad {
        /// Added to the variance.
        eps: f64,
        /// For which input.
        wrt: NormInput,
    },
    /// `(x [.., D], scale [D])`
    RmsNorm {
        /// Added to the mean square.
        eps: f64,
    },
    /// `(x [.., D], scale [D], dy [.., D])`: gradient of [`Op::RmsNorm`] for one input.
    RmsNormGrad {
        /// Added to the mean square.
        eps: f64,
        /// For which input.
        wrt: NormInput,
    },
    /// `(x [B, T, H, K], positions [B, T] i32)`: pairs of each head turned, angles in f64 or better, and multiplied by the
    /// rule's amplitude. The derivative turns the other way.
    Rotate {
        /// Frequencies, amplitude and pairs.
        rotary: Rotary,
        /// Turn the other way.
        inverse: bool,
    },
    /// `(q [B, T, H, K], k [B, S, G, K], v [B, S, G, V], ..) -> [B, T, H, V]`; a row that sees nothing is 0. What else is given
    /// follows from the settings.
    Attention(AttentionSettings),
    /// Same inputs as [`Op::Attention`] `-> [B, H, T]`: log of the sum of the exponentials of the scaled scores
    /// (negative infinity where a row sees nothing).
    AttentionStats(AttentionSettings),
    /// `(q, k, v, out, stats, dout, ..)`: gradient of [`Op::Attention`] for one input.
    AttentionGrad {
        /// Settings of the forward operator.
        settings: AttentionSettings,
        /// For which input.
        wrt: AttentionInput,
    },
    /// `(q [B, T, H, K], key_cache [B, C, G, K], value_cache [B, C, G, V], length [B])`: query `t` of row `b` stands at
    /// position `length[b] + t` and sees positions `0..=length[b] + t` of the row's caches.
    /// Causal; no further operands.
    CachedAttention(AttentionSettings),
    /// `(cache [B, C, G, K], new [B, T, G, K], length [B]) -> [B, C, G, K]`: row `b` of `new` written at positions
    /// `length[b]..length[b] + T`.
    CacheWrite,
    /// `(logits [N, V], targets [N] i32) -> [N]`: with `lse = logsumexp(logits)` and label smoothing `e`,
    /// `lse - (1 - e) logits[target] - e mean(logits) + z lse^2`; 0 where the target is negative.
    CrossEntropy(LossPlan),
    /// `(logits [N, V], targets [N], dloss [N]) -> [N, V]`: `((1 + 2 z lse) softmax - (1 - e) onehot - e / V) * dloss`; 0 where
    /// the target is negative.
    CrossEntropyGrad(LossPlan),

    // Optimizer.
    /// Sum of the squares of all elements, a scalar.
    SumSquares,
    /// Sum of up to 64 scalars, in order.
    AddScalars,
    /// `(step []) -> []`: the learning rate, `peak` times the schedule's factor.
    LearningRate {
        /// Peak learning rate.
        peak: f64,
        /// Factor over the steps.
        schedule: SchedulePlan,
    },
    /// `(weight, first, second, gradient, learning_rate [], gradient_scale [], step [])`: one result of the AdamW step `t = step + 1`;
    /// where `gradient_scale` is 0 the step is left out, and the result is what was there.
    AdamW {
        /// Constants of the update.
        constants: AdamConstants,
        /// Which result.
        output: AdamOutput,
    },
}

impl Op {
    /// One result element from one element of each operand, with nothing else to say about it.
    pub fn is_elementwise(&self) -> bool {
        matches!(self, Op::Unary(_) | Op::Binary(_) | Op::Select | Op::Greater | Op::Cast(_))
    }

    /// Computed by a kernel of its own, of floats.
    pub fn has_kernel(&self) -> bool {
        !self.is_elementwise()
            && !self.is_movement()
            && !matches!(
                self,
                Op::Input { .. }
                    | Op::State { .. }
                    | Op::Constant(_)
                    | Op::Pattern { .. }
                    | Op::Pad { .. }
                    | Op::Concat { .. }
            )
    }

    /// Only changes which element stands where, in a way that a view can express.
    pub fn is_movement(&self) -> bool {
        matches!(self, Op::Reshape(_) | Op::Permute(_) | Op::Expand(_) | Op::Slice { .. })
    }
}
