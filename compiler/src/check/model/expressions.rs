//! Expressions: constants stay constants, tensors become nodes.

use llmc_grammar::codes::{NOTHING_TO_NAME, UNKNOWN_SIZE, WRONG_ARGUMENT, WRONG_DTYPE};
use llmc_grammar::diagnostic::Diagnostic;
use llmc_grammar::source::Span;
use llmc_grammar::tree::{BinaryOperator, Expr, ExprKind, Name, UnaryOperator};

use super::super::arithmetic;
use super::super::evaluate::{not_constant, number, too_deep, unknown_member, unknown_value};
use super::super::nearest::nearest;
use super::super::value::{Kind, Outcome, Spanned, Value};
use super::elaborator::Elaborator;
use super::inputs::{Made, Stop};
use super::rules::elementwise;
use super::rules::mismatch::Operand;
use super::tensor::{Bound, Tensor};
use crate::plan::{BinaryFunction, DType, ModelOp, UnaryFunction};

/// Deepest nesting of expressions over all calls.
const DEEPEST: usize = 160;

impl Elaborator<'_, '_> {
    /// The value of an expression; mistakes are reported and leave [`Bound::Unknown`].
    pub fn expression(&mut self, expr: &Expr) -> Bound {
        if !self.step(&expr.span) {
            return Bound::Unknown;
        }
        if self.depth >= DEEPEST {
            self.report(too_deep(&expr.span));
            return Bound::Unknown;
        }
        self.depth += 1;
        let value = self.value(expr);
        self.depth -= 1;
        value
    }

    fn value(&mut self, expr: &Expr) -> Bound {
        let span = &expr.span;
        let constant =
            |value: Outcome<Value>| value.map(|value| Bound::Constant(Spanned::new(value, span))).map_err(Stop::from);
        let outcome = match &expr.kind {
            ExprKind::Number(literal) => constant(number(literal, span)),
            ExprKind::String(text) => constant(Ok(Value::Text(text.clone()))),
            ExprKind::Bool(value) => constant(Ok(Value::Bool(*value))),
            ExprKind::None => constant(Ok(Value::None)),
            ExprKind::Name(name) => self.name(name, span),
            ExprKind::Member { base, field } => constant(self.member(base, field, span)),
            ExprKind::List(items) => {
                Ok(Bound::List(items.iter().map(|item| (self.expression(item), item.span.clone())).collect()))
            }
            ExprKind::Unary { operator, operand } => {
                let operand_value = self.expression(operand);
                self.unary(*operator, operand_value, operand, span)
            }
            ExprKind::Binary { operator, operator_span, left, right } => {
                let a = (self.expression(left), &left.span);
                let b = (self.expression(right), &right.span);
                self.binary(*operator, operator_span, a, b, span)
            }
            ExprKind::Call { function, arguments } => Ok(self.call(function, arguments, span, None)),
            ExprKind::Named { value, path } => match &value.kind {
                ExprKind::Call { function, arguments } => Ok(self.call(function, arguments, span, Some(path))),
                _ => Err(nothing_to_name(&path.span).into()),
            },
            ExprKind::Of { .. } => Err(not_constant(span, "`of` counts the devices of a cluster").into()),
        };
        self.settle(outcome).unwrap_or(Bound::Unknown)
    }

    fn name(&mut self, name: &str, span: &Span) -> Result<Bound, Stop> {
        if let Some(bound) = self.bound(name) {
            return Ok(match bound {
                Bound::Constant(constant) => Bound::Constant(Spanned::new(constant.value.clone(), span)),
                other => other.clone(),
            });
        }
        if let Some(value) = self.library.constants.get(name) {
            return Ok(Bound::Constant(Spanned::new(value.clone(), span)));
        }
        if self.is_function(name) || matches!(name, "zeros" | "ones" | "halves" | "interleaved") {
            return Ok(Bound::Constant(Spanned::new(Value::Name(name.to_owned()), span)));
        }
        let mut known = self.known_names();
        // Functions are names too, but only worth naming when one is near.
        if nearest(name, known.iter().map(String::as_str)).is_none() {
            let functions = self.function_names();
            known.extend(nearest(name, functions).map(str::to_owned));
        }
        Err(unknown_value(name, span, &known).into())
    }

    fn known_names(&mut self) -> Vec<String> {
        let mut known: Vec<String> = self.names().keys().cloned().collect();
        known.extend(self.library.constants.keys().cloned());
        known
    }

    fn member(&mut self, base: &Expr, field: &Name, span: &Span) -> Outcome<Value> {
        let ExprKind::Name(base) = &base.kind else {
            return Err(not_constant(span, "only names have members"));
        };
        let member = format!("{base}.{}", field.text);
        match self.library.constants.get(&member) {
            Some(value) => Ok(value.clone()),
            None => Err(unknown_member(base, field, &self.known_names())),
        }
    }

