//! The scheduled graph: plain data that a device runs.
//!
//! A [`Program`] is an ordered list of kernels over buffers with fixed arena offsets. Operands are strided views,
//! so reshapes, transposes, slices and concatenations cost nothing where a kernel can read or write through strides.
//! Floats are kept as f32, bf16 or f16: a kernel reads and writes any of them, and computes in f32.

use serde::Serialize;
use smallvec::SmallVec;

use crate::op::{AdamConstants, AttentionInput, RandomFunction, Reduction};
use crate::plan::{
    AttentionSettings, BinaryFunction, DType, Initializer, LossPlan, Origin, Pattern, Rotary, SchedulePlan,
    UnaryFunction,
};

/// Everything a stage needs at run time. All programs share one persistent region (same offsets for the same state)
/// and one scratch region as large as the largest needs.
#[derive(Debug, Clone)]
pub struct StagePrograms {
    /// State that lives from run to run, in arena order.
    pub persistent: Vec<PersistentBuffer>,
    /// Bytes of the persistent region.
    pub persistent_bytes: u64,
    /// Forward and backward of one micro-batch that adds to the `gradient/...` states; none when there is no accumulation.
    pub accumulate: Option<Program>,
    /// One optimizer step: forward, backward and update, or only the update when `accumulate` is there.
    pub update: Program,
    /// Forward and summed loss of one micro-batch.
    pub evaluate: Program,
}

/// One state buffer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersistentBuffer {
    /// `weight/PATH`, `first/PATH`, `second/PATH`, `gradient/PATH`, ...
    pub name: String,
    /// Shape.
    pub shape: Vec<u64>,
    /// Element type.
    pub dtype: DType,
    /// Byte offset in the persistent region, a multiple of 64.
    pub offset: u64,
    /// Bytes, without padding.
    pub bytes: u64,
    /// First value; all but weights start at zero.
    pub init: Initializer,
    /// What it is for.
    pub kind: MemoryKind,
}

/// What memory is for, as `llmc compile` reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum MemoryKind {
    Weights,
    Gradients,
    Optimizer,
    Activations,
    Inputs,
    Cache,
}

/// An ordered list of kernels over an arena.
#[derive(Debug, Clone)]
pub struct Program {
    /// `update`, `evaluate`, ...
    pub name: String,
    /// Every allocation, inputs and outputs included. Views refer to them by index.
    pub buffers: Vec<Buffer>,
    /// Kernels in execution order.
    pub steps: Vec<Step>,
    /// Host-supplied buffers by name.
    pub inputs: Vec<(String, BufferId)>,
    /// Results by name (`loss`, `grad_norm`, `learning_rate`, `logits`, `gradient/PATH` when asked for), readable after a run.
    pub outputs: Vec<(String, View)>,
    /// Bytes of the scratch region: the exact peak.
    pub scratch_bytes: u64,
    /// Bytes alive at the scratch region's fullest moment, by kind.
    pub peak_by_kind: Vec<(MemoryKind, u64)>,
    /// Floating-point operations of one run by the convention of the field: matrix products and attention only, a multiply-add
    /// is two, causal attention counts half.
    pub flops: u64,
}

/// Index into [`Program::buffers`].
pub type BufferId = usize;

/// One allocation.
#[derive(Debug, Clone, PartialEq)]
pub struct Buffer {
    /// The state's or input's name, or the origin of the operator that fills it.
    pub name: String,
    /// Which region.
    pub region: Region,
    /// Byte offset in the region, a multiple of 64.
    pub offset: u64,
    /// Bytes, without padding.
    pub bytes: u64,
    /// Element type.
    pub dtype: DType,
    /// What it is for.
    pub kind: MemoryKind,
}

/// Where a buffer lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Keeps its value from run to run.
    Persistent,
    /// Shared in time with other buffers.
    Scratch,
}

/// A strided window on a buffer. Element `i` lies at `offset + sum(i[d] * strides[d])`, in elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Which buffer.
    pub buffer: BufferId,
    /// First element.
    pub offset: u64,
    /// Sizes.
    pub shape: SmallVec<[u64; 4]>,
    /// Steps in elements; 0 repeats.
    pub strides: SmallVec<[u64; 4]>,
}

/// One kernel with its operands.
#[derive(Debug, Clone)]
pub struct Step {
    /// What runs.
    pub kernel: Kernel,
    /// Operands read.
    pub reads: Vec<View>,
    /// Operands written; none overlaps another, and none overlaps a read unless the kernel says it may.
    pub writes: Vec<View>,
    /// Where in the recipe it comes from.
    pub origin: Origin,
}

