//! Tiny models in the shape of GPT-2 and Llama, written out by hand.

use std::collections::BTreeMap;

use crate::dim::Dim;
use crate::plan::*;

/// Writes a model plan, operation by operation.
pub(crate) struct Writer {
    plan: ModelPlan,
    path: String,
}

impl Writer {
    pub(crate) fn new(name: &str) -> Writer {
        let plan = ModelPlan {
            name: name.to_owned(),
            arguments: BTreeMap::new(),
            weights: Vec::new(),
            nodes: Vec::new(),
            output: 0,
            vocab: 0,
            config: None,
        };
        Writer { plan, path: String::new() }
    }

    /// From here on, operations belong to this path.
    pub(crate) fn at(&mut self, path: &str) {
        self.path = path.to_owned();
    }

    pub(crate) fn add(&mut self, op: ModelOp, inputs: &[usize], shape: Vec<Dim>) -> usize {
        let dtype = match op {
            ModelOp::Input(_) | ModelOp::TopK { places: true, .. } => DType::I32,
            _ => DType::F32,
        };
        let origin = Origin { path: self.path.clone(), place: "test:1".to_owned() };
        self.plan.nodes.push(ModelNode { op, inputs: inputs.to_vec(), shape, dtype, origin });
        self.plan.nodes.len() - 1
    }

    /// An operation whose value has the shape of its first operand.
    pub(crate) fn like(&mut self, op: ModelOp, inputs: &[usize]) -> usize {
        let shape = self.plan.nodes[inputs[0]].shape.clone();
        self.add(op, inputs, shape)
    }

    pub(crate) fn input(&mut self, name: &str) -> usize {
        self.add(ModelOp::Input(name.to_owned()), &[], vec![b(), t()])
    }

    pub(crate) fn weight(&mut self, name: &str, shape: &[u64]) -> usize {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        self.plan.weights.push(WeightPlan { path, shape: shape.to_vec(), init: Initializer::Normal(0.3) });
        let index = self.plan.weights.len() - 1;
        self.add(ModelOp::Weight(index), &[], shape.iter().map(|&size| Dim::constant(size)).collect())
    }

    /// `x W`, or `x W^T`.
    pub(crate) fn product(&mut self, x: usize, weight: usize, transpose_right: bool) -> usize {
        let mut shape = self.plan.nodes[x].shape.clone();
        let columns = &self.plan.nodes[weight].shape[usize::from(!transpose_right)];
        *shape.last_mut().unwrap() = columns.clone();
        self.add(ModelOp::MatMul { transpose_right }, &[x, weight], shape)
    }

    pub(crate) fn sum(&mut self, a: usize, b: usize) -> usize {
        self.like(ModelOp::Binary(BinaryFunction::Add), &[a, b])
    }

    /// `x W + b`
    fn linear(&mut self, x: usize, name: &str, rows: u64, columns: u64) -> usize {
        let weight = self.weight(&format!("{name}.weight"), &[rows, columns]);
        let bias = self.weight(&format!("{name}.bias"), &[columns]);
        let product = self.product(x, weight, false);
        self.sum(product, bias)
    }

    fn layer_norm(&mut self, x: usize, name: &str, width: u64) -> usize {
        let scale = self.weight(&format!("{name}.weight"), &[width]);
        let shift = self.weight(&format!("{name}.bias"), &[width]);
        self.like(ModelOp::LayerNormalize { eps: 1e-5 }, &[x, scale, shift])
    }

    fn heads(&mut self, x: usize, heads: u64, width: u64) -> usize {
        let shape = vec![b(), t(), Dim::constant(heads), Dim::constant(width / heads)];
        self.add(ModelOp::Reshape(shape.clone()), &[x], shape)
    }

    fn joined(&mut self, x: usize, width: u64) -> usize {
        let shape = vec![b(), t(), Dim::constant(width)];
        self.add(ModelOp::Reshape(shape.clone()), &[x], shape)
    }

    pub(crate) fn finish(mut self, output: usize, vocab: u64) -> ModelPlan {
        self.plan.output = output;
        self.plan.vocab = vocab;
        self.plan
    }
}

fn b() -> Dim {
    Dim::symbol("B")
}

fn t() -> Dim {
    Dim::symbol("T")
}

