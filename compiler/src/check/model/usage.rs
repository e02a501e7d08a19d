//! Parameters and bindings that nothing reads.

use std::collections::BTreeSet;

use llmc_grammar::codes::{UNUSED_BINDING, UNUSED_PARAMETER};
use llmc_grammar::diagnostic::{Diagnostic, Diagnostics};
use llmc_grammar::tree::{Declaration, Expr, ExprKind, Function, Name, ParameterKind, Statement};

use super::super::nearest::nearest;

/// Reports every parameter (`E0506`) and every binding (`W0501`) of `function` that is never read. A parameter also
/// counts as read by the model's `huggingface` declaration.
pub(super) fn check_usage(function: &Function, declaration: Option<&Declaration>, diagnostics: &mut Diagnostics) {
    let mut read = BTreeSet::new();
    for parameter in &function.parameters {
        if let ParameterKind::Tensor { dims, .. } = &parameter.kind {
            dims.iter().for_each(|dim| names_in(dim, &mut read));
        }
        parameter.default.iter().for_each(|default| names_in(default, &mut read));
    }
    let mut bound = Vec::new();
    names_in_statements(&function.body.statements, &mut read, &mut bound);
    function.body.result.iter().for_each(|result| names_in(result, &mut read));
    let fields = declaration.iter().flat_map(|declaration| &declaration.fields);
    fields.for_each(|field| names_in(&field.value, &mut read));

    for parameter in &function.parameters {
        let name = &parameter.name;
        if !read.contains(name.text.as_str()) && !name.text.starts_with('_') {
            diagnostics.push(
                Diagnostic::error(
                    UNUSED_PARAMETER,
                    format!("`{}` never uses its parameter `{}`", function.name.text, name.text),
                )
                .label(&name.span, "without effect")
                .help("use it or remove it"),
            );
        }
    }
    let mut reported = BTreeSet::new();
    for name in bound {
        let known = read.contains(name.text.as_str()) || name.text.starts_with('_');
        if !known && reported.insert(&name.text) {
            let help = match nearest(&name.text, read.iter().copied()) {
                Some(near) => format!("did you mean `{near}`? Or remove it"),
                None => "remove it, or start its name with `_`".to_owned(),
            };
            diagnostics.push(
                Diagnostic::warning(UNUSED_BINDING, format!("`{}` is never used", name.text))
                    .label(&name.span, "assigned here")
                    .help(help),
            );
        }
    }
}

fn names_in_statements<'t>(statements: &'t [Statement], read: &mut BTreeSet<&'t str>, bound: &mut Vec<&'t Name>) {
    for statement in statements {
        match statement {
            Statement::Assign { targets, value, .. } => {
                names_in(value, read);
                bound.extend(targets);
            }
            Statement::Repeat { count, body, .. } => {
                names_in(count, read);
                names_in_statements(body, read, bound);
            }
            Statement::If { condition, then, otherwise, .. } => {
                names_in(condition, read);
                names_in_statements(then, read, bound);
                names_in_statements(otherwise, read, bound);
            }
        }
    }
}

fn names_in<'t>(expr: &'t Expr, read: &mut BTreeSet<&'t str>) {
    // A worklist instead of recursion: expressions may be nested deeper than the stack is.
    let mut waiting = vec![expr];
    while let Some(expr) = waiting.pop() {
        match &expr.kind {
            ExprKind::Name(name) => {
                read.insert(name);
            }
            ExprKind::Member { base, .. } => waiting.push(base),
            ExprKind::List(items) => waiting.extend(items),
            ExprKind::Call { function, arguments } => {
                read.insert(&function.text);
                waiting.extend(arguments.iter().map(|argument| &argument.value));
            }
            ExprKind::Unary { operand, .. } => waiting.push(operand),
            ExprKind::Binary { left, right, .. } => waiting.extend([left.as_ref(), right]),
            ExprKind::Named { value, .. } => waiting.push(value),
            ExprKind::Of { count, .. } => waiting.push(count),
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::None => {}
        }
    }
}
