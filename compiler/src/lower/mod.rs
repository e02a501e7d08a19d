//! From a checked stage to graphs of operators: the model, its loss, the gradients and the update.
//!
//! Everything a user can get wrong has been found by then. What is left can fail only by a bug of ours, or because a model asks
//! something of `T` that the number of tokens at hand does not give (decoding runs with one token); it is told as a sentence.

mod halves;
mod model;
mod optimizer;
mod reading;

use crate::graph::{Builder, Graph, Id, Target, gradients};
use crate::op::{Op, Reduction, Type};
use crate::plan::{DType, LossPlan, Origin, StagePlan};
use halves::Half;
use model::{Forward, Pass};

pub use reading::Reading;

/// The graphs of a training stage.
pub struct StageGraphs {
    /// With accumulation: forward and backward of one micro-batch. Adds to the states `gradient/PATH` and gives its
    /// part of the `loss`. Its `step` input, which only dropout reads, must differ from micro-batch to micro-batch:
    /// `step * accumulation + micro`.
    pub accumulate: Option<Graph>,
    /// One optimizer step: forward, backward and update (results `loss`, `grad_norm`, `learning_rate`); with accumulation only
    /// the update (`grad_norm`, `learning_rate`), from the states `gradient/PATH`.
    pub update: Graph,
    /// Forward without dropout: `loss_sum`, the plain sum over the target tokens.
    pub evaluate: Graph,
}

/// The graphs that train a stage, with `B` the micro-batch and `T` the sequence length.
///
/// # Errors
/// A sentence that names the weight or operation, see the module.
pub fn lower(stage: &StagePlan) -> Result<StageGraphs, String> {
    let mut trained = Graph::new();
    let (forward, loss) = training_loss(&mut trained, stage, true)?;
    let gradients = weight_gradients(&mut trained, stage, &forward, loss)?;
    trained.output(Target::Result("loss".to_owned()), loss);
    let (accumulate, update) = if stage.accumulation > 1 {
        for (weight, &gradient) in stage.model.weights.iter().zip(&gradients) {
            let name = format!("gradient/{}", weight.path);
            let origin = trained.origin(gradient).clone();
            let ty = trained.ty(gradient).clone();
            let mut build = Builder::new(&mut trained, origin);
            let sum_so_far = build.add_op(Op::State { name: name.clone(), ty }, &[]);
            let sum = build.add(sum_so_far, gradient);
            trained.output(Target::State(name), sum);
        }
        let mut update = Graph::new();
        let weights = optimizer::states(&mut update, "weight", &stage.model);
        let gradients = optimizer::states(&mut update, "gradient", &stage.model);
        optimizer::update(&mut update, stage, &weights, &gradients);
        (Some(trained), update)
    } else {
        optimizer::update(&mut trained, stage, &forward.weights, &gradients);
        (None, trained)
    };
    Ok(StageGraphs { accumulate, update, evaluate: lower_evaluate(stage)? })
}

/// Forward and summed cross-entropy, without dropout and what the objective adds.
fn lower_evaluate(stage: &StagePlan) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let pass = Pass::training(stage);
    let forward = model::forward(&mut graph, stage, &pass)?;
    let losses = token_losses(&mut graph, stage, LossPlan::default(), forward.logits);
    let sum = total(&mut graph, losses);
    graph.output(Target::Result("loss_sum".to_owned()), sum);
    Ok(graph)
}

/// Sizes of a forward pass over whole rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowSizes {
    /// Rows: the model's `B`.
    pub batch: u64,
    /// Tokens of a row: `T`.
    pub tokens: u64,
    /// Tokens of an encoder's row, where there is one: `S`.
    pub source: Option<u64>,
}

