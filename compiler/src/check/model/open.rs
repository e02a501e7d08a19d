//! Parameters without a caller: those of a function that is checked alone, and a model's tensors.

use llmc_grammar::codes::WRONG_PARAMETER;
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind, Function, Name, Parameter, ParameterKind};

use super::super::nearest::suggestion;
use super::super::value::{Kind, Spanned, Value};
use super::elaborator::Elaborator;
use super::inputs::{Made, Stop};
use super::parameters::parameter_kind;
use super::tensor::{Bound, LEADING};
use crate::dim::Dim;
use crate::plan::{DType, INPUTS, ModelOp};

impl<'a> Elaborator<'a, '_> {
    /// Binds the parameters of a function that is checked alone: dimensions and constants are symbols of their names.
    pub fn bind_alone(&mut self, function: &'a Function) {
        for parameter in &function.parameters {
            let outcome = match &parameter.kind {
                ParameterKind::Tensor { leading, dims, .. } => self.open_tensor(parameter, *leading, dims),
                ParameterKind::Constant(kind) => self.open_constant(function, parameter, kind),
            };
            let bound = self.settle(outcome).unwrap_or(Bound::Unknown);
            self.names().insert(parameter.name.text.clone(), bound);
        }
    }

    fn open_tensor(&mut self, parameter: &Parameter, leading: bool, dims: &[Expr]) -> Result<Bound, Stop> {
        let mut shape = Vec::new();
        if leading {
            shape.extend(LEADING.map(Dim::symbol));
        }
        for dim in dims {
            if let Some(new) = self.new_dimension(dim) {
                self.bind_dimension(new, &Dim::symbol(new), &dim.span);
            }
            shape.push(self.dimension(dim)?);
        }
        if let Some(default) = parameter.default.as_ref().filter(|d| d.kind != ExprKind::None) {
            return Err(Diagnostic::error(WRONG_PARAMETER, "a tensor has no default but `none`")
                .label(&default.span, "not a tensor")
                .into());
        }
        let made = Made { op: ModelOp::Input(parameter.name.text.clone()), inputs: Vec::new(), shape, dtype: None };
        self.add(made, &parameter.span).map(Bound::Tensor)
    }

    fn open_constant(&mut self, function: &'a Function, parameter: &Parameter, kind: &Name) -> Result<Bound, Stop> {
        let kind_of = parameter_kind(kind)?;
        if parameter.default.is_some() {
            self.bind_constant(function, parameter, kind, None, &parameter.span)?;
        }
        let value = match kind_of {
            Kind::Int => Value::Dim(Dim::symbol(&parameter.name.text)),
            other => Value::Open(other),
        };
        Ok(Bound::Constant(Spanned::new(value, &parameter.span)))
    }

    /// Binds a model's tensors: those of [`INPUTS`].
    pub fn bind_inputs(&mut self, function: &'a Function) -> Result<(), Stop> {
        let mut tokens = false;
        for parameter in &function.parameters {
            let ParameterKind::Tensor { leading, dims, span } = &parameter.kind else {
                continue;
            };
            let name = parameter.name.text.as_str();
            tokens |= name == "tokens";
            let Some((_, length)) = INPUTS.iter().find(|(known, _)| *known == name) else {
                return Err(wrong_input(&parameter.name, suggestion(name, &INPUTS.map(|(known, _)| known))));
            };
            let mut names = Vec::new();
            for dim in dims {
                match &dim.kind {
                    ExprKind::Name(name) => names.push((name, &dim.span)),
                    _ => return Err(not_batch(span)),
                }
            }
            if *leading || names.len() != 2 || names[0].0 == names[1].0 {
                return Err(not_batch(span));
            }
            for ((dimension, at), symbol) in names.into_iter().zip(["B", length]) {
                if self.bound(dimension).is_none() {
                    self.bind_dimension(dimension, &Dim::symbol(symbol), at);
                }
            }
            let made = Made {
                op: ModelOp::Input(name.to_owned()),
                inputs: Vec::new(),
                shape: vec![Dim::symbol("B"), Dim::symbol(length)],
                dtype: Some(DType::I32),
            };
            let tensor = self.add(made, &parameter.span)?;
            self.names().insert(name.to_owned(), Bound::Tensor(tensor));
        }
        if !tokens {
            return Err(wrong_input(&function.name, Some("add the parameter `tokens: [B, T]`".to_owned())));
        }
        Ok(())
    }
}

fn wrong_input(name: &Name, help: Option<String>) -> Stop {
    let mistake = Diagnostic::error(WRONG_PARAMETER, "a model reads `tokens`, and perhaps other inputs of the batch")
        .label(&name.span, "does not fit");
    match help {
        Some(help) => mistake.help(help).into(),
        None => mistake.into(),
    }
}

fn not_batch(span: &Span) -> Stop {
    Diagnostic::error(WRONG_PARAMETER, "the tensors of a model are `[B, T]`, an encoder's `[B, S]`")
        .label(span, "not two named dimensions")
        .help("rows of the batch, then tokens of a row: `tokens: [B, T]`")
        .into()
}
