//! Every weight of a stage is trained, or is declared frozen.

use std::collections::BTreeSet;

use llmc_grammar::codes::{FREEZE_UNFIT, FROZEN_AT_RANDOM, NO_GRADIENT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};

use super::super::nearest::nearest;
use super::super::record::{Read, Record};
use crate::plan::{BinaryFunction, DType, InitPlan, ModelNode, ModelOp, ModelPlan};

/// The paths of the weights that are declared frozen, by `freeze` or in the model, in the order of the model. Nothing after a
/// mistake.
pub fn frozen(record: &Record, model: &ModelPlan, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    let patterns = record.optional("freeze", Read::list)?.unwrap_or_default();
    let mut found = frozen_in_model(model);
    let mut sound = true;
    for (pattern, span) in patterns {
        let pattern = pattern.text()?;
        let paths = model.weights.iter().map(|weight| weight.path.as_str());
        let matching: Vec<&str> = paths.clone().filter(|path| matches(&pattern, path)).collect();
        if matching.is_empty() {
            sound = false;
            let mistake = Diagnostic::error(FREEZE_UNFIT, format!("`{}` has no weight `{pattern}`", model.name))
                .label(span, "matches nothing")
                .label(record.place("model"), "its weights are meant");
            diagnostics.push(match close(&pattern, paths) {
                Some(near) => mistake.help(format!("did you mean `{near}`?")),
                None => mistake.help("paths are those of the checkpoint, as `llmc compile` writes them to `plan.yaml`"),
            });
        }
        found.extend(matching);
    }
    if sound && !model.weights.is_empty() && found.len() == model.weights.len() {
        sound = false;
        diagnostics.push(
            Diagnostic::error(FREEZE_UNFIT, format!("all weights of `{}` are frozen", model.name))
                .label(record.place("freeze"), "nothing is left to train")
                .help("freeze fewer weights"),
        );
    }
    let in_order = model.weights.iter().filter(|weight| found.contains(weight.path.as_str()));
    sound.then(|| in_order.map(|weight| weight.path.clone()).collect())
}

/// The weights that a model itself never trains: each of their readers is `stop_gradient`.
fn frozen_in_model(model: &ModelPlan) -> BTreeSet<&str> {
    let mut trained = vec![false; model.weights.len()];
    for node in model.nodes.iter().filter(|node| node.op != ModelOp::StopGradient) {
        for &input in &node.inputs {
            if let ModelOp::Weight(weight) = model.nodes[input].op {
                trained[weight] = true;
            }
        }
    }
    if let ModelOp::Weight(weight) = model.nodes[model.output].op {
        trained[weight] = true;
    }
    model.weights.iter().zip(trained).filter(|(_, trained)| !trained).map(|(weight, _)| weight.path.as_str()).collect()
}

/// A path, or the beginning of one, that was perhaps meant.
fn close<'a>(pattern: &str, paths: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let beginning = format!("{}.", pattern.trim_end_matches(['.', '*']));
    if paths.clone().any(|path| path.starts_with(&beginning)) {
        return Some(format!("{beginning}*"));
    }
    nearest(pattern, paths).map(str::to_owned)
}

/// Whether `path` is the pattern, whose `*` stand for any characters.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for part in parts {
        if let Some(previous) = last.replace(part) {
            let Some(at) = rest.find(previous) else {
                return false;
            };
            rest = &rest[at + previous.len()..];
        }
    }
    last.map_or(rest.is_empty(), |last| rest.ends_with(last))
}

