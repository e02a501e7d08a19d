//! Arguments of the language's functions, checked against what each parameter takes.

use llmc_grammar::codes::{OUTSIDE_RANGE, WRONG_ARGUMENT, WRONG_DTYPE};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;

use super::super::scaling::scaling;
use super::super::value::{Call, Kind, Spanned, Value};
use super::expressions::{need_floats, several};
use super::functions::{Default, Taken, Takes};
use super::inputs::{Given, Stop};
use super::tensor::{Bound, Tensor};
use crate::dim::Dim;
use crate::plan::{DType, Initializer, RotaryLayout};

/// What the parameter holds when the call gives nothing; none if the call must give it.
pub(super) fn default(taken: &Taken) -> Option<Given> {
    Some(match (taken.default, taken.takes) {
        (Default::Required, _) => return None,
        (Default::Int(value), Takes::Axis) => Given::Axis(value),
        (Default::Int(value), Takes::Number) => Given::Number(Some(value as f64)),
        (Default::Int(value), _) => Given::Size(Dim::integer(value)),
        (Default::Float(value), _) => Given::Number(Some(value)),
        (Default::Bool(value), _) => Given::Bool(Some(value)),
        (Default::Absent | Default::Computed(_), _) => Given::Absent,
    })
}

/// `bound` as what `taken` takes.
pub(super) fn convert(taken: &Taken, bound: Bound, span: &Span) -> Result<Given, Stop> {
    match bound {
        Bound::Unknown => Err(Stop::Undetermined),
        Bound::Several(_) => Err(several(span).into()),
        Bound::Tensor(tensor) => from_tensor(taken, tensor, span),
        Bound::List(items) => from_list(taken, items, span),
        Bound::Constant(constant) => from_constant(taken, &constant),
    }
}

fn from_tensor(taken: &Taken, tensor: Tensor, span: &Span) -> Result<Given, Stop> {
    match taken.takes {
        Takes::Tensor(Some(DType::F32)) | Takes::TensorOrNumber => need_floats(&tensor, span)?,
        Takes::Tensor(Some(DType::I32)) if tensor.dtype == Some(DType::F32) => {
            return Err(Diagnostic::error(WRONG_DTYPE, format!("`{}` takes whole numbers, found floats", taken.name))
                .label(span, "holds floats")
                .help("ids are `tokens`, `positions` or `documents` of the model, or the places that `top_k` gives")
                .into());
        }
        Takes::Tensor(_) => {}
        _ => return Err(wrong_argument(taken, "a tensor", span)),
    }
    Ok(Given::Tensor(tensor))
}

fn from_list(taken: &Taken, items: Vec<(Bound, Span)>, span: &Span) -> Result<Given, Stop> {
    match taken.takes {
        Takes::Tensors => {
            let each = Taken { takes: Takes::Tensor(None), ..*taken };
            let tensors: Result<Vec<Tensor>, Stop> = items
                .into_iter()
                .map(|(item, span)| match convert(&each, item, &span)? {
                    Given::Tensor(tensor) => Ok(tensor),
                    _ => Err(Stop::Undetermined),
                })
                .collect();
            Ok(Given::Tensors(tensors?))
        }
        Takes::Sizes | Takes::Parts => {
            let sizes: Result<Vec<Dim>, Stop> =
                items.into_iter().map(|(item, span)| positive_size(taken, item, &span)).collect();
            Ok(Given::Sizes(sizes?))
        }
        Takes::Axes => {
            let axes: Result<Vec<i64>, Stop> = items.into_iter().map(|(item, span)| axis(taken, item, &span)).collect();
            Ok(Given::Axes(axes?))
        }
        _ => Err(wrong_argument(taken, "a list", span)),
    }
}

fn from_constant(taken: &Taken, constant: &Spanned) -> Result<Given, Stop> {
    let span = &constant.span;
    match (taken.takes, &constant.value) {
        (_, Value::Unknown) => Err(Stop::Undetermined),
        (_, Value::None) if taken.default == Default::Absent => Ok(Given::Absent),
        (Takes::Size, _) => match &constant.value {
            Value::Int(value) => Ok(Given::Size(Dim::integer(*value))),
            Value::Dim(dim) => Ok(Given::Size(dim.clone())),
            _ => Err(constant.wrong_kind("a whole number").into()),
        },
        (Takes::Parts, _) => positive_size(taken, Bound::Constant(constant.clone()), span).map(Given::Size),
        (Takes::Axis, _) => axis(taken, Bound::Constant(constant.clone()), span).map(Given::Axis),
        (Takes::Number, Value::Open(Kind::Float) | Value::Dim(_)) => Ok(Given::Number(None)),
        (Takes::Number, _) => Ok(Given::Number(Some(constant.float()?))),
        (Takes::Bool, Value::Open(Kind::Bool)) => Ok(Given::Bool(None)),
        (Takes::Bool, _) => Ok(Given::Bool(Some(constant.bool()?))),
        (Takes::Initializer, _) => initializer(taken, constant).map(Given::Initializer),
        (Takes::Scaling, _) => Ok(Given::Scaling(scaling(constant)?)),
        (Takes::Layout, Value::Name(name)) if name == "halves" => Ok(Given::Layout(RotaryLayout::Halves)),
        (Takes::Layout, Value::Name(name)) if name == "interleaved" => Ok(Given::Layout(RotaryLayout::Interleaved)),
        (Takes::Equation, Value::Text(text)) => Ok(Given::Equation(text.clone())),
        (Takes::Equation, Value::Open(Kind::Text)) => Err(Stop::Undetermined),
        (_, other) => Err(wrong_argument(taken, &other.describe(), span)),
    }
}

