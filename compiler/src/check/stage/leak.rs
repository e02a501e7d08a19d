//! Who may know what: how far ahead in the row the logits of a token look.
//!
//! Every operation of a model is followed along the time axis. A value at place `t` has a reach: the place of the last token
//! that it depends on, less `t`. Attention raises it by what its mask lets through, a slice or a concatenation along the time
//! axis moves it, everything else passes on the largest of its operands. Under `permutation_lm` places are those of the order.

use llmc_grammar::codes::{LABEL_LEAKS, LEAK_UNPROVED, OBJECTIVE_UNFIT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::record::Record;
use super::training::place;
use crate::dim::Dim;
use crate::plan::{AttentionSettings, ModelNode, ModelOp, ModelPlan, Objective, ObjectivePlan, OrderRule};

/// How far a value looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// It does not depend on the tokens.
    Nowhere,
    /// To so many places ahead.
    Ahead(i64),
    /// Nothing bounds it that this analysis understands.
    Unknown,
    /// To the end of the row.
    Everywhere,
}

impl Reach {
    fn moved(self, by: i64) -> Reach {
        match self {
            Reach::Ahead(places) => Reach::Ahead(places.saturating_add(by)),
            other => other,
        }
    }
}

/// A value's reach, and which node it comes from.
#[derive(Debug, Clone, Copy)]
struct Known {
    reach: Reach,
    /// The node that made it what it is: itself, where it looks further than its operands.
    cause: usize,
}

/// Reports a stage whose logits know what they are to predict, and one whose logits know too little for its objective.
pub fn check(record: &Record, objective: &ObjectivePlan, model: &ModelPlan, diagnostics: &mut Diagnostics) {
    for part in objective.kind.parts() {
        let by_order = matches!(part, Objective::PermutationLm(_));
        let all_see_all = matches!(part, Objective::MaskedLm(_));
        let known = follow(model, by_order, all_see_all);
        let logits = known[model.output];
        let Some(limit) = limit(part) else {
            if logits.reach <= Reach::Ahead(0) {
                diagnostics.push(one_sided(record, part, model));
            }
            continue;
        };
        if logits.reach > Reach::Ahead(limit) {
            diagnostics.push(leak(record, part, model, logits));
        }
        if matches!(part, Objective::PrefixLm(_)) && !model.takes("order") && !model.takes("source") {
            diagnostics.push(
                Diagnostic::error(OBJECTIVE_UNFIT, format!("`{}` takes no `order`", model.name))
                    .label(record.place("model"), "the tokens of a prefix cannot see each other")
                    .label(record.place("objective"), "gives the prefix an order of its own")
                    .help("let the model take `order: [B, T]` and hand it to `attend(..., order: order)`"),
            );
        }
    }
}

/// How far the logits may look; none where they may look anywhere, because inputs hide the labels.
fn limit(objective: &Objective) -> Option<i64> {
    match objective {
        // The label is the next token.
        Objective::CausalLm | Objective::PrefixLm(_) | Objective::SpanCorruption(_) => Some(0),
        // The label is the token itself.
        Objective::PermutationLm(_) => Some(-1),
        Objective::MaskedLm(_) | Objective::Mixture(_) => None,
    }
}

/// The reach of every node.
fn follow(model: &ModelPlan, by_order: bool, all_see_all: bool) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::with_capacity(model.nodes.len());
    for (index, node) in model.nodes.iter().enumerate() {
        // A loss on the way says nothing to the logits.
        let read = if matches!(node.op, ModelOp::AddLoss { .. }) { &node.inputs[..1] } else { &node.inputs };
        let furthest = read.iter().map(|&input| known[input]).max_by_key(|known| known.reach);
        let passed = furthest.map_or(Reach::Nowhere, |known| known.reach);
        let reach = match &node.op {
            ModelOp::Input(name) if name == "tokens" => Reach::Ahead(0),
            ModelOp::Attend(settings) => {
                let of = |operand: usize| known[node.inputs[operand]].reach;
                let further = settings.operands(3);
                let bias = further.bias.map_or(Reach::Nowhere, of);
                let seen = through_mask(settings, of(1).max(of(2)), by_order, all_see_all);
                of(0).max(bias).max(seen)
            }
            _ if passed == Reach::Nowhere => Reach::Nowhere,
            _ => along_time(model, node, &known, by_order).unwrap_or(passed),
        };
        let cause = match furthest {
            Some(furthest) if furthest.reach == reach => furthest.cause,
            _ => index,
        };
        known.push(Known { reach, cause });
    }
    known
}