/// Reports every weight that gets no gradient and is not frozen.
pub fn check(record: &Record, model: &ModelPlan, frozen: &[String], diagnostics: &mut Diagnostics) {
    let (mut used, mut reached) = (vec![false; model.nodes.len()], vec![false; model.nodes.len()]);
    (used[model.output], reached[model.output]) = (true, true);
    // By node: the operation that its gradient ends at, the nearest to the loss.
    let mut lost_at: Vec<Option<usize>> = vec![None; model.nodes.len()];
    for index in (0..=model.output).rev() {
        if used[index] {
            mark(model, index, &mut used, &mut reached, &mut lost_at);
        }
    }
    let untrained: Vec<(&str, Option<usize>)> = model
        .nodes
        .iter()
        .enumerate()
        .filter_map(|(index, node)| match node.op {
            ModelOp::Weight(weight) if !reached[index] => Some((model.weights[weight].path.as_str(), lost_at[index])),
            _ => None,
        })
        .filter(|(path, _)| !frozen.iter().any(|frozen| frozen == path))
        .collect();
    let Some(&(path, lost)) = untrained.first() else {
        return;
    };
    let message = match untrained.len() {
        1 => format!("the weight `{path}` gets no gradient"),
        more => format!("{more} weights get no gradient, `{path}` first"),
    };
    let mistake = Diagnostic::error(NO_GRADIENT, message);
    let mistake = match lost.map(|index| &model.nodes[index]) {
        Some(node) => {
            mistake.label(record.place("model"), format!("{} at {} lets none through", said(node), place(node)))
        }
        None => mistake.label(record.place("model"), "the logits do not depend on it"),
    };
    diagnostics.push(mistake.help(format!("let the gradient through, or write `freeze = \"{path}\"`")));
}

/// Follows one operation from its value to its operands.
fn mark(model: &ModelPlan, index: usize, used: &mut [bool], reached: &mut [bool], lost_at: &mut [Option<usize>]) {
    let node = &model.nodes[index];
    for (operand, &input) in node.inputs.iter().enumerate() {
        used[input] = true;
        if reached[index] && passes(model, node, operand) {
            reached[input] = true;
        } else if !reached[input] {
            let lost = if reached[index] { Some(index) } else { lost_at[index] };
            lost_at[input] = lost_at[input].max(lost);
        }
    }
}

/// Whether a gradient of the operation's value reaches this operand.
fn passes(model: &ModelPlan, node: &ModelNode, operand: usize) -> bool {
    let of = |operand: usize| &model.nodes[node.inputs[operand]];
    if of(operand).dtype == DType::I32 {
        return false;
    }
    match node.op {
        ModelOp::StopGradient => false,
        ModelOp::Binary(BinaryFunction::Multiply) => {
            !matches!(of(1 - operand).op, ModelOp::Constant(0.0) | ModelOp::Fill(0.0))
        }
        _ => true,
    }
}

fn said(node: &ModelNode) -> &'static str {
    match node.op {
        ModelOp::StopGradient => "`stop_gradient`",
        ModelOp::Binary(_) => "a factor of 0",
        _ => "an operation on whole numbers",
    }
}

/// `` `layers.0.mlp` (std/nn:14) ``
pub(super) fn place(node: &ModelNode) -> String {
    match node.origin.path.as_str() {
        "" => node.origin.place.clone(),
        path => format!("`{path}` ({})", node.origin.place),
    }
}

/// Warns of weights that stay at their random start.
pub fn frozen_at_random(record: &Record, frozen: &[String], init: &InitPlan, diagnostics: &mut Diagnostics) {
    if let (Some(path), InitPlan::Random, true) = (frozen.first(), init, record.is_written("freeze")) {
        diagnostics.push(
            Diagnostic::warning(FROZEN_AT_RANDOM, format!("`{path}` is frozen at its random start"))
                .label(record.place("freeze"), "what it names never learns anything")
                .help("continue a stage with `from`, start from a directory with `init`, or train them"),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_stand_for_any_characters() {
        let path = "model.layers.10.mlp.up_proj.weight";
        let fitting = [
            path,
            "*",
            "model.*",
            "*.weight",
            "model.layers.*.mlp.*",
            "*10*up*",
            "model.layers.10.mlp.up_proj.weigh*t",
        ];
        assert!(fitting.iter().all(|pattern| matches(pattern, path)));
        let unfit = ["", "model", "*.bias", "layers.*", "model.layers.1.*", "*up*up*", "model.*.weight.*", "*weight*t"];
        for pattern in unfit {
            assert!(!matches(pattern, path), "{pattern}");
        }
    }
}