/// Forward to the cross-entropy of every token, `losses [B, T]`, and, where `logits` are asked for, those, `[B, T, V]`.
///
/// # Errors
/// As [`lower`].
pub fn lower_score(stage: &StagePlan, sizes: RowSizes, logits: bool) -> Result<Graph, String> {
    let RowSizes { batch, tokens, source } = sizes;
    let mut graph = Graph::new();
    let forward = model::forward(&mut graph, stage, &Pass::with_source(batch, tokens, source))?;
    let losses = token_losses(&mut graph, stage, LossPlan::default(), forward.logits);
    let origin = graph.origin(forward.logits).clone();
    let losses = Builder::new(&mut graph, origin).reshape(losses, &[batch, tokens]);
    graph.output(Target::Result("losses".to_owned()), losses);
    if logits {
        graph.output(Target::Result("logits".to_owned()), forward.logits);
    }
    Ok(graph)
}

/// Forward and backward of one micro-batch without dropout and without update: `loss`, `logits`, and `gradient/PATH` of
/// every weight.
///
/// # Errors
/// As [`lower`].
pub fn lower_probe(stage: &StagePlan) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let (forward, loss) = training_loss(&mut graph, stage, false)?;
    let gradients = weight_gradients(&mut graph, stage, &forward, loss)?;
    graph.output(Target::Result("loss".to_owned()), loss);
    graph.output(Target::Result("logits".to_owned()), forward.logits);
    for (weight, gradient) in stage.model.weights.iter().zip(gradients) {
        graph.output(Target::Result(format!("gradient/{}", weight.path)), gradient);
    }
    Ok(graph)
}

/// Forward of `tokens` new positions of each row, after the `length [B]` positions whose keys and values stand in the states
/// `key_cache/N` and `value_cache/N` of `context` positions: `logits [B, V]` of the last new position. The new keys and values
/// are added.
///
/// # Errors
/// As [`lower`].
pub fn lower_decode(stage: &StagePlan, batch: u64, tokens: u64, context: u64) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let forward = model::forward(&mut graph, stage, &Pass::decode(batch, tokens, context))?;
    last_logits(&mut graph, stage, forward.logits, tokens);
    Ok(graph)
}

/// Gives the logits of the last of so many tokens as a result, `[B, V]`.
fn last_logits(graph: &mut Graph, stage: &StagePlan, logits: Id, tokens: u64) {
    let batch = graph.ty(logits).shape[0];
    let origin = graph.origin(logits).clone();
    let mut build = Builder::new(graph, origin);
    let last = build.add_op(Op::Slice { axis: 1, start: tokens - 1, length: 1 }, &[logits]);
    let last = build.reshape(last, &[batch, stage.model.vocab]);
    graph.output(Target::Result("logits".to_owned()), last);
}

/// As [`lower_decode`] without logits: what only they need is not computed.
///
/// # Errors
/// As [`lower`].
pub fn lower_prefill(stage: &StagePlan, batch: u64, tokens: u64, context: u64) -> Result<Graph, String> {
    let mut graph = Graph::new();
    model::forward(&mut graph, stage, &Pass::decode(batch, tokens, context))?;
    Ok(graph)
}

/// Of a model with an encoder: what depends on `source [B, S]` alone, into the states `memory/N` that [`lower_write`] reads.
///
/// # Errors
/// As [`lower`].
pub fn lower_read(stage: &StagePlan, sizes: RowSizes) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let pass = Pass::with_source(sizes.batch, sizes.tokens, sizes.source);
    model::forward_half(&mut graph, stage, &pass, Half::Source)?;
    Ok(graph)
}

/// Of a model with an encoder, after [`lower_read`] with the same batch and source: `logits [B, V]` of the last of `tokens [B, T]`.
/// Shorter texts stand at the end of their rows, what stands before them is another document.
///
/// # Errors
/// As [`lower`].
pub fn lower_write(stage: &StagePlan, sizes: RowSizes) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let pass = Pass::with_source(sizes.batch, sizes.tokens, sizes.source);
    let name = &stage.model.name;
    let logits = model::forward_half(&mut graph, stage, &pass, Half::Tokens)?
        .ok_or_else(|| format!("the logits of `{name}` do not depend on `tokens`"))?;
    last_logits(&mut graph, stage, logits, sizes.tokens);
    Ok(graph)
}

