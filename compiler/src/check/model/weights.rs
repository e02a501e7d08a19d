//! Weights and their paths.

use llmc_grammar::codes::{
    DUPLICATE_WEIGHT, MODEL_TOO_LARGE, OUTSIDE_RANGE, UNKNOWN_SIZE, UNNAMED_WEIGHT, UNREACHED_WEIGHT, WRONG_RANK,
};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{FunctionKind, Path};

use super::elaborator::{Elaborator, Place, is_own};
use super::inputs::{Given, Inputs, Made, Stop};
use super::tensor::{Tensor, show};
use crate::dim::Dim;
use crate::plan::{DType, Initializer, ModelOp, WeightPlan};

/// Standard deviation where a weight names no initialiser: GPT-2's.
const DEFAULT_STD: f64 = 0.02;
/// Values of all weights together: 2^50, four million gigabytes of floats.
const MOST_VALUES: u64 = 1 << 50;

impl Elaborator<'_, '_> {
    /// `weight(shape, init: ...) as path`
    pub fn make_weight(&mut self, inputs: &Inputs, path: Option<&Path>, span: &Span) -> Result<Tensor, Stop> {
        let outer = self.path.len();
        if let Some(path) = path {
            self.path.extend(path.parts.iter().map(|part| part.text.clone()));
        }
        let made = self.weight_here(inputs, span);
        self.path.truncate(outer);
        made
    }

    fn weight_here(&mut self, inputs: &Inputs, span: &Span) -> Result<Tensor, Stop> {
        let shape = inputs.sizes(0)?.to_vec();
        let init = match inputs.given.get(1) {
            Some(Given::Initializer(Some(init))) => *init,
            _ => Initializer::Normal(DEFAULT_STD),
        };
        let path = self.path.join(".");
        self.claim(&path, span)?;
        let mut sizes = Vec::with_capacity(shape.len());
        if !self.alone {
            for size in &shape {
                sizes.push(size.as_constant().ok_or_else(|| unknown_size(&shape, inputs))?);
            }
            self.must_fit(&sizes, inputs.span(0))?;
        }
        let weight = WeightPlan { path, shape: sizes, init };
        if !self.alone && self.path.iter().any(|part| part == "*") {
            self.may_be_stacked(&shape, span)?;
            for name in weight.stored_names() {
                self.claim(&name, span)?;
            }
        }
        self.weights.push(weight);
        let made =
            Made { op: ModelOp::Weight(self.weights.len() - 1), inputs: Vec::new(), shape, dtype: Some(DType::F32) };
        self.add(made, span)
    }

    /// Takes a path for a new weight; it must have a name, and no other may have it.
    fn claim(&mut self, path: &str, span: &Span) -> Result<(), Stop> {
        // The path of a block that is checked alone begins where it is called.
        let in_block = self.alone
            && self
                .frames
                .get(1)
                .and_then(|frame| frame.function)
                .is_some_and(|function| function.kind == FunctionKind::Block);
        if path.is_empty() && !in_block {
            return Err(Diagnostic::error(UNNAMED_WEIGHT, "this weight has no name")
                .label(span, "made here, at the top of the model")
                .help("add `as name`: that is what it is called in a checkpoint")
                .into());
        }
        let call = self.own_call().filter(|_| !is_own(span)).cloned();
        let place = Place { made: span.clone(), call };
        if let Some(first) = self.weight_places.get(path) {
            let what = if path.is_empty() {
                "two weights of this block have the same path".to_owned()
            } else {
                format!("two weights have the path `{path}`")
            };
            return Err(Diagnostic::error(DUPLICATE_WEIGHT, what)
                .label(place.shown(), "made again here")
                .label(first.shown(), "first made here")
                .help("add `as name` to the calls, as in `linear(x, 64) as up`")
                .into());
        }
        self.weight_places.insert(path.to_owned(), place);
        Ok(())
    }

    /// `*` in the path stands for the first dimension; something must be left for each of its places.
    fn may_be_stacked(&mut self, shape: &[Dim], span: &Span) -> Result<(), Stop> {
        if self.path.iter().filter(|part| *part == "*").count() > 1 {
            return Err(Diagnostic::error(OUTSIDE_RANGE, format!("`{}` has more than one `*`", self.path.join(".")))
                .label(span, "made here")
                .help("one `*` stands for the places along the first dimension")
                .into());
        }
        if shape.len() < 2 {
            return Err(Diagnostic::error(
                WRONG_RANK,
                format!("`*` names the places of the first of several dimensions, found {}", show(shape)),
            )
            .label(span, format!("this is {}", show(shape)))
            .help("a weight `[E, F, D] as experts.*.weight` is `E` tensors `[F, D]` in a checkpoint")
            .into());
        }
        Ok(())
    }

    fn must_fit(&mut self, sizes: &[u64], span: &Span) -> Result<(), Stop> {
        let values = sizes
            .iter()
            .try_fold(1u64, |product, size| product.checked_mul(*size))
            .and_then(|values| values.checked_add(self.values));
        match values {
            Some(values) if values <= MOST_VALUES => {
                self.values = values;
                Ok(())
            }
            _ => Err(Diagnostic::error(MODEL_TOO_LARGE, "the weights are too large")
                .label(span, "more than 2^50 values in all")
                .help("look at the sizes of the model")
                .into()),
        }
    }

    /// `E0505` for every weight that does not reach the node `output`.
    pub fn must_reach(&mut self, output: usize) {
        let mut reached = vec![false; self.nodes.len()];
        reached[output] = true;
        for index in (0..=output).rev() {
            if reached[index] {
                for &input in &self.nodes[index].inputs {
                    reached[input] = true;
                }
            }
        }
        let lost: Vec<String> = self
            .nodes
            .iter()
            .zip(&reached)
            .filter_map(|(node, reached)| match node.op {
                ModelOp::Weight(index) if !reached => Some(self.weights[index].path.clone()),
                _ => None,
            })
            .collect();
        for path in lost {
            let Some(place) = self.weight_places.get(&path).cloned() else {
                continue;
            };
            self.report(
                Diagnostic::error(UNREACHED_WEIGHT, format!("the weight `{path}` never reaches the output"))
                    .label(place.shown(), "made here, without effect")
                    .help("use what is made of it, or remove it"),
            );
        }
    }
}

impl Place {
    /// What a user can change.
    fn shown(&self) -> &Span {
        self.call.as_ref().unwrap_or(&self.made)
    }
}

fn unknown_size(shape: &[Dim], inputs: &Inputs) -> Stop {
    Diagnostic::error(UNKNOWN_SIZE, "the size of a weight must be known when the model is made")
        .label(inputs.span(0), format!("this is {}", show(shape)))
        .help("`B` and `T` differ from batch to batch; take a constant parameter, such as `context: int`")
        .into()
}
