//! From an expression to a constant, in a scope of names.

use std::collections::BTreeMap;

use llmc_grammar::codes::{NESTED_TOO_DEEPLY, NOT_CONSTANT, OUT_OF_RANGE, UNKNOWN_MEMBER, UNKNOWN_VALUE};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind, Name, Number};

use super::arithmetic::{binary, unary};
use super::constant_functions::{constant_function, is_constant_function};
use super::nearest::suggestion;
use super::table::is_formula;
use super::units;
use super::value::{Call, CallArgument, Outcome, Quantity, Spanned, Value};

/// Deepest nesting of expressions that is evaluated.
pub const DEEPEST: usize = 200;

/// The constants that an expression can see.
pub trait Scope {
    /// The constant called `name`.
    fn constant(&self, name: &str) -> Option<Value>;

    /// What `base.field` holds, as in `bpe.vocab`.
    fn member(&self, base: &str, field: &str) -> Option<Value>;

    /// Every name that is known (members as `base.field`), for "did you mean".
    fn names(&self) -> Vec<String>;
}

/// Members stand under dotted keys: `bpe.vocab`.
impl Scope for BTreeMap<String, Value> {
    fn constant(&self, name: &str) -> Option<Value> {
        self.get(name).cloned()
    }

    fn member(&self, base: &str, field: &str) -> Option<Value> {
        self.get(&format!("{base}.{field}")).cloned()
    }

    fn names(&self) -> Vec<String> {
        self.keys().cloned().collect()
    }
}

/// Evaluates an expression. Every mistake goes to `diagnostics` and leaves [`Value::Unknown`] in its place.
///
/// A bare name that is no constant stays [`Value::Name`], and a call of anything but `min`, `max`, `floor`, `ceil`,
/// `round` and `sqrt` stays [`Value::Call`]: what they mean depends on where they stand.
pub fn evaluate(expr: &Expr, scope: &dyn Scope, diagnostics: &mut Diagnostics) -> Spanned {
    Evaluation { scope, diagnostics, depth: 0 }.expression(expr)
}

struct Evaluation<'a> {
    scope: &'a dyn Scope,
    diagnostics: &'a mut Diagnostics,
    depth: usize,
}

impl Evaluation<'_> {
    fn expression(&mut self, expr: &Expr) -> Spanned {
        if self.depth >= DEEPEST {
            self.diagnostics.push(too_deep(&expr.span));
            return Spanned::new(Value::Unknown, &expr.span);
        }
        self.depth += 1;
        let value = self.value(expr);
        self.depth -= 1;
        Spanned::new(value, &expr.span)
    }

    /// An operand of arithmetic, where a bare name must be a constant.
    fn operand(&mut self, expr: &Expr) -> Spanned {
        let operand = self.expression(expr);
        let known = known(operand, &self.scope.names());
        self.settle(known, &expr.span)
    }

    fn settle(&mut self, outcome: Outcome<Spanned>, span: &Span) -> Spanned {
        outcome.unwrap_or_else(|mistake| {
            self.diagnostics.push(*mistake);
            Spanned::new(Value::Unknown, span)
        })
    }

    fn value(&mut self, expr: &Expr) -> Value {
        let outcome = match &expr.kind {
            ExprKind::Number(literal) => number(literal, &expr.span),
            ExprKind::String(text) => Ok(Value::Text(text.clone())),
            ExprKind::Bool(value) => Ok(Value::Bool(*value)),
            ExprKind::None => Ok(Value::None),
            ExprKind::Name(name) => Ok(match self.scope.constant(name) {
                Some(value) => value,
                None => Value::Name(name.clone()),
            }),
            ExprKind::Member { base, field } => self.member(base, field, &expr.span),
            ExprKind::List(items) => Ok(Value::List(items.iter().map(|item| self.expression(item)).collect())),
            ExprKind::Unary { operator, operand } => {
                let operand = self.operand(operand);
                unary(*operator, &operand, &expr.span)
            }
            ExprKind::Binary { operator, operator_span, left, right } => {
                let left = self.operand(left);
                let right = self.operand(right);
                binary(*operator, operator_span, &left, &right)
            }
            ExprKind::Call { function, arguments } if is_constant_function(&function.text) => {
                let values: Vec<Spanned> = arguments.iter().map(|argument| self.operand(&argument.value)).collect();
                constant_function(&function.text, &values, &expr.span)
            }
            ExprKind::Call { function, arguments } => Ok(Value::Call(Call {
                function: function.clone(),
                arguments: arguments
                    .iter()
                    .enumerate()
                    .map(|(index, argument)| CallArgument {
                        name: argument.name.clone(),
                        value: match is_formula(
                            &function.text,
                            argument.name.as_ref().map(|name| name.text.as_str()),
                            index,
                        ) {
                            true => {
                                Spanned::new(Value::Formula(Box::new(argument.value.clone())), &argument.value.span)
                            }
                            false => self.expression(&argument.value),
                        },
                    })
                    .collect(),
            })),
            ExprKind::Named { path, .. } => {
                Err(not_constant(&path.span, "`as` names weights, and there are none here"))
            }
            ExprKind::Of { .. } => Err(not_constant(&expr.span, "`of` counts the devices of a cluster")),
        };
        outcome.unwrap_or_else(|mistake| {
            self.diagnostics.push(*mistake);
            Value::Unknown
        })
    }

    fn member(&mut self, base: &Expr, field: &Name, span: &Span) -> Outcome<Value> {
        let ExprKind::Name(base) = &base.kind else {
            return Err(not_constant(span, "only names have members"));
        };
        self.scope.member(base, &field.text).ok_or_else(|| unknown_member(base, field, &self.scope.names()))
    }
}