/// Two layers in the shape of GPT-2: fused projections, biases, learned positions, tied embeddings.
pub(crate) fn gpt2(width: u64, heads: u64, vocab: u64, context: u64, dropout: f64) -> ModelPlan {
    let mut w = Writer::new("gpt2");
    let (tokens, positions) = (w.input("tokens"), w.input("positions"));
    let shape = vec![b(), t(), Dim::constant(width)];
    let table = w.weight("wte.weight", &[vocab, width]);
    let places = w.weight("wpe.weight", &[context, width]);
    let embedded = w.add(ModelOp::Lookup, &[table, tokens], shape.clone());
    let placed = w.add(ModelOp::Lookup, &[places, positions], shape.clone());
    let mut x = w.sum(embedded, placed);
    for layer in 0..2 {
        w.at(&format!("h.{layer}"));
        let normal = w.layer_norm(x, "ln_1", width);
        let joint = w.linear(normal, "attn.c_attn", width, 3 * width);
        let parts: Vec<usize> = (0..3)
            .map(|part| {
                let (start, length) = (Dim::constant(part * width), Dim::constant(width));
                let slice = w.add(ModelOp::Slice { axis: 2, start, length }, &[joint], shape.clone());
                w.heads(slice, heads, width)
            })
            .collect();
        let scale = 1.0 / ((width / heads) as f64).sqrt();
        let seen = w.like(ModelOp::Attend(AttentionSettings::causal(scale)), &parts);
        let seen = w.joined(seen, width);
        let out = w.linear(seen, "attn.c_proj", width, width);
        let out = w.like(ModelOp::Dropout { rate: dropout }, &[out]);
        x = w.sum(x, out);
        let normal = w.layer_norm(x, "ln_2", width);
        let hidden = w.linear(normal, "mlp.c_fc", width, 4 * width);
        let active = w.like(ModelOp::Unary(UnaryFunction::GeluTanh), &[hidden]);
        let out = w.linear(active, "mlp.c_proj", 4 * width, width);
        x = w.sum(x, out);
    }
    w.at("");
    let x = w.layer_norm(x, "ln_f", width);
    let logits = w.product(x, table, true);
    w.finish(logits, vocab)
}

/// Layers in the shape of Llama: rotary positions, grouped queries, gated units, no biases, an untied head.
pub(crate) fn llama(layers: usize, width: u64, heads: [u64; 2], hidden: u64, vocab: u64, documents: bool) -> ModelPlan {
    let mut w = Writer::new("llama");
    let (tokens, positions) = (w.input("tokens"), w.input("positions"));
    let documents = documents.then(|| w.input("documents"));
    let head = width / heads[0];
    let table = w.weight("embed_tokens.weight", &[vocab, width]);
    let mut x = w.add(ModelOp::Lookup, &[table, tokens], vec![b(), t(), Dim::constant(width)]);
    for layer in 0..layers {
        w.at(&format!("layers.{layer}"));
        let scale = w.weight("input_layernorm.weight", &[width]);
        let normal = w.like(ModelOp::RmsNormalize { eps: 1e-6 }, &[x, scale]);
        let mut operands = Vec::new();
        for (name, count, turned) in [("q", heads[0], true), ("k", heads[1], true), ("v", heads[1], false)] {
            let weight = w.weight(&format!("self_attn.{name}_proj.weight"), &[count * head, width]);
            let product = w.product(normal, weight, true);
            let mut operand = w.heads(product, count, count * head);
            if turned {
                operand = w.like(ModelOp::Rotate(Rotary::plain(10000.0)), &[operand, positions]);
            }
            operands.push(operand);
        }
        operands.extend(documents.into_iter().flat_map(|documents| [documents, documents]));
        let scale = 1.0 / (head as f64).sqrt();
        let settings = AttentionSettings { documents: documents.is_some(), ..AttentionSettings::causal(scale) };
        let seen = w.like(ModelOp::Attend(settings), &operands);
        let seen = w.joined(seen, width);
        let weight = w.weight("self_attn.o_proj.weight", &[width, width]);
        let out = w.product(seen, weight, true);
        x = w.sum(x, out);
        let scale = w.weight("post_attention_layernorm.weight", &[width]);
        let normal = w.like(ModelOp::RmsNormalize { eps: 1e-6 }, &[x, scale]);
        let gate = w.weight("mlp.gate_proj.weight", &[hidden, width]);
        let up = w.weight("mlp.up_proj.weight", &[hidden, width]);
        let down = w.weight("mlp.down_proj.weight", &[width, hidden]);
        let gate = w.product(normal, gate, true);
        let up = w.product(normal, up, true);
        let gate = w.like(ModelOp::Unary(UnaryFunction::Silu), &[gate]);
        let gated = w.like(ModelOp::Binary(BinaryFunction::Multiply), &[gate, up]);
        let out = w.product(gated, down, true);
        x = w.sum(x, out);
    }
    w.at("");
    let scale = w.weight("norm.weight", &[width]);
    let x = w.like(ModelOp::RmsNormalize { eps: 1e-6 }, &[x, scale]);
    let head = w.weight("lm_head.weight", &[vocab, width]);
    let logits = w.product(x, head, true);
    w.finish(logits, vocab)
}

