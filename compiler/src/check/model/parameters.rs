//! Binding a function's parameters: tensors bind and check dimensions, constants are checked by kind.

use llmc_grammar::codes::{SHAPE_MISMATCH, UNKNOWN_FUNCTION, WRONG_ARGUMENT, WRONG_PARAMETER};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind, Function, Name, Parameter, ParameterKind};

use super::super::nearest::suggestion;
use super::super::value::{Kind, Spanned, Value};
use super::arguments::{Evaluated, missing};
use super::elaborator::Elaborator;
use super::expressions::several;
use super::inputs::Stop;
use super::tensor::{Bound, Tensor, show};
use crate::dim::Dim;

impl<'a> Elaborator<'a, '_> {
    /// Binds every parameter in the frame on top: in order, so that defaults may use what stands before them.
    pub fn bind(&mut self, function: &'a Function, arranged: Vec<Option<Evaluated>>, call: &Span) -> Result<(), Stop> {
        let mut mistakes = Vec::new();
        for (parameter, argument) in function.parameters.iter().zip(arranged) {
            let outcome = match &parameter.kind {
                ParameterKind::Tensor { leading, dims, span } => {
                    let pattern = Pattern { leading: *leading, dims, span };
                    self.bind_tensor(function, parameter, pattern, argument, call)
                }
                ParameterKind::Constant(kind) => self.bind_constant(function, parameter, kind, argument, call),
            };
            let bound = match outcome {
                Ok(bound) => bound,
                Err(stop) => {
                    mistakes.push(stop);
                    Bound::Unknown
                }
            };
            self.names().insert(parameter.name.text.clone(), bound);
        }
        if mistakes.is_empty() {
            return Ok(());
        }
        // These are the caller's: they are reported in its frame.
        let frame = self.frames.pop();
        for stop in mistakes {
            self.settle::<()>(Err(stop));
        }
        self.frames.extend(frame);
        Err(Stop::Undetermined)
    }

    fn bind_tensor(
        &mut self,
        function: &Function,
        parameter: &Parameter,
        pattern: Pattern<'_>,
        argument: Option<Evaluated>,
        call: &Span,
    ) -> Result<Bound, Stop> {
        let (name, callee) = (&parameter.name.text, &function.name.text);
        let Some(argument) = argument else {
            let absent = parameter.default.as_ref().map(|default| &default.kind);
            return match absent {
                Some(ExprKind::None) => Ok(Bound::Constant(Spanned::new(Value::None, &parameter.span))),
                _ => Err(missing(callee, name, "a tensor", call).into()),
            };
        };
        match argument.bound {
            Bound::Tensor(tensor) => {
                self.unify(callee, name, pattern, &tensor, &argument.span)?;
                Ok(Bound::Tensor(tensor))
            }
            Bound::Constant(constant) if constant.value == Value::None && parameter.default.is_some() => {
                Ok(Bound::Constant(constant))
            }
            Bound::Unknown => Err(Stop::Undetermined),
            Bound::Several(_) => Err(several(&argument.span).into()),
            Bound::Constant(_) | Bound::List(_) => {
                let found = match &argument.bound {
                    Bound::Constant(constant) => constant.value.describe(),
                    _ => "a list".to_owned(),
                };
                Err(Diagnostic::error(
                    WRONG_ARGUMENT,
                    format!("`{name}` of `{callee}` takes a tensor {}, found {found}", pattern.text()),
                )
                .label(&argument.span, format!("this is {found}"))
                .into())
            }
        }
    }

    /// Binds the dimensions that are new in `pattern` to the sizes of `tensor` and checks the others.
    fn unify(
        &mut self,
        callee: &str,
        name: &str,
        pattern: Pattern<'_>,
        tensor: &Tensor,
        span: &Span,
    ) -> Result<(), Stop> {
        let (rank, wanted) = (tensor.shape.len(), pattern.dims.len());
        let shape = show(&tensor.shape);
        let mismatch = |reason: String| {
            Diagnostic::error(SHAPE_MISMATCH, format!("`{name}` of `{callee}` takes {}, found {shape}", pattern.text()))
                .label(span, format!("this is {shape}"))
                .label(pattern.span, "declared here")
                .help(reason)
        };
        if rank < wanted || (rank > wanted && !pattern.leading) {
            let count = if pattern.leading { "at least " } else { "" };
            return Err(mismatch(format!("it must have {count}{wanted} dimensions, not {rank}")).into());
        }
        let sizes = &tensor.shape[rank - wanted..];
        for (dim, size) in pattern.dims.iter().zip(sizes) {
            if let Some(new) = self.new_dimension(dim) {
                self.bind_dimension(new, size, &dim.span);
            }
        }
        for (dim, size) in pattern.dims.iter().zip(sizes) {
            let expected = self.dimension(dim)?;
            if expected != *size {
                let text = dim.span.text();
                let equal =
                    if text == expected.to_string() { format!("`{text}`") } else { format!("`{text}` = {expected}") };
                return Err(mismatch(format!("{equal} is needed where {size} stands")).into());
            }
        }
        Ok(())
    }

    /// A bare capitalised name that is not bound yet.
    pub fn new_dimension<'e>(&self, dim: &'e Expr) -> Option<&'e str> {
        match &dim.kind {
            ExprKind::Name(name)
                if name.starts_with(|first: char| first.is_ascii_uppercase()) && self.bound(name).is_none() =>
            {
                Some(name)
            }
            _ => None,
        }
    }

    /// Binds a dimension's name in the frame on top.
    pub fn bind_dimension(&mut self, name: &str, size: &Dim, span: &Span) {
        let value = match size.as_integer() {
            Some(whole) => Value::Int(whole),
            None => Value::Dim(size.clone()),
        };
        let bound = Bound::Constant(Spanned::new(value, span));
        let frame = self.frame();
        frame.names.insert(name.to_owned(), bound);
        frame.dims.push(name.to_owned());
    }

    /// A dimension in a parameter's list, all names in it being bound.
    pub fn dimension(&mut self, dim: &Expr) -> Result<Dim, Stop> {
        match self.expression(dim) {
            Bound::Constant(constant) => match constant.value.as_dim() {
                Some(size) => Ok(size),
                None if constant.value == Value::Unknown => Err(Stop::Undetermined),
                None => Err(constant.wrong_kind("a size").into()),
            },
            Bound::Unknown => Err(Stop::Undetermined),
            _ => Err(Diagnostic::error(WRONG_PARAMETER, "a dimension is a whole number")
                .label(&dim.span, "this is a tensor")
                .into()),
        }
    }

    pub fn bind_constant(
        &mut self,
        function: &Function,
        parameter: &Parameter,
        kind: &Name,
        argument: Option<Evaluated>,
        call: &Span,
    ) -> Result<Bound, Stop> {
        let kind = parameter_kind(kind)?;
        let (name, callee) = (&parameter.name.text, &function.name.text);
        let bound = match (argument, &parameter.default) {
            (Some(argument), _) => (argument.bound, argument.span),
            (None, Some(default)) => (self.expression(default), default.span.clone()),
            (None, None) => return Err(missing(callee, name, kind.describe(), call).into()),
        };
        match bound {
            (Bound::Constant(constant), _) => {
                let value = kind.accept(&constant).map_err(|mistake| {
                    let message = format!("`{name}` of `{callee}`: {}", mistake.message);
                    Box::new(Diagnostic { message, ..*mistake })
                })?;
                if let Value::Name(function) = &value {
                    self.must_be_function(function, &constant.span)?;
                }
                Ok(Bound::Constant(Spanned::new(value, &constant.span)))
            }
            (Bound::Unknown, _) => Err(Stop::Undetermined),
            (other, span) => {
                let found = match other {
                    Bound::List(_) => "a list",
                    _ => "a tensor",
                };
                Err(Diagnostic::error(
                    WRONG_ARGUMENT,
                    format!("`{name}` of `{callee}` takes {}, found {found}", kind.describe()),
                )
                .label(&span, format!("this is {found}"))
                .into())
            }
        }
    }

    fn must_be_function(&self, name: &str, span: &Span) -> Result<(), Stop> {
        if self.is_function(name) {
            return Ok(());
        }
        let known = self.function_names();
        let mistake =
            Diagnostic::error(UNKNOWN_FUNCTION, format!("there is no function `{name}`")).label(span, "not a function");
        Err(match suggestion(name, &known) {
            Some(help) => mistake.help(help).into(),
            None => mistake.into(),
        })
    }
}

/// The dimensions that a tensor parameter writes down.
#[derive(Clone, Copy)]
struct Pattern<'e> {
    leading: bool,
    dims: &'e [Expr],
    span: &'e Span,
}

impl Pattern<'_> {
    fn text(&self) -> String {
        format!("`{}`", self.span.text())
    }
}

/// The kind that a parameter names, or `E0522`.
pub(super) fn parameter_kind(kind: &Name) -> Result<Kind, Stop> {
    Kind::find(&kind.text).ok_or_else(|| {
        let known = Kind::ALL.map(|(name, _)| name);
        let mistake = Diagnostic::error(WRONG_PARAMETER, format!("`{}` is not a kind of parameter", kind.text))
            .label(&kind.span, "not known");
        match suggestion(&kind.text, &known) {
            Some(help) => mistake.help(help).into(),
            None => mistake.into(),
        }
    })
}