/// The value of a literal number: exact if it was written as a whole number.
pub fn number(literal: &Number, span: &Span) -> Outcome<Value> {
    if let Some(unit) = &literal.unit {
        return Ok(Value::Quantity(Quantity {
            value: literal.value,
            integer: literal.integer,
            unit: units::find(&unit.text, &unit.span)?,
        }));
    }
    match literal.integer.map(i64::try_from) {
        Some(Ok(value)) => Ok(Value::Int(value)),
        None if literal.value.is_finite() => Ok(Value::Float(literal.value)),
        _ => Err(Box::new(
            Diagnostic::error(OUT_OF_RANGE, "the number is too large").label(span, "does not fit 64 bits"),
        )),
    }
}

/// `value`, unless it is a bare name: then `E0309` with the nearest of `names`.
pub fn known(value: Spanned, names: &[String]) -> Outcome<Spanned> {
    match &value.value {
        Value::Name(name) => Err(unknown_value(name, &value.span, names)),
        _ => Ok(value),
    }
}

/// `E0309`: no constant of this name.
pub fn unknown_value(name: &str, span: &Span, names: &[String]) -> Box<Diagnostic> {
    let diagnostic = Diagnostic::error(UNKNOWN_VALUE, format!("unknown name `{name}`")).label(span, "not known here");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Box::new(match suggestion(name, &names) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    })
}

/// `E0310`: `base` has no member `field`.
pub fn unknown_member(base: &str, field: &Name, names: &[String]) -> Box<Diagnostic> {
    let prefix = format!("{base}.");
    let members: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&prefix)).collect();
    let diagnostic = Diagnostic::error(UNKNOWN_MEMBER, format!("`{base}` has no member `{}`", field.text))
        .label(&field.span, "not known");
    Box::new(match suggestion(&field.text, &members) {
        Some(help) => diagnostic.help(help),
        None => diagnostic,
    })
}

/// `E0311`: a constant is needed here.
pub fn not_constant(span: &Span, reason: &str) -> Box<Diagnostic> {
    Box::new(Diagnostic::error(NOT_CONSTANT, "a constant is needed here").label(span, reason))
}

/// `E0102`: the expression is nested deeper than it can be evaluated.
pub fn too_deep(span: &Span) -> Diagnostic {
    Diagnostic::error(NESTED_TOO_DEEPLY, "the expression is nested too deeply")
        .label(span, "too many levels")
        .help("give the inner part a name with `let`")
}
