//! Models: from `model` and `block` functions to a [`ModelPlan`], calls written out and repeats unrolled.

mod arguments;
mod calls;
mod config;
mod convert;
mod elaborator;
mod expressions;
mod functions;
mod ids;
mod import;
mod inputs;
mod open;
mod parameters;
mod reference;
mod rope_config;
mod rules;
mod statements;
mod table;
mod tensor;
#[cfg(test)]
mod tests;
mod usage;
mod weights;

use std::collections::BTreeMap;

use llmc_grammar::codes::{RESERVED_NAME, UNKNOWN_FUNCTION, WRONG_RESULT};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Argument, Declaration, Function, FunctionKind, Name, ParameterKind};

pub use self::import::{arguments_from_config, model_for_config};
pub use self::reference::reference;
pub(super) use self::rope_config::value as rule_value;

use self::arguments::Evaluated;
use self::elaborator::{Elaborator, Frame};
use self::inputs::Stop;
use self::tensor::{Bound, Tensor, show};
use super::nearest::suggestion;
use super::value::{Spanned, Value};
use crate::dim::Dim;
use crate::plan::{DType, ModelNode, ModelOp, ModelPlan};

/// What models are made of: everything a recipe and its imports define.
#[derive(Debug, Default)]
pub struct Library<'a> {
    /// Every `block` and `model`, by name.
    pub functions: BTreeMap<&'a str, &'a Function>,
    /// Every `let` and `param`, by name, and what declarations offer, as `bpe.vocab`.
    pub constants: BTreeMap<String, Value>,
    /// Every `huggingface` declaration, by the name of its model.
    pub huggingface: BTreeMap<&'a str, &'a Declaration>,
}

impl<'a> Library<'a> {
    /// The model called `name`.
    pub fn model(&self, name: &str) -> Option<&'a Function> {
        let function = self.functions.get(name).copied();
        function.filter(|function| function.kind == FunctionKind::Model)
    }
}

/// Writes out the model `name` with `arguments` (constants, in the library's scope). Mistakes go to `diagnostics`; call
/// it only for functions that [`check_function`] finds nothing wrong with, or mistakes are reported twice.
pub fn elaborate(
    library: &Library<'_>,
    name: &Name,
    arguments: &[Argument],
    diagnostics: &mut Diagnostics,
) -> Option<ModelPlan> {
    let Some(function) = library.model(&name.text) else {
        diagnostics.push(unknown_model(library, name));
        return None;
    };
    let mut elaborator = Elaborator::new(library, false, diagnostics);
    let before = elaborator.mistakes;
    let arguments = elaborator.evaluate_arguments(arguments);
    if elaborator.mistakes > before {
        return None;
    }
    elaborator.model(function, arguments, &name.span)
}

/// Writes out the model `name` with constants that are known already, as from [`arguments_from_config`].
pub fn elaborate_values(
    library: &Library<'_>,
    name: &Name,
    values: &BTreeMap<String, Value>,
    diagnostics: &mut Diagnostics,
) -> Option<ModelPlan> {
    let Some(function) = library.model(&name.text) else {
        diagnostics.push(unknown_model(library, name));
        return None;
    };
    let arguments = values
        .iter()
        .map(|(parameter, value)| Evaluated {
            name: Some(Name { text: parameter.clone(), span: name.span.clone() }),
            bound: Bound::Constant(Spanned::new(value.clone(), &name.span)),
            span: name.span.clone(),
        })
        .collect();
    Elaborator::new(library, false, diagnostics).model(function, arguments, &name.span)
}