/// A size of a dimension: at least 1.
fn positive_size(taken: &Taken, bound: Bound, span: &Span) -> Result<Dim, Stop> {
    match bound {
        Bound::Unknown => Err(Stop::Undetermined),
        Bound::Constant(constant) => match &constant.value {
            Value::Unknown => Err(Stop::Undetermined),
            Value::Dim(dim) => Ok(dim.clone()),
            _ => match constant.int()? {
                size @ 1.. => Ok(Dim::integer(size)),
                size => Err(Diagnostic::error(OUTSIDE_RANGE, format!("a size must be at least 1, found {size}"))
                    .label(span, "not a size")
                    .help("every size is written out; `-1` does not stand for the rest")
                    .into()),
            },
        },
        _ => Err(wrong_argument(taken, "a tensor among the sizes", span)),
    }
}

fn axis(taken: &Taken, bound: Bound, span: &Span) -> Result<i64, Stop> {
    match bound {
        Bound::Unknown => Err(Stop::Undetermined),
        Bound::Constant(constant) => match constant.value {
            Value::Unknown | Value::Dim(_) => Err(Stop::Undetermined),
            _ => Ok(constant.int()?),
        },
        _ => Err(wrong_argument(taken, "a tensor", span)),
    }
}

/// `zeros`, `ones`, `normal(std)`, `uniform(bound)`; none where the number is not known yet.
fn initializer(taken: &Taken, constant: &Spanned) -> Result<Option<Initializer>, Stop> {
    match &constant.value {
        Value::Name(name) if name == "zeros" => Ok(Some(Initializer::Zeros)),
        Value::Name(name) if name == "ones" => Ok(Some(Initializer::Ones)),
        Value::Call(call) => {
            let spread = spread(call, &constant.span)?;
            Ok(spread.map(|spread| match call.function.text.as_str() {
                "normal" => Initializer::Normal(spread),
                _ => Initializer::Uniform(spread),
            }))
        }
        other => Err(wrong_argument(taken, &other.describe(), &constant.span)),
    }
}

/// The one argument of `normal` and `uniform`; none where it is not known yet.
fn spread(call: &Call, span: &Span) -> Result<Option<f64>, Stop> {
    let normal = call.function.text == "normal";
    let parameter = if normal { "std" } else { "bound" };
    let [argument] = call.arguments.as_slice() else {
        let name = &call.function.text;
        return Err(Diagnostic::error(WRONG_ARGUMENT, format!("`{name}` takes one number, `{parameter}`"))
            .label(span, format!("{} given", call.arguments.len()))
            .help(format!("for example `{name}(0.02)`"))
            .into());
    };
    if let Some(name) = argument.name.as_ref().filter(|name| name.text != parameter) {
        return Err(Diagnostic::error(
            WRONG_ARGUMENT,
            format!("`{}` has no parameter `{}`", call.function.text, name.text),
        )
        .label(&name.span, "not a parameter")
        .help(format!("did you mean `{parameter}`?"))
        .into());
    }
    let spread = match argument.value.value {
        Value::Open(Kind::Float) | Value::Dim(_) => return Ok(None),
        Value::Unknown => return Err(Stop::Undetermined),
        _ => argument.value.float()?,
    };
    if spread < 0.0 {
        return Err(Diagnostic::error(OUTSIDE_RANGE, format!("`{parameter}` cannot be negative"))
            .label(&argument.value.span, "negative")
            .into());
    }
    Ok(Some(spread))
}

/// `E0520`: something else is taken here.
fn wrong_argument(taken: &Taken, found: &str, span: &Span) -> Stop {
    Diagnostic::error(WRONG_ARGUMENT, format!("`{}` takes {}, found {found}", taken.name, taken.takes.describe()))
        .label(span, format!("this is {found}"))
        .into()
}