/// The forward pass of a micro-batch and its share of the loss of the global batch.
fn training_loss(graph: &mut Graph, stage: &StagePlan, dropout: bool) -> Result<(Forward, Id), String> {
    let mut pass = Pass::training(stage);
    pass.dropout = dropout.then_some(stage.seed);
    let forward = model::forward(graph, stage, &pass)?;
    let losses = token_losses(graph, stage, stage.objective.loss, forward.logits);
    let sum = total(graph, losses);
    let origin = graph.origin(losses).clone();
    let mut build = Builder::new(graph, origin);
    let scale = build.add_op(Op::Input { name: "loss_scale".to_owned(), ty: Type::f32(&[]) }, &[]);
    let loss = build.multiply(sum, scale);
    Ok((forward, loss))
}

/// The loss of every token, `[B * T]`.
fn token_losses(graph: &mut Graph, stage: &StagePlan, plan: LossPlan, logits: Id) -> Id {
    let shape = graph.ty(logits).shape.clone();
    let origin = Origin { path: "loss".to_owned(), place: format!("stage {}", stage.name) };
    let mut build = Builder::new(graph, origin);
    let rows = shape[0] * shape[1];
    let ty = Type { shape: shape[..2].into(), dtype: DType::I32 };
    let targets = build.add_op(Op::Input { name: "targets".to_owned(), ty }, &[]);
    let targets = build.reshape(targets, &[rows]);
    let logits = build.reshape(logits, &[rows, shape[2]]);
    build.add_op(Op::CrossEntropy(plan), &[logits, targets])
}

/// The sum of a vector, a scalar.
fn total(graph: &mut Graph, values: Id) -> Id {
    let origin = graph.origin(values).clone();
    let mut build = Builder::new(graph, origin);
    let sum = build.reduce(Reduction::Sum, vec![0], values);
    build.reshape(sum, &[])
}

/// The gradient of every weight.
fn weight_gradients(graph: &mut Graph, stage: &StagePlan, forward: &Forward, loss: Id) -> Result<Vec<Id>, String> {
    let found = gradients(graph, loss, &forward.weights);
    let named = stage.model.weights.iter().zip(found);
    named
        .map(|(weight, gradient)| {
            gradient.ok_or_else(|| format!("the loss does not depend on the weight {}", weight.path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Initializer, WeightPlan};
    use crate::testing::plans::{gpt2, stage, tiny_stages};

    #[test]
    fn a_weight_without_gradient_is_told_by_its_path() {
        let (_, mut stage) = tiny_stages(1).remove(0);
        let idle = WeightPlan { path: "idle.weight".to_owned(), shape: vec![2], init: Initializer::Zeros };
        stage.model.weights.push(idle);
        let reason = lower(&stage).err().unwrap();
        assert_eq!(reason, "the loss does not depend on the weight idle.weight");
    }

    #[test]
    fn a_size_that_does_not_come_out_is_told_by_its_origin() {
        let (_, mut stage) = tiny_stages(1).remove(0);
        stage.model.nodes[4].shape[0] = crate::dim::Dim::symbol("X");
        let reason = lower(&stage).err().unwrap();
        assert!(reason.contains("the size X") && reason.contains("test:1"), "{reason}");
    }

    #[test]
    fn only_matrices_decay_and_dropout_is_off_outside_training() {
        let stage = stage(gpt2(8, 2, 11, 6, 0.5), 2, 5, 1);
        let graphs = lower(&stage).unwrap();
        for id in graphs.update.order() {
            if let Op::AdamW { constants, .. } = graphs.update.op(id) {
                let decays = constants.weight_decay > 0.0;
                assert_eq!(decays, graphs.update.ty(id).shape.len() > 1);
            }
        }
        let dropouts = |graph: &Graph| {
            let ids = graph.order();
            ids.into_iter().filter(|&id| matches!(graph.op(id), Op::Dropout { .. })).count()
        };
        assert_eq!(dropouts(&graphs.update), 4);
        for graph in [
            graphs.evaluate,
            lower_probe(&stage).unwrap(),
            lower_score(&stage, RowSizes { batch: 1, tokens: 3, source: None }, true).unwrap(),
        ] {
            assert_eq!(dropouts(&graph), 0);
        }
    }
}
