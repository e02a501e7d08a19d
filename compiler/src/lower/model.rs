//! Operations of a model to operators of the graph, with concrete sizes.

mod routing;

use std::collections::BTreeMap;

use super::halves::{Half, Halves};
use super::reading::decodable;
use crate::dim::Dim;
use crate::graph::{Builder, Graph, Id, Target};
use crate::op::{Op, RandomFunction, Reduction, Shape, Type};
use crate::plan::{
    AttentionSettings, DType, ModelNode, ModelOp, ModelPlan, Objective, OrderRule, Origin, Pattern, ReduceFunction,
    StagePlan, UnaryFunction,
};

/// One way to run a model forward.
pub(super) struct Pass {
    /// The model's `B`.
    batch: u64,
    /// The model's `T`.
    tokens: u64,
    /// The model's `S`, where it has an encoder.
    source: Option<u64>,
    /// The seed, where dropout is on.
    pub(super) dropout: Option<u64>,
    /// Positions of the key/value caches, where attention goes through them.
    context: Option<u64>,
}

impl Pass {
    /// The whole sequence at once, without dropout.
    pub(super) fn plain(batch: u64, tokens: u64) -> Pass {
        Pass { batch, tokens, source: None, dropout: None, context: None }
    }

    /// As [`Pass::plain`], with rows of `source` tokens for an encoder.
    pub(super) fn with_source(batch: u64, tokens: u64, source: Option<u64>) -> Pass {
        Pass { source, ..Pass::plain(batch, tokens) }
    }

    /// The rows of a stage, without dropout.
    pub(super) fn training(stage: &StagePlan) -> Pass {
        let source = stage.target_length.map(|_| stage.sequence_length);
        Pass { source, ..Pass::plain(stage.micro_batch, stage.target_tokens()) }
    }

    /// New tokens after those in the caches.
    pub(super) fn decode(batch: u64, tokens: u64, context: u64) -> Pass {
        Pass { context: Some(context), ..Pass::plain(batch, tokens) }
    }

    /// A dimension's size.
    fn size(&self, dim: &Dim, origin: &Origin) -> Result<u64, String> {
        let bindings = |symbol: &str| match symbol {
            "B" => Some(self.batch),
            "T" => Some(self.tokens),
            "S" => self.source,
            _ => None,
        };
        let (batch, tokens) = (self.batch, self.tokens);
        dim.evaluate(&bindings).filter(|&size| size > 0).ok_or_else(|| {
            let Origin { path, place } = origin;
            format!("the size {dim} is not a positive number for B = {batch} and T = {tokens} ({path} {place})")
        })
    }

    fn shape(&self, dims: &[Dim], origin: &Origin) -> Result<Shape, String> {
        dims.iter().map(|dim| self.size(dim, origin)).collect()
    }
}

/// A model's values in a graph.
pub(super) struct Forward {
    /// `[B, T, V]`
    pub(super) logits: Id,
    /// The weights, in the order of the plan.
    pub(super) weights: Vec<Id>,
    /// Values that no gradient passes.
    pub(super) detached: Vec<Id>,
    /// What the model adds to its loss: values of one element, and their factors.
    pub(super) losses: Vec<(Id, f64)>,
}

impl Forward {
    /// The weights that the stage trains, in the order of the plan.
    pub(super) fn trained(&self, stage: &StagePlan) -> Vec<Id> {
        let weights = stage.model.weights.iter().zip(&self.weights);
        weights.filter(|(plan, _)| stage.trains(plan)).map(|(_, &weight)| weight).collect()
    }
}

/// Adds a model to a graph.
pub(super) fn forward(graph: &mut Graph, stage: &StagePlan, pass: &Pass) -> Result<Forward, String> {
    let model: &ModelPlan = &stage.model;
    if pass.context.is_some() {
        decodable(stage)?;
    }
    let weights = super::optimizer::states(graph, "weight", &model.weights);
    let mut lowering = Lowering::new(graph, pass, stage, weights);
    let mut values: Vec<Id> = Vec::with_capacity(model.nodes.len());
    for node in &model.nodes {
        let inputs: Vec<Id> = node.inputs.iter().map(|&input| values[input]).collect();
        values.push(lowering.checked(node, &inputs)?);
    }
    let Lowering { weights, detached, losses, .. } = lowering;
    Ok(Forward { logits: values[model.output], weights, detached, losses })
}