/// The kernels a device implements. "Rows" means the last axis has stride 1.
#[derive(Debug, Clone, PartialEq)]
pub enum Kernel {
    /// Elementwise: one scalar expression over the writes' common shape. Reads have that shape (broadcast axes with stride 0);
    /// any strides. A write may be the very same view as a read. A write of i32 holds a copy of an i32 read.
    Loop(LoopBody),
    /// The expression's value reduced over `axes` of the reads' common shape; the one write has size 1 there. Any strides.
    Reduce {
        /// Sum or maximum.
        kind: Reduction,
        /// Reduced axes, ascending.
        axes: Vec<usize>,
        /// The reduced expression (one result).
        body: LoopBody,
    },
    /// `write [.., M, N] (+)= a [.., M, K] x b [.., K, N]`: any strides (transposes are absorbed in the views).
    MatMul {
        /// Add to the write instead of replacing it.
        accumulate: bool,
    },
    /// `(table [V, D] rows, ids [..] contiguous) -> [.., D] rows`
    Gather,
    /// `(ids [..] contiguous, updates [.., D] rows) -> [V, D] rows`
    ScatterAdd {
        /// Add to the write instead of replacing it.
        accumulate: bool,
    },
    /// `(x [.., N] rows) -> [.., count]`, contiguous whole numbers.
    TopK {
        /// How many.
        count: u64,
    },
    /// `(x [.., N] rows, ids [.., K] contiguous) -> [.., K]`, contiguous.
    Pick,
    /// `(ids [.., K] contiguous, updates [.., K] rows) -> [.., N] rows`
    Place,
    /// `(x [R, D] rows, ids [M] contiguous, matrices [E, D, N] any strides) -> [M, N] rows`
    RoutedMatMul,
    /// `(a [R, D] rows, ids [M] contiguous, b [S, N] rows) (+)-> [E, D, N]`, any strides.
    RoutedOuter {
        /// Add to the write instead of replacing it.
        accumulate: bool,
    },
    /// `(x [.., D] rows) -> [.., D] rows`
    Softmax,
    /// `(x [.., D] rows, scale [D], shift [D]) -> [.., D] rows`
    LayerNorm {
        /// Added to the variance.
        eps: f64,
    },
    /// `(reads of the loop.., scale [D], shift [D]?) -> (norm [.., D] rows, results of the loop [.., D] rows)`: a loop whose first
    /// result is normalised row by row as it is made. The loop's results may be in place.
    LoopNorm {
        /// The loop.
        body: LoopBody,
        /// Whether the mean is taken away, and there is a shift: layer normalisation; else root-mean-square normalisation.
        centred: bool,
        /// Added to the variance or mean square.
        eps: f64,
    },
    /// `(x, scale, dy) -> (dx?, dscale?, dshift?)`: the writes present are those asked for, in this order.
    LayerNormGrad {
        /// Add to `dx` instead of replacing it.
        accumulate: bool,
        /// Added to the variance.
        eps: f64,
        /// Which of value, scale, shift are written.
        writes: [bool; 3],
    },
    /// `(x [.., D] rows, scale [D]) -> [.., D] rows`
    RmsNorm {
        /// Added to the mean square.
        eps: f64,
    },
    /// `(x, scale, dy) -> (dx?, dscale?)`
    RmsNormGrad {
        /// Add to `dx` instead of replacing it.
        accumulate: bool,
        /// Added to the mean square.
        eps: f64,
        /// Which of value, scale are written.
        writes: [bool; 2],
    },
    /// `(x [B, T, H, K] rows, positions [B, T]) -> [B, T, H, K] rows`; may be in place.
    Rotate {
        /// Frequencies, amplitude and pairs.
        rotary: Rotary,
        /// Turn the other way.
        inverse: bool,
    },
    /// `(q, k, v, ..) -> (out, stats?)`, all rows, what else the settings ask for as it lies; stats `[B, H, T]` contiguous.
    Attention {
        /// Settings.
        settings: AttentionSettings,
        /// Whether stats are written.
        stats: bool,
    },
    /// `(q, k, v, out, stats, dout, ..) -> (dq?, dk?, dv?, dbias?)`, all rows. `scratch` is the last write, `[B, H, T]`, always there.
    AttentionGrad {
        /// Settings.
        settings: AttentionSettings,
        /// Which gradients are written, in this order.
        writes: Vec<AttentionInput>,
    },
    /// See [`Op::CachedAttention`](crate::op::Op::CachedAttention).
    CachedAttention(AttentionSettings),
    /// `(new, length [B]) -> cache`: in place, the rest of the cache stays as it is.
    CacheWrite,
    /// `(logits [N, V] rows, targets [N]) -> loss [N]`
    CrossEntropy(LossPlan),
    /// `(logits [N, V] rows, targets [N], dloss [N]) -> (dlogits [N, V] rows, loss [N]?)`; may be in place.
    CrossEntropyGrad {
        /// What is added to the cross-entropy.
        plan: LossPlan,
        /// Whether the loss is written too.
        loss: bool,
    },
    /// `() -> x`, contiguous.
    Pattern(Pattern),
    /// `(x any shape, contiguous) -> scalar`
    SumSquares,
    /// `(step) -> learning rate`, both scalars.
    LearningRate {
        /// Peak learning rate.
        peak: f64,
        /// Factor over the steps.
        schedule: SchedulePlan,
    },
    /// `(gradient, learning_rate, gradient_scale, step) -> (weight, first, second)`: updates the writes in place; all contiguous. Nothing changes
    /// where `gradient_scale` is 0.
    AdamW(AdamConstants),
    /// `(x, step) -> same shape`, contiguous; see [`Op::Random`](crate::op::Op::Random). May be in place.
    Random {
        /// What is done.
        function: RandomFunction,
        /// The stage's seed.
        seed: u64,
        /// Which of this function in the graph this is.
        site: u64,
    },
}

