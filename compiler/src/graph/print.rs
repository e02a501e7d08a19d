//! The stable text form of a graph: same recipe, same bytes.
//!
//! ```text
//! input tokens : i32[4, 16]
//! state weight/wte.weight : f32[512, 64]
//!
//! %0 = gather(weight/wte.weight, tokens) : f32[4, 16, 64]  // transformer std/gpt2:12
//! %1 = multiply(%0, 0.5) : f32[4, 16, 64]  // transformer std/gpt2:13
//!
//! result loss = %1
//! ```
//! Values are numbered in [order](Graph::order); inputs, states and constants stand by name or value where they are read.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use super::{Graph, Id, Target};
use crate::op::{Op, RandomFunction, Reduction, Type};
use crate::plan::{DType, Origin, Rotary, RotaryLayout};

impl Graph {
    /// The whole graph as text, one operator a line, dead ones included.
    pub fn print(&self) -> String {
        let mut text = String::new();
        self.write_text(&mut text).expect("writing to a string cannot fail");
        text
    }

    /// How many operators of each name there are, `name count` a line, sorted by name.
    pub fn summary(&self) -> String {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for node in self.nodes() {
            *counts.entry(name(&node.op)).or_default() += 1;
        }
        counts.into_iter().map(|(name, count)| format!("{name} {count}\n")).collect()
    }

    fn write_text(&self, text: &mut String) -> fmt::Result {
        let order = self.order();
        self.write_sources(text, &order)?;
        let mut numbers = vec![0; self.bound()];
        let mut next = 0;
        for id in order {
            let node = self.node(id);
            if matches!(node.op, Op::Input { .. } | Op::State { .. } | Op::Constant(_)) {
                continue;
            }
            numbers[id.index()] = next;
            write!(text, "%{next} = {}(", name(&node.op))?;
            next += 1;
            let mut separator = "";
            for input in self.inputs(id) {
                text.write_str(separator)?;
                self.write_reference(text, input, &numbers)?;
                separator = ", ";
            }
            write_settings(text, &node.op, separator)?;
            write!(text, ") : {}", node.ty)?;
            write_origin(text, &node.origin)?;
        }
        writeln!(text)?;
        for (target, value) in &self.outputs {
            match target {
                Target::Result(name) => write!(text, "result {name} = ")?,
                Target::State(name) => write!(text, "state {name} = ")?,
            }
            self.write_reference(text, *value, &numbers)?;
            writeln!(text)?;
        }
        Ok(())
    }

    /// Inputs, then states, each by name.
    fn write_sources(&self, text: &mut String, order: &[Id]) -> fmt::Result {
        let mut sources: BTreeMap<(&str, &str), &Type> = BTreeMap::new();
        for &id in order {
            match self.op(id) {
                Op::Input { name, ty } => sources.insert(("input", name), ty),
                Op::State { name, ty } => sources.insert(("state", name), ty),
                _ => continue,
            };
        }
        for ((kind, name), ty) in sources {
            writeln!(text, "{kind} {name} : {ty}")?;
        }
        writeln!(text)
    }

    fn write_reference(&self, text: &mut String, id: Id, numbers: &[usize]) -> fmt::Result {
        match self.op(id) {
            Op::Input { name, .. } | Op::State { name, .. } => text.write_str(name),
            Op::Constant(value) => write!(text, "{value:?}"),
            _ => write!(text, "%{}", numbers[id.index()]),
        }
    }
}

fn write_origin(text: &mut String, origin: &Origin) -> fmt::Result {
    match (origin.path.as_str(), origin.place.as_str()) {
        ("", "") => writeln!(text),
        ("", only) | (only, "") => writeln!(text, "  // {only}"),
        (path, place) => writeln!(text, "  // {path} {place}"),
    }
}

/// The operator's name in the text form.
pub fn name(op: &Op) -> &'static str {
    use crate::plan::{BinaryFunction as B, UnaryFunction as U};
    match op {
        Op::Input { .. } => "input",
        Op::State { .. } => "state",
        Op::Constant(_) => "constant",
        Op::Pattern { .. } => "pattern",
        Op::Unary(U::Negate) => "negate",
        Op::Unary(U::Exp) => "exp",
        Op::Unary(U::Log) => "log",
        Op::Unary(U::Sqrt) => "sqrt",
        Op::Unary(U::Rsqrt) => "rsqrt",
        Op::Unary(U::Reciprocal) => "reciprocal",
        Op::Unary(U::Square) => "square",
        Op::Unary(U::Abs) => "abs",
        Op::Unary(U::Sin) => "sin",
        Op::Unary(U::Cos) => "cos",
        Op::Unary(U::Tanh) => "tanh",
        Op::Unary(U::Sigmoid) => "sigmoid",
        Op::Unary(U::Erf) => "erf",
        Op::Unary(U::Relu) => "relu",
        Op::Unary(U::Silu) => "silu",
        Op::Unary(U::Gelu) => "gelu",
        Op::Unary(U::GeluTanh) => "gelu_tanh",
        Op::Binary(B::Add) => "add",
        Op::Binary(B::Subtract) => "subtract",
        Op::Binary(B::Multiply) => "multiply",
        Op::Binary(B::Divide) => "divide",
        Op::Binary(B::Maximum) => "maximum",
        Op::Binary(B::Minimum) => "minimum",
        Op::Binary(B::Power) => "power",
        Op::Select => "select",
        Op::Greater => "greater",
        Op::Cast(DType::Bf16) => "bf16",
        Op::Cast(DType::F16) => "f16",
        Op::Cast(_) => "cast",
        Op::Random { function, .. } => function.name(),
        Op::Reduce { kind: Reduction::Sum, .. } => "sum",
        Op::Reduce { kind: Reduction::Max, .. } => "max",
        Op::Reshape(_) => "reshape",
        Op::Permute(_) => "permute",
        Op::Expand(_) => "expand",
        Op::Slice { .. } => "slice",
        Op::Pad { .. } => "pad",
        Op::Concat { .. } => "concat",
        Op::MatMul { .. } => "matmul",
        Op::Gather => "gather",
        Op::ScatterAdd { .. } => "scatter_add",
        Op::TopK { .. } => "top_k",
        Op::Pick => "pick",
        Op::Place { .. } => "place",
        Op::RoutedMatMul { .. } => "routed_matmul",
        Op::RoutedOuter { .. } => "routed_outer",
        Op::Softmax => "softmax",
        Op::LayerNorm { .. } => "layer_norm",
        Op::LayerNormGrad { .. } => "layer_norm_grad",
        Op::RmsNorm { .. } => "rms_norm",
        Op::RmsNormGrad { .. } => "rms_norm_grad",
        Op::Rotate { .. } => "rotate",
        Op::Attention(_) => "attention",
        Op::AttentionStats(_) => "attention_stats",
        Op::AttentionGrad { .. } => "attention_grad",
        Op::CachedAttention(_) => "cached_attention",
        Op::CacheWrite => "cache_write",
        Op::CrossEntropy(_) => "cross_entropy",
        Op::CrossEntropyGrad(_) => "cross_entropy_grad",
        Op::SumSquares => "sum_squares",
        Op::AddScalars => "add_scalars",
        Op::LearningRate { .. } => "learning_rate",
        Op::AdamW { .. } => "adamw",
    }
}