/// One layer of routed experts, whose balance is added to the loss.
pub(crate) fn experts(width: u64, experts: u64, chosen: u64, hidden: u64, vocab: u64) -> ModelPlan {
    let mut w = Writer::new("experts");
    let tokens = w.input("tokens");
    let sized = |last: &[u64]| [b(), t()].into_iter().chain(last.iter().map(|&size| Dim::constant(size))).collect();
    let table = w.weight("embed_tokens.weight", &[vocab, width]);
    let x = w.add(ModelOp::Lookup, &[table, tokens], sized(&[width]));
    let gate = w.weight("gate.weight", &[experts, width]);
    let scores = w.product(x, gate, true);
    let scores = w.like(ModelOp::Softmax, &[scores]);
    let ids = w.add(ModelOp::TopK { count: chosen, places: true }, &[scores], sized(&[chosen]));
    let shares = w.add(ModelOp::Pick, &[scores, ids], sized(&[chosen]));
    let up = w.weight("experts.*.up.weight", &[experts, hidden, width]);
    let down = w.weight("experts.*.down.weight", &[experts, hidden, width]);
    let routed = |transpose_right: bool| ModelOp::RoutedMatMul { transpose_right };
    let inside = w.add(routed(true), &[x, ids, up], sized(&[chosen, hidden]));
    let inside = w.like(ModelOp::Unary(UnaryFunction::Silu), &[inside]);
    let outside = w.add(routed(false), &[inside, ids, down], sized(&[chosen, width]));
    let sum = Einsum { left: vec![0, 1, 2, 3], right: vec![0, 1, 2], result: vec![0, 1, 3] };
    let summed = w.add(ModelOp::Einsum(sum), &[outside, shares], sized(&[width]));
    let x = w.sum(x, summed);
    // The mean probability of each expert times the share of choices that it got.
    let counts = w.add(ModelOp::Place { size: Dim::constant(experts) }, &[shares, ids], sized(&[experts]));
    let product = w.like(ModelOp::Binary(BinaryFunction::Multiply), &[counts, scores]);
    let mut balance = product;
    for axis in 0..3 {
        let mut shape = w.plan.nodes[balance].shape.clone();
        shape[axis] = Dim::constant(1);
        balance = w.add(ModelOp::Reduce { kind: ReduceFunction::Mean, axis }, &[balance], shape);
    }
    let x = w.like(ModelOp::AddLoss { weight: 0.5 }, &[x, balance]);
    let logits = w.product(x, table, true);
    w.finish(logits, vocab)
}

/// A stage that trains a model.
pub(crate) fn stage(model: ModelPlan, micro_batch: u64, sequence_length: u64, accumulation: u64) -> StagePlan {
    StagePlan {
        name: "pretrain".to_owned(),
        init: InitPlan::Random,
        frozen: Vec::new(),
        weighted: false,
        extend: None,
        model,
        data: "text".to_owned(),
        tokenizer: None,
        objective: ObjectivePlan::causal_lm(),
        optimizer: OptimizerPlan::Adamw {
            learning_rate: 0.01,
            betas: [0.9, 0.95],
            epsilon: 1e-8,
            weight_decay: 0.1,
            decay_all: false,
            clip_norm: Some(0.5),
        },
        schedule: SchedulePlan { kind: ScheduleKind::Cosine, warmup: 2, floor: 0.1, decay: 0, steps: 10 },
        sequence_length,
        target_length: None,
        micro_batch,
        accumulation,
        epochs: Vec::new(),
        steps: 10,
        evaluate_every: None,
        evaluate_rows: 8,
        checkpoint_every: None,
        keep: 1,
        shuffle: false,
        packing: Packing::Concatenate,
        precision: Default::default(),
        seed: 7,
        sample: None,
    }
}

/// The tiny models most tests run: their stages by name.
pub(crate) fn tiny_stages(accumulation: u64) -> Vec<(&'static str, StagePlan)> {
    vec![
        ("gpt2", stage(gpt2(8, 2, 11, 6, 0.25), 2, 5, accumulation)),
        ("llama", stage(llama(2, 8, [4, 2], 12, 11, true), 2, 5, accumulation)),
        ("experts", stage(experts(8, 4, 2, 6, 11), 2, 5, accumulation)),
    ]
}