/// Checks a `block` or `model` by itself, whether or not a stage uses it: its constants are symbols, both branches of an
/// `if` and one round of a `repeat` are checked.
pub fn check_function(library: &Library<'_>, function: &Function, diagnostics: &mut Diagnostics) {
    let name = &function.name;
    if functions::find(&name.text).is_some() {
        diagnostics.push(
            Diagnostic::error(RESERVED_NAME, format!("`{}` is a function of the language", name.text))
                .label(&name.span, "this name is taken")
                .help(format!("choose another, such as `my_{}`", name.text)),
        );
        return;
    }
    let declaration = library.huggingface.get(name.text.as_str()).copied();
    let declaration = declaration.filter(|_| function.kind == FunctionKind::Model);
    usage::check_usage(function, declaration, diagnostics);
    let mut elaborator = Elaborator::new(library, true, diagnostics);
    elaborator.check_alone(function);
    if let Some(declaration) = declaration {
        config::check(library, function, declaration, diagnostics);
    }
}

impl<'a> Elaborator<'a, '_> {
    fn check_alone(&mut self, function: &'a Function) {
        self.frames.push(Frame { function: Some(function), call: None, names: BTreeMap::new(), dims: Vec::new() });
        let model = function.kind == FunctionKind::Model;
        if model {
            let inputs = self.bind_inputs(function);
            if self.settle(inputs).is_none() {
                return;
            }
            let tensors = self.names().clone();
            let dims = std::mem::take(&mut self.frame().dims);
            self.bind_alone(function);
            self.names().extend(tensors);
            self.frame().dims = dims;
        } else {
            self.bind_alone(function);
        }
        let outcome = self.body(function);
        let result = self.settle(outcome);
        if let (true, Some(result), Some(expr)) = (model, result, &function.body.result) {
            let checked = self.logits(result, &expr.span);
            self.settle(checked);
        }
    }

    /// Writes out a model whose constants are `arguments`.
    fn model(&mut self, function: &'a Function, arguments: Vec<Evaluated>, call: &Span) -> Option<ModelPlan> {
        let mistakes = self.mistakes;
        self.frames.push(Frame {
            function: Some(function),
            call: Some(call.clone()),
            names: BTreeMap::new(),
            dims: Vec::new(),
        });
        let inputs = self.bind_inputs(function);
        self.settle(inputs)?;
        let mut tensors = std::mem::take(self.names());
        // The batch gives the tensors; the arguments are the constants.
        let frame = self.frames.pop();
        let constants = self.arrange(&function.name.text, &constant_names(function), arguments);
        self.frames.extend(frame);
        let mut constants = constants?.into_iter();
        let arranged = function
            .parameters
            .iter()
            .map(|parameter| match &parameter.kind {
                ParameterKind::Constant(_) => constants.next().flatten(),
                ParameterKind::Tensor { .. } => tensors.remove(&parameter.name.text).map(|bound| Evaluated {
                    name: None,
                    bound,
                    span: parameter.span.clone(),
                }),
            })
            .collect();
        let bound = self.bind(function, arranged, call);
        self.settle(bound)?;
        let scope = self.constants_of(function);
        let outcome = self.body(function);
        let result = self.settle(outcome)?;
        let span = function.body.result.as_ref().map_or(&function.span, |expr| &expr.span);
        let checked = self.logits(result, span);
        let logits = self.settle(checked)?;
        if self.mistakes > mistakes {
            return None;
        }
        self.must_reach(logits.node);
        let declaration = self.library.huggingface.get(function.name.text.as_str());
        let config = declaration.map(|declaration| config::export(self.library, declaration, &scope, self.diagnostics));
        if self.mistakes > mistakes || config == Some(None) {
            return None;
        }
        Some(ModelPlan {
            name: function.name.text.clone(),
            arguments: scope.iter().map(|(name, value)| (name.clone(), value.to_string())).collect(),
            weights: std::mem::take(&mut self.weights),
            nodes: std::mem::take(&mut self.nodes),
            output: logits.node,
            vocab: logits.shape.last().and_then(Dim::as_constant)?,
            config: config.flatten(),
        })
    }

    /// The values of a function's constant parameters, in the frame on top.
    fn constants_of(&mut self, function: &Function) -> BTreeMap<String, Value> {
        let names = self.names();
        constant_names(function)
            .into_iter()
            .filter_map(|name| match names.get(name) {
                Some(Bound::Constant(constant)) => Some((name.to_owned(), constant.value.clone())),
                _ => None,
            })
            .collect()
    }

    /// A model's value must be floats `[B, T, vocab]`.
    fn logits(&mut self, result: Bound, span: &Span) -> Result<Tensor, Stop> {
        let (found, shape) = match &result {
            Bound::Tensor(tensor) => {
                let batch = [Dim::symbol("B"), Dim::symbol("T")];
                let size_known = self.alone || tensor.shape.last().is_some_and(|size| size.as_constant().is_some());
                let fits = tensor.shape.len() == 3
                    && tensor.shape[..2] == batch
                    && size_known
                    && tensor.dtype != Some(DType::I32);
                if fits {
                    return Ok(tensor.clone());
                }
                (format!("found {}", show(&tensor.shape)), show(&tensor.shape))
            }
            _ => ("found no tensor".to_owned(), "not a tensor".to_owned()),
        };
        Err(Diagnostic::error(WRONG_RESULT, format!("a model gives logits `[B, T, vocab]`, {found}"))
            .label(span, format!("this is {shape}"))
            .help("the last line usually multiplies by the token table: `matmul(x, table, transpose_right: true)`")
            .into())
    }
}