/// What the operator fixes besides its operands, as named arguments; the result's shape is left to the type.
fn write_settings(text: &mut String, op: &Op, separator: &str) -> fmt::Result {
    text.write_str(separator)?;
    let before = text.len();
    match op {
        Op::Random { function: RandomFunction::Dropout(rate), seed, site } => {
            write!(text, "rate: {rate:?}, seed: {seed}, site: {site}")?;
        }
        Op::Random { function: RandomFunction::Round, seed, site } => write!(text, "seed: {seed}, site: {site}")?,
        Op::Reduce { axes, .. } => write!(text, "axes: {axes:?}")?,
        Op::Permute(axes) => write!(text, "axes: {axes:?}")?,
        Op::Slice { axis, start, length } => write!(text, "axis: {axis}, start: {start}, length: {length}")?,
        Op::Pad { axis, before, after } => write!(text, "axis: {axis}, before: {before}, after: {after}")?,
        Op::Concat { axis } => write!(text, "axis: {axis}")?,
        Op::MatMul { transpose_left, transpose_right } => match (transpose_left, transpose_right) {
            (false, false) => {}
            (true, false) => text.write_str("transpose: left")?,
            (false, true) => text.write_str("transpose: right")?,
            (true, true) => text.write_str("transpose: both")?,
        },
        Op::RoutedMatMul { transpose: true } => text.write_str("transpose: right")?,
        Op::LayerNorm { eps } | Op::RmsNorm { eps } => write!(text, "eps: {eps:?}")?,
        Op::LayerNormGrad { eps, wrt } | Op::RmsNormGrad { eps, wrt } => write!(text, "wrt: {wrt:?}, eps: {eps:?}")?,
        Op::Rotate { rotary: Rotary { theta, scaling, layout }, inverse } => {
            write!(text, "theta: {theta:?}, inverse: {inverse}")?;
            if !scaling.is_none() {
                write!(text, ", scaling: {scaling:?}")?;
            }
            if *layout == RotaryLayout::Interleaved {
                text.write_str(", layout: interleaved")?;
            }
        }
        Op::Attention(settings) | Op::AttentionStats(settings) => {
            write!(text, "{settings}")?;
        }
        Op::AttentionGrad { settings, wrt } => write!(text, "wrt: {wrt:?}, {settings}")?,
        Op::CachedAttention(settings) => write!(text, "{settings}")?,
        Op::LearningRate { peak, schedule } => write!(
            text,
            "peak: {peak:?}, kind: {:?}, warmup: {}, floor: {:?}, decay: {}, steps: {}",
            schedule.kind, schedule.warmup, schedule.floor, schedule.decay, schedule.steps
        )?,
        Op::AdamW { constants, output } => write!(
            text,
            "output: {output:?}, beta1: {:?}, beta2: {:?}, epsilon: {:?}, weight_decay: {:?}",
            constants.beta1, constants.beta2, constants.epsilon, constants.weight_decay
        )?,
        Op::Input { .. }
        | Op::State { .. }
        | Op::Constant(_)
        | Op::Pattern { .. }
        | Op::Unary(_)
        | Op::Binary(_)
        | Op::Select
        | Op::Greater
        | Op::Cast(_)
        | Op::Reshape(_)
        | Op::Expand(_)
        | Op::Gather
        | Op::ScatterAdd { .. }
        | Op::TopK { .. }
        | Op::Pick
        | Op::Place { .. }
        | Op::RoutedMatMul { transpose: false }
        | Op::RoutedOuter { .. }
        | Op::Softmax
        | Op::CacheWrite
        | Op::CrossEntropy(_)
        | Op::CrossEntropyGrad(_)
        | Op::SumSquares
        | Op::AddScalars => {}
    }
    if text.len() == before {
        // Nothing to add: no separator either.
        text.truncate(before - separator.len());
    }
    Ok(())
}