    fn unary(&mut self, operator: UnaryOperator, operand: Bound, expr: &Expr, span: &Span) -> Result<Bound, Stop> {
        match (operator, operand) {
            (_, Bound::Constant(constant)) => {
                let value = arithmetic::unary(operator, &constant, span)?;
                Ok(Bound::Constant(Spanned::new(value, span)))
            }
            (UnaryOperator::Negate, Bound::Tensor(tensor)) => {
                need_floats(&tensor, &expr.span)?;
                let made = Made {
                    op: ModelOp::Unary(UnaryFunction::Negate),
                    inputs: vec![tensor.node],
                    shape: tensor.shape,
                    dtype: Some(DType::F32),
                };
                self.add(made, span).map(Bound::Tensor)
            }
            (_, Bound::Unknown) => Err(Stop::Undetermined),
            _ => Err(not_for_tensors("this operator", &expr.span).into()),
        }
    }

    fn binary(
        &mut self,
        operator: BinaryOperator,
        operator_span: &Span,
        (left, left_span): (Bound, &Span),
        (right, right_span): (Bound, &Span),
        span: &Span,
    ) -> Result<Bound, Stop> {
        if let (Bound::Unknown, _) | (_, Bound::Unknown) = (&left, &right) {
            return Err(Stop::Undetermined);
        }
        if let (Bound::Constant(a), Bound::Constant(b)) = (&left, &right) {
            let value = arithmetic::binary(operator, operator_span, a, b)?;
            return Ok(Bound::Constant(Spanned::new(value, span)));
        }
        let function = match operator {
            BinaryOperator::Add => BinaryFunction::Add,
            BinaryOperator::Subtract => BinaryFunction::Subtract,
            BinaryOperator::Multiply => BinaryFunction::Multiply,
            BinaryOperator::Divide => BinaryFunction::Divide,
            BinaryOperator::Power => BinaryFunction::Power,
            _ => {
                let name = format!("`{}`", operator_span.text());
                return Err(not_for_tensors(&name, operator_span).into());
            }
        };
        self.elementwise(function, (left, left_span), (right, right_span), span)
    }

    /// An elementwise function of two tensors or numbers, at least one of them a tensor.
    pub fn elementwise(
        &mut self,
        function: BinaryFunction,
        (left, left_span): (Bound, &Span),
        (right, right_span): (Bound, &Span),
        span: &Span,
    ) -> Result<Bound, Stop> {
        let squared = function == BinaryFunction::Power
            && matches!(&right, Bound::Constant(two) if two.value.as_float() == Some(2.0));
        let left = self.as_tensor(left, left_span)?;
        if squared {
            let made = Made {
                op: ModelOp::Unary(UnaryFunction::Square),
                inputs: vec![left.node],
                shape: left.shape,
                dtype: Some(DType::F32),
            };
            return self.add(made, span).map(Bound::Tensor);
        }
        let right = self.as_tensor(right, right_span)?;
        let left = Operand { tensor: &left, span: left_span };
        let right = Operand { tensor: &right, span: right_span };
        let made = elementwise::binary(function, left, right)?;
        self.add(made, span).map(Bound::Tensor)
    }

    /// A tensor of floats, or a number as a scalar.
    fn as_tensor(&mut self, bound: Bound, span: &Span) -> Result<Tensor, Stop> {
        match bound {
            Bound::Tensor(tensor) => {
                need_floats(&tensor, span)?;
                Ok(tensor)
            }
            Bound::Constant(constant) => {
                let value = match &constant.value {
                    Value::Open(Kind::Float) if self.alone => 1.0,
                    Value::Dim(_) if self.alone => 1.0,
                    Value::Unknown => return Err(Stop::Undetermined),
                    Value::Dim(dim) => {
                        return Err(Diagnostic::error(
                            UNKNOWN_SIZE,
                            format!("`{dim}` is not known when the model is made"),
                        )
                        .label(span, "differs from batch to batch")
                        .into());
                    }
                    _ => constant.float()?,
                };
                self.constant(value, span)
            }
            Bound::Unknown => Err(Stop::Undetermined),
            Bound::Several(_) => Err(several(span).into()),
            Bound::List(_) => Err(Diagnostic::error(WRONG_ARGUMENT, "expected a tensor or a number, found a list")
                .label(span, "this is a list")
                .into()),
        }
    }
}

/// `E0502` if a tensor of whole numbers stands where floats are needed.
pub(super) fn need_floats(tensor: &Tensor, span: &Span) -> Result<(), Box<Diagnostic>> {
    if tensor.dtype != Some(DType::I32) {
        return Ok(());
    }
    Err(Box::new(
        Diagnostic::error(WRONG_DTYPE, "expected floats, found whole numbers")
            .label(span, "holds ids or positions")
            .help("look them up in a table first: `lookup(table, ids)`"),
    ))
}

/// `E0517`: several values where one is needed.
pub(super) fn several(span: &Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(llmc_grammar::codes::WRONG_COUNT, "several tensors stand where one is needed")
            .label(span, "gives several values")
            .help("give each a name first: `a, b = split(x, 2)`"),
    )
}

/// `E0525`: `as` after something that makes no weights.
pub(super) fn nothing_to_name(span: &Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(NOTHING_TO_NAME, "`as` names weights, and this makes none")
            .label(span, "nothing to name")
            .help("`as` follows `weight(...)` or the call of a block"),
    )
}

fn not_for_tensors(what: &str, span: &Span) -> Box<Diagnostic> {
    Box::new(
        Diagnostic::error(WRONG_ARGUMENT, format!("{what} works on constants, not on tensors"))
            .label(span, "applied to a tensor"),
    )
}