/// The reach of what attention gathers from keys and values that have one.
fn through_mask(settings: &AttentionSettings, keys: Reach, by_order: bool, all_see_all: bool) -> Reach {
    if keys == Reach::Nowhere {
        return Reach::Nowhere;
    }
    let ordered = settings.order.filter(|_| !all_see_all).map(|rule| match rule {
        OrderRule::NotLater => 0,
        OrderRule::Earlier => -1,
    });
    let placed = match (settings.causal, settings.window) {
        _ if by_order => None,
        (true, _) => Some(0),
        (false, Some(window)) => Some(i64::try_from(window).unwrap_or(i64::MAX) - 1),
        (false, None) => None,
    };
    match ordered.into_iter().chain(placed).min() {
        Some(bound) => keys.moved(bound),
        None => Reach::Everywhere,
    }
}

/// What an operation does along the time axis; none where each place stays by itself.
fn along_time(model: &ModelPlan, node: &ModelNode, known: &[Known], by_order: bool) -> Option<Reach> {
    let shape = |operand: usize| &model.nodes[node.inputs[operand]].shape;
    let reach = |operand: usize| known[node.inputs[operand]].reach;
    let moved = |reach: Reach, by: Option<u64>| match by {
        Some(0) => reach,
        // A step in the row is no step in the order.
        Some(by) if !by_order => reach.moved(i64::try_from(by).unwrap_or(i64::MAX)),
        _ => Reach::Unknown,
    };
    match &node.op {
        ModelOp::Slice { axis, start, .. } if holds_time(&shape(0)[*axis]) => {
            Some(moved(reach(0), start.as_constant()))
        }
        ModelOp::Concat { axis } if (0..node.inputs.len()).any(|part| holds_time(&shape(part)[*axis])) => {
            let mut before = Some(0u64);
            let mut furthest = Reach::Nowhere;
            for part in 0..node.inputs.len() {
                // What stands further back in the result looks less far ahead.
                let reach = match (reach(part), before) {
                    (Reach::Ahead(places), Some(before)) if before == 0 || !by_order => {
                        Reach::Ahead(places.saturating_sub(i64::try_from(before).unwrap_or(i64::MAX)))
                    }
                    (Reach::Ahead(_), _) => Reach::Unknown,
                    (other, _) => other,
                };
                furthest = furthest.max(reach);
                before = before.zip(shape(part)[*axis].as_constant()).map(|(before, size)| before + size);
            }
            Some(furthest)
        }
        // Scores by distance belong to the query's place, whatever the last axis is called.
        ModelOp::RelativeShift => None,
        ModelOp::Reduce { axis, .. } => holds_time(&shape(0)[*axis]).then_some(Reach::Everywhere),
        ModelOp::Softmax | ModelOp::TopK { .. } | ModelOp::Pick | ModelOp::Place { .. } => {
            let across = [&model.nodes[node.inputs[0]].shape, &node.shape]
                .into_iter()
                .any(|shape| shape.last().is_some_and(holds_time));
            across.then_some(Reach::Unknown)
        }
        // A row meets one matrix after another, and keeps its place.
        ModelOp::RoutedMatMul { .. } => {
            let across = shape(0).last().is_some_and(holds_time)
                || (shape(2).iter().any(holds_time) && reach(2) != Reach::Nowhere);
            across.then_some(Reach::Unknown)
        }
        ModelOp::Einsum(einsum) => {
            let dims = einsum.left.iter().zip(shape(0)).chain(einsum.right.iter().zip(shape(1)));
            let mut along: Vec<usize> = dims.filter(|(_, size)| holds_time(size)).map(|(&dim, _)| dim).collect();
            along.sort_unstable();
            along.dedup();
            // One dimension of both that stays is the place; a second one, or a sum over it, mixes places.
            let stays = match along[..] {
                [] => true,
                [only] => einsum.result.contains(&only),
                _ => false,
            };
            (!stays).then_some(Reach::Unknown)
        }
        ModelOp::LayerNormalize { .. } | ModelOp::RmsNormalize { .. } => {
            shape(0).last().is_some_and(holds_time).then_some(Reach::Everywhere)
        }
        ModelOp::MatMul { transpose_right } => {
            let (left, right) = (shape(0), shape(1));
            let inner = left.last().is_some_and(holds_time);
            let columns = right.len() - if *transpose_right { 2 } else { 1 };
            let across = holds_time(&right[columns]) && reach(1) != Reach::Nowhere;
            (inner || across).then_some(Reach::Unknown)
        }
        ModelOp::Reshape(_) => {
            // The time axis must stand behind the same elements as before.
            let place = |shape: &[Dim]| {
                let axis = shape.iter().position(holds_time)?;
                let before = shape[..axis].iter().try_fold(Dim::constant(1), |product, dim| product.multiply(dim))?;
                Some((before, shape[axis].clone()))
            };
            let (from, to) = (place(shape(0)), place(&node.shape));
            let joined = |place: &Option<(Dim, Dim)>| place.as_ref().and_then(|(before, time)| before.multiply(time));
            // `[B, T]` may also become `[B T]` and come back.
            (from != to && joined(&from) != joined(&to)).then_some(Reach::Unknown)
        }
        _ => None,
    }
}

