//! From a checked stage to graphs of operators: the model, its loss, the gradients and the update.
//!
//! Everything a user can get wrong has been found by then. What is left can fail only by a bug of ours, or because a model asks
//! something of `T` that the number of tokens at hand does not give (decoding runs with one token); it is told as a sentence.

mod halves;
mod model;
mod optimizer;
mod reading;
mod scaler;

use crate::graph::{Builder, Graph, Id, Target, gradients};
use crate::op::{Op, Reduction, Type};
use crate::plan::{DType, LossPlan, Origin, StagePlan};
use halves::Half;
use model::{Forward, Pass};

pub use reading::Reading;
pub use scaler::{LOSS_SCALE, SCALER_STATES};

/// The graphs of a training stage.
pub struct StageGraphs {
    /// With accumulation: forward and backward of one micro-batch. Adds to the states `gradient/PATH` and gives its
    /// part of the `loss` (and of the `auxiliary_loss`, where the model has one). Its `step` input, which only dropout reads, must differ from micro-batch to micro-batch:
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
    let slope_of = match stage.precision.scaling() {
        Some(_) => scaler::scaled(&mut trained, loss.whole),
        None => loss.whole,
    };
    let gradients = weight_gradients(&mut trained, stage, &forward, slope_of)?;
    trained.output(Target::Result("loss".to_owned()), loss.of_tokens);
    if let Some(auxiliary) = loss.auxiliary {
        trained.output(Target::Result(AUXILIARY_LOSS.to_owned()), auxiliary);
    }
    let (accumulate, update) = if stage.accumulation > 1 {
        for (weight, &gradient) in stage.trained().zip(&gradients) {
            let name = format!("gradient/{}", weight.path);
            let origin = trained.origin(gradient).clone();
            let ty = trained.ty(gradient).clone();
            let mut build = Builder::new(&mut trained, origin);
            let sum_so_far = build.add_op(Op::State { name: name.clone(), ty }, &[]);
            let sum = build.add(sum_so_far, gradient);
            trained.output(Target::State(name), sum);
        }
        let mut update = Graph::new();
        let weights = optimizer::states(&mut update, "weight", stage.trained());
        let gradients = optimizer::states(&mut update, "gradient", stage.trained());
        optimizer::update(&mut update, stage, &weights, &gradients);
        (Some(trained), update)
    } else {
        optimizer::update(&mut trained, stage, &forward.trained(stage), &gradients);
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
    let losses = weighted(&mut graph, stage, losses, forward.logits);
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

/// Forward and backward of one micro-batch without dropout and without update: the whole `loss`, of which the
/// `auxiliary_loss` is a part where the model has one, `logits`, and `gradient/PATH` of every trained weight.
///
/// # Errors
/// As [`lower`].
pub fn lower_probe(stage: &StagePlan) -> Result<Graph, String> {
    let mut graph = Graph::new();
    let (forward, loss) = training_loss(&mut graph, stage, false)?;
    let gradients = weight_gradients(&mut graph, stage, &forward, loss.whole)?;
    graph.output(Target::Result("loss".to_owned()), loss.whole);
    if let Some(auxiliary) = loss.auxiliary {
        graph.output(Target::Result(AUXILIARY_LOSS.to_owned()), auxiliary);
    }
    graph.output(Target::Result("logits".to_owned()), forward.logits);
    for (weight, gradient) in stage.trained().zip(gradients) {
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

/// The result that holds what a model adds to its loss.
pub const AUXILIARY_LOSS: &str = "auxiliary_loss";

/// A micro-batch's share of the loss of the global batch.
struct Loss {
    /// Over the target tokens.
    of_tokens: Id,
    /// What the model adds to it.
    auxiliary: Option<Id>,
    /// Both together.
    whole: Id,
}

/// The forward pass of a micro-batch and its share of the loss of the global batch.
fn training_loss(graph: &mut Graph, stage: &StagePlan, dropout: bool) -> Result<(Forward, Loss), String> {
    let mut pass = Pass::training(stage);
    pass.dropout = dropout.then_some(stage.seed);
    let forward = model::forward(graph, stage, &pass)?;
    let losses = token_losses(graph, stage, stage.objective.loss, forward.logits);
    let losses = weighted(graph, stage, losses, forward.logits);
    let sum = total(graph, losses);
    let origin = graph.origin(losses).clone();
    let mut build = Builder::new(graph, origin);
    let scale = build.add_op(Op::Input { name: "loss_scale".to_owned(), ty: Type::f32(&[]) }, &[]);
    let of_tokens = build.multiply(sum, scale);
    // Every micro-batch has one value of its own; their mean counts.
    let shares = forward.losses.iter().map(|&(value, weight)| {
        let value = build.reshape(value, &[]);
        build.scale(value, weight / stage.accumulation as f64)
    });
    let shares: Vec<Id> = shares.collect();
    let auxiliary = shares.into_iter().reduce(|sum, share| build.add(sum, share));
    let whole = auxiliary.map_or(of_tokens, |auxiliary| build.add(of_tokens, auxiliary));
    Ok((forward, Loss { of_tokens, auxiliary, whole }))
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

/// The losses times how much each counts, where the data says that.
fn weighted(graph: &mut Graph, stage: &StagePlan, losses: Id, logits: Id) -> Id {
    if !stage.weighted {
        return losses;
    }
    let shape = graph.ty(logits).shape.clone();
    let origin = graph.origin(losses).clone();
    let mut build = Builder::new(graph, origin);
    let weights = build.add_op(Op::Input { name: "loss_weights".to_owned(), ty: Type::f32(&shape[..2]) }, &[]);
    let weights = build.reshape(weights, &[shape[0] * shape[1]]);
    build.multiply(losses, weights)
}

/// The sum of a vector, a scalar.
fn total(graph: &mut Graph, values: Id) -> Id {
    let origin = graph.origin(values).clone();
    let mut build = Builder::new(graph, origin);
    let sum = build.reduce(Reduction::Sum, vec![0], values);
    build.reshape(sum, &[])
}

/// The gradient of every trained weight.
fn weight_gradients(graph: &mut Graph, stage: &StagePlan, forward: &Forward, loss: Id) -> Result<Vec<Id>, String> {
    let found = gradients(graph, loss, &forward.trained(stage), &forward.detached);
    let named = stage.trained().zip(found);
    named
        .map(|(weight, gradient)| {
            gradient.ok_or_else(|| format!("the loss does not depend on the weight {}", weight.path))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Initializer, ModelNode, ModelOp, WeightPlan};
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
    fn frozen_weights_take_no_gradient_no_moments_and_no_step() {
        for micro_batch in [2, 1] {
            let mut stage = stage(gpt2(8, 2, 11, 6, 0.0), micro_batch, 5, 2 / micro_batch);
            let path = stage.model.weights[3].path.clone();
            stage.frozen.push(path.clone());
            let graphs = lower(&stage).unwrap();
            let names: Vec<String> = graphs
                .accumulate
                .iter()
                .chain([&graphs.update])
                .flat_map(|graph| {
                    let ops = graph.order().into_iter().map(|id| graph.op(id));
                    ops.filter_map(|op| if let Op::State { name, .. } = op { Some(name.clone()) } else { None })
                        .collect::<Vec<_>>()
                })
                .collect();
            assert!(names.contains(&format!("weight/{path}")));
            for state in ["first", "second", "gradient"] {
                assert!(!names.contains(&format!("{state}/{path}")), "{state}");
            }
            let updated = graphs
                .update
                .outputs()
                .iter()
                .filter(|(target, _)| matches!(target, Target::State(name) if name.starts_with("weight/")));
            assert_eq!(updated.count(), stage.model.weights.len() - 1);
        }
    }

    #[test]
    fn no_gradient_passes_a_detached_value() {
        let (_, mut stage) = tiny_stages(1).remove(0);
        let output = stage.model.output;
        let detached =
            ModelNode { op: ModelOp::StopGradient, inputs: vec![output], ..stage.model.nodes[output].clone() };
        stage.model.nodes.push(detached);
        stage.model.output += 1;
        assert!(lower(&stage).err().unwrap().starts_with("the loss does not depend on the weight"));
        lower_score(&stage, RowSizes { batch: 1, tokens: 3, source: None }, false).unwrap();
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
            ids.into_iter().filter(|&id| matches!(graph.op(id), Op::Random { .. })).count()
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