impl Kernel {
    /// What it is called in tables.
    pub fn name(&self) -> &'static str {
        match self {
            Kernel::Loop(_) => "loop",
            Kernel::Reduce { .. } => "reduce",
            Kernel::MatMul { .. } => "matmul",
            Kernel::Gather => "gather",
            Kernel::ScatterAdd { .. } => "scatter_add",
            Kernel::TopK { .. } => "top_k",
            Kernel::Pick => "pick",
            Kernel::Place => "place",
            Kernel::RoutedMatMul => "routed_matmul",
            Kernel::RoutedOuter { .. } => "routed_outer",
            Kernel::Softmax => "softmax",
            Kernel::LayerNorm { .. } => "layer_norm",
            Kernel::LoopNorm { .. } => "loop_norm",
            Kernel::LayerNormGrad { .. } => "layer_norm_grad",
            Kernel::RmsNorm { .. } => "rms_norm",
            Kernel::RmsNormGrad { .. } => "rms_norm_grad",
            Kernel::Rotate { .. } => "rotate",
            Kernel::Attention { .. } => "attention",
            Kernel::AttentionGrad { .. } => "attention_grad",
            Kernel::CachedAttention(_) => "cached_attention",
            Kernel::CacheWrite => "cache_write",
            Kernel::CrossEntropy(_) => "cross_entropy",
            Kernel::CrossEntropyGrad { .. } => "cross_entropy_grad",
            Kernel::Pattern(_) => "pattern",
            Kernel::SumSquares => "sum_squares",
            Kernel::LearningRate { .. } => "learning_rate",
            Kernel::AdamW(_) => "adamw",
            Kernel::Random { function, .. } => function.name(),
        }
    }

    /// Whether it is a matrix product, alone or with other work at its edges.
    pub fn is_matrix_product(&self) -> bool {
        matches!(self, Kernel::MatMul { .. } | Kernel::RoutedMatMul | Kernel::RoutedOuter { .. })
    }
}

/// A straight-line scalar program over f32 registers: instruction `i` fills register `i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LoopBody {
    /// The instructions.
    pub instructions: Vec<Instruction>,
    /// The register that goes to each write, in order.
    pub results: Vec<usize>,
}

/// One scalar instruction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Instruction {
    /// The element of a read (i32 reads are converted).
    Load(usize),
    /// A constant.
    Constant(f32),
    /// A function of one register.
    Unary(UnaryFunction, usize),
    /// A function of two registers.
    Binary(BinaryFunction, usize, usize),
    /// 1 if the first register is greater than the second, else 0.
    Greater(usize, usize),
    /// The second register where the first is not 0, else the third.
    Select(usize, usize, usize),
    /// A register rounded to the nearest number of a 16-bit type.
    Round(DType, usize),
}