/// Adds one half of a model with an encoder to a graph. Gives the logits `[B, T, V]`, which only the half of the tokens has.
pub(super) fn forward_half(
    graph: &mut Graph,
    stage: &StagePlan,
    pass: &Pass,
    half: Half,
) -> Result<Option<Id>, String> {
    let model: &ModelPlan = &stage.model;
    let halves = Halves::of(model);
    let weights = super::optimizer::states(graph, "weight", &model.weights);
    let mut lowering = Lowering::new(graph, pass, stage, weights);
    let mut values: Vec<Option<Id>> = Vec::with_capacity(model.nodes.len());
    for (index, node) in model.nodes.iter().enumerate() {
        let name = || format!("memory/{index}");
        let inputs: Option<Vec<Id>> = node.inputs.iter().map(|&input| values[input]).collect();
        let value = match inputs.filter(|_| halves.computes(half, model, index)) {
            Some(inputs) => Some(lowering.checked(node, &inputs)?),
            None if half == Half::Tokens && halves.passes(index) => {
                let ty = Type { shape: pass.shape(&node.shape, &node.origin)?, dtype: node.dtype };
                Some(lowering.graph.add(Op::State { name: name(), ty }, &[], &node.origin))
            }
            None => None,
        };
        if let (Some(value), Half::Source, true) = (value, half, halves.passes(index)) {
            lowering.graph.output(Target::State(name()), value);
        }
        values.push(value);
    }
    Ok(values[model.output])
}