/// Whether a size grows with the tokens of a row.
fn holds_time(size: &Dim) -> bool {
    size.symbols().contains("T")
}

fn leak(record: &Record, objective: &Objective, model: &ModelPlan, logits: Known) -> Diagnostic {
    let node = &model.nodes[logits.cause];
    let place = place(node);
    let label = match objective {
        Objective::PermutationLm(_) => "predicts a token from those before it in the order",
        _ => "predicts the next token",
    };
    if logits.reach == Reach::Unknown {
        return Diagnostic::warning(
            LEAK_UNPROVED,
            format!("nothing shows that the logits of `{}` do not know their labels", model.name),
        )
        .label(record.place("objective"), label)
        .label(record.place("model"), format!("mixes places of the row at {place}"))
        .help("`attend` and operations that keep each place by itself can be followed; check this one by hand");
    }
    let seen = match (&node.op, logits.reach) {
        (ModelOp::Attend(_), Reach::Everywhere) => format!("the attention at {place} sees the whole row"),
        (_, Reach::Ahead(1)) => format!("{place} looks at the next token"),
        (_, Reach::Ahead(places)) if places > 1 => format!("{place} looks {places} tokens ahead"),
        (ModelOp::Attend(_), _) | (ModelOp::Input(_), _) => format!("at {place} a token sees itself"),
        _ => format!("{place} mixes the whole row"),
    };
    let help = match objective {
        Objective::PermutationLm(_) => {
            "take a model with a stream of queries that starts without the token, as `xlnet`: `attend(..., order: order, earlier: true)`"
        }
        _ => {
            "attention must be `causal: true` or follow `order: order`; for models that see both sides there is `masked_lm`"
        }
    };
    Diagnostic::error(LABEL_LEAKS, format!("the logits of `{}` know their labels", model.name))
        .label(record.place("model"), seen)
        .label(record.place("objective"), label)
        .help(help)
}

fn one_sided(record: &Record, objective: &Objective, model: &ModelPlan) -> Diagnostic {
    Diagnostic::error(
        OBJECTIVE_UNFIT,
        format!("`{}` hides tokens from a model that never looks ahead", objective.name()),
    )
    .label(record.place("objective"), "a hidden token is predicted from both sides")
    .label(record.place("model"), format!("`{}` sees what is before a token alone", model.name))
    .help("take a model whose attention is `causal: false` or follows `order: order`, or `causal_lm`")
}
