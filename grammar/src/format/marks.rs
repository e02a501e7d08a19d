//! What the layout must know of the tree: where lines begin, and which symbols are infix operators.

use std::collections::BTreeSet;

use crate::tree::{Expr, ExprKind, Item, ParameterKind, Statement, Tree};

/// Byte offsets of places that matter to the layout.
#[derive(Default)]
pub(crate) struct Marks {
    /// Starts of items, fields, statements and final expressions.
    pub(crate) line_starts: BTreeSet<usize>,
    /// Starts of infix operators; any other `-` is a sign, any other `/` belongs to a unit.
    pub(crate) infix: BTreeSet<usize>,
}

impl Marks {
    pub(crate) fn of(tree: &Tree) -> Self {
        let mut marks = Marks::default();
        for item in &tree.items {
            marks.item(item);
        }
        marks
    }

    fn item(&mut self, item: &Item) {
        self.line_starts.insert(item.span().start);
        match item {
            Item::Import(_) => {}
            Item::Let(item) => self.expression(&item.value),
            Item::Param(item) => self.expressions(&item.default),
            Item::Declaration(item) => {
                for field in &item.fields {
                    self.line_starts.insert(field.span.start);
                    self.expression(&field.value);
                }
            }
            Item::Function(item) => {
                for parameter in &item.parameters {
                    if let ParameterKind::Tensor { dims, .. } = &parameter.kind {
                        self.expressions(dims);
                    }
                    self.expressions(&parameter.default);
                }
                self.statements(&item.body.statements);
                if let Some(result) = &item.body.result {
                    self.line_starts.insert(result.span.start);
                    self.expression(result);
                }
            }
        }
    }

    fn statements(&mut self, statements: &[Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { value, span, .. } => {
                    self.line_starts.insert(span.start);
                    self.expression(value);
                }
                Statement::Repeat { count, body, span, .. } => {
                    self.line_starts.insert(span.start);
                    self.expression(count);
                    self.statements(body);
                }
                Statement::If { condition, then, otherwise, span } => {
                    self.line_starts.insert(span.start);
                    self.expression(condition);
                    self.statements(then);
                    self.statements(otherwise);
                }
            }
        }
    }

    fn expressions<'a>(&mut self, expressions: impl IntoIterator<Item = &'a Expr>) {
        for expression in expressions {
            self.expression(expression);
        }
    }

    fn expression(&mut self, expression: &Expr) {
        match &expression.kind {
            ExprKind::Number(_) | ExprKind::String(_) | ExprKind::Bool(_) | ExprKind::None | ExprKind::Name(_) => {}
            ExprKind::Member { base: inner, .. }
            | ExprKind::Unary { operand: inner, .. }
            | ExprKind::Named { value: inner, .. }
            | ExprKind::Of { count: inner, .. } => self.expression(inner),
            ExprKind::List(elements) => self.expressions(elements),
            ExprKind::Call { arguments, .. } => {
                self.expressions(arguments.iter().map(|argument| &argument.value));
            }
            ExprKind::Binary { operator_span, left, right, .. } => {
                self.infix.insert(operator_span.start);
                self.expression(left);
                self.expression(right);
            }
        }
    }
}
