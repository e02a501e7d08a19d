//! Names that expressions and functions mention.

use llmc_grammar::source::Span;
use llmc_grammar::tree::{Expr, ExprKind, Function, ParameterKind, Statement};

/// A name and where it is mentioned.
pub type Mention<'t> = (&'t str, &'t Span);

/// Every name that a function mentions, its own parameters and bindings included.
pub fn in_function<'t>(function: &'t Function, mentions: &mut Vec<Mention<'t>>) {
    for parameter in &function.parameters {
        if let ParameterKind::Tensor { dims, .. } = &parameter.kind {
            for dim in dims {
                in_expression(dim, mentions);
            }
        }
        if let Some(default) = &parameter.default {
            in_expression(default, mentions);
        }
    }
    in_statements(&function.body.statements, mentions);
    if let Some(result) = &function.body.result {
        in_expression(result, mentions);
    }
}

fn in_statements<'t>(statements: &'t [Statement], mentions: &mut Vec<Mention<'t>>) {
    for statement in statements {
        match statement {
            Statement::Assign { value, .. } => in_expression(value, mentions),
            Statement::Repeat { count, body, .. } => {
                in_expression(count, mentions);
                in_statements(body, mentions);
            }
            Statement::If { condition, then, otherwise, .. } => {
                in_expression(condition, mentions);
                in_statements(then, mentions);
                in_statements(otherwise, mentions);
            }
        }
    }
}

/// Every name that an expression mentions, with its place, in the order of the text.
pub fn in_expression<'t>(expr: &'t Expr, mentions: &mut Vec<Mention<'t>>) {
    match &expr.kind {
        ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::None => {}
        ExprKind::Name(name) => mentions.push((name, &expr.span)),
        ExprKind::Member { base, .. } => in_expression(base, mentions),
        ExprKind::List(items) => {
            for item in items {
                in_expression(item, mentions);
            }
        }
        ExprKind::Call { function, arguments } => {
            mentions.push((&function.text, &function.span));
            for argument in arguments {
                in_expression(&argument.value, mentions);
            }
        }
        ExprKind::Unary { operand, .. } => in_expression(operand, mentions),
        ExprKind::Binary { left, right, .. } => {
            in_expression(left, mentions);
            in_expression(right, mentions);
        }
        ExprKind::Named { value, .. } => in_expression(value, mentions),
        ExprKind::Of { count, what } => {
            in_expression(count, mentions);
            mentions.push((&what.text, &what.span));
        }
    }
}

/// Where an expression holds words that mean the same whatever is declared under their names: called functions, and
/// the kind of a source.
pub fn words<'t>(expr: &'t Expr, found: &mut Vec<&'t Span>) {
    match &expr.kind {
        ExprKind::List(items) => items.iter().for_each(|item| words(item, found)),
        ExprKind::Call { function, arguments } => {
            found.push(&function.span);
            for argument in arguments {
                match argument.name.as_ref().is_some_and(|name| name.text == "kind") {
                    true => found.push(&argument.value.span),
                    false => words(&argument.value, found),
                }
            }
        }
        _ => {}
    }
}