/// The state of one [`forward`].
struct Lowering<'a> {
    graph: &'a mut Graph,
    pass: &'a Pass,
    model: &'a ModelPlan,
    objective: &'a Objective,
    weights: Vec<Id>,
    detached: Vec<Id>,
    losses: Vec<(Id, f64)>,
    inputs: BTreeMap<String, Id>,
    dropouts: u64,
    attentions: u64,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a mut Graph, pass: &'a Pass, stage: &'a StagePlan, weights: Vec<Id>) -> Lowering<'a> {
        let (model, objective) = (&stage.model, &stage.objective.kind);
        Lowering {
            graph,
            pass,
            model,
            objective,
            weights,
            detached: Vec::new(),
            losses: Vec::new(),
            inputs: BTreeMap::new(),
            dropouts: 0,
            attentions: 0,
        }
    }

    /// The value of one operation, which must have the shape that the plan says.
    fn checked(&mut self, node: &ModelNode, inputs: &[Id]) -> Result<Id, String> {
        let value = self.lower(node, inputs)?;
        let expected = self.pass.shape(&node.shape, &node.origin)?;
        let found = &self.graph.ty(value).shape;
        match *found == expected {
            true => Ok(value),
            false => {
                let Origin { path, place } = &node.origin;
                Err(format!("{:?} is {found:?}, not {expected:?} ({path} {place})", node.op))
            }
        }
    }

    /// The value of one operation.
    fn lower(&mut self, node: &ModelNode, inputs: &[Id]) -> Result<Id, String> {
        let pass = self.pass;
        let origin = &node.origin;
        let op = match &node.op {
            ModelOp::Input(name) => {
                let shape = pass.shape(&node.shape, origin)?;
                return Ok(self.input(name, Type { shape, dtype: DType::I32 }, origin));
            }
            ModelOp::Weight(index) => return Ok(self.weights[*index]),
            ModelOp::StopGradient => {
                // A node of its own: the operand may be read elsewhere, with its gradient.
                let same = Op::Reshape(pass.shape(&node.shape, origin)?);
                let value = self.graph.add(same, inputs, origin);
                self.detached.push(value);
                return Ok(value);
            }
            ModelOp::MatMul { transpose_right } => {
                return Ok(self.matmul(inputs, *transpose_right, origin));
            }
            ModelOp::Reduce { kind, axis } => {
                return Ok(self.reduce(*kind, *axis, inputs[0], origin));
            }
            ModelOp::Dropout { rate } => return Ok(self.dropout(*rate, inputs[0], origin)),
            ModelOp::Attend(settings) => {
                let (settings, inputs) = self.visible(*settings, node, inputs);
                return Ok(self.attend(settings, &inputs, origin));
            }
            ModelOp::Constant(value) => Op::Constant(*value as f32),
            ModelOp::Fill(value) => {
                let shape = pass.shape(&node.shape, origin)?;
                let mut build = self.build(origin);
                let value = build.constant(*value);
                return Ok(build.expand(value, &shape));
            }
            ModelOp::Count { start, step } => {
                let start = match start.as_integer() {
                    Some(start) => start as f64,
                    None => pass.size(start, origin)? as f64,
                };
                Op::Pattern { pattern: Pattern::Count { start, step: *step }, shape: pass.shape(&node.shape, origin)? }
            }
            ModelOp::RelativeBuckets(buckets) => {
                Op::Pattern { pattern: Pattern::RelativeBuckets(*buckets), shape: pass.shape(&node.shape, origin)? }
            }
            ModelOp::Sinusoids { theta } => {
                let width = pass.shape(&node.shape, origin)?[1];
                return Ok(self.sinusoids(inputs[0], width, *theta, origin));
            }
            ModelOp::RelativeShift => return Ok(self.relative_shift(inputs[0], origin)),
            ModelOp::Unary(function) => Op::Unary(*function),
            ModelOp::Binary(function) => Op::Binary(*function),
            ModelOp::Lookup => Op::Gather,
            ModelOp::Reshape(dims) => Op::Reshape(pass.shape(dims, origin)?),
            ModelOp::Permute(axes) => Op::Permute(axes.clone()),
            ModelOp::Slice { axis, start, length } => Op::Slice {
                axis: *axis,
                start: match start.as_constant() {
                    Some(start) => start,
                    None => pass.size(start, origin)?,
                },
                length: pass.size(length, origin)?,
            },
            ModelOp::Concat { axis } => return Ok(self.concat(*axis, inputs, origin)),
            ModelOp::TopK { count, places } => return Ok(self.top_k(*count, *places, inputs[0], origin)),
            ModelOp::Pick => Op::Pick,
            ModelOp::Place { size } => {
                let op = Op::Place { size: pass.size(size, origin)? };
                return Ok(self.graph.add(op, &[inputs[1], inputs[0]], origin));
            }
            ModelOp::Einsum(einsum) => return Ok(self.einsum(einsum, [inputs[0], inputs[1]], origin)),
            ModelOp::RoutedMatMul { transpose_right } => {
                return Ok(self.routed_matmul(inputs, *transpose_right, origin));
            }
            ModelOp::AddLoss { weight } => {
                self.losses.push((inputs[1], *weight));
                return Ok(inputs[0]);
            }
            ModelOp::Softmax => Op::Softmax,
            ModelOp::LayerNormalize { eps } => Op::LayerNorm { eps: *eps },
            ModelOp::RmsNormalize { eps } => Op::RmsNorm { eps: *eps },
            ModelOp::Rotate(rotary) => {
                Op::Rotate { rotary: rotary.for_length(pass.context.unwrap_or(pass.tokens)), inverse: false }
            }
        };
        Ok(self.graph.add(op, inputs, origin))
    }

    /// The host's value of this name, one node for all uses.
    fn input(&mut self, name: &str, ty: Type, origin: &Origin) -> Id {
        if let Some(&known) = self.inputs.get(name) {
            return known;
        }
        let id = self.graph.add(Op::Input { name: name.to_owned(), ty }, &[], origin);
        self.inputs.insert(name.to_owned(), id);
        id
    }

    /// Parts joined one after another. A node has at most 255 operands, so many parts are joined in groups.
    fn concat(&mut self, axis: usize, parts: &[Id], origin: &Origin) -> Id {
        const GROUP: usize = 64;
        if parts.len() <= GROUP {
            return self.graph.add(Op::Concat { axis }, parts, origin);
        }
        let groups: Vec<Id> = parts.chunks(GROUP).map(|group| self.concat(axis, group, origin)).collect();
        self.concat(axis, &groups, origin)
    }

    fn build(&mut self, origin: &Origin) -> Builder<'_> {
        Builder::new(self.graph, origin.clone())
    }

    /// A product with a plain matrix on the right is one with all leading axes of the left joined to one.
    fn matmul(&mut self, inputs: &[Id], transpose_right: bool, origin: &Origin) -> Id {
        let mut build = self.build(origin);
        let (left, right) = (build.shape(inputs[0]), build.shape(inputs[1]));
        if right.len() != 2 || left.len() == 2 {
            return build.matmul(inputs[0], false, inputs[1], transpose_right);
        }
        let (inner, leading) = (left[left.len() - 1], &left[..left.len() - 1]);
        let flat = build.reshape(inputs[0], &[leading.iter().product(), inner]);
        let product = build.matmul(flat, false, inputs[1], transpose_right);
        let columns = build.shape(product)[1];
        let mut shape = Shape::from_slice(leading);
        shape.push(columns);
        build.reshape(product, &shape)
    }

    /// `[L] -> [L, width]`
    fn sinusoids(&mut self, places: Id, width: u64, theta: f64, origin: &Origin) -> Id {
        let half = width / 2;
        let pattern = Pattern::Count { start: 0.0, step: -2.0 * theta.ln() / width as f64 };
        let mut build = self.build(origin);
        let exponents = build.add_op(Op::Pattern { pattern, shape: [half].as_slice().into() }, &[]);
        let rates = build.unary(UnaryFunction::Exp, exponents);
        let length = build.shape(places)[0];
        let places = build.reshape(places, &[length, 1]);
        let angles = build.multiply(places, rates);
        let (sines, cosines) = (build.unary(UnaryFunction::Sin, angles), build.unary(UnaryFunction::Cos, angles));
        build.add_op(Op::Concat { axis: 1 }, &[sines, cosines])
    }

    /// `[.., T, 2T] -> [.., T, T]`: a row is moved against the one above it by being cut one element later.
    fn relative_shift(&mut self, x: Id, origin: &Origin) -> Id {
        let mut build = self.build(origin);
        let mut shape = build.shape(x);
        let (rank, queries) = (shape.len(), shape[shape.len() - 2]);
        (shape[rank - 2], shape[rank - 1]) = (2 * queries, queries);
        let turned = build.reshape(x, &shape);
        let later = build.add_op(Op::Slice { axis: rank - 2, start: 1, length: 2 * queries - 1 }, &[turned]);
        (shape[rank - 2], shape[rank - 1]) = (queries, 2 * queries - 1);
        let moved = build.reshape(later, &shape);
        build.add_op(Op::Slice { axis: rank - 1, start: 0, length: queries }, &[moved])
    }

    fn reduce(&mut self, kind: ReduceFunction, axis: usize, input: Id, origin: &Origin) -> Id {
        let mut build = self.build(origin);
        match kind {
            ReduceFunction::Max => build.reduce(Reduction::Max, vec![axis], input),
            ReduceFunction::Sum => build.reduce(Reduction::Sum, vec![axis], input),
            ReduceFunction::Mean => {
                let count = build.shape(input)[axis];
                let sum = build.reduce(Reduction::Sum, vec![axis], input);
                build.scale(sum, 1.0 / count as f64)
            }
        }
    }

    fn dropout(&mut self, rate: f64, input: Id, origin: &Origin) -> Id {
        let site = self.dropouts;
        self.dropouts += 1;
        let Some(seed) = self.pass.dropout.filter(|_| rate > 0.0) else {
            return input;
        };
        let step = self.input("step", Type::f32(&[]), origin);
        let function = RandomFunction::Dropout(rate);
        self.graph.add(Op::Random { function, seed, site }, &[input, step], origin)
    }

    /// The settings and operands of attention under the stage's objective: where the batch's own order says no more than
    /// "itself and before" or "everybody", it need not be looked at.
    fn visible(&self, settings: AttentionSettings, node: &ModelNode, inputs: &[Id]) -> (AttentionSettings, Vec<Id>) {
        let mut inputs = inputs.to_vec();
        let is_order = |operand: usize| matches!(&self.model.nodes[node.inputs[operand]].op, ModelOp::Input(name) if name == "order");
        let Some(first) = settings.operands(3).order.filter(|&first| is_order(first) && is_order(first + 1)) else {
            return (settings, inputs);
        };
        let causal = match (self.objective, settings.order) {
            _ if self.pass.context.is_some() => true,
            (Objective::CausalLm, Some(OrderRule::NotLater)) => true,
            (Objective::MaskedLm(_), Some(OrderRule::NotLater)) => settings.causal,
            _ => return (settings, inputs),
        };
        inputs.drain(first..first + 2);
        (AttentionSettings { order: None, causal, ..settings }, inputs)
    }

    fn attend(&mut self, settings: AttentionSettings, inputs: &[Id], origin: &Origin) -> Id {
        let Some(context) = self.pass.context else {
            return self.graph.add(Op::Attention(settings), inputs, origin);
        };
        // One document, and every position before the new ones stands in the caches.
        let number = self.attentions;
        self.attentions += 1;
        let length = self.input("length", Type::f32(&[self.pass.batch]), origin);
        let mut cached = |kind: &str, new: Id| {
            let name = format!("{kind}/{number}");
            let mut ty = self.graph.ty(new).clone();
            ty.shape[1] = context;
            let cache = self.graph.add(Op::State { name: name.clone(), ty }, &[], origin);
            let written = self.graph.add(Op::CacheWrite, &[cache, new, length], origin);
            self.graph.output(Target::State(name), written);
            written
        };
        let keys = cached("key_cache", inputs[1]);
        let values = cached("value_cache", inputs[2]);
        let settings = AttentionSettings { documents: false, causal: true, ..settings };
        self.graph.add(Op::CachedAttention(settings), &[inputs[0], keys, values, length], origin)
    }
}