fn constant_names(function: &Function) -> Vec<&str> {
    let constants = function.parameters.iter().filter(|parameter| matches!(parameter.kind, ParameterKind::Constant(_)));
    constants.map(|parameter| parameter.name.text.as_str()).collect()
}

fn unknown_model(library: &Library<'_>, name: &Name) -> Diagnostic {
    let models: Vec<&str> = library.functions.keys().copied().filter(|known| library.model(known).is_some()).collect();
    if library.functions.contains_key(name.text.as_str()) {
        return Diagnostic::error(UNKNOWN_FUNCTION, format!("`{}` is a block, not a model", name.text))
            .label(&name.span, "a stage trains a model")
            .help("declare it with `model` if it maps tokens to logits");
    }
    let mistake = Diagnostic::error(UNKNOWN_FUNCTION, format!("there is no model `{}`", name.text))
        .label(&name.span, "not known");
    match suggestion(&name.text, &models) {
        Some(help) => mistake.help(help),
        None => mistake.help("define one with `model`, or import `std/gpt2` or `std/llama`"),
    }
}

/// The rows of the smallest table that an input of the batch looks up (none: it looks up none). Ids in `tokens` and
/// `positions` must stay below.
pub fn rows_looked_up(plan: &ModelPlan, input: &str) -> Option<u64> {
    let reads = |node: &ModelNode| matches!(&node.op, ModelOp::Input(name) if name == input);
    let lookups = plan.nodes.iter().filter(|node| node.op == ModelOp::Lookup);
    lookups
        .filter(|node| node.inputs.get(1).is_some_and(|&ids| reads(&plan.nodes[ids])))
        .filter_map(|node| plan.nodes[*node.inputs.first()?].shape.first()?.as_constant())
        .min()
}

/// The paths of the weights whose rows are looked up by position.
pub fn positions_looked_up(plan: &ModelPlan) -> Vec<&str> {
    let op = |index: Option<&usize>| index.map(|&index| &plan.nodes[index].op);
    let lookups = plan.nodes.iter().filter(|node| node.op == ModelOp::Lookup);
    let tables = lookups.filter_map(|node| match (op(node.inputs.first())?, op(node.inputs.get(1))?) {
        (ModelOp::Weight(weight), ModelOp::Input(name)) if name == "positions" => Some(*weight),
        _ => None,
    });
    let tables: std::collections::BTreeSet<usize> = tables.collect();
    tables.into_iter().map(|weight| plan.weights[weight].path.as_str()).collect()
}

/// The names of a model's constant parameters, in order; none if there is no such function.
pub fn constant_parameters<'a>(library: &Library<'a>, name: &str) -> Vec<&'a str> {
    library.functions.get(name).map_or_else(Vec::new, |function| constant_names(function))
}
